"""Hostile and broken clients hammer a server while a real call goes on next door, which must not notice."""

import asyncio
import json

import httpx
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from e2e.e2e_server import Server
from talkspurt.simulate.caller import run_script
from talkspurt.simulate.lines import HangUp, PressKeys, Say

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


class _Rude(WSListener):
    """Sends what it is given as soon as it is connected, and waits for the server to hang up."""

    def __init__(self, *messages: tuple[WSMsgType, bytes]) -> None:
        self._messages = messages

    def on_ws_connected(self, transport: WSTransport) -> None:
        for kind, payload in self._messages:
            transport.send(kind, payload)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


def _text(*messages: object) -> list[tuple[WSMsgType, bytes]]:
    return [(WSMsgType.TEXT, m if isinstance(m, bytes) else json.dumps(m).encode()) for m in messages]


START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": "MZ1",
    "start": {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA-nobody",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "guessed"},
    },
}

RUDE = {
    "nonsense": _text(b"{", b"[]", b'"hello"', b"\xff\xfe"),
    "unknown event": _text({"event": "dance"}),
    "guessed token": _text({"event": "connected"}, START),
    "wrong codec": _text({**START, "start": {**START["start"], "mediaFormat": {"encoding": "mp3"}}}),  # type: ignore[dict-item]
    "media before start": _text({"event": "media", "media": {"payload": "////"}}),
    "huge frame": [(WSMsgType.TEXT, b"x" * 70_000)],
    "binary": [(WSMsgType.BINARY, b"\x00" * 100)],
    "flood": _text(*[{"event": "connected"}] * 2000),
}


async def _be_rude(url: str, messages: list[tuple[WSMsgType, bytes]]) -> None:
    transport, _ = await ws_connect(lambda: _Rude(*messages), url.replace("http", "ws", 1) + "/twilio/media")
    try:
        # The server gives a socket 5 s to say start with a valid token.
        await asyncio.wait_for(transport.wait_disconnected(), 8)
    finally:
        transport.disconnect()


async def test_a_call_goes_on_beside_hostile_sockets_and_webhooks(server: Server) -> None:
    async def hammer() -> None:
        await asyncio.sleep(3)
        async with httpx.AsyncClient() as client:
            for path in ("voice", "resume", "status"):
                answer = await client.post(f"{server.url}/twilio/{path}", content=b"\x00" * 5000)
                assert answer.status_code < 500
                assert "Traceback" not in answer.text
        await asyncio.gather(*(_be_rude(server.url, messages) for messages in RUDE.values()))

    call = run_script(
        server.url,
        [Say("Hello, where is my order?"), PressKeys("5540917#"), PressKeys("60614#"), HangUp()],
        from_number="+14155550177",
    )
    report, _ = await asyncio.gather(call, hammer())
    assert report.ok, (report.failures, report.turns)
    assert max(report.latencies) < 4


async def test_a_caller_may_press_every_key_at_once(server: Server) -> None:
    report = await run_script(
        server.url,
        [PressKeys("1234567890*#" * 6), Say("Where is my order?"), HangUp()],
        from_number="+14155550178",
    )
    assert report.ok, (report.failures, report.turns)
