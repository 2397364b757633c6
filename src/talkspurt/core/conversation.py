"""One call's conversation: who has the floor, and what follows from every fact.

`receive(event, now)` takes one fact and returns the commands that follow from it;
`deadline` says when to call again with None if nothing happens. Both ends speak in
seconds since the call began. Nothing here does I/O, so every call can be replayed.

Rules:
1. Events carry the id of what they speak of; news of a dead id is counted and ignored.
2. Every state but `Ended` has a deadline.
3. Expired deadlines run before the event, in order, each at its own time.
4. Every change of state goes through `_enter`, which asserts the transition table.

The agent's half lives in `AgentSide`, the caller's keys in `Keypad`; this file holds the floor and the caller's voice.
"""

import math
from dataclasses import replace
from types import NoneType
from typing import Any, Literal, assert_never

from talkspurt.core import commands, consent, events, history, log, playback, speculation, turn
from talkspurt.core.agent_side import CALLER_SILENT, AgentSide, Progress
from talkspurt.core.barge_in import Dismissed, together
from talkspurt.core.commands import (
    BeginUtterance,
    Command,
    Count,
    EndCall,
    EndUtterance,
    JudgeTurn,
    KnowVoice,
    Phrase,
    Transcribe,
)
from talkspurt.core.digits import MASKED, Digits, EntryRules
from talkspurt.core.endpointing import ENTITIES, Pace, Pause, TurnPauses, credible
from talkspurt.core.events import (
    CallerChanged,
    CallerHungUp,
    DigitPressed,
    EffectProposed,
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
    SecretEntered,
    SecretProgress,
    SecretRequested,
    SegmentFailed,
    SegmentFinished,
    SegmentStarted,
    SpeechContinued,
    SpeechStarted,
    SpeechStirred,
    SpeechStopped,
    ToolProgressed,
    ToolReturned,
    ToolStarted,
    Transcribed,
    TranscriptionFailed,
    TurnJudged,
    Voice,
    WordsPlaced,
)
from talkspurt.core.keypad import KEPT_FROM_YOU, KEYED, Keypad
from talkspurt.core.language import ANYTHING, Completeness, Expectation
from talkspurt.core.secret_entry import SecretEntry
from talkspurt.core.settings import Settings
from talkspurt.core.snapshot import VERSION, Decoder, Parts, encode
from talkspurt.core.spoken_form import SpokenForm
from talkspurt.core.states import (
    TRANSITIONS,
    Closing,
    Collecting,
    Ended,
    Endpointing,
    Floor,
    Hearing,
    Listening,
    Lost,
    Opening,
    Speaking,
    Thinking,
    Typing,
    Yielding,
)

_DECODER = Decoder(
    [
        *TRANSITIONS,
        Completeness,
        Digits,
        Dismissed,
        EntryRules,
        Expectation,
        Pace,
        Pause,
        TurnPauses,
        SecretEntry,
        SpeechStopped,
        Voice,
        commands.Phrase,
        commands.Source,
        HandoverReturned,
        events.ReplyCompleted,
        events.ReplyFailed,
        events.ReplyTextReceived,
        events.ReplyToolRequested,
        history.CallerSaid,
        history.ToolCalled,
        log.Spoken,
        log.Called,
        log.HandedOn,
        log.ForEarlierCaller,
        playback.Segment,
        speculation.Guess,
        SpokenForm,
        turn.AgentTurn,
        turn.Line,
        consent.PendingEffect,
        turn.RunningTool,
    ]
)
PROMPTS = ("still_there", "offer_help")
"""What is said into the caller's silence, before the goodbye."""
MENUS = 3
"""How often keys are offered to a caller who cannot be heard, until the agent gives up."""
MOST_IGNORED = 2
"""Utterances in a row that another voice may say into the silence without being answered."""
STIRRING = 0.13
"""Seconds within which a first moment of voice has become a talkspurt, or nothing: four windows of 32 ms."""
SHORT = 1.0
"""Seconds of an answer that ended before its voice was sure, at most: its words count from where the voice began."""
REACH_BACK = 0.4
"""Seconds before now that the words of a voice count from which turns out to be the caller's after all."""
SOON, NOW_AND_THEN, SELDOM = 0.09, 0.95, 4.8
"""Seconds of a voice between two reports of it: while a decision waits for whose it is, while one could be taken back,
and while nothing depends on it."""
_MAX_EXPIRIES = 1000
"""More deadlines than this at one instant is a rule that does not move its own deadline: a bug, not a call."""
CLOCK_STEP = 0.01
"""Seconds back from which a clock has been set: timers fire up to a millisecond before their time."""


