"""A tiny server for the carrier to call: answers webhooks with given TwiML and runs one function per socket."""

import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMessage, web

Media = Callable[["Socket"], Awaitable[None]]


class LineGoneError(Exception):
    """The carrier closed the socket; a way to leave for functions that serve until then."""


class Socket:
    """The server's end of one media socket; `received` are the carrier's messages in order."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.raw = socket
        self.request = request
        self.received: list[dict[str, Any]] = []

    async def next(self, event: str) -> dict[str, Any]:
        """The next message of that kind."""
        while True:
            message: WSMessage = await self.raw.receive(timeout=10)
            if not isinstance(message.data, str):
                raise LineGoneError
            self.received.append(json.loads(message.data))
            if self.received[-1]["event"] == event:
                return self.received[-1]

    async def send(self, event: str, **body: Any) -> None:
        """Send one order for the stream that `start` named."""
        start = next(message for message in self.received if message["event"] == "start")
        await self.raw.send_json({"event": event, "streamSid": start["streamSid"], **body})

    def of(self, event: str) -> list[dict[str, Any]]:
        """What was received of that kind."""
        return [message for message in self.received if message["event"] == event]


class ScriptedServer:
    """Documents by path, in the order in which they are asked for (the last one again and again)."""

    def __init__(self, documents: dict[str, list[str]], media: Media | None = None) -> None:
        self.documents = documents
        self.media = media
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.sockets: list[Socket] = []
        self.failures: list[BaseException] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("POST", "/{path:.*}", self._webhook)
        application.router.add_get("/media", self._socket)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        if error is None and self.failures:
            raise self.failures[0]

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]

    async def _webhook(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.requests.append((request.path, form, dict(request.headers)))
        if request.path == "/twilio/status":
            return web.Response(status=204)
        documents = self.documents.get(request.path)
        if documents is None:
            return web.Response(status=404, text="no such page")
        body = documents.pop(0) if len(documents) > 1 else documents[0]
        host = self.url.removeprefix("http://")
        return web.Response(text=f"<Response>{body.replace('HOST', host)}</Response>", content_type="text/xml")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.media is None:
            return web.Response(status=403)
        raw = web.WebSocketResponse()
        await raw.prepare(request)
        socket = Socket(raw, request)
        self.sockets.append(socket)
        try:
            await self.media(socket)
        except LineGoneError:
            return raw
        except BaseException as error:
            self.failures.append(error)
            raise
        return raw
