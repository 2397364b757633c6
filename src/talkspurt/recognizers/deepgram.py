"""Deepgram's live transcription, through its official SDK: one WebSocket a call.

We do our own endpointing, so the vendor's is off and every `finalize` of the port becomes the
vendor's `Finalize` message. Its answer is the first final result with `from_finalize`. The vendor
does not promise one when hardly any audio is left, so any final result that covers the moment
of asking will do, and a deadline answers with what is known by then. The key is
`DEEPGRAM_API_KEY`; `speech.base_url` has an entry `deepgram` for an endpoint of one's own.

Invariants:
* the port's synchronous methods only touch memory. Audio waits in a bounded outbox, whose oldest
  part is dropped and counted when the vendor does not take it;
* every `finalize` is answered once, within `Patience.answer`, unless its utterance has ended;
* when the socket is lost, what is open is answered with an error, because words are missing
  from it for good; utterances begun later are heard on the next socket;
* the vendor's clock counts the audio sent on one socket. `_vendor_zero` maps it to the line's.

Source: developers.deepgram.com, "Live audio", "Finalize", "Audio keep alive", "Close stream".
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx
from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment
from deepgram.core.api_error import ApiError

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ports import LINE_RATE_HZ, Transcript
from talkspurt.recognizers.hearing import Hearing, Word

VENDOR: Final = "deepgram"
KEY_VARIABLE: Final = "DEEPGRAM_API_KEY"
MODEL: Final = "nova-3"

_BYTES_PER_S: Final = 2 * LINE_RATE_HZ
_BATCH_BYTES: Final = int(0.06 * _BYTES_PER_S)
"""Audio per message: three frames cost a third of the messages and at most 40 ms."""
_OUTBOX_BYTES: Final = 5 * _BYTES_PER_S
_KEEP_ALIVE_S: Final = 4.0
"""The vendor closes a socket after 10 s without audio and recommends a word every 3 to 5 s."""
_ANSWERS: Final = 256
_QUESTIONS: Final = 32
_COVERED_S: Final = 0.1
"""A final result that ends this much before the moment of asking covers it: the vendor may not answer for less."""
_LATE_S: Final = 0.5
"""A `from_finalize` result that ends this much before the moment of asking answers an earlier question."""
_LONGEST_PAUSE_S: Final = 5.0
_RETRYABLE_STATUSES: Final = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for a connection, for the answer to a `finalize`, for an orderly end."""

    connect: float = 3.0
    answer: float = 3.0
    close: float = 1.0


