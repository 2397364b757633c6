"""What every effect ledger does, the stored one and the one for tests: each transition once, in order."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from talkspurt.errors import StoreError
from talkspurt.ports import EffectLedger, EffectRecord
from talkspurt.store import Store
from talkspurt.testing.ledger import MemoryEffectLedger


@dataclass
class Book:
    """A ledger and the call it is for."""

    ledger: EffectLedger
    call_id: str

    def refund(
        self, proposal: str, *, amount: int = 5, tool: str = "offer_refund", account: str | None = None
    ) -> EffectRecord:
        return EffectRecord(proposal, self.call_id, tool, f'{{"amount":{amount}}}', "proposed", account=account)

    async def proposed(self, proposal: str, **other: Any) -> EffectRecord:
        return await self.ledger.propose(self.refund(proposal, **other))

    async def confirmed(self, proposal: str, **other: Any) -> EffectRecord:
        stored = await self.proposed(proposal, **other)
        await self.ledger.read_back(proposal, heard_at=3.5)
        await self.ledger.confirm(proposal, turn=2, key=f"key-{proposal}")
        return stored

    async def begin(self, proposal: str) -> EffectRecord | None:
        return await self.ledger.begin(proposal, patience=10)

    async def begun(self, proposal: str, **other: Any) -> None:
        await self.confirmed(proposal, **other)
        assert await self.begin(proposal) is not None

    async def state(self, proposal: str) -> str:
        found = await self.ledger.find(proposal)
        assert found is not None
        return found.state


@pytest.fixture(params=["memory", "sqlite"])
async def book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Book]:
    if request.param == "memory":
        yield Book(MemoryEffectLedger(), "call")
        return
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}")
    call = await store.calls.admit(
        carrier_call_id="CA1", caller="+12025550101", dialled="+12025550100", agent="retail", locale="en-US"
    )
    fence = await store.calls.take(call.id, attachment=0)
    assert fence == 1
    yield Book(store.effects.ledger(call.id, fence), call.id)
    await store.aclose()


async def test_a_proposal_is_returned_as_it_was_stored(book: Book) -> None:
    assert await book.proposed("p1") == book.refund("p1")
    assert await book.ledger.find("p1") == book.refund("p1")
    assert await book.ledger.find("p9") is None


async def test_it_begins_once_and_only_when_it_was_heard_and_then_confirmed(book: Book) -> None:
    await book.proposed("p1")
    assert await book.begin("p1") is None
    assert not await book.ledger.confirm("p1", turn=2, key="k1")
    assert await book.ledger.read_back("p1", heard_at=3.5)
    assert not await book.ledger.read_back("p1", heard_at=4.5)
    assert await book.begin("p1") is None
    assert await book.ledger.confirm("p1", turn=2, key="k1")
    assert not await book.ledger.confirm("p1", turn=3, key="k2")
    begun = await book.begin("p1")
    assert begun is not None
    assert (begun.proposal, begun.arguments, begun.state, begun.turn, begun.key) == (
        *("p1", '{"amount":5}', "executing"),
        *(2, "k1"),
    )
    assert await book.begin("p1") is None


async def test_an_unknown_proposal_does_not_begin(book: Book) -> None:
    assert await book.begin("p9") is None


async def test_what_was_done_is_not_proposed_again(book: Book) -> None:
    await book.begun("p1")
    await book.ledger.finish("p1", state="done", result='{"refund":5}')
    again = await book.proposed("p2")
    assert (again.proposal, again.state, again.result) == ("p1", "done", '{"refund":5}')
    assert await book.begin("p2") is None


async def test_what_may_have_been_done_is_not_proposed_again(book: Book) -> None:
    await book.begun("p1")
    assert (await book.proposed("p2")).state == "executing"
    await book.ledger.finish("p1", state="in_doubt", result="{}")
    again = await book.proposed("p2")
    assert (again.proposal, again.state) == ("p1", "in_doubt")
    assert await book.begin("p2") is None


async def test_of_two_confirmed_alike_one_begins(book: Book) -> None:
    await book.confirmed("p1")
    await book.confirmed("p2")
    assert await book.begin("p1") is not None
    assert await book.begin("p2") is None


async def test_the_same_words_of_another_account_are_another_effect(book: Book) -> None:
    await book.begun("p1", account="maya")
    await book.ledger.finish("p1", state="done", result="{}")
    assert (await book.proposed("p2", account="daniel")).state == "proposed"
    assert (await book.proposed("p3", account="maya")).state == "done"


async def test_something_else_is_proposed_on_its_own(book: Book) -> None:
    await book.begun("p1")
    await book.ledger.finish("p1", state="done", result="{}")
    await book.begun("p2", amount=6)
    await book.begun("p3", tool="process_return")


async def test_what_failed_may_be_proposed_and_begun_again(book: Book) -> None:
    await book.begun("p1")
    await book.ledger.finish("p1", state="failed", result="{}")
    await book.begun("p2")


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_what_was_withdrawn_or_refused_at_any_step_never_begins(book: Book, steps: int) -> None:
    for proposal, stop in (("p1", "withdrawn"), ("p2", "refused")):
        await book.proposed(proposal)
        if steps > 0:
            await book.ledger.read_back(proposal, heard_at=1)
        if steps > 1:
            await book.ledger.confirm(proposal, turn=2, key=proposal)
        await (book.ledger.withdraw(proposal) if stop == "withdrawn" else book.ledger.refuse(proposal, result="{}"))
        assert await book.state(proposal) == stop
        assert not await book.ledger.read_back(proposal, heard_at=2)
        assert not await book.ledger.confirm(proposal, turn=3, key="late")
        assert await book.begin(proposal) is None


async def test_a_refusal_is_kept_beside_what_was_done(book: Book) -> None:
    await book.begun("p1")
    refusal = EffectRecord("p2", book.call_id, "offer_refund", '{"amount":5}', "refused", result="{}")
    assert await book.ledger.propose(refusal) == refusal
    assert await book.state("p2") == "refused"


async def test_withdrawing_or_refusing_what_runs_or_is_unknown_changes_nothing(book: Book) -> None:
    await book.begun("p1")
    for proposal in ("p1", "p9"):
        await book.ledger.withdraw(proposal)
        await book.ledger.refuse(proposal, result="{}")
    await book.ledger.finish("p1", state="done", result="{}")
    assert (await book.proposed("p2")).state == "done"


async def test_what_does_not_execute_cannot_be_finished(book: Book) -> None:
    await book.confirmed("p1")
    for proposal in ("p1", "p9"):
        with pytest.raises(StoreError):
            await book.ledger.finish(proposal, state="done", result="{}")


@pytest.mark.parametrize("doubted", [False, True])
async def test_what_is_resolved_as_done_is_not_done_again(book: Book, doubted: bool) -> None:
    await book.begun("p1")
    if doubted:
        await book.ledger.finish("p1", state="in_doubt", result="{}")
    assert (await book.ledger.resolve("p1", result='{"refund":5}')).state == "resolved_done"
    again = await book.proposed("p2")
    assert (again.proposal, again.state, again.result) == ("p1", "resolved_done", '{"refund":5}')
    with pytest.raises(StoreError):
        await book.ledger.finish("p1", state="done", result="{}")


async def test_what_is_resolved_as_not_done_may_be_proposed_again(book: Book) -> None:
    await book.begun("p1")
    assert (await book.ledger.resolve("p1", result=None)).state == "resolved_not_done"
    assert (await book.ledger.resolve("p1", result="{}")).state == "resolved_not_done"
    await book.begun("p2")


async def test_whoever_carried_it_out_is_believed_above_all_others(book: Book) -> None:
    await book.begun("p1")
    await book.ledger.resolve("p1", result=None)
    assert await book.ledger.happened("p1", result='{"refund":5}') == "overruled"
    assert (await book.proposed("p2")).result == '{"refund":5}'
    assert await book.ledger.happened("p1", result='{"refund":5}') == "known"


async def test_what_was_begun_again_meanwhile_was_done_twice(book: Book) -> None:
    await book.begun("p1")
    await book.ledger.resolve("p1", result=None)
    await book.begun("p2")
    assert await book.ledger.happened("p1", result="{}") == "twice"


async def test_what_is_in_doubt_has_happened_once_it_is_known(book: Book) -> None:
    await book.begun("p1")
    await book.ledger.finish("p1", state="in_doubt", result="{}")
    assert await book.ledger.happened("p1", result="{}") == "recorded"
