"""What is read from a server has an end, however it is packed and however it comes."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from talkspurt.mcp.http import NEVER_SENT, http_client


@asynccontextmanager
async def answering(body: bytes, *headers: str) -> AsyncIterator[str]:
    """The address of a server that answers each request with this body."""
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_a_body_of_the_greatest_length_is_read_and_a_longer_one_is_not() -> None:
    async with http_client({}, longest=4096, connect_timeout=5) as client:
        async with answering(b"x" * 4096, "Content-Type: application/json") as url:
            assert len((await client.get(url)).content) == 4096
        async with answering(b"x" * 4097, "Content-Type: application/json") as url:
            with pytest.raises(httpx2.RemoteProtocolError, match="too long"):
                await client.get(url)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_a_short_body_does_not_become_a_long_one(kind: str) -> None:
    packed = gzip.compress(b"x" * 3_000_000)
    assert len(packed) < 4096
    async with (
        answering(packed, f"Content-Type: {kind}", "Content-Encoding: gzip") as url,
        http_client({}, longest=4096, connect_timeout=5) as client,
    ):
        with pytest.raises(httpx2.RemoteProtocolError, match="asked not to"):
            await client.get(url)


async def test_where_nobody_listens_that_is_the_answer() -> None:
    async with answering(b"") as url:
        pass
    async with http_client({"Authorization": "Bearer x"}, longest=4096, connect_timeout=5) as client:
        answer = await client.post(url)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == NEVER_SENT
