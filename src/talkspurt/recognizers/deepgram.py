"""Deepgram's live transcription, through its official SDK: one WebSocket a call.

We do our own endpointing, so the vendor's is off and every `finalize` of the port becomes the
vendor's `Finalize` message. Its answer is the first final result with `from_finalize`. The vendor
does not promise one when hardly any audio is left, so any final result that covers the moment
of asking will do; at the deadline also a guess, if the result that it is of covers that moment: one that
ends before may be the half of what was said. The key is
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
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from typing import Any, Final, Self, get_args

import httpx
from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment
from deepgram.core.api_error import ApiError
from deepgram.types import ListenV1Model

from talkspurt.config import Config
from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, Transcript
from talkspurt.recognizers.answers import Answers, Patience
from talkspurt.recognizers.hearing import Hearing, Word
from talkspurt.recognizers.outbox import BYTES_PER_S, Outbox
from talkspurt.recognizers.socket import LastingSocket
from talkspurt.speech.failures import SpeechVendor, seconds_to_wait
from talkspurt.vendors import chosen_model
from talkspurt.watchdog import Watchdog

VENDOR: Final = SpeechVendor("recognizer", "deepgram", "DEEPGRAM_API_KEY")
MODEL: Final = "nova-3"
MODELS: Final[tuple[str, ...]] = get_args(get_args(ListenV1Model)[0])
"""As the SDK lists them."""

_BATCH_S: Final = 0.1
"""Audio per message while an utterance is open: partial words come up to 80 ms later, a `finalize` waits for nothing.
A message costs some 0.1 ms of CPU, whatever is in it."""
_IDLE_BATCH_S: Final = 0.24
"""The same while nobody says anything that is asked for. The vendor recommends 20 to 250 ms."""
_KEEP_ALIVE_S: Final = 4.0
"""The vendor closes a socket after 10 s without audio and recommends a word every 3 to 5 s."""
_QUESTIONS: Final = 32
_COVERED_S: Final = 0.1
"""A final result that ends this much before the moment of asking covers it: the vendor may not answer for less."""
_LATE_S: Final = 0.5
"""A `from_finalize` result that ends this much before the moment of asking answers an earlier question."""


class DeepgramRecognizer:
    """A `Recognizer` at Deepgram."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
        model: str = MODEL,
    ) -> None:
        """The key is looked up in `environment` (default: the process's); raises `ConfigurationError` without it."""
        key = VENDOR.key(environment)
        self._model = model
        self._patience = patience or Patience()
        self._http = httpx.AsyncClient()
        self._client = AsyncDeepgramClient(api_key=key, environment=_endpoints(base_url), httpx_client=self._http)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The recognizer for `config.speech`."""
        model = chosen_model(config.speech.recognizer) or MODEL
        return cls(base_url=config.speech.base_url.get(VENDOR.name), model=model)

    async def warm_up(self) -> None:
        """Have a moment of silence transcribed: it proves key and endpoint. Sockets cannot be kept for later calls."""
        stream = await self.open(locale="en-US", call_id="warm-up")
        try:
            stream.begin(0, 0.0)
            stream.feed(bytes(BYTES_PER_S // 2))
            stream.finalize(0, 1)
            async for transcript in stream.transcripts():
                if transcript.error is not None:
                    raise VENDOR.error(transcript.error, "failed")
                if transcript.final:
                    return
        finally:
            await stream.aclose()

    async def open(self, *, locale: str, call_id: str) -> "DeepgramStream":
        """Connect a stream for one call. Raises `ProviderError`."""
        stream = DeepgramStream(self._client, locale, self._patience, model=self._model)
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


class DeepgramStream:
    """One call's recognition: an outbox, a socket that is replaced when it is lost, and questions that wait."""

    def __init__(self, client: AsyncDeepgramClient, locale: str, patience: Patience, *, model: str) -> None:
        self._client = client
        self._model = model
        self._locale = locale
        self._patience = patience
        self._hearing = Hearing()
        self._outbox: Outbox[_Question] = Outbox()
        self._outbox.batch = _IDLE_BATCH_S
        self._fed_bytes = 0
        self._sent_bytes = 0
        """On the socket that is open."""
        self._sent_before = 0
        """On those before it."""
        self._questions: deque[_Question] = deque()
        self._answers = Answers()
        self._socket = LastingSocket[Any](self, patience, "deepgram stream")
        self._guessed_until = 0.0
        """Up to here a result has come, final or not."""
        self._results_at = 0.0
        """The loop's clock when the last one came."""
        self.unreadable = 0
        """Messages that were not of the protocol."""

    @property
    def dropped_bytes(self) -> int:
        """Audio that the vendor did not take in time."""
        return self._outbox.dropped_bytes

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that the vendor was sent."""
        return (self._sent_before + self._sent_bytes) / BYTES_PER_S

    @property
    def reconnections(self) -> int:
        """Sockets opened after the first."""
        return self._socket.reconnections

    # ── the port ──────────────────────────────────────────────────────────────────

    def feed(self, pcm: bytes, /) -> None:
        """Queue the caller's next audio."""
        if self._socket.closing:
            return
        self._fed_bytes += len(pcm)
        self._outbox.put(pcm)

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""
        self._answers.begin()
        self._hearing.begin(utterance, self._now - lead_in)
        self._outbox.batch = _BATCH_S

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Ask for the words of `utterance` up to now."""
        if self._socket.closing:
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
            self._outbox.mark(question)

    def end(self, utterance: int, /) -> None:
        """Forget `utterance`; its questions need no answer any more."""
        self._hearing.end(utterance, self._now)
        if self._hearing.current is None:
            self._outbox.batch = _IDLE_BATCH_S

    def transcripts(self) -> AsyncGenerator[Transcript]:
        """Everything heard, until `aclose`."""
        return self._answers.read()

    async def aclose(self) -> None:
        """Say goodbye to the vendor, for a bounded time. Idempotent."""
        self._fail_questions("the stream was closed")
        await self._socket.aclose()
        self._answers.close()

    # ── the connection ────────────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Open the first socket; later ones are opened as they are needed. Raises `ProviderError`."""
        try:
            await self._socket.connect()
        except Exception as error:  # what the SDK raises for a connection is not of a closed set
            raise _judge(VENDOR.of_model(self._model, *MODELS), error) from None

    def open_socket(self) -> AbstractAsyncContextManager[Any]:
        """A live transcription without the vendor's endpointing."""
        socket: AbstractAsyncContextManager[Any] = self._client.listen.v1.connect(
            model=self._model,
            language=self._locale,
            encoding="linear16",
            sample_rate=LINE_RATE_HZ,
            channels=1,
            interim_results="true",
            punctuate="true",
            endpointing="false",
        )
        return socket

    async def send(self, socket: Any, /) -> None:
        """Send audio and questions as they come, and a sign of life when none come."""
        self._sent_before += self._sent_bytes
        self._sent_bytes = 0
        loop = asyncio.get_running_loop()
        with closing(Watchdog()) as watchdog:
            while True:
                try:
                    with watchdog.until(loop.time() + _KEEP_ALIVE_S):
                        await self._outbox.wait()
                except TimeoutError:
                    if not self._outbox:
                        await socket.send_keep_alive()
                while self._outbox:
                    audio = self._outbox.take()
                    if isinstance(audio, bytes):
                        self._sent_bytes += len(audio)
                        await socket.send_media(audio)
                    else:
                        await socket.send_finalize()
                if self._socket.closing:
                    await socket.send_close_stream()
                    return

    async def receive(self, socket: Any, /) -> None:
        """Take results as they come."""
        async for message in socket:
            self._socket.heard()
            if getattr(message, "type", None) == "Results":
                try:
                    self._hear(message)
                except (AttributeError, IndexError, TypeError, ValueError):
                    # The SDK checks no types.
                    self.unreadable += 1

    def abort_socket(self, socket: Any, /) -> None:
        """Drop the connection at once. The SDK offers only the closing handshake, which waits long for a dead peer."""
        transport = getattr(getattr(socket, "_websocket", None), "transport", None)
        if transport is not None:
            transport.abort()

    def lost_socket(self) -> None:
        """Nothing that was sent on the socket will be answered any more."""
        self._hearing.damage()
        self._outbox.forget_marks()
        self._fail_questions("the connection was lost")

    def wake_sender(self) -> None:
        """Have the sender say goodbye."""
        self._outbox.wake()

    # ── audio ─────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> float:
        return self._fed_bytes / BYTES_PER_S

    @property
    def _vendor_zero(self) -> float:
        """The line's time at which the vendor's clock stood at zero, had all audio since been sent."""
        return (self._fed_bytes - self._outbox.waiting_bytes - self._sent_bytes) / BYTES_PER_S

    # ── words ─────────────────────────────────────────────────────────────────────

    def _hear(self, results: Any) -> None:
        zero = self._vendor_zero
        until = zero + float(results.start) + float(results.duration)
        words = [
            Word(str(getattr(word, "punctuated_word", None) or word.word), zero + word.start, zero + word.end)
            for word in results.channel.alternatives[0].words
        ]
        self._guessed_until = max(self._guessed_until, until)
        self._results_at = asyncio.get_running_loop().time()
        if results.is_final:
            self._hearing.hear_final(words, until)
            self._settle(until, from_finalize=bool(results.from_finalize))
        else:
            self._hearing.hear_interim(words)
        current = self._hearing.current
        if current is not None:
            self._answers.guess(current, self._hearing.text(current, guesses=True))

    def _settle(self, until: float, *, from_finalize: bool) -> None:
        """Answer the questions that a final result up to `until` answers: they stand in the order of asking."""
        if from_finalize and self._questions and self._questions[0].at <= until + _LATE_S:
            self._answer(self._questions.popleft())
        while self._questions and self._questions[0].at <= until + _COVERED_S:
            self._answer(self._questions.popleft())

    def _give_up(self, question: _Question) -> None:
        """The deadline of `question`: tell what is known, if it is the whole, or that the vendor is late."""
        self._questions.remove(question)
        if self._guessed_until >= question.at - _COVERED_S:
            self._answer(question, guesses=True)
            return
        failure = VENDOR.too_late()
        self._answer(question, error="no answer in time", failure=failure)
        if self._results_at < question.asked:
            # Results come every second, speech or not: without any, the socket is dead, whatever else comes.
            self._socket.abort()

    def _answer(
        self,
        question: _Question,
        *,
        guesses: bool = False,
        error: str | None = None,
        failure: ProviderError | None = None,
    ) -> None:
        if question.timer is not None:
            question.timer.cancel()
        if error is None and not self._hearing.is_open(question.utterance):
            return
        text = "" if error else self._hearing.text(question.utterance, guesses=guesses)
        self._answers.tell(Transcript(question.utterance, question.revision, text, error=error, failure=failure))

    def _fail_questions(self, error: str) -> None:
        while self._questions:
            self._answer(self._questions.popleft(), error=error)


def _endpoints(base_url: str | None) -> DeepgramClientEnvironment:
    if base_url is None:
        return DeepgramClientEnvironment.PRODUCTION
    origin = base_url.rstrip("/")
    if origin.startswith("http"):
        origin = "ws" + origin.removeprefix("http")
    return DeepgramClientEnvironment(base=origin, production=origin, agent=origin, agent_rest=origin)


def _judge(vendor: SpeechVendor, error: Exception) -> ProviderError:
    """What a connection that could not be made means."""
    if isinstance(error, ApiError):
        # The SDK's `headers` are those of the request, key and all; the answer's are in what it caught.
        answer = getattr(error.__context__, "response", error.__context__)
        return vendor.refused(error.status_code or 0, retry_after=seconds_to_wait(getattr(answer, "headers", {})))
    return vendor.too_late() if isinstance(error, TimeoutError) else vendor.unreachable()
