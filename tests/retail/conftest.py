"""The made-up shop, for tests that open it on every database."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from talkspurt.retail.shop import Shop, shop_day

POSTGRESQL = os.environ.get("TALKSPURT_TEST_POSTGRESQL")


@pytest.fixture
def shop_file(template_folder: Path, tmp_path: Path) -> Path:
    """The made-up shop in a file of the test's own: filled once, then copied. Its orders are so many days old."""
    template = template_folder / f"shop-{shop_day()}.db"
    if not template.exists():
        filled = template.with_suffix(".part")
        filled.unlink(missing_ok=True)

        async def fill() -> None:
            async with Shop(f"sqlite+aiosqlite:///{filled}").opened():
                pass

        asyncio.run(fill())
        filled.rename(template)
    return Path(shutil.copyfile(template, tmp_path / "shop.db"))


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRESQL else [])])
async def shop_url(request: pytest.FixtureRequest, shop_file: Path) -> str:
    """The made-up shop in SQLite, or an empty database in PostgreSQL where the environment names one."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{shop_file}"
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
