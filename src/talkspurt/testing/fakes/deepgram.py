"""Deepgram's live transcription on loopback: the WebSocket `/v1/listen`.

What it assumes about the vendor (developers.deepgram.com: "Live audio", "Finalize",
"Audio keep alive", "Close stream", "Interim results"):
* binary messages are audio in the `encoding` and `sample_rate` of the query; text messages are
  `{"type": "Finalize" | "KeepAlive" | "CloseStream"}`;
* `Results` messages carry `start` and `duration` in seconds of audio received on this socket,
  `channel.alternatives[0]` with `transcript` and timed `words`, `is_final`, `speech_final`,
  `from_finalize`. Interim results cover a segment from its beginning and are replaced by the
  next; a final one closes the segment. They come about once a second of audio, silent or not;
* `Finalize` is answered by a final result with `from_finalize: true`, but **not** when there is
  hardly any audio left to finalize;
* `CloseStream` is answered by the last results and a `Metadata` message, then the socket closes;
* ten seconds without audio or `KeepAlive` close the socket (not enforced here); the key is
  `Authorization: Token <key>`; a refusal is an HTTP status.

It does not recognise speech: what it hears is scripted (`ear`), on each socket anew.
`endpointing` is taken to be off.
"""

import asyncio
import json
import math
import uuid
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

from talkspurt.testing.fakes.ear import BYTES_PER_S, ScriptedEar
from talkspurt.testing.fakes.handshake import WEB_PAGE, SocketVendor, refuse
from talkspurt.testing.fakes.script import Outage
from talkspurt.testing.fakes.vendor import DRIP_EVERY, REFUSALS, TOOLS

_INTERIM_S: Final = 1.0
_SEGMENT_S: Final = 5.0
_STOOD_STILL_S: Final = 0.5
"""Audio this much later than what came before is of a line that stood still, not of a busy machine."""
_NOTICEABLE_S: Final = 0.05
"""Less audio than this is not worth a `from_finalize` answer."""


class FakeDeepgram(SocketVendor["FakeDeepgramSocket"]):
    """Live transcription of a script: `async with FakeDeepgram(("hello there",)) as fake`, then use `fake.base_url`."""

    # A stream of results has no end of its own that could come too early, and an empty transcript is silence.
    outages: ClassVar[frozenset[Outage]] = frozenset(Outage) - TOOLS - {Outage.TRUNCATED, Outage.EMPTY}

    def __init__(
        self, phrases: Sequence[str] = ("hello there",), *, key: str = "test-key", final_after: float = 0.0
    ) -> None:
        """`final_after`: seconds from the last sound until a `Finalize` can be answered.

        They count from when it sounded, by its place in the audio, and not from when the message with it came.
        """
        super().__init__()
        self.final_after = final_after
        self.phrases = tuple(phrases)
        """What the stretches of sound on each socket are, in order; after the last one they are nothing."""
        self.key = key
        self.refuse_with: int | None = None
        """HTTP status that refuses new sockets."""
        self.answers_finalize = True
        """False: `Finalize` is ignored, other results go on."""
        self.silent = False
        """True: nothing is sent any more, with the sockets open."""
        self.refused = 0

    @property
    def base_url(self) -> str:
        """What the vendor's SDK takes as its WebSocket URL."""
        return f"ws://{self.address}"

    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        url = urlsplit(request.path.decode())
        if url.path != "/v1/listen":
            return None
        query = dict(parse_qsl(url.query))
        if self.outage is Outage.WRONG_TYPE:
            return refuse(200, WEB_PAGE)
        status = REFUSALS.get(self.outage, self.refuse_with) if self.outage is not None else self.refuse_with
        if str(request.headers.get("Authorization", "")) != f"Token {self.key}":
            status = 401
        elif query.get("encoding") != "linear16" or query.get("sample_rate") != "8000":
            status = 400
        if status is not None:
            self.refused += 1
            return refuse(status, b'{"err_code":"as scripted"}')
        socket = FakeDeepgramSocket(self, query)
        self.sockets.append(socket)
        self.connected.set()
        return socket


