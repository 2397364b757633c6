"""What a customer may have back: the shop's rules on cancellations, returns and refunds.

Pure: an order in, a plan out, or a refusal the agent can say. The same rules run when the request
is read back and again inside the transaction that carries it out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from talkspurt.agent import ToolError
from talkspurt.retail.items import choose_items
from talkspurt.retail.methods import GIFT_CARD, choose_method
from talkspurt.retail.reasons import cancel_reason
from talkspurt.retail.schema import Order, OrderItem, PaymentKind, PaymentMethod, Status
from talkspurt.retail.words import short_method, spoken_amount


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """An amount and the method it goes to."""

    method: PaymentMethod
    cents: int


@dataclass(frozen=True, slots=True)
class CancelPlan:
    """An order to cancel, why, and what goes back."""

    order: Order
    reason: str
    refunds: tuple[MoneyBack, ...]

    @property
    def cents(self) -> int:
        """All that goes back."""
        return sum(refund.cents for refund in self.refunds)


@dataclass(frozen=True, slots=True)
class ReturnPlan:
    """Items to send back, and where their price will be refunded to."""

    order: Order
    items: tuple[OrderItem, ...]
    cents: int
    method: PaymentMethod


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """Amounts that are due for an order."""

    order: Order
    refunds: tuple[MoneyBack, ...]

    @property
    def cents(self) -> int:
        """All that is due."""
        return sum(refund.cents for refund in self.refunds)


def plan_cancel(order: Order, spoken_reason: str) -> CancelPlan:
    """Plan the cancellation of a pending order. Raises `ToolError` when its status or the reason does not allow it."""
    require_pending(order, "cancelled")
    return CancelPlan(order, cancel_reason(spoken_reason), paid_with(order))


def plan_return(
    order: Order, spoken_items: Sequence[str], spoken_method: str = "", methods: Sequence[PaymentMethod] = ()
) -> ReturnPlan:
    """Plan the return of items named loosely, paid back to the original method (by default) or to a gift card.

    `methods` are the customer's own. Raises `ToolError` when the order, the items or the method do not allow it.
    """
    require_delivered(order, "returned")
    items = tuple(choose_items(spoken_items, order.items))
    original = paying_method(order)
    usable = [method for method in methods if method.id == original.id or method.kind == GIFT_CARD]
    method = choose_method(spoken_method, methods, original, usable=usable) if spoken_method.strip() else original
    if method.id != original.id and method.kind != GIFT_CARD:
        raise ToolError(
            f"A refund goes to the {short_method(original)} that paid for the order, or to a gift card of yours."
        )
    cents = _within_what_was_paid(order, items)
    own = max((money.cents for money in paid_with(order)), default=0)
    if method.kind != GIFT_CARD and cents > own:
        raise ToolError(
            f"The {short_method(original)} has paid {spoken_amount(own)} of that, and no more can go back to it. "
            "All of it can go to a gift card of yours, or a colleague divides it."
        )
    return ReturnPlan(order, items, cents, method)


def plan_refund(order: Order) -> RefundPlan:
    """Plan the refund that is due for an order. Raises `ToolError` when none is."""
    match order.status:
        case Status.CANCELLED | Status.LOST:
            paying_method(order)
            refunds = paid_with(order)
            if not refunds:
                raise ToolError("That order has already been refunded.")
        case Status.RETURN_REQUESTED if order.returned is not None and order.returned.refunded_at is not None:
            raise ToolError("That order has already been refunded.")
        case Status.RETURN_REQUESTED if order.returned is not None and order.returned.received_at is not None:
            cents = _within_what_was_paid(order, [entry.item for entry in order.returned.items])
            if not cents:
                raise ToolError("That order has already been refunded.")
            refunds = (MoneyBack(order.returned.method, cents),)
        case Status.RETURN_REQUESTED:
            raise ToolError("The return hasn't reached us yet. The refund follows once it has.")
        case Status.DELIVERED:
            raise ToolError("That order was delivered. For a refund, the items have to be returned first.")
        case _:
            raise ToolError(f"That order is {order.status}, so there is nothing to refund yet.")
    return RefundPlan(order, refunds)


# ── what other rules need too ─────────────────────────────────────────────────────


def require_pending(order: Order, done: str) -> None:
    """Raises `ToolError` unless the order is pending and untouched; `done` is what was to be done to it."""
    match order.status:
        case Status.PENDING:
            return
        case Status.ITEMS_CHANGED:
            raise ToolError(f"The items of that order have been changed already, so it can't be {done} any more.")
        case Status.CANCELLED:
            raise ToolError(f"That order is cancelled already, so it can't be {done}.")
        case Status.DELIVERED:
            raise ToolError(f"That order is delivered, so it can't be {done}. Its items can be returned or exchanged.")
        case _:
            raise ToolError(f"That order is {order.status}. Only pending orders can be {done}.")


def require_delivered(order: Order, done: str) -> None:
    """Raises `ToolError` unless the order was delivered and nothing of it is on its way back."""
    match order.status:
        case Status.DELIVERED:
            return
        case Status.RETURN_REQUESTED:
            raise ToolError("A return was already requested for that order.")
        case Status.EXCHANGE_REQUESTED:
            raise ToolError("An exchange was already requested for that order.")
        case Status.PENDING:
            raise ToolError(
                f"That order is pending, and only delivered orders can be {done}. "
                "It can be changed or cancelled instead."
            )
        case _:
            raise ToolError(f"That order is {order.status}. Only delivered orders can be {done}.")


def paid_with(order: Order) -> tuple[MoneyBack, ...]:
    """What each method may get back for the order, in the order in which they paid; together never more than was paid.

    Money may have gone back to a method that never paid: the difference of changed items goes where the customer wants.
    """
    methods: dict[str, PaymentMethod] = {}
    cents: dict[str, int] = {}
    for payment in order.payments:
        sign = 1 if payment.kind is PaymentKind.PAYMENT else -1
        methods.setdefault(payment.method_id, payment.method)
        cents[payment.method_id] = cents.get(payment.method_id, 0) + sign * payment.amount_cents
    kept, back = sum(cents.values()), []
    for identity, paid in cents.items():
        due = min(paid, kept)
        if due > 0:
            back.append(MoneyBack(methods[identity], due))
            kept -= due
    return tuple(back)


def _within_what_was_paid(order: Order, items: Iterable[OrderItem]) -> int:
    """The price of items in cents, as far as money for the order is left."""
    return min(sum(item.price_cents for item in items), sum(money.cents for money in paid_with(order)))


def paying_method(order: Order) -> PaymentMethod:
    """The method that paid for the order, or most of it. Raises `ToolError` when the order does not say."""
    paid = paid_with(order)
    if paid:
        return max(paid, key=lambda money: money.cents).method
    if order.payments:
        return order.payments[0].method
    raise ToolError("I can't see how that order was paid. A colleague has to look at it.")
