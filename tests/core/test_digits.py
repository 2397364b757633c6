"""When a keypad entry is whole: by the end key, by its length, by a pause."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.core.digits import ANY_ENTRY, DIGITS, Digits, EntryRules, digits_of, rules_for
from talkspurt.core.language import Expectation, Kind


def typed(keys: str, rules: EntryRules = ANY_ENTRY) -> Digits:
    entry = Digits()
    for number, key in enumerate(keys):
        entry = entry.press(key, float(number + 1), rules)
    return entry


def test_the_end_key_ends_an_entry() -> None:
    assert typed("123#") == Digits("123", 4.0, complete=True)


def test_clear_starts_again() -> None:
    assert typed("12*3") == Digits("3", 4.0)


def test_a_length_ends_an_entry_at_once() -> None:
    assert typed("12345", EntryRules(shortest=5, longest=5)) == Digits("12345", 5.0, complete=True)


def test_nothing_is_added_to_a_whole_entry() -> None:
    assert typed("123456", EntryRules(longest=5)).typed == "12345"


def test_without_end_and_clear_keys_these_mean_nothing() -> None:
    assert typed("1#*2", EntryRules(terminator="", clear="")) == Digits("12", 4.0)


def test_the_keys_may_be_others() -> None:
    rules = EntryRules(terminator="*", clear="#")
    assert typed("1#2*", rules) == Digits("2", 4.0, complete=True)


def test_a_number_is_the_longest_length() -> None:
    assert Digits().press("1", 1.0, 1) == Digits("1", 1.0, complete=True)


def test_a_trunk_prefix_makes_a_number_longer_by_itself() -> None:
    rules = rules_for(Expectation("phone"))
    assert not typed("1555123456", rules).complete
    assert typed("15551234567", rules).complete
    assert typed("5551234567", rules).complete


def test_waits_are_longest_before_the_first_key_and_shortest_when_it_may_be_all() -> None:
    rules = EntryRules(shortest=3, longest=8)
    waits = [typed("1234"[:count], rules).deadline(rules) - count for count in range(5)]
    assert waits == [rules.first, rules.unfinished, rules.unfinished, rules.finished, rules.finished]


@pytest.mark.parametrize(("shortest", "longest"), [(0, 4), (5, 4), (-1, -1)])
def test_impossible_lengths_are_refused(shortest: int, longest: int) -> None:
    with pytest.raises(ValueError, match="shortest <= longest"):
        EntryRules(shortest=shortest, longest=longest)


RULES = st.builds(
    lambda shortest, more, terminator, clear: EntryRules(
        shortest=shortest, longest=shortest + more, terminator=terminator, clear=clear
    ),
    st.integers(1, 8),
    st.integers(0, 8),
    st.sampled_from(["#", ""]),
    st.sampled_from(["*", ""]),
)
KEYS = st.text(alphabet=DIGITS + "*#x?", max_size=40)


@given(KEYS, RULES)
def test_an_entry_holds_its_last_digits_and_never_more_than_the_longest(keys: str, rules: EntryRules) -> None:
    entry = Digits()
    expected, over = "", False
    for number, key in enumerate(keys):
        entry = entry.press(key, float(number), rules)
        match rules.meaning(key):
            case "clear":
                expected, over = "", False
            case "end":
                over = True
            case "digit" if not over:
                expected += key
                over = len(expected) == rules.longest
        assert (entry.typed, entry.complete) == (expected, over)
        assert set(entry.typed) <= set(DIGITS)
        assert len(entry.typed) <= rules.longest


@given(st.text(max_size=3).filter(lambda key: key not in {*DIGITS, "*", "#"}), RULES)
def test_what_is_no_key_changes_nothing(key: str, rules: EntryRules) -> None:
    entry = Digits("12", 3.0)
    assert entry.press(key, 9.0, rules) is entry


@given(st.integers(0, 20), RULES)
def test_more_is_waited_for_at_least_as_long_as_nothing(count: int, rules: EntryRules) -> None:
    wait = rules.patience(count)
    assert 0 < wait <= rules.first
    assert (wait > rules.finished) == (count < rules.shortest)


# ── what was asked for ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "pattern", "lengths"),
    [
        ("zip", "", (5, 5)),
        ("phone", "", (10, 10)),
        ("identifier", r"W\d{7}", (7, 7)),
        ("identifier", r"[A-Z]+", (1, 32)),
        ("identifier", "", (1, 32)),
        ("anything", "", (1, 32)),
        ("yes_no", "", (1, 32)),
        ("amount", "", (1, 32)),
        ("email", "", (1, 32)),
        ("name", "", (1, 32)),
    ],
)
def test_a_question_with_a_known_length_ends_its_entry(kind: Kind, pattern: str, lengths: tuple[int, int]) -> None:
    rules = rules_for(Expectation(kind, pattern))
    assert (rules.shortest, rules.longest) == lengths


def test_what_was_configured_otherwise_stays() -> None:
    mine = EntryRules(longest=12, finished=3.0, terminator="")
    assert rules_for(Expectation("zip"), mine) == replace(mine, shortest=5, longest=5)
    assert rules_for(Expectation("name"), mine) is mine


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (r"\d{7}", 7),
        (r"#?W\d{7}", 7),
        (r"[0-9]{4}", 4),
        (r"\d\d\d", 3),
        (r"\d{3}-?\d{4}", 7),
        (r"(?:ORDER)?\d{6}", 6),
        (r"ORD-(\d{6})", 6),
        (r"\d{3,5}", None),
        (r"\d+", None),
        (r"\d?", None),
        (r"\d{2}?", None),
        (r"(\d{3}){2}", None),
        (r"(\d{3})?\d{4}", None),
        (r"\d{3}|\d{4}", None),
        (r"[A-Z0-9]{6}", None),
        (r"7\d{3}", None),
        (r"\w{6}", None),
        (r".{6}", None),
        (r"[A-Z]{2}", None),
        ("", None),
        (r"W", None),
    ],
)
def test_the_digits_of_a_pattern_are_counted_where_that_is_plain(pattern: str, count: int | None) -> None:
    assert digits_of(pattern) == count


@given(
    st.lists(st.sampled_from([r"\d", r"\d{3}", r"\d{2,4}", "[0-9]", "W", "-?", "(?:X)?", "+", "|", "7"]), max_size=6)
)
def test_a_counted_pattern_has_exactly_so_many_digits(parts: list[str]) -> None:
    pattern = "".join(parts)
    count = digits_of(pattern)
    if count is None:
        return
    for length in range(25):
        # Optional letters can be left out, so only W and the digits must be there.
        text = re.sub(r"\(\?:X\)\?|-\?", "", pattern)
        only_digits = text.replace("W", "")
        assert bool(re.fullmatch(only_digits, "5" * length)) == (length == count)
