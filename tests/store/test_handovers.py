"""Hand-overs and call-backs in the store: one place at a time, one caller a line, each step once."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from store.conftest import HandClock
from talkspurt.store import Call, Handover, Store
from talkspurt.store.clock import DatabaseTime
from talkspurt.store.database import Database
from talkspurt.store.handovers import LONGEST_TALK, OPEN, VANISHED
from talkspurt.store.tables import handovers


async def asks(store: Store, number: int, target: str = "billing") -> Handover:
    """A new call that waits for a person."""
    call = await store.calls.admit(
        carrier_call_id=f"CA-{target}-{number}", caller="", dialled="", agent="retail", locale="en-US"
    )
    handover = await store.handovers.request(call.id, target=target, reason="A bill")
    moved = await store.handovers.move(handover, "waiting", leaving=("requested",))
    assert moved is not None
    return moved


async def test_a_call_is_handed_over_to_one_place_at_a_time(store: Store, call: Call) -> None:
    first, second = await asyncio.gather(
        *(store.handovers.request(call.id, target=target, reason="") for target in ("billing", "returns"))
    )
    assert first.id == second.id
    assert await store.handovers.move(first, "failed", leaving=OPEN, cause="busy", detail="busy")
    assert (await store.handovers.request(call.id, target="returns", reason="")).id != first.id
    assert await store.handovers.failures_of(call.id, besides=("came_back",)) == 1
    assert await store.handovers.failures_of(call.id, besides=("busy",)) == 0
    steps = await store.handovers.steps(first.id)
    assert [(step.state, step.detail) for step in steps if step.detail != "asked_again"] == [
        ("requested", ""),
        ("failed", "busy"),
    ]


async def test_what_is_asked_for_last_counts_while_nobody_has_left_for_it(
    store: Store, call: Call, clock: HandClock
) -> None:
    """An earlier request may have lost its tool, or its process: the call went on as if there were none."""
    first = await store.handovers.request(call.id, target="billing", reason="A bill")
    clock.advance(VANISHED.total_seconds() + 1)
    second = await store.handovers.request(call.id, target="returns", reason="A lamp", account="maya", level=1)
    assert (second.id, second.state) == (first.id, "requested")
    assert (second.target, second.reason, second.account, second.level) == ("returns", "A lamp", "maya", 1)
    assert second.requested_at - first.requested_at > VANISHED, "its caller has not been waiting since then"
    assert await store.handovers.load("billing") == (0, 0)
    assert await store.handovers.load("returns") == (0, 1)
    steps = await store.handovers.steps(first.id)
    assert [(step.target, step.detail) for step in steps] == [("billing", ""), ("returns", "asked_again")]
    waiting = await store.handovers.move(second, "waiting", leaving=("requested",))
    assert waiting is not None
    late = await store.handovers.request(call.id, target="billing", reason="A bill")
    assert (late.state, late.target) == ("waiting", "returns"), "the caller has left for it"


async def test_whoever_asks_for_the_same_place_again_keeps_their_place(
    store: Store, call: Call, clock: HandClock
) -> None:
    await store.handovers.request(call.id, target="billing", reason="A bill")
    clock.advance(1)
    other = await asks(store, 1)
    clock.advance(1)
    again = await store.handovers.request(call.id, target="billing", reason="Two bills")
    assert await store.handovers.ahead(again) == 0
    elsewhere = await store.handovers.request(call.id, target="returns", reason="Two bills")
    clock.advance(1)
    back = await store.handovers.request(call.id, target="billing", reason="Two bills")
    assert elsewhere.queued_at < back.queued_at
    assert await store.handovers.ahead(back) == 1
    assert await store.handovers.ahead(other) == 0


async def test_a_step_is_made_once_and_only_from_where_it_may(store: Store) -> None:
    waiting = await asks(store, 1)
    ringing = await store.handovers.claim(waiting, 1)
    assert ringing is not None
    assert (ringing.state, ringing.line, ringing.attempt) == ("ringing", 0, 1)
    assert await store.handovers.claim(waiting, 1) is None, "a repeated request rings nobody twice"
    moves = await asyncio.gather(
        *(
            store.handovers.move(ringing, to, leaving=("ringing",), attempt=1)
            for to in ("briefing", "failed", "canceled")
        )
    )
    assert len([move for move in moves if move is not None]) == 1
    assert await store.handovers.move(ringing, "completed", leaving=("ringing",)) is None
    assert await store.handovers.move(ringing, "completed", leaving=OPEN, attempt=2) is None, "another attempt's news"


@pytest.mark.parametrize("lines", [1, 2])
async def test_no_more_are_rung_for_than_there_are_lines_whoever_asks_first(
    store: Store, clock: HandClock, lines: int
) -> None:
    waiting = []
    for number in range(5):
        waiting.append(await asks(store, number))
        clock.advance(1)
    claims = await asyncio.gather(*(store.handovers.claim(each, lines) for each in waiting for _ in range(3)))
    rung = [claim for claim in claims if claim is not None]
    assert len(rung) <= lines
    for _ in range(5):
        for each in waiting:
            claim = await store.handovers.claim(each, lines)
            rung += [claim] if claim is not None else []
    assert sorted(claim.line or 0 for claim in rung) == list(range(lines))
    assert {claim.id for claim in rung} == {each.id for each in waiting[:lines]}, "in the order they came"
    assert await store.handovers.load("billing") == (lines, 5 - lines)


async def test_a_line_that_is_free_again_goes_to_whoever_has_waited_longest(store: Store, clock: HandClock) -> None:
    first = await asks(store, 1)
    clock.advance(1)
    second, third = await asks(store, 2), await asks(store, 3, "returns")
    clock.advance(1)
    ringing = await store.handovers.claim(first, 1)
    assert ringing is not None
    assert await store.handovers.claim(second, 1) is None
    # Nobody takes the third where it was: it comes here, and has waited as long as before.
    moved = await store.handovers.move(third, "waiting", leaving=("waiting",), target="billing", tried=("returns",))
    assert moved is not None
    assert moved.tried == ("returns",)
    late = await asks(store, 4)
    assert await store.handovers.ahead(late) == 2
    assert await store.handovers.move(ringing, "completed", leaving=OPEN)
    assert await store.handovers.claim(late, 1) is None


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("", ()),
        ("returns night", ("returns", "night")),
        ('["front desk", "night"]', ("front desk", "night")),
        ('["billing"] front_desk', ('["billing"]', "front_desk")),
        ("[vip] night", ("[vip]", "night")),
        ("[1]", ("[1]",)),
    ],
)
async def test_places_that_were_tried_are_read_as_this_and_earlier_versions_wrote_them_or_both(
    url: str, store: Store, written: str, names: tuple[str, ...]
) -> None:
    waiting = await asks(store, 1)
    database = Database(url)
    async with database.write() as connection:
        await connection.execute(update(handovers).where(handovers.c.id == waiting.id).values(tried=written))
    await database.aclose()
    found = await store.handovers.find(waiting.id)
    assert found is not None
    assert found.tried == names


async def test_whoever_is_not_heard_of_any_more_holds_no_line_and_no_place(store: Store, clock: HandClock) -> None:
    first = await asks(store, 1)
    clock.advance(1)
    second = await asks(store, 2)
    ringing = await store.handovers.claim(first, 1)
    assert ringing is not None
    clock.advance(VANISHED.total_seconds() + 1)
    await store.handovers.seen(second)
    assert await store.handovers.load("billing") == (0, 1)
    assert await store.handovers.claim(second, 1) is not None
    steps = await store.handovers.steps(first.id)
    assert (steps[-1].state, steps[-1].detail) == ("canceled", "vanished")


async def test_whoever_listens_to_the_briefing_keeps_the_line_though_the_caller_is_not_heard_of(
    store: Store, clock: HandClock
) -> None:
    """Their line plays them a long piece of music; the colleague's telephone is heard of."""
    first = await asks(store, 1)
    clock.advance(1)
    waiting = await asks(store, 2)
    ringing = await store.handovers.claim(first, 1)
    assert ringing is not None
    clock.advance(VANISHED.total_seconds() - 1)
    assert await store.handovers.move(ringing, "briefing", leaving=("ringing",))
    clock.advance(VANISHED.total_seconds() - 1)
    await store.handovers.seen(waiting)
    assert await store.handovers.load("billing") == (1, 1)
    assert await store.handovers.claim(waiting, 1) is None
    clock.advance(2)
    assert await store.handovers.claim(waiting, 1) is not None


