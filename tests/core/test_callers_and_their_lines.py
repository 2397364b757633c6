"""Callers who never stop, lines that clatter, words that do not come: what is heard of them, and what is said.

Each rule in a whole call, in a twin that is restored from a snapshot at every step.
"""

import pytest

from core.call_world import Asks, Proposes, Says, Stalls, Voices, WorldLanguage, settings, words
from core.test_turn_taking_scenarios import CALLER, NOISE, STRANGER, pause, until, world
from talkspurt.core.commands import BeginUtterance, ExecuteEffect, Phrase, Speak, StopPlayback, Transcribe
from talkspurt.core.events import PartlyTranscribed, Voice
from talkspurt.core.language import Expectation
from talkspurt.core.settings import Settings
from talkspurt.core.states import Endpointing, Hearing, Listening, Speaking


class EmailLanguage(WorldLanguage):
    """Asks for e-mail addresses, and knows who says something else than one: all whose words begin with "but"."""

    def expectation(self, said: str, /) -> Expectation:
        return Expectation("email") if said.endswith("email?") else super().expectation(said)

    def digresses(self, text: str, _expectation: Expectation, /) -> bool:
        return text.startswith("but")


# ── who never stops ───────────────────────────────────────────────────────────────


def test_a_monologue_of_many_breaths_is_answered_in_the_middle() -> None:
    """A talkspurt while its words are waited for asks for no transcript of all of it anew: none would ever come."""
    call = world(transcribe=lambda _text: (1.0, "so much")).answered()
    while call.now < 40.0:
        call.says("blah", 0.4).run(0.1)
    asked = [command for command in call.of(Transcribe) if command.utterance == 1]
    assert len(asked) <= 75  # one a breath, and none behind the cut
    assert call.asked[:1] == ["so much"]


def test_a_last_syllable_of_somebody_else_does_not_cost_a_long_story() -> None:
    call = world(transcribe=lambda _text: (0.2, "so much")).answered()
    began = call.now
    while call.now < began + 28.5:
        call.says("blah", 1.4, CALLER).run(0.1)
    call.starts("dinner", STRANGER).run(3.0)
    assert "utterance_too_long" in call.counted
    assert call.asked == ["so much"]


def test_the_end_of_a_monologue_is_not_the_monologue_again() -> None:
    call = world([Stalls()], transcribe=lambda text: (1.5, text or "so much")).answered()
    began = call.now
    call.starts().run(30.3)
    call.stops().run(4.0)
    assert call.asked[0] == "so much"
    first, second = call.of(BeginUtterance)
    assert first.at == pytest.approx(began)
    assert second.at == pytest.approx(began + 30.0)


def test_music_into_the_agents_turn_stops_it_once() -> None:
    """What went on for so long without a word may only stop it again if it is surely the caller."""
    call = world([Says(f"{words('r1.0', 60)}. ")], transcribe=lambda _text: (0.1, "")).answered()
    call.transcribe = lambda text: (0.1, text)
    call.asks("go")
    until(call, Speaking).run(1.0)
    call.transcribe = lambda _text: (0.1, "")
    call.starts("").run(31.0)
    assert "utterance_too_long" in call.counted
    until(call, Speaking).run(5.0)
    assert isinstance(call.floor, Speaking)
    call.sound = CALLER
    until(call, Hearing)


def test_music_with_dips_stops_the_agent_once_too() -> None:
    call = world([Says(f"{words('r1.0', 90)}. ")]).answered()
    call.asks("go")
    until(call, Speaking).run(1.0)
    call.transcribe = lambda _text: (0.1, "")
    call.starts("").run(31.0)
    call.stops()
    until(call, Speaking)
    clears = len(call.of(StopPlayback))
    for _ in range(10):
        call.says("", 0.8).run(0.2)
    assert len(call.of(StopPlayback)) == clears
    call.transcribe = lambda text: (0.1, text)
    call.says("stop", 0.8, CALLER).run(2.0)
    assert call.asked == ["go", "stop"]
    call.says("and now", 0.8).run(2.0)
    assert call.asked[-1].endswith("and now")


def test_who_speaks_into_the_silence_behind_music_is_heard() -> None:
    """Nothing could be stopped, so nothing is doubted; and a key does not end the doubt."""
    call = world().answered()
    call.transcribe = lambda _text: (0.1, "")
    call.starts("").run(31.0)
    call.stops()
    until(call, Speaking)
    call.transcribe = lambda text: (0.1, text)
    call.starts("where is my order").run(0.1)
    assert isinstance(call.floor, Speaking)
    until(call, Hearing)
    call.stops().run(2.0)
    assert call.asked == ["where is my order"]


