import asyncio
import base64
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from twilio.request_validator import RequestValidator

from simulate.scripted_server import ScriptedServer, Socket
from talkspurt.errors import CallError
from talkspurt.media.g711 import encode_mulaw
from talkspurt.simulate.channel import Carried
from talkspurt.simulate.recording import CallEnd
from talkspurt.simulate.twilio import TwilioDouble
from talkspurt.simulate.voices import silence

TOKEN = "secret-token"
CONNECT = '<Connect><Stream url="ws://HOST/media"><Parameter name="token" value="t1"/></Stream></Connect>'
TONE_PCM: NDArray[np.int16] = (np.sin(np.arange(8_000) * 0.3) * 8_000).astype(np.int16)
TONE = encode_mulaw(TONE_PCM.tobytes())


def media(audio: bytes) -> dict[str, Any]:
    return {"payload": base64.b64encode(audio).decode()}


async def until_stop(socket: Socket) -> None:
    await socket.next("stop")
    await socket.raw.receive(timeout=5)


async def ended(line: TwilioDouble) -> CallEnd:
    return await asyncio.wait_for(line.ended(), 10)


async def test_the_stream_opens_with_connected_and_start_and_then_frames_in_order() -> None:
    async def talk(socket: Socket) -> None:
        for _ in range(5):
            await socket.next("media")
        await until_stop(socket)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server:
        async with TwilioDouble(server.url) as line:
            await line.until(0.3)
            line.press("7#")
            line.hang_up()
            assert await ended(line) == CallEnd("caller", "hung up")
        received = server.sockets[0].received

    assert received[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = received[1]["start"]
    assert (received[1]["event"], received[1]["sequenceNumber"]) == ("start", "1")
    assert start["callSid"] == line.recording.call_sid
    assert start["tracks"] == ["inbound"]
    assert start["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert start["customParameters"] == {"token": "t1"}
    assert "query" not in start
    assert [message["sequenceNumber"] for message in received[1:]] == [str(n) for n in range(1, len(received))]
    frames = server.sockets[0].of("media")
    assert [frame["media"]["chunk"] for frame in frames] == [str(n) for n in range(1, len(frames) + 1)]
    assert [frame["media"]["timestamp"] for frame in frames] == [str(20 * n) for n in range(len(frames))]
    assert all(len(base64.b64decode(frame["media"]["payload"])) == 160 for frame in frames)
    assert [message["dtmf"]["digit"] for message in server.sockets[0].of("dtmf")] == ["7", "#"]
    assert server.sockets[0].of("stop")[0]["stop"]["callSid"] == line.recording.call_sid
    assert line.recording.errors == []


async def test_a_channel_carries_the_caller_hears_the_agent_and_loses_and_delays_frames() -> None:
    loud = encode_mulaw(b"\x00\x10" * 160)

    class Channel:
        heard = 0

        def carry(self, caller: bytes, agent: bytes, /) -> Carried:
            self.tick = getattr(self, "tick", 0) + 1
            self.heard += any(agent)
            frame = loud if any(caller) else bytes([self.tick]) * 160
            return Carried(frame, lost=self.tick == 4, late=2 if self.tick == 6 else 0)

    async def talk(socket: Socket) -> None:
        await socket.next("media")
        await socket.send("media", media=media(TONE[:1600]))
        await until_stop(socket)

    channel = Channel()
    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server:
        async with TwilioDouble(server.url, channel=channel) as line:
            await line.until(0.3)
            line.speak(TONE_PCM[:1600])
            await line.until(0.6)
        frames = [message["media"] for message in server.sockets[0].of("media")]

    numbers = [int(frame["chunk"]) for frame in frames]
    payloads = [base64.b64decode(frame["payload"]) for frame in frames]
    assert numbers == sorted(set(numbers)), "no frame overtakes another"
    assert len(set(range(1, numbers[-1] + 1)) - set(numbers)) == 1, "one frame never arrives"
    assert [frame["timestamp"] for frame in frames] == [str(20 * (number - 1)) for number in numbers]
    assert payloads.count(loud) == 10
    assert channel.heard == 10
    assert line.recording.caller_mulaw[3 * 160 : 4 * 160] == b"\xff" * 160


async def test_frames_keep_an_absolute_schedule() -> None:
    arrivals: list[float] = []

    async def talk(socket: Socket) -> None:
        for _ in range(60):
            await socket.next("media")
            arrivals.append(asyncio.get_running_loop().time())
        await until_stop(socket)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server, TwilioDouble(server.url) as line:
        await line.until(1.3)
    span = arrivals[-1] - arrivals[0]
    assert span == pytest.approx(59 * 0.02, abs=0.06 + line.recording.worst_lateness)


async def test_the_caller_is_sent_as_spoken_and_recorded_where_it_was_sent() -> None:
    async def talk(socket: Socket) -> None:
        await until_stop(socket)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server, TwilioDouble(server.url) as line:
        await line.until(0.1)
        begins, ends = line.speak(np.concatenate((TONE_PCM[:1_600], silence(0.05))))
        assert ends - begins == pytest.approx(0.25)
        await line.until(ends + 0.06)
        line.hang_up()
        await ended(line)
    sent = b"".join(base64.b64decode(frame["media"]["payload"]) for frame in server.sockets[0].of("media"))
    recorded = bytes(line.recording.caller_mulaw)
    assert sent.strip(b"\xff") == TONE[:1_600].strip(b"\xff")
    assert recorded[round(begins * 8_000) :].startswith(TONE[:1_600])
    assert len(line.recording.caller) == len(line.recording.agent)


async def test_a_mark_returns_when_its_audio_has_been_played() -> None:
    async def talk(socket: Socket) -> None:
        await socket.next("media")
        await socket.send("mark", mark={"name": "empty"})
        await socket.next("mark")
        await socket.send("media", media=media(TONE[:4_000]))
        await socket.send("mark", mark={"name": "half a second"})
        before = len(socket.of("media"))
        await socket.next("mark")
        frames_in_between = len(socket.of("media")) - before
        assert 24 <= frames_in_between <= 28, frames_in_between
        await until_stop(socket)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server, TwilioDouble(server.url) as line:
        await line.until(0.9)
        line.hang_up()
        await ended(line)
    assert [event.detail for event in line.recording.of("mark_played")] == ["empty", "half a second"]
    heard = bytes(line.recording.agent_mulaw)
    assert TONE[:4_000] in heard
    assert line.last_heard == pytest.approx(heard.index(TONE[:4_000]) / 8_000 + 0.5)


async def test_clear_empties_the_buffer_and_returns_its_marks_at_once() -> None:
    async def talk(socket: Socket) -> None:
        await socket.next("media")
        await socket.send("media", media=media(TONE))
        await socket.send("mark", mark={"name": "unheard"})
        for _ in range(10):
            await socket.next("media")
        await socket.send("clear")
        before = len(socket.of("media"))
        assert (await socket.next("mark"))["mark"] == {"name": "unheard"}
        assert len(socket.of("media")) - before <= 2
        await until_stop(socket)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server, TwilioDouble(server.url) as line:
        await line.until(0.6)
        assert not line.playing
    assert [event.detail for event in line.recording.of("mark_dropped")] == ["unheard"]
    assert len(bytes(line.recording.agent_mulaw).replace(b"\xff", b"")) < 4_000
    assert line.recording.gaps == []


async def test_audio_that_comes_too_late_is_a_gap() -> None:
    async def talk(socket: Socket) -> None:
        await socket.next("media")
        await socket.send("media", media=media(TONE[:800]))
        for _ in range(15):
            await socket.next("media")
        await socket.send("media", media=media(TONE[:800]))
        await until_stop(socket)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server, TwilioDouble(server.url) as line:
        await line.until(0.7)
    assert len(line.recording.gaps) == 1
    assert line.recording.gaps[0].seconds == pytest.approx(0.2, abs=0.1)


async def test_everything_is_signed_for_the_public_address() -> None:
    public = "https://voice.example.com"
    stream = '<Connect><Stream url="wss://voice.example.com/media"/></Connect>'

    async def talk(socket: Socket) -> None:
        await socket.next("media")
        await socket.raw.close(code=1000)

    documents = {
        "/twilio/voice": [f"{stream}<Redirect>{public}/twilio/resume</Redirect>"],
        "/twilio/resume": ["<Hangup/>"],
    }
    async with ScriptedServer(documents, talk) as server:
        async with TwilioDouble(server.url, auth_token=TOKEN, public_url=public, from_number="+14155550123") as line:
            assert await ended(line) == CallEnd("agent", "hung up")
        handshake = server.sockets[0].request.headers["X-Twilio-Signature"]

    validator = RequestValidator(TOKEN)
    assert validator.validate("wss://voice.example.com/media", {}, handshake)
    assert server.paths() == ["/twilio/voice", "/twilio/resume", "/twilio/status"]
    for path, form, headers in server.requests:
        assert validator.validate(public + path, form, headers["X-Twilio-Signature"])
        assert form["CallSid"] == line.recording.call_sid
        assert (form["From"], form["Direction"], form["ApiVersion"]) == ("+14155550123", "inbound", "2010-04-01")
        assert form["FromCity"] == ""
    assert [form["CallStatus"] for _, form, _ in server.requests] == ["ringing", "in-progress", "completed"]
    assert server.requests[-1][1]["CallDuration"] == "0"
    assert line.recording.errors == []


async def test_nothing_is_signed_without_a_token() -> None:
    async with ScriptedServer({"/twilio/voice": ["<Hangup/>"]}) as server, TwilioDouble(server.url) as line:
        await ended(line)
    assert "X-Twilio-Signature" not in server.requests[0][2]


async def test_a_lost_socket_is_an_error_and_the_redirect_resumes_the_same_call() -> None:
    async def talk(socket: Socket) -> None:
        await socket.next("media")
        if len(server.sockets) == 1:
            assert socket.request.transport is not None
            socket.request.transport.abort()
        else:
            await until_stop(socket)

    documents = {
        "/twilio/voice": [f"{CONNECT}<Redirect>/twilio/resume</Redirect>"],
        "/twilio/resume": [CONNECT.replace("t1", "t2")],
    }
    async with ScriptedServer(documents, talk) as server, TwilioDouble(server.url) as line:
        while len(server.sockets) < 2 or not server.sockets[1].received:
            await line.next_tick()
        await line.until(line.now + 0.1)
    first, second = (socket.of("start")[0] for socket in server.sockets)
    assert first["start"]["callSid"] == second["start"]["callSid"]
    assert first["streamSid"] != second["streamSid"]
    assert second["start"]["customParameters"] == {"token": "t2"}
    assert second["sequenceNumber"] == "1"
    assert [error[:5] for error in line.recording.errors] == ["31921"]


async def test_what_was_not_played_when_the_socket_ends_is_dropped_and_said() -> None:
    async def talk(socket: Socket) -> None:
        await socket.next("media")
        await socket.send("media", media=media(TONE))
        await socket.next("media")
        await socket.raw.close(code=1000)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server, TwilioDouble(server.url) as line:
        assert await ended(line) == CallEnd("agent", "hung up")
    assert line.recording.of("audio_dropped")[0].seconds == pytest.approx(0.95, abs=0.08)


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ("nonsense", "31951"),
        ('{"event":"dance","streamSid":"x"}', "31951"),
        ('{"event":"clear","streamSid":"MZother"}', "31951"),
        ('{"event":"media","streamSid":"x","media":{"payload":"%%"}}', "31951"),
        (b"\x00\x01", "31950"),
    ],
)
async def test_orders_that_twilio_would_refuse_are_logged_and_the_call_goes_on(
    order: str | bytes, complaint: str
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.next("media")
        await (socket.raw.send_bytes(order) if isinstance(order, bytes) else socket.raw.send_str(order))
        await until_stop(socket)

    async with ScriptedServer({"/twilio/voice": [CONNECT]}, talk) as server, TwilioDouble(server.url) as line:
        await line.until(0.2)
        assert not line.is_over
    assert len(line.recording.errors) == 1
    assert complaint in line.recording.errors[0]


@pytest.mark.parametrize(
    ("documents", "by", "reason", "failed"),
    [
        ({}, "carrier", "11200 .*HTTP 404", True),
        ({"/twilio/voice": ["<Gather/>"]}, "carrier", "<Gather>", True),
        ({"/twilio/voice": ["<Reject reason='busy'/>"]}, "agent", "busy", True),
        ({"/twilio/voice": ["<Redirect>/twilio/voice</Redirect>"]}, "carrier", "more than 30", True),
        ({"/twilio/voice": ["<Pause/><Hangup/>"]}, "agent", "hung up", False),
        ({"/twilio/voice": [""]}, "agent", "hung up", False),
        (
            {"/twilio/voice": ["<Dial action='/after'>+15551234567</Dial>"], "/after": ["<Hangup/>"]},
            "agent",
            "hung up",
            False,
        ),
    ],
)
async def test_every_answer_ends_the_call_as_it_would_at_twilio(
    documents: dict[str, list[str]], by: str, reason: str, failed: bool
) -> None:
    async with ScriptedServer(documents) as server, TwilioDouble(server.url) as line:
        end = await ended(line)
    assert (end.by, end.failed) == (by, failed)
    assert re.search(reason, end.reason)
    assert server.paths()[-1] == "/twilio/status"


async def test_dial_tells_its_action_how_the_second_leg_went() -> None:
    documents = {"/twilio/voice": ["<Dial action='/after'>+15551234567</Dial>"], "/after": ["<Hangup/>"]}
    async with ScriptedServer(documents) as server, TwilioDouble(server.url, dial_outcome="busy") as line:
        await ended(line)
    assert [event.detail for event in line.recording.of("dialled")] == ["+15551234567"]
    assert server.requests[1][1]["DialCallStatus"] == "busy"


async def test_say_is_heard_on_the_line() -> None:
    async def say(text: str) -> NDArray[np.int16]:
        assert text == "All lines are busy."
        return TONE_PCM[:800]

    documents = {"/twilio/voice": ["<Say>All lines are busy.</Say>"]}
    async with ScriptedServer(documents) as server, TwilioDouble(server.url, carrier_voice=say) as line:
        await ended(line)
    assert TONE[:800] in bytes(line.recording.agent_mulaw)


async def test_a_refused_socket_is_an_error_and_the_next_verb_runs() -> None:
    documents = {"/twilio/voice": [f"{CONNECT}<Hangup/>"]}
    async with ScriptedServer(documents, media=None) as server, TwilioDouble(server.url) as line:
        assert await ended(line) == CallEnd("agent", "hung up")
    assert line.recording.errors[0].startswith("31920")
    assert "403" in line.recording.errors[0]


async def test_a_plain_socket_to_another_machine_is_refused() -> None:
    documents = {"/twilio/voice": ["<Connect><Stream url='ws://voice.example.com/media'/></Connect>"]}
    async with ScriptedServer(documents) as server, TwilioDouble(server.url) as line:
        await ended(line)
    assert line.recording.errors[0].startswith("31922")


async def test_a_server_that_is_not_there_fails_the_call_with_the_reason() -> None:
    async with TwilioDouble("http://127.0.0.1:9") as line:
        end = await ended(line)
    assert end.failed
    assert end.reason.startswith("11205 cannot reach http://127.0.0.1:9/twilio/voice")


async def test_waiting_on_a_call_that_is_over_raises() -> None:
    async with ScriptedServer({"/twilio/voice": ["<Hangup/>"]}) as server, TwilioDouble(server.url) as line:
        await ended(line)
        with pytest.raises(CallError, match="over: hung up"):
            await line.until(5)


async def test_a_call_has_a_time_limit() -> None:
    documents = {"/twilio/voice": ["<Pause length='60'/>"]}
    async with ScriptedServer(documents) as server, TwilioDouble(server.url, max_seconds=0.1) as line:
        end = await ended(line)
    assert end == CallEnd("carrier", "the call reached its limit of 0.1 s", failed=True)
