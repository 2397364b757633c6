"""What carriers tell of a caller: a number that can be called back, or nothing."""

import pytest

from talkspurt.server.caller_number import caller_number


@pytest.mark.parametrize("number", ["+12025550101", "+14155550100", "+14151234567", "+442079460000", "+4915112345678"])
def test_a_number_stays_as_it_is_whether_or_not_anybody_has_it(number: str) -> None:
    assert caller_number(number) == number


def test_the_same_number_in_another_form_is_no_other_caller() -> None:
    assert caller_number("+44 (0)20 7946 0000") == caller_number("+442079460000")


@pytest.mark.parametrize("told", ["", "anonymous", "ANONYMOUS", "RESTRICTED", "unknown", "Anonymous <+12025550101>"])
def test_a_word_is_no_number(told: str) -> None:
    assert caller_number(told) == ""


@pytest.mark.parametrize("told", ["+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"])
def test_nor_is_the_word_keyed_in(told: str) -> None:
    assert caller_number(told) == ""


@pytest.mark.parametrize(
    "told",
    ["client:+12025550101", "sip:+12025550101@example.com", "12025550101", "+", "+1", "+15550100", "+99912345678"],
)
def test_nor_is_what_nobody_could_dial(told: str) -> None:
    assert caller_number(told) == ""
