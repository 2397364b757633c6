"""The oracle asks, hears and calls; what it does follows from the names of the tools and the call's history alone."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Benchmarks are run from the repository and are not installed.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.retail_tasks.oracle import GOODBYE, KEYPAD, QUESTIONS, Asked, Oracle

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.ports import ReplyRequest, TextDelta, ToolCallPart

PROPOSED = {"status": "confirmation_required", "read_back": "I'll do it. Shall I go ahead?"}


class Call:
    """A call whose tools answer what the test says."""

    def __init__(self, *tools: str) -> None:
        self.asked: list[Asked] = []
        self.oracle = Oracle(tools, observe=self.asked.append)
        self.history: list[Entry] = [AgentSaid("How can I help?")]

    async def says(self, text: str) -> Sequence[tuple[str, dict[str, Any]]] | str:
        """The caller's next turn; returns the calls that follow, or the question."""
        self.history.append(CallerSaid(text))
        return await self.reply()

    async def answered(self, name: str, content: dict[str, Any]) -> Sequence[tuple[str, dict[str, Any]]] | str:
        self.history += [ToolCalled("t", name, "{}"), ToolAnswered("t", name, json.dumps(content))]
        return await self.reply()

    async def reply(self) -> Sequence[tuple[str, dict[str, Any]]] | str:
        words, calls = "", []
        async for part in self.oracle.reply(ReplyRequest("", tuple(self.history), ())):
            match part:
                case TextDelta(text):
                    words += text
                case ToolCallPart(_, name, arguments):
                    calls.append((name, json.loads(arguments)))
        if words:
            self.history.append(AgentSaid(words))
        return words or calls

    async def verified(self) -> Sequence[tuple[str, dict[str, Any]]] | str:
        await self.says("Hello, it's about an order.")
        await self.says("ann@example.com")
        return await self.answered("verify_caller", {"verified": True, "first_name": "Ann"})


async def test_callers_are_verified_by_what_they_said() -> None:
    call = Call("get_account_info")
    assert await call.says("Hello there.") == QUESTIONS["who"]
    assert await call.says("My name is Ann Lee.") == QUESTIONS["zip"]
    facts = {"first_name": "Ann", "last_name": "Lee", "zip_code": "19122"}
    assert await call.says("one nine one double two") == [("verify_caller", facts)]
    assert await call.answered("verify_caller", {"verified": True}) == [("get_account_info", {})]


async def test_an_order_number_and_a_zip_code_verify_too() -> None:
    call = Call("cancel_order")
    assert await call.says("I'd like to cancel order W2378156.") == [
        ("find_order", {"heard": "I'd like to cancel order W2378156."})
    ]
    assert await call.answered("find_order", {"match": "exact", "order_id": "W2378156"}) == QUESTIONS["zip"]
    assert await call.says("19122") == [("verify_caller", {"order_id": "W2378156", "zip_code": "19122"})]


async def test_a_second_verification_follows_only_from_other_facts() -> None:
    call = Call("verify_caller", "verify_caller", "get_account_info")
    await call.says("Hello.")
    assert await call.says("ann@example.com") == [("verify_caller", {"email": "ann@example.com"})]
    assert (
        await call.answered("verify_caller", {"error": {"kind": "refused", "message": "No."}})
        == (QUESTIONS["other facts"])
    )
    assert await call.says("Hm, I'm sure.") == QUESTIONS["other facts"]
    assert await call.says("ann.lee@example.com") == [("verify_caller", {"email": "ann.lee@example.com"})]


async def test_a_name_follows_an_address_that_did_not_match() -> None:
    call = Call("verify_caller", "verify_caller")
    await call.says("Hello.")
    await call.says("ann@example.com")
    await call.answered("verify_caller", {"error": {"kind": "refused", "message": "No."}})
    assert await call.says("My name is Ann Lee.") == QUESTIONS["zip"]
    assert await call.says("one nine one double two") == [
        ("verify_caller", {"first_name": "Ann", "last_name": "Lee", "zip_code": "19122"})
    ]


async def test_half_an_order_number_is_no_zip_code() -> None:
    call = Call("get_account_info")
    await call.says("Hello.")
    assert await call.says("Do I bully you to 41700") == QUESTIONS["who"]


