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

from dataclasses import dataclass
from typing import Final

import numpy as np
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
        if float(heard @ heard) <= 0 or float(played @ played) < SILENT * len(heard):
            return 0.0
        near = 0.0
        correlation = _correlation(heard, played)
        if self._taps is not None:
            fit = _Fit.of(heard, played, self._nearest(correlation, self._taps), self._taps, REMEMBERED_RIDGE)
            near = min(1.0, fit.share)
            if near >= REMEMBER:
                self._remember(fit, len(heard))
                return near
        fit = _Fit.of(heard, played, _likeliest_delay(correlation, played, len(heard)), _NO_TAPS, RIDGE)
        self._remember(fit, len(heard))
        return min(1.0, max(0.0, near, fit.share))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """From where to where the agent's audio lies whose echo, by the remembered delay, is in this stretch."""
        return first - self._delay + AHEAD - (TAPS - 1), last - self._delay + AHEAD

    def explained(self, heard: Samples, source: Samples) -> float:
        """The share of `heard`'s energy that the remembered filter explains, without any search or fit: 20 µs.

        `source` is what was played in the `span` of the stretch. 0 while nothing is remembered.
        """
        if self._taps is None or float(source @ source) < SILENT * len(source):
            return 0.0
        heard = _emphasise(heard)
        left = heard - np.convolve(_emphasise(source), self._taps, "valid")
        return 1 - float(left @ left) / (float(heard @ heard) + 1e-12)

    def _nearest(self, correlation: NDArray[np.floating], taps: Samples) -> int:
        """At which delay near the remembered one the echo that the filter predicts agrees best."""
        first = max(0, self._delay - NEAR)
        last = min(LONGEST_DELAY, self._delay + NEAR)
        begin = LONGEST_DELAY + MARGIN + AHEAD - TAPS + 1 - last
        agreement = np.correlate(correlation[begin : begin + last - first + TAPS][::-1], taps, mode="valid")
        return first + int(np.argmax(agreement))

    def _remember(self, fit: "_Fit", samples: int) -> None:
        if fit.share < REMEMBER or samples < REMEMBER_SAMPLES:
            return
        taps = fit.taps()
        if self._taps is not None and fit.delay == self._delay:
            taps = (self._taps + taps) / np.float32(2)
        self._taps, self._delay = taps, fit.delay


