"""The gate before the voice activity model stays shut on noise and opens with whatever is louder."""

import numpy as np
import pytest
from numpy.typing import NDArray

from talkspurt.speech.energy_gate import CLOSING, EnergyGate

WINDOW = 256
SLOT = np.zeros(1, dtype=np.intp)


def noise(dbfs: float, windows: int, seed: int = 1) -> NDArray[np.float32]:
    """Steady noise: float32, (windows, WINDOW), full scale 1."""
    samples = np.random.default_rng(seed).normal(0, 10 ** (dbfs / 20), (windows, WINDOW))
    return samples.astype(np.float32)


def judged(gate: EnergyGate, windows: NDArray[np.float32], probability: float = 0.0) -> int:
    """How many of the windows the model had to judge; it finds `probability` in each."""
    count = 0
    for window in windows:
        rows = gate.open(SLOT, window[np.newaxis])
        if len(rows):
            count += 1
            gate.judged(SLOT, np.full(1, probability, dtype=np.float32))
    return count


def gate() -> EnergyGate:
    made = EnergyGate()
    made.grow(1)
    return made


@pytest.mark.parametrize("silence", [0, 1, 50])
def test_steady_noise_is_spared_the_model_also_after_silence(silence: int) -> None:
    """A gap on the line is filled with exact silence: from it the floor must find its way back to the line's noise."""
    line = gate()
    judged(line, np.zeros((silence, WINDOW), dtype=np.float32))
    judged(line, noise(-50, 600, seed=2))
    assert judged(line, noise(-50, 500)) < 100


def test_a_voice_opens_it_at_once_and_keeps_it_open_while_the_model_finds_one() -> None:
    line = gate()
    judged(line, noise(-60, 300))
    assert judged(line, noise(-40, 1), probability=0.9) == 1
    assert judged(line, noise(-60, CLOSING - 1), probability=0.05) == CLOSING - 1


def test_what_is_too_faint_for_anybody_is_not_judged_once_it_has_closed() -> None:
    line = gate()
    judged(line, noise(-80, CLOSING))
    assert judged(line, noise(-75, 100)) == 0
