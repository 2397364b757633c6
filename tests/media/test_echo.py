"""The fit of an echo path is that of its definition, written out without shortcuts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from talkspurt.media.echo import (
    AHEAD,
    BLOCK,
    LONGEST_DELAY,
    MARGIN,
    REMEMBER_SAMPLES,
    RIDGE,
    TAPS,
    EchoPath,
    Samples,
)

Sound = NDArray[np.float64]


def sound(seed: int, samples: int) -> Sound:
    """Low tones and noise, as a voice has them, louder and softer."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=samples)
    voice: Sound = 0.05 * (np.convolve(noise, np.ones(8) / 8, "same") + 0.1 * noise)
    return voice * (1.2 + np.sin(np.arange(samples) / 700))


def emphasised(samples: Samples) -> Sound:
    wide = samples.astype(np.float64)
    return np.concatenate((wide[:1], wide[1:] - 0.9 * wide[:-1]))


def by_definition(heard: Samples, played: Samples, delay: int) -> tuple[float, Sound]:
    """The share that each half of the blocks' filter explains of the other half, and the filter of both."""
    target, source = emphasised(heard), emphasised(played)
    at = LONGEST_DELAY + MARGIN - (delay - AHEAD)
    columns = np.stack([source[at - tap : at - tap + len(target)] for tap in range(TAPS)], axis=1)
    first = np.arange(len(target)) // BLOCK % 2 == 0

    def fitted(rows: NDArray[np.bool_]) -> Sound:
        gram = columns[rows].T @ columns[rows]
        weight = RIDGE * np.trace(gram) / TAPS + 1e-9
        return np.linalg.solve(gram + weight * np.eye(TAPS), columns[rows].T @ target[rows])

    left = sum(float(np.sum((target[rows] - columns[rows] @ fitted(~rows)) ** 2)) for rows in (first, ~first))
    return 1 - left / float(target @ target), fitted(np.ones(len(target), dtype=np.bool_))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1_000), st.integers(4, 20), st.integers(0, LONGEST_DELAY), st.sampled_from([0.0, 1e-4, 1e-3, 3e-2])
)
def test_a_fit_is_the_one_of_its_definition(seed: int, blocks: int, delay: int, noise: float) -> None:
    samples = blocks * BLOCK
    played = sound(seed, samples + LONGEST_DELAY + 2 * MARGIN).astype(np.float32)
    begin = LONGEST_DELAY + MARGIN - delay
    beside = noise * np.random.default_rng(seed + 1).normal(size=samples)
    heard = 0.1 * played[begin : begin + samples] + beside.astype(np.float32)
    path = EchoPath()
    share = path.share(heard, played)
    if path.delay is not None:
        expected, taps = by_definition(heard, played, path.delay)
        assert share == pytest.approx(expected, abs=1e-5)
        assert path._taps == pytest.approx(taps, abs=1e-4)
        assert abs(path.delay - delay) <= 1
    else:
        assert noise or samples < REMEMBER_SAMPLES


def test_an_echo_is_explained_by_what_was_played_in_its_span() -> None:
    played = sound(1, 20_000).astype(np.float32)
    heard = np.zeros(20_000, dtype=np.float32)
    heard[700:] = 0.1 * played[:-700]
    path = EchoPath()
    first, last = 9_000, 12_200
    path.share(heard[first:last], played[first - LONGEST_DELAY - MARGIN : last + MARGIN])
    assert path.delay == 700
    begin, end = path.span(15_000, 15_256)
    assert path.explained(heard[15_000:15_256], played[begin:end]) > 0.95
    assert path.explained(heard[15_000:15_256], played[begin + 200 : end + 200]) < 0.5
