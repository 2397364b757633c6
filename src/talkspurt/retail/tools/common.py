"""What the tools share: the kinds of their arguments, and the verified account."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.agent import Caller, ReadBack, Tool, tool
from talkspurt.retail import read_backs
from talkspurt.retail.changes import Kind, SwapPlan, SwapWish, plan_swap
from talkspurt.retail.customers import load_customer, load_products
from talkspurt.retail.options import spoken_options
from talkspurt.retail.shop import Shop
from talkspurt.retail.words import full_method, item_name, written_amount

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
SpokenList = Annotated[list[Spoken], Field(min_length=1, max_length=20)]
Words = Annotated[str, Field(max_length=500)]
"""A sentence of the caller's."""


class ToolGroup:
    """Tools over one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def settled(self, key: str) -> dict[str, Any] | None:
        """What came of an effect of this shop, by its key: the `lookup` of every tool here."""
        return await self._shop.settle(key)


def shop_effect(
    *, read_back: Callable[..., Awaitable[ReadBack]], filler: str, sets: Sequence[str] | None = None
) -> Callable[[Callable[..., Awaitable[Any]]], Tool]:
    """`@tool` for what changes the shop: only for verified callers, and looked up by its key."""
    return tool(level=1, effect=True, read_back=read_back, lookup=ToolGroup.settled, filler=filler, sets=sets)


def account_of(caller: Caller) -> str:
    """The verified account."""
    assert caller.account is not None, "the dispatcher lets only verified callers in"
    return caller.account


async def load_swap(
    session: AsyncSession, kind: Kind, caller: Caller, order_id: str, wish: SwapWish, *, act: bool = False
) -> SwapPlan:
    """Plan a change or an exchange of items for the caller; `act` when it is to be carried out. Raises `ToolError`."""
    customer = await load_customer(session, account_of(caller), to_change=act)
    order = customer.order(order_id)
    products = await load_products(session, (item.product_id for item in order.items))
    return plan_swap(kind, order, products, wish, customer.methods)


def word_swap(kind: Kind) -> Callable[..., Awaitable[ReadBack]]:
    """The read-back of a tool that changes or exchanges items."""

    async def word(
        self: ToolGroup, caller: Caller, *, order_id: str, items: list[str], new_items: list[str], payment_method: str
    ) -> ReadBack:
        wish = SwapWish(items, new_items, payment_method)
        async with self._shop.reading() as session:
            return read_backs.swapping(await load_swap(session, kind, caller, order_id, wish))

    return word


def swapped(plan: SwapPlan, status: str) -> dict[str, Any]:
    """What a model is told of items that become others. Made before they do."""
    way = "to pay" if plan.cents > 0 else "to be paid back" if plan.cents < 0 else "nothing to pay"
    return {
        "status": status,
        "order_id": plan.order.id,
        "items": [
            {"name": item_name(swap.item), "new": spoken_options(swap.new.options), "item_id": swap.new.id}
            for swap in plan.swaps
        ],
        "difference": written_amount(abs(plan.cents)),
        "way": way,
        "method": full_method(plan.method),
    }
