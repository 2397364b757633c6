"""Smart Turn on the real model: its input, its judgement, and what happens when too many ask at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from talkspurt.errors import ProviderError, WeightsError
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.models import Models
from talkspurt.speech.smart_turn import MODEL, WEIGHTS, Judge
from talkspurt.speech.turn_detection import SmartTurn
from talkspurt.speech.weights import WeightStore

PAUSE = bytes(3_200)
"""0.2 s of silence."""


@pytest.fixture(scope="module")
def judge(weight_store: WeightStore) -> Judge:
    return Judge(weight_store.path(WEIGHTS, MODEL))


class SlowJudge(Judge):
    """Answers when told to, and keeps what it was asked and on which thread."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.asked: list[bytes] = []
        self.threads: set[str] = set()

    def finished(self, pcm: bytes) -> float:
        self.asked.append(pcm)
        self.threads.add(threading.current_thread().name)
        self.begun.set()
        assert self.go.wait(10)
        if pcm == b"bad!":
            raise RuntimeError("no good")
        return 0.5


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[tuple[SmartTurn, SlowJudge]]:
    """One that judges one thing at a time."""
    judge = SlowJudge()
    detector = SmartTurn(LocalInference(Models(WeightStore(tmp_path), judge=judge)), patience=10)
    yield detector, judge
    judge.go.set()
    await detector.aclose()


async def begun(judge: SlowJudge) -> None:
    assert await asyncio.to_thread(judge.begun.wait, 10)


# ── the model's input and judgement ───────────────────────────────────────────────


def whole_way(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """The features as the recipe says them, padding and all."""
    padded = np.concatenate([np.zeros(128_000 - len(audio), dtype=np.float32), audio])
    normal = (padded - padded.mean()) / np.sqrt(padded.var() + 1e-7)
    features: NDArray[np.float32] = FeatureExtractor(feature_size=80)(normal.astype(np.float32), padding=0)
    return features


@pytest.mark.parametrize("samples", [1, 159, 200, 16_000, 53_333, 127_799, 127_800, 127_801, 127_999, 128_000])
@pytest.mark.parametrize("offset", [0.0, 0.05])
def test_the_short_way_to_the_features_gives_what_the_recipe_gives(judge: Judge, samples: int, offset: float) -> None:
    tone = np.sin(np.arange(samples) * 0.2) * np.sin(np.arange(samples) * 0.0007)
    noise = np.random.default_rng(samples).normal(size=samples)
    audio = (0.2 * tone + 0.01 * noise + offset).astype(np.float32)
    short = judge.features(audio)
    assert short.shape == (80, 800)
    assert short.dtype == np.float32
    # Float32 sums in another order; beside a loud offset the quietest bands lose digits.
    np.testing.assert_allclose(short, whole_way(audio), atol=2e-3)


def test_silence_has_the_same_features_all_along(judge: Judge) -> None:
    np.testing.assert_allclose(judge.features(np.zeros(16_000, dtype=np.float32)), -1.5, atol=1e-6)


def test_a_sentence_scores_higher_than_its_beginning(judge: Judge, spoken: Callable[[str], bytes]) -> None:
    sentence = spoken("I would like to send back the blue shirt.")
    assert judge.finished(sentence + PAUSE) > 0.8
    assert judge.finished(sentence[: len(sentence) // 4 * 2] + PAUSE) < 0.3


# ── asking ────────────────────────────────────────────────────────────────────────


async def test_it_judges_on_the_threads_of_all_inference(slow: tuple[SmartTurn, SlowJudge]) -> None:
    detector, judge = slow
    judge.go.set()
    assert await detector.finished(b"") == 0.5
    assert [name.rpartition("-")[0] for name in judge.threads] == ["inference"]


async def test_what_would_come_too_late_is_refused(tmp_path: Path) -> None:
    judge = SlowJudge()
    detector = SmartTurn(LocalInference(Models(WeightStore(tmp_path), judge=judge)), patience=0.1)
    running = asyncio.create_task(detector.finished(b"first"))
    await begun(judge)
    with pytest.raises(ProviderError, match="overloaded") as refusal:
        await detector.finished(b"late")
    assert refusal.value.retryable
    judge.go.set()
    await asyncio.gather(running, return_exceptions=True)
    assert judge.asked == [b"firs"]
    await detector.aclose()


async def test_a_request_whose_caller_is_gone_never_runs(slow: tuple[SmartTurn, SlowJudge]) -> None:
    detector, judge = slow
    first = asyncio.create_task(detector.finished(b"first"))
    await begun(judge)
    gone = asyncio.create_task(detector.finished(b"gone"))
    await asyncio.sleep(0)
    gone.cancel()
    last = asyncio.create_task(detector.finished(b"last"))
    await asyncio.gather(gone, return_exceptions=True)
    judge.go.set()
    assert [await first, await last] == [0.5, 0.5]
    assert judge.asked == [b"firs", b"last"]
    assert gone.cancelled()


async def test_a_failure_of_the_model_is_the_providers(slow: tuple[SmartTurn, SlowJudge]) -> None:
    detector, judge = slow
    judge.go.set()
    with pytest.raises(ProviderError, match="smart-turn turn_detector: no good"):
        await detector.finished(b"bad!")
    assert await detector.finished(b"good") == 0.5


async def test_closing_answers_what_waits_with_an_error(slow: tuple[SmartTurn, SlowJudge]) -> None:
    detector, judge = slow
    running = asyncio.create_task(detector.finished(b""))
    await begun(judge)
    waiting = asyncio.create_task(detector.finished(b""))
    await asyncio.sleep(0)
    closing = asyncio.create_task(detector.aclose())
    with pytest.raises(ProviderError, match="closed"):
        await waiting
    judge.go.set()
    await closing
    assert await running == 0.5
    with pytest.raises(ProviderError, match="closed"):
        await detector.finished(b"")


async def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    detector = SmartTurn(LocalInference(Models(WeightStore(tmp_path))))
    with pytest.raises(WeightsError, match=r"talkspurt models pull smart-turn-v3\.2"):
        await detector.warm_up()
    with pytest.raises(ProviderError, match="talkspurt models pull"):
        await detector.finished(bytes(320))
    await detector.aclose()


def test_a_model_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"not a model")
    with pytest.raises(WeightsError, match=r"cannot load .* run: talkspurt models"):
        Judge(tmp_path / MODEL)
