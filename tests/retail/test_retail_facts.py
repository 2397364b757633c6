"""What was heard, against what exists: orders are proposed, facts match exactly."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from talkspurt.retail import facts
from talkspurt.retail.tools.identity import match_order

IDS = ("W2378156", "W2378165", "W5540917", "W9013362", "W0000007")
digits = st.text(string.digits, min_size=7, max_size=7)


@pytest.mark.parametrize(
    "heard",
    [
        "W2378156",
        "#w2378156",
        "it's W two three seven, eight one five six",
        "double u 2 3 7 8 1 5 6 I think",
        "2378156",
        "my order number is W-2-3-7-8-1-5-6.",
        "2378156 yes W2378156",
    ],
)
def test_a_number_heard_whole_is_exact(heard: str) -> None:
    assert match_order(heard, IDS) == ("exact", "W2378156")


@pytest.mark.parametrize(
    ("heard", "order_id"),
    [
        ("W 5 5 4 9 1 7", "W5540917"),
        ("W 5 5 4 0 0 9 1 7", "W5540917"),
        ("five five four oh nine one eight", "W5540917"),
        ("W9031362", "W9013362"),
        ("W 9 0 1 3 3", "W9013362"),
        ("W901336255", "W9013362"),
    ],
)
def test_one_or_two_digits_wrong_is_close(heard: str, order_id: str) -> None:
    assert match_order(heard, IDS) == ("close", order_id)


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "I don't have it",
        "W1111111",
        "W 2 3 7 8 1",
        "W237815",  # as near to ...56 as to ...65
        "either W2378156 or W5540917",
        "my phone is 555 012 3456 extension 99",
        "W" + "2378156" * 20,
    ],
)
def test_what_fits_no_order_or_two_is_none(heard: str) -> None:
    assert match_order(heard, IDS) == ("none", None)


@given(st.lists(digits, unique=True, max_size=8), st.text(string.digits + "W ", max_size=14))
def test_a_match_is_one_existing_order_and_the_nearest(known: list[str], heard: str) -> None:
    ids = [f"W{each}" for each in known]
    match, order_id = match_order(heard, ids)
    if order_id is None:
        assert match == "none"
        return
    assert order_id in ids
    # Whatever else exists, a second order as near as the first would have made it none.
    assert match_order(heard, [order_id]) == (match, order_id)
    others = [each for each in ids if each != order_id]
    rival, _ = match_order(heard, others)
    assert rival != "exact"
    if match == "close" and rival == "close":
        assert match_order(heard, reversed(ids)) == (match, order_id)


@given(digits, st.integers(0, 6), st.sampled_from(string.digits))
def test_one_wrong_digit_still_finds_a_lonely_order(known: str, place: int, wrong: str) -> None:
    assume(known[place] != wrong)
    heard = known[:place] + wrong + known[place + 1 :]
    assert match_order(f"W{heard}", [f"W{known}"]) == ("close", f"W{known}")


@given(st.permutations(IDS), st.text(string.digits, min_size=5, max_size=9))
def test_the_order_of_orders_does_not_matter(ids: list[str], heard: str) -> None:
    assert match_order(heard, ids) == match_order(heard, IDS)


def test_names_compare_without_case_accents_and_punctuation() -> None:
    assert facts.name_key("Zoë ", "O'Brien") == facts.name_key("ZOE", "OBrien") == "zoe obrien"
    assert facts.name_key("Anne Marie", "Lee") != facts.name_key("Anne", "Marie Lee")
    assert facts.name_key("Anne", " ") is None


def test_order_ids_are_read_in_every_writing_but_never_guessed() -> None:
    assert facts.order_id("#w2378156") == facts.order_id("order 2378156") == "W2378156"
    assert facts.order_id("W237815") is None
    assert facts.order_id("W2378156 W2378157") is None
