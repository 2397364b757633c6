"""What all cloud synthesizers owe their callers when something goes wrong, each through its real SDK."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

import pytest

from talkspurt.config import Config, SpeechConfig
from talkspurt.errors import ConfigurationError, ProviderError, ProviderFault
from talkspurt.ports import SpeechChunk
from talkspurt.synthesizers import create_synthesizer
from talkspurt.synthesizers.streamed import Patience
from talkspurt.testing.fakes import Fault, Outage, Speech
from vendors.voices import TEXT, VOICES, Voice, speak

HASTY: Final = Patience(connect=0.5, first=0.6, between=0.3)
"""For outages that only a deadline can end."""
CALM: Final = Patience(connect=10.0, first=10.0, between=10.0)
"""For outages that show at once: none of them may wait for a deadline, not even on a busy machine."""

EXPECTED: Final[Mapping[Outage, frozenset[ProviderFault]]] = {
    Outage.RATE_LIMITED: frozenset({"rate_limited"}),
    Outage.SERVER_ERROR: frozenset({"unavailable"}),
    Outage.EXPIRED_KEY: frozenset({"key_rejected"}),
    Outage.REFUSED: frozenset({"unreachable", "unavailable"}),
    Outage.HUNG_CONNECT: frozenset({"timeout"}),
    Outage.HALF_OPEN: frozenset({"timeout"}),
    Outage.HUNG: frozenset({"timeout"}),
    Outage.HUNG_MID_STREAM: frozenset({"timeout"}),
    Outage.DRIP: frozenset({"timeout"}),
    Outage.TRUNCATED: frozenset({"broken_off"}),
    Outage.DROPPED: frozenset({"unreachable", "unavailable"}),
    Outage.GARBAGE: frozenset({"unreadable", "broken_off", "unavailable"}),
    Outage.REPORT: frozenset({"unavailable", "unreadable"}),
    # An SDK may skip what it cannot read, and then nothing was said.
    Outage.WRONG_TYPE: frozenset({"unreadable", "unavailable", "empty"}),
    Outage.EMPTY: frozenset({"empty"}),
}
MIDWAY: Final = frozenset({Outage.HUNG_MID_STREAM, Outage.TRUNCATED, Outage.DROPPED, Outage.GARBAGE, Outage.REPORT})
"""Outages that come after a first piece, which may have been heard."""


@pytest.fixture(params=sorted(VOICES))
def voice(request: pytest.FixtureRequest) -> Voice:
    return VOICES[request.param]


@pytest.fixture
async def fake(voice: Voice) -> AsyncIterator[Any]:
    async with voice.open() as fake:
        yield fake


@pytest.fixture
async def synthesizer(voice: Voice, fake: Any) -> AsyncIterator[Any]:
    synthesizer = voice.connect(fake)
    yield synthesizer
    await synthesizer.aclose()


def test_every_outage_of_speech_is_expected() -> None:
    assert set().union(*(voice.fake.outages for voice in VOICES.values())) == EXPECTED.keys()


@pytest.mark.parametrize(
    ("name", "outage"),
    [(name, outage) for name, voice in VOICES.items() for outage in Outage if outage in voice.fake.outages],
    ids=str,
)
async def test_an_outage_ends_soon_in_an_error_that_names_it(name: str, outage: Outage) -> None:
    voice = VOICES[name]
    hangs = EXPECTED[outage] == {"timeout"}
    heard: list[SpeechChunk] = []
    async with voice.open() as fake:
        synthesizer = voice.connect(fake, patience=HASTY if hangs else CALM)
        if outage is Outage.HALF_OPEN:
            # It is what a connection of before becomes; the others are met by a new one.
            with suppress(ProviderError):
                await synthesizer.warm_up()
        await fake.suffer(outage)
        error = None
        try:
            async with asyncio.timeout(CALM.first):
                async for chunk in synthesizer.synthesize(TEXT, voice="", locale="en-US"):
                    heard.append(chunk)  # noqa: PERF401  # what came before the failure counts
        except ProviderError as failure:
            error = failure
        await fake.recover()
        if not hangs:
            await asyncio.sleep(0.1)  # gRPC learns of a dropped connection a moment after the request on it
            assert await speak(synthesizer), "it is asked again as if nothing had been"
        await synthesizer.aclose()
    assert error is not None
    assert (error.port, error.vendor) == ("synthesizer", name)
    assert error.fault in EXPECTED[outage]
    assert error.retryable is (outage is not Outage.EXPIRED_KEY)
    assert error.rejected is (outage is Outage.EXPIRED_KEY)
    assert error.retry_after == (2.0 if outage is Outage.RATE_LIMITED else None)
    assert any(chunk.pcm for chunk in heard) is (outage in MIDWAY)


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (404, False), (422, False), (429, True), (500, True)])
async def test_a_refusal_is_a_provider_error(fake: Any, synthesizer: Any, status: int, retryable: bool) -> None:
    fake.script(Speech(status=status))
    with pytest.raises(ProviderError, match=f"HTTP {status}|gRPC [A-Z_]+") as caught:
        await speak(synthesizer)
    assert caught.value.retryable is retryable
    assert len(fake.requests) == 1, "the SDK must not repeat by itself"


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [("elevenlabs", 401, "quota_exceeded"), ("openai", 429, "insufficient_quota"), ("elevenlabs", 402, "")],
)
async def test_credit_that_is_used_up_is_told_from_a_rejected_key_and_from_a_rate_limit(
    name: str, status: int, reason: str
) -> None:
    voice = VOICES[name]
    async with voice.open() as fake:
        fake.script(Speech(status=status, reason=reason, retry_after=1.0))
        synthesizer = voice.connect(fake)
        with pytest.raises(ProviderError, match=f"HTTP {status}: the account's quota or credit is used up") as caught:
            await speak(synthesizer)
        await synthesizer.aclose()
    assert caught.value.fault == "quota_exceeded"
    assert not caught.value.retryable
    assert not caught.value.rejected
    assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [400, 401])
async def test_a_voice_that_elevenlabs_does_not_know_is_no_rejected_key(status: int) -> None:
    voice = VOICES["elevenlabs"]
    async with voice.open() as fake:
        fake.script(Speech(status=status, reason="voice_not_found"))
        synthesizer = voice.connect(fake)
        with pytest.raises(ProviderError, match=r"look at speech\.synthesizer") as caught:
            await speak(synthesizer, voice="nobody")
        await synthesizer.aclose()
    assert caught.value.fault == "rejected"
    assert not caught.value.rejected


@pytest.mark.parametrize(
    ("name", "model", "advice"),
    [
        ("elevenlabs", "eleven_flush_v2_5", "the model 'eleven_flush_v2_5', did you mean 'eleven_flash_v2_5'?"),
        ("openai", "gpt-4o-mini-ts", "the model 'gpt-4o-mini-ts', did you mean 'gpt-4o-mini-tts'?"),
    ],
)
@pytest.mark.parametrize("status", [400, 404])
async def test_a_model_that_the_vendor_does_not_know_is_named_with_its_setting(
    name: str, model: str, advice: str, status: int
) -> None:
    voice = VOICES[name]
    async with voice.open() as fake:
        fake.script(Speech(status=status))
        synthesizer = voice.synthesizer(base_url=fake.base_url, environment=voice.environment(fake), model=model)
        with pytest.raises(ProviderError) as caught:
            await speak(synthesizer, voice="anna")
        await synthesizer.aclose()
    assert f"HTTP {status}: look at speech.synthesizer ({advice}) and at the voice" in str(caught.value)
    assert caught.value.fault == "rejected"


async def test_a_rejected_key_is_in_no_error_and_its_variable_is(voice: Voice, fake: Any) -> None:
    synthesizer = voice.connect(fake, key="wrong-canary-9876543210")
    with pytest.raises(ProviderError, match=voice.variable) as caught:
        await synthesizer.warm_up()
    assert caught.value.rejected
    assert "canary" not in repr(caught.value) + str(caught.value)
    assert caught.value.__suppress_context__
    await synthesizer.aclose()


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.STALL])
async def test_giving_up_closes_the_request(voice: Voice, fake: Any, fault: Fault) -> None:
    fake.script(Speech(fault=fault))
    synthesizer = voice.connect(fake, patience=HASTY)
    with pytest.raises(ProviderError, match="no audio in time"):
        await speak(synthesizer)
    await asyncio.wait_for(fake.requests[0].disconnected.wait(), 5)
    await synthesizer.aclose()


async def test_leaving_the_speech_closes_its_request(fake: Any, synthesizer: Any) -> None:
    fake.script(Speech(fault=Fault.STALL))
    async with aclosing(synthesizer.synthesize(TEXT, voice="", locale="en-US")) as speech:
        await anext(speech)
    await asyncio.wait_for(fake.requests[0].disconnected.wait(), 5)


async def test_cancelling_the_task_closes_its_request(fake: Any, synthesizer: Any) -> None:
    fake.script(Speech(fault=Fault.HANG))
    task = asyncio.create_task(speak(synthesizer))
    await asyncio.wait_for(fake.received.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(fake.requests[0].disconnected.wait(), 5)


async def test_a_connection_is_used_again(fake: Any, synthesizer: Any) -> None:
    await synthesizer.warm_up()
    await speak(synthesizer)
    first, second = fake.requests
    assert first.client == second.client


async def test_nothing_to_say_asks_nothing(fake: Any, synthesizer: Any) -> None:
    assert await speak(synthesizer, "  ") == []
    assert fake.requests == []


async def test_it_is_made_from_the_configuration(voice: Voice, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(voice.variable, voice.environment(fake)[voice.variable])
    address = voice.address or voice.vendor
    config = Config(speech=SpeechConfig(synthesizer=voice.vendor, base_url={address: fake.base_url}))
    synthesizer = create_synthesizer(config)
    await synthesizer.warm_up()
    await synthesizer.aclose()
    await synthesizer.aclose()
    assert len(fake.requests) == 1


def test_a_missing_key_names_its_variable(voice: Voice) -> None:
    with pytest.raises(ConfigurationError, match=voice.variable):
        voice.synthesizer(environment={voice.variable: " "})
