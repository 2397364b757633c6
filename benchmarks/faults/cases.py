"""Which faults befall whom, and when: before the call, or in the middle of it (with the caller's second line)."""

from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.faults.relay import Trouble

Stage = Literal["recognizer", "model", "synthesizer", "speech to speech"]
Moment = Literal["before", "during"]

STAGES: Final[tuple[Stage, ...]] = ("recognizer", "model", "synthesizer", "speech to speech")
TROUBLES: Final = tuple(trouble for trouble in Trouble if trouble is not Trouble.NONE)
NONSENSE: Final = ("malformed tool JSON", "unknown tool")
IN_THE_REPLY: Final = (*NONSENSE, "empty reply")
"""What a model may say that is of no use."""
EMPTY_TRANSCRIPT: Final = "empty transcript"
NOBODY_HEARS: Final = "empty transcript, and nobody else to ask"
DEAF: Final = (EMPTY_TRANSCRIPT, NOBODY_HEARS)
"""The recognizer answers, and never with a word."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call with one fault."""

    stage: Stage
    fault: str
    moment: Moment

    @property
    def effects(self) -> int:
        """What should happen once: nothing where the caller's yes cannot be heard."""
        return 0 if self.fault == NOBODY_HEARS else 1

    @property
    def must_switch(self) -> bool:
        """Whether somebody else has to go on: not for a tool call that is nonsense, and where nobody else is there."""
        return self.fault not in (*NONSENSE, NOBODY_HEARS)

    @property
    def name(self) -> str:
        """For files and progress."""
        return f"{self.stage}, {self.fault}, {self.moment} the call"


def all_cases() -> list[Case]:
    """Every fault at every stage, once before the call and once in it."""
    cases = [
        Case(stage, trouble.value, moment)
        for stage in STAGES
        for trouble in TROUBLES
        for moment in ("before", "during")
    ]
    thinking: tuple[Stage, ...] = ("model", "speech to speech")
    cases += [Case(stage, fault, "during") for stage in thinking for fault in IN_THE_REPLY]
    return cases + [Case("recognizer", fault, "during") for fault in DEAF]


def quick_cases() -> list[Case]:
    """One of each kind at each stage."""
    chosen = (Trouble.RATE_LIMITED, Trouble.REFUSED, Trouble.HALF_OPEN, Trouble.HUNG)
    cases = [Case(stage, trouble.value, "during") for stage in STAGES for trouble in chosen]
    return cases + [Case("recognizer", fault, "during") for fault in DEAF]
