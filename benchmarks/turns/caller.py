"""The benchmark's caller: carries out a scenario's steps on a carrier double, and notes exactly what it did when.

It behaves like a person who knows what they want to say: it waits until the agent has been quiet for
as long as the step says, then speaks, and finishes what it says even when the agent cuts in.
It hears only the line; of the agent it knows one more thing, told by whoever ordered the words:
which question was asked last, so that it does not answer another one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from benchmarks.turns.artefacts import ORDER_DOUBT, CallerEvent, Entity, Expectation, Pause, Row, Span
from benchmarks.turns.brain import GREETINGS, question_in
from benchmarks.turns.channel import RoomAndLine
from benchmarks.turns.voices import RATE_HZ, Clip, Utterance

from talkspurt.simulate.loudness import audible_edges, is_audible
from talkspurt.simulate.twilio import CallEndedError, TwilioDouble

ANSWER_PATIENCE: Final = 9.0
"""The agent asks whether anybody is there after ten seconds: that would be no answer."""
GREETING_PATIENCE: Final = 15.0
REPLY_PATIENCE: Final = 60.0
STRETCH_GAP: Final = 0.2
"""Quiet that divides two stretches of agent speech."""
SPEAKING_WINDOW: Final = 0.3
"""The agent counts as speaking when it was audible within this; silence between two sentences is longer at times."""
NOT_STOPPING: Final = 2.0
"""Seconds after the caller's end from which an agent that has gone on talking is taken to talk on for good."""
LETTERS_PER_SECOND: Final = 25.0
"""How fast the agent's voice speaks, at most (17 to 25 measured): by this a caller knows that the question is still to
come, and does not speak into the pause before it."""
LETTERS_PER_DIGIT: Final = 7
"""Of a number as it is spoken."""
BETWEEN_SOUNDS: Final = 2.0
"""Seconds between two distractions at least, so that each is judged by itself."""
BEFORE_HANGING_UP: Final = 1.5
"""Seconds behind a last sound that was no turn: an agent that was stopped by it may take a while to go on."""
LAST_QUIET: Final = 0.4
"""Seconds of quiet after which a caller who has said everything hangs up."""
UNFINISHED_PATIENCE: Final = 2.5
"""Quiet after which a caller speaks although the agent has said only half a reply."""
ECHO_QUIET: Final = 0.8
ECHO_PATIENCE: Final = 30.0
"""An agent that interrupts itself for ever is left after this."""
REMARK_SECONDS: Final = 2.2
"""An agent that answers a television does so within this."""
RESUME_PATIENCE: Final = 4.0
"""How long a caller who wants to say something into a reply waits for the agent to go on with it."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """The audio of one step, made before the call."""

    utterance: Utterance | None = None
    noise: Clip | None = None
    source: str = ""


class BenchCaller:
    """One caller on one call. `hold` runs the scenario; `events` is what came of it, also when the call broke off."""

    def __init__(
        self,
        line: TwilioDouble,
        room: RoomAndLine,
        scenario: Mapping[str, Any],
        sounds: Sequence[Sounds],
        ordered: Callable[[], Sequence[tuple[float, str]]],
    ) -> None:
        self._line = line
        self._room = room
        self._scenario = scenario
        self._sounds = sounds
        self._ordered = ordered
        """What the agent wanted to say, and the call second at which the model was asked for it."""
        self._echo_db: float | None = scenario["channel"].get("echo_db")
        self._ticks = 0
        self._stretches: list[list[float]] = []
        """When the agent was heard: begin and end of each stretch."""
        self._reply_began: float | None = None
        self.events: list[CallerEvent] = []
        self.failures: list[str] = []
        self.complete = False
        """Whether all steps took place."""
        line.listener = self._listen

    async def hold(self) -> None:
        """Carry out all steps and hang up. A call that ends before is a failure that is written down."""
        steps = self._scenario["steps"]
        done = 0
        try:
            if not await self._line.answered():
                self.failures.append("the call was not answered")
                return
            await self._await_reply(-1.0, 0.0, GREETING_PATIENCE)
            pool = list(range(len(steps)))
            while pool:
                if "entity" in steps[pool[0]]:
                    # What is asked for is known once it was heard: it may come behind a "One moment, please."
                    await self._await_quiet(steps[pool[0]]["wait"])
                index = pool.pop(self._next(pool, steps))
                await self._do(steps[index], self._sounds[index])
                done += 1
            self.complete = True
            if self.events and self.events[-1].expects == "go_on":
                await self._line.until(self.events[-1].end + BEFORE_HANGING_UP)
            await self._await_quiet(LAST_QUIET)
        except CallEndedError:
            if self.complete:
                return
            self.failures.append(f"the call ended after {done} of {len(steps)} steps")
        self._line.hang_up()

    def _next(self, pool: Sequence[int], steps: Sequence[Mapping[str, Any]]) -> int:
        """Which of the steps left is due: the first, or the first that gives what the agent has asked for."""
        asked = question_in(self._words_by(self._line.now))
        if asked is not None:
            for position, index in enumerate(pool):
                if steps[index].get("entity", {}).get("kind") == asked:
                    return position
        return 0

    async def _do(self, step: Mapping[str, Any], sounds: Sounds) -> None:
        match step["do"]:
            case "answer":
                await self._await_quiet(step["wait"])
                await self._answer(step, sounds, "answer")
            case "interrupt":
                reached = await self._reach(step)
                await self._answer(step, sounds, "stop")
                if not reached:
                    self._not_measured("the agent's reply was over")
            case "distract":
                if await self._reach(step):
                    await self._sound(step, sounds, "go_on")
                else:
                    self._note(step, sounds, "go_on", self._line.now, voiced=(Span(0.0, 0.0),))
                    self._not_measured("the agent's reply was over")
            case "remark":
                await self._await_quiet(step["wait"])
                await self._sound(step, sounds, "stay_silent")
                await self._line.until(self.events[-1].end + REMARK_SECONDS)
            case "listen":
                await self._listen_to_echo(step)
            case "stay_silent":
                await self._stay_silent(step)
            case other:
                raise ValueError(f"unknown step '{other}'")

    # ── acting ────────────────────────────────────────────────────────────────────

    async def _answer(self, step: Mapping[str, Any], sounds: Sounds, expects: Expectation) -> None:
        await self._say(step, sounds, expects)
        if not await self._await_reply(self.events[-1].begin, self.events[-1].end, ANSWER_PATIENCE):
            self.events[-1] = replace(self.events[-1], note=f"no answer within {ANSWER_PATIENCE:g} s")

    async def _say(self, step: Mapping[str, Any], sounds: Sounds, expects: Expectation) -> None:
        assert sounds.utterance is not None
        start, end = self._line.speak(sounds.utterance.clip)
        self._note(step, sounds, expects, start, voiced=sounds.utterance.voiced, pauses=sounds.utterance.pauses)
        await self._line.until(end)

    async def _sound(self, step: Mapping[str, Any], sounds: Sounds, expects: Expectation) -> None:
        """Make a sound that is no turn; the caller's own mouth is used only where it is the caller's voice."""
        if step["row"] == "backchannel":
            await self._say(step, sounds, expects)
            return
        clip = sounds.noise if sounds.noise is not None else sounds.utterance.clip if sounds.utterance else None
        assert clip is not None
        first, last = audible_edges(clip)
        self._room.overlay(clip, float(step.get("level_db", 0.0)))
        voiced = (Span(first / RATE_HZ, last / RATE_HZ),)
        self._note(step, sounds, expects, self._line.now, voiced=voiced)
        await self._line.until(self.events[-1].end)

    async def _listen_to_echo(self, step: Mapping[str, Any]) -> None:
        """Let the agent talk to its own echo; equal stretches of its reply, of about the step's length, are events."""
        begin = self._line.now if self._reply_began is None else self._reply_began
        await self._await_quiet(ECHO_QUIET, ECHO_PATIENCE)
        seconds = max(self._stretches[-1][1] - begin, 0.02)
        count = max(1, round(seconds / step["stretch"]))
        for number in range(count):
            voiced = (Span(0.0, seconds / count),)
            at = begin + number * seconds / count
            self._note(step, Sounds(source="echo"), "go_on", at, voiced=voiced, speaking=True)

    async def _stay_silent(self, step: Mapping[str, Any]) -> None:
        await self._await_quiet(0.8)
        began = self._stretches[-1][1] if self._stretches else self._line.now
        heard = len(self._stretches)
        # Until the reminder, and to its end; an agent that never reminds is left after the step's time.
        while self._line.now < began + step["seconds"] and len(self._stretches) == heard:
            await self._line.next_tick()
        silent = (Span(0.0, self._line.now - began),)
        self._note(step, Sounds(source="none"), "remind", began, voiced=silent, speaking=False)

    # ── listening ─────────────────────────────────────────────────────────────────

    def _listen(self, frame: bytes) -> None:
        now = self._ticks * 0.02
        self._ticks += 1
        if not is_audible(frame):
            return
        if self._stretches and now - self._stretches[-1][1] < STRETCH_GAP:
            self._stretches[-1][1] = now + 0.02
        else:
            self._stretches.append([now, now + 0.02])

    def _agent_speaking(self) -> bool:
        return bool(self._stretches) and self._line.now - self._stretches[-1][1] < SPEAKING_WINDOW

    async def _await_reply(self, begin: float, end: float, patience: float) -> bool:
        """Wait for the agent's reply to what was said from `begin` to `end`; notes when it began."""
        while self._line.now < end + patience:
            if self._stretches and self._stretches[-1][1] > end + 0.15:
                began = self._stretches[-1][0]
                # What began before is a reply that does not stop, and that is believed only after a while.
                if began > begin or self._line.now > end + NOT_STOPPING:
                    self._reply_began = max(began, end)
                    return True
            await self._line.next_tick()
        self._reply_began = None
        return False

    async def _await_quiet(self, wait: float, patience: float = REPLY_PATIENCE) -> None:
        deadline = self._line.now + patience
        while not self._has_finished(wait):
            if self._line.now > deadline:
                self.failures.append(f"the agent did not stop talking within {patience:g} s")
                return
            await self._line.next_tick()

    def _has_finished(self, wait: float) -> bool:
        """Whether it is the caller's turn: quiet for `wait`, and what was heard can be all of the reply."""
        quiet = self._line.now - (self._stretches[-1][1] if self._stretches else 0.0)
        if self._line.playing or quiet < wait:
            return False
        if self._reply_began is None or quiet >= UNFINISHED_PATIENCE:
            return True
        heard = sum(end - max(begin, self._reply_began) for begin, end in self._stretches if end > self._reply_began)
        letters = sum(LETTERS_PER_DIGIT if letter.isdecimal() else 1 for letter in self._words_of_reply())
        return heard >= letters / LETTERS_PER_SECOND

    def _words_of_reply(self) -> str:
        """The words of the reply that is being heard, or was heard last."""
        return self._words_by(self._line.now if self._reply_began is None else self._reply_began)

    def _words_by(self, until: float) -> str:
        """The words that the agent ordered last by then."""
        ordered = (text for at, text in reversed(self._ordered()) if at <= until + ORDER_DOUBT)
        return next(ordered, GREETINGS[self._scenario["agent"]])

    async def _reach(self, step: Mapping[str, Any]) -> bool:
        """Wait for the moment of the reply that the step names; False when the reply is over by then."""
        if self._reply_began is None:
            await self._await_reply(self._line.now - SPEAKING_WINDOW, self._line.now - SPEAKING_WINDOW, RESUME_PATIENCE)
        if self._reply_began is None:
            return False
        earliest = self.events[-1].end + BETWEEN_SOUNDS if step["do"] == "distract" and self.events else 0.0
        await self._line.until(max(self._reply_began + step["after"], earliest))
        patience = self._line.now + RESUME_PATIENCE
        while not self._agent_speaking() and self._line.now < patience:
            await self._line.next_tick()
        self._notice_new_reply()
        return self._agent_speaking()

    def _notice_new_reply(self) -> None:
        """An agent that took a distraction for a turn is saying something else by now."""
        assert self._reply_began is not None
        ordered = max((at for at, _ in self._ordered()), default=0.0) - ORDER_DOUBT
        if ordered > self._reply_began:
            self._reply_began = next((begin for begin, _ in self._stretches if begin > ordered), self._reply_began)

    # ── writing down ──────────────────────────────────────────────────────────────

    def _not_measured(self, why: str) -> None:
        self.events[-1] = replace(self.events[-1], measured=False, note=why)

    def _note(
        self,
        step: Mapping[str, Any],
        sounds: Sounds,
        expects: Expectation,
        start: float,
        *,
        voiced: tuple[Span, ...],
        pauses: tuple[Pause, ...] = (),
        speaking: bool | None = None,
    ) -> None:
        row: Row = step["row"]
        placed = tuple(Span(start + span.begin, start + span.end) for span in voiced)
        texts = [str(part["text"]) for part in step.get("parts", ()) if "text" in part]
        self.events.append(
            CallerEvent(
                id=f"{self._scenario['id']}/{len(self.events)}",
                row=row,
                expects=expects,
                text=" ".join(texts),
                begin=placed[0].begin,
                end=placed[-1].end,
                voiced=placed,
                pauses=tuple(replace(p, begin=start + p.begin, end=start + p.end) for p in pauses),
                source=sounds.source,
                synthetic="sound" in step,
                agent_speaking=self._agent_speaking() if speaking is None else speaking,
                reply_began=None if expects in ("answer", "remind") else self._reply_began,
                entity=Entity(**step["entity"]) if "entity" in step else None,
                level_db=step.get("level_db", self._echo_db if row == "echo" else None),
                far_field=bool(step.get("far_field", False)),
                measured=row != "go_on",
                tags=tuple(step.get("tags", ())),
            )
        )
