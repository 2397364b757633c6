"""A caller on the line who answers what the oracle asks, with the lines of a script.

It waits until the agent has finished, as a patient person does. What is asked for anew is answered with the next line;
what is asked for again, with the line that answered it before, in its next way: slower, spelled or keyed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from benchmarks.retail_tasks.lines import KEYS, Turn
from numpy.typing import NDArray

from talkspurt.agent import spoken
from talkspurt.simulate.twilio import CallEndedError, TwilioDouble

Clip = NDArray[np.int16]

QUIET: Final = 1.6
"""Seconds without the agent's voice after which its question is over."""
QUIET_READ_BACK: Final = 3.0
"""The same for a read-back: on a slow machine a tool's filler is followed by it later, and it has several sentences."""
QUIET_UNASKED: Final = 6.0
"""The same when nothing new was asked: it may still come."""
GREETING_SECONDS: Final = 15.0
TURN_SECONDS: Final = 60.0
MOST_TIMES: Final = 5
"""How often a caller says the same before hanging up."""
YES: Final = "Yes."
NO: Final = "No."


@dataclass(slots=True)
class VoiceCaller:
    """One call. `asked` tells what the oracle asked for in this call so far, oldest first."""

    line: TwilioDouble
    turns: Sequence[Turn]
    clips: dict[str, Clip]
    """What can be said, by its words."""
    asked: Callable[[], list[dict[str, Any]]]
    unsaid: int = 0
    """The first line that was not said yet."""
    answers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What answered a question: the line, and how often it was said."""
    said: list[str] = field(default_factory=list)
    heard_of: int = 0
    """How much had been asked when the caller last spoke."""
    failures: list[str] = field(default_factory=list)

    async def hold(self) -> None:
        """Hold the call to its end."""
        if not await self.line.answered():
            self.failures.append("the call was not answered")
            return
        try:
            while self.line.last_heard is None and self.line.now < GREETING_SECONDS:
                await self.line.next_tick()
            while await self._agent_finished():
                answer = self.answer()
                if answer is None:
                    return
                await self._say(answer)
        except CallEndedError:
            return

    async def _agent_finished(self) -> bool:
        deadline = self.line.now + TURN_SECONDS
        while self.line.playing or self.line.now - (self.line.last_heard or 0.0) < self._patience():
            if self.line.now > deadline:
                self.failures.append(f"the agent talked for more than {TURN_SECONDS:g} s")
                return False
            await self.line.next_tick()
        return True

    def _patience(self) -> float:
        """How long the agent must be quiet before it is the caller's turn."""
        asked = self.asked()
        if self.said and len(asked) == self.heard_of:
            return QUIET_UNASKED
        return QUIET_READ_BACK if asked and asked[-1]["slot"] == "read-back" else QUIET

    async def _say(self, words: str) -> None:
        self.said.append(words)
        self.heard_of = len(self.asked())
        if words.startswith(KEYS):
            self.line.press(words.removeprefix(KEYS))
            await self.line.until(self.line.now + 0.5)
        else:
            _, end = self.line.speak(self.clips[words])
            await self.line.until(end)
        # Whoever has spoken waits for an answer, and not only for silence.
        began, heard = self.line.now, self.line.last_heard
        while self.line.last_heard == heard and self.line.now - began < 12.0:
            await self.line.next_tick()

    def answer(self) -> str | None:
        """What to say to what was asked last; None when it was said often enough."""
        asked = self.asked()
        place = asked[-1]["place"] if asked else "opening"
        if asked and asked[-1]["slot"] == "order close":
            meant = spoken.digits(asked[-1]["words"])
            return YES if any(meant == self._order_in(line) for line in self.turns[: self.unsaid]) else NO
        if place in self.answers:
            number, times = self.answers[place]
        elif self.unsaid < len(self.turns):
            number, times = self.unsaid, 0
            self.unsaid += 1
        else:
            number, times = len(self.turns) - 1, 0
        if times == MOST_TIMES:
            self.failures.append(f"not understood in {times} ways: {self.turns[number].way(0)}")
            return None
        self.answers[place] = (number, times + 1)
        return self.turns[number].way(times)

    @staticmethod
    def _order_in(turn: Turn) -> str:
        found = spoken.identifiers(turn.way(0), r"W?\d{7}")
        return found[0].removeprefix("W") if found else ""
