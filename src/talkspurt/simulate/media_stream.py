"""One media socket, from the carrier's end.

Speaks the messages and keeps their order and numbers; whoever owns it calls `play` for the agent's
frame and `send` with the caller's every 20 ms. It knows no clock of its own and no TwiML.
"""

import asyncio
import ssl
import uuid
from collections import deque
from collections.abc import Callable
from typing import Final

from picows import WSCloseCode, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from talkspurt.errors import ProtocolError, TransportError
from talkspurt.simulate.messages import (
    CONNECTED,
    ClearAudio,
    PlaceMark,
    PlayMedia,
    decode_order,
    encode_digit,
    encode_mark,
    encode_media,
    encode_start,
    encode_stop,
)
from talkspurt.simulate.playout import PlayoutBuffer, Tick
from talkspurt.simulate.recording import EventKind

HANDSHAKE_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
FRAME_MS: Final = 20
ORDERLY: Final = (WSCloseCode.OK, WSCloseCode.GOING_AWAY, WSCloseCode.SERVICE_RESTART)

Log = Callable[[EventKind, str], None]


class MediaStream(WSListener):
    """A socket that carries one call's audio in both directions."""

    def __init__(self, *, account_sid: str, call_sid: str, parameters: dict[str, str], log: Log) -> None:
        self.stream_sid = f"MZ{uuid.uuid4().hex}"
        self.playout = PlayoutBuffer()
        self.closed = asyncio.Event()
        """Set when the socket is gone, whoever ended it."""
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._parameters = parameters
        self._log = log
        self._transport: WSTransport | None = None
        self._sequence = 1
        self._chunk = 0
        self._in_transit: deque[tuple[int, int, bytes]] = deque()
        """Frames of the caller on their way: the tick they are due, their number and their audio."""
        self._fragments = bytearray()
        self._stopped = False

    async def open(self, url: str, *, headers: dict[str, str], ssl_context: ssl.SSLContext | None = None) -> None:
        """Connect, and send `connected` and `start`. Raises `TransportError` with Twilio's error code."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await ws_connect(
                    lambda: self,
                    url,
                    extra_headers=headers,
                    ssl_context=ssl_context,
                    websocket_handshake_timeout=HANDSHAKE_SECONDS,
                    max_redirects=0,
                    enable_auto_ping=False,
                )
        except WSHandshakeError as error:
            status = f" (HTTP {int(error.response.status)})" if error.response is not None else ""
            raise TransportError(f"31920 the media socket was refused{status}: {url}") from None
        except ssl.SSLError as error:
            raise TransportError(f"31910 TLS to the media socket failed: {error.reason}") from None
        except (OSError, TimeoutError) as error:
            raise TransportError(f"31902 cannot connect to the media socket {url}: {error or 'no answer'}") from None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done: introduce the stream."""
        self._transport = transport
        self._send(CONNECTED)
        self._send(
            encode_start(
                account_sid=self._account_sid,
                call_sid=self._call_sid,
                stream_sid=self.stream_sid,
                parameters=self._parameters,
            )
        )

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """The server asks for something. What Twilio would log as an error is logged, never fatal."""
        match frame.msg_type:
            case WSMsgType.TEXT | WSMsgType.CONTINUATION:
                self._fragments += frame.get_payload_as_bytes()
                if frame.fin:
                    message = bytes(self._fragments)
                    self._fragments.clear()
                    self._obey(message)
            case WSMsgType.BINARY:
                self._log("error", "31950 a binary frame is no message")
            case WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is gone; say so if it was not in order."""
        received = transport.close_handshake.recv if transport.close_handshake else None
        if not self._stopped and received is None:
            self._log("error", "31921 the media socket was lost without a close frame")
        elif not self._stopped and received is not None and received.code not in ORDERLY:
            why = f"{received.code.value} {received.reason or ''}".rstrip()
            self._log("error", f"31921 the server closed the media socket: {why}")
        self.closed.set()

    def play(self) -> Tick:
        """Play 20 ms of the agent, and return the marks that this completes."""
        tick = self.playout.tick()
        for name in tick.marks:
            self._log("mark_played", name)
            self._send_mark(name)
        return tick

    def send(self, frame: bytes, *, spoke: bool, lost: bool = False, late: int = 0) -> None:
        """Send 20 ms of the caller `late` ticks from now, or never when `lost`: its number is missing then.

        Call it once per tick. `spoke` says whether the caller's own voice is in the frame. Frames never overtake
        each other, for the socket keeps its order: those behind a late one come together with it.
        """
        if spoke:
            self.playout.caller_acted()
        self._chunk += 1
        if not lost:
            self._in_transit.append((self._chunk + late, self._chunk, frame))
        while self._in_transit and self._in_transit[0][0] <= self._chunk:
            _, chunk, audio = self._in_transit.popleft()
            self._send_media(chunk, audio)

    def press(self, digit: str) -> None:
        """Send one keypad digit."""
        self.playout.caller_acted()
        self._send(encode_digit(stream_sid=self.stream_sid, sequence=self._next_sequence(), digit=digit))

    async def stop(self) -> None:
        """Tell the server that the stream is over, and close the socket. Idempotent."""
        if not self._stopped and not self.closed.is_set():
            self._stopped = True
            self._send(
                encode_stop(
                    account_sid=self._account_sid,
                    call_sid=self._call_sid,
                    stream_sid=self.stream_sid,
                    sequence=self._next_sequence(),
                )
            )
            if self._transport is not None:
                self._transport.send_close(WSCloseCode.OK)
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.closed.wait()
        except TimeoutError:
            self._transport.disconnect(graceful=False)

    def _obey(self, message: bytes) -> None:
        try:
            match decode_order(message, self.stream_sid):
                case PlayMedia(media=media):
                    if discarded := self.playout.enqueue(media.payload):
                        self._log("error", f"31931 the playout buffer is full: {discarded} bytes discarded")
                case PlaceMark(mark=mark):
                    for name in self.playout.mark(mark.name):
                        self._log("mark_played", name)
                        self._send_mark(name)
                case ClearAudio():
                    self._log("clear", f"{self.playout.queued:.2f} s unplayed")
                    for name in self.playout.clear():
                        self._log("mark_dropped", name)
                        self._send_mark(name)
        except ProtocolError as error:
            self._log("error", str(error))

    def _send_media(self, chunk: int, audio: bytes) -> None:
        self._send(
            encode_media(
                stream_sid=self.stream_sid,
                sequence=self._next_sequence(),
                chunk=chunk,
                timestamp_ms=(chunk - 1) * FRAME_MS,
                audio=audio,
            )
        )

    def _send_mark(self, name: str) -> None:
        self._send(encode_mark(stream_sid=self.stream_sid, sequence=self._next_sequence(), name=name))

    def _send(self, message: str) -> None:
        if self._transport is not None and not self.closed.is_set():
            self._transport.send(WSMsgType.TEXT, message)

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence
