"""A choice that the recognizer misheard is proposed if it is clearly the closest, and else asked for again."""

import pytest

from talkspurt.models.offline.facts import choose
from talkspurt.models.offline.standing import Option

ITEMS = [Option("wireless headphones", "wireless headphones"), Option("desk lamp", "desk lamp")]


@pytest.mark.parametrize(
    ("heard", "chosen"),
    [
        ("The wireless headphones, please.", ["wireless headphones"]),
        ("The wider little head zone, please.", ["wireless headphones"]),
        ("Wire less head phones.", ["wireless headphones"]),
        ("The desk clamp.", ["desk lamp"]),
        ("The second one.", ["desk lamp"]),
        ("Yes, please go ahead.", []),
        ("Actually, I want a person.", []),
        ("Where is my order?", []),
        ("No thanks.", []),
        ("", []),
    ],
)
def test_a_misheard_choice_is_taken_only_when_nothing_else_is_near(heard: str, chosen: list[str]) -> None:
    assert choose(heard, ITEMS) == chosen


TIMES = [Option("nine thirty", "nine thirty"), Option("two o'clock", "two o'clock")]


@pytest.mark.parametrize(
    ("heard", "chosen"),
    [
        ("I would like to a clock please.", ["two o'clock"]),
        ("And to a clock...", ["two o'clock"]),
        ("Half past nine, please.", ["nine thirty"]),
        ("Neither.", []),
        ("Nothing for me, thanks.", []),
    ],
)
def test_one_word_that_only_one_of_them_has_is_enough_for_an_answer(heard: str, chosen: list[str]) -> None:
    assert choose(heard, TIMES) == chosen


THREE = [*ITEMS, Option("tea kettle", "tea kettle")]


@pytest.mark.parametrize(
    ("heard", "chosen"),
    [
        ("Everything except the lamp.", ["wireless headphones", "tea kettle"]),
        ("Everything but the desk lamp, please.", ["wireless headphones", "tea kettle"]),
        ("All of them but the lamp and the headphones.", ["tea kettle"]),
        ("The headphones, not the lamp.", ["wireless headphones"]),
        ("Not the lamp, the kettle.", ["tea kettle"]),
        ("It's not the lamp, it's the kettle.", ["tea kettle"]),
        ("I don’t want to return the lamp, just the kettle.", ["tea kettle"]),
        ("Not the lamp.", []),
        ("The lamp but also the kettle.", ["desk lamp", "tea kettle"]),
        ("I'm not sure, the lamp.", ["desk lamp"]),
        ("All of it.", ["wireless headphones", "desk lamp", "tea kettle"]),
    ],
)
def test_what_is_ruled_out_is_never_chosen(heard: str, chosen: list[str]) -> None:
    assert choose(heard, THREE, many=True) == chosen


def test_of_two_not_the_one_is_the_other_as_an_answer_only() -> None:
    assert choose("Not the lamp.", ITEMS, many=True) == ["wireless headphones"]
    assert choose("No, not the lamp.", ITEMS, many=True, strict=True) == []
