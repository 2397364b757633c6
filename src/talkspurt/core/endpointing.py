"""When the caller's turn is over: one question, answered from everything that is known at a pause.

The policy is pure and has one method, `wait`: the seconds of silence after the last voiced
sample at which the turn is taken. It is asked again whenever the evidence changes (the
transcript comes, the turn detector's score comes), so the deadline only ever follows the facts.

What it weighs: what the agent asked, how whole the words are as an answer to that, how the
voice sounds, and how long this caller pauses inside turns. No silence ends a turn before its
words are known; the sound of the voice may shorten a wait and never ends a turn alone.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from talkspurt.core.language import ANYTHING, Completeness, Expectation, Kind


@dataclass(frozen=True, slots=True)
class Pause:
    """What is known at a pause of the caller."""

    expectation: Expectation = ANYTHING
    completeness: Completeness = Completeness.OPEN
    words: int = 0
    """How many were said in this turn up to now."""
    score: float | None = None
    """The turn detector's probability that the turn is over; None while it is not known."""
    habit: float = 0.0
    """The caller's longest pause inside this turn and the two before, 0 for none (see `Pace`)."""
    late_habit: float = 0.0
    """The same of pauses after which enough seemed to have been said."""
    cut: bool = False
    """It is none: the caller was cut short in the middle, and only the words are waited for."""
    in_noise: bool = False
    """The voice was hardly louder than the line's noise."""

    @property
    def is_answer(self) -> bool:
        """Whether the words are a whole answer to what was asked."""
        return self.expectation.kind != "anything" and self.completeness is Completeness.COMPLETE


ENTITIES: Final[frozenset[Kind]] = frozenset({"identifier", "email", "zip", "phone", "amount"})
"""Answers that are given piece by piece and are recognisably whole or not."""
FASTEST_DIGITS: Final = 6.0
"""Digits that anybody says in a second of voice. Of a number that came faster a recognizer has made up the rest, or
most of the voice was not noticed: either way more may come."""
FEW: Final = 2
"""Words that answer a yes/no question, as a rule; whoever has more to say about it says more of them."""
ENOUGH: Final = 8
"""Words from which a whole clause is more often the end than not. On the benchmark's turns a pause after a whole clause
of fewer words is as likely to be followed by more as not; from eight words on, nine of ten were the end."""


def credible(whole: Completeness, expectation: Expectation, text: str, voiced: float) -> Completeness:
    """How whole the words are, unless nobody can have said so many digits in `voiced` seconds of voice."""
    hasty = expectation.kind in ENTITIES and sum(map(str.isdigit, text)) > FASTEST_DIGITS * voiced
    return Completeness.OPEN if hasty and whole is Completeness.COMPLETE else whole


