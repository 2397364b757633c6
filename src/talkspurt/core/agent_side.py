"""The agent's half of the conversation: its turn, its tools, its effects, its words.

It knows nothing of who has the floor. The conversation tells it to guess, to answer, to suspend
and to go on; it tells the conversation by `step` how far its turn is.

Rules kept here:
- only the playback ledger puts the agent's words into history;
- every tool answer lands once, in the place behind its call, even when its turn is gone;
- the answer of a tool that finishes later lands once, too, as a call of its own, and the model is asked what to say
  of it as soon as nobody speaks and nothing waits for a yes;
- nothing of a guess is said, runs or enters history before the turn was taken with its words;
- a secret is collected for one tool call at a time, which this turn waits for; it never outlives the turn;
- a reply that breaks off while words are said is gone on from once, behind the last of them: nothing is said twice;
- an effect is executed only when the caller's turn is a clear yes, every detail of the
  read-back was proven to be heard before the voice of that yes began, and nothing was said
  after it; a yes that began earlier is asked for again.
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum, auto
from typing import Literal

from talkspurt.core.commands import (
    CancelReply,
    CancelTool,
    CollectSecret,
    Command,
    Count,
    DiscardSecret,
    DropStopped,
    ExecuteEffect,
    ForgetCaller,
    NoteReadBack,
    Phrase,
    Prepare,
    Record,
    RequestReply,
    RunTool,
    RunWithSecret,
    Speak,
    StopPlayback,
    WithdrawEffect,
)
from talkspurt.core.consent import PendingEffect
from talkspurt.core.events import (
    CallerChanged,
    EffectProposed,
    Interruptible,
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
    ToolProgressed,
    ToolReturned,
    ToolStarted,
    WordsPlaced,
)
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolCalled
from talkspurt.core.language import Expectation
from talkspurt.core.log import Called, ForEarlierCaller, Log, Spoken
from talkspurt.core.playback import Playback
from talkspurt.core.secret_entry import NOT_ENTERED, SecretEntry
from talkspurt.core.sentences import is_said, split_long, take_speakable
from talkspurt.core.settings import Menu, Settings
from talkspurt.core.speculation import KEPT, Guess, ReplyNews
from talkspurt.core.turn import AgentTurn, Line, RunningTool

END_CALL = "end_call"
"""The built-in tool by which a model hangs up once its goodbye has been heard."""

NEW_CALLER = "new_caller"
"""The built-in tool by which a model says that somebody else has the phone; the runtime may find it out itself."""

SPEAK_SLOWER = "speak_slower"
"""The built-in tool by which a model speaks more slowly from its next sentence on."""

SLOWER = 0.85
"""Each request for it makes the voice that much slower: a step that is heard, and not laboured."""
SLOWEST = 0.6

MENU = Expectation("menu")
"""One key is expected, and nothing else of the keypad."""

MAX_TOOLS_AT_ONCE = 8
"""More parallel calls than this in one reply is a model gone astray."""

MAX_REPAIRS = 1
"""How often in a turn a model is shown that it asked for what there is not, before the agent apologises instead."""

AGENT_GOODBYE = "agent_goodbye"
"""The end reason of a call that the model ended by `END_CALL`."""
CALLER_SILENT = "caller_silent"
"""The same of one whose caller cannot be heard any more."""
_REVOCABLE = frozenset({"", AGENT_GOODBYE, CALLER_SILENT})
"""Endings of a turn over which the caller may speak, and the call goes on."""

_ANNOUNCED = frozenset({AGENT_GOODBYE, "handover", "agent"})
"""Endings that the model knows of: when it says something, no stock sentence has to announce them."""

_TIMEOUT = '{"error":{"kind":"timeout","message":"The tool did not answer."}}'
_IN_DOUBT = '{"error":{"kind":"in_doubt","message":"It is not certain whether this was done. Someone must check."}}'
_NEVER_TOLD = '{"error":{"kind":"in_doubt","message":"The call ended before it was certain whether this was done."}}'
_CALL_ENDED = '{"error":{"kind":"cancelled","message":"The call ended before this was done."}}'
_CANCELLED = '{"error":{"kind":"cancelled","message":"Nobody waits for this any more."}}'
_ONE_AT_A_TIME = (
    '{"error":{"kind":"refused","message":"Only one change can be confirmed at a time. Ask for this one later."}}'
)
_BUSY = '{"error":{"kind":"refused","message":"The caller can do only one thing at a time. Ask for this later."}}'
_SLOWER = '{"status":"speaking more slowly from now on"}'
_TOO_MANY = '{"error":{"kind":"refused","message":"Too many tools at once."}}'


class Progress(Enum):
    """How far the agent's turn is."""

    NONE = auto()
    """There is no turn."""
    PREPARING = auto()
    """Something is still to come, nothing can be heard."""
    AUDIBLE = auto()
    """The caller hears it."""
    COLLECTING = auto()
    """All was heard, and a tool waits for the caller's keys."""
    FINISHED = auto()
    """Everything was said and heard."""


