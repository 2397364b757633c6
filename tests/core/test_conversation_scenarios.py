"""Whole calls in virtual time: what each side does, and what becomes of it.

Each test also runs under the rules of `call_referee`, and most of them twice, in a restored twin.
"""

from collections import deque
from collections.abc import Sequence
from itertools import chain, repeat

import pytest

from core.call_world import (
    Asks,
    Fails,
    HandsOn,
    Proposes,
    Returns,
    Says,
    Stalls,
    Voices,
    World,
    WorldLanguage,
    settings,
    words,
)
from talkspurt.core.commands import (
    BeginUtterance,
    CancelReply,
    CancelTool,
    EndUtterance,
    ExecuteEffect,
    NoteReadBack,
    Phrase,
    RequestReply,
    RunTool,
    Speak,
    StopPlayback,
    Transcribe,
    WithdrawEffect,
)
from talkspurt.core.conversation import Conversation
from talkspurt.core.events import (
    CallerHungUp,
    DigitPressed,
    EffectProposed,
    EndRequested,
    LineClosed,
    LineOpened,
    PlaybackReached,
    ReplyCompleted,
    ReplyTextReceived,
    ReplyToolRequested,
    SegmentFinished,
    SegmentStarted,
    SpeechStarted,
    SpeechStopped,
    ToolReturned,
    Transcribed,
    Voice,
)
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.settings import Menu
from talkspurt.core.states import (
    Closing,
    Ended,
    Endpointing,
    Hearing,
    Listening,
    Lost,
    Opening,
    Speaking,
    Thinking,
    Typing,
    Yielding,
)


def world(*replies: Sequence[object], **behaviour: object) -> World:
    """A call with scripted replies, whose state is restored from a snapshot at every step."""
    return World(replies=deque(replies), rehearse=True, **behaviour)  # type: ignore[arg-type]


def over(call: World, reason: str) -> None:
    """The call ends for this reason, and everything is accounted for."""
    call.run_until(lambda world: bool(world.ended), patience=2000)
    assert call.ended == reason
    call.run(40)
    call.referee.close()


def until(call: World, state: type) -> World:
    return call.run_until(lambda world: isinstance(world.floor, state))


# ── turns ─────────────────────────────────────────────────────────────────────────


def test_a_plain_turn_is_asked_answered_and_heard() -> None:
    call = world([Says("Your order "), Says("is on its way. "), Says("Anything else?")]).answered()
    call.asks("where is my order").listens()
    assert call.history == (
        AgentSaid("Hello there."),
        CallerSaid("where is my order"),
        AgentSaid("Your order is on its way. Anything else?"),
    )
    assert [c.text for c in call.of(Speak)] == ["Hello there.", "Your order is on its way.", "Anything else?"]


def test_the_turn_is_taken_after_the_endpoint_silence_from_the_last_voice() -> None:
    call = world(transcribe=lambda text: (0.05, text)).answered()
    call.says("hello")
    stopped = call.floor.stopped_at  # type: ignore[union-attr]
    until(call, Thinking)
    assert isinstance(call.floor, Thinking)
    assert call.floor.since == pytest.approx(stopped + 1.0)
    assert call.floor.waited == pytest.approx(1.0)


def test_an_unfinished_phrase_is_waited_for_longer() -> None:
    call = world().answered()
    call.says("a refund and")
    stopped = call.floor.stopped_at  # type: ignore[union-attr]
    until(call, Thinking)
    assert call.floor.since == pytest.approx(stopped + 1.5)  # type: ignore[union-attr]


def test_going_on_before_the_endpoint_belongs_to_the_same_utterance() -> None:
    call = world().answered()
    call.says("where is").run(0.3)
    assert isinstance(call.floor, Endpointing)
    call.asks("my order")
    assert call.asked == ["where is my order"]
    assert len(call.of(BeginUtterance)) == len(call.of(EndUtterance)) == 1
    assert [c.revision for c in call.of(Transcribe)] == [1, 2]


def test_an_answer_to_a_superseded_transcribe_is_stale() -> None:
    call = world(transcribe=lambda text: (1.0, text)).answered()
    call.says("where is").run(0.4)
    call.says("my order").run(0.5)
    assert "stale_transcript" in call.counted
    until(call, Thinking)
    assert call.asked == ["where is my order"]


def test_speaking_while_the_agent_thinks_takes_the_turn_back() -> None:
    call = world([Stalls()], [Says("Both. ")]).answered()
    call.asks("one").run(0.3)
    call.asks("two").listens()
    assert call.asked == ["one", "two"]
    assert call.of(CancelReply) == [CancelReply(1)]
    assert call.said[-1] == "Both."


def test_a_reply_to_what_the_caller_has_taken_back_asks_for_nothing() -> None:
    call = world([Stalls()], [Stalls()]).answered()
    call.asks("refund me").run(0.3)
    call.asks("no, wait").run(0.3)
    call.give(ReplyToolRequested(1, "t9", "refund", "{}"))
    assert call.of(RunTool) == []
    assert "stale_reply" in call.counted


def test_a_noise_while_the_agent_thinks_changes_nothing() -> None:
    call = world([Says("Here it is. ", after=3.0)]).answered()
    call.asks("one").run(0.2)
    call.says("", duration=0.3).run(1.0).listens()
    assert call.said[-1].endswith("Here it is.")
    assert call.of(CancelReply) == []


def test_a_monologue_is_cut_at_the_longest_utterance() -> None:
    call = world().answered()
    call.starts("blah")
    call.utterance_words.append("so much")
    call.run(31.0)
    assert call.asked == ["so much"]
    assert "utterance_too_long" in call.counted


def test_how_often_a_voice_is_measured_depends_on_what_hangs_on_it() -> None:
    call = world([Says(f"{words('r1.0', 30)}. ")]).answered()
    call.starts("hello")
    assert isinstance(call.floor, Hearing)
    into_silence = call.conversation.heeds_voice
    call.stops()
    until(call, Speaking).run(2.0)
    call.starts("no, the other", sound=Voice(False, None, True))
    assert isinstance(call.floor, Yielding)
    undecided = call.conversation.heeds_voice
    until(call, Hearing)
    assert call.conversation.heeds_voice == undecided, "it may yet turn out to be somebody else's"
    call.sound = Voice(False, True, True)
    call.run(0.2)
    assert undecided < 0.1 < call.conversation.heeds_voice < into_silence


def test_whose_voice_comes_up_is_asked_where_it_may_stop_something() -> None:
    call = world([Says(f"{words('r1.0', 30)}. ")]).answered()
    assert not call.conversation.heeds_beginning, "it is judged when it is whole"
    call.starts("hello")
    call.stops()
    assert isinstance(call.floor, Endpointing)
    assert not call.conversation.heeds_beginning
    until(call, Speaking).run(2.0)
    assert call.conversation.heeds_beginning
    call.starts("no, the other")
    call.stops()
    assert isinstance(call.floor, Endpointing)
    assert call.conversation.heeds_beginning, "the agent has a turn to go on with"


def test_a_second_start_without_a_stop_is_followed() -> None:
    """The stop of the first talkspurt was lost or comes late: the caller is done when the second one is."""
    call = world().answered()
    call.starts("one").run(0.5)
    call.starts("two").run(0.5)
    call.give(SpeechStopped(1, call.now, 0.4))
    assert isinstance(call.floor, Hearing)
    call.stops()
    assert isinstance(call.floor, Endpointing)


@pytest.mark.parametrize("state", [Listening, Thinking, Speaking, Endpointing])
def test_a_late_start_of_a_past_talkspurt_is_no_voice(state: type) -> None:
    call = world(default_reply=lambda reply: [Says(f"{words(f'r{reply}.0', 9)}. ", after=1.0)]).answered()
    call.says("one")
    until(call, state)
    before = call.floor
    call.give(SpeechStarted(1, 1.0))
    assert call.floor == before
    assert "stale_talkspurt" in call.counted


def test_talkspurts_are_numbered_anew_on_a_new_line() -> None:
    """Another process counts from one again: the caller must not become inaudible."""
    call = world().answered()
    call.asks("one").listens()
    call.lose_line().run(1.0).dial().listens()
    call.talkspurt = 0
    call.asks("two")
    assert call.asked == ["one", "two"]


