"""The words of an effect on an MCP server: all of what will be done, or nothing."""

from typing import Any

import pytest

from talkspurt import ToolError
from talkspurt.mcp.wording import ReadBackTemplate


def said(template: str, unspoken: tuple[str, ...] = (), **arguments: Any) -> str:
    return ReadBackTemplate(template, unspoken=unspoken).word(arguments)


def test_blanks_are_spoken_as_they_say() -> None:
    assert said("Order {id:spell}.", id="W12345678") == "Order W, 1 2 3 4, 5 6 7 8."
    assert said("I'll charge {sum:cents}.", sum=1205) == "I'll charge 12 dollars and 5 cents."
    assert said("I'll take {what}.", what=["a", "b", "c"]) == "I'll take a, b and c."
    assert said("Gift wrapped: {gift}.", gift=False) == "Gift wrapped: no."


def test_a_part_in_brackets_is_left_out_without_its_value() -> None:
    template = "A table for {guests}[ on {date}][, for {name}]."
    assert said(template, guests=2) == "A table for 2."
    assert said(template, guests=2, name="Ann") == "A table for 2, for Ann."
    assert said(template, guests=2, date=None, name="Ann") == "A table for 2, for Ann."


@pytest.mark.parametrize(
    "arguments", [{"date": "Friday"}, {"date": "Friday", "time": ""}, {"people": []}, {"note": ""}, {"note": "  "}]
)
def test_what_was_left_out_of_the_words_is_not_sent_either(arguments: dict[str, Any]) -> None:
    template = "A table for {guests}[ on {date} at {time}][, with {people}][, and the note {note}]."
    assert said(template, guests=2, date="Friday", time="20:00") == "A table for 2 on Friday at 20:00."
    with pytest.raises(ToolError, match=f"about the {next(iter(arguments))}"):
        said(template, guests=2, **arguments)


def test_what_is_heard_elsewhere_may_be_left_out_of_a_part() -> None:
    assert said("On {date}[, that is {date} at {time}].", date="Friday") == "On Friday."


def test_a_list_with_an_empty_text_is_refused() -> None:
    with pytest.raises(ToolError):
        said("I'll take {what}.", what=["mug", ""])


@pytest.mark.parametrize(
    ("cents", "dollars"),
    [
        (-5000, "minus 50 dollars"),
        (-5, "minus 5 cents"),
        (-120, "minus 1 dollar and 20 cents"),
        (0, "0 dollars"),
        (10**18, f"{10**16} dollars"),
        (10**32 + 1, f"{10**30} dollars and 1 cent"),
    ],
)
def test_cents_are_heard_to_the_last_one_and_with_their_sign(cents: int, dollars: str) -> None:
    assert said("I'll refund {sum:cents}[, so {sum:cents}].", sum=cents) == f"I'll refund {dollars}, so {dollars}."


def test_a_value_is_no_template() -> None:
    assert said("The {item}[ at {price}].", item="mug {price} [x]", price=3) == "The mug {price} [x] at 3."


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"item": "mug", "price": 1},
        {"item": {"id": "mug"}},
        {"item": [["mug"]]},
        {"item": [{"id": "mug"}]},
        {"item": ["a", "b", "c", "d", "e"]},
        {"item": ["mug", "mug"]},
        {"item": "m" * 500},
        {"item": "mug\u202e"},
    ],
)
def test_what_cannot_be_heard_in_full_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError):
        said("I'll order the {item}.", **arguments)


def test_an_argument_may_be_declared_as_not_worth_hearing() -> None:
    assert said("I'll order the {item}.", unspoken=("channel",), item="mug", channel="phone") == "I'll order the mug."


def test_a_sum_that_is_no_whole_number_of_cents_is_refused() -> None:
    with pytest.raises(ToolError):
        said("I'll charge {sum:cents}.", sum="12.05")


@pytest.mark.parametrize("template", ["{order id}", "{", "a [b {c}", "a [b] {c}", "{}"])
def test_a_broken_template_says_so(template: str) -> None:
    assert ReadBackTemplate(template).mistake()


def test_a_sound_template_has_no_mistake() -> None:
    assert ReadBackTemplate("I'll put {quantity} of the {item} aside[ until {date:spell}]. OK?").mistake() is None
