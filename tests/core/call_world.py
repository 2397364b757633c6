"""A whole call in virtual time around one conversation: caller, carrier, recognizer, model, synthesizer and tools.

It plays the session's part without asyncio: it executes commands, answers them with events after
delays that a test chooses, and keeps its own account of what was really played. Every receive is
watched by a `Referee`, so each scenario also checks the rules that hold for all calls.

Words carry their origin: the third word of reply 7's first sentence is `r7.0.2`, so that one can see
in history where it came from. Nothing sleeps; two runs of the same script are the same run.
"""

import heapq
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from core.call_referee import Referee
from talkspurt.core import conversation as conversation_module
from talkspurt.core.commands import (
    BeginUtterance,
    CancelReply,
    CancelTool,
    CollectSecret,
    Command,
    DiscardSecret,
    EndCall,
    EndUtterance,
    ExecuteEffect,
    ForgetCaller,
    JudgeTurn,
    Phrase,
    RequestReply,
    RunTool,
    RunWithSecret,
    Speak,
    StopPlayback,
    Transcribe,
)
from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import (
    UNKNOWN_VOICE,
    CallerChanged,
    DigitPressed,
    EffectProposed,
    Event,
    LineClosed,
    LineOpened,
    PlaybackReached,
    ReplyCompleted,
    ReplyFailed,
    ReplyTextReceived,
    ReplyToolComing,
    ReplyToolRequested,
    SecretRequested,
    SegmentFailed,
    SegmentFinished,
    SegmentStarted,
    SpeechContinued,
    SpeechStarted,
    SpeechStopped,
    ToolProgressed,
    ToolReturned,
    ToolStarted,
    Transcribed,
    TranscriptionFailed,
    TurnJudged,
    Voice,
)
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered
from talkspurt.core.language import ANYTHING, Completeness, Expectation
from talkspurt.core.secret_entry import NOT_ENTERED
from talkspurt.core.settings import Settings
from talkspurt.core.states import Ended, Floor, Lost
from talkspurt.effects.secrets import SecretPad

LETTERS_PER_SECOND = 13.0
"""How fast the world's synthesizer speaks: near the core's own guess, yet not the same."""
MARK_EVERY = 0.16
CONTINUED_EVERY = 0.096
HANGOVER = 0.1
"""Seconds until the voice activity detector is sure that a talkspurt is over."""


class WorldLanguage:
    """The world's locale: only one word each is clear; "and" asks for more, and "just" breaks off."""

    def yes_or_no(self, text: str, /) -> bool | None:
        return {"yes": True, "yes just": True, "mm-hm": True, "no": False}.get(text)

    def breaks_off(self, text: str, /) -> bool:
        return text.endswith(" just")

    def expectation(self, said: str, /) -> Expectation:
        return Expectation("yes_no") if said.endswith("?") else ANYTHING

    def completeness(self, text: str, expectation: Expectation, /) -> Completeness:
        if text.endswith(" and"):
            return Completeness.UNFINISHED
        whole = expectation.kind == "yes_no" and self.yes_or_no(text) is not None
        return Completeness.COMPLETE if whole or text == "whole" else Completeness.OPEN

    def digresses(self, _text: str, _expectation: Expectation, /) -> bool:
        return False

    def is_backchannel(self, text: str, /) -> bool:
        return text == "mhm"

    def is_hum(self, text: str, /) -> bool:
        return text in ("mhm", "mm-hm")

    def is_demand(self, text: str, /) -> bool:
        return text == "stop"

    def asks_only(self, text: str, /) -> bool:
        return text.startswith("Shall ") and text.endswith("?")

    def asks_secret(self, said: str, /) -> bool | None:
        return True if "PIN" in said else False if "?" in said else None


def settings(**changes: Any) -> Settings:
    """The default rules in the world's language."""
    return replace(Settings(greeting="Hello there.", language=WorldLanguage()), **changes)


