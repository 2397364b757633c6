"""What is done again a little later, because the database or the carrier would not take it now.

Not a queue that outlives its process: what waits at its end is lost, as is what is refused to the last. So it is for
news and orders that something else finds out about in the end, only much later. Whoever gives one in sees to it that
it may be done twice, and late.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import structlog

from talkspurt.errors import StoreError, TransportError

PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each try: a minute in all, as long as a line is held for a database."""
MOST: Final = 1000
"""Errands that may wait; then further ones are refused, for the older ones are about callers who have waited longer."""
TIMEOUT: Final = 10.0
"""Seconds for one try."""

Errand = Callable[[], Awaitable[object]]
"""Done when it returns; raises `StoreError`, `TransportError` or `TimeoutError` to be done once more."""

_log = structlog.get_logger(__name__)


class Errands:
    """The errands of this process. An async context; its end drops those that wait."""

    def __init__(self, pauses: tuple[float, ...] = PAUSES) -> None:
        self._pauses = pauses
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what waits."""
        if self._running:
            _log.warning("errands_dropped", number=len(self._running))
        for task in tuple(self._running):
            task.cancel()
        # Without the error of the block: the group would wrap it, and the operator is to see it as it is.
        await self._group.__aexit__(None, None, None)

    @property
    def waiting(self) -> int:
        """Errands that are not done."""
        return len(self._running)

    def again(self, what: str, errand: Errand) -> None:
        """Do `errand` after a pause, and again until it is done or was refused too often. `what` is for the log."""
        if len(self._running) >= MOST:
            _log.error("errand_refused", errand=what)
            return
        task = self._group.create_task(self._run(what, errand))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, what: str, errand: Errand) -> None:
        for pause in self._pauses:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(TIMEOUT):
                    await errand()
            except (StoreError, TransportError, TimeoutError) as error:
                _log.warning("errand_not_done_yet", errand=what, error=str(error))
            except Exception:
                _log.exception("errand_failed", errand=what)
                return
            else:
                return
        _log.error("errand_given_up", errand=what)
