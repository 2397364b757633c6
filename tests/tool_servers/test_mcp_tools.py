"""Tools of real MCP servers, over both transports, under the runtime's rules."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from talkspurt import Agent, tool
from talkspurt.agent import Policy
from talkspurt.agent.policy import REASONS
from talkspurt.config_mcp import McpConfig
from talkspurt.core.events import ToolStarted
from talkspurt.core.history import CallerSaid, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError
from talkspurt.mcp import McpServers, connection
from talkspurt.mcp.stdio import stdio
from talkspurt.mcp.tools import NO_AMOUNT
from tool_servers.desk import Desk, Warehouse, desk, mcp_config, until

RESERVE = {
    "effect": True,
    "read_back": "I'll put {quantity} of the {item} aside for you[, with the note {note}]. Shall I go ahead?",
    "timeout": 20.0,  # this machine may be busy with other things
}
IMPATIENT = {**RESERVE, "timeout": 3.0}
CHARGE = {
    "effect": True,
    "level": 1,
    "read_back": "I'll charge {amount_cents:cents} to your account. Shall I go ahead?",
    "account_argument": "customer",
    "key_argument": "idempotency_key",
    "amount_argument": "amount_cents",
}
LOOKUP = {"tool": "find_reservation"}


@pytest.fixture(autouse=True)
def quick_to_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.05)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Each server that was started is ended with the calls it served."""
    yield
    ours = (b"warehouse.py\0stdio", b"liar.py")
    assert [child for child in _children() if any(name in _about(child, "cmdline") for name in ours)] == []


def _children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


def _about(process: str, what: str) -> bytes:
    file = Path(f"/proc/{process}/{what}")
    return file.read_bytes() if file.exists() else b""


# ── what is offered ───────────────────────────────────────────────────────────────


async def test_only_declared_tools_are_offered(warehouse: Warehouse) -> None:
    async with desk(mcp_config(warehouse.settings, {"check_stock": {}})) as shop:
        assert list(shop.offered) == ["check_stock"]
        assert (await shop.run("read_manual"))["error"]["kind"] == "unknown_tool"
        assert await shop.run("check_stock", item="mug") == {"item": "mug", "in_stock": 7}


async def test_reads_are_offered_when_the_configuration_trusts_the_servers_word_for_it(warehouse: Warehouse) -> None:
    tools = {"reserve_item": {**RESERVE, "lookup": LOOKUP}}
    async with desk(mcp_config(warehouse.settings, tools, allow="reads", level=1)) as shop:
        # Neither what the server does not mark as read-only, nor the tool that only looks effects up.
        assert set(shop.offered) == {"reserve_item", "check_stock", "read_manual", "remodel"}
        assert (await shop.run("check_stock", item="mug"))["error"]["kind"] == "verification_required"
        shop.caller.verify("ann")
        assert (await shop.run("check_stock", item="mug"))["in_stock"] == 7
        added = {tool.name: tool for tool in shop.servers.equip("shop", shop.agent).tools}
        assert all(tool.untrusted for tool in added.values())


async def test_a_servers_words_are_data(stdio_warehouse: Warehouse) -> None:
    async with desk(mcp_config(stdio_warehouse.settings, {"check_stock": {}})) as shop:
        assert "\u202e" not in shop.offered["check_stock"].description
    declared = {"check_stock": {"description": "How many there are.", "offered_as": "stock"}}
    async with desk(mcp_config(stdio_warehouse.settings, declared)) as shop:
        assert shop.offered["stock"].description == "How many there are."


async def test_two_tools_of_one_name_stop_the_start() -> None:
    @tool
    async def check_stock(item: str) -> str:
        """Tell how many there are."""
        return "none"

    config = mcp_config({"command": "unused"}, {"check_stock": {}})
    agent = Agent(name="shop", prompt="Help.", greeting="Hello.", tools=[check_stock])
    with pytest.raises(ConfigurationError, match=r"'check_stock' is a tool of the agent itself already: .*offered_as"):
        async with McpServers.open(config, {"shop": agent}, {}):
            pass
    config = mcp_config({"command": "unused"}, {"check_stock": {"offered_as": "end_call"}})
    with pytest.raises(ConfigurationError, match="'end_call' is a tool of the runtime already"):
        async with McpServers.open(config, {"shop": agent}, {}):
            pass


