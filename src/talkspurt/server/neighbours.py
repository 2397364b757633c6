"""How the workers of a machine reach each other: two Unix datagram sockets each, in the run folder.

One is for short notices, told to all others, the other for connections, passed on to one of them, so that no crowd of
notices keeps a connection out: a queue holds few datagrams (11, as Linux comes). A connection is passed on as its file
descriptor (SCM_RIGHTS) with the bytes that were read from it; nothing is proxied afterwards. The notices of one
turn of the loop go as one datagram, and again a little later where a queue is full.

Nothing here waits or raises: a worker that is gone or does not read is not told, and a connection that cannot be passed
on stays where it is. Whoever can write to the sockets is trusted: the run folder belongs to this user alone.
"""

import array
import asyncio
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal, get_args

import structlog

Kind = Literal["arrived", "hang_up", "request", "caller", "carrier", "waits"]
"""What is told: a call has connected here; a call is over; an address, a caller's number was counted; an address is the
carrier's; a caller waits for room."""

LARGEST: Final = 96 * 1024
"""Bytes of one datagram: more than the largest head of a request that uvicorn takes (64 kB)."""
AT_ONCE: Final = 32
"""Datagrams taken before the loop has a turn."""
AGAIN: Final = 0.02
"""Seconds until notices are told again that a full queue did not take."""
MOST_WAITING: Final = 1000
"""Notices that may wait for one worker; then the oldest are forgotten. They only make counts exact sooner."""
MOST_AT_ONCE: Final = 200
"""Notices in one datagram."""
LONGEST_NOTICE: Final = 256
"""Bytes of a notice: ids, addresses and numbers are shorter."""
_NOTICES: Final = "notices"
_CONNECTIONS: Final = "connections"
_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

OnNotice = Callable[[Kind, str], None]
OnConnection = Callable[[socket.socket, bytes], None]
"""Takes over the connection, and what was read from it."""

log = structlog.get_logger(__name__)


class Neighbours:
    """The post of worker `index` of `workers`. `open` it inside the loop, and `close` it."""

    def __init__(self, folder: Path, index: int, workers: int) -> None:
        """`folder` is the run folder."""
        self._folder = folder
        self._index = index
        self._waiting: dict[int, deque[bytes]] = {n: deque(maxlen=MOST_WAITING) for n in range(workers) if n != index}
        """Notices that each of the others has still to be told."""
        self._telling: asyncio.Handle | None = None
        self._notices: socket.socket | None = None
        self._connections: socket.socket | None = None
        self._on_notice: OnNotice = lambda _kind, _text: None
        self._on_connection: OnConnection = lambda connection, _head: connection.close()

    def open(self, on_notice: OnNotice, on_connection: OnConnection) -> None:
        """Deliver what comes from now on. The worker before this one may have left its socket behind."""
        self._on_notice, self._on_connection = on_notice, on_connection
        self._notices = self._bind(_NOTICES, self._read_notices)
        self._connections = self._bind(_CONNECTIONS, self._read_connections)

    def close(self) -> None:
        """Take no more. Idempotent."""
        if self._telling is not None:
            self._telling.cancel()
        for kind, post in ((_NOTICES, self._notices), (_CONNECTIONS, self._connections)):
            if post is not None:
                asyncio.get_running_loop().remove_reader(post)
                post.close()
                self._path(kind, self._index).unlink(missing_ok=True)
        self._notices = self._connections = None

    def tell(self, kind: Kind, text: str, /) -> None:
        """Tell all other workers, as far as they can be told, when the loop has its next turn."""
        notice = bytes((_KINDS.index(kind),)) + text.encode()[:LONGEST_NOTICE].replace(b"\n", b" ")
        for waiting in self._waiting.values():
            waiting.append(notice)
        if self._telling is None and self._notices is not None:
            self._telling = asyncio.get_running_loop().call_soon(self._tell)

    def pass_on(self, worker: int, descriptor: int, head: bytes) -> bool:
        """Give a connection to another worker, who has it if this is True; the caller closes its own end then."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (descriptor,)))]
        if len(head) > LARGEST or self._connections is None:
            return False
        try:
            self._connections.sendmsg([head], rights, 0, str(self._path(_CONNECTIONS, worker)))
        except OSError:
            # Not there, or its queue is full.
            return False
        return True

    def _tell(self) -> None:
        self._telling = None
        if self._notices is None:
            return
        for worker, waiting in self._waiting.items():
            while waiting:
                some = [waiting[place] for place in range(min(len(waiting), MOST_AT_ONCE))]
                try:
                    self._notices.sendto(b"\n".join(some), str(self._path(_NOTICES, worker)))
                except BlockingIOError:
                    break
                except OSError:
                    # It is not there, and so has no count that is wrong.
                    pass
                for _ in some:
                    waiting.popleft()
        if any(self._waiting.values()):
            # Somebody's queue is full.
            self._telling = asyncio.get_running_loop().call_later(AGAIN, self._tell)

    def _path(self, kind: str, worker: int) -> Path:
        return self._folder / f"worker-{worker}.{kind}"

    def _bind(self, kind: str, read: Callable[[], None]) -> socket.socket:
        path = self._path(kind, self._index)
        path.unlink(missing_ok=True)
        post = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        post.setblocking(False)
        post.bind(str(path))
        asyncio.get_running_loop().add_reader(post, read)
        return post

    def _read_notices(self) -> None:
        for _ in range(AT_ONCE):
            try:
                message = self._notices.recv(LARGEST) if self._notices is not None else b""
            except OSError:
                return
            for notice in message.split(b"\n"):
                if notice and notice[0] < len(_KINDS):
                    self._deliver(partial(self._on_notice, _KINDS[notice[0]], notice[1:].decode(errors="replace")))

    def _read_connections(self) -> None:
        for _ in range(AT_ONCE):
            if self._connections is None:
                return
            try:
                head, ancillary, _, _ = self._connections.recvmsg(
                    LARGEST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC
                )
            except OSError:
                return
            for descriptor in _descriptors(ancillary):
                connection = socket.socket(fileno=descriptor)
                self._deliver(partial(self._on_connection, connection, head))

    def _deliver(self, deliver: Callable[[], None]) -> None:
        try:
            deliver()
        except Exception:
            log.exception("neighbour_message_failed")


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    received = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    return list(received)
