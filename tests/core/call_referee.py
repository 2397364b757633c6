"""The rules that hold for every call, checked at every step of a `World`.

It knows only events, commands and the world's own account of the line; of the conversation's inside it
reads no more than who owns the running reply, and the ledger's account of each segment.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING

from talkspurt.core.agent_side import NEW_CALLER
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
    NoteReadBack,
    Phrase,
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
    CallerChanged,
    DigitPressed,
    EffectProposed,
    Event,
    PartlyTranscribed,
    ReplyCompleted,
    ReplyFailed,
    ReplyToolRequested,
    ToolReturned,
    ToolStarted,
)
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.core.log import RUNNING
from talkspurt.core.secret_entry import PROMPTS
from talkspurt.core.sentences import flush, take_sentences
from talkspurt.core.states import (
    Closing,
    Collecting,
    Ended,
    Endpointing,
    Hearing,
    Listening,
    Lost,
    Speaking,
    Thinking,
    Yielding,
)

if TYPE_CHECKING:
    from core.call_world import Sent, World


LONGEST_SILENCE = 3.0
"""Seconds that a caller may hear nothing of an agent whose turn it is, as long as its voice is well."""
RECOVERY = 5.0
"""Seconds behind a fault of the voice or of the marks within which it is not asked for."""
_SECRET = re.compile("[A-D]{2}")
"""Secrets are keyed in with letters here, two of which stand side by side in nothing else that is written down."""


def joined(entries: list[Entry]) -> list[Entry]:
    """Neighbouring words of the agent as one entry, as history tells them."""
    whole: list[Entry] = []
    for entry in entries:
        last = whole[-1] if whole else None
        if isinstance(entry, AgentSaid) and isinstance(last, AgentSaid) and not last.interrupted:
            whole[-1] = AgentSaid(f"{last.text} {entry.text}", entry.interrupted)
        else:
            whole.append(entry)
    return whole


class Referee:
    """Watches one call."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.counted: list[str] = []
        self.handing_on = False
        """The last tool that was asked for says that somebody else has the phone."""
        self.partials: dict[int, str] = {}
        """What the recognizer told of each utterance before it was asked."""
        self.records: list[Entry] = []
        self.replies: dict[int, str] = {}
        self.dead_replies: set[int] = set()
        self.speaks: dict[int, Speak] = {}
        self.bridges: dict[int, float] = {}
        """When each sentence was said that bridges the wait for words."""
        self.stopped: set[int] = set()
        """Segments of epochs that are over, but for those that were gone on with since."""
        self.let_go: set[int] = set()
        """Those of them that were dropped: their audio need not be there any more."""
        self.epoch = 0
        self.utterance = 0
        self.utterance_open = False
        self.revision = 0
        self.tools: dict[str, str | None] = {}
        """The first answer of every tool that was asked for."""
        self.later: dict[str, str | None] = {}
        """The answer of every tool that was started; "" when the call ended first."""
        self.executed: dict[str, str] = {}
        """The tool call of every effect executed, by proposal."""
        self.withdrawn: set[str] = set()
        self.noted: dict[str, float] = {}
        """When each read-back was said to have been heard."""
        self.proposed: dict[str, EffectProposed] = {}
        self.collecting: str | None = None
        """The tool call that has the caller's keys."""
        self.collected: Counter[str] = Counter()
        """How often the caller was asked, by tool call."""
        self.keyed: set[str] = set()
        self.end: EndCall | None = None
        self.guessed_tools: set[str] = set()
        """What the model asked for in a reply that nobody has turned to yet."""
        self.gave_up = False
        """Marks or synthesizer failed, so the ledger had to guess."""
        self._gave_up_at = -RECOVERY
        self._callers = 0
        self._callers_until = 0.0
        """When it was the caller last who had the floor, or was waited for."""
        self._now = 0.0

    def before(self, event: Event | None) -> None:
        """Take note of an event."""
        self._callers = self.world.callers_turns
        self._check_patience()
        assert self.world.pad._tool_call == self.collecting, "the pad collects for somebody else"
        match event:
            case PartlyTranscribed(utterance, text):
                self.partials[utterance] = max(text, self.partials.get(utterance, ""), key=len)
            case DigitPressed(digit):
                assert digit not in set("ABCD"), "a digit of a secret"
            case ReplyCompleted(reply) | ReplyFailed(reply, _) if self.replies.get(reply) == "open":
                self.replies[reply] = "over"
            case ToolStarted(tool_call, content) if self.tools.get(tool_call, "") is None:
                self.tools[tool_call], self.later[tool_call] = content, None
            case ToolReturned(tool_call, content) if self.later.get(tool_call, "") is None:
                self.later[tool_call] = content
            case ToolReturned(tool_call, content) | CallerChanged(tool_call, content) if (
                self.tools.get(tool_call, "") is None
            ):
                self.tools[tool_call] = content
            case ReplyToolRequested(reply, tool_call) if (
                guess := self.world.conversation._agent.guess
            ) is not None and guess.reply == reply:
                self.guessed_tools.add(tool_call)
            case EffectProposed(tool_call, proposal):
                self.proposed.setdefault(proposal, event)
                if self.tools.get(tool_call, "") is None:
                    # Read back or refused: the conversation decides what the model is told.
                    self.tools[tool_call] = ""
            case _:
                pass

    def after(self, event: Event | None, commands: tuple[Command, ...]) -> None:
        """Check what followed from it."""
        conversation = self.world.conversation
        if self.world.callers_turns > self._callers:
            self._check_caller()
            kept = Count("speculation_kept") in commands
            # A guess that holds may have broken off already: then it is gone on from.
            living = {max(self.replies)} if kept else set()
            if kept:
                self.guessed_tools.clear()
            self.dead_replies |= self.replies.keys() - living
        if Count("transcript_late") in commands:
            assert isinstance(conversation.floor, Endpointing)
            self.bridges |= {command.segment: self.world.now for command in commands if isinstance(command, Speak)}
        for command in commands:
            self._check(command, event)
        if self.collected:
            self.check_secret(repr((event, commands, conversation.floor)))
        self._check_state(conversation)

    def _check(self, command: Command, event: Event | None) -> None:
        late = Count | WithdrawEffect | DiscardSecret | Record
        assert self.end is None or isinstance(command, late), f"{command} after the end"
        match command:
            case BeginUtterance(utterance):
                assert not self.utterance_open
                assert utterance == self.utterance + 1
                self.utterance, self.utterance_open = utterance, True
            case Transcribe(utterance, revision):
                assert self.utterance_open
                assert utterance == self.utterance
                assert revision > self.revision
                self.revision = revision
            case EndUtterance(utterance):
                assert self.utterance_open
                assert utterance == self.utterance
                self.utterance_open = False
            case RequestReply(reply, history, continues):
                assert "open" not in self.replies.values(), "two replies at once"
                assert reply not in self.replies
                assert not continues or isinstance(history[-1], AgentSaid), "nothing to go on from"
                self.replies[reply] = "open"
                self._check_order(history)
            case CancelReply(reply):
                # A guess is cancelled also when its model has finished: what was prepared for it is of no use.
                # And one that hands the phone on may have been a guess, and whole, when it was taken up.
                dropped = self.counted[-1:] == ["speculation_dropped"] or self.handing_on
                guess = self.replies[reply] == "over" and dropped
                assert self.replies[reply] == "open" or guess, f"reply {reply} is {self.replies[reply]}"
                self.replies[reply] = "cancelled"
            case Speak():
                self._check_speak(command)
            case StopPlayback(epoch):
                assert epoch == self.epoch + 1
                self.epoch = epoch
                self.stopped = set(self.speaks)
            case DropStopped():
                self.let_go |= self.stopped
            case RunTool(tool_call, name):
                self.handing_on = name == NEW_CALLER
                assert tool_call not in self.tools, "a tool ran twice"
                assert tool_call not in self.guessed_tools, "a tool of a guess ran"
                self.tools[tool_call] = None
            case CancelTool(tool_call) if tool_call in self.later:
                overdue = self.counted[-1:] == ["tool_overdue"]
                assert overdue or isinstance(self.world.floor, Ended | Closing), "nothing else stops it"
                self.later[tool_call] = ""
            case CancelTool(tool_call):
                assert self.tools[tool_call] is None
                assert tool_call not in self.executed.values(), "a confirmed effect was cancelled"
                self.tools[tool_call] = ""
            case CollectSecret(tool_call):
                assert self.tools[tool_call] is None, "a secret for a tool that has answered"
                assert tool_call not in self.keyed, "a secret asked for again"
                assert self.collecting in (None, tool_call), "two secrets at once"
                self.collecting = tool_call
                self.collected[tool_call] += 1
                assert self.collected[tool_call] <= PROMPTS
            case RunWithSecret(tool_call):
                assert self.collecting == tool_call
                self.collecting = None
                self.keyed.add(tool_call)
                rules, there = self.world.rules_of[tool_call], len(self.world.pad._digits)
                assert rules.shortest <= there <= rules.longest, "a secret that is not whole"
            case DiscardSecret(tool_call):
                if self.collecting == tool_call:
                    self.collecting = None
                if self.tools.get(tool_call, "") is None and tool_call not in self.keyed:
                    # The conversation decides what the model is told.
                    self.tools[tool_call] = ""
            case NoteReadBack(proposal, at):
                assert proposal not in self.noted, "heard twice"
                self._check_heard(proposal)
                self.noted[proposal] = at
            case ExecuteEffect():
                self._check_effect(command)
            case WithdrawEffect(proposal):
                assert proposal not in self.executed, "withdrawn after it was executed"
                self.withdrawn.add(proposal)
            case Record(entry):
                self.records.append(entry)
            case Count(name):
                self.counted.append(name)
                if name == "speculation_dropped":
                    self.dead_replies.add(max(self.replies))
                if name in ("marks_missing", "segment_overdue", "segment_failed"):
                    self.gave_up, self._gave_up_at = True, self.world.now
            case EndCall(reason):
                assert reason
                self.end = command

    def _check_patience(self) -> None:
        """Nobody waits in silence for the agent: what bridges the wait has been ordered by now, if nothing else has."""
        conversation = self.world.conversation
        if not isinstance(conversation.floor, Thinking | Endpointing):
            self._callers_until = self.world.now
        elif conversation._agent.playback.silent and self.world.now > self._gave_up_at + RECOVERY:
            silence = min(self.world.silent_for, self.world.now - self._callers_until)
            assert silence <= LONGEST_SILENCE, f"{silence:.2f} s of silence in {conversation.floor}"

    def _check_speak(self, speak: Speak) -> None:
        assert speak.segment == max(self.speaks, default=0) + 1
        assert speak.epoch == self.epoch
        if speak.source is not None:
            assert speak.source.segment not in self.let_go, "it is gone on with after it was dropped"
            self.stopped.discard(speak.source.segment)
        assert speak.text
        self.speaks[speak.segment] = speak
        for word in speak.text.split() if isinstance(speak.text, str) else ():
            origin = word.partition(".")[0]
            if origin.startswith("r") and origin[1:].isdecimal():
                reply = int(origin[1:])
                received = self.world.model_said.get(reply, "").split()
                assert word in received, f"{word} came when reply {reply} had been cancelled"
                assert reply not in self.dead_replies, f"{word} of a reply that the caller has answered"
                assert speak.reply == reply, f"{word} is said to be of reply {speak.reply}"
            elif speak.reply is not None:
                received = self.world.model_said.get(speak.reply, "").split()
                assert word in received, f"{word} is no word of reply {speak.reply}"
            if origin in self.world.prompts:
                asked_for = self.world.prompts[origin]
                # A tool that answers without waiting for its secret may leave the prompt on the line.
                answered = self.tools.get(asked_for) == '"late"'
                assert answered or asked_for == self.collecting, f"{word} for a secret that nobody collects"
            if origin in self.proposed:
                assert origin not in self.withdrawn, f"{word} of a withdrawn proposal"

    def _check_caller(self) -> None:
        """The caller is taken at all their words: those of the newest transcript that was asked for."""
        words = next(entry for entry in reversed(self.world.history) if isinstance(entry, CallerSaid))
        assert words.text
        if words.source == "voice":
            # Or, where that does not come, what the recognizer had told of it by itself.
            transcript = self.world.recognised.get((self.utterance, self.revision))
            assert words.text == (self.partials.get(self.utterance) if transcript is None else transcript)

    def _check_heard(self, proposal: str) -> list[str]:
        """All of a read-back but its closing question has been played; returns its lines."""
        world = self.world
        sentences, rest = take_sentences(self.proposed[proposal].read_back)
        lines = list(sentences + flush(rest))
        details = lines[:-1] if len(lines) > 1 and lines[-1].endswith("?") else lines
        for line in details:
            assert any(
                sent.text == line and sent.announced and world.reached[sent.epoch] >= sent.end - 1e-6
                for sent in world.sent.values()
            ), f"{line!r} was not heard"
        return lines

    def _check_effect(self, command: ExecuteEffect) -> None:
        world, proposal = self.world, command.proposal
        assert proposal not in self.executed, "executed twice"
        assert proposal not in self.withdrawn
        assert command.tool_call not in self.tools
        lines = self._check_heard(proposal)
        assert proposal in self.noted, "confirmed before it was said to have been heard"
        assert world.utterance_began >= self.noted[proposal], "confirmed by a voice that had not heard the end of it"
        last = [
            speak
            for number, speak in self.speaks.items()
            # What is said behind their words, as long as they are waited for, is not said before them.
            if not speak.ahead and not self.bridges.get(number, -1.0) >= world.utterance_began
        ][-1].text
        assert not isinstance(last, Phrase)
        assert any(last in line for line in lines), "something was said after the read-back"
        answers = [entry for entry in world.history if isinstance(entry, CallerSaid)]
        answer = answers[-1]
        assert command.turn == len(answers), "another turn than the one that said yes"
        assert answer.source == "voice"
        assert world.rules.language.yes_or_no(answer.text) is True
        self.executed[proposal] = command.tool_call
        self.tools[command.tool_call] = None

    def _check_state(self, conversation: Conversation) -> None:
        floor, deadline = conversation.floor, conversation.deadline
        turn, suspended = conversation._agent.turn, conversation._agent.suspended
        running = [reply for reply, state in self.replies.items() if state == "open"]
        owned = [turn.reply] if turn is not None and turn.reply is not None else []
        guess = conversation._agent.guess
        if guess is not None:
            assert isinstance(floor, Endpointing), "a guess outlived the pause it was made in"
            assert turn is None
            owned.extend([] if guess.over else [guess.reply])
        assert running == owned, "a reply without an owner"
        if isinstance(floor, Ended):
            assert deadline is None
            assert self.end is not None
            assert not self.utterance_open
            assert turn is None
        else:
            assert deadline is not None
            assert deadline >= self._now
            assert self.end is None
            assert self.utterance_open == isinstance(floor, Yielding | Hearing | Endpointing)
        if isinstance(floor, Listening):
            assert not conversation._agent.may_tell, "an answer that nobody is told of"
        if isinstance(floor, Thinking | Speaking):
            assert turn is not None
            assert not suspended
        if (suspended or turn is None) and not (isinstance(floor, Endpointing) and floor.bridged):
            assert conversation._agent.playback.silent, "speech that nobody owns"
        secret = conversation._agent.secret
        assert (secret.tool_call if secret is not None else None) == self.collecting
        if secret is not None:
            assert isinstance(floor, Thinking | Speaking | Yielding | Hearing | Endpointing | Collecting | Lost), floor
            assert turn is not None
            assert secret.tool_call in turn.tools & conversation._agent.running.keys()
        if isinstance(floor, Collecting):
            assert secret is not None
            assert suspended
        self._now = max(self._now, self.world.now)

    def check_secret(self, written: str) -> None:
        """No digit of a secret is in what the conversation was given, or gave."""
        found = _SECRET.search(written)
        assert found is None, f"{found} in {written}"

    def _check_order(self, history: tuple[Entry, ...]) -> None:
        """A language model accepts this: every call has its one answer right behind it."""
        calls = Counter(entry.tool_call for entry in history if isinstance(entry, ToolCalled))
        assert all(number == 1 for number in calls.values())
        for index, entry in enumerate(history):
            if isinstance(entry, ToolCalled):
                answer = history[index + 1]
                assert isinstance(answer, ToolAnswered)
                assert (answer.tool_call, answer.name) == (entry.tool_call, entry.name)
            elif isinstance(entry, ToolAnswered):
                assert isinstance(history[index - 1], ToolCalled)

    # ── at the end ────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Check the account of the whole call, once it has ended."""
        world = self.world
        history = world.history
        assert isinstance(world.floor, Ended)
        self._check_order(history)
        self.check_secret(repr(history))
        self._check_answers(history)
        self._check_later(history)
        self._check_words(history)
        if not any(isinstance(entry, ToolAnswered) and entry.content == RUNNING for entry in history):
            assert joined(self.records) == list(history), "the store does not hold what history says"

    def _check_answers(self, history: tuple[Entry, ...]) -> None:
        for entry in history:
            if isinstance(entry, ToolAnswered):
                first = self.tools.get(entry.tool_call, "")
                if first is None:
                    assert entry.tool_call in self.executed.values(), f"{entry.tool_call} never got its answer"
                    assert entry.content == RUNNING or "in_doubt" in entry.content
                elif first:
                    # An effect whose answer came after its watchdog stays in doubt.
                    overdue = "tool_overdue" in self.counted and entry.tool_call in self.executed.values()
                    assert entry.content == first or (overdue and "in_doubt" in entry.content)
                else:
                    assert entry.content != RUNNING

    def _check_later(self, history: tuple[Entry, ...]) -> None:
        """Every answer that comes later lands once, behind the call that began it; or it is said why there is none."""
        suffix = "-finished"
        landed = [e for e in history if isinstance(e, ToolAnswered) and e.tool_call.endswith(suffix)]
        assert Counter(entry.tool_call.removesuffix(suffix) for entry in landed) == Counter(list(self.later))
        names = {entry.tool_call: entry.name for entry in history if isinstance(entry, ToolCalled)}
        order = [entry.tool_call for entry in history if isinstance(entry, ToolCalled)]
        for entry in landed:
            began = entry.tool_call.removesuffix(suffix)
            assert entry.name == names[began]
            assert order.index(began) < order.index(entry.tool_call)
            answer = self.later[began]
            overdue = "tool_overdue" in self.counted and "timeout" in entry.content
            assert overdue or (entry.content == answer if answer else "ended before" in entry.content)

    def _check_words(self, history: tuple[Entry, ...]) -> None:
        """History holds what the carrier played: exactly, and to within one word where a segment was cut."""
        world = self.world
        ledger = world.conversation._agent.playback.segments
        said = " ".join(entry.text for entry in history if isinstance(entry, AgentSaid)).split()
        assert said == [word for segment in ledger.values() for word in segment.text.split()]
        for number, segment in ledger.items():
            heard = segment.text.split()
            sent = world.sent.get(number)
            if sent is None:
                assert not heard, f"{segment.text!r} was never sent"
                continue
            every = sent.text.split()
            assert heard == every[: len(heard)], "words out of order"
            reached = world.reached[sent.epoch]
            if sent.announced and reached >= sent.end - 1e-6:
                assert heard == every
            elif not sent.broken and not self.gave_up:
                proven, played = _fits(sent, every, reached), _fits(sent, every, world.played[sent.epoch])
                assert proven - 1 <= len(heard) <= played + 1, f"heard {heard} of {every}: {proven} to {played} words"
        if not self.gave_up:
            self._check_no_word_skipped(said)

    def _check_no_word_skipped(self, said: list[str]) -> None:
        """What was heard of a reply is how the reply begins: a false interruption loses and repeats nothing."""
        replies: dict[str, list[str]] = {}
        for word in said:
            origin = word.partition(".")[0]
            if origin.startswith("r") and origin[1:].isdecimal():
                replies.setdefault(origin, []).append(word)
        for origin, heard in replies.items():
            spoken = self.world.model_said.get(int(origin[1:]), "").split()
            assert heard == spoken[: len(heard)], f"of {spoken} the caller heard {heard}"


def _fits(sent: "Sent", words: list[str], position: float) -> int:
    """How many of the segment's words lie before `position`, letter by letter."""
    letters = len(" ".join(words)) * (position - sent.start) / max(sent.length, 1e-9)
    return sum(len(" ".join(words[:index])) <= letters for index in range(1, len(words) + 1))
