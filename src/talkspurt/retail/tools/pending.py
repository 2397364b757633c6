"""What a caller can have changed: pending orders and their own address."""

from typing import Any

from talkspurt.agent import Caller, Effect, ReadBack, Tool
from talkspurt.retail import deeds
from talkspurt.retail.changes import SwapWish
from talkspurt.retail.tools.common import OrderId, Spoken, SpokenList, ToolGroup, Words, shop_effect


class PendingOrders(ToolGroup):
    """The tools that cancel or change what has not been sent yet."""

    def tools(self) -> tuple[Tool, ...]:
        """All of this group."""
        return (
            self.cancel_order,
            self.change_order_items,
            self.change_order_address,
            self.change_order_payment,
            self.change_account_address,
        )

    async def _word_cancel(self, caller: Caller, order_id: str, reason: str) -> ReadBack:
        return await self._read_back(caller, deeds.cancelling(order_id, reason))

    @shop_effect(read_back=_word_cancel, filler="One moment, I'm cancelling that.")
    async def cancel_order(self, caller: Caller, effect: Effect, order_id: OrderId, reason: Spoken) -> dict[str, Any]:
        """Cancel a whole pending order and refund it. Single items cannot be cancelled.

        reason: why, in the caller's own words: it has to be no longer needed, or ordered by mistake
        """
        return await self._carry_out(caller, effect, deeds.cancelling(order_id, reason))

    async def _word_items(
        self, caller: Caller, *, order_id: str, items: list[str], new_items: list[str], payment_method: str
    ) -> ReadBack:
        return await self._read_back(caller, deeds.changing_items(order_id, SwapWish(items, new_items, payment_method)))

    @shop_effect(read_back=_word_items, filler="One moment, I'm changing that.")
    async def change_order_items(
        self,
        caller: Caller,
        effect: Effect,
        *,
        order_id: OrderId,
        items: SpokenList,
        new_items: SpokenList,
        payment_method: Spoken = "",
    ) -> dict[str, Any]:
        """Change items of a pending order to other variants of the same product. This can be done only once an order,
        and afterwards it cannot be changed or cancelled: collect all items first.

        items: the items as the caller says them, e.g. ["the t-shirt", "desk lamp"]
        new_items: for each of them what it should become, e.g. ["purple, size S", "the cheapest one"]; one for all is
            enough
        payment_method: what pays or is paid back the difference, e.g. "PayPal" or "the Visa ending 1234"
        """
        wish = SwapWish(items, new_items, payment_method)
        return await self._carry_out(caller, effect, deeds.changing_items(order_id, wish))

    async def _word_payment(self, caller: Caller, order_id: str, payment_method: str) -> ReadBack:
        return await self._read_back(caller, deeds.paying(order_id, payment_method))

    @shop_effect(read_back=_word_payment, sets=("order_id",), filler="One moment, I'm changing the payment.")
    async def change_order_payment(
        self, caller: Caller, effect: Effect, order_id: OrderId, payment_method: Spoken
    ) -> dict[str, Any]:
        """Have a pending order paid by another of the caller's payment methods, one for the whole order.

        payment_method: e.g. "my gift card", "PayPal" or "the card ending 1234"
        """
        return await self._carry_out(caller, effect, deeds.paying(order_id, payment_method))

    async def _word_sending(self, caller: Caller, order_id: str, address: str) -> ReadBack:
        return await self._read_back(caller, deeds.sending(order_id, address))

    @shop_effect(read_back=_word_sending, sets=("order_id",), filler="One moment, I'm changing the address.")
    async def change_order_address(
        self, caller: Caller, effect: Effect, order_id: OrderId, address: Words
    ) -> dict[str, Any]:
        """Send a pending order to another address.

        address: the whole address (street, city, state, ZIP code), or words for one that we know: "my home address",
            "the one in Chicago", "the same as order W2378156"
        """
        return await self._carry_out(caller, effect, deeds.sending(order_id, address))

    async def _word_moving(self, caller: Caller, address: str) -> ReadBack:
        return await self._read_back(caller, deeds.moving(address))

    @shop_effect(read_back=_word_moving, sets=(), filler="One moment, I'm changing your address.")
    async def change_account_address(self, caller: Caller, effect: Effect, address: Words) -> dict[str, Any]:
        """Change the default address of the caller's account. Orders keep theirs.

        address: the whole address (street, city, state, ZIP code), or words for one of an order: "the one on order
            W2378156"
        """
        return await self._carry_out(caller, effect, deeds.moving(address))
