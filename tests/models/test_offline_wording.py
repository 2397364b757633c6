"""Templates, and how ids, sums and lists are said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.models.offline.wording import enumeration, evaluate, letters, look_up, money, spell, word

RESULT = {
    "order_id": "W2378156",
    "total": "$1,107.25",
    "eta": None,
    "items": [{"name": "Desk Lamp"}, {"name": "Kettle"}],
    "orders": [{"order_id": "W1", "status": "lost"}, {"order_id": "W2", "status": "pending"}],
    "none": [],
    "email": "ann_li24@mail.example.com",
}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Order {order_id:spell}.", "Order W, 2 3 7, 8 1 5 6."),
        ("Ending {order_id:ending}.", "Ending 8 1 5 6."),
        ("It cost {total:money}.", "It cost 1107 dollars and 25 cents."),
        ("The {items.name:list}.", "The Desk Lamp and Kettle."),
        ("The {items.name}.", "The Desk Lamp and Kettle."),
        ("{orders:count}", "2 orders"),
        (
            "The latest is {orders.-1.status}, before that {orders.0.status}.",
            "The latest is pending, before that lost.",
        ),
        ("{email:email}", "ann underscore li 2 4 at mail dot example dot com"),
        ("It comes {eta}.", ""),
        ("{none:list}", ""),
        ("{orders.7.status}", ""),
        ("{unknown}", ""),
        ("No blanks.", "No blanks."),
    ],
)
def test_blanks(template: str, said: str) -> None:
    assert word(template, RESULT) == said


def test_the_first_wording_that_can_be_filled_is_said() -> None:
    wordings = ("It comes {eta}.", "It is {orders.1.status}.", "I don't know.")
    assert word(wordings, RESULT) == "It is pending."
    assert word(wordings, RESULT | {"eta": "on Monday"}) == "It comes on Monday."
    assert word(wordings, {}) == "I don't know."
    assert word((), {}) == ""


def test_wordings_with_the_same_blanks_take_turns() -> None:
    assert [word(("One.", "Two."), {}, turn) for turn in range(3)] == ["One.", "Two.", "One."]
    assert {word(("One.", "{order_id}."), RESULT, turn) for turn in range(3)} == {"One."}


def test_a_lone_blank_keeps_its_type() -> None:
    assert evaluate("{items}", RESULT) == RESULT["items"]
    assert evaluate("{order_id}!", RESULT) == "W2378156!"
    assert evaluate("constant", {}) == "constant"
    assert evaluate("{missing}", {}) is None
    assert look_up(RESULT, "items.name") == ["Desk Lamp", "Kettle"]


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("W2378156", "W, 2 3 7, 8 1 5 6"),
        ("19122", "1 9 1 2 2"),
        ("357962501027", "3 5 7 9, 6 2 5 0, 1 0 2 7"),
        ("1234567890", "1 2 3, 4 5 6, 7 8 9 0"),
        ("AB-12", "A B, 1 2"),
        ("", ""),
    ],
)
def test_ids_are_spelled_in_groups(id_: str, said: str) -> None:
    assert spell(id_) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Ann Li", "A N N, L I"),
        ("Yusuf O'Neil-Rossi", "Y U S U F, O, apostrophe, N E I L, dash, R O S S I"),
        ("ann_li24@mail.example.com", "A N N, underscore, L I, 2 4, at, M A I L, dot, E X A, M P L E, dot com"),
        ("José", "J O S É"),
        ("W2378156", "W, 2 3 7, 8 1 5 6"),
        ("", ""),
    ],
)
def test_names_and_addresses_are_spelled_with_their_signs(value: str, said: str) -> None:
    assert letters(value) == said
    assert word("{it:letters}", {"it": value}) == said


@given(st.text("0123456789", max_size=30))
def test_spelling_loses_no_digit(digits: str) -> None:
    assert "".join(character for character in spell(digits) if character.isdigit()) == digits


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("$54.00", "54 dollars"),
        ("$1.01", "1 dollar and 1 cent"),
        ("$0.99", "99 cents"),
        (107.25, "107 dollars and 25 cents"),
        ("$1,234,567.80", "1234567 dollars and 80 cents"),
        (-50, "minus 50 dollars"),
        (-0.5, "minus 50 cents"),
        ("-$1,200.00", "minus 1200 dollars"),
        ("$-1", "minus 1 dollar"),
        (1e16, "10000000000000000 dollars"),
        ("50-60", "50-60"),
        ("12 EUR", "12 EUR"),
        ("nothing", "nothing"),
    ],
)
def test_sums(amount: str | float, said: str) -> None:
    assert money(amount) == said


def test_lists() -> None:
    assert enumeration([]) == ""
    assert enumeration(["a"]) == "a"
    assert enumeration(["a", "b"], "or") == "a or b"
    assert enumeration(["a", "b", "a", "c"]) == "a, b and c"
    assert enumeration(["a", "b", "c", "d"]) == "a, b, c and d"
    assert enumeration(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
