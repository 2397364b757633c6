"""A stretch of a line's audio as short frames: level, spectrum, cepstrum, pitch and harmonicity of each.

The common ground of what is said about levels, voices and noises; computed once for a stretch, all
frames in one transform. Only the telephone's band (300 to 3400 Hz) counts: outside it there is only
the codec's noise.
"""

from dataclasses import dataclass, fields
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


@dataclass(frozen=True, slots=True)
class Frames:
    """What was measured of each of n frames."""

    levels: Floats
    """dBFS in the telephone's band, (n,)."""
    cepstra: Floats
    """(n, CEPSTRA)."""
    harmonicity: Floats
    """0 noise to 1 purely periodic, (n,)."""
    pitch: Floats
    """Natural logarithm of the likeliest fundamental in Hz, (n,); means something only where harmonicity is high."""

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, chosen: slice | NDArray[np.intp]) -> "Frames":
        """Some of them."""
        return Frames(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def put(self, at: NDArray[np.intp], others: "Frames") -> None:
        """Replace those at these places."""
        for each in fields(self):
            getattr(self, each.name)[at] = getattr(others, each.name)

    def with_room(self, more: int) -> "Frames":
        """These and room for more behind them."""
        names = (each.name for each in fields(self))
        arrays = (getattr(self, name) for name in names)
        return Frames(*(np.concatenate((array, np.zeros((more, *array.shape[1:]), np.float32))) for array in arrays))


_NONE: Final = Frames(*(np.zeros((0, *shape), np.float32) for shape in ((), (CEPSTRA,), (), ())))


class GrowingStretch:
    """The frames of a stretch of a line that is asked for again and again, longer every time.

    Each frame is computed once, and only if it is looked at: of a second of voice every second one is.
    """

    def __init__(self) -> None:
        self._first = 0
        self._count = 0
        """Frames of the stretch so far, known or not."""
        self._known = np.zeros(0, dtype=np.bool_)
        self._frames = _NONE

    def analyse(self, first: int, samples: Floats) -> Frames:
        """What `analyse` makes of `samples`, which lie on the line from position `first` on.

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
            self._frames = self._frames.with_room(more)
        wanted = np.arange(0, count, -(-count // MOST))
        missing = wanted[~self._known[wanted]]
        if len(missing):
            self._frames.put(missing, _measured(windows[missing]))
            self._known[missing] = True
        return self._frames[wanted]

    def _begin(self, first: int, *, anew: bool) -> None:
        """Forget what lies before `first`, or everything when nothing is left of what was known."""
        cut = -(-(first - self._first) // HOP)
        if anew or not 0 <= cut < self._count:
            self._first, self._known, self._frames = first, np.zeros(0, dtype=np.bool_), _NONE
        elif cut:
            self._first += cut * HOP
            self._known, self._frames = self._known[cut:], self._frames[slice(cut, None)]


def analyse(samples: Floats) -> Frames:
    """The frames of `samples`; at least one, for which short input is padded with silence."""
    frames = _windows(samples)
    return _measured(frames[:: -(-len(frames) // MOST)])


def _windows(samples: Floats) -> Floats:
    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    # As `sliding_window_view`, which takes as long as half of the transform.
    shape, step = (1 + (len(samples) - WINDOW) // HOP, WINDOW), samples.itemsize
    return np.ndarray(shape, samples.dtype, samples, strides=(HOP * step, step))


def _measured(frames: Floats) -> Frames:
    spectra = np.fft.rfft(frames * _HANN, TRANSFORM, axis=1)
    power = (spectra.real**2 + spectra.imag**2).astype(np.float32)
    band = power[:, _FIRST_BIN:_LAST_BIN]
    levels = 10 * np.log10(band.sum(axis=1) * _POWER_SCALE + SILENCE)
    bands = np.log(power @ _FILTERS + np.float32(SILENCE))
    cepstra = bands @ _COSINES
    compressed = np.zeros_like(power)
    compressed[:, _FIRST_BIN:_LAST_BIN] = (band + np.float32(SILENCE)) ** np.float32(COMPRESSION)
    correlation = np.fft.irfft(compressed, TRANSFORM, axis=1)[:, : HIGHEST_PERIOD + 1]
    normalised = correlation[:, LOWEST_PERIOD:] / (correlation[:, :1] + SILENCE) / _WINDOW_CORRELATION
    best = np.argmax(normalised, axis=1)
    harmonicity = np.clip(normalised[np.arange(len(frames)), best], 0, 1)
    return Frames(
        levels.astype(np.float32),
        cepstra.astype(np.float32),
        harmonicity.astype(np.float32),
        np.log(RATE_HZ / (best + LOWEST_PERIOD)).astype(np.float32),
    )


def _mel_filters() -> Floats:
    """Triangles, evenly spaced in mel over the band: (TRANSFORM // 2 + 1, BANDS)."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (250, 3_500))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(TRANSFORM, 1 / RATE_HZ)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


_HANN: Final[Floats] = np.hanning(WINDOW).astype(np.float32)
_FIRST_BIN: Final = 250 * TRANSFORM // RATE_HZ
_LAST_BIN: Final = 3_500 * TRANSFORM // RATE_HZ + 1
_POWER_SCALE: Final = 2 / (TRANSFORM * float(np.sum(_HANN**2)))
"""Turns a sum of one-sided power bins into the mean square of the windowed samples."""
_FILTERS: Final[Floats] = _mel_filters()
_COSINES: Final[Floats] = (
    np.sqrt(2 / BANDS) * np.cos(np.pi * np.outer(np.arange(BANDS) + 0.5, np.arange(1, CEPSTRA + 1)) / BANDS)
).astype(np.float32)
_WINDOW_CORRELATION: Final[Floats] = np.array(
    [
        np.dot(_HANN[: WINDOW - lag], _HANN[lag:]) / np.dot(_HANN, _HANN)
        for lag in range(LOWEST_PERIOD, HIGHEST_PERIOD + 1)
    ],
    dtype=np.float32,
)
