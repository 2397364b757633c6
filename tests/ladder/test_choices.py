"""Who hears, thinks and speaks for which agent, in which language."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from talkspurt.agent import Agent
from talkspurt.config import Config, load_config
from talkspurt.core.history import CallerSaid
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ladder import LadderRecognizer, Patience, Rungs, create_model, create_recognizer
from talkspurt.ladder.choices import Choices
from talkspurt.ladder.warming import WARMING
from talkspurt.ports import LanguageModel, ReplyRequest, TextDelta
from talkspurt.speech.inference.supervision import local_kinds
from talkspurt.testing.fakes import FakeElevenLabs
from talkspurt.testing.providers import ScriptedModel
from talkspurt.testing.virtual_time import run_virtual

AGENTS = 'agents = {retail = "talkspurt.retail:create_agent", concierge = "talkspurt.retail:create_agent"}\n'


def read(folder: Path, toml: str) -> Config:
    path = folder / "talkspurt.toml"
    path.write_text(AGENTS + toml, encoding="utf-8")
    return load_config(path, {})


def heard_by(config: Config, agent: str, locale: str) -> tuple[str, ...]:
    chosen = config.chosen(agent, locale)
    return (chosen.speech.recognizer, *chosen.fallbacks.recognizers)


def test_without_a_choice_all_agents_have_what_the_sections_say(tmp_path: Path) -> None:
    config = read(tmp_path, '[speech]\nrecognizer = "deepgram"\n')
    assert config.chosen("concierge", "es-MX") == config


def test_the_narrowest_choice_wins_for_each_provider_by_itself(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        [[choices]]
        agent = "concierge"
        locale = "es"
        recognizer = "livekit:assemblyai"
        [[choices]]
        agent = "concierge"
        recognizer = "deepgram"
        model = "anthropic:claude-sonnet-5-5"
        [[choices]]
        locale = "es-MX"
        recognizer = "livekit:cartesia"
        voice = "carmen"
        [[choices]]
        locale = "es"
        synthesizer = "elevenlabs"
        voice = "lucia"
        """,
    )
    assert [heard_by(config, *call)[0] for call in (("retail", "en-US"), ("retail", "es-MX"), ("retail", "es"))] == [
        "whisper",
        "livekit:cartesia",
        "whisper",
    ]
    assert heard_by(config, "concierge", "en-US") == ("deepgram",)
    spanish = config.chosen("concierge", "es-MX")
    assert spanish.speech.recognizer == "livekit:assemblyai"
    assert spanish.model.name == "anthropic:claude-sonnet-5-5"
    assert (spanish.speech.synthesizer, spanish.speech.voice) == ("elevenlabs", "carmen")
    assert config.chosen("retail", "es").speech.voice == "lucia"
    # "es" is no beginning of "est".
    assert config.chosen("retail", "est").speech.synthesizer == "piper"


def test_one_name_keeps_the_fallbacks_and_several_are_the_whole_ladder(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        [speech]
        recognizer = "deepgram"
        [fallbacks]
        recognizers = ["whisper"]
        [[choices]]
        agent = "concierge"
        recognizer = ["livekit:assemblyai", "deepgram"]
        [[choices]]
        locale = "es"
        recognizer = "livekit:cartesia"
        [[choices]]
        locale = "fr"
        recognizer = "whisper"
        """,
    )
    assert heard_by(config, "concierge", "en-US") == ("livekit:assemblyai", "deepgram")
    assert heard_by(config, "retail", "es") == ("livekit:cartesia", "whisper")
    assert heard_by(config, "retail", "fr") == ("whisper",)


def test_another_vendors_model_is_not_asked_for_the_voice_of_the_one_before(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        [model]
        name = "openai-realtime:gpt-realtime"
        voice = "marin"
        [[choices]]
        locale = "es"
        model = "gemini-live:gemini-live-2.5-flash"
        [[choices]]
        locale = "fr"
        model = "gemini-live:gemini-live-2.5-flash"
        model_voice = "Puck"
        [[choices]]
        locale = "de"
        model = "openai-realtime:gpt-realtime-mini"
        """,
    )
    voices = {locale: config.chosen("retail", locale).model.voice for locale in ("en-US", "es", "fr", "de")}
    assert voices == {"en-US": "marin", "es": "", "fr": "Puck", "de": "marin"}


