"""Speech by LiveKit's plugins, the real one of Cartesia, against a fake that speaks its wire format."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from talkspurt.config import Config, LivekitOptions, SpeechConfig
from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech.livekit import find_plugin
from talkspurt.synthesizers import create_synthesizer
from talkspurt.synthesizers.livekit import INSTANCES, LivekitSynthesizer
from talkspurt.synthesizers.streamed import Patience
from talkspurt.testing.fakes import FakeCartesia, Fault, Speech
from talkspurt.testing.fakes.elevenlabs import SECONDS_PER_CHARACTER

KEY = "cartesia-canary-0123456789abcdef"
TEXT = "Your order is on its way, Anna. It will be there on Tuesday."
QUICK = Patience(connect=0.5, first=0.5, between=0.5)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)


@pytest.fixture
async def fake() -> AsyncIterator[FakeCartesia]:
    async with FakeCartesia(key=KEY) as fake:
        yield fake


@pytest.fixture
async def synthesizer(fake: FakeCartesia) -> AsyncIterator[LivekitSynthesizer]:
    synthesizer = connect(fake)
    yield synthesizer
    await synthesizer.aclose()


def connect(fake: FakeCartesia, patience: Patience | None = None, **options: Any) -> LivekitSynthesizer:
    configured = {"cartesia": {"base_url": fake.base_url, **options}}
    return LivekitSynthesizer(
        find_plugin("speech.synthesizer", "livekit:cartesia", "TTS", configured), patience=patience
    )


async def speak(
    synthesizer: LivekitSynthesizer, text: str = TEXT, voice: str = "", locale: str = "en-US", pace: float = 1.0
) -> list[SpeechChunk]:
    async with asyncio.timeout(10):
        return [chunk async for chunk in synthesizer.synthesize(text, voice=voice, locale=locale, pace=pace)]


async def failure(synthesizer: LivekitSynthesizer) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await speak(synthesizer)
    assert caught.value.port == "synthesizer"
    assert "as scripted" not in str(caught.value)
    return caught.value


async def test_the_configuration_chooses_it_with_its_model(fake: FakeCartesia) -> None:
    options = LivekitOptions(tts={"base_url": fake.base_url, "voice": "someone"})
    speech = SpeechConfig(synthesizer="livekit:cartesia:sonic-2", livekit={"cartesia": options})
    synthesizer = create_synthesizer(Config(speech=speech))
    await synthesizer.warm_up()
    assert fake.requests[0]["model_id"] == "sonic-2"
    assert fake.requests[0]["voice"] == {"mode": "id", "id": "someone"}
    await synthesizer.aclose()


async def test_the_sound_is_as_long_as_the_text_at_the_lines_own_rate(synthesizer: LivekitSynthesizer) -> None:
    chunks = await speak(synthesizer)
    seconds = sum(len(chunk.pcm) for chunk in chunks) / 2 / LINE_RATE_HZ
    assert seconds == pytest.approx(len(TEXT) * SECONDS_PER_CHARACTER, abs=0.2)


async def test_every_word_is_named_once_with_its_time(synthesizer: LivekitSynthesizer) -> None:
    words = [word for chunk in await speak(synthesizer) for word in chunk.words]
    assert [word for word, _ in words] == TEXT.split()
    expected = [word.start() for word in re.finditer(r"\S+", TEXT)]
    # The plugin parts sentences with a space of its own.
    assert [start for _, start in words] == pytest.approx(
        [place * SECONDS_PER_CHARACTER for place in expected], abs=0.06
    )


async def test_a_vendor_without_word_times_names_no_word(fake: FakeCartesia, synthesizer: LivekitSynthesizer) -> None:
    fake.otherwise = Speech(alignment=False)
    assert not any(chunk.words for chunk in await speak(synthesizer))


async def test_voice_language_and_pace_are_the_plugins_options(
    fake: FakeCartesia, synthesizer: LivekitSynthesizer
) -> None:
    await speak(synthesizer, "Hola.", voice="carmen", locale="es-MX", pace=0.8)
    request = fake.requests[0]
    assert request["voice"]["id"] == "carmen"
    assert request["language"] == "es"
    assert request["generation_config"]["speed"] == 0.8


async def test_a_language_in_the_options_stays(fake: FakeCartesia) -> None:
    synthesizer = connect(fake, language="de")
    await speak(synthesizer, locale="en-US")
    assert fake.requests[0]["language"] == "de"
    await synthesizer.aclose()


async def test_one_connection_serves_one_segment_after_the_other(
    fake: FakeCartesia, synthesizer: LivekitSynthesizer
) -> None:
    for text in ("Hello.", "One moment.", "Thank you."):
        await speak(synthesizer, text)
    assert len(fake.sockets) == 1


async def test_only_so_many_voices_are_kept(fake: FakeCartesia, synthesizer: LivekitSynthesizer) -> None:
    for number in range(INSTANCES + 2):
        await speak(synthesizer, "Hi.", voice=f"voice {number}")
    for socket in fake.sockets[:2]:
        await asyncio.wait_for(socket.closed.wait(), 5)
    assert not fake.sockets[2].closed.is_set()


async def test_a_voice_that_speaks_is_kept_however_many_others_do(
    fake: FakeCartesia, synthesizer: LivekitSynthesizer
) -> None:
    fake.otherwise = Speech(gap=0.05)
    voices = [f"voice {number}" for number in range(INSTANCES * 2)]
    spoken = await asyncio.gather(*(speak(synthesizer, voice=voice) for voice in voices))
    for chunks in spoken:
        seconds = sum(len(chunk.pcm) for chunk in chunks) / 2 / LINE_RATE_HZ
        assert seconds == pytest.approx(len(TEXT) * SECONDS_PER_CHARACTER, abs=0.2)
    for _ in range(100):
        closed = sum(socket.closed.is_set() for socket in fake.sockets)
        if closed == INSTANCES:
            break
        await asyncio.sleep(0.05)
    assert closed == INSTANCES


async def test_the_voice_that_was_used_longest_ago_speaks_on_while_others_come(
    fake: FakeCartesia, synthesizer: LivekitSynthesizer
) -> None:
    fake.script(Speech(gap=0.3))
    async with aclosing(synthesizer.synthesize(TEXT, voice="slow", locale="en-US")) as slow:
        chunks = [await anext(slow)]
        for number in range(INSTANCES + 2):
            await speak(synthesizer, "Hi.", voice=f"voice {number}")
        assert not fake.sockets[0].closed.is_set()
        chunks += [chunk async for chunk in slow]
    assert [word for chunk in chunks for word, _ in chunk.words] == TEXT.split()


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (Fault.HANG, "no audio in time"),
        (Fault.STALL, "no audio in time"),
        (Fault.BREAK, "the connection was closed"),
        (Fault.CUT_SHORT, "the speech broke off"),
        (Fault.GARBAGE, "the connection failed"),
        # The plugin takes a late error for an orderly end: both say `done`.
        (Fault.REPORT, "the speech broke off"),
    ],
)
async def test_a_fault_is_one_error_that_may_be_tried_again_elsewhere(
    fake: FakeCartesia, synthesizer: LivekitSynthesizer, fault: Fault, named: str
) -> None:
    fake.script(Speech(fault=fault))
    hurried = connect(fake, QUICK)
    error = await failure(hurried)
    await hurried.aclose()
    assert named in str(error)
    assert error.retryable
    contexts = {request["context_id"] for request in fake.requests}
    assert len(contexts) == 1, "the plugin tried again by itself"
    assert await speak(synthesizer), "the next segment is whole"


async def test_a_key_that_is_rejected_says_so(fake: FakeCartesia, synthesizer: LivekitSynthesizer) -> None:
    fake.key = "another"
    error = await failure(synthesizer)
    assert str(error) == (
        "livekit:cartesia synthesizer: HTTP 401: the key is not accepted; look at its key in the environment"
    )
    assert error.rejected
    assert not error.retryable


async def test_a_refusal_for_its_rate_may_be_tried_again(fake: FakeCartesia, synthesizer: LivekitSynthesizer) -> None:
    fake.refuse_with = 429
    error = await failure(synthesizer)
    assert (error.fault, error.retryable) == ("rate_limited", True)


async def test_no_log_has_what_was_said(fake: FakeCartesia, synthesizer: LivekitSynthesizer) -> None:
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keeping()
    logging.getLogger().addHandler(handler)
    try:
        fake.script(Speech(status=500), Speech(fault=Fault.GARBAGE))
        await failure(synthesizer)
        await failure(synthesizer)
    finally:
        logging.getLogger().removeHandler(handler)
    assert not [record for record in records if record.name.startswith("livekit")]


async def test_a_closed_generator_frees_the_vendor_within_a_bounded_time(
    fake: FakeCartesia, synthesizer: LivekitSynthesizer
) -> None:
    fake.otherwise = Speech(gap=0.2)
    async with asyncio.timeout(2):
        async with aclosing(synthesizer.synthesize(TEXT * 3, voice="", locale="en-US")) as speech:
            async for _ in speech:
                break