def words(origin: str, number: int) -> str:
    """A sentence of words that say where they come from."""
    return " ".join(f"{origin}.{index}" for index in range(number))


def seconds(text: str) -> float:
    """How long the world's synthesizer takes to say `text`."""
    return sum(len(word) + 1 for word in text.split()) / LETTERS_PER_SECOND


def void(_result: object) -> None:
    """Let a lambda return nothing."""


def wording(speak: Speak) -> str:
    """What is really said: a phrase gets words that name it and its segment."""
    if isinstance(speak.text, Phrase):
        return words(f"{speak.text.name}.{speak.segment}", 4)
    return speak.text


@dataclass(frozen=True)
class Says:
    """The model sends this text `after` seconds."""

    text: str
    after: float = 0.1


@dataclass(frozen=True)
class Asks:
    """The model asks for a tool."""

    name: str
    tool_call: str = ""
    arguments: str = "{}"
    after: float = 0.1


@dataclass(frozen=True)
class Writes:
    """The model writes more of a tool call."""

    after: float = 0.1


@dataclass(frozen=True)
class Fails:
    """The model fails."""

    after: float = 0.1


@dataclass(frozen=True)
class Stalls:
    """The model sends nothing more, and never completes."""


Part = Says | Asks | Writes | Fails | Stalls


@dataclass(frozen=True)
class Returns:
    """A tool answers."""

    content: str = '{"ok":true}'
    after: float = 0.2
    wrong: bool = False


@dataclass(frozen=True)
class HandsOn:
    """A tool says that somebody else has the phone."""

    content: str = '{"status":"nobody"}'
    after: float = 0.0


@dataclass(frozen=True)
class Proposes:
    """A tool proposes an effect."""

    read_back: str
    proposal: str = ""
    after: float = 0.2


@dataclass(frozen=True)
class Starts:
    """A tool starts, tells how far it is, and answers `later` seconds after it began, or never."""

    later: float | None = 8.0
    news: tuple[float, ...] = ()
    """Seconds after which it says something, in words that say which news it is."""
    content: str = '{"status":"started"}'
    answer: str = '{"ok":true}'
    after: float = 0.1


@dataclass(frozen=True)
class Wants:
    """A tool needs a secret. Its prompt consists of words that say so."""

    rules: EntryRules = field(default_factory=lambda: EntryRules(shortest=4, longest=4))
    after: float = 0.1


@dataclass(frozen=True)
class Voices:
    """How the synthesizer treats a segment: begins after `after`, has all of it `more` later, or fails in between."""

    after: float = 0.1
    more: float = 0.1
    fails: bool = False


@dataclass
class Sent:
    """The truth about one segment on the line."""

    segment: int
    text: str
    epoch: int
    start: float
    length: float
    announced: bool = False
    """`SegmentFinished` reached the conversation."""
    broken: bool = False
    """The synthesizer failed in the middle of it."""

    @property
    def end(self) -> float:
        return self.start + self.length


def begun(rules: Settings) -> Conversation:
    """A conversation, which is watched unless it is compiled: then nothing can be made of it here."""
    return Conversation(rules) if conversation_module.__file__.endswith(".so") else WatchedConversation(rules)


class WatchedConversation(Conversation):
    """A conversation that notes every change of state, also those that do not outlast a receive."""

    def __init__(self, rules: Settings) -> None:
        super().__init__(rules)
        self.states: set[type[Floor]] = {type(self.floor)}
        self.ways: set[tuple[type[Floor], type[Floor]]] = set()

    def _enter(self, floor: Floor) -> None:
        if type(floor) is not type(self._floor):
            self.ways.add((type(self._floor), type(floor)))
        self.states.add(type(floor))
        super()._enter(floor)


