"""What a caller can do with an order that has come: return or exchange it; and money that is due."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.agent import Caller, Effect, ReadBack, Tool
from talkspurt.retail import bookings, read_backs, words
from talkspurt.retail.changes import SwapWish
from talkspurt.retail.claims import RefundPlan, ReturnPlan, plan_refund, plan_return
from talkspurt.retail.customers import load_customer
from talkspurt.retail.tools.common import (
    OrderId,
    Spoken,
    SpokenList,
    ToolGroup,
    account_of,
    load_swap,
    shop_effect,
    swapped,
    word_swap,
)


class DeliveredOrders(ToolGroup):
    """The tools for what the customer has already, or never got."""

    def tools(self) -> tuple[Tool, ...]:
        """All of this group."""
        return (self.process_return, self.exchange_items, self.offer_refund)

    async def _plan_return(
        self,
        session: AsyncSession,
        caller: Caller,
        *,
        order_id: str,
        items: list[str],
        payment_method: str,
        act: bool = False,
    ) -> ReturnPlan:
        customer = await load_customer(session, account_of(caller), to_change=act)
        return plan_return(customer.order(order_id), items, payment_method, customer.methods)

    async def _word_return(self, caller: Caller, order_id: str, items: list[str], payment_method: str) -> ReadBack:
        async with self._shop.reading() as session:
            return read_backs.returning(
                await self._plan_return(session, caller, order_id=order_id, items=items, payment_method=payment_method)
            )

    @shop_effect(
        read_back=_word_return,
        filler="One moment, I'm setting that up.",
    )
    async def process_return(
        self, caller: Caller, effect: Effect, order_id: OrderId, items: SpokenList, payment_method: Spoken = ""
    ) -> dict[str, Any]:
        """Request the return of items of a delivered order. An order can be returned only once, so
        collect all items first.

        items: names of the items as the caller says them, e.g. ["headphones"], or ["everything"]
        payment_method: where the refund goes: "" for the method that paid for it, or a gift card of the caller's
        """

        async def change(session: AsyncSession) -> dict[str, Any]:
            plan = await self._plan_return(
                session, caller, order_id=order_id, items=items, payment_method=payment_method, act=True
            )
            bookings.request_return(session, plan)
            return {
                "status": "return requested",
                "order_id": plan.order.id,
                "items": [words.item_name(item) for item in plan.items],
                "refund": words.written_amount(plan.cents),
                "method": words.full_method(plan.method),
            }

        return await self._shop.once(effect, change)

    @shop_effect(
        read_back=word_swap("exchange"),
        filler="One moment, I'm setting that up.",
    )
    async def exchange_items(
        self,
        caller: Caller,
        effect: Effect,
        *,
        order_id: OrderId,
        items: SpokenList,
        new_items: SpokenList,
        payment_method: Spoken = "",
    ) -> dict[str, Any]:
        """Exchange items of a delivered order for other variants of the same product. This can be done only once an
        order: collect all items first.

        items: the items as the caller says them, e.g. ["the keyboard"], or ["item 2"]
        new_items: for each of them what it is exchanged for, e.g. ["the same with clicky switches"]; one for all is
            enough
        payment_method: what pays or is paid back the difference, e.g. "PayPal" or "the Visa ending 1234"
        """
        wish = SwapWish(items, new_items, payment_method)

        async def change(session: AsyncSession) -> dict[str, Any]:
            plan = await load_swap(session, "exchange", caller, order_id, wish, act=True)
            bookings.request_exchange(session, plan)
            return swapped(plan, "exchange requested")

        return await self._shop.once(effect, change)

    async def _plan_refund(
        self, session: AsyncSession, caller: Caller, order_id: str, *, act: bool = False
    ) -> RefundPlan:
        return plan_refund((await load_customer(session, account_of(caller), to_change=act)).order(order_id))

    async def _word_refund(self, caller: Caller, order_id: str) -> ReadBack:
        async with self._shop.reading() as session:
            return read_backs.refunding(await self._plan_refund(session, caller, order_id))

    @shop_effect(
        read_back=_word_refund,
        filler="One moment, I'm arranging the refund.",
    )
    async def offer_refund(self, caller: Caller, effect: Effect, order_id: OrderId) -> dict[str, Any]:
        """Refund an order that was cancelled, lost, or returned and received, to the method that paid for it."""

        async def change(session: AsyncSession) -> dict[str, Any]:
            plan = await self._plan_refund(session, caller, order_id, act=True)
            bookings.refund(plan)
            return {
                "status": "refund issued",
                "order_id": plan.order.id,
                "amount": words.written_amount(plan.cents),
                "method": words.listed([words.full_method(money.method) for money in plan.refunds]),
                "when": words.refund_time(plan.refunds[0].method),
            }

        return await self._shop.once(effect, change)
