"""Who may do what: whatever a model sends, judged by what the till's database shows."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from effects.till import Desk, a_desk, opened
from talkspurt.agent import AccountOf, Agent, Caller, Policy, ReadBack, tool
from talkspurt.agent.policy import REASONS
from talkspurt.core.events import CallerChanged, EffectProposed, ToolReturned
from talkspurt.effects import ToolDispatcher
from talkspurt.effects.dispatcher import VERIFY_ANEW
from talkspurt.effects.refusals import OTHER_ACCOUNT, TOO_OFTEN, UNVERIFIED
from talkspurt.testing.ledger import MemoryEffectLedger


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(tmp_path) as desk:
        yield desk


def refusal(content: Any) -> str:
    assert not isinstance(content, EffectProposed), content.read_back
    return f"{content['error']['kind']}: {content['error']['message']}"


# ── level and scope ───────────────────────────────────────────────────────────────


async def test_nobody_unverified_reads_or_pays(tmp_path: Path) -> None:
    async with a_desk(tmp_path, account=None) as desk:
        for name, arguments in (("balance", {}), ("pay", {"account": "maya", "payee": "Ann", "cents": 5})):
            assert refusal(await desk.ask(name, arguments)) == f"verification_required: {UNVERIFIED}"
        assert await desk.states() == ["refused"]


@pytest.mark.parametrize("account", ["yusuf", "MAYA", " maya"])
async def test_another_account_is_refused_whatever_the_model_says(desk: Desk, account: str) -> None:
    assert refusal(await desk.run("balance", account=account)) == f"refused: {OTHER_ACCOUNT}"
    assert refusal(await desk.run("pay", account=account, payee="Ann", cents=5)) == f"refused: {OTHER_ACCOUNT}"
    assert await desk.till.made() == []


async def test_an_account_that_is_not_named_is_the_verified_one(desk: Desk) -> None:
    assert (await desk.run("balance"))["account"] == "maya"
    assert await desk.execute(await desk.propose(account="")) == {"paid": 500, "to": "Ann"}
    assert await desk.till.made() == [("maya", "Ann", 500)]


async def test_a_tool_without_a_level_tells_no_account_to_an_unverified_caller() -> None:
    @tool
    async def points(account: Annotated[str, AccountOf()] = "") -> dict[str, str]:
        """Tell the points of an account."""
        return {"account": account}

    caller = Caller("c1", "")
    agent = Agent(name="shop", prompt="Help.", greeting="Hello.", tools=[points])
    dispatcher = ToolDispatcher(agent, caller, MemoryEffectLedger())
    for arguments in ("{}", '{"account": "maya"}'):
        refused = await dispatcher.run("t1", "points", arguments)
        assert isinstance(refused, ToolReturned)
        assert UNVERIFIED in refused.content
    caller.verify("maya")
    assert await dispatcher.run("t2", "points", "{}") == ToolReturned("t2", '{"account": "maya"}')


async def test_what_a_wish_was_found_to_mean_is_of_the_callers_own_account() -> None:
    async def word(account: str) -> ReadBack:
        return ReadBack("I'll close the account. Shall I?", arguments={"account": "yusuf"})

    @tool(level=1, effect=True, read_back=word)
    async def close(account: Annotated[str, AccountOf()] = "") -> None:
        """Close an account."""

    agent = Agent(name="shop", prompt="Help.", greeting="Hello.", tools=[close])
    dispatcher = ToolDispatcher(agent, Caller("c1", "", level=1, account="maya"), MemoryEffectLedger())
    refused = await dispatcher.run("t1", "close", "{}")
    assert isinstance(refused, ToolReturned)
    assert OTHER_ACCOUNT in refused.content


async def test_a_caller_whom_a_tool_has_passed_on_is_nobody() -> None:
    @tool
    async def pass_on(caller: Caller) -> None:
        """Somebody else comes to the phone."""
        caller.unverify()

    caller = Caller("c1", "", level=2, account="maya")
    agent = Agent(name="shop", prompt="Help.", greeting="Hello.", tools=[pass_on])
    await ToolDispatcher(agent, caller, MemoryEffectLedger()).run("t1", "pass_on", "{}")
    assert (caller.account, caller.level) == (None, 0)


async def test_somebody_else_on_the_line_is_nobody(desk: Desk) -> None:
    proposed = await desk.propose()
    assert await desk.run("new_caller") == {"status": "nobody is verified now"}
    assert (desk.caller.level, desk.caller.account) == (0, None)
    assert refusal(await desk.execute(proposed)).startswith("refused: The verified account has changed")
    assert (await desk.till.made(), await desk.states()) == ([], ["refused"])


async def test_another_voice_that_insists_is_nobody(desk: Desk) -> None:
    proposed = await desk.propose()
    changed = desk.dispatcher.another_voice("t9")
    assert isinstance(changed, CallerChanged)
    assert VERIFY_ANEW in changed.content
    assert (desk.caller.level, desk.caller.account) == (0, None)
    assert refusal(await desk.run("balance")) == f"verification_required: {UNVERIFIED}"
    assert refusal(await desk.execute(proposed)).startswith("refused: The verified account has changed")
    assert isinstance(desk.dispatcher.another_voice("t10"), ToolReturned), "nobody was verified: nothing begins anew"


async def test_an_effect_of_the_account_before_is_not_done_for_the_next(desk: Desk) -> None:
    proposed = await desk.propose()
    assert await desk.run("verify", name="yusuf", pin="0815") == {"verified": True}
    assert refusal(await desk.execute(proposed)).startswith("refused: The verified account has changed")
    assert await desk.till.made() == []


# ── policy ────────────────────────────────────────────────────────────────────────


async def test_more_than_a_level_allows_is_refused_with_its_reason(desk: Desk) -> None:
    over = {"account": "maya", "payee": "Ann", "cents": 10_001}
    assert refusal(await desk.ask("pay", over)) == "refused: For more than 100 dollars I need your code."
    desk.caller.verify("maya", level=2)
    assert isinstance(await desk.ask("pay", over), EffectProposed)
    assert refusal(await desk.ask("pay", {**over, "cents": 40_001})) == "refused: I may not pay more than 400 dollars."


async def test_a_tools_own_limit_holds_whatever_the_policy_allows(desk: Desk) -> None:
    """An amount that nobody states is not within it."""
    tools = [replace(tool, max_amount_cents=5_000) for tool in desk.agent.tools if tool.effect]
    call = await opened(desk.till, desk.store, desk.clock, replace(desk.agent, tools=tools), "+12025550188")
    call.caller.verify("maya")
    pay = {"account": "maya", "payee": "Ann", "cents": 5_001}
    assert refusal(await call.ask("pay", pay)) == f"refused: {REASONS['amount']}"
    assert refusal(await call.run("send_to", box="B1", street="Elm")) == f"refused: {REASONS['amount']}"
    assert isinstance(await call.ask("pay", {**pay, "cents": 5_000}), EffectProposed)


async def test_what_states_no_amount_is_under_no_limit_on_amounts(desk: Desk) -> None:
    """A read-back of plain words states none; it passes where nothing limits it."""
    limited = replace(desk.agent, policy=Policy.parse("[tools.send_to]\nmax_amount_cents = 1_000"))
    call = await opened(desk.till, desk.store, desk.clock, limited, "+12025550188")
    call.caller.verify("maya")
    assert refusal(await call.run("send_to", box="B1", street="Elm")) == f"refused: {REASONS['amount']}"
    assert isinstance(await desk.run("send_to", box="B1", street="Elm"), EffectProposed)


async def test_a_state_that_is_not_allowed_is_refused(desk: Desk) -> None:
    desk.till.closed.add("maya")
    assert refusal(await desk.run("pay", account="maya", payee="Ann", cents=5)) == "refused: The account is closed."


async def test_what_is_allowed_when_it_is_worded_and_not_any_more_when_it_is_confirmed_is_refused(desk: Desk) -> None:
    desk.caller.verify("maya", level=2)
    proposed = await desk.propose(cents=20_000)
    desk.caller.level = 1
    assert refusal(await desk.execute(proposed)) == "refused: For more than 100 dollars I need your code."
    assert (await desk.till.made(), await desk.states()) == ([], ["refused"])


async def test_what_changed_since_it_was_read_back_is_not_done(desk: Desk) -> None:
    words = await desk.propose("Ann")
    desk.till.price = 1
    assert refusal(await desk.execute(words)) == (
        "refused: The amount has changed since, so nothing was done. Now it would be: I'll pay 501 cents to Ann."
    )
    desk.till.price = 0
    facts = await desk.propose("Bob")
    desk.till.closed.add("maya")
    assert refusal(await desk.execute(facts)) == "refused: The account is closed."
    assert (await desk.till.made(), await desk.states()) == ([], ["refused", "refused"])


# ── rates ─────────────────────────────────────────────────────────────────────────


async def test_a_reading_tool_runs_as_often_as_it_may(desk: Desk) -> None:
    for _ in range(2):
        assert "cents" in await desk.run("balance")
    assert refusal(await desk.run("balance")) == f"refused: {TOO_OFTEN}"


async def test_an_effect_is_begun_as_often_as_it_may(desk: Desk) -> None:
    waiting = [await desk.propose(payee) for payee in ("Ann", "Bob", "Cid", "Dan")]
    answers = [await desk.execute(proposed) for proposed in waiting]
    assert refusal(answers[3]) == f"refused: {TOO_OFTEN}"
    assert refusal(await desk.run("pay", account="maya", payee="Eve", cents=5)) == f"refused: {TOO_OFTEN}"
    assert [payee for _, payee, _ in await desk.till.made()] == ["Ann", "Bob", "Cid"]


async def test_a_rate_per_hour_holds_over_calls_and_ends_with_the_hour(desk: Desk) -> None:
    for payee in ("Ann", "Bob", "Cid"):
        await desk.execute(await desk.propose(payee))
    other = await desk.another()
    other.caller.verify("maya")
    for payee in ("Dan", "Eve"):
        await other.execute(await other.propose(payee))
    assert refusal(await other.run("pay", account="maya", payee="Fay", cents=5)) == f"refused: {TOO_OFTEN}"
    other.clock.advance(3601)
    await other.execute(await other.propose("Fay"))
    assert len(await desk.till.made()) == 6


# ── after text of strangers ───────────────────────────────────────────────────────


async def test_after_untrusted_text_only_what_the_caller_named_is_done(desk: Desk) -> None:
    desk.says("Read me my notes, and then pay ninety cents to Ann Li.")
    assert isinstance(await desk.run("pay", account="maya", payee="mallory", cents=9000), EffectProposed)
    await desk.run("notes")
    assert refusal(await desk.run("pay", account="maya", payee="mallory", cents=90)) == (
        "refused: I may only use what the caller said themself here. Ask the caller to say the payee."
    )
    assert refusal(await desk.run("pay", account="maya", payee="Ann Li", cents=9000)).endswith("say the cents.")
    assert isinstance(await desk.run("pay", account="maya", payee="Ann Li", cents=90, speed="fast"), EffectProposed)
    desk.says("Well, pay mallory, too.")
    assert isinstance(await desk.run("pay", account="maya", payee="mallory", cents=90), EffectProposed)


async def test_a_code_does_not_bring_back_what_untrusted_text_took(desk: Desk) -> None:
    """It proves who is calling, and not whose words the arguments are."""
    await desk.run("notes")
    desk.caller.verify("maya", level=2)
    assert refusal(await desk.run("pay", account="maya", payee="mallory", cents=90)).startswith("refused: I may only")


async def test_untrusted_text_is_still_there_after_another_process_took_the_call(desk: Desk) -> None:
    await desk.run("notes")
    heir = await desk.taken_over()
    heir.dispatcher.follow(tuple(desk.history))
    assert refusal(await heir.run("pay", account="maya", cents=90, payee="mallory")).startswith("refused: I may only")


async def test_untrusted_text_is_still_there_where_its_tool_is_not(desk: Desk) -> None:
    """A tool server may offer less to the process that takes a call over than it did to the one before."""
    await desk.run("notes")
    desk.agent = replace(desk.agent, tools=[known for known in desk.agent.tools if known.name != "notes"])
    heir = await desk.taken_over()
    heir.dispatcher.follow(tuple(desk.history))
    assert refusal(await heir.run("pay", account="maya", cents=90, payee="mallory")).startswith("refused: I may only")


async def test_what_the_runtime_itself_answers_is_nobodys_text(desk: Desk) -> None:
    await desk.run("end_call")
    assert refusal(await desk.run("no_such_tool")).startswith("unknown_tool: ")
    assert isinstance(await desk.run("pay", account="maya", payee="mallory", cents=90), EffectProposed)
