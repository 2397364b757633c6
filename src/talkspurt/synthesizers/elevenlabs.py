"""ElevenLabs' streamed speech, through its official SDK: "Stream speech with timing".

One HTTP request a segment on a pooled connection, answered by lines of PCM at the line's own
rate with the times of the characters, from which the words' times follow. The SDK asks; the lines are
read here: with the SDK's own reader, which looks at them value by value, a sentence costs 4.8 ms of CPU
for 3.2. The key is `ELEVENLABS_API_KEY`; `speech.base_url` has an entry `elevenlabs` for an endpoint of
one's own.

Invariants:
* no chunk ends in the middle of a sample;
* every word of the text is named once and in order, or none is: what the vendor leaves without a time
  (symbols, tags) begins where the next word does;
* what cannot be read ends the speech: the audio in it would be a gap that counts as heard;
* audio has deadlines of its own, for the first of it and between two pieces;
* no error carries the vendor's words: they can quote the key or what was to be said.
"""

import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, closing
from functools import partial
from typing import Final, Self

import httpx
import msgspec
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.environment import ElevenLabsEnvironment
from elevenlabs.types import VoiceSettings

from talkspurt.config import Config
from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech.failures import SpeechVendor, seconds_to_wait
from talkspurt.standby import Standby
from talkspurt.synthesizers.streamed import Deadline, Patience, WholeSamples, check_whole
from talkspurt.synthesizers.word_times import WordTimes
from talkspurt.vendor_http import httpx_client, opened_responses
from talkspurt.vendors import chosen_model

VENDOR: Final = SpeechVendor("synthesizer", "elevenlabs", "ELEVENLABS_API_KEY")
DEFAULT_VOICE: Final = "EXAVITQu4vr4xnSDxMaL"
"""Sarah, one of the voices that every account has."""
MODEL: Final = "eleven_flash_v2_5"
"""The vendor's model of lowest latency."""
MODELS: Final = ("eleven_v3", "eleven_multilingual_v2", "eleven_flash_v2_5", "eleven_flash_v2", "eleven_turbo_v2_5")
"""Some of its models (elevenlabs.io/docs, "Models")."""
SLOWEST: Final = 0.7
FASTEST: Final = 1.2
"""The vendor's limits of `speed` (elevenlabs.io/docs, "Best practices", pace)."""

LONGEST_LINE: Final = 4 * 1024 * 1024
"""Bytes of one line of the answer: three minutes of speech, where a second or two are usual."""

