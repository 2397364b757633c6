"""Asks every provider once, as a call would: what `talkspurt providers check` does.

How a model is asked is in `models/check.py`, how speech is in `speech/check.py`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from talkspurt.address_books import require_known_vendors
from talkspurt.agent.agent import Agent
from talkspurt.config import Config
from talkspurt.effects.dispatcher import tool_specs
from talkspurt.errors import TalkspurtError
from talkspurt.ladder import LOCAL
from talkspurt.models import SCRIPTED, create_model
from talkspurt.models.check import ModelCheck, check_model
from talkspurt.models.vendors import VENDORS as MODEL_VENDORS
from talkspurt.models.vendors import speaks_itself
from talkspurt.ports import LanguageModel
from talkspurt.recognizers import RECOGNIZERS, create_recognizer
from talkspurt.speech.check import SpeechCheck, check_recognizer, check_synthesizer
from talkspurt.speech_to_speech import create_speech_to_speech
from talkspurt.speech_to_speech.in_text import InText
from talkspurt.synthesizers import SYNTHESIZERS, create_synthesizer

_Result = TypeVar("_Result", ModelCheck, SpeechCheck)


@dataclass(frozen=True, slots=True)
class Asked:
    """The names of the providers that are asked, by port."""

    models: tuple[str, ...]
    recognizers: tuple[str, ...]
    synthesizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """How they did, in the same order."""

    models: tuple[ModelCheck, ...]
    recognizers: tuple[SpeechCheck, ...]
    synthesizers: tuple[SpeechCheck, ...]

    @property
    def problems(self) -> bool:
        """Whether one of them did not do it."""
        speech = (*self.recognizers, *self.synthesizers)
        return any(model.problem for model in self.models) or any(each.problem for each in speech)


def chosen(
    config: Config, names: Sequence[str] = (), recognizers: Sequence[str] = (), synthesizers: Sequence[str] = ()
) -> Asked:
    """Whom to ask: those named, or all of the configuration.

    Of `names`, those that no vendor of models has are speech vendors.
    """
    if not (names or recognizers or synthesizers):
        variants = [config.chosen(agent, locale) for agent, locale in config.spoken]
        return Asked(
            _each((each.model.name, *each.fallbacks.models) for each in variants),
            _each((each.speech.recognizer, *each.fallbacks.recognizers) for each in variants),
            _each((each.speech.synthesizer, *each.fallbacks.synthesizers) for each in variants),
        )
    models, hearing, speaking = [], list(recognizers), list(synthesizers)
    for name in names:
        head = name.partition(":")[0]
        if head in MODEL_VENDORS or head in SCRIPTED or not (head in RECOGNIZERS or head in SYNTHESIZERS):
            models.append(name)
            continue
        if head in RECOGNIZERS:
            hearing.append(name)
        if head in SYNTHESIZERS:
            speaking.append(name)
    return Asked(_each([models]), _each([hearing]), _each([speaking]))


async def check(config: Config, agent: Agent, asked: Asked, requests: int) -> Checked:
    """Ask them, one after the other: side by side they would share one network, and their times would say so.

    Raises `ConfigurationError` for settings of a vendor that there is not; what is wrong with one of those asked is
    its result.
    """
    require_known_vendors(config)

    def named(section: str, **choice: str) -> Config:
        return config.model_copy(update={section: getattr(config, section).model_copy(update=choice)})

    tools = tool_specs(agent)
    models = [
        await _checked(
            ModelCheck(name),
            partial(_create_model, named("model", name=name), agent),
            partial(check_model, name, instructions=agent.instructions, tools=tools, requests=requests),
        )
        for name in asked.models
    ]
    recognizers = [
        await _checked(
            SpeechCheck(name),
            partial(create_recognizer, named("speech", recognizer=name)),
            partial(check_recognizer, name, requests=requests),
        )
        for name in asked.recognizers
    ]
    synthesizers = [
        await _checked(
            SpeechCheck(name),
            partial(create_synthesizer, named("speech", synthesizer=name)),
            partial(check_synthesizer, name, voice=_voice(config, agent, name), requests=requests),
        )
        for name in asked.synthesizers
    ]
    return Checked(tuple(models), tuple(recognizers), tuple(synthesizers))


def _create_model(config: Config, agent: Agent) -> LanguageModel:
    return InText(create_speech_to_speech(config)) if speaks_itself(config.model.name) else create_model(config, agent)


async def _checked(failed: _Result, create: Callable[[], Any], ask: Callable[[Any], Awaitable[_Result]]) -> _Result:
    try:
        provider = create()
    except TalkspurtError as error:
        return replace(failed, problem=str(error))
    try:
        if failed.name in LOCAL:
            # A server loads its models before the first call.
            await provider.warm_up()
        return await ask(provider)
    except TalkspurtError as error:
        return replace(failed, problem=str(error))
    finally:
        await provider.aclose()


def _voice(config: Config, agent: Agent, name: str) -> str:
    """The voice that calls would have."""
    if name == config.speech.synthesizer:
        return config.speech.voice or agent.voice.name
    return config.fallbacks.voices.get(name, "")


def _each(groups: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
