"""A scripted caller: says its lines on a simulated line, and measures what comes back.

It behaves like a patient person: it listens until the agent has finished (nothing left to
play, and quiet for `patience`), then says the next line. Everything that it says is made
before it dials, so that no speech is synthesized while the call is timed. It hears only the
line; it knows nothing of the agent behind it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from talkspurt.errors import CallError, ProviderError
from talkspurt.simulate.lines import HangUp, Interrupt, Line, PlayWav, PressKeys, Say, Wait
from talkspurt.simulate.loudness import audible_edges, trim
from talkspurt.simulate.recording import CallEnd
from talkspurt.simulate.report import CallReport, TurnReport
from talkspurt.simulate.turns import Exchange, measure
from talkspurt.simulate.twilio import CallEndedError, TwilioDouble
from talkspurt.simulate.voices import read_wav, speak

RATE_HZ: Final = 8_000
TRANSCRIPTION_SECONDS: Final = 120.0
MOST_GAPS_NAMED: Final = 5
MOST_NEWS: Final = 1_000
"""Far above three items a turn: a script that exceeds it fails loudly."""

Clip = NDArray[np.int16]
Transcribe = Callable[[Clip], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the caller waits, in seconds."""

    quiet: float = 0.7
    """The agent has finished when nothing was heard for this long."""
    greeting: float = 10.0
    answer: float = 8.0
    """Shorter than the ten seconds after which an agent asks whether anybody is there: that is no answer."""
    turn: float = 60.0
    """The longest the agent may talk."""
    goodbye: float = 5.0
    """After the last answer, until the caller hangs up if the agent does not."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The call was answered."""


@dataclass(frozen=True, slots=True)
class CallerActed:
    """The caller begins turn `number`."""

    number: int
    said: str
    at: float


@dataclass(frozen=True, slots=True)
class AgentAnswered:
    """The agent's part of a turn is over and written down."""

    turn: TurnReport


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over."""

    end: CallEnd
    at: float


News = Connected | CallerActed | AgentAnswered | CallEnded
Observer = Callable[[News], None]


async def run_script(
    url: str,
    lines: Sequence[Line],
    *,
    voice: str = "slt",
    transcribe: Transcribe | None = None,
    observe: Observer | None = None,
    patience: Patience | None = None,
    **line_options: Any,
) -> CallReport:
    """Call `url`, say `lines`, hang up, and report. `line_options` go to `TwilioDouble`.

    Raises `ConfigurationError` when a line cannot be spoken; a call that fails is a report with `failures`.
    """
    clips = await render(lines, voice)
    return await converse(url, lines, clips, transcribe=transcribe, observe=observe, patience=patience, **line_options)


async def render(lines: Sequence[Line], voice: str) -> list[Clip | None]:
    """The audio of each line, without long silence at its ends; None for lines that are not audible."""
    return [await _clip(line, voice) for line in lines]


async def converse(
    url: str,
    lines: Sequence[Line],
    clips: Sequence[Clip | None],
    *,
    transcribe: Transcribe | None = None,
    observe: Observer | None = None,
    patience: Patience | None = None,
    **line_options: Any,
) -> CallReport:
    """`run_script` with the audio made before: for many calls with the same script."""
    async with TwilioDouble(url, **line_options) as line:
        caller = _ScriptedCaller(line, patience or Patience(), observe or (lambda _news: None), transcribe)
        narration = asyncio.create_task(caller.narrate())
        try:
            await caller.hold(lines, clips)
            await line.aclose()
            return await caller.report(narration)
        finally:
            narration.cancel()


@dataclass(slots=True)
class _Turn:
    number: int
    said: str
    began: float
    ended: float
    until: float = 0.0
    """Where the agent's part of this turn ends, once it is closed."""


@dataclass(frozen=True, slots=True)
class _Unwritten:
    turn: TurnReport
    audio: Clip


