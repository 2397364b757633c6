"""How much of what the caller's line carries is the agent's own voice coming back.

The telephone returns a filtered, weakened, delayed copy of what was played. Three steps: a
cross-correlation over all delays finds the likeliest one; a least-squares fit of a short filter there
says how much of the energy the agent's audio explains; the fit is judged on blocks that it has not
seen, so that 32 free taps do not explain a stranger's voice by chance (unseen, half of the stretches of
another's speech are explained to nothing and 98 of 100 to less than 0.15).

A call's echo path hardly changes. Once found, its filter is remembered: later stretches are compared
with the echo that it predicts, near the remembered delay, which makes short ones surer (of 0.13 s, misses
fell by a third).

It is not an echo canceller: nothing is removed from the audio. It knows no non-linear echo, as the
leftovers of a mobile's own canceller are. Pre-emphasis whitens speech first, so that its strong low
harmonics do not decide alone.
"""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Samples = NDArray[np.float32]

LONGEST_DELAY: Final = 4_800
"""Samples (0.6 s) after which an echo is looked for: carrier's buffer 0.2 s, mobile network and room."""
LONGEST: Final = 3_200
"""Samples of a stretch that are judged: its loudest 0.4 s, which bounds the cost and leaves pauses out."""
SHORTEST: Final = 640
"""Samples (80 ms) below which nothing is said: two blocks each to fit and to judge."""
TAPS: Final = 32
"""Length of the fitted filter, 4 ms: 16 taps explained a room's echo to 0.4, 32 to 0.7, 48 no better."""
AHEAD: Final = 12
"""Taps before the likeliest delay: its peak need not be the first arrival."""
MARGIN: Final = 64
"""Samples of the agent's audio needed beyond both ends of the delays."""
BLOCK: Final = 160
"""Samples that are fitted or judged together; alternate ones serve the other half."""
EMPHASIS: Final = np.float32(0.9)
RIDGE: Final = 0.1
"""Weight of the filter that is assumed beforehand, relative to the audio's mean energy per tap."""
REMEMBERED_RIDGE: Final = 1.0
"""The same when that filter is the remembered one, not zero."""
NEAR: Final = 320
"""Samples (40 ms) that the delay may have moved since it was remembered: the pacer sends by 20 ms ticks."""
REMEMBER: Final = 0.4
"""Share from which a fit is good enough to remember; speech of another stayed below 0.35."""
REMEMBER_SAMPLES: Final = 1_600
"""Samples (0.2 s) that a fit must rest on to be remembered."""
SILENT: Final = 1e-7
"""Mean square (-70 dBFS) below which the agent's audio counts as silence; µ-law's own noise lies there."""