def test_a_key_does_not_give_music_the_turn_back() -> None:
    call = world([Says(f"{words('r1.0', 60)}. ")]).answered()
    call.transcribe = lambda _text: (0.1, "")
    call.starts("").run(31.0)
    until(call, Speaking)
    call.types("1").run_until(lambda world: "1" in world.asked)
    until(call, Speaking).run(3.0)
    assert isinstance(call.floor, Speaking)


def test_an_outage_makes_nobody_a_stranger() -> None:
    call = world(transcribe=lambda _text: None).answered()
    call.starts("so much").run(33.0)
    assert call.phrases[-1] == "missed"
    call.transcribe = lambda text: (0.1, text)
    call.run(1.0).stops().run(3.0)
    assert call.asked == ["so much"]


def test_what_is_said_while_the_words_of_a_monologue_are_waited_for_is_not_lost() -> None:
    call = world([Stalls()], transcribe=lambda text: (1.5, text or "so much")).answered()
    call.starts().run(30.05)
    assert isinstance(call.floor, Endpointing)
    call.speaking_since = None
    call.says("no wait", 0.4).run(0.1)
    call.says("cancel that", 0.4)
    assert isinstance(call.floor, Endpointing)
    call.run(5.0)
    assert call.asked == ["so much", "no wait cancel that"]


# ── who is not there any more ─────────────────────────────────────────────────────


@pytest.mark.parametrize("sound", [Voice(), NOISE])
def test_clatter_does_not_keep_an_abandoned_line_open(sound: Voice) -> None:
    call = world(transcribe=lambda _text: (0.1, "")).answered()
    quiet = call.now
    while not call.ended and call.now < quiet + 60.0:
        call.says("", 0.2, sound).run(3.0)
    assert call.ended == "caller_silent"
    assert call.now == pytest.approx(quiet + 34.0, abs=6.0)


# ── words that do not come ────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [(0.4, None), None])
def test_the_words_so_far_count_when_the_transcript_does_not_come(answer: tuple[float, None] | None) -> None:
    call = world([Says("Here. ")], transcribe=lambda _text: answer).answered()
    call.starts("where is my order").run(0.8)
    call.give(PartlyTranscribed(1, "where is"))
    call.run(0.2)
    call.stops()
    call.give(PartlyTranscribed(1, "where is my order"))
    call.run(3.2)
    assert call.asked == ["where is my order"]
    assert "missed" not in call.phrases


def test_words_from_before_the_pause_count_too() -> None:
    call = world([Says("Here. ")], transcribe=lambda _text: (0.2, None)).answered()
    call.starts("where is my order").run(0.8)
    call.give(PartlyTranscribed(1, "where is my order"))
    call.stops().run(2.0)
    assert call.asked == ["where is my order"]


def test_words_so_far_that_others_have_followed_are_not_all() -> None:
    call = world([Says("Shall I? ")], transcribe=lambda text: (0.05, text)).answered()
    call.asks("go").listens()
    call.transcribe = lambda _text: None
    call.starts("yes").run(0.4)
    call.give(PartlyTranscribed(2, "yes"))
    call.stops().run(0.1)
    call.says("but only that", 0.8).run(3.2)
    assert "yes" not in call.asked
    assert "missed" in call.phrases


def test_a_second_recognizer_that_begins_again_takes_no_words_away() -> None:
    call = world([Says("Here. ")], transcribe=lambda _text: None).answered()
    call.starts("where is my order").run(0.8)
    call.stops()
    call.give(PartlyTranscribed(1, "where is my order"))
    call.run(1.0)
    call.give(PartlyTranscribed(1, "where is"))
    call.run(3.0)
    assert call.asked == ["where is my order"]


def test_the_words_so_far_are_no_yes_to_an_effect() -> None:
    """What is missing may be "but not the blue one"."""
    call = world([Asks("refund")], tool=lambda _command: Proposes("Refund it. Shall I?", "p1")).answered()
    call.asks("refund it").listens()
    call.transcribe = lambda _text: (0.4, None)
    call.starts("yes").run(0.4)
    call.stops()
    call.give(PartlyTranscribed(2, "yes"))
    call.run(4.0)
    assert call.of(ExecuteEffect) == []


