"""The network between a client and a fake vendor: a TCP relay on 127.0.0.1 that can go wrong below HTTP.

What it assumes: Linux, where a listener whose queue of connections is full leaves further ones without an answer.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Final, Self

_CHUNK: Final = 65_536


class LineState(StrEnum):
    """What a line does with connections."""

    OPEN = "open"
    REFUSED = "refused"
    HUNG_CONNECT = "hung connect"
    HALF_OPEN = "half-open"


class Line:
    """Relays to `target`, `host:port`, while it is open. Its own `address` stays the same in all states."""

    def __init__(self, target: Callable[[], str]) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._deaf: list[socket.socket] = []
        self._port = 0
        self.accepted = 0
        """Connections that were taken so far."""

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._take_down()

    async def become(self, state: LineState) -> None:
        """Change what happens to connections, those that are open included."""
        if state is LineState.HALF_OPEN:
            self._flowing.clear()
            return
        await self._take_down()
        self._flowing.set()
        if state is LineState.OPEN:
            await self._listen()
        elif state is LineState.HUNG_CONNECT:
            self._hang()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def _hang(self) -> None:
        """Listen with a queue for one connection that is full and never emptied."""
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
        """Break all connections."""
        for relay in tuple(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._relays.add(task)
        try:
            await self._flowing.wait()
            host, _, port = self._target().rpartition(":")
            back_reader, back_writer = await asyncio.open_connection(host, int(port))
            try:
                pumps = {
                    asyncio.create_task(self._upstream(reader, back_writer, writer)),
                    asyncio.create_task(self._downstream(back_reader, writer)),
                }
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
            finally:
                back_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # the line was taken down, or the vendor behind it
        finally:
            self._relays.discard(task)
            if task.cancelling():
                writer.transport.abort()
            else:
                writer.close()

    async def _upstream(
        self, client: asyncio.StreamReader, vendor: asyncio.StreamWriter, _back: asyncio.StreamWriter
    ) -> None:
        """Carry what the client says; `_back` leads to the client, for a line that answers itself."""
        await self._pump(client, vendor)

    async def _downstream(self, vendor: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Carry what the vendor says."""
        await self._pump(vendor, client)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
            await self._flowing.wait()
