"""The agents of the configuration at work: loaded, with the tools of their servers, inside their lifespans."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from pathlib import Path

from filelock import AsyncFileLock

from talkspurt.agent import Agent
from talkspurt.agent.loading import load_agent
from talkspurt.config import Config
from talkspurt.effects.sweeper import Sweeper
from talkspurt.mcp import McpServers
from talkspurt.store import Store


class Staff:
    """The agents by their names. Opened once per process that answers calls or does background jobs."""

    def __init__(self, agents: Mapping[str, Agent], mcp: McpServers) -> None:
        self._agents = agents
        self._mcp = mcp

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, turns: Path | None = None) -> AsyncGenerator["Staff", None]:
        """Load them; they are at work inside the context. Raises `ConfigurationError`.

        The processes of a machine that name the same file in `turns` begin their agents' lifespans one after the other:
        whoever wrote an agent that creates its tables when it begins has not thought of two that do.
        """
        agents = {name: load_agent(name, target) for name, target in config.agents.items()}
        async with AsyncExitStack() as stack:
            async with AsyncFileLock(turns) if turns else nullcontext():
                mcp = await stack.enter_async_context(McpServers.open(config.mcp, agents))
                for agent in agents.values():
                    await stack.enter_async_context(agent.lifespan())
            yield cls(agents, mcp)

    @property
    def names(self) -> tuple[str, ...]:
        """Who there is."""
        return tuple(self._agents)

    def __contains__(self, name: object) -> bool:
        return name in self._agents

    def agent(self, name: str) -> Agent:
        """An agent as its author wrote it."""
        return self._agents[name]

    def equipped(self, name: str) -> Agent:
        """An agent with the tools that its servers have now."""
        return self._mcp.equip(name, self._agents[name])

    def sweeper(self, store: Store) -> Sweeper:
        """Who finds out what came of the effects of their calls that nobody finished."""

        async def agent_of(call_id: str) -> Agent | None:
            call = await store.calls.find(call_id)
            return self.equipped(call.agent) if call is not None and call.agent in self else None

        return Sweeper(store.effects, lambda: map(self.equipped, self.names), agent_of)


@asynccontextmanager
async def sweeping(staff: Staff, store: Store) -> AsyncIterator[None]:
    """Sweep until the block ends."""
    task = asyncio.create_task(staff.sweeper(store).run(), name="sweeper")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
