"""Key tones: recognised under the conditions of ITU-T Q.24, not taken for speech, and not to be heard when muted."""

import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.media.tones import FRAME, FRAME_BYTES, HIGH_HZ, KEYS, LOW_HZ, RATE_HZ, ToneMuter, key_tone

Samples = NDArray[np.float64]

ALL_KEYS = "".join(KEYS)
MS = RATE_HZ // 1000


def tone(key: str, samples: int, *, dbfs: float = -15.0, twist: float = 0.0, off: float = 0.0) -> Samples:
    """A key's tone; `dbfs` is the level of each of the two, `twist` the decibels by which the high one is louder."""
    row = next(number for number, keys in enumerate(KEYS) if key in keys)
    low, high = LOW_HZ[row] * (1 + off), HIGH_HZ[KEYS[row].index(key)] * (1 + off)
    peak = 32768 * 10 ** (dbfs / 20) * np.sqrt(2)
    times = np.arange(samples) / RATE_HZ
    quieter, louder = 10 ** (-twist / 40), 10 ** (twist / 40)
    mixed: Samples = peak * (quieter * np.sin(2 * np.pi * low * times + 1) + louder * np.sin(2 * np.pi * high * times))
    return mixed


def noise(samples: int, dbfs: float, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, 32768 * 10 ** (dbfs / 20), samples)


def on_the_line(samples: Samples) -> bytes:
    """PCM16 as it comes back from mu-law."""
    return decode_mulaw(encode_mulaw(np.clip(samples, -32768, 32767).astype("<i2").tobytes()))


def mute(pcm: bytes, size: int = FRAME_BYTES) -> bytes:
    muter = ToneMuter()
    parts = [muter.feed(pcm[start : start + size]) for start in range(0, len(pcm), size)]
    return b"".join(parts) + muter.flush()


# ── what is a tone ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ALL_KEYS)
@pytest.mark.parametrize("off", [-0.018, 0.0, 0.018])
@pytest.mark.parametrize("twist", [-9.0, 0.0, 9.0])
def test_every_key_is_heard_off_pitch_and_twisted(key: str, off: float, twist: float) -> None:
    assert key_tone(on_the_line(tone(key, FRAME, off=off, twist=twist))) == key


@pytest.mark.parametrize("key", ALL_KEYS)
@pytest.mark.parametrize("dbfs", [-9.0, -33.0])
def test_every_key_is_heard_from_the_loudest_to_the_weakest(key: str, dbfs: float) -> None:
    assert key_tone(on_the_line(tone(key, FRAME, dbfs=dbfs))) == key


@pytest.mark.parametrize("key", ALL_KEYS)
def test_every_key_is_heard_through_noise(key: str) -> None:
    # Both tones together are 3 dB above one of them: a signal-to-noise ratio of 5 dB.
    heard = [key_tone(on_the_line(tone(key, FRAME) + noise(FRAME, -17.0, seed))) for seed in range(50)]
    assert heard == [key] * 50


def test_a_single_tone_is_no_key() -> None:
    for hertz in (*LOW_HZ, *HIGH_HZ, 350, 440, 480, 620):
        assert key_tone(on_the_line(6000 * np.sin(2 * np.pi * hertz * np.arange(FRAME) / RATE_HZ))) is None


@pytest.mark.parametrize("pair", [(350, 440), (440, 480), (480, 620)])
def test_the_networks_own_tones_are_no_keys(pair: tuple[int, int]) -> None:
    times = np.arange(FRAME) / RATE_HZ
    mixed: Samples = sum((4000 * np.sin(2 * np.pi * hertz * times) for hertz in pair), np.zeros(FRAME))
    assert key_tone(on_the_line(mixed)) is None


def test_silence_and_noise_are_no_keys() -> None:
    assert key_tone(bytes(FRAME_BYTES)) is None
    frames = [on_the_line(noise(FRAME, dbfs, seed)) for dbfs in (-50.0, -30.0, -12.0) for seed in range(300)]
    assert not any(map(key_tone, frames))


def test_a_tone_that_no_phone_sends_so_quietly_is_none() -> None:
    assert key_tone(on_the_line(tone("5", FRAME, dbfs=-55.0))) is None


def speech_frames(folder: Path) -> list[bytes]:
    frames = []
    for path in sorted(folder.rglob("*.wav")):
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)
            samples = samples.reshape(-1, file.getnchannels()).mean(1)
            pcm = on_the_line(soxr.resample(samples, file.getframerate(), RATE_HZ))
        frames += [pcm[start : start + FRAME_BYTES] for start in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)]
    return frames


