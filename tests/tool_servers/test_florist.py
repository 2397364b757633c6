"""The example with an MCP server, as its configuration declares it, in a call in text without a language model."""

import tomllib
from pathlib import Path

import pytest

from talkspurt.agent.loading import load_agent
from talkspurt.config import Config
from talkspurt.mcp import McpServers
from talkspurt.models.offline import OfflineModel
from talkspurt.speech.weights import WeightStore
from talkspurt.testing.ledger import MemoryEffectLedger
from talkspurt.testing.text_call import TextCall

REPOSITORY = Path(__file__).resolve().parents[2]


async def test_the_florist_of_the_examples_asks_and_acts_through_its_server(
    weight_store: WeightStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    settings = tomllib.loads((REPOSITORY / "examples/florist.toml").read_text())
    settings["mcp"]["servers"]["market"]["connect_timeout"] = 60  # this machine may be busy with other things
    config = Config.model_validate(settings)
    florist = load_agent("florist", config.agents["florist"])
    assert florist.dialogue is not None
    model, ledger = OfflineModel(florist.dialogue, weight_store), MemoryEffectLedger()
    async with McpServers.open(config.mcp, {"florist": florist}, {}) as servers:
        call = TextCall(servers.equip("florist", florist), model, ledger=ledger)
        assert "12 dollars and 50 cents" in await call.say("How much are roses?")
        said = await call.say("Please put a bunch of tulips aside for me.")
        assert "I'll put a bunch of tulips aside for you. Shall I go ahead?" in said
        assert [record.state for record in ledger.records.values()] != ["done"]
        assert "Your tulips will be ready in an hour." in await call.say("Yes, please.")
        assert [record.state for record in ledger.records.values()] == ["done"]
    await model.aclose()
