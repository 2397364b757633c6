"""Who hears, thinks and speaks, for each agent in each language: made once, and shared by all who chose the same.
A model knows its agent, so each agent has its own.

A provider has one rung in a process, whatever ladders it stands in, so that all calls know of its failures and none
exceeds what it bears.
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from talkspurt.address_books import require_known_vendors
from talkspurt.agent.agent import Agent
from talkspurt.config import Config
from talkspurt.ladder import (
    LadderRecognizer,
    LadderSpeechToSpeech,
    LadderSynthesizer,
    Rungs,
    create_model,
    create_recognizer,
    create_speech_to_speech,
    create_synthesizer,
)
from talkspurt.ladder.synthesizer import Remembers
from talkspurt.ladder.warming import all_of
from talkspurt.ports import LanguageModel, Recognizer, SpeechChunk, Synthesizer, keep_connected


class Choices:
    """The providers of a process. Whoever makes it closes what it has made.

    Raises `ConfigurationError` for settings of a vendor that there is not.
    """

    def __init__(self, config: Config) -> None:
        require_known_vendors(config)
        self._config = config
        self._rungs: Rungs = {}
        self._recognizers: dict[tuple[str, ...], LadderRecognizer] = {}
        self._synthesizers: dict[tuple[str, ...], LadderSynthesizer] = {}
        self._models: list[LanguageModel] = []
        self._speech_to_speech: dict[tuple[str, ...], LadderSpeechToSpeech] = {}

    def recognizer(self, agent: str, locale: str) -> LadderRecognizer:
        """Who hears the callers of `agent` in `locale`. Raises `ConfigurationError`."""
        config = self._config.chosen(agent, locale)
        names = (config.speech.recognizer, *config.fallbacks.recognizers)
        if names not in self._recognizers:
            self._recognizers[names] = create_recognizer(config, self._rungs)
        return self._recognizers[names]

    def synthesizer(self, agent: str, locale: str) -> Synthesizer:
        """Who speaks for `agent` in `locale`. Raises `ConfigurationError`."""
        config = self._config.chosen(agent, locale)
        names = (config.speech.synthesizer, *config.fallbacks.synthesizers)
        if names not in self._synthesizers:
            self._synthesizers[names] = create_synthesizer(config, self._rungs)
        voice = config.speech.voice
        return InVoice(self._synthesizers[names], voice) if voice else self._synthesizers[names]

    def model(self, name: str, locale: str, agent: Agent) -> LanguageModel | None:
        """A model that thinks for `agent`, whose name is `name`, in `locale`: a new one each time.

        Of an agent whose model speaks itself it is the one below, None if there is none. Raises `ConfigurationError`.
        """
        model = create_model(self._config.chosen(name, locale), agent, self._rungs)
        if model is not None:
            self._models.append(model)
        return model

    def speech_to_speech(self, agent: str, locale: str) -> LadderSpeechToSpeech | None:
        """The model of `agent` in `locale`, if it hears and speaks itself. Raises `ConfigurationError`."""
        config = self._config.chosen(agent, locale)
        rules = config.fallbacks
        spoken = (config.model.name, config.model.voice)
        names = (*spoken, config.speech.recognizer, *rules.recognizers, "", *rules.models)
        if names not in self._speech_to_speech:
            made = create_speech_to_speech(config, self.recognizer(agent, locale), self._rungs)
            if made is None:
                return None
            self._speech_to_speech[names] = made
        return self._speech_to_speech[names]

    async def warm_up(self) -> None:
        """Warm all of a kind at once, the recognizers first. Raises what an operator has to mend.

        Not one after the other: a vendor that hangs is waited for by every agent's model.
        """
        for kind in self._kinds():
            await all_of(provider.warm_up() for provider in kind)

    async def aclose(self) -> None:
        """Close all. Idempotent."""
        for kind in self._kinds():
            await all_of(provider.aclose() for provider in kind)

    def _kinds(self) -> "tuple[Collection[Recognizer | Synthesizer | LanguageModel | LadderSpeechToSpeech], ...]":
        return (
            self._recognizers.values(),
            self._synthesizers.values(),
            self._models,
            self._speech_to_speech.values(),
        )


class InVoice:
    """A `Synthesizer` that speaks with one voice, whichever it is asked for."""

    def __init__(self, synthesizer: Synthesizer, voice: str) -> None:
        self._synthesizer = synthesizer
        self._voice = voice

    async def warm_up(self) -> None:
        """Warm the synthesizer behind."""
        await self._synthesizer.warm_up()

    async def keep_connected(self) -> None:
        """Have a connection of the synthesizer behind open, if it has any. Raises nothing."""
        await keep_connected(self._synthesizer)

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of one segment."""
        speech = self._synthesizer.synthesize(text, voice=self._voice, locale=locale, pace=pace)
        async with aclosing(speech):
            async for chunk in speech:
                yield chunk

    def remembers(self, text: str, *, voice: str, locale: str, pace: float) -> bool:
        """Whether it can be played without asking anybody."""
        behind = self._synthesizer
        return isinstance(behind, Remembers) and behind.remembers(text, voice=self._voice, locale=locale, pace=pace)

    async def learn(self, text: str, /, *, voice: str, locale: str) -> None:
        """Have it ready for good, if the synthesizer behind can. Raises `ProviderError`."""
        if isinstance(self._synthesizer, Remembers):
            await self._synthesizer.learn(text, voice=self._voice, locale=locale)

    async def aclose(self) -> None:
        """Close the synthesizer behind. Idempotent."""
        await self._synthesizer.aclose()
