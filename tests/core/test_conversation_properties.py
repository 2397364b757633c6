"""What holds for every call: checked by `Referee` while hypothesis, or a seed, plays the world."""

import tracemalloc
from collections import Counter
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.call_fate import RULES, Fate
from core.call_world import WatchedConversation
from talkspurt.agent.locales import ENGLISH
from talkspurt.core.commands import (
    CancelReply,
    CancelTool,
    CollectSecret,
    DiscardSecret,
    ExecuteEffect,
    NoteReadBack,
    RunWithSecret,
    Speak,
    StopPlayback,
    WithdrawEffect,
)
from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import (
    CallerChanged,
    CallerHungUp,
    DigitPressed,
    EffectProposed,
    EndRequested,
    Event,
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
from talkspurt.core.states import TRANSITIONS, Ended, Floor

FEWEST, MOST = 100, 600
"""Calls with fixed seeds: at least so many, then until everything has happened."""
EXPECTED = (
    *(kind.__name__ for kind in (NoteReadBack, ExecuteEffect, WithdrawEffect, StopPlayback, CancelReply, CancelTool)),
    *("reply_overdue", "tool_overdue", "transcript_late", "transcript_overdue", "segment_overdue", "marks_missing"),
    *("stale_reply", "stale_tool", "stale_segment", "stale_mark", "stale_transcript", "stale_talkspurt"),
    *("speculation_kept", "speculation_dropped", "foreign_voice", "backchannel", "stale_judgement"),
    *(kind.__name__ for kind in (CollectSecret, RunWithSecret, DiscardSecret)),
    *("answered later", "ended before it was done", "news told"),
    *("stale_secret", "secret asked for again", "digit_behind_entry", "digit_out_of_turn"),
    *("caller_hung_up", "line_lost", "no_media", "agent_goodbye", "shutdown", "max_call"),
)


@pytest.mark.interpreted
def test_seeded_calls_keep_the_rules_and_reach_every_state_by_every_way_there_is() -> None:
    states: set[type[Floor]] = set()
    ways: set[tuple[type[Floor], type[Floor]]] = set()
    seen: Counter[str] = Counter()
    every_way = {(before, after) for before, follow in TRANSITIONS.items() for after in follow}
    for seed in range(MOST):
        if seed > FEWEST and ways == every_way and all(seen[happened] for happened in EXPECTED):
            break
        fate = Fate(Random(seed))
        if seed % 10:
            fate.world.dial()
        for _ in range(60):
            fate.happen()
            if not fate.alive:
                break
        fate.finish()
        conversation = fate.world.conversation
        assert isinstance(conversation, WatchedConversation)
        states |= conversation.states
        ways |= conversation.ways
        seen.update(type(command).__name__ for command in fate.world.commands)
        seen.update(fate.world.counted)
        seen["secret asked for again"] += sum(asked > 1 for asked in fate.world.referee.collected.values())
        for answer in fate.world.referee.later.values():
            seen["answered later" if answer else "ended before it was done"] += 1
        seen["news told"] += sum(str(speak.text).startswith("nt") for speak in fate.world.of(Speak))
        assert ENGLISH.phrases.keys() >= set(fate.world.phrases), "a stock sentence without a wording"
        seen[fate.world.ended] += 1
    assert states >= set(TRANSITIONS)
    assert ways == every_way
    tame = [happened for happened in EXPECTED if not seen[happened]]
    assert not tame, "a world in which these never happen proves too little"


class AnyCall(RuleBasedStateMachine):
    """A plausible call, one step at a time."""

    fate: Fate

    @initialize(chance=st.randoms(use_true_random=False), answers=st.booleans())
    def begin(self, chance: Random, answers: bool) -> None:
        self.fate = Fate(chance)
        if answers:
            self.fate.world.dial()

    @rule()
    def wait(self) -> None:
        self.fate.wait()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def listen(self) -> None:
        self.fate.listen()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def speak(self) -> None:
        self.fate.speak()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def answer(self) -> None:
        self.fate.answer()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def agree(self) -> None:
        self.fate.agree()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def cut_in(self) -> None:
        self.fate.cut_in()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def hint(self) -> None:
        self.fate.hint()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def turn_up(self) -> None:
        self.fate.turn_up()

    @rule()
    def press(self) -> None:
        self.fate.press()

    @precondition(lambda self: self.fate.alive)
    @rule()
    def key_in(self) -> None:
        self.fate.key_in()

    @rule()
    def line(self) -> None:
        self.fate.line()

    @rule()
    def repeat(self) -> None:
        self.fate.repeat()

    @rule()
    def move(self) -> None:
        self.fate.move()

    @rule()
    def be_late(self) -> None:
        self.fate.be_late()

    @rule()
    def lose_marks(self) -> None:
        self.fate.lose_marks()

    @rule()
    def step_back(self) -> None:
        self.fate.step_back()

    @rule()
    def answer_late(self) -> None:
        self.fate.answer_late()

    @precondition(lambda self: self.fate.world.now > 10)
    @rule()
    def ask_to_end(self) -> None:
        self.fate.ask_to_end()

    @precondition(lambda self: self.fate.world.now > 30)
    @rule()
    def hang_up(self) -> None:
        self.fate.hang_up()

    @invariant()
    def note_the_state(self) -> None:
        event(f"state {type(self.fate.world.floor).__name__}")

    def teardown(self) -> None:
        if hasattr(self, "fate"):
            self.fate.finish()
            event(f"end {self.fate.world.ended}")


TestAnyCall = AnyCall.TestCase
TestAnyCall.settings = hypothesis_settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# ── anything at all ───────────────────────────────────────────────────────────────

ids = st.integers(0, 4)
names = st.sampled_from(["t1", "t2", "t1-confirmed", ""])
numbers = st.floats(-5, 300)
texts = st.sampled_from(["", " ", "yes", "no", "Hello.", "One. Two. ", "…", "Is it? Yes. Shall I?"])

verdicts = st.none() | st.booleans()
voices = st.builds(Voice, verdicts, verdicts, verdicts)

anything: st.SearchStrategy[Event | None] = st.one_of(
    st.none(),
    st.builds(LineOpened, ids),
    st.builds(LineClosed, ids, st.booleans()),
    st.builds(CallerHungUp),
    st.builds(SpeechStirred, numbers),
    st.builds(SpeechStarted, ids, numbers, voices),
    st.builds(SpeechContinued, ids, numbers, numbers, voices),
    st.builds(SpeechStopped, ids, numbers, numbers, voices),
    st.builds(PartlyTranscribed, ids, texts),
    st.builds(Transcribed, ids, ids, texts),
    st.builds(TurnJudged, ids, ids, numbers),
    st.builds(WordsPlaced, ids, ids, st.lists(numbers, max_size=4).map(tuple)),
    st.builds(TranscriptionFailed, ids, ids, texts),
    st.builds(ReplyTextReceived, ids, texts),
    st.builds(ReplyToolComing, ids),
    st.builds(ReplyToolRequested, ids, names, st.sampled_from(["look", "end_call"]), texts),
    st.builds(ReplyCompleted, ids),
    st.builds(ReplyFailed, ids, texts),
    st.builds(SegmentStarted, ids, ids, numbers, texts),
    st.builds(SegmentFinished, ids, ids, numbers),
    st.builds(SegmentFailed, ids, texts),
    st.builds(PlaybackReached, ids, numbers, numbers),
    st.builds(ToolReturned, names, texts),
    st.builds(ToolStarted, names, texts),
    st.builds(CallerChanged, names, texts),
    st.builds(ToolProgressed, names, texts),
    st.builds(EffectProposed, names, st.sampled_from(["p1", "p2"]), texts, texts),
    st.builds(SecretRequested, names, texts, st.sampled_from([EntryRules(), EntryRules(shortest=4, longest=4)])),
    st.builds(SecretProgress, names, ids),
    st.builds(SecretEntered, names, ids),
    st.builds(DigitPressed, st.sampled_from("19#*Dx") | texts),
    st.builds(EndRequested, st.sampled_from(["shutdown", "operator", "handover", "agent"])),
)


@given(st.lists(st.tuples(anything, st.floats(-1, 30)), max_size=60))
@hypothesis_settings(max_examples=150, deadline=None, derandomize=True)
def test_no_event_whatever_raises_or_leaves_the_call_without_a_deadline(news: list[tuple[Event | None, float]]) -> None:
    conversation, now = Conversation(RULES), 0.0
    conversation.receive(LineOpened(0), 0.0)
    for fact, later in news:
        now = max(0.0, now + later)
        conversation.receive(fact, now)
        assert (conversation.deadline is None) == isinstance(conversation.floor, Ended)
        Conversation.restore(RULES, conversation.snapshot())


def nonsense(chance: Random, index: int, now: float) -> Event:
    """A fact that mostly belongs to nothing."""
    facts: list[Event] = [
        SpeechStarted(index, now),
        SpeechStopped(max(0, index - chance.randrange(4)), now, 0.6),
        Transcribed(index // 20, index // 15, "more"),
        PlaybackReached(chance.randrange(4), now),
        ReplyTextReceived(chance.randrange(4), "Word. "),
        SegmentStarted(chance.randrange(9), chance.randrange(4), now, "Word."),
        ToolReturned("t1", "{}"),
    ]
    return chance.choice(facts)


def test_thousands_of_random_events_are_bounded_work() -> None:
    """No event may set off more than a handful of commands, however long the call has been."""
    chance = Random(7)
    conversation, now = Conversation(RULES), 0.0
    conversation.receive(LineOpened(1), now)
    for index in range(8000):
        now += 0.01
        assert len(conversation.receive(nonsense(chance, index, now), now)) < 20
    assert not isinstance(conversation.floor, Ended)


def test_thousands_of_events_at_once_take_no_memory() -> None:
    chance = Random(7)
    conversation = Conversation(RULES)
    conversation.receive(LineOpened(1), 0.0)
    taken = []
    tracemalloc.start()
    try:
        for index in range(9000):
            assert len(conversation.receive(nonsense(chance, index, 1.0), 1.0)) < 20
            if index in (999, 8999):
                taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert taken[1] - taken[0] < 100_000, taken
