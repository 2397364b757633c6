"""The migrations lead to the tables in the code, on an empty database and on a second start."""

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import aiosqlite
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from talkspurt.engines import _set_pragmas
from talkspurt.errors import ConfigurationError, StoreError
from talkspurt.store import Store
from talkspurt.store.database import Database
from talkspurt.store.schema import VERSION_TABLE
from talkspurt.store.tables import metadata


@pytest.fixture
def new_stores_are_copies() -> None:
    """Here they are not: every store is migrated."""


async def test_the_migrations_make_exactly_the_tables_of_the_code(url: str, store: Store) -> None:
    def difference(connection: Connection) -> list[Any]:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    database = Database(url)
    async with database.read() as connection:
        assert await connection.run_sync(difference) == []
    await database.aclose()


async def test_effects_of_an_earlier_version_are_kept_and_can_be_taken_back(url: str, store: Store) -> None:
    def to(revision: str, connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "talkspurt.store:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        (command.upgrade if revision == "head" else command.downgrade)(config, revision)

    states = ("proposed", "executing", "done", "failed", "withdrawn", "in_doubt")
    database = Database(url)
    async with database.write() as connection:
        await connection.run_sync(partial(to, "0002"))
        for state in states:
            await connection.execute(
                text(
                    "INSERT INTO effects "
                    "(proposal, call_id, tool, arguments, fingerprint, state, proposed_at, changed_at) VALUES "
                    "(:state, 'c', 't', '{}', :state, :state, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
                ),
                {"state": state},
            )
        await connection.run_sync(partial(to, "head"))
    assert {record.state for record in await store.effects.of_call("c")} == set(states)
    await store.effects.resolve("executing", result="{}")
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM effect_transitions"))
        await connection.run_sync(partial(to, "0002"))
        rows = (await connection.execute(text("SELECT proposal, state FROM effects"))).all()
    await database.aclose()
    assert {row.proposal: row.state for row in rows} == {state: state for state in states} | {"executing": "done"}


async def test_several_processes_may_start_at_once_and_again(url: str) -> None:
    stores = await asyncio.gather(*(Store.open(url) for _ in range(4)))
    for store in stores:
        await store.ping()
        await store.aclose()


async def test_a_new_file_to_which_another_process_is_writing_is_waited_for(tmp_path: Path) -> None:
    # SQLite does not wait by itself: a file with a writer cannot become a WAL one, and it says so at once.
    other = sqlite3.connect(tmp_path / "calls.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    opening = asyncio.create_task(Store.open(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}"))
    await asyncio.wait([opening], timeout=0.3)
    assert not opening.done()
    other.execute("COMMIT")
    await (await opening).aclose()
    other.close()


async def test_a_file_that_cannot_be_written_is_not_waited_for() -> None:
    class Full:
        statements: ClassVar[list[str]] = []

        async def execute_fetchall(self, statement: str) -> None:
            self.statements.append(statement)
            if "WAL" in statement:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error

    with pytest.raises(sqlite3.OperationalError, match="full"):
        await _set_pragmas(5.0, cast("aiosqlite.Connection", Full()))
    assert len([statement for statement in Full.statements if "WAL" in statement]) == 1


async def test_a_new_file_that_stays_locked_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "calls.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}", timeout=0.1)
    with pytest.raises(StoreError, match="database is locked"):
        async with database.read():
            pass
    await database.aclose()
    other.close()


async def test_a_database_of_a_newer_version_is_refused_with_what_to_do(url: str, store: Store) -> None:
    database = Database(url)
    async with database.write() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    await database.aclose()
    with pytest.raises(StoreError, match="newer talkspurt"):
        await Store.open(url)


async def test_sqlite_commits_survive_power_loss_and_keep_references(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}")
    async with database.read() as connection:
        pragmas = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    await database.aclose()
    assert pragmas == ["wal", 2, 1, 5000]


def test_the_tables_are_valid_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    statements += [str(CreateIndex(i).compile(dialect=dialect)) for t in metadata.sorted_tables for i in t.indexes]
    assert any("TIMESTAMP WITH TIME ZONE" in statement for statement in statements)
    once = "WHERE state IN ('executing', 'done', 'in_doubt', 'resolved_done')"
    assert any(once in statement for statement in statements)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("calls.db", "not a database URL"),
        ("mysql://localhost/calls", "use sqlite"),
        ("sqlite:///calls.db", "use sqlite"),
        ("sqlite+aiosqlite://", "in memory"),
        ("sqlite+aiosqlite:///:memory:", "in memory"),
    ],
)
async def test_a_url_that_cannot_be_right_is_refused_with_what_to_do(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await Store.open(url)


async def test_a_file_in_no_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no folder .*missing; create it"):
        await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'missing' / 'calls.db'}")


async def test_a_file_that_is_no_database_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_text("a letter " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}")


async def test_a_database_that_is_held_by_another_is_a_store_error_in_time(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}"
    holder = Database(url)
    async with holder.write():
        with pytest.raises(StoreError, match="database is locked"):
            await Store.open(url, statement_timeout=0.2)
    await holder.aclose()


async def test_closing_twice_is_harmless(url: str) -> None:
    store = await Store.open(url)
    await store.aclose()
    await store.aclose()
