"""An event loop whose clock jumps: time passes only when nothing can run, and then at once.

With it a test of a session takes milliseconds instead of minutes, and every timer fires in
order. The clock never advances while a thread, a socket or a database is at work: such work must be
awaited through `loop.run_in_executor`, whose pending calls hold the clock, or within `loop.holding()`.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from heapq import heappush
from itertools import count
from typing import Any, Final, TypeVar, TypeVarTuple

TRIFLE: Final = 1e-9
EARLY: Final = 1e-12
"""Seconds, both beyond what a sum of times may be wrong by."""

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting until the next timer, tells the loop that the time is up."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0 and len(self.get_map()) == 1:
            # Something can run, and there is nothing to ask the system for but the loop's own pipe.
            return []
        if self.loop is None or self.loop.busy:
            # Whatever is at work wakes the loop when it is done.
            return super().select(0.05 if timeout else timeout)
        if timeout is None:
            # Nothing is scheduled: only a thread or a signal can wake the loop.
            return super().select(0.05)
        # Asking the system takes longest of all.
        ready = super().select(0) if len(self.get_map()) > 1 else []
        if timeout > 0 and not ready:
            self.loop.advance(timeout)
        return ready


class _Timer(asyncio.TimerHandle):
    """Of several that are due at one moment, that which was set first comes first.

    asyncio leaves their order to its heap, and so to whatever else was set meanwhile: the same call, beside work in
    threads, would not go the same way twice.
    """

    order: tuple[float, int]

    def __lt__(self, other: "_Timer") -> bool:  # type: ignore[override]
        return self.order < other.order


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector event loop on virtual time, beginning at 0."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        self._virtual = 0.0
        self._at_work = 0
        self._idle: asyncio.Future[None] | None = None
        self._numbers = count()
        self._scheduled: list[asyncio.TimerHandle]
        super().__init__(selector)
        selector.loop = self
        # asyncio runs timers early by as much as its clock cannot tell; here that would be for ever, as no time passes.
        self._clock_resolution = EARLY

    @property
    def busy(self) -> bool:
        """Whether something that takes real time is waited for."""
        return self._at_work > 0

    async def until_idle(self) -> None:
        """Wait until nothing takes real time any more. No time passes."""
        while self.busy:
            if self._idle is None:
                self._idle = self.create_future()
            # Of several who wait none cancels the others.
            await asyncio.shield(self._idle)

    def time(self) -> float:
        """Virtual seconds since the loop began."""
        return self._virtual

    def advance(self, seconds: float) -> None:
        """Let time pass, by a trifle more than `seconds`: whoever adds and subtracts must not find a timer early."""
        self._virtual += seconds + TRIFLE

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio does it, with timers that know their order."""
        timer = _Timer(when, callback, args, self, context)
        timer.order = (when, next(self._numbers))
        heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let the clock stand still while the block waits for something that takes real time."""
        self._at_work += 1
        try:
            yield
        finally:
            self._ended()

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """Run in a thread; the clock stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self._at_work += 1

        def done(_future: asyncio.Future[_T]) -> None:
            self._ended()

        future.add_done_callback(done)
        return future

    def _ended(self) -> None:
        self._at_work -= 1
        if not self._at_work and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.set_result(None)


def run_virtual(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
