"""What every `TurnDetector` owes its callers, run on each of them.

To join, add an entry to `CASES`: a function that makes the detector from the fixtures of a test.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, TurnDetector
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.models import Models
from talkspurt.speech.inference.remote import RemoteInference
from talkspurt.speech.turn_detection import SmartTurn
from talkspurt.testing.providers import ScriptedTurnDetector

SECOND = 2 * LINE_RATE_HZ


def smart_turn(request: pytest.FixtureRequest) -> TurnDetector:
    return SmartTurn(LocalInference(Models(request.getfixturevalue("weight_store"))), patience=5)


def smart_turn_in_a_process(request: pytest.FixtureRequest) -> TurnDetector:
    return SmartTurn(RemoteInference([request.getfixturevalue("inference_socket")], silence=20), patience=5)


CASES: dict[str, Callable[[pytest.FixtureRequest], TurnDetector]] = {
    "scripted": lambda _request: ScriptedTurnDetector(lambda pcm: min(1.0, len(pcm) / 10_000), delay=0.01),
    "smart turn": smart_turn,
    "smart turn in a process": smart_turn_in_a_process,
}


@pytest.fixture(params=sorted(CASES))
async def detector(request: pytest.FixtureRequest) -> AsyncIterator[TurnDetector]:
    detector = CASES[cast(str, request.param)](request)
    await detector.warm_up()
    yield detector
    await detector.aclose()


@pytest.fixture
def speech(spoken: Callable[[str], bytes]) -> bytes:
    """About a second of words and the beginning of a silence."""
    return spoken("Where is my order?") + bytes(SECOND // 5)


async def ask(detector: TurnDetector, pcm: bytes) -> float:
    async with asyncio.timeout(20):
        return await detector.finished(pcm)


async def test_the_answer_is_a_probability_and_the_same_for_the_same_audio(
    detector: TurnDetector, speech: bytes
) -> None:
    score = await ask(detector, speech)
    assert 0 <= score <= 1
    assert await ask(detector, speech) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize(
    "pcm",
    [b"", b"\x01", b"\x01\x02", b"\x01\x02\x03", bytes(320), bytes(SECOND), bytes(8 * SECOND), b"\xff\x7f" * 9_000],
    ids=lambda pcm: f"{len(pcm)} bytes",
)
async def test_any_audio_has_an_answer(detector: TurnDetector, pcm: bytes) -> None:
    assert 0 <= await ask(detector, pcm) <= 1


async def test_what_lies_more_than_eight_seconds_back_is_not_looked_at(detector: TurnDetector, speech: bytes) -> None:
    last = (speech * 8)[-8 * SECOND :]
    before = b"\x00\x20\x00\xe0" * (30 * LINE_RATE_HZ)
    assert await ask(detector, before + last) == pytest.approx(await ask(detector, last), abs=1e-6)


async def test_half_a_sample_at_the_end_changes_nothing(detector: TurnDetector, speech: bytes) -> None:
    assert await ask(detector, speech + b"\x7f") == pytest.approx(await ask(detector, speech), abs=1e-6)


async def test_a_caller_who_gives_up_leaves_the_detector_usable(detector: TurnDetector, speech: bytes) -> None:
    for pause in (0.0, 0.005, 0.02):
        asking = asyncio.create_task(detector.finished(speech))
        await asyncio.sleep(pause)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert asking.cancelled() or pause
    assert 0 <= await ask(detector, speech) <= 1


async def test_of_twenty_at_once_each_is_answered_or_refused(detector: TurnDetector, speech: bytes) -> None:
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(detector.finished(speech) for _ in range(20)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(answer, ProviderError) and answer.retryable for answer in refused)
    assert len(refused) < len(answers)
    assert 0 <= await ask(detector, speech) <= 1


async def test_closing_twice_is_fine(detector: TurnDetector) -> None:
    await detector.aclose()
    await detector.aclose()
