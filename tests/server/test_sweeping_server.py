"""A server itself finds out what came of effects that nobody finished, whether it is one process or several."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from talkspurt import Agent, tool
from talkspurt.config import Config
from talkspurt.ladder import choices
from talkspurt.ports import EffectRecord
from talkspurt.server import jobs, staff, switchboard
from talkspurt.server.orders import Orders
from talkspurt.store import Store
from talkspurt.testing.providers import LevelVoiceActivity, ScriptedModel, ScriptedRecognizer, ToneSynthesizer


async def word(order_id: str) -> str:
    return f"I'll cancel {order_id}. Shall I?"


async def look_up(key: str) -> dict[str, str]:
    return {"found": key}


@tool(effect=True, read_back=word, lookup=look_up)
async def cancel(order_id: str) -> None:
    """Cancel an order."""
    raise AssertionError("whoever cleans up repeats nothing")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    agent = Agent("test", "Be kind.", "Hello.", tools=[cancel])
    monkeypatch.setattr(staff, "load_agent", lambda _name, _target: agent)
    return Config.model_validate({"store": {"url": f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}"}})


@pytest.fixture
async def store(config: Config) -> AsyncIterator[Store]:
    """With an effect that a process has begun and not lived to end."""
    store = await Store.open(config.store.url)
    call = await store.calls.admit(
        carrier_call_id="CA1", caller="+12025550101", dialled="", agent=next(iter(config.agents)), locale="en-US"
    )
    fence = await store.calls.take(call.id, attachment=0)
    assert fence is not None
    ledger = store.effects.ledger(call.id, fence)
    await ledger.propose(EffectRecord("p1", call.id, "cancel", '{"order_id":"W1"}', "proposed"))
    await ledger.read_back("p1", heard_at=1.0)
    await ledger.confirm("p1", turn=1, key="k1")
    await ledger.begin("p1", patience=0.0)
    yield store
    await store.aclose()


async def found_out(store: Store) -> None:
    """Wait until it is known what came of it."""
    async with asyncio.timeout(20):
        while "resolved_done" not in await store.effects.transitions("p1"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_a_server_of_one_process_sweeps(config: Config, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def detector(_weights: Any) -> LevelVoiceActivity:
        return LevelVoiceActivity()

    monkeypatch.setattr(choices, "create_recognizer", lambda _config, _known: ScriptedRecognizer(()))
    monkeypatch.setattr(choices, "create_synthesizer", lambda _config, _known: ToneSynthesizer())
    monkeypatch.setattr(choices, "create_model", lambda _config, _agent, _known: ScriptedModel(lambda _request: []))
    for name, stand_in in {
        "create_turn_detector": lambda _config: None,
        "SileroVoiceActivity": SimpleNamespace(load=detector),
    }.items():
        monkeypatch.setattr(switchboard, name, stand_in)
    async with switchboard.single_process(config, store):
        await found_out(store)


async def test_the_jobs_process_of_a_server_of_several_sweeps(config: Config, store: Store, tmp_path: Path) -> None:
    stop = asyncio.Event()
    orders = Orders("jobs", "talkspurt.server.jobs:work", config, tmp_path, "console")
    working = asyncio.create_task(jobs.work(orders, stop))
    try:
        await found_out(store)
    finally:
        stop.set()
        await working
