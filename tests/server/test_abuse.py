"""Strangers and broken carriers: cut off with a reason, counted, bounded in what they cost, and no affair of others."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from picows import WSFrame, WSMsgType, WSTransport
from twilio.request_validator import RequestValidator

from talkspurt.server.door import MOST_SHUT_OUT, SHUT_FOR, Door
from talkspurt.server.media_socket import BURST, MOST_FRAGMENTS, MediaSocket
from talkspurt.transports.twilio import MAX_WAITING_BYTES, TwilioTransport

from .conftest import CALLER, DIALLED, PATIENCE, PUBLIC, TOKEN, Running, Twiml, media_message, running, settings, total


def dropped(reason: str) -> float:
    return total("talkspurt_connections_dropped_total", reason=reason)


def refused(reason: str) -> float:
    return total("talkspurt_sockets_refused_total", reason=reason)


# ── connections ───────────────────────────────────────────────────────────────────


async def test_of_too_many_connections_that_ask_for_nothing_the_oldest_go(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.server.door.MOST_WAITING", 10)
    before = dropped("crowded")
    socket, _ = await server.call()
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(30)]
    assert (await server.voice("CA2")).verbs[0] == "Connect"
    for reader, _writer in idle[:15]:
        assert await asyncio.wait_for(reader.read(1), PATIENCE) == b""
    assert not idle[-1][0].at_eof()
    assert dropped("crowded") - before >= 20
    socket.media(1)
    await socket.echo()
    for _reader, writer in idle:
        writer.transport.abort()
    await asyncio.sleep(0)


async def test_an_address_that_had_its_share_cannot_even_connect_for_a_while(tmp_path: Path) -> None:
    config = settings(tmp_path, server={"trusted_proxies": []}, limits={"requests_per_address": "3/minute"})
    before = dropped("shut_out")
    async with running(config) as server:
        responses = [await server.post("/twilio/voice", {"CallSid": ""}, token="guess") for _ in range(4)]
        assert [response.status_code for response in responses] == [403, 403, 403, 429]
        assert responses[-1].headers["connection"] == "close"
        with pytest.raises(httpx.TransportError):
            await server.post("/twilio/voice", {"CallSid": ""}, token="guess")
    assert dropped("shut_out") > before


async def test_the_addresses_of_our_own_proxies_are_never_shut_out(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "1/minute"})) as server:
        statuses = [(await server.post("/twilio/voice", {"CallSid": ""}, token="guess")).status_code for _ in range(3)]
        assert statuses == [403, 429, 429]


async def test_health_is_limited_for_the_outside(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        outside = {"X-Forwarded-For": "198.51.100.7"}
        assert [(await server.http.get("/livez", headers=outside)).status_code for _ in range(3)] == [200, 200, 429]
        assert [(await server.http.get("/livez")).status_code for _ in range(3)] == [200] * 3


def test_the_door_forgets_addresses_after_a_while_and_remembers_only_so_many() -> None:
    now = 0.0
    door = Door(["127.0.0.1"], now=lambda: now)
    door.shut_out("127.0.0.1")
    assert door.lets_in("127.0.0.1")
    for number in range(MOST_SHUT_OUT + 1):
        door.shut_out(f"192.0.2.{number}")
    assert door.lets_in("192.0.2.0")
    assert not door.lets_in("192.0.2.1")
    now = SHUT_FOR
    assert door.lets_in("192.0.2.1")


# ── media sockets ─────────────────────────────────────────────────────────────────


async def test_audio_counts_by_its_size_so_that_few_huge_messages_are_a_flood(server: Running) -> None:
    other, _ = await server.call("CA2")
    socket, session = await server.call()
    before = refused("flood")
    huge = json.dumps(media_message(1, b"\x21" * 40_000)).encode()
    for _ in range(BURST // 20):
        socket.send_raw(huge)
    assert await socket.closed() == 1008
    assert session.heard * 160 <= 2 * BURST * 512
    assert refused("flood") == before + 1
    other.media(1)
    await other.echo()


async def test_who_floods_is_not_read_any_more_and_then_dropped(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.server.media_socket.CLOSE_DEADLINE", 0.5)
    frames: list[int] = []
    on_frame = MediaSocket.on_ws_frame

    def counted(self: MediaSocket, transport: WSTransport, frame: WSFrame) -> None:
        frames.append(frame.payload_size)
        on_frame(self, transport, frame)

    monkeypatch.setattr(MediaSocket, "on_ws_frame", counted)
    socket, _ = await server.call()
    # A client that does not mind our close frame.
    socket.on_ws_frame = lambda _transport, _frame: None  # type: ignore[method-assign, assignment]
    data = json.dumps(media_message(1)).encode()
    for _ in range(40):
        for _ in range(500):
            socket.send_raw(data)
        await asyncio.sleep(0.01)
    await asyncio.wait_for(socket.gone.wait(), PATIENCE)
    assert len(frames) < 2 * BURST


async def test_a_message_of_endless_empty_fragments_closes_the_socket(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.server.media_socket.CLOSE_DEADLINE", 0.2)
    socket, _ = await server.call()
    before = refused("oversized")
    socket.send_raw(b"", fin=False)
    for _ in range(MOST_FRAGMENTS + 1):
        socket.send_raw(b"", WSMsgType.CONTINUATION, fin=False)
    assert await socket.closed() == 1009

    async def counted() -> None:
        while refused("oversized") == before:  # noqa: ASYNC110 - a counter is what is looked at
            await asyncio.sleep(0.01)

    await asyncio.wait_for(counted(), PATIENCE)


async def test_a_carrier_that_does_not_read_is_given_up_and_no_memory_with_it(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.transports.twilio.STALL_LIMIT", 0.3)
    other, _ = await server.call("CA2")
    socket, session = await server.call()
    before = refused("not_reading")
    socket.transport.underlying_transport.pause_reading()
    second = b"\x00" * 16_000
    dropped_audio = total("talkspurt_frames_not_sent_total", reason="carrier_not_reading")
    assert isinstance(session.transport, TwilioTransport)
    line, most = session.transport._line, 0

    async def speak() -> None:
        nonlocal most
        while not session.over.done():
            session.transport.send_audio(second)
            most = max(most, line.waiting_bytes)
            await asyncio.sleep(0.005)

    await asyncio.wait_for(speak(), PATIENCE)
    assert (await session.over).reason == "line_lost"
    assert refused("not_reading") == before + 1
    assert MAX_WAITING_BYTES < most <= 2 * MAX_WAITING_BYTES
    assert total("talkspurt_frames_not_sent_total", reason="carrier_not_reading") > dropped_audio
    other.media(1)
    await other.echo()


async def test_nothing_is_kept_for_who_pings_and_does_not_read() -> None:
    waiting = 0
    sent: list[bytes] = []
    underlying = SimpleNamespace(get_write_buffer_size=lambda: waiting, get_extra_info=lambda _name: None)
    line = cast(
        WSTransport,
        SimpleNamespace(underlying_transport=underlying, is_disconnected=False, send_pong=sent.append),
    )
    ping = cast(
        WSFrame,
        SimpleNamespace(msg_type=WSMsgType.PING, fin=True, payload_size=4, get_payload_as_bytes=lambda: b"ping"),
    )
    socket = MediaSocket(lambda *_: None)
    socket.on_ws_connected(line)
    socket.on_ws_frame(line, ping)
    waiting = MAX_WAITING_BYTES + 1
    socket.on_ws_frame(line, ping)
    assert sent == [b"ping"]
    socket._disarm()


class Line:
    """A media socket without a network, whose loop's time is set. One frame is 20 ms of audio."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.refused: list[str] = []
        underlying = SimpleNamespace(get_extra_info=lambda _name: None, pause_reading=lambda: None)
        self._transport = cast(WSTransport, SimpleNamespace(underlying_transport=underlying))
        data = json.dumps(media_message(1)).encode()
        self._frame = cast(
            WSFrame,
            SimpleNamespace(
                msg_type=WSMsgType.TEXT, fin=True, payload_size=len(data), get_payload_as_bytes=lambda: data
            ),
        )
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now, raising=False)
        self._socket = MediaSocket(lambda *_: None)
        monkeypatch.setattr(self._socket, "refuse", self.refused.append)
        monkeypatch.setattr(self._socket, "_stop_reading", lambda: None)

    def come(self, frames: int, *, per_second: float = float("inf")) -> None:
        """So many frames, evenly; and none any more once the line has been refused."""
        for _ in range(frames):
            self.now += 1 / per_second
            if not self.refused:
                self._socket.on_ws_frame(self._transport, self._frame)


