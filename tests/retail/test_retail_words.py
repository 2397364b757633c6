"""Amounts, ids and questions, as they will be heard."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.retail import words
from talkspurt.retail.schema import OrderItem, PaymentMethod


def method(kind: str = "credit_card", brand: str | None = "visa", last_four: str | None = "1234") -> PaymentMethod:
    return PaymentMethod(id="m", user_id="u", kind=kind, brand=brand, last_four=last_four, balance_cents=None)


def item(position: int, name: str) -> OrderItem:
    return OrderItem(
        id=str(position), variant_id=str(position), position=position, name=name, options={}, price_cents=1
    )


def test_amounts_are_written_and_spoken() -> None:
    assert [words.written_amount(cents) for cents in (0, 5, 8999, 182_0092)] == [
        "$0.00",
        "$0.05",
        "$89.99",
        "$18,200.92",
    ]
    assert words.spoken_amount(8999) == "89 dollars and 99 cents"
    assert words.spoken_amount(101) == "1 dollar and 1 cent"
    assert words.spoken_amount(500_00) == "500 dollars"
    assert words.spoken_amount(7) == "7 cents"
    assert words.spoken_amount(0) == "0 dollars"


def test_days_are_spoken_from_where_the_caller_stands() -> None:
    today = date(2026, 3, 2)
    assert words.day(today, today) == "today"
    assert words.day(date(2026, 3, 3), today) == "tomorrow"
    assert words.day(date(2026, 3, 4), today) == "on Wednesday, March 4"


def test_payment_methods_are_named_as_their_owner_knows_them() -> None:
    assert words.full_method(method()) == "Visa ending 1 2 3 4"
    assert words.short_method(method(brand="mastercard")) == "Mastercard card"
    assert words.full_method(method("paypal", None, None)) == "PayPal account"
    assert words.full_method(method("gift_card", None, None)) == "gift card"
    assert words.refund_time(method("gift_card")) == "right away"
    assert words.refund_time(method("paypal")) == "within 5 to 7 business days"


def test_names_keep_their_capital_abbreviations() -> None:
    assert words.item_name(item(0, "LED Light Bulb")) == "LED light bulb"
    assert words.item_name(item(0, "T-Shirt")) == "t-shirt"


def test_a_short_return_is_read_back_in_full() -> None:
    items = [item(0, "Headphones")]
    assert words.return_question("W2378156", items, items, 90_00, method("gift_card", None, None)) == (
        "Just to confirm: I'll return the headphones from order W 2 3 7 8 1 5 6 "
        "and refund 90 dollars to your gift card. Shall I go ahead?"
    )


def test_a_long_return_says_how_much_of_the_order_it_is() -> None:
    order = [item(n, name) for n, name in enumerate(["Smart Watch", *["Indoor Security Camera"] * 4])]
    assert "all 5 items" in words.return_question("W2378156", order, order, 123_45, method())
    assert "everything but the smart watch" in words.return_question("W2378156", order[1:], order, 123_45, method())
    assert "3 of the 5 items" in words.return_question("W2378156", order[2:], order, 123_45, method())


names = st.sampled_from(["Headphones", "Smart Watch", "Indoor Security Camera", "LED Light Bulb", "T-Shirt"])
methods = st.builds(method, st.sampled_from(["credit_card", "paypal", "gift_card"]), st.sampled_from(["visa", None]))


@given(st.lists(names, min_size=1, max_size=20), st.integers(1, 20), st.integers(1, 10**7), methods)
def test_no_read_back_is_longer_than_a_caller_can_keep_in_mind(
    order: list[str], chosen: int, cents: int, paid_by: PaymentMethod
) -> None:
    items = [item(position, name) for position, name in enumerate(order)]
    question = words.return_question("W2378156", items[:chosen], items, cents, paid_by)
    assert len(question.split()) <= words.READ_BACK_WORDS
    assert question.endswith("Shall I go ahead?")
    assert words.spoken_amount(cents) in question
    assert len(words.refund_question("W2378156", cents, paid_by).split()) <= words.READ_BACK_WORDS


@pytest.mark.parametrize("brand", ["amex", "Bancontact"])
def test_brands_are_capitalised_or_left_alone(brand: str) -> None:
    assert words.short_method(method(brand=brand)) in ("American Express card", "Bancontact card")