async def test_a_worker_whose_clock_is_ahead_takes_no_caller_for_gone(url: str, store: Store, clock: HandClock) -> None:
    """One worker rings for a caller, and another, five minutes ahead, is asked for the same line."""
    database = Database(url)
    ahead = Store(
        database, lambda: clock.now + timedelta(minutes=5), database_time=DatabaseTime(database, lambda: clock.now)
    )
    try:
        ringing = await store.handovers.claim(await asks(store, 1), 1)
        assert ringing is not None
        clock.advance(1)
        assert await ahead.handovers.claim(await asks(ahead, 2), 1) is None
        assert await ahead.handovers.load("billing") == (1, 1)
        found = await store.handovers.find(ringing.id)
        assert found is not None
        assert (found.state, found.line) == ("ringing", 0)
    finally:
        await database.aclose()


async def test_who_speaks_with_a_person_is_not_taken_for_gone(store: Store, clock: HandClock) -> None:
    first = await asks(store, 1)
    clock.advance(1)
    second = await asks(store, 2)
    ringing = await store.handovers.claim(first, 1)
    assert ringing is not None
    assert await store.handovers.move(ringing, "connected", leaving=("ringing",))
    clock.advance(3600)
    await store.handovers.seen(second)
    assert await store.handovers.claim(second, 1) is None
    clock.advance(LONGEST_TALK.total_seconds())
    await store.handovers.seen(second)
    assert await store.handovers.claim(second, 1) is not None


async def test_the_outgoing_call_of_somebody_who_has_gone_is_not_kept(store: Store) -> None:
    waiting = await asks(store, 1)
    ringing = await store.handovers.claim(waiting, 1)
    assert ringing is not None
    assert await store.handovers.note_leg(ringing, "CA-leg")
    assert await store.handovers.move(ringing, "canceled", leaving=OPEN)
    assert not await store.handovers.note_leg(ringing, "CA-leg")
    found = await store.handovers.find(ringing.id)
    assert found is not None
    assert (found.leg, found.line) == (None, None)


async def test_a_call_back_is_noted_once(store: Store, call: Call, clock: HandClock) -> None:
    noted = await asyncio.gather(
        *(store.callbacks.note(call.id, number="+12025550101", reason=reason) for reason in ("a", "b", "c"))
    )
    assert sum(noted) == 1
    (callback,) = await store.callbacks.outstanding()
    clock.advance(60)
    assert await store.callbacks.done(call.id)
    assert not await store.callbacks.done(call.id)
    assert await store.callbacks.outstanding() == ()
    assert not await store.callbacks.note(call.id, number="+12025550101", reason="d"), "nor after it was made"
    found = await store.callbacks.find(call.id)
    assert found is not None
    assert (found.reason, found.done_at) == (callback.reason, clock.now)
