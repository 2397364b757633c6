"""The way of an effect through the real ledger: what is written before what, and what a fault leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from effects.till import Desk, a_desk
from talkspurt.agent import Agent
from talkspurt.core.events import EffectProposed
from talkspurt.effects.refusals import IN_DOUBT, NOT_DONE, NOT_HEARD, NOT_OPEN
from talkspurt.effects.sweeper import Sweeper
from talkspurt.errors import StoreError

DONE = ("proposed", "read_back", "confirmed", "executing", "done")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(tmp_path) as desk:
        yield desk


def message(content: Any) -> str:
    return str(content["error"]["message"])


def sweeper(desk: Desk, *agents: Agent) -> Sweeper:
    async def agent_of(call_id: str) -> Agent | None:
        return agents[0] if agents else desk.agent

    return Sweeper(desk.store.effects, agents or (desk.agent,), agent_of)


# ── one step after the other ──────────────────────────────────────────────────────


async def test_every_step_is_written_down_and_the_key_is_the_ledgers(desk: Desk) -> None:
    proposed = await desk.propose()
    assert await desk.execute(proposed, turn=5) == {"paid": 500, "to": "Ann"}
    assert await desk.store.effects.transitions(proposed.proposal) == DONE
    (record,) = await desk.store.effects.of_call(desk.call.id)
    assert (record.account, record.turn, record.words) == ("maya", 5, "I'll pay 500 cents to Ann. Shall I?")
    assert await desk.till.keys() == [record.key]


async def test_what_was_not_heard_is_not_done(desk: Desk) -> None:
    proposed = await desk.propose()
    assert message(await desk.execute(proposed, heard=False)) == NOT_HEARD
    assert (await desk.till.made(), await desk.states()) == ([], ["refused"])


async def test_a_read_back_that_could_not_be_written_when_it_was_heard_is_written_before_the_yes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed = await desk.propose()
    ledger = desk.dispatcher._proposals._ledger
    with monkeypatch.context() as broken:

        async def unreachable(*_: Any, **__: Any) -> bool:
            raise StoreError("gone")

        broken.setattr(ledger, "read_back", unreachable)
        await desk.dispatcher.heard(proposed.proposal, 7.5)
    assert await desk.states() == ["proposed"]
    await desk.execute(proposed, heard=False)
    assert await desk.store.effects.transitions(proposed.proposal) == DONE


@pytest.mark.parametrize("step", ["propose", "read_back", "confirm", "begin"])
async def test_a_step_that_cannot_be_written_ends_the_way_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async def unreachable(*_: Any, **__: Any) -> bool:
        raise StoreError("gone")

    monkeypatch.setattr(desk.dispatcher._proposals._ledger, step, unreachable)
    proposed = await desk.run("pay", account="maya", payee="Ann", cents=5)
    if isinstance(proposed, EffectProposed):
        assert (await desk.execute(proposed))["error"]["kind"] == "failed"
    assert await desk.till.made() == []


async def test_the_same_wish_a_moment_later_gets_the_first_result(desk: Desk) -> None:
    await desk.execute(await desk.propose())
    assert await desk.run("pay", account="maya", payee="Ann", cents=500) == {"paid": 500, "to": "Ann"}
    heir = await desk.taken_over()
    assert await heir.run("pay", account="maya", payee="Ann", cents=500) == {"paid": 500, "to": "Ann"}
    assert len(await desk.till.made()) == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pay", '{"account":"maya"}'),
        ("pay", "{" * 5000),
        ("pay", '{"account":"maya","payee":"nobody","cents":5}'),
        ("drop_tables", "{}"),
        ("pay\0", '{"x":"\0"}'),
    ],
)
async def test_a_wish_that_is_refused_is_a_record_in_the_ledger(desk: Desk, name: str, arguments: str) -> None:
    await desk.ask(name, arguments)
    (record,) = await desk.store.effects.of_call(desk.call.id)
    assert (record.state, record.key) == ("refused", None)
    assert record.result is not None
    assert '"error"' in record.result


# ── whose call it is ──────────────────────────────────────────────────────────────


async def test_whoever_lost_the_call_executes_nothing(desk: Desk) -> None:
    proposed = await desk.propose()
    await desk.dispatcher.heard(proposed.proposal, 1.0)
    heir = await desk.taken_over()
    assert (await desk.execute(proposed))["error"]["kind"] == "failed"
    assert (await desk.run("pay", account="maya", payee="Bob", cents=5))["error"]["kind"] == "failed"
    assert (await desk.till.made(), await desk.states()) == ([], ["expired"])
    assert message(await heir.execute(proposed)) == NOT_DONE
    await heir.execute(await heir.propose())
    assert len(await desk.till.made()) == 1


async def test_a_process_that_slept_through_the_loss_of_its_call_changes_nothing_when_it_wakes(desk: Desk) -> None:
    desk.till.gate.clear()
    running = asyncio.create_task(desk.execute(await desk.propose()))
    await desk.till.entered.wait()
    heir = await desk.taken_over()
    desk.clock.advance(8)
    await sweeper(desk).sweep()
    assert await desk.states() == ["resolved_not_done"]
    desk.till.gate.set()
    assert "given up" in message(await running)
    assert (await desk.till.made(), await desk.states()) == ([], ["resolved_not_done"])
    await heir.execute(await heir.propose(), turn=4)
    assert len(await desk.till.made()) == 1


@pytest.mark.parametrize("happened", [False, True])
async def test_another_process_finds_out_what_was_under_way(desk: Desk, happened: bool) -> None:
    proposed = await desk.propose()
    await executing(desk, proposed, happened=happened)
    heir = await desk.taken_over()
    content = await heir.dispatcher.recover("x", proposed.proposal)
    if happened:
        assert content.content == '{"paid": 500, "to": "Ann"}'
        assert (await desk.states()) == ["resolved_done"]
    else:
        assert IN_DOUBT in content.content
        assert (await desk.states()) == ["executing"], "it may still be under way: only good news is certain"
    assert NOT_OPEN in (await heir.dispatcher.recover("x", "unknown")).content


async def executing(desk: Desk, proposed: EffectProposed, *, happened: bool) -> None:
    """Leave the ledger as a process does that dies while it executes."""
    ledger = desk.dispatcher._proposals._ledger
    await ledger.read_back(proposed.proposal, heard_at=1.0)
    await ledger.confirm(proposed.proposal, turn=2, key="key")
    assert await ledger.begin(proposed.proposal, patience=7) is not None
    if happened:
        from talkspurt.agent import Effect

        arguments = {"account": "maya", "payee": "Ann", "cents": 500}
        await desk.till.pay.function(desk.caller, Effect("key", "pay", desk.call.id, 2), **arguments)


# ── the sweeper ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("happened", "state"), [(True, "resolved_done"), (False, "resolved_not_done")])
async def test_what_was_left_executing_is_looked_up_and_not_repeated(desk: Desk, happened: bool, state: str) -> None:
    proposed = await desk.propose()
    await executing(desk, proposed, happened=happened)
    await sweeper(desk).sweep()
    assert desk.till.asked == [], "whoever executes it may still be at it"
    desk.clock.advance(8)
    await asyncio.gather(*(sweeper(desk).sweep() for _ in range(3)))
    assert (desk.till.asked, await desk.states()) == (["key"], [state])
    assert len(await desk.till.made()) == happened
    again = await desk.run("pay", account="maya", payee="Ann", cents=500)
    assert isinstance(again, EffectProposed) is not happened


async def test_what_cannot_be_looked_up_is_told_to_a_person_once(desk: Desk) -> None:
    proposed = await desk.propose()
    await executing(desk, proposed, happened=False)
    desk.clock.advance(8)
    stranger = Agent(name="other", prompt="p", greeting="g")
    with capture_logs() as logs:
        for _ in range(3):
            await sweeper(desk, stranger).sweep()
            desk.clock.advance(61)
    assert [log["proposal"] for log in logs if log["event"] == "effect_in_doubt"] == [proposed.proposal]
    assert [record.state for record in await desk.store.effects.in_doubt()] == ["in_doubt"]
    assert message(await desk.run("pay", account="maya", payee="Ann", cents=500)) == IN_DOUBT


async def test_a_lookup_that_fails_leaves_it_in_doubt_and_is_asked_again(desk: Desk) -> None:
    proposed = await desk.propose()
    await executing(desk, proposed, happened=True)
    desk.clock.advance(8)
    sessions, desk.till._sessions = desk.till._sessions, None  # type: ignore[assignment]
    await sweeper(desk).sweep()
    assert await desk.states() == ["in_doubt"]
    desk.till._sessions = sessions
    desk.clock.advance(61)
    await sweeper(desk).sweep()
    assert await desk.states() == ["resolved_done"]


async def test_a_sweep_without_a_store_raises_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(*_: Any) -> int:
        raise StoreError("gone")

    monkeypatch.setattr(desk.store.effects, "expire", unreachable)
    with capture_logs() as logs:
        await sweeper(desk).sweep()
    assert [log["event"] for log in logs] == ["effects_not_swept"]


# ── what a tool does to it ────────────────────────────────────────────────────────


async def test_a_tool_that_failed_after_it_had_paid_has_paid(desk: Desk) -> None:
    desk.till.fails_after = RuntimeError("the answer was lost")
    assert await desk.execute(await desk.propose()) == {"paid": 500, "to": "Ann"}
    assert await desk.states() == ["done"]


async def test_a_tool_that_failed_before_it_paid_is_in_doubt_until_it_was_looked_up(desk: Desk) -> None:
    desk.till.fails = RuntimeError("the line was lost")
    assert (await desk.execute(await desk.propose()))["error"]["kind"] == "failed"
    assert await desk.states() == ["in_doubt"]
    assert message(await desk.run("pay", account="maya", payee="Ann", cents=500)) == IN_DOUBT
    desk.till.fails = None
    desk.clock.advance(8)
    await sweeper(desk).sweep()
    assert await desk.states() == ["resolved_not_done"]
    await desk.execute(await desk.propose(), turn=4)
    assert len(await desk.till.made()) == 1
