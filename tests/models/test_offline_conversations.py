"""Whole conversations in text with the offline brain: the real sentence model, a shop made of a dictionary.

`Line` plays the runtime: it shows the history to the model, runs the tools it asks for, reads effects
back, and executes them after a clear yes, as the conversation core does.
"""

import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from talkspurt.agent import Agent, Caller
from talkspurt.agent.dialogue import Dialogue, Intent, Outcome, Slot
from talkspurt.agent.small_talk import SMALL_TALK
from talkspurt.agent.spoken import digits, identifiers
from talkspurt.agent.tools import SPEAK_SLOWER
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.core.events import EffectProposed, ToolReturned
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.effects import ToolDispatcher
from talkspurt.models.offline import OfflineModel
from talkspurt.ports import ReplyRequest, TextDelta, ToolCallPart, ToolSpec
from talkspurt.retail import create_agent
from talkspurt.retail.dialogue import DIALOGUE
from talkspurt.speech.weights import WeightStore
from talkspurt.testing.ledger import MemoryEffectLedger

TOOLS = tuple(ToolSpec(name, "", {}) for name in DIALOGUE.tools())
MAX_WORDS = 24
"""About twenty; ids and sums are spelled out, which takes more. Letters of a word that is spelled are not counted."""


class RefusalError(Exception):
    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class Shop:
    """The bundled agent's tools, by their contract."""

    effects = frozenset({"process_return", "offer_refund"})

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {
            "W2378156": {
                "status": "delivered",
                "items": {"Desk Lamp": 54.0, "Mechanical Keyboard": 120.5},
                "eta": None,
            },
            "W5000001": {"status": "pending", "items": {"Tea Kettle": 30.25}, "eta": "on Friday, May 3rd"},
        }
        self.verified = False
        self.attempts = 0
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.returned: list[list[str]] = []
        self.refunded: list[str] = []
        self.broken: set[str] = set()

    async def run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a tool, or propose its effect."""
        self.calls.append((name, arguments))
        try:
            if name in self.broken:
                raise RefusalError("failed", "boom")
            if name not in self.effects:
                return self._do(name, arguments)
            self._need_verification()
            return {"status": "confirmation_required", "read_back": self._read_back(name, arguments)}
        except RefusalError as refusal:
            return {"error": {"kind": refusal.kind, "message": str(refusal)}}

    async def execute(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out an effect that was confirmed."""
        return self._do(name, arguments)

    def _do(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self, name)(**arguments)
        return answer

    def _read_back(self, name: str, arguments: dict[str, Any]) -> str:
        if name == "process_return":
            return f"I'll return {' and '.join(arguments['items'])}. Shall I go ahead?"
        return f"I'll refund order {arguments['order_id']}. Shall I go ahead?"

    def find_order(self, heard: str) -> dict[str, Any]:
        number = digits(heard)
        for order_id in self.orders:
            if order_id in identifiers(heard, r"W\d{7}") or order_id[1:] == number:
                return {"match": "exact", "order_id": order_id}
        for order_id in self.orders:
            if sum(a == b for a, b in zip(order_id[1:], number, strict=False)) >= 6:
                return {"match": "close", "order_id": order_id}
        return {"match": "none", "order_id": None}

    def verify_caller(
        self, order_id: str = "", zip_code: str = "", first_name: str = "", last_name: str = "", email: str = ""
    ) -> dict[str, Any]:
        by_order = order_id in self.orders and zip_code == "19122"
        by_name = (first_name.lower(), last_name.lower(), zip_code) == ("yusuf", "rossi", "19122")
        if by_order or by_name or email == "yusuf.rossi2475@example.com":
            self.verified = True
            return {"verified": True, "first_name": "Yusuf"}
        self.attempts += 1
        raise RefusalError("attempts_exhausted" if self.attempts >= 3 else "refused", "No match.")

    def check_order_status(self, order_id: str) -> dict[str, Any]:
        self._need_verification()
        order = self.orders[order_id]
        items = [{"name": name, "price": f"${price:.2f}"} for name, price in order["items"].items()]
        total = f"${sum(order['items'].values()):.2f}"
        tracking = ["357962501027"] if order["status"] == "delivered" else []
        return {"order_id": order_id, "status": order["status"], "items": items, "total": total} | {
            "tracking": tracking,
            "eta": order["eta"],
        }

    def get_account_info(self) -> dict[str, Any]:
        self._need_verification()
        orders = [{"order_id": order_id, "status": order["status"]} for order_id, order in self.orders.items()]
        address = "763 Broadway, Philadelphia"
        return {"name": "Yusuf Rossi", "email": "yusuf.rossi2475@example.com", "address": address, "orders": orders}

    def process_return(self, order_id: str, items: list[str]) -> dict[str, Any]:
        self.returned.append(items)
        refund = sum(self.orders[order_id]["items"][item] for item in items)
        return {"status": "return requested", "order_id": order_id, "items": items, "refund": f"${refund:.2f}"}

    def offer_refund(self, order_id: str) -> dict[str, Any]:
        self.refunded.append(order_id)
        amount = f"${sum(self.orders[order_id]['items'].values()):.2f}"
        done = {"status": "refund issued", "order_id": order_id, "amount": amount}
        return done | {"method": "credit card", "when": "within 5 to 7 days"}

    def escalate_to_human(self, reason: str) -> dict[str, Any]:
        assert reason
        return {"handed_over": True, "callback": False, "message": "I'm putting you through to a colleague now."}

    def _need_verification(self) -> None:
        if not self.verified:
            raise RefusalError("verification_required", "Verify the caller first.")


