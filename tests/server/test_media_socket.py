"""The media socket: a call goes through, and whatever else comes costs at most its own frame or socket."""

import asyncio
import json
from pathlib import Path

import pytest
from picows import WSMsgType
from twilio.request_validator import RequestValidator

from talkspurt.server.media_socket import BURST, MAX_MESSAGE_BYTES

from .conftest import (
    OTHER_TOKEN,
    PATIENCE,
    PUBLIC,
    Running,
    media_message,
    running,
    settings,
    start_message,
    status_of,
    total,
)

FLOOD = 5 * BURST
"""Messages at once. A few more than `BURST` would be earned while they are sent."""


def dropped(reason: str) -> float:
    return total("talkspurt_frames_dropped_total", reason=reason)


def refused(reason: str) -> float:
    return total("talkspurt_sockets_refused_total", reason=reason)


async def test_a_call_goes_through_both_ways_and_ends_with_the_caller(server: Running) -> None:
    socket, session = await server.call()
    assert (session.call.caller, session.call.dialled, session.call.carrier_id) == (
        "+12025550101",
        "+12025550100",
        "CA1",
    )
    assert (session.call.agent, session.call.locale, session.attachment, session.snapshot) == (
        "retail",
        "en-US",
        1,
        None,
    )
    for chunk in (1, 2, 3):
        socket.media(chunk, bytes([chunk]) * 160)
    assert [await socket.echo() for _ in range(3)] == [bytes([chunk]) * 160 for chunk in (1, 2, 3)]
    socket.send({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "7"}})
    socket.send({"event": "mark", "mark": {"name": "1:160"}})
    socket.hang_up()
    assert await socket.closed() == 1000
    assert session.told == [("digit", "7"), ("mark", "1:160"), ("closed", True)]
    call = await server.store.calls.by_carrier_id("CA1")
    assert call is not None
    assert (call.state, call.end_reason) == ("ended", "caller_hung_up")


# ── the handshake ─────────────────────────────────────────────────────────────────


async def test_a_handshake_without_signature_is_forbidden(server: Running) -> None:
    assert await status_of(server.dial(token=None)) == 403


async def test_a_handshake_signed_with_another_token_is_forbidden(server: Running) -> None:
    assert await status_of(server.dial(token="guess")) == 403


async def test_a_handshake_signed_for_another_url_is_forbidden(server: Running) -> None:
    assert await status_of(server.dial(url=f"{PUBLIC}/twilio/media")) == 403
    assert await status_of(server.dial(url="wss://voice.example.com/twilio/media/")) == 403


async def test_both_tokens_are_good_during_a_rotation(server: Running) -> None:
    socket = await server.dial(token=OTHER_TOKEN)
    assert not socket.gone.is_set()


async def test_other_paths_are_no_sockets(server: Running) -> None:
    for path in ("/", "/twilio/voice", "/twilio/media/", "/twilio/media?x=1", "/livez"):
        assert await status_of(server.dial(path=path)) == 404


