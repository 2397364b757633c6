"""An effect on one's own database: change and note are one commit, whatever comes twice, at once, or too late."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from talkspurt.agent import Effect, ReadBack, ToolError
from talkspurt.agent.once import applied_effects, once, settle

metadata = MetaData()
refunds = Table("refunds", metadata, Column("id", Integer, primary_key=True), Column("cents", Integer))
applied_effects(metadata)


def word(cents: int) -> ReadBack:
    return ReadBack(f"I'll refund\n{cents} cents. Shall I?", amount_cents=cents)


EFFECT = Effect("k1", "refund", "call-1", 2, word(5))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def shop(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine)


async def refund(shop: async_sessionmaker[AsyncSession], effect: Effect, cents: int, *, fail: bool = False) -> Any:
    async with shop.begin() as session:

        async def plan() -> int:
            return cents

        async def change(planned: int) -> dict[str, Any]:
            await session.execute(insert(refunds).values(cents=planned))
            await asyncio.sleep(0)
            if fail:
                raise ToolError("No.")
            return {"refunded": planned}

        return await once(session, effect, plan=plan, word=word, change=change)


async def made(shop: async_sessionmaker[AsyncSession]) -> int:
    async with shop() as session:
        return int(await session.scalar(select(func.count()).select_from(refunds)) or 0)


def test_the_table_joins_the_users_own_once() -> None:
    assert applied_effects(metadata) is metadata.tables["applied_effects"]


async def test_a_second_time_returns_the_first_result(shop: async_sessionmaker[AsyncSession]) -> None:
    assert await refund(shop, EFFECT, 5) == {"refunded": 5}
    assert await refund(shop, EFFECT, 6) == {"refunded": 5}
    assert await made(shop) == 1


async def test_what_is_not_what_the_caller_heard_is_not_done(shop: async_sessionmaker[AsyncSession]) -> None:
    with pytest.raises(ToolError, match=r"so nothing was done. Now it would be: I'll refund 6 cents\.$"):
        await refund(shop, EFFECT, 6)
    assert await made(shop) == 0
    assert await refund(shop, EFFECT, 5) == {"refunded": 5}, "what was agreed may still be done"


async def test_what_nobody_is_known_to_have_heard_is_not_done(shop: async_sessionmaker[AsyncSession]) -> None:
    with pytest.raises(ToolError, match="has changed since, so nothing was done"):
        await refund(shop, Effect("k2", "refund", "call-1", 2), 0)
    assert await made(shop) == 0


@pytest.mark.parametrize(
    "otherwise",
    [{"amount_cents": 6}, {"status": "shipped"}, {"facts": {"card": "twin"}}, {"arguments": {"order_id": "W2"}}],
)
def test_the_same_words_for_something_else_are_not_what_was_agreed_to(otherwise: dict[str, Any]) -> None:
    EFFECT.require_unchanged(word(5))
    with pytest.raises(ToolError, match="has changed since"):
        EFFECT.require_unchanged(replace(word(5), **otherwise))


async def test_of_ten_at_once_one_changes_something(shop: async_sessionmaker[AsyncSession]) -> None:
    results = await asyncio.gather(*(refund(shop, EFFECT, 5) for _ in range(10)))
    assert results == [{"refunded": 5}] * 10
    assert await made(shop) == 1


async def test_what_failed_left_nothing_and_may_be_tried_again(shop: async_sessionmaker[AsyncSession]) -> None:
    with pytest.raises(ToolError):
        await refund(shop, EFFECT, 5, fail=True)
    assert await made(shop) == 0
    assert await refund(shop, EFFECT, 5) == {"refunded": 5}


async def test_settling_tells_what_came_of_it(shop: async_sessionmaker[AsyncSession]) -> None:
    await refund(shop, EFFECT, 5)
    async with shop.begin() as session:
        assert await settle(session, EFFECT.key) == {"refunded": 5}


async def test_a_key_that_was_settled_as_not_done_is_never_used(shop: async_sessionmaker[AsyncSession]) -> None:
    for _ in range(2):
        async with shop.begin() as session:
            assert await settle(session, EFFECT.key) is None
    with pytest.raises(ToolError, match="given up"):
        await refund(shop, EFFECT, 5)
    assert await made(shop) == 0
