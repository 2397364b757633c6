"""The same server with other agents and other providers: nothing but the configuration differs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.e2e_server import running_server
from talkspurt.simulate.caller import Patience, Transcribe, run_script
from talkspurt.simulate.lines import HangUp, Say, Wait
from talkspurt.testing.fakes import (
    FakeAnthropic,
    FakeDeepgram,
    FakeElevenLabs,
    FakeOpenAI,
    FakeOpenAISpeech,
    FakeOpenAITranscription,
    ModelReply,
)
from talkspurt.testing.fakes.google_cloud import FakeGoogleRecognition, FakeGoogleSynthesis

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Cloud:
    """A speech vendor, its fake, and its entry in `speech.base_url`."""

    vendor: str
    fake: type[Any]
    address: str


async def test_the_dentist_of_the_examples_answers_the_telephone(tmp_path: Path, transcribe: Transcribe) -> None:
    configuration = (EXAMPLES / "dentist.toml").read_text(encoding="utf-8")
    async with running_server(tmp_path, configuration=configuration) as server:
        report = await run_script(
            server.url,
            [
                Say("I would like to book an appointment."),
                Say("On Monday, please."),
                Say("I would like two o'clock, please."),
                Say("Yes, please."),
                Say("No, that is all. Goodbye."),
            ],
            voice="rms",
            transcribe=transcribe,
            patience=Patience(quiet=1.2),  # A busy machine's voice pauses between two sentences.
        )
        assert report.ok, (report.failures, report.turns)
        # The witness is a small model too: of "you're booked for Monday at two o'clock" it gets the time right.
        assert re.search(r"Monday at (2|two) o'clock", report.heard.split("go ahead")[-1]), report.heard
        assert server.store("SELECT tool, state FROM effects") == [("book", "done")]


@pytest.mark.parametrize(
    ("vendor", "hears", "speaks"),
    [
        ("openai", Cloud("deepgram", FakeDeepgram, "deepgram"), Cloud("elevenlabs", FakeElevenLabs, "elevenlabs")),
        (
            "anthropic",
            Cloud("openai", FakeOpenAITranscription, "openai"),
            Cloud("google", FakeGoogleSynthesis, "google-texttospeech"),
        ),
        (
            "anthropic",
            Cloud("google", FakeGoogleRecognition, "google-speech"),
            Cloud("openai", FakeOpenAISpeech, "openai"),
        ),
    ],
    ids=lambda value: getattr(value, "vendor", value),
)
async def test_one_line_each_puts_cloud_vendors_in_place_of_the_local_models(
    tmp_path: Path, vendor: str, hears: Cloud, speaks: Cloud
) -> None:
    reply = ModelReply(("Your order is on its way. ", "Anything else?"))
    chat: FakeOpenAI | FakeAnthropic = (FakeOpenAI if vendor == "openai" else FakeAnthropic)(otherwise=reply)
    async with chat, hears.fake(["where is my order please"]) as ears, speaks.fake() as voice:
        configuration = f"""
            journals = "{tmp_path}/journals"
            [model]
            name = "{vendor}:test-model"
            base_url = "{chat.base_url}"
            [speech]
            recognizer = "{hears.vendor}"
            synthesizer = "{speaks.vendor}"
            [speech.base_url]
            {hears.address} = "{ears.base_url}"
            {speaks.address} = "{voice.base_url}"
        """
        keys = {f"{vendor.upper()}_API_KEY": chat.key}
        for each, fake in ((hears, ears), (speaks, voice)):
            if each.vendor == "google":
                keys["GOOGLE_APPLICATION_CREDENTIALS"] = fake.credentials()
            else:
                keys[f"{each.vendor.upper()}_API_KEY"] = fake.key
        async with running_server(tmp_path, configuration=configuration, **keys) as server:
            report = await run_script(server.url, [Say("Where is my order, please?"), Wait(5), HangUp()])
            said = server.store("SELECT kind, content FROM turns ORDER BY n")
        assert report.turns[1].latency is not None, report.failures
        assert ("caller_said", '{"text":"where is my order please","source":"voice"}') in said, said
        assert any(kind == "agent_said" and "on its way" in str(content) for kind, content in said), said
        [journal] = (tmp_path / "journals").iterdir()
        steps = journal.read_text(encoding="utf-8")
        assert '"Transcribed"' in steps
        assert "order" not in steps
        assert [key for key in keys.values() if key in (tmp_path / "server.log").read_text()] == []


async def test_the_florist_of_the_examples_acts_through_its_tool_server(tmp_path: Path, transcribe: Transcribe) -> None:
    configuration = (EXAMPLES / "florist.toml").read_text(encoding="utf-8")
    configuration = configuration.replace("examples/flower_market.py", str(EXAMPLES / "flower_market.py"))
    async with running_server(tmp_path, configuration=configuration) as server:
        report = await run_script(
            server.url,
            [Say("I would like to order flowers."), Say("Tulips, please."), Say("Yes, please."), Say("No, goodbye.")],
            voice="rms",
            transcribe=transcribe,
        )
        assert report.ok, (report.failures, report.turns)
        effects = server.store("SELECT tool, state FROM effects")
        assert effects.count(("order_bunch", "done")) == 1
        # A yes that came before all was heard confirms nothing: the bunch is read back again.
        assert set(effects) <= {("order_bunch", "done"), ("order_bunch", "withdrawn")}
