"""Who gets the floor when both might want it: each rule of turn-taking in a whole call, by the numbers.

The policies' own numbers are in `test_endpointing.py`; here they act. Each test also runs under the rules of
`call_referee`, and in a twin that is restored from a snapshot at every step.
"""

from collections import deque
from collections.abc import Sequence

import pytest

from core.call_world import (
    HANGOVER,
    LETTERS_PER_SECOND,
    Asks,
    Proposes,
    Returns,
    Says,
    Stalls,
    World,
    WorldLanguage,
    settings,
    words,
)
from talkspurt.core.agent_side import SLOWER, SLOWEST
from talkspurt.core.commands import (
    BeginUtterance,
    CancelReply,
    CancelTool,
    EndUtterance,
    ExecuteEffect,
    ForgetCaller,
    JudgeTurn,
    KnowVoice,
    Phrase,
    Prepare,
    RequestReply,
    RunTool,
    Speak,
    StopPlayback,
    Transcribe,
)
from talkspurt.core.conversation import REACH_BACK, STIRRING
from talkspurt.core.events import PartlyTranscribed, SpeechContinued, SpeechStirred, ToolReturned, Voice, WordsPlaced
from talkspurt.core.history import CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.language import Completeness, Expectation
from talkspurt.core.states import Endpointing, Hearing, Listening, Speaking, Thinking, Typing, Yielding

ECHO = Voice(is_echo=True)
MAYBE_ECHO = Voice(is_echo=None)
STRANGER = Voice(is_caller=False)
CALLER = Voice(is_caller=True)
NOISE = Voice(is_voice=False)
UNSURE = Voice()


class ZipLanguage(WorldLanguage):
    """Knows ZIP codes too: five words that are digits."""

    def expectation(self, said: str, /) -> Expectation:
        return Expectation("zip") if said.endswith("zip?") else super().expectation(said)

    def completeness(self, text: str, expectation: Expectation, /) -> Completeness:
        if expectation.kind == "zip":
            digits = sum(word.isdigit() for word in text.split())
            if 0 < digits < 5:
                return Completeness.UNFINISHED
            return Completeness.COMPLETE if digits == 5 else Completeness.OPEN
        return super().completeness(text, expectation)


def world(*replies: Sequence[object], **behaviour: object) -> World:
    """A call with scripted replies and a quick recognizer, whose state is restored from a snapshot at every step."""
    behaviour.setdefault("transcribe", lambda text: (0.05, text))
    return World(replies=deque(replies), rehearse=True, **behaviour)  # type: ignore[arg-type]


def until(call: World, state: type) -> World:
    return call.run_until(lambda world: isinstance(world.floor, state))


def speaking(*replies: Sequence[object], for_: float = 3.0, **behaviour: object) -> World:
    """The agent is in the middle of a long statement."""
    call = world(*(replies or ([Says(f"{words('r1.0', 20)}. {words('r1.1', 20)}. ")],)), **behaviour).answered()
    call.asks("go")
    return until(call, Speaking).run(for_)


def clears(call: World) -> int:
    return len(call.of(StopPlayback))


def pause(call: World) -> float:
    """Wait for the turn to be taken; the silence that it took."""
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    until(call, Thinking)
    assert isinstance(call.floor, Thinking)
    return round(call.floor.since - stopped, 6)


# ── barge-in: two steps ───────────────────────────────────────────────────────────


def test_the_first_step_clears_at_once_and_the_second_gives_the_caller_the_floor() -> None:
    call = speaking()
    call.starts("stop")
    assert clears(call) == 1
    assert isinstance(call.floor, Yielding)
    call.run(0.29)
    assert isinstance(call.floor, Yielding)
    call.run(0.02)
    assert isinstance(call.floor, Hearing)
    call.run(1.0).stops()
    until(call, Thinking)
    assert call.asked[-1] == "stop"


def test_a_noise_that_has_ceased_gives_the_line_back_at_once() -> None:
    call = speaking()
    call.starts("").run(0.1)
    call.sound = NOISE
    call.stops()
    assert isinstance(call.floor, Thinking)
    assert call.counted[-1] == "foreign_voice"
    assert not call.of(Transcribe)[1:]


@pytest.mark.parametrize("sound", [ECHO, MAYBE_ECHO, NOISE])
def test_what_is_or_may_be_an_echo_never_clears(sound: Voice) -> None:
    call = speaking()
    call.says("r1.0.3", 1.5, sound)
    assert clears(call) == 0
    assert call.counted.count("foreign_voice") == 1
    call.listens()
    assert call.said[-1] == f"{words('r1.0', 20)}. {words('r1.1', 20)}."
    assert call.asked == ["go"]


def test_a_dismissed_echo_that_becomes_the_caller_is_admitted_with_what_they_said_before() -> None:
    call = speaking()
    call.starts("stop", ECHO).run(1.0)
    assert clears(call) == 0
    call.sound = UNSURE
    call.run(0.1)
    assert clears(call) == 1
    assert isinstance(call.floor, Yielding)
    begun = call.of(BeginUtterance)[-1]
    assert begun.at == pytest.approx(call.floor.since - REACH_BACK)
    call.run(0.6).stops()
    assert isinstance(call.floor, Endpointing)
    assert call.floor.voiced == pytest.approx(call.floor.stopped_at - call.floor.since + REACH_BACK)
    until(call, Thinking)
    assert call.asked == ["go", "stop"]


