"""What a caller hears before they agree: each plan in one sentence and a question, and its facts for the policy.

Made from the plan alone, so that what is agreed is what is done. About ten seconds long, after which callers forget
how it began: of several wordings the first that is short enough is taken. Each of them tells every item that is meant,
by its name or by how many there are of its kind; what cannot be told in a length that is heard to its end is refused.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from talkspurt.agent import ReadBack, ToolError
from talkspurt.retail.addresses import Place
from talkspurt.retail.changes import PaymentPlan, Swap, SwapPlan
from talkspurt.retail.claims import CancelPlan, MoneyBack, RefundPlan, ReturnPlan
from talkspurt.retail.options import spoken_options
from talkspurt.retail.schema import Order, OrderItem, PaymentMethod, User
from talkspurt.retail.words import (
    common_name,
    full_method,
    item_name,
    listed,
    plural,
    short_method,
    spelled,
    spoken_amount,
)

READ_BACK_WORDS: Final = 30
"""Longest read-back where one can choose."""
NAMED_WORDS: Final = 45
"""Longest read-back of a return in which every item is named if the items can be told in fewer words."""
LONGEST: Final = 380
"""Characters that are ever read back, so that nothing of it is cut off."""
_COUNTS: Final = re.compile(r"both |all \d|\d+ of the ")


def cancellation(plan: CancelPlan) -> ReadBack:
    """Ask for a yes to a cancellation."""
    in_full, in_short = _paid_back(plan.refunds, full_method), _paid_back(plan.refunds, short_method)
    sentences = (
        f"{opening} cancel {order}, {plan.reason}{money}"
        for opening, order, money in (
            ("Just to confirm: I'll", _order(plan.order), in_full),
            ("I'll", _order(plan.order), in_full),
            ("I'll", _order(plan.order), in_short),
            ("I'll", _ending(plan.order), in_short),
        )
    )
    facts = {"reason": plan.reason, "refunded_to": _ids(plan.refunds)}
    return ReadBack(_asked(sentences), amount_cents=plan.cents, status=str(plan.order.status), facts=facts)


def returning(plan: ReturnPlan) -> ReadBack:
    """Ask for a yes to a return. The items are named; many are counted by their kinds, or those named that stay."""
    amount = spoken_amount(plan.cents)
    wordings = [
        [
            f"{opening} return {items} from {order} and refund {amount} to your {method}"
            for opening, order, method in (
                ("Just to confirm: I'll", _order(plan.order), full_method(plan.method)),
                ("I'll", _order(plan.order), full_method(plan.method)),
                ("I'll", _order(plan.order), short_method(plan.method)),
                ("I'll", _ending(plan.order), short_method(plan.method)),
            )
        ]
        for items in _chosen(plan.items, plan.order.items)
    ]
    told = [_shortened(sentences) for sentences in wordings]
    words = next((each for each in told if len(each.split()) <= NAMED_WORDS), min(told, key=len))
    facts: dict[str, str | int] = {"method": plan.method.kind, "items": len(plan.items)}
    return ReadBack(_bounded(words), amount_cents=plan.cents, status=str(plan.order.status), facts=facts)


def refunding(plan: RefundPlan) -> ReadBack:
    """Ask for a yes to a refund."""
    first, *others = plan.refunds
    sentences = (
        f"{opening} refund {spoken_amount(first.cents)} for {_order(plan.order)} to your {method(first.method)}"
        + "".join(f" and {spoken_amount(money.cents)} to your {method(money.method)}" for money in others)
        for opening, method in (
            ("Just to confirm: I'll", full_method),
            ("I'll", full_method),
            ("I'll", short_method),
        )
    )
    facts = {"refunded_to": _ids(plan.refunds)}
    return ReadBack(_asked(sentences), amount_cents=plan.cents, status=str(plan.order.status), facts=facts)


def swapping(plan: SwapPlan) -> ReadBack:
    """Ask for a yes to other variants, and say that it can be done only once."""
    verb, join = ("change", "to") if plan.kind == "change" else ("exchange", "for another,")
    method = full_method(plan.method)
    if plan.cents > 0:
        money = f"and charge {spoken_amount(plan.cents)} to your {method}"
    elif plan.cents < 0:
        money = f"and refund {spoken_amount(-plan.cents)} to your {method}"
    else:
        money = f"at no extra cost, on your {method}"
    sentences = (
        f"I'll {verb} {_swaps(plan, join, full=full)} in {order}, {money}. This can be done only once"
        for full in (True, False)
        for order in (_order(plan.order), _ending(plan.order))
    )
    facts: dict[str, str | int] = {"method": plan.method.kind, "items": len(plan.swaps)}
    return ReadBack(_asked(sentences), amount_cents=plan.cents, status=str(plan.order.status), facts=facts)


def paying(plan: PaymentPlan) -> ReadBack:
    """Ask for a yes to another payment method."""
    amount = spoken_amount(plan.cents)
    sentences = (
        f"I'll charge {amount} for {order} to your {method(plan.new)}, and refund your {method(plan.old)}"
        for order, method in ((_order(plan.order), full_method), (_ending(plan.order), full_method))
    )
    facts = {"method": plan.new.kind, "refunded_to": plan.old.id}
    return ReadBack(_asked(sentences), amount_cents=plan.cents, status=str(plan.order.status), facts=facts)


def sending(order: Order, place: Place) -> ReadBack:
    """Ask for a yes to another address for an order."""
    sentences = (f"I'll send {which} to {place.spoken()}" for which in (_order(order), _ending(order)))
    return ReadBack(_asked(sentences), status=str(order.status), facts={"country": place.country})


def moving(user: User, place: Place) -> ReadBack:
    """Ask for a yes to another address for the account."""
    sentence = f"I'll change the address on your account, {user.first_name}, to {place.spoken()}"
    return ReadBack(_asked([sentence]), facts={"country": place.country})


# ── parts ─────────────────────────────────────────────────────────────────────────


def _asked(sentences: Iterable[str]) -> str:
    """The first sentence that is short enough, or else the shortest, with the question. Raises `ToolError`."""
    return _bounded(_shortened(sentences))


def _bounded(asked: str) -> str:
    if len(asked) > LONGEST:
        raise ToolError("That is too much to read back at once. A colleague can do it with you.")
    return asked


def _shortened(sentences: Iterable[str]) -> str:
    shortest = ""
    for sentence in sentences:
        asked = f"{sentence}. Shall I go ahead?"
        if len(asked.split()) <= READ_BACK_WORDS:
            return asked
        shortest = asked if not shortest or len(asked) < len(shortest) else shortest
    return shortest


def _order(order: Order) -> str:
    return f"order {spelled(order.id)}"


def _ending(order: Order) -> str:
    return f"the order ending {spelled(order.id[-4:])}"


def _ids(refunds: Sequence[MoneyBack]) -> str:
    """Which methods get money back: two Visa cards may be the same word."""
    return " ".join(money.method.id for money in refunds)


def _paid_back(refunds: Sequence[MoneyBack], method: Callable[[PaymentMethod], str]) -> str:
    if not refunds:
        return ""
    amounts = [f"{spoken_amount(money.cents)} to your {method(money.method)}" for money in refunds]
    return f", and refund {listed(amounts)}"


def _chosen(chosen: Sequence[OrderItem], everything: Sequence[OrderItem]) -> Iterator[str]:
    """The chosen items in words, most telling first."""
    yield _named(chosen, everything)
    yield _named(chosen, everything, kinds=True)
    chosen_ids = {item.id for item in chosen}
    rest = [item for item in everything if item.id not in chosen_ids]
    yield f"everything but {_named(rest, everything)}" if rest else f"all {len(everything)} items"


def _named(chosen: Sequence[OrderItem], everything: Sequence[OrderItem], *, kinds: bool = False) -> str:
    """All chosen items, those that are alike as a number of them; with `kinds` also those of a kind that goes whole."""
    phrases: list[str] = []
    for item in chosen:
        kind = [other for other in everything if other.name == item.name]
        whole = kinds and all(other in chosen for other in kind)
        phrases.append(_counted(common_name(item.name), kind, kind) if whole else _apart(item, chosen, everything))
    return _listed(phrases)


def _apart(item: OrderItem, chosen: Sequence[OrderItem], everything: Sequence[OrderItem]) -> str:
    """An item by its name; with the options that set it apart when the order has others of its kind.

    Of those that are alike in all, it is said how many of `chosen` there are.
    """
    kind = [other for other in everything if other.name == item.name]
    rivals = [other.options for other in kind if other.options != item.options]
    telling = [option for option, value in item.options.items() if any(other.get(option) != value for other in rivals)]
    alike = [other for other in kind if other.options == item.options]
    name = _counted(item_name(item), [other for other in alike if other in chosen], alike)
    return f"{name} in {spoken_options(item.options, telling or None)}" if rivals else name


def _counted(name: str, chosen: Sequence[OrderItem], alike: Sequence[OrderItem]) -> str:
    """So many of things of one name: "desk lamp", "both desk lamps", "2 of the 3 desk lamps"."""
    if len(alike) == 1:
        return name
    if len(chosen) < len(alike):
        return f"{len(chosen)} of the {len(alike)} {plural(name)}"
    return f"both {plural(name)}" if len(alike) == 2 else f"all {len(alike)} {plural(name)}"


def _listed(phrases: Iterable[str]) -> str:
    """Phrases in a row, each once; the first that counts nothing has an article, for all that do not."""
    told = list(dict.fromkeys(phrases))
    bare = next((phrase for phrase in told if not _COUNTS.match(phrase)), None)
    return listed([f"the {phrase}" if phrase == bare else phrase for phrase in told])


def _swaps(plan: SwapPlan, join: str, *, full: bool) -> str:
    """What becomes of each item; of those that are alike and become the same, how many they are."""
    items = plan.order.items
    phrases = []
    for swap in plan.swaps:
        same = [other.item for other in plan.swaps if other.new.id == swap.new.id]
        told = _apart(swap.item, same, items)
        phrases.append(f"{_listed([told])} {join} {_new(swap, full=full)}")
    return listed(list(dict.fromkeys(phrases)))


def _new(swap: Swap, *, full: bool) -> str:
    """The new variant: all its options, or only those that are not as they were."""
    changed = [option for option, value in swap.new.options.items() if swap.item.options.get(option) != value]
    return spoken_options(swap.new.options, None if full else changed or None)
