"""What can be done to the shop, one function a deed: how it is planned, read back, and carried out.

The same plan and the same words serve the read-back and the transaction that makes the change, so what is done is what
was heard. Planning takes a caller's loose words ("my latest order", "the blue one"); a read-back also says in ids what
they were found to mean, and from then on those stand for the words.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.agent import ReadBack, ToolError
from talkspurt.retail import bookings, read_backs
from talkspurt.retail.addresses import Place, choose_address
from talkspurt.retail.changes import Kind, PaymentPlan, Purse, SwapPlan, SwapWish, plan_payment, plan_swap
from talkspurt.retail.claims import (
    CancelPlan,
    RefundPlan,
    ReturnPlan,
    plan_cancel,
    plan_refund,
    plan_return,
    require_pending,
)
from talkspurt.retail.customers import Customer, load_products, place_of
from talkspurt.retail.options import spoken_options
from talkspurt.retail.schema import Order, User
from talkspurt.retail.words import full_method, item_name, listed, refund_time, refund_times, written_amount

SAME_ADDRESS: Final = "That is the address already."

Plan = TypeVar("Plan")


@dataclass(frozen=True, slots=True)
class Deed(Generic[Plan]):
    """One thing that a caller wants done."""

    plan: Callable[[AsyncSession, Customer], Awaitable[Plan]]
    """What would be done, by the rules and as things stand in the session. Raises `ToolError`."""
    word: Callable[[Plan], ReadBack]
    meant: Callable[[Plan], dict[str, Any]]
    """The tool's arguments in ids."""
    do: Callable[[AsyncSession, Plan], dict[str, Any]]
    """Changes the rows of the plan; the result."""

    def read_back(self, plan: Plan) -> ReadBack:
        """What the caller hears of a plan, with what their words were found to mean."""
        return replace(self.word(plan), arguments=self.meant(plan))


def cancelling(order_id: str, spoken_reason: str) -> Deed[CancelPlan]:
    """Cancel a pending order."""

    async def plan(_session: AsyncSession, customer: Customer) -> CancelPlan:
        return plan_cancel(customer.order(order_id), spoken_reason)

    def meant(plan: CancelPlan) -> dict[str, Any]:
        return {"order_id": plan.order.id, "reason": plan.reason}

    def do(_session: AsyncSession, plan: CancelPlan) -> dict[str, Any]:
        bookings.cancel(plan)
        return {
            "status": "cancelled",
            "order_id": plan.order.id,
            "reason": plan.reason,
            "refund": written_amount(plan.cents),
            "method": listed([full_method(money.method) for money in plan.refunds]),
            "when": refund_times([money.method for money in plan.refunds]),
        }

    return Deed(plan, read_backs.cancellation, meant, do)


def changing_items(order_id: str, wish: SwapWish) -> Deed[SwapPlan]:
    """Put other variants into a pending order."""

    def do(_session: AsyncSession, plan: SwapPlan) -> dict[str, Any]:
        result = _swapped(plan, "items changed")
        bookings.change_items(plan)
        return result

    return Deed(_swap_planned("change", order_id, wish), read_backs.swapping, _swap_meant, do)


def exchanging(order_id: str, wish: SwapWish) -> Deed[SwapPlan]:
    """Exchange items of a delivered order."""

    def do(session: AsyncSession, plan: SwapPlan) -> dict[str, Any]:
        bookings.request_exchange(session, plan)
        return _swapped(plan, "exchange requested")

    return Deed(_swap_planned("exchange", order_id, wish), read_backs.swapping, _swap_meant, do)


def paying(order_id: str, spoken_method: str) -> Deed[PaymentPlan]:
    """Have a pending order paid by another method."""

    async def plan(_session: AsyncSession, customer: Customer) -> PaymentPlan:
        return plan_payment(customer.order(order_id), spoken_method, _purse(customer))

    def meant(plan: PaymentPlan) -> dict[str, Any]:
        return {"order_id": plan.order.id, "payment_method": plan.new.id}

    def do(_session: AsyncSession, plan: PaymentPlan) -> dict[str, Any]:
        bookings.change_payment(plan)
        return {
            "status": "payment changed",
            "order_id": plan.order.id,
            "method": full_method(plan.new),
            "amount": written_amount(plan.cents),
            "refunded_to": full_method(plan.old),
            "when": refund_time(plan.old),
        }

    return Deed(plan, read_backs.paying, meant, do)


@dataclass(frozen=True, slots=True)
class _Sending:
    order: Order
    place: Place


