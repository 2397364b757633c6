"""A store on a real file, with a clock that only the test moves.

With TALKSPURT_TEST_POSTGRESQL set to a postgresql+asyncpg URL of an empty database, every test runs there too.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from talkspurt.store import Call, Store
from talkspurt.store.database import Database

POSTGRESQL = os.environ.get("TALKSPURT_TEST_POSTGRESQL")


class HandClock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRESQL else [])])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}"
    assert POSTGRESQL
    database = Database(POSTGRESQL)
    async with database.write() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await database.aclose()
    return POSTGRESQL


@pytest.fixture
async def store(url: str, clock: HandClock) -> AsyncIterator[Store]:
    store = await Store.open(url, clock=clock)
    yield store
    await store.aclose()


@pytest.fixture
async def call(store: Store) -> Call:
    return await store.calls.admit(
        carrier_call_id="CA1", caller="+12025550101", dialled="+12025550100", agent="retail", locale="en-US"
    )
