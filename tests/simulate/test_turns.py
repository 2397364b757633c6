import numpy as np
import pytest
from numpy.typing import NDArray

from talkspurt.simulate.loudness import phrases, trim
from talkspurt.simulate.report import Percentiles
from talkspurt.simulate.turns import Exchange, measure

RATE = 8_000


def track(seconds: float, *voiced: tuple[float, float]) -> NDArray[np.int16]:
    samples = np.zeros(round(seconds * RATE), dtype=np.int16)
    for begins, ends in voiced:
        first, last = round(begins * RATE), round(ends * RATE)
        samples[first:last] = (np.sin(np.arange(last - first) * 0.5) * 6_000).astype(np.int16)
    return samples


@pytest.mark.parametrize(
    ("voiced", "expected"),
    [
        ([(4.0, 5.0)], Exchange(4.0, 1.0, talked_over=False, stopped_after=None)),
        ([], Exchange(None, None, talked_over=False, stopped_after=None)),
        ([(0.0, 1.5), (4.0, 5.0)], Exchange(4.0, 1.0, talked_over=False, stopped_after=None)),
        # barge-in: audible when the caller began, stopped, answered
        ([(1.0, 2.25), (4.0, 5.0)], Exchange(4.0, 1.0, talked_over=False, stopped_after=0.25)),
        ([(1.0, 1.9), (2.1, 2.25), (4.0, 5.0)], Exchange(4.0, 1.0, talked_over=False, stopped_after=0.25)),
        # never stopped: what follows after it has fallen silent is the answer
        ([(1.0, 3.5), (4.0, 5.0)], Exchange(4.0, 1.0, talked_over=True, stopped_after=1.5)),
        ([(1.0, 3.5)], Exchange(None, None, talked_over=True, stopped_after=1.5)),
        # answered before the caller had finished
        ([(2.7, 4.5)], Exchange(3.0, 0.0, talked_over=True, stopped_after=None)),
        # began too early, yielded, then answered
        ([(2.7, 3.2), (4.0, 5.0)], Exchange(4.0, 1.0, talked_over=True, stopped_after=None)),
        # fell silent just before the caller ended: not talked over
        ([(2.7, 2.9), (4.0, 5.0)], Exchange(4.0, 1.0, talked_over=False, stopped_after=None)),
    ],
)
def test_measures_a_turn_of_the_caller_from_two_to_three_seconds(
    voiced: list[tuple[float, float]], expected: Exchange
) -> None:
    found = measure(track(6.0, *voiced), began=2.0, ended=3.0, until=6.0)
    assert found.talked_over == expected.talked_over
    for name in ("answered", "latency", "stopped_after"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=0.011), name


def test_an_answer_after_the_turn_is_not_its_own() -> None:
    assert measure(track(6.0, (4.0, 5.0)), began=2.0, ended=3.0, until=3.9).answered is None


def test_trim_keeps_what_can_be_heard() -> None:
    assert len(trim(track(2.0, (0.5, 0.9), (1.0, 1.2)))) == pytest.approx((0.7 + 0.2) * RATE, abs=160)
    assert len(trim(track(1.0))) == 0


def test_phrases_cut_at_pauses_and_never_exceed_the_longest() -> None:
    pieces = phrases(track(20.0, (0.5, 1.0), (1.1, 1.5), (3.0, 15.0)), longest=5.0)
    assert len(pieces) == 4
    assert all(len(piece) <= 5.3 * RATE for piece in pieces)
    assert sum(np.count_nonzero(piece) for piece in pieces) == pytest.approx(12.9 * RATE, rel=0.06)


def test_percentiles_are_measured_values() -> None:
    assert Percentiles.of([]) is None
    assert Percentiles.of([3.0]) == Percentiles(1, 3.0, 3.0, 3.0)
    assert Percentiles.of([float(n) for n in range(20, 0, -1)]) == Percentiles(20, 10.0, 19.0, 20.0)
