"""What one voice on a line is like, learned from stretches of it, and how much another stretch resembles it.

Three things tell voices on a telephone apart within a third of a second: loudness (somebody else in the
room is farther from the microphone), pitch, and the sounds (a codebook of cepstra: how far is each frame
from the nearest sound that this voice has made before; vocal tract, and the duller sound of a distant
voice). A logistic regression weighs them. The mean cepstrum was tried as a fourth and added nothing.

It is not speaker verification: it tells who of those in the room speaks, for a moment, and proves no
identity. The profile is a few kilobytes, adapts slowly, holds no audio, and is never stored (ADR 8).
"""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from talkspurt.media.frames import CEPSTRA, Frames, analyse
from talkspurt.media.level import active, active_level, amplitudes, quantile

Floats = NDArray[np.float32]

ENOUGH_FRAMES: Final = 20
"""Voiced frames before anything is compared with a voice: a single word. What little was learned is allowed for."""
SOUNDS: Final = 64
"""Codebook entries: more than a language has sounds. Other sizes were not tried."""
MEMORY_FRAMES: Final = 1_500
"""Frames after which old speech has faded to a third: 15 s of voice, so that a moved handset is followed."""
SOUND_MEMORY: Final = 40
"""The same for one entry of the codebook, in the frames that fell to it."""
HARMONIC: Final = 0.22
"""Harmonicity from which a frame's pitch counts: white and street noise stay below 0.17."""
PITCHED_FRAMES: Final = 3
"""Frames with pitch that a comparison needs."""

USUAL_SPREAD: Final = 14.0
"""Squared distance of own speech from an own codebook, over 17 voices, for a start; what is learned replaces it."""
USUAL_SPREAD_FRAMES: Final = 50
SPREAD_FRAMES: Final = 100
"""Frames (1 s) from which on what is new to the codebook is counted for its spread."""
NEAREST: Final = 0.01
"""Squared distance that counts as none."""

WEIGHTS: Final[dict[str, float]] = {
    "bias": 1.4, "quieter": 0.62, "louder": 0.22, "pitch": -10.5, "sounds": -0.67, "known": 2.0, "known sounds": -3.1,
    "brevity": 2.2,
}  # fmt: skip
"""Fitted to 10,900 stretches: of whole calls, in which the caller's voice was learned from its first word on
(`benchmarks/side_talk.py`, "own" and half of "others"), and after ten seconds of it (`benchmarks/line_evidence.py`,
half of the voices). The fit gave pitch -11.6, which was lowered: synthetic voices are steadier than people. Sounds
count for more, and a voice must be more alike, the more of it is "known". "brevity" lets one threshold do for a
syllable and for a phrase."""
USUAL_FRAMES: Final = 27
"""Voiced frames of 0.3 s, for which brevity is nothing."""
STEADY_FRAMES: Final = 10
"""Voiced frames after which half of a level's distance counts: own first syllables were up to 12 dB off."""
FARTHEST_DB: Final = 12.0
FARTHEST_PITCH: Final = 0.35
"""Distances beyond these say no more: a pitch taken for its octave must not decide alone."""
COVERED_FRAMES: Final = 100
"""Frames learned at which own sounds are still twice as far from the codebook as from a full one."""
UNKNOWN_PITCH: Final = 0.2
"""Distance in log-Hz that stands for a stretch without pitch: rather from afar than from this voice."""
KNOWN_FRAMES: Final = 300
"""Frames learned at which half is known: three seconds of voice."""
LEAST_BREVITY: Final = -0.6
MOST_BREVITY: Final = 1.0

_COUNTS: Final = [np.array(count, dtype=np.float32) for count in range(SOUND_MEMORY + 1)]
"""As arrays, since to make one of a number takes as long as two such divisions."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the line as it is compared and learned."""

    frames: Frames
    said: Frames
    """Those of them that are voice."""
    amplitudes: Floats
    """How loud each of those is, full scale 1."""
    level_dbfs: float
    """Their level without the line's noise."""
    pitched: int
    """How many have a pitch that can be relied on."""
    pitch: float
    """The median of these, log-Hz; 0 when there is none."""

    @classmethod
    def of(cls, samples: Floats, floor_dbfs: float) -> Self:
        """Analyse samples of a line with this noise floor."""
        return cls.of_frames(analyse(samples), floor_dbfs)

    @classmethod
    def of_frames(cls, frames: Frames, floor_dbfs: float) -> Self:
        """The same of frames that were analysed."""
        said = frames[active(frames.levels)]
        loud = amplitudes(said.levels)
        pitches = said.pitch[said.harmonicity >= HARMONIC]
        count = len(pitches)
        median = quantile(pitches, 0.5) if count else 0.0
        return cls(frames, said, loud, active_level(loud, floor_dbfs), count, median)

    @property
    def cepstra(self) -> Floats:
        """Those of the voice's frames, (m, CEPSTRA)."""
        return self.said.cepstra


