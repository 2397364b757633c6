"""The way to a vendor, which can go wrong in all the ways that a vendor's own end can: a TCP relay on 127.0.0.1.

It knows bytes and not protocols, so it stands before HTTP and WebSockets alike; only refusals are HTTP.
A fault is for new connections and for those that are open. Assumes Linux: a listener whose queue is full lets
further connections wait for ever.
"""

import asyncio
import random
import socket
from contextlib import suppress
from enum import StrEnum
from typing import Final, Self

_CHUNK: Final = 65_536
MIDDLE: Final = 400
"""Bytes of an answer that still come before it hangs, is cut off or turns to garbage: headers and a little more."""
DRIP_SECONDS: Final = 0.25
"""Between two bytes of a slow drip."""


class Trouble(StrEnum):
    """What is wrong with a vendor, or with the way to it."""

    NONE = "none"
    RATE_LIMITED = "429 with Retry-After"
    SERVER_ERROR = "500"
    EXPIRED_KEY = "expired key"
    WRONG_TYPE = "wrong content type"
    REFUSED = "refused connection"
    HUNG_CONNECT = "hung connect"
    HALF_OPEN = "half-open socket"
    HUNG = "hung mid-stream"
    DRIP = "slow drip"
    TRUNCATED = "truncated stream"
    GARBAGE = "garbage"


_ANSWERS: Final = {
    Trouble.RATE_LIMITED: (
        "429 Too Many Requests",
        "application/json",
        "Retry-After: 20\r\n",
        '{"error":{"message":"slow down"}}',
    ),
    Trouble.SERVER_ERROR: ("500 Internal Server Error", "application/json", "", '{"error":{"message":"oops"}}'),
    Trouble.EXPIRED_KEY: ("401 Unauthorized", "application/json", "", '{"error":{"message":"this key has expired"}}'),
    Trouble.WRONG_TYPE: ("200 OK", "text/html", "", "<html><body>Please log in to the hotel's network.</body></html>"),
}
_BELOW_HTTP: Final = (Trouble.REFUSED, Trouble.HUNG_CONNECT)
_IN_THE_ANSWER: Final = (Trouble.HUNG, Trouble.DRIP, Trouble.TRUNCATED, Trouble.GARBAGE)


class Relay:
    """An async context: inside it `address` leads to `target`, both `127.0.0.1:<port>`, unless there is trouble."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._trouble = Trouble.NONE
        self._port = 0
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self._deaf: list[socket.socket] = []
        self.touched = 0
        """Connections that had trouble. Those that are refused below HTTP are not seen here."""

    @property
    def address(self) -> str:
        """Stays the same whatever happens."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._take_down()

    async def suffer(self, trouble: Trouble) -> None:
        """Let this happen to every connection from now on."""
        was, self._trouble = self._trouble, trouble
        if trouble in _ANSWERS:
            # Who begins to refuse lets go of what is open as well.
            await self._drop()
        if trouble in _BELOW_HTTP or was in _BELOW_HTTP:
            await self._take_down()
            if trouble is Trouble.HUNG_CONNECT:
                self._hang()
            elif trouble is not Trouble.REFUSED:
                await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def _hang(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(0)
        self._deaf.append(listener)
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", self._port))
            self._deaf.append(waiting)

    async def _take_down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()
        for deaf in self._deaf:
            deaf.close()
        self._deaf.clear()

    async def _drop(self) -> None:
        for relay in tuple(self._relays):
            self.touched += 1
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        host, _, port = self._target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            pumps = {
                asyncio.create_task(self._upstream(reader, far_writer, writer)),
                asyncio.create_task(self._downstream(far_reader, writer)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # the other side is gone, or the line was taken down
        finally:
            self._relays.discard(task)
            if task.cancelling():
                writer.transport.abort()
            else:
                writer.close()

    async def _upstream(
        self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            if self._trouble is Trouble.HALF_OPEN:
                self.touched += 1
                await asyncio.Event().wait()
            answer = _ANSWERS.get(self._trouble)
            # Only a request can be refused: what else comes belongs to a stream that is open already.
            if answer is not None and data[:4] in (b"GET ", b"POST"):
                self.touched += 1
                status, kind, more, body = answer
                back.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n"
                    f"Connection: close\r\n\r\n{body}".encode()
                )
                await back.drain()
                return
            far.write(data)
            await far.drain()

    async def _downstream(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await far.read(_CHUNK):
            trouble = self._trouble
            if trouble is Trouble.HALF_OPEN:
                await asyncio.Event().wait()
            if trouble in _IN_THE_ANSWER:
                left = max(0, MIDDLE - passed)
                passed += len(data)
                if len(data) > left:
                    self.touched += 1
                    writer.write(data[:left])
                    await writer.drain()
                    await self._spoil(trouble, data[left:], writer)
                    return
            else:
                passed = 0
            writer.write(data)
            await writer.drain()

    async def _spoil(self, trouble: Trouble, rest: bytes, writer: asyncio.StreamWriter) -> None:
        if trouble is Trouble.HUNG:
            await asyncio.Event().wait()
        elif trouble is Trouble.GARBAGE:
            writer.write(random.Random(len(rest)).randbytes(200))
            await writer.drain()
        elif trouble is Trouble.DRIP:
            for place in range(len(rest)):
                writer.write(rest[place : place + 1])
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)
            await asyncio.Event().wait()