def _loudest(heard: Samples) -> tuple[int, int]:
    """Where the loudest stretch of whole blocks begins, and its length."""
    if len(heard) <= LONGEST:
        return 0, len(heard) // BLOCK * BLOCK
    blocks = heard[: len(heard) // BLOCK * BLOCK].reshape(-1, BLOCK)
    energies = np.vecdot(blocks, blocks)
    sums = np.convolve(energies, np.ones(LONGEST // BLOCK), mode="valid")
    return int(np.argmax(sums)) * BLOCK, LONGEST


def _emphasise(samples: Samples) -> Samples:
    emphasised = np.empty_like(samples)
    emphasised[:1] = samples[:1]
    np.multiply(samples[:-1], EMPHASIS, out=emphasised[1:])
    np.subtract(samples[1:], emphasised[1:], out=emphasised[1:])
    return emphasised


def _transform_size(length: int) -> int:
    """The next length that a fast Fourier transform is fast at: 2^n or 3·2^n."""
    size = 1 << (length - 1).bit_length()
    return size * 3 // 4 if size * 3 // 4 >= length else size


def _correlation(heard: Samples, played: Samples) -> NDArray[np.floating]:
    """How much the heard agrees with the played from each of its samples on."""
    size = _transform_size(len(played))
    spectrum = np.fft.rfft(heard, size)
    np.conjugate(spectrum, out=spectrum)
    spectrum *= np.fft.rfft(played, size)
    return np.fft.irfft(spectrum, size)


def _likeliest_delay(correlation: NDArray[np.floating], played: Samples, length: int) -> int:
    squares = np.square(played)
    # Of what was played beside each delay; from one to the next a sample enters and one leaves.
    changes = np.empty(LONGEST_DELAY + 1)
    changes[0] = np.add.reduce(squares[MARGIN : MARGIN + length])
    entering = squares[MARGIN + length : MARGIN + length + LONGEST_DELAY]
    np.subtract(entering, squares[MARGIN : MARGIN + LONGEST_DELAY], out=changes[1:])
    energies = changes.cumsum(out=changes).astype(np.float32)
    # Where the agent was all but silent, a little noise would correlate best of all.
    floor = max(SILENT * length, 1e-3 * float(energies.max()))
    np.maximum(energies, np.float32(floor), out=energies)
    agreement = np.square(correlation[MARGIN : MARGIN + LONGEST_DELAY + 1])
    np.divide(agreement, energies, out=agreement)
    return LONGEST_DELAY - int(agreement.argmax())


@dataclass(frozen=True, slots=True)
class _Fit:
    """A filter that was fitted to each half of the blocks, and judged on the other."""

    share: float
    """The share explained in the blocks that were not seen, which may be below 0."""
    delay: int
    grams: NDArray[np.float64]
    crosses: NDArray[np.float64]
    assumed: Samples
    ridge: float

    @classmethod
    def of(cls, heard: Samples, played: Samples, delay: int, assumed: Samples, ridge: float) -> "_Fit":
        """Fit it from `AHEAD` taps before `delay` on."""
        start = LONGEST_DELAY + MARGIN - (delay - AHEAD) - (TAPS - 1)
        source = played[start : start + len(heard) + TAPS - 1]
        halves = _HALVES[:, : len(heard)]
        crosses = _lagged(source, heard * halves)
        grams = _grams(source, halves)
        # Each half's filter explains the other half: all but e - 2 t·c + t·G·t of it.
        taps = _solve(grams, crosses, assumed, ridge)[::-1]
        predicted = np.matmul(grams, taps[:, :, None])[:, :, 0]
        explained = float(np.vdot(taps, 2 * crosses - predicted))
        return cls(explained / (float(heard @ heard) + 1e-12), delay, grams, crosses, assumed, ridge)

    def taps(self) -> Samples:
        """The filter of all blocks."""
        all_grams, all_crosses = self.grams.sum(0, keepdims=True), self.crosses.sum(0, keepdims=True)
        taps: Samples = _solve(all_grams, all_crosses, self.assumed, self.ridge)[0].astype(np.float32)
        return taps


def _lagged(source: Samples, halves: Samples) -> NDArray[np.float64]:
    """How much each half agrees with the source before its samples: (2, TAPS), by delay."""
    lagged = np.empty((2, TAPS))
    for row, half in zip(lagged, halves, strict=True):
        row[::-1] = np.correlate(source, half, "valid")
    return lagged


def _grams(source: Samples, halves: Samples) -> NDArray[np.float64]:
    """Of each half of the blocks: how much the samples before each of its samples agree, by two of the `TAPS` delays.

    (2, TAPS, TAPS). The agreement of two delays is that of both one later, but for the edges of the blocks, so only
    the first row is summed over all samples: an eighth of the work of the matrix product.
    """
    # By the edge of each block, the samples up to the one before it.
    padded = np.concatenate((_ZERO, source))
    edges, step = 1 + (len(source) - TAPS + 1) // BLOCK, padded.itemsize
    before = np.ndarray((edges, TAPS), padded.dtype, padded, strides=(BLOCK * step, step)).astype(np.float64)
    # At an edge one half's blocks begin, and the other's end.
    signs = _SIGNS[:, :edges].copy()
    signs[(edges - 1) % 2, -1] = 0
    steps = np.matmul((before * signs[:, :, None]).transpose(0, 2, 1), before)
    diagonals = np.empty((2, TAPS, TAPS))
    diagonals[:, 0] = _lagged(source, source[TAPS - 1 :] * halves)
    diagonals[:, 1:] = steps.reshape(2, -1).take(_ALONG, axis=1)
    grams: NDArray[np.float64] = np.matmul(_SO_FAR, diagonals).reshape(2, -1).take(_PLACES, axis=1)
    return grams


def _solve(
    grams: NDArray[np.float64], crosses: NDArray[np.float64], assumed: Samples, ridge: float
) -> NDArray[np.float64]:
    weighted = grams.copy()
    diagonals = weighted.reshape(len(grams), -1)[:, :: TAPS + 1]
    weights = np.full((len(grams), 1), 1e-9)
    weights[:, 0] += ridge / TAPS * np.add.reduce(diagonals, axis=1)
    diagonals += weights
    right = crosses + weights * assumed.astype(np.float64)
    solved: NDArray[np.float64] = np.linalg.solve(weighted, right[:, :, None])
    return solved[:, :, 0]


_HALVES: Final[Samples] = np.tile(
    np.repeat(np.array([[1, 0], [0, 1]], dtype=np.float32), BLOCK, axis=1), -(-LONGEST // (2 * BLOCK))
)
"""1 for the samples of every second block, 0 for the others; and the other way round."""
_SIGNS: Final = np.hstack(([[1.0], [0.0]], np.tile([[-1.0, 1.0], [1.0, -1.0]], LONGEST // BLOCK // 2 + 1)))
"""By half and edge, whether a block of the half begins there or ends; at the first edge none ends."""
_NO_TAPS: Final[Samples] = np.zeros(TAPS, dtype=np.float32)
_ZERO: Final[Samples] = np.zeros(1, dtype=np.float32)
_SO_FAR: Final = np.tri(TAPS)
"""Sums a matrix's rows up to each."""
_ROWS, _COLUMNS = np.indices((TAPS, TAPS))
_PLACES: Final = np.minimum(_ROWS, _COLUMNS) * TAPS + np.abs(_ROWS - _COLUMNS)
"""Where in a matrix of diagonals each element lies."""
_STEP, _DISTANCE = np.indices((TAPS - 1, TAPS))
_ALONG: Final = np.maximum(0, (TAPS - 1 - _STEP) * TAPS + TAPS - 1 - _STEP - _DISTANCE)
"""Where in a matrix, of which the latest sample is the last, the values of each diagonal lie, one row for each step
along it; what lies beyond its end is never looked at."""
