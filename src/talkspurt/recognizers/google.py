"""Google Cloud's streaming recognition, through its official SDK: Speech-to-Text v2.

The vendor knows no "say now what you have heard" but the end of a stream, which it answers with the final results of
all that it was sent. So every stretch of an utterance (`stretches`) is a gRPC call of its own on a shared channel:
nothing has to be connected for it, its limit of five minutes is never met, and a call that fails takes no other words
with it. The line's audio is sent as mu-law, a request for a few frames.

The region is in the endpoint: `speech.base_url` has an entry `google-speech`, and `https://eu-speech.googleapis.com`
means the location `eu`; without one it is `global`. Credentials: `speech.google_cloud`.

Source: cloud.google.com/speech-to-text/v2/docs, "Transcribe streaming audio", "Quotas and limits", "Locations".
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

import grpc.aio
from google.cloud.speech_v2 import SpeechAsyncClient
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from google.cloud.speech_v2.types import (
    ExplicitDecodingConfig,
    RecognitionConfig,
    RecognitionFeatures,
    StreamingRecognitionConfig,
    StreamingRecognitionFeatures,
    StreamingRecognizeRequest,
)

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.media.g711 import encode_mulaw
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.recognizers.answers import Patience
from talkspurt.recognizers.outbox import Outbox
from talkspurt.recognizers.stretches import Stretch, StretchedStream, prove
from talkspurt.speech.failures import SpeechVendor
from talkspurt.speech.google_cloud import CREDENTIALS, PROJECT, GoogleCloud
from talkspurt.vendors import chosen_model

VENDOR: Final = SpeechVendor("recognizer", "google", CREDENTIALS)
ENDPOINT: Final = "https://speech.googleapis.com"
MODEL: Final = "telephony"
"""The vendor's model for a line of 8 kHz."""

_REGIONAL: Final = re.compile(r"(?P<location>[a-z0-9-]+)-speech\.googleapis\.com")
_LARGEST_BYTES: Final = 15_000
"""Audio that the vendor takes in one request."""
_END: Final = None


