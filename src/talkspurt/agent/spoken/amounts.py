"""Quantities and amounts of money as people say them: "two and a half", "a hundred and five dollars fifty"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from talkspurt.agent.spoken.number_words import UNITS, Read, below_hundred, number, vocabulary, words

_POINTING: Final = frozenset(
    vocabulary(
        "the this that which no any each every another other new old last next first second third blue red "
        "black white green big small same right wrong good"
    )
)
"""Before these, "one" is no number: "the blue one"."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of money."""

    value: Decimal
    currency: str
    """ISO 4217."""


_UNITS: Final = (
    dict.fromkeys(("dollar", "dollars", "buck", "bucks", "usd"), "USD")
    | dict.fromkeys(("euro", "euros", "eur"), "EUR")
    | dict.fromkeys(("pound", "pounds", "quid", "gbp"), "GBP")
)
_SMALL: Final = frozenset({"cent", "cents", "penny", "pennies", "pence", "p"})
_COINS: Final = {"quarter": "0.25", "dime": "0.10", "nickel": "0.05", "penny": "0.01"}
_SYMBOLS: Final = {"$": "USD", "€": "EUR", "£": "GBP"}
_WRITTEN: Final = re.compile(r"([$€£])\s?((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?:\s?(thousand|million|billion))?")
_SCALES: Final = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}


def quantity(text: str) -> Decimal | None:
    """The one number that was said; None without one, and when there are several that differ."""
    said = words(text)
    found: set[Decimal] = set()
    at = 0
    while at < len(said):
        read = number(said, at)
        if read is None or (said[at] == "one" and read[1] == at + 1 and at > 0 and said[at - 1] in _POINTING):
            at += 1
            continue
        found.add(read[0])
        at = read[1]
    return found.pop() if len(found) == 1 else None


def money(text: str, *, currency: str = "USD") -> Money | None:
    """The first amount of money in `text`; None without one.

    Without its unit ("nineteen ninety nine") it is in `currency`.
    """
    if written := _WRITTEN.search(text):
        value = Decimal(written[2].replace(",", "")) * _SCALES.get(written[3] or "", 1)
        return Money(value, _SYMBOLS[written[1]])
    said = words(text)
    for at in range(len(said)):
        if found := _amount(said, at):
            return found
    bare = _bare_price(said)
    return Money(bare, currency) if bare is not None else None


def _amount(said: Sequence[str], at: int) -> Money | None:
    """What is said with its unit at `at`."""
    if (
        said[at] in ("a", "one")
        and said[at + 1 : at + 2]
        and said[at + 1] in _COINS
        and said[at + 2 : at + 3] != ["to"]
    ):
        return Money(Decimal(_COINS[said[at + 1]]), "USD")
    read: Read | None = number(said, at)
    if read is None and said[at] in ("a", "an"):
        read = Decimal(1), at + 1
    if read is None or read[1] >= len(said):
        return None
    value, after = read
    unit = said[after]
    if unit in _SMALL:
        return Money(value / 100, "GBP" if unit in ("pence", "p") else "USD")
    if unit == "grand":
        return Money(value * 1000, "USD")
    if unit not in _UNITS:
        return None
    return Money(value + _small_change(said, after + 1), _UNITS[unit])


def _small_change(said: Sequence[str], at: int) -> Decimal:
    """As in "and fifty cents", "fifty"."""
    joined = said[at : at + 1] == ["and"]
    read = number(said, at + joined)
    if read is None or not 0 <= read[0] < 100 or read[0] != int(read[0]):
        return Decimal(0)
    named = said[read[1] : read[1] + 1]
    if (named and named[0] in _SMALL) or (not joined and not named):
        return read[0] / 100
    return Decimal(0)


def _bare_price(said: Sequence[str]) -> Decimal | None:
    """As in "nineteen ninety nine", "six fifty", "one oh five fifty": only when nothing else is said."""
    parts: list[int] = []
    at = 0
    while at < len(said):
        part = below_hundred(said, at)
        if part is None:
            return None
        parts.append(part[0])
        at = part[1]
    if len(parts) < 2 or not 10 <= parts[-1] <= 99:
        return None
    if len(parts) > 2 and any(part not in UNITS.values() or part > 9 for part in parts[:-1]):
        return None
    return Decimal("".join(map(str, parts[:-1]))) + Decimal(parts[-1]) / 100
