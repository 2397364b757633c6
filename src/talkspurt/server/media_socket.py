"""One media socket: WebSocket frames in, whole messages out, and everything hostile kept out.

It does not know what the messages mean for the call (`transports.twilio`) nor whether the token
is good (`reception`). Its rules:

* `start` must come within `START_DEADLINE`, once, or the socket is closed (1008);
* text only; fragments are put together; a frame or message over `MAX_MESSAGE_BYTES` closes it (1009);
* no more than `MESSAGES_PER_SECOND` in the long run, or it is closed (1008), and not read any more;
* nothing is kept for a carrier that does not read: not even pongs (audio: see `transports.twilio`);
* everything else that is wrong costs one message: it is dropped and counted;
* an exception while one frame is handled is logged and counted, and never closes the call.

Source: RFC 6455; sections are named where a rule is from it.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from talkspurt.errors import ProtocolError
from talkspurt.telemetry import metrics
from talkspurt.transports.twilio import MAX_WAITING_BYTES, TwilioTransport
from talkspurt.wire.twilio import Connected, Start, StartBody, parse

START_DEADLINE: Final = 5.0
MAX_MESSAGE_BYTES: Final = 64 * 1024
MESSAGES_PER_SECOND: Final = 200
"""Four times what a call sends."""
MESSAGE_UNIT: Final = 9
"""A message counts once more for each 2^9 bytes: 20 ms of audio have 300, and what is costly is audio, not messages."""
MOST_FRAGMENTS: Final = 64
"""Frames of one message; empty ones would add up, too."""
BURST: Final = 600
"""Messages that may come at once: a network that was stuck for twelve seconds lets go of that many."""
SEND_BUFFER_BYTES: Final = 64 * 1024
"""Per call, of the kernel's, which doubles it: 10 s of audio on their way, where 400 ms are meant to be."""
CLOSE_DEADLINE: Final = 2.0
"""Seconds for the other side to answer our close frame, and for the call's end to be written down before it."""

log = structlog.get_logger(__name__)

_TEXT: Final = WSMsgType.TEXT

OnStart = Callable[[StartBody, "MediaSocket", TwilioTransport], None]


