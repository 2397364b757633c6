"""How long a silence has to be until the caller's turn is over, in numbers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.core.endpointing import ENOUGH, ENTITIES, Endpointing, Pace, Pause, credible
from talkspurt.core.language import ANYTHING, Completeness, Expectation, Kind

RULES = Endpointing()
YES_NO = Expectation("yes_no")
ZIP = Expectation("zip")
COMPLETE, OPEN, UNFINISHED = Completeness.COMPLETE, Completeness.OPEN, Completeness.UNFINISHED


@pytest.mark.parametrize(
    ("pause", "wait"),
    [
        (Pause(), 1.0),
        (Pause(completeness=UNFINISHED), 1.5),
        (Pause(completeness=COMPLETE), 0.48),
        (Pause(YES_NO, COMPLETE, words=1), 0.15),
        (Pause(YES_NO, OPEN, words=1), 0.25),
        (Pause(YES_NO, OPEN, words=2), 0.25),
        (Pause(YES_NO, OPEN, words=3), 1.0),
        (Pause(YES_NO, OPEN), 1.0),
        (Pause(YES_NO, UNFINISHED, words=1), 1.5),
        *((Pause(Expectation(kind), COMPLETE), 0.45) for kind in ENTITIES),
        *((Pause(Expectation(kind), OPEN), 2.0) for kind in ENTITIES),
        *((Pause(Expectation(kind), UNFINISHED), 2.0) for kind in ENTITIES),
        *((Pause(Expectation(kind), COMPLETE, in_noise=True), 0.9) for kind in ENTITIES),
        *((Pause(Expectation(kind), OPEN, in_noise=True), 2.6) for kind in ENTITIES),
        *((Pause(Expectation(kind), UNFINISHED, in_noise=True), 2.6) for kind in ENTITIES),
        (Pause(YES_NO, COMPLETE, words=1, in_noise=True), 0.15),
        (Pause(completeness=COMPLETE, in_noise=True), 0.48),
        (Pause(completeness=UNFINISHED, in_noise=True), 1.5),
        (Pause(Expectation("name"), COMPLETE), 0.48),
        (Pause(Expectation("name"), OPEN), 1.0),
    ],
)
def test_what_was_asked_and_how_whole_the_words_are(pause: Pause, wait: float) -> None:
    assert RULES.wait(pause) == wait


def test_what_is_given_piece_by_piece() -> None:
    assert frozenset({"identifier", "email", "zip", "phone", "amount"}) == ENTITIES


def test_enough_words_count_as_complete() -> None:
    assert RULES.wait(Pause(words=ENOUGH - 1)) == 1.0
    assert RULES.wait(Pause(words=ENOUGH)) == 0.48


@pytest.mark.parametrize(
    "pause", [Pause(ZIP, OPEN, words=20), Pause(ZIP, COMPLETE, words=20), Pause(completeness=UNFINISHED, words=20)]
)
def test_enough_words_do_not_shorten_an_entity_nor_an_unfinished_phrase(pause: Pause) -> None:
    assert not RULES.is_enough(pause)
    assert RULES.wait(pause) == RULES.wait(Pause(pause.expectation, pause.completeness))


@pytest.mark.parametrize(("score", "wait"), [(None, 0.48), (0.0, 0.48), (0.96, 0.48), (0.97, 0.43), (1.0, 0.43)])
def test_a_voice_that_sounds_finished_shortens_the_wait_after_enough_words(score: float | None, wait: float) -> None:
    assert RULES.wait(Pause(words=ENOUGH, score=score)) == wait
    assert RULES.wait(Pause(completeness=COMPLETE, score=score)) == wait


@pytest.mark.parametrize("pause", [Pause(), Pause(completeness=UNFINISHED), Pause(ZIP), Pause(ZIP, COMPLETE)])
def test_the_sound_alone_ends_no_turn(pause: Pause) -> None:
    surely = Pause(pause.expectation, pause.completeness, score=1.0)
    assert RULES.wait(surely) == RULES.wait(pause)


@pytest.mark.parametrize(("habit", "wait"), [(0.0, 0.5), (0.3, 0.5), (0.35, 0.5), (0.6, 0.75), (3.0, 1.0)])
def test_a_habit_of_long_pauses_is_waited_for_up_to_a_bound(habit: float, wait: float) -> None:
    assert replace(RULES, silence=0.5).wait(Pause(habit=habit)) == pytest.approx(wait)
    assert RULES.wait(Pause(habit=habit)) == 1.0
    assert RULES.wait(Pause(habit=habit, words=ENOUGH)) == 0.48


@pytest.mark.parametrize(
    ("late", "wait"), [(0.0, 0.48), (0.25, 0.48), (0.5, 0.65), (0.7, 0.85), (0.9, 1.0), (9.0, 1.0)]
)
def test_late_pauses_are_waited_for_after_enough_words(late: float, wait: float) -> None:
    assert RULES.wait(Pause(words=ENOUGH, late_habit=late)) == pytest.approx(wait)
    assert RULES.wait(Pause(words=ENOUGH, late_habit=late, score=1.0)) == pytest.approx(wait if late >= 0.5 else 0.43)
    assert RULES.wait(Pause(late_habit=late)) == 1.0


seconds = st.floats(0, 5)


@given(
    st.sampled_from(["anything", "yes_no", "zip", "email", "name"]),
    st.sampled_from(list(Completeness)),
    st.integers(0, 20),
    st.none() | st.floats(0, 1),
    seconds,
    seconds,
)
def test_no_wait_is_shorter_than_an_answers_or_longer_than_a_partial_one(
    kind: str, whole: Completeness, words: int, score: float | None, habit: float, late: float
) -> None:
    pause = Pause(Expectation(kind), whole, words, score, habit, late)  # type: ignore[arg-type]
    assert RULES.answer <= RULES.wait(pause) <= RULES.partial


# ── the caller's habits ───────────────────────────────────────────────────────────


def test_nothing_is_known_of_a_caller_at_first() -> None:
    assert Pace().at_pause(ZIP) == Pause(ZIP)


def test_the_longest_pause_of_this_turn_and_the_two_before_is_the_habit() -> None:
    pace = Pace().paused(0.9, 2).paused(0.6, 2)
    assert pace.at_pause(ANYTHING).habit == 0.9
    pace = pace.turn_over()
    assert pace.at_pause(ANYTHING).habit == 0.9
    pace = pace.turn_over()
    assert pace.at_pause(ANYTHING).habit == 0.9
    assert pace.turn_over().at_pause(ANYTHING).habit == 0.0


def test_only_pauses_after_enough_words_are_late() -> None:
    assert Pace().paused(0.6, ENOUGH - 1).at_pause(ANYTHING).late_habit == 0.0
    pace = Pace().paused(0.6, ENOUGH).paused(0.5, ENOUGH).paused(0.8, 2)
    assert pace.at_pause(ANYTHING).late_habit == 0.6
    assert pace.at_pause(ANYTHING).habit == 0.8
    assert pace.turn_over().turn_over().at_pause(ANYTHING).late_habit == 0.6
    assert pace.turn_over().turn_over().turn_over().at_pause(ANYTHING).late_habit == 0.0


def test_the_closures_of_fluent_speech_are_no_pauses() -> None:
    assert Pace().paused(0.24, ENOUGH) == Pace()
    assert Pace().paused(0.25, ENOUGH).at_pause(ANYTHING).habit == 0.25


def test_no_more_than_two_turns_are_remembered() -> None:
    pace = Pace()
    for _ in range(50):
        pace = pace.paused(0.5, 9).turn_over()
    assert len(pace.turns) == 2


@pytest.mark.parametrize(
    ("kind", "text", "voiced", "whole"),
    [
        ("phone", "401-242-1065", 1.6, OPEN),
        ("phone", "401-242-1065", 1.7, COMPLETE),
        ("phone", "four oh one, two four two, one oh six five", 0.1, COMPLETE),
        ("anything", "401-242-1065", 0.1, COMPLETE),
    ],
)
def test_a_number_that_came_faster_than_anybody_speaks_is_not_whole(
    kind: Kind, text: str, voiced: float, whole: Completeness
) -> None:
    assert credible(COMPLETE, Expectation(kind), text, voiced) is whole


def test_nothing_makes_half_a_number_whole() -> None:
    assert credible(UNFINISHED, Expectation("zip"), "12", 0.1) is UNFINISHED