# ── barge-in ──────────────────────────────────────────────────────────────────────


def test_barge_in_cuts_history_to_what_was_heard() -> None:
    call = world([Says(f"{words('r1.0', 20)}. {words('r1.1', 20)}. ")]).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking)).run(4.0)
    call.asks("stop").listens()
    heard = call.history[2]
    assert isinstance(heard, AgentSaid)
    assert heard.interrupted
    assert 5 < len(heard.text.split()) < 12
    assert call.of(StopPlayback) == [StopPlayback(1)]


def test_a_false_interruption_resumes_from_the_word_where_it_stopped() -> None:
    call = world([Says(f"{words('r1.0', 20)}. {words('r1.1', 5)}. ")]).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking)).run(4.0)
    call.says("").listens()
    assert call.history[2:] == (AgentSaid(f"{words('r1.0', 20)}. {words('r1.1', 5)}."),)
    assert call.counted.count("utterance_without_words") == 1


def test_an_interruption_before_anything_was_heard_leaves_no_trace_on_earlier_words() -> None:
    call = world([Says(f"{words('r1.0', 5)}. ")], voice=lambda speak: Voices(after=0.1 if speak.segment == 1 else 2.0))
    call.answered().asks("one").run(0.5)
    call.asks("two").listens()
    assert call.history[:3] == (AgentSaid("Hello there."), CallerSaid("one"), CallerSaid("two"))


def test_words_heard_before_a_false_and_a_true_interruption_are_stored_as_history_has_them() -> None:
    call = world(
        [Says(f"{words('r1.0', 20)}. ")], voice=lambda speak: Voices(after=0.1 if speak.segment < 3 else 2.0)
    ).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking)).run(4.0)
    call.says("").run(0.8)  # noise: the rest is ordered again, and nothing of it is heard
    assert isinstance(call.floor, Thinking)
    call.asks("stop").listens()
    assert isinstance(call.history[2], AgentSaid)
    assert call.history[2].interrupted
    call.give(CallerHungUp())
    over(call, "caller_hung_up")


def test_a_stock_sentence_interrupted_by_a_noise_before_it_began_is_said_after_it() -> None:
    call = world(voice=lambda speak: Voices(after=1.5)).answered()
    call.run(10.1)
    assert call.phrases == ["still_there"]
    call.says("", duration=0.2).listens()
    assert call.phrases == ["still_there", "still_there"]
    assert call.said[-1].startswith("Hello there. still_there.")


def test_an_answer_to_what_was_cut_off_cancels_the_rest_of_the_reply() -> None:
    call = world([Says(f"{words('r1.0', 9)}. "), Says(f"{words('r1.1', 9)}. ", after=5.0)], [Says("Fine. ")])
    call.answered().asks("go")
    until(call, Speaking).run(1.0)
    call.asks("no thanks").listens()
    assert CancelReply(1) in call.of(CancelReply)
    assert not any("r1.1" in text for text in call.said)


# ── silence ───────────────────────────────────────────────────────────────────────


def test_silence_is_asked_about_after_10_met_with_help_after_20_and_ends_the_call_after_30_seconds() -> None:
    call = world().answered()
    quiet = call.floor.since  # type: ignore[union-attr]
    call.run(quiet + 9.9 - call.now)
    assert call.phrases == []
    call.run(0.2)
    assert call.phrases == ["still_there"]
    call.run(quiet + 20.1 - call.now)
    assert call.phrases == ["still_there", "offer_help"]
    call.run(quiet + 29.9 - call.now)
    assert isinstance(call.floor, Listening)
    call.run(0.2)
    assert call.phrases == ["still_there", "offer_help", "goodbye_silence"]
    over(call, "caller_silent")


def left_alone(call: World) -> World:
    """The agent is just saying that it cannot hear anyone."""
    return call.run_until(lambda world: "goodbye_silence" in world.phrases).run(0.5)


def test_who_speaks_up_while_nobody_can_be_heard_is_answered() -> None:
    call = left_alone(world().answered())
    call.asks("no wait I am here").listens()
    assert call.asked == ["no wait I am here"]
    call.run(9.0)
    assert not call.ended
    assert call.phrases[-1] == "goodbye_silence", "the silence is counted anew"


@pytest.mark.parametrize("sound", [Voice(is_echo=True), Voice(is_voice=False)])
def test_what_is_nobodys_voice_keeps_nobody_from_hanging_up(sound: Voice) -> None:
    call = left_alone(world().answered())
    call.says("", 0.3, sound=sound)
    over(call, "caller_silent")


@pytest.mark.parametrize(("said", "seconds"), [("mhm", 1.0), ("mhm", 0.3), ("hello", 0.3), ("I am here", 0.6)])
def test_any_word_is_an_answer_to_that(said: str, seconds: float) -> None:
    call = left_alone(world().answered())
    call.says(said, seconds).run(4.0)
    assert call.asked == [said]
    assert not call.ended


def test_a_line_that_is_lost_then_ends_the_call() -> None:
    call = left_alone(world().answered())
    call.give(LineClosed(call.attachment, hung_up=False))
    assert call.ended == "caller_silent"


def test_a_key_pressed_then_counts_as_well() -> None:
    call = left_alone(world().answered())
    call.types("5#").run(2.0)
    assert not call.ended
    assert call.asked == ["5"]


def test_an_answer_restarts_the_silence_and_its_prompt() -> None:
    call = world().answered()
    call.run(12.0).listens()
    call.asks("yes").listens()
    call.run(10.2)
    assert call.phrases == ["still_there", "still_there"]


def test_a_turn_of_the_agent_restarts_the_silence_and_its_prompt() -> None:
    call = world().answered()
    call.run(12.0).listens()
    call.lose_line().run(1.0).dial().listens()
    call.run(10.2)
    assert call.phrases == ["still_there", "line_back", "still_there"]


@pytest.mark.parametrize("keys", ["#", "*", "12*#"])
def test_keys_that_come_to_nothing_are_asked_again(keys: str) -> None:
    call = world().answered()
    call.run(9.0).types(keys).listens()
    assert call.phrases == ["missed"]


# ── limits ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("speaking", [True, False])
def test_the_longest_call_ends_politely(speaking: bool) -> None:
    call = world(rules=settings(max_call=20.0), default_reply=lambda r: [Says(f"{words(f'r{r}.0', 90)}. ")]).answered()
    if speaking:
        call.asks("tell me")
    call.run(20.0 - call.now + 0.1)
    assert isinstance(call.floor, Closing)
    assert "goodbye_time" in call.phrases
    over(call, "max_call")


def test_a_line_that_never_opens_ends_the_call() -> None:
    call = world().run(15.1)
    assert call.ended == "no_media"
    over(call, "no_media")


# ── the model ─────────────────────────────────────────────────────────────────────


def test_a_failing_model_is_asked_once_more() -> None:
    call = world([Fails()], [Says("Here. ")]).answered()
    call.asks().listens()
    assert [c.reply for c in call.of(RequestReply)] == [1, 2]
    assert call.said == ["Hello there.", "Here."]
    assert call.phrases == []


def test_a_silent_model_is_asked_once_more_although_a_filler_was_said() -> None:
    call = world([Stalls()], [Says("Here. ")]).answered()
    call.asks().listens()
    assert set(call.phrases) == {"filler", "still_working"}
    assert [c.reply for c in call.of(RequestReply)] == [1, 2]
    assert "reply_overdue" in call.counted
    assert call.said[-1].endswith("Here.")


@pytest.mark.parametrize("script", [[Fails()], [Stalls()], [], [Says("  ")], [Says("...")]])
def test_a_model_without_a_word_leads_to_two_apologies_and_a_goodbye(script: list[object]) -> None:
    call = World(default_reply=lambda _reply: list(script), rehearse=True).answered()  # type: ignore[arg-type]
    for _ in range(2):
        call.asks().listens()
    assert [name for name in call.phrases if name not in ("filler", "still_working")] == ["apology", "apology"]
    call.asks()
    over(call, "no_reply")
    assert [name for name in call.phrases if name not in ("filler", "still_working")] == [
        "apology",
        "apology",
        "goodbye_trouble",
    ]


