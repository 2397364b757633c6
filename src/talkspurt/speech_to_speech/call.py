"""One call with a model that hears, thinks and speaks itself: three ports over one session, whichever vendor's it is.

The session begins when the recognizer is opened and ends with its stream; a call may have several, one after the other,
when the ladder comes back to the vendor. The speech of the last replies outlives the session that made it, so what has
come is spoken even if the vendor has gone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Final, Protocol

from talkspurt.errors import ProviderError
from talkspurt.ports import RecognizerStream, ReplyPart, ReplyRequest, SpeechChunk, Stages, Transcript
from talkspurt.speech_to_speech.speech import BYTES_PER_S, LETTERS_PER_SECOND, Speech

REPLIES_KEPT: Final = 3
"""Replies whose sound is kept: what was cut off is spoken again in the next turn at the latest."""
MOMENT: Final = 0.25
"""Seconds to wait for more sound before a sentence ends where it seems to end by what is there."""
STALL: Final = 1.5
"""Seconds that were waited beyond what the sound lasts that came, after which the rest of a reply does not come."""


LETTERS_PER_TOKEN: Final = 8
"""More than any language has."""
SECONDS_PER_TOKEN: Final = 2.0
"""More than a slow voice takes: a digit is a token, and the slowest pace a quarter of the usual one."""


class Message:
    """A message that the model speaks; `news` is set when something of it has come."""

    def __init__(self, rate: float) -> None:
        self.speech = Speech(rate)
        self.news = asyncio.Event()

    def add_text(self, text: str) -> None:
        """The next piece of its words."""
        self.speech.add_text(text)
        self.news.set()

    def add_sound(self, pcm: bytes) -> None:
        """The next piece of its sound."""
        self.speech.add_sound(pcm)
        self.news.set()

    def end(self, *, broken: bool = False) -> None:
        """Nothing more will come; `broken` when there should have been more."""
        self.speech.complete(broken=broken)
        self.news.set()


def too_long(messages: Iterable[Message], max_tokens: int) -> bool:
    """Whether a reply of these messages is longer than `max_tokens` of text can be, which its vendor was told."""
    speeches = [message.speech for message in messages]
    return (
        sum(len(speech.text) for speech in speeches) > max_tokens * LETTERS_PER_TOKEN
        or sum(speech.length for speech in speeches) > max_tokens * SECONDS_PER_TOKEN * BYTES_PER_S
    )


class Spoken:
    """What the model has spoken in the last replies of a call: an `OwnVoice`."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor
        self._rate = LETTERS_PER_SECOND
        """Of this voice, as of its last reply."""
        self._replies: OrderedDict[int, list[Message]] = OrderedDict()

    def begin(self, reply: int) -> Message:
        """A new message of this reply."""
        before = (each.speech.rate for said in self._replies.values() for each in said)
        self._rate = next(reversed([rate for rate in before if rate is not None]), self._rate)
        message = Message(self._rate)
        self._replies.setdefault(reply, []).append(message)
        while len(self._replies) > REPLIES_KEPT:
            _, old = self._replies.popitem(last=False)
            for each in old:
                each.speech.forget()
        return message

    def speaks(self, reply: int, /) -> bool:
        """Whether the model has begun to speak this reply."""
        return reply in self._replies

    def speech(self, reply: int, written: str, /) -> AsyncGenerator[SpeechChunk, None] | None:
        """The model's own speech of these words, as it comes; None when they are none of its words."""
        for message in self._replies.get(reply, ()):
            found = message.speech.find(written)
            if found is not None:
                return self._stream(message, *found)
        return None

    async def _stream(self, message: Message, first: int, last: int) -> AsyncGenerator[SpeechChunk, None]:
        speech, loop = message.speech, asyncio.get_running_loop()
        at, patient, behind = speech.begin(first), True, 0.0
        while True:
            message.news.clear()
            end = speech.end(first, last, now=not patient)
            until = speech.sure(first, last) if end is None else end
            if until > at:
                yield SpeechChunk(bytes(speech.sound[at:until]))
                at, patient = until, True
                continue
            if end is not None:
                if speech.broken and end >= speech.length:
                    raise ProviderError("synthesizer", self._vendor, "its speech broke off", retryable=True)
                return
            if speech.whole:
                raise ProviderError("synthesizer", self._vendor, "its speech is not there any more", retryable=True)
            asked, came = loop.time(), speech.length
            try:
                async with asyncio.timeout(MOMENT):
                    await message.news.wait()
            except TimeoutError:
                patient = False
            behind = max(0.0, behind + loop.time() - asked - (speech.length - came) / BYTES_PER_S)
            if behind > STALL:
                raise ProviderError("synthesizer", self._vendor, "its speech stalled", retryable=True)


class VendorSession(RecognizerStream, Protocol):
    """A call's session with a vendor: the stream of its recognizer, and what replies."""

    def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """As in `LanguageModel`."""


class LiveCall:
    """A call's place at the vendor."""

    def __init__(self, vendor: str, connect: Callable[[Spoken, str], Awaitable[VendorSession]]) -> None:
        """`connect` opens a session that speaks into a `Spoken`, for callers of a locale. Raises `ProviderError`."""
        self.vendor = vendor
        self.spoken = Spoken(vendor)
        self.session: VendorSession | None = None
        self._connect = connect

    @property
    def stages(self) -> Stages:
        """Who hears, thinks and speaks in this call."""
        return Stages(_CallRecognizer(self), _CallModel(self), self.spoken)

    async def open(self, locale: str) -> "_CallStream":
        """Begin a session. Raises `ProviderError`."""
        session = await self._connect(self.spoken, locale)
        self.session = session
        return _CallStream(self, session)

    def leave(self, session: VendorSession) -> None:
        """That session is not the call's any more."""
        if self.session is session:
            self.session = None


class _CallRecognizer:
    """The vendor's session as the call's `Recognizer`."""

    def __init__(self, call: LiveCall) -> None:
        self._call = call

    async def warm_up(self) -> None:
        """The vendor was warmed for all calls."""

    async def open(self, *, locale: str, call_id: str) -> "_CallStream":
        """Begin a session. Raises `ProviderError`."""
        return await self._call.open(locale)

    async def aclose(self) -> None:
        """The session ends with its stream."""


class _CallStream:
    """A session as a `RecognizerStream`. Per frame it costs nothing: `feed` is the session's own."""

    def __init__(self, call: LiveCall, session: VendorSession) -> None:
        self._call = call
        self._session = session
        self.feed = session.feed
        self.begin = session.begin
        self.finalize = session.finalize
        self.end = session.end

    def transcripts(self) -> AsyncIterator[Transcript]:
        """What the session hears."""
        return self._session.transcripts()

    async def aclose(self) -> None:
        """End the session. Idempotent."""
        self._call.leave(self._session)
        await self._session.aclose()


class _CallModel:
    """The vendor's session as the call's `LanguageModel`."""

    def __init__(self, call: LiveCall) -> None:
        self._call = call

    async def warm_up(self) -> None:
        """The vendor was warmed for all calls."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream a reply of the call's session. Raises `ProviderError`, at once if there is none."""
        session = self._call.session
        if session is None:
            raise ProviderError("model", self._call.vendor, "there is no session", fault="no_session")
        async with aclosing(session.reply(request)) as parts:
            async for part in parts:
                yield part

    async def aclose(self) -> None:
        """The session ends with its stream."""
