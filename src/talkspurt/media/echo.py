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
    energies = np.einsum("ij,ij->i", blocks, blocks)
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
    # Rows: one sample of `heard`; columns: the agent's samples before it, latest delay first.
    rows = np.ascontiguousarray(sliding_window_view(played[start : start + len(heard) + TAPS - 1], TAPS)[:, ::-1])
    blocks = rows.reshape(-1, BLOCK, TAPS)
    targets = heard.reshape(-1, BLOCK)
    grams, crosses, energies = [], [], []
    for half in (0, 1):
        part = blocks[half::2].reshape(-1, TAPS)
        target = targets[half::2].reshape(-1)
        grams.append(part.T @ part)
        crosses.append(part.T @ target)
        energies.append(float(target @ target))
    unexplained = 0.0
    for half in (0, 1):
        taps = _solve(grams[half], crosses[half], assumed, ridge)
        other = 1 - half
        unexplained += energies[other] - 2 * float(taps @ crosses[other]) + float(taps @ grams[other] @ taps)
    share = 1 - unexplained / (energies[0] + energies[1] + 1e-12)
    return share, _solve(grams[0] + grams[1], crosses[0] + crosses[1], assumed, ridge)


def _solve(gram: Samples, cross: Samples, assumed: Samples, ridge: float) -> Samples:
    weight = np.float32(ridge * float(np.trace(gram)) / TAPS + 1e-9)
    solved = np.linalg.solve(gram + weight * np.eye(TAPS, dtype=np.float32), cross + weight * assumed)
    return solved.astype(np.float32, copy=False)
