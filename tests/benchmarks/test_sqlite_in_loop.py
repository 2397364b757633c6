"""Databases of virtual calls: without threads, and otherwise as with them."""

import asyncio
import threading
from pathlib import Path
from random import Random

import pytest
from benchmarks.effects import clock, sqlite_in_loop
from benchmarks.effects.trial import sqlite_url
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from talkspurt import sqlite
from talkspurt.engines import sqlite_engine, writing


def opened(file: Path) -> AsyncEngine:
    return writing(sqlite_engine(sqlite_url(file), timeout=2.0))


async def note(engine: AsyncEngine, word: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO notes VALUES (:word)"), {"word": word})


async def notes(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.execute(text("SELECT word FROM notes ORDER BY rowid"))).scalars())


async def two_engines(folder: Path) -> tuple[AsyncEngine, AsyncEngine]:
    one, other = opened(folder / "notes.db"), opened(folder / "notes.db")
    async with one.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (word TEXT)"))
    return one, other


def test_no_thread_is_started_and_no_time_passes(tmp_path: Path) -> None:
    async def hold() -> tuple[int, float]:
        one, other = await two_engines(tmp_path)
        await note(one, "hello")
        assert await notes(other) == ["hello"]
        for engine in (one, other):
            async with engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert type(driver) is sqlite.Connection, "as in a server"
        threads = threading.active_count()
        await one.dispose()
        await other.dispose()
        return threads, clock.now()

    before = threading.active_count()
    threads, passed = clock.run_call(hold, alone=Random(1))
    assert threads == before
    assert passed == pytest.approx(0.0, abs=1e-6)


def test_who_finds_the_database_locked_waits_for_whoever_has_it(tmp_path: Path) -> None:
    async def hold() -> list[str]:
        one, other = await two_engines(tmp_path)
        async with one.begin() as connection:
            await connection.execute(text("INSERT INTO notes VALUES ('first')"))
            second = asyncio.create_task(note(other, "second"))
            for _ in range(50):
                await asyncio.sleep(0)
            assert not second.done()
        await second
        found = await notes(one)
        await one.dispose()
        await other.dispose()
        return found

    assert clock.run_call(hold, alone=Random(1)) == ["first", "second"]


def test_a_lock_that_is_never_given_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_in_loop, "PATIENCE", 0.05)

    async def hold() -> None:
        one, other = await two_engines(tmp_path)
        async with one.begin() as connection:
            await connection.execute(text("INSERT INTO notes VALUES ('first')"))
            with pytest.raises(OperationalError, match="locked"):
                await note(other, "second")
        await one.dispose()
        await other.dispose()

    clock.run_call(hold, alone=Random(1))


def test_what_was_begun_is_done_although_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    """As a thread would: the commit is cancelled while it is on its way, and holds."""

    async def hold() -> list[str]:
        one, other = await two_engines(tmp_path)
        connection = await one.connect()
        transaction = await connection.begin()
        await connection.execute(text("INSERT INTO notes VALUES ('done')"))
        commit = asyncio.ensure_future(transaction.commit())
        await asyncio.sleep(0)
        commit.cancel()
        await asyncio.wait([commit])
        assert commit.cancelled()
        for _ in range(10):
            await asyncio.sleep(0)
        found = await notes(other)
        await connection.close()
        await one.dispose()
        await other.dispose()
        return found

    assert clock.run_call(hold, alone=Random(1)) == ["done"]
