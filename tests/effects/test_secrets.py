"""Digits that only one tool may know: where they go, and every place where they must not be."""

import asyncio
import dataclasses
import json
import logging
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from talkspurt.agent import Agent, Caller, KeypadSecret, Policies, Progress, ToolError, tool
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import SecretEntered, SecretProgress, SecretRequested, ToolReturned
from talkspurt.core.secret_entry import SecretEntry
from talkspurt.core.snapshot import encode
from talkspurt.effects import ToolDispatcher
from talkspurt.effects.secrets import LATE, TRAILING, SecretPad, masked
from talkspurt.testing.ledger import MemoryEffectLedger

CANARY = "83649271"
Pin = Annotated[str, KeypadSecret("Please key in your PIN.", length=8)]
FOUR = EntryRules(shortest=4, longest=4)
OPEN = EntryRules(shortest=4, longest=8)


class Vault:
    """Tools with a secret, each with another way to betray it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @tool(verifies=2)
    async def verify_pin(self, caller: Caller, card: str, pin: Pin) -> dict[str, bool]:
        """Check the PIN."""
        self.seen.append(pin)
        if pin != CANARY:
            raise ToolError("That didn't match.")
        caller.verify(card, level=2)
        return {"verified": True}

    @tool
    async def repeat(self, pin: Pin) -> Any:
        """Say it again in every shape."""
        return {
            "pin": pin,
            "text": f"Your PIN is {pin}.",
            "spelled": " ".join(pin),
            "number": int(pin),
            "list": [{pin: [pin]}],
            "order": f"9{pin}9",
        }

    @tool
    async def refuse(self, pin: Pin) -> str:
        """Name it in a refusal."""
        raise ToolError(f"{pin} is wrong, {pin[:4]}-{pin[4:]} too.")

    @tool
    async def crash(self, pin: Pin) -> str:
        """Name it in an exception."""
        try:
            raise KeyError(pin)
        except KeyError as error:
            raise RuntimeError(f"no such PIN: {pin}") from error

    @tool
    async def misread(self, pin: Pin) -> str:
        """Let pydantic name it."""
        TypeAdapter(Annotated[str, "never"]).validate_python(pin)
        return str(TypeAdapter(dict[str, int]).validate_python(pin))

    @tool
    async def unusable(self, pin: Pin) -> Any:
        """Return what no JSON can carry."""
        return {pin: object()}

    @tool
    async def verbose(self, pin: Pin) -> str:
        """Say too much."""
        return pin * 2000

    @tool(timeout=0.001)
    async def hang(self, pin: Pin) -> str:
        """Never answer."""
        await asyncio.Event().wait()
        return pin

    @tool
    async def tell(self, pin: Pin, progress: Progress) -> str:
        """Name it while it runs."""
        await progress(f"I am checking {pin}, which is {pin[:4]} {pin[4:]}.")
        return "checked"

    @tool(level=2)
    async def vip(self, pin: Pin) -> str:
        """Need a level that nobody has."""
        return pin


class Desk:
    """A dispatcher and a pad as a session has them, and all that they said."""

    def __init__(self, attempts: int = 3) -> None:
        self.vault = Vault()
        tools = [getattr(self.vault, name) for name, entry in vars(Vault).items() if hasattr(entry, "secret")]
        self.agent = Agent(
            name="vault",
            prompt="Be brief.",
            greeting="Hello.",
            tools=tools,
            policies=Policies(verification_attempts=attempts),
        )
        self.caller = Caller(call_id="call-1", number="")
        self.ledger = MemoryEffectLedger()
        self.tools = ToolDispatcher(self.agent, self.caller, self.ledger)
        self.pad = SecretPad()
        self.said: list[object] = []
        self.told: list[str] = []
        self.tools.report_to(lambda _tool_call, words: self.told.append(words))

    async def ask(self, name: str, **arguments: Any) -> SecretRequested | ToolReturned:
        event = await self.tools.run("t1", name, json.dumps(arguments))
        self.said.append(event)
        assert isinstance(event, SecretRequested | ToolReturned)
        return event

    def key_in(self, request: SecretRequested, keys: str) -> SecretEntry:
        """Press keys as a session passes them on; returns what the core knows in the end."""
        entry = SecretEntry.begin(request.tool_call, request.prompt, request.rules, 0.0)
        self.pad.collect(request.tool_call, request.rules)
        for key in keys:
            assert self.pad.claims(1.0)
            fact = self.pad.press(key, 1.0)
            self.said += [fact, entry, encode(entry), self.pad]
            match fact:
                case SecretEntered(_, count):
                    entry = entry.entered(count, 1.0)
                case SecretProgress(_, count):
                    entry = entry.progress(count, 1.0)
        return entry

    async def run(self, name: str, keys: str = CANARY, **arguments: Any) -> Any:
        request = await self.ask(name, **arguments)
        assert isinstance(request, SecretRequested)
        assert self.key_in(request, keys).standing == "whole"
        event = await self.tools.run_with_secret("t1", self.pad.take("t1", 2.0))
        self.said.append(event)
        return json.loads(event.content)


def kind(content: Any) -> Any:
    return content["error"]["kind"]


# ── the dispatcher ────────────────────────────────────────────────────────────────


async def test_a_tool_with_a_secret_is_not_run_but_asked_for() -> None:
    desk = Desk()
    request = await desk.ask("verify_pin", card="blue")
    assert request == SecretRequested("t1", "Please key in your PIN.", EntryRules(shortest=8, longest=8))
    assert desk.vault.seen == []


async def test_the_tool_gets_the_digits_that_the_caller_keyed_in() -> None:
    desk = Desk()
    assert await desk.run("verify_pin", card="blue") == {"verified": True}
    assert desk.vault.seen == [CANARY]
    assert (desk.caller.account, desk.caller.level) == ("blue", 2)


async def test_a_tool_that_tells_how_far_it_is_does_not_tell_the_secret() -> None:
    desk = Desk()
    assert await desk.run("tell") == {"result": "checked"}
    assert desk.told == ["I am checking ***, which is ***."]


async def test_a_secret_runs_its_tool_once() -> None:
    desk = Desk()
    await desk.run("verify_pin", card="blue")
    again = await desk.tools.run_with_secret("t1", CANARY)
    assert kind(json.loads(again.content)) == "refused"
    assert desk.vault.seen == [CANARY]


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_digits_the_tool_does_not_run(secret: str | None) -> None:
    desk = Desk()
    await desk.ask("verify_pin", card="blue")
    answer = await desk.tools.run_with_secret("t1", secret)
    assert kind(json.loads(answer.content)) == "refused"
    assert desk.vault.seen == []


async def test_a_forgotten_tool_call_does_not_run() -> None:
    desk = Desk()
    await desk.ask("verify_pin", card="blue")
    desk.tools.forget_secret("t1")
    desk.tools.forget_secret("never-asked")
    assert kind(json.loads((await desk.tools.run_with_secret("t1", CANARY)).content)) == "refused"
    assert desk.vault.seen == []


async def test_who_may_not_use_the_tool_is_not_asked_for_the_secret() -> None:
    event = await Desk().ask("vip")
    assert isinstance(event, ToolReturned)
    assert kind(json.loads(event.content)) == "verification_required"


async def test_wrong_arguments_are_found_before_the_caller_is_asked() -> None:
    event = await Desk().ask("verify_pin", card=["blue"])
    assert isinstance(event, ToolReturned)
    assert kind(json.loads(event.content)) == "invalid_arguments"


async def test_a_model_cannot_send_the_secret_and_is_not_quoted() -> None:
    event = await Desk().ask("verify_pin", card="blue", pin=CANARY)
    assert isinstance(event, ToolReturned)
    assert kind(json.loads(event.content)) == "invalid_arguments"
    assert CANARY not in event.content


async def test_wrong_secrets_use_up_the_attempts_and_then_nobody_is_asked() -> None:
    desk = Desk(attempts=2)
    assert kind(await desk.run("verify_pin", "11111111", card="blue")) == "refused"
    assert kind(await desk.run("verify_pin", "22222222", card="blue")) == "attempts_exhausted"
    event = await desk.ask("verify_pin", card="blue")
    assert isinstance(event, ToolReturned)
    assert kind(json.loads(event.content)) == "attempts_exhausted"


async def test_the_level_is_checked_again_when_the_digits_are_there() -> None:
    desk = Desk()
    desk.caller.verify("ann", level=2)
    await desk.ask("vip")
    desk.caller.verify("bob", level=1)
    answer = await desk.tools.run_with_secret("t1", CANARY)
    assert kind(json.loads(answer.content)) == "verification_required"


@pytest.mark.parametrize(
    ("name", "arguments", "outcome"),
    [
        ("verify_pin", {"card": "blue"}, ""),
        ("repeat", {}, ""),
        ("refuse", {}, "refused"),
        ("crash", {}, "failed"),
        ("misread", {}, "failed"),
        ("unusable", {}, "failed"),
        ("verbose", {}, "failed"),
        ("hang", {}, "timeout"),
    ],
)
async def test_the_canary_is_in_nothing_that_anyone_may_read(
    name: str, arguments: dict[str, Any], outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    desk = Desk()
    with capture_logs() as logs:
        content = await desk.run(name, **arguments)
    assert content.get("error", {}).get("kind", "") == outcome
    if name == "repeat":
        # A longer number that happens to hold the digits is another number.
        assert content.pop("order") == f"9{CANARY}9"
        desk.said.pop()
    everything = [
        content,
        logs,
        [(record.getMessage(), record.__dict__) for record in caplog.records],
        desk.said,
        desk.ledger.records,
        vars(desk.tools),
        vars(desk.pad),
        desk.agent.tools,
        desk.tools.specs(),
    ]
    for text in map(repr, everything):
        assert CANARY not in text
        assert " ".join(CANARY) not in text
        assert f"{CANARY[:4]}-{CANARY[4:]}" not in text


# ── the pad ───────────────────────────────────────────────────────────────────────


def press(pad: SecretPad, keys: str, now: float = 1.0) -> list[SecretProgress | SecretEntered | None]:
    return [pad.press(key, now) for key in keys]


def test_it_tells_counts_and_ends_at_the_length() -> None:
    pad = SecretPad()
    pad.collect("t1", FOUR)
    assert press(pad, "4711") == [*(SecretProgress("t1", count) for count in (1, 2, 3)), SecretEntered("t1", 4)]
    assert pad.take("t1", 2.0) == "4711"


def test_the_end_key_ends_it_and_clear_starts_again() -> None:
    pad = SecretPad()
    pad.collect("t1", OPEN)
    assert press(pad, "12*98765#")[-1] == SecretEntered("t1", 5)
    assert pad.take("t1", 2.0) == "98765"


def test_an_end_key_that_comes_too_early_is_told_with_its_count() -> None:
    pad = SecretPad()
    pad.collect("t1", OPEN)
    assert press(pad, "12#")[-1] == SecretEntered("t1", 2)
    pad.collect("t1", OPEN)
    press(pad, "9876#")
    assert pad.take("t1", 2.0) == "9876"


def test_the_digits_are_handed_over_once() -> None:
    pad = SecretPad()
    pad.collect("t1", FOUR)
    press(pad, "4711")
    assert pad.take("t2", 2.0) is None
    assert pad.take("t1", 2.0) == "4711"
    assert pad.take("t1", 2.0) is None


def test_discarded_digits_are_gone_and_another_tool_calls_are_left_alone() -> None:
    pad = SecretPad()
    pad.collect("t1", FOUR)
    press(pad, "471")
    kept = pad._digits
    pad.discard("t2", 2.0)
    assert kept == b"471"
    pad.discard("t1", 2.0)
    assert kept == b""
    assert pad.take("t1", 2.0) is None


def test_an_idle_pad_claims_no_keys() -> None:
    assert not SecretPad().claims(0.0)


def test_keys_behind_a_whole_entry_are_still_its_own() -> None:
    pad = SecretPad()
    pad.collect("t1", FOUR)
    assert press(pad, "47115#")[-2:] == [None, None]
    assert pad.take("t1", 2.0) == "4711"
    assert pad.claims(2.0 + TRAILING - 0.1)
    assert pad.press("#", 4.0) is None
    assert pad.claims(4.0 + TRAILING - 0.1)
    assert not pad.claims(4.0 + TRAILING)


def test_a_secret_keyed_in_after_it_was_given_up_is_swallowed_key_by_key() -> None:
    pad = SecretPad()
    pad.collect("t1", FOUR)
    pad.discard("t1", 10.0)
    for number, key in enumerate("4711"):
        now = 10.0 + LATE - 0.1 + number * (TRAILING - 0.1)
        assert pad.claims(now)
        assert pad.press(key, now) is None
    assert "4711" not in repr(vars(pad))


@given(st.text(alphabet="0123456789ABCD*#?", max_size=40), st.booleans())
def test_it_never_tells_more_than_counts(keys: str, exact: bool) -> None:
    pad = SecretPad()
    rules = FOUR if exact else OPEN
    pad.collect("t1", rules)
    facts = [fact for fact in press(pad, keys) if fact is not None]
    for fact in facts:
        assert {field.name for field in dataclasses.fields(fact)} == {"tool_call", "count"}
        assert 0 <= fact.count <= rules.longest
    secret = pad.take("t1", 2.0)
    assert len(secret or "") == (facts[-1].count if facts else 0)
    assert not any(isinstance(fact, SecretEntered) for fact in facts[:-1])
    if secret:
        assert secret in keys.replace("?", "")


# ── what a tool says ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "safe"),
    [
        ({"a": "PIN 4711!"}, {"a": "PIN ***!"}),
        ({"a": "4 7 1 1 and 4-7-1-1 and 4, 7, 1, 1"}, {"a": "*** and *** and ***"}),
        ({"a": "47112 and 14711"}, {"a": "47112 and 14711"}),
        ({"a": 4711, "b": 47110, "c": True, "d": None}, {"a": "***", "b": 47110, "c": True, "d": None}),
        ({"4711": ["4711"]}, {"***": ["***"]}),
    ],
)
def test_a_secret_is_taken_out_of_what_a_tool_says(content: Any, safe: Any) -> None:
    assert json.loads(masked(json.dumps(content), "4711")) == safe


def test_what_holds_no_secret_is_left_as_it_is() -> None:
    content = '{"status":  "paid"}'
    assert masked(content, "4711") == content
    assert masked('{"a": "7 of 7"}', "7") == '{"a": "7 of 7"}'
