"""The session carries facts and commands faithfully: one call on a virtual line and a virtual clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from session.line import VirtualLine
from talkspurt import Agent, Caller, tool
from talkspurt.agent.locales import find_locale
from talkspurt.clock import MediaClock
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.core.settings import Settings
from talkspurt.effects.dispatcher import ToolDispatcher
from talkspurt.errors import ProviderError
from talkspurt.ports import Call, ReplyPart, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.session import Services, Session
from talkspurt.testing.ledger import MemoryEffectLedger
from talkspurt.testing.providers import LevelVoiceActivity, ScriptedModel, ScriptedRecognizer, ToneSynthesizer
from talkspurt.testing.virtual_time import run_virtual


@dataclass
class Recorder:
    """Remembers what a session records."""

    entries: list[Entry] = field(default_factory=list)
    snapshots: list[Mapping[str, Any]] = field(default_factory=list)

    def entry(self, call_id: str, entry: Entry, /) -> None:
        self.entries.append(entry)

    def snapshot(self, call_id: str, snapshot: Mapping[str, Any], /) -> None:
        self.snapshots.append(snapshot)


def cancelled_orders() -> tuple[list[str], Any]:
    done: list[str] = []

    async def word(caller: Caller, order_id: str) -> str:
        return f"I will cancel order {order_id}. Shall I go ahead?"

    @tool(effect=True, read_back=word)
    async def cancel_order(caller: Caller, order_id: str) -> dict[str, str]:
        """Cancel an order.

        order_id: The order.
        """
        done.append(order_id)
        return {"status": "cancelled", "order_id": order_id}

    return done, cancel_order


@dataclass
class Stage:
    """A session with everything around it."""

    session: Session
    line: VirtualLine
    recorder: Recorder
    synthesizer: ToneSynthesizer
    model: ScriptedModel
    task: asyncio.Task[str]
    ledger: MemoryEffectLedger

    async def until(self, happened: Callable[[], bool], within: float = 60.0) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while not happened():
            assert loop.time() < end, f"not within {within} s; floor {self.session.floor}"
            await asyncio.sleep(0.02)

    async def listening(self) -> None:
        await self.until(lambda: type(self.session.floor).__name__ == "Listening")

    async def says(self, seconds: float = 1.0) -> None:
        """The caller speaks one utterance once the agent listens."""
        await self.listening()
        self.line.speak(seconds)
        await asyncio.sleep(seconds + 0.3)


@asynccontextmanager
async def stage(
    model: ScriptedModel,
    heard: Iterable[str] = (),
    *,
    tools: tuple[Any, ...] = (),
    settings: Settings | None = None,
    snapshot: Mapping[str, Any] | None = None,
    ledger: MemoryEffectLedger | None = None,
) -> AsyncIterator[Stage]:
    detector, recorder, synthesizer = LevelVoiceActivity(), Recorder(), ToneSynthesizer()
    clock = MediaClock(detector)
    agent = Agent(name="test", prompt="Be kind.", greeting="Hello there.", tools=tools)
    caller = Caller(call_id="c1", number="+15550100")
    ledger = ledger or MemoryEffectLedger()
    locale = find_locale("en-US")
    session = Session(
        Call("c1", "CA1", "+15550100", "+15550199", "test", "en-US"),
        agent=agent,
        model=model,
        locale=locale,
        settings=settings or Settings(greeting=agent.greeting, yes_or_no=locale.yes_or_no),
        caller=caller,
        dispatcher=ToolDispatcher(agent, caller, ledger),
        services=Services(ScriptedRecognizer(tuple(heard)), synthesizer, detector, clock, recorder),
        minimum_voiced=0.096,
        snapshot=snapshot,
    )
    line = VirtualLine()
    helpers = [asyncio.create_task(clock.run()), asyncio.create_task(line.run())]
    task = asyncio.create_task(session.run(line, 1 if snapshot is None else 2))
    try:
        yield Stage(session, line, recorder, synthesizer, model, task, ledger)
    finally:
        for running in (*helpers, task):
            running.cancel()
        await asyncio.gather(*helpers, task, return_exceptions=True)


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    def run(**fixtures: Any) -> None:
        run_virtual(test(**fixtures))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@on_virtual_time
async def test_a_plain_turn_is_heard_answered_and_recorded() -> None:
    async with stage(ScriptedModel.saying("It is on its way."), ["where is my order"]) as call:
        await call.says()
        await call.until(lambda: AgentSaid("It is on its way.") in call.recorder.entries)
        assert call.recorder.entries == [
            AgentSaid("Hello there."),
            CallerSaid("where is my order"),
            AgentSaid("It is on its way."),
        ]
        assert call.model.requests[0].history == (AgentSaid("Hello there."), CallerSaid("where is my order"))


@on_virtual_time
async def test_audio_is_sent_between_200_and_400_ms_ahead() -> None:
    async with stage(ScriptedModel.saying("One two three four five six seven eight nine ten."), ["count"]) as call:
        await call.says()
        await call.until(lambda: len(call.recorder.entries) == 3)
        assert 0.2 <= call.line.sent_ahead <= 0.4


@on_virtual_time
async def test_a_barge_in_clears_the_line_and_only_what_was_heard_enters_history() -> None:
    long = " ".join(f"word{n}" for n in range(30)) + "."
    async with stage(ScriptedModel.saying(long, "All right."), ["tell me all", "stop"]) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(2.0)
        began = asyncio.get_running_loop().time()
        call.line.speak(0.8)
        await call.until(lambda: bool(call.line.clears))
        assert call.line.clears[0] - began < 0.2
        await call.until(lambda: AgentSaid("All right.") in call.recorder.entries)
        cut = call.recorder.entries[2]
        assert isinstance(cut, AgentSaid)
        assert cut.interrupted
        assert long.startswith(cut.text)
        # A word lasts half a second here, and marks come every 160 ms: between three and five words in 2 s.
        assert 3 <= len(cut.text.split()) <= 5


@on_virtual_time
async def test_a_noise_over_the_agent_costs_no_word() -> None:
    async with stage(ScriptedModel.saying("You can return it within thirty days."), ["can I return it", ""]) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(1.0)
        call.line.speak(0.3)
        await call.until(lambda: bool(call.line.clears))
        await call.listening()
        assert " ".join(e.text for e in call.recorder.entries[2:] if isinstance(e, AgentSaid)) == (
            "You can return it within thirty days."
        )


@on_virtual_time
async def test_a_tool_runs_and_its_result_reaches_the_model() -> None:
    @tool
    async def look_up(order_id: str) -> dict[str, str]:
        """Look an order up.

        order_id: The order.
        """
        return {"status": "delivered"}

    def script(request: ReplyRequest) -> list[ReplyPart]:
        if isinstance(request.history[-1], ToolAnswered):
            return [TextDelta("It was delivered.")]
        return [TextDelta("Let me see. "), ToolCallPart("t1", "look_up", '{"order_id":"W1"}')]

    async with stage(ScriptedModel(script), ["order W1"], tools=(look_up,)) as call:
        await call.says()
        await call.until(lambda: AgentSaid("It was delivered.") in call.recorder.entries)
        assert call.recorder.entries[2:5] == [
            AgentSaid("Let me see."),
            ToolCalled("t1", "look_up", '{"order_id":"W1"}'),
            ToolAnswered("t1", "look_up", '{"status": "delivered"}'),
        ]


def cancelling(request: ReplyRequest) -> list[ReplyPart]:
    last = request.history[-1]
    if isinstance(last, CallerSaid) and "cancel" in last.text:
        return [ToolCallPart(f"t{len(request.history)}", "cancel_order", '{"order_id":"W1"}')]
    return [TextDelta("Done." if isinstance(last, ToolAnswered) and "cancelled" in last.content else "Nothing done.")]


@pytest.mark.parametrize(
    ("answer", "expected"), [("yes please", ["W1"]), ("no", []), ("what was that", []), ("", [])], ids=str
)
def test_an_effect_needs_a_clear_yes_after_its_read_back(answer: str, expected: list[str]) -> None:
    done, cancel_order = cancelled_orders()

    async def run() -> None:
        async with stage(ScriptedModel(cancelling), ["cancel it", answer], tools=(cancel_order,)) as call:
            await call.says()
            await call.until(lambda: "Shall I go ahead?" in call.synthesizer.spoken)
            assert done == []
            await call.says()
            await asyncio.sleep(6)
            assert done == expected

    run_virtual(run())


@on_virtual_time
async def test_a_yes_before_the_details_were_heard_confirms_nothing() -> None:
    done, cancel_order = cancelled_orders()
    async with stage(ScriptedModel(cancelling), ["cancel it", "yes"], tools=(cancel_order,)) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(0.5)
        call.line.speak(0.5)
        await asyncio.sleep(8)
        assert done == []
        assert AgentSaid("Nothing done.") in call.recorder.entries


@on_virtual_time
async def test_a_failing_model_is_asked_once_more_and_then_apologised_for() -> None:
    model = ScriptedModel(lambda _request: [ProviderError("model", "test", "down")])
    async with stage(model, ["hello", "hello", "hello"]) as call:
        await call.says()
        await call.until(lambda: any("went wrong" in text for text in call.synthesizer.spoken))
        assert len(model.requests) == 2
        await call.says()
        await call.says()
        assert await asyncio.wait_for(call.task, 30) == "no_reply"


@on_virtual_time
async def test_a_dead_synthesizer_ends_the_call_instead_of_leaving_silence() -> None:
    async with stage(ScriptedModel.saying("Hi.")) as call:
        call.synthesizer.failing = True
        assert await asyncio.wait_for(call.task, 60) == "no_speech"


@on_virtual_time
async def test_a_silent_caller_is_asked_after_10_s_and_left_after_30_s() -> None:
    async with stage(ScriptedModel.saying("Hi.")) as call:
        await call.listening()
        quiet = asyncio.get_running_loop().time()
        await call.until(lambda: "Are you still there?" in call.synthesizer.spoken)
        assert asyncio.get_running_loop().time() - quiet == pytest.approx(10, abs=0.2)
        assert await asyncio.wait_for(call.task, 60) == "caller_silent"
        assert 30 < asyncio.get_running_loop().time() - quiet < 40


@on_virtual_time
async def test_the_agent_hangs_up_only_after_its_goodbye_was_heard() -> None:
    model = ScriptedModel(lambda _request: [TextDelta("Goodbye and take care."), ToolCallPart("e", "end_call", "{}")])
    async with stage(model, ["that is all"]) as call:
        await call.says()
        assert await asyncio.wait_for(call.task, 30) == "agent_goodbye"
        assert call.recorder.entries[-1] == AgentSaid("Goodbye and take care.")


@on_virtual_time
async def test_digits_typed_during_speech_interrupt_it_and_are_a_turn() -> None:
    async with stage(ScriptedModel.saying("Thank you."), []) as call:
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        call.line.press("19122#")
        await call.until(lambda: AgentSaid("Thank you.") in call.recorder.entries)
        assert CallerSaid("19122", "keypad") in call.recorder.entries
        assert call.line.clears


@on_virtual_time
async def test_a_hang_up_lets_a_confirmed_effect_finish() -> None:
    done: list[str] = []

    async def word(caller: Caller) -> str:
        return "I will refund you. Shall I?"

    @tool(effect=True, read_back=word)
    async def refund(caller: Caller) -> dict[str, str]:
        """Refund."""
        await asyncio.sleep(2)
        done.append("refunded")
        return {"status": "refunded"}

    def script(request: ReplyRequest) -> list[ReplyPart]:
        return [ToolCallPart(f"t{len(request.history)}", "refund", "{}")]

    async with stage(ScriptedModel(script), ["refund me", "yes"], tools=(refund,)) as call:
        await call.says()
        await call.until(lambda: "Shall I?" in call.synthesizer.spoken)
        await call.says()
        await call.until(lambda: any(record.state == "executing" for record in call.ledger.records.values()))
        assert call.line.listener is not None
        call.line.listener.line_closed(hung_up=True)
        assert await asyncio.wait_for(call.task, 30) == "caller_hung_up"
        assert done == ["refunded"]


@on_virtual_time
async def test_a_call_goes_on_over_a_second_line_in_the_same_process() -> None:
    async with stage(ScriptedModel.saying("It is on its way."), ["where is it"]) as call:
        await call.listening()
        assert call.line.listener is not None
        call.line.listener.line_closed(hung_up=False)
        call.line.closed = True
        await asyncio.sleep(2)
        second = VirtualLine()
        playing = asyncio.create_task(second.run())
        call.session.attach(second, 2)
        await call.listening()
        assert second.played
        second.speak(1.0)
        await call.until(lambda: AgentSaid("It is on its way.") in call.recorder.entries)
        playing.cancel()


@on_virtual_time
async def test_a_call_is_taken_up_from_its_snapshot_by_another_process() -> None:
    async with stage(ScriptedModel.saying("It is on its way."), ["where is it"]) as first:
        await first.says()
        await first.until(lambda: len(first.recorder.entries) == 3)
        snapshot = first.recorder.snapshots[-1]
    async with stage(ScriptedModel.saying("As I said."), ["and again"], snapshot=snapshot) as second:
        await second.until(lambda: any("cut off" in text for text in second.synthesizer.spoken))
        await second.says()
        await second.until(lambda: AgentSaid("As I said.") in second.recorder.entries)
        assert second.model.requests[0].history == (
            AgentSaid("Hello there."),
            CallerSaid("where is it"),
            AgentSaid("It is on its way. Sorry, we were cut off for a moment. Please go on."),
            CallerSaid("and again"),
        )
        assert "Hello there." not in second.synthesizer.spoken
