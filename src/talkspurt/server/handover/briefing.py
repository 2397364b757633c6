"""What a colleague hears before they take a call: who, how verified, what was done, what is pending, what was refused.

It comes in two parts. Whatever picks up, and that may be a machine that records, is announced the call without a word
that says whose it is. Who it is, what they want and the particulars come once a key was pressed, which a person does.

Made by code from the call's records and its effect ledger; no model words it, so nothing in it is guessed: an effect is
told in the words of its read-back, which are made from its arguments. Only what the caller wants is in the agent's
words, and is introduced as such.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from talkspurt.ports import EffectRecord
from talkspurt.server.handover import words
from talkspurt.store import Call, Handover

LONGEST: Final = 2_000
"""Characters: two minutes of speech are more than anybody listens to."""
MOST_EFFECTS: Final = 5
MOST_CHARACTERS: Final = 400
"""Of one piece of it; a read-back has no more."""

VERIFIED: Final = {
    0: "not verified",
    1: "verified by facts that match our records",
    2: "verified by a one-time code or PIN",
}
_OFFERED: Final = "was offered, and the caller has not said yes"
_PENDING: Final = {
    "proposed": _OFFERED,
    "read_back": _OFFERED,
    # What waited for a yes is withdrawn when its caller leaves for a person.
    "withdrawn": _OFFERED,
    "confirmed": "was confirmed, and is not done yet",
    "executing": "is being carried out",
    "in_doubt": "may or may not have happened: please check",
}
_DONE: Final = ("done", "resolved_done")
_NOT_DONE: Final = {
    "refused": "it was refused",
    "failed": "it did not work",
    "expired": "the connection broke before it was begun",
    "resolved_not_done": "it is certain by now that it did not happen",
}
"""By state, why what the caller wanted was not done, unless its tool or the policy has said so itself."""
_MODELS: Final = ("unknown_tool", "invalid_arguments")
"""Kinds of refusals that are the model's own fault."""
_STATED: Final = re.compile(r"(.*[.!])\s+[^?]*\?\s*")
"""A read-back, up to the question behind it."""
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

    return Briefing(
        (f"Call for {words.place(handover.target)}.", _known(handover, ""), *_deeds(effects, word, lambda _effect: ""))
    )


def brief(call: Call, handover: Handover, effects: Iterable[EffectRecord]) -> Briefing:
    """The whole briefing of a call that is being handed over, for a person."""

    def word(effect: EffectRecord) -> str:
        whose = f"for account {_spoken(effect.account or '')}" if _is_for_another(effect, handover) else ""
        read = _spoken(effect.words)
        stated = _STATED.fullmatch(read)
        read = (stated[1] if stated else read).rstrip(".")
        what = f"as read to the caller: {read}" if read else _arguments(effect.arguments)
        return ", ".join(part for part in (_name(effect), whose, what) if part)

    number = spell_number(call.caller) if call.caller else "a withheld number"
    account = f" for account {_spoken(handover.account)}" if handover.account and handover.level else ""
    wish = (f"They want: {_spoken(handover.reason).rstrip('.')}.",) if handover.reason.strip() else ()
    who = f"Call for {words.place(handover.target)}, from {number}."
    return Briefing((who, _known(handover, account), *wish, *_deeds(effects, word, _reason)))


def _known(handover: Handover, account: str) -> str:
    return f"The caller is {VERIFIED.get(handover.level, VERIFIED[0])}{account}."


def _is_for_another(effect: EffectRecord, handover: Handover) -> bool:
    """Whether an effect was not for whoever has the phone now."""
    return effect.account is not None and (not handover.level or effect.account != handover.account)


def _deeds(
    effects: Iterable[EffectRecord], word: Callable[[EffectRecord], str], why: Callable[[EffectRecord], str]
) -> tuple[str, ...]:
    """What was done, what is open and what came to nothing, of a call's effects in their order."""
    effects = tuple(effects)
    done = [word(effect) for effect in effects if effect.state in _DONE]
    pending = [_sentence(word(effect), _PENDING[effect.state]) for effect in effects if _is_pending(effect, effects)]
    refused = [
        f"{word(effect)}: {why(effect)}" if why(effect) else word(effect) for effect in _came_to_nothing(effects)
    ]
    uncertain = any(effect.state in ("executing", "in_doubt") for effect in effects)
    deeds = f"Done in this call: {_listed(done)}." if done else _UNCERTAIN if uncertain else _NOTHING
    return (
        deeds,
        *([f"Pending: {_listed(pending)}."] if pending else []),
        *([f"Wanted, and not done: {_listed(refused)}."] if refused else []),
    )


def _sentence(what: str, stands: str) -> str:
    """Whole sentences that were read to the caller end where what became of them begins."""
    return f"{what}. This {stands}" if ", as read to the caller: " in what else f"{what} {stands}"


def _is_pending(effect: EffectRecord, effects: tuple[EffectRecord, ...]) -> bool:
    """Whether it waits for something; of what was withdrawn only what the caller was asked for last."""
    if effect.state != "withdrawn":
        return effect.state in _PENDING
    wished = [one for one in effects if one.state not in _NOT_DONE]
    return effect is wished[-1]


def _came_to_nothing(effects: tuple[EffectRecord, ...]) -> list[EffectRecord]:
    """What was wanted and not done, each once; not what has gone further since.

    Nor what was no wish of the caller's yet: the tool asked what they mean, or the model asked for what there is not.
    """
    found: dict[tuple[str, str], EffectRecord] = {}
    for n, effect in enumerate(effects):
        if effect.state not in _NOT_DONE or _reason(effect).endswith("?") or _error(effect).get("kind") in _MODELS:
            continue
        if not any(_goes_on(effect, later) for later in effects[n + 1 :]):
            found[effect.tool, _reason(effect)] = effect
    return list(found.values())


def _goes_on(effect: EffectRecord, later: EffectRecord) -> bool:
    """Whether a later effect is the same wish, and has come further."""
    if later.tool != effect.tool or later.state in _NOT_DONE:
        return False
    if _error(effect).get("kind") == "verification_required":
        return True
    mine, others = _object(effect.arguments), _object(later.arguments)
    return all(_alike(mine[name], others[name]) for name in mine.keys() & others.keys())


def _alike(one: Any, other: Any) -> bool:
    """Whether two arguments are the same, whatever the caller's words for it were: "#W 1" and "W1"."""
    plain = [re.sub(r"[^a-z0-9]", "", str(value).lower()) for value in (one, other)]
    return plain[0] == plain[1]


def _reason(effect: EffectRecord) -> str:
    said = _error(effect).get("message") if effect.state in ("refused", "failed") else None
    return _spoken(str(said)).rstrip(".") if said else _NOT_DONE[effect.state]


def _error(effect: EffectRecord) -> dict[str, Any]:
    error = _object(effect.result or "").get("error")
    return error if isinstance(error, dict) else {}


def spell_number(number: str) -> str:
    """A telephone number digit by digit: read as a number it would be millions."""
    return " ".join(number.removeprefix("+"))


def _name(effect: EffectRecord) -> str:
    return effect.tool.replace("_", " ")


def _arguments(text: str) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in _object(text).items())


def _object(text: str) -> dict[str, Any]:
    """A JSON object; empty for what is none, such as arguments of a model that were refused."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


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
    return " ".join(cleaned.replace("_", " ").split())[:MOST_CHARACTERS]
