"""Any `livekit-plugins-*` speech behind our port: `speech.synthesizer = "livekit:cartesia"`, no LiveKit room.

A plugin that streams speaks on its pooled WebSocket and, if its vendor aligns, with word times; the others answer an
HTTP request. The options of its class are `speech.livekit.<plugin>.tts`. Voice, language and pace of a plugin
belong to its instance, so each combination that is asked for has one; `INSTANCES` are kept.

Invariants:
* the plugin tries nothing twice: who goes on after a failure, the ladder decides;
* audio has deadlines of its own, for the first of it and between two pieces;
* every word of the text is named once and in order, or none is;
* a plugin without a `speed` speaks at its own pace, and one without a name for voices in its own voice.

Source: livekit-agents 1.8, `tts/tts.py`.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import soxr
from livekit.agents import APIConnectOptions, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech.livekit import Plugin, Surroundings, find_plugin, provider_error
from talkspurt.synthesizers.streamed import Deadline, Patience, is_cut
from talkspurt.synthesizers.word_times import WordTimes

SETTING: Final = "speech.synthesizer"
INSTANCES: Final = 16
"""Combinations of voice, language and pace that are kept; of those that do not speak, the one that was used longest ago
goes first. More are there while more speak."""

CLOSING: Final = 1.0
"""Seconds for an orderly end."""
_AHEAD_S: Final = 0.2
"""A word that begins this much behind the end of the audio was cut off; vendors' times are a little off."""
_FAST: Final = 2.0
"""The pace that a plugin's `speed` may mean which is no number."""
_PACE: Final = re.compile(r"speed|tempo|prosody|(?:speaking|speech|voice)_rate")
"""Other options that may make it faster."""
_VOICES: Final = ("voice", "voice_id", "speaker", "voice_name", "voice_uuid", "reference_id")
"""What plugins call the voice, the usual first."""


