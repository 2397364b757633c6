"""Hears along: keeps the caller's voice for a model that hears, while a recognizer writes down what was said.

For vendors who transcribe only what they also answer. Memory is bounded: the last utterances, and of each the last
seconds.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from talkspurt.ports import LINE_RATE_HZ, Recognizer, RecognizerStream, Transcript
from talkspurt.speech_to_speech.letters import letters

UTTERANCES: Final = 3
LONGEST_S: Final = 60.0
"""Seconds of an utterance that are kept: its end says more than its beginning."""
LEAD_S: Final = 2.0
"""Seconds kept while there is no utterance: the next one begins in the past."""

_BYTES_PER_S: Final = 2 * LINE_RATE_HZ


class Ear:
    """The caller's voice, by what it was understood to say. PCM16 at the line's rate."""

    def __init__(self) -> None:
        self._lead = bytearray()
        self._utterances: OrderedDict[int, bytearray] = OrderedDict()
        self._asked: dict[int, int] = {}
        """Up to which byte of an utterance its words were asked for."""
        self._words: dict[int, str] = {}
        self._open: set[int] = set()

    def feed(self, pcm: bytes, /) -> None:
        """The caller's next audio."""
        self._lead += pcm
        if len(self._lead) > 2 * LEAD_S * _BYTES_PER_S:
            del self._lead[: -round(LEAD_S * _BYTES_PER_S)]
        for utterance in self._open:
            if len(self._utterances[utterance]) < LONGEST_S * _BYTES_PER_S:
                self._utterances[utterance] += pcm

    def begin(self, utterance: int, lead_in: float) -> None:
        """`utterance` began `lead_in` seconds ago."""
        before = min(len(self._lead), 2 * round(lead_in * LINE_RATE_HZ))
        self._utterances[utterance] = self._lead[-before:] if before else bytearray()
        self._open.add(utterance)
        while len(self._utterances) > UTTERANCES:
            oldest, _ = self._utterances.popitem(last=False)
            self._open.discard(oldest)
            self._asked.pop(oldest, None)
            self._words.pop(oldest, None)

    def ask(self, utterance: int) -> None:
        """What it says up to now is being written down."""
        if utterance in self._utterances:
            self._asked[utterance] = len(self._utterances[utterance])

    def understand(self, utterance: int, words: str) -> None:
        """Its words are these."""
        if utterance in self._utterances:
            self._words[utterance] = letters(words)

    def end(self, utterance: int) -> None:
        """Nothing more belongs to it."""
        self._open.discard(utterance)

    def voice_of(self, words: str) -> bytes | None:
        """The voice that said these words last; None when it is not known any more."""
        for utterance in reversed(self._utterances):
            if self._words.get(utterance) == letters(words):
                return bytes(self._utterances[utterance][: self._asked.get(utterance)]) or None
        return None


class HearingAlong:
    """A `Recognizer` with an ear beside it; without one below it nothing is written down."""

    def __init__(
        self,
        recognizer: Recognizer | None,
        ear: Ear,
        *,
        began: Callable[[], None],
        closed: Callable[[], Awaitable[None]],
    ) -> None:
        """`began` is called when the caller begins to speak, `closed` when the call's stream is closed."""
        self._recognizer = recognizer
        self._ear = ear
        self._began = began
        self._closed = closed

    async def warm_up(self) -> None:
        """The recognizer below is warmed by whoever owns it."""

    async def open(self, *, locale: str, call_id: str) -> "_Stream":
        """Open a stream of the recognizer below. Raises `ProviderError`."""
        below = None if self._recognizer is None else await self._recognizer.open(locale=locale, call_id=call_id)
        return _Stream(below, self._ear, self._began, self._closed)

    async def aclose(self) -> None:
        """The recognizer below is somebody else's."""


class _Stream:
    def __init__(
        self,
        below: RecognizerStream | None,
        ear: Ear,
        began: Callable[[], None],
        closed: Callable[[], Awaitable[None]],
    ) -> None:
        self._below = below
        self._ear = ear
        self._began = began
        self._closed = closed

    def feed(self, pcm: bytes, /) -> None:
        self._ear.feed(pcm)
        if self._below is not None:
            self._below.feed(pcm)

    def begin(self, utterance: int, lead_in: float, /) -> None:
        self._ear.begin(utterance, lead_in)
        if self._below is not None:
            self._below.begin(utterance, lead_in)
        self._began()

    def finalize(self, utterance: int, revision: int, /) -> None:
        self._ear.ask(utterance)
        if self._below is not None:
            self._below.finalize(utterance, revision)

    def end(self, utterance: int, /) -> None:
        self._ear.end(utterance)
        if self._below is not None:
            self._below.end(utterance)

    async def transcripts(self) -> AsyncIterator[Transcript]:
        if self._below is None:
            return
        async for transcript in self._below.transcripts():
            if transcript.final and transcript.error is None:
                self._ear.understand(transcript.utterance, transcript.text)
            yield transcript

    async def aclose(self) -> None:
        try:
            if self._below is not None:
                await self._below.aclose()
        finally:
            await self._closed()
