"""Whoever leaves the agent while an effect runs is let go at once: the effect needs no line, and is seen through."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from benchmarks.effects.clock import run_call

from session.line import VirtualLine
from talkspurt import Agent, Caller, tool
from talkspurt.agent.locales import find_locale
from talkspurt.clock import MediaClock
from talkspurt.config import Config, HandoverConfig
from talkspurt.core.history import CallerSaid, ToolAnswered
from talkspurt.errors import ProviderError
from talkspurt.mcp import McpServers
from talkspurt.ports import Call, ReplyPart, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.server.handover.desk import Desk
from talkspurt.server.handover.targets import Targets
from talkspurt.server.recorder import Recorder
from talkspurt.server.staff import Staff
from talkspurt.server.switchboard import HANDOVER_PATIENCE, Outcome, Switchboard, _Desk
from talkspurt.session import Services
from talkspurt.store import Store
from talkspurt.store.clock import utc_now
from talkspurt.testing.providers import LevelVoiceActivity, ScriptedModel, ScriptedRecognizer, ToneSynthesizer

LOCALE = "en-US"
SLOW = 30.0
"""Seconds that the effect takes."""


async def word(caller: Caller) -> str:
    return "I'll reserve the table. Shall I go ahead?"


@tool(effect=True, read_back=word, timeout=40)
async def reserve_table(caller: Caller) -> dict[str, str]:
    """Reserve a table."""
    await asyncio.sleep(SLOW)
    return {"status": "reserved"}


@tool
async def escalate(caller: Caller) -> dict[str, Any]:
    """Get a person."""
    return (await caller.hand_over("A bill")).facts()


def script(request: ReplyRequest) -> list[ReplyPart]:
    last = request.history[-1]
    if isinstance(last, ToolAnswered):
        return [TextDelta(json.loads(last.content).get("message", "It is reserved."))]
    wish = next(entry.text for entry in reversed(request.history) if isinstance(entry, CallerSaid))
    name = "escalate" if "person" in wish else "reserve_table"
    return [ToolCallPart(f"t{len(request.history)}", name, "{}")]


@asynccontextmanager
async def switchboard(
    folder: Path, heard: list[str], model: ScriptedModel
) -> AsyncIterator[tuple[Switchboard, Store, ToneSynthesizer]]:
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'calls.db'}")
    detector, recorder, synthesizer = LevelVoiceActivity(), Recorder(store), ToneSynthesizer()
    agent = Agent(name="test", prompt="Be kind.", greeting="Hello there.", tools=(reserve_table, escalate))
    recognizer, clock = ScriptedRecognizer(tuple(heard)), MediaClock(detector)
    desk = _Desk(agent, recognizer, model, synthesizer, {LOCALE: agent.language(find_locale(LOCALE).language)})
    config = Config()
    targets = Targets.from_config(
        HandoverConfig.model_validate({"targets": {"billing": "+12025550123"}}), kinds=frozenset({"cold"})
    )
    helpers = [asyncio.create_task(clock.run()), asyncio.create_task(recorder.run())]
    try:
        yield (
            Switchboard(
                config,
                store,
                Services(recognizer, synthesizer, detector, clock, recorder),
                desks={("test", LOCALE): desk},
                staff=Staff({"test": agent}, McpServers(config.mcp, {})),
                recorder=recorder,
                handover_desk=Desk(targets, store, utc_now),
            ),
            store,
            synthesizer,
        )
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await store.aclose()


@dataclass
class Held:
    """A call at a switchboard, and what becomes of it."""

    agents: Switchboard
    store: Store
    synthesizer: ToneSynthesizer
    call: Call
    line: VirtualLine
    left: list[str] = field(default_factory=list)
    """Why it ended for each of its attachments."""

    async def conclude(self, outcome: Outcome) -> None:
        self.left.append(outcome.reason)

    def answered(self, attachment: int) -> asyncio.Task[None]:
        return asyncio.create_task(self.agents.answer(self.call, self.line, attachment, None, self.conclude))

    async def until(self, happened: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + 60
        while not happened():
            assert loop.time() < end
            await asyncio.sleep(0.05)

    async def says(self, after: str) -> None:
        await self.until(lambda: any(after in text for text in self.synthesizer.spoken))
        self.synthesizer.spoken.clear()
        await asyncio.sleep(3.0)
        self.line.speak(1.0)


@asynccontextmanager
async def held(folder: Path, heard: list[str], model: ScriptedModel) -> AsyncIterator[Held]:
    async with switchboard(folder, heard, model) as (agents, store, synthesizer):
        stored = await store.calls.admit(
            carrier_call_id="CA1", caller="+12025550101", dialled="+12025550100", agent="test", locale=LOCALE
        )
        call = Call(stored.id, "CA1", stored.caller, stored.dialled, "test", LOCALE)
        line = VirtualLine()
        playing = asyncio.create_task(line.run())
        try:
            yield Held(agents, store, synthesizer, call, line)
        finally:
            playing.cancel()


async def put_through(folder: Path) -> None:
    async with held(folder, ["a table", "yes", "get me a person"], ScriptedModel(script)) as call:
        holding = call.answered(0)
        await call.says("Hello")
        await call.says("Shall I go ahead")
        await call.says("moment")
        await call.until(lambda: bool(call.left))
        (effect,) = await call.store.effects.of_call(call.call.id)
        assert (call.left, effect.state) == (["handover"], "executing")
        async with asyncio.timeout(60):
            await holding
        (effect,) = await call.store.effects.of_call(call.call.id)
        assert effect.state == "done", "it is seen through all the same"


def test_a_caller_is_put_through_while_an_effect_still_runs(tmp_path: Path) -> None:
    run_call(lambda: put_through(tmp_path))


def mute(request: ReplyRequest) -> list[ReplyPart]:
    raise ProviderError("model", "fake", "the model is down")


async def given_up(folder: Path) -> None:
    async with held(folder, ["a table", "a table", "a table"], ScriptedModel(mute)) as call:
        first = call.answered(0)
        await call.says("Hello")
        await call.says("sorry")
        again = call.answered(0)
        await call.says("sorry")
        async with asyncio.timeout(60):
            await asyncio.gather(first, again)
        assert call.left == ["handover", "handover"]


def test_a_call_that_is_given_up_goes_to_a_person_whichever_attachment_it_is_on(tmp_path: Path) -> None:
    """The later one, which owns the call, is told the same as the first, which holds it."""
    run_call(lambda: given_up(tmp_path))


async def put_through_while_the_database_hangs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with held(folder, ["get me a person"], ScriptedModel(script)) as call:
        back = asyncio.Event()
        kept = call.store.calls.save_snapshot

        async def late(call_id: str, *, attachment: int, snapshot: str) -> bool:
            await back.wait()
            return await kept(call_id, attachment=attachment, snapshot=snapshot)

        monkeypatch.setattr(call.store.calls, "save_snapshot", late)
        holding = call.answered(0)
        await call.says("Hello")
        loop = asyncio.get_running_loop()
        (live,) = call.agents._live.values()
        await live.session.ended.wait()
        began = loop.time()
        await call.until(lambda: bool(call.left))
        assert call.left == ["handover"]
        assert loop.time() - began == pytest.approx(HANDOVER_PATIENCE, abs=0.06)
        back.set()
        async with asyncio.timeout(60):
            await holding
        stored = await call.store.calls.find(call.call.id)
        assert stored is not None
        assert stored.snapshot is not None
        assert json.loads(stored.snapshot)["floor"]["reason"] == "handover"


def test_a_caller_is_put_through_although_the_database_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hear nothing meanwhile. What is stored in the end is where the conversation stood all the same."""
    run_call(lambda: put_through_while_the_database_hangs(tmp_path, monkeypatch))


async def broken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with held(folder, [], ScriptedModel(script)) as call:
        found = list[Any]()

        async def conclude(outcome: Outcome) -> None:
            found.append((outcome.reason, await call.store.calls.find(call.call.id)))

        holding = asyncio.create_task(call.agents.answer(call.call, call.line, 0, None, conclude))
        waiting = call.agents._recorder._waiting
        await call.until(lambda: call.call.id in waiting)
        latest = waiting[call.call.id].write()
        (live,) = call.agents._live.values()
        monkeypatch.setattr(live.session._conversation, "receive", mute)
        live.session.line_digit("1")
        async with asyncio.timeout(60):
            await holding
        ((reason, stored),) = found
        assert stored is not None
        assert (reason, stored.snapshot) == ("internal_error", latest)


def test_what_still_gathers_is_stored_before_a_call_that_broke_is_given_to_another_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_call(lambda: broken(tmp_path, monkeypatch))
