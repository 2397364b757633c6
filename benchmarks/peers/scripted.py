"""The providers that every bot scripts: what they say, and when.

Pure timing, without the vocabulary of any framework, so that each bot only has to dress it in its own framework's
classes. Runs in the bots' environments: nothing but the standard library may be imported here.

All times are due times, not gaps between sleeps, as they are with a provider behind a socket: a bot whose loop was late
for one token finds the next ones waiting.
"""

import asyncio
import math
from array import array
from collections.abc import AsyncIterator
from typing import Final

SAMPLE_RATE_HZ: Final = 8_000
BYTES_PER_SECOND: Final = 2 * SAMPLE_RATE_HZ
"""Of PCM, int16, mono."""

# Recognizer
FINAL_AFTER: Final = 0.300
"""Seconds from the last voiced frame to its final transcript."""
SILENCE_TO_TELL: Final = 0.060
"""Seconds of exact silence that tell the end of speech: the client's speech has no such run within."""

# Language model
FIRST_TOKEN_AFTER: Final = 0.150
TOKEN_EVERY: Final = 0.010
FIRST_SENTENCE: Final = ("Thank", " you,", " I", " have", " found", " that", " order", " number.")
SECOND_SENTENCE: Final = (
    *(" It", " was", " packed", " last", " night", " and"),
    *(" arrives", " tomorrow", " before", " twelve", " o'clock", " noon."),
)
TOKENS: Final = FIRST_SENTENCE + SECOND_SENTENCE

# Synthesizer
FIRST_BYTE_AFTER: Final = 0.080
DELIVERY_SPEED: Final = 4.0
"""Times real time."""
PIECE: Final = 0.200
"""Seconds of audio delivered at once."""
TONE_HZ: Final = 440.0
TONE_PEAK: Final = 8_000

FIRST_SENTENCE_IDEAL: Final = FIRST_TOKEN_AFTER + len(FIRST_SENTENCE) * TOKEN_EVERY
"""Seconds from the request to the model until the first sentence can be known to have ended: its eighth token comes
at 0.22, the ninth, which shows a splitter of sentences that the period was one, at 0.23."""


def _tone(seconds: float) -> bytes:
    step = 2 * math.pi * TONE_HZ / SAMPLE_RATE_HZ
    return array("h", (round(TONE_PEAK * math.sin(step * n)) for n in range(round(seconds * SAMPLE_RATE_HZ)))).tobytes()


AUDIO: Final = {"".join(FIRST_SENTENCE).strip(): _tone(1.2), "".join(SECOND_SENTENCE).strip(): _tone(1.6)}
"""Of each sentence of a reply: int16, mono, 8 kHz."""


class Ears:
    """Hears in the audio of one call where speech ends, and counts its utterances."""

    def __init__(self) -> None:
        self._utterances = 0
        self._voiced_at: float | None = None
        self._silent = 0.0

    def hear(self, pcm: bytes, now: float) -> tuple[float, str] | None:
        """Takes the frame `pcm` (int16, mono, 8 kHz) that came at `now`: when an utterance proves to have ended, the
        time at which its final transcript is due, and its text.
        """
        if pcm.count(0) != len(pcm):
            self._voiced_at = now
            self._silent = 0.0
            return None
        if self._voiced_at is None:
            return None
        self._silent += len(pcm) / BYTES_PER_SECOND
        if self._silent < SILENCE_TO_TELL:
            return None
        due = self._voiced_at + FINAL_AFTER
        self._voiced_at = None
        self._utterances += 1
        return due, f"please tell me about my order number {self._utterances}"


async def tokens() -> AsyncIterator[str]:
    """The model's reply to one request, at the model's pace."""
    started = _now()
    for index, token in enumerate(TOKENS):
        await _until(started + FIRST_TOKEN_AFTER + index * TOKEN_EVERY)
        yield token


async def audio(sentence: str) -> AsyncIterator[bytes]:
    """The audio of `sentence` (int16, mono, 8 kHz) in pieces, at the synthesizer's pace.

    Raises `KeyError` for anything but a whole sentence of the reply: then the framework has split it otherwise than
    the benchmark means, and its latency could not be compared.
    """
    pcm = AUDIO[sentence.strip()]
    size = round(PIECE * BYTES_PER_SECOND)
    started = _now()
    for index, start in enumerate(range(0, len(pcm), size)):
        await _until(started + FIRST_BYTE_AFTER + index * PIECE / DELIVERY_SPEED)
        yield pcm[start : start + size]


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _until(due: float) -> None:
    wait = due - _now()
    if wait > 0:
        await asyncio.sleep(wait)
