"""The shell of one call: it carries facts to the conversation and its commands to the world.

It takes no decision. Every fact, from whichever port, goes through `_post`; every command
is executed by `_execute`. What takes time runs as a task of the call's one task group and
comes back as a fact, failures too, so that no task ever raises into the group.

Per frame there is no task, queue or thread hop: audio goes synchronously from the transport through `incoming` to the
shared voice activity detector and to the recognizer's stream. What the agent says goes its own way from `_execute`:
`speaker` makes it, and `outgoing` sends it.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from talkspurt.agent import Agent, Caller
from talkspurt.agent.locales import Locale
from talkspurt.agent.tools import BUILT_IN
from talkspurt.clock import MediaClock
from talkspurt.core.commands import (
    BeginUtterance,
    CancelReply,
    CancelTool,
    CollectSecret,
    Command,
    Count,
    DiscardSecret,
    DropStopped,
    EndCall,
    EndUtterance,
    ExecuteEffect,
    ForgetCaller,
    JudgeTurn,
    KnowVoice,
    NoteReadBack,
    Prepare,
    Record,
    RequestReply,
    RunTool,
    RunWithSecret,
    Speak,
    StopPlayback,
    Transcribe,
    WithdrawEffect,
)
from talkspurt.core.conversation import Conversation
from talkspurt.core.events import (
    CallerHungUp,
    DigitPressed,
    EndRequested,
    Event,
    HandoverReturned,
    LineClosed,
    LineOpened,
    PartlyTranscribed,
    PlaybackReached,
    ReplyCompleted,
    ReplyFailed,
    ReplyTextReceived,
    ReplyToolComing,
    ReplyToolRequested,
    ToolProgressed,
    ToolReturned,
    ToolStarted,
    Transcribed,
    TranscriptionFailed,
    TurnJudged,
)
from talkspurt.core.sentences import Pieces
from talkspurt.core.settings import Settings
from talkspurt.core.snapshot import Writer
from talkspurt.core.states import Collecting, Ended, Endpointing, Floor, Listening, Lost, Thinking, Typing
from talkspurt.effects.dispatcher import Answer, ToolDispatcher
from talkspurt.effects.secrets import SecretPad
from talkspurt.errors import TalkspurtError
from talkspurt.incoming import IncomingAudio
from talkspurt.media.evidence import LineEvidence
from talkspurt.media.pacing import read_mark
from talkspurt.outgoing import OutgoingAudio
from talkspurt.ports import (
    LINE_RATE_HZ,
    Call,
    CallRecorder,
    LanguageModel,
    OwnVoice,
    Recognizer,
    RecognizerStream,
    ReplyRequest,
    Synthesizer,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    Transport,
    TurnDetector,
    Usage,
    VoiceActivityDetector,
)
from talkspurt.speaker import Speaker
from talkspurt.speech.inference import Purpose, context_for
from talkspurt.telemetry.journal import FileJournal, Journal, NoJournal
from talkspurt.telemetry.logs import note_failure
from talkspurt.telemetry.metrics import ANOMALIES, SPECULATION
from talkspurt.telemetry.usage import METER

LEAD_IN: Final = 0.25
"""Seconds of audio before the first voiced sample that the recognizer gets too: plosives begin before their voice."""
TURN_MEMORY: Final = 8 * LINE_RATE_HZ
"""Samples of the caller kept for the turn detector, which hears no more."""
JUDGEMENT_PATIENCE: Final = 1.0
"""Seconds after which a turn detector's score is of no use to anyone."""
EFFECT_PATIENCE: Final = 10.0
"""How long an effect may still run after the caller has hung up."""
TIMER_STEP: Final = 0.001
"""Seconds by which a timer may be late: uvloop's go by the millisecond, and sums of times are rounded."""
STANDING_PATIENCE: Final = 5.0
"""Seconds that tools wait until it is stored that somebody else has the phone: as long as for a step of the ledger."""

# Tuples, since every fact is compared with them, and to make a union takes longer than that.
_ANSWERS_NOTHING: Final = (Typing, Listening, Collecting, Lost)
"""Floors from which no answer to a turn of the caller is due."""
_NOTED: Final = (Record, CollectSecret, ExecuteEffect, EndCall)
"""Commands behind which the state is stored."""
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What all calls of a process share."""

    recognizer: Recognizer
    synthesizer: Synthesizer
    voice_activity: VoiceActivityDetector
    clock: MediaClock
    recorder: CallRecorder
    turn_detector: TurnDetector | None = None
    journals: Path | Callable[[Call], Journal] | None = None
    """Folder for a journal of each call's states and decisions, or what makes another kind; None for none."""


