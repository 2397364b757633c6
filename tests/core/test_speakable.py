"""What of a growing text can be spoken: sentences, a first clause, pieces of a long sentence."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from talkspurt.core.sentences import LONGEST, split_long, take_speakable

LONG = "We have looked at everything that came in since last week, " * 8 + "and there is nothing."


def test_nothing_is_spoken_of_half_a_sentence_once_something_was_said() -> None:
    assert take_speakable("Your order left our house on Monday, and it", first=False)[0] == ()


def test_a_first_clause_is_spoken_before_its_sentence_is_whole() -> None:
    assert take_speakable("Your order left our house on Monday, and it", first=True) == (
        ("Your order left our house on Monday,",),
        "and it",
    )


@pytest.mark.parametrize("text", ["Well, your order ", "It costs 1, 250 dollars in all and", "Your order has left"])
def test_a_short_clause_a_number_and_a_plain_beginning_are_waited_for(text: str) -> None:
    assert take_speakable(text, first=True) == ((), text)


def test_whole_sentences_come_before_clauses() -> None:
    text = "Good morning to you, dear caller. Your order left"
    assert take_speakable(text, first=True) == (("Good morning to you, dear caller.",), "Your order left")


def test_a_long_sentence_is_cut_at_its_clauses() -> None:
    pieces = split_long(LONG)
    assert len(pieces) > 1
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert all(piece.endswith((",", ".")) for piece in pieces)
    assert " ".join(pieces) == LONG


def test_a_long_sentence_without_clauses_is_cut_between_words() -> None:
    pieces = split_long("word " * 200)
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert " ".join(pieces).split() == ["word"] * 200


@given(st.text(alphabet="ab ,;:.1—\n", max_size=600), st.booleans())
def test_no_word_is_lost_or_invented(text: str, first: bool) -> None:
    pieces, rest = take_speakable(text, first=first)
    said = "".join("".join(piece.split()) for piece in (*pieces, rest))
    letters = [character for character in text if character.isalnum()]
    assert [character for character in said if character.isalnum()] == letters
