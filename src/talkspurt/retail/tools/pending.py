"""What a caller can have changed: pending orders and their own address."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.agent import Caller, Effect, ReadBack, Tool, ToolError
from talkspurt.retail import bookings, read_backs, words
from talkspurt.retail.addresses import Place, choose_address
from talkspurt.retail.changes import PaymentPlan, SwapWish, plan_payment
from talkspurt.retail.claims import CancelPlan, plan_cancel, require_pending
from talkspurt.retail.customers import load_customer, place_of
from talkspurt.retail.schema import Order, User
from talkspurt.retail.tools.common import (
    OrderId,
    Spoken,
    SpokenList,
    ToolGroup,
    Words,
    account_of,
    load_swap,
    shop_effect,
    swapped,
    word_swap,
)

SAME_ADDRESS = "That is the address already."


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

    # ── cancelling ────────────────────────────────────────────────────────────────

    async def _plan_cancel(
        self, session: AsyncSession, caller: Caller, order_id: str, reason: str, *, act: bool = False
    ) -> CancelPlan:
        customer = await load_customer(session, account_of(caller), to_change=act)
        return plan_cancel(customer.order(order_id), reason)

    async def _word_cancel(self, caller: Caller, order_id: str, reason: str) -> ReadBack:
        async with self._shop.reading() as session:
            return read_backs.cancellation(await self._plan_cancel(session, caller, order_id, reason))

    @shop_effect(
        read_back=_word_cancel,
        filler="One moment, I'm cancelling that.",
    )
    async def cancel_order(self, caller: Caller, effect: Effect, order_id: OrderId, reason: Spoken) -> dict[str, Any]:
        """Cancel a whole pending order and refund it. Single items cannot be cancelled.

        reason: why, in the caller's own words: it has to be no longer needed, or ordered by mistake
        """

        async def change(session: AsyncSession) -> dict[str, Any]:
            plan = await self._plan_cancel(session, caller, order_id, reason, act=True)
            bookings.cancel(plan)
            return {
                "status": "cancelled",
                "order_id": plan.order.id,
                "reason": plan.reason,
                "refund": words.written_amount(plan.cents),
                "method": words.listed([words.full_method(money.method) for money in plan.refunds]),
                "when": words.refund_time(plan.refunds[0].method) if plan.refunds else None,
            }

        return await self._shop.once(effect, change)

    # ── items ─────────────────────────────────────────────────────────────────────

    @shop_effect(
        read_back=word_swap("change"),
        filler="One moment, I'm changing that.",
    )
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

        async def change(session: AsyncSession) -> dict[str, Any]:
            plan = await load_swap(session, "change", caller, order_id, wish, act=True)
            result = swapped(plan, "items changed")
            bookings.change_items(plan)
            return result

        return await self._shop.once(effect, change)

    # ── payment ───────────────────────────────────────────────────────────────────

    async def _plan_payment(
        self, session: AsyncSession, caller: Caller, order_id: str, payment_method: str, *, act: bool = False
    ) -> PaymentPlan:
        customer = await load_customer(session, account_of(caller), to_change=act)
        return plan_payment(customer.order(order_id), payment_method, customer.methods)

    async def _word_payment(self, caller: Caller, order_id: str, payment_method: str) -> ReadBack:
        async with self._shop.reading() as session:
            return read_backs.paying(await self._plan_payment(session, caller, order_id, payment_method))

    @shop_effect(
        read_back=_word_payment,
        sets=("order_id",),
        filler="One moment, I'm changing the payment.",
    )
    async def change_order_payment(
        self, caller: Caller, effect: Effect, order_id: OrderId, payment_method: Spoken
    ) -> dict[str, Any]:
        """Have a pending order paid by another of the caller's payment methods, one for the whole order.

        payment_method: e.g. "my gift card", "PayPal" or "the card ending 1234"
        """

        async def change(session: AsyncSession) -> dict[str, Any]:
            plan = await self._plan_payment(session, caller, order_id, payment_method, act=True)
            bookings.change_payment(plan)
            return {
                "status": "payment changed",
                "order_id": plan.order.id,
                "method": words.full_method(plan.new),
                "amount": words.written_amount(plan.cents),
                "refunded_to": words.full_method(plan.old),
                "when": words.refund_time(plan.old),
            }

        return await self._shop.once(effect, change)

    # ── addresses ─────────────────────────────────────────────────────────────────

    async def _plan_sending(
        self, session: AsyncSession, caller: Caller, order_id: str, address: str, *, act: bool = False
    ) -> tuple[Order, Place]:
        customer = await load_customer(session, account_of(caller), to_change=act)
        order = customer.order(order_id)
        require_pending(order, "sent elsewhere")
        place = choose_address(address, customer.addresses(), of_order=order.id)
        if place == place_of(order.address):
            raise ToolError(SAME_ADDRESS)
        return order, place

    async def _word_sending(self, caller: Caller, order_id: str, address: str) -> ReadBack:
        async with self._shop.reading() as session:
            return read_backs.sending(*await self._plan_sending(session, caller, order_id, address))

    @shop_effect(
        read_back=_word_sending,
        sets=("order_id",),
        filler="One moment, I'm changing the address.",
    )
    async def change_order_address(
        self, caller: Caller, effect: Effect, order_id: OrderId, address: Words
    ) -> dict[str, Any]:
        """Send a pending order to another address.

        address: the whole address (street, city, state, ZIP code), or words for one that we know: "my home address",
            "the one in Chicago", "the same as order W2378156"
        """

        async def change(session: AsyncSession) -> dict[str, Any]:
            order, place = await self._plan_sending(session, caller, order_id, address, act=True)
            bookings.change_address(order, place)
            return {"status": "address changed", "order_id": order.id, "address": place.spoken()}

        return await self._shop.once(effect, change)

    async def _plan_moving(
        self, session: AsyncSession, caller: Caller, address: str, *, act: bool = False
    ) -> tuple[User, Place]:
        customer = await load_customer(session, account_of(caller), to_change=act)
        place = choose_address(address, [known for known in customer.addresses() if known.order_id is not None])
        if place == place_of(customer.user.address):
            raise ToolError(SAME_ADDRESS)
        return customer.user, place

    async def _word_moving(self, caller: Caller, address: str) -> ReadBack:
        async with self._shop.reading() as session:
            return read_backs.moving(*await self._plan_moving(session, caller, address))

    @shop_effect(
        read_back=_word_moving,
        sets=(),
        filler="One moment, I'm changing your address.",
    )
    async def change_account_address(self, caller: Caller, effect: Effect, address: Words) -> dict[str, Any]:
        """Change the default address of the caller's account. Orders keep theirs.

        address: the whole address (street, city, state, ZIP code), or words for one of an order: "the one on order
            W2378156"
        """

        async def change(session: AsyncSession) -> dict[str, Any]:
            user, place = await self._plan_moving(session, caller, address, act=True)
            bookings.change_address(user, place)
            return {"status": "address changed", "address": place.spoken()}

        return await self._shop.once(effect, change)
