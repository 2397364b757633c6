"""How much time the ledger adds to an effect, and the dispatcher to a tool that only reads: real time, real SQLite."""

import json
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from benchmarks.effects.run import FOLDER
from benchmarks.effects.trial import sqlite_url

from talkspurt.agent import Agent, Caller, Effect, tool
from talkspurt.core.events import EffectProposed, ToolReturned
from talkspurt.effects import ToolDispatcher
from talkspurt.store import Store

EFFECTS: Final = 400
READS: Final = 4_000
WARM_UP: Final = 20


@dataclass(frozen=True, slots=True)
class Times:
    """In milliseconds."""

    effect_p50_ms: float
    effect_p95_ms: float
    """All steps from the tool call to the outcome, without the time that the caller hears and answers."""
    read_only_p95_ms: float


async def _word(caller: Caller, number: int) -> str:
    return f"Number {number} will be done. Shall I go ahead?"


@tool(effect=True, read_back=_word)
async def change(caller: Caller, effect: Effect, number: int) -> dict[str, int]:
    """Change nothing, so that all the time is the ledger's."""
    return {"number": number}


@tool
async def look(caller: Caller, number: int) -> dict[str, int]:
    """Look at nothing."""
    return {"number": number}


def measure(folder: Path = FOLDER / "times") -> Times:
    """Time a few hundred effects, one after the other, on a database of its own in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return uvloop.run(_measure(sqlite_url(folder / "store.db")))
    finally:
        shutil.rmtree(folder)


async def _measure(url: str) -> Times:
    store = await Store.open(url)
    try:
        dispatcher = await _dispatcher(store)
        effects = [await _time_effect(dispatcher, number) for number in range(WARM_UP + EFFECTS)]
        reads = [await _time_read(dispatcher, number) for number in range(WARM_UP + READS)]
    finally:
        await store.aclose()
    cuts = statistics.quantiles(effects[WARM_UP:], n=20)
    return Times(round(cuts[9], 2), round(cuts[18], 2), round(statistics.quantiles(reads[WARM_UP:], n=20)[18], 3))


async def _dispatcher(store: Store) -> ToolDispatcher:
    """The dispatcher of a call that this process owns."""
    call = await store.calls.admit(
        carrier_call_id="CA1", caller="+15550100", dialled="+15550199", agent="bench", locale="en-US"
    )
    attachment = await store.tokens.redeem(await store.tokens.issue(call), "CA1")
    assert attachment is not None
    fence = await store.calls.take(call.id, attachment=attachment.number)
    assert fence is not None
    agent = Agent(name="bench", prompt="Obey.", greeting="Hello.", tools=(change, look))
    caller = Caller(call_id=call.id, number="+15550100")
    return ToolDispatcher(agent, caller, store.effects.ledger(call.id, fence), attempts=store.attempts)


async def _time_effect(dispatcher: ToolDispatcher, number: int) -> float:
    began = time.perf_counter()
    proposed = await dispatcher.run(f"t{number}", "change", json.dumps({"number": number}))
    assert isinstance(proposed, EffectProposed), proposed
    await dispatcher.heard(proposed.proposal, float(number))
    done = await dispatcher.execute(f"e{number}", proposed.proposal, number + 1)
    took = time.perf_counter() - began
    assert json.loads(done.content) == {"number": number}, done
    return took * 1000


async def _time_read(dispatcher: ToolDispatcher, number: int) -> float:
    began = time.perf_counter()
    returned = await dispatcher.run(f"r{number}", "look", '{"number": 1}')
    took = time.perf_counter() - began
    assert isinstance(returned, ToolReturned)
    return took * 1000
