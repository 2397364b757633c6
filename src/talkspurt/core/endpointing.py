"""When the caller's turn is over: one question, answered from everything that is known at a pause.

The policy is pure and has one method, `wait`: the seconds of silence after the last voiced
sample at which the turn is taken. It is asked again whenever the evidence changes (the
transcript comes, the turn detector's score comes), so the deadline only ever follows the facts.

What it weighs: what the agent asked, how whole the words are as an answer to that, how the
voice sounds, and how long this caller pauses inside turns. No silence ends a turn before its
words are known; the sound of the voice may shorten a wait and never ends a turn alone.
"""

from dataclasses import dataclass, replace
from typing import Final

from talkspurt.core.language import ANYTHING, Completeness, Expectation


@dataclass(frozen=True, slots=True)
class Pause:
    """What is known at a pause of the caller."""

    expectation: Expectation = ANYTHING
    completeness: Completeness = Completeness.OPEN
    score: float | None = None
    """The turn detector's probability that the turn is over; None while it is not known."""
    habit: float = 0.0
    """How long this caller pauses inside turns, 0 until it was seen (see `Pace`)."""


ENTITIES: Final = frozenset({"identifier", "email", "zip", "phone", "amount"})
"""Answers that are given piece by piece and are recognisably whole or not."""


@dataclass(frozen=True, slots=True)
class Endpointing:
    """The rules, in seconds of silence."""

    answer: float = 0.25
    """After a clear yes or no to a yes/no question. Human answers are followed within 0.2 s (Stivers et al. 2009)."""
    entity: float = 0.45
    """After a whole order number, address or code: what may still follow is a pleasantry."""
    complete: float = 0.55
    """After words that leave nothing to add."""
    sure: float = 0.6
    """After words that may be all, when the voice sounds finished too."""
    silence: float = 1.0
    """After words that may be all or not. Half of the pauses inside turns are shorter than 0.47 s (Heldner and Edlund
    2010), one in ten is longer than a second."""
    doubtful: float = 1.15
    """The same when the voice sounds as if it goes on."""
    unfinished: float = 1.5
    """After words that ask for more, such as "and" or "my number is"."""
    partial: float = 1.9
    """In the middle of a number or an address: people look it up, and read it in groups."""
    confident: float = 0.95
    """The score from which a voice counts as finished."""
    hesitant: float = 0.3
    """The score up to which it counts as going on."""
    habit_margin: float = 0.2
    """Added to the caller's own pauses."""
    longest: float = 1.6
    """No habit makes the agent wait longer than this after words that may be all."""

    def wait(self, pause: Pause) -> float:
        """Seconds of silence after the last voiced sample that end the turn."""
        kind, whole = pause.expectation.kind, pause.completeness
        if whole is Completeness.UNFINISHED:
            return self.partial if kind in ENTITIES else self.unfinished
        if whole is Completeness.COMPLETE and kind == "yes_no":
            return self.answer
        if whole is Completeness.COMPLETE and kind in ENTITIES:
            return self.entity
        if whole is Completeness.COMPLETE:
            silence = self.complete
        elif pause.score is not None and pause.score >= self.confident:
            silence = self.sure
        elif pause.score is not None and pause.score <= self.hesitant:
            silence = self.doubtful
        else:
            silence = self.silence
        if pause.habit:
            silence = max(silence, min(pause.habit + self.habit_margin, self.longest))
        return silence


KEPT_PAUSES: Final = 4
"""Turns that a habit is judged by: a caller who once looked something up is not slow for the whole call."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How this caller pauses inside turns: the longest pause of each of the last turns."""

    turns: tuple[float, ...] = ()
    current: float = 0.0
    """The longest pause of the turn under way."""

    def paused(self, seconds: float) -> "Pace":
        """The caller went on after this pause."""
        return replace(self, current=max(self.current, seconds))

    def turn_over(self) -> "Pace":
        """The turn is over; what was seen in it becomes part of the habit."""
        return Pace((*self.turns, self.current)[-KEPT_PAUSES:])

    @property
    def habit(self) -> float:
        """The pause to reckon with: of the turn under way, of the last one, or the second longest of those before.

        So a single long pause counts in its own turn and the next, and is then forgotten.
        """
        before = sorted(self.turns[:-1], reverse=True)
        often = before[1] if len(before) > 1 else 0.0
        last = self.turns[-1] if self.turns else 0.0
        return max(self.current, last, often)
