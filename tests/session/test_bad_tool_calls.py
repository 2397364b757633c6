"""Whatever a model asks for and whatever a tool does: the caller hears a sentence, it is written down, and nothing is
executed that should not be. Whole calls in virtual time."""

import asyncio
import json
from typing import Any

import pytest

from session.stage import Stage, stage
from talkspurt import ToolError, tool
from talkspurt.agent.locales import ENGLISH
from talkspurt.core.barge_in import BargeIn
from talkspurt.core.conversation import Conversation
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered
from talkspurt.effects.refusals import CHECKING, IN_DOUBT
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.session import STANDING_PATIENCE
from talkspurt.testing.providers import ScriptedModel
from talkspurt.testing.virtual_time import run_virtual

APOLOGY = ENGLISH.phrases["apology"]
FILLER = ENGLISH.phrases["tool_filler"]


class Shop:
    """Tools that misbehave to order, and an account of what was really done."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.looked: list[str] = []
        self.cancelled: list[str] = []

    async def _misbehave(self) -> Any:
        match self.fault:
            case "raises":
                raise RuntimeError("SELECT * FROM orders WHERE secret = 'canary'")
            case "refuses":
                raise ToolError("There is no such order.")
            case "hangs":
                await asyncio.sleep(3600)
            case "swallows its cancellation":
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    await asyncio.sleep(1)
            case "cancels itself":
                raise asyncio.CancelledError
            case "megabytes":
                return {"text": "x" * 5_000_000}
            case "no JSON":
                return object()
            case "a loop":
                loop: list[Any] = []
                loop.append(loop)
                return loop
        return {"status": "fine"}

    @tool
    async def look_up(self, order_id: str) -> dict[str, str]:
        """Look an order up.

        order_id: The order.
        """
        self.looked.append(order_id)
        return await self._misbehave()  # type: ignore[no-any-return]

    async def word(self, order_id: str) -> str:
        return f"I will cancel order {order_id}. Shall I go ahead?"

    @tool(effect=True, read_back=word)
    async def cancel(self, order_id: str) -> dict[str, str]:
        """Cancel an order.

        order_id: The order.
        """
        self.cancelled.append(order_id)
        return await self._misbehave()  # type: ignore[no-any-return]

    @property
    def tools(self) -> tuple[Any, ...]:
        return (self.look_up, self.cancel)


def asking(name: str, arguments: str, *, stubborn: bool = False) -> ScriptedModel:
    """A model that asks for a tool and says what came of it; a stubborn one asks again whenever it went wrong."""

    def script(request: ReplyRequest) -> list[ReplyPart]:
        last = next(entry for entry in reversed(request.history) if not isinstance(entry, AgentSaid))
        call = ToolCallPart(f"t{len(request.history)}", name, arguments)
        if isinstance(last, CallerSaid):
            return [call] if last.text == "please" else [TextDelta("As you like.")]
        assert isinstance(last, ToolAnswered)
        error = json.loads(last.content).get("error")
        if error is not None and stubborn:
            return [call]
        return [TextDelta(error["message"] if error else "All is well.")]

    return ScriptedModel(script)


def answers(call: Stage) -> list[dict[str, Any]]:
    return [json.loads(entry.content) for entry in call.recorder.entries if isinstance(entry, ToolAnswered)]


def states(call: Stage) -> list[tuple[str, str]]:
    return [(record.tool, record.state) for record in call.ledger.records.values()]


async def heard_after(call: Stage) -> str:
    """What the caller hears once they have said the next thing."""
    await call.listening()
    before = len(call.synthesizer.spoken)
    await call.says(0.6)
    await call.until(lambda: len(call.synthesizer.spoken) > before)
    await call.listening()
    return " ".join(call.synthesizer.spoken[before:])


BAD = {
    "no JSON": "{'order_id': W1}",
    "cut off": '{"order_id": "W1',
    "nothing at all": "",
    "null": "null",
    "a list": '["W1"]',
    "a number for a text": '{"order_id": 7}',
    "an object for a text": '{"order_id": {"$ne": ""}}',
    "one too many": '{"order_id": "W1", "amount": 100}',
    "another name": '{"order": "W1"}',
    "huge": json.dumps({"order_id": "x" * 1_000_000}),
    "deep": '{"order_id":' + "[" * 5000 + "]" * 5000 + "}",
    "surrogates": '{"order_id": "\\ud800"}',
    "not even text": "\x00\x01\udcff",
}


# ── what a model asks for ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["look_up", "cancel"])
@pytest.mark.parametrize("bad", BAD)
def test_arguments_that_cannot_be_used_are_shown_once_and_then_apologised_for(bad: str, name: str) -> None:
    async def run() -> None:
        shop = Shop()
        model = asking(name, BAD[bad], stubborn=True)
        async with stage(model, ["please", "well"], tools=shop.tools) as call:
            heard = await heard_after(call)
            assert heard.strip().endswith(APOLOGY)
            assert len(model.requests) == 2, "asked, and asked to repair it once"
            assert [answer["error"]["kind"] for answer in answers(call)] == ["invalid_arguments"] * 2
            assert max(len(json.dumps(answer)) for answer in answers(call)) < 600
            # The call goes on.
            assert await heard_after(call) == "As you like."
            assert {state for _, state in states(call)} <= {"refused"}
            assert bool(states(call)) == (name == "cancel"), "what was to be done and was not is in the ledger"
        assert shop.looked == shop.cancelled == []

    run_virtual(run())


def test_a_model_that_repairs_its_arguments_is_served() -> None:
    def script(request: ReplyRequest) -> list[ReplyPart]:
        last = next(entry for entry in reversed(request.history) if not isinstance(entry, AgentSaid))
        if isinstance(last, CallerSaid):
            return [ToolCallPart("t1", "look_up", '{"order_id": 7}')]
        assert isinstance(last, ToolAnswered)
        if "error" in last.content:
            assert "order_id" in last.content
            return [ToolCallPart("t2", "look_up", '{"order_id": "W7"}')]
        return [TextDelta("All is well.")]

    async def run() -> None:
        shop = Shop()
        async with stage(ScriptedModel(script), ["please"], tools=shop.tools) as call:
            assert await heard_after(call) == "All is well."
        assert shop.looked == ["W7"]

    run_virtual(run())


@pytest.mark.parametrize("name", ["drop_tables", "", "look_up ", "x" * 100_000, "Look_Up", "__class__"])
def test_a_tool_that_there_is_not_is_apologised_for_and_written_down(name: str) -> None:
    async def run() -> None:
        shop = Shop()
        async with stage(asking(name, "{}", stubborn=True), ["please", "well"], tools=shop.tools) as call:
            assert (await heard_after(call)).strip().endswith(APOLOGY)
            assert [answer["error"]["kind"] for answer in answers(call)] == ["unknown_tool"] * 2
            assert await heard_after(call) == "As you like."
            assert states(call)
            assert {state for _, state in states(call)} == {"refused"}
            assert max(len(tool) for tool, _ in states(call)) <= 200
        assert shop.looked == shop.cancelled == []

    run_virtual(run())


# ── what a tool does ──────────────────────────────────────────────────────────────

FAULTS = {
    "raises": "Something went wrong on our side.",
    "cancels itself": "Something went wrong on our side.",
    "refuses": "There is no such order.",
    "hangs": "That took too long.",
    "swallows its cancellation": "That took too long.",
    "megabytes": "Something went wrong on our side.",
    "no JSON": "Something went wrong on our side.",
    "a loop": "Something went wrong on our side.",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_tool_that_fails_becomes_a_sentence_that_the_caller_understands(fault: str) -> None:
    async def run() -> None:
        shop = Shop(fault)
        async with stage(asking("look_up", '{"order_id": "W1"}'), ["please", "well"], tools=shop.tools) as call:
            began = asyncio.get_running_loop().time()
            heard = await heard_after(call)
            await call.until(lambda: call.synthesizer.spoken[-1] != FILLER)
            heard = " ".join(call.synthesizer.spoken)
            assert heard.endswith(FAULTS[fault])
            assert "canary" not in heard
            assert asyncio.get_running_loop().time() - began < 13
            if "hangs" in fault:
                assert FILLER in heard, "nobody waits in silence"
            assert [answer["error"]["message"] for answer in answers(call)] == [FAULTS[fault]]
            await call.listening()
            assert await heard_after(call) == "As you like."
        assert shop.looked == ["W1"]

    run_virtual(run())


OUTCOMES = {
    "raises": "in_doubt",
    "cancels itself": "in_doubt",
    "refuses": "failed",
    "hangs": "in_doubt",
    "swallows its cancellation": "in_doubt",
    "megabytes": "done",
    "no JSON": "done",
    "a loop": "done",
}


@pytest.mark.parametrize("fault", OUTCOMES)
def test_an_effect_that_fails_is_in_doubt_unless_it_says_that_it_did_nothing(fault: str) -> None:
    async def run() -> None:
        shop = Shop(fault)
        model = asking("cancel", '{"order_id": "W1"}')
        async with stage(model, ["please", "yes", "please"], tools=shop.tools) as call:
            assert "Shall I go ahead?" in await heard_after(call)
            assert shop.cancelled == []
            await call.says(0.4)
            await call.until(lambda: states(call) == [("cancel", OUTCOMES[fault])])
            await call.listening()
            heard = " ".join(entry.text for entry in call.recorder.entries if isinstance(entry, AgentSaid))
            told = {"done": "All is well.", "in_doubt": IN_DOUBT, "failed": FAULTS[fault]}
            assert heard.endswith(told[OUTCOMES[fault]])
            # Asked for again, it is not done again unless it is known that nothing was done.
            again = await heard_after(call)
            assert ("Shall I go ahead?" in again) == (OUTCOMES[fault] == "failed")
            assert shop.cancelled == ["W1"]

    run_virtual(run())


@pytest.mark.parametrize("name", ["look_up", "cancel"])
def test_a_tool_that_returns_after_the_call_has_ended_is_accounted_for(name: str) -> None:
    async def run() -> None:
        shop = Shop("hangs")
        async with stage(asking(name, '{"order_id": "W1"}'), ["please", "yes"], tools=shop.tools) as call:
            await call.says(0.6)
            if name == "cancel":
                await call.until(lambda: "Shall I go ahead?" in call.synthesizer.spoken)
                await call.says(0.4)
            await call.until(lambda: shop.looked + shop.cancelled == ["W1"])
            assert call.line.listener is not None
            call.line.listener.line_closed(hung_up=True)
            assert await asyncio.wait_for(call.task, 30) == "caller_hung_up"
            assert states(call) == ([("cancel", "in_doubt")] if name == "cancel" else [])
            last = answers(call)[-1]["error"]
            assert last["kind"] == ("in_doubt" if name == "cancel" else "cancelled")

    run_virtual(run())


def test_a_caller_hears_what_came_of_an_effect_in_doubt() -> None:
    async def run() -> None:
        found: list[dict[str, str] | None] = [None]

        async def word(order_id: str) -> str:
            return f"I will cancel order {order_id}. Shall I go ahead?"

        async def look_up(key: str) -> dict[str, str] | None:
            return found[0]

        @tool(effect=True, read_back=word, lookup=look_up)
        async def cancel(order_id: str) -> dict[str, str]:
            """Cancel an order.

            order_id: The order.
            """
            raise RuntimeError("the line was lost")

        async with stage(asking("cancel", '{"order_id": "W1"}'), ["please", "yes"], tools=(cancel,)) as call:
            assert "Shall I go ahead?" in await heard_after(call)
            assert CHECKING in await heard_after(call)
            (proposal,) = call.ledger.records
            await call.ledger.resolve(proposal, result='{"status":"cancelled"}')
            await call.until(lambda: call.synthesizer.spoken[-1] == "All is well.", 10)

    run_virtual(run())


def test_the_model_of_whoever_takes_the_phone_was_never_told_the_address_of_the_one_before() -> None:
    shown: list[str] = []

    @tool
    async def look_up_address() -> str:
        """Look the caller's address up."""
        return "12 Elm Street"

    def script(request: ReplyRequest) -> list[ReplyPart]:
        last = request.history[-1]
        match last:
            case CallerSaid("my address"):
                return [ToolCallPart("t1", "look_up_address", "{}")]
            case CallerSaid("here is my wife"):
                return [ToolCallPart("t2", "new_caller", "{}")]
            case ToolAnswered(name="look_up_address"):
                return [TextDelta("It is 12 Elm Street.")]
            case CallerSaid():
                shown.append(str(request.history))
        return [TextDelta("Hello.")]

    async def run() -> None:
        heard = ["my address", "here is my wife", "what is that address"]
        async with stage(ScriptedModel(script), heard, tools=(look_up_address,)) as call:
            assert "Elm Street" in await heard_after(call)
            await heard_after(call)
            await heard_after(call)
            assert shown
            assert not any("Elm Street" in history for history in shown)
            # Nor by the process that takes the call up: the snapshot says from where.
            later = Conversation.restore(call.session._conversation._settings, dict(call.recorder.snapshots[-1]))
            assert "Elm Street" not in str(later._agent.log.shown(later._agent.playback))

    run_virtual(run())


