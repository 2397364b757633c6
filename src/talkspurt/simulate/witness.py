"""Writes down what a caller heard: the audio that was played, through a recognizer of this package.

A small model is a weak witness: take its words as evidence of what was said, not as the letter.
"""

import asyncio
import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from talkspurt.errors import ProviderError
from talkspurt.ports import Recognizer
from talkspurt.simulate.loudness import phrases

FRAME_SAMPLES: Final = 160
ANSWER_SECONDS: Final = 30.0


class Witness:
    """Transcribes clips, one after the other, with a recognizer that it is given and does not own."""

    def __init__(self, recognizer: Recognizer, *, locale: str = "en-US") -> None:
        self._recognizer = recognizer
        self._locale = locale
        self._clips = itertools.count(1)
        self._one_at_a_time = asyncio.Lock()

    async def transcribe(self, samples: NDArray[np.int16]) -> str:
        """The words in `samples` (8 kHz); "" when there are none. Raises `ProviderError`."""
        pieces = phrases(samples)
        async with self._one_at_a_time:
            words = [await self._transcribe_phrase(piece) for piece in pieces]
        return " ".join(word for word in words if word)

    async def _transcribe_phrase(self, samples: NDArray[np.int16]) -> str:
        stream = await self._recognizer.open(locale=self._locale, call_id=f"witness-{next(self._clips)}")
        try:
            pcm = samples.astype("<i2").tobytes()
            stream.begin(1, 0.0)
            for start in range(0, len(pcm), 2 * FRAME_SAMPLES):
                stream.feed(pcm[start : start + 2 * FRAME_SAMPLES])
            stream.finalize(1, 1)
            async with asyncio.timeout(ANSWER_SECONDS):
                async for transcript in stream.transcripts():
                    if transcript.error is not None:
                        raise ProviderError("recognizer", "witness", transcript.error)
                    if transcript.final:
                        return transcript.text.strip()
            return ""
        except TimeoutError:
            raise ProviderError("recognizer", "witness", f"no transcript within {ANSWER_SECONDS:.0f} s") from None
        finally:
            await stream.aclose()
