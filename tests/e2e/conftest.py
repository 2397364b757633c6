"""What whole calls need: a server that they share, and a witness who writes down what the agent said."""

from collections.abc import AsyncIterator

import pytest

from e2e.e2e_server import Server, running_server
from talkspurt.config import load_config
from talkspurt.recognizers import create_recognizer
from talkspurt.simulate.caller import Transcribe
from talkspurt.simulate.witness import Witness


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """The server that most calls share, as it would be in production."""
    async with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
async def transcribe() -> AsyncIterator[Transcribe]:
    """Writes down what a caller heard, with the real local recognizer."""
    recognizer = create_recognizer(load_config(environment={"TALKSPURT_INFERENCE__PATIENCE": "30"}))
    await recognizer.warm_up()
    yield Witness(recognizer).transcribe
    await recognizer.aclose()