class GoogleRecognizer:
    """A `Recognizer` at Google Cloud."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
        model: str = MODEL,
    ) -> None:
        """Credentials are looked up in `environment` (default: the process's).

        Raises `ConfigurationError` without them, or when nothing names the project.
        """
        self._patience = patience or Patience()
        self._model = model
        self._cloud = GoogleCloud(
            VENDOR.of_model(model), _client, base_url=base_url or ENDPOINT, environment=environment
        )
        if not self._cloud.project:
            raise ConfigurationError(
                f"speech.recognizer = '{VENDOR.name}' needs a project: set the environment variable {PROJECT}"
            )

    @property
    def location(self) -> str:
        """Where the vendor works, as its endpoint says."""
        regional = _REGIONAL.fullmatch(self._cloud.host)
        return regional["location"] if regional else "global"

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The recognizer for `config.speech`."""
        model = chosen_model(config.speech.recognizer) or MODEL
        return cls(base_url=config.speech.base_url.get("google-speech"), model=model)

    async def warm_up(self) -> None:
        """Have a moment of silence transcribed: it proves credentials and endpoint, and connects the channel."""
        await prove(VENDOR, self)

    async def open(self, *, locale: str, call_id: str) -> StretchedStream:
        """Start a stream for one call, once the channel is connected. Raises `ProviderError`."""
        stream = StretchedStream(VENDOR, self._patience)
        recognizer = f"projects/{self._cloud.project}/locations/{self.location}/recognizers/_"
        stream.ear = GoogleEar(self._cloud, _first_request(recognizer, self._model, locale), stream)
        with VENDOR.failures(self._cloud.judge):
            try:
                async with asyncio.timeout(self._patience.connect):
                    await self._cloud.ready()
            except TimeoutError:
                self._cloud.renew()
                raise
        return stream

    async def aclose(self) -> None:
        """Close the channel. Idempotent."""
        await self._cloud.aclose()


class GoogleEar:
    """One call's stretches: a task and a gRPC call for each."""

    def __init__(
        self, cloud: GoogleCloud[SpeechAsyncClient], first: StreamingRecognizeRequest, stream: StretchedStream
    ) -> None:
        self._cloud = cloud
        self._first = first
        self._stream = stream
        self._calls: dict[Stretch, tuple[Outbox[None], asyncio.Task[None]]] = {}

    def begin(self, stretch: Stretch, /) -> None:
        """Make a call for it."""
        outbox: Outbox[None] = Outbox()
        task = asyncio.get_running_loop().create_task(self._hear(stretch, outbox), name="google stretch")
        self._calls[stretch] = (outbox, task)
        task.add_done_callback(lambda _: self._calls.pop(stretch, None))

    def feed(self, stretch: Stretch, pcm: bytes, /) -> None:
        """Send it on."""
        if stretch in self._calls:
            self._calls[stretch][0].put(pcm)

    def commit(self, stretch: Stretch, /) -> None:
        """End the call's requests, which asks for all final results."""
        if stretch in self._calls:
            self._calls[stretch][0].mark(_END)

    def drop(self, stretch: Stretch, /) -> None:
        """Cancel the call."""
        if stretch in self._calls:
            self._calls[stretch][1].cancel()

    def give_up(self, stretch: Stretch, /) -> None:
        """Cancel the call, and have the next one made on a new connection."""
        self.drop(stretch)
        self._cloud.renew()

    async def aclose(self) -> None:
        """Cancel all calls. Idempotent."""
        tasks = [task for _, task in self._calls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, stretch: Stretch, outbox: Outbox[None]) -> None:
        try:
            text = await self._transcribe(stretch, outbox)
        except Exception as error:  # whatever ends the call ends the stretch
            stretch.fail(VENDOR.judged(error, self._cloud.judge))
        else:
            stretch.finish(text)

    async def _transcribe(self, stretch: Stretch, outbox: Outbox[None]) -> str:
        requests = _Requests(outbox, self._first)
        client, metadata = await self._cloud.ready()
        call: Any = await client.streaming_recognize(aiter(requests), retry=None, timeout=None, metadata=metadata)
        finals: list[str] = []
        guesses: list[str] = []
        try:
            async for response in call:
                self._stream.heard()
                if response.results:
                    guesses = []
                for result in response.results:
                    if result.alternatives:
                        (finals if result.is_final else guesses).append(result.alternatives[0].transcript)
                stretch.guess(" ".join([*finals, *guesses]))
        finally:
            call.cancel()
        if not requests.ended:
            raise VENDOR.error("the stream ended early", "broken_off")
        if any(map(str.strip, guesses)):
            # An end in order, before the guess became final: it may be the half of what was said.
            raise VENDOR.error("the stream ended early", "broken_off")
        return " ".join(finals)


def _first_request(recognizer: str, model: str, locale: str) -> StreamingRecognizeRequest:
    """How every stretch is to be listened to."""
    decoding = ExplicitDecodingConfig(
        encoding=ExplicitDecodingConfig.AudioEncoding.MULAW, sample_rate_hertz=LINE_RATE_HZ, audio_channel_count=1
    )
    config = RecognitionConfig(
        explicit_decoding_config=decoding,
        language_codes=[locale],
        model=model,
        features=RecognitionFeatures(enable_automatic_punctuation=True),
    )
    streaming = StreamingRecognitionConfig(
        config=config, streaming_features=StreamingRecognitionFeatures(interim_results=True)
    )
    return StreamingRecognizeRequest(recognizer=recognizer, streaming_config=streaming)


class _Requests:
    """What one call sends: how it is to listen, audio as it comes, until the end is marked."""

    def __init__(self, outbox: Outbox[None], first: StreamingRecognizeRequest) -> None:
        self._outbox = outbox
        self._first = first
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[StreamingRecognizeRequest]:
        yield self._first
        while not self.ended:
            await self._outbox.wait()
            while self._outbox and not self.ended:
                item = self._outbox.take()
                if isinstance(item, bytes):
                    mulaw = encode_mulaw(item)
                    for start in range(0, len(mulaw), _LARGEST_BYTES):
                        yield StreamingRecognizeRequest(audio=mulaw[start : start + _LARGEST_BYTES])
                else:
                    self.ended = True


def _client(channel: grpc.aio.Channel) -> SpeechAsyncClient:
    return SpeechAsyncClient(transport=SpeechGrpcAsyncIOTransport(channel=channel))
