"""Amounts, days and names, as they will be heard."""

from datetime import UTC, date, datetime

import pytest

from talkspurt.agent import Policy
from talkspurt.retail import words
from talkspurt.retail.agent import POLICY
from talkspurt.retail.schema import OrderItem, PaymentMethod
from talkspurt.retail.shop import ZONE, shop_day


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


def test_the_day_is_the_shops_wherever_the_server_stands() -> None:
    assert shop_day(datetime(2026, 3, 4, 2, 30, tzinfo=UTC)) == date(2026, 3, 3), "half past nine in the evening"
    assert Policy.parse(POLICY).timezone == ZONE


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


@pytest.mark.parametrize("brand", ["amex", "Bancontact"])
def test_brands_are_capitalised_or_left_alone(brand: str) -> None:
    assert words.short_method(method(brand=brand)) in ("American Express card", "Bancontact card")
