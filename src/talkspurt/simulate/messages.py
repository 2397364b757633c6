"""Twilio's media stream as Twilio writes and reads it.

The mirror image of `talkspurt.wire.twilio`, and on purpose not built from it: a double that
shared the server's codec would agree with its mistakes. Numbers are strings, as on the wire.

Source: Twilio's "Media Streams - WebSocket Messages".
"""

from typing import Any

import msgspec
import pybase64

from talkspurt.errors import ProtocolError

CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


def encode_start(*, account_sid: str, call_sid: str, stream_sid: str, parameters: dict[str, str]) -> str:
    """The `start` message, which carries sequence number 1."""
    return _json(
        {
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "accountSid": account_sid,
                "streamSid": stream_sid,
                "callSid": call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": parameters,
            },
            "streamSid": stream_sid,
        }
    )


def encode_media(*, stream_sid: str, sequence: int, chunk: int, timestamp_ms: int, audio: bytes) -> str:
    """20 ms of the caller."""
    payload = pybase64.b64encode_as_string(audio)
    return (
        f'{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"inbound","chunk":"{chunk}",'
        f'"timestamp":"{timestamp_ms}","payload":"{payload}"}},"streamSid":"{stream_sid}"}}'
    )


def encode_digit(*, stream_sid: str, sequence: int, digit: str) -> str:
    """One keypad digit."""
    body = {"track": "inbound_track", "digit": digit}
    return _json({"event": "dtmf", "streamSid": stream_sid, "sequenceNumber": str(sequence), "dtmf": body})


def encode_mark(*, stream_sid: str, sequence: int, name: str) -> str:
    """A mark on its way back."""
    return _json({"event": "mark", "sequenceNumber": str(sequence), "streamSid": stream_sid, "mark": {"name": name}})


def encode_stop(*, account_sid: str, call_sid: str, stream_sid: str, sequence: int) -> str:
    """The stream is over: the caller hung up, or the call was updated."""
    body = {"accountSid": account_sid, "callSid": call_sid}
    return _json({"event": "stop", "sequenceNumber": str(sequence), "streamSid": stream_sid, "stop": body})


class _Payload(msgspec.Struct):
    payload: bytes


class _Name(msgspec.Struct):
    name: str


class PlayMedia(msgspec.Struct, tag_field="event", tag="media"):
    """Mu-law audio to append to the playout buffer."""

    stream_sid: str = msgspec.field(name="streamSid")
    media: _Payload = msgspec.field()


class PlaceMark(msgspec.Struct, tag_field="event", tag="mark"):
    """A mark to place behind the audio so far."""

    stream_sid: str = msgspec.field(name="streamSid")
    mark: _Name = msgspec.field()


class ClearAudio(msgspec.Struct, tag_field="event", tag="clear"):
    """Forget what has not been played."""

    stream_sid: str = msgspec.field(name="streamSid")


Order = PlayMedia | PlaceMark | ClearAudio
_decoder: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)


def decode_order(message: bytes, stream_sid: str) -> Order:
    """Read what the server wants of the carrier. Raises `ProtocolError` where Twilio logs error 31951."""
    try:
        order = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError("message", f"31951 {error}") from None
    if order.stream_sid != stream_sid:
        raise ProtocolError("stream_sid", f"31951 the message is for stream {order.stream_sid!r}")
    return order


def _json(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