class Desk(Protocol):
    """Who runs the tools."""

    async def run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]: ...

    async def execute(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]: ...


class Line:
    """One call in text."""

    def __init__(self, model: OfflineModel, dialogue: Dialogue, desk: Desk, *, paced: bool = False) -> None:
        """`paced` when the runtime can speak more slowly."""
        self._model = model
        self._desk = desk
        self._tools = tuple(ToolSpec(name, "", {}) for name in [*dialogue.tools(), "end_call"])
        self._tools += (ToolSpec(SPEAK_SLOWER, "", {}),) if paced else ()
        self._ids = itertools.count(1)
        self._proposed: ToolCallPart | None = None
        self.history: list[Entry] = [AgentSaid("Thanks for calling, this is Sarah. How can I help?")]
        self.ended = False
        self.slowed = 0

    async def say(self, text: str, *, keypad: bool = False) -> str:
        """The caller's turn; returns what the agent says to it."""
        assert not self.ended, "the agent has hung up"
        self.history.append(CallerSaid(text, "keypad" if keypad else "voice"))
        proposed, self._proposed = self._proposed, None
        if proposed and yes_or_no(text) is True:
            again = replace(proposed, tool_call=f"confirmed-{next(self._ids)}")
            self._note(again, await self._desk.execute(again.name, json.loads(again.arguments)))
        spoken = []
        for _ in range(6):
            text, call = await self._ask()
            if text:
                assert len(re.findall(r"(?<!\S)(?![A-Z][,.]?\s)\S+", text)) <= MAX_WORDS, text
                assert not re.search(r"[{}]|None", text), text
                self.history.append(AgentSaid(text))
                spoken.append(text)
            if call is None or call.name == "end_call":
                self.ended = call is not None
                return " ".join(spoken)
            if call.name == SPEAK_SLOWER:
                assert not text, "the words would be spoken at the old pace"
                assert call.arguments == "{}"
                self.slowed += 1
                self._note(call, {"status": "slower"})
                continue
            result = await self._desk.run(call.name, json.loads(call.arguments))
            self._note(call, result)
            if result.get("status") == "confirmation_required":
                self.history.append(AgentSaid(result["read_back"]))
                self._proposed = call
                return " ".join([*spoken, result["read_back"]])
        raise AssertionError("more than six tool rounds in one turn")

    def _note(self, call: ToolCallPart, result: dict[str, Any]) -> None:
        self.history.append(ToolCalled(call.tool_call, call.name, call.arguments))
        self.history.append(ToolAnswered(call.tool_call, call.name, json.dumps(result)))

    async def _ask(self) -> tuple[str, ToolCallPart | None]:
        text, call = "", None
        async for part in self._model.reply(ReplyRequest("", tuple(self.history), self._tools)):
            match part:
                case TextDelta(piece):
                    text += piece
                case ToolCallPart():
                    call = part
        return text, call


