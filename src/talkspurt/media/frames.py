"""A stretch of a line's audio as short frames: level, spectrum, cepstrum, pitch and harmonicity of each.

The common ground of what is said about levels, voices and noises; computed once for a stretch, all
frames in one transform. Only the telephone's band (300 to 3400 Hz) counts: outside it there is only
the codec's noise.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RATE_HZ: Final = 8_000
WINDOW: Final = 256
"""Samples of a frame, 32 ms: two periods of the lowest voice."""
HOP: Final = 80
"""Samples between frames, 10 ms."""
MOST: Final = 48
"""Frames that are looked at; of longer stretches every second, third, … so that the cost is bounded."""
TRANSFORM: Final = 512
"""Twice the window, so that the autocorrelation does not wrap."""
BANDS: Final = 20
CEPSTRA: Final = 12
"""c1 to c12 of 20 bands: what speaker recognition on telephone speech settled on. c0 is the level."""
LOWEST_PERIOD: Final = 20
"""Samples of the shortest period of a voice, 400 Hz."""
HIGHEST_PERIOD: Final = 128
"""Samples of the longest, 62 Hz."""
COMPRESSION: Final = 0.35
"""Exponent on the power spectrum before it is turned into an autocorrelation: flattens formants and slopes of
noise, so that only the spacing of harmonics remains (Tolonen and Karjalainen, 2000, use 0.33)."""
SILENCE: Final = 1e-10
"""Mean square that stands for digital silence, -100 dBFS."""

_LEVEL: Final = 0
_CEPSTRA: Final = slice(1, 1 + CEPSTRA)
_HARMONICITY: Final = 1 + CEPSTRA
_PITCH: Final = 2 + CEPSTRA
_COLUMNS: Final = 3 + CEPSTRA


@dataclass(frozen=True, slots=True)
class Frames:
    """What was measured of each of n frames."""

    table: Floats
    """(n, columns), a row for each frame: some are chosen, or put in place, by one look-up."""

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, chosen: slice | NDArray[np.intp] | NDArray[np.bool_]) -> "Frames":
        """Some of them."""
        return Frames(self.table[chosen])

    @property
    def levels(self) -> Floats:
        """In dBFS, of the telephone's band, (n,)."""
        return self.table[:, _LEVEL]

    @property
    def cepstra(self) -> Floats:
        """(n, CEPSTRA)."""
        return self.table[:, _CEPSTRA]

    @property
    def harmonicity(self) -> Floats:
        """0 noise to 1 purely periodic, (n,)."""
        return self.table[:, _HARMONICITY]

    @property
    def pitch(self) -> Floats:
        """Natural logarithm of the likeliest fundamental in Hz, (n,); means something only where they are harmonic."""
        return self.table[:, _PITCH]