@pytest.mark.interpreted
def test_whoever_insists_in_another_voice_is_not_told_what_the_verified_caller_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No model says so: the runtime has heard it."""
    shown: list[ReplyRequest] = []

    def script(request: ReplyRequest) -> list[ReplyPart]:
        shown.append(request)
        return [TextDelta("It is 12 Elm Street.") if len(shown) == 1 else TextDelta("Who is that?")]

    async def run() -> None:
        async with stage(ScriptedModel(script), ["my address", "one", "two", "what is that address"]) as call:
            call.session.caller.verify("maya")
            assert "Elm Street" in await heard_after(call)
            monkeypatch.setattr(BargeIn, "is_somebody_else", lambda _rules, _voice: True)
            for _ in range(2):
                call.line.speak(0.6)
                await asyncio.sleep(2.0)
            assert "Who is that?" in await heard_after(call)
            assert (call.session.caller.account, call.session.caller.level) == (None, 0)
            assert "Elm Street" not in str(shown[-1].history)
            assert call.recorder.snapshots[-1]["caller"]["level"] == 0

    run_virtual(run())


def test_that_somebody_else_has_the_phone_outlives_the_process() -> None:
    async def run() -> None:
        def script(request: ReplyRequest) -> list[ReplyPart]:
            # What is still being said keeps all that follows it out of the record.
            words = TextDelta("One moment, I will have a good look at all of that for you. ")
            return [words, ToolCallPart("t1", "new_caller", "{}")] if len(request.history) < 3 else [TextDelta("Hm.")]

        async with stage(ScriptedModel(script), ["please"]) as call:
            call.session.caller.verify("maya")
            await call.listening()
            call.line.speak(0.6)
            await call.until(lambda: any(snapshot["caller"]["level"] == 1 for snapshot in call.recorder.snapshots))
            await call.until(lambda: call.session.caller.level == 0)
            assert call.recorder.snapshots[-1]["caller"] == {"account": None, "level": 0, "served": ["maya"]}

    run_virtual(run())


@pytest.mark.parametrize(("takes", "waited"), [(3.0, 3.0), (60.0, STANDING_PATIENCE)])
def test_no_tool_runs_until_it_is_stored_that_somebody_else_has_the_phone_or_could_not_be(
    takes: float, waited: float
) -> None:
    """A process that is killed in between must not have served them, as whoever they say they are by then."""

    async def run() -> None:
        looked: list[float] = []

        @tool
        async def look_up() -> str:
            """Look something up."""
            looked.append(asyncio.get_running_loop().time())
            return "There it is."

        def script(request: ReplyRequest) -> list[ReplyPart]:
            match request.history[-1]:
                case CallerSaid():
                    return [ToolCallPart("t1", "new_caller", "{}")]
                case ToolAnswered(name="new_caller"):
                    return [ToolCallPart("t2", "look_up", "{}")]
            return [TextDelta("All is well.")]

        async with stage(ScriptedModel(script), ["here is my wife"], tools=(look_up,)) as call:
            call.session.caller.verify("maya", level=2)
            call.recorder.takes = takes
            await call.says(0.6)
            await call.until(lambda: call.session.caller.level == 0)
            changed = asyncio.get_running_loop().time()
            await call.until(lambda: bool(looked))
            assert looked[0] - changed == pytest.approx(waited, abs=0.1)
            assert [state["caller"]["level"] for state in call.recorder.urgent] == [0]

    run_virtual(run())
