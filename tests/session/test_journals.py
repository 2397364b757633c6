"""A call's journal tells what happened when, without a word of it, and stays in its folder."""

import asyncio
import json
from pathlib import Path

import pytest

from session.stage import on_virtual_time, stage
from talkspurt.media.evidence import Evidence
from talkspurt.testing.providers import ScriptedModel


@on_virtual_time
async def _call(folder: Path, carrier_id: str) -> None:
    async with stage(
        ScriptedModel.saying("Your lamp is on its way."),
        ["where is my lamp"],
        journals=folder,
        carrier_id=carrier_id,
    ) as call:
        await call.says()
        await call.listening()
        call.session.hung_up()
        assert await call.task == "caller_hung_up"


def test_a_journal_has_facts_states_and_decisions_but_no_words(tmp_path: Path) -> None:
    _call(folder=tmp_path / "journals", carrier_id="CA1")
    text = (tmp_path / "journals" / "CA1.jsonl").read_text()
    steps = [json.loads(line) for line in text.splitlines()]
    assert {"fact", "state", "decision"} == {step["kind"] for step in steps}
    assert {"SpeechStarted", "SpeechStopped", "Transcribed", "Speaking", "ask"} <= {step["name"] for step in steps}
    assert [step["detail"] for step in steps if step["name"] == "Transcribed"][-1] == "4 words"
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    assert "lamp" not in text


def test_a_voice_that_was_not_measured_is_not_told_with_the_measures_of_another(tmp_path: Path) -> None:
    @on_virtual_time
    async def call() -> None:
        async with stage(ScriptedModel.saying("Yes."), ["one", "two"], journals=tmp_path, carrier_id="CA1") as call:
            await call.says()
            await asyncio.sleep(3.0)
            await call.says()
            await call.listening()
            call.session.hung_up()
            await call.task

    call()
    steps = [json.loads(line) for line in (tmp_path / "CA1.jsonl").read_text().splitlines()]
    assert all("voicing" in step["detail"] for step in steps if step["name"] == "SpeechStopped")
    began = ["voicing" in step["detail"] for step in steps if step["name"] == "SpeechStarted"]
    assert began == [True, False], "right behind the greeting it might be an echo, and long after an answer nothing is"


@pytest.mark.interpreted
@pytest.mark.parametrize("in_noise", [True, False])
def test_a_voice_in_noise_is_told_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_noise: bool) -> None:
    monkeypatch.setattr(Evidence, "is_in_noise", in_noise)
    _call(folder=tmp_path, carrier_id="CA1")
    steps = [json.loads(line) for line in (tmp_path / "CA1.jsonl").read_text().splitlines()]
    stopped = [step["detail"] for step in steps if step["name"] == "SpeechStopped"]
    assert [" in-noise" in detail for detail in stopped] == [in_noise] * len(stopped)
    assert stopped


@pytest.mark.parametrize("carrier_id", ["../../CA1", "/CA1", "CA\0", "..", "CA1\n{}"])
def test_whatever_a_call_calls_itself_its_journal_stays_in_the_folder(tmp_path: Path, carrier_id: str) -> None:
    _call(folder=tmp_path / "a" / "journals", carrier_id=carrier_id)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent for path in written] == [tmp_path / "a" / "journals"]


def test_a_folder_that_cannot_be_written_costs_no_call(tmp_path: Path) -> None:
    (tmp_path / "journals").write_text("a file")
    _call(folder=tmp_path / "journals", carrier_id="CA1")
