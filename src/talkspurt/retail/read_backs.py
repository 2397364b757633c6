"""What a caller hears before they agree: each plan in one sentence and a question, and its facts for the policy.

Made from the plan alone, so that what is agreed is what is done. About ten seconds long, after which callers forget
how it began: of several wordings the first that is short enough is taken, and less is said of the items only then.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from talkspurt.agent import ReadBack, ToolError
from talkspurt.retail.addresses import Place
from talkspurt.retail.changes import PaymentPlan, Swap, SwapPlan
from talkspurt.retail.claims import CancelPlan, MoneyBack, RefundPlan, ReturnPlan
from talkspurt.retail.options import spoken_options
from talkspurt.retail.schema import Order, OrderItem, PaymentMethod, User
from talkspurt.retail.words import full_method, item_name, listed, short_method, spelled, spoken_amount

READ_BACK_WORDS: Final = 30
"""Longest read-back where one can choose."""
NAMED_WORDS: Final = 45
"""Longest read-back of a return: of more items the first are named, and it is said how many more there are."""
MOST_NAMED: Final = 5
"""Items that are named of a return that is too long to name them all."""
LONGEST: Final = 380
"""Characters that are ever read back, so that nothing of it is cut off."""


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
    facts = {"reason": plan.reason}
    return ReadBack(_asked(sentences), amount_cents=plan.cents, status=str(plan.order.status), facts=facts)


def returning(plan: ReturnPlan) -> ReadBack:
    """Ask for a yes to a return. The items are named; of too many, those that stay, or the first."""
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
    told = (_shortened(sentences) for sentences in wordings)
    words = next((each for each in told if len(each.split()) <= NAMED_WORDS), None) or _asked(wordings[-1])
    facts: dict[str, str | int] = {"method": plan.method.kind, "items": len(plan.items)}
    return ReadBack(words, amount_cents=plan.cents, status=str(plan.order.status), facts=facts)


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
    return ReadBack(_asked(sentences), amount_cents=plan.cents, status=str(plan.order.status))


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
        f"I'll {verb} {_swaps(plan.swaps, join, full=full)} in {order}, {money}. This can be done only once"
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
    facts = {"method": plan.new.kind}
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
    asked = _shortened(sentences)
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


def _paid_back(refunds: Sequence[MoneyBack], method: Callable[[PaymentMethod], str]) -> str:
    if not refunds:
        return ""
    amounts = [f"{spoken_amount(money.cents)} to your {method(money.method)}" for money in refunds]
    return f", and refund {listed(amounts)}"


def _chosen(chosen: Sequence[OrderItem], everything: Sequence[OrderItem]) -> Iterator[str]:
    """The chosen items in words, most telling first."""
    names = [_told_apart(item, everything) for item in chosen]
    yield f"the {listed(names)}"
    chosen_ids = {item.id for item in chosen}
    rest = [_told_apart(item, everything) for item in everything if item.id not in chosen_ids]
    if not rest:
        yield f"all {len(everything)} items"
    else:
        yield f"everything but the {listed(rest)}"
    for named in range(min(MOST_NAMED, len(names) - 1), 0, -1):
        more = len(names) - named
        yield f"the {listed([*names[:named], f'{more} more of the {len(everything)} items'])}"


def _told_apart(item: OrderItem, everything: Sequence[OrderItem]) -> str:
    """An item by its name; with the options that set it apart when the order has two of its kind."""
    rivals = [other.options for other in everything if other.product_id == item.product_id and other.id != item.id]
    telling = [option for option, value in item.options.items() if any(other.get(option) != value for other in rivals)]
    return f"{item_name(item)} in {spoken_options(item.options, telling)}" if telling else item_name(item)


def _swaps(swaps: Sequence[Swap], join: str, *, full: bool) -> str:
    return listed([f"the {item_name(swap.item)} {join} {_new(swap, full=full)}" for swap in swaps])


def _new(swap: Swap, *, full: bool) -> str:
    """The new variant: all its options, or only those that are not as they were."""
    changed = [option for option, value in swap.new.options.items() if swap.item.options.get(option) != value]
    return spoken_options(swap.new.options, None if full else changed or None)
