"""The transport on a line double: what the caller does reaches the listener, what the agent does the carrier."""

import json
from collections.abc import Callable

import pybase64
import pytest

from talkspurt.media.g711 import MULAW_SILENCE, decode_mulaw, encode_mulaw
from talkspurt.ports import Transport
from talkspurt.telemetry import metrics
from talkspurt.transports.twilio import BACKLOG, FRAME_BYTES, MAX_WAITING_BYTES, STALL_LIMIT, TwilioTransport
from talkspurt.wire.twilio import MAX_SENT_BYTES, Dtmf, DtmfBody, Mark, MarkBody, Media, MediaBody, Stop, parse


class Line:
    """A socket that keeps what was sent, and can stop reading."""

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self.waiting_bytes = 0
        self.closed = 0
        self.aborted = 0

    def send(self, message: bytes, /) -> None:
        self.sent.append(json.loads(message))

    def close(self) -> None:
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.audio: list[bytes] = []
        self.told: list[object] = []

    def audio_received(self, pcm: bytes, /) -> None:
        self.audio.append(pcm)

    def digit_received(self, digit: str, /) -> None:
        self.told.append(("digit", digit))

    def mark_received(self, name: str, /) -> None:
        self.told.append(("mark", name))

    def line_closed(self, *, hung_up: bool) -> None:
        self.told.append(("closed", hung_up))


class Failing(Listener):
    def audio_received(self, pcm: bytes, /) -> None:
        super().audio_received(pcm)
        raise RuntimeError("bug")


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def transport(line: Line) -> TwilioTransport:
    return TwilioTransport("MZ1", line, now=lambda: 0.0)


def media(chunk: int, mulaw: bytes = b"\x10" * 160, timestamp: int | None = None) -> Media:
    return Media(media=MediaBody(payload=mulaw, chunk=chunk, timestamp=chunk * 20 if timestamp is None else timestamp))


