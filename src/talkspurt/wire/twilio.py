"""Twilio Media Streams: the messages of a bidirectional `<Connect><Stream>`, and the order of its audio.

This is the format only. It does not know tokens, sockets or calls; TwiML is made in the server.

Invariants:
* `parse` returns a typed message or raises `ProtocolError` with a reason from `REASONS`, whatever
  the bytes are;
* fields that Twilio adds later are ignored, numbers may come as strings (Twilio) or numbers;
* no outgoing message is longer than `MAX_SENT_BYTES` of audio plus its envelope.

Source: Twilio's page "Media Streams: WebSocket messages", read 2025.
"""

from typing import Annotated, Final, Literal, get_args

import msgspec
import pybase64

from talkspurt.errors import ProtocolError

MAX_PAYLOAD_BYTES: Final = 8_000
"""Audio in one received message: a second. Twilio sends 160 bytes; much more is an attempt to fill memory."""

MAX_SENT_BYTES: Final = 8_000
"""Audio in one sent message: Twilio takes any length, but its reader must not wait for a megabyte."""

Reason = Literal[
    "malformed_json",
    "invalid_message",
    "unknown_event",
    "bad_base64",
    "oversized_payload",
    "unexpected_track",
    "wrong_codec",
]
"""Why a message was dropped. These are metric labels."""

REASONS: Final[frozenset[str]] = frozenset(get_args(Reason))

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Digit = Annotated[str, msgspec.Meta(pattern=r"^[0-9*#A-D]$")]
_Sid = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_MarkName = Annotated[str, msgspec.Meta(max_length=256)]


class _Body(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The object under the event's own name."""


class _Message(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="event"):
    """One text message; `event` selects the class."""


class Connected(_Message, frozen=True, gc=False, tag="connected"):
    """The first message of a socket; carries nothing we need."""


class MediaFormat(_Body, frozen=True, gc=False):
    """What the audio is: G.711 mu-law, 8 kHz, one channel, or `ProtocolError("wrong_codec")`."""

    encoding: str
    sample_rate: int
    channels: int


class StartBody(_Body, frozen=True, gc=False):
    """The call behind the socket. `custom_parameters` are the `<Parameter>` elements of our TwiML."""

    call_sid: _Sid
    stream_sid: _Sid
    media_format: MediaFormat
    account_sid: str = ""
    custom_parameters: dict[str, str] = {}


class Start(_Message, frozen=True, gc=False, tag="start"):
    """The stream begins. To be trusted only with a valid token among its parameters."""

    start: StartBody


class MediaBody(_Body, frozen=True, gc=False):
    """20 ms of the caller. `timestamp` is in ms since the stream began, `chunk` counts per track from 1."""

    payload: bytes
    """Mu-law, already base64-decoded."""
    chunk: _Count = 0
    timestamp: _Count = 0
    track: str = "inbound"


class Media(_Message, frozen=True, gc=False, tag="media"):
    """Audio of the caller."""

    media: MediaBody


class DtmfBody(_Body, frozen=True, gc=False):
    """One keypad digit."""

    digit: _Digit


class Dtmf(_Message, frozen=True, gc=False, tag="dtmf"):
    """The caller pressed a key."""

    dtmf: DtmfBody


class MarkBody(_Body, frozen=True, gc=False):
    """The name that we gave the mark."""

    name: _MarkName


class Mark(_Message, frozen=True, gc=False, tag="mark"):
    """Everything sent before the mark has been played, or was dropped by a `clear`."""

    mark: MarkBody
    stream_sid: str = ""


class Stop(_Message, frozen=True, gc=False, tag="stop"):
    """The stream is over: the caller hung up, or the call was updated."""


Message = Connected | Start | Media | Dtmf | Mark | Stop

_EVENTS: Final = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})


class _Envelope(msgspec.Struct):
    """Enough to tell an event we do not know from one that is broken."""

    event: str


# strict=False reads the numbers that Twilio sends as strings.
_decode_message = msgspec.json.Decoder(Message, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def parse(data: bytes | bytearray | memoryview) -> Message:
    """Read one text message.

    Raises `ProtocolError` with a reason from `REASONS`; the message is then to be dropped and counted.
    """
    try:
        message: Message = _decode_message(data)
    except msgspec.ValidationError as error:
        raise ProtocolError(_reason(data, error), str(error)) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise ProtocolError("malformed_json", str(error)) from None
    if type(message) is Media:
        if len(message.media.payload) > MAX_PAYLOAD_BYTES:
            raise ProtocolError("oversized_payload", f"{len(message.media.payload)} bytes of audio in one message")
        if message.media.track != "inbound":
            raise ProtocolError("unexpected_track", message.media.track[:32])
    elif type(message) is Start:
        _check_format(message.start.media_format)
    return message


def _reason(data: bytes | bytearray | memoryview, error: msgspec.ValidationError) -> Reason:
    if "base64" in str(error):
        return "bad_base64"
    try:
        event = _decode_envelope(data).event
    except (msgspec.DecodeError, RecursionError, ValueError):
        return "invalid_message"
    return "invalid_message" if event in _EVENTS else "unknown_event"


def _check_format(media: MediaFormat) -> None:
    if (media.encoding.lower(), media.sample_rate, media.channels) != ("audio/x-mulaw", 8000, 1):
        raise ProtocolError(
            "wrong_codec", f"{media.encoding[:32]} at {media.sample_rate} Hz, {media.channels} channels"
        )


class OutgoingMessages:
    """Builds the messages of one stream. The envelope is assembled once: only the payload is made per message."""

    __slots__ = ("_mark_head", "_media_head", "clear")

    def __init__(self, stream_sid: str) -> None:
        sid = msgspec.json.encode(stream_sid)
        self._media_head = b'{"event":"media","streamSid":' + sid + b',"media":{"payload":"'
        self._mark_head = b'{"event":"mark","streamSid":' + sid + b',"mark":{"name":'
        self.clear: Final = b'{"event":"clear","streamSid":' + sid + b"}"
        """Forget all audio that has not been played; marks that wait for it come back at once."""

    def media(self, mulaw: bytes) -> bytes:
        """Queue audio: raw mu-law without a header, at most `MAX_SENT_BYTES`."""
        return self._media_head + pybase64.b64encode(mulaw) + b'"}}'

    def mark(self, name: str) -> bytes:
        """Ask to be told when all audio queued so far has been played."""
        return self._mark_head + msgspec.json.encode(name) + b"}}"
