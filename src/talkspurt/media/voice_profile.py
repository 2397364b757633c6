"""What the caller's own voice is like, learned from turns, and how much another stretch resembles it.

Three things tell voices on a telephone apart within a third of a second: loudness (somebody else in the
room is farther from the microphone), pitch, and the sounds (a codebook of cepstra: how far is each frame
from the nearest sound that the caller has made before; vocal tract, and the duller sound of a distant
voice). A logistic regression weighs them. The mean cepstrum was tried as a fourth and added nothing.

It is not speaker verification: it tells who of those in the room speaks, for a moment, and proves no
identity. The profile is a few kilobytes, adapts slowly, and holds no audio.
"""

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from talkspurt.media.frames import CEPSTRA, Frames

Floats = NDArray[np.float32]

ENOUGH_FRAMES: Final = 100
"""Voiced frames (1 s) before a likeness is given."""
SOUNDS: Final = 64
"""Codebook entries: more than a language has sounds, and 768 bytes when saved. Other sizes were not tried."""
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
NEAREST: Final = 0.01
"""Squared distance that counts as none."""

WEIGHTS: Final[dict[str, float]] = {
    "bias": 1.8, "quieter": 0.66, "louder": 0.22, "pitch": -9.0, "sounds": -2.9, "brevity": 1.4,
}  # fmt: skip
"""Fitted to 2,900 own and 42,000 strange stretches of 17 voices; fitted to every other voice, the rest were told
apart as well. The fit gave pitch -10.8, which was lowered: synthetic voices are steadier than people. "brevity"
is set so that one threshold loses little more of the caller after 0.1 s than after 0.8 s."""
USUAL_FRAMES: Final = 27
"""Voiced frames of 0.3 s, for which brevity is nothing."""
STEADY_FRAMES: Final = 10
"""Voiced frames after which half of a level's distance counts: own first syllables were up to 12 dB off."""
FARTHEST_DB: Final = 12.0
FARTHEST_PITCH: Final = 0.35
"""Distances beyond these say no more: a pitch taken for its octave must not decide alone."""
COVERED_FRAMES: Final = 100
"""Frames learned at which own sounds are still twice as far from the codebook as from a full one."""
UNKNOWN_PITCH: Final = 0.1
"""Distance in log-Hz that stands for a stretch without pitch: as likely from the caller as from another."""