@pytest.fixture(scope="module")
def shared_store(weight_store: WeightStore) -> WeightStore:
    return weight_store


@pytest.fixture(scope="module")
async def retail_model(shared_store: WeightStore) -> AsyncIterator[OfflineModel]:
    model = OfflineModel(DIALOGUE, shared_store)
    yield model
    await model.aclose()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def line(retail_model: OfflineModel, shop: Shop) -> Line:
    return Line(retail_model, DIALOGUE, shop)


async def test_order_status_with_the_id_up_front(line: Line, shop: Shop) -> None:
    said = await line.say("Hi, where is order W two three seven, eight one five six?")
    assert "ZIP" in said
    said = await line.say("one nine one two two")
    assert "delivered" in said
    assert "Desk Lamp" in said
    said = await line.say("No, that's all, thank you.")
    assert "oodbye" in said
    assert line.ended


async def test_order_status_without_an_id(line: Line) -> None:
    assert "order number" in await line.say("I'd like to know where my package is.")
    assert "ZIP" in await line.say("Sure, it's W-5-0-0-0-0-0-1.")
    said = await line.say("191-22")
    assert "pending" in said
    assert "May 3rd" in said


async def test_id_and_zip_in_one_breath(line: Line) -> None:
    said = await line.say("Where is my order W2378156? My zip code is 19122.")
    assert "delivered" in said


async def test_a_follow_up_question_uses_what_is_known(line: Line, shop: Shop) -> None:
    await line.say("Where is order W2378156?")
    await line.say("19122")
    assert "3 5 7" in await line.say("And what's the tracking number?")
    assert "174 dollars and 50 cents" in await line.say("How much did I pay for it?")


async def test_another_order_is_asked_for(line: Line) -> None:
    await line.say("Where is order W2378156?")
    await line.say("19122")
    assert "order number" in await line.say("Can you check the status of another order?")
    assert "pending" in await line.say("W 500 0001")


async def test_a_close_match_is_read_back(line: Line) -> None:
    said = await line.say("Where's my order? It's W 2378155.")
    assert "2 3 7" in said
    assert "?" in said
    assert "ZIP" in await line.say("Yes, that's right.")


async def test_a_close_match_may_be_wrong(line: Line, shop: Shop) -> None:
    await line.say("Where's my order? It's W 2378155.")
    said = await line.say("No, it's W 5000001.")
    assert "ZIP" in said
    assert "pending" in await line.say("19122")


async def test_return_with_a_yes(line: Line, shop: Shop) -> None:
    await line.say("I want to return something from order W2378156.")
    said = await line.say("19122")
    assert "Desk Lamp" in said
    assert "Mechanical Keyboard" in said
    assert "Shall I go ahead?" in await line.say("The keyboard, please.")
    assert shop.returned == []
    said = await line.say("Yes, go ahead.")
    assert shop.returned == [["Mechanical Keyboard"]]
    assert "120 dollars and 50 cents" in said


async def test_return_with_the_item_up_front(line: Line, shop: Shop) -> None:
    await line.say("I'd like to send back the desk lamp. The order is W2378156.")
    said = await line.say("19122")
    assert said == "I'll return Desk Lamp. Shall I go ahead?"
    await line.say("yes please")
    assert shop.returned == [["Desk Lamp"]]


async def test_return_of_everything(line: Line, shop: Shop) -> None:
    await line.say("I want to return my order W2378156.")
    await line.say("19122")
    await line.say("Both of them.")
    await line.say("That's correct.")
    assert shop.returned == [["Desk Lamp", "Mechanical Keyboard"]]


async def test_return_with_a_no(line: Line, shop: Shop) -> None:
    await line.say("I want to return the lamp from order W2378156.")
    await line.say("19122")
    said = await line.say("No, don't.")
    assert "won't" in said
    assert shop.returned == []
    assert "oodbye" in await line.say("no that's it")


async def test_return_with_an_unclear_answer_is_read_back_once_more(line: Line, shop: Shop) -> None:
    await line.say("I want to return the lamp from order W2378156.")
    await line.say("19122")
    assert "Shall I go ahead?" in await line.say("Hmm, I guess so.")
    assert shop.returned == []
    said = await line.say("Well, I don't know.")
    assert "haven't changed" in said
    assert shop.returned == []
    assert [name for name, _ in shop.calls].count("process_return") == 2


