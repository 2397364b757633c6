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
    "now would you look up my order number two",
)
SPEECH_DBFS: Final = -22.0
_ALMOST_SILENT: Final = b"\xfe"
_VERSION: Final = 1


def clips(folder: Path) -> list[bytes]:
    """The clips as mu-law, whole frames each; made with Debian's flite when `folder` has none.

    Raises `ConfigurationError` when flite is missing.
    """
    found = []
    for number, text in enumerate(SENTENCES):
        for voice in VOICES:
            path = folder / f"{voice}-{number}-{_VERSION}.ulaw"
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                path.write_bytes(as_speech(asyncio.run(speak(text, voice))))
            found.append(path.read_bytes())
    return found


def as_speech(samples: NDArray[np.int16]) -> bytes:
    """What can be heard of `samples`, from first to last, at `SPEECH_DBFS`, with no silent byte, in whole frames."""
    wide = samples.astype(np.float64)
    loud = np.sqrt(np.mean(wide[slice(*audible_edges(samples))] ** 2))
    scaled = np.clip(wide / loud * 32_768 * 10 ** (SPEECH_DBFS / 20), -32_767, 32_767).astype("<i2")
    first, last = audible_edges(scaled)
    last = first + (last - first) // FRAME * FRAME
    return encode_mulaw(scaled[first:last].tobytes()).replace(MULAW_SILENCE, _ALMOST_SILENT)
