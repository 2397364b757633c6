"""What tests of MCP servers share: an agent that is offered their tools, in one call."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkspurt import Agent, Caller
from talkspurt.config_mcp import McpConfig
from talkspurt.core.events import EffectProposed, ToolReturned
from talkspurt.effects.dispatcher import ToolDispatcher
from talkspurt.mcp import McpServers
from talkspurt.testing.ledger import MemoryEffectLedger


@dataclass
class Warehouse:
    """Where a warehouse's journal is, and how it is reached."""

    folder: Path
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    restart: Callable[[], None] = field(default=lambda: None)

    @property
    def journal(self) -> list[dict[str, Any]]:
        file = self.folder / "journal"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def mcp_config(settings: dict[str, Any], tools: dict[str, Any] | None = None, **more: Any) -> McpConfig:
    # This machine may be busy with other things: a server takes its time to start.
    server = {"agents": ["shop"], "connect_timeout": 60.0, **settings, "tools": tools or {}, **more}
    return McpConfig.model_validate({"servers": {"warehouse": server}})


@dataclass
class Desk:
    """An agent that is offered the tools of the servers, in one call."""

    servers: McpServers
    agent: Agent
    caller: Caller = field(default_factory=lambda: Caller(call_id="c1", number="+15550100"))
    ledger: MemoryEffectLedger = field(default_factory=MemoryEffectLedger)
    dispatcher: ToolDispatcher = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin another call, with the tools there are now."""
        self.dispatcher = ToolDispatcher(self.servers.equip("shop", self.agent), self.caller, self.ledger)

    @property
    def offered(self) -> dict[str, Any]:
        built_in = {"end_call", "speak_slower", "new_caller"}
        return {spec.name: spec for spec in self.dispatcher.specs() if spec.name not in built_in}

    async def run(self, name: str, **arguments: Any) -> Any:
        """What a model gets for a tool call: the content, or an `EffectProposed`."""
        self.calls += 1
        answer = await self.dispatcher.run(f"t{self.calls}", name, json.dumps(arguments))
        return json.loads(answer.content) if isinstance(answer, ToolReturned) else answer

    async def agree(self, proposed: Any) -> Any:
        """What a model gets once the caller has said yes to a proposal."""
        assert isinstance(proposed, EffectProposed), proposed
        await self.dispatcher.heard(proposed.proposal, 1.0)
        return json.loads((await self.dispatcher.execute(proposed.tool_call, proposed.proposal, 1)).content)


@asynccontextmanager
async def desk(config: McpConfig, environment: dict[str, str] | None = None) -> AsyncIterator[Desk]:
    agent = Agent(name="shop", prompt="Help.", greeting="Hello.")
    async with McpServers.open(config, {"shop": agent}, environment or {}) as servers:
        yield Desk(servers, agent)


async def until(happened: Callable[[], bool], within: float = 20.0) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not happened():
        assert loop.time() < end, f"not within {within} s"
        await asyncio.sleep(0.02)
