"""What a colleague hears before they take a call: who, how verified, what was done, what is pending.

It comes in two parts. Whatever picks up, and that may be a machine that records, is announced the call without a word
that says whose it is. Who it is, what they want and the particulars come once a key was pressed, which a person does.

Made by code from the call's records and its effect ledger; no model words it, so nothing in it is guessed. Only
what the caller wants is in the agent's words, and is introduced as such.
"""

import json
from collections.abc import Callable, Iterable
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


def announce(handover: Handover, effects: Iterable[EffectRecord]) -> Briefing:
    """What anything that picks up may hear of a call that is being handed over."""

    def word(effect: EffectRecord) -> str:
        return f"{_name(effect)}, for another account" if _is_for_another(effect, handover) else _name(effect)

    return Briefing((f"Call for {words.place(handover.target)}.", _known(handover, ""), *_deeds(effects, word)))


def brief(call: Call, handover: Handover, effects: Iterable[EffectRecord]) -> Briefing:
    """The whole briefing of a call that is being handed over, for a person."""

    def word(effect: EffectRecord) -> str:
        whose = f"for account {_spoken(effect.account or '')}" if _is_for_another(effect, handover) else ""
        return ", ".join(part for part in (_name(effect), _arguments(effect.arguments), whose) if part)

    number = spell_number(call.caller) if call.caller else "a withheld number"
    account = f" for account {_spoken(handover.account)}" if handover.account and handover.level else ""
    wish = (f"They want: {_spoken(handover.reason).rstrip('.')}.",) if handover.reason.strip() else ()
    who = f"Call for {words.place(handover.target)}, from {number}."
    return Briefing((who, _known(handover, account), *wish, *_deeds(effects, word)))


def _known(handover: Handover, account: str) -> str:
    return f"The caller is {VERIFIED.get(handover.level, VERIFIED[0])}{account}."


def _is_for_another(effect: EffectRecord, handover: Handover) -> bool:
    """Whether an effect was not for whoever has the phone now."""
    return effect.account is not None and (not handover.level or effect.account != handover.account)


def _deeds(effects: Iterable[EffectRecord], word: Callable[[EffectRecord], str]) -> tuple[str, ...]:
    effects = tuple(effects)
    done = [word(effect) for effect in effects if effect.state in _DONE]
    pending = [f"{word(effect)} {_PENDING[effect.state]}" for effect in effects if effect.state in _PENDING]
    uncertain = any(effect.state in ("executing", "in_doubt") for effect in effects)
    deeds = f"Done in this call: {_listed(done)}." if done else _UNCERTAIN if uncertain else _NOTHING
    return (deeds, f"Pending: {_listed(pending)}.") if pending else (deeds,)


def spell_number(number: str) -> str:
    """A telephone number digit by digit: read as a number it would be millions."""
    return " ".join(number.removeprefix("+"))


def _name(effect: EffectRecord) -> str:
    return effect.tool.replace("_", " ")


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
