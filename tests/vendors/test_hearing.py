"""Which words belong to which utterance."""

from hypothesis import given
from hypothesis import strategies as st

from talkspurt.recognizers.hearing import Hearing, Word


def word(text: str, at: float) -> Word:
    return Word(text, at, at + 0.2)


def test_an_utterance_owns_the_words_from_its_beginning() -> None:
    hearing = Hearing()
    hearing.hear_final([word("before", 0.0), word("hello", 1.0)], until=1.5)
    hearing.begin(1, 0.9)
    hearing.hear_final([word("there", 2.0)], until=2.5)
    assert hearing.text(1) == "hello there"


def test_the_next_utterance_takes_over() -> None:
    hearing = Hearing()
    hearing.begin(1, 0.0)
    hearing.begin(2, 1.0)
    hearing.hear_final([word("one", 0.5), word("two", 1.5)], until=2.0)
    assert (hearing.text(1), hearing.text(2)) == ("one", "two")
    assert hearing.current == 2


def test_guesses_are_replaced_and_become_words_once() -> None:
    hearing = Hearing()
    hearing.begin(1, 0.0)
    hearing.hear_interim([word("wreck", 0.1)])
    hearing.hear_interim([word("recognise", 0.1), word("speech", 0.5)])
    assert hearing.text(1, guesses=True) == "recognise speech"
    assert hearing.text(1) == ""
    hearing.hear_final([word("recognise", 0.1), word("speech", 0.5)], until=1.0)
    assert hearing.text(1, guesses=True) == "recognise speech"


def test_an_ended_utterance_is_forgotten() -> None:
    hearing = Hearing()
    hearing.begin(1, 0.0)
    hearing.hear_final([word("gone", 0.5)], until=1.0)
    hearing.end(1, 60.0)
    hearing.begin(2, 0.0)
    assert not hearing.is_open(1)
    assert hearing.text(1) == hearing.text(2) == ""


def test_a_beginning_may_reach_back_to_before_the_end_of_the_last() -> None:
    hearing = Hearing()
    hearing.begin(1, 0.0)
    hearing.hear_final([word("late", 4.5)], until=5.0)
    hearing.end(1, 5.0)
    hearing.begin(2, 4.4)
    assert hearing.text(2) == "late"


def test_damage_is_of_what_was_open() -> None:
    hearing = Hearing()
    hearing.begin(1, 0.0)
    hearing.damage()
    hearing.begin(2, 1.0)
    assert hearing.is_damaged(1)
    assert not hearing.is_damaged(2)
    assert not hearing.is_damaged(3)


@given(st.lists(st.floats(0, 30), max_size=30), st.lists(st.floats(0, 30), min_size=1, max_size=6))
def test_no_word_belongs_to_two_utterances(times: list[float], beginnings: list[float]) -> None:
    hearing = Hearing()
    for utterance, at in enumerate(sorted(beginnings)):
        hearing.begin(utterance, at)
    words = [Word(f"w{number}", at, at) for number, at in enumerate(sorted(times))]
    hearing.hear_final(words, until=31)
    owned = [text for utterance in range(len(beginnings)) for text in hearing.text(utterance).split()]
    assert sorted(owned) == sorted(each.text for each in words if each.start >= min(beginnings))
