"""What of a growing text can be spoken: sentences, a first clause, pieces of a long sentence."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from talkspurt.core.sentences import LONGEST, UNTOLD, Pieces, split_long, take_speakable

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


# ── pieces that are told together ─────────────────────────────────────────────────

_TELLING = "ab I1.,;:—…!?\"')*_-#• \n"
"""What a rule of speech asks about."""


def spoken_behind_each(told: list[str], first: bool) -> list[tuple[str, ...]]:
    """What could be spoken behind each of these tellings."""
    spoken: list[tuple[str, ...]] = []
    rest = ""
    said: tuple[str, ...] = ()
    for text in told:
        sentences, rest = take_speakable(rest + text, first=first and not said) if text else ((), rest)
        said = (*said, *sentences)
        spoken.append(said)
    return spoken


@given(st.lists(st.text(alphabet=_TELLING, min_size=1, max_size=5), max_size=60), st.booleans())
def test_what_is_told_together_is_spoken_no_later_than_if_each_was_told(pieces: list[str], first: bool) -> None:
    together = Pieces()
    told = [together.add(piece, number * 0.001) for number, piece in enumerate(pieces)]
    assert spoken_behind_each(told, first) == spoken_behind_each(pieces, first)
    assert "".join([*told, together.take(1.0)]) == "".join(pieces)


def test_most_tokens_of_a_reply_are_told_together() -> None:
    reply = "Your order left our warehouse on Monday morning. It should be with you by Thursday evening, I am told."
    together = Pieces()
    told = [together.add(f"{word} ", number * 0.01) for number, word in enumerate(reply.split())]
    assert [text for text in told if text][:2] == ["Your ", "order left our warehouse on Monday morning. "]
    assert sum(bool(text) for text in told) < len(told) / 2


def test_a_slow_text_is_told_as_it_comes() -> None:
    together = Pieces()
    assert [together.add("word ", number * UNTOLD) for number in range(3)] == ["word "] * 3
