"""How the fakes with WebSockets serve them, and refuse one."""

import asyncio
from abc import abstractmethod
from http import HTTPStatus
from typing import Final, Generic, Protocol, TypeVar

from picows import (
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from talkspurt.testing.fakes.vendor import RETRY_AFTER, FakeVendor

WEB_PAGE: Final = b"<!doctype html><html></html>"
"""What a proxy on the way may answer, with status 200."""


def refuse(status: int, body: bytes) -> WSUpgradeResponseWithListener:
    """An answer to a handshake that opens no socket; one of status 429 says how long to wait."""
    headers = [("Content-Type", "text/html" if body is WEB_PAGE else "application/json")]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.append(("Retry-After", f"{RETRY_AFTER:g}"))
    response = WSUpgradeResponse.create_error_response(HTTPStatus(status), body, headers)
    return WSUpgradeResponseWithListener(response, None)


class Droppable(Protocol):
    """One socket of a vendor."""

    def drop(self) -> None:
        """Break it, without a closing handshake."""


Socket = TypeVar("Socket", bound=Droppable)


class SocketVendor(FakeVendor, Generic[Socket]):
    """A vendor whose calls are WebSockets, behind a line that can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[Socket] = []
        """Every socket that was accepted, closed ones too."""
        self.connected = asyncio.Event()
        """Set once a socket has been accepted."""
        self._server: asyncio.Server | None = None

    @property
    def server_address(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await ws_create_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()

    def drop(self) -> None:
        """Break all sockets, without a closing handshake."""
        for socket in self.sockets:
            socket.drop()

    @abstractmethod
    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None: ...