def test_a_reply_resets_the_count_of_failures() -> None:
    good, bad = [Says("Fine. ")], [Fails()]
    call = world(bad, bad, bad, bad, good, bad, bad, bad, bad, good).answered()
    for _ in range(6):
        call.asks().listens()
    assert call.phrases == ["apology"] * 4
    assert isinstance(call.floor, Listening)


ENDS = ([Fails(after=0.2)], [Stalls()])
FIRST, SECOND = "We open at nine sharp.", "We close at five sharp."


@pytest.mark.parametrize("end", ENDS)
def test_a_model_that_breaks_off_in_the_middle_is_gone_on_from_behind_its_last_sentence(end: list[object]) -> None:
    call = world([Says(f"{FIRST} And on Satur"), *end], [Says("On Saturdays at noon.")]).answered()
    call.asks().listens()
    [_, rest] = call.of(RequestReply)
    assert rest.continues
    assert isinstance(rest.history[-1], AgentSaid)
    assert rest.history[-1].text.startswith(FIRST)
    assert "Satur" not in rest.history[-1].text
    said = " ".join(call.said[1:])
    assert said.startswith(FIRST)
    assert said.endswith("On Saturdays at noon.")
    assert "And on" not in said
    assert "apology" not in call.phrases
    assert call.conversation._agent.failures == 0


@pytest.mark.parametrize("end", ENDS)
def test_a_model_that_stopped_within_its_first_words_is_asked_from_the_beginning(end: list[object]) -> None:
    call = world([Says("Your order is on"), *end], [Says("Your order is here.")]).answered()
    call.asks().listens()
    assert [request.continues for request in call.of(RequestReply)] == [False, False]
    assert call.said[-1].endswith("Your order is here.")
    assert "is on" not in call.said[-1]


def test_what_was_said_before_a_reply_broke_off_is_not_said_again() -> None:
    again = [Says(f"{FIRST} {SECOND} "), Says("Yes.")]
    call = world([Says(f"{FIRST} {SECOND} "), Fails(after=0.2)], again).answered()
    call.asks().listens()
    assert call.said[1:] == [f"{FIRST} {SECOND} Yes."]


def test_a_reply_that_broke_off_behind_its_last_word_is_whole() -> None:
    call = world([Says(f"{FIRST} "), Fails(after=0.2)], [Says(FIRST)]).answered()
    call.asks().listens()
    assert call.said[1:] == [FIRST]
    assert call.phrases == []


def test_a_reply_is_gone_on_from_once() -> None:
    call = world([Says(f"{FIRST} "), Fails()], [Says(f"{SECOND} And"), Fails()]).answered()
    call.asks().listens()
    assert len(call.of(RequestReply)) == 2
    assert call.said[1].startswith(f"{FIRST} {SECOND} apology.")
    assert call.phrases == ["apology"]


def test_a_reply_that_was_asked_again_is_not_gone_on_from() -> None:
    call = world([Fails()], [Says(f"{FIRST} "), Fails()]).answered()
    call.asks().listens()
    assert len(call.of(RequestReply)) == 2
    assert call.said[1].startswith(f"{FIRST} apology.")
    assert call.phrases == ["apology"]


def test_a_reply_that_asked_for_a_tool_is_not_gone_on_from() -> None:
    call = world([Says("Let me look. "), Asks("look"), Fails()], [Says("Found. ")]).answered()
    call.asks().listens()
    assert [request.continues for request in call.of(RequestReply)] == [False, False]
    assert call.said[1:] == ["Let me look.", "Found."]


def test_a_goodbye_that_broke_off_ends_the_call_all_the_same() -> None:
    call = world([Says(f"{FIRST} "), Asks("end_call"), Fails()]).answered()
    call.asks()
    over(call, "agent_goodbye")
    assert len(call.of(RequestReply)) == 1


def test_the_round_behind_a_tool_is_gone_on_from_by_itself() -> None:
    rounds: list[list[object]] = [
        [Says(f"{FIRST} "), Fails()],
        [Asks("look")],
        [Says(f"{SECOND} "), Fails()],
        [Says("Found it at last.")],
    ]
    call = world(*rounds).answered()
    call.asks().listens()
    assert [request.continues for request in call.of(RequestReply)] == [False, True, False, True]
    assert " ".join(call.said[1:]).endswith(f"{SECOND} Found it at last.")


def test_a_reply_that_breaks_off_while_it_is_held_is_gone_on_from_behind_what_is_held() -> None:
    call = world([Says(f"{FIRST} {SECOND} "), Fails(after=2.2)], [Says("Third and last.")]).answered()
    until(call.asks(), Speaking).run(0.5)
    call.starts("hm").run_until(lambda world: len(world.of(RequestReply)) == 2)
    rest = call.of(RequestReply)[-1]
    assert rest.continues
    assert rest.history[-1] == AgentSaid(f"{FIRST} {SECOND}")


def test_an_empty_reply_after_a_tool_is_no_answer() -> None:
    call = world([Says("Let me look. "), Asks("look")], []).answered()
    call.asks().listens()
    assert call.phrases == ["apology"]
    assert "empty_reply" in call.counted


def test_a_failing_reply_after_a_tool_is_asked_once_more() -> None:
    call = world([Says("Let me look. "), Asks("look")], [Fails()], [Says("Found. ")]).answered()
    call.asks().listens()
    assert call.phrases == []
    assert call.said[-1] == "Found."


def test_speaking_over_the_third_apology_keeps_the_call() -> None:
    """The caller takes the floor before the agent has given up: they are answered."""
    call = world(*[[Fails()]] * 5, [Fails(after=3.0)], [Says("Here. ")]).answered()
    for _ in range(2):
        call.asks().listens()
    call.asks().run(0.3)
    call.starts("wait").run(4.0)
    call.stops()
    call.listens()
    assert isinstance(call.floor, Listening)
    assert call.said[-1] == "Here."


# ── the synthesizer and the line ──────────────────────────────────────────────────


def test_one_failing_segment_is_apologised_for() -> None:
    call = world(voice=lambda speak: Voices(fails=speak.segment == 2)).answered()
    call.asks().listens()
    assert call.phrases == ["apology"]
    assert "segment_failed" in call.counted


def test_a_failing_synthesizer_ends_the_call() -> None:
    call = world(voice=lambda speak: Voices(fails=speak.segment > 1)).answered()
    call.asks()
    over(call, "no_speech")
    assert call.phrases == ["apology", "apology"]


def test_a_silent_synthesizer_is_told_to_forget_the_segment_before_the_next() -> None:
    """The session speaks one segment after the other: behind one that hangs, no apology would ever be heard."""
    call = world(voice=lambda speak: None if speak.segment == 2 else Voices()).answered()
    call.asks().listens()
    assert "segment_overdue" in call.counted
    assert call.said[-1].startswith("filler.")
    assert " apology." in call.said[-1]


def test_sentences_behind_a_segment_that_hangs_are_said() -> None:
    call = world(
        [Says(f"{words('r1.0', 5)}. {words('r1.1', 5)}. ")],
        voice=lambda speak: None if speak.segment == 2 else Voices(),
    ).answered()
    call.asks().listens()
    assert call.said[-1].endswith(f" {words('r1.1', 5)}.")
    assert "r1.0.0" not in call.said[-1]


def test_a_silent_synthesizer_ends_the_call() -> None:
    call = world(voice=lambda _speak: None)
    call.dial()
    over(call, "no_speech")
    assert call.now < 3 * 8 + 41


def test_a_segment_whose_turn_comes_late_is_not_overdue() -> None:
    """The synthesizer begins the second sentence only when the first has been sent."""
    call = world([Says(f"{words('r1.0', 30)}. {words('r1.1', 3)}. ")]).answered()
    call.voice = lambda speak: Voices(after=0.1, more=15.6 if "r1.0" in str(speak.text) else 0.1)
    call.asks().listens()
    assert "segment_overdue" not in call.counted
    assert call.said[-1].endswith("r1.1.2.")


