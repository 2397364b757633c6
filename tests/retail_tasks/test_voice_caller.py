"""The caller on the line answers what is asked, and says it another way when it is asked again."""

import sys
from pathlib import Path
from typing import Any, cast

import pytest

# Benchmarks are run from the repository and are not installed.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.retail_tasks.lines import FAREWELL, KEYS, Turn, load_scripts
from benchmarks.retail_tasks.voice_caller import MOST_TIMES, NO, YES, VoiceCaller

TURNS = (
    Turn(("Hello.",)),
    Turn(("It's W2378156.", "Two, three.", "keys:2378156#")),
    Turn(("Yes.",)),
    Turn((FAREWELL,)),
)


class Asking:
    """A caller, and what the oracle asks of them."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.caller = VoiceCaller(cast(Any, None), TURNS, {}, lambda: self.notes)
        assert self.caller.answer() == "Hello."

    def ask(self, place: str, slot: str = "", words: str = "") -> str | None:
        self.notes.append({"place": place, "slot": slot, "words": words})
        return self.caller.answer()


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_new_questions_are_answered_with_new_lines(asking: Asking) -> None:
    assert [asking.ask(place) for place in ("0/order", "1/read-back", "2/else")] == ["It's W2378156.", "Yes.", FAREWELL]


def test_the_same_question_is_answered_in_other_ways(asking: Asking) -> None:
    said = [asking.ask("0/order") for _ in range(4)]
    assert said == ["It's W2378156.", "Two, three.", "keys:2378156#", "keys:2378156#"]
    assert asking.ask("1/read-back") == "Yes."
    assert asking.ask("0/order") == "keys:2378156#"


def test_a_caller_who_is_not_understood_gives_up(asking: Asking) -> None:
    for _ in range(MOST_TIMES):
        assert asking.ask("0/order") is not None
    assert asking.ask("0/order") is None
    assert asking.caller.failures == [f"not understood in {MOST_TIMES} ways: It's W2378156."]


@pytest.mark.parametrize(("digits", "answer"), [("2 3 7 8 1 5 6", YES), ("2 3 7 8 1 5 9", NO)])
def test_an_order_number_is_confirmed_only_if_it_is_theirs(asking: Asking, digits: str, answer: str) -> None:
    asking.ask("0/order")
    assert asking.ask("0/close", "order close", f"Is that order number W {digits}?") == answer


def test_numbers_are_spelled_and_then_keyed_in() -> None:
    ways = [turn.ways for turn in load_scripts()["75"].by_voice]
    assert ("four three two zero nine", "four, three, two, zero, nine.", f"{KEYS}43209#") in ways
    assert sum(bool(script.by_voice) for script in load_scripts().values()) >= 20
