"""What a customer may ask for: the shop's rules on returns and refunds.

Pure: an order in, a plan out, or a refusal the agent can say. The same rules run when the request
is read back and again inside the transaction that carries it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from talkspurt.agent import ToolError
from talkspurt.retail.items import choose_items
from talkspurt.retail.schema import Order, OrderItem, PaymentMethod, Status
from talkspurt.retail.words import spoken_amount

REFUND_LIMIT_CENTS: Final = 500_00
"""Larger refunds are for a person to approve."""


@dataclass(frozen=True, slots=True)
class ReturnPlan:
    """Items to send back, and where their price will be refunded to."""

    order: Order
    items: tuple[OrderItem, ...]
    cents: int
    method: PaymentMethod


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """An amount that is due for an order, and where it goes."""

    order: Order
    cents: int
    method: PaymentMethod


def plan_return(order: Order, spoken_items: Sequence[str]) -> ReturnPlan:
    """Plan the return of items named loosely. Raises `ToolError` when the order or the items do not allow it."""
    match order.status:
        case Status.DELIVERED:
            pass
        case Status.RETURN_REQUESTED:
            raise ToolError("A return was already requested for that order.")
        case _:
            raise ToolError(f"That order is {order.status}. Only delivered orders can be returned.")
    method = _original_method(order)
    items = tuple(choose_items(spoken_items, order.items))
    return ReturnPlan(order, items, sum(item.price_cents for item in items), method)


def plan_refund(order: Order) -> RefundPlan:
    """Plan the refund that is due for an order. Raises `ToolError` when none is, or a person must decide."""
    if order.refund is not None:
        raise ToolError("That order has already been refunded.")
    match order.status:
        case Status.CANCELLED | Status.LOST:
            cents = sum(payment.amount_cents for payment in order.payments)
        case Status.RETURN_REQUESTED if order.returned is not None and order.returned.received_at is not None:
            cents = sum(entry.item.price_cents for entry in order.returned.items)
        case Status.RETURN_REQUESTED:
            raise ToolError("The return hasn't reached us yet. The refund follows once it has.")
        case Status.DELIVERED:
            raise ToolError("That order was delivered. For a refund, the items have to be returned first.")
        case _:
            raise ToolError(f"That order is {order.status}, so there is nothing to refund yet.")
    method = _original_method(order)
    if cents <= 0:
        raise ToolError("Nothing was paid for that order, so there is nothing to refund.")
    if cents > REFUND_LIMIT_CENTS:
        raise ToolError(
            f"Refunds above {spoken_amount(REFUND_LIMIT_CENTS)} need a colleague. I can get a person to help."
        )
    return RefundPlan(order, cents, method)


def _original_method(order: Order) -> PaymentMethod:
    if not order.payments:
        raise ToolError("I can't see how that order was paid. A colleague has to look at it.")
    return order.payments[0].method
