"""A caller's voice: text, WAV files and silence become 8 kHz samples.

Text is spoken by Debian's `flite`, which has voices unlike the agent's. It is given to the
program in a file and never as an argument: text may begin with a dash.
"""

import asyncio
import shutil
import tempfile
import wave
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from talkspurt.errors import ConfigurationError
from talkspurt.simulate.loudness import trim

RATE_HZ: Final = 8_000
VOICES: Final = ("slt", "rms")
"""flite's better American voices: slt is a woman's, rms a man's. flite takes unknown names without a word."""
FLITE_SECONDS: Final = 30.0
SAMPLE_FORMATS: Final = {1: "u1", 2: "<i2", 4: "<i4"}


async def speak(text: str, voice: str = "slt") -> NDArray[np.int16]:
    """Speak `text`, without long silence at its ends.

    Raises `ConfigurationError` when flite is missing, the voice unknown or nothing can be said.
    """
    if voice not in VOICES:
        raise ConfigurationError(f"unknown voice '{voice}'; choose one of {', '.join(VOICES)}")
    program = shutil.which("flite")
    if program is None:
        raise ConfigurationError("the simulated caller needs flite: sudo apt-get install -y flite")
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as folder:
        # Files, not pipes: flite opens its input by name, which a socket for standard input does not
        # allow (uvloop makes one), and goes back to the header of its output when it is done.
        path, text_path = Path(folder) / "speech.wav", Path(folder) / "text"
        text_path.write_text(text, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            program, "-voice", voice, "-f", str(text_path), "-o", str(path),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(FLITE_SECONDS):
                _, complaint = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ConfigurationError(f"flite did not finish within {FLITE_SECONDS:.0f} s") from None
        if process.returncode != 0 or not path.exists():
            reason = complaint.decode(errors="replace").strip() or f"exit status {process.returncode}"
            raise ConfigurationError(f"flite failed: {reason}")
        samples = trim(read_wav(path))
    if not len(samples):
        raise ConfigurationError(f"there is nothing to say in {text!r}")
    return samples


def read_wav(path: Path) -> NDArray[np.int16]:
    """Read a PCM WAV file of any rate; of several channels the mean. Raises `ConfigurationError`."""
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            if width not in SAMPLE_FORMATS:
                raise ConfigurationError(f"{path}: {8 * width}-bit samples; convert it to 16 bit")
            raw = np.frombuffer(file.readframes(file.getnframes()), dtype=SAMPLE_FORMATS[width])
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (wave.Error, EOFError) as error:
        raise ConfigurationError(f"{path} is not a PCM WAV file: {error or 'it is cut short'}") from None
    scaled = (raw.astype(np.float32) - 128) / 128 if width == 1 else raw.astype(np.float32) / 2 ** (8 * width - 1)
    mono = scaled[: len(scaled) // channels * channels].reshape(-1, channels).mean(axis=1)
    if rate != RATE_HZ:
        mono = soxr.resample(mono, rate, RATE_HZ)
    samples: NDArray[np.int16] = (np.clip(mono, -1, 1) * 32_767).astype(np.int16)
    return samples


def silence(seconds: float) -> NDArray[np.int16]:
    """A clip of digital silence."""
    return np.zeros(round(seconds * RATE_HZ), dtype=np.int16)
