"""Effects on a database of your own, once and as agreed: the change and the note that it was made are one commit.

    class Base(DeclarativeBase): ...
    applied_effects(Base.metadata)              # the table, created with your own

    async def _word(self, caller: Caller, order_id: str) -> ReadBack:
        async with self._shop() as session:
            return self._worded(await self._order(session, caller, order_id))

    async def _settle(self, key: str) -> dict[str, str] | None:
        async with self._shop.begin() as session:
            return await settle(session, key)

    @tool(level=1, effect=True, read_back=_word, lookup=_settle)
    async def cancel_order(self, caller: Caller, effect: Effect, order_id: str) -> dict[str, str]:
        async with self._shop.begin() as session:
            return await once(
                session,
                effect,
                plan=lambda: self._order(session, caller, order_id, lock=True),
                word=self._worded,
                change=self._cancel,
            )

What has changed since the caller heard it is not done: between their yes and this transaction somebody else may have
had the row. So `plan` says again what would be done, holding the rows that it depends on (`SELECT … FOR UPDATE`; on
SQLite the transaction begins with `BEGIN IMMEDIATE`), and only if `word` words it as the caller has heard it, `change`
carries out just that plan.

A second time with the same key returns the first result and changes nothing. `settle` is the `lookup` to it: it tells
what came of a key, and closes a key that nothing came of, so that a process which was only asleep cannot use it later.

SQLAlchemy on SQLite or PostgreSQL. Both functions write, so the session must be in a transaction that ends in a commit.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Column, DateTime, MetaData, String, Table, Text, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.agent.effects import Effect, ReadBack
from talkspurt.agent.refusal import ToolError

TABLE: Final = "applied_effects"
SETTLED: Final = "That attempt was given up already. Nothing was changed just now."

_Plan = TypeVar("_Plan")

_applied: Final = Table(
    TABLE,
    MetaData(),
    Column("key", String(64), primary_key=True),
    Column("tool", String(128), nullable=False),
    # Empty in a row of `settle`: nothing was applied under this key, and nothing will be.
    Column("result", Text),
    Column("applied_at", DateTime(timezone=True), nullable=False),
)


def applied_effects(metadata: MetaData) -> Table:
    """The table in your own `metadata`, added if it is not there yet; create it with your other tables."""
    known = metadata.tables.get(TABLE)
    return _applied.to_metadata(metadata) if known is None else known


async def once(
    session: AsyncSession,
    effect: Effect,
    *,
    plan: Callable[[], Awaitable[_Plan]],
    word: Callable[[_Plan], ReadBack | str],
    change: Callable[[_Plan], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Carry out what was agreed and note its result under the effect's key, in the transaction of `session`.

    `plan` tells what would be done as things stand in this transaction, and `word` makes the read-back of it, by the
    same code as the tool's `read_back`. `change` returns a JSON object; it is returned as JSON gives it back. With a
    key that was used nothing is planned or changed, and the first result returned. Whatever they raise has to end the
    transaction. Raises `ToolError` for what is not any more as the caller has heard it, and for a key that was settled
    as not done.
    """
    if not await _take(session, effect.key, effect.tool):
        result = await _result(session, effect.key)
        if result is None:
            raise ToolError(SETTLED)
        return _object(result)
    planned = await plan()
    effect.require_unchanged(word(planned))
    text = json.dumps(await change(planned), ensure_ascii=False)
    await session.execute(update(_applied).where(_applied.c.key == effect.key).values(result=text))
    return _object(text)


async def settle(session: AsyncSession, key: str) -> dict[str, Any] | None:
    """The result of what was done under `key`; None when nothing was, and then nothing ever will be.

    Waits for a transaction that is just using the key.
    """
    if await _take(session, key, ""):
        return None
    result = await _result(session, key)
    return None if result is None else _object(result)


async def _take(session: AsyncSession, key: str, tool: str) -> bool:
    """Insert the key's row; False when there is one. On PostgreSQL this waits for whoever is inserting it."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    row = dialect.insert(_applied).values(key=key, tool=tool, applied_at=datetime.now(UTC))
    taken = await session.execute(row.on_conflict_do_nothing().returning(_applied.c.key))
    return taken.first() is not None


async def _result(session: AsyncSession, key: str) -> str | None:
    found = await session.execute(select(_applied.c.result).where(_applied.c.key == key))
    text: str | None = found.scalar_one()
    return text


def _object(text: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(text)
    return result
