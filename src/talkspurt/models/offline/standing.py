"""Where a dialogue stands: a frozen value that the policy folds the history into.

Nothing of it outlives a request; two requests with the same history stand at the same place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from talkspurt.agent.dialogue import Slot

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to choose: its value and how it is said."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call and what it is for; `slot` is the one it fills."""

    role: Literal["task", "resolve", "options", "verify", "slower"]
    tool: str
    arguments: Mapping[str, Any]
    slot: str = ""


# ── what the caller was asked last ────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing: the floor is open."""


@dataclass(frozen=True, slots=True)
class ForSlot:
    """To tell a fact."""

    slot: str


@dataclass(frozen=True, slots=True)
class IsThatRight:
    """Whether a close match is the right one."""

    slot: str
    value: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Which:
    """Which of two intents was meant."""

    first: str
    second: str


@dataclass(frozen=True, slots=True)
class AnythingElse:
    """Whether there is anything else."""


@dataclass(frozen=True, slots=True)
class APerson:
    """Whether a person should take over."""


@dataclass(frozen=True, slots=True)
class GoAhead:
    """Whether to do what was read back. The runtime asks, and hears the yes itself."""

    call: Call
    times: int = 1


Question = Nothing | ForSlot | IsThatRight | Which | AnythingElse | APerson | GoAhead


@dataclass(frozen=True, slots=True)
class Standing:
    """All that the history says about the conversation."""

    turn: int = 0
    """Caller's turns so far: chooses among equally good wordings."""
    intent: str = ""
    before: str = ""
    """The intent before this one: what a call for a person is about."""
    topic: int | None = None
    """Which outcome of the intent was asked about."""
    opening: str = ""
    """The words that began the intent; they may name what is asked for later."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    heard: Mapping[str, str] = field(default_factory=dict)
    """Words about a slot that its resolver has not seen yet."""
    missed: Mapping[str, str] = field(default_factory=dict)
    """Words about a slot that could not be matched; the next ones may be their other half."""
    misses: Mapping[str, int] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
    """Slots the caller cannot tell."""
    options: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    verifying: bool = False
    explained: bool = False
    """The caller has been told why they are asked."""
    refusals: int = 0
    trouble: int = 0
    """Turns in a row that led nowhere."""
    question: Question = field(default_factory=Nothing)
    calling: Call | None = None
    unsaid: str = ""
    """Words that were meant to be said before the caller's turn, of which nothing was heard."""
    said: str = ""
    """The last words in full, heard or not."""


@dataclass(frozen=True, slots=True)
class Act:
    """What to do next: say something, call a tool, hang up. Empty when there is nothing to add."""

    text: str = ""
    call: Call | None = None
    hang_up: bool = False


Move = tuple[Standing, Act]


def learned(standing: Standing, slot: Slot, facts: Mapping[str, Any]) -> Standing:
    """These facts of the slot are known, and nothing is in doubt about it any more."""
    return replace(
        standing,
        facts=renewed(standing.facts, facts),
        heard=without(standing.heard, slot.name),
        missed=without(standing.missed, slot.name),
        misses=without(standing.misses, slot.name),
        lacking=standing.lacking - {slot.name},
        trouble=0,
    )


def renewed(known: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
    """What is known, as it was mentioned: the news at its end."""
    return {**{name: value for name, value in known.items() if name not in news}, **news}


def forget(standing: Standing, slot: Slot) -> Standing:
    """Nothing is known of this slot any more, nor of choices, which may hang on it."""
    return replace(
        standing,
        facts={name: value for name, value in standing.facts.items() if name not in slot.fills()},
        lacking=standing.lacking - {slot.name},
        options={
            name: options for name, options in standing.options.items() if name == slot.name and slot.kind != "choice"
        },
    )


def without(mapping: Mapping[str, _Value], name: str) -> dict[str, _Value]:
    """A copy that lacks one entry."""
    return {key: value for key, value in mapping.items() if key != name}
