"""What a voice without word times has surely said."""

import pytest

from talkspurt.speech.fitting import clauses_within, latest_ends

SLOWER = 1.6
"""Times the duration in which a voice may speak that is slower than Piper's joe."""

MEASURED = [
    ("W, two three seven, eight one five six", [0.84, 1.04, 1.28, 1.94, 2.15, 2.36, 2.67, 3.13]),
    ("Your order is on its way, Anna.", [0.16, 0.47, 0.6, 0.78, 0.99, 1.51, 2.0]),
    ("1, 2, 3, 4, 5, 6.", [0.5, 1.0, 1.61, 2.07, 2.65, 3.17]),
    ("On 2026-11-27 at 14:30 it costs $1,249.99.", [0.17, 3.13, 3.25, 3.96, 4.08, 4.38, 7.44]),
    ("The IBM, USB and TV set.", [0.17, 1.0, 1.75, 1.91, 2.31, 2.72]),
    ("A, B, C, D, E, F.", [0.38, 0.88, 1.42, 1.97, 2.36, 2.82]),
]
"""When words of Piper's joe end, pauses behind them included, in seconds."""


@pytest.mark.parametrize(("text", "ends"), MEASURED)
def test_no_word_counts_as_spoken_before_a_slow_voice_has_said_it(text: str, ends: list[float]) -> None:
    for latest, end in zip(latest_ends(text.split(), pace=1.0), ends, strict=True):
        assert latest >= end * SLOWER


@pytest.mark.parametrize(("text", "ends"), MEASURED)
def test_there_is_always_something_left_to_say(text: str, ends: list[float]) -> None:
    assert clauses_within(text.split(), 100 * ends[-1], pace=1.0) < len(ends)


def test_a_slower_pace_takes_longer() -> None:
    words = MEASURED[1][0].split()
    assert latest_ends(words, pace=0.5) == [2 * end for end in latest_ends(words, pace=1.0)]


def test_a_clause_in_quotes_ends_as_any_other() -> None:
    assert clauses_within(["It", "is", "“here,”", "she", "said."], 60.0, pace=1.0) == 3
