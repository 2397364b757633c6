"""What every database engine needs: SQLite files that survive, and closing without leaving behind what is in use."""

import asyncio
import sqlite3
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

import aiosqlite
from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from talkspurt import sqlite

PATIENCE: Final = 2.0
"""Seconds that whoever still uses a connection has to give it back."""
_LOOK: Final = 0.01
"""Seconds between two looks at something that cannot be waited for."""
_WRITES: Final = "talkspurt_writes"


def sqlite_engine(url: str | URL, *, timeout: float, **options: Any) -> AsyncEngine:
    """An engine whose transactions are durable, take few trips to a thread (`talkspurt.sqlite`), and wait `timeout`
    seconds for the lock of another process.

    Those of `writing(engine)` take the lock when they begin (`BEGIN IMMEDIATE`); the others only read. `options` are
    those of `create_async_engine` but for `connect_args`, and so is what it raises.
    """
    engine = create_async_engine(url, connect_args={"async_creator_fn": sqlite.Connection}, **options)
    event.listen(engine.sync_engine, "connect", partial(_connect_sqlite, timeout))
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for transactions that write."""
    return engine.execution_options(**{_WRITES: True})


def _connect_sqlite(patience: float, connection: Any, _record: object) -> None:
    # The driver's own transaction control would begin too late and without IMMEDIATE.
    connection.isolation_level = None
    connection.run_async(partial(_set_pragmas, patience))


async def _set_pragmas(patience: float, connection: aiosqlite.Connection) -> None:
    # FULL: a commit survives the loss of power, which an effect on the real world must.
    for pragma in (f"busy_timeout={int(patience * 1000)}", "synchronous=FULL", "foreign_keys=ON"):
        await connection.execute_fetchall(f"PRAGMA {pragma}")
    # A file that another process is just writing to for the first time cannot become a WAL one, and SQLite says
    # so at once, whatever the busy timeout: of workers that start together on a new file one would fail.
    deadline = time.monotonic() + patience
    while True:
        try:
            # With its row: an unfinished statement keeps a read open, and once somebody else has written the next
            # BEGIN IMMEDIATE fails as locked.
            await connection.execute_fetchall("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            await asyncio.sleep(_LOOK)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


async def close_engine(engine: AsyncEngine) -> None:
    """Close all connections, once those in use are given back or after `PATIENCE` seconds.

    A pool only closes what lies in it: a connection that a cancelled task gives back a moment later would stay open
    for as long as the process lives, with its thread and its locks.
    """
    pool = engine.pool
    if isinstance(pool, QueuePool):
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while pool.checkedout() > 0:  # noqa: ASYNC110 - pools have nothing to wait for
                    await asyncio.sleep(_LOOK)
    await engine.dispose()
