"""Carries plans out: what changes in the rows of a customer when something was agreed.

Every function takes a plan that was made in the same transaction, so that the rules hold for exactly what is changed.
"""

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.retail.addresses import Place
from talkspurt.retail.changes import PaymentPlan, SwapPlan
from talkspurt.retail.claims import CancelPlan, MoneyBack, RefundPlan, ReturnPlan
from talkspurt.retail.schema import (
    Address,
    Exchange,
    ExchangeItem,
    Order,
    Payment,
    PaymentKind,
    PaymentMethod,
    Return,
    ReturnItem,
    Status,
    User,
)


def cancel(plan: CancelPlan) -> None:
    """Cancel the order and pay back what was paid for it."""
    plan.order.status = Status.CANCELLED
    plan.order.cancel_reason = plan.reason
    _pay_back(plan.order, plan.refunds)


def request_return(session: AsyncSession, plan: ReturnPlan) -> None:
    """Note which items come back. Their price is refunded once they have arrived."""
    plan.order.status = Status.RETURN_REQUESTED
    session.add(
        Return(
            order_id=plan.order.id,
            method_id=plan.method.id,
            requested_at=datetime.now(UTC),
            received_at=None,
            refunded_at=None,
            items=[ReturnItem(order_item_id=item.id) for item in plan.items],
        )
    )


def refund(plan: RefundPlan) -> None:
    """Pay back what is due."""
    if plan.order.returned is not None:
        plan.order.returned.refunded_at = datetime.now(UTC)
    _pay_back(plan.order, plan.refunds)


def change_items(plan: SwapPlan) -> None:
    """Put the new variants in the place of the old ones and settle the difference."""
    # First the money: the difference is one between old and new items, and soon there are no old ones. A difference of
    # nothing is booked, too: it says which method was agreed.
    kind = PaymentKind.PAYMENT if plan.cents > 0 else PaymentKind.REFUND
    _book(plan.order, kind, plan.method, abs(plan.cents))
    for swap in plan.swaps:
        swap.item.variant_id = swap.new.id
        swap.item.options = swap.new.options
        swap.item.price_cents = swap.new.price_cents
    plan.order.status = Status.ITEMS_CHANGED


def request_exchange(session: AsyncSession, plan: SwapPlan) -> None:
    """Note which items are swapped. The difference is settled when they have arrived."""
    plan.order.status = Status.EXCHANGE_REQUESTED
    session.add(
        Exchange(
            order_id=plan.order.id,
            method_id=plan.method.id,
            difference_cents=plan.cents,
            requested_at=datetime.now(UTC),
            items=[ExchangeItem(order_item_id=swap.item.id, new_variant_id=swap.new.id) for swap in plan.swaps],
        )
    )


def change_payment(plan: PaymentPlan) -> None:
    """Have the new method pay, and the old one paid back."""
    _book(plan.order, PaymentKind.PAYMENT, plan.new, plan.cents)
    _book(plan.order, PaymentKind.REFUND, plan.old, plan.cents)


def change_address(owner: Order | User, place: Place) -> None:
    """Give an order or an account another address; the old row stays as it is, for whoever else points to it."""
    owner.address = Address(
        id=uuid4().hex,
        line1=place.line1,
        line2=place.line2,
        city=place.city,
        state=place.state,
        zip_code=place.zip_code,
        country=place.country,
    )


def _pay_back(order: Order, refunds: tuple[MoneyBack, ...]) -> None:
    for money in refunds:
        _book(order, PaymentKind.REFUND, money.method, money.cents)


def _book(order: Order, kind: PaymentKind, method: PaymentMethod, cents: int) -> None:
    """Note that money moved, and keep the balance of a gift card in step."""
    position = 1 + max((payment.position for payment in order.payments), default=-1)
    order.payments.append(
        Payment(
            id=f"{order.id}/{position}",
            position=position,
            kind=kind,
            method=method,
            amount_cents=cents,
            made_at=datetime.now(UTC),
        )
    )
    if method.balance_cents is not None:
        method.balance_cents += cents if kind is PaymentKind.REFUND else -cents
