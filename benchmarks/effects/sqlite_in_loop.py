"""SQLite without threads, for calls on virtual time that have their databases to themselves.

aiosqlite gives every step of a statement to the connection's thread and waits to be woken by it. Here the step is done
at once, and its result comes with the loop's next round: whatever else is ready runs in between, and whoever is
cancelled meanwhile never hears of what was done, as with a thread. No thread decides what comes first.

Statements are compiled once for all calls of a process. SQLAlchemy keeps them with each engine, and every call has
engines of its own, as its workers are processes of their own in truth.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeGuard
from unittest.mock import patch

import aiosqlite.core
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

PATIENCE: Final = 4.0
"""Real seconds that a locked database is tried again; no virtual time passes."""

_Job = tuple[asyncio.Future[Any] | None, Callable[[], Any]]


@contextmanager
def sqlite_in_loop() -> Iterator[None]:
    """Let connections that are opened within the block do their work in the event loop's thread."""
    with (
        patch.object(aiosqlite.core, "SimpleQueue", _Jobs),
        patch.object(aiosqlite.core, "Thread", _NoThread),
        patch.object(AsyncEngine, "__init__", _made_like_the_first),
    ):
        yield


_make: Final = AsyncEngine.__init__
_first: list[Engine] = []


def _made_like_the_first(made: AsyncEngine, engine: Engine) -> None:
    """Give an engine the statements that the first one has compiled; they belong to a dialect, so it gets that too."""
    if isinstance(engine, Engine):  # not one with options, which is made of another
        _first.append(engine)
        del _first[1:]
        engine.dialect = engine.pool._dialect = _first[0].dialect
        engine._compiled_cache = _first[0]._compiled_cache
    _make(made, engine)


class _NoThread:
    """What a connection starts in place of its thread."""

    daemon = True

    def __init__(self, **_options: Any) -> None:
        """Nothing has to run."""

    def start(self) -> None:
        """Nothing has to run."""


class _Jobs:
    """What a connection gives its work to: done before this returns, unless another connection has the lock."""

    def put_nowait(self, job: _Job) -> None:
        """Do it."""
        self._do(*job, since=None)

    def _do(self, future: asyncio.Future[Any] | None, work: Callable[[], Any], *, since: float | None) -> None:
        try:
            result = work()
            if _sets_patience(work):
                # To wait in here would be to wait for ever: who has the lock is in this thread, too.
                work.func("PRAGMA busy_timeout=0")
        except BaseException as error:
            now = time.monotonic()
            since = now if since is None else since
            if future is not None and _is_busy(error) and now - since < PATIENCE:
                future.get_loop().call_soon(partial(self._do, future, work, since=since))
            elif future is not None:
                future.get_loop().call_soon(aiosqlite.core.set_exception, future, error)
        else:
            if future is not None:
                future.get_loop().call_soon(aiosqlite.core.set_result, future, result)


def _sets_patience(work: Callable[[], Any]) -> TypeGuard[partial[Any]]:
    return isinstance(work, partial) and str(next(iter(work.args), "")).startswith("PRAGMA busy_timeout=")


def _is_busy(error: BaseException) -> bool:
    """Whether somebody else has the lock, and may give it back."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY
