"""One media attachment of a Twilio call, as the session sees it: a `ports.Transport`.

It turns parsed messages into 20 ms of PCM16, digits and marks, and audio into messages. It does
not know tokens, signatures or HTTP; the socket below it is a `MediaLine`.

Invariants:
* everything runs on the event loop, synchronously, per frame: no task, queue or thread hop;
* a dead or deaf line never raises and never makes memory grow;
* the listener hears `line_closed` once, last, and nothing after it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.ports import LineListener
from talkspurt.telemetry import metrics
from talkspurt.wire.chunk_order import ChunkOrder
from talkspurt.wire.twilio import MAX_SENT_BYTES, Dtmf, Mark, Media, Message, OutgoingMessages, Stop

FRAME_BYTES: Final = 320
"""20 ms of PCM16 at 8 kHz."""

BACKLOG: Final = 250
"""Facts kept until there is a listener: 5 s of audio. The oldest are dropped."""

MAX_WAITING_BYTES: Final = 64 * 1024
"""Bytes that may wait for a carrier that does not read: with audio sent 400 ms ahead, some 5 s behind."""

STALL_LIMIT: Final = 10.0
"""Seconds without reading after which the line counts as lost."""

log = structlog.get_logger(__name__)


class MediaLine(Protocol):
    """The socket under a transport. No method raises on a dead connection."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the other side has not yet taken."""

    def send(self, message: bytes, /) -> None:
        """Send one text message."""

    def close(self) -> None:
        """End the connection in an orderly way. Idempotent."""

    def abort(self) -> None:
        """Drop the connection at once. Idempotent."""


class TwilioTransport:
    """Implements `ports.Transport`. The socket calls `receive` and `lost`."""

    def __init__(self, stream_sid: str, line: MediaLine, *, now: Callable[[], float] | None = None) -> None:
        """`now` is a monotonic clock in seconds; default: the running loop's."""
        self._line = line
        self._stream_sid = stream_sid
        self._outgoing = OutgoingMessages(stream_sid)
        self._now = now or asyncio.get_running_loop().time
        self._order = ChunkOrder()
        self._partial = b""
        """Less than 20 ms of audio, when the carrier's messages are not of 20 ms."""
        self._listener: LineListener | None = None
        self._backlog: deque[Callable[[LineListener], None]] = deque()
        self._closed = False
        """Whether the line is over, whoever ended it."""
        self._hung_up = False
        self._stalled_since: float | None = None
        self._listener_failed = False

    # ── to the session ────────────────────────────────────────────────────────────

    def listen(self, listener: LineListener, /) -> None:
        """Deliver what came so far, and what comes, to `listener`."""
        self._listener = listener
        backlog, self._backlog = self._backlog, deque()
        for deliver in backlog:
            self._deliver(deliver)
        if self._closed:
            self._report_closed()

    def receive(self, message: Message) -> None:
        """Take a message that came after `start`."""
        if self._closed:
            return
        if type(message) is Media:
            media = message.media
            for mulaw in self._order.push(media.chunk, media.timestamp, media.payload):
                self._hear(decode_mulaw(mulaw))
        elif type(message) is Mark:
            self._take_mark(message)
        elif type(message) is Dtmf:
            digit = message.dtmf.digit
            self._deliver(lambda listener: listener.digit_received(digit))
        elif type(message) is Stop:
            self._end(hung_up=True)

    def _take_mark(self, mark: Mark) -> None:
        if mark.stream_sid not in ("", self._stream_sid):
            # Marks are named alike in all calls: one of another stream would prove that this caller heard something.
            metrics.ANOMALIES.labels("foreign_mark").inc()
            return
        name = mark.mark.name
        self._deliver(lambda listener: listener.mark_received(name))

    def lost(self) -> None:
        """The socket is gone. Idempotent."""
        self._end(hung_up=False)

    def _hear(self, pcm: bytes) -> None:
        if self._partial:
            pcm = self._partial + pcm
        if len(pcm) == FRAME_BYTES:
            self._partial = b""
            self._deliver_audio(pcm)
            return
        whole = len(pcm) - len(pcm) % FRAME_BYTES
        self._partial = pcm[whole:]
        for start in range(0, whole, FRAME_BYTES):
            self._deliver_audio(pcm[start : start + FRAME_BYTES])

    def _deliver_audio(self, frame: bytes) -> None:
        listener = self._listener
        if listener is None:
            self._deliver(lambda listener: listener.audio_received(frame))
            return
        try:
            listener.audio_received(frame)
        except Exception:
            self._count_failure()

    def _deliver(self, deliver: Callable[[LineListener], None]) -> None:
        if self._listener is None:
            if len(self._backlog) >= BACKLOG:
                self._backlog.popleft()
                metrics.FRAMES_DROPPED.labels("backlog_full").inc()
            self._backlog.append(deliver)
            return
        try:
            deliver(self._listener)
        except Exception:
            self._count_failure()

    def _end(self, *, hung_up: bool) -> None:
        if self._closed:
            return
        for mulaw in self._order.flush():
            self._hear(decode_mulaw(mulaw))
        self._closed = True
        self._hung_up = hung_up
        self._publish_order()
        if self._listener is not None:
            self._report_closed()

    def _report_closed(self) -> None:
        hung_up = self._hung_up
        self._deliver(lambda listener: listener.line_closed(hung_up=hung_up))

    def _count_failure(self) -> None:
        # A listener must not raise; if it does, at 50 frames a second one traceback is enough.
        metrics.FRAME_ERRORS.inc()
        if not self._listener_failed:
            self._listener_failed = True
            log.exception("line_listener_failed")

    def _publish_order(self) -> None:
        order = self._order
        for kind in ("duplicate", "late", "reordered", "gaps", "restarts"):
            count = getattr(order, kind)
            if count:
                metrics.CHUNKS.labels(kind).inc(count)
        metrics.SILENCE_FILLED.inc(order.filled_ms / 1000)

    # ── to the carrier ────────────────────────────────────────────────────────────

    def send_audio(self, pcm: bytes, /) -> None:
        """Queue audio of any length at the carrier."""
        if not self._may_send():
            return
        mulaw = encode_mulaw(pcm)
        if len(mulaw) <= MAX_SENT_BYTES:
            self._line.send(self._outgoing.media(mulaw))
            return
        for start in range(0, len(mulaw), MAX_SENT_BYTES):
            self._line.send(self._outgoing.media(mulaw[start : start + MAX_SENT_BYTES]))

    def send_mark(self, name: str, /) -> None:
        """Ask the carrier to return the mark when everything sent so far has been played."""
        if self._may_send():
            self._line.send(self._outgoing.mark(name))

    def clear(self) -> None:
        """Make the carrier forget what it has not played. Goes out even when audio is being dropped."""
        if not self._closed and self._line.waiting_bytes < 2 * MAX_WAITING_BYTES:
            self._line.send(self._outgoing.clear)

    def close(self) -> None:
        """End the attachment in an orderly way. Idempotent."""
        self._line.close()

    def _may_send(self) -> bool:
        if self._closed:
            return False
        if self._line.waiting_bytes <= MAX_WAITING_BYTES:
            self._stalled_since = None
            return True
        metrics.FRAMES_NOT_SENT.labels("carrier_not_reading").inc()
        now = self._now()
        if self._stalled_since is None:
            self._stalled_since = now
            log.warning("carrier_not_reading", waiting_bytes=self._line.waiting_bytes)
        elif now - self._stalled_since >= STALL_LIMIT:
            metrics.SOCKETS_REFUSED.labels("not_reading").inc()
            log.warning("line_given_up", reason="carrier_not_reading")
            self._line.abort()
            self.lost()
        return False
