"""Which of a customer's orders is meant: by its number, its last digits, what is in it, its state, or its age.

Pure: only orders of the verified customer come in. Two that fit are asked about; none is the same answer as an order
of somebody else. A number that is not right is never taken for another: `find_order` proposes, and the caller decides.
"""

import re
from collections.abc import Sequence
from typing import Final

from talkspurt.agent import ToolError, spoken
from talkspurt.retail import facts
from talkspurt.retail.phrases import alike, tokens
from talkspurt.retail.schema import Order, Status
from talkspurt.retail.words import either, item_name, listed, spelled

NOT_YOURS: Final = "I can't find that order on your account."
"""The same for orders that do not exist and for those of others."""

_STATUSES: Final = {
    re.compile(r"\bpending\b|\bjust (?:placed|ordered|bought)\b|\bnot (?:yet )?shipped\b"): (
        Status.PENDING,
        Status.ITEMS_CHANGED,
    ),
    re.compile(r"\bprocessed\b"): (Status.PROCESSED,),
    re.compile(r"\bshipped\b|\bon (?:its|the) way\b"): (Status.SHIPPED,),
    re.compile(r"\bdelivered\b|\breceived\b|\bgot\b"): (
        Status.DELIVERED,
        Status.RETURN_REQUESTED,
        Status.EXCHANGE_REQUESTED,
    ),
    re.compile(r"\bcancel\w*\b"): (Status.CANCELLED,),
    re.compile(r"\blost\b"): (Status.LOST,),
}
_LATEST: Final = re.compile(r"\b(?:latest|last|newest|most recent|recent)\b")
_OLDEST: Final = re.compile(r"\b(?:first|oldest|earliest)\b")
_ENDING: Final = re.compile(
    r"\b(?:ending|ends|ended)\b(?: (?:in|with|on))?(.*)|\blast (?:four|three|few)?\s?(?:digits)(.*)"
)
_AN_ORDER: Final = re.compile(r"\b(?:order|purchase|package|parcel|delivery|one)\b")
_OFFERED: Final = 3


def choose_order(said: str, orders: Sequence[Order]) -> Order:
    """The order meant. `orders` are the customer's, oldest first. Raises `ToolError` for none, or several."""
    text = said.lower()
    numbers = {f"W{number.removeprefix('W')}" for number in spoken.identifiers(said, facts.ORDER_ID)}
    if numbers:
        fitting = [order for order in orders if order.id in numbers]
        return _one(fitting)
    if ending := _ENDING.search(text):
        digits = spoken.digits(ending.group(1) or ending.group(2) or "")
        return _one([order for order in orders if len(digits) >= 2 and order.id.endswith(digits)])
    if len(spoken.digits(said)) >= 3:
        # Most of a number, but no number: somebody has to say it again.
        raise ToolError(NOT_YOURS)
    return _one(_described(text, orders))


def _described(text: str, orders: Sequence[Order]) -> list[Order]:
    """The orders that everything said is true of; none when nothing was said of one."""
    fitting = list(orders)
    told = False
    for pattern, statuses in _STATUSES.items():
        if pattern.search(text):
            told = True
            fitting = [order for order in fitting if order.status in statuses]
    words = set(tokens(re.sub(r"(?<=[a-z])-(?=[a-z])", "", text)))
    with_items = [order for order in fitting if _has_item(order, words)]
    if with_items:
        told = True
        fitting = with_items
    if _LATEST.search(text) or _OLDEST.search(text):
        told = True
        fitting = fitting[-1:] if _LATEST.search(text) else fitting[:1]
    return fitting if told or _AN_ORDER.search(text) else []


def _has_item(order: Order, words: set[str]) -> bool:
    """Whether one of the order's items was named, by the last word of its name at least."""
    nouns = (tokens(re.sub(r"(?<=[A-Za-z])-(?=[A-Za-z])", "", item.name))[-1] for item in order.items)
    return any(alike(word, noun) for noun in nouns for word in words)


def _one(fitting: Sequence[Order]) -> Order:
    if not fitting:
        raise ToolError(NOT_YOURS)
    if len(fitting) > 1:
        shown = [
            f"the one ending {spelled(order.id[-4:])} with the {listed([item_name(item) for item in order.items[:2]])}"
            for order in fitting[-_OFFERED:]
        ]
        raise ToolError(f"Which order do you mean: {either(shown)}?")
    return fitting[0]
