"""Google's Gemini Live on loopback: the WebSocket of `BidiGenerateContent`, over TLS as the SDK insists.

What it assumes about the vendor (ai.google.dev: "Live API", "Live API capabilities"; the types of its SDK):
* the key is the header `x-goog-api-key`; a refusal is an HTTP status. The first message is `setup`, answered by
  `setupComplete`, or by closing with 1007 and a sentence: also where the key is not valid (any more);
* with `historyConfig.initialHistoryInClientContent` the first `clientContent`, up to `turnComplete`, is the history and
  is not answered;
* with automatic activity detection disabled the caller's turn is what comes between `activityStart` and
  `activityEnd`, audio (PCM16 in the rate that its type names, in URL-safe base64 as the SDK writes it) or text, and
  `activityEnd` is answered;
* an answer is `serverContent` with `modelTurn` (audio, PCM16 at 24 kHz), `outputTranscription` in no promised order to
  it, `generationComplete`, and `turnComplete` with `usageMetadata`. A `toolCall` waits for a `toolResponse` with the
  ids of its calls, and is then answered.

It neither hears nor thinks: what the audio of a session holds is scripted (`heard`), and so are the replies. Its
certificate is its own: give `certificate` to the client as `SSL_CERT_FILE`.
"""

import asyncio
import base64
import json
import ssl
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import soxr
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from talkspurt.media.g711 import decode_mulaw
from talkspurt.testing.fakes.handshake import refuse
from talkspurt.testing.fakes.openai_realtime import voice
from talkspurt.testing.fakes.script import Fault, ModelReply, Outage

_PATH: Final = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_RATE_HZ: Final = 24_000


@dataclass(slots=True)
class Turn:
    """What the vendor's model knows when it answers."""

    setup: dict[str, Any]
    history: list[tuple[str, str]]
    """Role and text, in order."""
    said: str
    """The caller's last words: what the audio was scripted to hold, or the text that came in its place."""
    audio_s: float
    """Seconds of it that were heard."""
    responses: list[dict[str, Any]] = field(default_factory=list)
    """Answers of tools in this turn."""


Answer = Callable[[Turn], ModelReply]


class FakeGeminiLive:
    """A Live API of a script: `async with FakeGeminiLive(heard=["hello"]) as fake`, then use `fake.base_url`."""

    def __init__(
        self,
        heard: Iterable[str] = (),
        replies: Iterable[ModelReply] = (),
        *,
        key: str = "test-key",
        answer: Answer | None = None,
        otherwise: ModelReply | None = None,
    ) -> None:
        """`heard` is what each turn with audio holds, in order, over all sockets; then it holds nothing.

        A reply is the next of `replies`, else what `answer` makes of the turn, else `otherwise`.
        """
        self.heard = deque(heard)
        self.replies = deque(replies)
        self.key = key
        self.answer = answer
        self.otherwise = otherwise or ModelReply(("Certainly. ", "Anything else?"))
        self.outage: Outage | None = None
        self.speed = 8.0
        """How many times faster than it is spoken audio comes."""
        self.sockets: list[FakeGeminiSocket] = []
        self.refused = 0
        self.refuse_with: int | None = None
        """The HTTP status that refuses every session."""
        self.close_with = ""
        """The sentence with which every setup is refused."""
        self.close_code = WSCloseCode.INVALID_TEXT
        """The closing code beside it."""
        self._folder = tempfile.TemporaryDirectory()
        self.certificate = Path(self._folder.name) / "certificate.pem"
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        assert self._server is not None
        return f"https://localhost:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await ws_create_server(self._accept, "127.0.0.1", 0, ssl=_own_certificate(self.certificate))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()
        self._folder.cleanup()

    def drop(self) -> None:
        """Break all sockets, without a closing handshake."""
        for socket in self.sockets:
            socket.drop()

    @property
    def turns(self) -> list[Turn]:
        """Every turn that was answered, in order."""
        return [turn for socket in self.sockets for turn in socket.turns]

    def reply_to(self, turn: Turn) -> ModelReply:
        """The next reply."""
        if self.replies:
            return self.replies.popleft()
        return self.answer(turn) if self.answer is not None else self.otherwise

    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        if request.path.decode().partition("?")[0] != _PATH:
            return None
        statuses = {Outage.RATE_LIMITED: 429, Outage.SERVER_ERROR: 500, Outage.EXPIRED_KEY: 403}
        status = statuses.get(self.outage) if self.outage is not None else self.refuse_with
        if str(request.headers.get("x-goog-api-key", "")) != self.key:
            status = 403
        if status is not None:
            self.refused += 1
            return refuse(status, b'{"error":{"status":"SCRIPTED"}}')
        socket = FakeGeminiSocket(self)
        self.sockets.append(socket)
        return socket


