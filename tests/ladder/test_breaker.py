"""A breaker lets nobody ask a provider that has failed several calls, and finds out by itself when it is well again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.ladder.breaker import FAILURES, LONGEST_PAUSE, PAUSE, PROBE_PATIENCE, Breaker, Closed, Open, Probing


def broken(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
        assert breaker.enter(0.0)
    breaker.failed(0.0)
    assert not breaker.enter(PAUSE - 0.01)
    assert breaker.opens_at(1.0) == PAUSE


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(10 * FAILURES):
        breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.closed


def test_after_the_pause_one_asks_and_the_others_wait_for_what_it_finds() -> None:
    breaker = broken()
    assert breaker.enter(PAUSE)
    assert isinstance(breaker.state, Probing)
    assert not breaker.enter(PAUSE)
    breaker.succeeded()
    assert breaker.enter(PAUSE)
    assert breaker.enter(PAUSE)


def test_each_failed_probe_doubles_the_pause_up_to_a_minute() -> None:
    breaker, now, pauses = broken(), PAUSE, []
    for _ in range(6):
        assert breaker.enter(now)
        breaker.failed(now)
        assert isinstance(breaker.state, Open)
        pauses.append(breaker.state.until - now)
        now = breaker.state.until
    assert pauses == [10, 20, 40, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_probe_that_nobody_waited_for_lets_the_next_one_ask_at_once() -> None:
    breaker = broken()
    assert breaker.enter(PAUSE)
    breaker.given_up(PAUSE + 1)
    assert breaker.enter(PAUSE + 1)


def test_a_probe_that_is_never_reported_on_does_not_close_the_way_for_ever() -> None:
    breaker = broken()
    assert breaker.enter(PAUSE)
    assert not breaker.enter(PAUSE + PROBE_PATIENCE - 0.1)
    assert breaker.enter(PAUSE + PROBE_PATIENCE)


def test_the_providers_own_retry_after_is_kept() -> None:
    breaker = Breaker()
    breaker.failed(0.0, pause=17.0)
    assert not breaker.enter(16.9)
    assert breaker.enter(17.0)


def test_a_retry_after_of_nothing_is_one_failure_like_any_other() -> None:
    breaker = Breaker()
    breaker.failed(0.0, pause=0.0)
    assert breaker.state == Closed(failures=1)
    for _ in range(FAILURES - 1):
        breaker.failed(0.0, pause=0.0)
    assert breaker.opens_at(0.0) == PAUSE


def test_a_rejected_key_opens_it_at_once_and_for_long() -> None:
    breaker = Breaker()
    breaker.failed(0.0, at_once=True)
    assert breaker.opens_at(0.0) == LONGEST_PAUSE


def test_late_failures_of_requests_from_before_it_opened_change_nothing() -> None:
    breaker = broken()
    state = breaker.state
    breaker.failed(3.0)
    assert breaker.state == state


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["enter", "failed", "succeeded", "given_up", "rejected", "429"])),
        max_size=60,
    )
)
def test_whatever_happens_somebody_may_ask_again_within_two_minutes(steps: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(), 0.0
    for later, step in steps:
        now += later
        match step:
            case "enter":
                breaker.enter(now)
            case "failed":
                breaker.failed(now)
            case "rejected":
                breaker.failed(now, at_once=True)
            case "429":
                breaker.failed(now, pause=1e6)
            case "succeeded":
                breaker.succeeded()
                assert breaker.state == Closed()
            case "given_up":
                breaker.given_up(now)
    assert breaker.enter(now + LONGEST_PAUSE + PROBE_PATIENCE)


@pytest.mark.parametrize("failures", [1, 5])
def test_how_many_failures_it_takes_can_be_chosen(failures: int) -> None:
    breaker = Breaker(failures=failures)
    for _ in range(failures - 1):
        breaker.failed(0.0)
        assert breaker.closed
    breaker.failed(0.0)
    assert not breaker.closed
