"""Recognition by LiveKit's plugins, the real ones, against fakes that speak their vendors' wire formats."""

import asyncio
import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from livekit.agents import LanguageCode, stt

from talkspurt.config import Config, LivekitOptions, SpeechConfig
from talkspurt.errors import ProviderError
from talkspurt.ports import RecognizerStream, Transcript
from talkspurt.recognizers import create_recognizer
from talkspurt.recognizers.livekit import LivekitRecognizer
from talkspurt.recognizers.livekit_stream import LivekitStream, Patience
from talkspurt.speech.livekit import find_plugin
from talkspurt.testing.fakes import FakeAssemblyAI, FakeDeepgram

KEY = "aai-canary-0123456789abcdef"
QUICK = Patience(connect=1.0, answer=2.5, close=0.5)


def voice(seconds: float) -> bytes:
    samples = [int(8000 * math.sin(2 * math.pi * 300 * n / 8000)) for n in range(round(seconds * 8000))]
    return struct.pack(f"<{len(samples)}h", *samples)


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * 8000))


def feed(stream: RecognizerStream, pcm: bytes) -> None:
    for start in range(0, len(pcm), 320):
        stream.feed(pcm[start : start + 320])


async def final(stream: RecognizerStream, utterance: int, revision: int = 1) -> Transcript:
    async with asyncio.timeout(5):
        async for transcript in stream.transcripts():
            if transcript.final and (transcript.utterance, transcript.revision) == (utterance, revision):
                return transcript
    raise AssertionError("the stream ended without an answer")


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not come to that in 5 s")


async def hear(stream: RecognizerStream, utterance: int, pcm: bytes | None = None) -> Transcript:
    """Say something as one utterance; the answer to its `finalize`."""
    stream.begin(utterance, 0.0)
    feed(stream, (voice(1.2) if pcm is None else pcm) + silence(0.3))
    stream.finalize(utterance, 1)
    answer = await final(stream, utterance)
    stream.end(utterance)
    return answer


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)


@pytest.fixture
async def fake() -> AsyncIterator[FakeAssemblyAI]:
    async with FakeAssemblyAI(("where is my order", "thank you very much"), key=KEY) as fake:
        yield fake


def recognizer_at(base_url: str, **options: Any) -> LivekitRecognizer:
    configured = {"assemblyai": {"base_url": base_url, **options}}
    return LivekitRecognizer(find_plugin("speech.recognizer", "livekit:assemblyai", "STT", configured), patience=QUICK)


@pytest.fixture
async def recognizer(fake: FakeAssemblyAI) -> AsyncIterator[LivekitRecognizer]:
    recognizer = recognizer_at(fake.base_url)
    yield recognizer
    await recognizer.aclose()


@pytest.fixture
async def stream(recognizer: LivekitRecognizer) -> AsyncIterator[LivekitStream]:
    stream = await recognizer.open(locale="en-US", call_id="c1")
    assert isinstance(stream, LivekitStream)
    yield stream
    await stream.aclose()


async def test_the_configuration_chooses_it_with_its_model(fake: FakeAssemblyAI) -> None:
    options = LivekitOptions(stt={"keyterms_prompt": ["Talkspurt"]})
    speech = SpeechConfig(
        recognizer="livekit:assemblyai:universal-streaming-english",
        base_url={"livekit:assemblyai": fake.base_url},
        livekit={"assemblyai": options},
    )
    recognizer = create_recognizer(Config(speech=speech))
    await recognizer.warm_up()
    query = fake.sockets[0].query
    assert query["speech_model"] == "universal-streaming-english"
    assert query["keyterms_prompt"] == '["Talkspurt"]'
    await recognizer.aclose()


async def test_audio_arrives_whole_at_the_rate_that_the_plugin_wants(
    fake: FakeAssemblyAI, stream: LivekitStream
) -> None:
    assert (await hear(stream, 1)).text == "where is my order"
    assert fake.sockets[0].query["sample_rate"] == "16000"
    assert fake.sockets[0].seconds == pytest.approx(1.5, abs=0.06)


