"""Remembers speech, so that the greeting and stock phrases are synthesised once.

It wraps any Synthesizer and is one. What calls say is kept in memory only, the least recently used is forgotten first.
What was `learnt`, the stock phrases, stays for good, and is on disk for the next start (see `stock`).

Invariants: identical requests at the same time share one synthesis, but for those that ask `ALONE`; a phrase is kept
only when it was completed; when the last listener of an unfinished phrase leaves, its synthesis is cancelled;
what is kept never exceeds `capacity_bytes`; what is being made ahead becomes urgent when somebody wants it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Final

from talkspurt.errors import ProviderError
from talkspurt.ports import SpeechChunk, Synthesizer, keep_connected
from talkspurt.speech.inference import Purpose, context_for, current_purpose
from talkspurt.synthesizers.stock import StockPhrases
from talkspurt.telemetry.usage import count_characters

CAPACITY_BYTES: Final = 16_000_000
"""A thousand seconds of speech: some hundred phrases in several voices."""

PHRASE_BYTES: Final = 480_000
"""Thirty seconds. Longer texts are no stock phrases; they would push many of those out."""

ALONE: Final[ContextVar[bool]] = ContextVar("alone", default=False)
"""Whether the task wants a synthesis of its own: it asks because the one that is being made is slow."""

_Key = tuple[str, str, str, float]


class _Phrase:
    """Speech that is being made or complete, for any number of listeners."""

    def __init__(self, purpose: Purpose) -> None:
        self.purpose = purpose
        self.chunks: list[SpeechChunk] = []
        self.size = 0
        self.complete = False
        self.error: Exception | None = None
        self.listeners = 0
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def add(self, chunk: SpeechChunk) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk.pcm)
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        self.complete = error is None
        self.error = error
        self._wake()

    async def wait(self) -> None:
        """Return when something was added or it ended. The synthesizer bounds the wait."""
        await self._changed.wait()

    def _wake(self) -> None:
        # A fresh event for the next change; those who wait hold the old one.
        self._changed.set()
        self._changed = asyncio.Event()


class PhraseCache:
    """The Synthesizer port in front of another Synthesizer."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        name: str = "",
        *,
        capacity_bytes: int = CAPACITY_BYTES,
        stock: StockPhrases | None = None,
        settings: str = "",
    ) -> None:
        """`name` is the vendor's, by which the characters that it was spared are counted.

        `settings` are what else its sound depends on: speech that was made with others is not taken from the disk.
        """
        self._settings = settings
        self._synthesizer = synthesizer
        self._name = name
        self._stock = stock
        self._learnt: dict[_Key, _Phrase] = {}
        self._capacity = capacity_bytes
        self._kept: OrderedDict[_Key, _Phrase] = OrderedDict()
        self._running: dict[_Key, _Phrase] = {}
        """What is being made: whoever asks for it now joins."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._size = 0

    @property
    def synthesizer(self) -> Synthesizer:
        """The one behind."""
        return self._synthesizer

    async def warm_up(self) -> None:
        """Warm the synthesizer behind."""
        await self._synthesizer.warm_up()

    async def keep_connected(self) -> None:
        """Have a connection of the synthesizer behind open, if it has any. Raises nothing."""
        await keep_connected(self._synthesizer)

    def remembers(self, text: str, *, voice: str, locale: str, pace: float) -> bool:
        """Whether `synthesize` would answer from memory, without the synthesizer behind."""
        key = (text, voice, locale, pace)
        return key in self._learnt or key in self._kept

    async def learn(self, text: str, /, *, voice: str, locale: str) -> None:
        """Have the speech of a stock phrase ready for good: from the disk, or else made now. Raises `ProviderError`.

        Only for what is about nobody: it is written to the disk.
        """
        key, name = (text, voice, locale, 1.0), (self._name, self._settings, voice, locale, text)
        if key in self._learnt:
            return
        chunks = await asyncio.to_thread(self._stock.load, *name) if self._stock is not None else None
        if chunks is None:
            speech = self._synthesizer.synthesize(text, voice=voice, locale=locale)
            async with aclosing(speech):
                chunks = [chunk async for chunk in speech]
            if self._stock is not None:
                await asyncio.to_thread(self._stock.store, chunks, *name)
        phrase = self._learnt[key] = _Phrase(current_purpose())
        for chunk in chunks:
            phrase.add(chunk)
        phrase.end()

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of `text`, from memory if it was said before. Raises what the synthesizer raises."""
        key = (text, voice, locale, pace)
        phrase = self._learnt.get(key) or self._kept.get(key)
        if phrase is not None:
            if key in self._kept:
                self._kept.move_to_end(key)
            count_characters(self._name, "cached_characters", text)
            for chunk in phrase.chunks:
                yield chunk
            return
        phrase = (None if ALONE.get() else self._running.get(key)) or self._start(key)
        phrase.listeners += 1
        if not current_purpose().ahead:
            phrase.purpose.is_wanted()
        try:
            told = 0
            while True:
                while told < len(phrase.chunks):
                    told += 1
                    yield phrase.chunks[told - 1]
                if phrase.complete:
                    return
                if phrase.error is not None:
                    raise phrase.error
                await phrase.wait()
        finally:
            phrase.listeners -= 1
            if not phrase.listeners and phrase.task is not None:
                # Forgotten at once: who asks for it now must not join a synthesis that is being cancelled.
                self._forget(key, phrase)
                phrase.task.cancel()

    async def aclose(self) -> None:
        """Cancel what is being made, forget all, close the synthesizer behind. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._kept.clear()
        self._learnt.clear()
        self._size = 0
        await self._synthesizer.aclose()

    def _start(self, key: _Key) -> _Phrase:
        asker = current_purpose()
        phrase = self._running[key] = _Phrase(Purpose(asker.call, ahead=asker.ahead))
        phrase.task = asyncio.create_task(self._make(key, phrase), name="phrase", context=context_for(phrase.purpose))
        self._tasks.add(phrase.task)
        phrase.task.add_done_callback(self._tasks.discard)
        return phrase

    async def _make(self, key: _Key, phrase: _Phrase) -> None:
        text, voice, locale, pace = key
        try:
            async with aclosing(self._synthesizer.synthesize(text, voice=voice, locale=locale, pace=pace)) as speech:
                async for chunk in speech:
                    phrase.add(chunk)
            self._keep(key, phrase)
            phrase.end()
        except asyncio.CancelledError:
            phrase.end(ProviderError("synthesizer", "cache", "was closed while speaking"))
            raise
        except Exception as error:
            phrase.end(error)
        finally:
            self._forget(key, phrase)
            phrase.task = None

    def _forget(self, key: _Key, phrase: _Phrase) -> None:
        if self._running.get(key) is phrase:
            del self._running[key]

    def _keep(self, key: _Key, phrase: _Phrase) -> None:
        if phrase.size > min(PHRASE_BYTES, self._capacity) or key in self._kept:
            return
        self._kept[key] = phrase
        self._size += phrase.size
        while self._size > self._capacity:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.size
