"""The made-up shop, for tests that open it on every database."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from talkspurt.retail.shop import Shop

POSTGRESQL = os.environ.get("TALKSPURT_TEST_POSTGRESQL")


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRESQL else [])])
async def shop_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: SQLite, and PostgreSQL where the environment names one."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/shop.db"
    assert POSTGRESQL
    engine = create_async_engine(POSTGRESQL)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
    return POSTGRESQL


@pytest.fixture
async def shop(shop_url: str) -> AsyncIterator[Shop]:
    """The made-up shop."""
    async with Shop(shop_url).opened() as opened:
        yield opened
