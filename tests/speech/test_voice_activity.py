"""What is Silero's own, beyond the contract of every detector."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from talkspurt.errors import WeightsError
from talkspurt.speech.voice_activity import BACKLOG, MOST_AT_ONCE, WINDOW, SileroVoiceActivity
from talkspurt.speech.weights import WeightStore


@pytest.fixture
def detector(weight_store: WeightStore) -> SileroVoiceActivity:
    return SileroVoiceActivity(weight_store.path("silero-vad", "silero_vad.onnx"))


def test_slots_are_used_again(detector: SileroVoiceActivity) -> None:
    first = [detector.open(lambda _p, _s: None) for _ in range(50)]
    slots = {stream.slot for stream in first}
    assert len(slots) == 50
    for stream in first:
        stream.close()
    assert {detector.open(lambda _p, _s: None).slot for _ in range(50)} <= set(range(64))


def test_a_stream_that_is_not_collected_drops_its_oldest_and_counts_it(detector: SileroVoiceActivity) -> None:
    covered: list[int] = []
    stream = detector.open(lambda _probability, samples: covered.append(samples))
    windows = BACKLOG // WINDOW + 10
    for _ in range(windows):
        stream.feed(bytes(2 * WINDOW))
    detector.tick()
    assert covered == [WINDOW * number for number in range(11, windows + 1)]


def test_a_listener_that_fails_costs_nobody_else_a_window(detector: SileroVoiceActivity) -> None:
    told: list[int] = []

    def fail(_probability: float, _samples: int) -> None:
        raise RuntimeError("a fault of one call")

    streams = [detector.open(fail), detector.open(lambda _p, samples: told.append(samples)), detector.open(fail)]
    for stream in streams:
        stream.feed(bytes(2 * WINDOW))
    detector.tick()
    assert told == [WINDOW]


def test_a_listener_may_close_any_stream(detector: SileroVoiceActivity) -> None:
    told: list[int] = []
    streams = [detector.open(lambda _p, _s: hang_up()) for _ in range(5)]

    def hang_up() -> None:
        told.append(1)
        for stream in streams:
            stream.close()

    for stream in streams:
        stream.feed(bytes(4 * WINDOW))
    detector.tick()
    assert told == [1]


def test_a_stream_may_be_closed_and_another_opened_between_two_steps(detector: SileroVoiceActivity) -> None:
    told: list[int] = []
    calls = 2 * MOST_AT_ONCE
    streams = [detector.open(lambda _p, samples, to=number: told.append(to)) for number in range(calls)]  # type: ignore[misc]
    for stream in streams:
        stream.feed(bytes(2 * WINDOW))
    steps = detector.steps()
    next(steps)
    (first,) = told
    for number, stream in enumerate(streams):
        if number % 2 and number != first:
            stream.close()
    late = detector.open(lambda _p, samples: told.append(calls))
    late.feed(bytes(2 * WINDOW))
    for _ in steps:
        pass
    assert sorted(told) == sorted({first, *range(0, calls, 2), calls})


def test_a_batch_judges_as_single_streams_do(detector: SileroVoiceActivity, spoken: Callable[[str], bytes]) -> None:
    texts = ("Hello there.", "Where is my order?", "No, thank you.")
    alone: list[list[float]] = []
    together: list[list[float]] = [[] for _ in texts]
    for text in texts:
        probabilities: list[float] = []
        stream = detector.open(lambda probability, _s, to=probabilities: to.append(probability))  # type: ignore[misc]
        for start in range(0, len(spoken(text)), 320):
            stream.feed(spoken(text)[start : start + 320])
            detector.tick()
        stream.close()
        alone.append(probabilities)
    streams = [detector.open(lambda probability, _s, to=to: to.append(probability)) for to in together]  # type: ignore[misc]
    for start in range(0, 60_000, 320):
        for stream, text in zip(streams, texts, strict=True):
            stream.feed(spoken(text)[start : start + 320])
        detector.tick()
    for one, batched in zip(alone, together, strict=True):
        assert len(one) > 10
        assert batched == pytest.approx(one, abs=1e-4)


def test_a_model_that_is_none_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "silero_vad.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="run: talkspurt models verify"):
        SileroVoiceActivity(tmp_path / "silero_vad.onnx")


async def test_loading_leaves_no_stream_behind(weight_store: WeightStore) -> None:
    detector = SileroVoiceActivity.load(weight_store)
    assert detector.open(lambda _p, _s: None).slot == 0


def test_the_gate_spares_silence_and_costs_no_voice(weight_store: WeightStore, spoken: Callable[[str], bytes]) -> None:
    path = weight_store.path("silero-vad", "silero_vad.onnx")
    said = spoken("Yes, please.") + bytes(2 * 8_000)
    noise = np.random.default_rng(1).normal(0, 20, 40_000).astype("<i2").tobytes()  # -64 dBFS
    for pcm in (bytes(80_000) + said, noise + said):
        found: list[list[tuple[float, int]]] = []
        for detector in (SileroVoiceActivity(path, gated=False), SileroVoiceActivity(path)):
            windows: list[tuple[float, int]] = []
            stream = detector.open(lambda probability, samples, to=windows: to.append((probability, samples)))  # type: ignore[misc]
            for at in range(0, len(pcm), 320):
                stream.feed(pcm[at : at + 320])
                detector.tick()
            found.append(windows)
        plain, gated = found
        assert [covered for _, covered in gated] == [covered for _, covered in plain]
        assert sum(probability == 0 for probability, _ in gated) > 100
        voiced = [[covered for probability, covered in windows if probability >= 0.4] for windows in found]
        assert voiced[1][0] <= voiced[0][0]
        assert len(voiced[1]) >= len(voiced[0])


def test_a_slot_used_again_knows_nothing_of_the_line_before(
    weight_store: WeightStore, spoken: Callable[[str], bytes]
) -> None:
    detector = SileroVoiceActivity(weight_store.path("silero-vad", "silero_vad.onnx"))
    heard: list[list[float]] = []
    for _ in range(2):
        probabilities: list[float] = []
        stream = detector.open(lambda probability, _s, to=probabilities: to.append(probability))  # type: ignore[misc]
        stream.feed(bytes(16_000) + spoken("Yes, please."))
        detector.tick()
        stream.close()
        heard.append(probabilities)
    assert heard[0] == pytest.approx(heard[1], abs=1e-5)
