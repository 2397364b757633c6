"""OpenAI's speech, through its official SDK: "Create speech", streamed.

One HTTP request a segment on a pooled connection, answered by the sound itself at 24 kHz, which is
brought down to the line's rate as it comes. The vendor tells no times of words. The key is `OPENAI_API_KEY`;
`speech.base_url` has an entry `openai` for a region or a server of one's own that speaks the same format.

Invariants: no chunk ends in the middle of a sample; audio has deadlines of its own, for the first of it
and between two pieces; no error carries the vendor's words.

The vendor means to switch these models off on 6 January 2027 ("Deprecations"); its successor is a
conversation, which need not say the text that it is given.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Final, Self, cast, get_args

import httpx2
import numpy as np
import soxr
from numpy.typing import NDArray
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, omit
from openai.types.audio.speech_model import SpeechModel

from talkspurt.config import Config
from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech.failures import SpeechVendor, seconds_to_wait
from talkspurt.standby import Standby
from talkspurt.synthesizers.streamed import Patience, check_whole, frames
from talkspurt.vendor_http import httpx2_client
from talkspurt.vendors import chosen_model

VENDOR: Final = SpeechVendor("synthesizer", "openai", "OPENAI_API_KEY")
MODEL: Final = "gpt-4o-mini-tts"
DEFAULT_VOICE: Final = "marin"
RATE_HZ: Final = 24_000
"""The vendor's only rate of raw samples."""
LONGEST: Final = 4_096
"""Characters that the vendor takes at once."""
SLOWEST: Final = 0.25
FASTEST: Final = 4.0


class OpenAISynthesizer:
    """A `Synthesizer` at OpenAI. Made once per process: its connections are reused by all calls."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
        model: str = MODEL,
    ) -> None:
        """The key is looked up in `environment` (default: the process's); raises `ConfigurationError` without it."""
        self._model = model
        self._vendor = VENDOR.of_model(model, *get_args(SpeechModel))
        self.settings = f"{model} {DEFAULT_VOICE}"
        """What its sound depends on besides the voice's name."""
        self._patience = patience or Patience()
        key = VENDOR.key(environment)
        http = httpx2_client(connect=self._patience.connect, first=self._patience.first)
        self._client = AsyncOpenAI(
            api_key=key, base_url=base_url, timeout=http.timeout, max_retries=0, http_client=http
        )
        self._standby = Standby(http, str(self._client.base_url))

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
        """Stream the speech of `text`; closing the iterator cancels the request. Raises `ProviderError`.

        The vendor hears the language from the text: `locale` is not sent.
        """
        if not text.strip():
            return
        if len(text) > LONGEST:
            raise VENDOR.error(f"{len(text)} characters are more than {LONGEST}", "rejected", retryable=False)
        pace = min(max(pace, SLOWEST), FASTEST)
        request = self._client.audio.speech.with_streaming_response.create(
            model=self._model,
            voice=voice or DEFAULT_VOICE,
            input=text,
            response_format="pcm",
            speed=omit if pace == 1.0 else pace,
        )
        line, sent = _Line(), 0
        with self._vendor.failures(partial(_judge, self._vendor)):
            async with request as response:
                if not response.headers.get("content-type", "").startswith(("audio/", "application/octet-stream")):
                    # Bytes of a web page would be played as noise.
                    raise VENDOR.unreadable()
                pieces = cast(AsyncGenerator[bytes], response.iter_bytes())
                async with aclosing(frames(pieces, RATE_HZ, self._patience)) as speech:
                    async for pcm in speech:
                        if chunk := line.feed(pcm):
                            sent += len(chunk)
                            yield SpeechChunk(chunk)
            if chunk := line.finish():
                sent += len(chunk)
                yield SpeechChunk(chunk)
            check_whole(VENDOR, text, sent, pace=pace)

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._client.close()


class _Line:
    """Brings PCM16 at the vendor's rate down to the line's, piece by piece."""

    def __init__(self) -> None:
        # Variable rate only for its filter: it holds back 27 ms where the others hold back 63 and more.
        self._resampler = soxr.ResampleStream(RATE_HZ, LINE_RATE_HZ, 1, dtype="float32", quality="HQ", vr=True)

    def feed(self, pcm: bytes) -> bytes:
        """What is certain by now."""
        return self._resample(np.frombuffer(pcm, dtype="<i2"), last=False)

    def finish(self) -> bytes:
        """What was still held back."""
        return self._resample(np.zeros(0, dtype=np.int16), last=True)

    def _resample(self, samples: NDArray[np.int16], *, last: bool) -> bytes:
        line = self._resampler.resample_chunk(samples.astype(np.float32), last=last)
        pcm: NDArray[np.int16] = np.clip(line, -32_768, 32_767).astype("<i2")
        return pcm.tobytes()


def _judge(vendor: SpeechVendor, error: Exception) -> ProviderError | None:
    """What an exception of the SDK means."""
    if isinstance(error, APITimeoutError | httpx2.TimeoutException):
        return vendor.too_late()
    if isinstance(error, APIStatusError):
        # It comes with the status of a rate limit.
        used_up: ProviderFault | None = "quota_exceeded" if error.code == "insufficient_quota" else None
        return vendor.refused(error.status_code, fault=used_up, retry_after=seconds_to_wait(error.response.headers))
    if isinstance(error, APIConnectionError | httpx2.HTTPError):
        return vendor.unreachable()
    return None
