"""When is something heard: the one threshold by which this package calls audio audible.

Pure. 20 ms frames whose level is above -45 dBFS count: a telephone's own noise lies below,
the quietest vowels of the voices used here far above.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from talkspurt.media import g711

AUDIBLE_RMS: Final = 32_768 * 10 ** (-45 / 20)
WINDOW: Final = 80
"""Samples by which edges of speech are located: 10 ms."""
MARGIN: Final = 800
"""Samples kept around what is audible where it is cut out."""


@lru_cache(maxsize=4_096)
def is_audible(frame: bytes) -> bool:
    """Whether a mu-law frame can be heard. Cached, because most frames of a call are silence."""
    samples = np.frombuffer(g711.decode_mulaw(frame), dtype="<i2")
    return bool(len(samples)) and bool(_levels(samples, len(samples))[0] > AUDIBLE_RMS)


def audible_windows(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """For each whole 10 ms of `samples`, whether it can be heard."""
    return _levels(samples, WINDOW) > AUDIBLE_RMS


def audible_edges(samples: NDArray[np.int16]) -> tuple[int, int]:
    """Where what can be heard begins and ends, in samples; (0, 0) when nothing can."""
    heard = np.flatnonzero(audible_windows(samples))
    return (int(heard[0]) * WINDOW, (int(heard[-1]) + 1) * WINDOW) if len(heard) else (0, 0)


def trim(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """The clip without long silence at its ends; empty when nothing can be heard.

    A tenth of a second is kept: an h or an f begins and ends below what counts as audible.
    """
    first, last = audible_edges(samples)
    return samples[max(0, first - MARGIN) : last + MARGIN] if last else samples[:0]


def phrases(samples: NDArray[np.int16], *, pause: float = 0.35, longest: float = 9.0) -> list[NDArray[np.int16]]:
    """Cut speech at its pauses into pieces of at most `longest` seconds, for a recognizer with a short memory."""
    heard = audible_windows(samples)
    windows_per_second = 8_000 // WINDOW
    most_quiet, most = int(pause * windows_per_second), int(longest * windows_per_second)
    pieces: list[NDArray[np.int16]] = []
    begun: int | None = None
    last = 0
    for window in range(len(heard)):
        if heard[window]:
            begun = window if begun is None else begun
            last = window
        if begun is not None and (window - last >= most_quiet or window - begun >= most):
            pieces.append(_with_margin(samples, begun, last))
            begun = None
    if begun is not None:
        pieces.append(_with_margin(samples, begun, last))
    return pieces


def _with_margin(samples: NDArray[np.int16], first: int, last: int) -> NDArray[np.int16]:
    return samples[max(0, first * WINDOW - MARGIN) : (last + 1) * WINDOW + MARGIN]


def _levels(samples: NDArray[np.int16], window: int) -> NDArray[np.float64]:
    whole = len(samples) // window * window
    blocks = samples[:whole].astype(np.float64).reshape(-1, window)
    levels: NDArray[np.float64] = np.sqrt(np.mean(blocks**2, axis=1)) if whole else np.empty(0)
    return levels