async def test_a_yes_to_the_second_read_back_counts(line: Line, shop: Shop) -> None:
    await line.say("I want to return the lamp from order W2378156.")
    await line.say("19122")
    await line.say("Sorry, what was that?")
    said = await line.say("Yes.")
    assert shop.returned == [["Desk Lamp"]]
    assert "54 dollars" in said


async def test_the_choice_may_change_at_the_last_moment(line: Line, shop: Shop) -> None:
    await line.say("I want to return the lamp from order W2378156.")
    await line.say("19122")
    assert await line.say("No, the keyboard.") == "I'll return Mechanical Keyboard. Shall I go ahead?"
    await line.say("Yes.")
    assert shop.returned == [["Mechanical Keyboard"]]


async def test_another_wish_about_another_order_while_confirming(line: Line, shop: Shop) -> None:
    await line.say("I'd like to return the keyboard from order W2378156.")
    assert "Shall I go ahead?" in await line.say("19122")
    assert "tea kettle" in (await line.say("Hmm, actually never mind, where is my order W5000001?")).lower()
    assert shop.returned == []


async def test_a_corrected_zip_is_no_request_to_repeat(line: Line) -> None:
    await line.say("Where is my order W2378156?")
    assert "doesn't match" in await line.say("My zip is 19123.")
    assert "delivered" in await line.say("Oh sorry, 19122.")


async def test_refund(line: Line, shop: Shop) -> None:
    await line.say("I want my money back.")
    await line.say("W2378156")
    assert "Shall I go ahead?" in await line.say("It's 19122.")
    said = await line.say("Yeah, do it.")
    assert shop.refunded == ["W2378156"]
    assert "174 dollars and 50 cents" in said


async def test_account_by_email(line: Line) -> None:
    await line.say("Which email address do you have for me?")
    said = await line.say("I don't have an order number.")
    assert "email" in said
    said = await line.say("yusuf dot rossi two four seven five at example dot com")
    assert "yusuf dot rossi 2 4 7 5 at example dot com" in said


async def test_account_by_name_and_zip(line: Line) -> None:
    await line.say("I'd like to check my account information.")
    await line.say("I don't know the number.")
    assert "name" in await line.say("I don't remember the email.")
    assert "ZIP" in await line.say("My name is Yusuf Rossi.")
    assert "Yusuf Rossi" in await line.say("1-9-1-2-2")


async def test_finding_the_order_without_its_number(line: Line) -> None:
    await line.say("Where is my order?")
    assert "email" in await line.say("I don't have the order number.")
    said = await line.say("yusuf.rossi2475@example.com")
    assert "W" in said
    assert "0 0 0 1" in said
    assert "pending" in await line.say("The second one.")


async def test_a_person(line: Line, shop: Shop) -> None:
    assert "colleague" in await line.say("Just let me talk to a human being.")
    assert shop.calls[-1][0] == "escalate_to_human"


async def test_a_person_in_the_middle_of_a_question(line: Line, shop: Shop) -> None:
    await line.say("Where is my order?")
    assert "colleague" in await line.say("I want to speak to a representative.")


@pytest.mark.parametrize(
    "question",
    [
        "What's the weather like in Paris?",
        "Who won the world cup?",
        "Tell me a joke.",
        "How do I set up my new camera?",
        "I need an appointment with a doctor.",
    ],
)
async def test_what_it_does_not_know_it_says(line: Line, shop: Shop, question: str) -> None:
    said = await line.say(question)
    assert "order" in said
    assert "sorry" in said or "afraid" in said
    assert shop.calls == []


async def test_a_person_is_offered_to_who_asks_for_nothing_it_knows(line: Line, shop: Shop) -> None:
    await line.say("Who is the president of Peru?")
    await line.say("Tell me a joke.")
    assert "colleague" in await line.say("What's the weather like?")
    assert "putting you through" in await line.say("Okay, sure.")


async def test_a_number_without_a_wish_is_kept(line: Line) -> None:
    assert "What can I do" in await line.say("My order number is W2378156.")
    assert "ZIP" in await line.say("I want to know where it is.")


