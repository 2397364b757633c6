"""Effects happen once: every transition is committed, conditional, fenced, and refused a second time."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import select

from store.conftest import POSTGRESQL, HandClock
from talkspurt.errors import StaleOwnerError, StoreError
from talkspurt.ports import EffectLedger, EffectLimit, EffectRecord
from talkspurt.store import Call, SqlEffectLedger, Store
from talkspurt.store import clock as clock_module
from talkspurt.store.effects import EffectRecords
from talkspurt.store.handovers import OPEN, State
from talkspurt.store.tables import effect_transitions


@pytest.fixture
async def ledger(store: Store, call: Call) -> SqlEffectLedger:
    return await taken(store, call)


async def taken(store: Store, call: Call) -> SqlEffectLedger:
    fence = await store.calls.take(call.id, attachment=call.attachment)
    assert fence is not None
    return store.effects.ledger(call.id, fence)


@pytest.fixture(autouse=True)
def nothing_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every test here, what a sweeper's round would expire or claim has been seen by its look before."""

    def watched(name: str, tools: Callable[..., Collection[str]]) -> None:
        search = getattr(EffectRecords, name)

        async def search_what_waits(records: EffectRecords, *arguments: Any, **options: Any) -> Any:
            waits = await records.any_waits(tools(*arguments))
            found = await search(records, *arguments, **options)
            assert waits or not found, f"{name} has found {found}"
            return found

        monkeypatch.setattr(EffectRecords, name, search_what_waits)

    watched("expire", frozenset)
    watched("claim", lambda tools: tools)


def refund(call: Call, proposal: str, *, amount: int = 5, subject: str = "maya") -> EffectRecord:
    arguments = f'{{"amount":{amount}}}'
    return EffectRecord(proposal, call.id, "offer_refund", arguments, "proposed", account="maya", subject=subject)


async def confirmed(ledger: EffectLedger, record: EffectRecord) -> str:
    proposal = (await ledger.propose(record)).proposal
    await ledger.read_back(proposal, heard_at=12.5)
    await ledger.confirm(proposal, turn=3, key=f"key-{proposal}-{record.call_id}")
    return proposal


async def begun(ledger: EffectLedger, record: EffectRecord, **limits: Any) -> EffectRecord | None:
    return await ledger.begin(await confirmed(ledger, record), patience=10, **limits)


async def test_the_ledger_fits_the_port(ledger: SqlEffectLedger, call: Call) -> None:
    port: EffectLedger = ledger
    assert await port.propose(refund(call, "p1")) == refund(call, "p1")


async def test_every_transition_leaves_its_row(store: Store, ledger: SqlEffectLedger, call: Call) -> None:
    await begun(ledger, refund(call, "p1"))
    await ledger.finish("p1", state="in_doubt", result="{}")
    await store.effects.resolve("p1", result='{"ok":true}')
    assert await store.effects.transitions("p1") == (
        *("proposed", "read_back", "confirmed", "executing"),
        *("in_doubt", "resolved_done"),
    )
    async with ledger._database.read() as connection:
        rows = await connection.execute(select(effect_transitions.c.state, effect_transitions.c.fence))
        fences = {row.state: row.fence for row in rows}
    assert fences == dict.fromkeys(("proposed", "read_back", "confirmed", "executing", "in_doubt"), 1) | {
        "resolved_done": None
    }
    (record,) = await store.effects.of_call(call.id)
    assert (record.state, record.turn, record.key, record.result) == (
        *("resolved_done", 3),
        *(f"key-p1-{call.id}", '{"ok":true}'),
    )


async def test_other_calls_have_other_effects(store: Store, ledger: SqlEffectLedger, call: Call) -> None:
    other = await store.calls.admit(
        carrier_call_id="CA2", caller="+12025550102", dialled="+12025550100", agent="retail", locale="en-US"
    )
    theirs = await taken(store, other)
    assert await begun(ledger, refund(call, "p1")) is not None
    assert await theirs.find("p1") is None
    assert not await theirs.read_back("p1", heard_at=1)
    assert await begun(theirs, refund(other, "p2")) is not None


async def test_proposing_the_same_id_again_returns_what_it_became(ledger: SqlEffectLedger, call: Call) -> None:
    await ledger.propose(refund(call, "p1"))
    await ledger.withdraw("p1")
    assert (await ledger.propose(refund(call, "p1"))).state == "withdrawn"


