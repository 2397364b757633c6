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
"""Seconds without the agent's voice after which it has finished, if all that it can have said was heard."""
QUIET_UNFINISHED: Final = 8.0
"""The same if it was not: a tool's filler is no question, and on a busy machine the answer takes its time. Shorter than
the ten seconds after which the agent asks whether anybody is there."""
LETTERS_PER_SECOND: Final = 25.0
"""Faster than the agent ever speaks, so that what was heard for as long may be all of it."""
READ_BACK_SECONDS: Final = 5.0
"""Shorter than any read-back."""
FRAME_SECONDS: Final = 0.02
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
    audible: float = 0.0
    """Seconds of the agent heard since then."""
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
            await self._listen()
        return True

    async def _listen(self) -> None:
        before = self.line.last_heard
        await self.line.next_tick()
        if self.line.last_heard != before:
            self.audible += FRAME_SECONDS

    def _patience(self) -> float:
        """How long the agent must be quiet before it is the caller's turn."""
        asked = self.asked()
        if not self.said:
            return QUIET
        if len(asked) == self.heard_of:
            return QUIET_UNFINISHED
        last = asked[-1]
        needed = READ_BACK_SECONDS if last["slot"] == "read-back" else len(last["words"]) / LETTERS_PER_SECOND
        return QUIET if self.audible >= needed else QUIET_UNFINISHED

    async def _say(self, words: str) -> None:
        self.said.append(words)
        self.heard_of, self.audible = len(self.asked()), 0.0
        if words.startswith(KEYS):
            self.line.press(words.removeprefix(KEYS))
            await self.line.until(self.line.now + 0.5)
        else:
            _, end = self.line.speak(self.clips[words])
            await self.line.until(end)
        # Whoever has spoken waits for an answer, and not only for silence.
        began, heard = self.line.now, self.line.last_heard
        while self.line.last_heard == heard and self.line.now - began < QUIET_UNFINISHED:
            await self._listen()

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
