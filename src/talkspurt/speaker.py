"""The speech of one call: the segments that the core orders, made and put on the line one after the other.

It takes no decision: what is said, stopped and gone on with is the core's to say, and how a segment gets on goes back
to it as facts. What is on its way to the line, `outgoing` knows; what of it was heard, the core's playback ledger.

Invariants:
- nothing of a playback epoch that is over comes to the line;
- a segment that is stopped when there is audio of it and more is being made is made on behind the stop, so that
  it can be gone on with at once and in the same melody. It is let go of as soon as something else is spoken, or the
  core drops what was stopped;
- speech that is made ahead belongs to a reply, and is given up when that is cancelled;
- words that a model speaks itself are made by nobody ahead, nor behind a stop.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog

from talkspurt.agent.locales import Locale
from talkspurt.core.commands import Phrase, Speak
from talkspurt.core.events import Event, SegmentFailed, SegmentFinished, SegmentStarted, WordsPlaced
from talkspurt.core.spoken_form import SpokenForm
from talkspurt.errors import ProviderError, TalkspurtError
from talkspurt.media.segment_audio import SegmentAudio
from talkspurt.outgoing import OutgoingAudio
from talkspurt.ports import LINE_RATE_HZ, OwnVoice, SpeechChunk, Synthesizer
from talkspurt.speech.inference import made_ahead
from talkspurt.speech_to_speech.speaking import speech_of
from talkspurt.telemetry.logs import note_failure
from talkspurt.telemetry.metrics import ANOMALIES, SPECULATION_CHARACTERS, TURN_LATENCY

STALLED: Final = 0.8
"""Seconds without more of a stopped sentence from which it is asked for anew: a busy local voice takes half as long."""

_log = structlog.get_logger(__name__)


class Speaker:
    """Speaks for one call. All methods return at once; what takes time are tasks of the call."""

    def __init__(
        self,
        outgoing: OutgoingAudio,
        *,
        synthesizer: Synthesizer,
        voice: str,
        locale: Locale,
        own_voice: OwnVoice | None,
        filler: Callable[[str], str],
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        post: Callable[[Event], None],
    ) -> None:
        """`own_voice` is that of a model that speaks its replies itself; `filler` words the wait for a tool, "" for the
        locale's own phrase.

        `start` runs a task for the call, and `post` gives the conversation a fact, which may call any method meanwhile.
        """
        self.answer_due: float | None = None
        """The caller's last voiced sample of the turn that the model has not yet answered, by the event loop's clock:
        for the latency metric."""
        self._outgoing = outgoing
        self._synthesizer = synthesizer
        self._voice = voice
        self._locale = locale
        self._own_voice = own_voice
        self._filler = filler
        self._start = start
        self._post = post
        self._ordered: deque[Speak] = deque()
        self._task: asyncio.Task[None] | None = None
        """Speaks what is ordered; None, or done, while nothing is."""
        self._making: _Making | None = None
        """The segment whose audio is being made, on the line or stopped meanwhile."""
        self._silent_segment: int | None = None
        """The segment that is being synthesized and has no audio yet."""
        self._bridge: asyncio.Task[None] | None = None
        """What is said while that is late."""
        self._prepared: dict[int, set[asyncio.Task[None]]] = {}
        """Speech that is made ahead, by the reply it belongs to."""
        self._kept = SegmentAudio(LINE_RATE_HZ)

    # ── orders ────────────────────────────────────────────────────────────────────

    def speak(self, command: Speak) -> None:
        """Put a segment on the line, as the command says."""
        if command.ahead:
            self._bridge = self._start(self._report(self._speak_ahead, command))
            return
        self._ordered.append(command)
        if self._task is None or self._task.done():
            self._task = self._start(self._speak())

    def stop(self, epoch: int) -> None:
        """Fall silent, and forget every segment that is not of this playback epoch or a later one."""
        self._ordered = deque(command for command in self._ordered if command.epoch >= epoch)
        if self._making is None or self._making.task is not self._task:
            _cancel(self._task)
        _cancel(self._bridge)
        self._task = self._bridge = None
        self._outgoing.restart(epoch)

    def drop_stopped(self) -> None:
        """Nobody goes on with what was stopped: it need not be made to its end. What was not stopped goes on.

        A model that says the same once more has it made anew: that is rarer than another answer, which would stand
        behind it at the synthesizer.
        """
        if self._task is None or self._task.done():
            self._make_no_more()

    def prepare(self, reply: int, text: str, pace: float) -> None:
        """Have the speech of a text made in case it will be wanted. It may fail: then it is asked for again."""
        task = self._start(self._prepare(reply, text, pace))
        self._prepared.setdefault(reply, set()).add(task)
        task.add_done_callback(partial(self._prepared_one, reply))

    def drop_prepared(self, reply: int) -> None:
        """Nothing that was made ahead for this reply is wanted any more."""
        _cancel(*self._prepared.get(reply, ()))

    def close(self) -> None:
        """End all that is being made: the call is over."""
        ahead = [task for tasks in self._prepared.values() for task in tasks]
        _cancel(*ahead, self._task, None if self._making is None else self._making.task, self._bridge)

    # ── segments ──────────────────────────────────────────────────────────────────

    async def _speak(self) -> None:
        """Synthesize the ordered segments one after the other; the pacer decides when they are sent."""
        # Any fact may stop playback, and with it this task, which then lives until it next waits.
        while self._ordered and self._task is asyncio.current_task():
            command = self._ordered.popleft()
            await self._report(self._speak_segment, command)
            if self._task is asyncio.current_task():
                self._silent_segment = None

    async def _report(self, speak: Callable[[Speak], Awaitable[None]], command: Speak) -> None:
        """Await `speak(command)`; whatever goes wrong with the segment becomes a fact."""
        try:
            await speak(command)
        except Exception as error:
            self._post(SegmentFailed(command.segment, note_failure(_log, error)))

    async def _speak_segment(self, command: Speak) -> None:
        form = self._form(command.text)
        if command.source is not None and await self._resume_segment(command, form):
            return
        self._make_no_more()
        started = False
        starts: list[float] = []
        self._silent_segment = command.segment
        try:
            async with aclosing(self._synthesize(form, command.pace, command.reply)) as speech:
                async for chunk in speech:
                    if not started:
                        started = True
                        self._silent_segment = None
                        _cancel(self._bridge)
                        self._start_segment(command, form)
                        if not self._is_own(command.reply):
                            self._making = _Making(command.segment, asyncio.current_task(), _now())
                    if chunk.words:
                        starts.extend(start for _, start in chunk.words)
                        self._post(WordsPlaced(command.segment, command.epoch, tuple(starts)))
                    self._kept.add(command.segment, chunk.pcm)
                    if command.epoch == self._outgoing.epoch:
                        self._outgoing.add(chunk.pcm)
                    if self._making is not None:
                        self._making.came_at = _now()
                        # Whoever goes on with it after a stop waits for this.
                        self._making.news.set()
            self._kept.complete(command.segment)
        except TalkspurtError:
            if command.epoch == self._outgoing.epoch:
                raise
            return  # whoever goes on with it will find that it is not whole
        finally:
            self._made(command.segment)
        if not started:
            self._start_segment(command, form)
        if command.epoch == self._outgoing.epoch:
            self._post(SegmentFinished(command.segment, command.epoch, self._outgoing.position))

    async def _speak_ahead(self, command: Speak) -> None:
        """Say a stock sentence before the segment that is late, if that is still late by then."""
        form = self._form(command.text)
        async with aclosing(self._synthesize(form, command.pace, None)) as speech:
            chunks = [chunk async for chunk in speech]
        # From here on at once: nothing can come between the pieces of it.
        if self._silent_segment is None:
            self._post(SegmentFailed(command.segment, "overtaken"))
            return
        self._start_segment(command, form)
        starts = tuple(start for chunk in chunks for _, start in chunk.words)
        if starts:
            self._post(WordsPlaced(command.segment, command.epoch, starts))
        self._put_on_line(command, b"".join(chunk.pcm for chunk in chunks))

    def _put_on_line(self, command: Speak, pcm: bytes) -> None:
        """All of a segment that has just been started, unless that has stopped playback."""
        if command.epoch == self._outgoing.epoch:
            self._outgoing.add(pcm)
            self._post(SegmentFinished(command.segment, command.epoch, self._outgoing.position))

    def _start_segment(self, command: Speak, form: SpokenForm, *, resumed: bool = False) -> None:
        if command.reply is not None and self.answer_due is not None:
            TURN_LATENCY.observe(_now() - self.answer_due + self._outgoing.until_next)
            self.answer_due = None
        self._post(
            SegmentStarted(command.segment, command.epoch, self._outgoing.position, form.written, form, resumed=resumed)
        )

    # ── behind a stop ─────────────────────────────────────────────────────────────

    async def _resume_segment(self, command: Speak, form: SpokenForm) -> bool:
        """Go on with audio that was cut off, at once and in the same melody; False when it is not there any more.

        What is still being made follows as it comes, unless it has stalled. Raises `ProviderError` when it breaks off.
        """
        source, making = command.source, self._making
        if source is None or not self._kept.rest(source.segment, source.offset):
            return False
        follows = making is not None and making.segment == source.segment
        stalled = making is None or _now() - making.came_at > STALLED
        if not self._kept.is_whole(source.segment) and (not follows or stalled):
            return False
        self._start_segment(command, form, resumed=True)
        sent = source.offset
        while command.epoch == self._outgoing.epoch:
            pcm = self._kept.rest(source.segment, sent)
            if self._kept.is_whole(source.segment):
                self._put_on_line(command, pcm)
                return True
            if making is None or making is not self._making:
                raise ProviderError("synthesizer", "rest", "broke off behind a stop", retryable=True)
            self._outgoing.add(pcm)
            sent += len(pcm) / 2 / LINE_RATE_HZ
            making.news.clear()
            await making.news.wait()
        return True

    def _made(self, segment: int) -> None:
        """Nothing more is made of a segment."""
        if self._making is not None and self._making.segment == segment:
            self._making.news.set()
            self._making = None

    def _make_no_more(self) -> None:
        """Nobody goes on with what was stopped."""
        if self._making is not None:
            _cancel(self._making.task)
            self._making = None

    # ── speech ────────────────────────────────────────────────────────────────────

    def _prepared_one(self, reply: int, task: asyncio.Task[None]) -> None:
        self._prepared[reply].discard(task)
        if not self._prepared[reply]:
            del self._prepared[reply]

    async def _prepare(self, reply: int, text: str, pace: float) -> None:
        """Let the phrase cache make this speech: whoever speaks the same text next finds it there, or under way."""
        if self._is_own(reply):
            return
        form = self._form(text)
        SPECULATION_CHARACTERS.inc(len(form.text))
        try:
            with made_ahead():
                async with aclosing(self._synthesize(form, pace, None)) as speech:
                    async for _ in speech:
                        pass
        except Exception:
            # It will be asked for again when it is wanted, and then the failure is a fact.
            ANOMALIES.labels("prepare_failed").inc()

    def _is_own(self, reply: int | None) -> bool:
        """Whether these are words that the model speaks itself: when their turn is dropped nobody else may say them."""
        return reply is not None and self._own_voice is not None and self._own_voice.speaks(reply)

    def _synthesize(self, form: SpokenForm, pace: float, reply: int | None) -> AsyncGenerator[SpeechChunk, None]:
        """The speech of what is said, which the phrase cache knows it by, unless the model speaks it itself."""
        return speech_of(
            form,
            own=self._own_voice,
            reply=reply,
            synthesizer=self._synthesizer,
            voice=self._voice,
            locale=self._locale.tag,
            pace=pace,
        )

    def _form(self, line: str | Phrase) -> SpokenForm:
        """How a line is said, in its words of now."""
        return self._locale.spoken_form(self._wording(line))

    def _wording(self, line: str | Phrase) -> str:
        if isinstance(line, str):
            return line
        arguments = dict(line.arguments)
        if line.name == "tool_filler":
            filler = self._filler(arguments["tool"])
            if filler:
                return filler
        return self._locale.phrases[line.name].format_map(arguments)


@dataclass(eq=False, slots=True)
class _Making:
    """A segment of which there is audio and more is being made."""

    segment: int
    task: asyncio.Task[None] | None
    came_at: float
    """When its newest audio came, by the event loop's clock."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is more, or will be none."""


def _now() -> float:
    return asyncio.get_running_loop().time()


def _cancel(*tasks: asyncio.Task[None] | None) -> None:
    for task in tasks:
        if task is not None:
            task.cancel()
