"""The words of a caller who has fallen silent do not come: how the wait is bridged, and when it is over.

Each test also runs under the rules of `call_referee`, and in a twin that is restored from a snapshot at every step.
"""

from collections import deque
from collections.abc import Sequence

import pytest

from core.call_world import Asks, Proposes, Says, Voices, World, WorldLanguage, settings, words
from talkspurt.core.commands import ExecuteEffect, Phrase, RequestReply, Speak, StopPlayback, WithdrawEffect
from talkspurt.core.conversation import STIRRING
from talkspurt.core.events import PartlyTranscribed, SpeechStirred, Voice
from talkspurt.core.language import ANYTHING, Expectation
from talkspurt.core.states import Endpointing, Hearing, Listening, Speaking, Thinking

BEHIND = 0.15
"""Seconds by which the scenario's clock may be behind: the detector's hangover, and a synthesizer's first sample."""


class IdentifierLanguage(WorldLanguage):
    """The agent has asked for a number."""

    def expectation(self, said: str, /) -> Expectation:
        return Expectation("identifier") if said else ANYTHING


class Recognizer:
    """Takes `after` seconds for the words, None for ever."""

    def __init__(self, after: float | None = None) -> None:
        self.after = after

    def __call__(self, text: str) -> tuple[float, str | None] | None:
        return None if self.after is None else (self.after, text)


def world(*replies: Sequence[object], after: float | None = None, **behaviour: object) -> World:
    """A call whose recognizer needs so long, None for ever."""
    return World(replies=deque(replies), rehearse=True, transcribe=Recognizer(after), **behaviour)  # type: ignore[arg-type]


def bridged(call: World) -> float:
    """Wait until the agent bridges the pause; the silence since the caller's last voice."""
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    call.run_until(lambda world: "filler" in world.phrases)
    return round(call.now - stopped, 6)


def interrupted(after: float | None = None) -> World:
    """The agent is in the middle of a long statement, and from now on the recognizer needs so long."""
    call = world([Says(f"{words('r1.0', 20)}. ")], after=0.05).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking)).run(1.0)
    call.transcribe = Recognizer(after)
    return call


def read_back(after: float | None = None) -> World:
    """The caller has heard what is to be done and is asked for a yes, and the recognizer needs so long for it."""
    call = world([Asks("refund")], after=0.05, tool=lambda _command: Proposes("I refund it. Shall I?")).answered()
    call.asks("please").listens()
    call.transcribe = Recognizer(after)
    return call


@pytest.mark.parametrize("voiced", [0.2, 1.0])
def test_a_caller_whose_words_never_come_is_told_to_wait_and_then_asked_again(voiced: float) -> None:
    call = world().answered()
    call.says("hello", voiced)
    stopped = call.now
    assert bridged(call) == pytest.approx(call.rules.filler_after)
    call.run_until(lambda world: "missed" in world.phrases)
    assert call.now <= stopped + 3.0 - BEHIND
    call.listens()
    assert call.phrases == ["filler", "missed"]
    assert call.counted[-3:] == ["transcript_late", "transcript_overdue", "utterance_without_words"]


def test_words_that_come_in_an_ordinary_time_are_not_waited_for_aloud() -> None:
    call = world(after=1.1).answered()
    call.asks("hello").listens()
    assert call.phrases == []


def test_late_words_are_answered_behind_the_filler_and_no_other_filler_follows_at_once() -> None:
    call = world([Says("Your order is here. ", after=2.0)], after=1.6).answered()
    call.says("where is my order").listens()
    assert call.asked == ["where is my order"]
    assert call.phrases == ["filler"]
    assert call.said[-1] == "Your order is here."
    assert call.of(StopPlayback) == []


def test_a_model_that_is_slow_as_well_is_bridged_once_more_before_three_seconds() -> None:
    call = world([Says("Your order is here. ", after=8.0)], after=1.6).answered()
    call.says("where is my order").listens()
    assert call.phrases == ["filler", "still_working"]


def test_a_model_that_is_asked_behind_late_words_and_a_tool_is_bridged_in_time_for_the_caller() -> None:
    replies = [Asks("refund")], [Says("It is done. ", after=2.0)]
    call = world(*replies, after=0.05, tool=lambda _command: Proposes("I refund it. Shall I?")).answered()
    call.asks("please").listens()
    call.transcribe = Recognizer(0.9)
    call.says("yes")
    assert bridged(call) == pytest.approx(call.rules.filler_by)
    assert len(call.of(RequestReply)) == 2


