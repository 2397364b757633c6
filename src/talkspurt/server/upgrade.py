"""Lets media sockets share the webhooks' port: uvicorn reads the request, picows does the rest.

uvicorn hands an upgrade request to its `ws=` class: it makes an object, calls `connection_made`
and `data_received` with the request, and makes it the TCP transport's protocol. picows' own
protocol fits that but for `data_received`, which is added here, together with what must be
known before a stranger gets a socket: the path, the rate of his address, and the signature.

A media message costs picows 13-25 µs of CPU, uvicorn's own sockets 55 (measured, docs/adr/0002).
"""

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from picows import WSAutoPingStrategy, WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from talkspurt.server.addresses import client_address
from talkspurt.server.limits import RateLimits
from talkspurt.server.media_socket import MAX_MESSAGE_BYTES, MediaSocket
from talkspurt.server.origin import Origin, is_media
from talkspurt.server.signatures import HEADER, Signatures
from talkspurt.telemetry import metrics

HANDSHAKE_TIMEOUT: Final = 5.0
PING_IDLE: Final = 10.0
"""Seconds without a word from the carrier, which sends 50 messages a second, until it is asked whether it is there."""
READ_BUFFER_BYTES: Final = 4 * 1024
"""Per call; grows when a larger frame comes."""

_logger = logging.getLogger("picows.server")
_CONNECTION: Final = re.compile(rb"(?im)^connection:[^\r\n]*")
_SIGNATURE: Final = re.compile(rb"(?im)^%s:([^\r\n]*)" % HEADER.encode())
_FORWARDED: Final = re.compile(rb"(?im)^x-forwarded-for:[ \t]*([^\r\n]*)")


class Gate:
    """Decides who gets a media socket."""

    def __init__(
        self,
        *,
        origin: Origin,
        signatures: Signatures,
        limits: RateLimits,
        trusted_proxies: tuple[str, ...],
        new_socket: Callable[[], MediaSocket | None],
    ) -> None:
        """`new_socket` returns None while no calls are taken."""
        self._origin = origin
        self._signatures = signatures
        self._limits = limits
        self._trusted_proxies = trusted_proxies
        self._new_socket = new_socket

    def admit_address(self, peer: str, head: bytes) -> bool:
        """Whether this address may try a handshake. Counted before it is looked at, unless it proves to be signed."""
        forwarded_for = [value.decode("latin-1") for value in _FORWARDED.findall(head)]
        address = client_address(peer, forwarded_for, self._trusted_proxies)
        visit = self._limits.visit(address, signed=_SIGNATURE.search(head) is not None)
        if visit is None:
            return False
        _method, target, _rest = head.split(b" ", 2)
        if self.is_signed(target, head):
            visit.is_carriers()
        else:
            visit.is_strangers()
        return True

    def is_signed(self, target: bytes, head: bytes) -> bool:
        """Whether an upgrade request is the carrier's, by what was read of it."""
        path, signature = target.decode("latin-1"), _SIGNATURE.search(head)
        given = None if signature is None else signature[1].strip().decode("latin-1")
        return is_media(path) and self._signatures.accept(self._origin.socket_url(path), {}, given)

    def open(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        """The listener of a new socket, or the response that refuses it."""
        path = request.path.decode("latin-1")
        if not is_media(path):
            return refusal(HTTPStatus.NOT_FOUND, "path")
        if not self._signatures.accept(self._origin.socket_url(path), {}, request.headers.get(HEADER)):
            return refusal(HTTPStatus.FORBIDDEN, "signature")
        return self._new_socket() or refusal(HTTPStatus.SERVICE_UNAVAILABLE, "closed")


def refusal(status: HTTPStatus, reason: str) -> WSUpgradeResponseWithListener:
    """An HTTP response instead of a socket; `reason` is a metric label."""
    metrics.SOCKETS_REFUSED.labels(reason).inc()
    response = WSUpgradeResponse.create_error_response(status, status.phrase.encode())
    return WSUpgradeResponseWithListener(response, None)


class UpgradeProtocol(WSProtocol):  # type: ignore[misc]
    """picows' protocol, as uvicorn's `ws=` class."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(
            None,  # host and path are a client's
            None,
            False,
            self._open,
            _logger,
            False,  # an exception never disconnects
            HANDSHAKE_TIMEOUT,
            True,
            PING_IDLE,
            PING_IDLE,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # pings count against the socket's rate, so the listener answers them
            MAX_MESSAGE_BYTES,
            None,
            READ_BUFFER_BYTES,
        )
        self._gate = gate
        self._admitted = True

    def data_received(self, data: bytes) -> None:
        """Take the handshake from uvicorn. What follows comes through picows' own buffer."""
        # Not before uvicorn has given the transport to this protocol.
        asyncio.get_running_loop().call_soon(self._admit, data)

    def _admit(self, head: bytes) -> None:
        peername = self.transport.underlying_transport.get_extra_info("peername")
        self._admitted = self._gate.admit_address(str(peername[0]) if peername else "", head)
        if self.transport.is_disconnected:
            return
        # Proxies may write `keep-alive, Upgrade`, which is right, but more than picows reads.
        self._feed(_CONNECTION.sub(b"connection: upgrade", head, count=1))

    def _feed(self, data: bytes) -> None:
        while data:
            buffer = self.get_buffer(len(data))
            part = data[: len(buffer)]
            buffer[: len(part)] = part
            self.buffer_updated(len(part))
            data = data[len(part) :]

    def _open(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        if not self._admitted:
            return refusal(HTTPStatus.TOO_MANY_REQUESTS, "rate")
        return self._gate.open(request)


async def adopt(connection: socket.socket, head: bytes, gate: Gate) -> None:
    """Take over a connection from which another worker has read `head`: the request of a handshake."""
    connection.setblocking(False)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: _AdoptedProtocol(gate, head), connection)


class _AdoptedProtocol(UpgradeProtocol):
    """Begins with what another process has read."""

    def __init__(self, gate: Gate, head: bytes) -> None:
        super().__init__(gate)
        self._head = head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.data_received(self._head)