class Conversation:
    """The state machine of one call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._commands: list[Command] = []
        self._agent = AgentSide(settings, self._commands)
        self._keypad = Keypad(settings, self._agent, self._commands)
        self._now = 0.0
        self._floor: Floor = Opening(0.0)
        self._attachment = 0
        self._talkspurt = 0
        """The last talkspurt on this attachment; the next line may number them anew."""
        self._talkspurt_at = 0.0
        """When it began, whosever voice it was then taken for."""
        self._utterance_at = 0.0
        """When the first talkspurt of the last utterance began."""
        self._utterances = 0
        self._revisions = 0
        self._misses = 0
        self._quiet_since = 0.0
        """Since when the caller owes us something: their silence is measured from here."""
        self._prompts = 0
        """How often that silence has been spoken into."""
        self._pace = Pace()
        self._dismissed = Dismissed()
        self._ignored = 0
        """Utterances of another voice that were left alone since the last turn."""
        self._handed_over_by = ""
        """The tool call that asked for the call to be handed over; "" while none did."""
        self._returned: HandoverReturned | None = None
        """How the hand-over went that the caller comes back from."""
        self._looked_for_secret = 0, False
        """How many things had been said and done when it was looked at last, and what was found: `asks_secret`."""
        self._due: float | None = None
        self._is_reckoned = False
        """Whether `_due` is still the deadline: it is reckoned once a fact, which costs as much as the fact itself."""

    # ── the interface ─────────────────────────────────────────────────────────────

    @property
    def floor(self) -> Floor:
        """The state the conversation is in."""
        return self._floor

    @property
    def heeds_voice(self) -> float:
        """How often, in seconds of a voice that goes on, it may matter whose it is; a report is work for the line."""
        match self._floor:
            case Hearing() if self._agent.turn is None:
                # One into the silence is judged at its end, or at `max_utterance`.
                return SELDOM
            case Hearing(voice=voice, before=before):
                # Behind words that were the caller's nothing makes the utterance somebody else's, and a voice that was
                # theirs a moment ago still is.
                known = voice.is_caller is True or (before is not None and before.is_caller is not False)
                return NOW_AND_THEN if known else SOON
            case _:
                return SOON

    @property
    def heeds_beginning(self) -> bool:
        """Whether it matters at once whose voice comes up, not only if it is an echo: where it can stop something."""
        match self._floor:
            case Thinking() | Speaking():
                return True
            case Endpointing():
                return self._agent.turn is not None or not self._agent.playback.silent
            case _:
                return False

    @property
    def heeds_echo(self) -> bool:
        """Whether it matters at once if a voice that goes on is the agent's own: not once the agent has given way."""
        return not isinstance(self._floor, Hearing)

    @property
    def attachment(self) -> int:
        """The media attachment that was opened last; 0 before the first."""
        return self._attachment

    @property
    def epoch(self) -> int:
        """The playback epoch; audio and marks of any other prove nothing."""
        return self._agent.playback.epoch

    @property
    def secret(self) -> SecretEntry | None:
        """The secret that is being keyed in."""
        return self._agent.secret

    @property
    def expects_key(self) -> bool:
        """Whether the next key is of an entry that the agent has asked for; the first key of an entry decides."""
        if isinstance(self._floor, Typing) and self._floor.digits.typed:
            return MASKED not in self._floor.digits.typed
        return self._agent.expectation.kind in KEYED

    @property
    def asks_secret(self) -> bool:
        """Whether the agent has asked, in its own words, for what nobody but the caller may know, and for nothing else
        since. It is looked at once for each thing said or done.
        """
        places = len(self._agent.log.places)
        if self._looked_for_secret[0] != places:
            asks = map(self._settings.language.asks_secret, self._agent.log.turns_since_keys(self._agent.playback))
            self._looked_for_secret = places, next((asked for asked in asks if asked is not None), False)
        return self._looked_for_secret[1]

    @property
    def speed(self) -> float:
        """How fast the agent speaks, 1 as the voice is by nature."""
        return self._agent.pace

    def orphaned(self) -> tuple[Event, ...]:
        """The facts to feed to a restored conversation: all that was under way died with its process."""
        if isinstance(self._floor, Ended):
            return ()
        lost = () if isinstance(self._floor, Opening) else (LineClosed(self._attachment, hung_up=False),)
        return (*lost, *self._agent.orphaned())

    @property
    def executing(self) -> tuple[tuple[str, str], ...]:
        """Tool calls that execute an effect, with its proposal: of a restored conversation, what to find out about."""
        return () if isinstance(self._floor, Ended) else self._agent.executing

    @property
    def history(self) -> tuple[history.Entry, ...]:
        """What was said, done and heard up to now."""
        return self._agent.history()

    @property
    def deadline(self) -> float | None:
        """When `receive(None, …)` must be called if nothing happens before; None once the call has ended."""
        if not self._is_reckoned:
            self._due, self._is_reckoned = self._reckoned_deadline, True
        return self._due

    @property
    def _reckoned_deadline(self) -> float | None:
        floor_deadline = self._floor_deadline
        if floor_deadline is None:
            return None
        due = [floor_deadline]
        if not isinstance(self._floor, Closing | Lost):
            due.append(self._settings.max_call)
        if not isinstance(self._floor, Lost):
            agent_deadline = self._agent.deadline
            if agent_deadline is not None:
                due.append(agent_deadline)
        return max(self._now, min(due))

    def receive(self, event: Event | None, now: float) -> tuple[Command, ...]:
        """Take in one fact (or none, when a deadline has passed) and return what is to be done, in order."""
        for _ in range(_MAX_EXPIRIES):
            due = self.deadline
            if due is None or due > now:
                break
            self._now = due
            self._is_reckoned = False
            self._expire(due)
            self._advance(due)
        else:
            raise AssertionError(f"deadlines of {self._floor} do not advance")
        if now < self._now - CLOCK_STEP:
            self._commands.append(Count("clock_back"))
        self._now = max(self._now, now)
        if event is not None:
            self._is_reckoned = False
            if isinstance(self._floor, Ended):
                self._count_late(event, now)
            else:
                self._dispatch(event, self._now)
                self._advance(self._now)
        self._agent.record()
        taken = tuple(self._commands)
        self._commands.clear()
        return taken

    def snapshot(self) -> dict[str, Any]:
        """Everything `restore` needs, as JSON values."""
        return {name: encode(part) for name, part in self.state().items()}

    def state(self) -> dict[str, Any]:
        """What `snapshot` encodes, as it is now: nothing in it changes when the conversation goes on.

        All of it is frozen or copied, and that costs microseconds, so it may be taken often and encoded rarely.
        """
        agent = self._agent
        return {
            "version": VERSION,
            "now": self._now,
            "floor": self._floor,
            "attachment": self._attachment,
            "talkspurt": self._talkspurt,
            "talkspurt_at": self._talkspurt_at,
            "utterance_at": self._utterance_at,
            "utterances": self._utterances,
            "revisions": self._revisions,
            "misses": self._misses,
            "quiet_since": self._quiet_since,
            "prompts": self._prompts,
            "pace": self._pace,
            "dismissed": self._dismissed,
            "ignored": self._ignored,
            "handed_over_by": self._handed_over_by,
            "returned": self._returned,
            "typed_ahead": self._keypad.ahead,
            "entered_at": self._keypad.entered_at,
            "turn": agent.turn,
            "suspended": agent.suspended,
            "pending": agent.pending,
            "running": dict(agent.running),
            "later": dict(agent.later),
            "untold": agent.untold,
            "secret": agent.secret,
            "guess": agent.guess,
            "expects": agent.expects,
            "speed": agent.pace,
            "failures": agent.failures,
            "replies": agent.replies,
            "segments": agent.segments,
            "places": tuple(agent.log.places),
            "recorded": agent.log.recorded,
            "epoch": agent.playback.epoch,
            "heard": agent.playback.heard,
            "marked_at": agent.playback.marked_at,
            "ahead": agent.playback.ahead,
            "progress_at": agent.playback.progress_at,
            "playback": tuple(agent.playback.segments.values()),
        }

    @classmethod
    def restore(cls, settings: Settings, snapshot: Any) -> "Conversation":
        """Make the conversation that `snapshot` was taken of. Raises `ValueError` when it cannot be read."""
        parts = Parts(snapshot, _DECODER)
        self = cls(settings)
        agent = self._agent
        self._now = parts.plain("now", float)
        self._floor = parts.one("floor", *TRANSITIONS)
        self._attachment = parts.plain("attachment", int)
        self._talkspurt = parts.plain("talkspurt", int)
        self._talkspurt_at = parts.plain("talkspurt_at", float)
        self._utterance_at = parts.plain("utterance_at", float)
        self._utterances = parts.plain("utterances", int)
        self._revisions = parts.plain("revisions", int)
        self._misses = parts.plain("misses", int)
        self._quiet_since = parts.plain("quiet_since", float)
        self._prompts = parts.plain("prompts", int)
        self._pace = parts.one("pace", Pace)
        self._dismissed = parts.one("dismissed", Dismissed)
        self._ignored = parts.plain("ignored", int)
        self._handed_over_by = parts.plain("handed_over_by", str)
        self._returned = parts.one("returned", HandoverReturned, NoneType)
        self._keypad.ahead = parts.plain("typed_ahead", str)
        self._keypad.entered_at = parts.plain("entered_at", float)
        agent.turn = parts.one("turn", turn.AgentTurn, NoneType)
        agent.suspended = parts.plain("suspended", bool)
        agent.pending = parts.one("pending", consent.PendingEffect, NoneType)
        agent.running = parts.mapping("running", turn.RunningTool)
        agent.later = parts.mapping("later", turn.RunningTool)
        agent.untold = parts.plain("untold", bool)
        agent.secret = parts.one("secret", SecretEntry, NoneType)
        agent.guess = parts.one("guess", speculation.Guess, NoneType)
        agent.expects = parts.one("expects", Expectation, NoneType)
        agent.pace = parts.plain("speed", float)
        agent.failures = parts.plain("failures", int)
        agent.replies = parts.plain("replies", int)
        agent.segments = parts.plain("segments", int)
        agent.log.places = list(parts.many("places", history.CallerSaid, log.Spoken, log.Called))
        agent.log.recorded = parts.plain("recorded", int)
        agent.playback.epoch = parts.plain("epoch", int)
        agent.playback.heard = parts.plain("heard", float)
        agent.playback.marked_at = parts.plain("marked_at", float)
        agent.playback.ahead = parts.plain("ahead", float)
        agent.playback.progress_at = parts.plain("progress_at", float)
        segments = parts.many("playback", playback.Segment)
        agent.playback.segments = {segment.id: segment for segment in segments}
        agent.playback.open = {segment.id: None for segment in segments if not segment.settled}
        if not 0 <= self._prompts <= len(PROMPTS):
            raise ValueError("snapshot has an impossible number of prompts")
        if isinstance(self._floor, Collecting) and agent.secret is None:
            raise ValueError("snapshot collects no secret")
        if agent.secret is not None and not (
            agent.secret.tool_call in agent.running and agent.turn and agent.secret.tool_call in agent.turn.tools
        ):
            raise ValueError("snapshot has a secret that no tool waits for")
        if agent.log.recorded > len(agent.log.places):
            raise ValueError("snapshot has recorded more than was said")
        spoken = {place.segment for place in agent.log.places if isinstance(place, log.Spoken)}
        if spoken != agent.playback.segments.keys():
            raise ValueError("snapshot has places and segments that do not belong together")
        return self

    @classmethod
    def take_back(cls, settings: Settings, snapshot: dict[str, Any], returned: HandoverReturned) -> "Conversation":
        """Make the conversation that goes on where `snapshot` handed its caller over, for nobody took the call.

        It waits for a line, as at its beginning. From any other snapshot it is an ordinary `restore`.
        Raises `ValueError` when the snapshot cannot be read.
        """
        self = cls.restore(settings, snapshot)
        if isinstance(self._floor, Ended) and self._floor.reason == "handover":
            self._floor = Opening(self._now)
            self._returned = returned
        return self

    # ── facts ─────────────────────────────────────────────────────────────────────

    def _dispatch(self, event: Event, now: float) -> None:
        match event:
            # First what comes most often: half of all facts are marks.
            case PlaybackReached():
                self._agent.playback_reached(event, now)
            case LineOpened():
                self._line_opened(event, now)
            case LineClosed():
                self._line_closed(event, now)
            case CallerHungUp():
                self._end("caller_hung_up", now)
            case SpeechStirred():
                self._speech_stirred(now)
            case SpeechStarted():
                self._speech_started(event, now)
            case SpeechContinued():
                self._speech_continued(event, now)
            case SpeechStopped():
                self._speech_stopped(event, now)
            case PartlyTranscribed():
                self._partly_transcribed(event, now)
            case TurnJudged():
                self._turn_judged(event)
            case Transcribed():
                self._transcribed(event.utterance, event.revision, event.text.strip(), now)
            case TranscriptionFailed():
                self._commands.append(Count("transcription_failed"))
                self._transcribed(event.utterance, event.revision, "", now, failed=True)
            case DigitPressed():
                self._digit_pressed(event, now)
            case EndRequested():
                self._end_requested(event, now)
            case ReplyTextReceived() | ReplyToolRequested() | ReplyCompleted() | ReplyFailed():
                self._agent.reply_news(event, now)
            case ReplyToolComing():
                self._agent.reply_tool_coming(event, now)
            case ToolReturned():
                self._agent.tool_returned(event)
            case ToolStarted():
                self._agent.tool_started(event)
            case CallerChanged():
                self._agent.caller_changed(event, now)
            case ToolProgressed():
                self._agent.tool_progressed(event)
            case EffectProposed():
                self._agent.effect_proposed(event, now)
            case SecretRequested():
                self._secret_requested(event, now)
            case SecretProgress() | SecretEntered():
                self._secret_keyed(event, now)
            case SegmentStarted():
                self._agent.segment_started(event, now)
            case WordsPlaced():
                self._agent.words_placed(event)
            case SegmentFinished():
                self._agent.segment_finished(event, now)
            case SegmentFailed():
                self._agent.segment_failed(event, now)
            case _:
                assert_never(event)

    def _count_late(self, event: Event, now: float) -> None:
        self._commands.append(Count("after_end", type(event).__name__))
        if isinstance(event, EffectProposed):
            self._commands.append(commands.WithdrawEffect(event.proposal))
        elif isinstance(event, SecretRequested):
            self._commands.append(commands.DiscardSecret(event.tool_call))
        elif isinstance(event, ToolReturned) and event.tool_call in self._agent.running:
            self._agent.tool_returned(event)
        elif isinstance(event, CallerChanged):
            self._agent.caller_changed(event, now)

    def _line_opened(self, event: LineOpened, now: float) -> None:
        match self._floor:
            case Opening():
                self._attachment, self._talkspurt, self._dismissed = event.attachment, 0, Dismissed()
                returned, self._returned = self._returned, None
                if returned is not None:
                    self._agent.take_back(returned.phrase, self._handed_over_by, returned.content, now)
                elif self._settings.announcement:
                    self._agent.announce(self._settings.announcement, self._settings.greeting, now)
                else:
                    self._agent.open_turn(self._settings.greeting, now=now)
                self._enter(Thinking(now, filled=True))
            case Lost():
                self._attachment, self._talkspurt, self._dismissed = event.attachment, 0, Dismissed()
                if self._agent.turn is None:
                    self._agent.open_turn(Phrase("line_back"), now=now)
                else:
                    self._agent.resume_turn(now)
                self._enter(Thinking(now))
            case _ if event.attachment > self._attachment:
                # A half-open socket is noticed late: the caller is where the newest line is.
                self._line_closed(LineClosed(self._attachment, hung_up=False), now)
                if isinstance(self._floor, Lost):
                    self._line_opened(event, now)
            case _:
                self._commands.append(Count("line_opened_twice"))

    def _line_closed(self, event: LineClosed, now: float) -> None:
        if event.attachment != self._attachment or isinstance(self._floor, Opening | Ended):
            self._commands.append(Count("stale_line"))
        elif event.hung_up:
            self._end("caller_hung_up", now)
        elif isinstance(self._floor, Closing):
            self._end(self._floor.reason, now)
        elif isinstance(self._floor, Thinking | Speaking) and self._agent.takes_leave:
            self._end(CALLER_SILENT, now)
        elif not isinstance(self._floor, Lost):
            self._end_utterance()
            self._agent.lose_line()
            self._agent.drop_secret()
            self._enter(Lost(now))

    def _speech_started(self, event: SpeechStarted, now: float) -> None:
        if event.talkspurt <= self._talkspurt:
            self._commands.append(Count("stale_talkspurt"))
            return
        self._talkspurt, self._talkspurt_at = event.talkspurt, event.at
        match self._floor:
            case Listening() | Thinking() | Speaking() | Collecting():
                self._voice_came_up(event.talkspurt, event.at, event.voice, now)
            case Endpointing() if not (self._agent.playback.silent or self._settings.barge_in.may_stop(event.voice)):
                # Not the caller, over what bridges the wait for their words.
                self._commands.append(Count("foreign_voice"))
                self._dismissed = self._dismissed.next(event.talkspurt)
            case Endpointing(pause=pause) if pause.cut:
                # They never stop, and are answered all the same: taken up once it is the agent's turn.
                self._dismissed = replace(self._dismissed, talkspurt=event.talkspurt, stranger=False)
            case Endpointing() as floor:
                self._goes_on(floor, event.talkspurt, event.voice, event.at, now)
            case Yielding() | Hearing() as floor:
                self._commands.append(Count("speech_started_twice"))
                self._enter(replace(floor, talkspurt=event.talkspurt))
            case Typing():
                # A voice that goes on until the entry is over is taken up then.
                self._dismissed = self._dismissed.next(event.talkspurt)
            case Opening() | Closing() | Lost() | Ended():
                return

    def _goes_on(self, floor: Endpointing, talkspurt: int, voice: Voice, at: float, now: float) -> None:
        """The caller has gone on, from `at` on, before their turn was over."""
        self._dismissed = self._dismissed.next()
        self._agent.suspend(now)
        self._pace = self._pace.paused(max(0.0, at - floor.stopped_at), floor.pause.words)
        # The words so far are not all that is said any more.
        self._enter(Hearing(floor.utterance, floor.since, talkspurt, floor.voiced, voice, before=floor.voice))

    @property
    def _is_silent(self) -> bool:
        """Whether the agent has nothing to say, so that nothing can be stopped."""
        return isinstance(self._floor, Listening | Collecting)

    def _speech_stirred(self, now: float) -> None:
        """The caller may be going on just as their turn seems to be over: wait until that is known."""
        match self._floor:
            case Endpointing() as floor:
                # A line that crackles stirs for ever: it holds the turn no longer than a missing transcript would.
                latest = floor.stopped_at + self._settings.transcript_patience
                self._enter(replace(floor, not_before=min(now + STIRRING, latest)))
            case _:
                return

    def _voice_came_up(self, talkspurt: int, at: float, voice: Voice, now: float) -> None:
        """The first step: fall silent at once, unless nothing may stop the agent or it is not the caller's voice."""
        rules = self._settings.barge_in
        silent = self._is_silent
        # What comes into silence is judged when it is whole: only an echo is certainly no turn.
        admitted = voice.is_echo is not True if silent else rules.may_stop(voice) and not self._dismissed.doubts(voice)
        if not admitted or not (silent or self._agent.interruptible == "voice"):
            if self._dismissed.talkspurt != talkspurt:
                self._commands.append(Count("voice_not_admitted" if admitted else "foreign_voice"))
                self._dismissed = self._dismissed.next(talkspurt)
            return
        self._dismissed = self._dismissed.next()
        self._agent.suspend(now)
        self._utterances += 1
        self._utterance_at = self._talkspurt_at
        self._commands.append(BeginUtterance(self._utterances, at))
        if silent:
            self._enter(Hearing(self._utterances, now, talkspurt, voice=voice))
        else:
            self._enter(Yielding(self._utterances, now, talkspurt, voice=voice))

    def _speech_continued(self, event: SpeechContinued, now: float) -> None:
        match self._floor:
            case Hearing(talkspurt=talkspurt, before=before) as floor if (
                talkspurt == event.talkspurt
                and self._agent.turn is not None
                and together(before, event.voice).is_caller is False
            ):
                # It took longer than the second step to tell, but it was somebody else who spoke into the agent's turn.
                self._dismissed = self._dismissed.next(talkspurt, stranger=True)
                self._go_on("foreign_voice", floor.utterance, now)
            case Yielding(talkspurt=talkspurt) | Hearing(talkspurt=talkspurt) as floor if talkspurt == event.talkspurt:
                self._enter(replace(floor, voice=event.voice))
            case Listening() | Thinking() | Speaking() | Collecting() if (
                event.talkspurt == self._dismissed.talkspurt
                and self._dismissed.is_caller_now(event.voice, silent=self._is_silent)
            ):
                # It was an echo or somebody else; by now it is the caller, or the announcement is over.
                at = max(0.0, min(event.at, now) - min(event.voiced, REACH_BACK))
                self._voice_came_up(event.talkspurt, at, event.voice, now)
            case Endpointing(pause=pause) as floor if (
                event.talkspurt == self._dismissed.talkspurt
                and self._dismissed.is_caller_now(event.voice)
                and not pause.cut
            ):
                # It began over what bridges the wait for their words, and might have been its echo.
                self._goes_on(floor, event.talkspurt, event.voice, min(event.at, now) - event.voiced, now)
            case _:
                return

    def _speech_stopped(self, event: SpeechStopped, now: float) -> None:
        if event.talkspurt == self._dismissed.talkspurt:
            free = isinstance(self._floor, Listening | Thinking | Speaking | Collecting)
            known = self._dismissed.is_caller_now(event.voice, silent=self._is_silent)
            if free and known:
                # A short answer, over before its voice was sure: the words will tell.
                self._voice_came_up(event.talkspurt, max(0.0, event.at - min(event.voiced, SHORT)), event.voice, now)
            elif known and isinstance(self._floor, Endpointing) and not self._floor.pause.cut:
                self._goes_on(self._floor, event.talkspurt, event.voice, event.at - event.voiced, now)
            elif known and isinstance(self._floor, Endpointing):
                # What stands before the cut is being transcribed.
                behind = min(event.voiced, max(0.0, event.at - self._floor.stopped_at))
                if behind:
                    self._dismissed = self._dismissed.ended(replace(event, voiced=behind))
                    return
            self._dismissed = self._dismissed.next()
        match self._floor:
            case Hearing(talkspurt=talkspurt, before=before) as floor if (
                talkspurt == event.talkspurt
                and self._agent.turn is not None
                and self._settings.barge_in.is_somebody_else(together(before, event.voice))
            ):
                self._go_on("foreign_voice", floor.utterance, now)
            case Yielding(talkspurt=talkspurt) as floor if (
                talkspurt == event.talkspurt and self._settings.barge_in.is_foreign(event.voice)
            ):
                self._go_on("foreign_voice", floor.utterance, now)
            case Yielding() | Hearing() as floor if floor.talkspurt == event.talkspurt:
                heard = floor if isinstance(floor, Hearing) else Hearing(floor.utterance, floor.since, floor.talkspurt)
                voice = together(heard.before, event.voice)
                # Of a voice that was not the caller's at first, only what came since.
                voiced = floor.voiced + min(event.voiced, max(0.0, event.at - floor.since) + REACH_BACK)
                if voiced >= self._settings.min_miss_voiced and not self._settings.barge_in.is_foreign(voice):
                    # Not for a cough or a clatter: in a noisy room nobody would ever be asked whether they are there.
                    self._quiet_since = now
                self._ask_transcript(heard, min(event.at, now), voiced, voice)
            case _:
                return

    def _partly_transcribed(self, event: PartlyTranscribed, now: float) -> None:
        text = event.text.strip()
        match self._floor:
            case Yielding(utterance, since, talkspurt, voiced, voice) if (
                utterance == event.utterance and self._settings.language.is_demand(text)
            ):
                self._enter(Hearing(utterance, since, talkspurt, voiced, voice, partial=text))
            case Hearing(partial=known) as floor if floor.utterance == event.utterance and not known.startswith(text):
                self._enter(replace(floor, partial=text))
            case Endpointing(text=None, partial=known) as floor if floor.utterance == event.utterance and text:
                # A second recognizer, which was given the same utterance, begins with its first words.
                self._enter(replace(floor, partial=known if known.startswith(text) else text))
                self._guess(text, self._settings.language.completeness(text, floor.pause.expectation), floor.voice, now)
            case _:
                return

    def _transcribed(self, utterance: int, revision: int, text: str, now: float, *, failed: bool = False) -> None:
        match self._floor:
            case Endpointing(text=None) as floor if floor.utterance == utterance and self._revisions == revision:
                if failed and self._known(floor):
                    text, failed = self._known(floor), False
                floor, language = replace(floor, unheard=failed), self._settings.language
                if text and self._agent.has_more_to_say and language.is_backchannel(text):
                    self._enter(replace(floor, text="", backchannel=True))
                elif text and self._agent.has_more_to_say and self._is_brief(text, floor):
                    # Whoever said it may only have begun: the agent goes on when nothing follows.
                    pause = replace(floor.pause, words=len(text.split()))
                    self._enter(replace(floor, text="", pause=pause))
                else:
                    asked = floor.pause.expectation
                    digresses = asked.kind in ENTITIES and language.digresses(text, asked)
                    if digresses:
                        asked = ANYTHING
                    whole = credible(language.completeness(text, asked), asked, text, floor.voiced)
                    if digresses and floor.pause.in_noise:
                        # "Nine one four" in music was "No, why all?": more of a number may come.
                        whole = Completeness.UNFINISHED
                    pause = replace(floor.pause, expectation=asked, completeness=whole, words=len(text.split()))
                    self._enter(replace(floor, text=text, pause=pause))
                    if text:
                        self._guess(text, whole, floor.voice, now)
                    if self._settings.endpointing.is_enough(pause):
                        self._commands.append(JudgeTurn(utterance, revision))
            case _:
                self._commands.append(Count("stale_transcript"))

    def _known(self, floor: Endpointing) -> str:
        """The words so far of an utterance whose transcript does not come; "" when they are not to be relied on.

        What is missing may be what follows a yes that cannot be taken back.
        """
        return "" if floor.pause.expectation.binding else floor.partial

    def _is_brief(self, text: str, floor: Endpointing) -> bool:
        """Whether words said into the agent's speech leave it the turn because there is so little of them.

        A hum or a "sure" that the recognizer took for other words, or for more than can be said in that time; those
        that matter are known, and whoever means it says it again.
        """
        rules, turn, count = self._settings.barge_in, self._agent.turn, len(text.split())
        passed_over_at = None if turn is None else turn.passed_over_at
        insists = passed_over_at is not None and self._utterance_at - passed_over_at < rules.insistence
        return (
            self._agent.was_heard
            and not insists
            and floor.voiced <= rules.brief
            and (count <= rules.brief_words or count > rules.fastest * (floor.stopped_at - self._utterance_at))
            and not self._settings.language.is_demand(text)
        )

    def _guess(self, text: str, whole: Completeness, voice: Voice, now: float) -> None:
        """Let the reply be made ahead, unless the caller is sure to go on, or it is not they who speak."""
        if whole is not Completeness.UNFINISHED and not self._settings.barge_in.is_somebody_else(voice):
            self._agent.speculate(text, now)

    def _turn_judged(self, event: TurnJudged) -> None:
        match self._floor:
            case Endpointing() as floor if floor.utterance == event.utterance and self._revisions == event.revision:
                self._enter(replace(floor, pause=replace(floor.pause, score=event.score)))
            case _:
                self._commands.append(Count("stale_judgement"))

    def _digit_pressed(self, event: DigitPressed, now: float) -> None:
        typing = self._keypad.press(self._floor, event.digit, now)
        if typing is not None:
            self._end_utterance()
            self._typed(typing, now)

    def _secret_requested(self, event: SecretRequested, now: float) -> None:
        self._agent.secret_requested(event, now)
        if self._agent.collects(event.tool_call):
            # Keys that were pressed just before may be its first ones.
            self._keypad.take_ahead()
            if isinstance(self._floor, Typing):
                self._agent.resume_turn(now)
                self._enter(Thinking(now))

    def _secret_keyed(self, event: SecretProgress | SecretEntered, now: float) -> None:
        if not self._agent.collects(event.tool_call) or isinstance(self._floor, Lost):
            self._commands.append(Count("stale_secret"))
            return
        waits = isinstance(self._floor, Thinking | Speaking) and self._agent.interruptible == "never"
        if not waits and not isinstance(self._floor, Collecting):
            self._end_utterance()
            self._agent.make_way(now)
            self._enter(Collecting(now))
        self._agent.secret_keyed(event, now)

    def _end_requested(self, event: EndRequested, now: float) -> None:
        if event.reason == "handover":
            self._handed_over_by = event.tool_call
        match self._floor:
            case Thinking() | Speaking():
                self._agent.end_after_turn(event.reason, f"goodbye_{event.reason}", now)
            case Closing() | Ended():
                return
            case _:
                self._close(event.reason, now, Phrase(f"goodbye_{event.reason}"))

    # ── deadlines ─────────────────────────────────────────────────────────────────

    @property
    def _floor_deadline(self) -> float | None:
        rules = self._settings
        match self._floor:
            case Opening(since):
                return since + rules.opening_timeout
            case Listening() if self._agent.keeps_waiting:
                return self._quiet_since + (rules.progress_after if self._agent.has_news else rules.waiting_prompt)
            case Listening():
                return (
                    self._quiet_since + (rules.silence_prompt, rules.silence_offer, rules.silence_hangup)[self._prompts]
                )
            case Yielding(since=since):
                return since + rules.barge_in.patience
            case Hearing(since=since):
                return since + rules.max_utterance
            case Endpointing(text=None) as floor:
                return self._words_due(floor)
            case Endpointing(text="", stopped_at=stopped_at, not_before=not_before) if self._agent.turn is not None:
                return max(stopped_at + rules.barge_in.second_thought, not_before)
            case Endpointing(pause=pause, stopped_at=stopped_at, not_before=not_before):
                return max(stopped_at + rules.endpointing.wait(pause), not_before)
            case Typing(digits, entry_rules):
                return digits.deadline(entry_rules)
            case Collecting(since):
                return since if self._agent.secret is None else self._agent.secret.deadline
            case Thinking() as floor:
                return rules.max_call if floor.filled else self._filler_due(floor)
            case Speaking():
                return rules.max_call
            case Closing(since):
                return since + rules.closing_timeout
            case Lost(since):
                return since + rules.lost_line_patience
            case Ended():
                return None

    def _words_due(self, floor: Endpointing) -> float:
        """When the agent says that it takes a moment, or did not hear, if the words have not come by then.

        Not as long as a turn whose words are not known would still be waited for on a quiet line (what noise adds would
        leave too little between the two), nor to somebody else's voice.
        """
        rules = self._settings
        overdue = floor.stopped_at + rules.transcript_patience
        if floor.bridged or rules.barge_in.is_foreign(floor.voice):
            return overdue
        over = max(rules.filler_after, rules.endpointing.wait(replace(floor.pause, in_noise=False)))
        return min(max(floor.stopped_at + over, floor.not_before), overdue)

    def _filler_due(self, floor: Thinking) -> float:
        """When the agent says that it is busy, if nothing of its turn can be heard by then.

        As long as what is waited for has only begun, the caller is left alone: a filler right before the answer
        only delays it. What is slow, hangs or has failed is bridged once the line has been silent for `filler_after`.
        """
        turn, rules, agent = self._agent.turn, self._settings, self._agent
        silent_since = floor.since - floor.waited
        if turn is not None and turn.bridged and not agent.has_news:
            # A filler that was said while the words were waited for is no younger for their having come.
            bridged_at = silent_since + rules.filler_after if floor.waited else floor.since
            return max(bridged_at + rules.progress_after, floor.since + rules.least_preparing)
        due = max(silent_since + rules.filler_after, floor.since + rules.least_preparing)
        began = min((tool.since for tool in agent.waited_for.values()), default=None)
        if began is not None:
            return min(max(due, began + rules.least_preparing), began + rules.tool_filler_after)
        late, newest = agent.playback.unstarted, -math.inf
        if late is not None:
            newest = late.since
        elif turn is not None and turn.reply is not None and not turn.attempts:
            newest = turn.asked_at
        if floor.late > rules.late_words:
            newest = min(newest, silent_since + rules.filler_by - rules.least_preparing)
        due = max(due, newest + rules.least_preparing)
        return min(due, max(floor.since, silent_since + rules.longest_silence))

    def _expire(self, now: float) -> None:
        """Act on the deadlines that are due at `now`."""
        floor, rules = self._floor, self._settings
        if now >= rules.max_call and not isinstance(floor, Closing | Lost | Ended):
            self._close("max_call", now, Phrase("goodbye_time"))
            return
        agent_deadline = self._agent.deadline
        if agent_deadline is not None and agent_deadline <= now and not isinstance(floor, Lost):
            self._agent.expire(now)
            return
        match floor:
            case Opening():
                self._end("no_media", now)
            case Listening() if self._agent.keeps_waiting:
                words = self._agent.bridge()
                self._agent.open_turn(*words, now=now)
                self._enter(Thinking(now, filled=isinstance(words[0], Phrase)))
            case Listening() if self._prompts == len(PROMPTS):
                self._agent.take_leave(now)
                self._enter(Thinking(now, filled=True))
            case Listening():
                self._agent.open_turn(Phrase(PROMPTS[self._prompts]), now=now, prompting=True)
                self._prompts += 1
                self._enter(Thinking(now, filled=True))
            case Yielding(utterance, since, talkspurt, voiced, voice):
                if rules.barge_in.is_foreign(voice):
                    self._dismissed = self._dismissed.next(talkspurt, stranger=voice.is_caller is False)
                    self._go_on("foreign_voice", utterance, now)
                else:
                    self._enter(Hearing(utterance, since, talkspurt, voiced, voice))
            case Hearing(since=since, talkspurt=talkspurt, voice=voice, before=before) as hearing:
                # Answered in the middle.
                self._commands.append(Count("utterance_too_long"))
                self._dismissed = self._dismissed.next(talkspurt)
                self._ask_transcript(hearing, now, now - since, together(before, voice), cut=True)
            case Endpointing(text=None, stopped_at=stopped_at) if now < stopped_at + rules.transcript_patience:
                self._commands.append(Count("transcript_late"))
                self._agent.bridge_pause(now)
                self._enter(replace(floor, bridged=True))
            case Endpointing(text=None) as floor:
                self._commands.append(Count("transcript_overdue"))
                if self._known(floor):
                    self._transcribed(floor.utterance, self._revisions, self._known(floor), now)
                else:
                    self._no_words(replace(floor, unheard=True), now)
            case Endpointing(utterance=utterance, backchannel=True):
                self._go_on("backchannel", utterance, now)
            case Endpointing(utterance=utterance, text="", pause=pause) if pause.words and self._agent.turn is not None:
                self._agent.passed_over(now)
                self._go_on("brief_words", utterance, now)
            case Endpointing(text=""):
                # Only now: the next words may make out what these were.
                self._no_words(floor, now)
            case Endpointing(voice=voice) if (
                rules.barge_in.is_somebody_else(voice) and self._may_ignore and not self._answers(floor)
            ):
                self._ignore(floor, now)
            case Endpointing(utterance=utterance, text=text, stopped_at=stopped_at, voice=voice):
                stranger = rules.barge_in.is_somebody_else(voice)
                known = voice.is_echo is False and not (stranger and self._may_ignore)
                if known:
                    self._commands.append(KnowVoice(utterance, insisted=stranger))
                self._take_turn(text or "", "voice", now, now - stopped_at, handed_on=known and stranger)
            case Typing(digits, entry_rules):
                self._typed(Typing(replace(digits, complete=True), entry_rules), now)
            case Collecting():
                self._agent.secret_overdue(now)
            case Thinking():
                self._fill(floor, now)
            case Closing(reason=reason):
                self._end(reason, now)
            case Lost():
                self._end("line_lost", now)
            case Speaking() | Ended():
                return

    # ── the caller's half ─────────────────────────────────────────────────────────

    def _ask_transcript(
        self, floor: Hearing, stopped_at: float, voiced: float, voice: Voice, *, cut: bool = False
    ) -> None:
        self._revisions += 1
        self._commands.append(Transcribe(floor.utterance, self._revisions))
        pause = replace(self._pace.at_pause(self._agent.expectation), cut=cut, in_noise=voice.is_in_noise)
        self._enter(Endpointing(floor.utterance, floor.since, stopped_at, voiced, voice, pause, partial=floor.partial))

    def _take_turn(
        self,
        text: str,
        source: Literal["voice", "keypad"],
        now: float,
        waited: float = 0.0,
        *,
        handed_on: bool = False,
    ) -> None:
        """The caller has said something whole: it is the agent's turn."""
        bridged, late = False, 0.0
        if isinstance(self._floor, Endpointing):
            bridged = self._floor.bridged
            late = max(0.0, waited - self._settings.endpointing.wait(self._floor.pause))
        self._end_utterance()
        self._misses = 0
        self._ignored = 0
        self._prompts = 0
        self._quiet_since = now
        self._pace = self._pace.turn_over()
        began = self._utterance_at if source == "voice" else now
        self._agent.answer(text, source, began, now, handed_on=handed_on)
        if bridged:
            self._agent.note_bridged()
        waiting = self._dismissed
        if source == "voice":
            self._dismissed = replace(waiting, wordless=False)
        self._enter(Thinking(now, waited=waited, late=late))
        if waiting.over is not None:
            self._take_up(waiting, waiting.over, now)

    def _take_up(self, waiting: Dismissed, over: SpeechStopped, now: float) -> None:
        """Hear what they said while they had to wait, over before it could be taken up, and what they say by now."""
        self._voice_came_up(over.talkspurt, max(0.0, over.at - over.voiced), over.voice, now)
        self._speech_stopped(over, now)
        if waiting.talkspurt != over.talkspurt:
            self._dismissed = self._dismissed.next(waiting.talkspurt)

    def _go_on(self, reason: str, utterance: int, now: float) -> None:
        """The voice was not meant to take the turn: the agent goes on from the word where it stopped."""
        self._commands.append(Count(reason))
        self._commands.append(EndUtterance(utterance))
        floor, turn = self._floor, self._agent.turn
        since = now
        if isinstance(floor, Endpointing) and turn is not None and not turn.held:
            # Nothing is to be said at once: whoever waits has waited since that voice ceased.
            since = floor.stopped_at
        self._agent.resume_turn(now)
        self._enter(Thinking(since))

    @property
    def _may_ignore(self) -> bool:
        """Whether words of another voice may be left alone. Not for long, nor once the agent has asked who is there:

        the caller may have handed the telephone to somebody, and then that is the caller. Nobody becomes the caller by
        insisting while an effect waits for a yes.
        """
        if self._agent.turn is not None:
            return True
        return not self._prompts and (self._ignored < MOST_IGNORED or self._agent.pending is not None)

    def _answers(self, floor: Endpointing) -> bool:
        """Whether words of another voice are just what the agent has asked for: then they are answered, and nothing is

        learned of the voice. Not the agent's own, and not a yes to an effect, which a television must not say.
        """
        waits = self._agent.turn is None and self._agent.pending is None
        return waits and floor.pause.is_answer and floor.voice.is_echo is not True

    def _ignore(self, floor: Endpointing, now: float) -> None:
        """Words, but not the caller's: they were not meant for us."""
        if self._agent.turn is not None:
            self._go_on("foreign_voice", floor.utterance, now)
            return
        self._ignored += 1
        self._commands.append(Count("foreign_voice"))
        self._end_utterance()
        self._enter(Listening(now))

    def _no_words(self, floor: Endpointing, now: float) -> None:
        """There was voice but no words: noise, a cough, or speech that the recognizer cannot hear, or has failed at."""
        rules = self._settings
        if floor.pause.cut and not floor.unheard:
            self._dismissed = replace(self._dismissed, wordless=True)
        # As short as a "yes" is a cough: without a recognizer nobody can tell. And who was told to wait is answered.
        owed = floor.unheard or floor.bridged
        missed = (owed or floor.voiced >= rules.min_miss_voiced) and not rules.barge_in.is_foreign(floor.voice)
        if self._agent.turn is not None and not (missed and owed and self._agent.has_said_all):
            self._go_on("utterance_without_words", floor.utterance, now)
            return
        self._commands.append(Count("utterance_without_words"))
        self._misses += missed
        if self._misses >= rules.max_misses + (0 if rules.menu is None else MENUS):
            self._close("not_understood", now, Phrase("goodbye_trouble"))
            return
        self._end_utterance()
        if not missed:
            self._enter(Listening(now))
            return
        if rules.menu is not None and self._misses >= rules.max_misses:
            self._agent.offer_menu(rules.menu, now)
        else:
            self._agent.open_turn(Phrase("missed" if self._misses == 1 else "missed_again"), now=now)
        self._enter(Thinking(now, filled=True))

    def _typed(self, typing: Typing, now: float) -> None:
        before = self._floor
        self._enter(typing)
        digits = typing.digits
        if not digits.complete:
            return
        if digits.typed:
            self._keypad.entered_at = now
            said = self._agent.meant_by(digits.typed)
            if MASKED in digits.typed:
                said = KEPT_FROM_YOU
                self._commands.append(Count("keys_masked"))
            self._take_turn(said, "keypad", now, now - digits.at)
        elif self._agent.turn is not None:
            # A key that comes to nothing ends no silence.
            self._agent.resume_turn(now)
            self._enter(before if isinstance(before, Thinking) else Thinking(now))
        else:
            # Keys that came to nothing: a caller who presses hash waits for an answer.
            self._agent.open_turn(Phrase("missed"), now=now)
            self._enter(Thinking(now, filled=True))

    def _end_utterance(self) -> None:
        match self._floor:
            case Yielding(utterance=utterance, talkspurt=talkspurt) | Hearing(utterance=utterance, talkspurt=talkspurt):
                # Their voice goes on: it is taken up where the conversation is next.
                self._dismissed = self._dismissed.next(talkspurt)
                self._commands.append(EndUtterance(utterance))
            case Endpointing(utterance=utterance):
                self._commands.append(EndUtterance(utterance))
            case _:
                return

    # ── the agent's half ──────────────────────────────────────────────────────────

    def _advance(self, now: float) -> None:
        """Let the floor follow the agent's turn."""
        match self._floor:
            case Closing(reason=reason):
                if self._agent.step(now) is Progress.FINISHED:
                    self._end(reason, now)
            case Thinking() | Speaking():
                match self._agent.step(now):
                    case Progress.FINISHED:
                        self._turn_finished(now)
                    case Progress.COLLECTING:
                        self._agent.await_keys(now)
                        self._enter(Collecting(now))
                        self._advance(now)
                    case Progress.AUDIBLE if isinstance(self._floor, Thinking):
                        self._enter(Speaking(now))
                    case Progress.PREPARING if isinstance(self._floor, Speaking):
                        self._enter(Thinking(now))
            case Collecting():
                if self._agent.settle_secret(now):
                    self._enter(Thinking(now))
                    self._advance(now)
            case Listening():
                self._tell(now)
            case _:
                return

    def _turn_finished(self, now: float) -> None:
        turn = self._agent.finish_turn()
        if turn.ending:
            self._end(turn.ending, now)
            return
        if turn.followed_by:
            self._agent.open_turn(turn.followed_by, now=now)
            self._enter(Thinking(now, filled=True))
        else:
            if not turn.prompting:
                self._quiet_since = now
                self._prompts = 0
            self._enter(Listening(now))
        for digit in self._keypad.take_ahead():
            self._digit_pressed(DigitPressed(digit), now)
        self._tell(now)

    def _tell(self, now: float) -> None:
        """Take the turn for late answers, if nobody else has it."""
        if isinstance(self._floor, Listening) and self._agent.may_tell:
            self._agent.tell(now)
            self._enter(Thinking(now))

    def _fill(self, floor: Thinking, now: float) -> None:
        """Say that the agent is still there; when next it is due, something else, should that not be heard."""
        if self._agent.fill(now):
            self._enter(replace(floor, filled=True))

    # ── endings ───────────────────────────────────────────────────────────────────

    def _close(self, reason: str, now: float, phrase: Phrase) -> None:
        """Say one last sentence, then hang up."""
        self._end_utterance()
        self._agent.shut_down(reason, now)
        if isinstance(self._floor, Opening | Lost):
            self._end(reason, now)
            return
        self._agent.open_turn(phrase, now=now, ending=reason)
        self._enter(Closing(now, reason))

    def _end(self, reason: str, now: float) -> None:
        self._end_utterance()
        self._agent.shut_down(reason, now)
        self._enter(Ended(now, reason))
        self._agent.record()
        self._commands.append(EndCall(reason))

    def _enter(self, floor: Floor) -> None:
        assert type(floor) is type(self._floor) or type(floor) in TRANSITIONS[type(self._floor)], (
            f"{type(self._floor).__name__} may not become {type(floor).__name__}"
        )
        if isinstance(self._floor, Endpointing) and not isinstance(floor, Endpointing):
            # Whatever was guessed has been taken up by now, or is wrong.
            self._agent.drop_guess()
            self._dismissed = replace(self._dismissed, over=None)
        self._floor = floor
