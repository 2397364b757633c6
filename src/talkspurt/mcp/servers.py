"""All MCP servers of a process: started with it, shared by its calls, and offered to the agents they are meant for.

Starting waits for each server once, for at most its `connect_timeout`; no call ever waits for one. An agent is
equipped when a call begins, with the tools that its servers have shown by then.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from talkspurt.agent import Agent, Tool
from talkspurt.agent.tools import BUILT_IN
from talkspurt.config_mcp import VARIABLE, McpConfig, McpToolConfig
from talkspurt.errors import ConfigurationError

if TYPE_CHECKING:
    from talkspurt.mcp.connection import McpConnection
    from talkspurt.mcp.tools import ServerTool

CLOSING: Final = 10.0
"""Seconds for all sessions to close; a server's process gets four of them to end by itself."""

_log = structlog.get_logger(__name__)


class McpServers:
    """The servers of one process. Made by `open`."""

    def __init__(self, config: McpConfig, connections: Mapping[str, "McpConnection"]) -> None:
        self._config = config
        self._connections = connections
        self._declared = {name: _declared(config, connection) for name, connection in connections.items()}
        self._equipped: dict[str, tuple[tuple[int, ...], Agent]] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, config: McpConfig, agents: Mapping[str, Agent], environment: Mapping[str, str] | None = None
    ) -> AsyncGenerator["McpServers", None]:
        """Connect to all servers; they stay connected, and come back, inside the context.

        `environment` (default: the process's) fills the blanks of headers and variables. Raises `ConfigurationError`;
        a server that cannot be reached is no error.
        """
        connections = _connections(config, os.environ if environment is None else environment)
        servers = cls(config, connections)
        for name, agent in agents.items():
            servers.check(name, agent)
        tasks = [asyncio.create_task(connection.run()) for connection in connections.values()]
        try:
            for connection in connections.values():
                await connection.tried.wait()
            yield servers
        finally:
            for connection in connections.values():
                connection.stop()
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSING)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def check(self, name: str, agent: Agent) -> None:
        """Raise `ConfigurationError` when a declaration and the agent do not go together: two tools of one name, rules

        of its policy for a tool that no server of its is declared to have, or a limit on an amount that none states.
        """
        taken = {tool.name: "the agent itself" for tool in agent.tools}
        for tool in self._declared_for(name):
            if tool.name in taken or tool.name in BUILT_IN:
                raise ConfigurationError(
                    f"{tool.where}: '{tool.name}' is a tool of {taken.get(tool.name, 'the runtime')} already: "
                    "give it another name with offered_as"
                )
            taken[tool.name] = f"mcp.servers.{tool.connection.name}"
            if agent.policy.limits_amount(tool.name) and not tool.declared.amount_argument:
                raise ConfigurationError(
                    f"{tool.where}: the policy of agent '{name}' limits its amount, and nothing states one: name the "
                    "argument that holds the cents in amount_argument, or drop max_amount_cents"
                )
        for tool_name in sorted(agent.policy.mcp_tools - taken.keys()):
            raise ConfigurationError(
                f"agent '{name}': its policy has rules for the MCP tool '{tool_name}', which is declared in none "
                "of its servers: declare it under mcp.servers.….tools, or drop the rules"
            )

    def equip(self, name: str, agent: Agent) -> Agent:
        """The agent with the tools that its servers offer now."""
        mine = [self._connections[server] for server in self._serving(name)]
        if not mine:
            return agent
        version = tuple(connection.version for connection in mine)
        known = self._equipped.get(name)
        if known is None or known[0] != version:
            tools = tuple(self._offered(name, agent))
            known = version, replace(agent, tools=(*agent.tools, *tools))
            self._equipped[name] = known
        return known[1]

    def _offered(self, name: str, agent: Agent) -> list[Tool]:
        from talkspurt.mcp.schema import UnusableSchemaError

        taken = {*BUILT_IN, *(tool.name for tool in agent.tools)}
        offered: list[Tool] = []
        for candidate in (*self._declared_for(name), *self._reads_for(name)):
            try:
                tool = candidate.tool()
            except (UnusableSchemaError, ConfigurationError) as reason:
                _log.warning("mcp_tool_not_offered", server=candidate.connection.name, reason=str(reason))
                continue
            if tool is None:
                _log.warning("mcp_tool_not_offered", server=candidate.connection.name, reason="the server lacks it")
            elif tool.name in taken:
                _log.warning("mcp_tool_not_offered", server=candidate.connection.name, reason="its name is taken")
            else:
                taken.add(tool.name)
                offered.append(tool)
        return offered

    def _serving(self, agent: str) -> list[str]:
        return [name for name, server in self._config.servers.items() if agent in server.agents]

    def _declared_for(self, agent: str) -> list["ServerTool"]:
        return [tool for server in self._serving(agent) for tool in self._declared[server]]

    def _reads_for(self, agent: str) -> list["ServerTool"]:
        """Tools that nobody declared, of servers whose word that they only read is taken."""
        return [tool for server in self._serving(agent) for tool in self._reads(server)]

    def _reads(self, server: str) -> list["ServerTool"]:
        from talkspurt.mcp.tools import ServerTool

        config, connection = self._config.servers[server], self._connections[server]
        if config.allow != "reads":
            return []
        lookups = {tool.lookup.tool for tool in config.tools.values() if tool.lookup is not None}
        found = []
        for name, listed in sorted(connection.listed.items()):
            marked = listed.annotations is not None and listed.annotations.read_only_hint is True
            if marked and name not in config.tools and name not in lookups:
                rules = McpToolConfig(level=config.level, timeout=config.timeout)
                try:
                    found.append(ServerTool(connection, name, rules))
                except ConfigurationError:
                    _log.warning("mcp_tool_not_offered", server=server, reason="no model accepts its name")
        return found


def _declared(config: McpConfig, connection: "McpConnection") -> tuple["ServerTool", ...]:
    from talkspurt.mcp.tools import ServerTool

    tools = config.servers[connection.name].tools
    return tuple(ServerTool(connection, name, declared) for name, declared in tools.items())


def _connections(config: McpConfig, environment: Mapping[str, str]) -> dict[str, "McpConnection"]:
    if not config.servers:
        return {}
    try:
        from talkspurt.mcp.connection import McpConnection
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f'[mcp.servers] needs the MCP SDK: pip install "talkspurt[mcp]" ({error.name} is missing)'
        ) from None
    for logger in ("mcp", "client"):
        # The SDK logs what it could not read, which is what callers and servers said.
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    return {
        name: McpConnection(
            name,
            server,
            environment=_filled(f"mcp.servers.{name}.env", server.env, environment),
            headers=_filled(f"mcp.servers.{name}.headers", server.headers, environment),
        )
        for name, server in config.servers.items()
    }


def _filled(where: str, values: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    for name, value in values.items():
        for variable in VARIABLE.findall(value):
            if not environment.get(variable):
                raise ConfigurationError(f"{where}.{name}: the environment variable {variable} is not set")
    return {name: VARIABLE.sub(lambda blank: environment[blank.group(1)], value) for name, value in values.items()}
