"""What is said of a text: the cases of the benchmark, and what holds for any text."""

import time

import pytest
from benchmarks.normalisation.cases import FILES, Case, cases
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.agent.spoken_form.english import english_form
from talkspurt.agent.spoken_form.scanning import LONGEST
from talkspurt.core.spoken_form import as_written, is_sound

ALL = [case for direction in FILES for case in cases(direction, held_out=False)]


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.direction}-{case.kind}")
def test_a_case_is_right(case: Case) -> None:
    assert case.passes(), case.result()


_LIKELY = st.lists(
    st.sampled_from([*(word for case in ALL for word in case.given.split()), "**", "#", "|", "😀", "\n", "-", "p.m."])
).map(" ".join)


@given(st.one_of(_LIKELY, st.text(max_size=200)))
def test_every_written_word_has_its_place_in_what_is_said(text: str) -> None:
    form = english_form(text)
    assert form.written == text
    assert is_sound(form)
    assert all(not word.isspace() and word for word in form.words)


@given(st.one_of(_LIKELY, st.text(max_size=200)))
def test_nothing_reaches_the_synthesizer_that_could_steer_it(text: str) -> None:
    said = english_form(text).text
    assert not set("<>[]{}|\\*_`#^~\x1b") & set(said)
    assert said.isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It ends in 713.", ["It", "ends", "in", "seven one three."]),
        ("Good, number 154 it is", ["Good,", "number", "one five four", "it", "is"]),
        ("Call 555 123 4567", ["Call", "five five five,", "one two three,", "four five six seven"]),
        ("Denver, CO 80210", ["Denver,", "Colorado", "eight zero two one zero"]),
    ],
)
def test_what_is_said_as_it_is_written_stays_with_its_word(text: str, said: list[str]) -> None:
    """A rule may need the words around a number; what was heard of it is the number's alone."""
    form = english_form(text)
    assert [" ".join(form.words[form.said_before(at) : end]) for at, end in enumerate(form.ends)] == said


def test_words_map_to_the_words_they_were_written_as() -> None:
    form = english_form("Order #W2378156 costs $5 million, 😀 ok?")
    said = [form.words[form.said_before(at) : end] for at, end in enumerate(form.ends)]
    assert said == [
        ("Order",),
        ("W,", "two", "three", "seven,", "eight", "one", "five", "six"),
        ("costs",),
        ("five",),
        ("million", "dollars,"),
        (),
        ("ok?",),
    ]


def test_a_word_is_heard_when_all_of_it_was_said() -> None:
    form = english_form("It is #W2378156 today.")
    assert [form.heard(words) for words in (0, 2, 3, 9, 10, 11)] == [0, 2, 2, 2, 3, 4]


def test_the_rest_of_a_form_says_the_rest() -> None:
    form = english_form("It is #W2378156 today.")
    rest = form.rest(2)
    assert rest.written == "#W2378156 today."
    assert rest.text == "W, two three seven, eight one five six today."
    assert is_sound(rest)
    assert form.rest(0) == form


def test_a_text_that_needs_no_other_form_is_said_as_it_stands() -> None:
    text = "Your order left our house this morning."
    assert english_form(text) == as_written(text)


@pytest.mark.parametrize(
    "text", ["9" * 50_000, "a" * 50_000, "#W2378156 " * 5_000, "$" * 9_999, "1-" * 9_999, "(" * 9_999, "**" * 9_999]
)
def test_a_very_long_text_is_bounded_in_length_and_time(text: str) -> None:
    began = time.process_time()
    form = english_form(text)
    assert time.process_time() - began < 2.0
    assert len(form.written) <= LONGEST
    assert len(form.text) <= 12 * LONGEST
    assert is_sound(form)