class _ScriptedCaller:
    """One caller on one line."""

    def __init__(
        self, line: TwilioDouble, patience: Patience, observe: Observer, transcribe: Transcribe | None
    ) -> None:
        self._line = line
        self._patience = patience
        self._observe = observe
        self._transcribe = transcribe
        self._turns: list[_Turn] = []
        self._reports: list[TurnReport] = []
        self._failures: list[str] = []
        self._news: asyncio.Queue[News | _Unwritten | None] = asyncio.Queue(MOST_NEWS)

    async def hold(self, lines: Sequence[Line], clips: Sequence[Clip | None]) -> None:
        """Hold the conversation; returns when it is over, one way or the other."""
        try:
            async with asyncio.timeout(self._patience.greeting):
                if not await self._line.answered():
                    return
        except TimeoutError:
            self._failures.append(f"the call was not answered within {self._patience.greeting:g} s")
            return
        begun = 0
        try:
            self._news.put_nowait(Connected())
            self._turns.append(_Turn(0, "", 0.0, 0.0))
            await self._await_answer(self._patience.greeting, "the agent did not greet")
            for line, clip in zip(lines, clips, strict=True):
                begun += 1
                await self._act(line, clip)
            await self._await_end_of_turn()
            await self._line.until(self._line.now + self._patience.goodbye)
        except CallEndedError:
            # To be hung up on is fine after the last line, and while only waiting.
            if begun < len(lines) or (self._unanswered() and not isinstance(lines[-1], Wait | HangUp)):
                self._failures.append(f"the call ended before line {begun} of {len(lines)} was answered")
        except CallError as error:
            self._failures.append(str(error))

    async def narrate(self) -> None:
        """Tell the observer what happens, in order, and write down what is heard, until `report`."""
        while (item := await self._news.get()) is not None:
            if not isinstance(item, _Unwritten):
                self._observe(item)
                continue
            turn = item.turn
            if self._transcribe is not None:
                try:
                    turn = replace(turn, heard=await self._transcribe(item.audio))
                except ProviderError as error:
                    self._failures.append(f"turn {turn.number} could not be written down: {error}")
            self._reports.append(turn)
            self._observe(AgentAnswered(turn))

    async def report(self, narration: asyncio.Task[None]) -> CallReport:
        """Measure and write down what is left, and judge the call. After the end of the call."""
        recording, end = self._line.recording, self._line.recording.end
        assert end is not None
        if self._turns:
            self._close_turn(recording.seconds)
        self._news.put_nowait(CallEnded(end, recording.seconds))
        self._news.put_nowait(None)
        try:
            async with asyncio.timeout(TRANSCRIPTION_SECONDS):
                await narration
        except TimeoutError:
            self._failures.append(f"the call was not written down within {TRANSCRIPTION_SECONDS:g} s")
        if end.failed:
            self._failures.append(end.reason)
        self._failures += [error for error in recording.errors if error != end.reason]
        if recording.gaps:
            where = ", ".join(f"{gap.seconds:.2f} s at {gap.at:.1f}" for gap in recording.gaps[:MOST_GAPS_NAMED])
            self._failures.append(f"gaps in the agent's voice: {len(recording.gaps)} ({where})")
        return CallReport(recording, tuple(self._reports), tuple(self._failures))

    # ── acting ────────────────────────────────────────────────────────────────────

    async def _act(self, line: Line, clip: Clip | None) -> None:
        number, said = len(self._turns), _wording(line)
        match line:
            case Wait(seconds):
                self._news.put_nowait(CallerActed(number, said, self._line.now))
                await self._line.until(self._line.now + seconds)
                return
            case HangUp():
                self._news.put_nowait(CallerActed(number, said, self._line.now))
                self._line.hang_up()
                await self._line.ended()
                return
            case Interrupt(after=after):
                answered = await self._await_answer(self._patience.answer, "nothing to interrupt: the agent was silent")
                await self._line.until(answered + after)
            case _:
                await self._await_end_of_turn()
                self._close_turn(self._line.now)
        self._news.put_nowait(CallerActed(number, said, self._line.now))
        if isinstance(line, PressKeys):
            began = ended = self._line.now
            self._line.press(line.digits)
        else:
            assert clip is not None
            first, last = audible_edges(clip)
            start, _ = self._line.speak(clip)
            began, ended = start + first / RATE_HZ, start + last / RATE_HZ
        await self._line.until(ended)
        turn = _Turn(number, said, began, ended)
        if isinstance(line, Interrupt):
            self._close_turn(self._interrupted_at(turn))
        self._turns.append(turn)
        await self._await_answer(self._patience.answer, f"no answer to turn {number} ('{said}')")

    def _interrupted_at(self, turn: _Turn) -> float:
        went_on = self._measure(turn, self._line.now).stopped_after
        if went_on is None:
            self._failures.append(f"turn {turn.number} interrupted nothing: the agent had already finished")
            return turn.began
        return turn.began + went_on

    # ── listening ─────────────────────────────────────────────────────────────────

    async def _await_answer(self, seconds: float, complaint: str) -> float:
        """Wait until the answer to the last turn is heard; returns when it began."""
        turn = self._turns[-1]
        deadline = max(turn.ended, self._line.now) + seconds
        while True:
            if self._line.last_heard is not None and self._line.last_heard > turn.ended:
                answered = self._measure(turn, self._line.now).answered
                if answered is not None:
                    return answered
            if self._line.now > deadline:
                raise CallError(f"{complaint} within {seconds:g} s")
            await self._line.next_tick()

    async def _await_end_of_turn(self) -> None:
        deadline = self._line.now + self._patience.turn
        while self._line.playing or self._line.now - (self._line.last_heard or 0.0) < self._patience.quiet:
            if self._line.now > deadline:
                raise CallError(f"the agent did not stop talking within {self._patience.turn:g} s")
            await self._line.next_tick()

    # ── measuring ─────────────────────────────────────────────────────────────────

    def _measure(self, turn: _Turn, until: float) -> Exchange:
        # Only what lies around the turn: this is asked on every tick while both talk at once.
        start = max(0.0, turn.began - 1.0)
        agent = self._line.recording.agent_from(start)
        found = measure(agent, began=turn.began - start, ended=turn.ended - start, until=until - start)
        return found if found.answered is None else replace(found, answered=found.answered + start)

    def _unanswered(self) -> bool:
        return self._measure(self._turns[-1], self._line.recording.seconds).answered is None

    def _close_turn(self, until: float) -> None:
        """The agent's part of the last turn ends at `until`: measure it, and have it written down meanwhile."""
        turn = self._turns[-1]
        turn.until = until
        before = self._turns[-2].until if turn.number else 0.0
        exchange = self._measure(turn, until)
        report = TurnReport(
            turn.number, turn.said, turn.began, turn.ended,
            exchange.answered, exchange.latency, exchange.talked_over, exchange.stopped_after,
        )  # fmt: skip
        audio = self._line.recording.agent[round(before * RATE_HZ) : round(until * RATE_HZ)]
        self._news.put_nowait(_Unwritten(report, audio))


async def _clip(line: Line, voice: str) -> Clip | None:
    match line:
        case Say(text) | Interrupt(text):
            return await speak(text, voice)
        case PlayWav(path):
            return trim(await asyncio.to_thread(read_wav, path))
    return None


def _wording(line: Line) -> str:
    match line:
        case Say(text):
            return text
        case Interrupt(text):
            return f"(interrupts) {text}"
        case PlayWav(path):
            return f"({path.name})"
        case PressKeys(digits):
            return f"(presses {digits})"
        case Wait(seconds):
            return f"(stays silent for {seconds:g} s)"
        case HangUp():
            return "(hangs up)"