async def test_facts_that_were_not_asked_for_are_taken(line: Line) -> None:
    await line.say("Where is my order?")
    assert "email" in await line.say("I don't have the number.")
    assert "ZIP" in await line.say("My name is Yusuf Rossi.")
    assert "8 1 5 6" in await line.say("19122")


@pytest.mark.parametrize("noise", ["Um.", "you", "Uh..."])
async def test_a_stray_word_is_taken_as_misheard(line: Line, noise: str) -> None:
    assert "say that again" in await line.say(noise)


async def test_a_change_of_subject_in_the_middle_of_a_question(line: Line, shop: Shop) -> None:
    assert "order number" in await line.say("I'd like to return something.")
    await line.say("Actually, where is my other order, W5000001?")
    assert "pending" in await line.say("19122")
    assert shop.calls[-1][0] == "check_order_status"


async def test_a_correction(line: Line) -> None:
    await line.say("Where is order W2378156?")
    assert "ZIP" in await line.say("No wait, it's W5000001.")
    assert "pending" in await line.say("19122")


async def test_the_keypad_after_two_failures(line: Line, shop: Shop) -> None:
    await line.say("Where is my order?")
    assert "keypad" not in await line.say("W one one one one one one one")
    assert "keypad" in await line.say("W one one one one one one one")
    assert "ZIP" in await line.say("2378156", keypad=True)
    assert "delivered" in await line.say("19122", keypad=True)


async def test_a_person_is_offered_after_repeated_trouble(line: Line, shop: Shop) -> None:
    await line.say("Where is my order?")
    await line.say("bla bla mumble")
    await line.say("mumble bla")
    assert "colleague" in await line.say("1", keypad=True)
    assert "putting you through" in await line.say("Yes please.")


async def test_half_a_number_and_then_the_other_half(line: Line) -> None:
    await line.say("Where is my order?")
    await line.say("W two three seven")
    assert "ZIP" in await line.say("eight one five six")


async def test_a_number_that_was_whole_but_unknown_has_no_other_half(line: Line, shop: Shop) -> None:
    await line.say("Where is my order?")
    await line.say("W nine nine nine nine nine nine nine, or was it W one one one one one one one")
    await line.say("six oh six one four")
    assert shop.calls[-1] == ("find_order", {"heard": "six oh six one four"})


async def test_a_wrong_zip_is_asked_again_and_then_a_person_is_offered(line: Line, shop: Shop) -> None:
    await line.say("Where is order W2378156?")
    said = await line.say("99999")
    assert "match" in said
    assert "ZIP" in said
    assert "colleague" in await line.say("88888")


async def test_repeats_its_last_words(line: Line) -> None:
    asked = await line.say("Where is order W2378156?")
    assert await line.say("Sorry, what did you say?") == asked
    assert await line.say("Can you repeat that?") == asked


@pytest.mark.parametrize("asked", ["Can you slow down?", "You're too fast.", "Could you speak more slowly, please?"])
async def test_speaks_slower_and_says_it_again(retail_model: OfflineModel, shop: Shop, asked: str) -> None:
    line = Line(retail_model, DIALOGUE, shop, paced=True)
    said = await line.say("Where is order W2378156?")
    assert await line.say(asked) == said
    assert line.slowed == 1
    assert "delivered" in await line.say("19122")


async def test_where_there_is_one_pace_the_words_are_at_least_said_again(line: Line) -> None:
    said = await line.say("Where is order W2378156?")
    assert await line.say("Can you slow down?") == said
    assert line.slowed == 0
    assert "ZIP" in await line.say("Hello?")


async def test_slower_during_a_confirmation_reads_it_back_again(retail_model: OfflineModel, shop: Shop) -> None:
    line = Line(retail_model, DIALOGUE, shop, paced=True)
    await line.say("I want to return the lamp from order W2378156.")
    asked = await line.say("19122")
    assert await line.say("Speak slower, please.") == asked
    assert await line.say("You're talking too fast.") == asked
    assert (line.slowed, shop.returned) == (2, [])
    await line.say("Yes, go ahead.")
    assert shop.returned == [["Desk Lamp"]]


