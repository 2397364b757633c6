"""A connection that a vendor has closed is open again before the first turn needs it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import structlog

from talkspurt import standby
from talkspurt.agent import Agent
from talkspurt.config import Config
from talkspurt.core.history import CallerSaid
from talkspurt.ladder.choices import Choices
from talkspurt.ports import ReplyRequest, StaysConnected
from talkspurt.server.switchboard import Switchboard
from talkspurt.testing.fakes import FakeElevenLabs, FakeOpenAI, Outage
from talkspurt.testing.fakes.vendor import FakeVendor
from vendors.voices import VOICES, speak
from vendors.wires import WIRES

Ask = Callable[[], Awaitable[object]]


@asynccontextmanager
async def a_model(name: str) -> AsyncIterator[tuple[FakeVendor, Any, Ask]]:
    wire = WIRES[name]
    async with wire.open() as fake:
        model = wire.connect(fake)

        async def ask() -> None:
            async for _ in model.reply(ReplyRequest("Be Sarah.", (CallerSaid("Hello?"),), ())):
                pass

        yield fake, model, ask
        await model.aclose()


@asynccontextmanager
async def a_voice(name: str) -> AsyncIterator[tuple[FakeVendor, Any, Ask]]:
    voice = VOICES[name]
    async with voice.open() as fake:
        synthesizer = voice.connect(fake)
        yield fake, synthesizer, lambda: speak(synthesizer)
        await synthesizer.aclose()


CASES = [
    *(pytest.param(a_model, name, id=f"{name} thinks") for name in WIRES),
    *(pytest.param(a_voice, name, id=f"{name} speaks") for name in VOICES),
]


@pytest.mark.parametrize(("case", "name"), CASES)
async def test_the_first_request_of_a_call_goes_over_a_connection_that_was_opened_before(
    case: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "FRESH_S", 0.0)
    async with case(name) as (fake, provider, ask):
        await ask()
        # The vendor closes what was idle for too long.
        await fake.suffer(Outage.REFUSED)
        await fake.recover()
        await asyncio.sleep(0.1)  # gRPC learns of it in a thread of its own
        before, asked = fake.connections, len(fake.requests)
        assert isinstance(provider, StaysConnected)
        await provider.keep_connected()
        assert fake.connections == before + 1
        assert len(fake.requests) == asked, "nothing was asked that costs anything"
        await ask()
        assert fake.connections == before + 1


@pytest.mark.parametrize(("case", "name"), CASES)
async def test_a_vendor_that_cannot_be_reached_is_no_error(case: Any, name: str) -> None:
    async with case(name) as (fake, provider, _ask):
        await fake.suffer(Outage.REFUSED)
        async with asyncio.timeout(5):
            await provider.keep_connected()


async def test_neither_user_nor_password_of_an_address_is_sent_or_logged() -> None:
    asked: list[tuple[httpx.URL, httpx.Headers]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url, request.headers))
        raise httpx.ConnectError("refused")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with structlog.testing.capture_logs() as logged:
            await standby.Standby(client, "http://user:canary@gpu.internal:8000/v1").keep_connected()
    assert [url for url, _ in asked] == ["http://gpu.internal:8000/"] * standby.ATTEMPTS
    assert not any("authorization" in headers for _, headers in asked)
    assert [line["origin"] for line in logged] == ["http://gpu.internal:8000/"]


async def test_a_connection_that_was_used_a_moment_ago_is_left_alone_and_many_calls_open_one() -> None:
    async with a_model("openai") as (fake, model, ask):
        await asyncio.gather(*(model.keep_connected() for _ in range(20)))
        assert fake.connections == 1
        await ask()
        await fake.suffer(Outage.REFUSED)
        await fake.recover()
        before = fake.connections
        await model.keep_connected()
        assert fake.connections == before


async def test_a_connection_that_died_without_a_word_is_left_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "FRESH_S", 0.0)
    monkeypatch.setattr(standby, "PATIENCE_S", 0.2)
    async with a_model("openai") as (fake, model, ask):
        await ask()
        before = fake.connections
        await fake.suffer(Outage.HALF_OPEN)
        async with asyncio.timeout(2):
            await model.keep_connected()
        assert fake.connections == before + 1


async def test_a_ringing_call_opens_those_of_its_agents_model_and_voice_and_none_of_their_fallbacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("ELEVENLABS_API_KEY", "key")
    async with FakeOpenAI(key="key") as thinks, FakeOpenAI(key="key") as below, FakeElevenLabs(key="key") as speaks:
        config = Config.model_validate(
            {
                "model": {
                    "name": "openai:gpt-5.4-mini",
                    "base_url": {"openai": thinks.base_url, "vllm": below.base_url},
                    "known_answers": 10,
                },
                "speech": {
                    "synthesizer": "elevenlabs",
                    "voice": "anna",
                    "base_url": {"elevenlabs": speaks.base_url},
                },
                "fallbacks": {"models": ["vllm:qwen3"], "synthesizers": ["piper"]},
            }
        )
        choices = Choices(config)
        agent = Agent(name="Sarah", prompt="Be kind.", greeting="Hello.")
        desk = SimpleNamespace(
            model=choices.model("retail", "en-US", agent), synthesizer=choices.synthesizer("retail", "en-US")
        )
        switchboard = Switchboard(
            *(cast(Any, None),) * 3,
            desks=cast(Any, {("retail", "en-US"): desk}),
            staff=cast(Any, None),
            recorder=cast(Any, None),
            handover_desk=cast(Any, None),
        )
        switchboard.ring("retail", "en-US")
        await asyncio.wait(switchboard.connecting, timeout=5)
        assert (thinks.connections, speaks.connections, below.connections) == (1, 1, 0)
        assert not thinks.requests + speaks.requests
        await choices.aclose()
