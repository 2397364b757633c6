"""The real server on a real port with a real database, and a carrier that can also behave badly."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pybase64
import pytest
import uvloop
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect
from twilio.request_validator import RequestValidator

from talkspurt.config import Config
from talkspurt.ports import Call, Transport
from talkspurt.server.origin import Origin
from talkspurt.server.serve import serve
from talkspurt.store import Store
from talkspurt.telemetry import metrics

TOKEN = "canary-auth-token-5f2d"
OTHER_TOKEN = "canary-auth-token-next"
PUBLIC = "https://voice.example.com"
CALLER = "+12025550101"
DIALLED = "+12025550100"
PATIENCE = 5.0


@pytest.fixture(scope="session")
def event_loop_policy() -> Any:
    return uvloop.EventLoopPolicy()


def total(name: str, **labels: str) -> float:
    """The present value of a metric."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@dataclass
class Outcome:
    reason: str


class EchoSession:
    """One call that says back what it hears until the line closes."""

    def __init__(self, call: Call, transport: Transport, attachment: int, snapshot: str | None) -> None:
        self.call = call
        self.transport = transport
        self.attachment = attachment
        self.snapshot = snapshot
        self.heard = 0
        self.told: list[object] = []
        self.over: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.wound_up = asyncio.Event()
        """Whether nothing of it runs any more: an effect may, when it is over."""
        self.wound_up.set()

    def audio_received(self, pcm: bytes, /) -> None:
        self.heard += 1
        self.transport.send_audio(pcm)

    def digit_received(self, digit: str, /) -> None:
        self.told.append(("digit", digit))
        if digit == "#":
            self.end("handover")

    def mark_received(self, name: str, /) -> None:
        self.told.append(("mark", name))

    def line_closed(self, *, hung_up: bool) -> None:
        self.told.append(("closed", hung_up))
        self.end("caller_hung_up" if hung_up else "line_lost")

    def end(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(Outcome(reason))

    def fail(self) -> None:
        self.over.set_exception(RuntimeError("bug in a session"))


class EchoSwitchboard:
    """Answers every call with an echo."""

    session = EchoSession

    def __init__(self) -> None:
        self.sessions: list[EchoSession] = []
        self.arrived: asyncio.Queue[EchoSession] = asyncio.Queue()
        self.ended: list[str] = []
        self.stubborn = False
        self.rung: list[tuple[str, str]] = []

    def ring(self, agent: str, locale: str, /) -> None:
        self.rung.append((agent, locale))

    async def answer(
        self,
        call: Call,
        transport: Transport,
        attachment: int,
        snapshot: str | None,
        conclude: Callable[[Outcome], Awaitable[None]],
        /,
    ) -> None:
        session = self.session(call, transport, attachment, snapshot)
        self.sessions.append(session)
        self.greet(call, transport)
        transport.listen(session)
        self.arrived.put_nowait(session)
        await conclude(await session.over)
        await session.wound_up.wait()

    def greet(self, call: Call, transport: Transport) -> None:
        """Say nothing."""

    def hang_up(self, call_id: str, /) -> None:
        for session in self.sessions:
            if session.call.id == call_id:
                session.end("caller_hung_up")

    def request_end(self, reason: str, /) -> None:
        self.ended.append(reason)
        if not self.stubborn:
            for session in self.sessions:
                session.end(reason)

    async def next_session(self) -> EchoSession:
        return await asyncio.wait_for(self.arrived.get(), PATIENCE)


class Socket(WSListener):
    """The carrier's end of a media socket."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.pongs: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.close_code: int | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.messages.put_nowait(json.loads(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs.put_nowait(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code().value)
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()

    def send(self, message: object) -> None:
        self.send_raw(json.dumps(message).encode())

    def send_raw(self, data: bytes, kind: WSMsgType = WSMsgType.TEXT, *, fin: bool = True) -> None:
        self.transport.send(kind, data, fin=fin)

    def start(self, token: str, call_sid: str, **media_format: object) -> None:
        self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.send(start_message(token, call_sid, **media_format))

    def media(self, chunk: int, mulaw: bytes = b"\x10" * 160) -> None:
        self.send(media_message(chunk, mulaw))

    def hang_up(self) -> None:
        self.send({"event": "stop", "sequenceNumber": "9", "stop": {"callSid": "CA1"}})

    def drop(self) -> None:
        self.transport.disconnect(False)

    async def echo(self) -> bytes:
        message = await asyncio.wait_for(self.messages.get(), PATIENCE)
        assert message["event"] == "media"
        return pybase64.b64decode(message["media"]["payload"])

    async def closed(self) -> int | None:
        """The code of the server's close frame, once the connection is gone; None when it came without."""
        await asyncio.wait_for(self.gone.wait(), PATIENCE)
        return self.close_code


def start_message(token: str, call_sid: str, **media_format: object) -> dict[str, Any]:
    return {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "streamSid": "MZ1",
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1, **media_format},
            "customParameters": {"token": token},
        },
    }


def media_message(chunk: int, mulaw: bytes = b"\x10" * 160) -> dict[str, Any]:
    payload = pybase64.b64encode(mulaw).decode()
    body = {"track": "inbound", "chunk": str(chunk), "timestamp": str(chunk * 20), "payload": payload}
    return {"event": "media", "sequenceNumber": str(chunk + 1), "streamSid": "MZ1", "media": body}


