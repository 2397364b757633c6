"""uvicorn as calls need it: signals left alone, impatient with strangers, and media sockets passed to their worker."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from talkspurt.server.door import Door
from talkspurt.server.upgrade import UpgradeProtocol

REQUEST_DEADLINE: Final = 10.0
"""Seconds for a connection to say what it wants, at first and after each answer."""
LAST_REQUESTS: Final = 1.0
"""Seconds for those who have connected to say what they want, when nobody else can connect any more."""
HTTP_GRACE: Final = 5
"""Seconds for requests in flight once the calls are over."""

Headers = Sequence[tuple[str, str]]
ONE_REQUEST: Final = (("Connection", "close"),)
"""For one of several workers. A connection kept alive to one that dies would swallow the very request by which the
carrier asks how its calls go on: it can come before the connection is known to be dead."""

PassOn = Callable[[bytes, int, bytes], bool]
"""From the target of an upgrade, the connection's descriptor and the request's head: whether another worker has it."""


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the server under its calls; and patient at the end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, answer those who were accepted already, and close.

        uvicorn drops whoever has not asked yet. Among several workers the first to end would so swallow requests that
        the others are there to answer.
        """
        for server in self.servers:
            server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_REQUESTS):
                while self._somebody_has_not_asked:  # noqa: ASYNC110 - uvicorn has a set to look at, and no event
                    await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    @property
    def _somebody_has_not_asked(self) -> bool:
        return any(getattr(connection, "cycle", None) is None for connection in self.server_state.connections)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield


def http_server(
    app: FastAPI, door: Door, new_socket: Callable[[], UpgradeProtocol], pass_on: PassOn, *, headers: Headers = ()
) -> HttpServer:
    """A server for `app`, whose upgraded connections `pass_on` gives to another worker or `new_socket` takes.

    `headers` are sent with every answer.
    """

    def create_socket(**_uvicorn: Any) -> UpgradeProtocol:
        return new_socket()

    config = uvicorn.Config(
        app,
        http=partial(_ImpatientProtocol, door=door, pass_on=pass_on),  # type: ignore[arg-type]
        ws=create_socket,  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        headers=list(headers),
        timeout_graceful_shutdown=HTTP_GRACE,
    )
    return HttpServer(config)


class _ImpatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a deadline for each request to begin and be read, and a door, which it lacks.

    h11 rather than httptools: a call makes two to four requests, so parsing them is no cost, and
    uvicorn brings h11 with it.
    """

    def __init__(self, *arguments: Any, door: Door, pass_on: PassOn, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._door = door
        self._pass_on = pass_on
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None and not self._door.lets_in(self.client[0]):
            # Before it waits with the others: it is not to push anybody out.
            transport.abort()
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._door.leaves(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._door.leaves(self)

    def turn_away(self) -> None:
        """Drop the connection."""
        self.transport.abort()

    def on_response_complete(self) -> None:
        # uvicorn's own patience between requests ends with the first byte of the next one.
        if self._deadline is not None:
            self._deadline.cancel()
        if not self.transport.is_closing():
            self._expect_request()
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._door.leaves(self)
        # An answer to an earlier request that is still being written could not be passed on.
        if not self.transport.get_write_buffer_size():
            descriptor = self.transport.get_extra_info("socket").fileno()
            if self._pass_on(event.target, descriptor, self._head(event)):
                self.connections.discard(self)
                # Closes this process's descriptor only: the connection goes on in the other's.
                self.transport.abort()
                return
        super().handle_websocket_upgrade(event)

    def _head(self, event: h11.Request) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (event.method, event.target)]
        lines += [b"%s: %s" % (name, value) for name, value in self.headers]
        return b"\r\n".join((*lines, b"", b""))

    def _expect_request(self) -> None:
        self._door.waits(self)
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_DEADLINE, self._give_up)

    def _give_up(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if waiting and self.transport.get_protocol() is self:
            self.transport.close()
