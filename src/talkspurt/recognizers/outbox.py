"""Audio that waits for a vendor to take it, with what has to be said between two pieces of it."""

import asyncio
from collections import deque
from typing import Final, Generic, TypeVar

from talkspurt.ports import LINE_RATE_HZ

BYTES_PER_S: Final = 2 * LINE_RATE_HZ
BATCH_S: Final = 0.06
"""Seconds of audio worth a message: three frames cost a third of the messages and at most 40 ms."""
_LIMIT_BYTES: Final = 20 * BYTES_PER_S
"""More than the 15 s that a ladder replays to the successor of a recognizer that died."""

Mark = TypeVar("Mark")


class Outbox(Generic[Mark]):
    """A bounded queue of PCM16 and marks, in order. What the vendor does not take is dropped from its beginning.

    A mark is never dropped, and never merged with the audio around it.
    """

    def __init__(self) -> None:
        self._items: deque[bytes | tuple[Mark]] = deque()
        self._worth_sending = asyncio.Event()
        self.batch = BATCH_S
        """Seconds of audio that are worth a message."""
        self.waiting_bytes = 0
        """Audio that was put and not taken."""
        self.dropped_bytes = 0
        """Audio that the vendor did not take in time."""

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, pcm: bytes) -> None:
        """Queue audio; whoever waits is woken once there is enough for a message."""
        self._items.append(pcm)
        self.waiting_bytes += len(pcm)
        while self.waiting_bytes > _LIMIT_BYTES:
            self._drop_oldest()
        if self.waiting_bytes >= self.batch * BYTES_PER_S:
            self._worth_sending.set()

    def mark(self, mark: Mark) -> None:
        """Queue `mark` behind all audio so far, and have it sent at once."""
        self._items.append((mark,))
        self._worth_sending.set()

    def wake(self) -> None:
        """Let whoever waits look."""
        self._worth_sending.set()

    async def wait(self) -> None:
        """Wait for something worth sending, or for `wake`."""
        try:
            await self._worth_sending.wait()
        finally:
            self._worth_sending.clear()

    def take(self) -> bytes | tuple[Mark]:
        """The audio at the head, up to a mark, or the mark. Raises `IndexError` when there is nothing."""
        first = self._items.popleft()
        if isinstance(first, tuple):
            return first
        pieces = [first]
        while self._items and not isinstance(piece := self._items[0], tuple):
            pieces.append(piece)
            self._items.popleft()
        audio = b"".join(pieces)
        self.waiting_bytes -= len(audio)
        return audio

    def forget_marks(self) -> None:
        """Keep the audio only."""
        self._items = deque(item for item in self._items if not isinstance(item, tuple))

    def clear(self) -> None:
        """Keep nothing."""
        self._items.clear()
        self.waiting_bytes = 0

    def _drop_oldest(self) -> None:
        place = next(place for place, item in enumerate(self._items) if not isinstance(item, tuple))
        dropped = len(self._items[place])
        del self._items[place]
        self.waiting_bytes -= dropped
        self.dropped_bytes += dropped
