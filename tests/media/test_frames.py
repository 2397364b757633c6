"""A stretch that grows is analysed as if anew."""

import numpy as np
import pytest

from talkspurt.media.frames import HOP, WINDOW, Floats, Frames, GrowingStretch, analyse


def agree(found: Frames, expected: Frames) -> None:
    for name in ("levels", "cepstra", "harmonicity", "pitch"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-4)


@pytest.fixture
def line() -> Floats:
    times = np.arange(40_000) / 8_000
    sound = 0.2 * np.sin(2 * np.pi * 150 * times * (1 + 0.1 * times)) * (1 + np.sin(20 * times))
    samples: Floats = (sound + np.random.default_rng(3).normal(0, 0.01, len(times))).astype(np.float32)
    return samples


def test_it_is_the_same_whether_it_grew_or_not(line: Floats) -> None:
    growing = GrowingStretch()
    for last in (1_000, 1_300, 2_068, 2_836, 2_836, 9_000, 17_001):
        agree(growing.analyse(700, line[700:last]), analyse(line[700:last]))


def test_its_beginning_may_be_cut_off_to_the_next_hop(line: Floats) -> None:
    growing = GrowingStretch()
    growing.analyse(700, line[700:8_000])
    found = growing.analyse(700 + HOP + 5, line[700 + HOP + 5 : 9_000])
    agree(found, analyse(line[700 + 2 * HOP : 9_000]))


def test_another_stretch_has_nothing_of_the_one_before(line: Floats) -> None:
    growing = GrowingStretch()
    growing.analyse(9_000, line[9_000:12_000])
    for first, last in ((700, 3_000), (20_000, 20_100), (20_000, 20_000 + WINDOW), (30_000, 33_000)):
        agree(growing.analyse(first, line[first:last]), analyse(line[first:last]))
