"""What a call has used of whom: seconds heard, tokens thought, characters spoken.

A `Meter` belongs to one call. It is found by the context: whoever opens a call says `METER.set(...)`, and every task of
the call inherits it, so that providers, which know nothing of calls, can be metered at their own edge. Prices are
elsewhere (`cost`): what was used stays true when they change.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import Final, Literal

from talkspurt.core.history import Entry
from talkspurt.errors import ProviderError
from talkspurt.ports import (
    CountsSent,
    LanguageModel,
    Recognizer,
    RecognizerStream,
    ReplyPart,
    ReplyRequest,
    SpeechChunk,
    Synthesizer,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    Transcript,
    Usage,
    keep_connected,
)

Leg = Literal["recognition", "model", "synthesis", "carrier"]
Unit = Literal[
    "seconds",
    "line_seconds",
    "input",
    "cached",
    "output",
    "audio_input",
    "audio_cached",
    "audio_output",
    "discarded",
    "spared",
    "characters",
    "cached_characters",
]
"""`seconds` are of the carrier's line, or of audio that a recognizer was sent. `line_seconds` are for how long it
listened, by which another one can be reckoned with.

Tokens are `input` (uncached), `cached` and `output`, each of text or of `audio_`, and `discarded`: input and output
of replies that nobody got. `spared` are those that the answers would have taken which were known.
"""

LETTERS_PER_TOKEN: Final = 4
"""Of English, by the vendors' own rule of thumb: for replies whose model does not say what it used."""


class Meter:
    """Sums by leg, provider and unit: `used`, and how much of it is not in the store yet."""

    def __init__(self) -> None:
        self.used: defaultdict[tuple[Leg, str, Unit], float] = defaultdict(float)
        self.running: set[Callable[[], None]] = set()
        """Counters of what goes on for as long as the call does: each adds what has come since it was asked last."""
        self._stored: defaultdict[tuple[Leg, str, Unit], float] = defaultdict(float)

    def unstored(self) -> dict[tuple[Leg, str, Unit], float]:
        """What was used since it was stored last; say `stored` when it is."""
        for count in tuple(self.running):
            count()
        gained = {key: amount - self._stored[key] for key, amount in self.used.items()}
        return {key: amount for key, amount in gained.items() if amount}

    def stored(self, amounts: Mapping[tuple[Leg, str, Unit], float]) -> None:
        """So much of it is in the store."""
        for key, amount in amounts.items():
            self._stored[key] += amount

    def add(self, leg: Leg, vendor: str, unit: Unit, amount: float) -> None:
        """Count `amount` more."""
        if amount:
            self.used[leg, vendor, unit] += amount

    def thought(self, usage: Usage) -> None:
        """Count the tokens of one reply."""
        heard, kept, spoken = usage.audio_input_tokens, usage.audio_cached_tokens, usage.audio_output_tokens
        text_cached = max(0, usage.cached_tokens - kept)
        self.add("model", usage.model, "input", max(0, usage.input_tokens - heard - text_cached))
        self.add("model", usage.model, "cached", text_cached)
        self.add("model", usage.model, "output", max(0, usage.output_tokens - spoken))
        self.add("model", usage.model, "audio_input", max(0, heard - kept))
        self.add("model", usage.model, "audio_cached", kept)
        self.add("model", usage.model, "audio_output", spoken)

    def discarded(self, usage: Usage) -> None:
        """A reply that was counted came to nothing: its tokens are paid for, and no caller heard them."""
        self.add("model", usage.model, "discarded", usage.input_tokens + usage.output_tokens)


METER: Final[ContextVar[Meter | None]] = ContextVar("meter", default=None)


@dataclass(slots=True)
class Asking:
    """A request to a model or a synthesizer, as whoever sends it sees it."""

    sent: bool = True
    """Whether it has left. Who can tell says False first."""


ASKING: Final[ContextVar[Asking | None]] = ContextVar("asking", default=None)
"""The request under way, for whoever sends it."""