def total(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_it_fits_the_port(transport: TwilioTransport) -> None:
    port: Transport = transport
    port.close()


def test_the_caller_arrives_as_20_ms_frames_digits_and_marks_in_order(
    transport: TwilioTransport, listener: Listener
) -> None:
    transport.listen(listener)
    transport.receive(media(1))
    transport.receive(Dtmf(dtmf=DtmfBody(digit="#")))
    transport.receive(Mark(mark=MarkBody(name="1:160")))
    assert listener.audio == [decode_mulaw(b"\x10" * 160)]
    assert len(listener.audio[0]) == FRAME_BYTES
    assert listener.told == [("digit", "#"), ("mark", "1:160")]


def test_messages_of_any_length_are_cut_into_frames_without_loss(
    transport: TwilioTransport, listener: Listener
) -> None:
    transport.listen(listener)
    audio = bytes(range(256)) * 3
    position = 0
    for chunk, size in enumerate((100, 60, 200, 40, 320), start=1):
        transport.receive(media(chunk, audio[position : position + size], timestamp=position // 8))
        position += size
    assert all(len(frame) == FRAME_BYTES for frame in listener.audio)
    assert b"".join(listener.audio) == decode_mulaw(audio[:position])[: 4 * FRAME_BYTES]


def test_a_gap_is_heard_as_silence(transport: TwilioTransport, listener: Listener) -> None:
    transport.listen(listener)
    before = total("talkspurt_silence_filled_seconds_total")
    for chunk in (1, 3, 4, 5):
        transport.receive(media(chunk))
    assert len(listener.audio) == 5
    assert listener.audio[1] == decode_mulaw(MULAW_SILENCE * 160)
    transport.lost()
    assert total("talkspurt_silence_filled_seconds_total") == pytest.approx(before + 0.02)


def test_what_came_before_the_listener_waits_for_it(transport: TwilioTransport, listener: Listener) -> None:
    transport.receive(media(1))
    transport.receive(Dtmf(dtmf=DtmfBody(digit="5")))
    transport.receive(Stop())
    transport.listen(listener)
    assert len(listener.audio) == 1
    assert listener.told == [("digit", "5"), ("closed", True)]


def test_without_a_listener_memory_stays_bounded(transport: TwilioTransport, listener: Listener) -> None:
    before = total("talkspurt_frames_dropped_total", reason="backlog_full")
    for chunk in range(1, BACKLOG + 11):
        transport.receive(media(chunk, bytes([chunk % 256]) * 160))
    transport.listen(listener)
    assert len(listener.audio) == BACKLOG
    assert listener.audio[0] == decode_mulaw(bytes([11]) * 160)
    assert total("talkspurt_frames_dropped_total", reason="backlog_full") == before + 10


@pytest.mark.parametrize(
    ("end", "hung_up"),
    [
        (lambda transport: transport.receive(Stop()), True),
        (lambda transport: transport.lost(), False),
    ],
)
def test_the_end_is_reported_once_and_last(
    transport: TwilioTransport, listener: Listener, end: Callable[[TwilioTransport], None], hung_up: bool
) -> None:
    transport.listen(listener)
    end(transport)
    transport.lost()
    transport.receive(Stop())
    transport.receive(media(1))
    assert listener.told == [("closed", hung_up)]
    assert listener.audio == []


def test_a_listener_that_raises_is_counted_and_called_again(transport: TwilioTransport) -> None:
    listener = Failing()
    transport.listen(listener)
    before = total("talkspurt_frame_errors_total")
    transport.receive(media(1))
    transport.receive(media(2))
    assert len(listener.audio) == 2
    assert total("talkspurt_frame_errors_total") == before + 2


def test_a_mark_of_another_stream_proves_nothing_and_is_counted(transport: TwilioTransport, listener: Listener) -> None:
    counted = metrics.ANOMALIES.labels("foreign_mark")._value
    before = counted.get()
    transport.listen(listener)
    for stream in ("MZ2", "MZ1"):
        mark = {"event": "mark", "streamSid": stream, "mark": {"name": "1:160"}}
        transport.receive(parse(json.dumps(mark).encode()))
    assert listener.told == [("mark", "1:160")]
    assert counted.get() == before + 1


def test_the_agent_goes_out_as_media_marks_and_clear(transport: TwilioTransport, line: Line) -> None:
    pcm = bytes(range(256)) * 5
    transport.send_audio(pcm)
    transport.send_mark("1:640")
    transport.clear()
    transport.close()
    first, second, third = line.sent
    payload = first["media"]["payload"]  # type: ignore[index]
    assert pybase64.b64decode(payload) == encode_mulaw(pcm)
    assert second == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "1:640"}}
    assert third == {"event": "clear", "streamSid": "MZ1"}
    assert line.closed == 1


def test_long_audio_is_sent_in_pieces(transport: TwilioTransport, line: Line) -> None:
    transport.send_audio(bytes(2 * (MAX_SENT_BYTES * 2 + 10)))
    sizes = [len(pybase64.b64decode(message["media"]["payload"])) for message in line.sent]  # type: ignore[index]
    assert sizes == [MAX_SENT_BYTES, MAX_SENT_BYTES, 10]


def test_a_dead_line_takes_everything_without_a_word(transport: TwilioTransport, line: Line) -> None:
    transport.lost()
    transport.send_audio(bytes(320))
    transport.send_mark("m")
    transport.clear()
    assert line.sent == []


def test_a_carrier_that_does_not_read_costs_audio_not_memory(transport: TwilioTransport, line: Line) -> None:
    before = total("talkspurt_frames_not_sent_total", reason="carrier_not_reading")
    line.waiting_bytes = MAX_WAITING_BYTES + 1
    transport.send_audio(bytes(320))
    transport.send_mark("m")
    assert line.sent == []
    assert total("talkspurt_frames_not_sent_total", reason="carrier_not_reading") == before + 2
    transport.clear()
    assert [message["event"] for message in line.sent] == ["clear"]
    line.waiting_bytes = 0
    transport.send_audio(bytes(320))
    assert [message["event"] for message in line.sent] == ["clear", "media"]


def test_a_carrier_that_never_reads_again_is_a_lost_line(line: Line, listener: Listener) -> None:
    time = 0.0
    transport = TwilioTransport("MZ1", line, now=lambda: time)
    transport.listen(listener)
    line.waiting_bytes = MAX_WAITING_BYTES + 1
    transport.send_audio(bytes(320))
    time = STALL_LIMIT - 0.1
    transport.send_audio(bytes(320))
    assert line.aborted == 0
    time = STALL_LIMIT
    transport.send_audio(bytes(320))
    assert line.aborted == 1
    assert listener.told == [("closed", False)]
