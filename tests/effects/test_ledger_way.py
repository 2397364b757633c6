"""The way of an effect through the real ledger: what is written before what, and what a fault leaves behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from effects.till import Desk, a_desk, dispatching, opened
from talkspurt.agent import Agent, Caller, Effect, Policy, Progress, ReadBack, ToolError, tool
from talkspurt.core.events import EffectProposed, ToolStarted
from talkspurt.effects import execution, outcomes
from talkspurt.effects import sweeper as sweeping
from talkspurt.effects.refusals import (
    CALLER_CHANGED,
    CHECKING,
    FAILED,
    IN_DOUBT,
    NOT_DONE,
    NOT_DONE_AFTER_ALL,
    NOT_HEARD,
    NOT_OPEN,
    NOT_YOURS,
    TOO_MUCH,
    UNDER_WAY,
    NotDoneError,
)
from talkspurt.effects.sweeper import Sweeper
from talkspurt.errors import StoreError
from talkspurt.telemetry.metrics import ANOMALIES, EFFECTS_FOR_A_PERSON

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

    return Sweeper(desk.store.effects, lambda: agents or (desk.agent,), agent_of)


# ── one step after the other ──────────────────────────────────────────────────────


async def test_every_step_is_written_down_and_the_key_is_the_ledgers(desk: Desk) -> None:
    proposed = await desk.propose()
    assert await desk.execute(proposed, turn=5) == {"paid": 500, "to": "Ann"}
    assert await desk.store.effects.transitions(proposed.proposal) == DONE
    (record,) = await desk.store.effects.of_call(desk.call.id)
    assert (record.account, record.turn, record.words) == ("maya", 5, "I'll pay 500 cents to Ann. Shall I?")
    assert await desk.till.keys() == [record.key]


async def test_a_tool_sees_the_read_back_that_the_caller_agreed_to(desk: Desk) -> None:
    seen: list[ReadBack] = []

    class Lamps:
        async def _word(self, watts: int) -> ReadBack:
            return ReadBack(f"One lamp\nof {watts} watts. Shall I?", watts, "open", {"watts": watts})

        @tool(effect=True, read_back=_word)
        async def light(self, effect: Effect, watts: int) -> dict[str, bool]:
            """Light a lamp."""
            seen.append(effect.read_back)
            return {"lit": True}

    agent = Agent(name="till", prompt="Be brief.", greeting="Hello.", tools=[Lamps().light])
    lamps = await opened(desk.till, desk.store, desk.clock, agent, "+12025550101")
    assert await lamps.execute(await lamps.run("light", watts=40)) == {"lit": True}
    assert seen == [ReadBack("One lamp of 40 watts. Shall I?", 40, "open", {"watts": 40})], "as it was spoken"


class Spending:
    """Effects whose words and amounts a model can make what it likes."""

    def __init__(self) -> None:
        self.spent: list[float] = []

    async def _word_invoice(self, reference: str, cents: int) -> ReadBack:
        return ReadBack(f"I'll pay your invoice {reference}, which is {cents} cents. Shall I?", cents)

    @tool(effect=True, read_back=_word_invoice)
    async def settle_invoice(self, reference: str, cents: int) -> dict[str, int]:
        """Pay an invoice."""
        self.spent.append(cents)
        return {"paid": cents}

    async def _word_gift(self, dollars: float) -> ReadBack:
        return ReadBack(f"I'll give {dollars} dollars. Shall I?", amount_cents=dollars * 100)  # type: ignore[arg-type]

    @tool(effect=True, read_back=_word_gift)
    async def give(self, dollars: float) -> dict[str, float]:
        """Give money."""
        self.spent.append(dollars)
        return {"given": dollars}

    async def desk(self, desk: Desk) -> Desk:
        agent = Agent(
            name="till",
            prompt="Be brief.",
            greeting="Hello.",
            tools=[self.settle_invoice, self.give],
            policy=Policy.parse("[tools.give]\nmax_amount_cents = 1_000"),
        )
        return await opened(desk.till, desk.store, desk.clock, agent, "+12025550101")


@pytest.mark.parametrize("padding", [60, 2_000])
async def test_a_read_back_that_would_be_cut_is_not_proposed(desk: Desk, padding: int) -> None:
    spending = Spending()
    call = await spending.desk(desk)
    assert message(await call.run("settle_invoice", reference="twelve " * padding, cents=5_000_000)) == TOO_MUCH
    whole = await call.run("settle_invoice", reference="x" * (400 - 52), cents=500)
    assert len(whole.read_back) == 400
    assert whole.read_back.endswith("which is 500 cents. Shall I?")


@pytest.mark.parametrize("dollars", ["NaN", "Infinity", "1e9", "1.0"])
async def test_an_amount_that_is_no_number_of_cents_is_under_no_limit(desk: Desk, dollars: str) -> None:
    spending = Spending()
    call = await spending.desk(desk)
    assert message(await call.ask("give", f'{{"dollars": {dollars}}}')) == FAILED
    assert spending.spent == []


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


async def test_what_was_withdrawn_in_the_ledger_is_not_confirmed(desk: Desk) -> None:
    proposed = await desk.propose()
    await desk.dispatcher._proposals._ledger.withdraw(proposed.proposal)
    assert message(await desk.execute(proposed)) == NOT_OPEN
    assert (await desk.till.made(), await desk.states()) == ([], ["withdrawn"])


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


# ── what is set, and set back ────────────────────────────────────────────────────


async def send_to(desk: Desk, street: str, turn: int, box: str = "7") -> Any:
    """Wish for it, and agree when asked: the result, and whether the caller was asked."""
    desk.clock.advance(10)
    event = await desk.run("send_to", box=box, street=street)
    return await desk.execute(event, turn=turn) if isinstance(event, EffectProposed) else event


@pytest.mark.parametrize("taken_over", [False, True])
async def test_what_was_set_to_something_else_since_is_set_again(desk: Desk, taken_over: bool) -> None:
    for turn, street in enumerate(("Oak", "Elm", "Elm", "Oak", "Oak", "Elm")):
        assert (await send_to(desk, street, turn))["street"] == street
        if taken_over:
            desk = await desk.taken_over()
    assert desk.till.streets == [("7", "Oak"), ("7", "Elm"), ("7", "Oak"), ("7", "Elm")]
    assert await desk.states() == ["done"] * 4


async def test_a_wish_for_something_else_does_not_make_a_repeated_one_new(desk: Desk) -> None:
    for turn, (box, street) in enumerate((("7", "Oak"), ("8", "Elm"), ("7", "Oak"))):
        await send_to(desk, street, turn, box)
    assert desk.till.streets == [("7", "Oak"), ("8", "Elm")]
    for turn, (payee, cents) in enumerate((("Ann", 5), ("Ann", 6))):
        await desk.execute(await desk.propose(payee, cents), turn=turn)
    assert await desk.run("pay", account="maya", payee="Ann", cents=5) == {"paid": 5, "to": "Ann"}


async def test_what_may_have_been_set_to_something_else_is_in_doubt(desk: Desk) -> None:
    await send_to(desk, "Oak", 1)
    desk.till.fails = RuntimeError("the line was lost")
    assert message(await send_to(desk, "Elm", 2)) == CHECKING
    desk.till.fails = None
    assert message(await send_to(desk, "Oak", 3)) == CHECKING
    desk.till.streets.append(("7", "Elm"))
    desk.clock.advance(60)
    await sweeper(desk).sweep()
    _, elm = await desk.store.effects.of_call(desk.call.id)
    await desk.dispatcher.outcome("x", elm.proposal)
    assert (await send_to(desk, "Oak", 4))["street"] == "Oak"
    assert desk.till.streets[-1] == ("7", "Oak")


async def test_two_at_once_set_it_once(desk: Desk) -> None:
    await send_to(desk, "Oak", 1)
    await send_to(desk, "Elm", 2)
    first, second = [await desk.run("send_to", box="7", street="Oak") for _ in range(2)]
    await desk.execute(first, turn=3)
    await desk.execute(second, turn=4)
    assert desk.till.streets == [("7", "Oak"), ("7", "Elm"), ("7", "Oak")]


async def test_what_was_begun_elsewhere_after_both_were_confirmed_is_not_begun_here(desk: Desk) -> None:
    twin = dispatching(desk.agent, desk.caller, desk.store, desk.clock, desk.call.id, fence=1)
    other = Desk(desk.till, desk.store, desk.clock, desk.agent, desk.call, desk.caller, twin)
    mine, theirs = await desk.propose(), await other.propose()
    await other.execute(theirs, turn=2)
    assert message(await desk.execute(mine, turn=3)) == IN_DOUBT
    assert len(await desk.till.made()) == 1


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
        assert isinstance(content, ToolStarted), "its outcome is waited for"
        assert CHECKING in content.content
        assert (await desk.states()) == ["executing"], "it may still be under way: only good news is certain"
    assert NOT_OPEN in (await heir.dispatcher.recover("x", "unknown")).content


async def executing(desk: Desk, proposed: EffectProposed, *, happened: bool) -> None:
    """Leave the ledger as a process does that dies while it executes."""
    ledger = desk.dispatcher._proposals._ledger
    await ledger.read_back(proposed.proposal, heard_at=1.0)
    await ledger.confirm(proposed.proposal, turn=2, key="key")
    assert await ledger.begin(proposed.proposal, patience=7) is not None
    if happened:
        arguments: dict[str, Any] = {"account": "maya", "payee": "Ann", "cents": 500}
        agreed = await desk.till._word(desk.caller, **arguments)
        await desk.till.pay.function(desk.caller, Effect("key", "pay", desk.call.id, 2, agreed), **arguments)


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
    assert message(await desk.run("pay", account="maya", payee="Ann", cents=500)) == CHECKING


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


async def test_a_tool_that_its_server_offers_late_is_looked_up_all_the_same(desk: Desk) -> None:
    await executing(desk, await desk.propose(), happened=True)
    desk.clock.advance(8)
    whole, desk.agent = desk.agent, replace(desk.agent, tools=[desk.till.notes], policy=Policy())
    keeps_going = sweeper(desk)
    await keeps_going.sweep()
    assert await desk.states() == ["in_doubt"], "and a person was told"
    desk.agent = whole
    desk.clock.advance(61)
    await keeps_going.sweep()
    assert await desk.states() == ["resolved_done"]


async def test_a_lookup_that_hangs_keeps_no_other_effect_waiting(desk: Desk) -> None:
    hangs, settled = asyncio.Event(), asyncio.Event()

    async def hanging(key: str, box: str, street: str) -> None:
        hangs.set()
        await settled.wait()

    boxes = await in_doubt(desk)
    desk.clock.advance(1)
    await executing(desk, await desk.propose(), happened=True)
    desk.clock.advance(60)
    stuck = replace(desk.till.send_to, lookup=hanging)
    agent = Agent(name="till", prompt="p", greeting="g", tools=[stuck, desk.till.pay])
    sweep = asyncio.create_task(sweeper(desk, agent).sweep())
    await hangs.wait()
    async with asyncio.timeout(2):
        while await desk.states() != ["in_doubt", "resolved_done"]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    settled.set()
    await sweep
    assert await desk.store.effects.transitions(boxes) == (*DONE[:4], "in_doubt", "resolved_not_done")


async def test_an_effect_that_cannot_be_settled_keeps_no_other_from_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = await in_doubt(desk)
    desk.clock.advance(1)
    await executing(desk, await desk.propose(), happened=True)
    desk.clock.advance(60)
    resolve = desk.store.effects.resolve

    async def failing(proposal: str, *, result: str | None) -> bool:
        if proposal == boxes:
            raise StoreError("gone")
        return await resolve(proposal, result=result)

    monkeypatch.setattr(desk.store.effects, "resolve", failing)
    with capture_logs() as logs:
        await sweeper(desk).sweep()
    assert await desk.states() == ["in_doubt", "resolved_done"]
    assert [log["proposal"] for log in logs if log["event"] == "effect_not_swept"] == [boxes]


async def test_a_round_that_took_all_it_may_is_followed_by_another_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "AT_ONCE", 1)
    await in_doubt(desk)
    desk.clock.advance(1)
    await executing(desk, await desk.propose(), happened=True)
    desk.clock.advance(60)
    running = asyncio.create_task(sweeper(desk).run())
    async with asyncio.timeout(sweeping.EVERY / 2):
        while await desk.states() != ["resolved_not_done", "resolved_done"]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("step", ["any_waits", "expire", "claim"])
async def test_a_sweep_without_a_store_raises_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    async def something_waits(*_: Any) -> bool:
        return True

    async def unreachable(*_: Any, **__: Any) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(desk.store.effects, "any_waits", something_waits)
    monkeypatch.setattr(desk.store.effects, step, unreachable)
    with capture_logs() as logs:
        await sweeper(desk).sweep()
    assert [log["event"] for log in logs] == ["effects_not_swept"]


async def test_a_sweep_that_finds_nothing_waits_for_nobody_who_writes(desk: Desk) -> None:
    async with desk.store.effects._database.write(), asyncio.timeout(1):
        with capture_logs() as logs:
            await sweeper(desk).sweep()
    assert logs == []


# ── what a tool does to it ────────────────────────────────────────────────────────


async def test_a_tool_that_failed_after_it_had_paid_has_paid(desk: Desk) -> None:
    desk.till.fails_after = RuntimeError("the answer was lost")
    assert await desk.execute(await desk.propose()) == {"paid": 500, "to": "Ann"}
    assert await desk.states() == ["done"]


async def test_a_tool_that_failed_before_it_paid_is_in_doubt_until_it_was_looked_up(desk: Desk) -> None:
    desk.till.fails = RuntimeError("the line was lost")
    assert message(await desk.execute(await desk.propose())) == CHECKING
    assert await desk.states() == ["in_doubt"]
    assert message(await desk.run("pay", account="maya", payee="Ann", cents=500)) == CHECKING
    desk.till.fails = None
    desk.clock.advance(8)
    await sweeper(desk).sweep()
    assert await desk.states() == ["resolved_not_done"]
    await desk.execute(await desk.propose(), turn=4)
    assert len(await desk.till.made()) == 1


# ── a doubt, and what came of it ──────────────────────────────────────────────────


async def in_doubt(desk: Desk) -> str:
    """Leave it open whether a box was sent; the proposal."""
    desk.till.fails = RuntimeError("the line was lost")
    proposed = await desk.run("send_to", box="7", street="Oak")
    await desk.dispatcher.heard(proposed.proposal, 1.0)
    answer = await desk.dispatcher.execute("x", proposed.proposal, 2)
    assert isinstance(answer, ToolStarted), "its outcome is waited for"
    desk.till.fails = None
    return str(proposed.proposal)


@pytest.mark.parametrize("happened", [False, True])
async def test_a_session_learns_what_the_sweeper_found_out(
    desk: Desk, happened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LOOK_EVERY", 0.01)
    learning = asyncio.create_task(desk.dispatcher.outcome("x", await in_doubt(desk)))
    if happened:
        desk.till.streets.append(("7", "Oak"))
    await asyncio.sleep(0.05)
    assert not learning.done()
    desk.clock.advance(60)
    await sweeper(desk).sweep()
    content = json.loads((await learning).content)
    assert content == {"box": "7", "street": "Oak"} if happened else message(content) == NOT_DONE_AFTER_ALL
    again = await desk.run("send_to", box="7", street="Oak")
    assert isinstance(again, EffectProposed) is not happened


async def test_what_came_of_it_is_not_told_to_somebody_else(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "LOOK_EVERY", 0.01)
    proposal = await in_doubt(desk)
    desk.clock.advance(60)
    await sweeper(desk).sweep()
    desk.caller.unverify()
    assert NOT_YOURS in (await desk.dispatcher.outcome("x", proposal)).content


async def test_a_doubt_that_nobody_resolves_in_time_is_handed_to_a_colleague(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LOOK_EVERY", 10.0)
    monkeypatch.setattr("talkspurt.effects.outcomes.asyncio.sleep", nothing)
    assert IN_DOUBT in (await desk.dispatcher.outcome("x", await in_doubt(desk))).content


async def nothing(_seconds: float) -> None:
    """Take no time."""


async def test_a_slow_outside_system_has_its_time_before_not_done_is_believed(desk: Desk) -> None:
    desk.till.fails = RuntimeError("no answer, but it is in their queue")
    await send_to(desk, "Oak", 1)
    desk.clock.advance(12)
    await sweeper(desk).sweep()
    assert await desk.states() == ["in_doubt"], "it may still happen"
    desk.till.streets.append(("7", "Oak"))
    desk.clock.advance(30)
    await sweeper(desk).sweep()
    assert await desk.states() == ["resolved_done"]


async def test_a_tool_that_cannot_be_stopped_keeps_neither_the_call_nor_its_next_effect_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.effects.calling.STOPPING", 0.05)
    held = asyncio.Event()

    async def stubborn(**_: Any) -> None:
        while not held.is_set():
            with suppress(asyncio.CancelledError):
                await held.wait()

    pay = replace(desk.till.pay, function=stubborn, timeout=0.05)
    monkeypatch.setattr(Agent, "tool", lambda agent, name: pay if name == "pay" else find(agent, name))
    before = counted("tool_not_stopped")
    assert message(await desk.execute(await desk.propose())) == CHECKING
    assert await desk.states() == ["in_doubt"]
    assert counted("tool_not_stopped") == before + 1
    assert (await asyncio.wait_for(send_to(desk, "Oak", 4), 5))["street"] == "Oak"
    held.set()


find = Agent.tool


class Wires:
    """An outside system that keeps keys, behind a tool that may not stop when it is cancelled."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.settled: list[str] = []
        self.closed = False
        """Whether nothing more can be wished for."""
        self.entered, self.gate = asyncio.Event(), asyncio.Event()
        self.unreachable = False
        """Whether nothing can be looked up."""

    async def _word(self, payee: str) -> str:
        if self.closed:
            raise ToolError("The bank is closed.")
        return f"I'll wire it to {payee}. Shall I?"

    async def _look_up(self, key: str) -> dict[str, bool] | None:
        if self.unreachable:
            raise ConnectionError
        self.settled.append(key)
        return {"wired": True} if key in self.sent else None

    @tool(effect=True, read_back=_word, lookup=_look_up, timeout=0.05)
    async def stubborn(self, effect: Effect, payee: str) -> dict[str, bool]:
        """Wire money, whatever happens."""
        while not self.gate.is_set():
            with suppress(asyncio.CancelledError):
                await self.gate.wait()
        self.sent.append(effect.key)
        return {"wired": True}

    @tool(effect=True, read_back=_word, lookup=_look_up)
    async def wire(self, effect: Effect, payee: str) -> dict[str, bool]:
        """Wire money."""
        self.entered.set()
        await self.gate.wait()
        self.sent.append(effect.key)
        return {"wired": True}

    async def desk(self, desk: Desk) -> Desk:
        agent = Agent(name="till", prompt="Be brief.", greeting="Hello.", tools=[self.stubborn, self.wire])
        return await opened(desk.till, desk.store, desk.clock, agent, "+12025550101")


