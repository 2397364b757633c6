"""Callers who wait for room are bounded, and none of them is sent away for another."""

from pathlib import Path

from talkspurt.server.waiting import SEAT_KEPT, WaitingRoom

from .conftest import Running, Twiml, running, settings


async def asks(server: Running, sid: str, waited: int = 0) -> list[str]:
    """What a caller hears who asks for room for the first time, or has waited."""
    path = f"/twilio/voice?waits={waited}" if waited else "/twilio/voice"
    answer = await server.post(path, {"CallSid": sid, "From": "anonymous", "To": "+12025550100"})
    return Twiml(answer.text).verbs


async def test_no_more_callers_wait_than_there_are_lines(tmp_path: Path) -> None:
    config = settings(tmp_path, server={"max_calls": 2, "when_full": "wait", "longest_wait": 60.0})
    async with running(config) as server:
        socket, _ = await server.call("CA1")
        await server.call("CA2")
        for sid in ("CA3", "CA4"):
            assert await asks(server, sid) == ["Say", "Pause", "Redirect"]
        assert await asks(server, "CA5") == ["Say", "Hangup"]
        assert await asks(server, "CA3") == ["Say", "Pause", "Redirect"], "the carrier asks twice"
        assert await asks(server, "CA4", waited=1) == ["Pause", "Redirect"]
        assert await asks(server, "CA6", waited=2) == ["Pause", "Redirect"], "who waits already is not sent away"
        assert await asks(server, "CA6", waited=12) == ["Say", "Hangup"], "he has waited for long enough"
        socket.hang_up()
        await socket.closed()
        assert await asks(server, "CA4", waited=2) == ["Connect", "Redirect"]
        assert await asks(server, "CA5") == ["Say", "Pause", "Redirect"], "his seat is free"
        assert await server.status("completed", "CA3") == 204
        assert await asks(server, "CA7") == ["Say", "Pause", "Redirect"], "and that of who has hung up"
        assert await asks(server, "CA8") == ["Say", "Hangup"]


def test_a_seat_is_kept_until_its_caller_must_have_asked_again() -> None:
    now = 0.0
    told: list[tuple[str, str]] = []
    room = WaitingRoom(2, tell=lambda kind, sid: told.append((kind, sid)), now=lambda: now)
    assert room.takes("CA1", waits_already=False)
    room.note("CA2")
    assert not room.takes("CA3", waits_already=False)
    now = SEAT_KEPT / 2
    assert room.takes("CA1", waits_already=False)
    now = SEAT_KEPT
    assert room.takes("CA3", waits_already=False), "another worker's caller has gone"
    assert not room.takes("CA4", waits_already=False)
    assert told == [("waits", "CA1"), ("waits", "CA1"), ("waits", "CA3")]
