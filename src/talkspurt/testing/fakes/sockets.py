"""What the fakes of vendors with WebSockets share: a real server on 127.0.0.1, refusals, and sockets that break."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Generic, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)


class VendorSocket(WSListener):
    """One socket of a fake, as its vendor holds it."""

    def __init__(self) -> None:
        self._transport: WSTransport | None = None
        self.closed = asyncio.Event()
        self.deaf = False
        """True: whatever comes, also a closing handshake, is ignored from now on."""

    def drop(self) -> None:
        """Break the socket, without a closing handshake."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def finish(self) -> None:
        """Close the socket in an orderly way."""
        if self._transport is not None:
            self._transport.send_close()
            self._transport.disconnect()

    def send_text(self, text: str) -> None:
        """Send `text` as it is, whatever it is."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, text.encode())

    def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self.send_text(json.dumps(message))

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Remember the connection."""
        self._transport = transport
        self.opened()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Say that the socket is closed."""
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take audio or a message."""
        if self.deaf:
            return
        if frame.msg_type is WSMsgType.BINARY:
            self.take_audio(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.TEXT:
            self.take_message(json.loads(frame.get_payload_as_utf8_text()))
        elif frame.msg_type is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def opened(self) -> None:
        """The socket has just been opened."""

    def take_audio(self, pcm: bytes) -> None:
        """A binary message has come."""

    def take_message(self, message: dict[str, Any]) -> None:
        """A text message has come."""


Socket = TypeVar("Socket", bound=VendorSocket)


class FakeSockets(ABC, Generic[Socket]):
    """A vendor of WebSockets: `async with FakeX() as fake`, then use `fake.base_url`."""

    path: str

    def __init__(self, *, key: str) -> None:
        self.key = key
        self.refuse_with: int | None = None
        """HTTP status that refuses new sockets."""
        self.sockets: list[Socket] = []
        """Every socket that was accepted, closed ones too."""
        self.refused = 0
        self.connected = asyncio.Event()
        """Set once a socket has been accepted."""
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """What the vendor's SDK takes as its WebSocket URL."""
        return f"ws://{self.address}"

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await ws_create_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()

    def drop(self) -> None:
        """Break all sockets, without a closing handshake."""
        for socket in self.sockets:
            socket.drop()

    @abstractmethod
    def refusal(self, headers: Mapping[str, str], query: Mapping[str, str]) -> int | None:
        """The HTTP status that refuses such a request; None to accept it. Names of headers as they were sent."""

    @abstractmethod
    def open(self, query: dict[str, str]) -> Socket:
        """A new socket."""

    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        url = urlsplit(request.path.decode())
        if url.path != self.path:
            return None
        query = dict(parse_qsl(url.query))
        status = self.refuse_with or self.refusal({k: str(v) for k, v in request.headers.items()}, query)
        if status is not None:
            self.refused += 1
            response = WSUpgradeResponse.create_error_response(HTTPStatus(status), b'{"err_code":"as scripted"}')
            return WSUpgradeResponseWithListener(response, None)
        socket = self.open(query)
        self.sockets.append(socket)
        self.connected.set()
        return socket