def test_a_voice_reaches_back_no_further_than_its_own_beginning() -> None:
    call = speaking()
    since = call.now
    call.starts("stop", ECHO).run(0.05)
    call.sound = UNSURE
    call.run(0.06)
    assert call.of(BeginUtterance)[-1].at == pytest.approx(since)


def test_a_stranger_who_goes_on_is_talked_over_after_the_second_step() -> None:
    call = speaking()
    call.starts("", STRANGER)
    assert clears(call) == 1
    call.run(0.29)
    assert isinstance(call.floor, Yielding)
    call.run(0.02)
    assert isinstance(call.floor, Thinking | Speaking)
    assert call.counted[-1] == "foreign_voice"
    resumed = call.of(Speak)[-1]
    assert resumed.epoch == 1
    # For as long as it lasts.
    call.run(2.0)
    assert clears(call) == 1
    call.stops().listens()
    assert call.said[-1] == f"{words('r1.0', 20)}. {words('r1.1', 20)}."


def test_a_stranger_stays_dismissed_until_it_is_surely_the_caller() -> None:
    call = speaking()
    call.starts("stop", STRANGER).run(0.5)
    call.sound = UNSURE
    call.run(0.5)
    assert clears(call) == 1
    call.sound = CALLER
    call.run(0.1)
    assert clears(call) == 2
    assert isinstance(call.floor, Yielding)
    call.run(0.6).stops()
    until(call, Thinking)
    assert call.asked == ["go", "stop"]


def test_a_voice_of_which_is_told_late_is_heard_from_where_it_began() -> None:
    call = speaking()
    call.starts("stop", ECHO).run(0.5)
    call.give(SpeechContinued(call.talkspurt, call.now - 0.3, 0.1, UNSURE))
    assert call.of(BeginUtterance)[-1].at == pytest.approx(call.now - 0.4)


def test_news_of_a_dismissed_voice_that_has_ceased_is_no_voice() -> None:
    call = speaking()
    call.says("", 0.5, ECHO)
    call.give(SpeechContinued(call.talkspurt, call.now, 0.5, CALLER))
    assert clears(call) == 0


def test_the_next_voice_after_a_strangers_is_judged_anew() -> None:
    call = speaking()
    call.says("", 0.5, STRANGER).run(0.2)
    call.starts("stop", UNSURE)
    assert clears(call) == 2
    assert isinstance(call.floor, Yielding)


# ── barge-in: by words ────────────────────────────────────────────────────────────


def placed(call: World) -> None:
    """The synthesizer says where the words of the first sentence lie."""
    sent = call.sent[2]
    starts, at = [], 0.0
    for word in sent.text.split():
        starts.append(at)
        at += sent.length * (len(word) + 1) / (len(sent.text) + 1)
    call.give(WordsPlaced(2, 0, tuple(starts)))


def test_a_backchannel_in_a_statement_lets_it_go_on_with_the_audio_that_was_made() -> None:
    call = speaking(for_=2.5)
    placed(call)
    call.says("mhm", 0.3).run(0.3)
    assert "backchannel" in call.counted
    rest, behind = call.of(Speak)[-2:]
    assert rest.source.segment == 2
    assert words("r1.0", 20).split()[rest.source.word] == rest.text.split()[0]
    assert 1.0 < rest.source.offset < 3.0
    assert rest.source.word >= 2
    assert (behind.text, behind.source.word, behind.source.offset) == (f"{words('r1.1', 20)}.", 0, 0.0)
    call.listens()
    assert call.said[-1] == f"{words('r1.0', 20)}. {words('r1.1', 20)}."
    assert call.asked == ["go"]


def test_the_same_word_after_a_heard_question_is_an_answer() -> None:
    call = speaking([Says("Shall I? "), Stalls()], for_=1.2)
    assert call.conversation.history[-1].text.endswith("Shall I?")  # type: ignore[union-attr]
    call.says("mhm", 0.3)
    until(call, Thinking)
    assert call.asked == ["go", "mhm"]


def test_it_is_an_answer_when_only_the_end_of_a_question_was_cut_off() -> None:
    call = speaking([Says(f"{words('r1.0', 12)}? ")], for_=4.0)
    call.says("mhm", 0.3)
    until(call, Thinking)
    assert call.asked == ["go", "mhm"]


@pytest.mark.parametrize(
    ("text", "voiced", "taken"),
    [
        ("sure", 0.3, False),
        ("sure sure", 0.4, False),
        ("sure sure sure", 0.6, False),
        ("sure sure sure sure", 0.6, False),
        ("I'm going to see what", 0.4, False),
        ("I'm going to see what", 0.75, True),
        ("sure", 0.75, True),
        ("stop", 0.2, True),
    ],
)
def test_brief_words_leave_the_agent_its_turn_unless_they_demand_it(text: str, voiced: float, taken: bool) -> None:
    call = speaking()
    call.says(text, voiced).run(1.2)
    assert call.asked == (["go", text] if taken else ["go"])
    assert (call.counted.count("brief_words") == 1) is not taken