def test_late_words_that_ask_for_more_are_waited_for_as_ever() -> None:
    call = world(after=1.2).answered()
    call.says("this and")
    bridged(call)
    call.run(0.06)
    assert isinstance(call.floor, Endpointing)
    assert call.floor.text == "this and"
    call.run_until(lambda world: isinstance(world.floor, Thinking))
    assert call.asked == ["this and"]


def test_no_words_at_all_are_a_miss_once_the_caller_was_told_to_wait() -> None:
    call = world(after=1.6).answered()
    call.says("", 0.2).listens()
    assert call.phrases == ["filler", "missed"]


def test_nobody_is_told_to_wait_while_more_digits_may_come() -> None:
    call = world(rules=settings(language=IdentifierLanguage())).answered()
    call.says("one two three")
    assert bridged(call) == pytest.approx(call.rules.endpointing.partial)


def test_in_noise_nobody_is_told_to_wait_right_before_the_agent_says_that_it_did_not_hear() -> None:
    call = world(rules=settings(language=IdentifierLanguage())).answered()
    call.says("one two three", sound=Voice(is_in_noise=True))
    assert bridged(call) == pytest.approx(call.rules.endpointing.partial)


@pytest.mark.parametrize("sound", [Voice(is_caller=False), Voice(is_voice=False)])
def test_nobody_else_is_told_to_wait(sound: Voice) -> None:
    call = world().answered()
    call.says("dinner", 1.0, sound).run(4.0)
    assert call.phrases == []
    assert isinstance(call.floor, Listening)


def test_a_yes_whose_words_come_late_confirms_for_what_was_said_meanwhile_came_after_it() -> None:
    call = read_back(after=1.8)
    call.says("yes", 0.3).listens()
    assert call.phrases[0] == "filler"
    assert len(call.of(ExecuteEffect)) == 1


def test_a_yes_that_is_said_again_into_the_filler_confirms_too() -> None:
    call = read_back()
    call.says("yes", 0.3).run(1.8)
    call.transcribe = Recognizer(0.05)
    call.says("yes", 0.3).listens()
    assert call.of(ExecuteEffect) == []
    assert call.asked[-1] == "yes yes"


def test_a_yes_behind_a_sorry_confirms_nothing() -> None:
    call = read_back()
    call.says("yes", 0.3).listens()
    assert call.phrases == ["filler", "missed"]
    call.transcribe = Recognizer(0.05)
    call.asks("yes").listens()
    assert call.of(ExecuteEffect) == []
    assert len(call.of(WithdrawEffect)) == 1


def test_a_caller_who_goes_on_over_the_filler_is_heard_as_one() -> None:
    call = world().answered()
    call.says("where is")
    bridged(call)
    call.run(0.5)
    stops = len(call.of(StopPlayback))
    call.starts("my order")
    assert isinstance(call.floor, Hearing)
    assert len(call.of(StopPlayback)) == stops + 1
    call.transcribe = Recognizer(0.05)
    call.run(0.6).stops().listens()
    assert call.asked == ["where is my order"]
    assert call.phrases == ["filler"]


@pytest.mark.parametrize("goes_on", [0.6, 0.2])
def test_a_voice_over_the_filler_that_might_have_been_its_echo_is_heard_once_it_is_known(goes_on: float) -> None:
    """The shorter one is over before anybody looks at it again."""
    call = world().answered()
    call.says("where is")
    bridged(call)
    call.run(0.5).starts("my order", Voice(is_echo=None))
    assert isinstance(call.floor, Endpointing)
    call.sound = Voice(is_echo=False)
    call.transcribe = Recognizer(0.05)
    call.run(goes_on).stops().listens()
    assert call.asked == ["where is my order"]


def test_the_echo_of_the_filler_is_nobody_who_goes_on() -> None:
    call = world(after=2.2).answered()
    call.says("hello")
    bridged(call)
    call.run(0.3).says("", 0.3, Voice(is_echo=True))
    assert isinstance(call.floor, Endpointing)
    assert call.of(StopPlayback) == []
    call.listens()
    assert call.asked == ["hello"]


def test_a_turn_that_was_spoken_into_goes_on_behind_the_filler_where_it_stopped() -> None:
    call = interrupted()
    call.says("hm", 0.4).listens()
    assert call.phrases == ["filler"]
    assert call.asked == ["go"]
    said = [word for word in call.said[-1].split() if word.startswith("r1")]
    assert said == f"{words('r1.0', 20)}.".split()


def test_late_words_take_the_turn_that_they_were_spoken_into() -> None:
    call = interrupted(after=1.6)
    call.says("no, the other one", 1.0).listens()
    assert call.phrases == ["filler"]
    assert call.asked == ["go", "no, the other one"]
    # What was cut off is the reply, not the filler behind it.
    cut = [entry for entry in call.history if getattr(entry, "interrupted", False)]
    assert len(cut) == 1
    assert getattr(cut[0], "text", "").split()[-1].startswith("r1")


