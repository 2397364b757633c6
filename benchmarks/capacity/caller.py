"""One caller of the benchmark, and what its telephone plays: pure, time is an argument.

A caller speaks, waits for the answer, hears it, and speaks again; every second answer is interrupted 0.9 s into it.
What is noted of each turn is in `Turn`. The playout has a clock of its own: audio that comes is played behind what is
there, and when it comes too late, somebody heard a hole.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

FRAME: Final = 0.02
INTERRUPT_AFTER: Final = 0.9
"""Seconds of an answer after which the caller breaks in."""
PATIENCE: Final = 5.0
"""Seconds without an answer after which a turn counts as missed."""
OVER: Final = 0.5
"""Seconds of silence after which an answer is taken to be over."""
PAUSES: Final = (0.5, 1.5)
"""Seconds before a caller speaks again, drawn evenly: the callers must not keep step with each other."""


@dataclass(slots=True)
class Turn:
    """What happened around one thing that a caller said; times are seconds of one clock."""

    began: float
    """When its first frame was sent."""
    interrupts: bool
    """Whether it was said into an answer."""
    ended: float | None = None
    """When its last frame was sent: the true end of speech."""
    answered: float | None = None
    """When the first sound of the answer came."""
    cleared: float | None = None
    """When the order to stop playing came, of a turn that interrupts."""
    early: bool = False
    """The answer began while the caller still spoke."""
    underruns: int = 0
    """Holes in the answer."""
    false_stops: int = 0
    """Orders to stop playing that nobody's voice had caused."""


class Playout:
    """When which audio is heard. Marks come back when what lies before them has been played."""

    def __init__(self) -> None:
        self.until = 0.0
        """When the last sample that came is over."""
        self._marks: deque[tuple[float, str]] = deque()

    def receive(self, seconds: float, now: float) -> float:
        """Take audio; returns for how long there had been none."""
        dry = now - self.until
        self.until = max(now, self.until) + seconds
        return max(0.0, dry)

    def mark(self, name: str) -> None:
        """Place a mark behind the audio so far."""
        self._marks.append((self.until, name))

    def clear(self, now: float) -> list[str]:
        """Forget what was not played; returns the marks that waited for it."""
        self.until = min(self.until, now)
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def played(self, now: float) -> list[str]:
        """The marks that were reached by now, each once."""
        names = []
        while self._marks and self._marks[0][0] <= now:
            names.append(self._marks.popleft()[1])
        return names


class Speaker(Protocol):
    """What a line needs of who speaks on it."""

    playout: Playout
    turns: list[Turn]

    def tick(self, now: float) -> tuple[int, int] | None:
        """The clip and frame to send now; None for silence."""

    def audio(self, seconds: float, now: float) -> None:
        """Sound of the agent came."""

    def clear(self, now: float) -> list[str]:
        """The agent wants nothing more to be played; returns the marks to send back at once."""


class Phase(Enum):
    """What a caller does."""

    PAUSING = auto()
    SPEAKING = auto()
    AWAITING = auto()
    LISTENING = auto()


class Caller:
    """Says clips (each a number of frames) in turn. Call `tick` every 20 ms, the rest as it happens."""

    def __init__(self, lengths: Sequence[int], rng: random.Random, start: float) -> None:
        """`lengths` are the clips' frames; it does not speak before `start`."""
        self._lengths = lengths
        self._rng = rng
        self._at = start
        self._phase = Phase.PAUSING
        self._clip = rng.randrange(len(lengths))
        self._position = 0
        self._interrupts_next = rng.random() < 0.5
        self.playout = Playout()
        self.turns: list[Turn] = []

    def tick(self, now: float) -> tuple[int, int] | None:
        """The clip and frame to send now; None for silence."""
        match self._phase:
            case Phase.PAUSING if now >= self._at and now >= self.playout.until:
                return self._speak(now, interrupts=False)
            case Phase.SPEAKING:
                return self._go_on(now)
            case Phase.AWAITING:
                turn = self.turns[-1]
                if turn.ended is not None and now > turn.ended + PATIENCE:
                    self._pause(now)
            case Phase.LISTENING:
                heard = now - (self.turns[-1].answered or now)
                if self._interrupts_next and heard >= INTERRUPT_AFTER and now < self.playout.until:
                    return self._speak(now, interrupts=True)
                if now >= self.playout.until + OVER:
                    self._pause(now)
        return None

    def audio(self, seconds: float, now: float) -> None:
        """Sound of the agent came."""
        dry = self.playout.receive(seconds, now)
        if not self.turns:
            return
        turn = self.turns[-1]
        match self._phase:
            case Phase.AWAITING:
                turn.answered = now
                self._phase = Phase.LISTENING
            case Phase.LISTENING if dry > 0:
                turn.underruns += 1
            case Phase.SPEAKING if not turn.interrupts or turn.cleared is not None:
                turn.early = True

    def clear(self, now: float) -> list[str]:
        """The agent wants nothing more to be played; returns the marks to send back at once."""
        if self.turns:
            turn = self.turns[-1]
            speaking = self._phase in (Phase.SPEAKING, Phase.AWAITING)
            if turn.interrupts and speaking and turn.cleared is None:
                turn.cleared = now
            elif self._phase is Phase.LISTENING and now < self.playout.until:
                turn.false_stops += 1
        return self.playout.clear(now)

    def _speak(self, now: float, *, interrupts: bool) -> tuple[int, int]:
        self.turns.append(Turn(now, interrupts))
        self._interrupts_next = not interrupts
        self._phase = Phase.SPEAKING
        self._clip = (self._clip + 1) % len(self._lengths)
        self._position = 0
        return self._go_on(now)

    def _go_on(self, now: float) -> tuple[int, int]:
        frame = self._position
        self._position += 1
        if self._position == self._lengths[self._clip]:
            turn = self.turns[-1]
            turn.ended = now
            self._phase = Phase.AWAITING
            if turn.early:
                self._pause(now)
        return self._clip, frame

    def _pause(self, now: float) -> None:
        self._phase = Phase.PAUSING
        self._at = now + self._rng.uniform(*PAUSES)
