"""Edges of the rules that planted faults went past unnoticed (see `docs/mutation.md`), each noticed by a test here."""

from collections import deque
from collections.abc import Sequence

import pytest

from core.call_world import Asks, Proposes, Says, Stalls, Wants, World, Writes, settings, words
from talkspurt.core.barge_in import together
from talkspurt.core.commands import CancelReply, EndCall, Prepare, RequestReply, RunTool, Transcribe
from talkspurt.core.conversation import Conversation
from talkspurt.core.events import (
    CallerHungUp,
    EndRequested,
    Event,
    ReplyTextReceived,
    ReplyToolComing,
    SegmentFailed,
    SegmentFinished,
    SegmentStarted,
    ToolReturned,
    Voice,
    WordsPlaced,
)
from talkspurt.core.history import AgentSaid
from talkspurt.core.sentences import SHORTEST_CLAUSE, take_speakable
from talkspurt.core.speculation import KEPT
from talkspurt.core.states import Collecting, Hearing, Speaking, Thinking


def world(*replies: Sequence[object], **behaviour: object) -> World:
    """A call with scripted replies, whose state is restored from a snapshot at every step."""
    return World(replies=deque(replies), rehearse=True, **behaviour)  # type: ignore[arg-type]


# ── a model that takes its time ───────────────────────────────────────────────────


def test_a_model_that_writes_a_long_tool_call_is_not_overdue() -> None:
    call = world([*[Writes(after=2.0)] * 8, Asks("look")], [Says("It ships on Monday. ")]).answered()
    call.asks().listens()
    assert "reply_overdue" not in call.counted
    assert len(call.of(RunTool)) == 1
    assert call.said[-1].startswith("It ships")


def test_a_model_that_stops_in_the_middle_of_a_tool_call_is_asked_again() -> None:
    call = world([Writes(), Writes(after=2.0), Stalls()], [Says("It ships on Monday. ")]).answered()
    call.asks().listens()
    assert call.counted.count("reply_overdue") == 1
    assert call.said[-1].endswith("It ships on Monday.")


def test_a_tool_call_of_a_reply_that_is_not_wanted_any_more_puts_nothing_off() -> None:
    call = world([Stalls()], [Says("It ships on Monday. ")]).answered()
    call.asks().run(8.0)
    call.give(ReplyToolComing(99))
    call.run(2.0)
    assert call.counted.count("reply_overdue") == 1


# ── what the agent says ───────────────────────────────────────────────────────────


def test_a_model_that_talks_and_asks_for_tools_for_ever_is_apologised_for() -> None:
    call = World(default_reply=lambda _reply: [Says("Let me look. "), Asks("look")], rehearse=True).answered()
    call.asks().listens()
    assert len(call.of(RunTool)) == settings().max_tool_rounds + 1
    assert call.phrases[-1] == "apology"


def test_the_model_goes_on_from_what_it_has_said_and_the_caller_is_still_to_hear() -> None:
    call = world([Says(f"{words('r1.0', 12)}. "), Asks("look")], [Says("Here. ")]).answered()
    call.asks().run_until(lambda world: len(world.of(RequestReply)) == 2)
    said = AgentSaid(f"{words('r1.0', 12)}.")
    assert said in call.of(RequestReply)[1].history
    assert said not in call.history


def test_an_end_asked_for_while_the_model_is_at_it_is_announced_though_it_says_something() -> None:
    """What the model says cannot announce what it does not know."""
    call = world([Says(f"{words('r1.0', 6)}. "), Says(f"{words('r1.1', 6)}. ", after=2.0)]).answered()
    call.asks().run_until(lambda world: isinstance(world.floor, Speaking))
    call.give(EndRequested("shutdown"))
    call.run(30)
    assert call.said[-1].split()[-5:-4] == [f"{words('r1.1', 6)}.".split()[-1]]
    assert call.phrases == ["goodbye_shutdown"]
    assert call.of(EndCall) == [EndCall("shutdown")]


def test_a_guess_is_prepared_from_all_pieces_of_its_first_sentence() -> None:
    call = world([Says("It "), Says("ships on "), Says("Monday. It is late. ")], transcribe=lambda text: (0.02, text))
    call.answered().says("when").run(0.8)
    assert call.of(Prepare) == [Prepare(1, "It ships on Monday.")]


def test_a_guess_whose_reply_never_ends_is_dropped_and_asked_for_anew() -> None:
    call = world([Stalls()], [Says("It ships on Monday. ")], transcribe=lambda text: (0.02, text)).answered()
    call.rehearse, call.twin = False, None  # thousands of snapshots prove no more than one
    call.says("when").run(0.1)
    for _ in range(KEPT + 1):
        call.give(ReplyTextReceived(1, "a "))
    assert call.of(CancelReply) == [CancelReply(1)]
    assert call.counted == ["speculation_dropped"]
    call.listens()
    assert call.said[-1] == "It ships on Monday."


@pytest.mark.parametrize("spare", [0, 1])
def test_the_shortest_first_clause_is_spoken(spare: int) -> None:
    clause = f"{'a' * (SHORTEST_CLAUSE - 1 - spare)},"
    spoken, rest = take_speakable(f"{clause} and more", first=True)
    assert (spoken, rest) == (((), f"{clause} and more") if spare else ((clause,), "and more"))


def test_a_model_that_hangs_up_without_a_word_is_given_one_and_has_failed_in_nothing() -> None:
    call = world([Asks("end_call")]).answered()
    call.asks("bye").run(15)
    assert call.phrases == ["goodbye"]
    assert call.of(EndCall) == [EndCall("agent_goodbye")]
    assert "empty_reply" not in call.counted


