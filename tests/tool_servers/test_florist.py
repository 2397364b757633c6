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
    weight_store: WeightStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    settings = tomllib.loads((REPOSITORY / "examples/florist.toml").read_text())
    market = settings["mcp"]["servers"]["market"]
    market["connect_timeout"] = 60  # this machine may be busy with other things
    market["env"] = {"FLOWER_MARKET": str(tmp_path / "market.db")}
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
        [record] = ledger.records.values()
        assert record.state == "done"
    # Whoever looks an effect up asks another process of the server's.
    async with McpServers.open(config.mcp, {"florist": florist}, {}) as servers:
        order = servers.equip("florist", florist).tool("order_bunch")
        assert order is not None
        arguments = order.arguments.model_validate_json(record.arguments)
        assert await order.look_up(arguments, call.caller, str(record.key)) == {"happened": True, "flower": "tulips"}
        assert await order.look_up(arguments, call.caller, "another") is None
    await model.aclose()
