"""What a customer may change: the shop's rules on items, payment and address of a pending order, and on exchanges.

Pure, like `claims`: an order in, a plan out, or a refusal the agent can say; run when the request is read back and
again inside the transaction that carries it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from talkspurt.agent import ToolError
from talkspurt.retail.claims import paid_with, paying_method, require_delivered, require_pending
from talkspurt.retail.items import choose_each
from talkspurt.retail.methods import GIFT_CARD, choose_method
from talkspurt.retail.schema import Order, OrderItem, PaymentMethod, Product, Status, Variant
from talkspurt.retail.variants import choose_variant
from talkspurt.retail.words import short_method, spoken_amount

Kind = Literal["change", "exchange"]
_DONE: Final[Mapping[Kind, str]] = {"change": "changed", "exchange": "exchanged"}


@dataclass(frozen=True, slots=True)
class SwapWish:
    """What the caller said about items and what they should become.

    The first phrase of `new_items` says what the items of the first phrase of `items` shall become, and so on; one
    alone stands for all.
    """

    items: Sequence[str]
    new_items: Sequence[str]
    payment_method: str = ""


@dataclass(frozen=True, slots=True)
class Swap:
    """One item and the variant that takes its place."""

    item: OrderItem
    new: Variant

    @property
    def cents(self) -> int:
        """How much more the new one costs."""
        return self.new.price_cents - self.item.price_cents


@dataclass(frozen=True, slots=True)
class SwapPlan:
    """Items of an order to become other variants, and the method that settles the difference."""

    kind: Kind
    order: Order
    swaps: tuple[Swap, ...]
    method: PaymentMethod

    @property
    def cents(self) -> int:
        """The difference: to pay when positive, to pay back when negative."""
        return sum(swap.cents for swap in self.swaps)


@dataclass(frozen=True, slots=True)
class Purse:
    """How a customer can pay, and the orders that will still be paid from it."""

    methods: Sequence[PaymentMethod]
    orders: Sequence[Order] = ()

    def promised_cents(self, method: PaymentMethod) -> int:
        """What the method will pay once what is being exchanged has arrived."""
        open_ones = (order.exchanged for order in self.orders if order.status is Status.EXCHANGE_REQUESTED)
        return sum(
            max(0, exchange.difference_cents)
            for exchange in open_ones
            if exchange is not None and exchange.method_id == method.id
        )


@dataclass(frozen=True, slots=True)
class PaymentPlan:
    """An order to be paid by another method."""

    order: Order
    old: PaymentMethod
    new: PaymentMethod
    cents: int


def plan_swap(kind: Kind, order: Order, products: Mapping[str, Product], wish: SwapWish, purse: Purse) -> SwapPlan:
    """Plan the change (of a pending order) or exchange (of a delivered one) of items.

    `products` are those of the order's items. Raises `ToolError`.
    """
    (require_pending if kind == "change" else require_delivered)(order, _DONE[kind])
    groups = choose_each(wish.items, order.items)
    new = [phrase for phrase in wish.new_items if phrase.strip()]
    if len(new) == 1:
        new *= len(groups)
    if len(new) != len(groups):
        raise ToolError("I need to know for each item what it should become.")
    swaps: dict[str, Swap] = {}
    for group, phrase in zip(groups, new, strict=True):
        for item in group:
            if item.id in swaps:
                raise ToolError("That names one item twice. Which items do you mean?")
            swaps[item.id] = Swap(item, _new_variant(phrase, item, products[item.product_id]))
    method = choose_method(wish.payment_method, purse.methods, paying_method(order))
    plan = SwapPlan(kind, order, tuple(swaps.values()), method)
    require_balance(method, plan.cents, purse)
    return plan


def plan_payment(order: Order, spoken_method: str, purse: Purse) -> PaymentPlan:
    """Plan to have a pending order paid by another method. Raises `ToolError`."""
    require_pending(order, "changed")
    paid = paid_with(order)
    if len(paid) != 1:
        raise ToolError("That order wasn't paid by one method alone. A colleague has to look at it.")
    method = choose_method(spoken_method, purse.methods, paid[0].method)
    if method.id == paid[0].method.id:
        raise ToolError(f"That order is paid by your {short_method(method)} already.")
    require_balance(method, paid[0].cents, purse)
    return PaymentPlan(order, paid[0].method, method, paid[0].cents)


def require_balance(method: PaymentMethod, cents: int, purse: Purse) -> None:
    """Raises `ToolError` when `cents` are to be paid by a gift card that has less, or will have."""
    if method.kind != GIFT_CARD:
        return
    promised = purse.promised_cents(method)
    left = max(0, (method.balance_cents or 0) - promised)
    if cents > left:
        beside = " beside what your exchanges will cost" if promised else ""
        raise ToolError(
            f"The gift card has {spoken_amount(left)} left{beside}, which doesn't cover {spoken_amount(cents)}. "
            "Would you like another payment method?"
        )


def _new_variant(wish: str, item: OrderItem, product: Product) -> Variant:
    current = next((variant for variant in product.variants if variant.id == item.variant_id), None)
    return choose_variant(wish, product, current)
