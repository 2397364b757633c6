"""Calls live, are handed over and end; only the attachment that owns a call may write to it."""

import asyncio
from datetime import UTC
from functools import partial

import pytest
from sqlalchemy import select

from talkspurt.core.history import AgentSaid
from talkspurt.errors import StoreError
from talkspurt.store import Call, Store
from talkspurt.store.calls import Snapshot
from talkspurt.store.database import Database, HeldError
from talkspurt.store.tables import calls

from .conftest import HandClock


async def attach(store: Store, call: Call) -> Call:
    current = await store.calls.find(call.id)
    assert current is not None
    attachment = await store.tokens.redeem(await store.tokens.issue(current), call.carrier_call_id)
    assert attachment is not None
    return attachment.call


async def found(store: Store, call: Call) -> Call:
    current = await store.calls.find(call.id)
    assert current is not None
    return current


async def test_a_new_call_is_live_and_has_no_attachment(store: Store, call: Call, clock: HandClock) -> None:
    assert (call.state, call.attachment, call.failures, call.snapshot) == ("live", 0, 0, None)
    assert call.created_at == clock.now
    assert call.created_at.tzinfo is UTC
    assert await found(store, call) == call
    assert await store.calls.by_carrier_id("CA1") == call
    assert await store.calls.by_carrier_id("CA2") is None


async def test_fifty_copies_of_one_webhook_make_one_call(store: Store) -> None:
    admitted = await asyncio.gather(
        *(
            store.calls.admit(carrier_call_id="CA9", caller="", dialled="+1", agent="retail", locale="en-US")
            for _ in range(50)
        )
    )
    assert len({call.id for call in admitted}) == 1
    assert await store.calls.count("live") == 1


async def test_a_snapshot_is_kept_for_the_owner_only(store: Store, call: Call) -> None:
    await attach(store, call)
    assert await store.calls.save_snapshot(call.id, attachment=1, snapshot="one")
    await attach(store, call)
    assert not await store.calls.save_snapshot(call.id, attachment=1, snapshot="stale")
    assert (await found(store, call)).snapshot == "one"
    assert await store.calls.save_snapshot(call.id, attachment=2, snapshot="two")
    assert (await found(store, call)).snapshot == "two"


async def admitted(store: Store, *carrier_ids: str) -> list[Call]:
    new = partial(store.calls.admit, caller="", dialled="+1", agent="retail", locale="en-US")
    return [await attach(store, await new(carrier_call_id=carrier_id)) for carrier_id in carrier_ids]


async def test_of_several_snapshots_each_is_kept_for_its_owner_only(store: Store) -> None:
    ours, superseded, over, also_ours = await admitted(store, "CA1", "CA2", "CA3", "CA4")
    for call in (ours, superseded, over, also_ours):
        assert await store.calls.save_snapshot(call.id, attachment=1, snapshot="before")
    await attach(store, superseded)
    await store.calls.end(over.id, "caller_hung_up")
    done = await store.calls.save_snapshots(
        [Snapshot(call.id, 1, f"of {call.carrier_call_id}") for call in (ours, superseded, over, also_ours)]
    )
    assert done == {ours.id, superseded.id, over.id, also_ours.id}
    stored = [(await found(store, call)).snapshot for call in (ours, superseded, over, also_ours)]
    assert stored == ["of CA1", "before", "before", "of CA4"]
    assert await store.calls.save_snapshots([Snapshot("no-such-call", 1, "lost")]) == frozenset()


async def test_whoever_holds_the_row_of_one_call_does_not_keep_the_others_waiting(store: Store, url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("on SQLite the lock is its file's")
    held, free = await admitted(store, "CA1", "CA2")
    other = Database(url)
    try:
        async with other.write() as connection:
            await connection.execute(select(calls.c.fence).where(calls.c.id == held.id).with_for_update(read=True))
            done = await store.calls.save_snapshots([Snapshot(held.id, 1, "held"), Snapshot(free.id, 1, "free")])
            with pytest.raises(HeldError):
                async with asyncio.timeout(3.0):
                    await store.calls.save_snapshot(held.id, attachment=1, snapshot="held")
        assert done == {free.id}
        assert [(await found(store, call)).snapshot for call in (held, free)] == [None, "free"]
        assert await store.calls.save_snapshot(held.id, attachment=1, snapshot="held")
    finally:
        await other.aclose()


async def test_a_handover_can_be_taken_back(store: Store, call: Call) -> None:
    await attach(store, call)
    assert not await store.calls.take_back(call.id)
    assert not await store.calls.hand_over(call.id, attachment=7, target="billing")
    assert await store.calls.hand_over(call.id, attachment=1, target="billing")
    assert ((await found(store, call)).state, (await found(store, call)).handover_target) == ("handover", "billing")
    assert await store.calls.take_back(call.id)
    assert (await found(store, call)).state == "live"


async def test_a_call_ends_once_and_keeps_its_first_reason(store: Store, call: Call, clock: HandClock) -> None:
    clock.advance(30)
    assert await store.calls.end(call.id, "agent_goodbye")
    clock.advance(30)
    assert not await store.calls.end(call.id, "caller_hung_up")
    ended = await found(store, call)
    assert (ended.state, ended.end_reason) == ("ended", "agent_goodbye")
    assert ended.ended_at is not None
    assert (ended.ended_at - ended.created_at).total_seconds() == 30


async def test_a_superseded_attachment_cannot_end_the_call(store: Store, call: Call) -> None:
    await attach(store, call)
    await attach(store, call)
    assert not await store.calls.end(call.id, "agent_goodbye", attachment=1)
    assert await store.calls.end(call.id, "agent_goodbye", attachment=2)


async def test_an_ended_call_takes_no_snapshot_no_handover_and_no_new_attachment(store: Store, call: Call) -> None:
    current = await attach(store, call)
    token = await store.tokens.issue(current)
    await store.calls.end(call.id, "caller_hung_up")
    assert not await store.calls.save_snapshot(call.id, attachment=1, snapshot="late")
    assert not await store.calls.hand_over(call.id, attachment=1, target="billing")
    assert await store.tokens.redeem(token, call.carrier_call_id) is None


async def test_failures_are_counted(store: Store, call: Call) -> None:
    assert [await store.calls.record_failure(call.id) for _ in range(2)] == [1, 2]
    assert await store.calls.record_failure("unknown") == 0


async def test_a_failing_database_is_a_store_error_that_does_not_show_values(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        await store.calls.admit(
            carrier_call_id=None,  # type: ignore[arg-type]
            caller="+12025550177",
            dialled="+1",
            agent="retail",
            locale="en-US",
        )
    assert "+12025550177" not in str(caught.value)


async def test_a_rehearsal_leaves_nothing_behind_and_the_first_call_has_no_statement_to_word(url: str) -> None:
    store = await Store.open(url)
    compiled = store._database._engine.sync_engine._compiled_cache
    assert compiled is not None
    await store.rehearse()
    worded = len(compiled)
    assert worded >= 12
    assert await store.calls.count("ended") == await store.calls.count("live") == 0
    counted = len(compiled) - worded
    call = await store.calls.admit(carrier_call_id="CA1", caller="", dialled="", agent="", locale="")
    attachment = await store.tokens.redeem(await store.tokens.issue(call), "CA1")
    assert attachment is not None
    assert await store.calls.take(call.id, attachment=attachment.number) == 1
    store.turns.append(call.id, AgentSaid("Hello."))
    assert await store.turns.flush()
    assert await store.calls.end(call.id, "caller_hung_up", attachment=attachment.number)
    assert len(compiled) == worded + counted
    await store.aclose()