def test_speech_is_hardly_ever_taken_for_a_key(shared_data: Path) -> None:
    frames = speech_frames(shared_data / "speech")
    assert len(frames) > 5000
    mistaken = sum(key_tone(frame) is not None for frame in frames)
    assert mistaken / len(frames) < 0.003


# ── muting ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ALL_KEYS)
def test_nothing_of_a_tone_is_left_wherever_it_begins(key: str) -> None:
    for start in range(0, FRAME, 7):
        for length in (40 * MS, 65 * MS, 100 * MS):
            line = np.zeros(FRAME * 12)
            line[3 * FRAME + start : 3 * FRAME + start + length] = tone(key, length)
            assert mute(on_the_line(line)) == bytes(2 * len(line))


@pytest.mark.parametrize("key", ALL_KEYS)
def test_a_tone_shorter_than_any_phone_sends_leaves_no_key_behind(key: str) -> None:
    for start in range(0, FRAME, 16):
        line = np.zeros(FRAME * 8)
        line[3 * FRAME + start : 3 * FRAME + start + 25 * MS] = tone(key, 25 * MS)
        muted = mute(on_the_line(line))
        assert muted == bytes(len(muted))


def test_a_row_of_keys_is_silence_even_through_noise() -> None:
    line = noise(RATE_HZ * 2, -35.0)
    for number, key in enumerate("83649271"):
        begin = 800 + number * 130 * MS
        line[begin : begin + 70 * MS] += tone(key, 70 * MS)
    heard = np.frombuffer(mute(on_the_line(line)), "<i2").astype(np.float64)
    assert np.abs(heard).max() < 32768 * 10 ** (-35 / 20) * 6


def test_what_holds_no_tone_comes_out_as_it_went_in() -> None:
    pcm = on_the_line(noise(RATE_HZ, -20.0))
    assert mute(pcm) == pcm


def test_speech_around_a_tone_is_kept_but_for_the_frames_beside_it() -> None:
    line = noise(FRAME * 10, -30.0)
    line[4 * FRAME : 6 * FRAME] += tone("7", 2 * FRAME)
    pcm = on_the_line(line)
    cut = slice(3 * FRAME_BYTES, 7 * FRAME_BYTES)
    assert mute(pcm) == pcm[: cut.start] + bytes(cut.stop - cut.start) + pcm[cut.stop :]


def test_audio_is_held_back_by_one_frame_and_what_is_no_whole_one() -> None:
    muter = ToneMuter()
    assert muter.feed(bytes(FRAME_BYTES)) == b""
    assert muter.held == FRAME
    assert len(muter.feed(bytes(FRAME_BYTES + 100))) == FRAME_BYTES
    assert muter.held == FRAME + 50
    assert len(muter.flush()) == FRAME_BYTES + 100
    assert muter.held == 0
    assert muter.flush() == b""


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.integers(0, 2**16))
def test_the_result_does_not_depend_on_how_the_audio_was_cut(halves: list[int], seed: int) -> None:
    line = noise(RATE_HZ // 2, -25.0, seed)
    begin = seed % 2000
    line[begin : begin + 50 * MS] += tone("0", 50 * MS)
    pcm = on_the_line(line)
    muter, parts, start = ToneMuter(), [], 0
    for half in halves:
        parts.append(muter.feed(pcm[start : start + 2 * half]))
        start += 2 * half
    parts.append(muter.feed(pcm[start:]))
    assert b"".join(parts) + muter.flush() == mute(pcm)


def test_a_frame_costs_far_less_than_it_lasts() -> None:
    pcm = on_the_line(noise(FRAME * 50, -20.0))
    muter = ToneMuter()
    best = min(_seconds(muter, pcm) for _ in range(5)) / 50
    assert best < 200e-6


def _seconds(muter: ToneMuter, pcm: bytes) -> float:
    began = time.perf_counter()
    for start in range(0, len(pcm), FRAME_BYTES):
        muter.feed(pcm[start : start + FRAME_BYTES])
    return time.perf_counter() - began


@pytest.mark.parametrize("key", ALL_KEYS)
@pytest.mark.parametrize("begun", [0, 50])
def test_what_is_held_of_a_tone_is_flushed_as_silence(key: str, begun: int) -> None:
    """Keys are expected no more, and the caller is still pressing the last one."""
    muter = ToneMuter()
    pcm = on_the_line(tone(key, 3 * FRAME + begun))
    muted = muter.feed(pcm)
    assert muter.held == FRAME + begun
    assert muted + muter.flush() == bytes(len(pcm))