def test_without_marks_the_agent_waits_as_long_as_its_words_take_and_goes_on() -> None:
    call = world(mark=lambda: None)
    call.dial()
    until(call, Listening)
    assert "marks_missing" in call.counted
    assert call.said == ["Hello there."]
    assert 3.0 < call.now < 6.0
    call.asks().listens()
    assert call.said[-1].startswith("r1.0.0")


def test_a_segment_that_never_finishes_counts_only_as_far_as_it_was_heard() -> None:
    call = world([Says(f"{words('r1.0', 20)}. ")], voice=lambda speak: Voices(more=0.1 if speak.segment == 1 else 1e9))
    call.answered().asks()
    until(call, Speaking)
    call.run(3.0)
    call.mark = lambda: None
    call._marks.clear()  # the line falls silent: nothing more was ever sent
    call.listens()
    assert "marks_missing" in call.counted
    assert 3 <= len(call.said[-1].split()) <= 10
    assert call.of(StopPlayback), "what is still being synthesized must not be heard any more"


def test_a_repeated_mark_is_no_progress() -> None:
    call = world(mark=lambda: None)
    call.dial()
    for _ in range(12):
        call.run(0.6)
        call.give(PlaybackReached(0, 0.0))
    assert isinstance(call.floor, Listening)


# ── tools ─────────────────────────────────────────────────────────────────────────


def test_a_tool_is_run_and_the_model_asked_again() -> None:
    call = world([Asks("look", arguments='{"id":1}')], [Says("It is there. ")]).answered()
    call.asks().listens()
    assert call.of(RunTool) == [RunTool("t1", "look", '{"id":1}')]
    assert call.history[2:] == (
        ToolCalled("t1", "look", '{"id":1}'),
        ToolAnswered("t1", "look", '{"ok":true}'),
        AgentSaid("It is there."),
    )
    assert call.phrases == []


def test_the_model_is_asked_again_only_when_all_tools_have_answered() -> None:
    delays = {"slow": 0.3, "fast": 0.1}
    call = world([Asks("slow"), Asks("fast")], tool=lambda c: Returns(f'"{c.name}"', after=delays[c.name])).answered()
    call.asks().listens()
    assert len(call.of(RequestReply)) == 2
    assert call.of(RequestReply)[1].history[2:] == (
        ToolCalled("t1", "slow", "{}"),
        ToolAnswered("t1", "slow", '"slow"'),
        ToolCalled("t2", "fast", "{}"),
        ToolAnswered("t2", "fast", '"fast"'),
    )


def test_a_slow_tool_is_bridged_by_its_filler_as_soon_as_the_line_was_silent_for_so_long() -> None:
    call = world([Asks("look")], tool=lambda _c: Returns(after=2.5)).answered()
    call.says("please")
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    call.run_until(lambda world: bool(world.phrases))
    assert call.now - stopped == pytest.approx(1.3, abs=0.03)
    assert call.of(Speak)[-1].text == Phrase("tool_filler", (("tool", "look"),))
    call.listens()
    assert "r2.0.0" in call.said[-1]


def test_no_filler_while_something_is_about_to_be_heard() -> None:
    call = world([Says("Well. ")], voice=lambda _speak: Voices(after=0.25)).answered()
    call.asks().listens()
    assert call.phrases == []


def slow_voice(after: float, *scripts: Sequence[object], **more: object) -> World:
    """A call whose synthesizer is late with what it has not said before."""
    return world(
        *scripts, voice=lambda speak: Voices() if isinstance(speak.text, Phrase) else Voices(after=after), **more
    ).answered()


def test_what_the_synthesizer_is_late_with_is_said_behind_a_filler() -> None:
    call = slow_voice(2.0, [Says("Well. ")])
    call.says("please")
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    call.run_until(lambda world: bool(world.phrases))
    assert call.now - stopped == pytest.approx(1.3, abs=0.01)
    assert call.of(Speak)[-1].ahead
    call.listens()
    assert call.said[-1] == "filler.3.0 filler.3.1 filler.3.2 filler.3.3 Well."
    assert call.phrases == ["filler"]


def test_a_filler_that_comes_too_late_is_not_said() -> None:
    call = world(
        [Says("Well. ")], voice=lambda speak: Voices(after=0.5 if isinstance(speak.text, Phrase) else 0.6)
    ).answered()
    call.asks().listens()
    assert call.of(Speak)[-1].ahead
    assert call.said[-1] == "Well."
    assert "apology" not in call.phrases


def test_a_filler_before_a_sentence_that_never_begins_does_not_put_off_its_end() -> None:
    call = world([Says("Well. ")], voice=lambda speak: None if speak.text == "Well." else Voices()).answered()
    call.asks()
    asked = call.now
    call.run_until(lambda world: "segment_overdue" in world.counted)
    assert call.now - asked == pytest.approx(call.rules.segment_timeout, abs=0.1)
    call.listens()
    assert call.phrases[-1] == "apology"


def test_who_speaks_over_the_filler_drops_what_was_late_as_well() -> None:
    call = slow_voice(3.0, [Says("Well. ")], [Says("Then. ")])
    call.asks().run_until(lambda world: any(speak.ahead for speak in world.of(Speak))).run(0.5)
    call.asks("no").listens()
    assert "Well." not in " ".join(call.said)
    assert call.said[-1].endswith("Then.")


def test_a_late_read_back_is_bridged_and_can_be_confirmed() -> None:
    call = slow_voice(2.0, [Asks("refund")], [Says("Done. ")], tool=lambda _c: Proposes(READ_BACK))
    call.asks("money").listens()
    assert "filler" in call.phrases
    assert call.said[-1].endswith(READ_BACK)
    call.asks("yes").listens()
    assert [effect.proposal for effect in call.of(ExecuteEffect)] == ["p1"]


def test_a_tool_that_never_answers_is_given_up_on() -> None:
    call = world([Asks("look")], [Says("It failed. ")], tool=lambda _c: None).answered()
    call.asks().run(22.0)
    assert call.of(CancelTool) == [CancelTool("t1")]
    call.listens()
    assert "timeout" in call.answers()["t1"]
    assert call.said[-1].endswith("It failed.")
    call.give(ToolReturned("t1", "too late"))
    assert "timeout" in call.answers()["t1"]


def test_an_answer_after_its_turn_is_gone_lands_once_and_in_its_place() -> None:
    call = world([Says("Wait. "), Asks("look")], [Says("Sure. ")], tool=lambda _c: Returns("1", after=4.0)).answered()
    call.asks("one").run(1.0)
    call.asks("two").listens()
    assert call.of(RequestReply)[-1].history[-2].content == '{"status":"running"}'
    call.run(4.0)
    call.give(ToolReturned("t1", "2"))
    assert call.answers() == {"t1": "1"}
    place = call.history.index(ToolAnswered("t1", "look", "1"))
    assert call.history[place + 1] == CallerSaid("two")
    assert "stale_tool" in call.counted


def test_the_same_tool_call_runs_once() -> None:
    call = world([Asks("look", "x"), Asks("look", "x")], [Says("Done. ")]).answered()
    call.asks().listens()
    assert len(call.of(RunTool)) == 1
    assert "duplicate_tool_call" in call.counted


def test_whoever_takes_the_phone_gets_a_model_that_knows_nothing_of_the_one_before() -> None:
    call = world(
        [Asks("look")],
        [Says("It goes to Elm Street. ")],
        [Asks("look"), Asks("hand")],
        [Says("Hello. ")],
        [Says("Who is speaking? ")],
        tool=lambda asked: HandsOn(after=0.5) if asked.name == "hand" else Returns('{"address":"Elm Street"}'),
    ).answered()
    for said in ("where does it go", "here is my wife", "what was that address"):
        call.asks(said).listens()
    requests = [request.history for request in call.of(RequestReply)]
    first = next(
        index
        for index, history in enumerate(requests)
        if any(isinstance(entry, ToolAnswered) and entry.name == "hand" for entry in history)
    )
    assert "Elm Street" in repr(requests[first - 1])
    assert len(requests[first:]) > 1
    for history in requests[first:]:
        assert history[0] == CallerSaid("here is my wife")
        assert "Elm Street" not in repr(history)
    assert "Elm Street" in repr(call.history), "what was said was said"


