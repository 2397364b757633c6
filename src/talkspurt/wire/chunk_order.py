"""Puts a stream's numbered audio back in order, and silence where some of it never came.

Not a jitter buffer: it never waits for a clock. In order, a chunk passes through untouched;
a chunk from the future is held until the missing one comes or `WINDOW` later ones have come,
which at 20 ms a chunk costs at most 60 ms, and only when something is wrong.

Invariants:
* chunks come out at most once each, in rising order, until the far end starts its numbers again;
* at most `WINDOW` chunks are held, and at most `MAX_FILL_BYTES` of silence is made for one gap,
  however large the numbers that the far end sends.

Two things reveal loss: a missing chunk number, and a timestamp further on than the audio received
so far explains (a carrier that numbers only what it sends). The second is what makes endpointing
by silence right when the carrier suppresses silence.
"""

from collections import deque
from typing import Final

BYTES_PER_MS: Final = 8
SILENCE: Final = b"\xff"
"""Mu-law zero."""

WINDOW: Final = 3
MAX_FILL_BYTES: Final = 1_000 * BYTES_PER_MS
TOLERANCE_MS: Final = 40
"""A timestamp may be off by less than two chunks before it counts as a gap: some carriers stamp by wall clock."""
RESTART: Final = 250
"""A number this far behind is not late but the first of a new count: better a repeated second than a deaf call."""
_REMEMBERED_LOSSES: Final = 64


class ChunkOrder:
    """The order of one track's audio. `push` each chunk, `flush` at the end of the stream."""

    __slots__ = (
        "_clock_ms",
        "_held",
        "_lost",
        "_next",
        "duplicate",
        "filled_ms",
        "gaps",
        "late",
        "reordered",
        "restarts",
    )

    def __init__(self) -> None:
        self._next: int | None = None
        """The chunk number that is due."""
        self._clock_ms = 0.0
        """The timestamp that is due, from the audio passed on so far."""
        self._held: dict[int, tuple[int, bytes]] = {}
        self._lost: deque[int] = deque(maxlen=_REMEMBERED_LOSSES)
        self.duplicate = 0
        """Chunks dropped because they had come before."""
        self.late = 0
        """Chunks dropped because their place was already filled with silence."""
        self.reordered = 0
        """Chunks that waited for an earlier one."""
        self.gaps = 0
        """Places where audio was missing."""
        self.filled_ms = 0
        """Silence put there."""
        self.restarts = 0
        """Times the far end began to count again."""

    def push(self, chunk: int, timestamp: int, mulaw: bytes) -> tuple[bytes, ...]:
        """Take a chunk; returns what may be played now, in order.

        `timestamp` is in ms of the stream. Chunk 0 means that the carrier does not number: it is played as it comes.
        """
        due = self._next
        if chunk == due and not self._held and abs(timestamp - self._clock_ms) < TOLERANCE_MS:
            self._next = due + 1
            self._clock_ms += len(mulaw) / BYTES_PER_MS
            return (mulaw,)
        if chunk == 0:
            return (mulaw,)
        if due is None or chunk < due - RESTART:
            return self._start(chunk, timestamp, mulaw)
        if chunk < due:
            self._count_stale(chunk)
            return ()
        return self._hold(chunk, due, timestamp, mulaw)

    def flush(self) -> tuple[bytes, ...]:
        """Give out what is still held, with its gaps filled: the stream is over."""
        played: list[bytes] = []
        while self._held:
            self._skip_to(min(self._held), played)
        return tuple(played)

    def _start(self, chunk: int, timestamp: int, mulaw: bytes) -> tuple[bytes, ...]:
        self.restarts += self._next is not None
        self._held.clear()
        self._lost.clear()
        self._next = chunk + 1
        self._clock_ms = timestamp + len(mulaw) / BYTES_PER_MS
        return (mulaw,)

    def _count_stale(self, chunk: int) -> None:
        if chunk in self._lost:
            self._lost.remove(chunk)
            self.late += 1
        else:
            self.duplicate += 1

    def _hold(self, chunk: int, due: int, timestamp: int, mulaw: bytes) -> tuple[bytes, ...]:
        if chunk in self._held:
            self.duplicate += 1
            return ()
        self._held[chunk] = (timestamp, mulaw)
        played: list[bytes] = []
        if chunk == due:
            self._play_run(played)
        else:
            self.reordered += 1
        if len(self._held) >= WINDOW:
            self._skip_to(min(self._held), played)
        return tuple(played)

    def _skip_to(self, chunk: int, played: list[bytes]) -> None:
        """Give up the chunks before `chunk`, which is held, and go on from there."""
        assert self._next is not None
        self._lost.extend(range(max(self._next, chunk - _REMEMBERED_LOSSES), chunk))
        self._next = chunk
        self._fill_until(self._held[chunk][0], played)
        self._play_run(played)

    def _play_run(self, played: list[bytes]) -> None:
        """Pass on the chunk that is due and those held right behind it."""
        assert self._next is not None
        while self._next in self._held:
            timestamp, mulaw = self._held.pop(self._next)
            if abs(timestamp - self._clock_ms) >= TOLERANCE_MS:
                self._fill_until(timestamp, played)
            played.append(mulaw)
            self._clock_ms += len(mulaw) / BYTES_PER_MS
            self._next += 1

    def _fill_until(self, timestamp: int, played: list[bytes]) -> None:
        missing_ms = int(timestamp - self._clock_ms)
        if missing_ms > 0:
            silence = SILENCE * min(missing_ms * BYTES_PER_MS, MAX_FILL_BYTES)
            self.gaps += 1
            self.filled_ms += len(silence) // BYTES_PER_MS
            played.append(silence)
        # A clock that ran backwards, or further than we fill, is believed from here on.
        self._clock_ms = float(timestamp)
