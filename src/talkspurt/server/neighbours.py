"""How the workers of a machine reach each other: one Unix datagram socket each, in the run folder.

Two things go through it: short notices, told to all others, and connections, passed on to one of them. A connection is
passed on as its file descriptor (SCM_RIGHTS) with the bytes that were read from it; nothing is proxied afterwards.

Nothing here waits or raises: a worker that is gone or does not read is not told, and a connection that cannot be passed
on stays where it is. Whoever can write to the sockets is trusted: the run folder belongs to this user alone.
"""

import array
import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, get_args

import structlog

Kind = Literal["arrived", "hang_up", "request", "caller"]
"""What is told: a call has connected here; a call is over; an address, a caller's number was counted."""

LARGEST: Final = 96 * 1024
"""Bytes of one datagram: more than the largest head of a request that uvicorn takes (64 kB)."""
AT_ONCE: Final = 32
"""Datagrams taken before the loop has a turn."""
_CONNECTION: Final = b"\x00"
_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

OnNotice = Callable[[Kind, str], None]
OnConnection = Callable[[socket.socket, bytes], None]
"""Takes over the connection, and what was read from it."""

log = structlog.get_logger(__name__)


class Neighbours:
    """The post of worker `index` of `workers`. `open` it inside the loop, and `close` it."""

    def __init__(self, folder: Path, index: int, workers: int) -> None:
        """`folder` is the run folder."""
        self._own = folder / f"worker-{index}.socket"
        self._others = {n: str(folder / f"worker-{n}.socket") for n in range(workers) if n != index}
        self._socket: socket.socket | None = None
        self._on_notice: OnNotice = lambda _kind, _text: None
        self._on_connection: OnConnection = lambda connection, _head: connection.close()

    def open(self, on_notice: OnNotice, on_connection: OnConnection) -> None:
        """Deliver what comes from now on. The worker before this one may have left its socket behind."""
        self._on_notice, self._on_connection = on_notice, on_connection
        self._own.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._own))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Take no more. Idempotent."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._own.unlink(missing_ok=True)

    def tell(self, kind: Kind, text: str, /) -> None:
        """Tell all other workers, as far as they can be told."""
        message = bytes((1 + _KINDS.index(kind),)) + text.encode()
        for path in self._others.values():
            self._send(path, message, ())

    def pass_on(self, worker: int, descriptor: int, head: bytes) -> bool:
        """Give a connection to another worker, who has it if this is True; the caller closes its own end then."""
        return len(head) < LARGEST and self._send(self._others[worker], _CONNECTION + head, (descriptor,))

    def _send(self, path: str, message: bytes, descriptors: tuple[int, ...]) -> bool:
        if self._socket is None:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg([message], rights, 0, path)
        except OSError:
            # Not there, or does not read: its queue is full.
            return False
        return True

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            if self._socket is None:
                return
            try:
                message, ancillary, _, _ = self._socket.recvmsg(LARGEST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return
            try:
                self._deliver(message, _descriptors(ancillary))
            except Exception:
                log.exception("neighbour_message_failed")

    def _deliver(self, message: bytes, descriptors: list[int]) -> None:
        if message[:1] == _CONNECTION and len(descriptors) == 1:
            self._on_connection(socket.socket(fileno=descriptors[0]), message[1:])
            return
        for descriptor in descriptors:
            os.close(descriptor)
        kind = message[0] - 1 if message else -1
        if 0 <= kind < len(_KINDS):
            self._on_notice(_KINDS[kind], message[1:].decode())


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    received = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    return list(received)
