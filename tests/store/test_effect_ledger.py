"""Effects happen once: every transition is committed, conditional, and refused a second time."""

import asyncio
from typing import Literal

import pytest

from talkspurt.errors import StoreError
from talkspurt.ports import EffectLedger, EffectRecord
from talkspurt.store import Store


def refund(proposal: str, *, amount: int = 5, call_id: str = "call") -> EffectRecord:
    return EffectRecord(proposal, call_id, "offer_refund", f'{{"amount":{amount}}}', "proposed")


async def test_the_ledger_fits_the_port(store: Store) -> None:
    ledger: EffectLedger = store.effects
    assert await ledger.propose(refund("p1")) == refund("p1")


async def test_a_proposal_goes_through_its_states_once(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    begun = await store.effects.begin("p1")
    assert begun is not None
    assert begun.state == "executing"
    assert await store.effects.begin("p1") is None
    await store.effects.finish("p1", state="done", result='{"ok":true}')
    (record,) = await store.effects.of_call("call")
    assert (record.state, record.result) == ("done", '{"ok":true}')
    assert await store.effects.begin("p1") is None


async def test_what_was_done_is_returned_instead_of_proposed_again(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.begin("p1")
    await store.effects.finish("p1", state="done", result="{}")
    again = await store.effects.propose(refund("p2"))
    assert (again.proposal, again.state) == ("p1", "done")
    assert len(await store.effects.of_call("call")) == 1


@pytest.mark.parametrize("other", [refund("p2", amount=6), refund("p2", call_id="other")])
async def test_other_arguments_and_other_calls_are_other_effects(store: Store, other: EffectRecord) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.begin("p1")
    await store.effects.finish("p1", state="done", result="{}")
    assert (await store.effects.propose(other)).proposal == "p2"
    assert await store.effects.begin("p2") is not None


async def test_a_failed_effect_may_be_tried_again(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.begin("p1")
    await store.effects.finish("p1", state="failed", result="{}")
    assert (await store.effects.propose(refund("p2"))).proposal == "p2"
    assert await store.effects.begin("p2") is not None


async def test_an_effect_in_doubt_blocks_a_second_attempt(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.propose(refund("p2"))
    await store.effects.begin("p1")
    # Proposed while the first was, so that only the index stands between it and a second execution.
    assert await store.effects.doubt_unfinished("call") == 1
    assert await store.effects.begin("p2") is None


async def test_a_withdrawn_proposal_can_never_begin(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.withdraw("p1")
    assert await store.effects.begin("p1") is None


async def test_withdrawing_leaves_a_running_effect_alone(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.begin("p1")
    await store.effects.withdraw("p1")
    (record,) = await store.effects.of_call("call")
    assert record.state == "executing"


async def test_proposing_the_same_id_again_returns_what_it_became(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.withdraw("p1")
    assert (await store.effects.propose(refund("p1"))).state == "withdrawn"


async def test_finishing_is_idempotent_but_not_revisable(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    await store.effects.begin("p1")
    await store.effects.finish("p1", state="done", result="{}")
    await store.effects.finish("p1", state="done", result="{}")
    outcome: Literal["failed"] = "failed"
    with pytest.raises(StoreError, match="not executing"):
        await store.effects.finish("p1", state=outcome, result="{}")
    with pytest.raises(StoreError, match="unknown"):
        await store.effects.finish("p9", state=outcome, result="{}")


async def test_of_fifty_begins_exactly_one_executes(store: Store) -> None:
    await store.effects.propose(refund("p1"))
    results = await asyncio.gather(*(store.effects.begin("p1") for _ in range(50)))
    assert sum(result is not None for result in results) == 1


async def test_of_fifty_proposals_of_one_effect_exactly_one_executes(url: str, store: Store) -> None:
    """Even from two processes at once, one call does one thing once."""
    other = await Store.open(url)
    try:
        for number in range(50):
            await store.effects.propose(refund(f"p{number}"))
        ledgers = [store.effects, other.effects]
        results = await asyncio.gather(*(ledgers[number % 2].begin(f"p{number}") for number in range(50)))
        assert sum(result is not None for result in results) == 1
    finally:
        await other.aclose()