class EchoPath:
    """One call's echo path. Give `share` each stretch together with what was played before and during it."""

    def __init__(self) -> None:
        self._taps: Samples | None = None
        self._delay = 0

    @property
    def delay(self) -> int | None:
        """The remembered delay in samples; None as long as no echo was found."""
        return None if self._taps is None else self._delay

    def share(self, heard: Samples, played: Samples) -> float:
        """The share, 0 to 1, of `heard`'s energy that `played` explains.

        `played[LONGEST_DELAY + MARGIN]` is the agent's sample of the same moment as `heard[0]`, and `played`
        is `LONGEST_DELAY + 2 * MARGIN` longer than `heard`.
        """
        if len(heard) < SHORTEST or not played.any():
            return 0.0
        begin, length = _loudest(heard)
        heard = _emphasise(heard[begin : begin + length])
        played = _emphasise(played[begin : begin + length + LONGEST_DELAY + 2 * MARGIN])
        energy = float(heard @ heard)
        if energy <= 0 or float(played @ played) < SILENT * len(heard):
            return 0.0
        near = 0.0
        size = _transform_size(len(played))
        spectrum = np.fft.rfft(played, size)
        correlation = np.fft.irfft(spectrum * np.conj(np.fft.rfft(heard, size)), size)
        if self._taps is not None:
            near, taps, delay = self._remembered(heard, played, correlation, energy)
            if near >= REMEMBER:
                self._remember(near, taps, delay, len(heard))
                return near
        delay = _likeliest_delay(correlation, played, len(heard))
        far, taps = _fit(heard, played, delay - AHEAD, np.zeros(TAPS, dtype=np.float32), RIDGE)
        self._remember(far, taps, delay, len(heard))
        return min(1.0, max(0.0, near, far))

    def explained(self, heard: Samples, played: Samples) -> float:
        """The share of `heard`'s energy that the remembered filter explains, without any search or fit: 20 µs.

        0 while nothing is remembered. `played` lies to `heard` as for `share`.
        """
        if self._taps is None:
            return 0.0
        start = LONGEST_DELAY + MARGIN - (self._delay - AHEAD) - (TAPS - 1)
        source = played[start : start + len(heard) + TAPS - 1]
        if len(source) < len(heard) + TAPS - 1 or float(source @ source) < SILENT * len(source):
            return 0.0
        heard = _emphasise(heard)
        left = heard - np.convolve(_emphasise(source), self._taps, "valid")
        return 1 - float(left @ left) / (float(heard @ heard) + 1e-12)

    def _remembered(
        self, heard: Samples, played: Samples, correlation: NDArray[np.floating], energy: float
    ) -> tuple[float, Samples, int]:
        assert self._taps is not None
        # Where the echo that the remembered filter predicts agrees best, from the same correlation.
        first = max(0, self._delay - NEAR)
        last = min(LONGEST_DELAY, self._delay + NEAR)
        at = LONGEST_DELAY + MARGIN - np.arange(first - AHEAD, last - AHEAD + TAPS)
        agreement = np.correlate(correlation[at], self._taps, mode="valid")
        delay = first + int(np.argmax(agreement))
        share, taps = _fit(heard, played, delay - AHEAD, self._taps, REMEMBERED_RIDGE)
        return min(1.0, share), taps, delay

    def _remember(self, share: float, taps: Samples, delay: int, samples: int) -> None:
        if share < REMEMBER or samples < REMEMBER_SAMPLES:
            return
        if self._taps is not None and delay == self._delay:
            taps = (self._taps + taps) / np.float32(2)
        self._taps, self._delay = taps, delay