@pytest.fixture
def wires() -> Iterator[Wires]:
    wires = Wires()
    yield wires
    # A tool that does not stop would keep the loop from closing behind a test that failed.
    wires.gate.set()


async def until(desk: Desk, states: list[str]) -> None:
    async with asyncio.timeout(5):
        while await desk.states() != states:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_who_asks_again_while_it_is_being_done_is_told_so_and_the_tool_is_not_asked(
    desk: Desk, wires: Wires
) -> None:
    """A lookup that settles the key would keep the confirmed effect from being done."""
    call = await wires.desk(desk)
    doing = asyncio.create_task(call.execute(await call.run("wire", payee="Ann")))
    await wires.entered.wait()
    assert message(await call.run("wire", payee="Ann")) == UNDER_WAY
    assert isinstance(await call.run("wire", payee="Bob"), EffectProposed), "another effect is another effect"
    wires.closed = True
    assert message(await call.run("wire", payee="Ann")) == UNDER_WAY, "not why it could not be done a second time"
    wires.closed = False
    wires.gate.set()
    assert await doing == {"wired": True}
    assert wires.settled == []
    assert await call.run("wire", payee="Ann") == {"wired": True}


async def test_a_call_that_comes_back_while_its_process_is_at_an_effect_does_not_ask_the_tool(
    desk: Desk, wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LOOK_EVERY", 0.02)
    call = await wires.desk(desk)
    proposed = await call.run("wire", payee="Ann")
    doing = asyncio.create_task(call.execute(proposed))
    await wires.entered.wait()
    returned = await call.returned()
    content = await returned.dispatcher.recover("x", proposed.proposal)
    assert isinstance(content, ToolStarted), "its outcome is waited for"
    assert UNDER_WAY in content.content
    assert wires.settled == []
    wires.gate.set()
    await doing
    assert '"wired": true' in (await returned.dispatcher.outcome("x", proposed.proposal)).content
    assert len(wires.sent) == 1


async def test_while_a_tool_still_runs_nobody_is_certain_that_it_did_nothing(
    desk: Desk, wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.effects.calling.STOPPING", 0.05)
    monkeypatch.setattr(execution, "HOLD_EVERY", 0.02)
    monkeypatch.setattr(outcomes, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(outcomes, "LOOKED_UP_WITHIN", 0.1)
    call = await wires.desk(desk)
    proposed = await call.run("stubborn", payee="Ann")
    assert message(await call.execute(proposed)) == CHECKING
    for _ in range(6):
        call.clock.advance(4)
        await asyncio.sleep(0.1)
        await sweeper(call).sweep()
    assert await call.states() == ["in_doubt"], "its time was over long ago"
    told = await call.dispatcher.outcome("x", proposed.proposal)
    assert message(json.loads(told.content)) == IN_DOUBT
    assert message(await call.run("stubborn", payee="Ann")) == CHECKING
    wires.gate.set()
    await until(call, ["resolved_done"])
    assert await call.run("stubborn", payee="Ann") == {"wired": True}
    assert len(wires.sent) == 1


async def test_a_tool_that_still_runs_is_not_begun_again_by_the_process_that_has_it(
    desk: Desk, wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the ledger could not be told that it is still at it."""
    monkeypatch.setattr("talkspurt.effects.calling.STOPPING", 0.05)
    monkeypatch.setattr(outcomes, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(outcomes, "LOOKED_UP_WITHIN", 0.1)
    call = await wires.desk(desk)
    proposed = await call.run("stubborn", payee="Ann")
    await call.execute(proposed)
    call.clock.advance(60)
    await sweeper(call).sweep()
    assert await call.states() == ["resolved_not_done"]
    told = await call.dispatcher.outcome("x", proposed.proposal)
    assert message(json.loads(told.content)) == IN_DOUBT
    assert message(await call.run("stubborn", payee="Ann")) == CHECKING
    wires.gate.set()
    await until(call, ["resolved_done"])


@pytest.mark.parametrize(("unreachable", "found"), [(False, "resolved_not_done"), (True, "in_doubt")])
async def test_what_a_tool_that_never_ends_has_done_is_looked_up_or_a_person_is_told(
    desk: Desk, wires: Wires, monkeypatch: pytest.MonkeyPatch, unreachable: bool, found: str
) -> None:
    monkeypatch.setattr("talkspurt.effects.calling.STOPPING", 0.05)
    monkeypatch.setattr(execution, "HOLD_EVERY", 0.02)
    monkeypatch.setattr(execution, "HOLD_FOR", 0.1)
    monkeypatch.setattr(outcomes, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(outcomes, "LOOKED_UP_WITHIN", 0.1)
    wires.unreachable = unreachable
    call = await wires.desk(desk)
    proposed = await call.run("stubborn", payee="Ann")
    before = EFFECTS_FOR_A_PERSON._value.get()
    with capture_logs() as logs:
        assert message(await call.execute(proposed)) == CHECKING
        async with asyncio.timeout(5):
            while not any(line["event"] == "effect_held_no_longer" for line in logs):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    call.clock.advance(60)
    await sweeper(call).sweep()
    assert await call.states() == [found]
    assert EFFECTS_FOR_A_PERSON._value.get() == before + unreachable
    told = await call.dispatcher.outcome("x", proposed.proposal)
    assert (IN_DOUBT in told.content) == unreachable, "nor does the process that has the tool wait for it any more"
    wires.gate.set()
    await until(call, ["resolved_done"])
    assert await call.run("stubborn", payee="Ann") == {"wired": True}, "what it did after all is the outcome"
    assert len(wires.sent) == 1


@pytest.mark.parametrize("taken_over", [False, True])
async def test_what_was_done_is_done_whatever_others_have_found_out(desk: Desk, wires: Wires, taken_over: bool) -> None:
    """Another worker's clock was ahead: it took this one for gone."""
    call = await wires.desk(desk)
    proposed = await call.run("wire", payee="Ann")
    first = asyncio.create_task(call.execute(proposed))
    await wires.entered.wait()
    call.clock.advance(60)
    await sweeper(call).sweep()
    assert await call.states() == ["resolved_not_done"]
    heir = await call.taken_over() if taken_over else call
    before = EFFECTS_FOR_A_PERSON._value.get()
    wires.gate.set()
    with capture_logs() as logs:
        assert await first == {"wired": True}
    assert [line["proposal"] for line in logs if line["event"] == "effect_done_after_all"] == [proposed.proposal]
    assert EFFECTS_FOR_A_PERSON._value.get() == before + 1
    assert await call.states() == ["resolved_done"]
    assert await heir.run("wire", payee="Ann") == {"wired": True}
    assert len(wires.sent) == 1


async def test_a_person_is_told_of_a_yes_that_came_to_nothing_after_the_caller_had_gone(
    desk: Desk, wires: Wires
) -> None:
    """ "Yes, thanks, bye": they believe that it is done."""
    call = await wires.desk(desk)
    first = asyncio.create_task(call.execute(await call.run("wire", payee="Ann")))
    await wires.entered.wait()
    await call.store.calls.end(call.caller.call_id, "caller_hung_up")
    call.clock.advance(60)
    before = EFFECTS_FOR_A_PERSON._value.get()
    with capture_logs() as logs:
        await sweeper(call).sweep()
        await sweeper(call).sweep()
    (line,) = [line for line in logs if line["event"] == "effect_confirmed_not_done"]
    assert (line["tool"], line["state"]) == ("wire", "resolved_not_done")
    assert EFFECTS_FOR_A_PERSON._value.get() == before + 1
    wires.gate.set()
    await first


async def test_a_person_is_told_of_a_yes_that_came_to_nothing_when_nothing_else_waits(desk: Desk, wires: Wires) -> None:
    call = await wires.desk(desk)
    first = asyncio.create_task(call.execute(await call.run("wire", payee="Ann")))
    await wires.entered.wait()
    await call.store.calls.end(call.caller.call_id, "caller_hung_up")
    (record,) = await call.store.effects.of_call(call.caller.call_id)
    await call.store.effects.resolve(record.proposal, result=None)
    assert not await call.store.effects.any_waits(["wire"])
    with capture_logs() as logs:
        await sweeper(call).sweep()
    assert [log["event"] for log in logs] == ["effect_confirmed_not_done"]
    wires.gate.set()
    await first


async def test_what_was_begun_again_before_the_first_came_back_is_told_to_a_person(desk: Desk, wires: Wires) -> None:
    call = await wires.desk(desk)
    first = asyncio.create_task(call.execute(await call.run("wire", payee="Ann")))
    await wires.entered.wait()
    call.clock.advance(60)
    await sweeper(call).sweep()
    heir = await call.taken_over()
    second = asyncio.create_task(heir.execute(await heir.run("wire", payee="Ann"), turn=4))
    await until(call, ["resolved_not_done", "executing"])
    wires.gate.set()
    with capture_logs() as logs:
        await asyncio.gather(first, second)
    (line,) = [line for line in logs if line["event"] == "effect_done_after_all"]
    assert "undo one of them" in line["todo"]


def counted(anomaly: str) -> float:
    return float(ANOMALIES.labels(anomaly)._value.get())


async def test_the_tool_acts_for_the_caller_who_was_judged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else takes the phone while the beginning is written down."""
    ledger = desk.dispatcher._proposals._ledger
    begin, acted_for = ledger.begin, []

    async def slow(*arguments: Any, **options: Any) -> Any:
        begun = await begin(*arguments, **options)
        desk.caller.unverify()
        return begun

    async def noting(caller: Caller, **_: Any) -> dict[str, str]:
        acted_for.append((caller.account, caller.level))
        return {}

    monkeypatch.setattr(ledger, "begin", slow)
    proposed = await desk.run("send_to", box="7", street="Oak")
    desk.dispatcher._proposals._open[proposed.proposal].tool = replace(desk.till.send_to, function=noting)
    await desk.execute(proposed)
    assert acted_for == [("maya", 1)]


async def test_whoever_takes_the_phone_while_it_is_worded_is_told_nothing(desk: Desk) -> None:
    async def word(**_: Any) -> str:
        desk.caller.unverify()
        return "I'll send box 7 to Oak. Shall I?"

    send = replace(desk.till.send_to, read_back=word)
    with pytest.raises(NotDoneError, match="account has changed"):
        await desk.dispatcher._proposals.propose("t1", send, send.arguments(box="7", street="Oak"))
    assert await desk.states() == []


async def test_whoever_takes_the_phone_while_it_is_worded_again_gets_nothing(desk: Desk) -> None:
    proposed = await desk.run("send_to", box="7", street="Oak")

    async def word(**_: Any) -> str:
        desk.caller.unverify()
        return "I'll send box 7 to Oak. Shall I?"

    desk.dispatcher._proposals._open[proposed.proposal].tool = replace(desk.till.send_to, read_back=word)
    assert message(await desk.execute(proposed)) == CALLER_CHANGED
    assert desk.till.streets == []


# ── somebody else on the line ─────────────────────────────────────────────────────


async def test_whoever_takes_the_phone_is_not_told_what_was_just_done(desk: Desk) -> None:
    desk.till.gate.clear()
    proposed = await desk.propose()
    paying = asyncio.create_task(desk.execute(proposed))
    await desk.till.entered.wait()
    await desk.run("new_caller")
    desk.till.gate.set()
    assert message(await paying) == NOT_YOURS
    assert await desk.till.made() == [("maya", "Ann", 500)]
    for account, told in (("yusuf", NOT_YOURS), ("maya", None)):
        desk.caller.verify(account)
        content = json.loads((await desk.dispatcher.recover("x", proposed.proposal)).content)
        assert content == {"paid": 500, "to": "Ann"} if told is None else message(content) == told


async def test_whoever_takes_the_phone_is_not_told_why_it_failed(desk: Desk) -> None:
    desk.till.gate.clear()
    desk.till.fails = ToolError("Maya's account is overdrawn.")
    paying = asyncio.create_task(desk.execute(await desk.propose()))
    await desk.till.entered.wait()
    await desk.run("new_caller")
    desk.till.gate.set()
    assert message(await paying) == NOT_YOURS


@pytest.mark.parametrize("written", [True, False], ids=["done", "executing"])
async def test_whoever_takes_the_phone_is_not_told_by_another_process(desk: Desk, written: bool) -> None:
    if written:
        proposed = await desk.propose()
        await desk.execute(proposed)
        heir = await desk.taken_over()
    else:
        desk.till.fails_after = RuntimeError("the process dies behind it")
        proposed = await desk.propose()
        heirs = []

        async def dies(*_: Any, **__: Any) -> None:
            heirs.append(await desk.taken_over())
            raise StoreError("gone")

        desk.dispatcher._proposals._ledger.finish = dies  # type: ignore[method-assign]
        await desk.execute(proposed)
        heir = heirs[0]
    await heir.run("new_caller")
    content = json.loads((await heir.dispatcher.recover("x", proposed.proposal)).content)
    assert message(content) == NOT_YOURS
    heir.caller.verify("maya")
    content = json.loads((await heir.dispatcher.recover("x", proposed.proposal)).content)
    assert content == {"paid": 500, "to": "Ann"}


async def test_whoever_takes_the_phone_is_not_told_why_it_cannot_be_done(desk: Desk) -> None:
    async def word(**_: Any) -> str:
        desk.caller.unverify()
        raise ToolError("Maya has no box 7.")

    await desk.execute(await desk.run("send_to", box="7", street="Oak"))
    send = replace(desk.till.send_to, read_back=word)
    for box in ("7", "8"):
        desk.caller.verify("maya")
        with pytest.raises(NotDoneError, match="account has changed"):
            await desk.dispatcher._proposals.propose("t1", send, send.arguments(box=box, street="Elm"))


async def test_whoever_takes_the_phone_while_it_is_written_down_hears_no_read_back(desk: Desk) -> None:
    ledger = desk.dispatcher._proposals._ledger
    propose = ledger.propose

    async def slow(*arguments: Any, **options: Any) -> Any:
        stored = await propose(*arguments, **options)
        desk.caller.unverify()
        desk.clock.advance(1)
        return stored

    ledger.propose = slow  # type: ignore[method-assign]
    assert message(await desk.run("send_to", box="7", street="Oak")) == CALLER_CHANGED
    assert sorted(await desk.states()) == ["refused", "withdrawn"]


async def test_whoever_takes_the_phone_is_not_told_how_far_it_is(desk: Desk) -> None:
    told: list[str] = []

    async def sending(progress: Progress, **_: Any) -> dict[str, str]:
        await progress("Maya's box is packed.")
        desk.caller.unverify()
        await progress("Maya's box is on its way to Oak.")
        return {}

    desk.dispatcher.report_to(lambda _call, words: told.append(words))
    proposed = await desk.run("send_to", box="7", street="Oak")
    send = replace(desk.till.send_to, function=sending, progress_parameter="progress")
    desk.dispatcher._proposals._open[proposed.proposal].tool = send
    await desk.execute(proposed)
    assert told == ["Maya's box is packed."]