def test_a_backchannel_leaves_the_agent_its_turn_however_long_it_is() -> None:
    call = speaking()
    call.says("mhm", 0.8).run(1.2)
    assert call.asked == ["go"]
    assert call.counted.count("backchannel") == 1


def test_after_brief_words_the_agent_waits_a_moment_for_more() -> None:
    call = speaking()
    call.says("sure", 0.3)
    until(call, Endpointing)
    call.run(0.1)
    assert isinstance(call.floor, Endpointing)
    call.says("but cancel it", 0.6).run(1.2)
    assert call.asked == ["go", "sure but cancel it"]


def test_who_says_brief_words_again_wants_the_turn() -> None:
    call = speaking()
    call.says("top", 0.3)
    until(call, Speaking)
    call.run(0.8)
    call.says("top", 0.3).run(1.2)
    assert call.asked == ["go", "top"]


def test_brief_words_some_time_after_others_are_passed_over_again() -> None:
    call = speaking()
    call.says("top", 0.3)
    until(call, Speaking)
    call.run(1.7)
    call.says("top", 0.3).run(1.2)
    assert call.asked == ["go"]
    assert call.counted.count("brief_words") == 2


def test_brief_words_into_silence_are_a_turn() -> None:
    call = world().answered()
    call.says("sure", 0.2).run(1.2)
    assert call.asked == ["sure"]


def test_a_demand_in_a_partial_transcript_takes_the_floor_before_the_second_step() -> None:
    call = speaking()
    call.starts("stop it").run(0.1)
    utterance = call.of(BeginUtterance)[-1].utterance
    call.give(PartlyTranscribed(utterance, "sure"))
    assert isinstance(call.floor, Yielding)
    call.give(PartlyTranscribed(utterance - 1, "stop"))
    assert isinstance(call.floor, Yielding)
    call.give(PartlyTranscribed(utterance, "stop"))
    assert isinstance(call.floor, Hearing)


# ── voices into silence ───────────────────────────────────────────────────────────


def test_side_talk_into_silence_is_not_answered() -> None:
    call = world().answered()
    call.says("did you feed the cat", 1.0, STRANGER).run(1.2)
    assert isinstance(call.floor, Listening)
    assert call.asked == []
    assert "foreign_voice" in call.counted
    assert call.of(KnowVoice) == []
    assert len(call.of(BeginUtterance)) == len(call.of(EndUtterance)) == 1
    call.asks("where is my order")
    assert call.asked == ["where is my order"]


def test_side_talk_without_words_is_not_asked_to_repeat() -> None:
    call = world().answered()
    call.says("", 1.0, STRANGER).run(1.5)
    assert call.phrases == []
    assert isinstance(call.floor, Listening)


def test_words_of_the_caller_teach_their_voice() -> None:
    call = world().answered()
    call.asks("one")
    assert call.of(KnowVoice) == [KnowVoice(1)]


def test_an_echo_on_a_silent_line_does_not_begin_an_utterance() -> None:
    call = world().answered()
    call.starts("there", ECHO).run(1.0)
    assert isinstance(call.floor, Listening)
    assert call.of(BeginUtterance) == []
    call.sound = CALLER
    call.run(0.1)
    assert isinstance(call.floor, Hearing)


@pytest.mark.parametrize("sound", [MAYBE_ECHO, STRANGER, NOISE, UNSURE])
def test_anything_else_on_a_silent_line_is_judged_when_it_is_whole(sound: Voice) -> None:
    call = world().answered()
    call.starts("there", sound)
    assert isinstance(call.floor, Hearing)


# ── endpointing ───────────────────────────────────────────────────────────────────

LONG = words("c", 8)
SHORT = words("c", 7)


def test_a_number_in_noise_is_waited_for_longer() -> None:
    for sound, wait in ((Voice(is_in_noise=True), 0.9), (Voice(), 0.45)):
        call = world([Says("Your zip? ")], rules=settings(language=ZipLanguage())).answered()
        call.asks("go").listens()
        call.says("1 2 3 4 5", sound=sound)
        assert pause(call) == pytest.approx(wait)


def test_a_number_is_in_noise_if_any_of_its_groups_is() -> None:
    call = world([Says("Your zip? ")], rules=settings(language=ZipLanguage())).answered()
    call.asks("go").listens()
    call.says("1 2 3", sound=Voice(is_in_noise=True)).run(0.5)
    call.says("4 5", sound=Voice())
    assert pause(call) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("said", "answer", "score", "wait"),
    [
        ("Shall I?", "yes", None, 0.15),
        ("Shall I?", "yes", 1.0, 0.15),
        ("Shall I?", "well", None, 0.25),
        ("Shall I?", "well it depends", None, 1.0),
        ("Your zip?", "1 2 3 4 5", None, 0.45),
        ("Your zip?", "one moment", None, 2.0),
        ("Your zip?", "1 2 3", 1.0, 2.0),
        ("Right.", "whole", None, 0.48),
        ("Right.", LONG, None, 0.48),
        ("Right.", SHORT, None, 1.0),
        ("Right.", "a refund and", None, 1.5),
        ("Right.", f"{LONG} and", 1.0, 1.5),
        ("Right.", LONG, 0.96, 0.48),
        ("Right.", LONG, 0.97, 0.43),
        ("Right.", SHORT, 1.0, 1.0),
    ],
)
def test_the_turn_is_taken_after_a_silence_that_fits_it(
    said: str, answer: str, score: float | None, wait: float
) -> None:
    rules = settings(language=ZipLanguage())
    judge = (lambda _text: None) if score is None else (lambda _text: (0.1, score))
    call = world([Says(f"{said} ")], rules=rules, judge=judge).answered()
    call.asks("go").listens()
    call.says(answer)
    assert pause(call) == pytest.approx(wait)
    assert call.asked == ["go", answer]


