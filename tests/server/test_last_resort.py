"""An agent that can go on no longer gives the caller to a person, or has one call back; it never makes things worse."""

import asyncio

import pytest

from talkspurt.agent import Caller
from talkspurt.agent.handover import HandoverAnswer
from talkspurt.errors import StoreError
from talkspurt.server.handover import last_resort
from talkspurt.server.handover.last_resort import finds_person
from talkspurt.testing.handover import MemoryDesk


def caller() -> Caller:
    return Caller(call_id="c1", number="+12025550177")


async def test_the_caller_is_handed_over_when_somebody_is_there() -> None:
    desk = MemoryDesk(("service", "billing"))
    assert await finds_person(desk, caller(), "no_reply")
    assert desk.handed_over == [("service", "The agent could not go on (no_reply).")]


async def test_a_call_back_is_noted_when_nobody_is_there() -> None:
    desk = MemoryDesk(("service",), opens="tomorrow at 9 AM")
    assert not await finds_person(desk, caller(), "no_reply")
    assert "c1" in desk.callbacks


async def test_a_call_back_is_noted_where_nobody_can_be_put_through_to() -> None:
    desk = MemoryDesk()
    assert not await finds_person(desk, caller(), "no_speech")
    assert desk.callbacks["c1"] == ("+12025550177", None, "The agent could not go on (no_speech).")


async def test_nothing_is_promised_to_a_number_that_is_withheld() -> None:
    desk = MemoryDesk()
    assert not await finds_person(desk, Caller(call_id="c1", number=""), "no_speech")
    assert not desk.callbacks


class BrokenDesk(MemoryDesk):
    """Its database is gone, or answers never."""

    hangs = False

    async def hand_over(
        self, caller: Caller, *, target: str | None, reason: str, last_resort: bool = False
    ) -> HandoverAnswer:
        if self.hangs:
            await asyncio.sleep(60)
        raise StoreError("the database is gone")


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_desk_that_fails_or_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    monkeypatch.setattr(last_resort, "PATIENCE", 0.05)
    desk = BrokenDesk(("service",))
    desk.hangs = hangs
    async with asyncio.timeout(5):
        assert not await finds_person(desk, caller(), "no_reply")
