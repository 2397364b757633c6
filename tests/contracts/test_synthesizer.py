"""What every `Synthesizer` owes its callers, run on each of them.

To join, add an entry to `CASES`: a context that gives the synthesizer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import cast

import numpy as np
import pytest

from talkspurt.config import Config, LivekitOptions, ScriptedConfig, SpeechConfig
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk, Synthesizer
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.models import Models
from talkspurt.speech.inference.remote import RemoteInference
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.synthesizers.elevenlabs import ElevenLabsSynthesizer
from talkspurt.synthesizers.google import GoogleSynthesizer
from talkspurt.synthesizers.livekit import LivekitSynthesizer
from talkspurt.synthesizers.openai import OpenAISynthesizer
from talkspurt.synthesizers.piper import PiperSynthesizer
from talkspurt.testing.fakes import FakeCartesia, FakeElevenLabs, FakeOpenAISpeech
from talkspurt.testing.fakes.google_cloud import FakeGoogleSynthesis
from talkspurt.testing.providers import ToneSynthesizer
from talkspurt.testing.scripted import TimedSynthesizer

TEXT = "Your order has been shipped, and it will arrive on Tuesday."
ODD = "— Of the 2 (two) items, $5.20 each, W237-b is e-mailed to x_y@example.com & co. …"
LONG = "It comes with the next delivery on Monday morning. " * 8


@asynccontextmanager
async def piper(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    models = Models(request.getfixturevalue("weight_store"), voices={"joe": request.getfixturevalue("joe")})
    yield PiperSynthesizer(LocalInference(models), patience=30)


@asynccontextmanager
async def piper_in_a_process(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    inference = RemoteInference([request.getfixturevalue("inference_socket")], silence=20)
    yield PiperSynthesizer(inference, patience=30)


@asynccontextmanager
async def cached(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with piper(request) as synthesizer:
        yield PhraseCache(synthesizer)


@asynccontextmanager
async def elevenlabs(_request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with FakeElevenLabs(key="key") as fake:
        yield ElevenLabsSynthesizer(base_url=fake.base_url, environment={"ELEVENLABS_API_KEY": "key"})


@asynccontextmanager
async def openai(_request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with FakeOpenAISpeech(key="key") as fake:
        yield OpenAISynthesizer(base_url=fake.base_url, environment={"OPENAI_API_KEY": "key"})


@asynccontextmanager
async def google(_request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with FakeGoogleSynthesis() as fake:
        environment = {"GOOGLE_APPLICATION_CREDENTIALS": fake.credentials()}
        yield GoogleSynthesizer(base_url=fake.base_url, environment=environment)


@asynccontextmanager
async def cartesia_plugin(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with FakeCartesia(key="key") as fake:
        request.getfixturevalue("monkeypatch").setenv("CARTESIA_API_KEY", "key")
        options = {"cartesia": LivekitOptions(tts={"base_url": fake.base_url})}
        yield LivekitSynthesizer.from_config(
            Config(speech=SpeechConfig(synthesizer="livekit:cartesia", livekit=options))
        )


@asynccontextmanager
async def openai_plugin(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    """One that speaks by HTTP, at another rate and without word times."""
    async with FakeOpenAISpeech(key="key") as fake:
        request.getfixturevalue("monkeypatch").setenv("OPENAI_API_KEY", "key")
        options = LivekitOptions(tts={"base_url": fake.base_url, "response_format": "pcm"})
        yield LivekitSynthesizer.from_config(
            Config(speech=SpeechConfig(synthesizer="livekit:openai", livekit={"openai": options}))
        )


@asynccontextmanager
async def tone(_request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    yield ToneSynthesizer()


@asynccontextmanager
async def scripted(_request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    yield TimedSynthesizer(ScriptedConfig(speed=20))


CASES: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Synthesizer]]] = {
    "piper": piper,
    "piper in a process": piper_in_a_process,
    "cached piper": cached,
    "elevenlabs": elevenlabs,
    "openai": openai,
    "google": google,
    "livekit:cartesia": cartesia_plugin,
    "livekit:openai": openai_plugin,
    "tone": tone,
    "scripted": scripted,
}


@pytest.fixture(params=sorted(CASES))
async def synthesizer(request: pytest.FixtureRequest) -> AsyncIterator[Synthesizer]:
    async with CASES[cast(str, request.param)](request) as synthesizer:
        yield synthesizer
        await synthesizer.aclose()


async def speak(synthesizer: Synthesizer, text: str, pace: float = 1.0) -> list[SpeechChunk]:
    async with asyncio.timeout(30):
        return [chunk async for chunk in synthesizer.synthesize(text, voice="", locale="en-US", pace=pace)]


def sound(chunks: list[SpeechChunk]) -> np.ndarray:
    return np.frombuffer(b"".join(chunk.pcm for chunk in chunks), dtype="<i2")


async def test_speech_comes_in_chunks_of_whole_samples(synthesizer: Synthesizer) -> None:
    # Long enough that even a busy machine, which holds the beginning back, sends the rest in pieces.
    chunks = await speak(synthesizer, LONG)
    assert len(chunks) > 1
    assert all(chunk.pcm and len(chunk.pcm) % 2 == 0 for chunk in chunks)


async def test_speech_lasts_as_long_as_people_take(synthesizer: Synthesizer) -> None:
    seconds = len(sound(await speak(synthesizer, TEXT))) / LINE_RATE_HZ
    assert len(TEXT) / 25 < seconds < len(TEXT) / 8


async def test_speech_is_loud_enough_and_never_clipped(synthesizer: Synthesizer) -> None:
    peak = np.abs(sound(await speak(synthesizer, TEXT)).astype(int)).max()
    assert 4_000 < peak < 32_767


@pytest.mark.parametrize("text", ["", "   ", "\n"])
async def test_nothing_to_say_is_no_speech_and_no_error(synthesizer: Synthesizer, text: str) -> None:
    assert await speak(synthesizer, text) == []


@pytest.mark.parametrize("text", [TEXT, LONG, ODD])
async def test_every_word_has_a_time_within_the_speech_or_none_has(synthesizer: Synthesizer, text: str) -> None:
    chunks = await speak(synthesizer, text)
    words = [word for chunk in chunks for word in chunk.words]
    assert not words or [word for word, _ in words] == text.split()
    times = [start for _, start in words]
    assert times == sorted(times)
    assert all(0 <= start <= len(sound(chunks)) / LINE_RATE_HZ for start in times)


async def test_slower_speech_is_longer(synthesizer: Synthesizer) -> None:
    # A long text: voices vary how long they make each sound by chance, of one sentence by up to a tenth.
    usual, slow = [len(sound(await speak(synthesizer, LONG, pace))) for pace in (1.0, 0.8)]
    assert 1.1 < slow / usual < 1.45


async def test_a_closed_generator_ends_and_the_next_segment_is_whole(synthesizer: Synthesizer) -> None:
    async with aclosing(synthesizer.synthesize(LONG, voice="", locale="en-US")) as speech:
        async for chunk in speech:
            assert chunk.pcm
            break
    assert len(sound(await speak(synthesizer, TEXT))) > LINE_RATE_HZ


async def test_a_cancelled_listener_leaves_the_next_segment_whole(synthesizer: Synthesizer) -> None:
    task = asyncio.create_task(speak(synthesizer, LONG))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(sound(await speak(synthesizer, TEXT))) > LINE_RATE_HZ


async def test_segments_at_once_are_each_whole(synthesizer: Synthesizer) -> None:
    texts = ["Hello.", TEXT, "One moment, please."]
    together = await asyncio.gather(*(speak(synthesizer, text) for text in texts))
    lengths = [len(sound(chunks)) for chunks in together]
    assert lengths[0] < lengths[2] < lengths[1]


async def test_warming_up_and_closing_twice_is_harmless(synthesizer: Synthesizer) -> None:
    async with asyncio.timeout(30):
        await synthesizer.warm_up()
        await synthesizer.aclose()
        await synthesizer.aclose()