async def test_a_policy_limits_tools_of_servers(stdio_warehouse: Warehouse) -> None:
    declared = {"reserve_item": {**RESERVE, "offered_as": "reserve"}}
    config = mcp_config(stdio_warehouse.settings, declared)
    rules = Policy.parse('[mcp_tools.reserve]\nstatuses = ["never"]\nreasons.status = "Not for you."')
    agent = Agent(name="shop", prompt="Help.", greeting="Hello.", policy=rules)
    async with McpServers.open(config, {"shop": agent}, {}) as servers:
        refused = await Desk(servers, agent).run("reserve", item="mug", quantity=1)
        assert refused["error"]["message"] == "Not for you."
    with pytest.raises(ConfigurationError, match="rules for the MCP tool 'reserve', which is declared in none"):
        async with McpServers.open(mcp_config({"command": "unused"}, {}), {"shop": agent}, {}):
            pass


async def test_what_is_limited_is_refused_without_an_amount_that_is_a_whole_number(stdio_warehouse: Warehouse) -> None:
    config = mcp_config(stdio_warehouse.settings, {"reserve_item": {**RESERVE, "amount_argument": "quantity"}})
    limited = Policy.parse("[mcp_tools.reserve_item]\nmax_amount_cents = 5")
    agent = Agent(name="shop", prompt="Help.", greeting="Hello.", policy=limited)
    async with McpServers.open(config, {"shop": agent}, {}) as servers:
        shop = Desk(servers, agent)
        # JSON Schema takes 7.0 for an integer.
        assert (await shop.run("reserve_item", item="mug", quantity=7.0))["error"]["message"] == NO_AMOUNT
        assert (await shop.run("reserve_item", item="mug", quantity=7))["error"]["message"] == REASONS["amount"]
        assert "5 of the mug" in (await shop.run("reserve_item", item="mug", quantity=5)).read_back
    assert stdio_warehouse.journal == []


async def test_a_limit_on_an_amount_that_no_argument_states_stops_the_start() -> None:
    limited = Policy.parse("[[mcp_tools.reserve_item]]\nlevel = 1\n[[mcp_tools.reserve_item]]\nmax_amount_cents = 5")
    agent = Agent(name="shop", prompt="Help.", greeting="Hello.", policy=limited)
    for declared in (RESERVE, {}):
        config = mcp_config({"command": "unused"}, {"reserve_item": declared})
        with pytest.raises(ConfigurationError, match=r"reserve_item: the policy of agent 'shop' .* amount_argument"):
            async with McpServers.open(config, {"shop": agent}, {}):
                pass


async def test_a_servers_tool_has_a_limit_of_its_own(stdio_warehouse: Warehouse) -> None:
    declared = {**RESERVE, "amount_argument": "quantity", "max_amount_cents": 5}
    async with desk(mcp_config(stdio_warehouse.settings, {"reserve_item": declared})) as shop:
        assert (await shop.run("reserve_item", item="mug", quantity=6))["error"]["message"] == REASONS["amount"]
        assert "5 of the mug" in (await shop.run("reserve_item", item="mug", quantity=5)).read_back


async def test_an_agent_that_a_server_is_not_for_gets_nothing(stdio_warehouse: Warehouse) -> None:
    async with desk(mcp_config(stdio_warehouse.settings, {"check_stock": {}})) as shop:
        other = Agent(name="other", prompt="Help.", greeting="Hello.")
        assert shop.servers.equip("other", other) is other


# ── arguments ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "'item' is a required property"),
        ({"item": 5}, "item: 5 is not of type 'string'"),
        ({"item": "mug", "shelf": "b"}, "'shelf' was unexpected"),
    ],
)
async def test_arguments_are_checked_before_anything_is_sent(
    stdio_warehouse: Warehouse, arguments: dict[str, Any], complaint: str
) -> None:
    async with desk(mcp_config(stdio_warehouse.settings, {"check_stock": {}})) as shop:
        error = (await shop.run("check_stock", **arguments))["error"]
        assert error["kind"] == "invalid_arguments"
        assert complaint in error["message"]
    assert stdio_warehouse.journal == []


async def test_null_is_an_argument_that_was_left_out(stdio_warehouse: Warehouse) -> None:
    async with desk(mcp_config(stdio_warehouse.settings, {"reserve_item": RESERVE})) as shop:
        proposed = await shop.run("reserve_item", item="mug", quantity=2, note=None)
        assert proposed.read_back == "I'll put 2 of the mug aside for you. Shall I go ahead?"


