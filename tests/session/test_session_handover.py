"""A caller whom nobody took comes back to a session that knows everything and says how it went."""

import asyncio
import json
from typing import Any

from session.stage import on_virtual_time, stage
from talkspurt import Caller, tool
from talkspurt.core.events import HandoverReturned
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.states import Ended
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.testing.handover import MemoryDesk
from talkspurt.testing.providers import ScriptedModel

BUSY = HandoverReturned("back_unanswered", '{"status":"busy","message":"The line is busy."}')


@tool(verifies=1)
async def escalate(caller: Caller, reason: str) -> dict[str, Any]:
    """Get a person."""
    caller.desk = MemoryDesk(targets=("billing",))
    caller.verify("maya_collins")
    return (await caller.hand_over(reason)).facts()


def script(request: ReplyRequest) -> list[ReplyPart]:
    last = request.history[-1]
    if isinstance(last, ToolAnswered):
        return [TextDelta(f"{json.loads(last.content)['message']}")]
    if isinstance(last, CallerSaid) and "person" in last.text:
        return [ToolCallPart("t1", "escalate", '{"reason":"A bill"}')]
    return [TextDelta(f"You said {len(request.history)} things.")]


@on_virtual_time
async def test_a_caller_whom_nobody_took_is_told_so_and_known() -> None:
    async with stage(ScriptedModel(script), ["a person please"], tools=(escalate,)) as call:
        await call.says()
        assert await asyncio.wait_for(call.task, 20) == "handover"
        assert isinstance(call.session.floor, Ended)
        snapshot = json.loads(json.dumps(call.recorder.snapshots[-1]))
    model = ScriptedModel(script)
    async with stage(model, ["what now"], tools=(escalate,), snapshot=snapshot, returned=BUSY) as again:
        await again.until(lambda: "The line is busy." in again.synthesizer.spoken)
        assert again.synthesizer.spoken[0] == "I'm back with you. I couldn't get through to anybody."
        (request,) = model.requests
        assert request.history[-2:] == (
            ToolCalled("t1-returned", "escalate", '{"reason":"A bill"}'),
            ToolAnswered("t1-returned", "escalate", BUSY.content),
        )
        assert CallerSaid("a person please") in request.history
        assert (again.session.caller.account, again.session.caller.level) == ("maya_collins", 1)
        await again.says()
        await again.until(lambda: len(model.requests) == 2)
        said = [entry.text for entry in again.recorder.entries if isinstance(entry, AgentSaid)]
        assert "The line is busy." in " ".join(said)


@on_virtual_time
async def test_a_call_that_was_not_handed_over_goes_on_as_ever() -> None:
    """The last hand-over was in vain, and since then the conversation has gone on in a process that died."""
    async with stage(ScriptedModel(script), ["hello"], tools=(escalate,)) as call:
        await call.says()
        await call.until(lambda: any(isinstance(entry, CallerSaid) for entry in call.recorder.entries))
        await call.listening()
        snapshot = json.loads(json.dumps(call.recorder.snapshots[-1]))
    async with stage(ScriptedModel(script), tools=(escalate,), snapshot=snapshot, returned=BUSY) as again:
        await again.until(lambda: bool(again.synthesizer.spoken))
        assert "back with you" not in again.synthesizer.spoken[0]


@on_virtual_time
async def test_that_a_call_has_ended_is_in_its_last_snapshot_also_when_nothing_was_said_since() -> None:
    async with stage(ScriptedModel(script), ["hello"]) as call:
        await call.says()
        await call.until(lambda: any(isinstance(entry, CallerSaid) for entry in call.recorder.entries))
        await call.listening()
        await asyncio.sleep(1.0)
        recorded = len(call.recorder.entries)
        call.session.hung_up()
        await asyncio.wait_for(call.task, 20)
        assert len(call.recorder.entries) == recorded, "nothing new would have been stored otherwise"
        assert call.recorder.snapshots[-1]["floor"]["~"] == "Ended"
