"""What every effect ledger does, the stored one and the one for tests: each transition once, in order."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from talkspurt.errors import StoreError
from talkspurt.ports import EffectLedger, EffectRecord
from talkspurt.store import Store
from talkspurt.testing.ledger import MemoryEffectLedger


@pytest.fixture(params=["memory", "sqlite"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EffectLedger]:
    if request.param == "memory":
        yield MemoryEffectLedger()
        return
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}")
    yield store.effects
    await store.aclose()


def refund(proposal: str, *, amount: int = 5, call_id: str = "call", tool: str = "offer_refund") -> EffectRecord:
    return EffectRecord(proposal, call_id, tool, f'{{"amount":{amount}}}', "proposed")


async def test_a_proposal_is_returned_as_it_was_stored(ledger: EffectLedger) -> None:
    assert await ledger.propose(refund("p1")) == refund("p1")


async def test_it_begins_once(ledger: EffectLedger) -> None:
    await ledger.propose(refund("p1"))
    begun = await ledger.begin("p1")
    assert begun is not None
    assert (begun.proposal, begun.arguments, begun.state) == ("p1", '{"amount":5}', "executing")
    assert await ledger.begin("p1") is None


async def test_an_unknown_proposal_does_not_begin(ledger: EffectLedger) -> None:
    assert await ledger.begin("p9") is None


async def test_what_was_done_is_not_proposed_again(ledger: EffectLedger) -> None:
    await ledger.propose(refund("p1"))
    await ledger.begin("p1")
    await ledger.finish("p1", state="done", result='{"refund":5}')
    again = await ledger.propose(refund("p2"))
    assert (again.proposal, again.state, again.result) == ("p1", "done", '{"refund":5}')
    assert await ledger.begin("p2") is None


async def test_what_may_have_been_done_is_not_proposed_again(ledger: EffectLedger) -> None:
    await ledger.propose(refund("p1"))
    await ledger.begin("p1")
    again = await ledger.propose(refund("p2"))
    assert (again.proposal, again.state) == ("p1", "executing")
    await ledger.finish("p1", state="in_doubt", result="{}")
    again = await ledger.propose(refund("p2"))
    assert (again.proposal, again.state) == ("p1", "in_doubt")
    assert await ledger.begin("p2") is None


@pytest.mark.parametrize(
    "other", [refund("p2", amount=6), refund("p2", call_id="another"), refund("p2", tool="process_return")]
)
async def test_something_else_is_proposed_on_its_own(ledger: EffectLedger, other: EffectRecord) -> None:
    await ledger.propose(refund("p1"))
    await ledger.begin("p1")
    await ledger.finish("p1", state="done", result="{}")
    assert await ledger.propose(other) == other
    assert await ledger.begin("p2") is not None


async def test_what_failed_may_be_proposed_and_begun_again(ledger: EffectLedger) -> None:
    await ledger.propose(refund("p1"))
    await ledger.begin("p1")
    await ledger.finish("p1", state="failed", result="{}")
    assert (await ledger.propose(refund("p2"))).proposal == "p2"
    assert await ledger.begin("p2") is not None


async def test_a_withdrawn_proposal_never_begins(ledger: EffectLedger) -> None:
    await ledger.propose(refund("p1"))
    await ledger.withdraw("p1")
    assert await ledger.begin("p1") is None


async def test_withdrawing_what_runs_or_is_unknown_changes_nothing(ledger: EffectLedger) -> None:
    await ledger.propose(refund("p1"))
    await ledger.begin("p1")
    await ledger.withdraw("p1")
    await ledger.withdraw("p9")
    await ledger.finish("p1", state="done", result="{}")
    assert (await ledger.propose(refund("p2"))).state == "done"


async def test_what_does_not_execute_cannot_be_finished(ledger: EffectLedger) -> None:
    await ledger.propose(refund("p1"))
    with pytest.raises(StoreError):
        await ledger.finish("p1", state="done", result="{}")
    with pytest.raises(StoreError):
        await ledger.finish("p9", state="done", result="{}")
