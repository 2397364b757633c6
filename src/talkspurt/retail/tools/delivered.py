"""What a caller can do with an order that has come: return or exchange it; and money that is due."""

from typing import Any

from talkspurt.agent import Caller, Effect, ReadBack, Tool
from talkspurt.retail import deeds
from talkspurt.retail.changes import SwapWish
from talkspurt.retail.tools.common import OrderId, Spoken, SpokenList, ToolGroup, shop_effect


class DeliveredOrders(ToolGroup):
    """The tools for what the customer has already, or never got."""

    def tools(self) -> tuple[Tool, ...]:
        """All of this group."""
        return (self.process_return, self.exchange_items, self.offer_refund)

    async def _word_return(self, caller: Caller, order_id: str, items: list[str], payment_method: str) -> ReadBack:
        return await self._read_back(caller, deeds.returning(order_id, items, payment_method))

    @shop_effect(read_back=_word_return, filler="One moment, I'm setting that up.")
    async def process_return(
        self, caller: Caller, effect: Effect, order_id: OrderId, items: SpokenList, payment_method: Spoken = ""
    ) -> dict[str, Any]:
        """Request the return of items of a delivered order. An order can be returned only once, so
        collect all items first.

        items: names of the items as the caller says them, e.g. ["headphones"], or ["everything"]
        payment_method: where the refund goes: "" for the method that paid for it, or a gift card of the caller's
        """
        return await self._carry_out(caller, effect, deeds.returning(order_id, items, payment_method))

    async def _word_exchange(
        self, caller: Caller, *, order_id: str, items: list[str], new_items: list[str], payment_method: str
    ) -> ReadBack:
        return await self._read_back(caller, deeds.exchanging(order_id, SwapWish(items, new_items, payment_method)))

    @shop_effect(read_back=_word_exchange, filler="One moment, I'm setting that up.")
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
        return await self._carry_out(caller, effect, deeds.exchanging(order_id, wish))

    async def _word_refund(self, caller: Caller, order_id: str) -> ReadBack:
        return await self._read_back(caller, deeds.refunding(order_id))

    @shop_effect(read_back=_word_refund, filler="One moment, I'm arranging the refund.")
    async def offer_refund(self, caller: Caller, effect: Effect, order_id: OrderId) -> dict[str, Any]:
        """Refund an order that was cancelled, lost, or returned and received, to the method that paid for it."""
        return await self._carry_out(caller, effect, deeds.refunding(order_id))
