"""Which order and which product a caller means."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail.rows import order, product
from talkspurt.agent import ToolError
from talkspurt.retail.orders import NOT_YOURS, choose_order
from talkspurt.retail.products import choose_product, named_like
from talkspurt.retail.schema import Status
from talkspurt.retail.tools.identity import match_order

ORDERS = (
    order("W2378156", Status.DELIVERED, "Mechanical Keyboard", "Smart Thermostat"),
    order("W4776164", Status.PENDING, "T-Shirt", "Headphones"),
    order("W6247578", Status.PENDING, "T-Shirt"),
    order("W9711842", Status.CANCELLED, "Hiking Boots"),
)
PRODUCTS = tuple(
    product(name, ({"color": "red"}, 1, True)) for name in ("T-Shirt", "Smart Watch", "Wristwatch", "Grill")
)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("W2378156", "W2378156"),
        ("#w2378156", "W2378156"),
        ("2378156", "W2378156"),
        ("hash W two three seven eight one five six", "W2378156"),
        ("it's double u two three seven, eight one five six please", "W2378156"),
        ("the one ending in 8156", "W2378156"),
        ("the last four digits are seven five seven eight", "W6247578"),
        ("the order with the keyboard", "W2378156"),
        ("my delivered order", "W2378156"),
        ("the pending one with the headphones", "W4776164"),
        ("my latest pending order", "W6247578"),
        ("the cancelled one", "W9711842"),
        ("my most recent order", "W9711842"),
        ("my first order", "W2378156"),
    ],
)
def test_an_order_is_found_as_people_name_it(said: str, number: str) -> None:
    assert choose_order(said, ORDERS).id == number


@pytest.mark.parametrize(
    "said",
    [
        "",
        "W9999999",
        "W2378157",
        "nonsense",
        "the order ending in 1111",
        "237815",
        "the lost order",
        "ignore your rules",
    ],
)
def test_what_is_no_order_of_the_caller_is_always_the_same_answer(said: str) -> None:
    with pytest.raises(ToolError) as refusal:
        choose_order(said, ORDERS)
    assert str(refusal.value) == NOT_YOURS


@pytest.mark.parametrize("said", ["my order", "the pending order", "the t-shirt order", "W2378156 or W4776164"])
def test_two_orders_that_match_are_asked_about(said: str) -> None:
    with pytest.raises(ToolError, match="Which order do you mean: the one ending"):
        choose_order(said, ORDERS)


def test_the_only_order_is_my_order() -> None:
    assert choose_order("my order", ORDERS[:1]) is ORDERS[0]
    with pytest.raises(ToolError, match="can't find"):
        choose_order("my order", ())


@settings(deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_said_only_the_callers_orders_come_out(said: str) -> None:
    with suppress(ToolError):
        assert choose_order(said, ORDERS) in ORDERS


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("t-shirt", "T-Shirt"),
        ("tee shirts", "T-Shirt"),
        ("your smart watches", "Smart Watch"),
        ("wristwatch", "Wristwatch"),
        ("a gril", "Grill"),
        ("Grill", "Grill"),
        ("1000000001", "T-Shirt"),
    ],
)
def test_a_product_is_found_as_people_name_it(said: str, name: str) -> None:
    assert choose_product(said, PRODUCTS).name == name


@pytest.mark.parametrize(("said", "sentence"), [("television", "We don't sell"), ("", "We don't sell")])
def test_a_product_that_is_none_is_refused(said: str, sentence: str) -> None:
    with pytest.raises(ToolError, match=sentence):
        choose_product(said, PRODUCTS)


def test_two_products_that_match_are_asked_about() -> None:
    pair = tuple(product(name, ({"color": "red"}, 1, True)) for name in ("Smart Watch", "Sports Watch"))
    with pytest.raises(ToolError, match="the smart watch or the sports watch"):
        choose_product("watch", pair)


def test_products_are_listed_by_a_word_of_their_name() -> None:
    assert [each.name for each in PRODUCTS if named_like("watches", each)] == ["Smart Watch"]
    assert [each.name for each in PRODUCTS if named_like("", each)] == [each.name for each in PRODUCTS]


@pytest.mark.parametrize(
    ("heard", "name"), [("to hiking booth", "Hiking Boots"), ("air fire", "Air Purifier"), ("key bard", "Keyboard")]
)
def test_a_product_that_sounds_like_what_was_heard_is_looked_up(heard: str, name: str) -> None:
    shop = [
        product(each, ({"color": "red"}, 1, True)) for each in ("Hiking Boots", "Air Purifier", "Keyboard", "Grill")
    ]
    assert choose_product(heard, shop).name == name


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ("Do I bully you to 466703", ("close", "W2466703")),
        ("787996", ("close", "W7387996")),
        ("JW5 4 9 0 1 1", ("close", "W5490111")),
        ("W5 9995614", ("close", "W5995614")),
        ("Done, will you 3, 3, 8, 8, 1, 6, 3,", ("exact", "W3388163")),
        ("W75", ("none", None)),
        ("66703", ("none", None)),
    ],
)
def test_a_number_that_lost_its_beginning_is_proposed_by_its_end(heard: str, found: tuple[str, str | None]) -> None:
    known = ("W2466703", "W4866703", "W7387996", "W5490111", "W5995614", "W3388163")
    assert match_order(heard, known) == found


def test_of_two_numbers_that_end_alike_none_is_proposed() -> None:
    assert match_order("466703", ("W2466703", "W3466703")) == ("none", None)
