"""Key tones in the audio: which key is heard in a frame, and a line on which none of them can be heard.

A carrier reports keys as messages, but the tones often travel in the audio too. There they would betray a secret to
recognizer and recording, and pass for a voice. `ToneMuter` takes them out, onset and tail included.

It is no receiver for dialling: a key is known from the carrier's message, never from here. So it errs towards
hearing a tone: speech muted for 60 ms costs little, a tone that slips through costs a digit. Three of 32 tones that
are 3.5 % off, which a receiver has to refuse, are muted too.

A frame costs 11 µs with speech, 16 with a tone, 3 with silence (one core of an AMD EPYC), and only while a secret is
being keyed in, and for half a minute behind it.

Sources: frequencies ITU-T Q.23; conditions ITU-T Q.24, annex A: where administrations differ, the most tolerant. A
tone lasts at least 40 ms there, so that one whole frame of 20 ms always lies within it. What a Goertzel filter
yields at the end of a block is the projection on its frequency; here all projections are one matrix product.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 8_000
FRAME: Final = 160
"""Samples of a frame: 20 ms, as carriers send it."""
FRAME_BYTES: Final = 2 * FRAME
KEYS: Final = ("123A", "456B", "789C", "*0#D")
LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1209, 1336, 1477, 1633)

PROBES: Final = (-0.012, 0.0, 0.012)
"""Each frequency is looked for here too: a tone may be off by 1.8 % (Q.24), which is 29 of the 50 Hz that a frame
resolves. Off by 1.5 % it keeps at least 93 % of its energy this way."""
SHARE: Final = 0.5
"""Part of a frame's energy that the two tones must hold. Measured on mu-law: at least 0.64 for every key at a
signal-to-noise ratio of 5 dB; 9 of 5,918 frames of recorded speech reach 0.5, none 0.8."""
TWIST: Final = 10.0
"""Decibels between the two tones: the most any administration allows (Australia)."""
QUIETEST: Final = -45.0
"""Level of the weaker tone in dBFS, mean square: 12 dB below the weakest that Q.24 names (-27 dBm0, which is -33)."""


def _bank() -> NDArray[np.float32]:
    hertz = np.array([nominal * (1 + off) for nominal in LOW_HZ + HIGH_HZ for off in PROBES])
    angles = 2 * np.pi * np.outer(np.arange(FRAME), hertz) / RATE_HZ
    # Scaled so that the squares of a sine's two projections add up to its energy.
    bank: NDArray[np.float64] = np.hstack([np.cos(angles), np.sin(angles)]) * np.sqrt(2 / FRAME)
    return bank.astype(np.float32)


_BANK: Final = _bank()
_TWIST_RATIO: Final = 10 ** (TWIST / 10)
_QUIETEST_ENERGY: Final = FRAME * 32768.0**2 * 10 ** (QUIETEST / 10)


def key_tone(pcm: bytes) -> str | None:
    """The key whose tone fills most of a frame (PCM16, mono, `FRAME` samples at 8 kHz); None when there is none."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    energy = float(samples @ samples)
    if energy < _QUIETEST_ENERGY:
        return None
    projections = samples @ _BANK
    projections *= projections
    energies = projections.reshape(2, 8, len(PROBES)).sum(0).max(1).tolist()
    low, high = max(energies[:4]), max(energies[4:])
    weaker, stronger = (low, high) if low < high else (high, low)
    if low + high < SHARE * energy or weaker < _QUIETEST_ENERGY or stronger > _TWIST_RATIO * weaker:
        return None
    return KEYS[energies.index(low)][energies.index(high, 4) - 4]


class ToneMuter:
    """Audio in, the same audio out with key tones replaced by silence, between 20 and 40 ms later.

    A frame is silenced when it, the one before or the one after holds a tone: a tone that begins or ends within
    a frame need not be recognised there.
    """

    def __init__(self) -> None:
        self._rest = b""
        """Audio that is no whole frame yet."""
        self._held: bytes | None = None
        """The frame that waits for what the next one holds."""
        self._toned = (False, False)
        """Whether the frame before the held one, and the held one, hold a tone."""

    @property
    def held(self) -> int:
        """Samples that went in and have not come out."""
        return (len(self._rest) + len(self._held or b"")) // 2

    def feed(self, pcm: bytes) -> bytes:
        """Take in PCM16 at 8 kHz, of any length; returns what can be said about by now."""
        audio = self._rest + pcm
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        return b"".join(self._next(audio[start : start + FRAME_BYTES]) for start in range(0, whole, FRAME_BYTES))

    def flush(self) -> bytes:
        """Return what is held, and begin anew: no keys are expected any more."""
        held, rest, (before, toned) = self._held or b"", self._rest, self._toned
        self._rest, self._held, self._toned = b"", None, (False, False)
        return (bytes(len(held)) if before or toned else held) + (bytes(len(rest)) if toned else rest)

    def _next(self, frame: bytes) -> bytes:
        before, toned = self._toned
        tone = key_tone(frame) is not None
        held, self._held = self._held, frame
        self._toned = (toned, tone)
        if held is None:
            return b""
        return bytes(len(held)) if before or toned or tone else held
