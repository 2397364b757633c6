"""A secret as the core sees it: counts and times, and what follows from them."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.core.digits import EntryRules
from talkspurt.core.secret_entry import LONGEST, PROMPTS, SecretEntry

FOUR = EntryRules(shortest=4, longest=4)
OPEN = EntryRules(shortest=4, longest=8)


def begin(rules: EntryRules = FOUR, now: float = 0.0) -> SecretEntry:
    return SecretEntry.begin("t1", "Your PIN?", rules, now)


def test_enough_digits_are_whole() -> None:
    assert begin().progress(3, 1.0).entered(4, 2.0).standing == "whole"


def test_a_pause_ends_an_entry_that_may_be_whole() -> None:
    entry = begin(OPEN).progress(4, 1.0)
    assert entry.deadline == 1.0 + OPEN.finished
    assert entry.expire(entry.deadline).standing == "whole"


def test_too_few_digits_are_waited_for_longer() -> None:
    entry = begin(OPEN).progress(3, 1.0)
    assert entry.deadline == 1.0 + OPEN.unfinished > 1.0 + OPEN.finished


def test_the_wait_for_the_first_key_begins_when_the_prompt_was_heard() -> None:
    entry = begin().heard(4.0)
    assert entry.deadline == 4.0 + FOUR.first


def test_hearing_the_prompt_late_does_not_shorten_a_wait_that_runs() -> None:
    entry = begin().progress(1, 5.0).heard(4.0)
    assert entry.since == 5.0


def test_a_cleared_entry_is_waited_for_as_at_first() -> None:
    assert begin().progress(3, 1.0).progress(0, 2.0).deadline == 2.0 + FOUR.first


@pytest.mark.parametrize("count", [0, 1, 3])
def test_who_enters_too_little_is_asked_again_and_then_given_up(count: int) -> None:
    entry = begin().progress(count, 1.0)
    again = entry.expire(entry.deadline)
    assert (again.standing, again.pressed, again.prompts) == ("again", 0, 2)
    waiting = again.heard(20.0)
    assert waiting.standing == "waiting"
    assert waiting.entered(count, 21.0).standing == "abandoned"


def test_a_key_during_the_second_prompt_counts() -> None:
    again = begin().entered(2, 1.0)
    assert again.standing == "again"
    assert again.progress(1, 2.0).standing == "waiting"


def test_pressing_keys_for_ever_ends_too() -> None:
    entry = begin()
    now = 0.0
    while now < LONGEST - 2:
        now += 2
        entry = entry.progress(int(now) % 3, now)
    assert entry.deadline == LONGEST
    assert entry.expire(LONGEST).standing == "abandoned"


_STEP = st.tuples(st.sampled_from(["heard", "progress", "entered", "expire"]), st.integers(0, 8), st.floats(0, 10))


@given(st.lists(_STEP, max_size=60), st.sampled_from([FOUR, OPEN]))
def test_it_ends_once_and_only_with_enough_digits(steps: list[tuple[str, int, float]], rules: EntryRules) -> None:
    entry, now = begin(rules), 0.0
    asked = 1
    for name, count, wait in steps:
        now = max(now, entry.deadline if name == "expire" else now + wait)
        before = entry
        match name:
            case "heard":
                entry = entry.heard(now)
            case "progress":
                entry = entry.progress(min(count, rules.longest), now)
            case "entered":
                entry = entry.entered(min(count, rules.longest), now)
            case _:
                entry = entry.expire(now)
        if before.standing in ("whole", "abandoned"):
            assert entry is before
            continue
        if entry.standing == "whole":
            assert rules.shortest <= entry.pressed <= rules.longest
        if entry.standing == "waiting":
            assert entry.since <= entry.deadline <= LONGEST or now > LONGEST
        asked += entry.standing == "again" and name in ("entered", "expire")
        assert entry.prompts == asked <= PROMPTS


def test_it_has_no_place_for_digits() -> None:
    texts = {field.name for field in fields(SecretEntry) if field.type is str}
    assert texts == {"tool_call", "prompt"}