_FAULTS: Final[Mapping[str, ProviderFault]] = {
    "quota_exceeded": "quota_exceeded",
    "voice_not_found": "rejected",
    "max_character_limit_exceeded": "rejected",
}
"""What the vendor says with the status of a rejected key, too (its help page "API - Error Code 400 or 401")."""
_VOICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ElevenLabsSynthesizer:
    """A `Synthesizer` at ElevenLabs. Made once per process: its connections are reused by all calls."""

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
        self._vendor = VENDOR.of_model(model, *MODELS)
        self.settings = f"{model} {DEFAULT_VOICE}"
        """What its sound depends on besides the voice's name."""
        self._patience = patience or Patience()
        self._http = httpx_client(connect=self._patience.connect, first=self._patience.first)
        self._client = AsyncElevenLabs(api_key=key, base_url=base_url, httpx_client=self._http)
        self._standby = Standby(self._http, base_url or ElevenLabsEnvironment.PRODUCTION.value)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The synthesizer for `config.speech`."""
        model = chosen_model(config.speech.synthesizer) or MODEL
        return cls(base_url=config.speech.base_url.get(VENDOR.name), patience=Patience.of(config), model=model)

    async def warm_up(self) -> None:
        """Speak one word: it proves key and endpoint, and leaves a connection open."""
        async with aclosing(self.synthesize("Hello.", voice="", locale="en-US")) as speech:
            async for _ in speech:
                pass

    async def keep_connected(self) -> None:
        """Have a connection open before a call needs it. Raises nothing."""
        await self._standby.keep_connected()

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk]:
        """Stream the speech of `text`; closing the iterator cancels the request. Raises `ProviderError`."""
        voice, pace = voice or DEFAULT_VOICE, min(max(pace, SLOWEST), FASTEST)
        if not _VOICE_ID.fullmatch(voice):
            # It becomes a part of the request's path.
            raise VENDOR.error(f"'{voice[:64]}' is not a voice id", "rejected", retryable=False)
        if not text.strip():
            return
        asking = self._client.text_to_speech.with_raw_response.stream_with_timestamps(
            voice,
            text=text,
            model_id=self._model,
            language_code=locale.partition("-")[0].lower(),
            output_format=f"pcm_{LINE_RATE_HZ}",
            # Settings replace those of the voice, so none are sent where its own will do.
            **({} if pace == 1.0 else {"voice_settings": VoiceSettings(speed=pace)}),
        )
        samples, words, sent = WholeSamples(), WordTimes(text), 0
        with self._vendor.failures(partial(_judge, self._vendor)), closing(Deadline(self._patience)) as deadline:
            async with aclosing(_answer(asking)) as lines:
                while (line := await deadline.next(lines)) is not None:
                    chunk = SpeechChunk(samples.feed(line.audio_base64), words.feed(_timed_characters(line.alignment)))
                    if chunk.pcm:
                        # An empty line is a sign of life, not of speech: the deadline stands.
                        deadline.met()
                        sent += len(chunk.pcm)
                    if chunk.pcm or chunk.words:
                        yield chunk
            check_whole(VENDOR, text, sent, pace=pace)
            if words.broke_off(verbatim=True):
                raise VENDOR.broke_off()
            if late := words.finish(sent / 2 / LINE_RATE_HZ):
                yield SpeechChunk(b"", late)

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.aclose()


class _Alignment(msgspec.Struct):
    """The times of a line's characters, counted from the beginning of the whole speech."""

    characters: list[str]
    character_start_times_seconds: list[float]


class _Line(msgspec.Struct):
    """A line of the answer. `audio_base64` is decoded already."""

    audio_base64: bytes
    alignment: _Alignment | None = None


_read_line: Final = msgspec.json.Decoder(_Line).decode


async def _answer(asking: AbstractAsyncContextManager[object]) -> AsyncGenerator[_Line]:
    """The lines of the answer. Raises `ProviderError` for one that cannot be read, which the SDK would leave out."""
    begun = b""
    async with AsyncExitStack() as stack:
        with opened_responses() as opened:
            await stack.enter_async_context(asking)
        async for piece in opened[-1].aiter_bytes():
            *whole, begun = (begun + piece).split(b"\n")
            for line in whole:
                if (read := _read(line)) is not None:
                    yield read
            if len(begun) > LONGEST_LINE:
                raise VENDOR.unreadable()
        if (read := _read(begun)) is not None:
            yield read


def _read(line: bytes) -> _Line | None:
    if not line.strip():
        return None
    try:
        return _read_line(line)
    except msgspec.DecodeError:
        raise VENDOR.unreadable() from None


def _timed_characters(alignment: _Alignment | None) -> Iterable[tuple[str, float]]:
    if alignment is None:
        return ()
    return zip(alignment.characters, alignment.character_start_times_seconds, strict=False)


def _judge(vendor: SpeechVendor, error: Exception) -> ProviderError | None:
    """What an exception of the SDK means."""
    if isinstance(error, httpx.TimeoutException):
        return vendor.too_late()
    if isinstance(error, ApiError):
        wait = seconds_to_wait(error.headers or {})
        return vendor.refused(error.status_code or 0, fault=_FAULTS.get(_status(error.body)), retry_after=wait)
    if isinstance(error, httpx.HTTPError):
        return vendor.unreachable()
    return None


def _status(body: object) -> str:
    """The word for the error in a refusal's `body`, "" without one."""
    detail = body.get("detail") if isinstance(body, dict) else None
    status = detail.get("status") if isinstance(detail, dict) else None
    return status if isinstance(status, str) else ""