async def test_a_slower_voice_asked_for_by_another_model_is_no_task(line: Line, shop: Shop) -> None:
    line.history += [
        CallerSaid("Slow down."),
        ToolCalled("s", SPEAK_SLOWER, "{}"),
        ToolAnswered("s", SPEAK_SLOWER, "{}"),
    ]
    line.history += [AgentSaid("How can I help?")]
    assert "order number" in await line.say("Where is my order?")


async def test_spells_what_it_mentioned_last(line: Line) -> None:
    await line.say("Where is order W2378156?")
    await line.say("19122")
    await line.say("Which email address do you have for me?")
    said = await line.say("Can you spell that?")
    assert "Y U S U F, dot, R O S S I, 2 4 7 5, at, E X A, M P L E, dot com" in said
    assert "W, 2 3 7, 8 1 5 6" in await line.say("Could you spell the order number?")
    assert "oodbye" in await line.say("No, that's all, bye.")


async def test_spells_the_agents_own_name(line: Line) -> None:
    assert "S A R A H" in await line.say("How do you spell that?")


async def test_spells_what_the_caller_told_and_asks_again(line: Line) -> None:
    await line.say("Where is order W2378156?")
    said = await line.say("Can you spell that back to me?")
    assert "W, 2 3 7, 8 1 5 6" in said
    assert "ZIP" in said
    assert "delivered" in await line.say("19122")


async def test_says_so_when_there_is_nothing_to_spell(line: Line) -> None:
    line.history = [AgentSaid("Hello, how can I help?")]
    assert "spell" in await line.say("How do you spell that?")
    assert "order number" in await line.say("Where is my order?")


async def test_spelling_during_a_confirmation_reads_it_back_again(line: Line, shop: Shop) -> None:
    await line.say("I want to return the lamp from order W2378156.")
    await line.say("19122")
    said = await line.say("Can you spell the order number?")
    assert "W, 2 3 7, 8 1 5 6" in said
    assert said.endswith("Shall I go ahead?")
    await line.say("Yes, go ahead.")
    assert shop.returned == [["Desk Lamp"]]


async def test_a_read_back_that_is_spelled_is_said_again(line: Line) -> None:
    said = await line.say("Where's my order? It's W 2378155.")
    assert await line.say("Can you spell that?") == said
    assert "ZIP" in await line.say("Yes, that's right.")


async def test_a_caller_who_spells_asks_for_no_spelling(line: Line) -> None:
    await line.say("Where is order W2378156?")
    assert "2 3 7" not in await line.say("Let me spell that for you, r o s s i.")


async def test_where_to_find_the_number(line: Line) -> None:
    await line.say("Where is my order?")
    assert "confirmation email" in await line.say("Where do I find that number?")


async def test_waits_for_the_caller(line: Line) -> None:
    await line.say("Where is my order?")
    assert "time" in await line.say("Hold on, let me look for it.")
    assert "ZIP" in await line.say("Okay, it's W2378156.")


@pytest.mark.parametrize("noise", ["", "...", " . "])
async def test_no_words_are_asked_for_again(line: Line, noise: str) -> None:
    assert "?" in await line.say(noise)


async def test_thanks_and_then_another_wish(line: Line) -> None:
    await line.say("Where is order W2378156? ZIP code 19122.")
    assert "?" in await line.say("Thank you so much.")
    assert "Desk Lamp" in await line.say("I want to send something back.")


async def test_a_broken_shop_leads_to_a_person(line: Line, shop: Shop) -> None:
    shop.broken.add("check_order_status")
    said = await line.say("Where is order W2378156?")
    assert "trouble" in said
    assert "putting you through" in await line.say("yes")


async def test_asks_which_of_two_things_is_meant(line: Line, shop: Shop) -> None:
    said = await line.say("I want to give it back and get my money.")
    assert said.startswith("Just to be sure")
    await line.say("The refund.")
    await line.say("W2378156")
    assert "refund" in await line.say("19122")


def _as_history(*entries: Entry) -> tuple[Entry, ...]:
    """A caller who has asked for an order, whose tool call is the last thing in the history."""
    return (AgentSaid("Hello."), CallerSaid("Where is order W2378156?"), *entries)


async def _reply(model: OfflineModel, history: tuple[Entry, ...]) -> tuple[str, list[str]]:
    parts = [part async for part in model.reply(ReplyRequest("", history, TOOLS))]
    text = "".join(part.text for part in parts if isinstance(part, TextDelta))
    return text, [part.name for part in parts if isinstance(part, ToolCallPart)]