class Session:
    """One call. Its `_Line` listens to the current transport."""

    def __init__(
        self,
        call: Call,
        *,
        agent: Agent,
        model: LanguageModel,
        locale: Locale,
        settings: Settings,
        caller: Caller,
        dispatcher: ToolDispatcher,
        services: Services,
        minimum_voiced: float,
        snapshot: Mapping[str, Any] | None = None,
        returned: HandoverReturned | None = None,
        caller_facts: str = "",
        own_voice: OwnVoice | None = None,
    ) -> None:
        """`returned` tells how a hand-over went that the snapshot's conversation ended with.

        `caller_facts` is what the model is told of this call beside the agent's instructions; `own_voice` is that of a
        model that speaks its replies itself.
        """
        self.call = call
        self._caller_facts = caller_facts
        self._agent = agent
        self._model = model
        self._locale = locale
        self.caller = caller
        self._dispatcher = dispatcher
        self._services = services
        self._conversation = _conversation(settings, snapshot, returned)
        self._resumed_at = 0.0 if snapshot is None else float(snapshot["now"])
        if snapshot is not None:
            caller.restore(snapshot.get("caller"))
        self._saved_standing = caller.standing()
        self._saved_attachment = 0
        """Whose the state is that was noted last; 0 before the first."""
        self._lowering: asyncio.Task[None] | None = None
        """Stores that whoever was verified last is not any more."""
        self._writer = Writer()
        self._specs = dispatcher.specs()
        dispatcher.report_to(self._tool_progressed)
        self._opened = False
        """Whether the ports are open: only then can a line be listened to."""
        self.attachment = self._conversation.attachment
        """The number of the current media attachment; a call has several, one after the other."""
        self._pad = SecretPad()
        self._keeps_secrets = any(tool.secret is not None for tool in agent.tools)
        """Whether a tool of the agent's has callers key in what nobody else may know."""
        entry = self._conversation.secret
        if entry is not None:
            # Its first digits went with another process. What follows is a secret all the same.
            self._pad.collect(entry.tool_call, entry.rules)
        self._journal: Journal = _open_journal(services.journals, call)
        self._evidence = LineEvidence(kept=0 if services.turn_detector is None else TURN_MEMORY)
        self._incoming = IncomingAudio(
            self._conversation,
            self._evidence,
            self._pad,
            keeps_secrets=self._keeps_secrets,
            minimum_voiced=minimum_voiced,
            now=lambda: self._now,
            post=self._post,
            journal=self._journal,
        )
        self._outgoing = OutgoingAudio(self._evidence, self._incoming.delivered, epoch=self._conversation.epoch)
        self._speaker = Speaker(
            self._outgoing,
            synthesizer=services.synthesizer,
            voice=agent.voice.name,
            locale=locale,
            own_voice=own_voice,
            filler=dispatcher.filler,
            start=self._start,
            post=self._post,
        )
        self._facts: deque[Event] = deque()
        self._draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        """What the timer is, or was, set for: the deadline or before it, give or take `TIMER_STEP`."""
        self._replies: dict[int, asyncio.Task[None]] = {}
        self._tools: dict[str, asyncio.Task[None]] = {}
        self._effects: set[asyncio.Task[None]] = set()
        self._thought: tuple[int, Usage] = (0, Usage())
        """The last reply that was whole, and its tokens."""
        self.reason = ""
        """Why the call ended."""
        self.ended = asyncio.Event()

    @property
    def floor(self) -> Floor:
        """The state of the conversation, for those who watch."""
        return self._conversation.floor

    # ── life ──────────────────────────────────────────────────────────────────────

    async def run(self, transport: Transport, attachment: int) -> str:
        """Hold the conversation until it has ended; returns the end reason. Cancelling ends it at once."""
        floor = self._conversation.floor
        if isinstance(floor, Ended):
            # The process before this one ended the call, and died before anyone was told.
            self.reason = floor.reason
            self.ended.set()
            return self.reason
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._began = loop.time() - self._resumed_at
        self._context = context_for(Purpose(self.call.id))
        self.attach(transport, attachment)
        stream = await self._services.recognizer.open(locale=self._locale.tag, call_id=self.call.id)
        self._stream: RecognizerStream = stream
        self._incoming.open(self._services.voice_activity, stream)
        self._services.clock.join(self._outgoing.tick)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                reader = group.create_task(self._read_transcripts(stream))
                # Before the facts: what they lead to begins anew here.
                unfinished = self._conversation.executing
                for fact in self._conversation.orphaned():
                    self._post(fact)
                for tool_call, proposal in unfinished:
                    self._start_effect(self._recover_effect(tool_call, proposal))
                self._opened = True
                self._listen()
                await self.ended.wait()
                reader.cancel()
                await self._wind_up()
        finally:
            self._services.clock.leave(self._outgoing.tick)
            self._incoming.close()
            if self._timer is not None:
                self._timer.cancel()
            await stream.aclose()
            self._journal.close()
        return self.reason

    def attach(self, transport: Transport, attachment: int) -> None:
        """Go on over this media attachment; an earlier one is as good as lost."""
        if self._opened:
            self.line_closed(hung_up=False)
        self.attachment = attachment
        self._outgoing.transport = transport
        if self._opened:
            self._listen()

    def request_end(self, reason: str) -> None:
        """Ask for a polite end: "shutdown" or "operator"."""
        self._post(EndRequested("shutdown" if reason == "shutdown" else "operator"))

    def hung_up(self) -> None:
        """The carrier reports over its webhook that the call is over."""
        self._post(CallerHungUp())

    def _listen(self) -> None:
        """Take the current line into use; what an earlier one said last is forgotten with it."""
        transport = self._outgoing.transport
        assert transport is not None
        self._incoming.begin_line()
        # In this order: a line that was lost meanwhile says so as soon as it is listened to.
        self._post(LineOpened(self.attachment))
        transport.listen(_Line(self, self.attachment, self._incoming.hear))

    async def _wind_up(self) -> None:
        for task in (*self._replies.values(), *self._tools.values()):
            task.cancel()
        self._speaker.close()
        if self._effects:
            # An effect that was confirmed is finished whether or not the caller still listens.
            await asyncio.wait(self._effects, timeout=EFFECT_PATIENCE)
            for task in self._effects:
                task.cancel()

    # ── the line ──────────────────────────────────────────────────────────────────

    def line_mark(self, name: str) -> None:
        """The carrier has played up to one of our marks."""
        mark = read_mark(name)
        if mark is None:
            ANOMALIES.labels("foreign_mark").inc()
            return
        epoch, samples = mark
        if epoch == self._outgoing.epoch and samples > self._outgoing.sent:
            # Audio that was never sent was never heard: an effect may hang on it.
            ANOMALIES.labels("mark_beyond_sent").inc()
            return
        ahead = self._outgoing.sent - samples if epoch == self._outgoing.epoch else 0
        self._post(PlaybackReached(epoch, samples / LINE_RATE_HZ, ahead / LINE_RATE_HZ))

    def line_digit(self, digit: str) -> None:
        """The caller pressed a key. One that is a secret's, or may be, is told to nobody but its pad."""
        if self._pad.claims(self._now):
            fact = self._pad.press(digit, self._now)
            if fact is not None:
                self._post(fact)
        else:
            secret = self._keeps_secrets and self._conversation.asks_secret
            asked = self._conversation.expects_key
            self._post(DigitPressed(digit if asked else self._pad.masked(digit, self._now, secret=secret)))

    def line_closed(self, *, hung_up: bool) -> None:
        """The current attachment is over."""
        if self._outgoing.transport is not None:
            self._outgoing.transport = None
            self._post(LineClosed(self.attachment, hung_up=hung_up))

    # ── facts in, commands out ────────────────────────────────────────────────────

    @property
    def _now(self) -> float:
        return self._loop.time() - self._began

    def _post(self, fact: Event | None) -> None:
        """Give the conversation a fact and execute what follows; facts that arise meanwhile wait their turn."""
        if fact is not None:
            self._facts.append(fact)
        if self._draining:
            return
        self._draining = True
        try:
            if fact is None:
                self._take(None)
            while self._facts:
                self._take(self._facts.popleft())
        except Exception:
            # A bug of ours. Better to hang up, which the carrier and the caller understand, than to fall silent.
            _log.exception("conversation_failed")
            self.reason = self.reason or "internal_error"
            self.ended.set()
        finally:
            self._draining = False
        self._rearm()

    def _take(self, fact: Event | None) -> None:
        before, over = self._conversation.floor, self.ended.is_set()
        now = self._now
        if fact is None:
            # A time is up when its timer fires, however a sum of times was rounded; else it would fire again at once.
            now = max(now, self._armed_for)
        commands = self._conversation.receive(fact, now)
        after = self._conversation.floor
        self._journal.took(now, fact, before, after, commands)
        if isinstance(before, Endpointing) and isinstance(after, Thinking) and after.waited:
            # Not for a cough, an echo or an "mm-hm", which leave the agent its turn.
            self._speaker.answer_due = self._began + after.since - after.waited
        elif isinstance(after, _ANSWERS_NOTHING):
            self._speaker.answer_due = None
        for command in commands:
            self._execute(command)
        if isinstance(after, Listening) and not isinstance(before, Listening):
            self._pad.listens()
        if over:
            # The call may be another session's by now, with another snapshot.
            return
        standing = self.caller.standing()
        # Whoever takes the call up must not take somebody else for the caller who was verified before.
        known = standing == self._saved_standing
        # A state that still waits to be stored is refused once a later attachment owns the call.
        owned = self._saved_attachment in (0, self._conversation.attachment)
        # Whoever takes the call up in the middle of a secret must know that what is keyed in is one.
        noted = any(isinstance(command, _NOTED) for command in commands)
        if not (known and owned) or noted:
            lowered = _is_lowered(self._saved_standing, standing)
            # Whoever takes the call up asks only after an effect that the state knows of, and goes on unless it ended.
            at_once = any(isinstance(command, ExecuteEffect | EndCall) for command in commands)
            self._saved_standing = standing
            self._saved_attachment = self._conversation.attachment
            # The state is of now, whenever it is written: whatever the conversation comes to behind this, and be it
            # a fault of ours in the middle of a fact, has no part in it.
            write = partial(self._writer.write, self._conversation.state(), {"caller": standing})
            self._services.recorder.snapshot(
                self.call.id, self._saved_attachment, write, urgent=lowered, at_once=at_once
            )
            if lowered:
                self._lowering = self._start(self._store_standing())

    def _rearm(self) -> None:
        """See to it that a timer fires at the deadline, give or take `TIMER_STEP`. One that fires before it finds
        nothing to do, and is set anew: most facts put a deadline off, as a reply's tokens and marks do.
        """
        deadline = None if self.ended.is_set() else self._conversation.deadline
        if self._timer is not None:
            if deadline is not None and deadline > self._armed_for - TIMER_STEP:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._armed_for = deadline
            self._timer = self._loop.call_at(self._began + deadline, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        deadline = self._conversation.deadline
        if deadline is not None and deadline <= max(self._armed_for, self._now):
            self._post(None)
        else:
            self._rearm()

    def _execute(self, command: Command) -> None:
        match command:
            case BeginUtterance(utterance, at):
                self._stream.begin(utterance, self._incoming.begin_utterance(at) + LEAD_IN)
            case Transcribe(utterance, revision):
                self._stream.finalize(utterance, revision)
            case EndUtterance(utterance):
                self._stream.end(utterance)
                self._incoming.end_utterance()
            case KnowVoice(insisted=insisted):
                self._incoming.learn_voice(insisted=insisted)
            case RequestReply(reply, history):
                self._dispatcher.follow(history)
                self._replies[reply] = self._start(self._reply(command))
            case JudgeTurn(utterance, revision):
                self._judge_turn(utterance, revision)
            case CancelReply(reply):
                self._cancel(self._replies.pop(reply, None))
                self._discard_tokens(reply)
                self._speaker.drop_prepared(reply)
            case Prepare(reply, text):
                self._speaker.prepare(reply, text, self._conversation.speed)
            case Speak():
                self._speaker.speak(command)
            case StopPlayback(epoch):
                self._speaker.stop(epoch)
            case DropStopped():
                self._speaker.drop_stopped()
            case ForgetCaller(tool_call):
                # At once: no tool may start in between that believes in the one before.
                self._post(self._dispatcher.another_voice(tool_call))
            case RunTool(tool_call):
                self._tools[tool_call] = self._start(self._run_tool(command))
            case CancelTool(tool_call):
                self._cancel(self._tools.pop(tool_call, None))
            case CollectSecret(tool_call, rules):
                self._pad.collect(tool_call, rules)
            case RunWithSecret(tool_call):
                # At once: whatever comes to the pad while the task has not begun, the digits are out of it.
                secret = self._pad.take(tool_call, self._now)
                self._tools[tool_call] = self._start(self._run_with_secret(tool_call, secret))
            case DiscardSecret(tool_call):
                self._pad.discard(tool_call, self._now)
                self._dispatcher.forget_secret(tool_call)
            case NoteReadBack(proposal, at):
                self._start_effect(self._dispatcher.heard(proposal, at))
            case ExecuteEffect(tool_call, proposal, turn):
                self._start_effect(self._execute_effect(tool_call, proposal, turn))
            case WithdrawEffect(proposal):
                self._start_effect(self._dispatcher.withdraw(proposal))
            case Record(entry):
                self._services.recorder.entry(self.call.id, entry)
            case Count("keys_masked"):
                self._pad.told()
            case Count("speculation_kept" | "speculation_dropped" as name):
                SPECULATION.labels(name.removeprefix("speculation_")).inc()
            case Count(name):
                ANOMALIES.labels(name).inc()
            case EndCall(reason):
                self.reason = reason
                self.ended.set()

    # ── what takes time ───────────────────────────────────────────────────────────

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # Facts come from tasks and callbacks of all calls; what is done about them is done for this one.
        return self._group.create_task(work, context=self._context.copy())

    def _start_effect(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._start(work)
        self._effects.add(task)
        task.add_done_callback(self._effects.discard)

    def _discard_tokens(self, reply: int) -> None:
        """Count a reply that was whole, and is dropped all the same: a guess at words that were others."""
        meter, (thought, usage) = METER.get(), self._thought
        if meter is not None and thought == reply:
            meter.discarded(usage)

    def _cancel(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()

    async def _read_transcripts(self, stream: RecognizerStream) -> None:
        try:
            async for transcript in stream.transcripts():
                if not transcript.final:
                    self._post(PartlyTranscribed(transcript.utterance, transcript.text))
                elif transcript.error is None:
                    self._post(Transcribed(transcript.utterance, transcript.revision, transcript.text))
                else:
                    self._post(TranscriptionFailed(transcript.utterance, transcript.revision, transcript.error))
        except Exception:
            # The core's own deadline notices that no transcript comes any more.
            _log.exception("recognizer_stream_failed")

    async def _reply(self, command: RequestReply) -> None:
        reply = command.reply
        request = ReplyRequest(
            instructions=self._agent.instructions,
            history=command.history,
            tools=self._specs,
            locale=self._locale.tag,
            caller_facts=self._caller_facts,
            reply=reply,
            pace=self._conversation.speed,
            continues=command.continues,
        )
        try:
            await self._stream_reply(reply, request)
        except Exception as error:
            self._post(ReplyFailed(reply, note_failure(_log, error)))
        self._replies.pop(reply, None)

    async def _stream_reply(self, reply: int, request: ReplyRequest) -> None:
        pieces = Pieces()
        async with aclosing(self._model.reply(request)) as parts:
            async for part in parts:
                if isinstance(part, TextDelta):
                    self._tell_text(reply, pieces.add(part.text, self._now))
                    continue
                self._tell_text(reply, pieces.take(self._now))
                if isinstance(part, ToolCallDelta):
                    self._post(ReplyToolComing(reply))
                elif isinstance(part, ToolCallPart):
                    self._post(ReplyToolRequested(reply, part.tool_call, part.name, part.arguments))
                elif isinstance(part, Usage):
                    self._thought = (reply, part)
        self._tell_text(reply, pieces.take(self._now))
        self._post(ReplyCompleted(reply))

    def _tell_text(self, reply: int, text: str) -> None:
        if text:
            self._post(ReplyTextReceived(reply, text))

    def _judge_turn(self, utterance: int, revision: int) -> None:
        detector = self._services.turn_detector
        if detector is not None:
            self._start(self._judge(detector, utterance, revision, self._evidence.lately_heard(TURN_MEMORY)))

    async def _judge(self, detector: TurnDetector, utterance: int, revision: int, pcm: bytes) -> None:
        try:
            async with asyncio.timeout(JUDGEMENT_PATIENCE):
                score = await detector.finished(pcm)
        except (TalkspurtError, TimeoutError):
            # The score is a help, not a need: without it the silence decides.
            ANOMALIES.labels("turn_not_judged").inc()
        except Exception:
            _log.exception("turn_detector_failed")
        else:
            self._post(TurnJudged(utterance, revision, score))

    async def _store_standing(self) -> None:
        stored = False
        with suppress(TimeoutError):
            async with asyncio.timeout(STANDING_PATIENCE):
                stored = await self._services.recorder.write(self.call.id, STANDING_PATIENCE)
        if not stored:
            # It waits on, as any other state; the caller should not have to.
            _log.error("caller_change_not_stored", waited=STANDING_PATIENCE)

    async def _standing_stored(self) -> None:
        """No tool that the model asks for starts before this, so no secret is asked for and no effect proposed: should
        the process die, the next one must not serve somebody else than it did.
        """
        while self._lowering is not None and not self._lowering.done():
            await asyncio.wait((self._lowering,))

    async def _run_tool(self, command: RunTool) -> None:
        if command.name not in BUILT_IN:
            await self._standing_stored()
        # The dispatcher never raises for anything a model or tool does.
        answer = await self._dispatcher.run(command.tool_call, command.name, command.arguments)
        self._tool_returned(answer)
        if isinstance(answer, ToolStarted):
            self._tool_returned(await self._dispatcher.finish(command.tool_call))
        self._tools.pop(command.tool_call, None)

    def _tool_progressed(self, tool_call: str, words: str) -> None:
        self._post(ToolProgressed(tool_call, words))

    async def _run_with_secret(self, tool_call: str, secret: str | None) -> None:
        self._tool_returned(await self._dispatcher.run_with_secret(tool_call, secret))
        self._tools.pop(tool_call, None)

    async def _execute_effect(self, tool_call: str, proposal: str, turn: int) -> None:
        self._effect_told(await self._dispatcher.execute(tool_call, proposal, turn), proposal)

    async def _recover_effect(self, tool_call: str, proposal: str) -> None:
        self._effect_told(await self._dispatcher.recover(tool_call, proposal), proposal)

    def _effect_told(self, fact: ToolReturned | ToolStarted, proposal: str) -> None:
        self._tool_returned(fact)
        if isinstance(fact, ToolStarted) and not self.ended.is_set():
            self._tools[fact.tool_call] = self._start(self._await_outcome(fact.tool_call, proposal))

    async def _await_outcome(self, tool_call: str, proposal: str) -> None:
        self._tool_returned(await self._dispatcher.outcome(tool_call, proposal))
        self._tools.pop(tool_call, None)

    def _tool_returned(self, fact: Answer) -> None:
        self._post(fact)
        if self.caller.leaving:
            self.caller.leaving = False
            self._post(EndRequested("handover", fact.tool_call))


def _conversation(
    settings: Settings, snapshot: Mapping[str, Any] | None, returned: HandoverReturned | None
) -> Conversation:
    if snapshot is None:
        return Conversation(settings)
    if returned is None:
        return Conversation.restore(settings, dict(snapshot))
    return Conversation.take_back(settings, dict(snapshot), returned)


def _is_lowered(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether somebody who was verified is not any more, or less so."""
    if before["account"] is None:
        return False
    return bool(after["account"] != before["account"] or after["level"] < before["level"])


def _open_journal(journals: Path | Callable[[Call], Journal] | None, call: Call) -> Journal:
    if journals is None:
        return NoJournal()
    if not isinstance(journals, Path):
        return journals(call)
    # The id comes from whoever posted the webhook, and must not lead out of the folder.
    return FileJournal(journals / f"{_NO_NAME.sub('_', call.carrier_id)}.jsonl")


class _Line:
    """One attachment's `LineListener`: what an earlier attachment still says is not mistaken for the current line's."""

    def __init__(self, session: Session, attachment: int, hear: Callable[[bytes], None]) -> None:
        self._session = session
        self._attachment = attachment
        self._hear = hear

    @property
    def _current(self) -> bool:
        return self._session.attachment == self._attachment

    def audio_received(self, pcm: bytes, /) -> None:
        # As `_current` says, without the call: this is for every frame.
        if self._session.attachment == self._attachment:
            self._hear(pcm)

    def digit_received(self, digit: str, /) -> None:
        if self._current:
            self._session.line_digit(digit)

    def mark_received(self, name: str, /) -> None:
        if self._current:
            self._session.line_mark(name)

    def line_closed(self, *, hung_up: bool) -> None:
        if self._current:
            self._session.line_closed(hung_up=hung_up)