def test_too_many_tools_at_once_are_refused() -> None:
    call = world([*[Asks("look")] * 10], [Says("Done. ")]).answered()
    call.asks().listens()
    assert len(call.of(RunTool)) == 8
    assert sum("Too many" in content for content in call.answers().values()) == 2


def test_a_model_that_asks_for_tools_for_ever_is_stopped() -> None:
    call = World(default_reply=lambda _reply: [Asks("look")], rehearse=True).answered()
    call.asks().listens()
    assert len(call.of(RunTool)) == 7
    assert "tool_rounds_exhausted" in call.counted
    assert call.phrases[-1] == "apology"


def test_tools_that_still_run_when_the_call_ends_are_cancelled_once_and_recorded() -> None:
    call = world([Asks("look")], tool=lambda _c: None).answered()
    call.asks("one").run(0.5)
    call.asks("two").listens()
    call.run(60)
    over(call, "caller_silent")
    assert call.of(CancelTool) == [CancelTool("t1")]


def test_a_tool_that_runs_when_the_caller_hangs_up_does_not_keep_the_rest_from_the_store() -> None:
    call = world([Asks("look")], tool=lambda _c: None).answered()
    call.asks("one").run(0.5)
    call.asks("two").listens()
    call.give(CallerHungUp())
    over(call, "caller_hung_up")
    assert call.of(CancelTool) == [CancelTool("t1")]
    assert call.referee.records[-1] == call.history[-1]


# ── effects ───────────────────────────────────────────────────────────────────────

READ_BACK = "p1.0.0 p1.0.1 p1.0.2 p1.0.3. p1.1.0 p1.1.1 p1.1.2. Shall p1.q.0 p1.q.1 p1.q.2?"
DETAILS = 2


def proposing(*replies: Sequence[object], read_back: str = READ_BACK, **behaviour: object) -> World:
    """A call whose first turn proposes an effect."""
    call = world([Asks("refund")], *replies, tool=lambda _c: Proposes(read_back), **behaviour).answered()
    return call.asks("refund me")


def test_a_heard_read_back_and_a_clear_yes_execute_exactly_once() -> None:
    call = proposing([Says("Done. ")]).listens()
    assert call.said[-1] == READ_BACK
    assert len(call.of(RequestReply)) == 1, "the model is not asked before the caller has answered"
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]
    assert call.history[-4:] == (
        CallerSaid("yes"),
        ToolCalled("t1-confirmed", "refund", "{}"),
        ToolAnswered("t1-confirmed", "refund", '{"done":true}'),
        AgentSaid("Done."),
    )
    call.asks("yes").listens()
    assert len(call.of(ExecuteEffect)) == 1
    assert call.of(WithdrawEffect) == []


def test_the_half_of_a_sentence_that_begins_with_yes_is_asked_about_again() -> None:
    call = proposing([Says("Done. ")]).listens().asks("yes just").listens()
    assert call.of(ExecuteEffect, WithdrawEffect) == []
    assert "hasty_yes" in call.counted
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 3)]


def test_what_came_of_an_effect_is_told_though_its_turn_is_gone() -> None:
    call = proposing([Says("One moment. ")], [Says("It is done. ")], effect=lambda _c: Returns('{"done":true}', 6.0))
    call.listens().asks("yes").run(2.0)
    call.asks("hello").listens()
    assert ToolAnswered("t1-confirmed", "refund", '{"status":"running"}') in call.of(RequestReply)[-1].history
    call.run(4.0)
    call.listens()
    answer = ToolAnswered("t1-confirmed", "refund", '{"done":true}')
    assert call.of(RequestReply)[-1].history[-1] == answer, "the model is asked right behind what it is to tell"
    assert call.said[-1].endswith("It is done.")
    assert len(call.of(ExecuteEffect)) == 1


def test_nothing_is_asked_for_while_something_else_is_still_being_done() -> None:
    call = proposing([Asks("refund")], [Says("Later. ")], effect=lambda _c: Returns('{"done":true}', 8.0))
    call.listens().asks("yes").run(2.0)
    call.asks("another one please").run(4.0)
    assert call.of(WithdrawEffect) == [WithdrawEffect("p2")]
    assert "one change" in call.answers()["t2"]
    call.run(6.0)
    call.listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]


@pytest.mark.parametrize("answer", ["no", "maybe", "yes but", "yes and"])
def test_anything_but_a_clear_yes_withdraws(answer: str) -> None:
    call = proposing().listens().asks(answer).listens()
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_a_yes_to_whether_anyone_is_there_at_last_executes_nothing() -> None:
    call = left_alone(proposing([Says("Are you sure? ")]))
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == []


def test_a_yes_over_the_closing_question_counts() -> None:
    call = proposing([Says("Done. ")])
    call.run_until(lambda world: DETAILS + 2 in world.sent and world.reached[0] > world.sent[4].start + 0.2)
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]


def test_a_hum_into_the_closing_question_is_no_answer_to_it() -> None:
    call = proposing([Says("Done. ")])
    call.run_until(lambda world: DETAILS + 2 in world.sent and world.reached[0] > world.sent[4].start + 0.2)
    call.asks("mm-hm").listens()
    assert call.of(ExecuteEffect, WithdrawEffect) == []
    assert call.said[-1] == "Shall p1.q.0 p1.q.1 p1.q.2?"
    call.asks("mm-hm").listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 3)]


def test_a_question_that_may_hold_details_has_to_be_heard() -> None:
    """An argument with a full stop in it ("rent. Thank you for the") makes a last sentence of what stands behind it."""
    call = proposing(read_back="I send it with the note p1.0.0. Thank you for the p1.1.0 to p1.1.1 Mallory?")
    until(call, Speaking)
    call.run_until(lambda world: DETAILS + 1 in world.sent and world.reached[0] > world.sent[3].start + 0.3)
    call.asks("yes").listens()
    assert call.of(ExecuteEffect, NoteReadBack) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


@pytest.mark.parametrize("played", [0.0, 1.0, 2.5, 3.9])
def test_a_yes_before_all_details_were_heard_withdraws(played: float) -> None:
    call = proposing()
    until(call, Speaking).run(played)
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_a_yes_into_the_last_word_of_a_read_back_withdraws() -> None:
    """Half of "$89.99" says something else: a detail was heard when all of it was."""
    call = proposing(read_back="Refund p1.0.0000000000000000000000000000")
    until(call, Speaking)
    call.run_until(lambda world: world.reached[0] > world.sent[2].end - 0.3)
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == []


@pytest.mark.parametrize("read_back", [READ_BACK, "Refund p1.0.0 p1.0.1 p1.0.2."])
def test_a_yes_that_began_before_the_read_back_was_heard_is_asked_for_again(read_back: str) -> None:
    """The voice was not known from an echo at first, so nothing was stopped for it."""
    call = proposing([Says("Done. ")], read_back=read_back)
    call.run_until(lambda world: world.sent.keys() > {2} and world.reached[0] > 0)
    last = max(sent.end for sent in call.sent.values() if "p1." in sent.text and "q" not in sent.text)
    call.run_until(lambda world: world.reached[0] > last - 0.4)
    call.starts("yes", Voice(is_echo=None)).run_until(lambda world: bool(world.of(NoteReadBack)))
    # Longer than what is listened to again once it is known whose voice it is.
    call.run(0.6)
    call.sound = Voice(is_echo=False)
    call.run(0.4).stops().run_until(lambda world: world.asked[-1] == "yes").listens()
    assert call.of(ExecuteEffect, WithdrawEffect) == []
    assert "hasty_yes" in call.counted
    question = "Shall p1.q.0 p1.q.1 p1.q.2?" if read_back == READ_BACK else read_back
    assert call.said[-1] == question
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 3)]