def test_what_was_cut_off_of_the_filler_is_not_said_again() -> None:
    call = interrupted()
    call.says("hm", 0.4)
    bridged(call)
    call.run(0.4).says("hm", 0.2).listens()
    assert call.phrases[:1] == ["filler"]
    assert call.phrases.count("filler") <= 2
    fillers = [speak for speak in call.of(Speak) if isinstance(speak.text, Phrase)]
    assert all(call.sent[speak.segment].epoch == speak.epoch for speak in fillers)


def test_the_agent_has_not_heard_in_time_whatever_its_filler_waits_for() -> None:
    call = world(rules=settings(filler_after=5.0)).answered()
    call.says("hello")
    assert isinstance(call.floor, Endpointing)
    stopped = call.floor.stopped_at
    call.run_until(lambda world: bool(world.phrases))
    assert call.now == pytest.approx(stopped + call.rules.transcript_patience)
    assert call.phrases == ["missed"]


def test_nobody_is_told_to_wait_while_they_may_be_going_on() -> None:
    call = world().answered()
    call.says("hello")
    assert isinstance(call.floor, Endpointing)
    call.run(call.floor.stopped_at + 1.2 - call.now)
    call.give(SpeechStirred(call.now))
    assert bridged(call) == pytest.approx(1.2 + STIRRING)


@pytest.mark.parametrize("answer", [None, ""])
def test_a_voice_over_the_end_of_the_last_word_is_asked_again_behind_the_filler(answer: str | None) -> None:
    call = world([Says("Shall it be blue? ")], after=0.05).answered()
    call.asks("go").run_until(lambda world: isinstance(world.floor, Speaking))
    call.run_until(lambda world: world.conversation._agent.playback.unheard < 0.2)
    assert isinstance(call.floor, Speaking)
    call.transcribe = lambda _text: (1.6, answer)
    call.says("yes", 0.3).listens()
    assert call.phrases == ["filler", "missed"]


def mute_stock(call: World) -> World:
    """From now on no stock sentence can be spoken, and such a one is soon given up."""
    call.rules = settings(segment_timeout=0.3, playback_patience=0.3)
    call.conversation._settings = call.conversation._agent._settings = call.rules
    call.clone()
    call.voice = lambda speak: None if isinstance(speak.text, Phrase) else Voices()
    return call


def test_a_filler_that_cannot_be_spoken_changes_nothing() -> None:
    call = mute_stock(world(after=2.2).answered())
    call.says("hello").listens()
    assert "segment_overdue" in call.counted
    assert call.asked == ["hello"]
    assert call.phrases == ["filler"]


def test_a_filler_that_cannot_be_spoken_changes_nothing_for_the_turn_that_was_spoken_into() -> None:
    call = mute_stock(interrupted())
    call.says("hm", 0.4).listens()
    assert "segment_overdue" in call.counted
    assert call.phrases == ["filler"]
    assert call.said[-1].endswith(f"{words('r1.0', 20).split()[-1]}.")


def test_a_turn_that_goes_on_waiting_behind_the_filler_says_that_it_is_still_at_it() -> None:
    call = world([Says("Here it is. ", after=9.0)], after=0.05).answered()
    call.asks("go")
    call.transcribe = Recognizer()
    call.says("hm", 0.3).listens()
    assert call.phrases[:2] == ["filler", "still_working"]
    assert call.said[-1].endswith("Here it is.")


def test_a_line_that_breaks_in_the_wait_comes_back_as_ever() -> None:
    call = world().answered()
    call.says("hello")
    bridged(call)
    call.run(0.3).lose_line().run(1.0).dial().listens()
    assert call.phrases == ["filler", "line_back"]


def test_a_key_in_the_wait_is_an_entry() -> None:
    call = world().answered()
    call.says("hello")
    bridged(call)
    call.types("12#").run(0.5)
    assert call.asked == ["12"]
    call.listens()
    assert call.phrases == ["filler"]


def test_a_monologue_that_was_cut_short_is_bridged_too() -> None:
    call = world(rules=settings(max_utterance=5.0)).answered()
    call.starts("blah").run(5.1)
    assert bridged(call) == pytest.approx(call.rules.filler_after)


def test_a_guess_at_what_is_known_so_far_is_kept_when_the_words_come_late() -> None:
    call = world([Says("Your order is here. ")], after=1.8).answered()
    call.says("where is my order").run(0.3)
    call.give(PartlyTranscribed(1, "where is my order"))
    call.listens()
    assert "speculation_kept" in call.counted
    assert len(call.of(RequestReply)) == 1
    assert call.phrases == ["filler"]