FOUND = (
    ToolCalled("1", "find_order", '{"heard":"W2378156"}'),
    ToolAnswered("1", "find_order", '{"match":"exact","order_id":"W2378156"}'),
    ToolCalled("2", "check_order_status", '{"order_id":"W2378156"}'),
)


async def test_a_hello_while_a_tool_runs_does_not_lose_the_thread(retail_model: OfflineModel) -> None:
    running = ToolAnswered("2", "check_order_status", '{"status":"running"}')
    history = _as_history(*FOUND, running, CallerSaid("Hello?"))
    assert await _reply(retail_model, history) == ("", ["check_order_status"])


async def test_a_result_that_was_not_heard_is_said_after_all(retail_model: OfflineModel) -> None:
    result = '{"order_id":"W2378156","status":"delivered","items":[{"name":"lamp"}]}'
    history = _as_history(*FOUND, ToolAnswered("2", "check_order_status", result), CallerSaid("Hello? Are you there?"))
    text, calls = await _reply(retail_model, history)
    assert "lamp was delivered" in text
    assert calls == []


async def test_it_takes_over_in_the_middle_of_a_call_of_another_model(retail_model: OfflineModel) -> None:
    history = _as_history(
        ToolCalled("1", "verify_caller", '{"order_id":"W2378156","zip_code":"60614"}'),
        ToolAnswered("1", "verify_caller", '{"verified":true,"first_name":"Maya"}'),
        AgentSaid("Thanks, Maya. What can I do?"),
        ToolCalled("2", "check_order_status", '{"order_id":"W2378156"}'),
        ToolAnswered("2", "check_order_status", '{"error":{"kind":"failed","message":"m"}}'),
        AgentSaid("One moment."),
        CallerSaid("I'd like to return something from it."),
    )
    assert (await _reply(retail_model, history))[1] in (["check_order_status"], ["find_order"])


async def test_goodbye_without_the_end_call_tool_just_says_it(retail_model: OfflineModel) -> None:
    parts = [part async for part in retail_model.reply(ReplyRequest("", (CallerSaid("Goodbye."),), ()))]
    assert parts
    assert not any(isinstance(part, ToolCallPart) for part in parts)


async def test_the_same_history_gets_the_same_reply(retail_model: OfflineModel) -> None:
    history = (AgentSaid("Hello."), CallerSaid("Where is my order?"))

    async def ask() -> str:
        parts = [part async for part in retail_model.reply(ReplyRequest("", history, TOOLS))]
        return "".join(part.text for part in parts if isinstance(part, TextDelta))

    assert await ask() == await ask() != ""


async def test_a_reply_that_was_dropped_leaves_no_trace(retail_model: OfflineModel) -> None:
    split = (CallerSaid("Where is my"), CallerSaid("order? It's W2378156."))
    whole = (CallerSaid("Where is my order? It's W2378156."),)
    calls = []
    for history in (split, whole):
        parts = [part async for part in retail_model.reply(ReplyRequest("", history, TOOLS))]
        calls += [json.loads(part.arguments) for part in parts if isinstance(part, ToolCallPart)]
    assert [set(call) for call in calls] == [{"heard"}, {"heard"}]


# ── the bundled shop itself ───────────────────────────────────────────────────────


