"""Two calls of one customer that want the same thing at the same moment, or things that exclude each other.

Drawn from a seed, as `plan` draws one call. Both callers hear what they want read back and agree within two seconds;
one of them gets it, or both where both can be.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.effects.plan import RETAIL, CallPlan, Customer, Mishap, Troubles, Wish, draw_skews, retail_arguments

SKEWED: Final = 0.5
"""Share of the races whose workers' clocks differ."""
CLOSE: Final = 2.0
"""Seconds within which both callers agree."""
CLOSEST: Final = 0.1
"""The same of the half that are as good as simultaneous."""
SAME: Final = ("cancel_order", "offer_refund", "process_return")
"""What two callers may both want of one order, and one of them may have."""
LIMIT_CENTS: Final = 50_000
"""What the retail policy lets the agent refund."""

Prize = tuple[Customer, Wish, Wish]
"""Whose it is, and what each of the two callers wants."""


@dataclass(frozen=True, slots=True)
class Race:
    """Two calls at once."""

    seed: int
    first: CallPlan
    second: CallPlan
    later: float
    """Seconds after the first that the second call begins."""

    @property
    def name(self) -> str:
        """What the race is called in files and results."""
        return f"race-{self.seed:06d}"

    @property
    def calls(self) -> tuple[CallPlan, CallPlan]:
        """Both of them."""
        return self.first, self.second


def draw_race(seed: int, shop: Sequence[Customer]) -> Race:
    """The race of a seed."""
    chance = Random(f"{seed} race")
    kinds = (_same, _same, _sent_elsewhere, _paid_otherwise, _one_gift_card)
    customer, *wishes = chance.choice(list(chance.choice(kinds)(shop)))
    chance.shuffle(wishes)
    skews = draw_skews(seed, share=SKEWED)
    trouble, within = chance.choice((0.0, 0.0, 0.2)), chance.choice((CLOSE, CLOSEST))
    first, second = (
        CallPlan(
            number := 2_000_000 + 2 * seed + place,
            customer.account,
            customer.email,
            True,
            _wishes(chance, wish, number, dawdles=place == 1),
            Troubles(model=trouble),
            skews=skews if skews is None or place == 0 else (skews[1], skews[0], skews[2]),
            reaction=chance.uniform(0.0, within),
        )
        for place, wish in enumerate(wishes)
    )
    # Off the grid of 20 ms on which the first one's line moves: nothing ever happens in both calls at one moment.
    return Race(seed, first, second, round(chance.uniform(0.0, 1.0), 2) + 0.0073)


def _wishes(chance: Random, wish: Wish, number: int, *, dawdles: bool) -> tuple[Wish, ...]:
    """What is wanted by both, and for some callers something of their own."""
    mishap: Mishap = "dawdles" if dawdles and chance.random() < 0.5 else ""
    wanted = Wish(wish.tool, wish.arguments, wish.subject, "together", mishap=mishap, again=chance.random() < 0.5)
    parcel = f"K{number}q1".translate(str.maketrans("0123456789", "abcdefghij"))
    own = Wish("send_parcel", {"parcel": parcel}, parcel)
    return (wanted, own) if chance.random() < 0.3 else (wanted,)


# ── what can be wanted ────────────────────────────────────────────────────────────


def _wish(tool: str, order: str) -> Wish:
    return Wish(tool, retail_arguments(tool, order), order)


def _orders(shop: Sequence[Customer], tool: str) -> Iterator[tuple[Customer, str]]:
    for customer in shop:
        for order, status in customer.orders:
            due = customer.paid.get(order, ("", 0))[1]
            if status in RETAIL[tool] and (tool != "offer_refund" or 0 < due <= LIMIT_CENTS):
                yield customer, order


def _same(shop: Sequence[Customer]) -> Iterator[Prize]:
    for tool in SAME:
        for customer, order in _orders(shop, tool):
            yield customer, _wish(tool, order), _wish(tool, order)


def _sent_elsewhere(shop: Sequence[Customer]) -> Iterator[Prize]:
    """An order that is cancelled goes nowhere; one that goes elsewhere may be cancelled still."""
    for customer, order in _orders(shop, "cancel_order"):
        yield customer, _wish("cancel_order", order), _wish("change_order_address", order)


def _paid_otherwise(shop: Sequence[Customer]) -> Iterator[Prize]:
    """Whoever agreed that the price goes back to their card has not agreed to a gift card."""
    for customer, order in _orders(shop, "cancel_order"):
        method, cents = customer.paid.get(order, ("", 0))
        if any(card != method and cents <= balance for card, balance in customer.gift_cards.items()):
            arguments = {"order_id": order, "payment_method": "gift card"}
            yield customer, _wish("cancel_order", order), Wish("change_order_payment", arguments, order)


def _one_gift_card(shop: Sequence[Customer]) -> Iterator[Prize]:
    """Two orders, of which the money goes back to one gift card."""
    due = [
        (customer, order, tool)
        for tool in ("cancel_order", "offer_refund")
        for customer, order in _orders(shop, tool)
        if customer.paid.get(order, ("", 0))[0] in customer.gift_cards
    ]
    for customer, order, tool in due:
        for other, another, its_tool in due:
            if other is customer and order < another and customer.paid[order][0] == customer.paid[another][0]:
                yield customer, _wish(tool, order), _wish(its_tool, another)
