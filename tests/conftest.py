"""What tests of several packages share. Tests of one package keep their fixtures to themselves."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

import hypothesis
import msgspec
import pytest

from talkspurt.speech import piper_voice as piper
from talkspurt.speech.inference.process import Settings
from talkspurt.speech.weights import WeightStore, default_root
from talkspurt.speech.whisper_model import Transcriber
from talkspurt.store import schema
from talkspurt.store.database import Database

# What hypothesis finds by chance is for people to look into; a change must not fail or pass by luck.
hypothesis.settings.register_profile("repeatable", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("repeatable")


REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def template_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where databases are kept that tests start from."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture(autouse=True)
def new_stores_are_copies(template_folder: Path) -> Iterator[None]:
    """A store on a new SQLite file starts from a copy of a migrated one: tests open many hundreds of them.

    The real `migrate` runs on the copy, too, and finds nothing to do. Tests of the migrations turn this off.
    """
    template = template_folder / "calls.db"

    async def migrate(database: Database) -> None:
        file = Path(database.url.database or "")
        if database.is_sqlite and _is_missing(file):
            if _is_missing(template):
                made = Database(f"sqlite+aiosqlite:///{template_folder / uuid4().hex}")
                await schema.migrate(made)
                await made.aclose()
                _place(Path(made.url.database or ""), template)
            _place(template, file)
        await schema.migrate(database)

    # Not the test's own `monkeypatch`, which a test may undo early.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("talkspurt.store.store.migrate", migrate)
        yield


def _is_missing(file: Path) -> bool:
    return not file.exists()


def _place(original: Path, file: Path) -> None:
    """Copy `original` to where nothing is: at once and whole, because another process may open the file meanwhile."""
    copy = file.with_name(uuid4().hex)
    shutil.copyfile(original, copy)
    with suppress(FileExistsError):
        file.hardlink_to(copy)
    copy.unlink()


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