class AgentSide:
    """State and rules of everything the agent says and does. Commands go to the list it was given."""

    def __init__(self, settings: Settings, commands: list[Command]) -> None:
        self._settings = settings
        self._commands = commands
        self.playback = Playback()
        self.log = Log()
        self.turn: AgentTurn | None = None
        self.suspended = False
        self.running: dict[str, RunningTool] = {}
        self.later: dict[str, RunningTool] = {}
        """Tools that were started and answer in a later turn."""
        self.untold = False
        """One of them has answered, and the model has not been asked since."""
        self.pending: PendingEffect | None = None
        self.secret: SecretEntry | None = None
        """What a tool of this turn waits for; it is in `running` all the while."""
        self.guess: Guess | None = None
        self.expects: Expectation | None = None
        """What the answer of a tool said that the caller will be asked for."""
        self.pace = 1.0
        """How fast the agent speaks, 1 as the voice is by nature."""
        self.failures = 0
        self.replies = 0
        self.segments = 0

    # ── orders of the conversation ────────────────────────────────────────────────

    def open_turn(
        self,
        *lines: str | Phrase,
        now: float,
        prompting: bool = False,
        ending: str = "",
        interruptible: Interruptible = "voice",
    ) -> None:
        """Begin a turn of stock sentences that no model is asked for."""
        self.turn = AgentTurn(
            before=self.segments, fed_at=now, prompting=prompting, ending=ending, interruptible=interruptible
        )
        self.suspended = False
        for line in lines:
            self._say(Line(line), now)

    def take_leave(self, now: float) -> None:
        """Say that nobody can be heard, and end the call behind it, unless somebody speaks up after all."""
        # Whoever says "yes, I am here" has not said yes to it.
        self._take_back_proposal(now)
        self.open_turn(Phrase("goodbye_silence"), now=now, ending=CALLER_SILENT)

    def offer_menu(self, menu: Menu, now: float) -> None:
        """Ask for a key in place of words: the caller cannot be heard."""
        self.open_turn(Phrase("menu", (("choices", menu.offer),)), now=now)
        self.expects = MENU

    def meant_by(self, keys: str) -> str:
        """What a caller says with `keys`: the words of a key of the menu, if it was offered, and otherwise the keys."""
        menu = self._settings.menu
        if menu is None or self.expects != MENU:
            return keys
        return menu.said(keys) or keys

    def announce(self, announcement: str, greeting: str, now: float) -> None:
        """Say what nothing may interrupt, and then the greeting, which may be."""
        self.open_turn(announcement, now=now, interruptible="never")
        self.turn = replace(self._current, followed_by=greeting)

    def take_back(self, phrase: str, tool_call: str, content: str, now: float) -> None:
        """Say that the caller is the agent's again, and ask the model how to go on from how the hand-over went.

        It is told as another answer of the tool that asked for the hand-over, behind what the caller hears at once.
        """
        self.lose_line()
        self.expects = None
        self.turn = AgentTurn(before=self.segments, fed_at=now, interruptible=self._settings.interruptible)
        self.suspended = False
        self._say(Line(Phrase(phrase)), now)
        calls = (place.call for place in reversed(self.log.places) if isinstance(place, Called))
        asked = next((call for call in calls if call.tool_call == tool_call), ToolCalled("handover", "handover", "{}"))
        self.log.add(Called(replace(asked, tool_call=f"{asked.tool_call}-returned"), content))
        self._request(self._current, now)

    def speculate(self, text: str, now: float) -> None:
        """Ask for the reply to what may be the caller's turn. Not while anything else is under way."""
        if self.guess is not None and self.guess.said == text:
            return
        self.drop_guess()
        if self.turn is not None or self.pending is not None or not self._settings.speculative:
            return
        self.replies += 1
        self.guess = Guess(self.replies, text, now)
        history = (*self.log.shown(self.playback), CallerSaid(text, "voice"))
        self._commands.append(RequestReply(self.replies, history))

    def drop_guess(self) -> None:
        """The caller says something else than was guessed, or nothing."""
        guess, self.guess = self.guess, None
        if guess is not None:
            # Also when the model has finished: what is synthesized for it is of no use either.
            self._commands.extend((Count("speculation_dropped"), CancelReply(guess.reply)))

    def answer(
        self, text: str, source: Literal["voice", "keypad"], began: float, now: float, *, handed_on: bool = False
    ) -> None:
        """Begin a turn that answers the caller, whose voice began at `began`; a turn before it is dropped.

        `handed_on`: it is somebody else's voice, who is the caller from now on.
        """
        said = CallerSaid(text, source)
        confirmed, hasty = self._take_confirmed(said, began)
        self._cancel_tools()
        self.drop_turn()
        self.expects = None
        self.log.add(said)
        if hasty is not None:
            self._ask_again(hasty, now)
            return
        guess = self.guess
        if guess is not None and guess.said == text and source == "voice" and confirmed is None and not handed_on:
            self.guess = None
            self._adopt(guess, now)
            return
        self.drop_guess()
        if handed_on:
            # What was guessed for the one before is not for them, and the model is asked when nobody is verified.
            tool_call = f"{NEW_CALLER}-{self.log.callers_turns}"
            self._await_tool(tool_call, RunningTool(NEW_CALLER, "{}", now), now)
            self._commands.append(ForgetCaller(tool_call))
        elif confirmed is None:
            self._request(AgentTurn(before=self.segments, interruptible=self._settings.interruptible), now)
        else:
            tool_call = f"{confirmed.tool_call}-confirmed"
            effect = RunningTool(confirmed.name, confirmed.arguments, now, executing=True, proposal=confirmed.proposal)
            self._await_tool(tool_call, effect, now)
            self._commands.append(ExecuteEffect(tool_call, confirmed.proposal, self.log.callers_turns))

    def _await_tool(self, tool_call: str, tool: RunningTool, now: float) -> None:
        """Begin a turn with a tool that no model has asked for: it is asked what to say of the answer."""
        self.log.add(Called(ToolCalled(tool_call, tool.name, tool.arguments)))
        self.running[tool_call] = tool
        self.turn = AgentTurn(
            before=self.segments,
            fed_at=now,
            tools=frozenset({tool_call}),
            asked=True,
            interruptible=self._settings.interruptible,
        )

    def suspend(self, now: float) -> None:
        """Fall silent at once and hold what was not heard, until `resume_turn` or `drop_turn`."""
        if self.playback.silent:
            self._hold(())
        else:
            self._stop_playback(now)

    def lose_line(self) -> None:
        """The same, when the carrier has forgotten everything: positions and marks begin anew in any case."""
        self._stop_playback(None)

    def _stop_playback(self, playing: float | None) -> None:
        held = self.playback.stop(playing)
        self._commands.append(StopPlayback(self.playback.epoch))
        self._hold(held)

    def orphaned(self) -> tuple[ReplyFailed | ToolReturned, ...]:
        """What to report of work that died with the process that did it."""
        reply = self.turn.reply if self.turn is not None else self.guess.reply if self.guess is not None else None
        tools = tuple(
            ToolReturned(name, _IN_DOUBT if tool.executing else _TIMEOUT)
            for name, tool in self.running.items()
            if not tool.proposal
        )
        tools += tuple(ToolReturned(name, _TIMEOUT) for name, tool in self.later.items() if not tool.proposal)
        return tools if reply is None else (ReplyFailed(reply, "process_lost"), *tools)

    @property
    def executing(self) -> tuple[tuple[str, str], ...]:
        """Tool calls that execute an effect, with its proposal."""
        tools = {**self.running, **self.later}
        return tuple((name, tool.proposal) for name, tool in tools.items() if tool.proposal)

    def resume_turn(self, now: float) -> None:
        """Go on with the suspended turn from the word where it stopped."""
        assert self.turn is not None
        held, self.suspended = self.turn.held, False
        self.turn = replace(self.turn, held=(), fed_at=now)
        for line in held:
            self._order(line, now)

    def passed_over(self, now: float) -> None:
        """Brief words of the caller have left this turn to the agent."""
        assert self.turn is not None
        self.turn = replace(self.turn, passed_over_at=now)

    def drop_turn(self) -> None:
        """Forget the turn. Its tools go on, and their answers still land in history, but none waits for a secret."""
        if self.turn is None:
            return
        self.drop_secret()
        if self.turn.reply is not None:
            self._commands.append(CancelReply(self.turn.reply))
        if self.turn.held:
            self.playback.interrupt_last(self.turn.before)
        if self.suspended:
            self._commands.append(DropStopped())
        self.turn, self.suspended = None, False

    def shut_down(self, reason: str, now: float) -> None:
        """Stop everything that may be stopped: the call ends, for good or until a hand-over has failed."""
        if self.pending is not None:
            self._commands.append(WithdrawEffect(self.pending.proposal))
            self.pending = None
        self.drop_guess()
        self.suspend(now)
        self.drop_turn()
        for name in [name for name, tool in self.running.items() if not tool.executing]:
            self._commands.append(CancelTool(name))
            self._land(name, _CANCELLED)
        for name, tool in list(self.later.items()):
            if tool.executing and reason == "handover":
                # Whoever comes back is told what came of the doubt.
                continue
            self._commands.append(CancelTool(name))
            self._land_later(name, _NEVER_TOLD if tool.executing else _CALL_ENDED)

    def fill(self, now: float) -> bool:
        """Bridge the waiting; it answers nothing. What a synthesizer is late with follows behind it.

        Whether a stock sentence comes first, which is heard at once whatever the synthesizers do.
        """
        late = self.playback.unstarted
        if late is None:
            lines = self.bridge()
            self.turn = replace(self._current, bridged=True)
            for words in lines:
                self._order(Line(words), now)
            return isinstance(lines[0], Phrase)
        if not late.stock and (self.pending is None or self.pending.heard_at is None):
            # Not before another stock sentence, nor into a read-back's question, which must be the last thing said.
            phrase = Phrase("still_working" if self._current.bridged else "filler")
            self.turn = replace(self._current, bridged=True)
            self.segments += 1
            self.playback.order_ahead(self.segments, phrase, now)
            self.log.add_before(late.id, Spoken(self.segments, stock=True))
            self._commands.append(Speak(self.segments, self.playback.epoch, phrase, ahead=True))
        return True

    def bridge_pause(self, now: float) -> None:
        """Say that it takes a moment, while the caller's words are waited for. It is part of no turn."""
        if self.turn is not None:
            self.note_bridged()
        phrase = Phrase("filler")
        self.segments += 1
        self.playback.order(self.segments, phrase, now, ahead=True)
        self.log.add(Spoken(self.segments, stock=True))
        self._commands.append(Speak(self.segments, self.playback.epoch, phrase))

    def note_bridged(self) -> None:
        """The caller of this turn has been told to wait: the next time other words are due."""
        self.turn = replace(self._current, bridged=True)

    def tell(self, now: float) -> None:
        """Ask the model what to say of answers that have come since it was asked last."""
        self._request(AgentTurn(before=self.segments, interruptible=self._settings.interruptible), now)

    def end_after_turn(self, reason: str, farewell: str, now: float) -> None:
        """Let the call end once the current turn and the stock sentence `farewell` ("" for none) have been heard.

        Only a goodbye over which the caller may talk gives way to another reason.
        """
        if self.secret is not None:
            # The prompt may be on the line: nobody is to be asked for what nobody collects.
            self.suspend(now)
            self.drop_secret()
            self.resume_turn(now)
        turn = self._current
        if turn.ending in _REVOCABLE:
            # What was said before cannot have announced the end, unless the model is still at it.
            spoke = turn.spoke and self._waiting
            self.turn = replace(turn, ending=reason, farewell=farewell, spoke=spoke)

    def bridge(self) -> tuple[str | Phrase, ...]:
        """What to say while the caller waits: a stock sentence, the newest words of a tool under way, or both. Takes
        them: nobody has spoken them before, so the first thing that a caller who waits hears is a sentence of stock.
        """
        news = self._take_news()
        if self.turn is None or self.turn.bridged:
            return (news or Phrase("still_working"),)
        waiting = next((tool.name for tool in self.waited_for.values()), None)
        filler = Phrase("filler") if waiting is None else Phrase("tool_filler", (("tool", waiting),))
        return (filler, news) if news else (filler,)

    def _take_news(self) -> str:
        waited_for = self.waited_for
        for tools in (self.running, self.later):
            for name, tool in tools.items():
                if name in waited_for and tool.news:
                    tools[name] = replace(tool, news="")
                    return tool.news
        return ""

    # ── what the conversation asks ────────────────────────────────────────────────

    @property
    def waited_for(self) -> dict[str, RunningTool]:
        """The tools that the current turn waits for; without a turn, those that answer whoever has the phone later."""
        if self.turn is None:
            return {name: tool for name, tool in self.later.items() if self.log.is_shown(name)}
        return {name: tool for name, tool in self.running.items() if name in self._current.tools}

    @property
    def keeps_waiting(self) -> bool:
        """Whether it is the caller who waits: for a tool that answers later, and for no question."""
        return self.pending is None and any(map(self.log.is_shown, self.later))

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell a caller who waits."""
        return any(tool.news for tool in self.waited_for.values())

    @property
    def may_tell(self) -> bool:
        """Whether the model may be asked about late answers: what waits for a yes must stay the last thing said."""
        return self.untold and self.pending is None

    @property
    def expectation(self) -> Expectation:
        """What the caller was asked for last: as far as they have heard it, or as a tool says that they are asked."""
        if self.expects == MENU:
            # Offered after all else, also while an effect waits for a yes that nobody hears.
            return self.expects
        if self.pending is not None:
            return Expectation("yes_no", binding=True)
        if self.expects is not None:
            return self.expects
        return self._settings.language.expectation(self.log.last_said(self.playback))

    @property
    def interruptible(self) -> Interruptible:
        """What may stop the current turn. The last one cannot be stopped, unless the model meant to end the call or
        nobody seemed to be there.
        """
        if self.turn is None:
            return "voice"
        return self.turn.interruptible if self.turn.ending in _REVOCABLE else "never"

    @property
    def takes_leave(self) -> bool:
        """Whether the current turn says that nobody can be heard, and ends the call unless somebody can."""
        return self.turn is not None and self.turn.ending == CALLER_SILENT

    @property
    def was_heard(self) -> bool:
        """Whether the caller has heard anything of the current turn."""
        return self.turn is not None and self.playback.last_heard(self.turn.before) is not None

    @property
    def has_more_to_say(self) -> bool:
        """Whether a suspended turn was cut off before its point, so that "mm-hm" can only mean "go on".

        Not when the caller has heard a question to its end, or nearly, nor when they are thought to have left: then the
        same word is an answer.
        """
        if self.turn is None or not self.suspended or self.takes_leave:
            return False
        if self.log.last_said(self.playback).rstrip().endswith("?"):
            return False
        if self._waiting:
            return True
        # What is left of a last question is no more than the question: whoever says "yeah" to it answers.
        rest = [line.text for line in self.turn.held]
        return len(rest) > 1 or any(isinstance(text, Phrase) or not text.endswith("?") for text in rest)

    @property
    def has_said_all(self) -> bool:
        """Whether nothing would follow if a suspended turn went on, and the caller have the floor."""
        turn = self.turn
        return turn is not None and not (turn.held or turn.ending or turn.followed_by or turn.asked or self._waiting)

    def step(self, now: float) -> Progress:
        """Ask for the next round when its tools have answered, and say how far the turn is."""
        if self.turn is None or self.suspended:
            return Progress.NONE
        if self.secret is not None and self.turn.reply is None and self.playback.silent:
            return Progress.COLLECTING
        if not self._waiting:
            self._round_over(now)
        if not self._waiting and self.playback.silent:
            return Progress.FINISHED
        return Progress.AUDIBLE if self._audible else Progress.PREPARING

    def finish_turn(self) -> AgentTurn:
        """Take the finished turn away."""
        assert self.turn is not None
        turn, self.turn = self.turn, None
        return turn

    @property
    def deadline(self) -> float | None:
        """When the next watchdog of model, tools, synthesizer or line expires."""
        due = [self._tool_deadline(tool) for name, tool in self.running.items() if not self.collects(name)]
        due += [self._tool_deadline(tool) for tool in self.later.values() if not tool.proposal]
        reply_deadline = self._reply_deadline
        if reply_deadline is not None:
            due.append(reply_deadline)
        if not self.playback.silent:
            due.append(self._playback_deadline)
        return min(due, default=None)

    def expire(self, now: float) -> None:
        """Act on the watchdogs that are due at `now`."""
        for name, tool in list(self.running.items()):
            if now >= self._tool_deadline(tool) and not self.collects(name):
                self._commands.append(Count("tool_overdue"))
                if not tool.executing:
                    self._commands.append(CancelTool(name))
                self._land(name, _IN_DOUBT if tool.executing else _TIMEOUT)
        for name, tool in list(self.later.items()):
            # What becomes of an effect in doubt the ledger will tell, however long that takes.
            if now >= self._tool_deadline(tool) and not tool.proposal:
                self._commands.extend((Count("tool_overdue"), CancelTool(name)))
                self._land_later(name, _TIMEOUT)
        if self._reply_deadline is not None and now >= self._reply_deadline:
            self._commands.append(Count("reply_overdue"))
            self._commands.append(CancelReply(self.replies))
            self._retry_or_fail(now)
        if not self.playback.silent and now >= self._playback_deadline:
            self._unstick(now)

    def history(self) -> tuple[Entry, ...]:
        """What was said, done and heard."""
        return self.log.history(self.playback)

    def record(self) -> None:
        """Hand what has become final to the store. A turn's last words are not: what follows may yet be cut off."""
        tentative = self.playback.last_heard(self.turn.before) if self.turn is not None else None
        self._commands.extend(Record(entry) for entry in self.log.settled(self.playback, tentative=tentative))

    # ── news of the model ─────────────────────────────────────────────────────────

    def reply_news(self, event: ReplyNews, now: float) -> None:
        """What the model sent: kept while it is only a guess, otherwise dealt with at once."""
        guess = self.guess
        if guess is not None and guess.reply == event.reply:
            if guess.over:
                self._commands.append(Count("stale_reply"))
                return
            if len(guess.news) >= KEPT:
                self.drop_guess()
                return
            self.guess, ahead = guess.add(event)
            self._commands.extend(Prepare(guess.reply, sentence) for sentence in ahead)
            return
        match event:
            case ReplyTextReceived():
                self._reply_text(event, now)
            case ReplyToolRequested():
                self._reply_tool(event, now)
            case ReplyCompleted():
                self._reply_completed(event, now)
            case ReplyFailed():
                self._reply_failed(event, now)

    def _reply_text(self, event: ReplyTextReceived, now: float) -> None:
        """Say each sentence as soon as it is whole."""
        turn = self._replying(event.reply)
        if turn is None:
            return
        sentences, rest = take_speakable(turn.text + event.text, first=self._wants_a_clause)
        self.turn = replace(turn, text=rest, fed_at=now)
        self._say_reply(sentences, now)

    def _say_a_clause(self, now: float) -> None:
        """Say what has come of a sentence, where the line has just fallen silent before the rest of it."""
        turn = self.turn
        if self.pending is not None:
            # Its question must be the last thing said.
            return
        if turn is not None and turn.reply is not None and turn.text and self._wants_a_clause:
            clauses, rest = take_speakable(turn.text, first=True)
            self.turn = replace(turn, text=rest)
            self._say_reply(clauses, now)

    def reply_tool_coming(self, event: ReplyToolComing, now: float) -> None:
        """A model that writes a long tool call is not overdue. A guess has no deadline of its own."""
        if self.turn is not None and self.turn.reply == event.reply:
            self.turn = replace(self.turn, fed_at=now)

    def _reply_tool(self, event: ReplyToolRequested, now: float) -> None:
        """Run a tool at once, while the model may still be talking."""
        turn = self._replying(event.reply)
        if turn is None:
            return
        self._flush(now)
        turn = self._current
        if event.name == END_CALL:
            if not turn.ending:
                turn = replace(turn, ending=AGENT_GOODBYE, farewell="goodbye")
            self.turn = replace(turn, fed_at=now)
            return
        if event.tool_call in self.running or any(
            isinstance(place, Called) and place.call.tool_call == event.tool_call for place in self.log.places
        ):
            self._commands.append(Count("duplicate_tool_call"))
            return
        self.log.add(Called(ToolCalled(event.tool_call, event.name, event.arguments)))
        if event.name == SPEAK_SLOWER:
            self.pace = max(SLOWEST, self.pace * SLOWER)
            self.log.answer(event.tool_call, _SLOWER)
            self.turn = replace(turn, fed_at=now, asked=True)
            return
        self.turn = replace(turn, fed_at=now, asked=True, tools=turn.tools | {event.tool_call})
        if len(turn.tools) >= MAX_TOOLS_AT_ONCE:
            self.log.answer(event.tool_call, _TOO_MANY)
            return
        self.running[event.tool_call] = RunningTool(event.name, event.arguments, now)
        self._commands.append(RunTool(event.tool_call, event.name, event.arguments))
        if event.name == NEW_CALLER:
            # The model that wrote this reply knows all of the caller before: what it adds is not for the next one.
            self._commands.append(CancelReply(event.reply))
            self.turn = replace(self.turn, reply=None)

    def _reply_completed(self, event: ReplyCompleted, now: float) -> None:
        """Say what is left."""
        if self._replying(event.reply) is None:
            return
        self._flush(now)
        self.turn = replace(self._current, reply=None, fed_at=now)
        if self.turn.spoke or self.turn.asked:
            self.failures = 0

    def _reply_failed(self, event: ReplyFailed, now: float) -> None:
        """Ask once more; then apologise."""
        if self._replying(event.reply) is None:
            return
        self._commands.append(Count("reply_failed"))
        self._retry_or_fail(now)

    # ── news of the tools ─────────────────────────────────────────────────────────

    def tool_returned(self, event: ToolReturned) -> None:
        """Put the answer in its place; the next round follows by `step`."""
        if event.tool_call in self.later:
            self._land_later(event.tool_call, event.content)
            return
        if event.tool_call not in self.running:
            self._commands.append(Count("stale_tool"))
            return
        if self.turn is not None and event.tool_call in self.turn.tools:
            self.expects = event.expects or self.expects
            self.turn = replace(
                self.turn,
                interruptible=event.interruptible or self.turn.interruptible,
                went_wrong=self.turn.went_wrong or event.wrong,
            )
        self._land(event.tool_call, event.content)

    def tool_started(self, event: ToolStarted) -> None:
        """The turn waits for it no longer; its answer, or what comes of a doubt, will take a place of its own."""
        tool = self.running.get(event.tool_call)
        if tool is None:
            self._commands.append(Count("stale_tool"))
            return
        self._land(event.tool_call, event.content)
        self.later[event.tool_call] = tool

    def caller_changed(self, event: CallerChanged, now: float) -> None:
        """What a model is shown begins anew: with the turn that said so."""
        if not self.log.hand_on(event.tool_call):
            self._commands.append(Count("stale_tool"))
            return
        self.drop_guess()
        for tools in (self.running, self.later):
            tools.update({name: replace(tool, news="") for name, tool in tools.items()})
        self.untold = False
        self._take_back_proposal(now)
        if event.tool_call in self.running:
            self._land(event.tool_call, event.content)

    def _take_back_proposal(self, now: float) -> None:
        """Read no more of what was to be said yes to, and never do it: the caller is another, or has left."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        self._commands.append(WithdrawEffect(pending.proposal))
        suspended = self.suspended
        if not self.playback.silent:
            self._stop_playback(now)
        if self.turn is None:
            return
        tags = {pending.proposal, pending.question_tag}
        self.turn = replace(self.turn, held=tuple(line for line in self.turn.held if line.tag not in tags))
        if self.suspended and not suspended:
            self.resume_turn(now)

    def tool_progressed(self, event: ToolProgressed) -> None:
        """Keep what it says for the next moment in which the caller waits and nobody speaks."""
        for tools in (self.running, self.later):
            if event.tool_call in tools and self.log.is_shown(event.tool_call):
                tools[event.tool_call] = replace(tools[event.tool_call], news=event.words)
                return
        self._commands.append(Count("stale_tool"))

    def effect_proposed(self, event: EffectProposed, now: float) -> None:
        """Read the proposal back; it waits for the caller's yes."""
        tool = self.running.get(event.tool_call)
        turn = self.turn
        known = self.pending is not None and self.pending.proposal == event.proposal
        if known or self.playback.knows(event.proposal):
            self._commands.append(Count("duplicate_proposal"))
            return
        # One would wait behind the other without a limit of its own, and then be done when nobody reckons with it.
        executing = any(other.executing for other in self.running.values())
        busy = self.pending is not None or self.secret is not None or executing
        if tool is None or turn is None or event.tool_call not in turn.tools or busy:
            self._commands.append(WithdrawEffect(event.proposal))
            if tool is not None:
                self._land(event.tool_call, _ONE_AT_A_TIME if self.secret is None else _BUSY)
            else:
                self._commands.append(Count("stale_tool"))
            return
        self._land(event.tool_call, event.content)
        self.pending, lines = PendingEffect.of(event, tool, self._settings.language)
        for line in lines:
            self._say(line, now)

    # ── the secret that a tool waits for ──────────────────────────────────────────

    def secret_requested(self, event: SecretRequested, now: float) -> None:
        """Let the caller be asked to key it in, and let nobody else have their keys from now on."""
        tool, turn = self.running.get(event.tool_call), self.turn
        if tool is not None and (tool.keyed or tool.executing or self.collects(event.tool_call)):
            self._commands.append(Count("duplicate_secret"))
            return
        if tool is None or turn is None or event.tool_call not in turn.tools:
            self._refuse_secret(event.tool_call, NOT_ENTERED)
            self._commands.append(Count("stale_secret"))
        elif turn.ending:
            self._refuse_secret(event.tool_call, NOT_ENTERED)
        elif self.secret is not None or self.pending is not None:
            self._refuse_secret(event.tool_call, _BUSY)
        else:
            self.secret = SecretEntry.begin(event.tool_call, event.prompt, event.rules, now)
            # In this order: who knows the prompt keys it in before its first word.
            self._commands.append(CollectSecret(event.tool_call, event.rules))
            self._say(Line(event.prompt), now)

    def collects(self, tool_call: str) -> bool:
        """Whether the caller's keys are for this tool call."""
        return self.secret is not None and self.secret.tool_call == tool_call

    def await_keys(self, now: float) -> None:
        """The caller has heard the prompt: they are waited for, and the turn with them."""
        assert self.secret is not None
        self.suspend(now)
        if self.secret.standing == "waiting":
            self.secret = self.secret.heard(now)

    def make_way(self, now: float) -> None:
        """The caller is keying it in already: fall silent, and spare them the rest of the prompt."""
        self.suspend(now)
        self._drop_prompt()

    def secret_keyed(self, event: SecretProgress | SecretEntered, now: float) -> None:
        """Note how many digits there are; `settle_secret` acts on it."""
        assert self.secret is not None
        keyed = self.secret.progress if isinstance(event, SecretProgress) else self.secret.entered
        self.secret = keyed(event.count, now)

    def secret_overdue(self, now: float) -> None:
        """No key came in time."""
        assert self.secret is not None
        self.secret = self.secret.expire(now)

    def settle_secret(self, now: float) -> bool:
        """Go on with the turn when nothing is waited for any more, or the caller is to be asked again."""
        secret = self.secret
        match secret.standing if secret is not None else None:
            case "waiting":
                return False
            case "whole" if secret is not None:
                self.secret = None
                self.log.postpone(secret.tool_call)
                self.running[secret.tool_call] = replace(self.running[secret.tool_call], since=now, keyed=True)
                self._commands.append(RunWithSecret(secret.tool_call))
                self.resume_turn(now)
            case "again" if secret is not None:
                self.secret = secret.heard(now)
                self._commands.append(CollectSecret(secret.tool_call, secret.rules))
                self.resume_turn(now)
                self._say(Line(secret.prompt), now)
            case _:
                self.drop_secret()
                self.resume_turn(now)
        return True

    def drop_secret(self) -> None:
        """Nobody will key it in: its tool is told so."""
        if self.secret is not None:
            self._land(self.secret.tool_call, NOT_ENTERED)

    def _refuse_secret(self, tool_call: str, content: str) -> None:
        self._commands.append(DiscardSecret(tool_call))
        if tool_call in self.running:
            self._land(tool_call, content)

    def _drop_prompt(self) -> None:
        """Take the prompt, or what is left of it, out of what is held."""
        if self.secret is None or self.turn is None:
            return
        prompt, held = " ".join(self.secret.prompt.split()), self.turn.held
        rest = tuple(
            line for line in held if isinstance(line.text, Phrase) or not prompt.endswith(" ".join(line.text.split()))
        )
        if held and held[:1] != rest[:1]:
            # Nothing of what is held goes on with the last words that were heard.
            self.playback.interrupt_last(self.turn.before)
        self.turn = replace(self.turn, held=rest)

    # ── news of the line ──────────────────────────────────────────────────────────

    def segment_started(self, event: SegmentStarted, now: float) -> None:
        """A segment has its place on the line."""
        if not self.playback.started(
            event.segment,
            event.epoch,
            event.position,
            event.text,
            now,
            spoken=event.spoken,
            resumed=event.resumed,
        ):
            self._commands.append(Count("stale_segment"))

    def words_placed(self, event: WordsPlaced) -> None:
        """The synthesizer says where the words of a segment lie."""
        if not self.playback.placed(event.segment, event.epoch, event.starts):
            self._commands.append(Count("stale_segment"))

    def segment_finished(self, event: SegmentFinished, now: float) -> None:
        """All of a segment is on the line."""
        if not self.playback.finished(event.segment, event.epoch, event.position, now):
            self._commands.append(Count("stale_segment"))

    def segment_failed(self, event: SegmentFailed, now: float) -> None:
        """The synthesizer gave up on a segment."""
        self._commands.append(Count("segment_failed"))
        self._segment_failed(event.segment, now)

    def playback_reached(self, event: PlaybackReached, now: float) -> None:
        """The carrier has played up to here."""
        if not self.playback.reached(event.epoch, event.position, now, ahead=event.ahead):
            self._commands.append(Count("stale_mark"))
        self._note_heard(now)
        self._say_a_clause(now)

    # ── within ────────────────────────────────────────────────────────────────────

    @property
    def _current(self) -> AgentTurn:
        assert self.turn is not None
        return self.turn

    @property
    def _held(self) -> tuple[Line, ...]:
        """What is to be said once a suspended turn goes on."""
        return self.turn.held if self.turn is not None else ()

    @property
    def _waiting(self) -> bool:
        """The model or a tool of this round has not finished."""
        return self._current.reply is not None or bool(self.waited_for)

    @property
    def _wants_a_clause(self) -> bool:
        """Whether nothing else can be heard, so that a clause is better than waiting for the end of its sentence."""
        return not self._current.spoke or (self.playback.silent and not self.suspended)

    @property
    def _audible(self) -> bool:
        return any(self.playback.segments[number].start is not None for number in self.playback.open)

    def _tool_deadline(self, tool: RunningTool) -> float:
        return tool.since + self._settings.tool_times.get(tool.name, 0.0) + self._settings.tool_timeout

    @property
    def _reply_deadline(self) -> float | None:
        if self.turn is None or self.turn.reply is None or self.suspended:
            return None
        return self.turn.fed_at + self._settings.reply_timeout

    @property
    def _playback_deadline(self) -> float:
        stuck = self.playback.unstarted
        patience = self.playback.progress_at + self.playback.unheard + self._settings.playback_patience
        if stuck is None:
            return patience
        return max(patience, stuck.since + self._settings.segment_timeout)

    def _hold(self, lines: tuple[Line, ...]) -> None:
        if self.turn is not None:
            self.turn = replace(self.turn, held=lines + self.turn.held)
            self.suspended = True

    def _say(self, line: Line, now: float) -> None:
        self.turn = replace(self._current, spoke=True)
        self._order(line, now)

    def _order(self, line: Line, now: float) -> None:
        if self.suspended:
            self.turn = replace(self._current, held=(*self._current.held, line))
            return
        self.segments += 1
        stock = line.stock or isinstance(line.text, Phrase)
        self.playback.order(
            self.segments, line.text, now, tag=line.tag, source=line.source, reply=line.reply, stock=stock
        )
        self.log.add(Spoken(self.segments, stock=stock))
        epoch = self.playback.epoch
        # Stock sentences are kept as they are said by nature, for when no synthesizer answers.
        pace = 1.0 if stock else self.pace
        self._commands.append(Speak(self.segments, epoch, line.text, line.source, pace, reply=line.reply))

    def _flush(self, now: float) -> None:
        self._say_reply(split_long(self._current.text), now)
        self.turn = replace(self._current, text="")

    def _say_reply(self, sentences: Iterable[str], now: float) -> None:
        """Say what the model says, but not what was said before its reply broke off."""
        for sentence in sentences:
            if is_said(sentence, self._current.broke_off):
                self.turn = replace(self._current, spoke=True)
            else:
                self._say(Line(sentence, reply=self._current.reply), now)

    def _request(self, turn: AgentTurn, now: float) -> None:
        self.replies += 1
        fresh = replace(turn, reply=self.replies, fed_at=now, asked_at=now, text="", tools=frozenset())
        self.turn = replace(fresh, asked=False, spoke=False)
        shown = self._shown()
        # An answer that came meanwhile stands behind the words: then a whole reply is asked for.
        continues = bool(turn.broke_off) and isinstance(shown[-1], AgentSaid)
        self._commands.append(RequestReply(self.replies, shown, continues=continues))
        self.untold = False

    def _shown(self) -> tuple[Entry, ...]:
        """What a model is shown for its next words: what is held is still to be said, so it counts as said."""
        shown = self.log.shown(self.playback)
        held = " ".join(line.text for line in self._current.held if isinstance(line.text, str))
        last = shown[-1] if shown else None
        if held and isinstance(last, AgentSaid) and not last.interrupted:
            return (*shown[:-1], AgentSaid(f"{last.text} {held}"))
        return (*shown, AgentSaid(held)) if held else shown

    def _adopt(self, guess: Guess, now: float) -> None:
        """The guess holds: what was kept has just come."""
        self._commands.append(Count("speculation_kept"))
        self.untold = False
        self.turn = AgentTurn(
            before=self.segments,
            reply=guess.reply,
            fed_at=now,
            asked_at=guess.asked_at,
            interruptible=self._settings.interruptible,
        )
        for news in guess.news:
            self.reply_news(news, now)

    def _cancel_tools(self) -> None:
        """Give up the suspended turn's tools that say so; all others go on."""
        if self.turn is None:
            return
        for name in sorted(name for name in self.turn.tools if name in self.running):
            tool = self.running[name]
            if tool.name in self._settings.cancellable and not tool.executing:
                self._commands.append(CancelTool(name))
                self._land(name, _CANCELLED)

    def _replying(self, reply: int) -> AgentTurn | None:
        if self.turn is not None and self.turn.reply == reply:
            return self.turn
        self._commands.append(Count("stale_reply"))
        return None

    def _round_over(self, now: float) -> None:
        """Ask for the next round if there is one; otherwise see to it that the turn does not end without a word."""
        turn = self._current
        if self.pending is not None and turn.ending == AGENT_GOODBYE:
            # The model said goodbye behind a question that is still to be answered.
            turn = self.turn = replace(turn, ending="", farewell="")
        if turn.asked and self.pending is None and turn.ending != AGENT_GOODBYE:
            repairs = turn.repairs + turn.went_wrong
            if repairs <= MAX_REPAIRS and turn.rounds < self._settings.max_tool_rounds:
                turn = replace(turn, rounds=turn.rounds + 1, attempts=0, repairs=repairs, went_wrong=False)
                self._request(replace(turn, broke_off=""), now)
                return
            self._commands.append(Count("tool_rounds_exhausted" if repairs <= MAX_REPAIRS else "tool_not_repaired"))
            self._fail(now)
        elif not turn.spoke and not turn.ending:
            self._commands.append(Count("empty_reply"))
            self._fail(now)
        turn = self._current
        if turn.asked:
            turn = self.turn = replace(turn, asked=False)
        if turn.farewell and not (turn.spoke and turn.ending in _ANNOUNCED):
            self.turn = replace(turn, farewell="")
            self._say(Line(Phrase(turn.farewell)), now)

    def _retry_or_fail(self, now: float) -> None:
        """Ask once more, for the rest of what is being said if anything is. Words that make no sentence yet go."""
        turn = self.turn = replace(self._current, text="")
        if not turn.asked and not (turn.spoke and turn.ending) and turn.attempts == 0:
            said = (entry.text for entry in reversed(self._shown()) if turn.spoke and isinstance(entry, AgentSaid))
            self._request(replace(turn, attempts=1, broke_off=next(said, "")), now)
            return
        self.turn = replace(turn, reply=None)
        if not turn.asked:
            self._fail(now)

    def _fail(self, now: float) -> None:
        """There is no reply: say so, and after several in a row give up."""
        self.failures += 1
        if self._current.ending:
            self.turn = replace(self._current, spoke=False)
        elif self.failures >= self._settings.max_failures:
            self.end_after_turn("no_reply", "goodbye_trouble", now)
        else:
            self._say(Line(Phrase("apology")), now)

    def _segment_failed(self, segment: int, now: float) -> None:
        if not self.playback.failed(segment):
            self._commands.append(Count("stale_segment"))
        elif self.turn is not None and not self.suspended:
            self._nothing_heard(now)

    def _unstick(self, now: float) -> None:
        """Nothing moves on the line any more: keep what must have been played, and begin anew behind what hangs."""
        stuck = self.playback.unstarted
        self._commands.append(Count("marks_missing" if stuck is None else "segment_overdue"))
        all_sent = self.playback.give_up()
        if stuck is None and all_sent:
            return
        if stuck is not None:
            self.playback.failed(stuck.id)
        rest = self.playback.stop()
        # One segment is spoken after the other: only this makes it go on behind the one that hangs.
        self._commands.append(StopPlayback(self.playback.epoch))
        if self.turn is None or self.suspended:
            # Only what bridged the wait for words: they are still waited for.
            return
        for line in rest:
            self._order(line, now)
        self._nothing_heard(now)

    def _nothing_heard(self, now: float) -> None:
        """A segment was lost: unless something follows it, apologise, and after several in a row give up."""
        if not self.playback.silent:
            return
        self.failures += 1
        if self.failures >= self._settings.max_failures:
            self.end_after_turn("no_speech", "", now)
        elif not self._current.ending:
            self._say(Line(Phrase("apology")), now)

    def _land(self, tool_call: str, content: str) -> None:
        # A reply that was guessed without this answer may be wrong.
        self.drop_guess()
        if self.collects(tool_call):
            self._drop_prompt()
            self.log.postpone(tool_call)
            self.secret = None
            self._commands.append(DiscardSecret(tool_call))
        tool = self.running.pop(tool_call)
        gone = self.turn is None or tool_call not in self.turn.tools
        if tool.executing and gone and self.log.is_shown(tool_call):
            # The turn that would have told what came of it is gone, and the caller waits to hear it.
            self.log.postpone(tool_call)
            self.untold = True
        self.log.answer(tool_call, content)

    def _land_later(self, tool_call: str, content: str) -> None:
        self.drop_guess()
        tool = self.later.pop(tool_call)
        call = ToolCalled(f"{tool_call}-finished", tool.name, tool.arguments)
        if self.log.is_shown(tool_call):
            self.log.add(Called(call, content))
            self.untold = True
        else:
            self.log.add(ForEarlierCaller(call, content))

    def _note_heard(self, now: float) -> None:
        """Say so as soon as the read-back that waits for a yes was heard."""
        pending = self.pending
        if pending is not None and pending.heard_at is None and pending.is_heard(self.playback, self._held):
            self.pending = replace(pending, heard_at=now)
            self._commands.append(NoteReadBack(pending.proposal, now))

    def _take_confirmed(self, said: CallerSaid, began: float) -> tuple[PendingEffect | None, PendingEffect | None]:
        """The pending effect if this turn of the caller confirms it, or else if it would and began too early.

        In all other cases it is withdrawn for good.
        """
        pending, self.pending = self.pending, None
        if pending is None:
            return None, None
        match pending.answer(said, began, self.playback, self._held, self._settings.language):
            case "agreed":
                return pending, None
            case "hasty":
                return None, pending
            case "withdrawn":
                self._commands.append(WithdrawEffect(pending.proposal))
                return None, None

    def _ask_again(self, hasty: PendingEffect, now: float) -> None:
        """The yes may have been to something else: the caller had not heard the end of it when their voice began."""
        self.drop_guess()
        self._commands.append(Count("hasty_yes"))
        self.pending = hasty
        self.open_turn(now=now, interruptible=self._settings.interruptible)
        for line in hasty.question:
            self._say(line, now)
