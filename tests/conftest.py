"""What tests of several packages share. Tests of one package keep their fixtures to themselves."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import msgspec
import pytest

from talkspurt.speech import piper_voice as piper
from talkspurt.speech.inference.process import Settings
from talkspurt.speech.weights import WeightStore, default_root
from talkspurt.speech.whisper_model import Transcriber

# What hypothesis finds by chance is for people to look into; a change must not fail or pass by luck.
hypothesis.settings.register_profile("repeatable", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("repeatable")


REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recordings and shop data that other people made; not part of the package, so tests skip without them."""
    folder = Path(os.environ.get("TALKSPURT_SHARED_DATA") or REPOSITORY / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder}: set TALKSPURT_SHARED_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def weight_store() -> WeightStore:
    """The model store with everything of the offline group. Real models are not optional: without them tests fail."""
    store = WeightStore(default_root())
    unready = [status.name for status in store.verify(["offline"]) if status.state != "ready"]
    if unready:
        pytest.fail(f"weights {', '.join(unready)} are not ready; run: talkspurt models pull", pytrace=False)
    return store


@pytest.fixture(scope="session")
def joe(weight_store: WeightStore) -> piper.Voice:
    """The local voice, loaded once for all tests that use it."""
    return piper.load_voice(weight_store, "piper-joe", 1)


@pytest.fixture(scope="session")
def transcriber(weight_store: WeightStore) -> Transcriber:
    """Whisper, loaded once for all tests that use it."""
    return Transcriber(weight_store, threads=1, workers=2)


@pytest.fixture(scope="session")
def inference_socket(weight_store: WeightStore) -> Iterator[Path]:
    """A real inference process with all models, for all tests; clients wait for it to listen."""
    with tempfile.TemporaryDirectory(prefix="ts-") as folder:
        socket = Path(folder) / "s"
        settings = Settings(socket=str(socket), weights=str(weight_store.root), threads=1, at_once=2)
        process = subprocess.Popen(
            [sys.executable, "-m", "talkspurt.speech.inference.process", msgspec.json.encode(settings).decode()],
            stdin=subprocess.PIPE,
        )
        while not socket.exists() and process.poll() is None:
            time.sleep(0.05)
        yield socket
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.fixture(scope="session")
def spoken(joe: piper.Voice) -> Callable[[str], bytes]:
    """Speech by the local voice: text to PCM16 at the line's rate, the same bytes for the same text in every run."""
    steady = piper.Voice(joe.engine, joe.phonemizer, steady=True)

    @cache
    def speak(text: str) -> bytes:
        return b"".join(piper.speak(steady, text))

    return speak
