import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray

from talkspurt.errors import ConfigurationError
from talkspurt.simulate.loudness import audible_edges
from talkspurt.simulate.voices import read_wav, silence, speak


def write_wav(path: Path, frames: bytes, *, rate: int = 8_000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames)
    return path


def sine(rate: int, seconds: float = 0.5) -> NDArray[np.float64]:
    tone: NDArray[np.float64] = np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate) * 0.5
    return tone


@pytest.mark.parametrize("voice", ["slt", "rms"])
async def test_flite_speaks_at_the_rate_of_the_line(voice: str) -> None:
    samples = await speak("Where is my order?", voice)
    assert samples.dtype == np.int16
    assert 0.7 < len(samples) / 8_000 < 2.5
    assert audible_edges(samples)[0] <= 800


def test_speaks_on_the_loop_that_the_command_line_uses() -> None:
    assert len(uvloop.run(speak("Hello."))) > 2_000


@pytest.mark.parametrize("text", ["-f/etc/passwd hello", "--help is what I need", "-o /tmp/never.wav"])
async def test_text_that_looks_like_an_option_is_spoken(text: str) -> None:
    with_option, plain = await asyncio.gather(speak(text), speak(text.lstrip("-")))
    assert len(with_option) == pytest.approx(len(plain), rel=0.35)


async def test_an_unknown_voice_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="slt, rms"):
        await speak("hi", "bob")


async def test_nothing_to_say_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="nothing to say"):
        await speak("")


async def test_a_missing_flite_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match="apt-get install -y flite"):
        await speak("hi")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
def test_wav_files_of_any_rate_become_eight_kilohertz(tmp_path: Path, rate: int) -> None:
    path = write_wav(tmp_path / "a.wav", (sine(rate) * 32_767).astype("<i2").tobytes(), rate=rate)
    samples = read_wav(path)
    assert len(samples) == pytest.approx(4_000, abs=2)
    assert np.corrcoef(samples[400:3_600], sine(8_000)[400:3_600])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("width", "encode"),
    [
        (1, lambda tone: (tone * 127 + 128).astype(np.uint8)),
        (2, lambda tone: (tone * 32_767).astype("<i2")),
        (4, lambda tone: (tone * 2_147_483_647).astype("<i4")),
    ],
)
def test_sample_formats_have_the_same_level(tmp_path: Path, width: int, encode: object) -> None:
    assert callable(encode)
    path = write_wav(tmp_path / "a.wav", encode(sine(8_000)).tobytes(), width=width)
    assert abs(read_wav(path).astype(float)).max() == pytest.approx(16_383, rel=0.02)


def test_several_channels_become_their_mean(tmp_path: Path) -> None:
    stereo = np.column_stack((np.full(80, 1_000), np.full(80, 3_000))).astype("<i2")
    samples = read_wav(write_wav(tmp_path / "a.wav", stereo.tobytes(), channels=2))
    assert np.all(abs(samples.astype(int) - 2_000) <= 1)


def test_what_is_no_wav_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFFnope")
    with pytest.raises(ConfigurationError, match=r"broken\.wav is not a PCM WAV"):
        read_wav(broken)
    with pytest.raises(ConfigurationError, match=r"cannot read .*missing\.wav"):
        read_wav(tmp_path / "missing.wav")
    with pytest.raises(ConfigurationError, match="24-bit"):
        read_wav(write_wav(tmp_path / "deep.wav", b"\0" * 300, width=3))


def test_silence_has_its_length() -> None:
    assert len(silence(0.5)) == 4_000