class GrowingStretch:
    """The frames of a stretch of a line that is asked for again and again, longer every time.

    Each frame is computed once, and only if it is looked at: of a second of voice every second one is.
    """

    def __init__(self) -> None:
        self._first = 0
        self._count = 0
        """Frames of the stretch so far, known or not."""
        self._known = np.zeros(0, dtype=np.bool_)
        self._table: Floats = np.zeros((0, _COLUMNS), dtype=np.float32)

    def analyse(self, first: int, samples: Floats) -> Frames:
        """What `analyse` makes of `samples`, which lie on the line from position `first` on; good until the next one.

        Of a stretch whose beginning was cut off since, the beginning may lie up to a hop later than `first`.
        """
        if len(samples) < WINDOW:
            return analyse(samples)
        self._begin(first, anew=len(samples) < 2 * WINDOW)
        windows = _windows(samples[self._first - first :])
        self._count = count = len(windows)
        if count > len(self._known):
            more = count - len(self._known) + MOST
            self._known = np.concatenate((self._known, np.zeros(more, dtype=np.bool_)))
            self._table = np.concatenate((self._table, np.zeros((more, _COLUMNS), dtype=np.float32)))
        step = -(-count // MOST)
        missing = np.flatnonzero(~self._known[:count:step]) * step
        if len(missing):
            self._table[missing] = _measured(windows[missing])
            self._known[missing] = True
        return Frames(self._table[:count:step])

    def _begin(self, first: int, *, anew: bool) -> None:
        """Forget what lies before `first`, or everything when nothing is left of what was known."""
        cut = -(-(first - self._first) // HOP)
        if anew or not 0 <= cut < self._count:
            self._first, self._known, self._table = first, self._known[:0], self._table[:0]
        elif cut:
            self._first += cut * HOP
            self._known, self._table = self._known[cut:], self._table[cut:]


def analyse(samples: Floats) -> Frames:
    """The frames of `samples`; at least one, for which short input is padded with silence."""
    windows = _windows(samples)
    return Frames(_measured(windows[:: -(-len(windows) // MOST)]))


def _windows(samples: Floats) -> Floats:
    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    # As `sliding_window_view`, which takes as long as half of the transform.
    shape, step = (1 + (len(samples) - WINDOW) // HOP, WINDOW), samples.itemsize
    return np.ndarray(shape, samples.dtype, samples, strides=(HOP * step, step))


def _measured(windows: Floats) -> Floats:
    """The table of these frames. What is linear is one matrix product: on few frames every call counts."""
    spectra = np.fft.rfft(windows * _HANN, TRANSFORM, axis=1)[:, _FIRST_BIN:_LAST_BIN]
    power = np.square(spectra.real)
    power += np.square(spectra.imag)
    bands = power @ _BANDS_AND_ALL
    bands += _SILENCE
    np.log(bands, out=bands)
    table: Floats = np.empty((len(windows), _COLUMNS), dtype=np.float32)
    table[:, :_HARMONICITY] = bands @ _LEVEL_AND_CEPSTRA
    # By logarithm and exponential, since those are vectorised on every machine and powers are not.
    power += _SILENCE
    np.log(power, out=power)
    power *= _COMPRESSION
    np.exp(power, out=power)
    correlation = np.empty((len(power), HIGHEST_PERIOD + 1 - LOWEST_PERIOD), dtype=np.float32)
    for at in range(0, len(power), _ROWS_AT_ONCE):
        np.matmul(power[at : at + _ROWS_AT_ONCE], _PERIODS, out=correlation[at : at + _ROWS_AT_ONCE])
    best = correlation.argmax(axis=1)
    harmonicity = table[:, _HARMONICITY]
    np.multiply(np.add.reduce(power, axis=1), _ALL_IN_PHASE, out=harmonicity)
    np.add(harmonicity, _SILENCE, out=harmonicity)
    np.divide(correlation[np.arange(len(best)), best], harmonicity, out=harmonicity)
    np.minimum(np.maximum(harmonicity, _NONE, out=harmonicity), _WHOLE, out=harmonicity)
    table[:, _PITCH] = _PITCHES[best]
    return table


def _mel_filters() -> NDArray[np.float64]:
    """Triangles, evenly spaced in mel over the band: (TRANSFORM // 2 + 1, BANDS)."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (250, 3_500))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(TRANSFORM, 1 / RATE_HZ)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return filters


def _bands_and_all() -> Floats:
    """From the power of the band's bins to its mean square, and to the bands: (bins, 1 + BANDS)."""
    # Turns a sum of one-sided power bins into the mean square of the windowed samples.
    scale = 2 / (TRANSFORM * float(np.sum(_HANN**2)))
    filters = _mel_filters()[_FIRST_BIN:_LAST_BIN]
    return np.hstack((np.full((len(filters), 1), scale), filters)).astype(np.float32)


def _level_and_cepstra() -> Floats:
    """From the logarithms of those to the first columns of the table: (1 + BANDS, 1 + CEPSTRA)."""
    matrix = np.zeros((1 + BANDS, 1 + CEPSTRA))
    matrix[0, 0] = 10 / np.log(10)
    angles = np.pi * np.outer(np.arange(BANDS) + 0.5, np.arange(1, CEPSTRA + 1)) / BANDS
    matrix[1:, 1:] = np.sqrt(2 / BANDS) * np.cos(angles)
    return matrix.astype(np.float32)


def _periods() -> Floats:
    """From the band's bins to the autocorrelation at the periods of a voice, by that of the window: (bins, periods).

    It is the inverse transform at the places that are looked at, which are fewer than half.
    """
    periods = np.arange(LOWEST_PERIOD, HIGHEST_PERIOD + 1)
    angles = 2 * np.pi * np.outer(np.arange(_FIRST_BIN, _LAST_BIN), periods) / TRANSFORM
    window = _HANN.astype(np.float64)
    expected = [window[: WINDOW - lag] @ window[lag:] / (window @ window) for lag in periods.tolist()]
    matrix: NDArray[np.float64] = 2 / TRANSFORM * np.cos(angles) / np.array(expected)
    return matrix.astype(np.float32)


_HANN: Final[Floats] = np.hanning(WINDOW).astype(np.float32)
_SILENCE: Final = np.array(SILENCE, dtype=np.float32)
"""As an array, as the other constants: to make one of a number takes as long as to add it to fifty frames."""
_COMPRESSION: Final = np.array(COMPRESSION, dtype=np.float32)
_FIRST_BIN: Final = 250 * TRANSFORM // RATE_HZ
_LAST_BIN: Final = 3_500 * TRANSFORM // RATE_HZ + 1
_BANDS_AND_ALL: Final = _bands_and_all()
_LEVEL_AND_CEPSTRA: Final = _level_and_cepstra()
_PERIODS: Final = _periods()
_ROWS_AT_ONCE: Final = 16
"""Frames of one matrix product: from 24 on OpenBLAS shares the work among threads that wait for each other, which on a
busy machine took eighty times as long."""
_NONE: Final = np.array(0, dtype=np.float32)
_WHOLE: Final = np.array(1, dtype=np.float32)
_ALL_IN_PHASE: Final = np.array(2 / TRANSFORM, dtype=np.float32)
"""By what the sum of the bins is the autocorrelation at no distance."""
_PITCHES: Final[Floats] = np.log(RATE_HZ / np.arange(LOWEST_PERIOD, HIGHEST_PERIOD + 1)).astype(np.float32)
