"""The line of one benchmark call: level, background noise, other sounds in the room, echo, loss and jitter.

A `Channel` of the carrier double. The band limit is in the clips and the noise already, so that
nothing here delays the caller and every time stays exact; mu-law comes behind it.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from benchmarks.turns.voices import RATE_HZ, SPEECH_DBFS, Samples
from numpy.typing import NDArray

from talkspurt.media import g711
from talkspurt.simulate.channel import Carried

FRAME: Final = 160
LOSS_BURST: Final = 0.3
"""Probability that the frame after a lost one is lost as well: losses come in short bursts."""
LATE: Final = 0.06
"""Share of the frames that come late on a line with jitter."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A line, as the scenarios freeze it."""

    level_db: float = 0.0
    """The caller's loudness, relative to the usual."""
    noise: str | None = None
    """`babble`, `street` or `music`."""
    snr_db: float | None = None
    """The caller's speech over the noise, both as they leave the telephone."""
    echo_db: float | None = None
    """The agent's voice that comes back, relative to what is played."""
    echo_delay_ms: int = 0
    loss: float = 0.0
    """Share of the frames that never arrive."""
    jitter_ms: int = 0
    """The most by which a frame comes late."""

    @classmethod
    def of(cls, scenario: dict[str, Any]) -> Self:
        """The line of a scenario."""
        return cls(**scenario["channel"])


class RoomAndLine:
    """One call's channel. `overlay` adds a sound that is not the caller's voice from now on."""

    def __init__(self, settings: Settings, backgrounds: dict[str, Samples], seed: int) -> None:
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._gain = 10 ** (settings.level_db / 20)
        self._noise: Samples | None = None
        if settings.noise is not None and settings.snr_db is not None:
            level = 32_768 * 10 ** ((SPEECH_DBFS + settings.level_db - settings.snr_db) / 20)
            loop = backgrounds[settings.noise]
            self._noise = np.roll(loop, int(self._rng.integers(len(loop)))) * level
        self._noise_at = 0
        delay = settings.echo_delay_ms * RATE_HZ // 1_000
        self._returning: deque[float] = deque([0.0] * delay)
        self._echo = 0.0 if settings.echo_db is None else 10 ** (settings.echo_db / 20)
        self._overlays: list[tuple[Samples, int]] = []
        self._losing = False
        self.clean = bytearray()
        """The caller's own voice so far, PCM16."""

    def overlay(self, samples: NDArray[np.int16], gain_db: float = 0.0) -> None:
        """Another sound in the caller's room, beginning with the next frame; the level of the line applies to it."""
        self._overlays.append((samples.astype(np.float64) * 10 ** (gain_db / 20) * self._gain, 0))

    def carry(self, caller: bytes, agent: bytes, /) -> Carried:
        """See `Channel`."""
        voice = np.frombuffer(caller, dtype="<i2").astype(np.float64) * self._gain
        self.clean += _pcm(voice)
        mixed = voice + self._surroundings() + self._echoed(agent)
        lost = self._lost()
        late = 0
        if self._settings.jitter_ms and self._rng.random() < LATE:
            late = int(self._rng.integers(1, self._settings.jitter_ms // 20 + 1))
        return Carried(g711.encode_mulaw(_pcm(mixed)), lost=lost, late=late)

    def _surroundings(self) -> Samples:
        mixed = np.zeros(FRAME)
        if self._noise is not None:
            # The loop's length is a multiple of a frame's.
            mixed += self._noise[self._noise_at : self._noise_at + FRAME]
            self._noise_at = (self._noise_at + FRAME) % (len(self._noise) // FRAME * FRAME)
        going_on = []
        for sound, at in self._overlays:
            piece = sound[at : at + FRAME]
            mixed[: len(piece)] += piece
            if at + FRAME < len(sound):
                going_on.append((sound, at + FRAME))
        self._overlays = going_on
        return mixed

    def _echoed(self, agent: bytes) -> Samples | float:
        if not self._echo:
            return 0.0
        self._returning.extend(np.frombuffer(agent, dtype="<i2").tolist())
        return np.array([self._returning.popleft() for _ in range(FRAME)]) * self._echo

    def _lost(self) -> bool:
        if not self._settings.loss:
            return False
        # Two states, with the stationary share of lost frames that the settings ask for.
        begin = self._settings.loss * (1 - LOSS_BURST) / (1 - self._settings.loss)
        self._losing = bool(self._rng.random() < (LOSS_BURST if self._losing else begin))
        return self._losing


def _pcm(samples: Samples) -> bytes:
    return np.clip(samples, -32_768, 32_767).astype("<i2").tobytes()
