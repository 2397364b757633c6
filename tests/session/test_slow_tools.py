"""Tools that take their time, in whole calls in virtual time."""

import asyncio
import json

from session.stage import Stage, on_virtual_time, stage
from talkspurt import Caller, Progress, tool
from talkspurt.agent.locales import ENGLISH
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.testing.providers import ScriptedModel

FILLER = ENGLISH.phrases["tool_filler"]
stopped: list[str] = []


@tool(timeout=30)
async def ask_warehouse(progress: Progress) -> str:
    """Ask the warehouse."""
    await asyncio.sleep(1.5)
    await progress("Still checking with\nthe warehouse.\u202e")
    await asyncio.sleep(3)
    await progress("They are counting.")
    await asyncio.sleep(4)
    return "seven"


@tool(finishes_later=True, timeout=120)
async def find_parcel(caller: Caller, progress: Progress, order_id: str) -> dict[str, str]:
    """Look for a parcel.

    order_id: The order.
    """
    try:
        await progress("The depot is looking for it.")
        await asyncio.sleep(25)
    except asyncio.CancelledError:
        stopped.append(order_id)
        raise
    return {"found": "shelf nine"}


@tool(finishes_later=True, level=1, timeout=120)
async def read_account(caller: Caller) -> dict[str, str]:
    """Read the whole account."""
    await asyncio.sleep(20)
    return {"secret": "of Ann"}


def assistant(name: str, arguments: str = "{}") -> ScriptedModel:
    """Asks for the tool, tells what it got, and makes small talk."""

    def script(request: ReplyRequest) -> list[ReplyPart]:
        last = next(entry for entry in reversed(request.history) if not isinstance(entry, AgentSaid))
        if isinstance(last, CallerSaid):
            return [ToolCallPart("t1", name, arguments)] if last.text == "please" else [TextDelta("It is sunny.")]
        assert isinstance(last, ToolAnswered)
        content = json.loads(last.content)
        if content.get("status") == "started":
            return [TextDelta("I'm looking for it now.")]
        if "error" in content:
            return [TextDelta(content["error"]["message"])]
        return [TextDelta(f"It is {next(iter(content.values()))}.")]

    return ScriptedModel(script)


async def says(call: Stage, text: str) -> None:
    await call.says(0.6)
    await call.until(lambda: call.synthesizer.spoken[-1] == text)


@on_virtual_time
async def test_a_slow_tool_is_bridged_by_what_it_says() -> None:
    async with stage(assistant("ask_warehouse"), ["please"], tools=(ask_warehouse,)) as call:
        await says(call, "It is seven.")
        spoken = call.synthesizer.spoken
        assert spoken.index("Still checking with the warehouse.") < spoken.index("They are counting.")
        assert spoken.count("Still checking with the warehouse.") == spoken.count("They are counting.") == 1


@on_virtual_time
async def test_what_finishes_later_is_told_in_a_turn_of_its_own() -> None:
    tools = (find_parcel,)
    model = assistant("find_parcel", '{"order_id":"W1"}')
    async with stage(model, ["please", "well"], tools=tools) as call:
        await says(call, "I'm looking for it now.")
        await says(call, "It is sunny.")
        assert "It is shelf nine." not in call.synthesizer.spoken
        await call.until(lambda: call.synthesizer.spoken[-1] == "It is shelf nine.")
        await call.listening()
        answers = [entry.tool_call for entry in call.recorder.entries if isinstance(entry, ToolAnswered)]
        assert answers == ["t1", "t1-finished"]
        assert "The depot is looking for it." in call.synthesizer.spoken
        assert not any("there" in spoken for spoken in call.synthesizer.spoken[1:]), "who waits is not asked for"


@on_virtual_time
async def test_a_hang_up_stops_what_would_finish_later_and_writes_it_down() -> None:
    model = assistant("find_parcel", '{"order_id":"W9"}')
    async with stage(model, ["please"], tools=(find_parcel,)) as call:
        await says(call, "I'm looking for it now.")
        assert call.line.listener is not None
        call.line.listener.line_closed(hung_up=True)
        assert await asyncio.wait_for(call.task, 5) == "caller_hung_up"
        last = call.recorder.entries[-1]
        assert isinstance(last, ToolAnswered)
        assert "The call ended before this was done." in last.content
        assert stopped == ["W9"]


@on_virtual_time
async def test_arguments_of_what_finishes_later_are_checked_at_once() -> None:
    async with stage(assistant("find_parcel", '{"order":"W1"}'), ["please"], tools=(find_parcel,)) as call:
        await call.says(0.6)
        await call.until(lambda: "order id" in call.synthesizer.spoken[-1])


@on_virtual_time
async def test_an_answer_is_not_told_to_whoever_has_the_phone_by_then() -> None:
    async with stage(assistant("read_account"), ["please"], tools=(read_account,)) as call:
        call.session.caller.verify("ann")
        await says(call, "I'm looking for it now.")
        call.session.caller.unverify()
        await call.until(lambda: "account has changed" in call.synthesizer.spoken[-1])
        assert not any("of Ann" in str(entry) for entry in call.recorder.entries)
