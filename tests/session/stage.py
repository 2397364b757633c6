"""A session with everything around it: scripted providers, a virtual line, a virtual clock."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from session.line import VirtualLine
from talkspurt import Agent, Caller, tool
from talkspurt.agent.locales import find_locale
from talkspurt.clock import MediaClock
from talkspurt.core.events import HandoverReturned
from talkspurt.core.history import Entry
from talkspurt.core.settings import Settings
from talkspurt.effects.dispatcher import ToolDispatcher
from talkspurt.ports import Call, OwnVoice, Recognizer, Synthesizer
from talkspurt.session import Services, Session
from talkspurt.telemetry.journal import Journal
from talkspurt.testing.ledger import MemoryEffectLedger
from talkspurt.testing.providers import LevelVoiceActivity, ScriptedModel, ScriptedRecognizer, ToneSynthesizer
from talkspurt.testing.virtual_time import run_virtual


@dataclass
class Recorder:
    """Remembers what a session records."""

    entries: list[Entry] = field(default_factory=list)
    snapshots: list[Mapping[str, Any]] = field(default_factory=list)
    urgent: list[Mapping[str, Any]] = field(default_factory=list)
    """Those of the snapshots that must not wait for the transcript."""
    at_once: list[Mapping[str, Any]] = field(default_factory=list)
    """Those that must not wait for other calls."""
    takes: float = 0.0
    """Seconds until a snapshot is stored that is waited for."""

    def entry(self, call_id: str, entry: Entry, /) -> None:
        self.entries.append(entry)

    def snapshot(
        self,
        call_id: str,
        attachment: int,
        write: Callable[[], str],
        /,
        *,
        urgent: bool = False,
        at_once: bool = False,
    ) -> None:
        self.snapshots.append(json.loads(write()))
        if at_once:
            self.at_once.append(self.snapshots[-1])
        if urgent:
            self.urgent.append(self.snapshots[-1])

    async def write(self, call_id: str, patience: float, /) -> bool:
        await asyncio.sleep(self.takes)
        return True


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
    returned: HandoverReturned | None = None,
    ledger: MemoryEffectLedger | None = None,
    recognizer: Recognizer | None = None,
    synthesizer: ToneSynthesizer | None = None,
    speaker: Synthesizer | None = None,
    own_voice: OwnVoice | None = None,
    line: VirtualLine | None = None,
    journals: Path | Callable[[Call], Journal] | None = None,
    carrier_id: str = "CA1",
) -> AsyncIterator[Stage]:
    detector, recorder, synthesizer = LevelVoiceActivity(), Recorder(), synthesizer or ToneSynthesizer()
    clock = MediaClock(detector)
    agent = Agent(name="test", prompt="Be kind.", greeting="Hello there.", tools=tools)
    caller = Caller(call_id="c1", number="+15550100")
    ledger = ledger or MemoryEffectLedger()
    locale = find_locale("en-US")
    session = Session(
        Call("c1", carrier_id, "+15550100", "+15550199", "test", "en-US"),
        agent=agent,
        model=model,
        locale=locale,
        settings=settings
        or Settings(
            greeting=agent.greeting, language=locale.language, tool_times={tool.name: tool.longest for tool in tools}
        ),
        caller=caller,
        dispatcher=ToolDispatcher(agent, caller, ledger),
        services=Services(
            recognizer or ScriptedRecognizer(tuple(heard)),
            speaker or synthesizer,
            detector,
            clock,
            recorder,
            journals=journals,
        ),
        minimum_voiced=0.096,
        snapshot=snapshot,
        returned=returned,
        own_voice=own_voice,
    )
    line = line or VirtualLine()
    helpers = [asyncio.create_task(clock.run()), asyncio.create_task(line.run())]
    task = asyncio.create_task(session.run(line, 1 if snapshot is None else snapshot["attachment"] + 1))
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
