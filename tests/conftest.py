"""What tests of several packages share. Tests of one package keep their fixtures to themselves."""

import os
from pathlib import Path

import pytest

from talkspurt.speech.weights import WeightStore, default_root

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