def test_a_no_that_began_before_the_read_back_was_heard_withdraws_all_the_same() -> None:
    call = proposing(read_back="Refund p1.0.0 p1.0.1 p1.0.2.")
    call.run_until(lambda world: world.sent.keys() > {1} and world.reached[0] > world.sent[2].end - 0.4)
    call.starts("no", Voice(is_echo=None)).run_until(lambda world: bool(world.of(NoteReadBack)))
    call.sound = Voice(is_echo=False)
    call.run(0.5).stops().run_until(lambda world: world.asked[-1] == "no")
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_details_interrupted_by_a_noise_are_read_again_whole() -> None:
    call = proposing([Says("Done. ")])
    until(call, Speaking).run(0.8)
    call.says("", duration=0.3).listens()
    detail = READ_BACK.split(". ", maxsplit=1)[0] + "."
    assert [c.text for c in call.of(Speak)].count(detail) == 2
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]


def test_a_read_back_whose_synthesis_broke_is_not_heard() -> None:
    call = proposing()
    call.voice = lambda speak: Voices(more=4.0 if speak.segment == 2 else 0.1, fails=speak.segment == 2)
    call.listens().asks("yes").listens()
    assert call.of(ExecuteEffect) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_a_read_back_without_marks_is_not_heard() -> None:
    call = proposing()
    call.mark = lambda: None
    call.listens().asks("yes").listens()
    assert call.of(ExecuteEffect, NoteReadBack) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_a_read_back_is_said_to_be_heard_once_and_as_soon_as_it_was() -> None:
    call = proposing()
    call.run_until(lambda world: bool(world.of(NoteReadBack)))
    (note,) = call.of(NoteReadBack)
    details = [sent for sent in call.sent.values() if sent.text.startswith("p1.")]
    assert note == NoteReadBack("p1", call.now)
    assert call.reached[0] >= max(sent.end for sent in details)
    call.listens().asks("what was that").listens()
    assert len(call.of(NoteReadBack)) == 1


def test_a_read_back_that_is_cut_off_before_its_end_is_not_said_to_be_heard() -> None:
    call = proposing()
    until(call, Speaking).run(1.0)
    call.asks("no").listens()
    assert call.of(NoteReadBack) == []


# ── a model that errs ─────────────────────────────────────────────────────────────


def erring(*wrong: bool) -> World:
    """A call whose model asks for a tool in each round, with or without a mistake, and then says so."""
    answers = deque(wrong)
    return world(
        *([Asks("look", f"t{number}")] for number in range(len(wrong))),
        [Says("Here it is. ")],
        tool=lambda _c: Returns(wrong=answers.popleft()),
    ).answered()


def test_a_model_that_errs_is_shown_its_mistake_once() -> None:
    call = erring(True, False).asks("look").listens()
    assert call.said[-1] == "Here it is."
    assert "tool_not_repaired" not in call.counted


def test_a_model_that_errs_again_is_apologised_for() -> None:
    call = erring(True, True).asks("look").listens()
    assert call.said[-1].startswith("apology")
    assert "tool_not_repaired" in call.counted
    assert len(call.of(RequestReply)) == 2
    call.asks("once more").listens()
    assert call.said[-1] == "Here it is."


def test_mistakes_in_two_turns_are_two_first_ones() -> None:
    call = world(
        *([Asks("look", "t1")], [Says("One. ")], [Asks("look", "t2")], [Says("Two. ")]),
        tool=lambda _c: Returns(wrong=True),
    ).answered()
    call.asks("one").listens().asks("two").listens()
    assert call.said[-1] == "Two."


@pytest.mark.parametrize("between", ["silence", "noise", "line"])
def test_anything_said_after_the_read_back_spoils_the_yes(between: str) -> None:
    call = proposing().listens()
    if between == "silence":
        call.run(10.5)
    elif between == "noise":
        call.says("", duration=1.0).run(1.0)
    else:
        call.lose_line().run(1.0).dial()
    call.listens().asks("yes").listens()
    assert call.of(ExecuteEffect) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_the_keypad_confirms_nothing() -> None:
    class Agreeing(WorldLanguage):
        def yes_or_no(self, _text: str, /) -> bool | None:
            return True

    call = proposing(rules=settings(language=Agreeing())).listens()
    call.types("1#").listens()
    assert call.of(ExecuteEffect) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_a_second_proposal_at_once_is_refused() -> None:
    call = world([Asks("refund"), Asks("cancel")], [Says("Done. ")], tool=lambda _c: Proposes(READ_BACK)).answered()
    call.asks("both").listens()
    assert call.of(WithdrawEffect) == [WithdrawEffect("p2")]
    assert "one change" in call.answers()["t2"]
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]


def test_the_same_proposal_twice_is_one_proposal() -> None:
    call = proposing([Says("Done. ")])
    again = EffectProposed("t1", "p1", READ_BACK, "{}")
    call.listens().give(again)
    call.asks("yes")
    call.give(again)
    call.listens().give(again)
    assert call.of(WithdrawEffect) == []
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]
    assert call.counted.count("duplicate_proposal") == 3


def test_a_proposal_whose_turn_is_gone_is_withdrawn() -> None:
    call = world([Asks("refund")], tool=lambda _c: Proposes(READ_BACK, after=3.0)).answered()
    call.asks("refund me").run(0.5)
    call.asks("never mind").listens().run(3.0)
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]
    assert "p1" not in " ".join(call.said)


def test_an_effect_that_never_answers_is_in_doubt_and_not_cancelled() -> None:
    call = proposing([Says("Unclear. ")], effect=lambda _c: None).listens()
    call.asks("yes").run(25.0).listens()
    assert call.of(CancelTool) == []
    assert "in_doubt" in call.answers()["t1-confirmed"]


def test_an_effect_under_way_is_recorded_even_after_the_call() -> None:
    call = proposing(effect=lambda _c: Returns("late", after=3.0)).listens()
    call.asks("yes").run(0.2)
    call.give(CallerHungUp())
    assert call.ended == "caller_hung_up"
    over(call, "caller_hung_up")
    assert call.answers()["t1-confirmed"] == "late"
    assert call.of(CancelTool) == []


def test_an_open_proposal_is_withdrawn_when_the_call_ends() -> None:
    call = proposing().listens()
    call.give(CallerHungUp())
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]
    call.give(EffectProposed("t9", "p9", READ_BACK, "{}"))
    assert call.of(WithdrawEffect)[-1] == WithdrawEffect("p9")


# ── the keypad ────────────────────────────────────────────────────────────────────


def test_hash_ends_an_entry() -> None:
    call = world().answered().types("123#")
    assert call.history[1] == CallerSaid("123", "keypad")


def test_a_pause_ends_an_entry() -> None:
    call = world().answered().types("12", pause=1.0)
    assert isinstance(call.floor, Typing)
    call.run(call.rules.digit_patience - 1.1)
    assert isinstance(call.floor, Typing)
    call.run(0.2)
    assert call.asked == ["12"]


def test_the_longest_entry_ends_itself() -> None:
    call = world(rules=settings(max_digits=4)).answered().types("123456")
    assert call.asked[0] == "1234"


def test_star_starts_again() -> None:
    call = world().answered().types("12*34#")
    assert call.asked == ["34"]


def test_a_key_interrupts_the_agent_and_its_entry_drops_the_rest() -> None:
    call = world([Says(f"{words('r1.0', 20)}. ")]).answered()
    call.asks()
    until(call, Speaking).run(2.0)
    call.types("7#").listens()
    assert call.asked == ["please", "7"]
    assert isinstance(call.history[2], AgentSaid)
    assert call.history[2].interrupted


def test_keys_that_amount_to_nothing_let_the_agent_go_on() -> None:
    call = world([Says(f"{words('r1.0', 20)}. ")]).answered()
    call.asks()
    until(call, Speaking).run(2.0)
    call.types("*").listens()
    assert call.said[-1] == f"{words('r1.0', 20)}."


def test_a_key_takes_over_from_speech() -> None:
    call = world().answered()
    call.starts("one two").run(0.5)
    call.types("12").stops().run(3.0)
    assert call.asked == ["12"]
    assert len(call.of(EndUtterance)) == 1


# ── the line ──────────────────────────────────────────────────────────────────────


def test_a_line_lost_and_back_goes_on_from_the_word_where_it_stopped() -> None:
    call = world([Says(f"{words('r1.0', 20)}. ")]).answered()
    call.asks()
    until(call, Speaking).run(2.0)
    call.lose_line()
    assert isinstance(call.floor, Lost)
    call.run(3.0).dial().listens()
    assert call.said[-1] == f"{words('r1.0', 20)}."


