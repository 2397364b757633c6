"""OpenAI's Realtime API through its official SDK: `model = "openai-realtime:gpt-realtime-2.1"`.

One WebSocket a call (`openai_session.py`). The key is `OPENAI_API_KEY`; `model.base_url` may name another endpoint.

Source: developers.openai.com, "Realtime API", "Realtime conversations", "Realtime WebSocket", and the SDK's types.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Final, Self

from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus, WebSocketException

from talkspurt.config import Config
from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.models.vendors import perhaps_no_such_model, read_address, read_key, split_name
from talkspurt.ports import Recognizer, Stages
from talkspurt.speech.failures import seconds_to_wait
from talkspurt.speech_to_speech.call import LiveCall, Spoken
from talkspurt.speech_to_speech.openai_session import OpenAISession, Ways

VENDOR: Final = "openai-realtime"
MODELS: Final = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime-1.5")
"""As the SDK lists them, without those that are to be switched off."""
CONNECT_S: Final = 3.0

_FAULTS: Final[Mapping[int, tuple[ProviderFault, bool]]] = {
    401: ("key_rejected", False),
    403: ("key_rejected", False),
    404: ("unknown_model", False),
    408: ("timeout", True),
    429: ("rate_limited", True),
}


class OpenAIRealtime:
    """A `SpeechToSpeech` at OpenAI."""

    transcribes: Final = True

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        voice: str = "",
        max_tokens: int = 300,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`name` is `openai-realtime:<model>`; `voice` one of the vendor's names, "" for its default.

        `max_tokens` are of text, as for other models; sound takes about ten times as many. The key is looked up in
        `environment` (default: the process's). Raises `ConfigurationError`.
        """
        vendor, model = split_name(name)
        known = os.environ if environment is None else environment
        key, address = read_key(name, vendor, known), read_address(name, vendor, base_url, known)
        self._model = model
        self._ways = Ways(name, voice, max_tokens)
        self._client = AsyncOpenAI(api_key=key, base_url=address, max_retries=0)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The model that `config.model` names."""
        model = config.model
        return cls(model.name, base_url=model.address(VENDOR), voice=model.voice, max_tokens=model.max_tokens)

    async def warm_up(self) -> None:
        """Begin a session and end it: it proves key, model and voice. Sessions cannot be kept for later calls."""
        session = await self._connect(Spoken(VENDOR), "en-US")
        await session.aclose()

    def for_call(self, recognizer: Recognizer | None = None, /) -> Stages:
        """The stages of one call; the vendor itself writes down what the caller says."""
        return LiveCall(VENDOR, self._connect).stages

    async def aclose(self) -> None:
        """Release everything. Idempotent."""
        await self._client.close()

    async def _connect(self, spoken: Spoken, locale: str) -> OpenAISession:
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await self._client.realtime.connect(model=self._model).enter()
        except Exception as error:
            raise _provider_error(self._model, error) from None
        session = OpenAISession(connection, spoken, self._ways, locale)
        try:
            async with asyncio.timeout(CONNECT_S):
                await session.begun()
        except TimeoutError:
            await session.aclose()
            raise ProviderError("model", VENDOR, "no session in time", retryable=True, fault="timeout") from None
        except BaseException:
            await session.aclose()
            raise
        return session


def _provider_error(model: str, error: Exception) -> ProviderError:
    """What a failed connection means. It carries none of the vendor's words, which may quote the key."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        fault, retryable = _FAULTS.get(status, ("unavailable", True) if status >= 500 else ("rejected", False))
        advice = perhaps_no_such_model(VENDOR, model, MODELS) if status in (400, 404) else ""
        return ProviderError(
            "model",
            VENDOR,
            f"HTTP {status}{advice}",
            retryable=retryable,
            retry_after=seconds_to_wait(error.response.headers),
            rejected=status in (401, 403),
            fault=fault,
        )
    if isinstance(error, TimeoutError):
        return ProviderError("model", VENDOR, "no connection in time", retryable=True, fault="timeout")
    if isinstance(error, OSError | WebSocketException):
        return ProviderError("model", VENDOR, "the connection failed", retryable=True, fault="unreachable")
    return ProviderError("model", VENDOR, f"failed ({type(error).__name__})", retryable=True)