async def test_facts_that_were_misheard_are_asked_for_again() -> None:
    call = Call("get_account_info")
    await call.says("Hello.")
    await call.says("W2378156")
    await call.answered("find_order", {"match": "exact", "order_id": "W2378156"})
    await call.says("19123")
    assert (
        await call.answered("verify_caller", {"error": {"kind": "refused", "message": "No."}})
        == (QUESTIONS["who again"])
    )
    assert [asked.place for asked in call.asked] == ["0/who/0", "0/zip/0", "0/who/0"]


async def test_an_order_comes_from_what_was_heard_and_a_close_one_is_asked_about() -> None:
    call = Call("check_order_status")
    assert await call.verified() == QUESTIONS["order"]
    assert await call.says("W two three seven, eight one five five") == [
        ("find_order", {"heard": "W two three seven, eight one five five"})
    ]
    close = await call.answered("find_order", {"match": "close", "order_id": "W2378156"})
    assert close == "Is that order number W 2 3 7 8 1 5 6?"
    assert await call.says("Yes.") == [("check_order_status", {"order_id": "W2378156"})]


async def test_a_close_order_that_is_denied_is_not_used() -> None:
    call = Call("check_order_status")
    await call.verified()
    await call.says("W2378155")
    await call.answered("find_order", {"match": "close", "order_id": "W2378156"})
    assert await call.says("No.") == QUESTIONS["order"]
    assert await call.says("W2378199") == [("find_order", {"heard": "W2378199"})]
    asked = await call.answered("find_order", {"match": "none", "order_id": None})
    assert asked == f"{QUESTIONS['order again']} {KEYPAD['order']}"


async def test_the_accounts_orders_are_looked_through_for_a_caller_without_a_number() -> None:
    call = Call("verify_caller", "check_order_status", "check_order_status", "get_product")
    await call.verified()
    assert await call.says("I don't know the number.") == [("get_account_info", {})]
    orders = {"orders": [{"order_id": "W1000001"}, {"order_id": "W1000002"}, {"order_id": "W1000003"}]}
    assert await call.answered("get_account_info", orders) == [
        ("check_order_status", {"order_id": "W1000001"}),
        ("check_order_status", {"order_id": "W1000002"}),
    ]
    call.history += [
        ToolAnswered("a", "check_order_status", json.dumps({"order_id": "W1000001"})),
        ToolAnswered("b", "check_order_status", json.dumps({"order_id": "W1000002"})),
    ]
    assert await call.reply() == QUESTIONS["product"]


async def exchange() -> Call:
    """A call up to the read-back of an exchange of two items."""
    call = Call("exchange_items")
    await call.verified()
    await call.says("W2378156")
    assert await call.answered("find_order", {"match": "exact", "order_id": "W2378156"}) == QUESTIONS["item"]
    assert await call.says("The lamp.") == QUESTIONS["wish"]
    assert await call.says("A red one.") == QUESTIONS["more"]
    assert await call.says("The hat.") == QUESTIONS["wish"]
    assert await call.says("Size L.") == QUESTIONS["more"]
    assert await call.says("No, that's all.") == QUESTIONS["payment"]
    assert await call.says("My Visa.") == [("exchange_items", EXCHANGE)]
    call.history += [ToolAnswered("e", "exchange_items", json.dumps(PROPOSED)), AgentSaid("Shall I go ahead?")]
    return call


EXCHANGE = {
    "order_id": "W2378156",
    "items": ["The lamp.", "The hat."],
    "new_items": ["A red one.", "Size L."],
    "payment_method": "My Visa.",
}


async def test_items_and_wishes_go_to_the_tool_as_they_were_said() -> None:
    call = await exchange()
    call.history.append(CallerSaid("Yes."))
    done = await call.answered("exchange_items", {"status": "exchange requested"})
    assert done == QUESTIONS["else"]
    assert await call.says("No, that's all. Goodbye.") == GOODBYE


async def test_after_a_no_everything_is_asked_for_again() -> None:
    call = await exchange()
    assert await call.says("No, not like that.") == QUESTIONS["order"]


async def test_after_an_unclear_answer_the_same_is_read_back_again() -> None:
    call = await exchange()
    assert await call.says("What was that?") == [("exchange_items", EXCHANGE)]


async def test_a_refusal_is_told_and_the_answer_that_it_is_about_asked_for_again() -> None:
    call = await exchange()
    call.history[-2] = ToolAnswered(
        "e",
        "exchange_items",
        json.dumps({"error": {"kind": "refused", "message": "The gift card doesn't cover it."}}),
    )
    assert await call.reply() == f"The gift card doesn't cover it. {QUESTIONS['payment']}"
    assert await call.says("PayPal.") == [("exchange_items", EXCHANGE | {"payment_method": "PayPal."})]


