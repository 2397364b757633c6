"""What `[fallbacks]` says of patience holds down to the vendor's connection, and up to the conversation."""

import asyncio
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from talkspurt.agent import Agent
from talkspurt.config import Config
from talkspurt.core.history import CallerSaid
from talkspurt.core.settings import Settings
from talkspurt.models.connections import Patience as ModelPatience
from talkspurt.models.pydantic_ai import PydanticAIModel
from talkspurt.ports import Call, ReplyRequest, TextDelta
from talkspurt.server import switchboard
from talkspurt.server.switchboard import Switchboard
from talkspurt.session import Services
from talkspurt.synthesizers.elevenlabs import ElevenLabsSynthesizer
from talkspurt.synthesizers.google import GoogleSynthesizer
from talkspurt.synthesizers.livekit import LivekitSynthesizer
from talkspurt.synthesizers.openai import OpenAISynthesizer
from talkspurt.synthesizers.piper import PiperSynthesizer
from talkspurt.synthesizers.streamed import Patience as VoicePatience
from talkspurt.testing.fakes import FakeElevenLabs, FakeOpenAI, ModelReply, Speech
from talkspurt.testing.fakes.google_cloud import FakeGoogleSynthesis
from vendors.voices import KEY, speak


def configured(**sections: Any) -> Config:
    return Config.model_validate(sections)


async def reply_of(config: Config) -> str:
    model = PydanticAIModel.from_config(config)
    request = ReplyRequest("Be Sarah.", (CallerSaid("Hello?"),), ())
    try:
        return "".join([part.text async for part in model.reply(request) if isinstance(part, TextDelta)])
    finally:
        await model.aclose()


async def test_a_vendor_is_given_all_of_the_time_that_is_configured_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    name = "openai:gpt-5-mini"
    async with (
        FakeOpenAI(key=KEY, otherwise=ModelReply(("Hello, ", "Sarah here."), delay=8.4)) as thinks,
        FakeOpenAI(key=KEY, otherwise=ModelReply(("Hello, Sarah here.",), gap=8.4)) as stalls,
        FakeElevenLabs(key=KEY, otherwise=Speech(delay=3.4)) as speaks,
    ):
        voice = ElevenLabsSynthesizer.from_config(
            configured(
                speech={"synthesizer": "elevenlabs", "base_url": {"elevenlabs": speaks.base_url}},
                fallbacks={"first_audio": 5.0},
            )
        )
        async with aclosing(voice):
            late, slow, spoken = await asyncio.gather(
                reply_of(
                    configured(model={"name": name, "base_url": thinks.base_url}, fallbacks={"patience": {name: 9}})
                ),
                reply_of(configured(model={"name": name, "base_url": stalls.base_url}, fallbacks={"stall": 9})),
                speak(voice),
            )
    assert late == slow == "Hello, Sarah here."
    assert spoken


def test_a_vendor_that_nothing_is_configured_for_has_the_usual_time() -> None:
    assert ModelPatience.of(configured(model={"name": "openai:a"})) == ModelPatience()
    assert VoicePatience.of(configured(speech={"synthesizer": "elevenlabs"})) == VoicePatience()
    short = configured(fallbacks={"first_token": 0.5, "stall": 0.5, "first_audio": 0.5})
    assert (ModelPatience.of(short), VoicePatience.of(short)) == (ModelPatience(), VoicePatience())


async def test_every_voice_takes_the_patience_of_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def note(config: Config) -> VoicePatience:
        given.append(config.speech.synthesizer)
        return VoicePatience()

    monkeypatch.setattr(VoicePatience, "of", note)
    for variable in ("ELEVENLABS_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    async with FakeGoogleSynthesis() as google:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", google.credentials())
        for kind, name in (
            (ElevenLabsSynthesizer, "elevenlabs"),
            (OpenAISynthesizer, "openai"),
            (GoogleSynthesizer, "google"),
            (LivekitSynthesizer, "livekit:cartesia"),
        ):
            made = cast(Any, kind).from_config(configured(speech={"synthesizer": name}))
            await made.aclose()
    assert given == ["elevenlabs", "openai", "google", "livekit:cartesia"]


def test_piper_takes_the_longer_of_its_two() -> None:
    for fallbacks, patience in (({}, 3.0), ({"patience": {"piper": 2.0}}, 3.0), ({"patience": {"piper": 10.0}}, 10.0)):
        assert PiperSynthesizer.from_config(configured(fallbacks=fallbacks))._patience == patience


@pytest.mark.parametrize(
    ("fallbacks", "reply", "segment"),
    [
        ({}, Settings().reply_timeout, Settings().segment_timeout),
        # Each in its turn, and a second: 1.5 + 15 + 1; 1 + 10 + 1.
        (
            {
                "models": ["ollama:qwen3"],
                "synthesizers": ["piper"],
                "patience": {"ollama:qwen3": 15, "piper": 10},
            },
            17.5,
            12.0,
        ),
        ({"stall": 10}, 11.0, Settings().segment_timeout),
    ],
)
def test_a_conversation_waits_until_all_of_a_ladder_have_had_their_time(
    monkeypatch: pytest.MonkeyPatch, fallbacks: dict[str, Any], reply: float, segment: float
) -> None:
    sessions: list[Settings] = []
    monkeypatch.setattr(switchboard, "Session", lambda _call, *, settings, **_: sessions.append(settings))
    agent = Agent(name="Sarah", prompt="Be kind.", greeting="Hello.")
    nobody = cast(Any, None)
    desk = SimpleNamespace(
        agent=agent,
        languages={},
        synthesizer=None,
        stages=SimpleNamespace(model=None, own_voice=None, recognizer=None),
    )
    ledgers = SimpleNamespace(effects=SimpleNamespace(ledger=lambda *_: None), attempts=None)
    calls = Switchboard(
        configured(model={"name": "openai:a"}, speech={"synthesizer": "elevenlabs"}, fallbacks=fallbacks),
        cast(Any, ledgers),
        Services(*(nobody,) * 5),
        desks={("retail", "en-US"): cast(Any, desk)},
        staff=cast(Any, SimpleNamespace(equipped=lambda _name: agent)),
        recorder=nobody,
        handover_desk=nobody,
    )
    calls._begin(Call("c1", "CA1", "", "+12025550123", "retail", "en-US"), None, None, 0)
    assert [(each.reply_timeout, each.segment_timeout) for each in sessions] == [(reply, segment)]