def test_the_turn_detector_is_asked_only_when_enough_may_have_been_said() -> None:
    call = world(judge=lambda _text: (0.1, 0.0)).answered()
    call.asks(SHORT).listens()
    assert call.of(JudgeTurn) == []
    call.asks(LONG)
    assert [(c.utterance, c.revision) for c in call.of(JudgeTurn)] == [(2, 2)]


def test_a_score_of_a_pause_that_is_over_counts_for_nothing() -> None:
    call = world(judge=lambda _text: (0.5, 1.0)).answered()
    call.says(LONG).run(0.3)
    call.says("but", 0.3)
    call.judge = lambda _text: None
    assert pause(call) == pytest.approx(0.55)
    assert "stale_judgement" in call.counted


def test_a_score_of_the_pause_before_says_nothing_of_this_one() -> None:
    call = world(judge=lambda _text: (0.7, 1.0)).answered()
    call.says(LONG).run(0.2)
    call.judge = lambda _text: None
    call.says("but", 0.25)
    # It comes now, in the second pause.
    assert pause(call) > call.rules.endpointing.sure
    assert "stale_judgement" in call.counted


def test_a_caller_who_pauses_late_is_waited_for_after_enough_words() -> None:
    call = world(transcribe=lambda text: (0.05, text)).answered()
    # The next voice comes 0.45 s after the last one.
    call.says(LONG).run(0.45 - HANGOVER)
    call.says("more", 0.3)
    assert pause(call) == pytest.approx(0.6)
    for wait in (0.6, 0.6, 0.48):
        call.listens()
        call.says(LONG)
        assert pause(call) == pytest.approx(wait)


def test_a_transcript_that_comes_late_ends_the_turn_at_once_and_not_before() -> None:
    call = world(transcribe=lambda text: (1.2, text)).answered()
    call.says("one")
    assert pause(call) == pytest.approx(1.2 + HANGOVER)


def test_what_stirs_holds_the_end_of_the_turn() -> None:
    call = world().answered()
    call.says("where is")
    assert isinstance(call.floor, Endpointing)
    end = call.floor.stopped_at + 1.0
    call.run(end - 0.01 - call.now)
    call.give(SpeechStirred(call.now))
    call.run(STIRRING - 0.01)
    assert isinstance(call.floor, Endpointing)
    call.says("my order")
    until(call, Thinking)
    assert call.asked == ["where is my order"]


def test_what_stirs_and_comes_to_nothing_costs_no_more_than_a_moment() -> None:
    call = world().answered()
    call.says("one")
    assert isinstance(call.floor, Endpointing)
    call.run(call.floor.stopped_at + 0.9 - call.now)
    call.give(SpeechStirred(call.now))
    assert pause(call) == pytest.approx(0.9 + 0.13)


def test_what_stirs_early_costs_nothing() -> None:
    call = world().answered()
    call.says("one").run(0.1)
    call.give(SpeechStirred(call.now))
    assert pause(call) == pytest.approx(1.0)


def test_a_line_that_stirs_for_ever_does_not_hold_the_turn_for_ever() -> None:
    call = world().answered()
    call.says("one")
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    while isinstance(call.floor, Endpointing) and call.now < stopped + 10:
        call.give(SpeechStirred(call.now))
        call.run(0.064)
    assert call.asked == ["one"]
    assert call.now == pytest.approx(stopped + call.rules.transcript_patience, abs=0.1)


# ── without words ─────────────────────────────────────────────────────────────────


def test_no_words_are_missed_only_when_the_pause_is_over() -> None:
    call = world().answered()
    call.says("")
    assert isinstance(call.floor, Endpointing)
    call.run(call.floor.stopped_at + 0.99 - call.now)
    assert call.phrases == []
    assert isinstance(call.floor, Endpointing)
    call.run(0.02)
    assert call.phrases == ["missed"]


def test_words_that_follow_make_out_what_no_words_were() -> None:
    call = world().answered()
    call.says("").run(0.5)
    call.says("my order")
    until(call, Thinking)
    assert call.phrases == []
    assert call.asked == ["my order"]


@pytest.mark.parametrize("text", ["", "mhm"])
def test_no_words_into_the_agents_turn_give_it_back_when_nothing_follows(text: str) -> None:
    call = speaking()
    call.says(text, 0.5)
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    until(call, Thinking)
    assert call.now == pytest.approx(stopped + 0.3)
    until(call, Speaking)
    assert call.phrases == []


