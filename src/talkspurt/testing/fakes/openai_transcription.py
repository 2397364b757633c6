"""OpenAI's live transcription on loopback: the WebSocket `/v1/realtime?intent=transcription`.

What it assumes about the vendor (developers.openai.com, "Realtime transcription", "Realtime client events", "Realtime
server events"):
* messages are JSON text. The server begins with `session.created`; `session.update` with a session of type
  `transcription` is answered by `session.updated`, or by an `error` with the client's `event_id`;
* `input_audio_buffer.append` carries base64 of the session's format and has no answer; `clear` is answered by
  `input_audio_buffer.cleared`, `commit` by `input_audio_buffer.committed` with a new item's id, or by an error
  with code `input_audio_buffer_commit_empty` when the buffer holds less than 100 ms;
* with the model `gpt-live-transcribe` turn detection has to be null, and
  `conversation.item.input_audio_transcription.delta` comes while the buffer is filled, with the id of the item that it
  will become; `…completed` with the whole transcript comes after the commit, perhaps in another order than the commits,
  and is empty for silence;
* the key is a bearer token; a refusal is an HTTP status at the handshake, but that of an account whose credit is used
  up: an `error` with code `insufficient_quota`. Any order may be answered so; a `server_error` is a type, and may have
  no code.

It does not recognise speech: what it hears is scripted (`ear`), on each socket anew. Only `audio/pcmu` is taken.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponseWithListener,
)

from talkspurt.media.g711 import decode_mulaw
from talkspurt.testing.fakes.ear import ScriptedEar
from talkspurt.testing.fakes.handshake import WEB_PAGE, SocketVendor, refuse
from talkspurt.testing.fakes.openai import error_body
from talkspurt.testing.fakes.script import Outage
from talkspurt.testing.fakes.vendor import DRIP_EVERY, REFUSALS, TOOLS

_LEAST_BYTES: Final = 800
"""A tenth of a second of mu-law."""
_GARBAGE: Final = '{"type": "conversation.item.input_audio_transcription.completed", "item_id": ['


class FakeOpenAITranscription(SocketVendor["FakeTranscriptionSocket"]):
    """Live transcription of a script: `async with FakeOpenAITranscription(("hello there",)) as fake`."""

    # A stream of messages has no end of its own that could come too early, and an empty transcript is silence.
    outages: ClassVar[frozenset[Outage]] = frozenset(Outage) - TOOLS - {Outage.TRUNCATED, Outage.EMPTY}

    def __init__(self, phrases: Sequence[str] = ("hello there",), *, key: str = "test-key") -> None:
        super().__init__()
        self.phrases = tuple(phrases)
        """What the stretches of sound on each socket are, in order."""
        self.key = key
        self.refusals: dict[str, tuple[str, str | None]] = {}
        """Orders that are refused, by their type, with an error of this type and code."""
        self.completes = True
        """False: commits are accepted and never transcribed."""

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return f"http://{self.address}/v1"

    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        url = urlsplit(request.path.decode())
        query = dict(parse_qsl(url.query))
        if url.path != "/v1/realtime":
            return None
        given = str(request.headers.get("Authorization", "")).removeprefix("Bearer ")
        status = REFUSALS.get(self.outage) if self.outage is not None else None
        if given != self.key:
            status = 401
        elif query != {"intent": "transcription"}:
            status = 400
        if self.outage is Outage.WRONG_TYPE:
            return refuse(200, WEB_PAGE)
        if status is not None:
            body = json.dumps(error_body("invalid_request_error", f"Incorrect API key provided: {given}", status))
            return refuse(status, body.encode())
        socket = FakeTranscriptionSocket(self, ScriptedEar(self.phrases))
        self.sockets.append(socket)
        self.connected.set()
        return socket


@dataclass(eq=False)
class FakeTranscriptionSocket(WSListener):
    """One transcription session: what it received, and what it makes of it."""

    fake: FakeOpenAITranscription
    ear: ScriptedEar
    session: dict[str, Any] = field(default_factory=dict)
    """As the client has set it."""
    audio: bytearray = field(default_factory=bytearray)
    """All audio received, as PCM16."""
    events: list[str] = field(default_factory=list)
    """Types of the messages received, in order, without those that carry audio."""
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each message; clear it to wait for the next."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._transport: WSTransport | None = None
        self._buffer = 0
        """Bytes in the input buffer."""
        self._told = 0
        """Words of the buffer that deltas have told."""
        self._begun = 0
        """Words of the ear before the buffer."""
        self._numbers = 0

    def drop(self) -> None:
        """Break the socket, without a closing handshake."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def send_text(self, text: str) -> None:
        """Send `text` as it is, whatever it is."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, text.encode())

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin the session."""
        self._transport = transport
        if self.fake.outage is not Outage.HUNG:
            self._send("session.created", session=self._described())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Say that the socket is closed."""
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type is WSMsgType.TEXT and self.fake.outage is not Outage.HUNG:
            self._take(json.loads(frame.get_payload_as_utf8_text()))
            self.heard.set()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "input_audio_buffer.append":
            self._listen(message)
            return
        self.events.append(kind)
        if kind in self.fake.refusals:
            type_, code = self.fake.refusals[kind]
            self._refuse(message, code, "as scripted", type_)
        elif kind == "session.update":
            self._set(message)
        elif kind == "input_audio_buffer.clear":
            self._empty()
            self._send("input_audio_buffer.cleared")
        elif kind == "input_audio_buffer.commit":
            self._commit(message)
        else:
            self._refuse(message, "invalid_value", f"Invalid value: {kind}")

    def _set(self, message: dict[str, Any]) -> None:
        session = message["session"]
        audio = session.get("audio", {}).get("input", {})
        if session.get("type") != "transcription" or audio.get("format") != {"type": "audio/pcmu"}:
            self._refuse(message, "invalid_value", "this fake only transcribes audio/pcmu")
        elif audio.get("turn_detection") is not None:
            self._refuse(message, "invalid_value", "Turn detection is not supported for this transcription model")
        else:
            self.session = session
            self._send("session.updated", session=self._described())

    def _listen(self, message: dict[str, Any]) -> None:
        try:
            mulaw = base64.b64decode(message["audio"], validate=True)
        except binascii.Error:
            self._refuse(message, "invalid_value", "audio: not base64")
            return
        pcm = decode_mulaw(mulaw)
        self.audio += pcm
        self._buffer += len(mulaw)
        self.ear.feed(pcm)
        self._tell()

    def _tell(self) -> None:
        """The words that are new, as a delta."""
        words = [word.text for word in self.ear.words[self._begun :]]
        new = " ".join(words[self._told :])
        if new:
            delta = f" {new}" if self._told else new
            self._told = len(words)
            self._send(
                "conversation.item.input_audio_transcription.delta", item_id=self._item, content_index=0, delta=delta
            )

    def _commit(self, message: dict[str, Any]) -> None:
        if self._buffer < _LEAST_BYTES:
            self._refuse(message, "input_audio_buffer_commit_empty", "buffer too small")
            return
        self.ear.settle()
        self._tell()
        text = " ".join(word.text for word in self.ear.words[self._begun :])
        item = self._item
        self._numbers += 1
        self._empty()
        self._send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        match self.fake.outage:
            case Outage.HUNG_MID_STREAM:
                return
            case Outage.DROPPED:
                self.drop()
            case Outage.GARBAGE:
                self.send_text(_GARBAGE)
            case Outage.REPORT:
                error = {"type": "server_error", "code": "server_error", "message": "as scripted", "param": None}
                kind = "conversation.item.input_audio_transcription.failed"
                self._send(kind, item_id=item, content_index=0, error=error)
            case Outage.DRIP:
                asyncio.get_running_loop().call_later(DRIP_EVERY, self._drip, item, text)
            case _ if self.fake.completes:
                self._complete(item, text)

    def _complete(self, item: str, text: str) -> None:
        self._send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item,
            content_index=0,
            transcript=text,
            usage={"type": "duration", "seconds": 1.0},
        )

    def _drip(self, item: str, text: str) -> None:
        """Signs of life in place of the words."""
        if self.fake.outage is Outage.DRIP and not self.closed.is_set():
            self._send("rate_limits.updated", rate_limits=[])
            asyncio.get_running_loop().call_later(DRIP_EVERY, self._drip, item, text)

    def _empty(self) -> None:
        self._buffer = self._told = 0
        self._begun = len(self.ear.words)

    @property
    def _item(self) -> str:
        return f"item_{self._numbers}"

    def _described(self) -> dict[str, Any]:
        return {"type": "transcription", "object": "realtime.transcription_session", "id": "sess_fake", **self.session}

    def _refuse(
        self, message: dict[str, Any], code: str | None, text: str, type_: str = "invalid_request_error"
    ) -> None:
        error = {"type": type_, "code": code, "message": text, "param": None}
        self._send("error", error={**error, "event_id": message.get("event_id")})

    def _send(self, kind: str, **fields: Any) -> None:
        self.send_text(json.dumps({"type": kind, "event_id": "event_fake", **fields}))