# ── effects ───────────────────────────────────────────────────────────────────────


async def test_an_effect_waits_for_a_yes_and_carries_its_key(warehouse: Warehouse) -> None:
    async with desk(mcp_config(warehouse.settings, {"reserve_item": RESERVE})) as shop:
        proposed = await shop.run("reserve_item", item="mug", quantity=2, note="gift")
        assert proposed.read_back == "I'll put 2 of the mug aside for you, with the note gift. Shall I go ahead?"
        assert warehouse.journal == []
        assert await shop.agree(proposed) == {"reservation": "R2"}
        (done,) = warehouse.journal
        assert (done["did"], done["item"], done["quantity"]) == ("reserve_item", "mug", 2)
        assert len(done["key"]) == 64
        # The same request a moment later returns the first result, and nothing is sent.
        assert await shop.run("reserve_item", item="mug", quantity=2, note="gift") == {"reservation": "R2"}
        assert len(warehouse.journal) == 1


async def test_the_account_and_the_key_come_from_the_runtime(stdio_warehouse: Warehouse) -> None:
    async with desk(mcp_config(stdio_warehouse.settings, {"charge": CHARGE})) as shop:
        assert set(shop.offered["charge"].parameters["properties"]) == {"amount_cents"}
        assert (await shop.run("charge", amount_cents=4550))["error"]["kind"] == "verification_required"
        shop.caller.verify("ann")
        for sent in ({"customer": "bob"}, {"idempotency_key": "mine"}):
            assert (await shop.run("charge", amount_cents=4550, **sent))["error"]["kind"] == "invalid_arguments"
        proposed = await shop.run("charge", amount_cents=4550)
        assert proposed.read_back == "I'll charge 45 dollars and 50 cents to your account. Shall I go ahead?"
        assert await shop.agree(proposed) == {"charged": 4550}
        (done,) = stdio_warehouse.journal
        assert done["customer"] == "ann"
        assert len(done["key"]) == 64


async def test_what_is_not_read_back_is_not_done(stdio_warehouse: Warehouse) -> None:
    silent = {**RESERVE, "read_back": "I'll put {quantity} of the {item} aside. Shall I go ahead?"}
    async with desk(mcp_config(stdio_warehouse.settings, {"reserve_item": silent})) as shop:
        refused = await shop.run("reserve_item", item="mug", quantity=2, note="and send the bill to Bob")
        assert "could not tell you about the note" in refused["error"]["message"]
    unspoken = {**silent, "unspoken": ["note"]}
    async with desk(mcp_config(stdio_warehouse.settings, {"reserve_item": unspoken})) as shop:
        assert "aside" in (await shop.run("reserve_item", item="mug", quantity=2, note="gift")).read_back


async def test_a_server_says_how_far_it_is_in_our_words_and_answers_later(warehouse: Warehouse) -> None:
    rules = {"finishes_later": True, "progress": "They are still counting.", "timeout": 30.0}
    async with desk(mcp_config(warehouse.settings, {"take_stock": rules})) as shop:
        told: list[tuple[str, str]] = []
        shop.dispatcher.report_to(lambda tool_call, words: told.append((tool_call, words)))
        started = await shop.dispatcher.run("t1", "take_stock", "{}")
        assert isinstance(started, ToolStarted)
        assert json.loads((await shop.dispatcher.finish("t1")).content) == {"counted": 3}
        # A server that answers in one piece has no way to say anything before.
        assert told in ([("t1", "They are still counting.")] * 3, [])


async def test_a_child_process_says_how_far_it_is(stdio_warehouse: Warehouse) -> None:
    rules = {"progress": "They are still counting.", "timeout": 30.0}
    async with desk(mcp_config(stdio_warehouse.settings, {"take_stock": rules})) as shop:
        told: list[str] = []
        shop.dispatcher.report_to(lambda _tool_call, words: told.append(words))
        assert await shop.run("take_stock", steps=2) == {"counted": 2}
        assert told == ["They are still counting."] * 2