def _loudest(heard: Samples) -> tuple[int, int]:
    """Where the loudest stretch of whole blocks begins, and its length."""
    if len(heard) <= LONGEST:
        return 0, len(heard) // BLOCK * BLOCK
    blocks = heard[: len(heard) // BLOCK * BLOCK].reshape(-1, BLOCK)
    energies = np.vecdot(blocks, blocks)
    sums = np.convolve(energies, np.ones(LONGEST // BLOCK), mode="valid")
    return int(np.argmax(sums)) * BLOCK, LONGEST


def _emphasise(samples: Samples) -> Samples:
    emphasised = samples.copy()
    emphasised[1:] -= EMPHASIS * samples[:-1]
    return emphasised


def _transform_size(length: int) -> int:
    """The next length that a fast Fourier transform is fast at: 2^n or 3·2^n."""
    size = 1 << (length - 1).bit_length()
    return size * 3 // 4 if size * 3 // 4 >= length else size


def _likeliest_delay(correlation: NDArray[np.floating], played: Samples, length: int) -> int:
    sums = np.concatenate((np.zeros(1), np.cumsum(np.square(played, dtype=np.float64))))
    starts = slice(MARGIN, MARGIN + LONGEST_DELAY + 1)
    energies = sums[length:][starts] - sums[: len(sums) - length][starts]
    # Where the agent was all but silent, a little noise would correlate best of all.
    floor = max(SILENT * length, 1e-3 * float(energies.max()))
    found = int(np.argmax(np.square(correlation[starts]) / np.maximum(energies, floor)))
    return LONGEST_DELAY - found


def _fit(heard: Samples, played: Samples, delay: int, assumed: Samples, ridge: float) -> tuple[float, Samples]:
    """Fit the filter from `delay` on; the share explained in unseen blocks, and the filter of all blocks."""
    start = LONGEST_DELAY + MARGIN - delay - (TAPS - 1)
    source = played[start : start + len(heard) + TAPS - 1]
    first = _FIRST_HALF[: len(heard)]
    targets = np.stack((heard * first, heard * (1 - first)))
    crosses = np.stack([np.correlate(source, half, "valid")[::-1] for half in targets]).astype(np.float64)
    grams = _grams(source, first)
    energies = np.einsum("ht,ht->h", targets, targets, dtype=np.float64)
    taps = _solve(
        np.concatenate((grams, grams.sum(0, keepdims=True))),
        np.concatenate((crosses, crosses.sum(0, keepdims=True))),
        assumed,
        ridge,
    )
    # Each half's filter explains the other half: all but e - 2 t·c + t·G·t of it.
    halves = taps[1::-1]
    unexplained = float(energies.sum() - 2 * np.sum(halves * crosses) + np.einsum("hi,hij,hj->", halves, grams, halves))
    return 1 - unexplained / (float(energies.sum()) + 1e-12), taps[2].astype(np.float32)


def _grams(source: Samples, first: Samples) -> NDArray[np.float64]:
    """Of each half of the blocks: how much the samples before each of its samples agree, by two of the `TAPS` delays.

    (2, TAPS, TAPS). The agreement of two delays is that of both one later, but for the edges of the blocks, so only
    the first row is summed over all samples: an eighth of the work of the matrix product.
    """
    now = source[TAPS - 1 :]
    rows = [np.correlate(source, half, "valid")[::-1] for half in (now * first, now * (1 - first))]
    # By the edge of each block, the samples up to the one before it, latest first.
    before = sliding_window_view(np.concatenate((_ZERO, source)), TAPS)[::BLOCK, ::-1]
    edges = before.astype(np.float64)
    products = edges[:, :, None] * edges[:, None, :]
    steps = products[:-1] - products[1:]
    diagonals = np.zeros((2, TAPS, TAPS))
    for half in (0, 1):
        diagonals[half, 0] = rows[half]
        diagonals[half, 1:] = steps[half::2].sum(0).ravel()[_ALONG] * _INSIDE
    grams: NDArray[np.float64] = diagonals.cumsum(1)[:, _EARLIER, _APART]
    return grams


def _solve(
    grams: NDArray[np.float64], crosses: NDArray[np.float64], assumed: Samples, ridge: float
) -> NDArray[np.float64]:
    weights = ridge * np.einsum("hii->h", grams) / TAPS + 1e-9
    right = crosses + weights[:, None] * assumed
    solved: NDArray[np.float64] = np.linalg.solve(grams + weights[:, None, None] * np.eye(TAPS), right[:, :, None])
    return solved[:, :, 0]


_FIRST_HALF: Final[Samples] = np.tile(np.repeat(np.array([1, 0], dtype=np.float32), BLOCK), -(-LONGEST // (2 * BLOCK)))
"""1 for the samples of every second block, 0 for the others."""
_ZERO: Final[Samples] = np.zeros(1, dtype=np.float32)
_ROWS, _COLUMNS = np.indices((TAPS, TAPS))
_EARLIER, _APART = np.minimum(_ROWS, _COLUMNS), np.abs(_ROWS - _COLUMNS)
_STEP, _DISTANCE = np.indices((TAPS - 1, TAPS))
_INSIDE = _STEP + _DISTANCE < TAPS
_ALONG = np.where(_INSIDE, _STEP * TAPS + _STEP + _DISTANCE, 0)
"""Where in a matrix the values of each diagonal lie, one row for each step along it."""
