"""What every `Recognizer` owes its callers, run on each of them.

To join, add an entry to `CASES`: a context that gives a `Case` with two stretches of audio and the
words in each. The first is heard first on every stream (a scripted vendor hears by order).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest

from talkspurt.config import Config, LivekitOptions, SpeechConfig
from talkspurt.errors import ProviderError
from talkspurt.ports import Recognizer, RecognizerStream, Transcript
from talkspurt.recognizers.answers import Patience
from talkspurt.recognizers.deepgram import DeepgramRecognizer
from talkspurt.recognizers.google import GoogleRecognizer
from talkspurt.recognizers.livekit import LivekitRecognizer
from talkspurt.recognizers.openai import OpenAIRecognizer
from talkspurt.recognizers.whisper import WhisperRecognizer
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.models import Models
from talkspurt.speech.inference.remote import RemoteInference
from talkspurt.speech.weights import WeightStore
from talkspurt.speech_to_speech.openai_realtime import OpenAIRealtime
from talkspurt.testing.fakes import FakeAssemblyAI, FakeDeepgram, FakeOpenAIRealtime, FakeOpenAITranscription
from talkspurt.testing.fakes.google_cloud import FakeGoogleRecognition
from vendors.openai_files import FakeRecordings

FIRST = "where is my order"
SECOND = "thank you very much"
SILENCE = bytes(2 * 4_800)
"""Six tenths of a second."""
TONE = b"\x00\x20\x00\xe0" * 4_000
"""For the fakes, which part phrases at pauses: a tone has none."""


@dataclass(frozen=True)
class Case:
    recognizer: Recognizer
    first: bytes
    second: bytes


@asynccontextmanager
async def whisper(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    models = Models(request.getfixturevalue("weight_store"), transcriber=request.getfixturevalue("transcriber"))
    recognizer = WhisperRecognizer(LocalInference(models), patience=30)
    spoken: Callable[[str], bytes] = request.getfixturevalue("spoken")
    try:
        yield Case(recognizer, spoken("Where is my order?"), spoken("Thank you very much."))
    finally:
        await recognizer.aclose()


@asynccontextmanager
async def whisper_in_a_process(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    inference = RemoteInference([request.getfixturevalue("inference_socket")], silence=20)
    recognizer = WhisperRecognizer(inference, patience=30)
    spoken: Callable[[str], bytes] = request.getfixturevalue("spoken")
    try:
        yield Case(recognizer, spoken("Where is my order?"), spoken("Thank you very much."))
    finally:
        await recognizer.aclose()


@asynccontextmanager
async def deepgram(_request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with FakeDeepgram((FIRST, SECOND), key="key") as fake:
        recognizer = DeepgramRecognizer(base_url=fake.base_url, environment={"DEEPGRAM_API_KEY": "key"})
        try:
            yield Case(recognizer, TONE, TONE)
        finally:
            await recognizer.aclose()


@asynccontextmanager
async def openai(_request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with FakeOpenAITranscription((FIRST, SECOND), key="key") as fake:
        recognizer = OpenAIRecognizer(base_url=fake.base_url, environment={"OPENAI_API_KEY": "key"})
        try:
            yield Case(recognizer, TONE, TONE)
        finally:
            await recognizer.aclose()


@asynccontextmanager
async def google(_request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with FakeGoogleRecognition((FIRST, SECOND)) as fake:
        environment = {"GOOGLE_APPLICATION_CREDENTIALS": fake.credentials()}
        # On a busy machine a channel may take longer to connect than callers would wait.
        recognizer = GoogleRecognizer(base_url=fake.base_url, environment=environment, patience=Patience(connect=30))
        try:
            yield Case(recognizer, TONE, TONE)
        finally:
            await recognizer.aclose()


@asynccontextmanager
async def assemblyai_plugin(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with (
        FakeAssemblyAI((FIRST, SECOND), key="key") as fake,
        plugin(request, "assemblyai", {"base_url": fake.base_url}, ASSEMBLYAI_API_KEY="key") as case,
    ):
        yield case


@asynccontextmanager
async def deepgram_plugin(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with FakeDeepgram((FIRST, SECOND), key="key") as fake:
        options = {"base_url": f"{fake.base_url}/v1/listen", "sample_rate": 8_000}
        async with plugin(request, "deepgram", options, DEEPGRAM_API_KEY="key") as case:
            yield case


@asynccontextmanager
async def openai_plugin(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """One that hears no streams, but whole utterances."""
    async with (
        FakeRecordings(FIRST, SECOND, key="key") as fake,
        plugin(request, "openai", {"base_url": fake.base_url}, OPENAI_API_KEY="key") as case,
    ):
        yield Case(case.recognizer, case.first, case.first[: len(case.first) // 2])


@asynccontextmanager
async def plugin(
    request: pytest.FixtureRequest, name: str, options: dict[str, Any], **environment: str
) -> AsyncIterator[Case]:
    for variable, value in environment.items():
        request.getfixturevalue("monkeypatch").setenv(variable, value)
    config = Config(speech=SpeechConfig(recognizer=f"livekit:{name}", livekit={name: LivekitOptions(stt=options)}))
    recognizer = LivekitRecognizer.from_config(config)
    # Low enough that it survives a change of the rate.
    tone = (b"\x00\x20" * 8 + b"\x00\xe0" * 8) * 500
    try:
        yield Case(recognizer, tone, tone)
    finally:
        await recognizer.aclose()


class Realtime:
    """A model that speaks itself, as a `Recognizer`: every stream is a call of its own."""

    def __init__(self, vendor: OpenAIRealtime) -> None:
        self._vendor = vendor

    async def warm_up(self) -> None:
        await self._vendor.warm_up()

    async def open(self, *, locale: str, call_id: str) -> RecognizerStream:
        return await self._vendor.for_call().recognizer.open(locale=locale, call_id=call_id)

    async def aclose(self) -> None:
        await self._vendor.aclose()


@asynccontextmanager
async def realtime(_request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with FakeOpenAIRealtime((FIRST, SECOND), key="key") as fake:
        vendor = OpenAIRealtime("openai-realtime:m", base_url=fake.base_url, environment={"OPENAI_API_KEY": "key"})
        tone = b"\x00\x20\x00\xe0" * 4_000
        try:
            yield Case(Realtime(vendor), tone, tone)
        finally:
            await vendor.aclose()


CASES: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Case]]] = {
    "whisper": whisper,
    "whisper in a process": whisper_in_a_process,
    "deepgram": deepgram,
    "openai": openai,
    "google": google,
    "livekit:assemblyai": assemblyai_plugin,
    "livekit:deepgram": deepgram_plugin,
    "livekit:openai": openai_plugin,
    "openai-realtime": realtime,
}


@pytest.fixture(params=sorted(CASES))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with CASES[cast(str, request.param)](request) as case:
        yield case


@pytest.fixture
async def stream(case: Case) -> AsyncIterator[RecognizerStream]:
    stream = await case.recognizer.open(locale="en-US", call_id="c1")
    yield stream
    await stream.aclose()


def feed(stream: RecognizerStream, pcm: bytes) -> None:
    for start in range(0, len(pcm), 320):
        stream.feed(pcm[start : start + 320])


async def answer(stream: RecognizerStream, utterance: int, revision: int) -> Transcript:
    async with asyncio.timeout(20):
        async for transcript in stream.transcripts():
            if transcript.final and (transcript.utterance, transcript.revision) == (utterance, revision):
                return transcript
    raise AssertionError("the stream ended without an answer")


def words(transcript: Transcript) -> str:
    assert transcript.error is None
    return " ".join(re.findall(r"[a-z']+", transcript.text.lower()))


async def test_a_final_has_the_words_of_its_utterance(case: Case, stream: RecognizerStream) -> None:
    feed(stream, SILENCE)
    stream.begin(1, 0.2)
    feed(stream, case.first + SILENCE)
    stream.finalize(1, 1)
    assert words(await answer(stream, 1, 1)) == FIRST


async def test_words_before_begin_belong_to_the_utterance_as_far_as_the_lead_in(
    case: Case, stream: RecognizerStream
) -> None:
    feed(stream, SILENCE + case.first)
    stream.begin(1, len(case.first) / 16_000 + 0.2)
    feed(stream, SILENCE)
    stream.finalize(1, 1)
    assert words(await answer(stream, 1, 1)) == FIRST


async def test_a_later_revision_covers_the_utterance_from_its_beginning(case: Case, stream: RecognizerStream) -> None:
    stream.begin(1, 0.0)
    feed(stream, case.first + SILENCE)
    stream.finalize(1, 1)
    assert words(await answer(stream, 1, 1)) == FIRST
    feed(stream, case.second + SILENCE)
    stream.finalize(1, 2)
    assert words(await answer(stream, 1, 2)) == f"{FIRST} {SECOND}"


async def test_utterances_do_not_share_words(case: Case, stream: RecognizerStream) -> None:
    stream.begin(1, 0.0)
    feed(stream, case.first + SILENCE)
    stream.finalize(1, 1)
    assert words(await answer(stream, 1, 1)) == FIRST
    stream.end(1)
    feed(stream, SILENCE)
    stream.begin(2, 0.2)
    feed(stream, case.second + SILENCE)
    stream.finalize(2, 1)
    assert words(await answer(stream, 2, 1)) == SECOND


async def test_silence_has_no_words(stream: RecognizerStream) -> None:
    stream.begin(1, 0.0)
    feed(stream, 2 * SILENCE)
    stream.finalize(1, 1)
    assert await answer(stream, 1, 1) == Transcript(1, 1, "")


async def test_every_revision_that_was_asked_for_is_answered(case: Case, stream: RecognizerStream) -> None:
    stream.begin(1, 0.0)
    feed(stream, case.first + SILENCE)
    for revision in (1, 2, 3):
        stream.finalize(1, revision)
    answered = []
    async with asyncio.timeout(20):
        async for transcript in stream.transcripts():
            if transcript.final:
                answered.append(transcript)
            if len(answered) == 3:
                break
    assert sorted(transcript.revision for transcript in answered) == [1, 2, 3]
    assert {words(transcript) for transcript in answered} == {FIRST}


async def test_an_utterance_that_never_began_is_answered_with_an_error(stream: RecognizerStream) -> None:
    stream.finalize(7, 1)
    assert (await answer(stream, 7, 1)).error


async def test_streams_do_not_hear_each_other(case: Case) -> None:
    speaking = await case.recognizer.open(locale="en-US", call_id="a")
    silent = await case.recognizer.open(locale="en-US", call_id="b")
    for stream, pcm in ((speaking, case.first), (silent, bytes(len(case.first)))):
        stream.begin(1, 0.0)
        feed(stream, pcm + SILENCE)
        stream.finalize(1, 1)
    heard = await asyncio.gather(answer(speaking, 1, 1), answer(silent, 1, 1))
    assert [words(transcript) for transcript in heard] == [FIRST, ""]
    await speaking.aclose()
    await silent.aclose()


async def test_closing_ends_the_transcripts_and_whatever_comes_later_is_harmless(
    case: Case, stream: RecognizerStream
) -> None:
    reading = asyncio.ensure_future(collect(stream))
    stream.begin(1, 0.0)
    feed(stream, case.first)
    await stream.aclose()
    await stream.aclose()
    async with asyncio.timeout(5):
        await reading
    feed(stream, SILENCE)
    stream.begin(2, 0.1)
    stream.finalize(2, 1)
    stream.end(2)
    await case.recognizer.aclose()
    await case.recognizer.aclose()


async def collect(stream: RecognizerStream) -> list[Transcript]:
    return [transcript async for transcript in stream.transcripts()]


async def test_warming_up_answers_once(case: Case) -> None:
    async with asyncio.timeout(20):
        await case.recognizer.warm_up()


async def test_whisper_refuses_a_language_that_it_does_not_know(weight_store: WeightStore) -> None:
    recognizer = WhisperRecognizer(LocalInference(Models(weight_store)))
    with pytest.raises(ProviderError, match="hears English, not 'de-DE'"):
        await recognizer.open(locale="de-DE", call_id="c1")
    await recognizer.aclose()