def test_another_synthesizer_is_not_asked_for_the_voice_of_the_one_before(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        [speech]
        synthesizer = "elevenlabs"
        voice = "lucia"
        [[choices]]
        agent = "concierge"
        synthesizer = "piper"
        """,
    )
    assert config.chosen("concierge", "en-US").speech.voice == ""
    assert config.chosen("retail", "en-US").speech.voice == "lucia"


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ('[[choices]]\nagent = "concirge"\nmodel = "offline"', "names agent 'concirge', which is not in [agents]"),
        ('[[choices]]\nlocale = "es"', "give what is chosen: recognizer, synthesizer, model or voice"),
        (
            '[fallbacks.voices]\npipr = "amy"',
            "fallbacks.voices names 'pipr', which nobody asks; did you mean 'piper'? (asked: piper)",
        ),
        ('[fallbacks.patience]\n"ollama:qwen3" = 4.0', "fallbacks.patience names 'ollama:qwen3', which nobody asks"),
        (
            'model = {name = "ollama:qwen3", context_window = {ollama = 16384}}',
            "model.context_window names 'ollama', which nobody asks; did you mean 'ollama:qwen3'",
        ),
        ('model = {name = "ollama:qwen3", context_window = 900}', "900 tokens are too few for a conversation"),
        (
            "[fallbacks.capacity]\nwisper = 8",
            "fallbacks.capacity names 'wisper', which nobody asks; did you mean 'whisper'",
        ),
        (
            'model.name = "ollama:qwen3"\n[fallbacks.capacity]\nollama = 4',
            "fallbacks.capacity names 'ollama', which nobody asks; did you mean 'ollama:qwen3'",
        ),
        ("[fallbacks.patience]\nwhisper = 0", "fallbacks.patience.whisper"),
        ('[[choices]]\nrecognzer = "deepgram"', "choices.0.recognzer: unknown key; did you mean 'recognizer'?"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(tmp_path: Path, toml: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, toml)
    assert complaint in str(caught.value)


def test_local_models_are_started_for_whoever_chose_them(tmp_path: Path) -> None:
    toml = """
        numbers = [{number = "*"}, {number = "+12025550123", agent = "concierge"}]
        [speech]
        recognizer = "deepgram"
        synthesizer = "elevenlabs"
        turn_detector = "none"
        """
    assert local_kinds(read(tmp_path, toml)) == ()
    assert local_kinds(read(tmp_path, f'{toml}\n[[choices]]\nagent = "concierge"\nrecognizer = "whisper"')) == (
        "transcript",
    )


def test_a_provider_has_the_patience_that_was_chosen_for_it(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        [model]
        name = "ollama:qwen3"
        base_url = {llamacpp = "http://127.0.0.1:1/v1"}
        [speech]
        recognizer = "scripted"
        [fallbacks]
        models = ["llamacpp:small"]
        patience = {"ollama:qwen3" = 6.0, scripted = 2.5}
        """,
    )
    known: Rungs = {}
    create_recognizer(config, known)
    create_model(config, Agent("retail", "Be brief.", "Hello."), known)
    assert {name: (each.patience, each.local) for (_, name), each in known.items()} == {
        "scripted": (Patience(1.0, 2.5), False),
        "ollama:qwen3": (Patience(6.0, 4.0), True),
        "llamacpp:small": (Patience(4.0, 4.0), True),
    }


@pytest.fixture
async def choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Choices]:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key")
    config = read(
        tmp_path,
        """
        [speech]
        recognizer = "deepgram"
        [fallbacks]
        recognizers = ["scripted"]
        [[choices]]
        agent = "concierge"
        recognizer = ["scripted", "deepgram"]
        """,
    )
    choices = Choices(config)
    yield choices
    await choices.aclose()


async def test_another_voice_of_the_same_model_is_another_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    toml = """
        [model]
        name = "openai-realtime:gpt-realtime"
        voice = "marin"
        [[choices]]
        locale = "es"
        model = "openai-realtime:gpt-realtime"
        model_voice = "cedar"
        """
    choices = Choices(read(tmp_path, toml))
    english, spanish = (choices.speech_to_speech("retail", locale) for locale in ("en-US", "es"))
    assert None is not english is not spanish is not None
    assert choices.speech_to_speech("retail", "en-GB") is english
    await choices.aclose()


async def test_who_chose_the_same_shares_it_and_a_provider_has_one_rung_in_all_ladders(choices: Choices) -> None:
    retail, concierge = choices.recognizer("retail", "en-US"), choices.recognizer("concierge", "en-US")
    assert choices.recognizer("retail", "en-GB") is retail
    assert isinstance(retail, LadderRecognizer)
    assert isinstance(concierge, LadderRecognizer)
    assert concierge.rungs == retail.rungs[::-1]


async def test_an_agent_speaks_with_the_voice_that_was_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeElevenLabs(key="key") as fake:
        monkeypatch.setenv("ELEVENLABS_API_KEY", "key")
        toml = f"""
            [speech]
            synthesizer = "elevenlabs"
            weights_dir = "{tmp_path}/weights"
            base_url = {{elevenlabs = "{fake.base_url}"}}
            [[choices]]
            agent = "concierge"
            voice = "lucia"
            """
        choices = Choices(read(tmp_path, toml))
        for agent in ("retail", "concierge"):
            speech = choices.synthesizer(agent, "en-US").synthesize("Hello.", voice="agents-own", locale="en-US")
            assert [chunk async for chunk in speech]
        assert [request.path.split("/")[3] for request in fake.requests] == ["agents-own", "lucia"]
        await choices.aclose()


