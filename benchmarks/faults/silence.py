"""How long a caller heard nothing while it was the agent's turn, from what was on the line."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FRAME: Final = 160
"""Samples: 20 ms."""
AUDIBLE: Final = 200.0
"""Root mean square of a frame that somebody hears: -44 dBFS, far below any voice here, far above silence."""
SHORTEST_SOUND: Final = 3
"""Frames in a row that make a sound; a click breaks no silence."""


def audible(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """By frame of 20 ms: whether something is to be heard. Short sounds do not count. `samples`: int16, mono, 8 kHz."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    loud: NDArray[np.bool_] = np.sqrt(np.mean(frames**2, axis=1)) > AUDIBLE
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(np.int8), [0]))))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin < SHORTEST_SOUND:
            loud[begin:end] = False
    return loud


def longest_silence(caller: NDArray[np.int16], agent: NDArray[np.int16]) -> float:
    """The longest time in which both were silent, in seconds, from the call's beginning to the last sound of either.

    Pauses in which the caller only takes a breath before the next line count too: they are shorter than a second.
    Behind the last sound the caller waits on purpose; whether their last line was answered is asked elsewhere.
    """
    length = min(len(caller), len(agent)) // FRAME
    heard = audible(caller)[:length] | audible(agent)[:length]
    sounds = np.flatnonzero(heard)
    if not len(sounds):
        return length * FRAME / 8_000
    return float(np.max(np.diff(sounds, prepend=-1)) - 1) * FRAME / 8_000
