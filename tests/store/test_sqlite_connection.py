"""SQLite in few trips to its thread, and what must not change by that."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text

from talkspurt import sqlite
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


class Held:
    """Work in the connection's thread that stops behind whatever is named, before it answers, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.name = name
        self.reached, self.go_on = threading.Event(), threading.Event()
        carry_out = sqlite._carry_out

        def held(connection: sqlite3.Connection, begins: bool, sql: str, parameters: Any, many: bool) -> Any:
            answer = carry_out(connection, begins, sql, parameters, many)
            if sql.startswith(self.name):
                self.reached.set()
                self.go_on.wait(10)
            return answer

        monkeypatch.setattr(sqlite, "_carry_out", held)


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT"])
async def test_whoever_is_cancelled_in_the_middle_of_a_statement_is_rolled_back(
    database: Database, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    held = Held(monkeypatch, statement)

    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1, 'a')"))

    task = asyncio.create_task(write())
    assert await asyncio.to_thread(held.reached.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    held.name = "nothing more"
    held.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    # SQLAlchemy closes such a connection, behind what it was doing.
    async with database.write() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0


async def test_a_commit_that_fails_leaves_no_lock(database: Database, tmp_path: Path) -> None:
    async with database.write() as connection:
        late = "REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED"
        await connection.execute(text(f"CREATE TABLE child (n INTEGER {late})"))

    async def orphan() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO child VALUES (7)"))

    with pytest.raises(ConflictError):
        await orphan()
    other = sqlite3.connect(tmp_path / "calls.db", isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM child"))).scalar_one() == 0


async def test_a_file_that_is_full_takes_writes_again_once_there_is_room(database: Database) -> None:
    insert = text("INSERT INTO t VALUES (:n, :s)")

    async def fill() -> None:
        async with database.write() as connection:
            await connection.execute(text("PRAGMA max_page_count = 1"))
            await connection.execute(insert, {"n": 1, "s": "x" * 1_000_000})

    with pytest.raises(StoreError, match="full"):
        await fill()
    async with database.write() as connection:
        await connection.execute(text("PRAGMA max_page_count = 100000"))
        await connection.execute(insert, {"n": 2, "s": "y"})
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 1


async def test_a_savepoint_lies_within_a_transaction(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1, 'a')"))
    async with database.read() as connection:
        async with connection.begin_nested():
            assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 1
        async with database.write() as other:
            await other.execute(text("INSERT INTO t VALUES (2, 'b')"))
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 1
