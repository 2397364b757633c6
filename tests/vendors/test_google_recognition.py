"""Google Cloud's recognition through its real SDK, against a fake that speaks its wire format."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from talkspurt.errors import ConfigurationError
from talkspurt.recognizers.google import MODEL, GoogleRecognizer
from talkspurt.recognizers.stretches import StretchedStream
from talkspurt.testing.fakes.google_cloud import FakeGoogleRecognition
from vendors.ears import EARS, KEY, Listener, feed, silence, voice


@pytest.fixture
async def fake() -> AsyncIterator[FakeGoogleRecognition]:
    async with EARS["google"].open() as fake:
        yield fake


@pytest.fixture
async def recognizer(fake: FakeGoogleRecognition) -> AsyncIterator[GoogleRecognizer]:
    recognizer: GoogleRecognizer = EARS["google"].connect(fake)
    yield recognizer
    await recognizer.aclose()


@pytest.fixture
async def stream(recognizer: GoogleRecognizer) -> AsyncIterator[StretchedStream]:
    stream = await recognizer.open(locale="de-DE", call_id="c1")
    yield stream
    await stream.aclose()


async def test_what_is_asked_of_the_vendor(fake: FakeGoogleRecognition, stream: StretchedStream) -> None:
    listener = Listener(stream)
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is my order"
    await stream.aclose()
    await listener.task
    first = fake.requests[0].body
    assert first.recognizer == "projects/fake-project/locations/global/recognizers/_"
    assert first.streaming_config.config.model == MODEL
    assert list(first.streaming_config.config.language_codes) == ["de-DE"]
    assert first.streaming_config.streaming_features.interim_results
    assert len(fake.audio[0]) == round(1.4 * 16_000)


async def test_an_ended_utterance_cancels_its_call(fake: FakeGoogleRecognition, stream: StretchedStream) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.0))
    await asyncio.wait_for(fake.received.wait(), 5)
    stream.end(1)
    await asyncio.wait_for(fake.requests[0].disconnected.wait(), 5)


async def test_the_project_may_be_named_by_the_environment(fake: FakeGoogleRecognition) -> None:
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": fake.credentials(KEY), "GOOGLE_CLOUD_PROJECT": "other"}
    recognizer = GoogleRecognizer(base_url=fake.base_url, environment=environment)
    await recognizer.warm_up()
    await recognizer.aclose()
    assert fake.requests[0].body.recognizer.startswith("projects/other/")


@pytest.fixture
async def without_project(fake: FakeGoogleRecognition, tmp_path: Path) -> str:
    return _without_project(Path(fake.credentials(KEY)), tmp_path / "account.json")


def _without_project(credentials: Path, path: Path) -> str:
    account = json.loads(credentials.read_text())
    del account["project_id"]
    path.write_text(json.dumps(account))
    return str(path)


def test_without_a_project_its_variable_is_named(without_project: str) -> None:
    with pytest.raises(ConfigurationError, match="GOOGLE_CLOUD_PROJECT"):
        GoogleRecognizer(environment={"GOOGLE_APPLICATION_CREDENTIALS": without_project})


@pytest.mark.parametrize(
    ("base_url", "location"),
    [
        ("https://speech.googleapis.com", "global"),
        ("https://eu-speech.googleapis.com", "eu"),
        ("https://us-central1-speech.googleapis.com:443", "us-central1"),
        ("https://proxy.example.com", "global"),
    ],
)
async def test_the_region_is_in_the_endpoint(fake: FakeGoogleRecognition, base_url: str, location: str) -> None:
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": fake.credentials(KEY)}
    recognizer = GoogleRecognizer(base_url=base_url, environment=environment)
    assert recognizer.location == location
    await recognizer.aclose()