class DeepgramRecognizer:
    """A `Recognizer` at Deepgram."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """The key is looked up in `environment` (default: the process's); raises `ConfigurationError` without it."""
        key = (os.environ if environment is None else environment).get(KEY_VARIABLE, "").strip()
        if not key:
            raise ConfigurationError(
                f"speech.recognizer = '{VENDOR}' needs a key: set the environment variable {KEY_VARIABLE}"
            )
        self._patience = patience or Patience()
        self._http = httpx.AsyncClient()
        self._client = AsyncDeepgramClient(api_key=key, environment=_endpoints(base_url), httpx_client=self._http)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The recognizer for `config.speech`."""
        return cls(base_url=config.speech.base_url.get(VENDOR))

    async def warm_up(self) -> None:
        """Have a moment of silence transcribed: it proves key and endpoint. Sockets cannot be kept for later calls."""
        stream = await self.open(locale="en-US", call_id="warm-up")
        try:
            stream.begin(0, 0.0)
            stream.feed(bytes(_BYTES_PER_S // 2))
            stream.finalize(0, 1)
            async for transcript in stream.transcripts():
                if transcript.error is not None:
                    raise ProviderError("recognizer", VENDOR, transcript.error, retryable=True)
                if transcript.final:
                    return
        finally:
            await stream.aclose()

    async def open(self, *, locale: str, call_id: str) -> "DeepgramStream":
        """Connect a stream for one call. Raises `ProviderError`."""
        stream = DeepgramStream(self._client, locale, self._patience)
        try:
            await stream.connect()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        """Release everything. Idempotent."""
        await self._http.aclose()


@dataclass(eq=False, slots=True)
class _Question:
    """A `finalize` that waits for its answer."""

    utterance: int
    revision: int
    at: float
    """Seconds of audio at the moment of asking."""
    asked: float
    """The loop's clock then."""
    timer: asyncio.TimerHandle | None = field(default=None)


_FINALIZE: Final = None
"""Stands in the outbox for a `Finalize` message, between the audio before and after it."""


class DeepgramStream:
    """One call's recognition: an outbox, a socket that is replaced when it is lost, and questions that wait."""

    def __init__(self, client: AsyncDeepgramClient, locale: str, patience: Patience) -> None:
        self._client = client
        self._locale = locale
        self._patience = patience
        self._hearing = Hearing()
        self._outbox: deque[bytes | None] = deque()
        self._outbox_bytes = 0
        self._fed_bytes = 0
        self._sent_bytes = 0
        self._questions: deque[_Question] = deque()
        self._answers: deque[Transcript] = deque(maxlen=_ANSWERS)
        self._partial = ""
        self._last_news = 0.0
        self._to_send = asyncio.Event()
        self._to_tell = asyncio.Event()
        self._connected: asyncio.Future[None] | None = None
        self._life: asyncio.Task[None] | None = None
        self._socket: Any = None
        self._closing = False
        self._closed = False
        self.dropped_bytes = 0
        """Audio that the vendor did not take in time."""
        self.reconnections = 0
        """Sockets opened after the first."""
        self.unreadable = 0
        """Messages that were not of the protocol."""

    # ── the port ──────────────────────────────────────────────────────────────────

    def feed(self, pcm: bytes, /) -> None:
        """Queue the caller's next audio."""
        if self._closing:
            return
        self._outbox.append(pcm)
        self._outbox_bytes += len(pcm)
        self._fed_bytes += len(pcm)
        while self._outbox_bytes > _OUTBOX_BYTES:
            self._drop_oldest()
        if self._outbox_bytes >= _BATCH_BYTES:
            self._to_send.set()

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""
        self._partial = ""
        self._hearing.begin(utterance, self._now - lead_in)

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Ask for the words of `utterance` up to now."""
        if self._closing:
            return
        loop = asyncio.get_running_loop()
        question = _Question(utterance, revision, self._now, loop.time())
        if not self._hearing.is_open(utterance):
            self._answer(question, error="the utterance is not open")
        elif self._hearing.is_damaged(utterance):
            self._answer(question, error="the connection was lost during the utterance")
        elif self._hearing.final_until >= question.at - _COVERED_S:
            self._answer(question)
        else:
            if len(self._questions) >= _QUESTIONS:
                self._answer(self._questions.popleft(), error="too many questions at once")
            question.timer = loop.call_later(self._patience.answer, self._give_up, question)
            self._questions.append(question)
            self._outbox.append(_FINALIZE)
            self._to_send.set()

    def end(self, utterance: int, /) -> None:
        """Forget `utterance`; its questions need no answer any more."""
        self._hearing.end(utterance, self._now)

    async def transcripts(self) -> AsyncGenerator[Transcript]:
        """Everything heard, until `aclose`."""
        while True:
            while self._answers:
                yield self._answers.popleft()
            if self._closed:
                return
            self._to_tell.clear()
            await self._to_tell.wait()

    async def aclose(self) -> None:
        """Say goodbye to the vendor, for a bounded time. Idempotent."""
        if not self._closing:
            self._closing = True
            self._fail_questions("the stream was closed")
            self._to_send.set()
        if self._life is not None:
            await asyncio.wait({self._life}, timeout=self._patience.close)
            self._life.cancel()
            _abort(self._socket)
            await asyncio.wait({self._life}, timeout=self._patience.close)
        self._closed = True
        self._to_tell.set()

    # ── the connection ────────────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Open the first socket; later ones are opened as they are needed. Raises `ProviderError`."""
        self._connected = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(), name="deepgram stream")
        await self._connected

    async def _live(self) -> None:
        assert self._connected is not None
        pause = 0.0
        while not self._closing:
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, max(0.1, pause * 2))
            try:
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(self._patience.connect):
                        self._socket = await stack.enter_async_context(self._open_socket())
                    if self._connected.done():
                        self.reconnections += 1
                    else:
                        self._connected.set_result(None)
                    since = asyncio.get_running_loop().time()
                    await self._converse(self._socket)
                    if self._last_news > since:
                        # Only a socket that said something earns an immediate successor.
                        pause = 0.0
            except Exception as error:  # whatever ends a socket ends it in the same way for us
                if not self._connected.done():
                    self._connected.set_exception(_provider_error(error))
                    return
            self._lose_socket()

    def _open_socket(self) -> Any:
        return self._client.listen.v1.connect(
            model=MODEL,
            language=self._locale,
            encoding="linear16",
            sample_rate=LINE_RATE_HZ,
            channels=1,
            interim_results="true",
            punctuate="true",
            endpointing="false",
        )

    async def _converse(self, socket: Any) -> None:
        """Send and receive until either comes to an end; then nothing of the socket is left."""
        tasks = {asyncio.create_task(self._send(socket)), asyncio.create_task(self._receive(socket))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._closing:
                # The vendor closes the socket once it has said all; that ends the receiver.
                await asyncio.wait(tasks, timeout=self._patience.close)
        finally:
            _abort(socket)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, socket: Any) -> None:
        self._sent_bytes = 0
        while True:
            try:
                async with asyncio.timeout(_KEEP_ALIVE_S):
                    await self._to_send.wait()
            except TimeoutError:
                if not self._outbox:
                    await socket.send_keep_alive()
            self._to_send.clear()
            while self._outbox:
                audio = self._take_audio()
                if audio:
                    await socket.send_media(audio)
                else:
                    self._outbox.popleft()
                    await socket.send_finalize()
            if self._closing:
                await socket.send_close_stream()
                return

    async def _receive(self, socket: Any) -> None:
        async for message in socket:
            self._last_news = asyncio.get_running_loop().time()
            if getattr(message, "type", None) == "Results":
                try:
                    self._hear(message)
                except (AttributeError, IndexError, TypeError, ValueError):
                    # The SDK checks no types.
                    self.unreadable += 1

    def _lose_socket(self) -> None:
        """Nothing that was sent on the socket will be answered any more."""
        self._socket = None
        self._hearing.damage()
        self._outbox = deque(item for item in self._outbox if item is not _FINALIZE)
        self._fail_questions("the connection was lost")

    # ── audio ─────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> float:
        return self._fed_bytes / _BYTES_PER_S

    @property
    def _vendor_zero(self) -> float:
        """The line's time at which the vendor's clock stood at zero, had all audio since been sent."""
        return (self._fed_bytes - self._outbox_bytes - self._sent_bytes) / _BYTES_PER_S

    def _take_audio(self) -> bytes:
        """The audio at the head of the outbox, up to a `Finalize`. It counts as sent."""
        pieces: list[bytes] = []
        while self._outbox and (piece := self._outbox[0]) is not _FINALIZE:
            pieces.append(piece)
            self._outbox.popleft()
        audio = b"".join(pieces)
        self._outbox_bytes -= len(audio)
        self._sent_bytes += len(audio)
        return audio

    def _drop_oldest(self) -> None:
        place = next(place for place, item in enumerate(self._outbox) if item is not _FINALIZE)
        dropped = len(self._outbox[place] or b"")
        del self._outbox[place]
        self._outbox_bytes -= dropped
        self.dropped_bytes += dropped

    # ── words ─────────────────────────────────────────────────────────────────────

    def _hear(self, results: Any) -> None:
        zero = self._vendor_zero
        until = zero + float(results.start) + float(results.duration)
        words = [
            Word(str(getattr(word, "punctuated_word", None) or word.word), zero + word.start, zero + word.end)
            for word in results.channel.alternatives[0].words
        ]
        if results.is_final:
            self._hearing.hear_final(words, until)
            self._settle(until, from_finalize=bool(results.from_finalize))
        else:
            self._hearing.hear_interim(words)
        current = self._hearing.current
        if current is not None:
            self._tell_partial(current, self._hearing.text(current, guesses=True))

    def _settle(self, until: float, *, from_finalize: bool) -> None:
        """Answer the questions that a final result up to `until` answers: they stand in the order of asking."""
        if from_finalize and self._questions and self._questions[0].at <= until + _LATE_S:
            self._answer(self._questions.popleft())
        while self._questions and self._questions[0].at <= until + _COVERED_S:
            self._answer(self._questions.popleft())

    def _give_up(self, question: _Question) -> None:
        """The deadline of `question`: tell what is known, or that the vendor is silent."""
        self._questions.remove(question)
        if self._last_news > question.asked:
            self._answer(question, guesses=True)
        else:
            # Results come every second, speech or not: without any, the socket is dead.
            self._answer(question, error="no answer in time")
            _abort(self._socket)

    def _answer(self, question: _Question, *, guesses: bool = False, error: str | None = None) -> None:
        if question.timer is not None:
            question.timer.cancel()
        if error is None and not self._hearing.is_open(question.utterance):
            return
        text = "" if error else self._hearing.text(question.utterance, guesses=guesses)
        self._answers.append(Transcript(question.utterance, question.revision, text, error=error))
        self._to_tell.set()

    def _fail_questions(self, error: str) -> None:
        while self._questions:
            self._answer(self._questions.popleft(), error=error)

    def _tell_partial(self, utterance: int, text: str) -> None:
        if not text or text == self._partial:
            return
        self._partial = text
        if self._answers and not self._answers[-1].final:
            self._answers.pop()
        self._answers.append(Transcript(utterance, 0, text, final=False))
        self._to_tell.set()


def _endpoints(base_url: str | None) -> DeepgramClientEnvironment:
    if base_url is None:
        return DeepgramClientEnvironment.PRODUCTION
    origin = base_url.rstrip("/")
    if origin.startswith("http"):
        origin = "ws" + origin.removeprefix("http")
    return DeepgramClientEnvironment(base=origin, production=origin, agent=origin, agent_rest=origin)


def _abort(socket: Any) -> None:
    """Drop the connection at once. The SDK offers only the closing handshake, which waits long for a dead peer."""
    transport = getattr(getattr(socket, "_websocket", None), "transport", None)
    if transport is not None:
        transport.abort()


def _provider_error(error: Exception) -> ProviderError:
    if isinstance(error, ApiError):
        status = error.status_code or 0
        retryable = status in _RETRYABLE_STATUSES or status >= 500
        return ProviderError("recognizer", VENDOR, f"HTTP {status}", retryable=retryable)
    reason = "no connection in time" if isinstance(error, TimeoutError) else "the connection failed"
    return ProviderError("recognizer", VENDOR, reason, retryable=True)