class MeteredModel:
    """A `LanguageModel` whose tokens are counted. It says the model's name in each `Usage`.

    A model that does not tell its tokens (the offline brain, and any whose reply was broken off) is estimated from the
    letters; of later requests in a call the instructions and tools count as cached, as they would be with a vendor.
    """

    def __init__(self, model: LanguageModel, name: str) -> None:
        self.model = model
        """The one behind."""
        self._name = name

    async def warm_up(self) -> None:
        """Warm the model behind."""
        await self.model.warm_up()

    async def keep_connected(self) -> None:
        """Have a connection of the model behind open, if it has any. Raises nothing."""
        await keep_connected(self.model)

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream what the model behind does."""
        meter = METER.get()
        letters, coming, told = 0, 0, False
        asking = Asking()
        # Never taken back: the generator may end in another context, and the next request has one of its own.
        ASKING.set(asking)
        try:
            async with aclosing(self.model.reply(request)) as parts:
                async for part in parts:
                    match part:
                        case Usage(input_tokens=tokens) if tokens:
                            told = True
                            counted = replace(part, model=self._name)
                            if meter is not None:
                                meter.thought(counted)
                            yield counted
                            continue
                        case TextDelta(text):
                            letters += len(text)
                        case ToolCallDelta(more):
                            coming += more
                        case ToolCallPart():
                            # What was coming is whole now.
                            letters, coming = letters + len(part.name) + len(part.arguments), 0
                    yield part
            if not told:
                estimate = estimated(self._name, request, letters + coming, meter)
                told = True
                if meter is not None:
                    meter.thought(estimate)
                yield estimate
        except ProviderError:
            # Refused before it said anything: nothing was thought.
            told = told or not (letters or coming)
            raise
        finally:
            if not told and asking.sent and meter is not None:
                # Broken off: the vendor counts what it had sent, and tells nobody.
                estimate = estimated(self._name, request, letters + coming, meter)
                meter.thought(estimate)
                meter.discarded(estimate)

    async def aclose(self) -> None:
        """Close the model behind."""
        await self.model.aclose()


def estimated(name: str, request: ReplyRequest, letters: int, meter: Meter | None) -> Usage:
    """What the model called `name` used for a reply of so many letters, of which nobody tells it.

    Of later requests in a call the instructions and tools count as cached.
    """
    lasting = len(request.instructions) + sum(
        len(tool.name) + len(tool.description) + len(str(tool.parameters)) for tool in request.tools
    )
    passing = sum(_letters(entry) for entry in request.history)
    again = meter is not None and ("model", name, "output") in meter.used
    return Usage(
        input_tokens=(lasting + passing) // LETTERS_PER_TOKEN,
        cached_tokens=lasting // LETTERS_PER_TOKEN if again else 0,
        output_tokens=-(-letters // LETTERS_PER_TOKEN),
        model=name,
    )


def _letters(entry: Entry) -> int:
    values = (getattr(entry, each.name) for each in fields(entry))
    return sum(len(value) for value in values if isinstance(value, str))


class MeteredRecognizer:
    """A `Recognizer` whose streams are counted: vendors bill the audio that they are sent.

    That is the whole line or only its utterances, and some of it twice: a stream tells it (`CountsSent`). Of one that
    does not, it is taken for as long as the stream was open.
    """

    def __init__(self, recognizer: Recognizer, name: str) -> None:
        self.recognizer = recognizer
        """The one behind."""
        self._name = name

    async def warm_up(self) -> None:
        """Warm the recognizer behind."""
        await self.recognizer.warm_up()

    async def open(self, *, locale: str, call_id: str) -> "MeteredStream":
        """Open a stream of the recognizer behind."""
        return MeteredStream(await self.recognizer.open(locale=locale, call_id=call_id), self._name)

    async def aclose(self) -> None:
        """Close the recognizer behind."""
        await self.recognizer.aclose()


class MeteredStream:
    """A `RecognizerStream` that is counted when the meter is read or it is closed.

    A frame costs nothing: `feed` is the stream's own.
    """

    def __init__(self, stream: RecognizerStream, name: str) -> None:
        self._stream = stream
        self._name = name
        self._meter = METER.get()
        self._since = asyncio.get_running_loop().time()
        self._counted: dict[Unit, float] = {"seconds": 0.0, "line_seconds": 0.0}
        self._closing = False
        if self._meter is not None:
            self._meter.running.add(self._count)
        self.feed: Callable[[bytes], None] = stream.feed
        self.begin: Callable[[int, float], None] = stream.begin
        self.finalize: Callable[[int, int], None] = stream.finalize
        self.end: Callable[[int], None] = stream.end

    def transcripts(self) -> AsyncIterator[Transcript]:
        """What the stream behind hears."""
        return self._stream.transcripts()

    async def aclose(self) -> None:
        """Close the stream behind. Idempotent."""
        if self._closing:
            await self._stream.aclose()
            return
        self._closing = True
        # Before the goodbye, which nobody may wait for, and after it, with which the last of the audio goes out.
        self._count()
        listened = self._counted["line_seconds"]
        if self._meter is not None:
            self._meter.running.discard(self._count)
        try:
            await self._stream.aclose()
        finally:
            self._count(listened)

    def _count(self, listened: float | None = None) -> None:
        """Add what has come since it was counted last, of a stream that has listened for so long; None: until now."""
        if listened is None:
            listened = asyncio.get_running_loop().time() - self._since
        sent = self._stream.sent_seconds if isinstance(self._stream, CountsSent) else listened
        now: dict[Unit, float] = {"seconds": sent, "line_seconds": listened}
        if self._meter is not None:
            for unit, amount in now.items():
                self._meter.add("recognition", self._name, unit, amount - self._counted[unit])
        self._counted = now


class MeteredSynthesizer:
    """A `Synthesizer` whose characters are counted with their first sound, and none that are refused.

    Speech that nobody waited for is counted if its request had left: the vendor makes it all the same.
    """

    def __init__(self, synthesizer: Synthesizer, name: str) -> None:
        self.synthesizer = synthesizer
        """The one behind."""
        self._name = name

    async def warm_up(self) -> None:
        """Warm the synthesizer behind."""
        await self.synthesizer.warm_up()

    async def keep_connected(self) -> None:
        """Have a connection of the synthesizer behind open, if it has any. Raises nothing."""
        await keep_connected(self.synthesizer)

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream what the synthesizer behind does."""
        asking, counted = Asking(), False
        # As in `MeteredModel.reply`.
        ASKING.set(asking)
        try:
            async with aclosing(self.synthesizer.synthesize(text, voice=voice, locale=locale, pace=pace)) as speech:
                async for chunk in speech:
                    if not counted:
                        counted = True
                        count_characters(self._name, "characters", text)
                    yield chunk
        except (asyncio.CancelledError, ProviderError) as error:
            refused = isinstance(error, ProviderError) and error.fault != "timeout"
            if asking.sent and not counted and not refused:
                count_characters(self._name, "characters", text)
            raise

    async def aclose(self) -> None:
        """Close the synthesizer behind."""
        await self.synthesizer.aclose()


def count_characters(vendor: str, unit: Literal["characters", "cached_characters"], text: str) -> None:
    """Count the characters of `text` for the call at hand, if there is one."""
    meter = METER.get()
    if meter is not None:
        meter.add("synthesis", vendor, unit, len(text))