@dataclass(eq=False)
class FakeGeminiSocket(WSListener):
    """One session: what the client has sent, and what was answered."""

    fake: FakeGeminiLive
    received: list[dict[str, Any]] = field(default_factory=list)
    """Every message but audio, in order."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._transport: WSTransport | None = None
        self._setup: dict[str, Any] = {}
        self._history: list[tuple[str, str]] | None = None
        self._audio_s = 0.0
        self._text = ""
        self._listening = False
        self._waiting: set[str] = set()
        self._answering: asyncio.Task[None] | None = None

    def drop(self) -> None:
        """Break the socket, without a closing handshake."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Wait for the setup."""
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget what is under way."""
        self.closed.set()
        if self._answering is not None:
            self._answering.cancel()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._take(_camel(json.loads(frame.get_payload_as_bytes())))

    def _take(self, message: dict[str, Any]) -> None:
        if "audio" not in message.get("realtimeInput", {}):
            self.received.append(message)
        if "setup" in message:
            self._setup = message["setup"]
            detection = self._setup.get("realtimeInputConfig", {}).get("automaticActivityDetection", {})
            if self.fake.close_with:
                self._refuse(self.fake.close_with, self.fake.close_code)
            elif not detection.get("disabled") or "historyConfig" not in self._setup:
                self._refuse("this fake detects no activity, and wants a history first")
            else:
                self._send({"setupComplete": {"sessionId": uuid.uuid4().hex}})
        elif "clientContent" in message:
            self._remember(message["clientContent"])
        elif "realtimeInput" in message:
            self._hear(message["realtimeInput"])
        elif "toolResponse" in message:
            self._take_responses(message["toolResponse"]["functionResponses"])

    def _remember(self, content: dict[str, Any]) -> None:
        if self._history is not None:
            self._refuse("content behind the history")
            return
        self._history = [
            (turn["role"], "".join(part["text"] for part in turn["parts"])) for turn in content.get("turns", ())
        ]

    def _hear(self, heard: dict[str, Any]) -> None:
        if "activityStart" in heard:
            self._listening, self._audio_s, self._text = True, 0.0, ""
        elif not self._listening or self._history is None:
            self._refuse("input outside of an activity")
        elif "audio" in heard:
            rate = int(heard["audio"]["mimeType"].partition("rate=")[2])
            self._audio_s += len(base64.urlsafe_b64decode(heard["audio"]["data"])) / 2 / rate
        elif "text" in heard:
            self._text += heard["text"]
        elif "activityEnd" in heard:
            self._listening = False
            words = (self.fake.heard.popleft() if self.fake.heard else "") if self._audio_s else self._text
            self._answer(Turn(self._setup, list(self._history), words, self._audio_s))

    def _take_responses(self, responses: list[dict[str, Any]]) -> None:
        if {response["id"] for response in responses} != self._waiting:
            self._refuse("answers of other calls")
            return
        self._waiting = set()
        before = self.turns[-1]
        self._answer(Turn(before.setup, before.history, before.said, before.audio_s, [*before.responses, *responses]))

    def _answer(self, turn: Turn) -> None:
        self.turns.append(turn)
        self._answering = asyncio.get_running_loop().create_task(
            self._reply(self.fake.reply_to(turn)), name="fake answer"
        )

    async def _reply(self, reply: ModelReply) -> None:
        await asyncio.sleep(reply.delay)
        if reply.fault is Fault.HANG:
            return
        sound_s = 0.0
        for number, piece in enumerate(reply.text):
            sound = voice(piece)
            sound_s += len(sound) / 8_000
            pcm = _at_24_khz(decode_mulaw(sound))
            for start in range(0, len(pcm), 2 * _RATE_HZ // 5):
                data = base64.b64encode(pcm[start : start + 2 * _RATE_HZ // 5]).decode()
                blob = {"mimeType": f"audio/pcm;rate={_RATE_HZ}", "data": data}
                self._send({"serverContent": {"modelTurn": {"role": "model", "parts": [{"inlineData": blob}]}}})
                if start == 0:
                    self._send({"serverContent": {"outputTranscription": {"text": piece}}})
                await asyncio.sleep(0.2 / self.fake.speed)
            if number == 0 and not self._goes_on(reply.fault):
                return
            await asyncio.sleep(reply.gap)
        if reply.tool_uses:
            calls = [
                {"id": use.id or f"call-{uuid.uuid4().hex[:12]}", "name": use.name, "args": json.loads(use.arguments)}
                for use in reply.tool_uses
            ]
            self._waiting = {str(call["id"]) for call in calls}
            self._send({"toolCall": {"functionCalls": calls}})
            return
        self._send({"serverContent": {"generationComplete": True}})
        given, got, cached = reply.usage
        spoken = round(25 * sound_s)
        usage = {
            "promptTokenCount": 2 * given,
            "responseTokenCount": got + spoken,
            "cachedContentTokenCount": cached,
            "totalTokenCount": 2 * given + got + spoken,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": given},
                {"modality": "AUDIO", "tokenCount": given},
            ],
            "responseTokensDetails": [
                {"modality": "TEXT", "tokenCount": got},
                {"modality": "AUDIO", "tokenCount": spoken},
            ],
        }
        self._send({"serverContent": {"turnComplete": True}, "usageMetadata": usage})

    def _goes_on(self, fault: Fault | None) -> bool:
        match fault:
            case Fault.STALL:
                return False
            case Fault.BREAK:
                self.drop()
                return False
            case Fault.CUT_SHORT:
                self._refuse("as scripted", code=WSCloseCode.INTERNAL_ERROR)
                return False
            case Fault.GARBAGE:
                assert self._transport is not None
                self._transport.send(WSMsgType.TEXT, b"{")
        return True

    def _refuse(self, reason: str, code: WSCloseCode = WSCloseCode.INVALID_TEXT) -> None:
        if self._transport is not None:
            self._transport.send_close(code, reason.encode())
            self._transport.disconnect()

    def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if self._transport is not None and not self.closed.is_set():
            # The vendor sends JSON in binary frames.
            self._transport.send(WSMsgType.BINARY, json.dumps(message).encode())


def _at_24_khz(pcm: bytes) -> bytes:
    resampled = soxr.resample(np.frombuffer(pcm, "<i2"), 8_000, _RATE_HZ)
    return bytes(resampled.astype("<i2").tobytes())


def _camel(value: Any) -> Any:
    """Names as the wire has them: the SDK writes the outermost ones in its own way."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {_camel_name(name): _camel(item) for name, item in value.items()}


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _own_certificate(file: Path) -> ssl.SSLContext:
    """A server that is `localhost` by a certificate of its own, written to `file`."""
    # The other fakes do without this library.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = file.with_name("key.pem")
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return context


__all__ = ["FakeGeminiLive", "FakeGeminiSocket", "Turn"]
