"""Number words of English and the numbers that a sequence of words begins with."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final


def vocabulary(text: str) -> tuple[str, ...]:
    """Words that are data, in order."""
    return tuple(text.split())


UNITS: Final = {
    word: value
    for value, word in enumerate(
        vocabulary(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
            "sixteen seventeen eighteen nineteen"
        )
    )
} | {"oh": 0, "nought": 0, "niner": 9}
TENS: Final = {
    word: 10 * value
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
SCALES: Final = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_COLLECTIVES: Final = {"dozen": 12, "couple": 2}
_ORDINAL_UNITS: Final = {
    word: value
    for value, word in enumerate(
        vocabulary(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
            "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
        ),
        1,
    )
}
_ORDINAL_TENS: Final = {"twentieth": 20, "thirtieth": 30}
_NUMERAL: Final = re.compile(r"\d+(?:\.\d+)?")

_WORD: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[a-z]+(?:'[a-z]+)?")

Read = tuple[Decimal, int]
"""A number and the index of the word after it."""


def words(text: str) -> list[str]:
    """Words and numerals of `text` in lower case, without marks; numerals without commas."""
    plain = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text.lower().replace("’", "'"))
    return [word.replace(",", "") for word in _WORD.findall(plain)]


def below_hundred(said: Sequence[str], at: int) -> tuple[int, int] | None:
    """As in "twenty three" → 23."""
    if at >= len(said):
        return None
    if said[at] in UNITS:
        return UNITS[said[at]], at + 1
    if said[at] not in TENS:
        return None
    unit = UNITS.get(said[at + 1], 0) if at + 1 < len(said) else 0
    return (TENS[said[at]] + unit, at + 2) if 1 <= unit <= 9 else (TENS[said[at]], at + 1)


def number(said: Sequence[str], at: int) -> Read | None:
    """The number that begins at `at`: "a hundred and five", "minus two and a half", "1.5 million", "half a dozen"."""
    if at >= len(said):
        return None
    word, rest = said[at], said[at + 1 : at + 3]
    if word in ("minus", "negative"):
        read = number(said, at + 1)
        return (-read[0], read[1]) if read else None
    if word == "half" and rest[:1] == ["a"] and rest[1:] and rest[1] in {**SCALES, "dozen": 12}:
        return Decimal({**SCALES, "dozen": 12}[rest[1]]) / 2, at + 3
    if word == "point":
        fraction, after = _decimals(said, at + 1)
        return (Decimal(f"0.{fraction}"), after) if fraction else None
    read = _whole(said, at)
    return _with_fraction(said, *read) if read else None


def _whole(said: Sequence[str], at: int) -> Read | None:
    total = current = Decimal(0)
    start = at
    known = False
    """Whether a number stands before what follows, which only a scale may continue."""
    while at < len(said):
        word = said[at]
        part = below_hundred(said, at)
        if _NUMERAL.fullmatch(word) and not known:
            current, at, known = current + Decimal(word), at + 1, True
        elif part is not None and not known:
            current, at, known = current + part[0], part[1], True
        elif word in ("a", "an") and at == start and said[at + 1 : at + 2] and _counts(said[at + 1]):
            current, at, known = Decimal(1), at + 1, True
        elif word == "hundred" and known and current < 100:
            current, at, known = current * 100, at + 1, False
        elif word in _COLLECTIVES and known:
            current, at = current * _COLLECTIVES[word], at + 1
            at += said[at : at + 1] == ["of"]
        elif word in SCALES and (known or current):
            total, current, at, known = total + current * SCALES[word], Decimal(0), at + 1, False
        elif word == "and" and at > start and not known and _begins_number(said, at + 1):
            at += 1
        else:
            break
    return (total + current, at) if at > start else None


def _counts(word: str) -> bool:
    return word == "hundred" or word in SCALES or word in _COLLECTIVES


def _begins_number(said: Sequence[str], at: int) -> bool:
    return at < len(said) and (below_hundred(said, at) is not None or _NUMERAL.fullmatch(said[at]) is not None)


def _with_fraction(said: Sequence[str], value: Decimal, at: int) -> Read:
    if said[at : at + 1] == ["point"]:
        fraction, after = _decimals(said, at + 1)
        if fraction:
            return value + Decimal(f"0.{fraction}"), after
    if tuple(said[at : at + 3]) == ("and", "a", "half"):
        return value + Decimal("0.5"), at + 3
    if tuple(said[at : at + 3]) == ("and", "a", "quarter"):
        return value + Decimal("0.25"), at + 3
    return value, at


def _decimals(said: Sequence[str], at: int) -> tuple[str, int]:
    fraction = ""
    while at < len(said):
        part = below_hundred(said, at)
        if part is None:
            if not said[at].isdigit():
                break
            part = int(said[at]), at + 1
        fraction += str(part[0])
        at = part[1]
    return fraction, at


def ordinal(said: Sequence[str], at: int) -> tuple[int, int] | None:
    """As in "twenty fifth" → 25. Numerals have lost their ending."""
    if at >= len(said):
        return None
    word = said[at]
    if word in _ORDINAL_UNITS:
        return _ORDINAL_UNITS[word], at + 1
    if word in _ORDINAL_TENS:
        return _ORDINAL_TENS[word], at + 1
    if word in TENS and at + 1 < len(said) and _ORDINAL_UNITS.get(said[at + 1], 10) < 10:
        return TENS[word] + _ORDINAL_UNITS[said[at + 1]], at + 2
    return None