class MediaSocket(WSListener):
    """The server's side of one WebSocket. Implements `transports.twilio.MediaLine`."""

    def __init__(self, on_start: OnStart, *, start_deadline: float = START_DEADLINE) -> None:
        """`on_start` decides about the token: it calls `refuse`, or uses the transport until `finish`."""
        self._on_start = on_start
        self._start_deadline = start_deadline
        self._loop = asyncio.get_running_loop()
        self._socket: WSTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: TwilioTransport | None = None
        self._fragments: list[bytes] | None = None
        self._fragments_size = 0
        self._allowance = BURST
        self._allowance_since = self._loop.time()
        self._closing = False

    # ── what reception decides ────────────────────────────────────────────────────

    def refuse(self, reason: str, code: WSCloseCode = WSCloseCode.POLICY_VIOLATION) -> None:
        """Close a socket that is not to be served. `reason` is a metric label, and told to the other side."""
        if not self._closing:
            metrics.SOCKETS_REFUSED.labels(reason).inc()
            log.warning("media_socket_refused", reason=reason)
        self._close(code, reason)

    def finish(self) -> None:
        """Close in an orderly way now. Idempotent."""
        self._close(WSCloseCode.OK, "")

    # ── the line under the transport ──────────────────────────────────────────────

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the carrier has not yet taken."""
        socket = self._socket
        if socket is None or socket.is_disconnected:
            return 0
        return socket.underlying_transport.get_write_buffer_size()

    def send(self, message: bytes, /) -> None:
        """Send one text message; nothing once the socket is closing."""
        if not self._closing and self._socket is not None:
            self._socket.send(_TEXT, message)

    def close(self) -> None:
        """Close soon: reception writes down how the call stands first, because the carrier asks the moment we close."""
        if not self._closing:
            self._arm(CLOSE_DEADLINE, self.finish)

    def abort(self) -> None:
        """Drop the connection at once. Idempotent."""
        self._closing = True
        if self._socket is not None:
            self._socket.disconnect(False)

    # ── picows ────────────────────────────────────────────────────────────────────

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done: wait for `start`."""
        self._socket = transport
        # The kernel would take megabytes for a carrier that does not read, and nobody would notice for minutes.
        connection = transport.underlying_transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._arm(self._start_deadline, lambda: self.refuse("no_start"))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Handle one frame, whatever it is."""
        try:
            self._allowance -= 1 + (frame.payload_size >> MESSAGE_UNIT)
            if self._allowance < 0 and not self._renew_allowance():
                return
            if frame.msg_type is _TEXT and frame.fin and self._fragments is None:
                self._take(frame.get_payload_as_bytes())
            else:
                self._take_unusual(transport, frame)
        except ProtocolError as error:
            metrics.FRAMES_DROPPED.labels(error.reason).inc()
            if error.reason == "wrong_codec" and self._transport is None:
                self.refuse("wrong_codec", WSCloseCode.UNSUPPORTED_DATA)
        except Exception:
            metrics.FRAME_ERRORS.inc()
            log.exception("frame_failed")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self._closing = True
        self._disarm()
        sent = transport.close_handshake.sent if transport.close_handshake is not None else None
        if sent is not None and sent.code == WSCloseCode.MESSAGE_TOO_BIG:
            metrics.SOCKETS_REFUSED.labels("oversized").inc()
        if self._transport is not None:
            self._transport.lost()

    # ── messages ──────────────────────────────────────────────────────────────────

    def _take(self, data: bytes) -> None:
        if self._closing:
            return
        message = parse(data)
        if self._transport is not None:
            if type(message) is Start:
                metrics.FRAMES_DROPPED.labels("repeated_start").inc()
            else:
                self._transport.receive(message)
        elif type(message) is Start:
            self._disarm()
            self._transport = TwilioTransport(message.start.stream_sid, self)
            self._on_start(message.start, self, self._transport)
        elif type(message) is not Connected:
            metrics.FRAMES_DROPPED.labels("before_start").inc()

    def _take_unusual(self, transport: WSTransport, frame: WSFrame) -> None:
        match frame.msg_type:
            case WSMsgType.TEXT | WSMsgType.CONTINUATION:
                self._take_fragment(frame)
            case WSMsgType.BINARY:
                metrics.FRAMES_DROPPED.labels("binary").inc()
            case WSMsgType.PING:
                if self.waiting_bytes <= MAX_WAITING_BYTES:
                    transport.send_pong(frame.get_payload_as_bytes())
            case WSMsgType.CLOSE:
                # 5.5.1: answer a close with a close. We go first at TCP, as a server does (7.1.1).
                self._closing = True
                if not transport.is_close_frame_sent:
                    transport.send_close(frame.get_close_code())
                transport.disconnect()
                # That waits until what was sent is read.
                self._arm(CLOSE_DEADLINE, self.abort)
            case _:
                pass

    def _take_fragment(self, frame: WSFrame) -> None:
        """5.4: a first frame without FIN, continuations, and a last one with FIN."""
        if frame.msg_type is _TEXT:
            if self._fragments is not None:
                metrics.FRAMES_DROPPED.labels("unfinished_message").inc()
            self._fragments, self._fragments_size = [], 0
        elif self._fragments is None:
            metrics.FRAMES_DROPPED.labels("stray_continuation").inc()
            return
        assert self._fragments is not None
        self._fragments.append(frame.get_payload_as_bytes())
        self._fragments_size += frame.payload_size
        if self._fragments_size > MAX_MESSAGE_BYTES or len(self._fragments) > MOST_FRAGMENTS:
            self._fragments = None
            self._close(WSCloseCode.MESSAGE_TOO_BIG, "oversized")
            self._stop_reading()
        elif frame.fin:
            message, self._fragments = b"".join(self._fragments), None
            self._take(message)

    def _renew_allowance(self) -> bool:
        """A bucket by time whose clock is read only when it is empty; False when more has come than it earned.

        An ordinary call earns four times what it spends, so it always has `BURST` by the time it has spent them. A
        flood is given less each time: at five times the rate it is out after some four readings, in a second.
        """
        now = self._loop.time()
        self._allowance += min(BURST, int((now - self._allowance_since) * MESSAGES_PER_SECOND))
        self._allowance_since = now
        if self._allowance >= 0:
            return True
        self.refuse("flood")
        self._stop_reading()
        return False

    # ── closing ───────────────────────────────────────────────────────────────────

    def _close(self, code: WSCloseCode, reason: str) -> None:
        if self._closing or self._socket is None:
            return
        self._closing = True
        self._socket.send_close(code, reason)
        # Not disconnected yet: closing TCP while the carrier's audio comes in would reset the connection,
        # and the reset can overtake our close frame. Its answer, or the deadline, ends it.
        self._arm(CLOSE_DEADLINE, self.abort)

    def _stop_reading(self) -> None:
        """Let what still comes wait in the kernel until the deadline: to be read is what a flood is sent for."""
        if self._socket is not None:
            self._socket.underlying_transport.pause_reading()

    def _arm(self, seconds: float, action: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, action)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
