"""What tests of several packages share. Tests of one package keep their fixtures to themselves."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import hypothesis
import pytest

from talkspurt.speech import piper_voice as piper
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
def spoken(joe: piper.Voice) -> Callable[[str], bytes]:
    """Speech by the local voice: text to PCM16 at the line's rate, the same bytes for the same text in every run."""
    steady = piper.Voice(joe.engine, joe.phonemizer, steady=True)

    @cache
    def speak(text: str) -> bytes:
        return b"".join(piper.speak(steady, text))

    return speak