@pytest.mark.parametrize("heard", ["", "mhm"])
def test_a_voice_that_is_heard_in_pieces_stops_the_agent_once(heard: str) -> None:
    """In noise the detector loses a voice for moments: the agent does not go on in each of them."""
    call = speaking()
    call.transcribe = lambda text: (0.05, "I need something" if len(text.split()) > 4 else heard)
    cleared = clears(call)
    for _ in range(5):
        call.says("bit", 0.15).run(0.1)
    assert clears(call) == cleared + 1
    call.run(2.0)
    assert call.asked == ["go", "I need something"]


# ── speculation ───────────────────────────────────────────────────────────────────


def test_a_guess_that_holds_is_the_reply() -> None:
    call = world([Says("Your order is here. And more. ")]).answered()
    call.says("where is my order").run(0.5)
    assert isinstance(call.floor, Endpointing)
    # The model has answered; nothing of it is said, or remembered.
    assert call.of(RequestReply)[0].history[-1] == CallerSaid("where is my order")
    assert call.of(Prepare) == [Prepare(1, "Your order is here.")]
    assert len(call.of(Speak)) == 1
    assert call.asked == []
    assert len(call.history) == 1
    until(call, Thinking)
    assert [speak.text for speak in call.of(Speak)[1:]] == ["Your order is here.", "And more."]
    call.listens()
    assert len(call.of(RequestReply)) == 1
    assert call.of(CancelReply) == []
    assert "speculation_kept" in call.counted
    assert call.said[-1] == "Your order is here. And more."


def test_a_guess_is_dropped_when_the_caller_goes_on() -> None:
    call = world([Says("Wrong. "), Stalls()], [Says("Right. ")]).answered()
    call.says("where is").run(0.5)
    assert len(call.of(RequestReply)) == 1
    call.starts("my order")
    assert call.of(CancelReply) == [CancelReply(1)]
    assert call.counted[-1] == "speculation_dropped"
    call.run(0.5).stops().run_until(lambda world: world.callers_turns == 1).listens()
    assert call.asked == ["where is my order"]
    assert call.said[-1] == "Right."


def test_a_guess_that_the_model_has_answered_is_cancelled_too_for_what_is_synthesized_of_it() -> None:
    call = world([Says("Wrong. ")]).answered()
    call.says("where is").run(0.5).starts("my order")
    assert call.of(CancelReply) == [CancelReply(1)]
    assert "speculation_dropped" in call.counted


def test_a_tool_in_a_guess_runs_once_the_turn_is_taken() -> None:
    call = world([Asks("look")]).answered()
    call.says("where is my order").run(0.5)
    assert call.delivered[-1].__class__.__name__ == "ReplyCompleted"
    assert call.of(RunTool) == []
    until(call, Thinking)
    assert call.of(RunTool) == [RunTool("t1", "look", "{}")]


def test_a_tool_in_a_dropped_guess_never_runs() -> None:
    call = world([Asks("look")], [Says("Right. ")]).answered()
    call.says("where is").run(0.5)
    call.asks("my order").listens()
    assert call.of(RunTool) == []


def test_nothing_is_guessed_while_a_confirmation_is_pending() -> None:
    call = world([Asks("refund")], tool=lambda _command: Proposes("Refund it. Shall I?", "p1")).answered()
    call.asks("refund it").listens()
    asked = len(call.of(RequestReply))
    call.says("let me see").run(0.5)
    assert isinstance(call.floor, Endpointing)
    assert len(call.of(RequestReply)) == asked
    until(call, Thinking)
    assert len(call.of(RequestReply)) == asked + 1


def test_nothing_is_guessed_while_a_turn_is_suspended_or_the_words_ask_for_more() -> None:
    call = speaking()
    call.says("what is that", 0.9).run(0.4)
    assert isinstance(call.floor, Endpointing)
    assert len(call.of(RequestReply)) == 1
    call = world().answered()
    call.says("a refund and").run(0.5)
    assert call.of(RequestReply) == []


def test_nothing_is_guessed_when_guessing_is_off() -> None:
    call = world(rules=settings(speculative=False)).answered()
    call.says("one").run(0.5)
    assert call.of(RequestReply) == []
    until(call, Thinking)
    assert len(call.of(RequestReply)) == 1


def test_a_guess_is_dropped_when_the_answer_of_a_tool_lands() -> None:
    call = world([Asks("look")], [Says("Right. ")], [Says("Old. "), Stalls()], tool=lambda _command: None).answered()
    call.asks("one").run(0.5)
    call.asks("two").listens()
    call.says("three").run(0.5)
    assert len(call.of(RequestReply)) == 3
    call.give(ToolReturned("t1", '"found"'))
    assert call.of(CancelReply) == [CancelReply(3)]
    assert call.counted[-1] == "speculation_dropped"
    until(call, Thinking)
    last = call.of(RequestReply)[-1]
    assert last.reply == 4
    assert "found" in repr(last.history)
    call.listens()
    assert "Old." not in " ".join(call.said)


