"""Smart Turn on this machine: does the voice sound as if it had finished?

The model hears the last eight seconds of a caller up to the pause. It is no judge of a turn by itself. Over a
telephone line it found 64 % of the ends in human recordings at 0.9 but took a fifth of the pauses after a complete
clause for an end, and with synthetic voices the two score alike (`benchmarks/turn_detection.py`): a score may
shorten a wait and never end a turn.

Invariants: nothing here blocks the event loop; at most `WAITING` requests are in hand, the next is
refused at once; a request whose caller is gone before its turn never runs; the padding costs nothing,
since all its frames are alike and one is computed for them.
Source: Smart Turn v3.2 (Daily, BSD-2-Clause), `smart-turn-v3.2-cpu.onnx`, int8; its input is what
Whisper's feature extractor makes of eight seconds with `do_normalize`, the silence in front.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from talkspurt.config import Config
from talkspurt.errors import ProviderError, WeightsError
from talkspurt.ports import LINE_RATE_HZ, TurnDetector
from talkspurt.speech.inference_pool import InferencePool
from talkspurt.speech.weights import WeightStore

WEIGHTS: Final = "smart-turn-v3.2"
MODEL: Final = "smart-turn-v3.2-cpu.onnx"

WAITING: Final = 4
"""Requests in hand, the running one included. At 45 ms each the last is answered after a fifth of a
second; a later score comes when the silence it should shorten is over."""

SECONDS: Final = 8
"""What the model hears. Earlier audio is not looked at, shorter audio is padded in front."""


def create_turn_detector(config: Config) -> TurnDetector | None:
    """The detector that `speech.turn_detector` names; None for "none"."""
    return SmartTurn.from_config(config) if config.speech.turn_detector == "smart-turn" else None


class SmartTurn:
    """The TurnDetector port on the local model, for all calls of a process. Belongs to one event loop."""

    def __init__(self, store: WeightStore, *, workers: int = 2, judge: "Judge | None" = None) -> None:
        """Load nothing yet: `warm_up` or the first request does. A `judge` is not loaded again."""
        self._store = store
        self._pool = InferencePool.shared(workers)
        self._loading = asyncio.Lock()
        self._judge = judge
        self._in_hand = 0
        self._closed = False

    @classmethod
    def from_config(cls, config: Config) -> "SmartTurn":
        """The detector on the configuration's model store."""
        # As many as recognizer and synthesizer have, so that all three wait in one queue.
        workers = max(1, (os.cpu_count() or 1) // config.speech.threads)
        return cls(WeightStore.from_config(config), workers=workers)

    async def warm_up(self) -> None:
        """Load the model and judge once. Raises `WeightsError` that says what to do."""
        judge = await self._load()
        await self._pool.run(lambda: judge.finished(bytes(2 * LINE_RATE_HZ)), due=time.monotonic())

    async def finished(self, pcm: bytes, /) -> float:
        """The probability that the caller has finished.

        It is 0 without audio, but near 1 for audio without voice, which the model does not expect: ask it only
        after speech. An odd last byte is left out. Raises `ProviderError`, retryable
        when too many requests are in hand.
        """
        if self._closed:
            raise _failure("is closed")
        if self._in_hand >= WAITING:
            raise _failure("overloaded", retryable=True)
        self._in_hand += 1
        try:
            judge = await self._load()
            return await self._pool.run(lambda: judge.finished(pcm), due=time.monotonic())
        except asyncio.CancelledError:
            # Closing the pool cancels what waits in it, which is not the same as the caller being cancelled.
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise _failure("was closed meanwhile") from None
            raise
        except Exception as error:
            raise _failure(str(error) or type(error).__name__) from error
        finally:
            self._in_hand -= 1

    async def aclose(self) -> None:
        """End the thread and let go of the model; what waits is answered with an error. Idempotent."""
        self._closed = True
        await self._pool.aclose()
        self._judge = None

    async def _load(self) -> "Judge":
        async with self._loading:
            if self._judge is None:
                self._judge = await asyncio.to_thread(lambda: Judge(self._store.path(WEIGHTS, MODEL)))
            return self._judge


def _failure(message: str, *, retryable: bool = False) -> ProviderError:
    return ProviderError("turn_detector", "smart-turn", message, retryable=retryable)


# ── inference: blocking, on the pool's thread ─────────────────────────────────────

MODEL_RATE_HZ: Final = 16_000
_WINDOW: Final = 400
_HOP: Final = 160
_MELS: Final = 80
_SAMPLES: Final = SECONDS * MODEL_RATE_HZ
_FRAMES: Final = _SAMPLES // _HOP
_BLOCK: Final = 16
"""Frames transformed together. All 800 at once take 6 ms instead of 2, since arrays so large come fresh from the
system; and OpenBLAS would split the product over its threads, which on a busy machine wait for each other (p95
124 ms instead of 45). It does so above 2^18 multiplications: 80 x 201 x 16 is just below."""


class Judge:
    """The loaded model."""

    def __init__(self, model: Path) -> None:
        """Load it: a tenth of a second. Raises `WeightsError` when it cannot be read."""
        import onnxruntime
        from faster_whisper.feature_extractor import FeatureExtractor

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(f"cannot load {model.name}: {error}; run: talkspurt models pull {WEIGHTS}") from error
        self._mel: NDArray[np.float32] = FeatureExtractor(feature_size=_MELS).mel_filters
        self._hann: NDArray[np.float32] = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)

    def finished(self, pcm: bytes) -> float:
        """The probability that the caller has finished, from PCM16 at the line's rate."""
        samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // 2)[-SECONDS * LINE_RATE_HZ :]
        if not len(samples):
            return 0.0
        return self.score(soxr.resample(np.divide(samples, 32768, dtype=np.float32), LINE_RATE_HZ, MODEL_RATE_HZ))

    def score(self, audio: NDArray[np.float32]) -> float:
        """The same of up to eight seconds at 16 kHz (float32 in -1..1, mono)."""
        (answer,) = self._session.run(None, {"input_features": self.features(audio)[np.newaxis]})
        return float(np.clip(answer.item(), 0.0, 1.0))

    def features(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the model takes, (80, 800), of such audio."""
        padding = _SAMPLES - len(audio)
        # Mean and variance are those of the eight seconds, padding included: it becomes the constant `-mean`.
        mean = audio.sum(dtype=np.float64) / _SAMPLES
        variance = np.square(audio, dtype=np.float64).sum() / _SAMPLES - mean**2
        scale = 1 / np.sqrt(variance + 1e-7)
        # Frame k covers 200 samples on both sides of sample 160 k. The first frames that lie in the padding are
        # all alike, so the last of them stands for all; a frame that sees the audio's beginning is computed.
        alike = max(0, (padding - _WINDOW // 2) // _HOP)
        begin = alike * _HOP
        signal = np.zeros(_SAMPLES - begin, dtype=np.float32)
        signal[padding - begin :] = audio
        signal -= np.float32(mean)
        signal *= np.float32(scale)
        around = np.pad(signal, _WINDOW // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(around, _WINDOW)[::_HOP][:-1]
        features = np.empty((_MELS, _FRAMES), dtype=np.float32)
        for first in range(0, len(frames), _BLOCK):
            spectrum = np.fft.rfft(frames[first : first + _BLOCK] * self._hann, axis=-1)
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            features[:, alike + first :][:, : len(power)] = self._mel @ power.T
        features[:, :alike] = features[:, alike : alike + 1]
        np.log10(np.maximum(features, np.float32(1e-10), out=features), out=features)
        np.maximum(features, features.max() - 8, out=features)
        features += 4
        features /= 4
        return features
