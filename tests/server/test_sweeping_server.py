"""The server itself finds out what came of effects that nobody finished."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from talkspurt import Agent, tool
from talkspurt.config import Config
from talkspurt.ports import EffectRecord
from talkspurt.server import switchboard
from talkspurt.server.switchboard import Switchboard
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


async def test_a_server_that_starts_finds_out_what_another_left_executing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("test", "Be kind.", "Hello.", tools=[cancel])

    async def detector(_weights: Any) -> LevelVoiceActivity:
        return LevelVoiceActivity()

    config = Config()
    for name, stand_in in {
        "create_recognizer": lambda _config: ScriptedRecognizer(()),
        "create_turn_detector": lambda _config: None,
        "create_synthesizer": lambda _config: ToneSynthesizer(),
        "create_model": lambda _config, _agent: ScriptedModel(lambda _request: []),
        "load_agent": lambda _name, _target: agent,
        "SileroVoiceActivity": SimpleNamespace(load=detector),
    }.items():
        monkeypatch.setattr(switchboard, name, stand_in)
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}")
    try:
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
        async with asyncio.timeout(20), Switchboard.open(config, store):
            while (await store.effects.of_call(call.id))[0].state != "resolved_done":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        record = await ledger.find("p1")
        assert record is not None
        assert record.result == '{"found": "k1"}'
    finally:
        await store.aclose()
