"""What a caller means by "can you spell that?": the last id, address or name that either side mentioned."""

import re
from collections.abc import Sequence
from typing import Final

from talkspurt.agent.dialogue import Slot
from talkspurt.agent.spoken import alphanumerics, email_address, identifiers
from talkspurt.models.offline.standing import Standing

_KINDS: Final = ("identifier", "email", "person")
"""Kinds of slots whose values are spelled, the likelier first."""
_ANY_ID: Final = r"(?=[A-Z]*\d)[A-Z\d]{5,}"
"""A number that no slot stands for: what a tool returned."""
_INTRODUCED: Final = re.compile(
    r"\b(?:this is|my name is|name's|I'm|you as|it's under) ([A-Z][\w'-]+(?: [A-Z][\w'-]+)?)", re.UNICODE
)
_ASKS: Final = re.compile(
    r"\b(?:can|could|would|will) you (?:please |just |also |maybe )*spell\b|\bplease spell\b|^\W*spell\b|\byou spell\b"
    r"|\bhow (?:do|would|should) (?:i|you) spell\b|\bhow (?:is|are|was) .{1,30} (?:spelled|spelt)\b",
    re.IGNORECASE,
)
_OFFERS: Final = re.compile(r"\b(?:i|i'll|i will|i can|let me|shall i) spell\b", re.IGNORECASE)
_SPELLED: Final = 3
"""Letters from which a turn spells something itself: "it's spelled R O S S I" asks for nothing."""


def wants_spelling(text: str) -> bool | None:
    """True when the caller asks for it, False when they spell themselves; None when the words alone do not tell."""
    if _OFFERS.search(text.replace("’", "'")) and not re.search(r"\bhow (?:do|would|should) i\b", text, re.IGNORECASE):
        return False
    if _ASKS.search(text):
        return True
    return False if len(alphanumerics(text)) >= _SPELLED else None


def to_spell(slots: Sequence[Slot], standing: Standing, asked: str) -> str:
    """The value to spell: what `asked` names, else what was mentioned last; "" when there is nothing."""
    able = sorted((slot for slot in slots if slot.kind in _KINDS), key=lambda slot: _KINDS.index(slot.kind))
    named = [slot for slot in able if _names(slot, asked)]
    for slot in named or able:
        if value := _said_of(slot, standing):
            return value
    if not named and (found := identifiers(standing.said, _ANY_ID)):
        return found[-1]
    if introduced := _INTRODUCED.search(standing.said):
        return introduced.group(1)
    owners = {fact: slot for slot in named or able for fact in slot.fills()}
    for fact in reversed(list(standing.facts)):
        if fact in owners:
            return " ".join(str(standing.facts[each]) for each in owners[fact].fills() if standing.facts.get(each))
    return ""


def _names(slot: Slot, asked: str) -> bool:
    words = {*slot.spoken().lower().split(), "name" if slot.kind == "person" else slot.kind}
    return bool(words & set(re.findall(r"[a-z]+", asked.lower().replace("e-mail", "email"))))


def _said_of(slot: Slot, standing: Standing) -> str:
    """The slot's value in the agent's last words."""
    if slot.kind == "email":
        return email_address(standing.said) or ""
    if slot.kind == "identifier":
        return next(reversed(identifiers(standing.said, slot.pattern)), "")
    known = [str(standing.facts[name]) for name in slot.fills() if standing.facts.get(name)]
    return " ".join(name for name in known if re.search(rf"\b{re.escape(name)}\b", standing.said))
