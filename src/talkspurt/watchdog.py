"""Bounds one wait after the other with one timer, for streams whose pieces come in hundreds a second.

It means what `asyncio.timeout_at` means, which makes, arms and cancels a timer for every wait, whether or not the piece
is there. Here a deadline that moves on only moves a number: the timer fires at an old one, sees that it is early, and
is armed again for what is left (the way of aioquic).

Invariants: nobody is cancelled before the time, or while nobody waits; a cancellation from elsewhere is never taken
for a `TimeoutError`; after `close` no timer is left.
"""

import asyncio
import math
from types import TracebackType
from typing import Final, Self

_EARLY: Final = 0.001
"""Seconds before the time at which a timer may fire: uvloop counts in milliseconds."""


class Watchdog:
    """For the waits of one stream, one at a time: `with watchdog.until(at): piece = await …`."""

    def __init__(self) -> None:
        """To be made within the loop, and to be closed."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fires = math.inf
        """When the timer does; infinity without one."""
        self._at = math.inf
        self._task: asyncio.Task[object] | None = None
        """Who waits."""
        self._cancelling = 0
        self._is_over = False

    def until(self, at: float) -> Self:
        """Bound the block that follows by the loop's time `at`: beyond it, it raises `TimeoutError`.

        What needs no waiting is never late.
        """
        self._at = at
        return self

    def __enter__(self) -> Self:
        """Begin to wait."""
        task = asyncio.current_task(self._loop)
        assert task is not None
        assert self._task is None, "it watches one wait at a time"
        self._task, self._cancelling = task, task.cancelling()
        if self._at < self._fires:
            self._arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End to wait. Raises `TimeoutError` in place of the cancellation that came from here."""
        task, self._task = self._task, None
        if self._is_over:
            self._is_over = False
            assert task is not None
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def close(self) -> None:
        """Leave no timer behind. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._fires = None, math.inf

    def _arm(self) -> None:
        self.close()
        self._fires = self._at
        self._timer = self._loop.call_at(self._at, self._look)

    def _look(self) -> None:
        self._timer, self._fires = None, math.inf
        if self._task is None:
            # The next wait arms it.
            return
        if self._at - self._loop.time() > _EARLY:
            self._arm()
        else:
            self._is_over = True
            self._task.cancel()
