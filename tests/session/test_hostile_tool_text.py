"""Text that comes out of a tool is spoken, whatever a command line would make of it. In real time, with Piper."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from session.stage import stage
from talkspurt import tool
from talkspurt.core.history import AgentSaid, ToolAnswered
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.speech import piper_voice as piper
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.models import Models
from talkspurt.speech.weights import WeightStore
from talkspurt.synthesizers.piper import PiperSynthesizer
from talkspurt.testing.providers import ScriptedModel


@pytest.fixture
def _nothing_written() -> Iterator[None]:
    existed = Path("/tmp/x").exists()
    yield
    assert Path("/tmp/x").exists() == existed


@pytest.mark.usefixtures("_nothing_written")
@pytest.mark.parametrize("text", ["-f/etc/passwd", "-w/tmp/x"])
async def test_no_file_is_read_or_written_for_what_a_tool_returns(
    weight_store: WeightStore, joe: piper.Voice, text: str
) -> None:
    @tool
    async def read_note() -> dict[str, str]:
        """Read the note on an order."""
        return {"note": text}

    def parrot(request: ReplyRequest) -> list[ReplyPart]:
        last = request.history[-1]
        if isinstance(last, ToolAnswered):
            return [TextDelta(json.loads(last.content)["note"])]
        return [ToolCallPart("t1", "read_note", "{}")]

    voice = PiperSynthesizer(LocalInference(Models(weight_store, voices={"joe": joe})), patience=30)
    async with stage(ScriptedModel(parrot), ["read me the note"], tools=(read_note,), speaker=voice) as call:
        await call.says()
        before = len(call.line.played)
        await call.until(lambda: AgentSaid(text) in call.recorder.entries)
        # A few words; the password file would be read out for minutes.
        assert 0.5 < (len(call.line.played) - before) / 16_000 < 10
    await voice.aclose()
