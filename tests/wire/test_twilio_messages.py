"""Twilio's messages: what it sends is understood, anything else is refused with a reason."""

import json
from typing import Any

import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.errors import ProtocolError
from talkspurt.wire.twilio import (
    MAX_PAYLOAD_BYTES,
    REASONS,
    Connected,
    Dtmf,
    Mark,
    Media,
    OutgoingMessages,
    Start,
    Stop,
    parse,
)

STREAM = "MZ" + "0" * 32
CALL = "CA" + "1" * 32
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": STREAM,
    "start": {
        "accountSid": "AC" + "2" * 32,
        "streamSid": STREAM,
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "secret"},
    },
}
MEDIA: dict[str, Any] = {
    "event": "media",
    "sequenceNumber": "4",
    "streamSid": STREAM,
    "media": {
        "track": "inbound",
        "chunk": "2",
        "timestamp": "5",
        "payload": pybase64.b64encode(b"\x7f" * 160).decode(),
    },
}


def encode(message: object) -> bytes:
    return json.dumps(message).encode()


def with_media(**fields: object) -> bytes:
    return encode({**MEDIA, "media": {**MEDIA["media"], **fields}})


def with_format(**fields: object) -> bytes:
    start = START["start"]
    return encode({**START, "start": {**start, "mediaFormat": {**start["mediaFormat"], **fields}}})


def assert_parsed_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except ProtocolError as error:
        refused = error.reason
        assert refused in REASONS


def reason_of(data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        parse(data)
    return caught.value.reason


def test_every_documented_message_is_understood() -> None:
    assert isinstance(parse(b'{"event":"connected","protocol":"Call","version":"1.0.0"}'), Connected)
    start = parse(encode(START))
    assert isinstance(start, Start)
    assert (start.start.call_sid, start.start.stream_sid) == (CALL, STREAM)
    assert start.start.custom_parameters == {"token": "secret"}
    media = parse(encode(MEDIA))
    assert isinstance(media, Media)
    assert (media.media.chunk, media.media.timestamp, media.media.payload) == (2, 5, b"\x7f" * 160)
    dtmf = parse(encode({"event": "dtmf", "sequenceNumber": "5", "dtmf": {"track": "inbound_track", "digit": "1"}}))
    assert isinstance(dtmf, Dtmf)
    assert dtmf.dtmf.digit == "1"
    mark = parse(encode({"event": "mark", "sequenceNumber": "6", "mark": {"name": "3:1.5"}}))
    assert isinstance(mark, Mark)
    assert mark.mark.name == "3:1.5"
    assert isinstance(parse(encode({"event": "stop", "sequenceNumber": "9", "stop": {"callSid": CALL}})), Stop)


def test_fields_added_later_and_plain_numbers_are_tolerated() -> None:
    media = parse(with_media(chunk=7, loudness=3))
    assert isinstance(media, Media)
    assert media.media.chunk == 7


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"event":"media"', "malformed_json"),
        (b'{"event":"mark","mark":{"name":"\xff"}}', "malformed_json"),
        (b"[]", "invalid_message"),
        (b'{"media":{}}', "invalid_message"),
        (b'{"event":"media"}', "invalid_message"),
        (b'{"event":5}', "invalid_message"),
        (b'{"event":"telemetry"}', "unknown_event"),
        (with_media(payload="!!!"), "bad_base64"),
        (with_media(payload="AAA"), "bad_base64"),
        (with_media(chunk="two"), "invalid_message"),
        (with_media(chunk="-1"), "invalid_message"),
        (with_media(timestamp=str(2**54)), "invalid_message"),
        (with_media(track="outbound"), "unexpected_track"),
        (with_media(payload=pybase64.b64encode(bytes(MAX_PAYLOAD_BYTES + 1)).decode()), "oversized_payload"),
        (encode({"event": "dtmf", "dtmf": {"digit": "12"}}), "invalid_message"),
        (with_format(encoding="audio/x-alaw"), "wrong_codec"),
        (with_format(sampleRate=16000), "wrong_codec"),
        (with_format(channels=2), "wrong_codec"),
    ],
)
def test_bad_input_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_deep_nesting_is_refused_without_exhausting_the_stack() -> None:
    assert reason_of(b'{"event":"media","extra":' + b"[" * 50_000) in REASONS


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_nothing_but_protocol_errors(data: bytes) -> None:
    assert_parsed_or_refused(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["event", "media", "start", "dtmf", "mark", "stop", "payload", "chunk", "timestamp", "track", "digit", "name",
     "callSid", "streamSid", "mediaFormat", "encoding", "sampleRate", "channels", "customParameters"]
)  # fmt: skip


@given(
    st.sampled_from(["connected", "start", "media", "dtmf", "mark", "stop", "other"]),
    st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON))),
)
def test_plausible_json_raises_nothing_but_protocol_errors(event: str, fields: dict[str, object]) -> None:
    assert_parsed_or_refused(encode({**fields, "event": event}))


@given(st.binary(max_size=2000), st.text(max_size=50), st.text(min_size=1, max_size=60))
def test_what_is_sent_is_the_documented_json(audio: bytes, name: str, sid: str) -> None:
    outgoing = OutgoingMessages(sid)
    media = json.loads(outgoing.media(audio))
    assert media == {"event": "media", "streamSid": sid, "media": {"payload": media["media"]["payload"]}}
    assert pybase64.b64decode(media["media"]["payload"], validate=True) == audio
    assert json.loads(outgoing.mark(name)) == {"event": "mark", "streamSid": sid, "mark": {"name": name}}
    assert json.loads(outgoing.clear) == {"event": "clear", "streamSid": sid}
