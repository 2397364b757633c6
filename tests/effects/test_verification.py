"""Nobody is raised but by a tool that was declared to, and nobody guesses: per call, per account, per number."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from effects.till import Desk, a_desk, opened
from talkspurt.agent import Agent, Caller, Policies, ToolError, tool
from talkspurt.effects.refusals import CALLER_CHANGED, EXHAUSTED, LOCKED, NO_OTHER_ACCOUNT
from talkspurt.errors import StoreError


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(tmp_path, account=None) as desk:
        yield desk


async def verify(desk: Desk, name: str, pin: str) -> str:
    content = await desk.ask("verify", {"name": name, "pin": pin})
    return "verified" if content == {"verified": True} else str(content["error"]["message"])


def standing(desk: Desk) -> tuple[str | None, int]:
    return desk.caller.account, desk.caller.level


async def test_right_facts_raise_the_caller_to_what_the_tool_declares(desk: Desk) -> None:
    assert await verify(desk, "maya", "4711") == "verified"
    assert standing(desk) == ("maya", 1)
    assert await desk.run("prove", code="123456") == {"verified": True}
    assert standing(desk) == ("maya", 2)


async def test_a_tool_that_was_not_declared_to_raises_nobody(desk: Desk) -> None:
    assert await desk.run("flatter") == {"done": True}
    assert standing(desk) == (None, 0)


async def test_a_tool_raises_nobody_further_than_it_was_declared_to(desk: Desk) -> None:
    await desk.run("overdo")
    assert standing(desk) == ("maya", 1)


async def test_a_second_proof_needs_the_first(desk: Desk) -> None:
    assert (await desk.run("prove", code="123456"))["error"]["kind"] == "verification_required"


async def test_another_account_starts_again_from_its_own_level(desk: Desk) -> None:
    await verify(desk, "maya", "4711")
    await desk.run("prove", code="123456")
    await verify(desk, "yusuf", "0815")
    assert standing(desk) == ("yusuf", 1)


async def test_three_tries_a_call_and_ten_calls_of_a_number_later_no_more(desk: Desk) -> None:
    assert await verify(desk, "nobody", "1") == "That didn't match."
    assert await verify(desk, "nobody", "1") == "That didn't match."
    assert await verify(desk, "nobody", "1") == EXHAUSTED
    assert await verify(desk, "maya", "4711") == EXHAUSTED
    again = await desk.another(desk.caller.number)
    for _ in range(2):
        assert await verify(again, "nobody", "1") == "That didn't match."
    assert await verify(again, "nobody", "1") == EXHAUSTED
    third = await desk.another(desk.caller.number)
    assert await verify(third, "maya", "4711") == EXHAUSTED
    assert standing(third) == (None, 0)
    desk.clock.advance(24 * 3600 + 1)
    assert await verify(third, "maya", "4711") == "verified"


async def test_callers_who_withhold_their_number_share_their_tries(desk: Desk) -> None:
    agent = replace(desk.agent, policies=Policies(attempts_withheld=4))
    calls = [await opened(desk.till, desk.store, desk.clock, agent, "") for _ in range(3)]
    for call in calls[:2]:
        for _ in range(2):
            answer = await verify(call, "nobody", "1")
    assert answer == EXHAUSTED
    assert await verify(calls[2], "maya", "4711") == EXHAUSTED
    assert await verify(desk, "maya", "4711") == "verified", "whoever shows a number is not concerned"


async def test_an_account_that_was_guessed_at_from_many_numbers_is_locked_for_the_day(desk: Desk) -> None:
    for number in range(2):
        other = await desk.another(f"+1202555010{number}")
        for _ in range(2):
            answer = await verify(other, "maya", "0000")
    assert answer == LOCKED
    assert await verify(desk, "maya", "0000") == LOCKED, "the same words for wrong facts"
    assert await verify(desk, "maya", "4711") == LOCKED, "and for right ones"
    assert standing(desk) == (None, 0)
    assert await verify(desk, "yusuf", "0815") == "verified"
    desk.clock.advance(24 * 3600 + 1)
    assert await verify(desk, "maya", "4711") == "verified"


async def test_many_that_guess_at_one_account_at_once_gain_nothing(desk: Desk) -> None:
    """Each from a call and a number of its own, and all are checked before the first one is counted."""
    checked = asyncio.Event()

    class Guesses:
        under_way = 0

        @tool(verifies=1)
        async def guess(self, caller: Caller, pin: str) -> dict[str, bool]:
            """Check a PIN."""
            self.under_way += 1
            if self.under_way == 30:
                checked.set()
            await checked.wait()
            if pin != "17":
                raise ToolError("That didn't match.", accounts=("maya",))
            caller.verify("maya")
            return {"verified": True}

    policies = Policies(attempts_per_account=5)
    agent = Agent(name="till", prompt="x", greeting="y", tools=[Guesses().guess], policies=policies)
    calls = [await opened(desk.till, desk.store, desk.clock, agent, f"+1202555{n:04}") for n in range(30)]
    answers = await asyncio.gather(*(call.run("guess", pin=str(n)) for n, call in enumerate(calls)))
    assert [call.caller.level for call in calls] == [0] * 30
    assert answers[17]["error"]["message"] == LOCKED


async def test_a_second_proof_is_counted_at_its_account_before_it_is_checked(desk: Desk) -> None:
    """So that the right one gains nothing by coming back first."""
    checked = asyncio.Event()

    class Codes:
        @tool(verifies=2, level=1)
        async def enter(self, caller: Caller, code: str) -> dict[str, bool]:
            """Check a code."""
            if code != "123456":
                await checked.wait()
                raise ToolError("That is not the code.")
            caller.verify("maya", level=2)
            return {"verified": True}

    policies = Policies(attempts_per_account=4)
    agent = Agent(name="till", prompt="x", greeting="y", tools=[Codes().enter], policies=policies)
    calls = [await opened(desk.till, desk.store, desk.clock, agent, f"+1202555{n:04}") for n in range(5)]
    for call in calls:
        call.caller.verify("maya")
    wrong = [asyncio.create_task(call.run("enter", code="000000")) for call in calls[1:]]
    async with asyncio.timeout(5):
        while await desk.store.attempts.failed_for("maya") < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await calls[0].run("enter", code="123456"))["error"]["message"] == LOCKED
    checked.set()
    await asyncio.gather(*wrong)
    assert [call.caller.level for call in calls] == [1] * 5
    assert await desk.store.attempts.failed_for("maya") == 5


async def test_tries_outlive_the_process_that_counted_them(desk: Desk) -> None:
    for _ in range(2):
        await verify(desk, "nobody", "1")
    heir = await desk.taken_over()
    assert await verify(heir, "nobody", "1") == EXHAUSTED


async def test_without_the_store_nobody_is_verified(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(*_: Any, **__: Any) -> int:
        raise StoreError("gone")

    for method in ("take", "reserve"):
        with monkeypatch.context() as broken:
            broken.setattr(desk.store.attempts, method, unreachable)
            assert await verify(desk, "maya", "4711") == "Something went wrong on our side."
        assert standing(desk) == (None, 0)


async def test_who_is_verified_while_somebody_else_takes_the_phone_is_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, gate = desk.store.attempts.take, asyncio.Event()

    async def slow(**limits: Any) -> str | None:
        await gate.wait()
        return await take(**limits)

    monkeypatch.setattr(desk.store.attempts, "take", slow)
    verifying = asyncio.create_task(verify(desk, "maya", "4711"))
    await asyncio.sleep(0)
    await desk.run("new_caller")
    gate.set()
    assert await verifying == CALLER_CHANGED
    assert standing(desk) == (None, 0)
    assert desk.caller.served == ()


async def test_who_is_verified_while_a_tool_runs_stays_verified_when_it_returns(desk: Desk) -> None:
    """It began when nobody was: that it does not know of anybody says nothing."""
    gate = asyncio.Event()

    @tool
    async def find_parcel(caller: Caller) -> dict[str, bool]:
        """Ask the depot, which takes its time."""
        await gate.wait()
        return {"found": True}

    agent = replace(desk.agent, tools=[*desk.agent.tools, find_parcel])
    call = await opened(desk.till, desk.store, desk.clock, agent, "+12025550188")
    finding = asyncio.create_task(call.run("find_parcel"))
    await asyncio.sleep(0)
    assert await verify(call, "maya", "4711") == "verified"
    proposed = await call.propose()
    gate.set()
    assert await finding == {"found": True}
    assert standing(call) == ("maya", 1)
    assert await call.execute(proposed) == {"paid": 500, "to": "Ann"}


async def test_a_call_serves_as_many_accounts_as_its_agent_allows(desk: Desk) -> None:
    """Whoever has the phone, in whatever process; the one before may come back."""
    limited = await of_one_account(desk)
    assert await verify(limited, "maya", "4711") == "verified"
    assert await verify(limited, "yusuf", "0815") == NO_OTHER_ACCOUNT
    assert standing(limited) == ("maya", 1)
    await limited.run("new_caller")
    assert await verify(limited, "yusuf", "0815") == NO_OTHER_ACCOUNT
    assert await verify(limited, "maya", "4711") == "verified"
    await limited.run("new_caller")
    heir = await limited.taken_over()
    assert await verify(heir, "yusuf", "0815") == NO_OTHER_ACCOUNT
    assert await verify(heir, "maya", "4711") == "verified"
    assert await desk.store.attempts.failed_for("yusuf") == 0


async def test_of_two_that_are_verified_at_once_a_call_serves_one(desk: Desk) -> None:
    limited = await of_one_account(desk)
    answers = await asyncio.gather(verify(limited, "maya", "4711"), verify(limited, "yusuf", "0815"))
    assert sorted(answers) == sorted(["verified", NO_OTHER_ACCOUNT])
    assert len(limited.caller.served) == 1


async def of_one_account(desk: Desk) -> Desk:
    """A call to an agent that serves one account in each."""
    agent = replace(desk.agent, policies=Policies(accounts_per_call=1))
    return await opened(desk.till, desk.store, desk.clock, agent, "+12025550177")