async def test_finishing_is_idempotent_but_not_revisable(ledger: SqlEffectLedger, call: Call) -> None:
    await begun(ledger, refund(call, "p1"))
    await ledger.finish("p1", state="done", result="{}")
    await ledger.finish("p1", state="done", result="{}")
    outcome: Literal["failed"] = "failed"
    with pytest.raises(StoreError, match="not executing"):
        await ledger.finish("p1", state=outcome, result="{}")
    with pytest.raises(StoreError, match="unknown"):
        await ledger.finish("p9", state=outcome, result="{}")


async def test_of_fifty_begins_exactly_one_executes(ledger: SqlEffectLedger, call: Call) -> None:
    await confirmed(ledger, refund(call, "p1"))
    results = await asyncio.gather(*(ledger.begin("p1", patience=10) for _ in range(50)))
    assert sum(result is not None for result in results) == 1


async def test_of_fifty_proposals_of_one_effect_exactly_one_executes(
    url: str, store: Store, ledger: SqlEffectLedger, call: Call
) -> None:
    """Even from two processes at once, one call does one thing once."""
    other = await Store.open(url)
    try:
        for number in range(50):
            await confirmed(ledger, refund(call, f"p{number}"))
        ledgers = [ledger, other.effects.ledger(call.id, 1)]
        results = await asyncio.gather(*(ledgers[n % 2].begin(f"p{n}", patience=10) for n in range(50)))
        assert sum(result is not None for result in results) == 1
    finally:
        await other.aclose()


# ── whose call it is ──────────────────────────────────────────────────────────────


async def test_whoever_lost_the_call_writes_nothing_more_about_it(
    store: Store, ledger: SqlEffectLedger, call: Call
) -> None:
    assert await begun(ledger, refund(call, "p1")) is not None
    await confirmed(ledger, refund(call, "p2", amount=6))
    await ledger.propose(refund(call, "p3", amount=7))
    heir = await taken(store, call)
    stale: list[Any] = [
        ledger.propose(refund(call, "p4", amount=8)),
        ledger.read_back("p3", heard_at=1),
        ledger.confirm("p3", turn=2, key="k"),
        ledger.begin("p2", patience=10),
        ledger.finish("p1", state="done", result="{}"),
        ledger.refuse("p3", result="{}"),
        ledger.withdraw("p3"),
    ]
    for write in stale:
        with pytest.raises(StaleOwnerError):
            await write
    states = {record.proposal: record.state for record in await store.effects.of_call(call.id)}
    assert states == {"p1": "executing", "p2": "expired", "p3": "expired"}, "what waited for a yes has expired"
    await heir.finish("p1", state="done", result="{}")