# ── how long is waited ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("effect", "after"), [(True, 0.45), (False, 0.15)])
def test_a_yes_that_cannot_be_taken_back_is_given_time_to_go_on(effect: bool, after: float) -> None:
    replies = [Asks("refund")] if effect else [Says("Refund it. Shall I? ")]
    call = world(replies, tool=lambda _command: Proposes("Refund it. Shall I?", "p1")).answered()
    call.asks("refund it").listens()
    call.says("yes", 0.4)
    assert pause(call) == pytest.approx(after)


def test_a_yes_that_is_taken_back_at_once_executes_nothing() -> None:
    call = world([Asks("refund")], tool=lambda _command: Proposes("Refund it. Shall I?", "p1")).answered()
    call.asks("refund it").listens()
    call.says("yes", 0.4).run(0.25)
    call.says("but not that one", 0.8).run(1.5)
    assert call.asked[-1] == "yes but not that one"
    assert call.of(ExecuteEffect) == []


@pytest.mark.parametrize(("text", "after"), [("hm", 2.0), ("but where do I find it", 1.0), ("but whole", 1.0)])
def test_who_says_something_else_than_the_number_is_answered_as_ever(text: str, after: float) -> None:
    rules = settings(language=EmailLanguage())
    call = world([Says("What is your email? ")], rules=rules).answered()
    call.asks("help me").listens()
    call.says(text)
    assert pause(call) == pytest.approx(after)


# ── what the agent says ───────────────────────────────────────────────────────────


def test_in_noise_what_seems_to_be_something_else_may_be_a_misread_number() -> None:
    for sound, wait in ((Voice(is_in_noise=True), 1.5), (Voice(), 1.0)):
        call = world([Says("Your email? ")], rules=settings(language=EmailLanguage())).answered()
        call.asks("go").listens()
        call.says("but why", sound=sound)
        assert pause(call) == pytest.approx(wait)


def test_the_rest_of_a_stock_sentence_is_no_question_of_the_agents() -> None:
    """ "You say it again?" is not what the agent wants to know."""
    rules = settings(language=EmailLanguage())
    call = world([Says("What is your email? ")], rules=rules).answered()
    call.asks("help me").listens()
    call.transcribe = lambda _text: (0.05, "")
    call.says("", 0.8)
    call.run_until(lambda world: "missed" in world.phrases).run(0.7)
    call.says("", 0.1, Voice(is_voice=None))
    until(call, Speaking)
    assert any(isinstance(speak.text, str) and "missed" in speak.text for speak in call.of(Speak))
    call.listens()
    call.transcribe = lambda text: (0.05, text)
    call.says("w")
    assert isinstance(call.floor, Endpointing)
    assert call.floor.pause.expectation == Expectation("email")


def test_a_clause_that_is_there_is_said_as_the_line_falls_silent() -> None:
    rest = "your order left the house this morning, and then"
    call = world([Says("Sure, it did. "), Says(rest, after=0.01), Stalls()]).answered()
    call.asks("go")
    until(call, Speaking)
    assert [speak.text for speak in call.of(Speak)][-1] == "Sure, it did."
    call.run(2.5)
    assert [speak.text for speak in call.of(Speak)][-1] == "your order left the house this morning,"


def test_a_clause_is_said_when_the_line_has_fallen_silent() -> None:
    """Not a filler in the middle of what the model is saying."""
    rest = "your order left the house this morning, and then"
    call = world([Says("Sure. "), Says(rest, after=1.5), Stalls()]).answered()
    call.asks("go")
    until(call, Speaking)
    call.run(2.5)
    assert [speak.text for speak in call.of(Speak)][-1] == "your order left the house this morning,"
    assert Phrase("filler") not in [speak.text for speak in call.of(Speak)]


def test_without_marks_the_next_reply_is_not_waited_for_behind_the_first() -> None:
    call = world(
        [Says(f"{words('r1.0', 12)}. ")], mark=lambda: None, voice=lambda _command: Voices(after=0.05, more=0.05)
    )
    call.dial().run_until(lambda world: isinstance(world.floor, Listening))
    call.asks("go")
    until(call, Speaking)
    began = call.now
    until(call, Listening)
    spoken = next(sent for sent in call.sent.values() if sent.text.startswith("r1.0"))
    assert call.now - began == pytest.approx(spoken.length + Settings().playback_patience, abs=0.3)