class LivekitSynthesizer:
    """A `Synthesizer` by a plugin. Made once per process: its connections are reused by all calls."""

    def __init__(self, plugin: Plugin, *, patience: Patience | None = None) -> None:
        self._plugin = plugin
        self._patience = patience or Patience()
        self._surroundings = Surroundings()
        self._instances: OrderedDict[tuple[str, str, float], _Instance] = OrderedDict()
        self.settings = plugin.settings
        """What its sound depends on besides voice and language."""

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The synthesizer that `speech.synthesizer` names. Raises `ConfigurationError`."""
        configured = {name: options.tts for name, options in config.speech.livekit.items()}
        plugin = find_plugin(SETTING, config.speech.synthesizer, "TTS", configured, config.speech.base_url)
        return cls(plugin, patience=Patience.of(config))

    async def warm_up(self) -> None:
        """Speak one word: it proves key and endpoint, and leaves a connection open."""
        async for _ in self.synthesize("Hello.", voice="", locale="en-US"):
            pass

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk]:
        """Stream the speech of `text`; closing the iterator cancels the request. Raises `ProviderError`."""
        if not text.strip():
            return
        sent = 0
        words, line, named = WordTimes(text), _Line(), list[tuple[str, float]]()
        async with AsyncExitStack() as stack:
            try:
                await self._surroundings.enter()
                instance = self._instance(voice, locale, pace)
                stack.push_async_callback(self._leave, instance)
                stream = self._start(instance.speaks, text)
                stack.push_async_callback(self._close, stream)
                deadline = stack.enter_context(closing(Deadline(self._patience)))
                while (audio := await deadline.next(stream)) is not None:
                    pcm = line.feed(audio.frame)
                    named += words.feed(_timed_characters(audio.frame))
                    if pcm:
                        deadline.met()
                        sent += len(pcm)
                        yield SpeechChunk(pcm, tuple(named))
                        named.clear()
            except Exception as error:  # of no closed set; GeneratorExit and cancellation pass
                raise provider_error("synthesizer", self._plugin.name, error) from None
        rest = line.end()
        sent += len(rest)
        if not sent:
            raise self._failure("sent no audio")
        ahead = words.latest > sent / 2 / LINE_RATE_HZ + _AHEAD_S
        if ahead or words.broke_off(verbatim=False) or is_cut(text, sent, pace=self._fastest(pace)):
            raise self._failure("the speech broke off")
        named += words.finish(sent / 2 / LINE_RATE_HZ)
        if rest or named:
            yield SpeechChunk(rest, tuple(named))

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        while self._instances:
            _, instance = self._instances.popitem()
            await self._close(instance.speaks)
        await self._surroundings.aclose()

    def _instance(self, voice: str, locale: str, pace: float) -> "_Instance":
        """Who speaks so. Whoever asks is a user of it from now, and must `_leave` it."""
        key = (voice, locale, pace)
        instance = self._instances.get(key)
        if instance is None:
            try:
                instance = _Instance(self._surroundings.make(self._plugin, **self._choices(voice, locale, pace)))
            except ConfigurationError as error:
                raise self._failure(str(error), retryable=False) from None
            self._instances[key] = instance
        self._instances.move_to_end(key)
        instance.users += 1
        return instance

    async def _leave(self, instance: "_Instance") -> None:
        """Be done with it, and close those that are too many: no first sound waits for that."""
        instance.users -= 1
        idle = [key for key, kept in self._instances.items() if not kept.users]
        too_many = max(0, len(self._instances) - INSTANCES)
        # Taken out before anything is awaited: nobody begins with one that is being closed.
        for leaving in [self._instances.pop(key) for key in idle[:too_many]]:
            await self._close(leaving.speaks)

    def _choices(self, voice: str, locale: str, pace: float) -> dict[str, Any]:
        plugin, chosen = self._plugin, dict[str, Any]()
        if voice:
            name = next((name for name in _VOICES if plugin.accepts(name)), None)
            if name is not None:
                chosen[name] = voice
        if plugin.accepts("language") and "language" not in plugin.options:
            chosen["language"] = locale
        usual = plugin.options.get("speed", 1.0)
        if pace != 1.0 and plugin.accepts("speed") and isinstance(usual, int | float):
            chosen["speed"] = usual * pace
        return chosen

    def _fastest(self, pace: float) -> float:
        """The pace at which it may speak at most: whether, and how, a plugin follows its `speed` is not known."""
        options = self._plugin.options
        usual = options.get("speed", 1.0)
        unknown = not isinstance(usual, int | float) or any(map(_PACE.search, options.keys() - {"speed"}))
        return max(pace, _FAST if unknown else usual * pace)

    def _start(self, instance: tts.TTS[Any], text: str) -> Any:
        options = APIConnectOptions(max_retry=0, timeout=self._patience.connect)
        if not instance.capabilities.streaming:
            return self._surroundings.run(instance.synthesize, text, conn_options=options)

        def start() -> tts.SynthesizeStream:
            stream = instance.stream(conn_options=options)
            stream.push_text(text)
            stream.end_input()
            return stream

        return self._surroundings.run(start)

    async def _close(self, closable: Any) -> None:
        # What it said has been said, and why it failed is known.
        with suppress(Exception):
            async with asyncio.timeout(CLOSING):
                await self._surroundings.perform(closable.aclose)

    def _failure(self, message: str, *, retryable: bool = True) -> ProviderError:
        return ProviderError("synthesizer", self._plugin.name, message, retryable=retryable)


@dataclass(eq=False, slots=True)
class _Instance:
    """A plugin's instance, for one voice, language and pace."""

    speaks: tts.TTS[Any]
    users: int = 0
    """Segments that it speaks now."""


class _Line:
    """Makes a plugin's frames, at any rate and with any number of channels, PCM16 at the line's rate."""

    def __init__(self) -> None:
        self._resampler: soxr.ResampleStream | None = None

    def feed(self, frame: Any) -> bytes:
        samples = np.frombuffer(frame.data, dtype="<i2")
        if frame.num_channels > 1:
            samples = samples.reshape(-1, frame.num_channels).mean(axis=1).astype("<i2")
        if frame.sample_rate == LINE_RATE_HZ:
            return samples.tobytes()
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(
                frame.sample_rate, LINE_RATE_HZ, 1, dtype="int16", quality="HQ", vr=True
            )
        return bytes(self._resampler.resample_chunk(samples).tobytes())

    def end(self) -> bytes:
        """What the resampler still holds."""
        if self._resampler is None:
            return b""
        return bytes(self._resampler.resample_chunk(np.empty(0, dtype="<i2"), last=True).tobytes())


def _timed_characters(frame: Any) -> Iterator[tuple[str, float]]:
    """The characters of the words that come with `frame`, spread over the time of each piece of text."""
    for piece in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT) or ():
        if not isinstance(piece.start_time, int | float):
            continue
        start = float(piece.start_time)
        end = max(start, float(piece.end_time)) if isinstance(piece.end_time, int | float) else start
        for at, character in enumerate(piece):
            yield character, start + (end - start) * at / len(piece)
