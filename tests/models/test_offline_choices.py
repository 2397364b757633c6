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
