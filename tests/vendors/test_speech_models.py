"""The model of a speech vendor follows its name, and reaches the vendor."""

import pytest

from talkspurt.config import Config, ModelConfig, SpeechConfig
from talkspurt.errors import ConfigurationError
from talkspurt.recognizers import create_recognizer
from talkspurt.speech_to_speech import create_speech_to_speech
from talkspurt.speech_to_speech.openai_realtime import OpenAIRealtime
from talkspurt.synthesizers.elevenlabs import ElevenLabsSynthesizer
from talkspurt.synthesizers.openai import OpenAISynthesizer
from talkspurt.testing.fakes import FakeDeepgram, FakeElevenLabs, FakeOpenAISpeech, FakeOpenAITranscription
from talkspurt.testing.fakes.google_cloud import FakeGoogleRecognition

KEY = "canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in ("DEEPGRAM", "ELEVENLABS", "OPENAI"):
        monkeypatch.setenv(f"{vendor}_API_KEY", KEY)


@pytest.mark.parametrize(("name", "model"), [("deepgram:nova-2-phonecall", "nova-2-phonecall"), ("deepgram", "nova-3")])
async def test_deepgram_hears_with_the_model_that_was_chosen(name: str, model: str) -> None:
    async with FakeDeepgram(key=KEY) as fake:
        speech = SpeechConfig(recognizer=name, base_url={"deepgram": fake.base_url})
        recognizer = create_recognizer(Config(speech=speech))
        await recognizer.warm_up()
        assert fake.sockets[0].query["model"] == model
        await recognizer.aclose()


async def test_elevenlabs_speaks_with_the_model_that_was_chosen_and_keeps_its_phrases_apart() -> None:
    async with FakeElevenLabs(key=KEY) as fake:
        address = {"elevenlabs": fake.base_url}
        usual, other = (
            ElevenLabsSynthesizer.from_config(Config(speech=SpeechConfig(synthesizer=name, base_url=address)))
            for name in ("elevenlabs", "elevenlabs:eleven_multilingual_v2")
        )
        await other.warm_up()
        assert fake.requests[0].body["model_id"] == "eleven_multilingual_v2"
        assert other.settings != usual.settings
        await usual.aclose()
        await other.aclose()


async def test_openai_speaks_with_the_model_that_was_chosen() -> None:
    async with FakeOpenAISpeech(key=KEY) as fake:
        speech = SpeechConfig(synthesizer="openai:tts-1", base_url={"openai": fake.base_url})
        synthesizer = OpenAISynthesizer.from_config(Config(speech=speech))
        await synthesizer.warm_up()
        assert fake.requests[0].body["model"] == "tts-1"
        await synthesizer.aclose()


async def test_openai_hears_with_the_model_that_was_chosen() -> None:
    async with FakeOpenAITranscription(key=KEY) as fake:
        speech = SpeechConfig(recognizer="openai:gpt-realtime-whisper", base_url={"openai": fake.base_url})
        recognizer = create_recognizer(Config(speech=speech))
        await recognizer.warm_up()
        assert fake.sockets[0].session["audio"]["input"]["transcription"]["model"] == "gpt-realtime-whisper"
        await recognizer.aclose()


async def test_google_hears_with_the_model_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeGoogleRecognition() as fake:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", fake.credentials())
        speech = SpeechConfig(recognizer="google:telephony_short", base_url={"google-speech": fake.base_url})
        recognizer = create_recognizer(Config(speech=speech))
        await recognizer.warm_up()
        assert fake.requests[0].body.streaming_config.config.model == "telephony_short"
        await recognizer.aclose()


@pytest.mark.parametrize(
    ("base_url", "address"),
    [(None, "https://eu.api.openai.com/v1"), ("https://own.example.com/v1", "https://own.example.com/v1")],
)
def test_a_model_that_hears_callers_does_so_in_the_region_asked_for(
    monkeypatch: pytest.MonkeyPatch, base_url: str | None, address: str
) -> None:
    name = "openai-realtime:gpt-realtime-2.1"
    monkeypatch.setattr(OpenAIRealtime, "from_config", lambda config: config.model.address("openai-realtime"))
    config = Config(model=ModelConfig(name=name, base_url=base_url), speech=SpeechConfig(region="eu"))
    assert create_speech_to_speech(config) == address  # type: ignore[comparison-overlap]


async def test_a_model_that_hears_callers_where_it_is_not_known_to_be_asks_for_the_address_that_it_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    where = SpeechConfig(region="eu", base_url={"gemini-live": "https://ignored.example.com"})
    model = ModelConfig(name="gemini-live:gemini-3-flash-live")
    with pytest.raises(ConfigurationError, match=r'name one: model\.base_url = \{ "gemini-live" = "…" \}'):
        create_speech_to_speech(Config(model=model, speech=where))
    named = ModelConfig(name=model.name, base_url={"gemini-live": "https://eu.example.com"})
    await create_speech_to_speech(Config(model=named, speech=where)).aclose()
