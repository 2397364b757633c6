"""What is Whisper's own: what it is not believed, whose turn it is, and how many words it gets wrong."""

import asyncio
import runpy
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkspurt.errors import WeightsError
from talkspurt.ports import LINE_RATE_HZ, Transcript
from talkspurt.recognizers.utterances import LEAD_IN, UTTERANCES, UtteranceStream
from talkspurt.recognizers.whisper import WhisperRecognizer
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.models import Models
from talkspurt.speech.weights import WeightStore
from talkspurt.speech.whisper_model import UTTERANCE, Decoded, Transcriber, credible, said_once

BENCHMARK = runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks/recognition.py"))
SECOND = bytes(2 * LINE_RATE_HZ)


# ── what is believed ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("decoded", "voiced", "believed"),
    [
        (Decoded("Where is my order?", 0.05, -0.3), 1.0, True),
        (Decoded("you", 0.96, -1.3), 0.2, False),
        (Decoded("Thanks for watching.", 0.7, -1.5), 1.0, False),
        (Decoded("No.", 0.7, -0.4), 0.3, True),
        (Decoded("I'm going to go to the next one.", 0.2, -0.5), 0.4, False),
        (Decoded("Yes.", 0.1, -0.5), 0.13, True),
        (Decoded("...", 0.1, -0.5), 1.0, False),
        (Decoded("", 0.1, -0.5), 1.0, False),
    ],
)
def test_text_is_believed_as_far_as_voice_and_probability_go(decoded: Decoded, voiced: float, believed: bool) -> None:
    assert credible(decoded, voiced) is believed


@pytest.mark.parametrize(
    ("text", "voiced", "said"),
    [
        ("I want to book it. I want to book it.", 1.5, "I want to book it."),
        ("I want to book it. i want to", 1.5, "I want to book it."),
        ("I want to book it. I want to book it. I want to book it.", 1.5, "I want to book it."),
        ("I want to book it. I want to book it.", 3.0, "I want to book it. I want to book it."),
        ("No, no, no, no.", 1.2, "No, no, no, no."),
        ("Is it the one that I want to send back to you?", 1.5, "Is it the one that I want to send back to you?"),
        ("", 0.0, ""),
    ],
)
def test_words_that_come_again_too_fast_were_said_once(text: str, voiced: float, said: str) -> None:
    assert said_once(text, voiced) == said


def test_a_sentence_that_whisper_writes_twice_is_heard_once(
    transcriber: Transcriber, spoken: Callable[[str], bytes]
) -> None:
    twice = Decoded("I would like to book an appointment. I would like to book an appointment.", 0.03, -0.2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transcriber, "_decode", lambda line: twice)
        assert (
            transcriber.transcribe(spoken("I would like to book an appointment."))
            == "I would like to book an appointment."
        )


def noise(level: float) -> bytes:
    return (np.random.default_rng(3).normal(size=2 * LINE_RATE_HZ) * level).astype("<i2").tobytes()


def hum() -> bytes:
    return (400 * np.sin(np.arange(2 * LINE_RATE_HZ) * 2 * np.pi * 60 / LINE_RATE_HZ)).astype("<i2").tobytes()


@pytest.mark.parametrize("pcm", [b"", bytes(10), SECOND, noise(30), noise(300), noise(2000), hum()])
def test_without_voice_there_are_no_words(transcriber: Transcriber, pcm: bytes) -> None:
    assert transcriber.transcribe(pcm) == ""


def test_a_short_answer_is_not_repeated(transcriber: Transcriber, spoken: Callable[[str], bytes]) -> None:
    for lead in (0.0, 0.2, 0.5):
        pcm = bytes(2 * int(lead * LINE_RATE_HZ)) + spoken("Yes, please.") + SECOND
        assert transcriber.transcribe(pcm).lower().strip(".!").replace(",", "") == "yes please"


