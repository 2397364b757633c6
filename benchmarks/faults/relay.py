"""The way to a vendor, which can go wrong in all the ways that a vendor's own end can: a TCP relay on 127.0.0.1.

It knows bytes and not protocols, so it stands before HTTP and WebSockets alike; only refusals are HTTP.
A fault is for new connections and for those that are open.
"""

import asyncio
import random
from enum import StrEnum
from typing import Final

from talkspurt.testing.fakes.line import Line, LineState

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
BELOW_HTTP: Final = {
    Trouble.REFUSED: LineState.REFUSED,
    Trouble.HUNG_CONNECT: LineState.HUNG_CONNECT,
    Trouble.HALF_OPEN: LineState.HALF_OPEN,
}
_IN_THE_ANSWER: Final = (Trouble.HUNG, Trouble.DRIP, Trouble.TRUNCATED, Trouble.GARBAGE)


class Relay(Line):
    """A line to `target` (`127.0.0.1:<port>`) that fails above TCP as well."""

    def __init__(self, target: str) -> None:
        super().__init__(lambda: target)
        self._trouble = Trouble.NONE
        self.touched = 0
        """Connections that had trouble, but for that `BELOW_HTTP`, which is not seen here."""

    async def suffer(self, trouble: Trouble) -> None:
        """Let this happen to every connection from now on."""
        was, self._trouble = self._trouble, trouble
        if trouble in _ANSWERS:
            # Who begins to refuse lets go of what is open as well.
            await self._drop()
        if trouble in BELOW_HTTP or was in BELOW_HTTP:
            await self.become(BELOW_HTTP.get(trouble, LineState.OPEN))

    async def _drop(self) -> None:
        self.touched += len(self._relays)
        await super()._drop()

    async def _upstream(
        self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            await self._flowing.wait()
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
            await self._flowing.wait()
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
