"""A worker's connection to one inference process, made again whenever it is lost.

A process that was asked `PINGS` times within `silence` seconds whether it lives, and says nothing, counts as dead
unless one of its threads is at work: what it was asked for is lost then, not when its callers have given up. (Counted
and not timed, so that a worker which was held up itself does not blame the process. And a process that is silent
because it gets no time on a crowded machine would get none after a restart either.) Until it has answered for the first
time, it is not used.
"""

import asyncio
import itertools
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from talkspurt.errors import ProtocolError
from talkspurt.speech.inference.messages import (
    ANSWERS,
    Answer,
    Cancel,
    PieceAnswer,
    Ping,
    Pong,
    Request,
    framed,
    read_message,
)

SILENCE: Final = 1.2
"""Seconds without a word. A process at low priority on a busy machine answers within a tenth of a second."""
PINGS: Final = 4
BUSY_PINGS: Final = 40
"""Pings after which it does not matter whether a process is at work."""
RECONNECT: Final = 0.05
"""Seconds until a lost process is tried again."""
UNSENT: Final = 8_000_000
"""Bytes that may wait to be sent to a process that does not read."""

_log = structlog.get_logger(__name__)


class Exchange:
    """One piece that was sent: its answers, and None once the process is lost."""

    def __init__(self, link: "Link", piece: int) -> None:
        self._link = link
        self.piece = piece
        self.answers: asyncio.Queue[PieceAnswer | None] = asyncio.Queue()

    def send(self, request: Request) -> None:
        """Send a request of this piece; it is lost with the process."""
        self._link.send(request)


class Link:
    """The connection to the process that listens at `path`. Belongs to one event loop."""

    def __init__(self, path: Path, *, silence: float = SILENCE) -> None:
        self._path = path
        self._silence = silence
        self._exchanges: dict[int, Exchange] = {}
        self._pieces = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._unanswered = 0
        """Pings since the last word of the process."""
        self.changed = asyncio.Event()
        """Set whenever it comes up or goes down."""
        self.up = False
        """Whether the process has answered, and is not lost since."""

    @property
    def in_hand(self) -> int:
        """Pieces that the process has not ended."""
        return len(self._exchanges)

    @property
    def full(self) -> bool:
        """Whether too much waits to be sent."""
        return self._writer is not None and self._writer.transport.get_write_buffer_size() > UNSENT

    def start(self) -> None:
        """Connect, and go on connecting. Idempotent."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"inference-link-{self._path.name}")

    async def aclose(self) -> None:
        """Hang up; what is in hand is lost. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.changed.set()

    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """A new piece; at the end of the context it is cancelled, unless the process has ended it."""
        exchange = Exchange(self, next(self._pieces))
        self._exchanges[exchange.piece] = exchange
        try:
            yield exchange
        finally:
            if self._exchanges.pop(exchange.piece, None) is not None:
                self.send(Cancel(exchange.piece))

    def ended(self, exchange: Exchange) -> None:
        """The process has said its last word about it."""
        self._exchanges.pop(exchange.piece, None)

    def send(self, request: Request) -> None:
        """Send a request, if there is a process."""
        if self._writer is not None:
            self._writer.write(framed(request))

    async def _run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                pass  # not there yet, or not yet again
            else:
                await self._hold(reader, writer)
            await asyncio.sleep(RECONNECT)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._unanswered = 0
        asking = asyncio.create_task(self._ask(writer), name="inference-ping")
        try:
            while True:
                self._take(await read_message(reader, ANSWERS))
        except (OSError, asyncio.IncompleteReadError, ProtocolError) as error:
            if self.up:
                reason = str(error) or type(error).__name__
                _log.warning("inference_process_lost", socket=self._path.name, reason=reason, in_hand=self.in_hand)
        finally:
            asking.cancel()
            self._writer = None
            writer.transport.abort()
            self._is_up(False)
            exchanges, self._exchanges = self._exchanges, {}
            for exchange in exchanges.values():
                exchange.answers.put_nowait(None)

    async def _ask(self, writer: asyncio.StreamWriter) -> None:
        pid = _peer(writer)
        while self._unanswered < PINGS or (self._unanswered < BUSY_PINGS and is_at_work(pid)):
            self._unanswered += 1
            self.send(Ping())
            await asyncio.sleep(self._silence / PINGS)
        # What reads from it then finds its end.
        writer.transport.abort()

    def _take(self, answer: Answer) -> None:
        self._unanswered = 0
        if not self.up:
            self._is_up(True)
        if not isinstance(answer, Pong):
            exchange = self._exchanges.get(answer.piece)
            if exchange is not None:
                exchange.answers.put_nowait(answer)

    def _is_up(self, up: bool) -> None:
        if up != self.up:
            self.up = up
            self.changed.set()


def is_at_work(pid: int) -> bool:
    """Whether a thread of a process is running or would run if it got a core. Reads /proc: Linux only, else False."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
            if state in ("R", "D"):
                return True
    return False


def _peer(writer: asyncio.StreamWriter) -> int:
    """The process that listens at the other end of a Unix socket; 0 if the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    pid = 0
    if option is not None:
        # uvloop's socket has no options to ask for. It may be closed already.
        with suppress(OSError), socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as connection:
            pid, *_ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return pid