async def test_a_proxy_may_keep_the_connection_alive(server: Running) -> None:
    """`Connection: keep-alive, Upgrade` is a valid upgrade."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    signature = RequestValidator("canary-auth-token-5f2d").compute_signature("wss://voice.example.com/twilio/media", {})
    writer.write(
        b"GET /twilio/media HTTP/1.1\r\nHost: internal\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"X-Twilio-Signature: " + signature.encode() + b"\r\n\r\n"
    )
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 101")
    writer.close()
    await writer.wait_closed()


async def test_handshakes_are_limited_per_address_before_their_signature_is_looked_at(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        for status in (403, 403, 429):
            assert await status_of(server.dial(token=None)) == status
        assert await status_of(server.dial()) == 429


async def test_a_stranger_cannot_choose_the_address_his_handshakes_are_counted_by(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        for number, status in enumerate((b"403", b"403", b"429")):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                b"GET /twilio/media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                b"X-Forwarded-For: 198.51.100.%d\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n" % number
            )
            assert (await asyncio.wait_for(reader.readline(), PATIENCE)).split()[1] == status
            writer.close()
            await writer.wait_closed()


# ── start and its token ───────────────────────────────────────────────────────────


async def test_a_socket_that_does_not_start_is_closed(tmp_path: Path) -> None:
    before = refused("no_start")
    async with running(settings(tmp_path), start_deadline=0.05) as server:
        socket = await server.dial()
        socket.send({"event": "connected"})
        assert await socket.closed() == 1008
    assert refused("no_start") == before + 1


@pytest.mark.parametrize("token", ["", "guess", "x" * 400])
async def test_a_wrong_token_is_refused(server: Running, token: str) -> None:
    await server.voice()
    socket = await server.dial()
    socket.start(token, "CA1")
    assert await socket.closed() == 1008
    assert server.switchboard.sessions == []


async def test_a_token_of_another_call_is_refused(server: Running) -> None:
    token = (await server.voice("CA1")).token
    await server.voice("CA2")
    socket = await server.dial()
    socket.start(token, "CA2")
    assert await socket.closed() == 1008


async def test_a_second_socket_with_the_same_start_is_refused_and_the_first_goes_on(server: Running) -> None:
    twiml = await server.voice()
    first, session = await server.connect(twiml)
    second = await server.dial()
    second.start(twiml.token, "CA1")
    assert await second.closed() == 1008
    first.media(1)
    await first.echo()
    assert server.switchboard.sessions == [session]


async def test_of_two_tokens_of_a_retried_webhook_one_gets_the_call(server: Running) -> None:
    one, two = await server.voice(), await server.voice()
    assert one.token != two.token
    first, _ = await server.connect(one)
    second = await server.dial()
    second.start(two.token, "CA1")
    assert await second.closed() == 1008
    assert not first.gone.is_set()


async def test_a_repeated_start_on_one_socket_is_dropped(server: Running) -> None:
    twiml = await server.voice()
    socket, _ = await server.connect(twiml)
    before = dropped("repeated_start")
    socket.start(twiml.token, "CA1")
    socket.media(1)
    await socket.echo()
    assert dropped("repeated_start") == before + 1
    assert len(server.switchboard.sessions) == 1


@pytest.mark.parametrize("media_format", [{"encoding": "audio/x-l16"}, {"sampleRate": 16000}, {"channels": 2}])
async def test_another_codec_is_refused_and_the_token_stays_good(
    server: Running, media_format: dict[str, object]
) -> None:
    twiml = await server.voice()
    before = dropped("wrong_codec")
    socket = await server.dial()
    socket.start(twiml.token, "CA1", **media_format)
    assert await socket.closed() == 1003
    assert dropped("wrong_codec") == before + 1
    await server.connect(twiml)


async def test_another_codec_in_a_repeated_start_does_not_end_the_call(server: Running) -> None:
    twiml = await server.voice()
    socket, _ = await server.connect(twiml)
    socket.start(twiml.token, "CA1", encoding="audio/x-l16")
    socket.media(1)
    await socket.echo()


async def test_audio_that_comes_while_the_token_is_looked_up_is_not_lost(server: Running) -> None:
    twiml = await server.voice()
    socket = await server.dial()
    socket.start(twiml.token, "CA1")
    for chunk in range(1, 6):
        socket.media(chunk, bytes([chunk]) * 160)
    assert [(await socket.echo())[0] for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_a_database_that_fails_refuses_the_socket_and_keeps_the_call(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from talkspurt.errors import StoreError

    async def fail(token: str, sid: str) -> None:
        raise StoreError("gone")

    twiml = await server.voice()
    with monkeypatch.context() as patch:
        patch.setattr(server.store.tokens, "redeem", fail)
        socket = await server.dial()
        socket.start(twiml.token, "CA1")
        assert await socket.closed() == 1013
    await server.connect(twiml)


# ── frames ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"event":"media","media":{', "malformed_json"),
        (b"\xff\xfe\x00", "malformed_json"),
        (b'{"event":"weather"}', "unknown_event"),
        (b'{"event":"media","media":{"payload":"%%%"}}', "bad_base64"),
        (b'{"event":"dtmf","dtmf":{"digit":"12345"}}', "invalid_message"),
        (
            json.dumps({**media_message(1), "media": {"payload": "AAAA", "track": "outbound"}}).encode(),
            "unexpected_track",
        ),
    ],
)
async def test_a_bad_message_is_dropped_and_counted_and_the_call_goes_on(
    server: Running, data: bytes, reason: str
) -> None:
    socket, _ = await server.call()
    before = dropped(reason)
    socket.send_raw(data)
    socket.media(1, b"\x42" * 160)
    assert await socket.echo() == b"\x42" * 160
    assert dropped(reason) == before + 1


async def test_a_binary_frame_is_dropped_and_counted(server: Running) -> None:
    socket, _ = await server.call()
    before = dropped("binary")
    socket.send_raw(bytes(320), WSMsgType.BINARY)
    socket.media(1)
    await socket.echo()
    assert dropped("binary") == before + 1


async def test_messages_before_start_are_dropped_and_counted(server: Running) -> None:
    twiml = await server.voice()
    before = dropped("before_start")
    socket = await server.dial()
    socket.media(1)
    socket.start(twiml.token, "CA1")
    await server.switchboard.next_session()
    assert dropped("before_start") == before + 1


async def test_fragmented_messages_are_put_together(server: Running) -> None:
    socket, _ = await server.call()
    data = json.dumps(media_message(1, b"\x21" * 160)).encode()
    socket.send_raw(data[:50], fin=False)
    socket.send_raw(data[50:51], WSMsgType.CONTINUATION, fin=False)
    socket.transport.send_ping(b"between fragments")
    socket.send_raw(data[51:], WSMsgType.CONTINUATION)
    assert await socket.echo() == b"\x21" * 160
    assert await asyncio.wait_for(socket.pongs.get(), 5) == b"between fragments"


async def test_a_fragmented_start_attaches_the_call(server: Running) -> None:
    twiml = await server.voice()
    socket = await server.dial()
    data = json.dumps(start_message(twiml.token, "CA1")).encode()
    socket.send_raw(data[:100], fin=False)
    socket.send_raw(data[100:], WSMsgType.CONTINUATION)
    await server.switchboard.next_session()


async def test_fragments_out_of_place_are_dropped_and_counted(server: Running) -> None:
    socket, _ = await server.call()
    stray, unfinished = dropped("stray_continuation"), dropped("unfinished_message")
    socket.send_raw(b"x", WSMsgType.CONTINUATION)
    socket.send_raw(b"half of a message", fin=False)
    socket.media(1, b"\x33" * 160)
    assert await socket.echo() == b"\x33" * 160
    assert (dropped("stray_continuation"), dropped("unfinished_message")) == (stray + 1, unfinished + 1)


async def test_a_frame_over_64_kb_closes_the_socket_and_no_other(server: Running) -> None:
    other, _ = await server.call("CA2")
    socket, session = await server.call()
    before = refused("oversized")
    socket.send_raw(b"x" * (MAX_MESSAGE_BYTES + 1))
    assert await socket.closed() == 1009
    assert (await session.over).reason == "line_lost"
    assert refused("oversized") == before + 1
    other.media(1)
    await other.echo()


async def test_fragments_that_grow_over_64_kb_close_the_socket(server: Running) -> None:
    socket, _ = await server.call()
    socket.send_raw(b"x" * 40_000, fin=False)
    socket.send_raw(b"x" * 40_000, WSMsgType.CONTINUATION, fin=False)
    assert await socket.closed() == 1009


async def test_a_flood_closes_the_socket_and_no_other(server: Running) -> None:
    other, _ = await server.call("CA2")
    socket, session = await server.call()
    before = refused("flood")
    for chunk in range(1, FLOOD):
        socket.media(chunk)
    assert await socket.closed() == 1008
    assert session.heard < FLOOD - BURST
    assert refused("flood") == before + 1
    other.media(1)
    await other.echo()


async def test_a_flood_of_pings_closes_the_socket(server: Running) -> None:
    socket = await server.dial()
    for _ in range(FLOOD):
        socket.transport.send_ping(b"x")
    assert await socket.closed() == 1008


async def test_an_exception_while_a_frame_is_handled_is_counted_and_the_call_goes_on(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket, _ = await server.call()
    before = total("talkspurt_frame_errors_total")

    failed = asyncio.Event()

    def fail(data: bytes) -> None:
        failed.set()
        raise RuntimeError("bug")

    with monkeypatch.context() as patch:
        patch.setattr("talkspurt.server.media_socket.parse", fail)
        socket.media(1)
        await asyncio.wait_for(failed.wait(), 5)
    socket.media(2)
    await socket.echo()
    assert total("talkspurt_frame_errors_total") == before + 1


# ── endings ───────────────────────────────────────────────────────────────────────


async def test_a_socket_that_drops_is_a_lost_line_not_a_hang_up(server: Running) -> None:
    socket, session = await server.call()
    socket.drop()
    assert (await asyncio.wait_for(session.over, 5)).reason == "line_lost"
    assert session.told == [("closed", False)]


async def test_an_orderly_close_of_the_carrier_is_answered(server: Running) -> None:
    socket, session = await server.call()
    socket.transport.send_close(1000)  # type: ignore[arg-type]
    assert await socket.closed() == 1000
    assert (await session.over).reason == "line_lost"


async def test_the_end_is_written_down_before_the_socket_closes(server: Running) -> None:
    """The carrier asks /twilio/resume the moment we close, and must not be told to reconnect."""
    socket, session = await server.call()
    session.end("agent_goodbye")
    session.transport.close()
    assert await socket.closed() == 1000
    assert (await server.resume()).verbs == ["Hangup"]
