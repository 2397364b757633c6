"""The clients with which vendors' SDKs ask: what becomes of a request on a real socket, and what its failure is."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx
import httpx2
import pytest

from talkspurt import vendor_http
from talkspurt.telemetry.usage import ASKING, Asking
from talkspurt.testing.fakes.line import Line, LineState
from talkspurt.vendor_http import httpx2_client, httpx_client, opened_responses

LIBRARIES: Final[dict[str, tuple[Any, Callable[..., Any]]]] = {
    "httpx": (httpx, httpx_client),
    "httpx2": (httpx2, httpx2_client),
}
SHORT_S: Final = 0.3
"""Of a deadline that has to pass."""
LONG_S: Final = 10.0
"""Of one that must not."""
HELLO: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

Part = Callable[["Peer"], Awaitable[None]]


@dataclass
class Peer:
    """A connection as the server has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[bytes] = field(default_factory=list)
    """Heads received, with their bodies."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The client has closed it."""

    async def request(self) -> None:
        """Read one."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.requests.append(head + await self.reader.readexactly(length))

    async def say(self, answer: bytes) -> None:
        """Send it."""
        self.writer.write(answer)
        await self.writer.drain()

    async def see_it_leave(self) -> None:
        """Wait for the client to close."""
        await self.reader.read()
        self.left.set()


class Server:
    """Plays a part on every connection, then closes it."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self.peers: list[Peer] = []
        self._met = asyncio.Event()
        self._playing: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = f"http://{self.address}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in tuple(self._playing):
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._playing.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._met.set()
        try:
            await self._part(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            peer.left.set()
        finally:
            self._playing.discard(task)
            writer.close()

    async def peer(self) -> Peer:
        """The first connection."""
        await asyncio.wait_for(self._met.wait(), LONG_S)
        return self.peers[0]


async def answer(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.say(HELLO)


async def be_silent(peer: Peer) -> None:
    await peer.request()
    await peer.see_it_leave()


async def stall(peer: Peer) -> None:
    await peer.request()
    await peer.say(CHUNKED + b"5\r\nhello\r\n")
    await peer.see_it_leave()


@dataclass
class Rig:
    """A library and its client."""

    library: Any
    client: Any

    def failure(self, name: str) -> Any:
        """That class of the library's, and no other."""
        return pytest.raises(getattr(self.library, name), check=lambda error: type(error).__name__ == name)

    async def post(self, url: str) -> bytes:
        async with asyncio.timeout(2 * LONG_S):
            content: bytes = (await self.client.post(url, content=b"{}")).content
            return content


@pytest.fixture(params=sorted(LIBRARIES))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    library, make = LIBRARIES[request.param]
    rig = Rig(library, make(connect=LONG_S, first=LONG_S))
    yield rig
    await rig.client.aclose()


@pytest.fixture(params=sorted(LIBRARIES))
async def hasty(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    library, make = LIBRARIES[request.param]
    rig = Rig(library, make(connect=SHORT_S, first=SHORT_S))
    yield rig
    await rig.client.aclose()


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL at which nobody listens, nor can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


# ── how a failure is called ───────────────────────────────────────────────────────


async def test_a_refused_connection(rig: Rig, nobody: str) -> None:
    with rig.failure("ConnectError"):
        await rig.post(nobody)


async def test_nothing_answered(hasty: Rig) -> None:
    async with Server(be_silent) as server:
        with hasty.failure("ReadTimeout"):
            await hasty.post(server.url)
        await asyncio.wait_for((await server.peer()).left.wait(), LONG_S)


async def test_nobody_accepts_the_connection(hasty: Rig) -> None:
    async with Server(answer) as server, Line(lambda: server.address) as line:
        await line.become(LineState.HUNG_CONNECT)
        with hasty.failure("ConnectTimeout"):
            await hasty.post(f"http://{line.address}/v1")
        await line.become(LineState.OPEN)


async def test_no_connection_is_free_in_time(hasty: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_http, "MAX_CONNECTIONS", 1)
    async with Server(stall) as server:
        async with hasty.client.stream("POST", server.url, timeout=hasty.library.Timeout(LONG_S)):
            with hasty.failure("ConnectTimeout"):
                await hasty.post(server.url)
        assert len(server.peers) == 1


async def test_a_server_that_closes_without_an_answer(rig: Rig) -> None:
    async with Server(Peer.request) as server:
        with rig.failure("RemoteProtocolError"):
            await rig.post(server.url)
        assert len(server.peers) == 1, "what may have been done is not asked for again"


@pytest.mark.parametrize(
    "said", [b"220 mail.example ESMTP\r\n", b"\x16\x03\x01\x00\xa5\x01\x00", b"HTTP/1.1 abc OK\r\n\r\n"]
)
async def test_an_answer_that_is_no_http(rig: Rig, said: bytes) -> None:
    async def babble(peer: Peer) -> None:
        await peer.request()
        await peer.say(said)

    async with Server(babble) as server:
        with rig.failure("RemoteProtocolError"):
            await rig.post(server.url)


@pytest.mark.parametrize("head", [CHUNKED + b"5\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n"])
@pytest.mark.parametrize("busy", [0.0, 0.05], ids=["waiting", "busy when it breaks"])
async def test_of_a_body_that_is_cut_short_what_came_is_given_out_before_the_failure(
    rig: Rig, head: bytes, busy: float
) -> None:
    async def break_off(peer: Peer) -> None:
        await peer.request()
        await peer.say(head + b"hello" + b"\r\n" * head.startswith(CHUNKED))

    heard = b""
    async with Server(break_off) as server, rig.client.stream("POST", server.url) as response:
        await asyncio.sleep(busy)
        with rig.failure("ReadError"):
            async for piece in response.aiter_bytes():
                heard += piece
    assert heard == b"hello"


async def test_garbage_in_a_body_is_a_failure_and_no_silence(rig: Rig) -> None:
    async def babble(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + b"5\r\nhello\r\nno length\r\n")
        await peer.see_it_leave()

    async with Server(babble) as server:
        with pytest.raises(rig.library.TransportError):
            await rig.post(server.url)
        await asyncio.wait_for((await server.peer()).left.wait(), LONG_S)


async def test_a_body_that_stalls(hasty: Rig) -> None:
    heard = b""
    async with Server(stall) as server:
        async with hasty.client.stream("POST", server.url) as response:
            with hasty.failure("ReadTimeout"):
                async for piece in response.aiter_bytes():
                    heard += piece
        await asyncio.wait_for((await server.peer()).left.wait(), LONG_S)
    assert heard == b"hello"


# ── connections ───────────────────────────────────────────────────────────────────


async def test_a_connection_is_used_again(rig: Rig) -> None:
    async with Server(answer) as server:
        assert [await rig.post(server.url) for _ in range(3)] == [b"hello"] * 3
        assert [len(peer.requests) for peer in server.peers] == [3]


async def test_a_request_that_is_cancelled_closes_its_connection(rig: Rig) -> None:
    async with Server(be_silent) as server:
        asking = asyncio.create_task(rig.post(server.url))
        peer = await server.peer()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(peer.left.wait(), LONG_S)


async def test_an_answer_that_nobody_reads_on_closes_its_connection(rig: Rig) -> None:
    async with Server(stall) as server:
        async with rig.client.stream("POST", server.url) as response:
            assert await anext(response.aiter_bytes()) == b"hello"
        await asyncio.wait_for((await server.peer()).left.wait(), LONG_S)


async def test_a_reader_that_is_cancelled_closes_its_connection(rig: Rig) -> None:
    async with Server(stall) as server:
        begun = asyncio.Event()

        async def read() -> None:
            async with rig.client.stream("POST", server.url) as response:
                async for _ in response.aiter_bytes():
                    begun.set()

        reading = asyncio.create_task(read())
        await asyncio.wait_for(begun.wait(), LONG_S)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for((await server.peer()).left.wait(), LONG_S)


async def test_whatever_became_of_requests_others_find_a_connection_free(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vendor_http, "MAX_CONNECTIONS", 2)

    async def fail_then_answer(peer: Peer) -> None:
        await (stall if len(server.peers) <= 6 else answer)(peer)

    async with Server(fail_then_answer) as server:
        for _ in range(3):
            async with rig.client.stream("POST", server.url) as response:
                await anext(response.aiter_bytes())
        for _ in range(3):
            asking = asyncio.create_task(rig.post(server.url))
            await asyncio.sleep(0.02)
            asking.cancel()
            await asyncio.wait({asking})
        assert await asyncio.gather(*(rig.post(server.url) for _ in range(2))) == [b"hello"] * 2


async def test_closing_the_client_closes_its_connections(rig: Rig) -> None:
    async def answer_and_wait(peer: Peer) -> None:
        await peer.request()
        await peer.say(HELLO)
        await peer.see_it_leave()

    async with Server(answer_and_wait) as server:
        await rig.post(server.url)
        await rig.client.aclose()
        await asyncio.wait_for((await server.peer()).left.wait(), LONG_S)


# ── what is sent and received ─────────────────────────────────────────────────────


async def test_a_request_arrives_as_it_was_given_and_its_answer_as_it_was_sent(rig: Rig) -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"

    async def refuse(peer: Peer) -> None:
        await peer.request()
        await peer.say(head % len(packed) + packed)

    async with Server(refuse) as server:
        response = await rig.client.post(f"{server.url}/a:b%2Fc?x=%2B", content=b"{}", headers={"x-key": "canary"})
        sent = (await server.peer()).requests[0]
    assert sent.startswith(b"POST /v1/a:b%2Fc?x=%2B HTTP/1.1\r\n")
    assert b"\r\nx-key: canary\r\n" in sent.lower()
    assert sent.endswith(b"\r\n\r\n{}")
    assert (response.status_code, response.headers["retry-after"], response.content) == (429, "7", b"hello")


async def test_responses_are_collected_where_somebody_asks_for_them(rig: Rig) -> None:
    async with Server(answer) as server:
        await rig.post(server.url)
        with opened_responses() as opened:
            inside = await rig.client.post(server.url, content=b"{}")
        await rig.post(server.url)
    assert opened == [inside]


@pytest.mark.parametrize("first", [b"", HELLO], ids=["on a new connection", "on one that is open"])
async def test_it_is_known_whether_a_request_has_left(rig: Rig, first: bytes) -> None:
    arrived = asyncio.Event()

    async def answer_once(peer: Peer) -> None:
        if first:
            await peer.request()
            await peer.say(first)
        await peer.request()
        arrived.set()
        await peer.see_it_leave()

    async with Server(answer_once) as server:
        if first:
            await rig.post(server.url)
        asking = Asking()
        ASKING.set(asking)
        task = asyncio.create_task(rig.post(server.url))
        await asyncio.wait_for(arrived.wait(), LONG_S)
        assert asking.sent
        task.cancel()
        await asyncio.wait({task})
        assert asking.sent


async def test_a_request_without_a_connection_has_not_left(rig: Rig, nobody: str) -> None:
    asking = Asking()
    ASKING.set(asking)
    with pytest.raises(rig.library.ConnectError):
        await rig.post(nobody)
    assert not asking.sent


# ── proxies ───────────────────────────────────────────────────────────────────────


async def test_a_proxy_of_the_environment_is_asked(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with Server(answer) as server:
            assert await rig.post("http://vendor.test/v1") == b"hello"
            assert await rig.post(server.url) == b"hello"
        assert [peer.requests[0].split(b" ")[1] for peer in proxy.peers] == [b"http://vendor.test/v1"]
        assert [peer.requests[0].split(b" ")[1] for peer in server.peers] == [b"/v1"]


async def test_what_a_netrc_has_for_the_host_is_not_sent(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login maya password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with Server(answer) as server:
        await rig.post(server.url)
        assert b"authorization" not in server.peers[0].requests[0].lower()


async def test_a_proxy_that_cannot_be_reached_is_a_failure_of_its_own(
    rig: Rig, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, nobody)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with rig.failure("ProxyError"):
        await rig.post("http://vendor.test/v1")
