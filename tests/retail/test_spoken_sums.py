"""A sum in a caller's own words is worked out; words that are none are refused, and no sign is lost."""

import pytest

from talkspurt.agent import ToolError
from talkspurt.retail.arithmetic import calculate


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ("So how much is that, $652.61 plus $473.43?", "1126.04"),
        ("155.33 minus 147.05 plus 268.77 minus 235.13.", "41.92"),
        ("what's $2,623.69 Minus $1,126.04 altogether", "1497.65"),
        ("minus 5 plus 3", "-2"),
        ("that is -$5 less 3", "-8"),
        ("3 times 4 divided by 5", "2.40"),
    ],
)
def test_a_sum_may_be_said(said: str, result: str) -> None:
    assert calculate(said) == result


@pytest.mark.parametrize("said", ["ten plus two", "1 plus", "5 and 3 plus 4", "plus", "lambda: 1", "1; 2 plus 3"])
def test_what_is_no_sum_is_not_guessed(said: str) -> None:
    with pytest.raises(ToolError):
        calculate(said)