def test_a_partial_transcript_starts_a_guess_and_the_final_one_holds_it() -> None:
    call = world(transcribe=lambda text: (0.6, text)).answered()
    call.says("where is my order")
    assert call.of(RequestReply) == []
    call.give(PartlyTranscribed(1, "where is my"))
    assert len(call.of(RequestReply)) == 1
    call.give(PartlyTranscribed(1, "where is my order"))
    assert len(call.of(RequestReply)) == 2
    call.give(PartlyTranscribed(1, "where is my order"))
    call.listens()
    assert len(call.of(RequestReply)) == 2
    assert call.counted.count("speculation_dropped") == 1
    assert call.counted.count("speculation_kept") == 1


def test_a_guess_at_other_words_than_the_last_ones_is_not_the_reply() -> None:
    call = world([Says("Wrong. ")], [Says("Right. ")], transcribe=lambda text: (0.6, text)).answered()
    call.says("where is my order and")
    call.give(PartlyTranscribed(1, "where is my order"))
    until(call, Thinking)
    call.listens()
    assert "speculation_kept" not in call.counted
    assert call.said[-1].endswith("Right.")
    assert "Wrong." not in " ".join(call.said)


def test_a_partial_transcript_of_something_else_starts_nothing() -> None:
    call = world(transcribe=lambda text: (0.6, text)).answered()
    call.says("one")
    for utterance, text in ((2, "one"), (1, " "), (1, "one and")):
        call.give(PartlyTranscribed(utterance, text))
    assert call.of(RequestReply) == []


# ── what nothing may interrupt ────────────────────────────────────────────────────

ANNOUNCED = words("law", 12)


def test_an_announcement_cannot_be_interrupted_and_keys_are_dealt_with_behind_it() -> None:
    call = world(rules=settings(announcement=f"{ANNOUNCED}.")).dial()
    until(call, Speaking).run(1.0)
    call.says("stop", 0.5)
    assert clears(call) == 0
    assert "voice_not_admitted" in call.counted
    call.types("42")
    assert clears(call) == 0
    assert isinstance(call.floor, Speaking)
    until(call, Typing)
    assert [speak.text for speak in call.of(Speak)][:1] == [f"{ANNOUNCED}."]
    assert call.said[0].startswith(f"{ANNOUNCED}.")
    until(call, Thinking)
    assert call.history[-1] == CallerSaid("42", "keypad")


def test_the_greeting_behind_an_announcement_can_be_interrupted() -> None:
    call = world(rules=settings(announcement=f"{ANNOUNCED}.", greeting=f"{words('hi', 12)}.")).dial()
    call.run_until(lambda world: len(world.of(Speak)) == 2)
    until(call, Speaking).run(0.5)
    call.says("stop", 0.5)
    assert clears(call) == 1


def test_who_speaks_on_when_the_announcement_is_over_is_heard() -> None:
    call = world(rules=settings(announcement=f"{words('law', 4)}.", greeting=f"{words('hi', 30)}.")).dial()
    until(call, Speaking).run(0.2)
    call.starts("stop").run(0.5)
    assert clears(call) == 0
    call.run_until(lambda world: isinstance(world.floor, Yielding))
    assert len(call.of(Speak)) == 2


def test_an_agent_that_only_keys_may_stop_ignores_voices() -> None:
    call = speaking(rules=settings(interruptible="keypad"))
    call.says("stop", 0.5)
    assert clears(call) == 0
    call.types("1")
    assert clears(call) == 1
    assert isinstance(call.floor, Typing)


def test_a_tool_may_say_what_may_stop_the_agent() -> None:
    call = world([Asks("look")], [Says(f"{words('r2.0', 20)}. ")], tool=lambda _command: None).answered()
    call.asks("go").run(0.5)
    call.give(ToolReturned("t1", "{}", interruptible="never"))
    until(call, Speaking).run(1.0)
    call.says("stop", 0.5)
    assert clears(call) == 0


# ── tools ─────────────────────────────────────────────────────────────────────────


def test_only_a_barge_in_with_words_cancels_and_only_tools_that_say_so() -> None:
    call = world(
        [Says(f"{words('r1.0', 20)}. "), Asks("search"), Asks("book")],
        rules=settings(cancellable=frozenset({"search"})),
        tool=lambda _command: Returns(after=9.0),
    ).answered()
    call.asks("go")
    until(call, Speaking).run(1.5)
    call.says("", 0.5).run(0.5)
    assert "utterance_without_words" in call.counted
    assert call.of(CancelTool) == []
    until(call, Speaking).run(0.5)
    call.says("stop", 0.5)
    until(call, Thinking)
    assert call.of(CancelTool) == [CancelTool("t1")]
    assert "cancelled" in call.answers()["t1"]
    call.run(12.0)
    assert call.answers()["t2"] == '{"ok":true}'