async def test_nobody_takes_a_call_up_while_its_effect_is_being_written(
    url: str, store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    """Otherwise a worker that has just lost the call could still begin what its heir believes to have expired."""
    other = await Store.open(url, clock=clock)
    try:
        async with store._database.write() as connection:
            await ledger._own(connection)
            heir = asyncio.create_task(other.calls.take(call.id, attachment=call.attachment))
            done, _ = await asyncio.wait({heir}, timeout=0.3)
            assert not done
        assert await heir == 2
    finally:
        await other.aclose()


async def test_a_call_that_nobody_took_has_no_effects(store: Store, call: Call) -> None:
    for fence in (0, 1):
        with pytest.raises(StaleOwnerError):
            await store.effects.ledger("no such call", fence).propose(refund(call, "p1"))
    with pytest.raises(StaleOwnerError):
        await store.effects.ledger(call.id, 1).propose(refund(call, "p1"))


async def test_only_the_attachment_that_has_a_live_call_takes_it(store: Store, call: Call) -> None:
    assert await store.calls.take(call.id, attachment=1) is None
    assert await store.calls.take(call.id, attachment=0) == 1
    assert await store.calls.take(call.id, attachment=0) == 2
    await store.calls.end(call.id, "test")
    assert await store.calls.take(call.id, attachment=0) is None


# ── how often ─────────────────────────────────────────────────────────────────────


async def test_a_rate_is_kept_when_it_is_proposed_and_when_it_begins(ledger: SqlEffectLedger, call: Call) -> None:
    limits = [EffectLimit(1, None)]
    await confirmed(ledger, refund(call, "p1"))
    await confirmed(ledger, refund(call, "p2", amount=6))
    first, second = [await ledger.begin(p, patience=10, limits=limits) for p in ("p1", "p2")]
    assert first is not None
    assert first.state == "executing"
    assert second is not None
    assert second.state == "refused"
    refused = await ledger.propose(refund(call, "p3", amount=7), limits=limits)
    assert refused.state == "refused"


async def test_a_rate_per_hour_counts_all_calls_of_an_account(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    limits = [EffectLimit(1, 3600)]
    other = await store.calls.admit(
        carrier_call_id="CA2", caller="+12025550102", dialled="+12025550100", agent="retail", locale="en-US"
    )
    theirs = await taken(store, other)
    await begun(ledger, refund(call, "p1"), limits=limits)
    assert (await theirs.propose(refund(other, "p2"), limits=limits)).state == "refused"
    assert (await theirs.propose(refund(other, "p3", subject="yusuf"), limits=limits)).state == "proposed"
    clock.advance(3601)
    assert (await theirs.propose(refund(other, "p4"), limits=limits)).state == "proposed"


async def test_of_ten_calls_at_once_a_rate_lets_one_begin(url: str, store: Store, clock: HandClock) -> None:
    other = await Store.open(url, clock=clock)
    try:
        begins = []
        for number in range(10):
            call = await store.calls.admit(
                carrier_call_id=f"CB{number}", caller="", dialled="+12025550100", agent="retail", locale="en-US"
            )
            ledger = await taken((store, other)[number % 2], call)
            proposal = await confirmed(ledger, refund(call, f"q{number}"))
            begins.append(ledger.begin(proposal, patience=10, limits=[EffectLimit(1, 3600)]))
        states = [record.state for record in await asyncio.gather(*begins) if record is not None]
        assert sorted(states) == ["executing", *["refused"] * 9]
    finally:
        await other.aclose()


# ── those who clean up ────────────────────────────────────────────────────────────


async def test_what_nobody_executes_any_more_is_claimed_once(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await begun(ledger, refund(call, "p1"))
    await confirmed(ledger, refund(call, "p2", amount=6))
    assert await store.effects.claim(["offer_refund"]) == ()
    clock.advance(11)
    claims = await asyncio.gather(*(store.effects.claim(["offer_refund"]) for _ in range(5)))
    assert [[record.proposal for record in claim] for claim in claims if claim] == [["p1"]]
    clock.advance(61)
    assert [record.proposal for record in await store.effects.claim([])] == ["p1"], "the sweeper died with its claim"


async def test_a_doubt_is_told_once_and_looked_up_again_only_where_it_can_be(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await begun(ledger, refund(call, "p1"))
    clock.advance(11)
    await store.effects.claim([])
    assert await store.effects.doubt("p1", result="{}")
    assert not await store.effects.doubt("p1", result="{}")
    assert [record.proposal for record in await store.effects.in_doubt()] == ["p1"]
    clock.advance(61)
    assert await store.effects.claim([]) == ()
    assert [record.proposal for record in await store.effects.claim(["offer_refund"])] == ["p1"]


async def test_doubts_that_nobody_can_settle_keep_none_from_its_turn(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    async def claimed() -> set[str]:
        return {record.proposal for record in await store.effects.claim(["offer_refund"], most=2)}

    for amount in (1, 2, 3):
        await begun(ledger, refund(call, f"old{amount}", amount=amount))
        clock.advance(1)
    clock.advance(11)
    assert await claimed() == {"old1", "old2"}, "the oldest first"
    for proposal in ("old1", "old2"):
        await store.effects.doubt(proposal, result="{}")
    clock.advance(1)
    await begun(ledger, refund(call, "new", amount=4))
    clock.advance(61)
    assert await claimed() == {"old3", "new"}, "whose outcome nobody has asked for yet"
    clock.advance(1)
    assert await claimed() == {"old1", "old2"}


@pytest.mark.skipif(POSTGRESQL is None, reason="a file of SQLite has the time of its machine: needs PostgreSQL")
async def test_a_worker_whose_clock_is_ahead_takes_nobody_for_gone(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("see above")
    ahead = datetime.now(UTC) + timedelta(seconds=30)
    store = await Store.open(url)
    monkeypatch.setattr(clock_module, "utc_now", lambda: ahead)
    other = await Store.open(url)
    try:
        call = await store.calls.admit(carrier_call_id="CA9", caller="", dialled="", agent="retail", locale="en-US")
        await begun(await taken(store, call), refund(call, "p1"))
        assert await other.effects.claim({"offer_refund"}) == ()
        held = await taken(other, call)
        await held.hold("p1", patience=-1)
        assert [record.proposal for record in await store.effects.claim({"offer_refund"})] == ["p1"]
    finally:
        await other.aclose()
        await store.aclose()


async def test_what_is_held_is_not_taken_for_gone(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await begun(ledger, refund(call, "p1"))
    await taken(store, call)
    clock.advance(9)
    await ledger.hold("p1", patience=10)
    clock.advance(9)
    assert await store.effects.claim({"offer_refund"}) == (), "whoever has the call by now"
    clock.advance(2)
    assert len(await store.effects.claim({"offer_refund"})) == 1


async def test_where_nothing_waits_nobody_is_kept_from_writing(store: Store, call: Call, clock: HandClock) -> None:
    assert not await store.effects.any_waits(["offer_refund"])
    ledger = await taken(store, call)
    await confirmed(ledger, refund(call, "p1"))
    await begun(ledger, refund(call, "p2", amount=6))
    await begun(ledger, refund(call, "p3", amount=7))
    await ledger.finish("p3", state="done", result="{}")
    async with store.effects._database.write():
        assert not await store.effects.any_waits(["offer_refund"]), "all of them may still be under way"
    clock.advance(11)
    assert await store.effects.any_waits([]), "nobody executes p2 any more"


async def test_what_is_known_is_not_found_out_otherwise(store: Store, ledger: SqlEffectLedger, call: Call) -> None:
    await begun(ledger, refund(call, "p1"))
    await ledger.finish("p1", state="done", result="{}")
    assert not await store.effects.resolve("p1", result=None)
    assert (await ledger.propose(refund(call, "p2"))).proposal == "p1", "or it would be done a second time"


async def test_what_is_in_doubt_is_not_looked_up_before_it_must_have_ended(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await begun(ledger, refund(call, "p1"))
    await ledger.finish("p1", state="in_doubt", result="{}")
    assert await store.effects.claim(["offer_refund"]) == ()
    clock.advance(11)
    assert len(await store.effects.claim(["offer_refund"])) == 1


async def test_what_nobody_can_confirm_any_more_expires(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await confirmed(ledger, refund(call, "p1"))
    await begun(ledger, refund(call, "p2", amount=6))
    assert await store.effects.expire() == 0
    await store.calls.end(call.id, "caller_hung_up")
    assert await store.effects.expire() == 0, "whoever has heard the yes may be about to begin it"
    clock.advance(61)
    assert await store.effects.expire() == 1
    assert [record.state for record in await store.effects.of_call(call.id)] == ["expired", "executing"]


async def test_an_old_proposal_expires_with_its_call_still_open(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await ledger.propose(refund(call, "p1"))
    clock.advance(2 * 3600 + 1)
    assert await store.effects.expire() == 1


async def test_a_call_moves_only_its_own_effects(store: Store, ledger: SqlEffectLedger, call: Call) -> None:
    await begun(ledger, refund(call, "p1"))
    await ledger.propose(refund(call, "p2", amount=6))
    stranger = await store.calls.admit(
        carrier_call_id="CA2", caller="+12025550101", dialled="+12025550100", agent="retail", locale="en-US"
    )
    other = await taken(store, stranger)
    with pytest.raises(StoreError, match="unknown"):
        await other.finish("p1", state="done", result="{}")
    assert not await other.read_back("p2", heard_at=1.0)
    assert await other.happened("p1", result="{}") == "known"
    await other.withdraw("p2")
    states = {record.proposal: record.state for record in await store.effects.of_call(call.id)}
    assert states == {"p1": "executing", "p2": "proposed"}


# ── confirmed, not done, and nobody told ──────────────────────────────────────────


async def proposals(records: Any) -> list[tuple[str, str]]:
    return [(record.proposal, record.state) for record in await records]


@pytest.mark.parametrize("hang_up", ["before", "just after", "long after"])
async def test_a_person_is_told_once_of_what_failed_when_its_caller_had_gone(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock, hang_up: str
) -> None:
    await begun(ledger, refund(call, "p1"))
    if hang_up == "before":
        await store.calls.end(call.id, "caller_hung_up")
        clock.advance(5)
    await ledger.finish("p1", state="failed", result="{}")
    if hang_up != "before":
        assert await store.effects.untold() == (), "the agent may still say so"
        clock.advance(9 if hang_up == "just after" else 11)
        await store.calls.end(call.id, "caller_hung_up")
    expected = [] if hang_up == "long after" else [("p1", "failed")]
    assert await proposals(store.effects.untold()) == expected
    assert await store.effects.untold() == ()
    assert await proposals(store.effects.not_done()) == expected
    assert not await store.effects.any_waits(["offer_refund"]), "what is over concerns no other round"


@pytest.mark.parametrize("state", ["completed", "failed"])
async def test_a_person_is_told_of_what_failed_while_its_caller_was_with_another(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock, state: State
) -> None:
    await begun(ledger, refund(call, "p1"))
    handover = await store.handovers.request(call.id, target="billing", reason="A person, please")
    clock.advance(5)
    await ledger.finish("p1", state="failed", result="{}")
    assert await store.handovers.move(handover, state, leaving=OPEN, cause="came_back")
    clock.advance(300)
    await store.calls.end(call.id, "caller_hung_up")
    told = [("p1", "failed")] if state == "completed" else []
    assert await proposals(store.effects.untold()) == told, "the agent tells whoever came back"


async def test_a_call_that_nobody_could_end_is_over_one_day(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    """The only process died behind the yes, and what the carrier said of the call's end found nobody."""
    await begun(ledger, refund(call, "p1"))
    assert await store.effects.resolve("p1", result=None)
    assert await store.effects.untold() == (), "the call may still go on"
    clock.advance(2 * 3600 + 1)
    assert await proposals(store.effects.untold()) == [("p1", "resolved_not_done")]


async def test_what_nobody_confirmed_concerns_nobody_and_what_was_confirmed_does(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await ledger.propose(refund(call, "heard"))
    await ledger.read_back("heard", heard_at=1.0)
    await confirmed(ledger, refund(call, "agreed", amount=6))
    await begun(ledger, refund(call, "begun", amount=7))
    await begun(ledger, refund(call, "done", amount=8))
    await ledger.finish("done", state="done", result="{}")
    await store.calls.end(call.id, "caller_hung_up")
    clock.advance(61)
    assert await store.effects.expire() == 2
    assert await proposals(store.effects.untold()) == [("agreed", "expired")]
    await store.effects.resolve("begun", result=None)
    assert await proposals(store.effects.untold()) == [("begun", "resolved_not_done")]
    assert {record.proposal for record in await store.effects.not_done()} == {"agreed", "begun"}


async def test_a_person_settles_what_was_in_doubt_or_not_done_once(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await begun(ledger, refund(call, "failed"))
    await begun(ledger, refund(call, "doubtful", amount=6))
    await store.calls.end(call.id, "caller_hung_up")
    await ledger.finish("failed", state="failed", result="{}")
    assert not await store.effects.settle("failed", done=False), "nobody was told of it yet"
    await store.effects.untold()
    assert await store.effects.doubt("doubtful", result="{}")
    clock.advance(1)
    assert await store.effects.settle("doubtful", done=False)
    assert await store.effects.untold() == (), "who has settled it knows"
    assert await store.effects.settle("failed", done=False)
    assert await store.effects.not_done() == ()
    for proposal in ("failed", "doubtful"):
        assert not await store.effects.settle(proposal, done=True)


async def test_what_turns_out_not_done_after_a_person_was_told_of_a_doubt_is_told_too(
    store: Store, ledger: SqlEffectLedger, call: Call, clock: HandClock
) -> None:
    await begun(ledger, refund(call, "p1"))
    await store.calls.end(call.id, "caller_hung_up")
    await store.effects.doubt("p1", result="{}")
    clock.advance(60)
    assert await store.effects.resolve("p1", result=None)
    assert await proposals(store.effects.untold()) == [("p1", "resolved_not_done")]
    assert await store.effects.untold() == ()