def test_a_model_that_takes_its_time_behind_its_wish_to_hang_up_is_waited_for() -> None:
    goodbye = [Says("Goodbye then. "), Asks("end_call", after=6.0), Says("Take care. ", after=6.0)]
    call = world(goodbye).answered()
    call.asks("bye").run(25)
    assert "reply_overdue" not in call.counted
    assert call.said[-1].endswith("Take care.")
    assert call.of(EndCall) == [EndCall("agent_goodbye")]


def test_a_hand_over_that_comes_when_the_model_has_finished_is_announced() -> None:
    call = world([Says(f"{words('r1.0', 12)}. ")]).answered()
    call.asks().run_until(lambda world: isinstance(world.floor, Speaking)).run(1.0)
    call.give(EndRequested("handover"))
    call.run(20)
    assert call.phrases == ["goodbye_handover"]
    assert call.of(EndCall) == [EndCall("handover")]


@pytest.mark.parametrize(
    "news",
    [
        SegmentStarted(99, 0, 0.0, "What?"),
        WordsPlaced(99, 0, (0.0,)),
        SegmentFinished(99, 0, 1.0),
        SegmentFailed(99, "broken"),
    ],
)
def test_news_of_a_segment_that_nobody_ordered_is_counted_and_changes_nothing(news: Event) -> None:
    call = world().answered()
    before = call.conversation.snapshot()
    call.give(news)
    assert call.counted[-1] == "stale_segment"
    assert call.conversation.snapshot() == before | {"now": call.now}


# ── the end ───────────────────────────────────────────────────────────────────────


def test_nothing_is_orphaned_by_a_process_that_dies_after_the_call() -> None:
    call = world().answered()
    assert call.conversation.orphaned()
    call.give(CallerHungUp())
    assert call.conversation.orphaned() == ()


def test_nothing_is_orphaned_by_a_process_that_dies_before_there_was_a_line() -> None:
    call = world()
    assert call.conversation.attachment == 0
    assert call.conversation.orphaned() == ()


def test_what_a_dead_process_looked_up_did_not_answer_and_of_its_effects_the_ledger_tells() -> None:
    looking = world([Asks("look")], tool=lambda _command: None).answered()
    looking.asks("when").run(0.5)
    [told] = [fact for fact in looking.conversation.orphaned() if isinstance(fact, ToolReturned)]
    assert (told.tool_call, "timeout" in told.content) == ("t1", True)
    doing = world([Asks("refund")], tool=lambda _c: Proposes("I refund it."), effect=lambda _c: None).answered()
    doing.asks("refund me").listens().asks("yes").run(0.5)
    assert not [fact for fact in doing.conversation.orphaned() if isinstance(fact, ToolReturned)]


# ── what the caller says ──────────────────────────────────────────────────────────


def test_a_recognizer_that_fails_at_the_second_pause_is_not_waited_for() -> None:
    call = world(transcribe=lambda text: None if text == "where" else (0.1, None)).answered()
    call.says("where").run(0.3)
    call.says("is it").run(2.0)
    assert call.counted == ["transcription_failed", "utterance_without_words"]
    assert call.phrases == ["missed"]


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        (Voice(is_echo=True), Voice(is_echo=False)),
        (Voice(is_caller=False), Voice(is_caller=True)),
        (Voice(is_voice=False), Voice(is_voice=True)),
    ],
)
def test_an_utterance_is_nobodys_only_when_all_of_its_voices_are(bad: Voice, good: Voice) -> None:
    assert together(None, bad) == together(bad, bad) == bad
    assert together(bad, good) == together(good, bad) == together(good, good) == good


def test_a_monologue_late_in_a_call_is_answered_as_soon_as_its_words_are_there() -> None:
    patient = settings(silence_prompt=200.0, silence_offer=300.0, silence_hangup=400.0)
    call = world(rules=patient, transcribe=lambda _text: (0.1, "so much")).answered()
    call.run(100)
    call.starts("blah").run(30.3)
    assert call.asked == ["so much"]
    assert "transcript_overdue" not in call.counted


@pytest.mark.parametrize("sound", [Voice(is_echo=True), Voice(is_caller=False)])
def test_a_voice_that_turns_out_at_its_end_to_be_nobodys_gives_the_agent_its_turn_back_at_once(sound: Voice) -> None:
    call = world([Says(f"{words('r1.0', 20)}. ")]).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking)).run(1.0)
    asked = len(call.of(Transcribe))
    call.starts("dinner is ready").run(0.5)
    assert isinstance(call.floor, Hearing)
    call.sound = sound
    call.stops()
    assert isinstance(call.floor, Thinking)
    assert len(call.of(Transcribe)) == asked
    assert call.counted[-1] == "foreign_voice"


# ── snapshots ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("gone", ["running", "turn"])
def test_a_snapshot_with_a_secret_that_no_tool_waits_for_is_refused(gone: str) -> None:
    call = world([Asks("verify")], tool=lambda _command: Wants()).answered()
    call.asks("check").run_until(lambda world: isinstance(world.floor, Collecting))
    snapshot = call.conversation.snapshot()
    Conversation.restore(settings(), snapshot)
    if gone == "running":
        snapshot["running"] = {"~": "dict", "items": []}
    else:
        snapshot["turn"] |= {"tools": {"~": "frozenset", "items": []}}
    with pytest.raises(ValueError, match="a secret that no tool waits for"):
        Conversation.restore(settings(), snapshot)