@dataclass
class World:
    """One call. Give it scripts, let time pass, look at what became of it."""

    rules: Settings = field(default_factory=settings)
    replies: deque[list[Part]] = field(default_factory=deque)
    """Scripts for the model, one per request; then `default_reply`."""
    default_reply: Callable[[int], list[Part]] = lambda reply: [Says(f"{words(f'r{reply}.0', 5)}. ")]
    tool: Callable[[RunTool], Returns | HandsOn | Starts | Proposes | Wants | None] = lambda _command: Returns()
    keyed: Callable[[str], Returns | None] = lambda _secret: Returns('{"verified":true}')
    """What a tool that wanted a secret does with it."""
    effect: Callable[[ExecuteEffect], Returns | None] = lambda _command: Returns('{"done":true}')
    voice: Callable[[Speak], Voices | None] = lambda _command: Voices()
    transcribe: Callable[[str], tuple[float, str | None] | None] = lambda text: (0.15, text)
    """From the words spoken to the delay and the words recognised: None fails, no tuple never answers."""
    judge: Callable[[str], tuple[float, float] | None] = lambda _text: None
    """From the words spoken to the delay and the score of the turn detector; None never answers."""
    mark: Callable[[], float | None] = lambda: 0.06
    """The delay of the next mark; None loses it."""
    late_news: Callable[[], bool] = lambda: False
    """Whether news of something cancelled arrives all the same."""
    verified: bool = False
    """Whether the caller was verified when somebody else turns out to have the phone."""
    rehearse: bool = False
    """Let a second conversation, restored from a snapshot, receive the same and compare."""

    def __post_init__(self) -> None:
        self.now = 0.0
        self.conversation = begun(self.rules)
        self.twin: Conversation | None = None
        self.referee = Referee(self)
        self.delivered: list[Event] = []
        self.commands: list[Command] = []
        self.epoch = 0
        self.sent: dict[int, Sent] = {}
        self.reached: dict[int, float] = {0: 0.0}
        """The farthest mark of every epoch that the conversation got while the epoch was current."""
        self.played: dict[int, float] = {}
        """Up to where each epoch had been played when it ended, as far as may be reckoned from its marks."""
        self.attachment = 0
        self.talkspurt = 0
        self.speaking_since: float | None = None
        self.fell_silent = 0.0
        """When a voice ceased on the caller's line."""
        self.voice_began = self.utterance_began = 0.0
        """When the last talkspurt began, and the first one of the last utterance."""
        self.sound = UNKNOWN_VOICE
        """What the caller's line sounds like now."""
        self.saying = ""
        self.utterance_words: list[str] = []
        self.said_until: list[tuple[float, str]] = []
        """When the caller's words ended, and what they were."""
        self.model_said: dict[int, str] = {}
        """The text of every reply that reached the conversation while somebody waited for it."""
        self.recognised: dict[tuple[int, int], str] = {}
        """What the recognizer answered, by utterance and revision."""
        self.pad = SecretPad()
        self.taken: dict[str, str | None] = {}
        """What each tool got of the caller's secret."""
        self.prompts: dict[str, str] = {}
        """The tool call that asks for a secret, by the origin of its prompt's words."""
        self.rules_of: dict[str, EntryRules] = {}
        self.tool_calls = count(1)
        self.proposals = count(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._speech: deque[Speak] = deque()
        self._synthesizing: Speak | None = None
        self._bridging: Speak | None = None
        self._position = 0.0
        self._played_until = 0.0
        self._marks: list[tuple[int, float]] = []
        self._replies: set[int] = set()
        self._tools: set[str] = set()

    # ── looking ───────────────────────────────────────────────────────────────────

    @property
    def floor(self) -> Floor:
        return self.conversation.floor

    @property
    def history(self) -> tuple[Entry, ...]:
        return self.conversation.history

    @property
    def ended(self) -> str:
        """Why the call ended, "" while it goes on."""
        return self.floor.reason if isinstance(self.floor, Ended) else ""

    def of(self, *kinds: type[Command]) -> list[Any]:
        """All commands of these kinds so far."""
        return [command for command in self.commands if isinstance(command, kinds)]

    @property
    def phrases(self) -> list[str]:
        """Names of the stock sentences that were ordered."""
        return [speak.text.name for speak in self.of(Speak) if isinstance(speak.text, Phrase)]

    @property
    def said(self) -> list[str]:
        """What history says of the agent."""
        return [entry.text for entry in self.history if isinstance(entry, AgentSaid)]

    @property
    def asked(self) -> list[str]:
        """What history says of the caller."""
        return [entry.text for entry in self.history if isinstance(entry, CallerSaid)]

    def answers(self) -> dict[str, str]:
        """The tools' answers in history."""
        return {entry.tool_call: entry.content for entry in self.history if isinstance(entry, ToolAnswered)}

    @property
    def counted(self) -> list[str]:
        """Names of the anomalies."""
        return self.referee.counted

    @property
    def silent_for(self) -> float:
        """Seconds that nobody has been heard on the line, 0 while somebody is."""
        return (
            0.0 if self.speaking_since is not None else max(0.0, self.now - max(self.fell_silent, self._played_until))
        )

    # ── time ──────────────────────────────────────────────────────────────────────

    def run(self, duration: float) -> "World":
        """Let time pass."""
        until = self.now + duration
        while self._step(until):
            pass
        self.now = until
        return self

    def run_until(self, condition: Callable[["World"], bool], patience: float = 120.0) -> "World":
        """Let time pass until something holds."""
        end = self.now + patience
        while not condition(self):
            assert self._step(end), f"still {self.floor} after {patience} s"
        return self

    def _step(self, until: float) -> bool:
        """Let the next thing happen, if it happens by then."""
        deadline = self.conversation.deadline
        due = self._events[0][0] if self._events else None
        if deadline is not None and (due is None or deadline <= due):
            if deadline > until:
                return False
            self.now = max(self.now, deadline)
            self.give(None)
        elif due is not None and due <= until:
            self.now = max(self.now, due)
            heapq.heappop(self._events)[2]()
        else:
            return False
        return True

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something when its time has come."""
        heapq.heappush(self._events, (self.now + delay, next(self._order), action))

    def give(self, event: Event | None, at: float | None = None) -> tuple[Command, ...]:
        """Let the conversation receive an event now, and do what it orders."""
        now = self.now if at is None else at
        if event is not None:
            self.delivered.append(event)
        self.referee.before(event)
        commands = self.conversation.receive(event, now)
        if self.twin is not None:
            assert self.twin.receive(event, now) == commands
            assert (self.twin.floor, self.twin.deadline) == (self.conversation.floor, self.conversation.deadline)
        self.commands.extend(commands)
        self.referee.after(event, commands)
        for command in commands:
            self._execute(command)
        if self.rehearse and not isinstance(event, PlaybackReached):
            self.clone()
        return commands

    @property
    def callers_turns(self) -> int:
        """How often the caller has had their say."""
        return sum(isinstance(place, CallerSaid) for place in self.conversation._agent.log.places)

    def clone(self) -> None:
        """From now on a restored conversation has to do the same."""
        written = json.dumps(self.conversation.snapshot())
        self.referee.check_secret(written)
        self.twin = Conversation.restore(self.rules, json.loads(written))
        assert json.dumps(self.twin.snapshot()) == written
        assert self.twin.history == self.conversation.history

    # ── the caller ────────────────────────────────────────────────────────────────

    def dial(self) -> "World":
        """The line opens."""
        self.attachment += 1
        self.give(LineOpened(self.attachment))
        return self

    def answered(self) -> "World":
        """Dial, and hear the greeting out."""
        self.dial()
        return self.run_until(lambda world: type(world.floor).__name__ == "Listening")

    def lose_line(self, *, hung_up: bool = False) -> "World":
        """The media attachment ends."""
        self.give(LineClosed(self.attachment, hung_up))
        return self

    def starts(self, text: str = "", sound: Voice = UNKNOWN_VOICE) -> "World":
        """The caller begins to speak, or something on their line that sounds like a voice."""
        self.talkspurt += 1
        self.speaking_since, self.saying, self.sound = self.now, text, sound
        self.voice_began = self.now
        self.give(SpeechStarted(self.talkspurt, self.now, sound))
        self.later(CONTINUED_EVERY, lambda: self._continue(self.talkspurt))
        return self

    def _continue(self, talkspurt: int) -> None:
        if talkspurt == self.talkspurt and self.speaking_since is not None:
            self.give(SpeechContinued(talkspurt, self.now, self.now - self.speaking_since, self.sound))
            self.later(CONTINUED_EVERY, lambda: self._continue(talkspurt))

    def stops(self) -> "World":
        """The caller fell silent a moment ago, and it is noticed now."""
        assert self.speaking_since is not None
        since, self.speaking_since = self.speaking_since, None
        at = self.fell_silent = max(since, self.now - HANGOVER)
        if self.saying:
            self.utterance_words.append(self.saying)
            self.said_until.append((at, self.saying))
        self.give(SpeechStopped(self.talkspurt, at, at - since, self.sound))
        return self

    def says(self, text: str, duration: float = 1.0, sound: Voice = UNKNOWN_VOICE) -> "World":
        """The caller speaks for a while."""
        self.starts(text, sound).run(duration + HANGOVER)
        return self.stops()

    def asks(self, text: str = "please") -> "World":
        """The caller says something whole, and waits for the agent to have its turn."""
        turns = self.callers_turns
        return self.says(text).run_until(lambda world: world.callers_turns > turns)

    def types(self, digits: str, pause: float = 0.3) -> "World":
        """The caller presses keys; as in a session, the pad has them first."""
        for digit in digits:
            if self.pad.claims(self.now):
                fact = self.pad.press(digit, self.now)
                if fact is not None:
                    self.give(fact)
            else:
                self.give(DigitPressed(digit))
            self.run(pause)
        return self

    def listens(self) -> "World":
        """The caller waits until the agent has finished."""
        return self.run_until(lambda world: type(world.floor).__name__ in ("Listening", "Ended"))

    # ── commands ──────────────────────────────────────────────────────────────────

    def _execute(self, command: Command) -> None:
        match command:
            case BeginUtterance(_, at):
                self.utterance_words = [said for ended, said in self.said_until if ended > at]
                self.utterance_began = self.voice_began
            case Transcribe(utterance, revision):
                self._recognise(utterance, revision)
            case JudgeTurn(utterance, revision):
                judged = self.judge(" ".join(self.utterance_words))
                if judged is not None:
                    delay, score = judged
                    self.later(delay, lambda: void(self.give(TurnJudged(utterance, revision, score))))
            case EndUtterance():
                self.utterance_words = []
            case RequestReply(reply):
                self._replies.add(reply)
                self._think(reply)
            case CancelReply(reply):
                self._replies.discard(reply)
            case Speak(ahead=True):
                self._bridging = command
                how = self.voice(command)
                if how is not None:
                    self.later(how.after, lambda: self._bridge(command, how))
            case Speak():
                self._speech.append(command)
                self._synthesize()
            case StopPlayback(epoch):
                self._clear(epoch)
            case ForgetCaller(tool_call):
                # As the session does: at once, and behind what else the same fact leads to.
                forgotten = '{"status":"nobody"}'
                fact = CallerChanged(tool_call, forgotten) if self.verified else ToolReturned(tool_call, forgotten)
                self.later(0.0, lambda: void(self.give(fact)))
            case RunTool():
                self._tools.add(command.tool_call)
                self._use(command)
            case CancelTool(tool_call):
                self._tools.discard(tool_call)
            case ExecuteEffect(tool_call):
                answer = self.effect(command)
                if answer is not None:
                    returned = ToolReturned(tool_call, answer.content)
                    self.later(answer.after, lambda: void(self.give(returned)))
            case CollectSecret(tool_call, rules):
                self.rules_of[tool_call] = rules
                self.pad.collect(tool_call, rules)
            case RunWithSecret(tool_call):
                self._use_secret(tool_call)
            case DiscardSecret(tool_call):
                self.pad.discard(tool_call, self.now)
            case EndCall():
                self._replies.clear()
                self._clear(self.epoch + 1)
            case _:
                return

    def _recognise(self, utterance: int, revision: int) -> None:
        answer = self.transcribe(" ".join(self.utterance_words))
        if answer is None:
            return
        delay, text = answer
        if text is not None:
            self.recognised[utterance, revision] = text.strip()
        event = (
            TranscriptionFailed(utterance, revision, "lost") if text is None else Transcribed(utterance, revision, text)
        )
        self.later(delay, lambda: void(self.give(event)))

    def _think(self, reply: int) -> None:
        parts = self.replies.popleft() if self.replies else self.default_reply(reply)
        delay = 0.0

        def arrives(event: Event) -> None:
            if reply in self._replies:
                if isinstance(event, ReplyTextReceived):
                    self.model_said[reply] = self.model_said.get(reply, "") + event.text
            elif not self.late_news():
                return
            self.give(event)

        def news(event: Event, delay: float) -> None:
            self.later(delay, lambda: arrives(event))

        for part in parts:
            match part:
                case Says(text, after):
                    delay += after
                    news(ReplyTextReceived(reply, text), delay)
                case Asks(name, tool_call, arguments, after):
                    delay += after
                    news(ReplyToolRequested(reply, tool_call or f"t{next(self.tool_calls)}", name, arguments), delay)
                case Writes(after):
                    delay += after
                    news(ReplyToolComing(reply), delay)
                case Fails(after):
                    news(ReplyFailed(reply, "broken"), delay + after)
                    return
                case Stalls():
                    return
        news(ReplyCompleted(reply), delay + 0.05)

    def _use(self, command: RunTool) -> None:
        answer = self.tool(command)
        event: Event
        tool_call = command.tool_call
        match answer:
            case None:
                return
            case Returns(content):
                event = ToolReturned(tool_call, content, wrong=answer.wrong)
            case HandsOn(content):
                event = CallerChanged(tool_call, content)
            case Starts(content=content):
                event = ToolStarted(tool_call, content)
                self._go_on(tool_call, answer)
            case Wants(rules):
                # A tool call is named anew in each call of a world, so its words are nobody else's.
                self.prompts[f"key-{tool_call}"] = tool_call
                event = SecretRequested(tool_call, f"{words(f'key-{tool_call}', 5)}.", rules)
            case Proposes(read_back, proposal):
                proposal = proposal or f"p{next(self.proposals)}"
                event = EffectProposed(tool_call, proposal, read_back, '{"status":"confirm"}')

        def arrives() -> None:
            if tool_call in self._tools or self.late_news():
                self.give(event)

        self.later(answer.after, arrives)

    def _go_on(self, tool_call: str, work: Starts) -> None:
        def arrives(event: Event) -> None:
            if tool_call in self._tools or self.late_news():
                self.give(event)

        for number, at in enumerate(work.news):
            told = ToolProgressed(tool_call, f"{words(f'n{tool_call}.{number}', 3)}.")
            self.later(at, lambda told=told: arrives(told))  # type: ignore[misc]
        if work.later is not None:
            self.later(work.later, lambda: arrives(ToolReturned(tool_call, work.answer)))

    def _use_secret(self, tool_call: str) -> None:
        secret = self.taken[tool_call] = self.pad.take(tool_call, self.now)
        answer = Returns(NOT_ENTERED) if secret is None else self.keyed(secret)
        if answer is not None:
            returned = ToolReturned(tool_call, answer.content)

            def arrives() -> None:
                if tool_call in self._tools or self.late_news():
                    self.give(returned)

            self.later(answer.after, arrives)

    # ── the line ──────────────────────────────────────────────────────────────────

    def _synthesize(self) -> None:
        if self._synthesizing is not None or not self._speech:
            return
        speak = self._synthesizing = self._speech.popleft()
        how = self.voice(speak)
        if how is not None:
            self.later(how.after, lambda: self._begin(speak, how))

    def _bridge(self, speak: Speak, how: Voices) -> None:
        """Say what bridges the wait for a segment, if that has not begun."""
        late = self._synthesizing
        if self._bridging is not speak:
            return
        self._bridging = None
        if how.fails or late is None or late.segment in self.sent:
            self.give(SegmentFailed(speak.segment, "overtaken"))
            return
        text = wording(speak)
        sent = self.sent[speak.segment] = Sent(speak.segment, text, speak.epoch, self._position, seconds(text))
        self.give(SegmentStarted(speak.segment, speak.epoch, sent.start, text))
        if speak.epoch == self.epoch:
            self._play(sent)
            sent.announced = True
            self.give(SegmentFinished(speak.segment, speak.epoch, sent.end))

    def _begin(self, speak: Speak, how: Voices) -> None:
        if self._synthesizing is not speak:
            if self.late_news():
                self.give(SegmentStarted(speak.segment, speak.epoch, 0.0, wording(speak)))
            return
        self._bridging = None
        text = wording(speak)
        sent = Sent(speak.segment, text, speak.epoch, self._position, seconds(text), broken=how.fails)
        self.sent[speak.segment] = sent
        if how.fails:
            sent.length /= 2
        self.give(SegmentStarted(speak.segment, speak.epoch, sent.start, text))
        if self._synthesizing is not speak:
            return
        self._play(sent)
        self.later(how.more, lambda: self._complete(speak, sent))

    def _play(self, sent: Sent) -> None:
        begun = max(self.now, self._played_until)
        self._played_until = begun + sent.length
        self._position = sent.end
        at = 0.0
        while at < sent.length:
            at = min(at + MARK_EVERY, sent.length)
            delay = self.mark()
            if delay is not None:
                mark = (sent.epoch, sent.start + at)
                self._marks.append(mark)
                self.later(begun + at + delay - self.now, lambda mark=mark: self._return(mark))  # type: ignore[misc]

    def _return(self, mark: tuple[int, float]) -> None:
        if mark in self._marks:
            self._marks.remove(mark)
            epoch, position = mark
            if epoch == self.epoch:
                self.reached[epoch] = max(position, self.reached[epoch])
            ahead = self._position - position if epoch == self.epoch else 0.0
            self.give(PlaybackReached(epoch, position, ahead))

    def _complete(self, speak: Speak, sent: Sent) -> None:
        if self._synthesizing is not speak:
            if self.late_news():
                self.give(SegmentFinished(speak.segment, speak.epoch, sent.end))
            return
        self._synthesizing = None
        if sent.broken:
            self.give(SegmentFailed(speak.segment, "broken"))
        else:
            sent.announced = True
            self.give(SegmentFinished(speak.segment, speak.epoch, sent.end))
        self._synthesize()

    def _clear(self, epoch: int) -> None:
        told, played = self.reached[self.epoch], self._position - max(0.0, self._played_until - self.now)
        reckoned = told > 0.0 and not isinstance(self.floor, Lost)
        self.played[self.epoch] = min(played, told + MARK_EVERY) if reckoned else told
        self.epoch = epoch
        self.reached[epoch] = 0.0
        self._speech = deque(speak for speak in self._speech if speak.epoch >= epoch)
        self._synthesizing = self._bridging = None
        self._position = 0.0
        self._played_until = self.now
        # A carrier returns the marks of audio that it throws away at once.
        for mark in list(self._marks):
            self.later(0.06, lambda mark=mark: self._return(mark))  # type: ignore[misc]
