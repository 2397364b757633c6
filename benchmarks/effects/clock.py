"""Virtual time for calls whose databases are real: the clock stands still while one of them is at work."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import wraps
from random import Random
from typing import Any, Final, TypeVar

import sqlalchemy.ext.asyncio.engine
import sqlalchemy.ext.asyncio.session
from benchmarks.effects.sqlite_in_loop import sqlite_in_loop

from talkspurt.testing.virtual_time import VirtualTimeLoop

_T = TypeVar("_T")
BEGIN: Final = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
"""The wall clock at virtual second 0: a Monday, in the opening hours of everybody."""


def now() -> float:
    """Virtual seconds of the running loop."""
    return asyncio.get_running_loop().time()


def wall_clock() -> datetime:
    """The time that records carry."""
    return BEGIN + timedelta(seconds=now())


def run_call(main: Callable[[], Coroutine[Any, Any, _T]], *, begins_at: float = 0.0, alone: Random | None = None) -> _T:
    """Run a call to its end, from the virtual second `begins_at` on.

    `alone` is a source of chance, for a call whose databases nobody else uses; see `sqlite_in_loop`.
    """
    _hold_for_databases()

    def loop_at_begin() -> VirtualTimeLoop:
        loop = VirtualTimeLoop()
        loop.advance(begins_at)
        return loop

    with sqlite_in_loop(alone) if alone else nullcontext(), asyncio.Runner(loop_factory=loop_at_begin) as runner:
        return runner.run(main())


def _hold_for_databases() -> None:
    """Make every wait of SQLAlchemy hold the clock: a driver's thread or socket is nothing that the loop sees."""
    for module in (sqlalchemy.ext.asyncio.engine, sqlalchemy.ext.asyncio.session):
        for name in ("greenlet_spawn", "_ensure_sync_result"):
            waiting: Any = getattr(module, name)
            if not hasattr(waiting, "holds"):
                setattr(module, name, _holding(waiting))


def _holding(waiting: Any) -> Any:
    @wraps(waiting)
    async def held(*arguments: Any, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualTimeLoop):
            return await waiting(*arguments, **options)
        with loop.holding():
            return await waiting(*arguments, **options)

    held.holds = True  # type: ignore[attr-defined]
    return held