async def test_a_finalize_ends_the_vendors_turn_and_is_answered_as_soon_as_the_words_are_there(
    fake: FakeAssemblyAI,
) -> None:
    # The vendor would wait for two seconds of silence itself.
    recognizer = recognizer_at(fake.base_url, min_turn_silence=2_000)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    stream.begin(1, 0.0)
    feed(stream, voice(1.2) + silence(0.3))
    await asyncio.sleep(0.2)
    asked = asyncio.get_running_loop().time()
    stream.finalize(1, 1)
    assert (await final(stream, 1)).text == "where is my order"
    # Had nobody known that the words reach the last sound, it would have been 0.7 s and more.
    assert asyncio.get_running_loop().time() - asked < 0.6
    assert "ForceEndpoint" in fake.sockets[0].controls
    await stream.aclose()
    await recognizer.aclose()


async def test_it_tells_how_much_audio_the_plugin_was_given(stream: LivekitStream) -> None:
    feed(stream, silence(2.0))
    await hear(stream, 1)
    assert stream.sent_seconds == pytest.approx(3.5)


async def test_words_are_told_while_they_are_said(stream: LivekitStream) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(0.8))
    async with asyncio.timeout(5):
        partial = await anext(aiter(stream.transcripts()))
    assert not partial.final
    assert "where is my".startswith(partial.text)


async def test_a_lost_connection_is_an_error_for_what_is_open_and_replaced_for_what_follows(
    fake: FakeAssemblyAI, stream: LivekitStream
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(0.8))
    await asyncio.wait_for(fake.connected.wait(), 5)
    fake.drop()
    await until(lambda: stream.failure is not None)
    stream.finalize(1, 1)
    assert (await final(stream, 1)).error
    stream.end(1)
    await until(lambda: len(fake.sockets) == 2)
    assert (await hear(stream, 2)).text == "where is my order"
    assert stream.reconnections == 1


async def test_a_key_that_is_rejected_is_known_when_it_is_warmed(fake: FakeAssemblyAI) -> None:
    fake.key = "another"
    recognizer = recognizer_at(fake.base_url)
    with pytest.raises(ProviderError, match="HTTP 401: the key is not accepted") as caught:
        await recognizer.warm_up()
    assert caught.value.rejected
    assert caught.value.fault == "key_rejected"
    assert KEY not in str(caught.value)
    await recognizer.aclose()


async def test_nobody_listening_is_an_error_at_once_and_a_hung_connect_within_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as hung:
        address = f"ws://127.0.0.1:{hung.getsockname()[1]}"
        recognizer = recognizer_at(address)
        with pytest.raises(ProviderError, match="no connection in time"):
            await asyncio.wait_for(recognizer.warm_up(), 6)
        await recognizer.aclose()
    recognizer = recognizer_at(address)
    with pytest.raises(ProviderError, match="the connection failed"):
        await asyncio.wait_for(recognizer.warm_up(), 2)
    await recognizer.aclose()


async def test_a_vendor_that_says_nothing_is_believed_once_and_then_taken_for_dead(
    fake: FakeAssemblyAI, stream: LivekitStream
) -> None:
    fake.silent = True
    assert await hear(stream, 1) == Transcript(1, 1, "")
    assert (await hear(stream, 2)).error == "no answer in time"
    fake.silent = False
    await until(lambda: len(fake.sockets) == 2)
    assert (await hear(stream, 3)).text == "where is my order"


async def test_noise_without_words_is_no_fault(fake: FakeAssemblyAI, stream: LivekitStream) -> None:
    fake.silent = True
    for utterance in range(1, 4):
        assert await hear(stream, utterance, voice(0.3)) == Transcript(utterance, 1, "")
    assert len(fake.sockets) == 1


