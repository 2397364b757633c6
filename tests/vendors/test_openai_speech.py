"""OpenAI's speech through its real SDK, against a fake that speaks its wire format."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.synthesizers.openai import DEFAULT_VOICE, MODEL, OpenAISynthesizer
from talkspurt.testing.fakes import FakeOpenAISpeech
from talkspurt.testing.fakes.speech import spoken
from vendors.voices import KEY, TEXT, VOICES, speak


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAISpeech]:
    async with FakeOpenAISpeech(key=KEY) as fake:
        yield fake


@pytest.fixture
async def synthesizer(fake: FakeOpenAISpeech) -> AsyncIterator[OpenAISynthesizer]:
    synthesizer: OpenAISynthesizer = VOICES["openai"].connect(fake)
    yield synthesizer
    await synthesizer.aclose()


async def test_the_sound_comes_at_the_lines_rate_and_whole(synthesizer: OpenAISynthesizer) -> None:
    chunks = await speak(synthesizer)
    assert all(chunk.words == () for chunk in chunks)
    heard = np.frombuffer(b"".join(chunk.pcm for chunk in chunks), dtype="<i2").astype(float)
    meant = np.frombuffer(spoken(TEXT), dtype="<i2").astype(float)
    assert abs(len(heard) - len(meant)) <= 0.03 * LINE_RATE_HZ
    # A voice's band survives the way down from 24 kHz: the same sound, but for a shift of a few samples.
    best = max(np.corrcoef(heard[shift : shift + 8_000], meant[:8_000])[0, 1] for shift in range(240))
    assert best > 0.99


@pytest.mark.parametrize(("pace", "speed"), [(0.8, 0.8), (0.1, 0.25), (9.0, 4.0)])
async def test_pace_is_the_vendors_speed_within_its_limits(
    fake: FakeOpenAISpeech, synthesizer: OpenAISynthesizer, pace: float, speed: float
) -> None:
    await speak(synthesizer, pace=pace)
    assert fake.requests[0].body["speed"] == speed


async def test_what_is_asked_of_the_vendor(fake: FakeOpenAISpeech, synthesizer: OpenAISynthesizer) -> None:
    await speak(synthesizer, '-f/etc/passwd "quoted"\n')
    await speak(synthesizer, voice="coral")
    first, second = fake.requests
    assert first.body == {
        "model": MODEL,
        "voice": DEFAULT_VOICE,
        "input": '-f/etc/passwd "quoted"\n',
        "response_format": "pcm",
    }
    assert second.body["voice"] == "coral"


async def test_a_text_that_is_too_long_is_refused_unasked(
    fake: FakeOpenAISpeech, synthesizer: OpenAISynthesizer
) -> None:
    with pytest.raises(ProviderError, match="5000 characters are more than 4096") as caught:
        await speak(synthesizer, "a" * 5_000)
    assert not caught.value.retryable
    assert fake.requests == []