def sending(order_id: str, address: str) -> Deed[_Sending]:
    """Send a pending order to another address."""

    async def plan(_session: AsyncSession, customer: Customer) -> _Sending:
        order = customer.order(order_id)
        require_pending(order, "sent elsewhere")
        place = choose_address(address, customer.addresses(), of_order=order.id)
        if place == place_of(order.address):
            raise ToolError(SAME_ADDRESS)
        return _Sending(order, place)

    def word(plan: _Sending) -> ReadBack:
        return read_backs.sending(plan.order, plan.place)

    def meant(plan: _Sending) -> dict[str, Any]:
        return {"order_id": plan.order.id, "address": plan.place.written()}

    def do(_session: AsyncSession, plan: _Sending) -> dict[str, Any]:
        bookings.change_address(plan.order, plan.place)
        return {"status": "address changed", "order_id": plan.order.id, "address": plan.place.spoken()}

    return Deed(plan, word, meant, do)


@dataclass(frozen=True, slots=True)
class _Moving:
    user: User
    place: Place


def moving(address: str) -> Deed[_Moving]:
    """Change the address of the account."""

    async def plan(_session: AsyncSession, customer: Customer) -> _Moving:
        place = choose_address(address, [known for known in customer.addresses() if known.order_id is not None])
        if place == place_of(customer.user.address):
            raise ToolError(SAME_ADDRESS)
        return _Moving(customer.user, place)

    def word(plan: _Moving) -> ReadBack:
        return read_backs.moving(plan.user, plan.place)

    def meant(plan: _Moving) -> dict[str, Any]:
        return {"address": plan.place.written()}

    def do(_session: AsyncSession, plan: _Moving) -> dict[str, Any]:
        bookings.change_address(plan.user, plan.place)
        return {"status": "address changed", "address": plan.place.spoken()}

    return Deed(plan, word, meant, do)


def returning(order_id: str, items: Sequence[str], spoken_method: str) -> Deed[ReturnPlan]:
    """Take items of a delivered order back."""

    async def plan(_session: AsyncSession, customer: Customer) -> ReturnPlan:
        return plan_return(customer.order(order_id), items, spoken_method, customer.methods)

    def meant(plan: ReturnPlan) -> dict[str, Any]:
        chosen = [item.id for item in plan.items]
        return {"order_id": plan.order.id, "items": chosen, "payment_method": plan.method.id}

    def do(session: AsyncSession, plan: ReturnPlan) -> dict[str, Any]:
        bookings.request_return(session, plan)
        return {
            "status": "return requested",
            "order_id": plan.order.id,
            "items": [item_name(item) for item in plan.items],
            "refund": written_amount(plan.cents),
            "method": full_method(plan.method),
        }

    return Deed(plan, read_backs.returning, meant, do)


def refunding(order_id: str) -> Deed[RefundPlan]:
    """Pay back what is due for an order."""

    async def plan(_session: AsyncSession, customer: Customer) -> RefundPlan:
        return plan_refund(customer.order(order_id))

    def meant(plan: RefundPlan) -> dict[str, Any]:
        return {"order_id": plan.order.id}

    def do(_session: AsyncSession, plan: RefundPlan) -> dict[str, Any]:
        bookings.refund(plan)
        return {
            "status": "refund issued",
            "order_id": plan.order.id,
            "amount": written_amount(plan.cents),
            "method": listed([full_method(money.method) for money in plan.refunds]),
            "when": refund_times([money.method for money in plan.refunds]),
        }

    return Deed(plan, read_backs.refunding, meant, do)


def _purse(customer: Customer) -> Purse:
    return Purse(customer.methods, customer.orders)


# ── items that become others ──────────────────────────────────────────────────────


def _swap_planned(kind: Kind, order_id: str, wish: SwapWish) -> Callable[[AsyncSession, Customer], Awaitable[SwapPlan]]:
    async def plan(session: AsyncSession, customer: Customer) -> SwapPlan:
        order = customer.order(order_id)
        ids = (item.product_id for item in order.items)
        products = await load_products(session, ids, to_change=customer.held)
        return plan_swap(kind, order, products, wish, _purse(customer))

    return plan


def _swap_meant(plan: SwapPlan) -> dict[str, Any]:
    return {
        "order_id": plan.order.id,
        "items": [swap.item.id for swap in plan.swaps],
        "new_items": [swap.new.id for swap in plan.swaps],
        "payment_method": plan.method.id,
    }


def _swapped(plan: SwapPlan, status: str) -> dict[str, Any]:
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
