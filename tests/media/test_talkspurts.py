"""Talkspurts from voice probabilities: what is announced, and when it is said to have been."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from talkspurt.media.talkspurts import SURE, TalkspurtStarted, TalkspurtStirred, TalkspurtStopped, TalkspurtTracker

WINDOW = 256
RATE_HZ = 8000
SECONDS = WINDOW / RATE_HZ


def seconds(windows: int) -> float:
    return windows * WINDOW / RATE_HZ


Fact = TalkspurtStirred | TalkspurtStarted | TalkspurtStopped


Whole = TalkspurtStarted | TalkspurtStopped


def run(probabilities: list[float], tracker: TalkspurtTracker | None = None) -> list[tuple[int, Fact]]:
    """All facts, each with the number of the window that told it."""
    tracker = tracker or TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ)
    told = []
    for number, probability in enumerate(probabilities):
        fact = tracker.receive(probability, (number + 1) * WINDOW)
        if fact:
            told.append((number, fact))
    return told


def whole(told: list[tuple[int, Fact]]) -> list[tuple[int, Whole]]:
    """Only where talkspurts begin and end."""
    return [(number, fact) for number, fact in told if not isinstance(fact, TalkspurtStirred)]


def test_three_voiced_windows_start_a_talkspurt_at_the_first_of_them() -> None:
    told = run([0.1, 0.1, 0.5, 0.5, 0.5])
    assert told == [(2, TalkspurtStirred(seconds(2))), (4, TalkspurtStarted(seconds(2)))]


def test_two_windows_that_are_sure_are_enough() -> None:
    told = run([0.1, SURE, SURE, 0.1])
    assert told == [(1, TalkspurtStirred(seconds(1))), (2, TalkspurtStarted(seconds(1)))]
    assert whole(run([0.1, SURE, 0.5, 0.1, 0.5, SURE, 0.1, SURE, 0.1, SURE])) == []


def test_sureness_spares_one_window_of_a_longer_minimum() -> None:
    tracker = TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ, minimum_voiced=seconds(5))
    assert whole(run([0.9] * 6, tracker)) == [(3, TalkspurtStarted(0.0))]


def test_one_window_is_a_click_however_sure_it_is() -> None:
    tracker = TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ, minimum_voiced=0.05)
    assert whole(run([0.9, 0.0], tracker)) == []


def test_a_click_stirs_and_is_no_talkspurt() -> None:
    told = run([0.1, 0.5, 0.5, 0.1, 0.5, 0.5, 0.1])
    assert told == [(1, TalkspurtStirred(seconds(1))), (4, TalkspurtStirred(seconds(4)))]


def test_nothing_stirs_while_a_talkspurt_goes_on() -> None:
    told = run([0.5] * 4 + [0.0, 0.5] * 4)
    assert [type(fact) for _, fact in told] == [TalkspurtStirred, TalkspurtStarted]


def test_weak_windows_behind_a_voiced_one_do_not_stir_again() -> None:
    assert run([0.5] + [0.37] * 30) == [(0, TalkspurtStirred(0.0))]


def test_it_stops_at_the_last_voiced_sample_after_the_hangover() -> None:
    told = whole(run([0.5] * 5 + [0.0] * 5))
    assert told == [(2, TalkspurtStarted(0.0)), (6, TalkspurtStopped(seconds(5), seconds(5)))]


def test_a_pause_within_the_hangover_does_not_part_a_talkspurt() -> None:
    told = whole(run([0.5] * 4 + [0.0] + [0.5] * 4 + [0.0] * 4))
    assert [fact for _, fact in told] == [TalkspurtStarted(0.0), TalkspurtStopped(seconds(9), seconds(8))]


def test_weak_voice_continues_a_talkspurt_but_does_not_begin_one() -> None:
    assert run([0.37] * 20) == []
    told = run([0.5] * 3 + [0.37] * 10 + [0.0] * 4)
    assert told[-1] == (14, TalkspurtStopped(seconds(13), seconds(13)))


def test_a_weak_window_while_beginning_neither_counts_nor_breaks() -> None:
    assert whole(run([0.5, 0.37, 0.5, 0.5])) == [(3, TalkspurtStarted(0.0))]


def test_the_minimum_is_configurable() -> None:
    tracker = TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ, minimum_voiced=0.3)
    assert whole(run([0.5] * 12, tracker)) == [(9, TalkspurtStarted(0.0))]
    assert tracker.active


def test_crossed_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match="thresholds"):
        TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ, start_threshold=0.3, stop_threshold=0.5)


# Runs of equal probability are what speech looks like; independent values hardly ever start a talkspurt.
stretches = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.34, 0.35, 0.37, 0.49, 0.5, 0.7, 1.0]), st.integers(1, 12)), max_size=40
).map(lambda runs: [probability for probability, length in runs for _ in range(length)])


@given(stretches)
def test_facts_alternate_and_are_true(probabilities: list[float]) -> None:
    told = whole(run(probabilities))
    assert all(isinstance(fact, TalkspurtStarted) == (place % 2 == 0) for place, (_, fact) in enumerate(told))
    times = [fact.at for _, fact in told]
    assert times == sorted(times)
    for number, fact in told:
        # Nothing is announced before the end of the window that decided it.
        assert fact.at <= (number + 1) * SECONDS
        index = round(fact.at / SECONDS)
        if isinstance(fact, TalkspurtStarted):
            assert probabilities[index] >= 0.4
            assert all(probability >= 0.35 for probability in probabilities[index : number + 1])
        else:
            assert probabilities[index - 1] >= 0.35
            assert all(probability < 0.35 for probability in probabilities[index : number + 1])


@example([1.0, 1.0, 0.0, 0.0])
@given(stretches)
def test_voiced_time_lies_between_the_minimum_and_the_whole(probabilities: list[float]) -> None:
    told = [fact for _, fact in whole(run(probabilities))]
    for started, stopped in zip(told[::2], told[1::2], strict=False):
        assert isinstance(stopped, TalkspurtStopped)
        assert 0.064 - 1e-9 <= stopped.voiced <= stopped.at - started.at + 1e-9


@given(stretches)
def test_enough_silence_always_ends_it_and_enough_voice_always_starts_it(probabilities: list[float]) -> None:
    tracker = TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ)
    run([*probabilities, *[0.0] * 4], tracker)
    assert not tracker.active
    run([*probabilities, *[1.0] * 3], tracker)
    assert tracker.active
