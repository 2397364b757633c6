"""What every `VoiceActivityDetector` owes its callers, run on each of them.

To join, add an entry to `CASES`: a function that makes the detector from the model store.
"""

import random
from collections.abc import Callable
from typing import cast

import pytest

from talkspurt.ports import VoiceActivityDetector
from talkspurt.speech.voice_activity import WEIGHTS, SileroVoiceActivity
from talkspurt.speech.weights import WeightStore
from talkspurt.testing.providers import LevelVoiceActivity

CASES: dict[str, Callable[[WeightStore], VoiceActivityDetector]] = {
    "silero": lambda store: SileroVoiceActivity(store.path(WEIGHTS, "silero_vad.onnx")),
    "level": lambda _store: LevelVoiceActivity(),
}

Told = list[tuple[float, int]]


@pytest.fixture(params=sorted(CASES))
def detector(request: pytest.FixtureRequest, weight_store: WeightStore) -> VoiceActivityDetector:
    return CASES[cast(str, request.param)](weight_store)


@pytest.fixture
def speech(spoken: Callable[[str], bytes]) -> bytes:
    """Half a second of silence, about a second of words, half a second of silence."""
    return bytes(8_000) + spoken("Where is my order?") + bytes(8_000)


def _take_all(detector: VoiceActivityDetector) -> None:
    for _ in detector.steps():
        pass


def judge(detector: VoiceActivityDetector, pcm: bytes, cuts: Callable[[], int]) -> Told:
    told: Told = []
    stream = detector.open(lambda probability, samples: told.append((probability, samples)))
    while pcm:
        size = cuts()
        stream.feed(pcm[:size])
        pcm = pcm[size:]
        _take_all(detector)
    stream.close()
    return told


def same(told: Told, other: Told) -> bool:
    """Whether both say the same: to the sample, and to what float32 sums in another order may differ."""
    return [samples for _, samples in told] == [samples for _, samples in other] and [
        probability for probability, _ in told
    ] == pytest.approx([probability for probability, _ in other], abs=1e-4)


def test_every_whole_window_is_told_once_in_order(detector: VoiceActivityDetector, speech: bytes) -> None:
    told = judge(detector, speech, lambda: 320)
    windows = len(speech) // 2 // detector.window
    assert [samples for _, samples in told] == [detector.window * (number + 1) for number in range(windows)]
    assert all(0 <= probability <= 1 for probability, _ in told)


def test_voice_is_told_from_silence(detector: VoiceActivityDetector, speech: bytes) -> None:
    told = judge(detector, speech, lambda: 320)
    silence = [probability for probability, samples in told if samples <= 3_500]
    words = [probability for probability, samples in told if 5_000 <= samples <= 9_000]
    assert max(silence) < 0.35
    assert sum(probability > 0.5 for probability in words) > 0.6 * len(words)


def test_the_result_does_not_depend_on_how_the_audio_was_cut(detector: VoiceActivityDetector, speech: bytes) -> None:
    dice = random.Random(7)
    whole = judge(detector, speech, lambda: 320)
    assert same(judge(detector, speech, lambda: 2 * dice.randint(1, 700)), whole)


def test_streams_do_not_hear_each_other(detector: VoiceActivityDetector, speech: bytes) -> None:
    alone = judge(detector, speech, lambda: 320)
    told: list[Told] = [[] for _ in range(40)]
    streams = [detector.open(lambda p, s, heard=heard: heard.append((p, s))) for heard in told]  # type: ignore[misc]
    for start in range(0, len(speech), 320):
        for number, stream in enumerate(streams):
            stream.feed(speech[start : start + 320] if number % 2 else bytes(320))
        _take_all(detector)
    for stream in streams:
        stream.close()
    for number, heard in enumerate(told):
        if number % 2:
            assert same(heard, alone)
        else:
            assert max(probability for probability, _ in heard) < 0.35


def test_a_place_that_was_given_back_begins_anew(detector: VoiceActivityDetector, speech: bytes) -> None:
    first = judge(detector, speech, lambda: 320)
    for _ in range(3):
        loud = detector.open(lambda _probability, _samples: None)
        loud.feed(speech[8_000:24_000])
        _take_all(detector)
        loud.close()
    assert same(judge(detector, speech, lambda: 320), first)


def test_a_closed_stream_hears_nothing_more(detector: VoiceActivityDetector) -> None:
    told: Told = []
    stream = detector.open(lambda probability, samples: told.append((probability, samples)))
    stream.feed(bytes(1024))
    stream.close()
    stream.close()
    _take_all(detector)
    assert told == []
