"""Google Cloud's speech through its real SDK, against a fake that speaks its wire format."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.synthesizers.google import GoogleSynthesizer
from talkspurt.testing.fakes.google_cloud import FakeGoogleSynthesis
from talkspurt.testing.fakes.speech import spoken
from vendors.voices import KEY, TEXT, VOICES, speak


@pytest.fixture
async def fake() -> AsyncIterator[FakeGoogleSynthesis]:
    async with FakeGoogleSynthesis(key=KEY) as fake:
        yield fake


@pytest.fixture
async def synthesizer(fake: FakeGoogleSynthesis) -> AsyncIterator[GoogleSynthesizer]:
    synthesizer: GoogleSynthesizer = VOICES["google"].connect(fake)
    yield synthesizer
    await synthesizer.aclose()


async def test_the_sound_comes_whole_at_the_lines_rate(synthesizer: GoogleSynthesizer) -> None:
    chunks = await speak(synthesizer)
    assert len(chunks) > 2
    assert b"".join(chunk.pcm for chunk in chunks) == spoken(TEXT)


@pytest.mark.parametrize(("pace", "rate"), [(0.8, 0.8), (0.1, 0.25), (9.0, 2.0)])
async def test_pace_is_the_vendors_rate_within_its_limits(
    fake: FakeGoogleSynthesis, synthesizer: GoogleSynthesizer, pace: float, rate: float
) -> None:
    await speak(synthesizer, pace=pace)
    assert fake.requests[0].body.streaming_config.streaming_audio_config.speaking_rate == rate


@pytest.mark.parametrize(
    ("voice", "name", "language"),
    [
        ("", "en-US-Chirp3-HD-Aoede", "en-US"),
        ("Kore", "en-US-Chirp3-HD-Kore", "en-US"),
        ("de-DE-Chirp3-HD-Kore", "de-DE-Chirp3-HD-Kore", "de-DE"),
    ],
)
async def test_a_voice_is_a_whole_name_or_one_of_the_models(
    fake: FakeGoogleSynthesis, synthesizer: GoogleSynthesizer, voice: str, name: str, language: str
) -> None:
    await speak(synthesizer, voice=voice)
    asked = fake.requests[0].body.streaming_config.voice
    assert (asked.name, asked.language_code) == (name, language)


async def test_a_text_that_is_too_long_is_refused_unasked(
    fake: FakeGoogleSynthesis, synthesizer: GoogleSynthesizer
) -> None:
    with pytest.raises(ProviderError, match="5000 bytes"):
        await speak(synthesizer, "ä" * 3_000)
    assert fake.requests == []


async def test_a_token_serves_many_requests(fake: FakeGoogleSynthesis, synthesizer: GoogleSynthesizer) -> None:
    await asyncio.gather(speak(synthesizer), speak(synthesizer))
    await speak(synthesizer)
    assert fake.tokens == 1


async def test_an_account_that_is_gone_is_a_rejected_key(
    fake: FakeGoogleSynthesis, synthesizer: GoogleSynthesizer
) -> None:
    fake.revoked = True
    with pytest.raises(ProviderError, match="GOOGLE_APPLICATION_CREDENTIALS") as caught:
        await synthesizer.warm_up()
    assert caught.value.rejected
    assert fake.requests == []


@pytest.fixture
def unreachable(fake: FakeGoogleSynthesis, tmp_path: Path) -> Iterator[str]:
    """The fake's credentials, at a token server that refuses connections."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        account = json.loads(Path(fake.credentials()).read_text())
        account["token_uri"] = f"http://127.0.0.1:{nobody.getsockname()[1]}/token"
        path = tmp_path / "key.json"
        path.write_text(json.dumps(account))
        yield str(path)


async def test_a_token_server_that_is_out_of_reach_is_no_rejected_key(
    fake: FakeGoogleSynthesis, unreachable: str
) -> None:
    synthesizer = GoogleSynthesizer(base_url=fake.base_url, environment={"GOOGLE_APPLICATION_CREDENTIALS": unreachable})
    with pytest.raises(ProviderError) as caught:
        await synthesizer.warm_up()
    await synthesizer.aclose()
    assert (caught.value.fault, caught.value.retryable, caught.value.rejected) == ("unreachable", True, False)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"type": "service_account"}'])
def test_a_file_that_holds_no_credentials_is_said_to(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match="does not name a file with credentials"):
        GoogleSynthesizer(environment={"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
