"""A streamable HTTP server, with a bound on what one answer may hold.

The SDK bounds the events of a stream, but reads a plain JSON body to its end. Here a body has a greatest length and
comes unpacked, so that a short one cannot become a long one. And where no connection comes about, that becomes the
answer to the one request, by which it is known that the server did nothing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Final

import httpx2
from mcp.client.streamable_http import streamable_http_client

from talkspurt.telemetry.metrics import ANOMALIES

READ_TIMEOUT: Final = 600.0
"""Seconds without a byte: as long as the slowest tool may take. Each call has its own, shorter limit."""

NEVER_SENT: Final = token_hex(16)
"""Our own message for a request that was never sent: a text of this process that no server knows. A code would be any
server's to answer, also one that has acted."""
_UNREACHABLE: Final = -32090


@asynccontextmanager
async def http_client(
    headers: Mapping[str, str], *, longest: int, connect_timeout: float
) -> AsyncGenerator[httpx2.AsyncClient, None]:
    """A client that sends `headers` with each request and reads bodies of at most `longest` bytes."""
    async with httpx2.AsyncClient(
        headers={**headers, "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(connect_timeout, read=READ_TIMEOUT),
        transport=_BoundedTransport(longest),
    ) as client:
        yield client


@asynccontextmanager
async def streamable_http(
    url: str, headers: Mapping[str, str], *, longest: int, connect_timeout: float
) -> AsyncGenerator[object, None]:
    """Exchange messages of at most `longest` bytes with the server at `url`."""
    async with (
        http_client(headers, longest=longest, connect_timeout=connect_timeout) as client,
        # A server that hangs would hang the goodbye, too: its session ends by itself.
        streamable_http_client(
            url, http_client=client, max_sse_event_size=longest, terminate_on_close=False
        ) as streams,
    ):
        yield streams


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await super().handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            error = {"code": _UNREACHABLE, "message": NEVER_SENT}
            return httpx2.Response(503, json={"jsonrpc": "2.0", "id": None, "error": error})
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the server packs its answer although it was asked not to")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.stream = _BoundedStream(response.stream, self._longest)
        return response


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, longest: int) -> None:
        self._stream = stream
        self._longest = longest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._longest
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                ANOMALIES.labels("mcp_message_too_long").inc()
                raise httpx2.RemoteProtocolError("the server's answer is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
