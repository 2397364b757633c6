"""Reading the value of a slot out of what a caller said."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, Final

from rapidfuzz import fuzz

from talkspurt.agent.dialogue import Slot
from talkspurt.agent.spoken import digits, email_address, identifiers, person_name, zip_code
from talkspurt.models.offline.english import means_all, ordinal, ruled_out
from talkspurt.models.offline.standing import Option

_SAME_WORD: Final = 0.75
"""Likeness of two spellings (difflib) from which one may be a mishearing of the other."""
_CLOSE: Final = 60
_MARGIN: Final = 15
"""Likeness (rapidfuzz partial ratio) of a whole misheard answer to an option, and its lead over the next: on answers
of simulated callers through Whisper tiny.en, mishearings reach 61 with a lead of 21, other answers 57 with one of 4."""
_SMALL_WORDS: Final = frozenset(
    ("the", "a", "an", "of", "and", "or", "my", "for", "with", "one", "it", "that", "this", "to")
)
_NONE: Final = re.compile(r"\b(?:neither|none|nothing)\b", re.IGNORECASE)
_MY_NAME: Final = re.compile(r"\bmy name(?:'s| is)\b(.*)", re.IGNORECASE)
_END_OF_NAME: Final = re.compile(r"\b(?:and|but|i'm|i am|calling)\b|[.,;](?=\s)", re.IGNORECASE)


def read(slot: Slot, text: str, *, typed: bool = False, options: Sequence[Option] = ()) -> dict[str, Any]:
    """The facts that an answer to this slot's question gives; {} when it gives none."""
    match slot.kind:
        case "zip":
            value = zip_code(text)
        case "email":
            value = email_address(text)
        case "identifier":
            if typed:
                return _typed_identifier(slot, text)
            found = identifiers(text, slot.pattern)
            value = found[-1] if found else None
        case "person":
            name = person_name(text)
            return dict(zip(slot.fills(), name, strict=True)) if name else {}
        case "choice":
            chosen = choose(text, options or [Option(choice, choice) for choice in slot.choices], many=slot.many)
            if not chosen:
                return {}
            return {slot.name: chosen if slot.many else chosen[0]}
        case "free":
            value = text.strip() or None
    if not value:
        return {}
    return {slot.name: [value] if slot.many else value}


def _typed_identifier(slot: Slot, text: str) -> dict[str, Any]:
    """A keypad has no letters: those that begin the pattern are understood."""
    keyed = re.sub(r"\D", "", text)
    prefix = re.match(r"[A-Z]*", slot.pattern)
    value = (prefix.group() if prefix else "") + keyed
    return {slot.name: value} if re.fullmatch(slot.pattern, value) else {}


def mentioned(slot: Slot, text: str) -> dict[str, Any]:
    """The facts that stand out in any sentence, asked for or not: ids, addresses, a ZIP code called one, a choice."""
    if slot.kind == "choice" and slot.choices:
        chosen = choose(text, [Option(choice, choice) for choice in slot.choices], many=slot.many, strict=True)
        return {slot.name: chosen if slot.many else chosen[0]} if chosen else {}
    if slot.kind in ("identifier", "email"):
        return read(slot, text)
    if slot.kind == "zip":
        said = re.search(r"\b(?:zip|postal|post)(?: ?code)?\b(.*)", text, re.IGNORECASE)
        return read(slot, said.group(1)) if said else {}
    if slot.kind == "person" and (named := _MY_NAME.search(text)):
        return read(slot, _END_OF_NAME.split(named.group(1))[0])
    return {}


def told(slot: Slot, text: str) -> dict[str, Any]:
    """What the words of a wish tell of a free slot, by `Slot.opening`."""
    return read(slot, text) if slot.opening and re.search(slot.opening, text, re.IGNORECASE) else {}


def sounds_like_digits(text: str) -> bool:
    """Whether an answer holds enough digits to be an attempt at a number."""
    return len(digits(text)) >= 3


def choose(text: str, options: Sequence[Option], *, many: bool = False, strict: bool = False) -> list[str]:
    """Values of the options that `text` names, by their words, number or place; "all" only of `many`.

    `strict` for words that were not an answer: only names count.
    """
    values = list(dict.fromkeys(option.value for option in options))
    wanted, unwanted = ruled_out(text)
    if unwanted and (out := choose(unwanted, options, many=True, strict=True)):
        return _chosen_without(out, wanted, options, many=many, strict=strict)
    if many and means_all(text):
        return values
    said = re.findall(r"[a-z0-9]+", text.lower())
    scores = {option.value: _named(said, option) for option in options}
    best = max(scores.values(), default=0.0)
    if best >= 0.5:
        threshold = 0.9 if many else best
        found = [value for value in values if scores[value] >= min(threshold, best)]
        return found if many or len(found) == 1 else []
    if strict:
        return []
    number = digits(text)
    by_number = [value for value in values if len(number) >= 3 and number in re.sub(r"\D", "", value)]
    if len(by_number) == 1:
        return by_number
    place = ordinal(text)
    if place is not None and -len(values) <= place < len(values):
        return [values[place]]
    if _NONE.search(text):
        return []
    leading = [value for value in values if scores[value] == best > 0]
    return leading if len(leading) == 1 else _sounding(said, values)


def _chosen_without(
    out: Sequence[str], wanted: str, options: Sequence[Option], *, many: bool, strict: bool
) -> list[str]:
    """The choice when `out` was ruled out: what is named beside it, or what it leaves."""
    left = [option for option in options if option.value not in out]
    if many and means_all(wanted):
        return list(dict.fromkeys(option.value for option in left))
    named = choose(wanted, left, many=many, strict=True)
    # Of two things "not the one" is the other, but only as an answer: later it takes back what was chosen.
    return named or ([left[0].value] if len({option.value for option in left}) == 1 and not strict else [])


def _sounding(said: Sequence[str], values: Sequence[str]) -> list[str]:
    """The one option that misheard words come clearly closest to ("wider little head zone": wireless headphones)."""
    heard = "".join(word for word in said if word not in _SMALL_WORDS)
    scores = [fuzz.partial_ratio(re.sub(r"[^a-z0-9]", "", value.lower()), heard) for value in values]
    best = max(scores, default=0.0)
    rivals = [score for score in scores if score > best - _MARGIN]
    return [values[scores.index(best)]] if best >= _CLOSE and len(rivals) == 1 else []


def _named(said: Sequence[str], option: Option) -> float:
    """Share of the option's own words that were said, or something that sounds like them."""
    words = [word for word in re.findall(r"[a-z0-9]+", option.value.lower()) if word not in _SMALL_WORDS]
    if not words:
        return 0.0
    hits = [max((_alike(word, each) for each in said if each not in _SMALL_WORDS), default=0.0) for word in words]
    return sum(hit for hit in hits if hit >= _SAME_WORD) / len(words)


def _alike(one: str, other: str) -> float:
    if one.rstrip("s") == other.rstrip("s"):
        return 1.0
    return difflib.SequenceMatcher(None, one, other).ratio() if len(one) > 3 else 0.0