@pytest.mark.parametrize("before", [0, 1, 300, BURST - 10, BURST - 1, BURST, BURST + 40])
async def test_a_line_that_was_stuck_for_twelve_seconds_lets_go_of_them_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    line = Line(monkeypatch)
    line.come(before, per_second=50)
    for _ in range(3):
        line.now += 12.0
        line.come(BURST)
        line.come(BURST, per_second=50)
    assert not line.refused


@pytest.mark.parametrize(("rate", "seconds"), [(1000, 1.0), (400, 4.0), (100_000, 0.1)])
async def test_more_than_a_line_may_send_is_cut_off_however_it_comes(
    monkeypatch: pytest.MonkeyPatch, rate: int, seconds: float
) -> None:
    line = Line(monkeypatch)
    line.come(10 * BURST, per_second=50)
    line.come(int(rate * seconds) + BURST, per_second=rate)
    assert line.refused == ["flood"]


# ── what is left behind ───────────────────────────────────────────────────────────


class Server:
    """A server in a process of its own, whose memory and descriptors can be looked at."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}")

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def resident_mb(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Server]:
    """An echo in another process."""
    config = settings(tmp_path, limits={"requests_per_address": "100000/minute"})
    values: dict[str, Any] = json.loads(config.model_dump_json())
    values["twilio"] = {"auth_token": TOKEN}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "echo_server.py"),
        json.dumps(values),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while not (line := await process.stdout.readline()).startswith(b"port "):
                assert line, "the server has ended"
        server = Server(process.pid, int(line.split()[1]))
        draining = asyncio.create_task(process.stdout.read())
        yield server
        draining.cancel()
        await server.http.aclose()
    finally:
        process.kill()
        await process.wait()


async def test_sockets_opened_and_dropped_in_a_loop_leave_nothing_behind(alone: Server) -> None:
    async def churn(times: int) -> None:
        for number in range(times):
            _reader, writer = await asyncio.open_connection("127.0.0.1", alone.port)
            writer.write(HANDSHAKE[: len(HANDSHAKE) - number % 3])
            if number % 3 == 0:
                await _reader.readline()
            writer.transport.abort()

    async def at_rest() -> int:
        async with asyncio.timeout(20):
            while True:
                before = alone.descriptors
                await asyncio.sleep(0.5)
                if alone.descriptors == before:
                    return before

    await churn(100)
    descriptors, memory = await at_rest(), alone.resident_mb
    await churn(900)
    assert await at_rest() <= descriptors + 1
    assert alone.resident_mb - memory < 8
    fields = {"CallSid": "CA1", "From": CALLER, "To": DIALLED}
    signature = RequestValidator(TOKEN).compute_signature(f"{PUBLIC}/twilio/voice", fields)
    answer = await alone.http.post("/twilio/voice", data=fields, headers={"X-Twilio-Signature": signature})
    assert Twiml(answer.text).verbs[0] == "Connect"


HANDSHAKE = (
    b"GET /twilio/media HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Twilio-Signature: "
    + RequestValidator(TOKEN).compute_signature("wss://voice.example.com/twilio/media", {}).encode()
    + b"\r\n\r\n"
)
