"""A synthesizer made of several: a sentence that one voice does not finish is finished by the next.

What was given out has perhaps been heard. So after a break the next rung speaks only the rest: from the word after the
last one that was spoken whole, as the word times tell it, or, of a vendor without them, from the clause after those
that even the slowest voice has finished by then. What is said twice is a nuisance; what is left out could be the amount
of a refund to which the caller then says yes. So there is always a rest: only a stream that ends in order has said all.
The word times of the rest follow those of the beginning, so that the playback ledger sees one segment.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Final, Protocol, runtime_checkable

from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ladder.rung import Rung
from talkspurt.ladder.streams import Worth, note_switch, provider_error, stream_from
from talkspurt.ladder.warming import close_all, keep_connected, warm_up
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk, Synthesizer
from talkspurt.speech.fitting import clauses_within, latest_ends
from talkspurt.telemetry import metrics

LEARNING: Final = 10.0
"""Seconds for one stock phrase, of which the longest last six."""

_WORD_TO_TRY: Final = "Hello."
_TRIED_IN: Final = "en-US"
_WORD: Final = re.compile(r"\S+")


@runtime_checkable
class Remembers(Protocol):
    """A synthesizer that may have the speech of a text already."""

    def remembers(self, text: str, *, voice: str, locale: str, pace: float) -> bool:
        """Whether it can be played without asking anybody."""

    async def learn(self, text: str, /, *, voice: str, locale: str) -> None:
        """Have it ready for good. Raises `ProviderError`."""


class LadderSynthesizer:
    """A `Synthesizer`. The voice's name is the first rung's; the others speak with that of `voices`, or their own."""

    def __init__(
        self, rungs: Sequence[Rung[Synthesizer]], *, hedged: bool = True, voices: Mapping[str, str] | None = None
    ) -> None:
        """`voices` are those of the fallbacks, by the names of their rungs."""
        self._rungs = tuple(rungs)
        self._voices = voices or {}
        self._hedged = hedged

    async def warm_up(self) -> None:
        """Warm all rungs at once; fails only when not one of them can be used.

        A local fallback with a voice of its own says a word in it: that there is none should not come out in an outage.
        Raises `ConfigurationError`. (A vendor's voice may be of another language than the word; `talkspurt providers
        check` tries those.)
        """
        await warm_up(self._rungs)
        for rung in self._rungs[1:]:
            if rung.local and self._voices.get(rung.name):
                await self._try_voice(rung)

    async def _try_voice(self, rung: Rung[Synthesizer]) -> None:
        speech = rung.provider.synthesize(_WORD_TO_TRY, voice=self._voices[rung.name], locale=_TRIED_IN)
        try:
            async with aclosing(speech):
                await anext(speech, None)
        except ProviderError as error:
            # That it has too much to do, in an outage, say, is nothing to mend: a worker that starts again is needed.
            if not error.retryable:
                raise ConfigurationError(f"fallbacks.voices: {error}") from error

    async def keep_connected(self) -> None:
        """Have a connection of the rung open that is asked first. Raises nothing."""
        await keep_connected(self._rungs)

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of one segment from the first rung that begins in time, and the rest from the next."""
        if not any(letter.isalnum() for letter in text):
            # Whoever says nothing to it has not failed.
            return
        keeper = self._keeper(text, voice, locale, pace)
        if keeper is not None:
            # Played from memory, however its vendor is.
            own = self._voice(voice, keeper)
            async with aclosing(keeper.provider.synthesize(text, voice=own, locale=locale, pace=pace)) as speech:
                async for chunk in speech:
                    yield chunk
            return
        rungs, rest, spoken = self._rungs, text, _Spoken(text, pace)
        broke: float | None = None
        while True:
            last: Rung[Synthesizer] | None = None

            def start(rung: Rung[Synthesizer], text: str = rest) -> AsyncGenerator[SpeechChunk, None]:
                return rung.provider.synthesize(text, voice=self._voice(voice, rung), locale=locale, pace=pace)

            lasts = _seconds if len(rungs) > 1 else _seconds_of_the_last
            stream = stream_from(rungs, start, _worth, hedged=self._hedged, lasts=lasts)
            try:
                async with aclosing(stream):
                    async for rung, chunk in stream:
                        if broke is not None:
                            note_switch(rung, broke)
                            broke = None
                        last = rung
                        yield spoken.follow(chunk)
                return
            except ProviderError:
                if last is None:
                    raise
                broke = asyncio.get_running_loop().time()
                rest = spoken.break_off()
                rungs = tuple(rung for rung in rungs if rung is not last)
                if not rungs:
                    raise
                metrics.RUNG_SWITCHES.labels(last.port, last.name, "broke_off").inc()

    def remembers(self, text: str, *, voice: str, locale: str, pace: float) -> bool:
        """Whether a rung can play it from memory."""
        return self._keeper(text, voice, locale, pace) is not None

    async def learn(self, text: str, /, *, voice: str, locale: str) -> None:
        """Have a stock phrase ready for good, in the first rung's voice if it can. Raises the last one's error."""
        failure: ProviderError | None = None
        for rung in self._rungs:
            if not isinstance(rung.provider, Remembers):
                continue
            try:
                async with asyncio.timeout(LEARNING):
                    await rung.provider.learn(text, voice=self._voice(voice, rung), locale=locale)
            except (ProviderError, TimeoutError) as error:
                failure = provider_error(rung, error)
                rung.failed(failure)
            else:
                return
        if failure is not None:
            raise failure

    def _keeper(self, text: str, voice: str, locale: str, pace: float) -> Rung[Synthesizer] | None:
        first = self._rungs[0]
        # Another voice is for the time of trouble: afterwards what it had said is asked of the first again.
        troubled = first.full or not first.breaker.closed
        for rung in self._rungs if troubled else (first,):
            own, provider = self._voice(voice, rung), rung.provider
            if isinstance(provider, Remembers) and provider.remembers(text, voice=own, locale=locale, pace=pace):
                return rung
        return None

    def _voice(self, voice: str, rung: Rung[Synthesizer]) -> str:
        return voice if rung is self._rungs[0] else self._voices.get(rung.name, "")

    async def aclose(self) -> None:
        """Close all rungs. Idempotent."""
        await close_all(self._rungs)


class _Spoken:
    """How far a segment has been spoken, and where its rest begins."""

    def __init__(self, text: str, pace: float) -> None:
        self._words = [(word.start(), word.end()) for word in _WORD.finditer(text)]
        self._text = text
        self._pace = pace
        self._seconds = 0.0
        self._before = 0.0
        """Seconds that earlier rungs have spoken of it."""
        self._first = 0
        """The word that the current rung began with."""
        self._starts: list[float] = []
        """When the words that the current rung has named begin, within what it speaks."""
        self._named = 0
        """Words of the segment that have been named to the listener: each is named once."""
        self._reckoned: tuple[tuple[str, float], ...] = ()
        """Words that rungs without word times have spoken, and when at the latest: a listener takes the first times for
        those of the first words, so these are told before a later rung's."""

    def follow(self, chunk: SpeechChunk) -> SpeechChunk:
        """The chunk with its words' times counted from the segment's beginning, without those that were named before.

        What was named but not spoken begins a little later than it was said to: by less than the word that broke off.
        """
        self._seconds += _seconds(chunk)
        reckoned: tuple[tuple[str, float], ...] = ()
        if chunk.words:
            reckoned, self._reckoned = self._reckoned, ()
        known = max(0, self._named - self._first - len(self._starts))
        self._starts.extend(start for _, start in chunk.words)
        self._named = max(self._named, self._first + len(self._starts))
        words = tuple((word, self._before + start) for word, start in chunk.words[known:])
        return SpeechChunk(chunk.pcm, reckoned + words)

    def break_off(self) -> str:
        """The current rung says no more: the text that has not surely been spoken, at least the last word."""
        seconds = self._seconds - self._before
        if self._starts:
            # The last word that has begun is cut off, and is said again.
            whole = max(0, sum(start < seconds for start in self._starts) - 1)
        else:
            rest = [self._text[begin:end] for begin, end in self._words[self._first :]]
            whole = clauses_within(rest, seconds, pace=self._pace)
            told = self._named + len(self._reckoned) - self._first
            begins = (self._before + begin for begin in (0.0, *latest_ends(rest, pace=self._pace)))
            self._reckoned += tuple(zip(rest, begins, strict=False))[told:whole]
        self._first = min(self._first + whole, len(self._words) - 1)
        self._before = self._seconds
        self._starts = []
        return self._text[self._words[self._first][0] :]


def _seconds(chunk: SpeechChunk) -> float:
    return len(chunk.pcm) / 2 / LINE_RATE_HZ


def _seconds_of_the_last(chunk: SpeechChunk) -> float:
    """What counts where nobody could go on: only what comes at less than a quarter of its speed is given up."""
    return 4 * _seconds(chunk)


def _worth(chunk: SpeechChunk) -> Worth:
    return Worth.USEFUL if chunk.pcm else Worth.NOTHING
