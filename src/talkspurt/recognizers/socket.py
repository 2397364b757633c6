"""A vendor's WebSocket that is replaced when it is lost, for as long as a call lasts.

What is said on it is its owner's (`Talk`); here is only when there is a socket. The first one is opened by
`connect`, whose failure is the caller's; later ones are tried for until they are there, with pauses that grow
while none of them says anything.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, Generic, Protocol, TypeVar

from talkspurt.recognizers.answers import Patience

_SHORTEST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0

Socket = TypeVar("Socket")


class Talk(Protocol[Socket]):
    """What goes over the sockets."""

    def open_socket(self) -> AbstractAsyncContextManager[Socket]:
        """A socket that is ready to be talked on."""

    async def send(self, socket: Socket, /) -> None:
        """Send what there is to be sent; return after a goodbye when the `LastingSocket` is closing."""

    async def receive(self, socket: Socket, /) -> None:
        """Take what comes, until the socket ends."""

    def abort_socket(self, socket: Socket, /) -> None:
        """Drop the connection at once, without a closing handshake."""

    def lost_socket(self) -> None:
        """Nothing that was sent on the last socket will be answered any more."""

    def wake_sender(self) -> None:
        """Have `send` look whether it is closing."""


class LastingSocket(Generic[Socket]):
    """The sockets of one stream, one after the other."""

    def __init__(self, talk: Talk[Socket], patience: Patience, name: str) -> None:
        self._talk = talk
        self._patience = patience
        self._name = name
        self._connected: asyncio.Future[None] | None = None
        self._life: asyncio.Task[None] | None = None
        self._socket: Socket | None = None
        self.closing = False
        """Whether it has been told to end."""
        self.last_news = 0.0
        """The loop's clock when a socket last said something."""
        self.reconnections = 0
        """Sockets opened after the first."""

    def heard(self) -> None:
        """The vendor has said something."""
        self.last_news = asyncio.get_running_loop().time()

    async def connect(self) -> None:
        """Open the first socket. Raises whatever opening it raised."""
        self._connected = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(), name=self._name)
        try:
            async with asyncio.timeout(self._patience.connect):
                await self._connected
        except TimeoutError:
            # A library that was told to stop may wait for the dead peer's goodbye; told again, it does not.
            self._life.cancel()
            raise

    def abort(self) -> None:
        """Leave the current socket for a new one."""
        if self._socket is not None:
            self._talk.abort_socket(self._socket)

    async def aclose(self) -> None:
        """Say goodbye to the vendor, for a bounded time. Idempotent."""
        self.closing = True
        self._talk.wake_sender()
        if self._life is not None:
            await asyncio.wait({self._life}, timeout=self._patience.close)
            self._life.cancel()
            self.abort()
            await asyncio.wait({self._life}, timeout=self._patience.close)

    async def _live(self) -> None:
        assert self._connected is not None
        pause = 0.0
        while not self.closing:
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, pause * 2))
            try:
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(self._patience.connect):
                        self._socket = await stack.enter_async_context(self._talk.open_socket())
                    if self._connected.done():
                        self.reconnections += 1
                    else:
                        self._connected.set_result(None)
                    since = asyncio.get_running_loop().time()
                    await self._converse(self._socket)
                    if self.last_news > since:
                        # Only a socket that said something earns an immediate successor.
                        pause = 0.0
            except Exception as error:  # whatever ends a socket ends it in the same way for us
                if not self._connected.done():
                    self._connected.set_exception(error)
                    return
            self._socket = None
            self._talk.lost_socket()

    async def _converse(self, socket: Socket) -> None:
        """Send and receive until either comes to an end; then nothing of the socket is left."""
        tasks = {asyncio.create_task(self._talk.send(socket)), asyncio.create_task(self._talk.receive(socket))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self.closing:
                # The vendor closes the socket once it has said all; that ends the receiver.
                await asyncio.wait(tasks, timeout=self._patience.close)
        finally:
            self._talk.abort_socket(socket)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
