"""How loud somebody speaks, and how loud the line is when nobody does.

Levels are dBFS of the mean square. The level of speech is that of its loud frames only, so that a pause
or a slow beginning in the stretch does not make a voice seem farther away.
"""

import audioop
import math
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SILENT_DBFS: Final = -90.0
"""Below this a frame is the codec's digital silence, or was made up for a lost packet: it says nothing of the line."""
DEFAULT_FLOOR_DBFS: Final = -60.0
"""The noise of a line that has not been heard yet: a quiet room on the telephone."""
QUIET: Final = 0.1
"""Quantile of a second's frames that is taken for its noise; speech has pauses of a tenth of the time."""
SECONDS: Final = 8
"""Seconds of which the quietest is the floor: as long as people speak without a breath."""
AUDIBLE_DBFS: Final = -70.0
"""Below this the agent says nothing."""
ACTIVE_RANGE_DB: Final = 20.0
"""Frames this far below the loudest tenth are still voice: the range of phonemes, without pauses and tails."""
LOUDEST: Final = 0.1
SPOKEN_ABOVE_DB: Final = 12.0
"""How much louder than the noise around it what was spoken is at least, for whoever counts it by its energy alone."""
FAINTEST_SPEECH_DBFS: Final = -48.0
"""The faintest callers come at -40 dBFS."""

_AMPLITUDE_OF_DB: Final = np.float32(math.log(10) / 20)


class NoiseFloor:
    """The noise of one line, from the quietest second of the last few."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=SECONDS)
        self.dbfs = DEFAULT_FLOOR_DBFS
        """The floor; a quiet room's as long as nothing was heard."""

    def receive(self, samples: Floats, frame: int) -> None:
        """Take the next second of the line, to be cut into frames of `frame` samples."""
        levels = frame_levels(samples, frame)
        heard = levels[levels > SILENT_DBFS]
        if len(heard) >= len(levels) / 2:
            self._seconds.append(quantile(heard, QUIET))
            # Kept, because it is asked for with every frame of the line.
            self.dbfs = min(self._seconds)


def frame_levels(samples: Floats, frame: int) -> Floats:
    """The level of each whole frame of a stretch."""
    levels: Floats = 10 * np.log10(_powers(samples, frame) + 1e-12)
    return levels


def active(levels: Floats) -> NDArray[np.bool_]:
    """Which of a stretch's frames, given their dBFS, are voice rather than pause."""
    count = max(1, round(len(levels) * LOUDEST))
    loudest = np.add.reduce(np.partition(levels, len(levels) - count)[-count:]) / np.float32(count)
    marked: NDArray[np.bool_] = levels > loudest - ACTIVE_RANGE_DB
    return marked


def amplitudes(levels: Floats) -> Floats:
    """Root mean square of frames of these levels, full scale 1."""
    # Not as a power of ten, which takes ten times as long.
    loud: Floats = np.exp(levels * _AMPLITUDE_OF_DB)
    return loud


def active_level(loud: Floats, floor_dbfs: float) -> float:
    """The level of frames of these amplitudes without the noise under them."""
    power = float(loud @ loud) / len(loud)
    # No more than 3 dB: of somebody who speaks without a pause the floor is the voice itself.
    return 10 * math.log10(max(power - 10 ** (floor_dbfs / 10), power / 2))


def mean_level(samples: Floats) -> float:
    """The level of all of a stretch, its pauses too."""
    return 10 * math.log10(float(samples @ samples) / max(1, len(samples)) + 1e-12)


def loudest_level(samples: Floats, frame: int) -> float | None:
    """The level of the loudest tenth of the frames; None for silence."""
    powers = np.sort(_powers(samples, frame))
    count = max(1, round(len(powers) * LOUDEST))
    level = 10 * math.log10(float(np.add.reduce(powers[-count:])) / count + 1e-12)
    return level if level > AUDIBLE_DBFS else None


def spoken_seconds(pcm: bytes, rate_hz: int) -> float:
    """How much of a stretch of PCM16, mono, is loud enough for speech and louder than the stretch's own noise.

    Steady noise has none, however loud. What else is loud in bursts counts: it is no proof of words.
    """
    samples = np.frombuffer(pcm[: len(pcm) & ~1], dtype=np.int16).astype(np.float32) / np.float32(32768)
    frame = rate_hz // 50
    if len(samples) < frame:
        return 0.0
    levels = frame_levels(samples, frame)
    floor = max(quantile(levels, QUIET), DEFAULT_FLOOR_DBFS)
    loud = np.count_nonzero(levels > max(floor + SPOKEN_ABOVE_DB, FAINTEST_SPEECH_DBFS))
    return int(loud) * frame / rate_hz


def audible_share(samples: Floats, frame: int) -> float:
    """The share, 0 to 1, of the frames that are no silence."""
    return float(np.mean(_powers(samples, frame) > 10 ** (AUDIBLE_DBFS / 10)))


def amplified(pcm: bytes, factor: float) -> bytes:
    """PCM16 made louder by this factor, and clipped where it is too loud for that."""
    return audioop.mul(pcm[: len(pcm) & ~1], 2, factor)


def quantile(values: Floats, share: float) -> float:
    """As `numpy.quantile` and `numpy.median` (0.5), of at least one value, in a fifteenth of the time."""
    ordered = np.sort(values)
    at = share * (len(ordered) - 1)
    low, high = ordered[int(at)], ordered[min(int(at) + 1, len(ordered) - 1)]
    return float(low + (high - low) * (at - int(at)))


def _powers(samples: Floats, frame: int) -> Floats:
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    powers: Floats = np.vecdot(whole, whole) / np.float32(frame)
    return powers