async def test_a_caller_may_leave_it_after_a_refusal() -> None:
    call = await exchange()
    refused = {"error": {"kind": "refused", "message": "The gift card doesn't cover it."}}
    call.history[-2] = ToolAnswered("e", "exchange_items", json.dumps(refused))
    await call.reply()
    assert await call.says("Then leave it.") == QUESTIONS["else"]


async def test_an_effect_that_is_always_refused_is_given_up() -> None:
    call = Call("change_account_address", "get_account_info")
    await call.verified()
    for _ in range(3):
        await call.says("Somewhere.")
        refused = {"error": {"kind": "refused", "message": "Which address do you mean?"}}
        assert QUESTIONS["address"] in await call.answered("change_account_address", refused)
    await call.says("Somewhere.")
    assert await call.answered("change_account_address", refused) == [("get_account_info", {})]


async def test_an_order_that_was_not_found_is_asked_for_again_in_the_same_place() -> None:
    call = Call("get_account_info")
    await call.says("I want another fleece jacket.")
    assert await call.says("Do I bully you to 466703") == [("find_order", {"heard": "Do I bully you to 466703"})]
    none = {"match": "none", "order_id": None}
    assert await call.answered("find_order", none) == QUESTIONS["order again"]
    assert [asked.place for asked in call.asked] == ["0/who/0", "0/who/0"]


async def test_the_keypad_is_offered_to_a_caller_whose_digits_were_misheard_twice() -> None:
    call = Call("get_account_info")
    await call.says("Hello.")
    await call.says("W2378156")
    assert await call.answered("find_order", {"match": "exact", "order_id": "W2378156"}) == QUESTIONS["zip"]
    assert await call.says("2 H 2 3 6") == QUESTIONS["zip"]
    assert await call.says("Do 8 2 3 6") == f"{QUESTIONS['zip']} {KEYPAD['zip']}"
    assert await call.says("28236") == [("verify_caller", {"order_id": "W2378156", "zip_code": "28236"})]


async def test_half_an_order_number_is_not_the_order_before() -> None:
    call = Call("cancel_order", "cancel_order")
    await call.verified()
    await call.says("W2378156")
    await call.answered("find_order", {"match": "exact", "order_id": "W2378156"})
    await call.says("By mistake.")
    await call.answered("cancel_order", {"status": "cancelled"})
    assert await call.says("Double U3") == QUESTIONS["order again"]
    assert await call.says("The same order.") == QUESTIONS["reason"]


async def test_a_look_up_that_is_refused_is_asked_for_again() -> None:
    call = Call("get_product", "get_account_info")
    await call.verified()
    assert await call.says("I can do.") == [("get_product", {"product": "I can do."})]
    refused = {"error": {"kind": "refused", "message": "We don't sell that."}}
    assert await call.answered("get_product", refused) == f"We don't sell that. {QUESTIONS['product']}"
    assert await call.says("I said hiking boots.") == [("get_product", {"product": "I said hiking boots."})]
    assert await call.answered("get_product", {"name": "hiking boots"}) == [("get_account_info", {})]


async def test_what_follows_a_pause_belongs_to_the_answer_before() -> None:
    call = Call("exchange_items")
    await call.verified()
    await call.says("W2378156")
    await call.answered("find_order", {"match": "exact", "order_id": "W2378156"})
    await call.says("The lamp.")
    await call.says("A red one.")
    # "No, nothing." with a pause; of the question between nothing was heard.
    call.history += [CallerSaid("No."), CallerSaid("nothing.")]
    assert await call.reply() == QUESTIONS["payment"]
    assert await call.says("PayPal.") == [
        (
            "exchange_items",
            {"order_id": "W2378156", "items": ["The lamp."], "new_items": ["A red one."], "payment_method": "PayPal."},
        )
    ]


async def test_what_follows_an_answer_that_was_acted_on_answers_no_question_that_was_not_heard() -> None:
    call = await exchange()
    call.history.append(CallerSaid("Yes."))
    call.history += [
        ToolCalled("t", "exchange_items", "{}"),
        ToolAnswered("t", "exchange_items", json.dumps({"status": "exchange requested"})),
        AgentSaid("Is"),
        CallerSaid("No, goodbye"),
    ]
    assert await call.reply() == QUESTIONS["else"]