class BundledShop:
    """The real tools, run by the real dispatcher on a database."""

    def __init__(self, agent: Agent) -> None:
        self.caller = Caller(call_id="call", number="+15551230000")
        self._dispatcher = ToolDispatcher(agent, self.caller, MemoryEffectLedger())
        self._proposal = ""

    async def run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        event = await self._dispatcher.run("call", name, json.dumps(arguments))
        if isinstance(event, EffectProposed):
            self._proposal = event.proposal
            return {"status": "confirmation_required", "read_back": event.read_back}
        assert isinstance(event, ToolReturned)
        result: dict[str, Any] = json.loads(event.content)
        return result

    async def execute(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        await self._dispatcher.heard(self._proposal, 1.0)
        result: dict[str, Any] = json.loads((await self._dispatcher.execute("call", self._proposal, 2)).content)
        return result


@pytest.fixture
async def bundled(retail_model: OfflineModel, tmp_path: Path) -> AsyncIterator[Line]:
    agent = create_agent(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
    async with agent.lifespan():
        yield Line(retail_model, DIALOGUE, BundledShop(agent))


async def test_the_bundled_shop_tells_where_an_order_is(bundled: Line) -> None:
    await bundled.say("Hi, can you tell me where order W five five four oh nine one seven is?")
    assert "shipped" in await bundled.say("It's 60614.")
    assert "oodbye" in await bundled.say("No, that's all. Thanks, bye.")


async def test_the_bundled_shop_takes_a_return(bundled: Line) -> None:
    await bundled.say("I'd like to return something, the order number is W2378156.")
    assert "desk lamp" in await bundled.say("6 0 6 1 4")
    assert "Shall I go ahead?" in await bundled.say("The headphones.")
    assert "All set" in await bundled.say("Yes please.")
    assert "already requested" in await bundled.say("I want to return the desk lamp from that order too.")


async def test_the_bundled_shop_pays_a_refund(bundled: Line) -> None:
    await bundled.say("I never got my money back for my cancelled order W9013362.")
    assert "Shall I go ahead?" in await bundled.say("60614")
    assert "Done" in await bundled.say("That's right, go ahead.")


async def test_the_bundled_shop_knows_who_is_calling(bundled: Line) -> None:
    await bundled.say("What's on my account?")
    await bundled.say("I don't have an order number.")
    assert "Maya Collins" in await bundled.say("maya dot collins at example dot com")
    assert "18 Linden Street" in await bundled.say("And which address do you have?")


async def test_the_bundled_shop_finds_somebody(bundled: Line) -> None:
    assert "reach anybody" in await bundled.say("I'd like to speak to somebody, please.")


# ── another trade, to see that the brain knows none ───────────────────────────────

DENTIST = Dialogue(
    slots=(Slot("name", "person", ask="May I have your first and last name?"),),
    intents=(
        Intent(
            "hours",
            title="hear our opening hours",
            examples=("When are you open?", "What are your opening hours?", "Are you open on Saturday?"),
            say="We're open Monday to Friday, eight to five.",
        ),
        Intent(
            "appointment",
            title="check your appointment",
            examples=("When is my appointment?", "What time do I have to come in?", "Look up my next visit."),
            slots=("name",),
            tool="find_appointment",
            outcomes=(Outcome(("Your next visit is {when}.", "I don't see a visit for {first_name} {last_name}.")),),
        ),
        Intent(
            "pain",
            title="get help for a toothache",
            examples=("My tooth hurts.", "I have a terrible toothache.", "I broke a tooth, it's an emergency."),
            say="I'm so sorry. Please come in right away, we keep time free for emergencies.",
        ),
        *SMALL_TALK,
    ),
)


class Practice:
    async def execute(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("nothing here has an effect")

    async def run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert name == "find_appointment"
        return {"when": "on Monday at nine"} if arguments["last_name"] == "Li" else {"when": None}


@pytest.fixture(scope="module")
async def dentist(shared_store: WeightStore) -> AsyncIterator[Callable[[], Line]]:
    model = OfflineModel(DENTIST, shared_store)
    yield lambda: Line(model, DENTIST, Practice())
    await model.aclose()


async def test_a_dentist(dentist: Callable[[], Line]) -> None:
    line = dentist()
    assert "eight to five" in await line.say("What hours are you open?")
    assert "name" in await line.say("And can you tell me when my appointment is?")
    assert "Monday at nine" in await line.say("It's Anna Li.")
    assert "right away" in await line.say("Also, my tooth is hurting really badly.")
    assert "oodbye" in await line.say("No, that's everything. Bye.")
    assert line.ended


async def test_a_dentist_does_not_know_everything(dentist: Callable[[], Line]) -> None:
    line = dentist()
    said = await line.say("What's the capital of Mongolia?")
    assert "hear our opening hours" in said
    assert "don't see a visit for Bob Hill" in " ".join(
        [await line.say("When do I have to come in?"), await line.say("Bob Hill")]
    )


async def test_a_greeting_that_the_recognizer_hears_as_high_is_a_greeting(bundled: Line) -> None:
    await bundled.say("High where is my order, the number is w5540917")
    assert "shipped" in await bundled.say("60614")