def test_each_wish_for_it_slows_the_agent_down_to_a_bound() -> None:
    slower: list[Sequence[object]] = [[Asks("speak_slower")], [Says("Like this? ")]]
    call = world(*slower * 5).answered()
    paces = []
    for _ in range(5):
        call.asks("slower please").listens()
        paces.append(call.of(Speak)[-1].pace)
    assert call.of(Speak)[0].pace == 1.0
    assert paces == pytest.approx([SLOWER, SLOWER**2, SLOWER**3, SLOWEST, SLOWEST])
    assert call.of(RunTool) == []
    assert call.conversation.speed == SLOWEST
    # Stock sentences are kept as the voice says them by nature, and heard also when no synthesizer answers.
    call.run(12.0)
    reminder = call.of(Speak)[-1]
    assert (isinstance(reminder.text, Phrase), reminder.pace) == (True, 1.0)


def test_a_tool_may_say_what_the_caller_will_be_asked_for() -> None:
    rules = settings(language=ZipLanguage())
    call = world([Asks("look")], [Says("And now? ")], rules=rules, tool=lambda _command: None).answered()
    call.asks("go").run(0.5)
    call.give(ToolReturned("t1", "{}", expects=Expectation("zip")))
    call.listens()
    call.says("1 2 3").run(0.2)
    assert isinstance(call.floor, Endpointing)
    assert call.floor.pause.expectation == Expectation("zip")
    assert pause(call) == pytest.approx(2.0)
    # It holds for one answer.
    call.listens()
    call.says("1 2 3")
    assert pause(call) == pytest.approx(1.0)


# ── dead air ──────────────────────────────────────────────────────────────────────


def filler(call: World) -> float:
    """When the agent says that it is busy, from the caller's last voice."""
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    call.run_until(lambda world: "filler" in world.phrases)
    return round(call.now - stopped, 6)


@pytest.mark.parametrize(("text", "after"), [("one", 1.3), ("one and", 1.8), ("whole", 1.25)])
def test_the_agent_bridges_dead_air_from_the_callers_last_voice(text: str, after: float) -> None:
    call = world([Stalls()]).answered()
    call.says(text)
    assert filler(call) == pytest.approx(after)


def test_silence_is_met_at_10_20_and_30_seconds_of_the_callers_last_voice_or_the_agents() -> None:
    call = world().answered()
    quiet = call.now
    met = []
    for sentence in ("still_there", "offer_help", "goodbye_silence"):
        call.run_until(lambda world, sentence=sentence: Phrase(sentence) in [s.text for s in world.of(Speak)])  # type: ignore[misc]
        met.append(round(call.now - quiet, 6))
    assert met == pytest.approx([10.0, 20.0, 30.0])


# ── several voices in one utterance ───────────────────────────────────────────────


def test_a_stranger_in_the_pause_does_not_cost_the_caller_their_words() -> None:
    call = world([Says("Here. ")]).answered()
    call.says("where is my order", sound=Voice(is_caller=True)).run(0.3)
    call.says("dinner", 0.5, sound=Voice(is_caller=False)).run(2.0)
    assert call.asked == ["where is my order dinner"]


def test_words_of_a_stranger_alone_ask_no_model_and_do_not_restart_the_silence() -> None:
    call = world().answered()
    call.run(7.0)
    call.says("dinner is ready", 1.0, sound=Voice(is_caller=False)).run(2.1)
    assert call.of(RequestReply) == []
    assert call.asked == []
    assert call.phrases == ["still_there"]


def test_a_voice_that_may_be_an_echo_teaches_nothing() -> None:
    call = world().answered()
    call.says("one", sound=Voice(is_echo=None)).run(2.0)
    assert call.asked == ["one"]
    assert call.of(KnowVoice) == []
    call.listens().says("two", sound=Voice(is_echo=False)).run(2.0)
    assert len(call.of(KnowVoice)) == 1


def test_another_voice_that_insists_is_the_caller_from_then_on() -> None:
    """They have handed the telephone to somebody: two utterances may be left alone, the third is a turn."""
    call = world([Says("Here. ")]).answered()
    for text in ("one", "two", "three"):
        call.says(text, sound=STRANGER).run(1.2)
    assert call.asked == ["three"]
    assert call.of(KnowVoice) == [KnowVoice(3, insisted=True)]
    assert len(call.of(ForgetCaller)) == 1


@pytest.mark.parametrize("verified", [True, False])
def test_whoever_insists_is_not_the_one_who_was_verified(verified: bool) -> None:
    """Nor is what was told to that one shown to their model; where nobody was verified, all of it is."""
    call = world([Says("It is 12 Elm Street. ")], [Says("Who is that? ")]).answered()
    call.verified = verified
    call.asks("my address").listens()
    for text in ("one", "two", "what is that address"):
        call.says(text, sound=STRANGER).run(1.6)
    shown = call.of(RequestReply)[-1].history
    said, called, answered = shown[-3:]
    assert said == CallerSaid("what is that address")
    assert isinstance(called, ToolCalled)
    assert answered == ToolAnswered(called.tool_call, "new_caller", '{"status":"nobody"}')
    assert ("Elm Street" in str(shown)) is not verified


def test_words_of_another_voice_that_are_an_answer_change_no_caller() -> None:
    call = world([Says("Is that right? ")], [Says("Fine. ")]).answered()
    call.asks("hello").listens()
    call.says("yes", 0.4, sound=STRANGER).run(1.2)
    assert call.asked[-1] == "yes"
    assert call.of(ForgetCaller) == []