def test_a_line_lost_while_listening_says_so_when_it_is_back() -> None:
    call = world().answered().lose_line().run(3.0).dial().listens()
    assert call.phrases == ["line_back"]


def test_a_line_lost_for_good_ends_the_call() -> None:
    call = world().answered().lose_line()
    over(call, "line_lost")


def test_tools_and_model_go_on_while_the_line_is_lost() -> None:
    call = world([Asks("look")], [Says("Found it. ")], tool=lambda _c: Returns(after=2.0)).answered()
    call.asks().run(0.5)
    call.lose_line().run(5.0).dial().listens()
    assert call.said[-1].endswith("Found it.")


def test_a_new_line_before_the_old_one_is_known_to_be_dead_replaces_it() -> None:
    call = world([Says(f"{words('r1.0', 20)}. ")]).answered()
    call.asks()
    until(call, Speaking).run(2.0)
    call.dial()
    call.give(LineClosed(1, hung_up=False))
    assert "stale_line" in call.counted
    call.listens()
    assert call.said[-1] == f"{words('r1.0', 20)}."
    assert not call.ended


def test_the_same_line_opens_once() -> None:
    call = world().answered()
    call.give(LineOpened(1))
    assert isinstance(call.floor, Listening)
    assert "line_opened_twice" in call.counted


def test_a_line_that_closes_during_the_goodbye_ends_the_call_for_its_reason() -> None:
    call = world().answered()
    call.give(EndRequested("operator"))
    call.lose_line()
    assert call.ended == "operator"


def test_a_new_line_during_the_goodbye_ends_the_call() -> None:
    call = world().answered()
    call.give(EndRequested("operator"))
    call.dial()
    assert call.ended == "operator"


def test_a_line_that_closes_before_it_opened_changes_nothing() -> None:
    call = world()
    call.give(LineClosed(0, hung_up=False))
    call.answered()
    assert call.said == ["Hello there."]


# ── the ends ──────────────────────────────────────────────────────────────────────

STATES = [Opening, Listening, Hearing, Endpointing, Typing, Thinking, Speaking, Closing, Lost]


def brought_to(state: type) -> World:
    """A call in this state, with something under way where the state allows."""
    call = world([Says(f"{words('r1.0', 9)}. ", after=1.0)], [Says(f"{words('r2.0', 9)}. ")])
    if state is Opening:
        return call
    call.answered()
    if state is Listening:
        return call
    if state is Typing:
        return call.types("1")
    call.starts("one")
    if state is Hearing:
        return call
    call.run(0.5).stops()
    if state is Closing:
        call.give(EndRequested("operator"))
    elif state is Lost:
        call.lose_line()
    else:
        until(call, state)
    assert isinstance(call.floor, state)
    return call


@pytest.mark.parametrize("state", STATES)
def test_a_hang_up_ends_the_call_in_every_state(state: type) -> None:
    call = brought_to(state)
    call.give(CallerHungUp())
    assert call.ended == "caller_hung_up"
    over(call, "caller_hung_up")


@pytest.mark.parametrize("state", [state for state in STATES if state not in (Opening, Lost)])
def test_a_stop_of_the_carrier_ends_the_call(state: type) -> None:
    call = brought_to(state).lose_line(hung_up=True)
    over(call, "caller_hung_up")


@pytest.mark.parametrize("reason", ["shutdown", "operator", "handover", "agent"])
@pytest.mark.parametrize("state", STATES)
def test_an_end_that_was_asked_for_comes_politely(state: type, reason: str) -> None:
    call = brought_to(state)
    call.give(EndRequested(reason))  # type: ignore[arg-type]
    over(call, "operator" if state is Closing else reason)
    if state in (Opening, Lost):
        assert call.of(Speak)[1:] == []
    elif state in (Thinking, Speaking):
        assert call.said[-1].startswith("r1.0.0"), "the turn is heard out"
    elif state is not Closing:
        assert call.phrases == [f"goodbye_{reason}"]


@pytest.mark.parametrize("reason", ["shutdown", "operator"])
def test_no_turn_is_the_last_without_a_goodbye(reason: str) -> None:
    call = brought_to(Speaking)
    call.give(EndRequested(reason))  # type: ignore[arg-type]
    over(call, reason)
    assert call.phrases == [f"goodbye_{reason}"]


def test_a_caller_cannot_talk_over_the_last_turn() -> None:
    call = brought_to(Speaking)
    call.give(EndRequested("shutdown"))
    call.starts("wait").run(0.5)
    assert not call.of(StopPlayback)
    call.types("1")
    over(call, "shutdown")


def test_a_model_hangs_up_once_its_goodbye_was_heard() -> None:
    call = world([Says("Good bye then. "), Asks("end_call")]).answered()
    call.asks("bye")
    until(call, Speaking).run(0.2)
    assert not call.ended
    over(call, "agent_goodbye")
    assert call.said[-1] == "Good bye then."
    assert call.of(RunTool) == []


@pytest.mark.parametrize("reply", [[Asks("end_call")], [Asks("look"), Asks("end_call")]])
def test_a_model_that_hangs_up_without_a_word_says_goodbye_all_the_same(reply: list[object]) -> None:
    call = world(reply).answered()
    call.asks("bye")
    over(call, "agent_goodbye")
    assert call.phrases == ["goodbye"]


def test_a_caller_who_goes_on_talking_keeps_the_call() -> None:
    call = world([Says("Good bye then my dear caller. "), Asks("end_call")], [Says("Sure. ")]).answered()
    call.asks("bye")
    until(call, Speaking).run(0.5)
    call.asks("wait").listens()
    assert call.said[-1] == "Sure."
    assert isinstance(call.floor, Listening)


def test_an_order_to_end_outlives_the_goodbye_of_the_model() -> None:
    call = world([Says(f"{words('r1.0', 9)}. "), Asks("end_call")]).answered()
    call.asks("bye")
    until(call, Speaking).run(0.5)
    call.give(EndRequested("shutdown"))
    call.says("wait")
    over(call, "shutdown")


def test_a_handover_lets_the_agent_say_so() -> None:
    """The session reports the handover right after its tool has answered."""
    call = world([Asks("escalate")], [Says("I am putting you through. ")]).answered()
    call.asks("a person please").run_until(lambda world: len(world.of(RequestReply)) == 2)
    call.give(EndRequested("handover"))
    over(call, "handover")
    assert call.said[-1] == "I am putting you through."
    assert call.phrases == []


@pytest.mark.parametrize("reply", [[], [Fails()], [Stalls()]])
def test_a_handover_without_words_of_the_model_is_announced(reply: list[object]) -> None:
    call = world([Says("Let me see. "), Asks("escalate")], reply, reply).answered()
    call.asks("a person please").run_until(lambda world: len(world.of(RequestReply)) == 2)
    call.give(EndRequested("handover"))
    over(call, "handover")
    assert call.phrases[-1] == "goodbye_handover"


def test_a_goodbye_that_cannot_be_spoken_ends_the_call_at_once() -> None:
    call = world().answered()
    call.voice = lambda _speak: Voices(fails=True)
    call.give(EndRequested("operator"))
    over(call, "operator")
    assert call.phrases == ["goodbye_operator"]


def test_a_goodbye_is_not_waited_for_for_ever() -> None:
    call = world().answered()
    call.voice = lambda _speak: Voices(after=1e9)
    call.give(EndRequested("operator"))
    closing = call.now
    call.run_until(lambda world: bool(world.ended))
    assert call.now - closing < 12.1


# ── the recognizer ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [(0.1, ""), (0.1, None), None])
def test_a_recognizer_without_words_leads_to_two_reprompts_and_a_goodbye(
    answer: tuple[float, str | None] | None,
) -> None:
    call = world(transcribe=lambda _text: answer).answered()

    def said() -> list[str]:
        return [phrase for phrase in call.phrases if phrase != "filler"]

    call.says("hello").listens()
    assert said() == ["missed"]
    call.says("hello").listens()
    assert said() == ["missed", "missed_again"]
    call.says("hello")
    over(call, "not_understood")
    assert said() == ["missed", "missed_again", "goodbye_trouble"]