def test_a_faint_echo_before_the_voice_is_none_of_it(transcriber: Transcriber, spoken: Callable[[str], bytes]) -> None:
    echo = (np.frombuffer(spoken("The lamp comes with a cable."), dtype="<i2") // 50).astype("<i2")
    alone, _, _ = transcriber._find_voice(echo.tobytes())
    voiced, begin, _ = transcriber._find_voice(echo.tobytes() + spoken("Yes, please."))
    assert alone > 1.0, "by itself it is a voice"
    assert begin > 0.9 * len(echo)
    assert voiced < 1.2


# ── whose turn it is ──────────────────────────────────────────────────────────────


class Scribe:
    """Stands for the models: answers with the seconds of audio, when the test lets it."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.heard: list[bytes] = []

    def transcribe(self, pcm: bytes) -> str:
        self.heard.append(pcm)
        self.started.release()
        assert self.go.acquire(timeout=10)
        if not pcm:
            raise RuntimeError("nothing there")
        return f"{len(pcm) / 2 / LINE_RATE_HZ:.2f}"

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.started.acquire, timeout=10)


@pytest.fixture
def scribe() -> Scribe:
    return Scribe()


@pytest.fixture
def recognizer(scribe: Scribe, tmp_path: Path) -> WhisperRecognizer:
    return hearing(WeightStore(tmp_path), scribe)


def hearing(store: WeightStore, transcriber: Any = None, *, patience: float = 30.0) -> WhisperRecognizer:
    return WhisperRecognizer(LocalInference(Models(store, transcriber=transcriber)), patience=patience)


async def opened(recognizer: WhisperRecognizer, call_id: str = "c") -> UtteranceStream:
    stream = await recognizer.open(locale="en-US", call_id=call_id)
    stream.feed(SECOND)
    stream.begin(1, 1.0)
    return stream


async def answers(stream: UtteranceStream, count: int) -> list[Transcript]:
    told: list[Transcript] = []
    async with asyncio.timeout(10):
        async for transcript in stream.transcripts():
            told.append(transcript)
            if len(told) == count:
                break
    return told


async def test_a_newer_final_answers_an_older_one_that_has_not_begun(
    recognizer: WhisperRecognizer, scribe: Scribe
) -> None:
    busy, stream = await opened(recognizer), await opened(recognizer)
    busy.finalize(1, 1)
    await scribe.begun()
    stream.finalize(1, 1)
    stream.feed(SECOND)
    stream.finalize(1, 2)
    scribe.go.release(2)
    assert await answers(stream, 2) == [Transcript(1, 1, "2.00"), Transcript(1, 2, "2.00")]
    assert len(scribe.heard) == 2
    await recognizer.aclose()


async def test_a_newer_final_answers_an_older_one_that_has_begun(recognizer: WhisperRecognizer, scribe: Scribe) -> None:
    stream = await opened(recognizer)
    stream.finalize(1, 1)
    await scribe.begun()
    stream.feed(SECOND)
    stream.finalize(1, 2)
    scribe.go.release(2)
    assert await answers(stream, 2) == [Transcript(1, 1, "2.00"), Transcript(1, 2, "2.00")]
    await recognizer.aclose()


async def test_calls_take_turns(recognizer: WhisperRecognizer, scribe: Scribe) -> None:
    """A call with much to ask does not keep another one waiting, which comes second."""
    greedy, modest = await opened(recognizer, "greedy"), await opened(recognizer, "modest")
    for utterance in (1, 2, 3):
        greedy.begin(utterance, 1.0)
        greedy.finalize(utterance, 1)
    await scribe.begun()
    modest.feed(SECOND)
    modest.finalize(1, 1)
    # Its task takes a few rounds of the loop to put the work into the queue.
    for _ in range(20):
        await asyncio.sleep(0)
    scribe.go.release(4)
    await asyncio.gather(answers(greedy, 3), answers(modest, 1))
    assert [len(pcm) // len(SECOND) for pcm in scribe.heard].index(2) == 1
    await recognizer.aclose()


async def test_an_ended_utterance_that_waits_is_dropped(recognizer: WhisperRecognizer, scribe: Scribe) -> None:
    busy, stream = await opened(recognizer), await opened(recognizer)
    busy.finalize(1, 1)
    await scribe.begun()
    stream.finalize(1, 1)
    stream.begin(2, 0.5)
    stream.end(1)
    stream.finalize(2, 1)
    scribe.go.release(3)
    assert [transcript.utterance for transcript in await answers(stream, 1)] == [2]
    await recognizer.aclose()


async def test_what_one_call_has_waiting_is_bounded(recognizer: WhisperRecognizer, scribe: Scribe) -> None:
    stream = await opened(recognizer)
    for utterance in range(UTTERANCES + 1):
        stream.begin(utterance, 1.0)
        stream.finalize(utterance, 1)
    assert await answers(stream, 1) == [Transcript(UTTERANCES, 1, "", error="too many finals are waiting")]
    scribe.go.release(UTTERANCES)
    await recognizer.aclose()


async def test_a_failing_inference_is_an_answer_with_an_error(recognizer: WhisperRecognizer, scribe: Scribe) -> None:
    stream = await recognizer.open(locale="en-US", call_id="c")
    stream.begin(1, 0.0)
    stream.finalize(1, 1)
    scribe.go.release(2)
    assert await answers(stream, 1) == [Transcript(1, 1, "", error="whisper recognizer: nothing there")]
    stream.feed(SECOND)
    stream.finalize(1, 2)
    assert await answers(stream, 1) == [Transcript(1, 2, "1.00")]
    await recognizer.aclose()


async def test_silence_of_the_models_has_a_deadline(scribe: Scribe, tmp_path: Path) -> None:
    recognizer = hearing(WeightStore(tmp_path), scribe, patience=0.05)
    stream = await opened(recognizer)
    stream.finalize(1, 1)
    assert "its turn did not come in time" in str((await answers(stream, 1))[0].error)
    scribe.go.release()
    await recognizer.aclose()


# ── what is kept ──────────────────────────────────────────────────────────────────


async def transcribed(stream: UtteranceStream, scribe: Scribe, utterance: int = 1) -> float:
    scribe.go.release()
    stream.finalize(utterance, 1)
    (transcript,) = await answers(stream, 1)
    return float(transcript.text)


@pytest.mark.parametrize(
    ("before", "lead_in", "after", "kept"),
    [
        (1.0, 0.3, 1.0, 1.3),
        (0.2, 0.5, 1.0, 1.2),
        (60.0, 1.5, 2.0, 3.5),
        (60.0, 0.0, 45.0, UTTERANCE),
    ],
)
async def test_an_utterance_is_its_lead_in_and_what_follows_up_to_the_limit(
    recognizer: WhisperRecognizer, scribe: Scribe, before: float, lead_in: float, after: float, kept: float
) -> None:
    stream = await recognizer.open(locale="en-US", call_id="c")
    for _ in range(round(before * 50)):
        stream.feed(SECOND[:320])
    stream.begin(1, lead_in)
    for _ in range(round(after * 50)):
        stream.feed(SECOND[:320])
    assert await transcribed(stream, scribe) == pytest.approx(kept, abs=0.01)
    await recognizer.aclose()


async def test_silence_between_utterances_is_not_kept(recognizer: WhisperRecognizer, scribe: Scribe) -> None:
    stream = await opened(recognizer)
    stream.end(1)
    for _ in range(600):
        stream.feed(SECOND)
    stream.begin(2, 600.0)
    assert LEAD_IN <= await transcribed(stream, scribe, 2) <= LEAD_IN + 1
    await recognizer.aclose()


# ── the models ────────────────────────────────────────────────────────────────────


async def test_missing_weights_say_what_to_run(tmp_path: Path) -> None:
    recognizer = hearing(WeightStore(tmp_path))
    with pytest.raises(WeightsError, match=r"run: talkspurt models pull whisper-tiny\.en"):
        await recognizer.warm_up()
    await recognizer.aclose()


async def test_ten_finals_at_once_are_all_answered(
    weight_store: WeightStore, transcriber: Transcriber, spoken: Callable[[str], bytes]
) -> None:
    recognizer = hearing(weight_store, transcriber)
    streams = [await recognizer.open(locale="en-US", call_id=str(number)) for number in range(10)]
    for stream in streams:
        stream.begin(1, 0.0)
        stream.feed(spoken("Where is my order?"))
        stream.finalize(1, 1)
    for told in await asyncio.gather(*(answers(stream, 1) for stream in streams)):
        assert told[0].text.lower().strip("?.") == "where is my order"
    await recognizer.aclose()


@pytest.mark.e2e
async def test_at_most_ten_percent_of_the_words_are_wrong(
    shared_data: Path, weight_store: WeightStore, transcriber: Transcriber
) -> None:
    recognizer = hearing(weight_store, transcriber)
    results = await BENCHMARK["run"](recognizer, shared_data)
    await recognizer.aclose()
    assert len(results) == 18
    assert BENCHMARK["word_error_rate"](results) <= BENCHMARK["GOAL"]


@pytest.mark.parametrize(("name", "words"), [("yes", "yes"), ("no", "no"), ("noise", ""), ("silence", "")])
def test_short_recordings(shared_data: Path, transcriber: Transcriber, name: str, words: str) -> None:
    pcm = BENCHMARK["telephone"](shared_data / f"speech/short/{name}_1000ms.wav")
    heard: Any = transcriber.transcribe(pcm + SECOND)
    assert BENCHMARK["normalise"](heard) == words