def test_another_voice_that_answers_are_you_still_there_is_heard() -> None:
    call = world().answered()
    call.run(10.2).listens()
    call.says("yes I am", sound=STRANGER).run(1.2)
    assert call.asked == ["yes I am"]


def test_a_short_word_while_the_agent_has_said_nothing_yet_belongs_to_the_turn() -> None:
    call = world([Stalls()], [Says("Both. ")]).answered()
    call.asks("um the").run(0.2)
    call.says("blue", 0.3).run(1.5)
    assert call.asked == ["um the", "blue"]


def test_a_short_answer_whose_voice_was_not_sure_is_heard_when_it_is_over() -> None:
    call = world([Says(f"{words('r1.0', 3)}. ")]).answered()
    call.asks("go")
    until(call, Speaking).run(0.3)
    call.starts("stop", sound=MAYBE_ECHO)
    call.run(0.05)
    assert isinstance(call.floor, Speaking)
    call.sound = CALLER
    call.stops()
    assert isinstance(call.floor, Endpointing)


def test_what_is_said_while_typing_is_taken_up_when_the_entry_is_over() -> None:
    call = world([Stalls()]).answered()
    call.types("12", pause=0.2)
    call.starts("and another thing", sound=CALLER).run(4.0)
    call.stops().run(2.0)
    assert call.asked == ["12", "and another thing"]


def test_a_stranger_who_is_known_late_does_not_keep_the_agent_silent() -> None:
    call = world([Says(f"{words('r1.0', 60)}. ")]).answered()
    call.asks("go")
    until(call, Speaking).run(1.0)
    call.starts("dinner is ready").run(0.5)
    assert isinstance(call.floor, Hearing)
    call.sound = STRANGER
    call.run(0.5)
    assert isinstance(call.floor, Thinking | Speaking)
    call.run(2.0)
    call.stops().listens()
    assert call.asked == ["go"]


def test_the_turn_after_a_confirmed_effect_is_as_interruptible_as_any() -> None:
    call = world(
        [Asks("refund")],
        [Says(f"{words('r2.0', 20)}. ")],
        tool=lambda _c: Proposes("I refund it. Shall I?"),
        rules=settings(interruptible="never"),
    ).answered()
    call.asks("refund me").listens()
    call.asks("yes")
    until(call, Speaking).run(0.5)
    call.says("wait", sound=CALLER)
    assert not call.of(StopPlayback)


def test_a_monologue_is_answered_as_soon_as_its_words_are_there() -> None:
    call = world(transcribe=lambda _text: (0.1, "so much")).answered()
    call.starts("blah").run(30.3)
    assert call.asked == ["so much"]


def test_what_answers_the_agents_question_is_the_callers_whatever_the_voice() -> None:
    call = world([Says("Shall I? ")]).answered()
    call.asks("go").listens()
    call.says("yes", 0.4, STRANGER).run(0.6)
    assert call.asked == ["go", "yes"]


def test_another_voice_does_not_say_yes_to_an_effect() -> None:
    call = world([Asks("refund")], tool=lambda _command: Proposes("Refund it. Shall I?", "p1")).answered()
    call.asks("refund it").listens()
    call.says("yes", 0.4, STRANGER).run(1.2)
    assert call.of(ExecuteEffect) == []
    assert "foreign_voice" in call.counted


def test_a_cough_behind_brief_words_is_no_insisting() -> None:
    call = speaking()
    call.says("top", 0.3)
    until(call, Endpointing)
    call.run(0.1)
    call.says("top", 0.1).run(1.2)
    assert call.asked == ["go"]


def test_nothing_is_learned_of_another_voice_that_answers_once() -> None:
    call = world([Says("Shall I? ")]).answered()
    call.asks("go").listens()
    learned = call.of(KnowVoice)
    call.says("yes", 0.4, STRANGER).run(0.6)
    assert call.asked == ["go", "yes"]
    assert call.of(KnowVoice) == learned


def test_nobody_insists_on_an_effect() -> None:
    call = world([Asks("refund")], tool=lambda _command: Proposes("Refund it. Shall I?", "p1")).answered()
    call.asks("refund it").listens()
    for word in ("bla", "blub", "yes", "yes"):
        call.says(word, 0.4, STRANGER).run(1.2)
    assert call.of(ExecuteEffect) == []


@pytest.mark.parametrize("later", [number * 0.02 for number in range(28)])
def test_of_what_is_cut_off_history_has_what_was_played_since_the_last_mark(later: float) -> None:
    call = speaking(for_=3.0 + later)
    (segment,) = [number for number, sent in call.sent.items() if sent.text.startswith("r1.0.0")]
    # The ledger knows it by 0.06 s less: so long a mark takes to come back.
    played = call._position - (call._played_until - call.now) - 0.06 - call.sent[segment].start
    call.starts("no stop")
    assert clears(call) == 1
    each = len("r1.0.0 ") / LETTERS_PER_SECOND
    heard = call.conversation._agent.playback.segments[segment].text.split()
    assert len(heard) == pytest.approx(played / each, abs=0.5 + 0.02 / each)
