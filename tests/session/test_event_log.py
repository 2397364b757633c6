"""The log of a call's events is the call: played again, it comes to the same words, records and end."""

from pathlib import Path

import pytest

from session.stage import on_virtual_time, stage
from talkspurt.agent.locales import ENGLISH
from talkspurt.core.commands import EndCall, Record
from talkspurt.core.conversation import Conversation
from talkspurt.core.settings import Settings
from talkspurt.testing.event_log import EventLog, Replay, read, replay
from talkspurt.testing.providers import ScriptedModel

SETTINGS = Settings(greeting="Hello there.", language=ENGLISH.language)


def test_a_call_comes_to_the_same_when_its_log_is_played_again(tmp_path: Path) -> None:
    log, path, recorded = EventLog(), tmp_path / "logs" / "call.jsonl", []

    @on_virtual_time
    async def run() -> None:
        model = ScriptedModel.saying("Your lamp is on its way.", "You are welcome.")
        heard = ["where is my lamp", "thank you very much"]
        async with stage(model, heard, settings=SETTINGS, journals=lambda _call: log) as call:
            await call.says()
            await call.says()
            await call.listening()
            call.session.hung_up()
            await call.task
            recorded.extend(call.recorder.entries)

    run()
    log.write(path)
    again = replay(path, SETTINGS)
    assert list(read(path)) == log.events
    assert [record.entry for record in again.of(Record)] == recorded
    assert "Your lamp is on its way." in repr(recorded)
    assert again.of(EndCall) == [EndCall("caller_hung_up")]


def test_deadlines_pass_without_an_event() -> None:
    again = Replay(Conversation(SETTINGS))
    assert again.wait(14.0).of(EndCall) == []
    assert again.wait(16.0).of(EndCall) == [EndCall("no_media")]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"at": 1.0}',
        '{"at": "soon", "event": {"~": "CallerHungUp"}}',
        '{"at": 1.0, "event": {"~": "Voice"}}',
        '{"at": 1.0, "event": {"~": "SpeechStarted"}}',
        '{"at": 1.0, "event": null}',
    ],
)
def test_a_line_that_is_no_event_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    path.write_text('{"at": 0.0, "event": {"~": "LineOpened", "attachment": 1}}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"call\.jsonl:2 holds no event"):
        list(read(path))
