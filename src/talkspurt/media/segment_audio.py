"""The audio of the segments spoken last, so that one that was cut off can go on where it stopped.

It holds references to what the synthesizer made, no copies. Bounded: the oldest segments are
forgotten first; whoever asks for one that is gone synthesizes its words anew.
"""

from collections import OrderedDict
from typing import Final

KEPT_SECONDS: Final = 60.0
"""More than an agent says in one turn."""
SAMPLE_BYTES: Final = 2


class SegmentAudio:
    """PCM16 mono at `rate` samples per second, by segment."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pieces: OrderedDict[int, list[bytes]] = OrderedDict()
        self._whole: set[int] = set()
        self._size = 0

    def add(self, segment: int, pcm: bytes) -> None:
        """Keep the next audio of a segment."""
        self._pieces.setdefault(segment, []).append(pcm)
        self._size += len(pcm)
        while self._size > KEPT_SECONDS * self._rate * SAMPLE_BYTES and len(self._pieces) > 1:
            oldest, pieces = self._pieces.popitem(last=False)
            self._whole.discard(oldest)
            self._size -= sum(map(len, pieces))

    def complete(self, segment: int) -> None:
        """All of the segment is here."""
        if segment in self._pieces:
            self._whole.add(segment)

    def is_whole(self, segment: int) -> bool:
        """Whether all of the segment is here."""
        return segment in self._whole

    def rest(self, segment: int, offset: float) -> bytes:
        """What is here of the segment from `offset` seconds on, whole or not; b"" for nothing, and when it is gone."""
        return b"".join(self._pieces.get(segment, ()))[max(0, round(offset * self._rate)) * SAMPLE_BYTES :]