@dataclass(frozen=True, slots=True)
class Endpointing:
    """The rules, in seconds of silence. What was measured is in docs/turn-taking.md.

    They count from the last sample that the voice activity detector calls voiced, which lies about 0.1 s behind the
    caller's last.
    """

    answer: float = 0.15
    """After a clear yes or no to a yes/no question: a quarter of a second after the voice. Human answers are followed
    within 0.2 s (Stivers et al. 2009)."""
    binding_answer: float = 0.45
    """The same where a yes cannot be taken back: half of the pauses inside turns are shorter than 0.47 s (Heldner and
    Edlund 2010), and "but not the blue one" comes too late behind a refund."""
    short_answer: float = 0.25
    """After one or two words to such a question that are neither, nor the beginning of anything: most are a "sure" or
    a "yeah" that the recognizer took for some other word."""
    entity: float = 0.45
    """After a whole order number, address or code: what may still follow is a pleasantry."""
    entity_in_noise: float = 0.9
    """The same in noise, where a group may have been misread into something whole, and the next one is noticed late."""
    complete: float = 0.48
    """After words that leave nothing to add, or enough of them."""
    sure: float = 0.43
    """The same when the voice sounds finished too."""
    silence: float = 1.0
    """After words that may be all or not. Half of the pauses inside turns are shorter than 0.47 s (Heldner and Edlund
    2010), one in ten is longer than a second."""
    longest: float = 1.0
    """The most that a habit of long pauses adds up to after words that may be all, for agents that otherwise wait less:
    silence is the price, and 0.05 s more kept hardly anybody from being cut short."""
    unfinished: float = 1.5
    """After words that ask for more, such as "and" or "my number is"."""
    partial: float = 2.0
    """In the middle of a number or an address, or of what a recognizer made of one: people look it up, read it in
    groups, and pause for up to a second and a half between them. The next group is noticed up to 0.4 s late."""
    partial_in_noise: float = 2.6
    """The same in noise, where the last syllables before the pause may not be noticed either: in babble at 10 dB two
    pauses of 1.3 and 1.5 s were silences of 2 s and more."""
    confident: float = 0.97
    """The score from which a voice sounds finished: on recordings of people no pause after a clause reached it
    (benchmarks/turn_detection.py)."""
    margin: float = 0.15
    """Added to the caller's own pauses."""

    def wait(self, pause: Pause) -> float:
        """Seconds of silence after the last voiced sample that end the turn."""
        kind, whole = pause.expectation.kind, pause.completeness
        if pause.cut:
            return 0.0
        if kind in ENTITIES:
            if whole is Completeness.COMPLETE:
                return self.entity_in_noise if pause.in_noise else self.entity
            return self.partial_in_noise if pause.in_noise else self.partial
        if whole is Completeness.UNFINISHED:
            return self.unfinished
        if whole is Completeness.COMPLETE and kind == "yes_no":
            return self.binding_answer if pause.expectation.binding else self.answer
        if kind == "yes_no" and 0 < pause.words <= FEW:
            return self.short_answer
        if self.is_enough(pause):
            sounds_over = pause.score is not None and pause.score >= self.confident
            at_least = min(pause.late_habit + self.margin, self.silence) if pause.late_habit else 0.0
            return max(min(self.sure if sounds_over else self.complete, self.silence), at_least)
        return max(self.silence, min(pause.habit + self.margin, self.longest))

    def is_enough(self, pause: Pause) -> bool:
        """Whether the words may well be all: then the turn detector is worth asking."""
        if pause.expectation.kind in ENTITIES or pause.completeness is Completeness.UNFINISHED:
            return False
        return pause.completeness is Completeness.COMPLETE or pause.words >= ENOUGH


@dataclass(frozen=True, slots=True)
class TurnPauses:
    """The longest pauses of a caller inside one turn."""

    longest: float = 0.0
    late: float = 0.0
    """After `ENOUGH` words."""


REMEMBERED: Final = 2
"""Turns that a habit is judged by: a caller who once looked something up is not slow for the whole call."""
SHORTEST_PAUSE: Final = 0.25
"""Silences below this are the closures and breaths of fluent speech (Heldner and Edlund 2010 use 0.18 to 0.2 s)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How this caller pauses inside turns."""

    turns: tuple[TurnPauses, ...] = ()
    current: TurnPauses = field(default_factory=TurnPauses)

    def paused(self, seconds: float, words: int) -> "Pace":
        """The caller went on after this pause, having said so many words of the turn before it."""
        if seconds < SHORTEST_PAUSE:
            return self
        late = seconds if words >= ENOUGH else 0.0
        current = TurnPauses(max(self.current.longest, seconds), max(self.current.late, late))
        return replace(self, current=current)

    def turn_over(self) -> "Pace":
        """The turn is over; what was seen in it becomes part of the habit."""
        return Pace((*self.turns, self.current)[-REMEMBERED:])

    def at_pause(self, expectation: Expectation) -> Pause:
        """What this caller's habits say of a pause, before its words are known."""
        recent = (*self.turns, self.current)
        longest = max(turn.longest for turn in recent)
        return Pause(expectation, habit=longest, late_habit=max(turn.late for turn in recent))
