"""The ladder: when a provider fails in the middle of a call, the next one goes on, and the caller hardly notices.

A ladder is a port made of ports: it is a `Recognizer`, a `LanguageModel` or a `Synthesizer` itself, so the session
knows nothing of it. It says when a rung has failed (no useful output in time), who is asked next, and when a rung that
failed is tried again; what a call does when no rung is left, the conversation decides. Each rung is metered: a
synthesizer behind its cache, the others here.

| file | its one question |
|---|---|
| `breaker.py` | may this provider be asked now? |
| `rung.py` | how many does it bear, and what is usual for it? |
| `streams.py` | who streams first: one retry, the next, a hedge |
| `opinion.py` | what does somebody else hear? |
| `goodbyes.py` | who waits for a stream that does not open, or does not end? Nobody |
| `model.py` `synthesizer.py` `recognizer.py` | what does going on mean for this port? |
| `choices.py` | who hears and speaks for this agent, in this language? |
| `speech_to_speech.py` | what is below a model that hears and speaks itself? |
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from talkspurt.agent.agent import Agent
from talkspurt.config import BEHIND, Config
from talkspurt.errors import ConfigurationError
from talkspurt.ladder.breaker import Breaker
from talkspurt.ladder.model import LadderModel
from talkspurt.ladder.recognizer import LadderRecognizer
from talkspurt.ladder.rung import Patience, Rung
from talkspurt.ladder.speech_to_speech import BELOW, BETWEEN_WORDS, CONNECTING, LadderSpeechToSpeech
from talkspurt.ladder.synthesizer import LadderSynthesizer, Remembers
from talkspurt.models import create_model as create_single_model
from talkspurt.models.known_answers import KnownAnswers
from talkspurt.models.vendors import speaks_itself
from talkspurt.ports import LanguageModel, Recognizer
from talkspurt.recognizers import create_recognizer as create_single_recognizer
from talkspurt.speech_to_speech import create_speech_to_speech as create_single_speech_to_speech
from talkspurt.synthesizers import create_synthesizer as create_single_synthesizer
from talkspurt.telemetry.usage import MeteredModel, MeteredRecognizer

LOCAL: Final = frozenset({"whisper", "piper", "offline"})
LOCAL_PATIENCE: Final = Patience(first=4.0, between=4.0)
"""A local model fails by being late because many calls want it; asking another one of its kind would not help."""
_OWN_SERVERS: Final = frozenset({"ollama", "vllm", "llamacpp"})
"""Vendors of models that run on machines of one's own."""

Rungs = dict[tuple[str, str], Rung[Any]]
"""The rungs of a process by port and name. Whatever ladders a provider stands in, all know of its failures.

A recognizer or synthesizer is made once; a model, for each agent, and its rung is `Rung.of_call` of the first.
"""


def create_recognizer(config: Config, known: Rungs | None = None) -> LadderRecognizer:
    """The configured recognizer, with its fallbacks below it; of `known` rungs if any. Raises `ConfigurationError`."""
    rules = config.fallbacks
    rungs = [
        _shared(known, "recognizer", name, config, _create_metered_recognizer)
        for name in (config.speech.recognizer, *rules.recognizers)
    ]
    return LadderRecognizer(rungs, hedged=rules.hedged)


def create_synthesizer(config: Config, known: Rungs | None = None) -> LadderSynthesizer:
    """The configured synthesizer, with its fallbacks below it, each with its cache. Raises `ConfigurationError`."""
    rules = config.fallbacks
    rungs = [
        _shared(known, "synthesizer", name, config, create_single_synthesizer)
        for name in (config.speech.synthesizer, *rules.synthesizers)
    ]
    return LadderSynthesizer(rungs, hedged=rules.hedged, voices=rules.voices)


def create_model(config: Config, agent: Agent, known: Rungs | None = None) -> LanguageModel | None:
    """The configured model, with its fallbacks below it; on `known` rungs if any.

    Of a model that speaks itself the fallbacks alone, None when there are none. Raises `ConfigurationError`.
    """
    rules = config.fallbacks
    names = rules.models if speaks_itself(config.model.name) else (config.model.name, *rules.models)
    for name in names:
        if name in rules.models and speaks_itself(name):
            raise ConfigurationError(
                f"fallbacks.models: '{name}' hears and speaks itself; only model.name can be one, with others below it"
            )
    rungs = []
    for name in names:
        single = create_single_model(_choose(config, "model", name=name), agent)
        rungs.append(_known(known, _rung("model", name, MeteredModel(single, name), config)))
    if not rungs:
        return None
    model = LadderModel(rungs, hedged=rules.hedged)
    if not config.model.known_answers or config.model.name in LOCAL or speaks_itself(config.model.name):
        return model
    # Before the ladder: what is known is told when nobody answers, and no vendor looks quicker for it than it is.
    return KnownAnswers(model, config.model.name, capacity=config.model.known_answers)


