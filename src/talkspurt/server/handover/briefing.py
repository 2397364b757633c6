"""What a colleague hears before they take a call: who, how verified, what was done, what is pending.

Made by code from the call's records and its effect ledger; no model words it, so nothing in it is guessed. Only
what the caller wants is in the agent's words, and is introduced as such.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from talkspurt.ports import EffectRecord
from talkspurt.server.handover import words
from talkspurt.store import Call, Handover

LONGEST: Final = 2_000
"""Characters: two minutes of speech are more than anybody listens to."""
MOST_EFFECTS: Final = 5

VERIFIED: Final = {
    0: "not verified",
    1: "verified by facts that match our records",
    2: "verified by a one-time code or PIN",
}
_PENDING: Final = {
    "proposed": "was offered, and the caller has not said yes",
    "read_back": "was read out, and the caller has not said yes",
    "confirmed": "was confirmed, and is not done yet",
    "executing": "is being carried out",
    "in_doubt": "may or may not have happened: please check",
}
_DONE: Final = ("done", "resolved_done")
_NOTHING: Final = "Nothing was changed in this call."
_UNCERTAIN: Final = "Nothing is known to have been changed in this call."


@dataclass(frozen=True, slots=True)
class Briefing:
    """The sentences, in order."""

    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it as it is spoken."""
        return " ".join(self.sentences)[:LONGEST]


def brief(call: Call, handover: Handover, effects: Iterable[EffectRecord]) -> Briefing:
    """The briefing of a call that is being handed over."""
    number = spell_number(call.caller) if call.caller else "a withheld number"
    who = f"Call for {words.place(handover.target)}, from {number}."
    account = f" for account {_spoken(handover.account)}" if handover.account and handover.level else ""
    known = f"The caller is {VERIFIED.get(handover.level, VERIFIED[0])}{account}."
    wish = f"They want: {_spoken(handover.reason).rstrip('.')}." if handover.reason.strip() else ""
    effects = tuple(effects)
    done = [_effect(effect) for effect in effects if effect.state in _DONE]
    pending = [f"{_effect(effect)} {_PENDING[effect.state]}" for effect in effects if effect.state in _PENDING]
    uncertain = any(effect.state in ("executing", "in_doubt") for effect in effects)
    return Briefing(
        tuple(
            sentence
            for sentence in (
                who,
                known,
                wish,
                f"Done in this call: {_listed(done)}." if done else _UNCERTAIN if uncertain else _NOTHING,
                f"Pending: {_listed(pending)}." if pending else "",
            )
            if sentence
        )
    )


def spell_number(number: str) -> str:
    """A telephone number digit by digit: read as a number it would be millions."""
    return " ".join(number.removeprefix("+"))


def _effect(effect: EffectRecord) -> str:
    name = effect.tool.replace("_", " ")
    arguments = _arguments(effect.arguments)
    return f"{name}, {arguments}" if arguments else name


def _arguments(text: str) -> str:
    try:
        arguments = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(arguments, dict):
        return ""
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in arguments.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return _listed([_value(item) for item in value])
    return _spoken(str(value))


def _listed(items: list[str]) -> str:
    shown, more = items[:MOST_EFFECTS], len(items) - MOST_EFFECTS
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def _spoken(text: str) -> str:
    """Text of strangers as one line of speech: no control characters, no markup, not endless."""
    cleaned = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(cleaned.replace("_", " ").split())[:300]
