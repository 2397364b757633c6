"""A one-time code: sent to what is on file, keyed in, checked three times, for five minutes, once."""

import asyncio
import json
from typing import Any

import pytest

from talkspurt.agent import Agent, Caller, CodeSender, OneTimeCodes, Policies, hash_pin, pin_matches
from talkspurt.agent.codes import LIFETIME, NO_CODE, WRONG, WRONG_AND_GONE
from talkspurt.core.events import SecretRequested
from talkspurt.effects import ToolDispatcher
from talkspurt.testing.codes import MemoryCodeSender
from talkspurt.testing.ledger import MemoryEffectLedger


class Line:
    """A call of a caller with level 1, to an agent that sends codes."""

    def __init__(self) -> None:
        self.sender = MemoryCodeSender()
        self.now = 0.0
        port: CodeSender = self.sender
        codes = OneTimeCodes(port, clock=lambda: self.now)
        policies = Policies(verification_attempts=9, attempts_per_account=9, attempts_per_number=9)
        self.agent = Agent("a", "p", "g", tools=codes.tools(), policies=policies)
        self.caller = Caller("c1", "+12025550100", level=1, account="maya")
        self.dispatcher = ToolDispatcher(self.agent, self.caller, MemoryEffectLedger())

    async def send(self) -> Any:
        return json.loads((await self.run("send_code")).content)

    async def run(self, name: str) -> Any:
        return await self.dispatcher.run("t1", name, "{}")

    async def key_in(self, code: str) -> str:
        event = await self.run("check_code")
        assert isinstance(event, SecretRequested), event
        assert (event.rules.shortest, event.rules.longest) == (6, 6)
        content = json.loads((await self.dispatcher.run_with_secret("t1", code)).content)
        return str(content.get("verified") or content["error"]["message"])

    @property
    def code(self) -> str:
        return self.sender.sent[-1][1]

    @property
    def wrong(self) -> str:
        return "000000" if self.code != "000000" else "000001"


@pytest.fixture
def line() -> Line:
    return Line()


async def test_the_right_code_raises_the_caller_to_level_2_once(line: Line) -> None:
    assert await line.send() == {"sent_to": "the number that ends in 12"}
    assert [account for account, _ in line.sender.sent] == ["maya"]
    assert len(line.code) == 6
    assert line.code.isdecimal()
    assert await line.key_in(line.code) == "True"
    assert (line.caller.account, line.caller.level) == ("maya", 2)
    assert await line.key_in(line.code) == NO_CODE


async def test_a_stranger_is_sent_nothing(line: Line) -> None:
    line.caller.unverify()
    assert (await line.send())["error"]["kind"] == "verification_required"
    assert line.sender.sent == []


async def test_three_mistakes_use_a_code_up(line: Line) -> None:
    await line.send()
    answers = [await line.key_in(line.wrong) for _ in range(3)]
    assert answers == [WRONG, WRONG, WRONG_AND_GONE]
    assert await line.key_in(line.code) == NO_CODE
    assert line.caller.level == 1
    await line.send()
    assert await line.key_in(line.code) == "True"


async def test_a_code_lives_five_minutes(line: Line) -> None:
    await line.send()
    line.now = LIFETIME
    assert await line.key_in(line.code) == NO_CODE
    assert line.caller.level == 1


async def test_only_the_newest_code_counts(line: Line) -> None:
    await line.send()
    first = line.code
    while line.code == first:
        await line.send()
    assert await line.key_in(first) == WRONG
    assert await line.key_in(line.code) == "True"


async def test_a_code_is_of_one_call_and_one_account(line: Line) -> None:
    await line.send()
    line.caller.verify("yusuf")
    assert await line.key_in(line.code) == NO_CODE
    line.caller.verify("maya")
    line.caller.call_id = "c2"
    assert await line.key_in(line.code) == NO_CODE


async def test_codes_are_sent_as_often_as_they_may(line: Line) -> None:
    for _ in range(3):
        await line.send()
    assert (await line.send())["error"]["kind"] == "refused"
    assert len(line.sender.sent) == 3


async def test_what_cannot_be_sent_is_not_waited_for(line: Line) -> None:
    line.sender.reachable = False
    assert "no number on file" in (await line.send())["error"]["message"]
    assert await line.key_in("000000") == NO_CODE


async def test_tries_at_once_do_not_share_the_last_one(line: Line) -> None:
    await line.send()
    tool = line.agent.tool("check_code")
    assert tool is not None
    codes = [line.wrong] * 3 + [line.code] * 3
    results = await asyncio.gather(*(tool.function(line.caller, code=code) for code in codes), return_exceptions=True)
    assert not any(isinstance(result, dict) for result in results)
    assert line.caller.level == 1


async def test_pins_are_kept_as_hashes() -> None:
    kept = await hash_pin("4711")
    assert kept.startswith("$argon2id$")
    assert "4711" not in kept
    assert await hash_pin("4711") != kept
    assert await pin_matches(kept, "4711")
    assert not await pin_matches(kept, "4712")
    assert not await pin_matches("4711", "4711")