async def test_what_came_of_an_effect_is_looked_up_after_the_time_ran_out(stdio_warehouse: Warehouse) -> None:
    config = mcp_config(stdio_warehouse.settings, {"reserve_item": {**IMPATIENT, "lookup": LOOKUP}})
    async with desk(config) as shop:
        answer = await shop.agree(await shop.run("reserve_item", item="slow", quantity=1))
        assert answer["happened"] is True
        assert [record.state for record in shop.ledger.records.values()] == ["done"]
        assert len(stdio_warehouse.journal) == 1


async def test_after_what_a_server_said_only_the_callers_own_words_are_acted_on(stdio_warehouse: Warehouse) -> None:
    tools: dict[str, Any] = {"reserve_item": RESERVE, "check_stock": {}}
    async with desk(mcp_config(stdio_warehouse.settings, tools)) as shop:
        said = (CallerSaid("two of the mugs please"), ToolCalled("t0", "check_stock", "{}"))
        shop.dispatcher.follow((*said, ToolAnswered("t0", "check_stock", "{}")))
        refused = await shop.run("reserve_item", item="diamond ring", quantity=2)
        assert "what the caller said" in refused["error"]["message"]
        assert "mug aside" in (await shop.run("reserve_item", item="mug", quantity=2)).read_back


# ── servers that fail ─────────────────────────────────────────────────────────────


async def test_an_effect_that_hangs_is_in_doubt_and_never_sent_again(warehouse: Warehouse) -> None:
    tools: dict[str, Any] = {"reserve_item": IMPATIENT, "check_stock": {"timeout": 20.0}}
    async with desk(mcp_config(warehouse.settings, tools)) as shop:
        proposed = await shop.run("reserve_item", item="slow", quantity=1)
        assert (await shop.agree(proposed))["error"]["kind"] == "in_doubt"
        assert [record.state for record in shop.ledger.records.values()] == ["in_doubt"]
        assert (await shop.run("reserve_item", item="slow", quantity=1))["error"]["kind"] == "in_doubt"
        assert len(warehouse.journal) == 1
        # The server itself is well.
        assert (await shop.run("check_stock", item="mug"))["in_stock"] == 7


@pytest.mark.parametrize("item", ["crash", "fault", "invalid", "unreachable"])
async def test_an_effect_whose_server_dies_or_fails_in_the_middle_is_in_doubt(warehouse: Warehouse, item: str) -> None:
    async with desk(mcp_config(warehouse.settings, {"reserve_item": RESERVE})) as shop:
        answer = await shop.agree(await shop.run("reserve_item", item=item, quantity=1))
        assert answer["error"]["kind"] == "in_doubt"
        assert [record.state for record in shop.ledger.records.values()] == ["in_doubt"]
        assert len(warehouse.journal) == 1


async def test_a_server_may_promise_that_an_error_means_nothing_was_done(stdio_warehouse: Warehouse) -> None:
    config = mcp_config(stdio_warehouse.settings, {"reserve_item": {**RESERVE, "errors": "not_done"}})
    async with desk(config) as shop:
        answer = await shop.agree(await shop.run("reserve_item", item="fault", quantity=1))
        assert answer["error"]["kind"] == "refused"
        assert [record.state for record in shop.ledger.records.values()] == ["failed"]


@pytest.mark.parametrize("item", ["slow", "crash", "mug"])
async def test_a_lookup_tells_what_came_of_an_effect(stdio_warehouse: Warehouse, item: str) -> None:
    config = mcp_config(stdio_warehouse.settings, {"reserve_item": {**IMPATIENT, "lookup": LOOKUP}})
    async with desk(config) as shop:
        await shop.agree(await shop.run("reserve_item", item=item, quantity=1))
        key = stdio_warehouse.journal[0]["key"]
        await until(lambda: shop.servers._connections["warehouse"].connected)
        reserve = shop.servers.equip("shop", shop.agent).tool("reserve_item")
        assert reserve is not None
        arguments = reserve.arguments.model_validate({"item": item, "quantity": 1})
        found = await reserve.look_up(arguments, shop.caller, key)
        assert found is not None
        assert (found["happened"], found["item"]) == (True, item)
        assert await reserve.look_up(arguments, shop.caller, "another") is None


