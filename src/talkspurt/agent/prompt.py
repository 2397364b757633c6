"""What a language model is told of its part, composed of parts, the ones that never change first.

A `Prompt` is the same for all calls of an agent; `caller_facts` tells of one call and is the same for all of its turns.
Vendors keep what requests begin with, so nothing that changes may stand before what does not: no date, no number, no
name of a caller belongs into a `Prompt`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

VOICE_RULES: Final = (
    "You are on the telephone: everything you write is read aloud, and everything you read was said aloud.",
    "At most 20 words a turn, in plain spoken English. One question at a time.",
    "Never use lists, markdown, emoji, URLs or abbreviations.",
    "Say order numbers character by character: W 2 3 7 8 1 5 6. Say amounts as words: 89 dollars and 99 cents.",
    "What you hear is a transcript and may contain errors. When something makes no sense, ask.",
)
"""How anything has to be worded that is spoken."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """An agent's instructions in parts, each a list of sentences; empty parts are left out."""

    persona: str
    """Who the agent is, for whom it speaks, and in which tone."""
    voice_rules: Sequence[str] = VOICE_RULES
    capabilities: Sequence[str] = ()
    """What it can do for callers, and with which tools."""
    guidelines: Sequence[str] = ()
    """How it holds a conversation."""
    policies: Sequence[str] = ()
    """What it must and must not do. What has to hold whatever the model does belongs into `Agent.policy` as well."""

    def text(self) -> str:
        """The parts as one text, always in the same order."""
        parts = (
            ("How you speak", self.voice_rules),
            ("What you can do", self.capabilities),
            ("How you work", self.guidelines),
            ("Rules", self.policies),
        )
        return "\n\n".join([self.persona.strip(), *(_listed(title, lines) for title, lines in parts if lines)])

    def replace(self, old: str, new: str) -> Self:
        """The same prompt with `old` replaced by `new` in every part, for another shop of the same kind."""

        def changed(lines: Sequence[str]) -> tuple[str, ...]:
            return tuple(line.replace(old, new) for line in lines)

        return replace(
            self,
            persona=self.persona.replace(old, new),
            voice_rules=changed(self.voice_rules),
            capabilities=changed(self.capabilities),
            guidelines=changed(self.guidelines),
            policies=changed(self.policies),
        )


def caller_facts(*, began: datetime, locale: str, number_known: bool) -> str:
    """What is known of a call when it begins, as a model is told of it.

    `began` is in the time zone of the shop; only its day is told, so that a call taken up elsewhere is told the same.
    The caller's number is not: a model needs none, and it proves nothing.
    """
    day = f"{began:%A}, {began.day} {began:%B %Y}"
    number = "is not withheld, which proves nothing about who it is" if number_known else "is withheld"
    return _listed(
        "This call", (f"Today is {day}.", f"The call is held in {locale}.", f"The caller's number {number}.")
    )


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line.strip()}" for line in lines)])