async def test_a_server_starts_in_the_outage_of_its_only_vendors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for vendor in ("DEEPGRAM", "ELEVENLABS"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "key")
    async with FakeElevenLabs(key="key") as fake:
        nobody = fake.base_url
    toml = f"""
        [speech]
        recognizer = "deepgram"
        synthesizer = "elevenlabs"
        base_url = {{deepgram = "{nobody.replace("http", "ws")}", elevenlabs = "{nobody}"}}
        """
    choices = Choices(read(tmp_path, toml))
    recognizer, synthesizer = choices.recognizer("retail", "en-US"), choices.synthesizer("retail", "en-US")
    await choices.warm_up()
    assert not recognizer.rungs[0].breaker.closed
    with pytest.raises(ProviderError):
        await anext(synthesizer.synthesize("Hello.", voice="", locale="en-US"))
    await choices.aclose()


def test_a_vendor_that_hangs_is_waited_for_once_however_many_agents_think_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def hang(_model: ScriptedModel) -> None:
        await asyncio.sleep(10 * WARMING)

    async def start() -> float:
        Models(monkeypatch)
        monkeypatch.setattr(ScriptedModel, "warm_up", hang)
        choices = Choices(read(tmp_path, 'model.name = "openai:a"'))
        for number in range(20):
            choices.model("retail", "en-US", Agent(f"agent {number}", "Be brief.", "Hello."))
        await choices.warm_up()
        return asyncio.get_running_loop().time()

    assert run_virtual(start()) == pytest.approx(WARMING, abs=0.1)


async def test_a_key_that_is_rejected_at_the_start_is_told_when_nobody_else_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "another")
    async with FakeElevenLabs(key="key") as fake:
        toml = f'speech = {{synthesizer = "elevenlabs", base_url = {{elevenlabs = "{fake.base_url}"}}}}'
        choices = Choices(read(tmp_path, toml))
        choices.synthesizer("retail", "en-US")
        with pytest.raises(ProviderError, match="ELEVENLABS_API_KEY"):
            await choices.warm_up()
        await choices.aclose()


class Models:
    """The models that were made, by agent and name; those of `broken` refuse their key."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, broken: str = "", first: float = 0.0) -> None:
        self.made: dict[tuple[str, str], ScriptedModel] = {}
        self._broken, self._first = broken, first
        monkeypatch.setattr("talkspurt.ladder.create_single_model", self._make)

    def _make(self, config: Config, agent: Agent) -> ScriptedModel:
        name = config.model.name
        error = ProviderError("model", name, "the key is not accepted", rejected=True)
        says = TextDelta(f"{name} for {agent.name}")
        model = ScriptedModel(lambda _: [error if name == self._broken else says], first=self._first)
        self.made[agent.name, name] = model
        return model


def two_agents(folder: Path, more: str = "", first: str = "openai:a") -> tuple[Choices, list[LanguageModel]]:
    toml = f'model.name = "{first}"\n[fallbacks]\nmodels = ["anthropic:b"]\nhedged = false\n{more}'
    choices = Choices(read(folder, toml))
    models = [choices.model(name, "en-US", Agent(name, "Be brief.", "Hello.")) for name in ("retail", "concierge")]
    return choices, [model for model in models if model is not None]


async def said_by(model: LanguageModel) -> str:
    request = ReplyRequest("Be brief.", (CallerSaid("Hello."),), ())
    async with asyncio.timeout(10):
        return "".join([part.text async for part in model.reply(request) if isinstance(part, TextDelta)])


async def test_a_model_that_failed_one_agent_is_left_alone_by_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = Models(monkeypatch, broken="openai:a")
    choices, (retail, concierge) = two_agents(tmp_path)
    assert await said_by(retail) == "anthropic:b for retail"
    assert await said_by(concierge) == "anthropic:b for concierge"
    assert models.made["retail", "openai:a"].requests
    assert not models.made["concierge", "openai:a"].requests
    await choices.aclose()


async def test_what_a_model_bears_is_counted_over_all_agents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Models(monkeypatch, first=0.2)
    choices, models = two_agents(tmp_path, 'capacity = {"openai:a" = 1}')
    assert await asyncio.gather(*map(said_by, models)) == ["openai:a for retail", "anthropic:b for concierge"]
    await choices.aclose()


async def test_what_the_only_model_below_one_that_speaks_itself_bears_is_counted_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Models(monkeypatch, first=0.2)
    choices, models = two_agents(tmp_path, 'capacity = {"anthropic:b" = 1}', "openai-realtime:gpt-realtime-2.1")
    said, refused = await asyncio.gather(*map(said_by, models), return_exceptions=True)
    assert said == "anthropic:b for retail"
    assert isinstance(refused, ProviderError)
    assert "busy" in str(refused)
    await choices.aclose()
