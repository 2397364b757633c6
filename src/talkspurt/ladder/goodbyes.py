"""Opening streams in time, and letting go of those that nobody wants any more, without anybody waiting for it.

Some SDKs take seconds to give up a connection that was never made, or to say goodbye to a vendor that hangs.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from talkspurt.ladder.rung import Rung
from talkspurt.ladder.streams import provider_error
from talkspurt.ports import Recognizer, RecognizerStream

Outcome = TypeVar("Outcome")

CLOSING: Final = 2.0
"""Seconds for a stream that nobody listens to any more to say goodbye to its vendor."""


class Goodbyes:
    """What one call has let go of and what has not ended yet."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open_in_time(self, rung: Rung[Recognizer], *, locale: str, call_id: str) -> RecognizerStream:
        """A stream of `rung`, by a second try if that can help; both within its patience. Raises `ProviderError`."""
        loop = asyncio.get_running_loop()
        late = loop.time() + rung.patience.first
        # Who is asked to see whether it is well again is asked once.
        tries_left = 2 if rung.breaker.closed else 1
        while True:
            tries_left -= 1
            try:
                return await self.open(rung, locale=locale, call_id=call_id, seconds=late - loop.time())
            except Exception as raised:  # whatever a provider raises is its failure
                error = provider_error(rung, raised)
                if not tries_left or not error.retryable or error.retry_after or loop.time() >= late:
                    raise error from None

    async def open(self, rung: Rung[Recognizer], *, locale: str, call_id: str, seconds: float) -> RecognizerStream:
        """A stream of `rung`. Raises what it raises, and `TimeoutError` after `seconds`, however slow it is to stop."""
        opening = self.start(rung.provider.open(locale=locale, call_id=call_id), "ladder opening")
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(self._came_too_late)
            opening.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, Outcome], name: str) -> "asyncio.Task[Outcome]":
        """Do `work`, which opens a stream or lets go of one: only when it has ended nothing is left."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def let_go(self, stream: RecognizerStream) -> None:
        """Close `stream`."""
        self.start(_say_goodbye(stream), "ladder goodbye")

    async def all_said(self) -> None:
        """Return when nothing is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _came_too_late(self, opening: asyncio.Task[RecognizerStream]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.let_go(opening.result())


async def _say_goodbye(stream: RecognizerStream) -> None:
    with suppress(Exception):
        async with asyncio.timeout(CLOSING):
            await stream.aclose()
