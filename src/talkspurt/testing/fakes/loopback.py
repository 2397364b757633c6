"""A real HTTP server on 127.0.0.1 for the fakes, and streams that fail on purpose.

It is not a mock: bytes cross a socket, so the vendor's SDK, its connection pool and its
timeouts are the real ones. Every wait ends when the client goes away or the server closes.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from talkspurt.testing.fakes.script import Fault

_DRIP_EVERY: Final = 0.05
_WEB_PAGE: Final = b"<!doctype html><html><body><h1>Sign in to the guest network</h1></body></html>\n"


@dataclass(slots=True)
class RecordedRequest:
    """One request as a fake received it."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    raw: bytes = b""
    """The body as it came."""
    client: str = ""
    """Address of the connection it came on."""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client closed the connection before the answer was complete."""


class Loopback:
    """Serves an ASGI application at a free port of 127.0.0.1 while its context is open."""

    def __init__(self, app: ASGIApp) -> None:
        self._config = uvicorn.Config(
            app, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._serving: asyncio.Task[None] | None = None
        self.closing = asyncio.Event()
        """Set when the server is about to close: scripted waits end."""
        self.address = ""

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        # asyncio turns Nagle's algorithm off only on sockets that name their protocol, and create_server's does not:
        # pieces would wait 40 ms for the client's delayed acknowledgement. Accepted sockets inherit the option.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self._server = _Server(self._config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="fake vendor")
        await asyncio.wait_for(self._server.listening.wait(), 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closing.set()
        self._server.should_exit = True
        if self._serving is not None:
            await asyncio.wait_for(self._serving, 10)


async def paced(pieces: Iterator[bytes], delay: float, gap: float) -> AsyncGenerator[bytes]:
    """`pieces`, the first after `delay` seconds and one every `gap` seconds: a late one does not delay the next."""
    loop = asyncio.get_running_loop()
    due = loop.time() + delay
    for piece in pieces:
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        due += gap
        yield piece


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process's signals belong to whoever runs the test


@dataclass(frozen=True, slots=True)
class ScriptedStream:
    """An ASGI response of `pieces`, which `fault` interrupts. `garbage` and `report` are in the vendor's format."""

    request: RecordedRequest
    server: Loopback
    pieces: AsyncGenerator[bytes]
    media_type: str
    fault: Fault | None
    garbage: bytes
    report: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; returns early when the client goes away."""
        waits = {
            asyncio.create_task(self._send(send)),
            asyncio.create_task(self._watch(receive)),
            asyncio.create_task(self.server.closing.wait()),
        }
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _drip(self, send: Send, piece: bytes) -> None:
        for position in range(len(piece) - 1):
            await send({"type": "http.response.body", "body": piece[position : position + 1], "more_body": True})
            await asyncio.sleep(_DRIP_EVERY)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.request.disconnected.set()

    async def _send(self, send: Send) -> None:
        if self.fault is Fault.HANG:
            await asyncio.Event().wait()
        media_type = "text/html; charset=utf-8" if self.fault is Fault.WRONG_TYPE else self.media_type
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media_type.encode())]})
        if self.fault is Fault.WRONG_TYPE:
            await send({"type": "http.response.body", "body": _WEB_PAGE, "more_body": False})
            return
        async with aclosing(self.pieces) as pieces:
            async for piece in pieces:
                if self.fault is Fault.DRIP:
                    await self._drip(send, piece)
                    break
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if self.fault is not None:
                    break
        if self.fault in (Fault.STALL, Fault.DRIP):
            await asyncio.Event().wait()
        if self.fault is Fault.BREAK:
            return  # an unfinished response: the server drops the connection
        last = {Fault.GARBAGE: self.garbage, Fault.REPORT: self.report}.get(self.fault, b"") if self.fault else b""
        await send({"type": "http.response.body", "body": last, "more_body": False})