async def test_a_lookup_that_does_not_say_leaves_it_open(stdio_warehouse: Warehouse) -> None:
    unclear = {**LOOKUP, "happened": "certain"}
    config = mcp_config(stdio_warehouse.settings, {"reserve_item": {**RESERVE, "lookup": unclear}})
    async with desk(config) as shop:
        reserve = shop.servers.equip("shop", shop.agent).tool("reserve_item")
        assert reserve is not None
        arguments = reserve.arguments.model_validate({"item": "mug", "quantity": 1})
        with pytest.raises(Exception, match="does not say whether it happened"):
            await reserve.look_up(arguments, shop.caller, "another")


async def test_a_server_that_dies_is_started_again(stdio_warehouse: Warehouse) -> None:
    async with desk(mcp_config(stdio_warehouse.settings, {"check_stock": {}})) as shop:
        assert (await shop.run("check_stock", item="crash"))["error"]["kind"] == "failed"
        await until(lambda: shop.servers._connections["warehouse"].connected)
        assert (await shop.run("check_stock", item="mug"))["in_stock"] == 7


async def test_a_server_that_is_down_answers_at_once_and_comes_back(http_warehouse: Warehouse) -> None:
    tools: dict[str, Any] = {"check_stock": {}, "reserve_item": RESERVE}
    async with desk(mcp_config(http_warehouse.settings, tools)) as shop:
        proposed = await shop.run("reserve_item", item="mug", quantity=1)
        assert http_warehouse.process is not None
        http_warehouse.process.send_signal(signal.SIGKILL)
        http_warehouse.process.wait()
        began = asyncio.get_running_loop().time()
        # It was agreed to, but nothing was sent: that is known, not in doubt.
        assert "can't be reached" in (await shop.agree(proposed))["error"]["message"]
        assert [record.state for record in shop.ledger.records.values()] == ["failed"]
        answer = await shop.run("check_stock", item="mug")
        assert "can't be reached" in answer["error"]["message"]
        assert "can't be reached" in (await shop.run("reserve_item", item="pot", quantity=1))["error"]["message"]
        assert asyncio.get_running_loop().time() - began < 5.0
        shop.begin()
        assert set(shop.offered) == set(tools), "a call that begins meanwhile is offered what was known"
        http_warehouse.restart()
        await until(lambda: shop.servers._connections["warehouse"].connected)
        assert (await shop.run("check_stock", item="mug"))["in_stock"] == 7


async def test_a_server_that_never_answers_holds_up_neither_the_start_nor_a_call() -> None:
    config = mcp_config({"command": "sleep", "arguments": ["1000"]}, {"check_stock": {}}, connect_timeout=0.3)
    began = asyncio.get_running_loop().time()
    async with desk(config) as shop:
        assert asyncio.get_running_loop().time() - began < 8
        before = asyncio.get_running_loop().time()
        shop.begin()
        assert "can't be reached" in (await shop.run("check_stock", item="mug"))["error"]["message"]
        assert asyncio.get_running_loop().time() - before < 0.5


async def test_a_command_that_does_not_exist_is_no_reason_not_to_answer_the_telephone() -> None:
    tools: dict[str, Any] = {"check_stock": {}, "reserve_item": RESERVE}
    async with desk(mcp_config({"command": "/no/such/program"}, tools)) as shop:
        for name in tools:
            assert "can't be reached" in (await shop.run(name, item="mug"))["error"]["message"]


async def test_a_server_that_comes_up_late_is_used_in_the_same_call(tmp_path: Path) -> None:
    settings = liar(tmp_path, listed("say", ANSWER))
    listing, away = settings["arguments"][1], f"{settings['arguments'][1]}.away"
    os.rename(listing, away)
    async with desk(mcp_config(settings, {"say": {}})) as shop:
        assert "can't be reached" in (await shop.run("say"))["error"]["message"]
        os.rename(away, listing)
        await until(lambda: shop.servers._connections["warehouse"].connected)
        good = {"content": [{"type": "text", "text": "well"}]}
        assert (await shop.run("say", answer=good))["result"] == "well"


async def test_megabytes_are_not_read(warehouse: Warehouse) -> None:
    tools: dict[str, Any] = {"read_manual": {}, "check_stock": {}}
    async with desk(mcp_config(warehouse.settings, tools)) as shop:
        assert (await shop.run("read_manual"))["error"]["kind"] == "failed"
        await until(lambda: shop.servers._connections["warehouse"].connected)
        assert (await shop.run("check_stock", item="mug"))["in_stock"] == 7


