"""The small pure parts: sentences, keypad entries, the log."""

import pytest

from talkspurt.core.digits import Digits
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.log import RUNNING, Called, Log, Spoken
from talkspurt.core.playback import Playback
from talkspurt.core.sentences import flush, take_sentences


@pytest.mark.parametrize(
    ("text", "sentences", "rest"),
    [
        ("", (), ""),
        ("Hello", (), "Hello"),
        ("Hello.", (), "Hello."),
        ("Hello. ", ("Hello.",), ""),
        ("One. Two! Three? Fo", ("One.", "Two!", "Three?"), "Fo"),
        ("It is $89.99 today. Yes", ("It is $89.99 today.",), "Yes"),
        ("Dr. Lee and J. Smith came. So", ("Dr. Lee and J. Smith came.",), "So"),
        ("e.g. this", (), "e.g. this"),
        ('He said "no." Then', ('He said "no."',), "Then"),
        ("Well… yes", (), "Well… yes"),
        ("Well… Yes", ("Well…",), "Yes"),
        ("What?! Really", ("What?!",), "Really"),
        ("Line one.\nLine two", ("Line one.",), "Line two"),
        ("... ", (), "... "),
        ("... Hello. ", ("Hello.",), ""),
        (" leading", (), " leading"),
    ],
)
def test_sentences_end_where_a_speaker_would_pause(text: str, sentences: tuple[str, ...], rest: str) -> None:
    assert take_sentences(text) == (sentences, rest)


@pytest.mark.parametrize(
    ("text", "sentences"), [("", ()), ("  ", ()), ("...", ()), ("…!", ()), (" yes ", ("yes",)), ("7", ("7",))]
)
def test_what_is_left_is_a_sentence_if_there_is_something_to_say(text: str, sentences: tuple[str, ...]) -> None:
    assert flush(text) == sentences


def test_cutting_letter_by_letter_gives_the_same_sentences() -> None:
    text = 'Dr. Lee paid $89.99. "Really?" Yes... it is so! And the rest'
    spoken: list[str] = []
    rest = ""
    for letter in text:
        sentences, rest = take_sentences(rest + letter)
        spoken.extend(sentences)
    assert (tuple(spoken), rest) == take_sentences(text)
    assert (*spoken, *flush(rest)) == ("Dr. Lee paid $89.99.", '"Really?"', "Yes... it is so!", "And the rest")


@pytest.mark.parametrize(
    ("keys", "typed", "complete"),
    [
        ("", "", False),
        ("12", "12", False),
        ("1A", "1A", False),
        ("12#", "12", True),
        ("#", "", True),
        ("12*", "", False),
        ("12*3", "3", False),
        ("1234", "1234", True),
        ("1x2", "12", False),
    ],
)
def test_keys_become_an_entry(keys: str, typed: str, complete: bool) -> None:
    entry = Digits()
    for key in keys:
        entry = entry.press(key, 1.0, 4)
    assert (entry.typed, entry.complete) == (typed, complete)


@pytest.mark.parametrize("key", ["", "12", "x", "²", "٣", "a"])
def test_what_is_no_key_changes_nothing_not_even_the_time(key: str) -> None:
    entry = Digits("1", 1.0)
    assert entry.press(key, 5.0, 4) == entry


@pytest.mark.parametrize("key", ["1", "#", "*"])
def test_every_key_restarts_the_pause(key: str) -> None:
    assert Digits("1", 1.0).press(key, 5.0, 4).at == 5.0


def said(playback: Playback, segment: int, text: str, *, heard: bool) -> Spoken:
    playback.order(segment, text, 0.0)
    playback.started(segment, playback.epoch, float(segment), text, 0.0)
    if heard:
        playback.finished(segment, playback.epoch, float(segment), 0.0)
        playback.reached(playback.epoch, float(segment), 0.0)
    return Spoken(segment)


