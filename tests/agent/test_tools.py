"""What `@tool` accepts, what it tells a model, and what it refuses with which sentence."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from talkspurt.agent import Agent, Caller, KeypadSecret, Policies, Progress, Tool, ToolError, tool
from talkspurt.errors import ConfigurationError
from talkspurt.testing.handover import MemoryDesk


class Diary:
    """Tools on an object that holds state."""

    def __init__(self) -> None:
        self.booked: list[str] = []

    @tool
    async def slots(self, day: str) -> list[str]:
        """List the free slots of a day."""
        return [slot for slot in ("9:00", "10:00") if f"{day} {slot}" not in self.booked]

    async def _word_booking(self, caller: Caller, day: str) -> str:
        return f"I'll book {day} for {caller.number}. Is that right? {len(self.booked)} booked so far."

    @tool(effect=True, read_back=_word_booking)
    async def book(self, caller: Caller, day: str) -> dict[str, str]:
        """Book a slot."""
        self.booked.append(day)
        return {"status": "booked"}


@pytest.fixture
def caller() -> Caller:
    return Caller(call_id="c1", number="+15551230000")


def test_annotations_and_docstring_become_what_a_model_is_told() -> None:
    @tool(level=1, timeout=2, filler="One second.")
    async def reserve(
        caller: Caller,
        day: str,
        people: Annotated[int, Field(ge=1, le=12, description="How many will come")] = 2,
        place: Literal["inside", "outside"] = "inside",
    ) -> dict[str, str]:
        """Reserve a table
        for the evening.

        Args:
            day: the day, as the caller
                said it
            people: ignored, the annotation says more
        """
        return {}

    assert reserve.name == "reserve"
    assert reserve.description == "Reserve a table for the evening."
    assert reserve.parameters == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "day": {"type": "string", "description": "the day, as the caller said it"},
            "people": {
                "type": "integer",
                "minimum": 1,
                "maximum": 12,
                "default": 2,
                "description": "How many will come",
            },
            "place": {"type": "string", "enum": ["inside", "outside"], "default": "inside"},
        },
        "required": ["day"],
    }
    assert (reserve.level, reserve.timeout, reserve.filler, reserve.effect) == (1, 2, "One second.", False)


def test_a_tool_without_arguments_has_an_object_schema() -> None:
    @tool
    async def hours() -> str:
        """Tell the opening hours."""
        return "9 to 5"

    assert hours.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert hours.caller_parameter is None


async def test_checked_arguments_reach_the_function_with_the_caller_filled_in(caller: Caller) -> None:
    @tool
    async def look_up(json: str, who: Caller, copy: int = 3) -> tuple[str, str, int]:
        """Look up (with parameters named like methods of a model)."""
        return json, who.call_id, copy

    arguments = look_up.arguments.model_validate({"json": "x"})
    assert await look_up.function(**look_up.keywords(arguments, caller)) == ("x", "c1", 3)


async def test_tools_declared_on_methods_bind_to_their_object(caller: Caller) -> None:
    diary, other = Diary(), Diary()
    arguments = diary.book.arguments.model_validate({"day": "Monday 9:00"})
    await diary.book.function(**diary.book.keywords(arguments, caller))
    assert diary.booked == ["Monday 9:00"]
    assert other.booked == []
    assert await diary.slots.function(day="Monday") == ["10:00"]
    assert diary.book.read_back is not None
    assert str(await diary.book.read_back(caller=caller, day="Monday")).endswith("1 booked so far.")


async def test_bound_methods_can_be_made_tools_afterwards() -> None:
    class Clock:
        def __init__(self, now: str) -> None:
            self.now = now

        async def time(self) -> str:
            """Tell the time."""
            return self.now

    made = tool(Clock("noon").time)
    assert made.name == "time"
    assert await made.function() == "noon"
    assert not made.unbound


async def _sentence(item: str) -> str:
    return f"I'll send the {item}."


def _declare(function: Any, **declarations: Any) -> Callable[[], Tool]:
    return lambda: tool(**declarations)(function)


async def good(item: str) -> str:
    """Send an item."""
    return item


async def undocumented(item: str) -> str:
    return item


async def unannotated(item) -> str:  # type: ignore[no-untyped-def]
    """Send an item."""
    return str(item)


async def variadic(*items: str) -> str:
    """Send items."""
    return str(items)


async def positional(item: str, /) -> str:
    """Send an item."""
    return item


async def two_callers(one: Caller, two: Caller) -> str:
    """Talk."""
    return ""


async def no_json(item: Callable[[], str]) -> str:
    """Send an item."""
    return item()


async def unresolved(item: "Missing") -> str:  # type: ignore[name-defined]  # noqa: F821
    """Send an item."""
    return str(item)


def synchronous(item: str) -> str:
    """Send an item."""
    return item


async def end_call() -> str:
    """Hang up."""
    return ""


async def _other_parameters(thing: str) -> str:
    return thing


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (_declare(synchronous), "must be an async function"),
        (_declare(undocumented), "needs a docstring"),
        (_declare(unannotated), "annotate parameter 'item'"),
        (_declare(variadic), "must be an ordinary named parameter"),
        (_declare(positional), "must be an ordinary named parameter"),
        (_declare(two_callers), "takes the Caller twice"),
        (_declare(no_json), "a type JSON cannot carry"),
        (_declare(unresolved), "cannot be resolved"),
        (_declare(end_call), "is built in"),
        (_declare(good, effect=True), "give it read_back="),
        (_declare(good, read_back=_sentence), "no effect"),
        (_declare(good, max_amount_cents=5), "max_amount_cents but no effect"),
        (_declare(good, effect=True, read_back=_sentence, max_amount_cents=-1), "a whole number of cents, 0 or more"),
        (_declare(good, effect=True, read_back=_sentence, max_amount_cents=1.5), "a whole number of cents, 0 or more"),
        (_declare(good, effect=True, read_back=_sentence, max_amount_cents=True), "a whole number of cents, 0 or more"),
        (_declare(good, effect=True, cancellable=True), "is carried through; drop cancellable"),
        (_declare(good, effect=True, read_back=synchronous), "read_back must be an async function"),
        (_declare(good, effect=True, read_back=_other_parameters), "must take the same parameters"),
        (_declare(good, level=3), "level must be 0, 1 or 2"),
        (_declare(good, verifies=-1), "verifies must be 0, 1 or 2"),
        (_declare(good, timeout=0), "timeout must be a positive number"),
        (_declare(good, timeout=float("inf")), "timeout must be a positive number"),
        (_declare(good, timeout=float("nan")), "timeout must be a positive number"),
    ],
)
def test_a_wrong_declaration_says_what_to_do(declare: Callable[[], Tool], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        declare()


def test_names_that_a_vendor_would_refuse_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="letters, digits"):
        tool(_sentence)


@tool
async def ping() -> str:
    """Answer."""
    return "pong"


def test_a_tool_keeps_the_limit_that_it_declares() -> None:
    assert _declare(good, effect=True, read_back=_sentence, max_amount_cents=0)().max_amount_cents == 0
    assert _declare(good, effect=True, read_back=_sentence)().max_amount_cents is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"greeting": ""}, "greeting is empty"),
        ({"name": ""}, "name is empty"),
        ({"tools": (ping, replace(ping))}, "two tools are called 'ping'"),
        ({"tools": (Diary.slots,)}, "a method without its object"),
        ({"tools": (good,)}, "is not a tool"),
    ],
)
def test_an_agent_is_checked_when_it_is_made(change: dict[str, Any], sentence: str) -> None:
    parts: dict[str, Any] = {"name": "a", "prompt": "Be kind.", "greeting": "Hello.", "tools": (ping,)}
    with pytest.raises(ConfigurationError, match=sentence):
        Agent(**(parts | change))


def test_an_agent_finds_its_tools_by_name() -> None:
    agent = Agent(name="a", prompt="Be kind.", greeting="Hello.", tools=[ping])
    assert agent.tools == (ping,)
    assert agent.tool("ping") is ping
    assert agent.tool("pong") is None


def test_policies_are_positive() -> None:
    with pytest.raises(ConfigurationError, match="verification_attempts must be greater than 0"):
        Policies(verification_attempts=0)


def test_verifying_another_account_starts_again(caller: Caller) -> None:
    caller.verify("yusuf", level=2)
    caller.verify("yusuf", level=1)
    assert (caller.account, caller.level) == ("yusuf", 2)
    caller.verify("ava")
    assert (caller.account, caller.level) == ("ava", 1)


async def test_a_call_leaves_only_for_a_known_place(caller: Caller) -> None:
    assert (await caller.hand_over("A bill")).status == "unavailable"
    caller.desk = MemoryDesk(targets=("billing",))
    with pytest.raises(ToolError, match="billing"):
        await caller.hand_over("A bill", target="+15551234567")
    assert not caller.leaving
    assert (await caller.hand_over("A bill", target="billing")).handed_over
    assert caller.leaving


def test_what_is_known_of_a_caller_outlives_the_process(caller: Caller) -> None:
    caller.verify("maya", level=1)
    later = Caller(call_id="c1", number="")
    later.restore(caller.standing())
    assert (later.account, later.level) == ("maya", 1)
    nonsense: object
    for nonsense in (None, [], {"account": "maya"}, {"account": None, "level": 2}, {"account": "maya", "level": 9}):
        unknown = Caller(call_id="c1", number="")
        unknown.restore(nonsense)
        assert (unknown.account, unknown.level, unknown.served) == (None, 0, ())
    later.unverify()
    later.verify("yusuf")
    last = Caller(call_id="c1", number="")
    last.restore(later.standing())
    assert last.served == ("maya", "yusuf")
    last.restore({"account": None, "level": 0, "served": ["maya", 7]})
    assert last.served == ("maya", "yusuf"), "what cannot be read takes nothing away"


# ── secrets that the caller keys in ───────────────────────────────────────────────


async def check_pin(
    caller: Caller, card: str, pin: Annotated[str, KeypadSecret("Please key in your PIN.", length=4)]
) -> str:
    """Check the PIN of a card."""
    return f"{card} {len(pin)}"


def test_a_secret_parameter_is_hidden_from_the_model_and_filled_in_by_the_runtime(caller: Caller) -> None:
    declared = tool(check_pin)
    assert list(declared.parameters["properties"]) == ["card"]
    assert declared.parameters["required"] == ["card"]
    assert declared.secret_parameter == "pin"
    assert declared.secret is not None
    assert (declared.secret.rules.shortest, declared.secret.rules.longest) == (4, 4)
    keywords = declared.keywords(declared.arguments.model_validate({"card": "blue"}), caller, secret="0000")
    assert keywords == {"caller": caller, "card": "blue", "pin": "0000"}


def test_a_model_is_told_not_to_ask_for_a_secret_aloud() -> None:
    assert tool(check_pin).description.endswith("asked to key in the pin: never ask them to say it.")


def test_a_model_that_sends_the_secret_itself_is_refused() -> None:
    with pytest.raises(ValidationError):
        tool(check_pin).arguments.model_validate({"card": "blue", "pin": "0000"})


def secret_tool(*marks: Any, kind: type = str, **declarations: Any) -> Tool:
    async def guess(pin: Any, code: Any = "") -> str:
        """Guess."""
        return ""

    hints = [Annotated[kind, mark] for mark in marks]
    guess.__annotations__ = {"pin": hints[0], "code": hints[-1] if len(hints) > 1 else str}
    if declarations.get("effect"):

        async def word(pin: str, code: str = "") -> str:
            return "Shall I?"

        declarations["read_back"] = word
    return tool(**declarations)(guess)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: secret_tool(KeypadSecret("PIN?"), KeypadSecret("Code?")), "several secrets"),
        (lambda: secret_tool(KeypadSecret("PIN?"), kind=int), "must be a str"),
        (lambda: secret_tool(KeypadSecret("PIN?"), effect=True), "cannot be given to an effect"),
        (lambda: secret_tool(KeypadSecret(" ")), "needs a prompt"),
        (lambda: secret_tool(KeypadSecret("PIN?", length=-1)), "length must not be negative"),
        (lambda: secret_tool(KeypadSecret("PIN?", shortest=6, longest=4)), "shortest <= longest"),
    ],
)
def test_a_secret_is_checked_when_the_tool_is_declared(make: Callable[[], Tool], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make()


# ── slow tools ────────────────────────────────────────────────────────────────────


async def search(caller: Caller, progress: Progress, order_id: str) -> str:
    """Look for a parcel."""
    await progress("The depot is looking for it.")
    return order_id


async def test_a_tool_that_tells_how_far_it_is_gets_what_it_tells_it_with() -> None:
    declared = tool(finishes_later=True, timeout=120)(search)
    assert list(declared.parameters["properties"]) == ["order_id"]
    assert declared.finishes_later
    told: list[str] = []
    caller = Caller(call_id="c1", number="")
    arguments = declared.arguments.model_validate({"order_id": "W1"})
    assert await declared.function(**declared.keywords(arguments, caller, progress=Progress(told.append))) == "W1"
    assert told == ["The depot is looking for it."]


async def test_words_of_progress_are_bounded_and_let_others_go_on() -> None:
    told: list[str] = []
    turns: list[int] = []
    progress = Progress(told.append)

    async def others() -> None:
        while True:
            turns.append(len(told))
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    for number in range(10_000):
        await progress(f"Step {number}.")
    await progress("  ")
    task.cancel()
    assert len(told) == 20
    assert len(turns) > 1000


@pytest.mark.parametrize(
    ("declarations", "sentence"),
    [
        ({"verifies": 1}, "a caller is verified while they wait"),
        ({"cancellable": True}, "drop cancellable"),
    ],
)
def test_what_cannot_finish_later_says_why(declarations: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        tool(finishes_later=True, **declarations)(search)
    with pytest.raises(ConfigurationError, match="a secret is kept no longer than its turn"):
        secret_tool(KeypadSecret("PIN?"), finishes_later=True)
    with pytest.raises(ConfigurationError, match="a confirmed effect is carried through"):
        secret_tool("", effect=True, finishes_later=True)
