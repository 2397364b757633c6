"""A second opinion: what another recognizer hears in an utterance that the first one is silent about.

A recognizer may be deaf without failing: it answers in time, and with nothing. Or it is slow, and nobody knows yet
whether it will answer at all. The next rung is then given the same audio, beside the first, for this one question.

Silence and steady noise are worth no second opinion, and when the next rung hears nothing either a few times in a row,
it is not asked any more until somebody has heard words: a noisy line must not be recognised twice all the time.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from talkspurt.errors import ProviderError
from talkspurt.ladder.goodbyes import Goodbyes
from talkspurt.ladder.rung import Rung
from talkspurt.ladder.streams import note_switch, provider_error, unheard
from talkspurt.media.level import spoken_seconds
from talkspurt.ports import LINE_RATE_HZ, Recognizer
from talkspurt.telemetry import metrics

PLENTY: Final = 0.4
"""Seconds that are loud enough for speech: "yes please" has them, a cough has not."""
PATIENCE: Final = 1.5
"""Seconds for it: with the first one's answer before it still less than callers bear."""
FRUITLESS: Final = 2
"""Second opinions in a row without a word, after which none is asked."""


class SecondEar:
    """The second opinions of one call."""

    def __init__(self, rungs: Sequence[Rung[Recognizer]], *, locale: str, call_id: str) -> None:
        self._rungs = tuple(rungs)
        self._locale = locale
        self._call_id = call_id
        self._fruitless = 0

    def words_were_heard(self) -> None:
        """Somebody hears the caller: from now on silence is worth a question again."""
        self._fruitless = 0

    def may_be_asked(self, first: Rung[Recognizer], audio: bytes) -> bool:
        """Whether there is anybody below `first` to ask, and enough in `audio` (PCM16) that should be words."""
        if self._fruitless >= FRUITLESS or first not in self._rungs[:-1]:
            return False
        return spoken_seconds(audio, LINE_RATE_HZ) >= PLENTY

    async def hear(self, first: Rung[Recognizer], audio: bytes, *, reason: str, goodbyes: Goodbyes) -> str:
        """The words that the next rung below `first` hears in `audio`; "" for none, or if it fails or is too late."""
        below = self._rungs[self._rungs.index(first) + 1 :]
        rung = next((rung for rung in below if rung.enter()), None)
        if rung is None:
            return ""
        metrics.RUNG_SWITCHES.labels(rung.port, rung.name, reason).inc()
        asked = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                words = await self._ask(rung, audio, goodbyes)
        except TimeoutError:
            # For this question. Nobody knows whether it is too slow for those that it is there for.
            rung.given_up()
            return ""
        except asyncio.CancelledError:
            rung.given_up()
            raise
        except Exception as error:  # whatever a provider raises is its failure
            rung.failed(provider_error(rung, error))
            return ""
        else:
            rung.succeeded()
            self._fruitless = 0 if words else self._fruitless + 1
            if words:
                note_switch(rung, asked)
            return words
        finally:
            rung.leave()

    async def _ask(self, rung: Rung[Recognizer], audio: bytes, goodbyes: Goodbyes) -> str:
        stream = await goodbyes.open(rung, locale=self._locale, call_id=self._call_id, seconds=PATIENCE)
        try:
            stream.begin(1, 0.0)
            stream.feed(audio)
            stream.finalize(1, 1)
            async for transcript in stream.transcripts():
                if transcript.error is not None:
                    raise unheard(rung, transcript)
                if transcript.final:
                    return transcript.text.strip()
            raise ProviderError("recognizer", rung.name, "the stream ended", retryable=True)
        finally:
            goodbyes.let_go(stream)
