"""What the tools share: the kinds of their arguments, the verified account, and the way of a deed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.agent import Caller, Effect, ReadBack, Tool, tool
from talkspurt.retail.customers import load_customer
from talkspurt.retail.deeds import Deed, Plan
from talkspurt.retail.shop import Shop

OrderId = Annotated[
    str,
    Field(
        max_length=200,
        description="The order number (W and seven digits, e.g. W2378156), or the caller's own words for one of "
        "their orders: 'my pending order', 'the one with the boots'",
    ),
]
Spoken = Annotated[str, Field(max_length=200)]
"""A few words of the caller's."""
SpokenList = Annotated[list[Spoken], Field(min_length=1, max_length=50)]
Words = Annotated[str, Field(max_length=500)]
"""A sentence of the caller's."""


class ToolGroup:
    """Tools over one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def settled(self, key: str) -> dict[str, Any] | None:
        """What came of an effect of this shop, by its key: the `lookup` of every tool here."""
        return await self._shop.settle(key)

    async def _read_back(self, caller: Caller, deed: Deed[Plan]) -> ReadBack:
        """What the caller is asked for a yes to."""
        async with self._shop.reading() as session:
            return deed.read_back(await deed.plan(session, await load_customer(session, account_of(caller))))

    async def _carry_out(self, caller: Caller, effect: Effect, deed: Deed[Plan]) -> dict[str, Any]:
        """Do what the caller has said yes to, if it is that still; the result."""

        async def plan(session: AsyncSession) -> Plan:
            return await deed.plan(session, await load_customer(session, account_of(caller), to_change=True))

        return await self._shop.once(effect, plan=plan, word=deed.read_back, change=deed.do)


def shop_effect(
    *, read_back: Callable[..., Awaitable[ReadBack]], filler: str, sets: Sequence[str] | None = None
) -> Callable[[Callable[..., Awaitable[Any]]], Tool]:
    """`@tool` for what changes the shop: only for verified callers, and looked up by its key."""
    return tool(level=1, effect=True, read_back=read_back, lookup=ToolGroup.settled, filler=filler, sets=sets)


def account_of(caller: Caller) -> str:
    """The verified account."""
    assert caller.account is not None, "the dispatcher lets only verified callers in"
    return caller.account
