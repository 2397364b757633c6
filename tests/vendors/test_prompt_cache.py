"""Prompt caches: from turn to turn what is sent begins alike, byte for byte, as far as it possibly can.

Vendors keep tools, then instructions, then the conversation, whatever their order in the JSON, so each is compared by
itself: all but the conversation must be the same bytes, and the conversation must only grow at its end.
"""

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from talkspurt.agent import Agent, Prompt
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.ports import ReplyRequest, ToolSpec
from talkspurt.testing.fakes import ModelReply
from vendors.wires import FORMATS, WIRES

AGENT: Final = Agent(
    name="Sarah",
    prompt=Prompt("You are Sarah.", capabilities=("You look up orders.",), policies=("Never guess.",)),
    greeting="Hello, how can I help?",
)
TOOLS: Final = tuple(
    ToolSpec(name, f"Does {name}.", {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]})
    for name in ("find_order", "track_order", "cancel_order")
)
FIRST: Final[tuple[Entry, ...]] = (AgentSaid(AGENT.greeting), CallerSaid("Where is my order?"))
SECOND: Final[tuple[Entry, ...]] = (
    *FIRST,
    ToolCalled("a", "find_order", '{"id": "W1"}'),
    ToolCalled("b", "track_order", '{"id": "W1"}'),
    ToolAnswered("b", "track_order", '{"at":"Ulm"}'),
    ToolAnswered("a", "find_order", '{"status":"sent"}'),
    AgentSaid("It is in Ulm", interrupted=True),
    CallerSaid("And when will it be here?"),
)
THIRD: Final[tuple[Entry, ...]] = (*SECOND, AgentSaid("Tomorrow."), CallerSaid("Thank you."))
CONVERSATION: Final = {"google": "contents", "openai-responses": "input"}


def slices(raw: bytes) -> dict[str, str]:
    """The text of each value of a JSON object, as it was written."""
    text, decoder = raw.decode(), json.JSONDecoder()
    found: dict[str, str] = {}
    position = text.index("{") + 1
    while True:
        position = text.index('"', position)
        key, position = decoder.raw_decode(text, position)
        position = text.index(":", position) + 1
        while text[position].isspace():
            position += 1
        _, end = decoder.raw_decode(text, position)
        found[key] = text[position:end]
        if "," not in text[end : end + 2]:
            return found
        position = end


async def sent(vendor: str, *requests: ReplyRequest) -> list[dict[str, str]]:
    wire = WIRES[vendor]
    async with wire.open(otherwise=ModelReply(text=("Yes.",))) as fake:
        model = wire.connect(fake)
        for request in requests:
            async for _ in model.reply(request):
                pass
        await model.aclose()
        return [slices(request.raw) for request in fake.requests]


def turn(history: tuple[Entry, ...], facts: str = "This call\n- Today is Monday.") -> ReplyRequest:
    return ReplyRequest(AGENT.instructions, history, TOOLS, caller_facts=facts)


@pytest.mark.parametrize("vendor", FORMATS)
async def test_turns_of_a_call_share_the_longest_possible_beginning(vendor: str) -> None:
    first, second, third = await sent(vendor, turn(FIRST), turn(SECOND), turn(THIRD))
    conversation = CONVERSATION.get(vendor, "messages")
    for before, after in ((first, second), (second, third)):
        assert after[conversation].startswith(before[conversation].removesuffix("]"))
        assert {**after, conversation: ""} == {**before, conversation: ""}


@pytest.mark.parametrize("vendor", FORMATS)
async def test_another_call_shares_tools_and_instructions(vendor: str) -> None:
    here, there = await sent(vendor, turn(FIRST), turn(FIRST, "This call\n- Today is Tuesday."))
    for key in ("tools", "toolConfig"):
        assert here.get(key) == there.get(key)
    mine, theirs = json.dumps(here), json.dumps(there)
    assert mine.index("Monday") == theirs.index("Tuesday")
    same = mine[: mine.index("Monday")]
    assert theirs.startswith(same)
    assert json.dumps(json.dumps(AGENT.instructions))[3:-3] in same


async def test_anthropic_is_told_where_the_lasting_part_ends() -> None:
    (request,) = await sent("anthropic", turn(FIRST))
    system = json.loads(request["system"])
    marked = [block["text"] for block in system if "cache_control" in block]
    assert marked == [AGENT.instructions]
    assert "cache_control" not in system[-1]
    assert "cache_control" in request, "and the conversation is kept as it grows"
    assert "cache_control" in json.loads(request["tools"])[-1]


async def test_bedrock_is_told_where_the_lasting_part_ends() -> None:
    wire = replace(WIRES["bedrock"])
    async with wire.open() as fake:
        model = wire.connect(fake, model="anthropic.claude-haiku-4-5-20251001-v1:0")
        async for _ in model.reply(turn(FIRST)):
            pass
        await model.aclose()
        body: Any = fake.requests[0].body
    kinds = [next(iter(block)) for block in body["system"]]
    assert kinds.index("cachePoint") == 1
    assert body["system"][0]["text"] == AGENT.instructions
    assert "cachePoint" in body["messages"][-1]["content"][-1]
