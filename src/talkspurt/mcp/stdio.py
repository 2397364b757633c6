"""A server that this process starts and talks to over its standard input and output, one JSON message a line.

Beside the SDK's own transport for three reasons: a line has a greatest length, so that no server can fill our memory
or hold up the calls of the process while it is parsed; the end of the process is reported at once; and what it
writes to standard error, which may repeat what callers said, goes nowhere.
"""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from talkspurt.telemetry.metrics import ANOMALIES

GRACE: Final = 2.0
"""Seconds to end after standard input was closed, and again after SIGTERM."""
POLL: Final = 0.01

_Inbox = MemoryObjectSendStream[SessionMessage | Exception]
_Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def stdio(
    command: str, arguments: Sequence[str], environment: Mapping[str, str], *, longest: int, ended: asyncio.Event
) -> AsyncGenerator[_Streams, None]:
    """Run `command` and exchange messages of at most `longest` bytes with it; sets `ended` when it says no more.

    It inherits only harmless variables (PATH, HOME, …) beside `environment`. Raises `OSError` when it cannot be run.
    """
    process = await asyncio.create_subprocess_exec(
        command,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={**get_default_environment(), **environment},
        limit=longest,
        start_new_session=True,
    )
    to_session, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    sent, from_session = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with to_session:
            await _read(process, to_session)
        ended.set()

    async def write() -> None:
        async with from_session:
            await _write(process, from_session)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            tasks.start_soon(write)
            try:
                yield received, sent
            finally:
                tasks.cancel_scope.cancel()
    finally:
        for stream in (received, sent, to_session, from_session):
            stream.close()
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _read(process: Process, inbox: _Inbox) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            ANOMALIES.labels("mcp_message_too_long").inc()
            return
        if not line:
            return
        try:
            message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            # A stray print of the server, most likely. It answers no request.
            ANOMALIES.labels("mcp_message_not_readable").inc()
            continue
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await inbox.send(message)


async def _write(process: Process, outbox: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    async for message in outbox:
        line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            process.stdin.write(f"{line}\n".encode())
            await process.stdin.drain()
        except OSError:
            # It has died; the reader notices, too.
            return


async def _end(process: Process) -> None:
    """Close its standard input, and end it and its children by force if that does not end it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if await _exited(process):
                break
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        await _exited(process)
    finally:
        # Whoever cannot wait leaves nothing running. And the pipes stay open otherwise, when a child still holds them.
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process._transport.close()  # type: ignore[attr-defined] # as the SDK does; nothing public does it


async def _exited(process: Process) -> bool:
    """Whether it ends within `GRACE`. Not by `wait`, which also waits for the pipes that a child may have kept."""
    for _ in range(round(GRACE / POLL)):
        if process.returncode is not None:
            break
        await asyncio.sleep(POLL)
    return process.returncode is not None
