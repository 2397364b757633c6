"""SQLite in few trips to its thread, and what must not change by that."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text

from talkspurt.errors import StoreError
from talkspurt.store.database import ConflictError, Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}", timeout=1.0)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT)"))
    yield database
    await database.aclose()


@pytest.fixture
def trips(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done in the connection's thread from now on."""
    done: list[str] = []
    execute = aiosqlite.Connection._execute

    async def counted(connection: aiosqlite.Connection, function: Any, *arguments: Any, **options: Any) -> Any:
        done.append(function.__name__)
        return await execute(connection, function, *arguments, **options)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    return done


async def test_a_write_is_three_trips(database: Database, trips: list[str]) -> None:
    async with database.write() as connection:
        row = (await connection.execute(text("INSERT INTO t VALUES (1, 'a') RETURNING s"))).one()
    assert row.s == "a"
    assert trips == ["_carry_out", "_carry_out", "commit"]


async def test_a_read_is_two_trips(database: Database, trips: list[str]) -> None:
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
    assert trips == ["_carry_out", "rollback"]


async def test_nothing_is_asked_where_nothing_is_read(database: Database, trips: list[str]) -> None:
    async with database.read():
        pass
    assert trips == []


async def test_many_rows_and_how_many_were_changed(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (:n, 'a')"), [{"n": n} for n in range(100)])
        assert (await connection.execute(text("UPDATE t SET s = 'b' WHERE n < 7"))).rowcount == 7
        gone = await connection.execute(text("DELETE FROM t WHERE n < 3 RETURNING n"))
        assert [row.n for row in gone] == [0, 1, 2]
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT n, s FROM t ORDER BY n"))).all()
    assert [(row.n, row.s) for row in rows] == [(n, "b" if n < 7 else "a") for n in range(3, 100)]


async def test_a_transaction_sees_one_state(database: Database) -> None:
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
        async with database.write() as other:
            await other.execute(text("INSERT INTO t VALUES (1, 'a')"))
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 1


async def test_the_lock_is_held_from_the_beginning(database: Database, tmp_path: Path) -> None:
    # Whoever is inside looks at the clock before the first statement, and relies on coming behind all before.
    other = sqlite3.connect(tmp_path / "calls.db", isolation_level=None, timeout=0)
    async with database.write():
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        async with database.write():
            pass
    other.close()


async def test_what_fails_leaves_nothing_behind(database: Database) -> None:
    async def twice() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1, 'a')"))
            await connection.execute(text("INSERT INTO t VALUES (1, 'b')"))

    with pytest.raises(ConflictError):
        await twice()
    with pytest.raises(StoreError, match="no such table"):
        async with database.read() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))
    async with database.write() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0


async def test_whoever_is_cancelled_in_the_middle_of_a_statement_is_rolled_back(database: Database) -> None:
    slow = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400000) SELECT max(n) FROM c"

    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1, 'a')"))
            await connection.execute(text(slow))

    task = asyncio.create_task(write())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
