"""How much of a stretch may be speech, judged by its energy alone."""

import math
import struct
from random import Random

import pytest

from talkspurt.media.level import spoken_seconds

RATE = 8_000


def tone(seconds: float, amplitude: int = 6000) -> bytes:
    samples = [round(amplitude * math.sin(n / 3)) for n in range(round(seconds * RATE))]
    return struct.pack(f"<{len(samples)}h", *samples)


def noise(seconds: float, amplitude: int) -> bytes:
    draw = Random(1)
    return struct.pack(
        f"<{round(seconds * RATE)}h", *(draw.randint(-amplitude, amplitude) for _ in range(round(seconds * RATE)))
    )


def test_loud_stretches_between_quiet_ones_count() -> None:
    assert spoken_seconds(bytes(6400) + tone(0.6) + bytes(3200) + tone(0.2) + bytes(6400), RATE) == pytest.approx(0.8)


def test_a_voice_in_noise_counts() -> None:
    assert spoken_seconds(noise(0.5, 300) + tone(0.6) + noise(0.5, 300), RATE) == pytest.approx(0.6)


@pytest.mark.parametrize("pcm", [b"", bytes(100), bytes(16_000), noise(2.0, 30), noise(2.0, 20_000), tone(1.0, 20)])
def test_silence_and_steady_noise_do_not(pcm: bytes) -> None:
    assert spoken_seconds(pcm, RATE) == 0.0


def test_half_a_sample_is_not_looked_at() -> None:
    assert spoken_seconds(bytes(6400) + tone(0.6) + b"\x01", RATE) == pytest.approx(0.6)
