"""Any `livekit-plugins-*` recognition behind our port: `speech.recognizer = "livekit:assemblyai"`, no LiveKit room.

A plugin that streams gets a stream a call (`livekit_stream.py`); the others are asked for each utterance as a whole
(`utterances.py`). The options of its class are `speech.livekit.<plugin>.stt`. The plugin tries nothing twice.
"""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Self

from livekit import rtc
from livekit.agents import APIConnectOptions, stt

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ports import LINE_RATE_HZ, RecognizerStream
from talkspurt.recognizers.livekit_stream import LivekitStream, Patience
from talkspurt.recognizers.utterances import UtteranceStream
from talkspurt.speech.livekit import Plugin, Surroundings, find_plugin, provider_error

SETTING: Final = "speech.recognizer"
LONGEST_UTTERANCE: Final = 30.0
"""Seconds of an utterance that a plugin which hears no streams is given."""
_WARMING_BYTES: Final = LINE_RATE_HZ
"""Half a second of silence."""


class LivekitRecognizer:
    """A `Recognizer` by a plugin. Belongs to one event loop once it has been used."""

    def __init__(self, plugin: Plugin, *, patience: Patience | None = None) -> None:
        self._plugin = plugin
        self._patience = patience or Patience()
        self._surroundings = Surroundings()
        self._stt: stt.STT[Any] | None = None

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The recognizer that `speech.recognizer` names. Raises `ConfigurationError`."""
        configured = {name: options.stt for name, options in config.speech.livekit.items()}
        return cls(find_plugin(SETTING, config.speech.recognizer, "STT", configured, config.speech.base_url))

    async def warm_up(self) -> None:
        """Have a moment of silence recognised: it proves key and endpoint. Streams cannot be kept for later calls."""
        stream = await self.open(locale="en-US", call_id="warm-up")
        try:
            stream.begin(0, 0.0)
            stream.feed(bytes(_WARMING_BYTES))
            stream.finalize(0, 1)
            async for transcript in stream.transcripts():
                if transcript.error is not None:
                    raise getattr(stream, "failure", None) or ProviderError(
                        "recognizer", self._plugin.name, transcript.error, retryable=True
                    )
                if transcript.final:
                    return
        finally:
            await stream.aclose()

    async def open(self, *, locale: str, call_id: str) -> RecognizerStream:
        """Start a stream for one call; that it cannot be connected is told by its answers. Raises `ProviderError`."""
        await self._surroundings.enter()
        if self._stt is None:
            try:
                self._stt = self._surroundings.make(self._plugin)
            except ConfigurationError as error:
                raise ProviderError("recognizer", self._plugin.name, str(error)) from None
        named = {} if "language" in self._plugin.options else {"language": locale}
        if not self._stt.capabilities.streaming:
            return UtteranceStream(partial(self._recognize, named), longest=LONGEST_UTTERANCE)
        if "language" not in inspect.signature(self._stt.stream).parameters:
            named = {}
        options = APIConnectOptions(max_retry=0, timeout=self._patience.connect)

        def start(connected: Callable[[], None]) -> Any:
            assert self._stt is not None
            return self._surroundings.run(self._stt.stream, conn_options=options, connected=connected, **named)

        observed = self._plugin.accepts("http_session")
        return LivekitStream(self._plugin.name, start, self._patience, tells_connected=observed)

    async def aclose(self) -> None:
        """Release everything. Idempotent."""
        plugin, self._stt = self._stt, None
        if plugin is not None:
            with suppress(Exception):
                async with asyncio.timeout(self._patience.close):
                    await self._surroundings.perform(plugin.aclose)
                    if (client := getattr(plugin, "_client", None)) is not None:
                        # OpenAI's plugin leaves the SDK's connections open.
                        await client.close()
        await self._surroundings.aclose()

    async def _recognize(self, named: dict[str, str], pcm: bytes) -> str:
        assert self._stt is not None
        frame = rtc.AudioFrame(pcm, LINE_RATE_HZ, 1, len(pcm) // 2)
        options = APIConnectOptions(max_retry=0, timeout=self._patience.connect)
        try:
            async with asyncio.timeout(self._patience.answer):
                event = await self._surroundings.perform(self._stt.recognize, [frame], conn_options=options, **named)
        except Exception as error:  # of no closed set
            raise provider_error("recognizer", self._plugin.name, error) from None
        return " ".join(alternative.text for alternative in event.alternatives[:1]).strip()
