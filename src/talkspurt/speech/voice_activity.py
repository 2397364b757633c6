"""Silero voice activity for all calls of a process in batched inferences.

The model judges windows of 256 samples (32 ms at 8 kHz), each with the 32 samples before it and a
recurrent state. A window costs 90 µs alone and 33 µs in a batch of 32; the results are the same. Windows that
hold nothing but the line's noise are not judged at all (`energy_gate`): their probability is 0.

It is not a talkspurt detector: it gives probabilities, `talkspurt.media.talkspurts` makes facts.

Invariants: `feed` only stores bytes; all inference happens in `steps`, on the caller's thread; the
result does not depend on how the audio was cut into pieces or who else was in the batch; a stream
whose audio is not collected keeps at most `BACKLOG` samples, oldest dropped but still counted.
Source: silero-vad 6.2, `silero_vad.onnx` (its 8 kHz branch: context 32, window 256).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from talkspurt.errors import WeightsError
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech.energy_gate import EnergyGate
from talkspurt.speech.weights import WeightStore

WEIGHTS: Final = "silero-vad"
WINDOW: Final = 256
CONTEXT: Final = 32
STATE: Final = 128
BACKLOG: Final = 64 * WINDOW
"""Two seconds: later, a decision is of no use to a conversation, and catching up would delay the other calls."""
MOST_AT_ONCE: Final = 32
"""Windows of one inference: larger batches are hardly cheaper, and nothing else can be done meanwhile."""

_BYTES: Final = 2 * WINDOW
_FIRST_SLOTS: Final = 32

_log = structlog.get_logger(__name__)


class SileroStream:
    """One call's place: its audio not judged yet, and its slot in the shared state."""

    __slots__ = ("_detector", "_on_window", "_pending", "_samples", "_slot")

    def __init__(self, detector: "SileroVoiceActivity", slot: int, on_window: Callable[[float, int], None]) -> None:
        self._detector = detector
        self._on_window = on_window
        self._pending = bytearray()
        self._samples = 0
        self._slot = slot

    def feed(self, pcm: bytes, /) -> None:
        """Add the caller's next audio, any length; ignored after `close`."""
        if self._slot < 0:
            return
        self._pending += pcm
        excess = len(self._pending) - 2 * BACKLOG
        if excess > 0:
            # Whole windows go, so that the rest stays aligned to samples and windows.
            windows = -(-excess // _BYTES)
            del self._pending[: windows * _BYTES]
            self._samples += windows * WINDOW

    def close(self) -> None:
        """Give the place back. Idempotent."""
        if self._slot >= 0:
            self._detector._release(self, self._slot)
            self._slot = -1
            self._pending.clear()

    # ── for the detector ──────────────────────────────────────────────────────────

    @property
    def slot(self) -> int:
        """Row in the detector's state; -1 when closed."""
        return self._slot

    @property
    def ready(self) -> bool:
        """Whether a whole window waits."""
        return len(self._pending) >= _BYTES

    def take(self) -> bytes:
        """The next window; the caller has seen that there is one."""
        window = bytes(self._pending[:_BYTES])
        del self._pending[:_BYTES]
        self._samples += WINDOW
        return window

    def tell(self, probability: float, samples: int) -> None:
        """Call the listener; a fault of one call's listener must not cost the other calls their window."""
        try:
            self._on_window(probability, samples)
        except Exception:
            _log.exception("voice_activity.listener_failed")

    @property
    def samples(self) -> int:
        """Samples judged or dropped so far."""
        return self._samples


class SileroVoiceActivity:
    """The shared detector. Not thread-safe: `feed`, `steps` and `close` belong to one event loop."""

    window = WINDOW

    def __init__(self, model: Path, *, gated: bool = True) -> None:
        """Load the model; a few tens of milliseconds. Raises `WeightsError` when it cannot be read.

        Without the gate every window is judged.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(
                f"cannot load {model.name}: {error}; run: talkspurt models verify && talkspurt models pull"
            ) from error
        self._rate = np.array(LINE_RATE_HZ, dtype=np.int64)
        self._streams: set[SileroStream] = set()
        self._free: list[int] = []
        self._slots = 0
        self._input: NDArray[np.float32] = np.zeros((0, CONTEXT + WINDOW), dtype=np.float32)
        self._context: NDArray[np.float32] = np.zeros((0, CONTEXT), dtype=np.float32)
        self._state: NDArray[np.float32] = np.zeros((2, 0, STATE), dtype=np.float32)
        self._gate = EnergyGate() if gated else None
        self._grow(_FIRST_SLOTS)

    @classmethod
    def load(cls, store: WeightStore) -> "SileroVoiceActivity":
        """Load the model and judge once, so that the first call is not slower; not on an event loop that has calls."""
        detector = cls(store.path(WEIGHTS, "silero_vad.onnx"))
        stream = detector.open(lambda _probability, _samples: None)
        stream.feed(bytes(_BYTES))
        detector.tick()
        stream.close()
        return detector

    def open(self, on_window: Callable[[float, int], None], /) -> SileroStream:
        """Start a stream for one call, in a free slot."""
        if not self._free:
            self._grow(2 * self._slots)
        slot = self._free.pop()
        self._state[:, slot] = 0
        self._context[slot] = 0
        if self._gate is not None:
            self._gate.reset(slot)
        stream = SileroStream(self, slot, on_window)
        self._streams.add(stream)
        return stream

    def tick(self) -> None:
        """Judge all complete windows at once."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """Judge all complete windows, as many rounds as the longest backlog has windows; a step for each listener."""
        while ready := [stream for stream in self._streams if stream.ready]:
            for begin in range(0, len(ready), MOST_AT_ONCE):
                # Between two steps a stream may have been closed.
                yield from self._judge([each for each in ready[begin : begin + MOST_AT_ONCE] if each.slot >= 0])

    def _judge(self, ready: list[SileroStream]) -> Iterator[None]:
        count = len(ready)
        slots = np.fromiter((stream.slot for stream in ready), dtype=np.intp, count=count)
        windows = np.frombuffer(b"".join([stream.take() for stream in ready]), dtype="<i2").reshape(count, WINDOW)
        samples = [stream.samples for stream in ready]
        batch = self._input[:count]
        batch[:, :CONTEXT] = self._context[slots]
        np.multiply(windows, np.float32(1 / 32768), out=batch[:, CONTEXT:])
        self._context[slots] = batch[:, -CONTEXT:]
        probabilities = [0.0] * count
        rows = np.arange(count) if self._gate is None else self._gate.open(slots, batch[:, CONTEXT:])
        if len(rows):
            for row, probability in zip(rows.tolist(), self._infer(slots[rows], batch[rows]).tolist(), strict=True):
                probabilities[row] = probability
        for stream, probability, covered in zip(ready, probabilities, samples, strict=True):
            if stream.slot >= 0:
                stream.tell(probability, covered)
                yield

    def _infer(self, slots: NDArray[np.intp], batch: NDArray[np.float32]) -> NDArray[np.float32]:
        # `take` gives the rows side by side; plain indexing a view-like order that the runtime has to copy.
        state = np.take(self._state, slots, axis=1)
        output, state = self._session.run(None, {"input": batch, "state": state, "sr": self._rate})
        self._state[:, slots] = state
        probabilities: NDArray[np.float32] = output[:, 0]
        if self._gate is not None:
            self._gate.judged(slots, probabilities)
        return probabilities

    def _release(self, stream: SileroStream, slot: int) -> None:
        self._streams.discard(stream)
        self._free.append(slot)

    def _grow(self, slots: int) -> None:
        more = slots - self._slots
        self._input = np.zeros((slots, CONTEXT + WINDOW), dtype=np.float32)
        self._context = np.concatenate((self._context, np.zeros((more, CONTEXT), dtype=np.float32)))
        self._state = np.concatenate((self._state, np.zeros((2, more, STATE), dtype=np.float32)), axis=1)
        if self._gate is not None:
            self._gate.grow(slots)
        self._free.extend(range(slots - 1, self._slots - 1, -1))
        self._slots = slots
