"""How much audio is sent when: a little ahead of real time, in chunks with a mark behind each.

Sending 240 to 400 ms ahead survives a stall of the event loop; sending no more than that
keeps the heard position fine and wastes little on a `clear`. Pure: time is an argument.

Positions are seconds since the playback epoch began. A mark is named `epoch:samples`.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

LOW: Final = 0.24
"""Send when less than this is ahead."""
CHUNK: Final = 0.16
"""Longest piece sent at once; with `LOW` it bounds the lead to 400 ms and spaces the marks."""
SAMPLE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """Audio to send now, and the mark to send behind it."""

    pcm: bytes
    mark: str
    at: float
    """When its first sample is played, in the clock that `due` was given, if the carrier plays without a pause."""
    late: float = 0.0
    """Seconds of silence before it that need not have been: it was there while the audio before it was played."""


class Pacer:
    """The audio of one call on its way out. PCM16 mono at `rate` samples per second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._queue: deque[memoryview] = deque()
        self._appended = 0
        self._sent = 0
        self._played_until = 0.0
        self._epoch = 0
        self._held_back = False
        """Whether audio was kept for later when this was last asked, because enough was ahead."""

    @property
    def position(self) -> float:
        """Where the next appended sample will lie."""
        return self._appended / self._rate

    @property
    def epoch(self) -> int:
        """The playback epoch that is being sent."""
        return self._epoch

    @property
    def sent(self) -> int:
        """Samples of the epoch that were sent: no mark can lie beyond them."""
        return self._sent

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent."""
        return not self._queue

    def until_next(self, now: float) -> float:
        """Seconds until the next appended sample is played."""
        return max(0.0, self._played_until - now) + (self._appended - self._sent) / self._rate

    def append(self, pcm: bytes) -> None:
        """Add audio behind all that was added before."""
        if pcm:
            self._queue.append(memoryview(pcm))
            self._appended += len(pcm) // SAMPLE_BYTES

    def restart(self, epoch: int) -> None:
        """Forget everything and begin `epoch` at position 0. The carrier has been told to do the same."""
        self._queue.clear()
        self._appended = self._sent = 0
        self._played_until = 0.0
        self._epoch = epoch
        self._held_back = False

    def due(self, now: float) -> list[Chunk]:
        """Take what has to be sent at `now`."""
        late = max(0.0, now - self._played_until) if self._held_back else 0.0
        chunks: list[Chunk] = []
        while self._queue and self._played_until - now < LOW:
            pcm = self._take(int(CHUNK * self._rate) * SAMPLE_BYTES)
            samples = len(pcm) // SAMPLE_BYTES
            self._sent += samples
            at = max(now, self._played_until)
            self._played_until = at + samples / self._rate
            chunks.append(Chunk(pcm, f"{self._epoch}:{self._sent}", at, late))
            late = 0.0
        self._held_back = bool(self._queue)
        return chunks

    def _take(self, size: int) -> bytes:
        parts = []
        while size and self._queue:
            head = self._queue[0]
            parts.append(head[:size])
            if len(head) <= size:
                self._queue.popleft()
            else:
                self._queue[0] = head[size:]
            size -= len(parts[-1])
        return b"".join(parts)


def read_mark(name: str) -> tuple[int, int] | None:
    """The epoch and sample position of one of our marks; None for a mark that is not ours."""
    epoch, _, samples = name.partition(":")
    if epoch.isascii() and epoch.isdigit() and samples.isascii() and samples.isdigit() and len(name) < 40:
        return int(epoch), int(samples)
    return None
