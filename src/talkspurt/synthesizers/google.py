"""Google Cloud's speech, through its official SDK: Text-to-Speech, streamed, Chirp 3 HD voices.

One gRPC call a segment on a shared channel (`speech.google_cloud`): the configuration, the text, and then the sound
as it comes, PCM at the line's own rate. Streaming synthesis tells no times of words. `speech.base_url` has an entry
`google-texttospeech` for a region (`https://eu-texttospeech.googleapis.com`) or an endpoint of one's own.

Invariants: no chunk ends in the middle of a sample; audio has deadlines of its own, for the first of it
and between two pieces; no error carries the vendor's words.

Source: cloud.google.com/text-to-speech/docs, "Chirp 3: HD voices", "Streaming", `StreamingAudioConfig`.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final, Self

import grpc.aio
from google.cloud.texttospeech_v1 import (
    AudioEncoding,
    StreamingAudioConfig,
    StreamingSynthesisInput,
    StreamingSynthesizeConfig,
    StreamingSynthesizeRequest,
    TextToSpeechAsyncClient,
    VoiceSelectionParams,
)
from google.cloud.texttospeech_v1.services.text_to_speech.transports import TextToSpeechGrpcAsyncIOTransport

from talkspurt.config import Config
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech.failures import SpeechVendor
from talkspurt.speech.google_cloud import CREDENTIALS, GoogleCloud
from talkspurt.synthesizers.streamed import Patience, check_whole, frames

VENDOR: Final = SpeechVendor("synthesizer", "google", CREDENTIALS)
ENDPOINT: Final = "https://texttospeech.googleapis.com"
MODEL: Final = "Chirp3-HD"
DEFAULT_VOICE: Final = "Aoede"
"""A voice that the model has in every one of its languages."""
LONGEST_BYTES: Final = 5_000
"""What the vendor takes at once ("Quotas and limits")."""
SLOWEST: Final = 0.25
FASTEST: Final = 2.0

_VOICE: Final = re.compile(r"(?P<language>[a-z]{2,3}-[A-Za-z0-9]{2,4})-.+")


class GoogleSynthesizer:
    """A `Synthesizer` at Google Cloud. Made once per process: its channel is shared by all calls."""

    settings: Final = f"{MODEL} {DEFAULT_VOICE}"
    """What its sound depends on besides the voice's name."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Credentials are looked up in `environment` (default: the process's).

        Raises `ConfigurationError` without them.
        """
        self._patience = patience or Patience()
        self._cloud = GoogleCloud(VENDOR, _client, base_url=base_url or ENDPOINT, environment=environment)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The synthesizer for `config.speech`."""
        return cls(base_url=config.speech.base_url.get("google-texttospeech"), patience=Patience.of(config))

    async def warm_up(self) -> None:
        """Speak one word: it proves credentials and endpoint, and leaves the channel connected."""
        async with aclosing(self.synthesize("Hello.", voice="", locale="en-US")) as speech:
            async for _ in speech:
                pass

    async def keep_connected(self) -> None:
        """Have the channel connected, and a token, before a call needs them. Raises nothing."""
        with suppress(Exception):  # the call's own request will tell
            async with asyncio.timeout(self._patience.connect):
                await self._cloud.ready()

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk]:
        """Stream the speech of `text`; closing the iterator cancels the request. Raises `ProviderError`.

        `voice` is a whole name (`de-DE-Chirp3-HD-Kore`), which brings its language, or one of the model's (`Kore`).
        """
        if not text.strip():
            return
        if len(text.encode()) > LONGEST_BYTES:
            raise VENDOR.error(f"a text of more than {LONGEST_BYTES} bytes", "rejected", retryable=False)
        pace = min(max(pace, SLOWEST), FASTEST)
        sent = 0
        with VENDOR.failures(self._cloud.judge):
            try:
                async with aclosing(
                    frames(self._sound(text, voice, locale, pace), LINE_RATE_HZ, self._patience)
                ) as pcm:
                    async for chunk in pcm:
                        sent += len(chunk)
                        yield SpeechChunk(chunk)
            except TimeoutError:
                # A half-open connection would swallow the next request, too.
                self._cloud.renew()
                raise
            check_whole(VENDOR, text, sent, pace=pace)

    async def aclose(self) -> None:
        """Close the channel. Idempotent."""
        await self._cloud.aclose()

    async def _sound(self, text: str, voice: str, locale: str, pace: float) -> AsyncGenerator[bytes]:
        """The vendor's audio as it comes."""
        config = StreamingSynthesizeConfig(
            voice=_voice(voice, locale),
            streaming_audio_config=StreamingAudioConfig(
                audio_encoding=AudioEncoding.PCM, sample_rate_hertz=LINE_RATE_HZ, speaking_rate=pace
            ),
        )
        client, metadata = await self._cloud.ready()
        call: Any = await client.streaming_synthesize(
            _requests(config, text), retry=None, timeout=None, metadata=metadata
        )
        try:
            async for response in call:
                yield response.audio_content
        finally:
            call.cancel()


async def _requests(config: StreamingSynthesizeConfig, text: str) -> AsyncIterator[StreamingSynthesizeRequest]:
    yield StreamingSynthesizeRequest(streaming_config=config)
    yield StreamingSynthesizeRequest(input=StreamingSynthesisInput(text=text))


def _voice(voice: str, locale: str) -> VoiceSelectionParams:
    whole = _VOICE.fullmatch(voice)
    if whole is not None:
        return VoiceSelectionParams(name=voice, language_code=whole["language"])
    return VoiceSelectionParams(name=f"{locale}-{MODEL}-{voice or DEFAULT_VOICE}", language_code=locale)


def _client(channel: grpc.aio.Channel) -> TextToSpeechAsyncClient:
    return TextToSpeechAsyncClient(transport=TextToSpeechGrpcAsyncIOTransport(channel=channel))