class VoiceProfile:
    """One caller's voice. `learn` from turns that were the caller's; `likeness` of any stretch."""

    def __init__(self) -> None:
        self._frames = 0
        self._level = 0.0
        self._pitch = 0.0
        self._pitched = 0
        self._spread = USUAL_SPREAD
        self._sounds: Floats = np.zeros((0, CEPSTRA), dtype=np.float32)
        self._counts: list[int] = []

    @property
    def level_dbfs(self) -> float | None:
        """The caller's usual active level; None until enough was learned."""
        return self._level if self._frames >= ENOUGH_FRAMES else None

    def learn(self, frames: Frames, marked: NDArray[np.bool_], level_dbfs: float) -> None:
        """Take the marked frames of a turn, spoken at this active level, for the caller's."""
        cepstra = frames.cepstra[marked]
        count = len(cepstra)
        if not count:
            return
        known = min(self._frames, MEMORY_FRAMES)
        rate = count / (known + count)
        self._level += rate * (level_dbfs - self._level)
        pitches = _pitches(frames, marked)
        if len(pitches) >= PITCHED_FRAMES:
            pitched = min(self._pitched, MEMORY_FRAMES)
            self._pitch += len(pitches) / (pitched + len(pitches)) * (float(np.median(pitches)) - self._pitch)
            self._pitched = pitched + len(pitches)
        if self._frames >= ENOUGH_FRAMES:
            # What own speech that has not been learned yet is away: the measure for strangers.
            seen = min(self._frames - ENOUGH_FRAMES + USUAL_SPREAD_FRAMES, MEMORY_FRAMES)
            self._spread += count / (seen + count) * (self._distance(cepstra) - self._spread)
        for frame in cepstra:
            self._learn_sound(frame)
        self._frames = known + count

    def likeness(self, frames: Frames, marked: NDArray[np.bool_], level_dbfs: float) -> float | None:
        """0 certainly another's, 1 certainly the caller's voice; None until enough was learned."""
        traits = self.traits(frames, marked, level_dbfs)
        if traits is None:
            return None
        score = WEIGHTS["bias"] + sum(WEIGHTS[name] * value for name, value in traits.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))

    def traits(self, frames: Frames, marked: NDArray[np.bool_], level_dbfs: float) -> dict[str, float] | None:
        """What is weighed, by the weights' names: distances from the profile, each bounded."""
        cepstra = frames.cepstra[marked]
        if self._frames < ENOUGH_FRAMES or not len(cepstra):
            return None
        # The first syllable alone says less of somebody's loudness than a phrase does.
        offset = (level_dbfs - self._level) * len(cepstra) / (len(cepstra) + STEADY_FRAMES)
        offset = max(-FARTHEST_DB, min(FARTHEST_DB, offset))
        pitch = UNKNOWN_PITCH
        pitches = _pitches(frames, marked)
        if self._pitched and len(pitches) >= PITCHED_FRAMES:
            pitch = min(FARTHEST_PITCH, abs(float(np.median(pitches)) - self._pitch))
        # While little was learned, many of the caller's own sounds are still strange.
        spread = self._spread * (1 + COVERED_FRAMES / self._frames)
        sounds = math.log(self._distance(cepstra) / max(NEAREST, spread))
        return {
            "quieter": min(0.0, offset),
            "louder": max(0.0, offset),
            "pitch": pitch,
            "sounds": sounds,
            "brevity": max(-0.4, min(1.0, math.log(USUAL_FRAMES / len(cepstra)))),
        }

    # ── moving to another process ─────────────────────────────────────────────────

    def snapshot(self) -> dict[str, Any]:
        """The profile as plain JSON values, about 1.5 kB."""
        return {
            "frames": self._frames,
            "level": self._level,
            "pitch": self._pitch,
            "pitched": self._pitched,
            "spread": self._spread,
            "sounds": base64.b64encode(
                np.clip(np.round(self._sounds * _STEPS), -127, 127).astype(np.int8).tobytes()
            ).decode(),
            "counts": list(self._counts),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> "VoiceProfile":
        """The profile that was saved; an empty one if it cannot be read, which only costs learning anew."""
        profile = cls()
        try:
            sounds = np.frombuffer(base64.b64decode(snapshot["sounds"], validate=True), dtype=np.int8)
            entries = sounds.reshape(-1, CEPSTRA).astype(np.float32) / np.float32(_STEPS)
            counts = [int(count) for count in snapshot["counts"]]
            numbers = [float(snapshot[name]) for name in ("level", "pitch", "spread")]
            frames, pitched = int(snapshot["frames"]), int(snapshot["pitched"])
        except (KeyError, TypeError, ValueError, OverflowError, binascii.Error):
            return profile
        whole = (
            len(entries) == len(counts) <= SOUNDS
            and all(map(math.isfinite, numbers)) and min(frames, pitched, 0) == 0 and min(counts, default=1) > 0
            and (frames == 0 or len(entries) > 0)
        )  # fmt: skip
        if whole:
            profile._level, profile._pitch, profile._spread = numbers
            profile._frames, profile._pitched = frames, pitched
            profile._sounds, profile._counts = entries, counts
        return profile

    def _distance(self, cepstra: Floats) -> float:
        """Squared distance of frames from the nearest learned sound, their geometric mean.

        Geometric, because a single new sound must not make the whole stretch strange.
        """
        squares = np.einsum("ij,ij->i", self._sounds, self._sounds) - 2 * (cepstra @ self._sounds.T)
        nearest = squares.min(axis=1) + np.einsum("ij,ij->i", cepstra, cepstra)
        return float(np.exp(np.log(np.maximum(nearest, NEAREST)).mean()))

    def _learn_sound(self, frame: Floats) -> None:
        if len(self._sounds) < SOUNDS:
            self._sounds = np.concatenate((self._sounds, frame[None]))
            self._counts.append(1)
            return
        away = self._sounds - frame
        nearest = int(np.argmin(np.einsum("ij,ij->i", away, away)))
        self._counts[nearest] = min(SOUND_MEMORY, self._counts[nearest] + 1)
        self._sounds[nearest] -= away[nearest] / np.float32(self._counts[nearest])


_STEPS: Final = 6.0
"""Steps per unit of a saved cepstrum: an eighth of the smallest deviation, and ±21 in a byte."""


def _pitches(frames: Frames, marked: NDArray[np.bool_]) -> Floats:
    pitches: Floats = frames.pitch[marked & (frames.harmonicity >= HARMONIC)]
    return pitches