async def test_what_a_server_refuses_is_told_in_a_few_clean_words(warehouse: Warehouse) -> None:
    async with desk(mcp_config(warehouse.settings, {"check_stock": {}})) as shop:
        error = (await shop.run("check_stock", item="unknown"))["error"]
        assert error["kind"] == "refused"
        assert error["message"].startswith("The system said: ")
        assert error["message"].endswith("There is no such item.")


async def test_a_list_of_tools_that_changes_is_taken_over(stdio_warehouse: Warehouse) -> None:
    tools: dict[str, Any] = {"check_stock": {}, "remodel": {}, "reserve_item": RESERVE}
    async with desk(mcp_config(stdio_warehouse.settings, tools)) as shop:
        proposed = await shop.run("reserve_item", item="mug", quantity=1)
        connection = shop.servers._connections["warehouse"]
        version = connection.version
        assert (await shop.run("remodel"))["result"] == "done"
        connection._stale.set()  # a server of today's protocol need not say so; it is looked at every minute
        await until(lambda: connection.version > version)
        # In the same call, whose model knows the old schema: what it sends is held against the new one.
        assert "'aisle' is a required property" in (await shop.run("check_stock", item="mug"))["error"]["message"]
        assert (await shop.run("check_stock", item="mug", aisle=3))["aisle"] == 3
        # And a proposal of before is not carried out.
        assert "does not offer this any more" in (await shop.agree(proposed))["error"]["message"]
        assert [entry["did"] for entry in stdio_warehouse.journal] == []
        shop.begin()
        assert set(shop.offered) == {"check_stock", "remodel"}


async def test_more_calls_than_a_server_may_have_at_once_are_refused(stdio_warehouse: Warehouse) -> None:
    tools = {"check_stock": {"timeout": 3.0}}
    async with desk(mcp_config(stdio_warehouse.settings, tools, calls_at_once=2)) as shop:
        answers = await asyncio.gather(*(shop.run("check_stock", item="slow") for _ in range(3)))
        assert sorted(answer["error"]["kind"] for answer in answers) == ["refused", "timeout", "timeout"]
        assert "busy" in next(a for a in answers if a["error"]["kind"] == "refused")["error"]["message"]


# ── servers that break the protocol ───────────────────────────────────────────────


def liar(folder: Path, *tools: Any) -> dict[str, Any]:
    listing = folder / "tools.json"
    listing.write_text(json.dumps(tools))
    return {"command": sys.executable, "arguments": [str(Path(__file__).parent / "liar.py"), str(listing)]}


def listed(name: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": schema, **more}


ANSWER = {"type": "object", "properties": {"answer": {}}}


@pytest.mark.parametrize(
    "answer", [5, {"content": 5}, {"content": [{"type": "text", "text": 5}]}, {"structuredContent": "x"}, {}]
)
async def test_an_answer_of_the_wrong_type_is_a_failure_of_that_call(tmp_path: Path, answer: Any) -> None:
    config = mcp_config(liar(tmp_path, listed("say", ANSWER)), {"say": {"timeout": 2.0}})
    async with desk(config) as shop:
        assert (await shop.run("say", answer=answer))["error"]["kind"] in ("failed", "timeout")
        good = {"content": [{"type": "text", "text": "well"}]}
        assert (await shop.run("say", answer=good))["result"] == "well"


async def test_an_effect_with_an_answer_of_the_wrong_type_is_in_doubt(tmp_path: Path) -> None:
    rules = {"effect": True, "read_back": "I'll do it now.", "unspoken": ["answer"]}
    config = mcp_config(liar(tmp_path, listed("say", {"type": "object", "properties": {"answer": {}}})), {"say": rules})
    async with desk(config) as shop:
        assert (await shop.agree(await shop.run("say", answer={"content": 5})))["error"]["kind"] == "in_doubt"
        assert [record.state for record in shop.ledger.records.values()] == ["in_doubt"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a b": {}}},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://evil.example.com/schema"}}},
        {"type": "object", "properties": {"a": {"type": "no such type"}}},
        {"type": "object", "properties": {f"a{number}": {} for number in range(100)}},
        {"type": "object", "properties": {"a": {"enum": ["x" * 5000]}}},
        {"type": "object", "properties": {"a": {"enum": ["\u202ex"]}}},
        {
            "type": "object",
            "properties": {f"a{n}": {"description": "y" * 5000, "enum": ["z" * 190] * 9} for n in range(9)},
        },
        {"type": "object", "properties": {"a": {"minimum": "low"}}},
    ],
)
async def test_a_tool_with_an_unusable_schema_is_left_out_and_the_others_are_not(tmp_path: Path, schema: Any) -> None:
    config = mcp_config(liar(tmp_path, listed("bad", schema), listed("say", ANSWER)), {"bad": {}, "say": {}})
    async with desk(config) as shop:
        assert set(shop.offered) == {"say"}


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": "object", "required": "a", "properties": {"a": {}}}, 5])
async def test_a_list_that_breaks_the_protocol_offers_nothing(tmp_path: Path, schema: Any) -> None:
    config = mcp_config(liar(tmp_path, listed("bad", schema), listed("say", ANSWER)), {"say": {}})
    async with desk(config) as shop:
        assert "can't be reached" in (await shop.run("say"))["error"]["message"]


