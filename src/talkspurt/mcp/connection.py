"""One MCP server: its session, the tools it lists, and calls to them.

One task opens the session, waits, and closes it: the SDK's cancel scopes have to be left in the task that entered
them, and a failed request of any call ends the scope of all. Calls of tools only send requests over the open
session. When it is lost the task connects again, after pauses that grow; until then calls are told at once
that nothing was sent.

A request is sent once. The SDK's own repetitions (input rounds, listing again after a rejected header) are not used:
the tool may have an effect.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from random import SystemRandom
from typing import Any, Final

import structlog
from mcp import Client, ClientSession, MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    PaginatedRequestParams,
    ServerNotification,
    Tool,
    ToolListChangedNotification,
)

from talkspurt.config_mcp import McpServerConfig
from talkspurt.mcp.http import NEVER_SENT, streamable_http
from talkspurt.mcp.stdio import stdio
from talkspurt.telemetry.metrics import MCP_CONNECTED

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
STEADY: Final = 60.0
"""Seconds that a session has to last for the next loss of it to be a new one."""
REFRESH: Final = 60.0
"""Seconds between two looks at the list of tools, which also tell that the server is still there."""
QUEUE_PATIENCE: Final = 1.0
"""Seconds that a call waits for its turn."""
MOST_PAGES: Final = 20
MOST_TOOLS: Final = 200

_chance = SystemRandom()
_log = structlog.get_logger(__name__)

OnProgress = Callable[[], Awaitable[None]]


class NotSentError(Exception):
    """The server cannot have done anything: the request was not sent, or it calls no tools at all."""


class McpConnection:
    """One server, shared by all calls of the process. `run` holds the session; `call` may be used all the while."""

    def __init__(
        self, name: str, config: McpServerConfig, *, environment: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        self.name = name
        self._config = config
        self._environment = environment
        self._headers = headers
        self._session: ClientSession | None = None
        self._slots = asyncio.Semaphore(config.calls_at_once)
        self._stopping = asyncio.Event()
        self._lost = asyncio.Event()
        self._stale = asyncio.Event()
        """Set when the list of tools, or the server, should be looked at again."""
        self.tried = asyncio.Event()
        """Set once the first attempt to connect has succeeded or failed."""
        self.listed: Mapping[str, Tool] = {}
        """What the server said last, by its own names; kept while it is away."""
        self.version = 0
        """Grows with each change of `listed`."""

    @property
    def connected(self) -> bool:
        """Whether calls can be sent now."""
        return self._session is not None and not self._lost.is_set()

    def stop(self) -> None:
        """Let `run` close the session and return."""
        self._stopping.set()
        self._stale.set()

    # ── the owner ─────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Hold a session until `stop`, and open a new one whenever it is lost. Never raises for what a server does."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = loop.time()
            try:
                await self._hold()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                _log.warning("mcp_session_lost", server=self.name)
            except Exception as error:
                # Its message may repeat what was sent; the class says what kind of trouble it is.
                _log.warning("mcp_session_lost", server=self.name, errors=_kinds_of(error))
            self.tried.set()
            pause = FIRST_PAUSE if loop.time() - began > STEADY else min(2 * pause, LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * _chance.uniform(0.5, 1.0)):
                    await self._stopping.wait()

    async def _hold(self) -> None:
        self._lost = asyncio.Event()
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._config.connect_timeout):
                    client = await stack.enter_async_context(
                        Client(
                            self._transport(),
                            client_info=Implementation(name="talkspurt", version="1"),
                            message_handler=self._notified,
                            cache=None,
                        )
                    )
                    await self._list(client.session)
                self._session = client.session
                self.tried.set()
                MCP_CONNECTED.labels(self.name).set(1)
                _log.info("mcp_connected", server=self.name, tools=len(self.listed))
                await self._watch(client.session)
        finally:
            self._session = None
            MCP_CONNECTED.labels(self.name).set(0)

    def _transport(self) -> Any:
        config = self._config
        if config.command:
            return stdio(
                sys.executable if config.command == "python" else config.command,
                config.arguments,
                self._environment,
                longest=config.longest_message_bytes,
                ended=self._lost,
            )
        return streamable_http(
            config.url,
            self._headers,
            longest=config.longest_message_bytes,
            connect_timeout=config.connect_timeout,
        )

    async def _watch(self, session: ClientSession) -> None:
        """Wait until the session is lost or not wanted any more, and look at the list of tools now and then."""
        lost = asyncio.create_task(self._lost.wait())
        try:
            while not (self._stopping.is_set() or self._lost.is_set()):
                stale = asyncio.create_task(self._stale.wait())
                await asyncio.wait((lost, stale), timeout=REFRESH, return_when=asyncio.FIRST_COMPLETED)
                stale.cancel()
                self._stale.clear()
                if not (self._stopping.is_set() or self._lost.is_set()):
                    async with asyncio.timeout(self._config.connect_timeout):
                        await self._list(session)
        finally:
            lost.cancel()

    async def _list(self, session: ClientSession) -> None:
        listed: dict[str, Tool] = {}
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
            listed |= {tool.name: tool for tool in page.tools}
            cursor = page.next_cursor
            if cursor is None or len(listed) > MOST_TOOLS:
                break
        if len(listed) > MOST_TOOLS:
            _log.warning("mcp_too_many_tools", server=self.name, most=MOST_TOOLS)
            listed = dict(list(listed.items())[:MOST_TOOLS])
        if listed != self.listed:
            self.listed = listed
            self.version += 1

    async def _notified(self, message: ServerNotification | Exception) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._stale.set()

    # ── calls ─────────────────────────────────────────────────────────────────────

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any] | None = None,
        on_progress: OnProgress | None = None,
    ) -> CallToolResult:
        """Send one request, once, and wait for its answer; the caller limits the time.

        `on_progress` is awaited whenever the server says that it has come farther.

        Raises `NotSentError`, or anything else when it is unknown what the server did.
        """
        if not self.connected:
            raise NotSentError("not connected")
        try:
            async with asyncio.timeout(QUEUE_PATIENCE):
                await self._slots.acquire()
        except TimeoutError:
            raise NotSentError("too many calls at once") from None
        try:
            return await self._request(tool, arguments, meta, on_progress)
        except asyncio.CancelledError:
            # It took too long, most likely: the owner finds out whether the server answers anything at all.
            self._stale.set()
            raise
        finally:
            self._slots.release()

    async def _request(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None, on_progress: OnProgress | None
    ) -> CallToolResult:
        session = self._session
        if session is None or self._lost.is_set():
            raise NotSentError("not connected")

        async def farther(progress: float, total: float | None, message: str | None) -> None:  # the SDK's names
            if on_progress is not None:
                await on_progress()

        params = CallToolRequestParams.model_validate(
            {"name": tool, "arguments": dict(arguments), "_meta": dict(meta) if meta else None}
        )
        try:
            return await session.send_request(
                CallToolRequest(params=params),
                CallToolResult,
                progress_callback=None if on_progress is None else farther,
            )
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or error.message == NEVER_SENT:
                self._lost.set()
            if error.message == NEVER_SENT:
                raise NotSentError("not connected") from None
            if error.code in (METHOD_NOT_FOUND, INVALID_PARAMS):
                self._stale.set()
            if error.code == METHOD_NOT_FOUND:
                raise NotSentError("rejected") from None
            # Also for invalid parameters: a server may have acted before it found fault, with its own answer perhaps.
            raise


def _kinds_of(error: BaseException) -> list[str]:
    """The classes of an error and, of a group, of what is in it."""
    if isinstance(error, BaseExceptionGroup):
        return sorted({kind for each in error.exceptions for kind in _kinds_of(each)})
    return [type(error).__name__]
