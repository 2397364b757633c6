"""Amounts are worked out exactly, and nothing but amounts."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkspurt.agent import ToolError
from talkspurt.retail.arithmetic import LONGEST, calculate


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("135.24 - 153.23", "-17.99"),
        ("155.33 - 147.05 + 268.77 - 235.13", "41.92"),
        ("200.8 + 96.35 + 193.38 + 231.37 + 196.53", "918.43"),
        ("(1,319.43 - 302.67) * 2", "2033.52"),
        ("$10 / 4", "2.50"),
        ("0.1 + 0.2", "0.30"),
        ("-(3 - 5)", "2"),
        ("100", "100"),
        ("2 × 3 ÷ 4", "1.50"),
    ],
)
def test_sums_are_exact(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "ten plus two",
        "__import__('os').system('true')",
        "1 +",
        "9 ** 9 ** 9",
        "7 // 2",
        "1_000",
        "1e9",
        "(" * 50 + "1" + ")" * 50 + "(",
        "1;2",
        "1 if 2 else 3",
        "lambda: 1",
        "+".join(["1"] * LONGEST),
        "1" * 150 + "*" + "1" * 40,
        "-" * 100 + "1",
    ],
)
def test_what_is_no_sum_is_refused(expression: str) -> None:
    with pytest.raises(ToolError):
        calculate(expression)


def test_nothing_is_divided_by_zero() -> None:
    with pytest.raises(ToolError, match="divided by zero"):
        calculate("1/0")


@settings(deadline=None)
@given(st.text(alphabet="0123456789.+-*/() abc_[]'", max_size=60))
def test_every_text_has_a_value_or_a_refusal(expression: str) -> None:
    with suppress(ToolError):
        Decimal(calculate(expression))


@settings(deadline=None)
@given(st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=12))
def test_cents_add_up(cents: list[int]) -> None:
    expression = " + ".join(f"({Decimal(each) / 100})" for each in cents)
    assert Decimal(calculate(expression)) == Decimal(sum(cents)) / 100