def test_history_is_in_the_order_of_places_and_holds_what_was_heard() -> None:
    playback, log = Playback(), Log()
    log.add(CallerSaid("hi"))
    log.add(said(playback, 1, "One.", heard=True))
    log.add(Called(ToolCalled("t1", "look", "{}")))
    log.add(said(playback, 2, "Two.", heard=True))
    log.add(said(playback, 3, "Three.", heard=False))
    call = (ToolCalled("t1", "look", "{}"), ToolAnswered("t1", "look", RUNNING))
    assert log.history(playback) == (CallerSaid("hi"), AgentSaid("One."), *call, AgentSaid("Two."))
    assert log.shown(playback)[-1] == AgentSaid("Two. Three.")


def test_a_model_is_shown_what_was_said_since_the_phone_was_handed_on() -> None:
    playback, log = Playback(), Log()
    log.add(said(playback, 1, "It goes to Elm Street.", heard=True))
    log.add(CallerSaid("here is my wife"))
    log.add(Called(ToolCalled("t1", "look", "{}"), "Elm Street"))
    log.add(Called(ToolCalled("t2", "hand", "{}")))
    assert not log.hand_on("t3")
    assert log.hand_on("t2")
    assert log.answer("t2", "x")
    log.add(said(playback, 2, "Hello.", heard=True))
    handed = (ToolCalled("t2", "hand", "{}"), ToolAnswered("t2", "hand", "x"))
    assert log.shown(playback) == (CallerSaid("here is my wife"), *handed, AgentSaid("Hello."))
    assert log.history(playback)[0] == AgentSaid("It goes to Elm Street."), "the store has all of it"


def test_words_after_an_interruption_are_another_entry() -> None:
    playback, log = Playback(), Log()
    log.add(said(playback, 1, "One.", heard=True))
    playback.interrupt_last(0)
    log.add(said(playback, 2, "Two.", heard=True))
    assert log.history(playback) == (AgentSaid("One.", interrupted=True), AgentSaid("Two."))


def test_a_tools_first_answer_lands_in_its_place() -> None:
    log = Log()
    log.add(Called(ToolCalled("t1", "look", "{}")))
    log.add(CallerSaid("hi"))
    assert not log.answer("t2", "x")
    assert log.answer("t1", "x")
    assert not log.answer("t1", "y")
    assert log.history(Playback())[:2] == (ToolCalled("t1", "look", "{}"), ToolAnswered("t1", "look", "x"))


def test_a_call_without_an_answer_can_stand_behind_what_led_to_it() -> None:
    playback, log = Playback(), Log()
    log.add(CallerSaid("hi"))
    for number in ("t1", "t2"):
        log.add(Called(ToolCalled(number, "verify", "{}")))
    log.add(said(playback, 1, "Key it in.", heard=True))
    assert log.settled(playback) == (CallerSaid("hi"),)
    log.postpone("t1")
    log.answer("t1", "x")
    log.answer("t2", "y")
    answered = (ToolAnswered("t2", "verify", "y"), AgentSaid("Key it in."), ToolCalled("t1", "verify", "{}"))
    assert log.settled(playback) == (
        ToolCalled("t2", "verify", "{}"),
        *answered,
        ToolAnswered("t1", "verify", "x"),
    )
    before = log.history(playback)
    log.postpone("t2")  # it has been answered and recorded
    log.postpone("t3")
    assert log.history(playback) == before


def test_entries_are_final_in_order_and_once() -> None:
    playback, log = Playback(), Log()
    log.add(CallerSaid("hi"))
    log.add(Called(ToolCalled("t1", "look", "{}")))
    log.add(said(playback, 1, "One.", heard=True))
    log.add(said(playback, 2, "Two.", heard=False))
    log.add(CallerSaid("bye"))
    assert log.settled(playback) == (CallerSaid("hi"),)
    assert log.settled(playback) == ()
    log.answer("t1", "x")
    assert log.settled(playback, tentative=1) == (ToolCalled("t1", "look", "{}"), ToolAnswered("t1", "look", "x"))
    assert log.settled(playback) == (AgentSaid("One."),)
    playback.stop()
    assert log.settled(playback) == (CallerSaid("bye"),)