async def test_a_pattern_of_the_servers_cannot_hold_up_the_process(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    output = {"type": "object", "properties": {"b": {"type": "string", "pattern": "^(a+)+$"}}}
    config = mcp_config(liar(tmp_path, listed("slow", schema, outputSchema=output)), {"slow": {"timeout": 20.0}})
    async with desk(config) as shop:
        began = asyncio.get_running_loop().time()
        await shop.run("slow", a="a" * 40 + "!")
        assert asyncio.get_running_loop().time() - began < 10.0
        assert "pattern" not in json.dumps(shop.offered["slow"].parameters)


async def test_descriptions_are_cut(tmp_path: Path) -> None:
    schema = {"type": "object", "title": "T" * 999, "properties": {"a": {"description": "d" * 9999, "title": "T"}}}
    config = mcp_config(liar(tmp_path, listed("wordy", schema, description="w\n" * 9999)), {"wordy": {}})
    async with desk(config) as shop:
        spec = shop.offered["wordy"]
        assert len(spec.description) <= 400
        assert len(spec.parameters["properties"]["a"]["description"]) <= 200
        assert "title" not in spec.parameters


async def test_an_effect_whose_read_back_does_not_fit_the_server_is_not_offered(tmp_path: Path) -> None:
    rules = {"effect": True, "read_back": "I'll do {that}."}
    async with desk(mcp_config(liar(tmp_path, listed("say", ANSWER)), {"say": rules})) as shop:
        assert shop.offered == {}
    hidden = {"level": 1, "account_argument": "customer"}
    async with desk(mcp_config(liar(tmp_path, listed("say", ANSWER)), {"say": hidden})) as shop:
        assert shop.offered == {}


# ── secrets ───────────────────────────────────────────────────────────────────────


async def test_variables_are_filled_from_the_environment_and_nothing_else_is_passed_on(
    stdio_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_SECRET", "canary-of-ours")
    config = mcp_config(stdio_warehouse.settings, {"check_stock": {}}, env={"API_TOKEN": "t ${THEIR_TOKEN}"})
    async with desk(config, {"THEIR_TOKEN": "canary-of-theirs"}):
        (environment,) = [
            _about(child, "environ") for child in _children() if b"warehouse.py" in _about(child, "cmdline")
        ]
    assert b"API_TOKEN=t canary-of-theirs" in environment
    assert b"canary-of-ours" not in environment
    assert "canary" not in repr(config)


async def test_a_variable_that_is_not_set_stops_the_start() -> None:
    config = mcp_config({"url": "https://tools.example.com/mcp", "headers": {"Authorization": "Bearer ${THEIR_TOKEN}"}})
    with pytest.raises(ConfigurationError, match=r"headers.Authorization: the environment variable THEIR_TOKEN"):
        async with desk(config):
            pass


def test_no_servers_need_no_sdk() -> None:
    assert McpConfig().servers == {}


async def test_whoever_cannot_wait_for_a_server_to_end_leaves_nothing_running(tmp_path: Path) -> None:
    stubborn = "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
    ended = asyncio.Event()

    async def hold() -> None:
        async with stdio(sys.executable, ["-c", stubborn, "liar.py"], {}, longest=4096, ended=ended):
            pass

    before = set(_children())
    task = asyncio.create_task(hold())
    await until(lambda: any(b"liar.py" in _about(child, "cmdline") for child in _children()))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: set(_children()) <= before, within=5)
    # The event loop hears of it a moment later.
    await asyncio.sleep(0.2)