@dataclass(eq=False)
class FakeDeepgramSocket(WSListener):
    """One live transcription: what it received, and what it makes of it."""

    fake: FakeDeepgram
    query: dict[str, str]
    audio: bytearray = field(default_factory=bytearray)
    """All audio received."""
    messages: int = 0
    """Messages in which it came."""
    controls: list[str] = field(default_factory=list)
    """Types of the text messages received, in order."""
    controlled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each text message; clear it to wait for the next."""
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each audio message; clear it to wait for the next."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    deaf: bool = False
    """True: whatever comes, also a closing handshake, is ignored from now on."""

    def __post_init__(self) -> None:
        self._transport: WSTransport | None = None
        self._request_id = str(uuid.uuid4())
        self._ear = ScriptedEar(self.fake.phrases)
        self._final_until = 0.0
        self._interim_at = _INTERIM_S
        self._began = math.inf
        """The loop's time at which the audio began."""

    def drop(self) -> None:
        """Break the socket, without a closing handshake."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def expect(self, phrases: Sequence[str]) -> None:
        """Hear these in what sounds from now on."""
        self._ear.expect(phrases)

    def send_text(self, text: str) -> None:
        """Send `text` as it is, whatever it is."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, text.encode())

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Remember the connection."""
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Say that the socket is closed."""
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take audio or a control message."""
        if self.deaf:
            return
        if frame.msg_type is WSMsgType.BINARY:
            self._listen(frame.get_payload_as_bytes())
            self.heard.set()
        elif frame.msg_type is WSMsgType.TEXT:
            self._obey(json.loads(frame.get_payload_as_utf8_text())["type"])
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    @property
    def _now(self) -> float:
        return len(self.audio) / BYTES_PER_S

    def _obey(self, control: str) -> None:
        self.controls.append(control)
        self.controlled.set()
        if control == "Finalize" and self.fake.answers_finalize:
            loop = asyncio.get_running_loop()
            due = self._began + self._ear.sounded + self.fake.final_after
            if due > loop.time():
                loop.call_at(due, self._finalize)
            else:
                self._finalize()
        elif control == "CloseStream" and self._transport is not None:
            self._send_results(final=True)
            self._send(
                {
                    "type": "Metadata",
                    "transaction_key": "deprecated",
                    "request_id": self._request_id,
                    "sha256": "0" * 64,
                    "created": "2025-01-01T00:00:00.000Z",
                    "duration": self._now,
                    "channels": 1,
                }
            )
            self._transport.send_close()
            self._transport.disconnect()

    def _finalize(self) -> None:
        self._ear.settle()
        match self.fake.outage:
            case Outage.HUNG_MID_STREAM:
                return
            case Outage.DROPPED:
                self.drop()
                return
            case Outage.GARBAGE:
                self.send_text('{"type": "Results", "channel": [')
                return
            case Outage.REPORT:
                self._send({"type": "Error", "description": "as scripted", "message": "as scripted", "variant": "x"})
                self.drop()
                return
            case Outage.DRIP:
                self._drip()
                return
        if self._now - self._final_until >= _NOTICEABLE_S:
            self._send_results(final=True, from_finalize=True)

    def _drip(self) -> None:
        """Signs of life in place of the words."""
        if self.fake.outage is Outage.DRIP and not self.closed.is_set():
            self._send({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.0})
            asyncio.get_running_loop().call_later(DRIP_EVERY, self._drip)

    def _listen(self, pcm: bytes) -> None:
        self.audio += pcm
        self.messages += 1
        began = asyncio.get_running_loop().time() - self._now
        if not 0.0 <= began - self._began < _STOOD_STILL_S:
            # What comes earlier than it should was sent sooner after it sounded than what came before.
            self._began = began
        self._ear.feed(pcm)
        if self._now >= self._interim_at:
            self._interim_at = self._now + _INTERIM_S
            self._send_results(final=self._now - self._final_until >= _SEGMENT_S)

    def _send_results(self, *, final: bool, from_finalize: bool = False) -> None:
        words = [word for word in self._ear.words if word.end > self._final_until]
        spelled = [
            {"word": w.text.lower(), "start": w.start, "end": w.end, "confidence": 0.99, "punctuated_word": w.text}
            for w in words
        ]
        alternative = {"transcript": " ".join(w.text for w in words), "confidence": 0.99, "words": spelled}
        self._send(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": self._now - self._final_until,
                "start": self._final_until,
                "is_final": final,
                "speech_final": False,
                "channel": {"alternatives": [alternative]},
                "metadata": {
                    "request_id": self._request_id,
                    "model_info": {"name": "fake", "version": "1", "arch": "fake"},
                    "model_uuid": self._request_id,
                },
                "from_finalize": from_finalize,
            }
        )
        if final:
            self._final_until = self._now

    def _send(self, message: dict[str, Any]) -> None:
        if not self.fake.silent and self.fake.outage is not Outage.HUNG:
            self.send_text(json.dumps(message))