MENU = Menu("For your order, press 1. For a person, press 0.", (("1", "where is my order"), ("0", "a person, please")))


def unheard() -> World:
    call = world(transcribe=lambda _text: (0.1, ""), rules=settings(menu=MENU)).answered()
    for _ in range(3):
        call.says("hello").listens()
    assert call.phrases == ["missed", "missed_again", "menu"]
    return call


def test_a_caller_who_cannot_be_heard_is_offered_keys_and_one_key_is_what_they_said() -> None:
    call = unheard()
    call.types("1").run(1.0)
    assert call.asked[-1] == "where is my order"


def test_a_key_that_was_not_offered_is_only_a_key() -> None:
    call = unheard()
    call.types("7").run(1.0)
    assert call.asked[-1] == "7"


def test_keys_mean_what_they_say_where_no_menu_was_offered() -> None:
    call = world(rules=settings(menu=MENU)).answered()
    call.types("1").run(5.0)
    assert call.asked[-1] == "1"


def test_after_a_key_the_menu_is_over() -> None:
    call = unheard()
    call.types("1").run(1.0).listens()
    call.types("0").run(5.0)
    assert call.asked[-1] == "0"


def test_the_keys_are_offered_three_times_before_the_agent_gives_up() -> None:
    call = unheard()
    for _ in range(2):
        call.says("hello").listens()
    assert call.phrases[-3:] == ["menu"] * 3
    call.says("hello")
    over(call, "not_understood")


def test_a_cough_is_nothing() -> None:
    call = world(transcribe=lambda _text: (0.1, "")).answered()
    for _ in range(6):
        call.says("", duration=0.2).listens()
    assert call.phrases == []


@pytest.mark.parametrize("answer", [(0.1, None), None])
def test_a_yes_whose_recognition_failed_is_asked_for_again_however_short_it_was(
    answer: tuple[float, str | None] | None,
) -> None:
    answers = chain([(0.1, "please")], repeat(answer))
    call = world(
        [Asks("refund")],
        tool=lambda _command: Proposes("I refund it. Shall I?"),
        transcribe=lambda _text: next(answers),
    ).answered()
    call.asks("please").listens()
    call.says("yes", 0.3).run(4.0)
    assert [phrase for phrase in call.phrases if phrase != "filler"] == ["missed"]
    assert call.of(ExecuteEffect) == []


def test_a_short_noise_at_which_the_recognizer_failed_is_nothing_when_it_was_no_voice() -> None:
    call = world(transcribe=lambda _text: (0.1, None)).answered()
    call.says("", 0.3, Voice(is_voice=False)).run(3.0)
    assert call.phrases == []
    assert isinstance(call.floor, Listening)


def test_a_short_answer_over_the_end_of_the_last_word_is_asked_for_again_when_its_recognition_failed() -> None:
    call = world([Says("Shall it be blue? ")]).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking))
    call.run_until(lambda world: world.conversation._agent.playback.unheard < 0.2)
    assert isinstance(call.floor, Speaking)
    call.transcribe = lambda _text: (0.1, None)
    call.says("yes", 0.3).run(2.0)
    assert call.said[-1].endswith("Shall it be blue?")
    assert call.phrases == ["missed"]


def test_a_sound_into_the_agents_turn_at_which_the_recognizer_failed_leaves_it_the_turn() -> None:
    call = world([Says(f"{words('r1.0', 20)}. ")]).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking)).run(1.0)
    call.transcribe = lambda _text: (0.1, None)
    call.says("yes", 0.3).listens()
    assert call.phrases == []
    assert call.said[-1].endswith(f"{words('r1.0', 20)}.")


def test_words_in_between_forgive_the_misses() -> None:
    answers = chain([(0.1, ""), (0.1, ""), (0.1, "one"), (0.1, ""), (0.1, ""), (0.1, "two")], repeat((0.1, "")))
    call = World(transcribe=lambda _text: next(answers)).answered()
    for _ in range(6):
        call.says("hello").listens()
    assert call.phrases == ["missed", "missed_again"] * 2
    assert isinstance(call.floor, Listening)


def test_an_overdue_transcript_is_a_miss() -> None:
    call = world(transcribe=lambda text: (4.5, text)).answered()
    call.says("hello").run(4.2)
    assert call.phrases == ["filler", "missed"]
    call.run(1.0)
    assert call.asked == []
    assert "stale_transcript" in call.counted


# ── time and order ────────────────────────────────────────────────────────────────


def test_a_clock_that_steps_back_changes_no_order() -> None:
    call = world().answered()
    call.run(5.0)
    call.give(None)
    call.give(SpeechStarted(1, 1.0), at=2.0)
    assert isinstance(call.floor, Hearing)
    assert call.floor.since == call.now
    assert call.conversation.deadline is not None
    assert call.conversation.deadline > call.now
    assert call.counted.count("clock_back") == 1


def test_deadlines_that_passed_run_before_the_event_each_at_its_own_time() -> None:
    conversation = Conversation(settings())
    conversation.receive(LineOpened(1), 0.0)
    conversation.receive(SegmentStarted(1, 0, 0.0, "Hello there."), 0.1)
    conversation.receive(SegmentFinished(1, 0, 1.0), 0.2)
    conversation.receive(PlaybackReached(0, 1.0), 1.2)
    assert conversation.floor == Listening(1.2)
    commands = conversation.receive(DigitPressed("1"), 100.0)
    spoken = [c.text for c in commands if isinstance(c, Speak)]
    assert spoken == [Phrase("still_there"), Phrase("apology"), Phrase("apology")]
    assert isinstance(conversation.floor, Ended)
    assert conversation.floor.at == pytest.approx(1.2 + 10 + 3 * 8)
    assert conversation.floor.reason == "no_speech"


def test_news_in_the_wrong_order_is_survived() -> None:
    call = world().answered()
    for event in (
        SpeechStopped(1, call.now, 1.0),
        Transcribed(1, 1, "hello"),
        ReplyCompleted(1),
        ReplyTextReceived(1, "Hello. "),
        ReplyToolRequested(1, "t1", "look", "{}"),
        ToolReturned("t1", "{}"),
        SegmentFinished(2, 0, 1.0),
        SegmentStarted(2, 0, 0.0, "Hello."),
        PlaybackReached(3, 1.0),
    ):
        call.give(event)
        assert isinstance(call.floor, Listening)
    assert call.said == ["Hello there."]
    assert call.answers() == {}


def test_nothing_acts_after_the_end() -> None:
    call = brought_to(Speaking)
    events = list(call.delivered)
    call.give(CallerHungUp())
    before = len(call.commands)
    for event in events:
        call.give(event)
    assert {type(c).__name__ for c in call.commands[before:]} == {"Count"}
    assert call.conversation.receive(None, 1e6) == ()


def test_every_event_twice_makes_the_same_call() -> None:
    """Text has no id of its own, so it is the one kind of news that a session must not repeat."""

    class Echo(World):
        def give(self, event: object, at: float | None = None) -> tuple[object, ...]:  # type: ignore[override]
            commands = super().give(event, at)  # type: ignore[arg-type]
            if event is not None and not isinstance(event, ReplyTextReceived | DigitPressed):
                super().give(event, at)  # type: ignore[arg-type]
            return commands

    def play(call: World) -> World:
        call.answered()
        call.asks("refund me").listens()
        call.asks("yes").listens()
        call.lose_line().run(1.0).dial().listens()
        call.says("bye").run(60)
        return call

    scripts: list[list[object]] = [[Asks("refund")], [Says(f"{words('r2.0', 9)}. ")], [Says("Bye. "), Asks("end_call")]]
    plain = play(World(replies=deque(scripts), tool=lambda _c: Proposes(READ_BACK)))  # type: ignore[arg-type]
    echo = play(Echo(replies=deque(scripts), tool=lambda _c: Proposes(READ_BACK)))  # type: ignore[arg-type]
    assert plain.ended == echo.ended == "agent_goodbye"
    assert plain.history == echo.history
    assert plain.of(Speak, RequestReply, RunTool, ExecuteEffect) == echo.of(Speak, RequestReply, RunTool, ExecuteEffect)
    echo.referee.close()
