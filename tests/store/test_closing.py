"""A database that is closed while somebody still uses it leaves no connection open."""

import asyncio
import gc
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from talkspurt.retail.shop import Shop
from talkspurt.store.database import Database

Use = Callable[[], AbstractAsyncContextManager[Any]]


async def of_the_store(file: Path, closing: AsyncExitStack) -> Use:
    database = Database(f"sqlite+aiosqlite:///{file}")
    closing.push_async_callback(database.aclose)
    return database.read


async def of_the_shop(file: Path, closing: AsyncExitStack) -> Use:
    shop = Shop(f"sqlite+aiosqlite:///{file}")
    await closing.enter_async_context(shop.opened(seeded=False))
    return shop.reading


@pytest.mark.parametrize("opened", [of_the_store, of_the_shop])
async def test_a_connection_that_is_given_back_late_is_closed_too(tmp_path: Path, opened: Any) -> None:
    async def hold(use: Use, in_use: asyncio.Event) -> None:
        async with use() as connection:
            await connection.execute(text("SELECT 1"))
            in_use.set()
            await asyncio.sleep(0.1)

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        async with AsyncExitStack() as closing:
            use, in_use = await opened(tmp_path / "a.db", closing), asyncio.Event()
            late = asyncio.create_task(hold(use, in_use))
            await in_use.wait()
        await late
        del use, late
        gc.collect()
    assert [str(complaint.message) for complaint in complaints if complaint.category is ResourceWarning] == []