async def test_a_vendor_that_takes_no_audio_is_left(fake: FakeAssemblyAI, stream: LivekitStream) -> None:
    await asyncio.wait_for(fake.connected.wait(), 5)
    stream.begin(1, 0.0)
    feed(stream, voice(30.0))
    stream.finalize(1, 1)
    assert "takes no audio" in ((await final(stream, 1)).error or "")


@pytest.fixture
async def deepgram() -> AsyncIterator[tuple[FakeDeepgram, LivekitStream]]:
    async with FakeDeepgram(("yes no wait",), key=KEY) as fake:
        configured = {"deepgram": {"base_url": f"{fake.base_url}/v1/listen", "sample_rate": 8_000}}
        recognizer = LivekitRecognizer(
            find_plugin("speech.recognizer", "livekit:deepgram", "STT", configured), patience=QUICK
        )
        stream = await recognizer.open(locale="en-US", call_id="c1")
        assert isinstance(stream, LivekitStream)
        yield fake, stream
        await stream.aclose()
        await recognizer.aclose()


async def test_guesses_that_reach_the_last_sound_are_told_without_a_final(
    deepgram: tuple[FakeDeepgram, LivekitStream],
) -> None:
    fake, stream = deepgram
    fake.answers_finalize = False
    assert (await hear(stream, 1, voice(1.0))).text == "yes no wait"


async def test_a_guess_of_a_vendor_that_hangs_is_not_told_as_all_that_was_said(
    fake: FakeAssemblyAI, stream: LivekitStream
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(0.3))
    async with asyncio.timeout(5):
        partial = await anext(aiter(stream.transcripts()))
    assert partial.text == "where"
    fake.silent = True
    feed(stream, voice(0.9) + silence(0.3))
    stream.finalize(1, 1)
    answer = await final(stream, 1)
    assert (answer.text, answer.error) == ("", "no answer in time")
    assert answer.failure is not None
    assert answer.failure.fault == "timeout"
    fake.silent = False
    stream.end(1)
    await until(lambda: len(fake.sockets) == 2)
    assert (await hear(stream, 2)).text == "where is my order"


async def test_the_final_of_a_vendor_that_hangs_after_it_is_not_told_as_all_that_was_said(
    fake: FakeAssemblyAI, stream: LivekitStream
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.2) + silence(0.5))
    await until(lambda: stream._final_at > 0)
    fake.silent = True
    feed(stream, voice(0.9) + silence(0.3))
    stream.finalize(1, 1)
    assert (await final(stream, 1)).error == "no answer in time"
    assert stream.failure is None, "it may have been a noise"


async def test_a_little_noise_after_a_final_is_no_fault(fake: FakeAssemblyAI, stream: LivekitStream) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.2) + silence(0.5))
    await until(lambda: stream._final_at > 0)
    fake.silent = True
    feed(stream, silence(0.3) + voice(0.3) + silence(0.3))
    stream.finalize(1, 1)
    assert (await final(stream, 1)).text == "where is my order"


async def test_of_a_guess_without_times_nobody_knows_how_far_it_reaches(
    fake: FakeAssemblyAI, stream: LivekitStream
) -> None:
    await asyncio.wait_for(fake.connected.wait(), 5)
    fake.silent = True
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.3))
    stream.finalize(1, 1)
    said = stt.SpeechData(language=LanguageCode("en"), text="yes")
    stream._hear(stt.SpeechEvent(type=stt.SpeechEventType.INTERIM_TRANSCRIPT, alternatives=[said]))
    assert (await final(stream, 1)).error == "no answer in time"
    assert stream.failure is None, "it lives"


async def test_what_is_left_of_a_call_is_closed(fake: FakeAssemblyAI, stream: LivekitStream) -> None:
    await hear(stream, 1)
    await stream.aclose()
    await asyncio.wait_for(fake.sockets[0].closed.wait(), 5)
