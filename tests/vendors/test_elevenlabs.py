"""ElevenLabs through its real SDK, against a fake that speaks its wire format."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from talkspurt.errors import ProviderError
from talkspurt.ports import SpeechChunk
from talkspurt.synthesizers.elevenlabs import DEFAULT_VOICE, ElevenLabsSynthesizer
from talkspurt.synthesizers.streamed import Patience
from talkspurt.testing.fakes import FakeElevenLabs, Speech
from talkspurt.testing.fakes.elevenlabs import SECONDS_PER_CHARACTER, spoken

KEY = "xi-canary-0123456789abcdef"
TEXT = "Your order is on its way, Anna."


@pytest.fixture
async def fake() -> AsyncIterator[FakeElevenLabs]:
    async with FakeElevenLabs(key=KEY) as fake:
        yield fake


@pytest.fixture
async def synthesizer(fake: FakeElevenLabs) -> AsyncIterator[ElevenLabsSynthesizer]:
    synthesizer = connect(fake)
    yield synthesizer
    await synthesizer.aclose()


def connect(fake: FakeElevenLabs, key: str = KEY, patience: Patience | None = None) -> ElevenLabsSynthesizer:
    return ElevenLabsSynthesizer(base_url=fake.base_url, environment={"ELEVENLABS_API_KEY": key}, patience=patience)


async def speak(synthesizer: ElevenLabsSynthesizer, text: str = TEXT, voice: str = "") -> list[SpeechChunk]:
    async with asyncio.timeout(10):
        return [chunk async for chunk in synthesizer.synthesize(text, voice=voice, locale="en-US")]


async def test_the_sound_arrives_whole_and_in_whole_samples(synthesizer: ElevenLabsSynthesizer) -> None:
    chunks = await speak(synthesizer)
    assert len(chunks) > 2
    assert all(len(chunk.pcm) % 2 == 0 for chunk in chunks)
    assert b"".join(chunk.pcm for chunk in chunks) == spoken(TEXT)


async def test_every_word_is_named_once_with_its_time(synthesizer: ElevenLabsSynthesizer) -> None:
    words = [word for chunk in await speak(synthesizer) for word in chunk.words]
    assert [word for word, _ in words] == TEXT.split()
    assert [start for _, start in words] == pytest.approx(
        [TEXT.index(word) * SECONDS_PER_CHARACTER for word in TEXT.split()]
    )


async def test_a_word_without_a_time_begins_where_the_next_does(synthesizer: ElevenLabsSynthesizer) -> None:
    text = 'One <break time="1.5s" /> more, please. <end/>'
    chunks = await speak(synthesizer, text)
    words = [word for chunk in chunks for word in chunk.words]
    assert [word for word, _ in words] == text.split()
    times = [start for _, start in words]
    more = text.index("more") * SECONDS_PER_CHARACTER
    assert times[:5] == pytest.approx([0.0, more, more, more, more])
    assert times[5] < times[6] < len(spoken(text)) / 2 / 8_000


@pytest.mark.parametrize(("pace", "speed"), [(0.8, 0.8), (0.1, 0.7), (3.0, 1.2)])
async def test_pace_is_the_vendors_speed_within_its_limits(
    fake: FakeElevenLabs, synthesizer: ElevenLabsSynthesizer, pace: float, speed: float
) -> None:
    async with aclosing(synthesizer.synthesize(TEXT, voice="", locale="en-US", pace=pace)) as speech:
        sound = b"".join([chunk.pcm async for chunk in speech])
    assert fake.requests[0].body["voice_settings"] == {"speed": speed}
    assert sound == spoken(TEXT, speed)


async def test_speech_without_alignment_is_speech(fake: FakeElevenLabs, synthesizer: ElevenLabsSynthesizer) -> None:
    fake.script(Speech(alignment=False))
    chunks = await speak(synthesizer)
    assert b"".join(chunk.pcm for chunk in chunks) == spoken(TEXT)
    assert all(chunk.words == () for chunk in chunks)


async def test_what_is_asked_of_the_vendor(fake: FakeElevenLabs, synthesizer: ElevenLabsSynthesizer) -> None:
    await speak(synthesizer, '-f/etc/passwd "quoted"\n')
    await speak(synthesizer, voice="other123")
    first, second = fake.requests
    assert first.body["text"] == '-f/etc/passwd "quoted"\n'
    assert first.body["language_code"] == "en"
    assert "voice_settings" not in first.body, "the voice keeps its own"
    assert first.path == f"/v1/text-to-speech/{DEFAULT_VOICE}/stream/with-timestamps"
    assert second.path == "/v1/text-to-speech/other123/stream/with-timestamps"
    assert first.client == second.client, "the connection is used again"


async def test_the_connections_of_many_calls_are_all_kept(
    fake: FakeElevenLabs, synthesizer: ElevenLabsSynthesizer
) -> None:
    for _ in range(2):
        await asyncio.gather(*(speak(synthesizer) for _ in range(30)))
    clients = [request.client for request in fake.requests]
    assert set(clients[30:]) <= set(clients[:30])


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON at all",
        b'{"audio_base64": "AAAA',
        b'{"alignment": null}',
        b'{"audio_base64": null}',
        b'{"audio_base64": "#"}',
        b'{"audio_base64": 3}',
        b"[]",
        b"7",
    ],
)
async def test_a_line_that_is_no_audio_is_an_error(line: bytes) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"\r\n\n" + line)

    synthesizer = ElevenLabsSynthesizer(environment={"ELEVENLABS_API_KEY": KEY})
    synthesizer._http._transport = httpx.MockTransport(answer)
    with pytest.raises(ProviderError, match="unreadable") as caught:
        await speak(synthesizer)
    assert caught.value.retryable
    await synthesizer.aclose()


def answered_with(*lines: bytes) -> ElevenLabsSynthesizer:
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"\n".join(lines) + b"\n")

    synthesizer = ElevenLabsSynthesizer(environment={"ELEVENLABS_API_KEY": KEY})
    synthesizer._http._transport = httpx.MockTransport(answer)
    return synthesizer


def line(text: str, at: int, *, timed: bool = True) -> bytes:
    starts = [(at + each) * SECONDS_PER_CHARACTER for each in range(len(text))]
    alignment = {"characters": list(text), "character_start_times_seconds": starts} if timed else None
    return json.dumps({"audio_base64": b64encode(spoken(text)).decode(), "alignment": alignment}).encode()


async def test_a_line_that_cannot_be_read_is_no_gap_that_counts_as_heard() -> None:
    synthesizer = answered_with(line(TEXT[:8], 0), b'{"audio_base64": "AAAA', line(TEXT[8:], 8))
    with pytest.raises(ProviderError, match="unreadable"):
        await speak(synthesizer)
    await synthesizer.aclose()


@pytest.mark.parametrize("timed", [True, False])
async def test_speech_that_ends_in_order_before_its_text_broke_off(*, timed: bool) -> None:
    text = "I will refund forty two dollars to your card and send the form to you by mail."
    half = len(text) * 3 // 5 if timed else len(text) // 2
    synthesizer = answered_with(line(text[:half], 0, timed=timed))
    with pytest.raises(ProviderError, match="broke off"):
        await speak(synthesizer, text)
    await synthesizer.aclose()


async def test_a_line_without_end_is_given_up() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b'"' + b"A" * 1_000_000

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=endless())

    synthesizer = ElevenLabsSynthesizer(environment={"ELEVENLABS_API_KEY": KEY})
    synthesizer._http._transport = httpx.MockTransport(answer)
    with pytest.raises(ProviderError, match="unreadable"):
        await speak(synthesizer)
    await synthesizer.aclose()


async def test_a_voice_cannot_leave_its_place_in_the_path(
    fake: FakeElevenLabs, synthesizer: ElevenLabsSynthesizer
) -> None:
    with pytest.raises(ProviderError, match="not a voice id"):
        await speak(synthesizer, voice="../../v1/user")
    assert fake.requests == []
