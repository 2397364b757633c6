"""SQLite without threads, for calls on virtual time that have their databases to themselves.

aiosqlite gives every step of a statement to the connection's thread and waits to be woken by it. Here the step is done
in the loop's thread, a few rounds of the loop later, drawn by chance: whatever else is ready runs before it and behind
it, and whoever is cancelled meanwhile never hears of what is done all the same, as with a thread.

Statements are compiled once for all calls of a process. SQLAlchemy keeps them with each engine, and every call has
engines of its own, as its workers are processes of their own in truth.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, Final
from unittest.mock import patch

import aiosqlite.core
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

PATIENCE: Final = 4.0
"""Real seconds that a locked database is tried again; no virtual time passes."""

INSTEAD: Final = {
    # To wait within a statement would be to wait for ever: who has the lock is in this thread, too.
    "PRAGMA busy_timeout=": "PRAGMA busy_timeout=0",
    # Nobody looks at these files after a loss of power, and to wait for the disk takes long.
    "PRAGMA synchronous=": "PRAGMA synchronous=OFF",
}
"""What is set behind what a connection sets."""

_Job = tuple[asyncio.Future[Any] | None, Callable[[], Any]]


@contextmanager
def sqlite_in_loop(chance: Random) -> Iterator[None]:
    """Let connections that are opened within the block do their work in the event loop's thread."""
    with (
        patch.object(aiosqlite.core, "SimpleQueue", partial(_Jobs, chance)),
        patch.object(aiosqlite.core, "Thread", _NoThread),
        compiled_once(),
    ):
        yield


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let engines for SQLite that are made within the block use what those before them have compiled."""
    with patch.object(AsyncEngine, "__init__", _made_like_the_first):
        yield


_make: Final = AsyncEngine.__init__
_first: dict[str, Engine] = {}
"""By dialect, the engine that was made first."""


def _made_like_the_first(made: AsyncEngine, engine: Engine) -> None:
    """Give an engine the statements that the first one has compiled; they belong to a dialect, so it gets that too."""
    if engine.dialect.name == "sqlite":
        first = _first.setdefault(engine.dialect.name, engine)
        engine.dialect = engine.pool._dialect = first.dialect
        engine._compiled_cache = first._compiled_cache
    _make(made, engine)


class _NoThread:
    """What a connection starts in place of its thread."""

    daemon = True

    def __init__(self, **_options: Any) -> None:
        """Nothing has to run."""

    def start(self) -> None:
        """Nothing has to run."""


class _Jobs:
    """What a connection gives its work to: done in order, each by chance at once or up to two rounds of the loop later.

    So other tasks run between the wish for a step and the step, and between the step and its result.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._jobs: deque[_Job] = deque()

    def put_nowait(self, job: _Job) -> None:
        """Have it done behind all that was put before."""
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._begin()

    def _begin(self) -> None:
        future, _work = self._jobs[0]
        if future is None:  # a connection that was left behind, whose loop may be closed
            self._do()
        else:
            self._after(self._chance.randrange(3), future.get_loop())

    def _after(self, rounds: int, loop: asyncio.AbstractEventLoop) -> None:
        if rounds:
            loop.call_soon(self._after, rounds - 1, loop)
        else:
            self._do()

    def _do(self, since: float | None = None) -> None:
        future, work = self._jobs[0]
        tell: Callable[..., None] = aiosqlite.core.set_result
        outcome: Any
        try:
            outcome = work()
            _set_instead(work)
        except BaseException as error:
            now = time.monotonic()
            since = now if since is None else since
            if future is not None and _is_busy(error) and now - since < PATIENCE:
                future.get_loop().call_soon(self._do, since)
                return
            tell, outcome = aiosqlite.core.set_exception, error
        if future is not None:
            future.get_loop().call_soon(tell, future, outcome)
        self._jobs.popleft()
        if self._jobs:
            self._begin()


def _set_instead(work: Callable[[], Any]) -> None:
    """Behind a setting of a connection's, make that of `INSTEAD`."""
    if isinstance(work, partial) and work.args:
        for setting, other in INSTEAD.items():
            if str(work.args[0]).startswith(setting):
                work.func(other, *work.args[1:])


def _is_busy(error: BaseException) -> bool:
    """Whether somebody else has the lock, and may give it back."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY
