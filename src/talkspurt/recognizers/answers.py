"""What a stream of recognition has to tell, until somebody reads it; and how long its vendor is waited for."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from talkspurt.ports import Transcript

_KEPT: Final = 256
"""Transcripts that nobody has read; of more, the oldest are lost."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for a connection, for the answer to a `finalize`, for an orderly end."""

    connect: float = 3.0
    answer: float = 3.0
    close: float = 1.0


class Answers:
    """Transcripts on their way to the reader. A partial that was not read is replaced by the next."""

    def __init__(self) -> None:
        self._waiting: deque[Transcript] = deque(maxlen=_KEPT)
        self._told = asyncio.Event()
        self._closed = False
        self._partial = ""

    def begin(self) -> None:
        """A new utterance: its first guess is news, whatever the last one's were."""
        self._partial = ""

    def tell(self, transcript: Transcript) -> None:
        """Have a final one read."""
        self._waiting.append(transcript)
        self._told.set()

    def guess(self, utterance: int, text: str) -> None:
        """Have it read what seems to be said, unless it is nothing new."""
        if not text or text == self._partial:
            return
        self._partial = text
        if self._waiting and not self._waiting[-1].final:
            self._waiting.pop()
        self.tell(Transcript(utterance, 0, text, final=False))

    def close(self) -> None:
        """There will be no more: whoever reads comes to an end. Idempotent."""
        self._closed = True
        self._told.set()

    async def read(self) -> AsyncGenerator[Transcript]:
        """All of them, as they come."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                return
            self._told.clear()
            await self._told.wait()
