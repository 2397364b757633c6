"""What the callers of the benchmark say: a few sentences by two voices, made once and kept.

Between speech a caller's line is exact mu-law silence (0xFF), within speech no frame is: so where speech truly begins
and ends can be read from the audio, by the load client as well as by a scripted recognizer.
"""

import asyncio
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from talkspurt.media.g711 import MULAW_SILENCE, encode_mulaw
from talkspurt.simulate.loudness import audible_edges
from talkspurt.simulate.voices import VOICES, speak

FRAME: Final = 160
"""Bytes of 20 ms."""
SENTENCES: Final = (
    "please tell me about my order number five",
    "would you please look up the other order",
)
"""Of a third one every interruption was taken for somebody else's, as the policy does with one or two callers in a
hundred: it would have measured that again, with every call the same."""
SPEECH_DBFS: Final = -22.0
_ALMOST_SILENT: Final = b"\xfe"
_VERSION: Final = 2


def voices(folder: Path) -> list[list[bytes]]:
    """Each voice's clips as mu-law, whole frames each; made with Debian's flite when `folder` has none.

    Raises `ConfigurationError` when flite is missing.
    """
    return [[_clip(folder, voice, number) for number in range(len(SENTENCES))] for voice in VOICES]


def _clip(folder: Path, voice: str, number: int) -> bytes:
    path = folder / f"{voice}-{number}-{_VERSION}.ulaw"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_speech(asyncio.run(speak(SENTENCES[number], voice))))
    return path.read_bytes()


def as_speech(samples: NDArray[np.int16]) -> bytes:
    """What can be heard of `samples`, from first to last, at `SPEECH_DBFS`, with no silent byte, in whole frames."""
    wide = samples.astype(np.float64)
    loud = np.sqrt(np.mean(wide[slice(*audible_edges(samples))] ** 2))
    scaled = np.clip(wide / loud * 32_768 * 10 ** (SPEECH_DBFS / 20), -32_767, 32_767).astype("<i2")
    first, last = audible_edges(scaled)
    last = first + (last - first) // FRAME * FRAME
    return encode_mulaw(scaled[first:last].tobytes()).replace(MULAW_SILENCE, _ALMOST_SILENT)