class VoiceProfile:
    """One voice. `learn` from what was said by it; `score` any stretch."""

    def __init__(self) -> None:
        self._frames = 0
        self._level = 0.0
        self._pitch = 0.0
        self._pitched = 0
        self._spread = USUAL_SPREAD
        self._sounds: Floats = np.zeros((0, CEPSTRA), dtype=np.float32)
        self._half_squares: Floats = np.zeros(0, dtype=np.float32)
        """Half of the square of each sound, kept because whoever asks how near a frame is needs it."""
        self._counts: list[int] = []

    @property
    def level_dbfs(self) -> float | None:
        """The voice's usual active level; None until enough was learned."""
        return self._level if self._frames >= ENOUGH_FRAMES else None

    def learn(self, stretch: Stretch) -> None:
        """Take the stretch for this voice's."""
        cepstra = stretch.cepstra
        count = len(cepstra)
        if not count:
            return
        known = min(self._frames, MEMORY_FRAMES)
        rate = count / (known + count)
        self._level += rate * (stretch.level_dbfs - self._level)
        if stretch.pitched >= PITCHED_FRAMES:
            pitched = min(self._pitched, MEMORY_FRAMES)
            self._pitch += stretch.pitched / (pitched + stretch.pitched) * (stretch.pitch - self._pitch)
            self._pitched = pitched + stretch.pitched
        if self._frames >= SPREAD_FRAMES:
            # What own speech that has not been learned yet is away: the measure for strangers.
            seen = min(self._frames - SPREAD_FRAMES + USUAL_SPREAD_FRAMES, MEMORY_FRAMES)
            self._spread += count / (seen + count) * (self._distance(cepstra) - self._spread)
        self._learn_sounds(cepstra)
        self._frames = known + count

    def score(self, stretch: Stretch) -> float | None:
        """Log odds that the stretch is this voice's rather than another's; None until enough was learned."""
        traits = self.traits(stretch)
        if traits is None:
            return None
        return WEIGHTS["bias"] + sum(WEIGHTS[name] * value for name, value in traits.items())

    def traits(self, stretch: Stretch) -> dict[str, float] | None:
        """What is weighed, by the weights' names: distances from the profile, each bounded."""
        cepstra = stretch.cepstra
        if self._frames < ENOUGH_FRAMES or not len(cepstra):
            return None
        # The first syllable alone says less of somebody's loudness than a phrase does.
        offset = (stretch.level_dbfs - self._level) * len(cepstra) / (len(cepstra) + STEADY_FRAMES)
        offset = max(-FARTHEST_DB, min(FARTHEST_DB, offset))
        pitch = UNKNOWN_PITCH
        if self._pitched and stretch.pitched >= PITCHED_FRAMES:
            pitch = min(FARTHEST_PITCH, abs(stretch.pitch - self._pitch))
        # While little was learned, many of the voice's own sounds are still strange.
        spread = self._spread * (1 + COVERED_FRAMES / self._frames)
        sounds = math.log(self._distance(cepstra) / max(NEAREST, spread))
        known = self._frames / (self._frames + KNOWN_FRAMES)
        return {
            "quieter": min(0.0, offset),
            "louder": max(0.0, offset),
            "pitch": pitch,
            "sounds": sounds,
            "known": known,
            "known sounds": known * sounds,
            "brevity": max(LEAST_BREVITY, min(MOST_BREVITY, math.log(USUAL_FRAMES / len(cepstra)))),
        }

    def _distance(self, cepstra: Floats) -> float:
        """Squared distance of frames from the nearest learned sound, their geometric mean.

        Geometric, because a single new sound must not make the whole stretch strange.
        """
        halves = self._half_squares - cepstra @ self._sounds.T
        nearest = 2 * halves.min(axis=1) + np.vecdot(cepstra, cepstra)
        np.log(np.maximum(nearest, NEAREST, out=nearest), out=nearest)
        return math.exp(float(np.add.reduce(nearest)) / len(nearest))

    def _learn_sounds(self, cepstra: Floats) -> None:
        """Move the sound that is nearest to each frame towards it, one after the other; new sounds while there is room.

        Every hundredth of a second of a turn passes here, so of each frame's distances only what differs is computed,
        and into arrays that are there.
        """
        room = SOUNDS - len(self._sounds)
        if room > 0:
            self._sounds = np.concatenate((self._sounds, cepstra[:room]))
            self._half_squares = np.vecdot(self._sounds, self._sounds) / 2
            self._counts += [1] * min(room, len(cepstra))
        sounds, squares, counts = self._sounds, self._half_squares, self._counts
        nearness, step = np.empty(len(sounds), dtype=np.float32), np.empty(CEPSTRA, dtype=np.float32)
        for frame in cepstra[max(0, room) :]:
            np.subtract(squares, sounds.dot(frame, nearness), nearness)
            nearest = nearness.argmin()
            counts[nearest] = count = min(SOUND_MEMORY, counts[nearest] + 1)
            sound = sounds[nearest]
            np.subtract(frame, sound, step)
            np.divide(step, _COUNTS[count], step)
            np.add(sound, step, sound)
            squares[nearest] = sound.dot(sound) / 2