def create_speech_to_speech(
    config: Config, recognizer: LadderRecognizer, known: Rungs | None = None
) -> LadderSpeechToSpeech | None:
    """The model that hears, thinks and speaks, above `recognizer`; None when the configured one does not.

    It stands on `known` rungs if any.

    Raises `ConfigurationError`.
    """
    name, rules = config.model.name, config.fallbacks
    if not speaks_itself(name):
        return None
    vendor = create_single_speech_to_speech(config)
    # Each call has its own stages: those of these rungs are never used.
    nobodys = vendor.for_call()
    # Who hears for a vendor that does not transcribe is what is below, with patience and second opinions of its own.
    hearing = Patience(CONNECTING, rules.transcript) if vendor.transcribes else BELOW
    thinking = Patience(rules.patience.get(name, rules.first_token), BETWEEN_WORDS)
    capacity = rules.capacity.get(name)
    return LadderSpeechToSpeech(
        vendor,
        hears=_known(known, Rung("recognizer", name, nobodys.recognizer, hearing, capacity)),
        thinks=_known(known, Rung("model", name, nobodys.model, thinking, capacity)),
        below=recognizer,
        alone=not rules.models,
        hedged=rules.hedged,
        opinions="taken" if vendor.transcribes else "unasked",
    )


def _create_metered_recognizer(config: Config) -> Recognizer:
    return MeteredRecognizer(create_single_recognizer(config), config.speech.recognizer)


def _choose(config: Config, section: str, **choice: str) -> Config:
    chosen = getattr(config, section).model_copy(update=choice)
    return config.model_copy(update={section: chosen})


def _shared(known: Rungs | None, port: str, name: str, config: Config, create: Callable[[Config], Any]) -> Rung[Any]:
    rungs: Rungs = {} if known is None else known
    if (port, name) not in rungs:
        rungs[port, name] = _rung(port, name, create(_choose(config, "speech", **{port: name})), config)
    return rungs[port, name]


def _known(known: Rungs | None, rung: Rung[Any]) -> Rung[Any]:
    """`rung` with its own provider, in the place of the first of its name."""
    rungs: Rungs = {} if known is None else known
    return rungs.setdefault((rung.port, rung.name), rung).of_call(rung.provider)


def _rung(port: str, name: str, provider: Any, config: Config) -> Rung[Any]:
    patience = patience_with(port, name, config)
    return Rung(port, name, provider, patience, config.fallbacks.capacity.get(name), _is_local(name))


def _is_local(name: str) -> bool:
    return name in LOCAL or name.partition(":")[0] in _OWN_SERVERS


def patience_with(port: str, name: str, config: Config) -> Patience:
    """How long the provider called `name` is waited for, as recognizer, synthesizer or model."""
    rules = config.fallbacks
    cloud = {
        "recognizer": Patience(rules.first_audio, rules.transcript),
        "synthesizer": Patience(rules.first_audio, rules.stall),
        "model": Patience(rules.first_token, rules.stall),
    }
    patience = LOCAL_PATIENCE if _is_local(name) else cloud[port]
    if name in rules.patience:
        # That a recognizer listens says little of how soon it has words.
        wanted = "between" if port == "recognizer" else "first"
        patience = replace(patience, **{wanted: rules.patience[name]})
    return patience


def longest_reply(config: Config) -> float:
    """Seconds in which each of the configured models has had its time, one after the other, and one more.

    Whoever gives up a reply that is silent for less does so while somebody is still waited for as configured.
    """
    each = [patience_with("model", name, config) for name in (config.model.name, *config.fallbacks.models)]
    return sum(max(patience.first, patience.between) for patience in each) + BEHIND


def longest_segment(config: Config) -> float:
    """The same of the synthesizers, until speech begins."""
    names = (config.speech.synthesizer, *config.fallbacks.synthesizers)
    return sum(patience_with("synthesizer", name, config).first for name in names) + BEHIND


__all__ = [
    "Breaker",
    "LadderModel",
    "LadderRecognizer",
    "LadderSpeechToSpeech",
    "LadderSynthesizer",
    "Patience",
    "Remembers",
    "Rung",
    "Rungs",
    "create_model",
    "create_recognizer",
    "create_speech_to_speech",
    "create_synthesizer",
    "longest_reply",
    "longest_segment",
]
