"""The dispatcher under a model that errs, tools that fail and a store that is gone."""

import asyncio
import json
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from talkspurt.agent import Agent, Caller, Policies, ToolError, tool
from talkspurt.core.events import EffectProposed, ToolReturned
from talkspurt.effects import ToolDispatcher
from talkspurt.effects.refusals import CALLER_CHANGED, IN_DOUBT
from talkspurt.errors import StoreError
from talkspurt.testing.ledger import MemoryEffectLedger

PIN = "4711"


class Bank:
    """A trade with one tool of every temper."""

    def __init__(self) -> None:
        self.paid: list[str] = []
        self.worded = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusal = ""
        """Why no balance is told, if not ""."""
        self.entered = asyncio.Event()
        self.failure: Exception | None = None

    @tool(filler="Let me look.")
    async def branches(self, town: str, limit: int = 3) -> list[str]:
        """List branches."""
        return [f"{town} {number}" for number in range(limit)]

    @tool(verifies=1)
    async def verify(self, caller: Caller, pin: str = "") -> dict[str, bool]:
        """Check the PIN."""
        await self.gate.wait()
        if not pin:
            raise ToolError("I need the PIN.", attempted=False)
        if pin != PIN:
            raise ToolError("That didn't match.")
        caller.verify("acct-1")
        return {"verified": True}

    @tool(level=1)
    async def balance(self, caller: Caller) -> dict[str, str]:
        """Tell the balance."""
        assert caller.account is not None
        return {"account": caller.account, "balance": "$5.00"}

    @tool(level=1)
    async def slow_balance(self, caller: Caller) -> dict[str, str | None]:
        """Tell the balance, in time."""
        self.entered.set()
        await self.gate.wait()
        if self.refusal:
            raise ToolError(self.refusal)
        return {"account": caller.account}

    async def _word_payment(self, caller: Caller, payee: str, cents: int = 100) -> str:
        self.worded += 1
        if payee == "nobody":
            raise ToolError("I don't know that payee.")
        if payee == "slow":
            await asyncio.Event().wait()
        return "" if payee == "silent" else f"I'll pay {cents} cents to {payee}. Shall I?"

    @tool(level=1, effect=True, read_back=_word_payment, timeout=0.5)
    async def pay(self, caller: Caller, payee: str, cents: int = 100) -> Any:
        """Pay somebody."""
        self.entered.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.paid.append(payee)
        return {"status": "paid", "receipt": "x" * 20_000} if payee == "verbose" else {"status": "paid", "to": payee}

    @tool(timeout=0.001)
    async def hang(self) -> str:
        """Never answer."""
        await asyncio.Event().wait()
        return "never"

    @tool(timeout=0.001)
    async def answer_late(self) -> str:
        """Answer after having been told to stop."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "never"

    @tool
    async def crash(self) -> NoReturn:
        """Fail."""
        raise RuntimeError("the caller said 4111 1111 1111 1111")

    @tool
    async def give_up(self) -> NoReturn:
        """Let a cancellation of its own escape."""
        raise asyncio.CancelledError

    @tool
    async def own_timeout(self) -> NoReturn:
        """Run into a time limit of its own."""
        raise TimeoutError

    @tool
    async def megabyte(self) -> str:
        """Say too much."""
        return "x" * 1_000_000

    @tool
    async def strange(self) -> object:
        """Return what JSON cannot carry."""
        return object()

    @tool
    async def dirty(self) -> dict[str, str]:
        """Return a product name that a stranger wrote."""
        return {"name": "Lamp\x1b]0;\u202e\x00"}


class Line:
    """A dispatcher with everything around it."""

    def __init__(self, *, level: int = 0, attempts: int = 3) -> None:
        self.bank = Bank()
        names = [name for name, entry in vars(Bank).items() if hasattr(entry, "parameters")]
        self.agent = Agent(
            name="bank",
            prompt="Be brief.",
            greeting="Hello.",
            tools=[getattr(self.bank, name) for name in names],
            policies=Policies(verification_attempts=attempts),
        )
        self.caller = Caller(call_id="call-1", number="")
        if level:
            self.caller.verify("acct-1", level=level)
        self.ledger = MemoryEffectLedger()
        self.tools = ToolDispatcher(self.agent, self.caller, self.ledger)

    async def run(self, name: str, **arguments: Any) -> Any:
        event = await self.tools.run("t1", name, json.dumps(arguments))
        assert isinstance(event, ToolReturned)
        return json.loads(event.content)

    async def propose(self, tool_call: str = "t1", **arguments: Any) -> EffectProposed:
        event = await self.tools.run(tool_call, "pay", json.dumps(arguments))
        assert isinstance(event, EffectProposed)
        return event

    async def execute(self, proposed: EffectProposed) -> Any:
        await self.tools.heard(proposed.proposal, 1.0)
        event = await self.tools.execute(proposed.tool_call, proposed.proposal, 2)
        assert event.tool_call == proposed.tool_call
        return json.loads(event.content)

    def states(self) -> list[str]:
        return [record.state for record in self.ledger.records.values()]


def kind(content: Any) -> str:
    assert set(content) == {"error"}
    assert set(content["error"]) == {"kind", "message"}
    assert content["error"]["message"]
    return str(content["error"]["kind"])


# ── what a model is told ──────────────────────────────────────────────────────────


def test_a_model_is_told_of_every_tool_of_hanging_up_and_of_a_slower_voice() -> None:
    specs = Line().tools.specs()
    assert [spec.name for spec in specs[-3:]] == ["new_caller", "end_call", "speak_slower"]
    assert specs[0].name == "branches"
    assert specs[0].parameters["required"] == ["town"]
    assert len({spec.name for spec in specs}) == len(specs)


async def test_hanging_up_is_answered_whatever_the_arguments() -> None:
    event = await Line().tools.run("t9", "end_call", "{nonsense")
    assert event == ToolReturned("t9", '{"status": "ending"}')


def test_fillers_are_the_tools_own() -> None:
    tools = Line().tools
    assert tools.filler("branches") == "Let me look."
    assert tools.filler("crash") == tools.filler("unknown") == ""


async def test_a_result_is_the_functions_own() -> None:
    assert await Line().run("branches", town="Bern", limit=2) == {"result": ["Bern 0", "Bern 1"]}


# ── bad input ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ('"town"', "object"),
        ("{}", "town: Field required"),
        ("", "town: Field required"),
        ('{"town": 5}', "town: Input should be a valid string"),
        ('{"town": "Bern", "limit": "many"}', "limit: Input should be a valid integer"),
        ('{"town": "Bern", "city": "Bern"}', "city: Extra inputs are not permitted"),
        ('{"town": "\\ud800"}', "JSON"),
        ('{"town": "' + "x" * 20_000 + '"}', "longer than"),
        ("[" * 10_000, "JSON"),
        ('{"town": "\ud800"}', ""),
    ],
)
async def test_wrong_arguments_are_answered_so_that_a_model_can_repair_them(arguments: str, hint: str) -> None:
    event = await Line().tools.run("t1", "branches", arguments)
    assert isinstance(event, ToolReturned)
    content = json.loads(event.content)
    if not hint:
        assert "result" in content
        return
    assert kind(content) == "invalid_arguments"
    assert hint in content["error"]["message"]


@settings(deadline=None, max_examples=200)
@given(
    name=st.sampled_from(["branches", "verify", "balance", "pay", "end_call", "dirty", ""]) | st.text(),
    arguments=st.text(),
)
async def test_no_text_of_a_model_raises(name: str, arguments: str) -> None:
    event = await Line(level=1).tools.run("t1", name, arguments)
    assert isinstance(event, ToolReturned)
    assert isinstance(json.loads(event.content), dict)


async def test_an_unknown_tool_is_answered_with_the_known_ones() -> None:
    content = await Line().run("drop_tables\x00")
    assert kind(content) == "unknown_tool"
    assert "branches" in content["error"]["message"]
    assert "drop_tables" not in content["error"]["message"]


# ── tools that misbehave ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hang", "timeout"),
        ("answer_late", "timeout"),
        ("crash", "failed"),
        ("give_up", "failed"),
        ("own_timeout", "failed"),
        ("megabyte", "failed"),
        ("strange", "failed"),
    ],
)
async def test_a_misbehaving_tool_becomes_a_neutral_error(name: str, expected: str) -> None:
    assert kind(await Line().run(name)) == expected


async def test_what_a_crash_says_reaches_neither_model_nor_log() -> None:
    with capture_logs() as logs:
        content = await Line().run("crash")
    assert "4111" not in json.dumps(content)
    assert [entry["event"] for entry in logs] == ["tool_failed"]
    assert "4111" not in repr(logs)
    assert logs[0]["error"] == "RuntimeError"


async def test_control_characters_are_taken_out_of_results() -> None:
    assert await Line().run("dirty") == {"name": "Lamp]0;"}


async def test_cancelling_the_call_cancels_its_tool() -> None:
    line = Line()
    line.bank.gate.clear()
    running = asyncio.create_task(line.run("verify", pin=PIN))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


# ── verification ──────────────────────────────────────────────────────────────────


async def test_a_tool_above_the_callers_level_is_not_run() -> None:
    line = Line()
    assert kind(await line.run("balance")) == "verification_required"
    assert kind(await line.run("pay", payee="Ann")) == "verification_required"
    assert line.bank.worded == 0
    await line.run("verify", pin=PIN)
    assert await line.run("balance") == {"account": "acct-1", "balance": "$5.00"}


async def test_failed_attempts_are_counted_and_then_nobody_is_verified() -> None:
    line = Line(attempts=2)
    assert kind(await line.run("verify", pin="0000")) == "refused"
    assert kind(await line.run("verify", pin="1111")) == "attempts_exhausted"
    assert kind(await line.run("verify", pin=PIN)) == "attempts_exhausted"
    assert line.caller.level == 0


async def test_parallel_guesses_share_the_attempts() -> None:
    line = Line(attempts=3)
    line.bank.gate.clear()
    guesses = [asyncio.create_task(line.run("verify", pin=pin)) for pin in ("1", "2", "3", PIN, PIN)]
    await asyncio.sleep(0)
    line.bank.gate.set()
    answers = [await guess for guess in guesses]
    assert [kind(answer) for answer in answers][3:] == ["attempts_exhausted"] * 2
    assert line.caller.level == 0


async def test_a_missing_fact_or_a_success_costs_no_attempt() -> None:
    line = Line(attempts=1)
    for _ in range(3):
        assert kind(await line.run("verify")) == "refused"
        assert await line.run("verify", pin=PIN) == {"verified": True}
    assert kind(await line.run("verify", pin="0")) == "attempts_exhausted"


# ── effects ───────────────────────────────────────────────────────────────────────


async def test_an_effect_is_proposed_and_happens_only_when_executed() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    assert proposed.read_back == "I'll pay 100 cents to Ann. Shall I?"
    assert json.loads(proposed.content) == {"status": "confirmation_required", "read_back": proposed.read_back}
    assert (line.bank.paid, line.states()) == ([], ["proposed"])
    assert await line.execute(proposed) == {"status": "paid", "to": "Ann"}
    assert (line.bank.paid, line.states()) == (["Ann"], ["done"])
    (record,) = line.ledger.records.values()
    assert (record.arguments, record.result) == ('{"cents":100,"payee":"Ann"}', '{"status": "paid", "to": "Ann"}')


async def test_executing_twice_at_once_pays_once() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    answers = await asyncio.gather(*(line.execute(proposed) for _ in range(5)))
    assert line.bank.paid == ["Ann"]
    assert answers == [{"status": "paid", "to": "Ann"}] * 5
    assert await line.execute(proposed) == {"status": "paid", "to": "Ann"}
    assert line.bank.paid == ["Ann"]


@pytest.mark.parametrize("state", ["executing", "done", "withdrawn", "in_doubt", "expired"])
async def test_the_ledger_has_the_last_word_on_what_may_begin(state: Any) -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    record = line.ledger.records[proposed.proposal]
    line.ledger.records[proposed.proposal] = replace(record, state=state)
    assert kind(await line.execute(proposed)) == "refused"
    assert line.bank.paid == []


async def test_the_same_effect_again_is_answered_with_the_first_result() -> None:
    line = Line(level=1)
    await line.execute(await line.propose(payee="Ann"))
    assert await line.run("pay", payee="Ann", cents=100) == {"status": "paid", "to": "Ann"}
    assert line.bank.paid == ["Ann"]


async def test_the_same_effect_is_recognised_by_a_worker_that_took_over_the_call() -> None:
    line = Line(level=1)
    await line.execute(await line.propose(payee="Ann"))
    line.tools = ToolDispatcher(line.agent, line.caller, line.ledger)
    assert await line.run("pay", payee="Ann") == {"status": "paid", "to": "Ann"}
    assert line.bank.paid == ["Ann"]


@pytest.mark.parametrize("state", ["executing", "in_doubt"])
async def test_what_a_lost_worker_had_begun_is_not_asked_for_again(state: Any) -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    line.ledger.records[proposed.proposal] = replace(line.ledger.records[proposed.proposal], state=state)
    line.tools = ToolDispatcher(line.agent, line.caller, line.ledger)
    answer = await line.run("pay", payee="Ann")
    assert answer["error"] == {"kind": "in_doubt", "message": IN_DOUBT}
    assert list(line.ledger.records) == [proposed.proposal]


async def test_the_same_effect_proposed_twice_before_the_first_yes_happens_once() -> None:
    line = Line(level=1)
    first, second = await line.propose("t1", payee="Ann"), await line.propose("t2", payee="Ann")
    assert first.proposal != second.proposal
    answers = await asyncio.gather(line.execute(first), line.execute(second))
    assert line.bank.paid == ["Ann"]
    assert list(answers) == [{"status": "paid", "to": "Ann"}] * 2
    assert line.states() == ["done", "withdrawn"]


async def test_a_withdrawn_effect_never_happens() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    await line.tools.withdraw(proposed.proposal)
    await line.tools.withdraw(proposed.proposal)
    assert kind(await line.execute(proposed)) == "refused"
    assert (line.bank.paid, line.states()) == ([], ["withdrawn"])


async def test_a_withdrawal_holds_even_when_the_store_is_gone() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    line.ledger.unreachable = True
    await line.tools.withdraw(proposed.proposal)
    line.ledger.unreachable = False
    assert kind(await line.execute(proposed)) == "refused"
    assert line.bank.paid == []


async def test_a_read_back_may_refuse() -> None:
    line = Line(level=1)
    assert await line.run("pay", payee="nobody") == {
        "error": {"kind": "refused", "message": "I don't know that payee."}
    }
    assert line.states() == ["refused"]


@pytest.mark.parametrize(("payee", "expected"), [("silent", "failed"), ("slow", "timeout")])
async def test_without_words_to_read_back_nothing_is_proposed(payee: str, expected: str) -> None:
    line = Line(level=1)
    assert kind(await line.run("pay", payee=payee)) == expected
    assert line.states() == ["refused"]


async def test_an_effect_for_another_account_than_it_was_worded_for_is_refused() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    line.caller.verify("acct-2")
    assert kind(await line.execute(proposed)) == "refused"
    assert (line.bank.paid, line.states()) == ([], ["refused"])


async def test_the_same_wish_of_another_account_is_done_for_that_one() -> None:
    line = Line(level=1)
    first = await line.execute(await line.propose(payee="Ann"))
    assert await line.run("pay", payee="Ann") == first
    line.caller.verify("acct-2")
    assert await line.execute(await line.propose(payee="Ann")) == first
    assert line.bank.paid == ["Ann", "Ann"]


async def test_what_was_looked_up_for_one_account_is_not_told_to_the_next() -> None:
    line = Line(level=1)
    line.bank.gate.clear()
    looking = asyncio.create_task(line.run("slow_balance"))
    await line.bank.entered.wait()
    line.caller.verify("acct-2")
    line.bank.gate.set()
    assert kind(await looking) == "refused"


async def test_why_nothing_was_found_for_one_account_is_not_told_to_the_next() -> None:
    line = Line(level=1)
    line.bank.gate.clear()
    line.bank.refusal = "Ann's account is overdrawn."
    looking = asyncio.create_task(line.run("slow_balance"))
    await line.bank.entered.wait()
    line.caller.verify("acct-2")
    line.bank.gate.set()
    assert (await looking)["error"]["message"] == CALLER_CHANGED


async def test_an_effect_of_a_caller_who_lost_the_level_is_refused() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    line.caller.level = 0
    assert kind(await line.execute(proposed)) == "refused"
    assert line.bank.paid == []


async def test_a_refused_effect_changed_nothing_and_may_be_proposed_again() -> None:
    line = Line(level=1)
    line.bank.failure = ToolError("The account is closed today.")
    assert kind(await line.execute(await line.propose(payee="Ann"))) == "refused"
    assert line.states() == ["failed"]
    line.bank.failure = None
    assert await line.execute(await line.propose(payee="Ann")) == {"status": "paid", "to": "Ann"}


@pytest.mark.parametrize("failure", ["crash", "hang"])
async def test_an_effect_in_doubt_is_never_tried_again(failure: str) -> None:
    line = Line(level=1)
    if failure == "crash":
        line.bank.failure = RuntimeError("lost connection")
    else:
        line.bank.gate.clear()
    content = await line.execute(await line.propose(payee="Ann"))
    assert content["error"] == {"kind": "in_doubt", "message": IN_DOUBT}
    assert line.states() == ["in_doubt"]
    line.bank.failure = None
    line.bank.gate.set()
    again = await line.run("pay", payee="Ann")
    assert again == content
    assert line.bank.paid == []


async def test_a_done_effect_whose_result_is_too_long_is_still_done() -> None:
    line = Line(level=1)
    assert await line.execute(await line.propose(payee="verbose")) == {"status": "done"}
    assert line.states() == ["done"]


async def test_without_the_store_nothing_is_proposed_or_executed() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    line.ledger.unreachable = True
    assert kind(await line.run("pay", payee="Bob")) == "failed"
    assert kind(await line.execute(proposed)) == "failed"
    assert line.bank.paid == []
    line.ledger.unreachable = False
    assert kind(await line.execute(proposed)) == "refused"
    assert await line.execute(await line.propose(payee="Ann")) == {"status": "paid", "to": "Ann"}


async def test_an_outcome_that_could_not_be_recorded_is_told_and_not_repeated() -> None:
    line = Line(level=1)
    line.bank.gate.clear()
    proposed = await line.propose(payee="Ann")
    running = asyncio.create_task(line.execute(proposed))
    await line.bank.entered.wait()
    line.ledger.unreachable = True
    line.bank.gate.set()
    assert await running == {"status": "paid", "to": "Ann"}
    line.ledger.unreachable = False
    assert await line.run("pay", payee="Ann") == {"status": "paid", "to": "Ann"}
    assert line.bank.paid == ["Ann"]


async def test_a_hang_up_waits_for_an_effect_that_has_begun() -> None:
    line = Line(level=1)
    line.bank.gate.clear()
    running = asyncio.create_task(line.execute(await line.propose(payee="Ann")))
    await line.bank.entered.wait()
    running.cancel()
    await asyncio.sleep(0)
    line.bank.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (line.bank.paid, line.states()) == (["Ann"], ["done"])


async def test_an_effect_stopped_by_force_is_in_doubt() -> None:
    line = Line(level=1)
    line.bank.gate.clear()
    running = asyncio.create_task(line.execute(await line.propose(payee="Ann")))
    await line.bank.entered.wait()
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    for _ in range(20):
        await asyncio.sleep(0)
    assert (line.bank.paid, line.states()) == ([], ["in_doubt"])


async def test_a_ledger_that_hangs_counts_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")

    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("talkspurt.effects.calling.LEDGER_TIMEOUT", 0.001)
    monkeypatch.setattr(line.ledger, "begin", hang)
    assert kind(await line.execute(proposed)) == "failed"
    assert line.bank.paid == []


async def test_the_memory_ledger_refuses_an_outcome_of_what_was_not_begun() -> None:
    line = Line(level=1)
    proposed = await line.propose(payee="Ann")
    with pytest.raises(StoreError):
        await line.ledger.finish(proposed.proposal, state="done", result="{}")