@dataclass
class Running:
    """A server that runs, and the means to reach it."""

    port: int
    origin: Origin
    switchboard: EchoSwitchboard
    store: Store
    stop: asyncio.Event
    task: asyncio.Task[None]
    http: httpx.AsyncClient
    sockets: list[Socket] = field(default_factory=list)

    async def post(
        self,
        path: str,
        fields: dict[str, Any],
        *,
        token: str | None = TOKEN,
        signature: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """A webhook as the carrier sends it: signed for the public URL."""
        headers = dict(headers or {})
        if token is not None:
            headers["X-Twilio-Signature"] = RequestValidator(token).compute_signature(self.origin.url(path), fields)
        if signature is not None:
            headers["X-Twilio-Signature"] = signature
        return await self.http.post(path, data=fields, headers=headers)

    async def voice(self, sid: str = "CA1", *, caller: str = CALLER, dialled: str = DIALLED) -> "Twiml":
        response = await self.post("/twilio/voice", {"CallSid": sid, "From": caller, "To": dialled})
        assert response.status_code == 200
        return Twiml(response.text)

    async def resume(self, sid: str = "CA1", *, path: str = "/twilio/resume", **fields: str) -> "Twiml":
        response = await self.post(path, {"CallSid": sid, **fields})
        assert response.status_code == 200
        return Twiml(response.text)

    async def status(self, status: str, sid: str = "CA1") -> int:
        return (await self.post("/twilio/status", {"CallSid": sid, "CallStatus": status})).status_code

    async def dial(self, *, token: str | None = TOKEN, path: str = "/twilio/media", url: str | None = None) -> Socket:
        """Open a media socket with a signed handshake. Raises picows' `WSHandshakeError` when refused."""
        headers = {}
        if token is not None:
            signed = url or self.origin.socket_url(path)
            headers["X-Twilio-Signature"] = RequestValidator(token).compute_signature(signed, {})
        _, socket = await ws_connect(Socket, f"ws://127.0.0.1:{self.port}{path}", extra_headers=headers)
        assert isinstance(socket, Socket)
        self.sockets.append(socket)
        return socket

    async def call(self, sid: str = "CA1", **numbers: str) -> tuple[Socket, EchoSession]:
        """A call that is up: webhook, socket, start."""
        twiml = await self.voice(sid, **numbers)
        return await self.connect(twiml, sid)

    async def connect(self, twiml: "Twiml", sid: str = "CA1") -> tuple[Socket, EchoSession]:
        socket = await self.dial()
        socket.start(twiml.token, sid)
        return socket, await self.switchboard.next_session()


class Twiml:
    """A TwiML document, as far as tests ask."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = ElementTree.fromstring(text)

    @property
    def verbs(self) -> list[str]:
        return [verb.tag for verb in self.root]

    @property
    def token(self) -> str:
        parameter = self.root.find("Connect/Stream/Parameter[@name='token']")
        assert parameter is not None
        return parameter.attrib["value"]

    def find(self, path: str) -> ElementTree.Element:
        element = self.root.find(path)
        assert element is not None, self.text
        return element


async def status_of(dial: object) -> int:
    """The status that a handshake was refused with."""
    with pytest.raises(WSHandshakeError) as caught:
        await dial  # type: ignore[misc]
    assert caught.value.response is not None
    return int(caught.value.response.status)


Launch = Callable[..., Any]


def settings(folder: Path, **sections: dict[str, Any]) -> Config:
    values: dict[str, Any] = {
        "server": {"port": 0, "public_url": PUBLIC, "shutdown_grace": 0.0},
        "twilio": {"auth_token": TOKEN, "auth_token_secondary": OTHER_TOKEN},
        "store": {"url": f"sqlite+aiosqlite:///{folder / 'calls.db'}"},
        "handover": {"targets": {"billing": "+12025550123"}},
        "numbers": [{"number": DIALLED}],
        "agents": {"retail": "tests:none"},
        "inference": {"processes": 0},
    }
    for name, section in sections.items():
        values[name] = {**values[name], **section} if isinstance(values.get(name), dict) else section
    return Config.model_validate(values)


@asynccontextmanager
async def running(config: Config, *, start_deadline: float = PATIENCE) -> AsyncIterator[Running]:
    """A server with `config` until the block ends."""
    switchboard = EchoSwitchboard()
    stores: list[Store] = []
    ready: asyncio.Future[tuple[Origin, int]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    @asynccontextmanager
    async def opened(store: Store) -> AsyncIterator[EchoSwitchboard]:
        stores.append(store)
        yield switchboard

    task = asyncio.create_task(
        serve(
            config,
            opened,
            ready=lambda origin, port: ready.set_result((origin, port)),
            stop=stop,
            start_deadline=start_deadline,
        )
    )
    task.add_done_callback(lambda _: ready.cancel())
    await asyncio.wait([ready])
    if task.done():
        task.result()
    origin, port = ready.result()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        server = Running(port, origin, switchboard, stores[0], stop, task, http)
        try:
            yield server
        finally:
            for socket in server.sockets:
                socket.drop()
            stop.set()
            await asyncio.wait_for(task, 4 * PATIENCE)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(settings(tmp_path)) as server:
        yield server
