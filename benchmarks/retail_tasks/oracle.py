"""The oracle: in place of a model, it makes the calls that a task expects, in order, and asks for all else.

It is told the names of the tools and nothing more of the task. Every argument is what the caller said in answer to its
question: as it was heard, for the product's tools to read (items, variants, payment methods, addresses, reasons), or
as the product's own parsers read it (`find_order`, `talkspurt.agent.spoken`). An order that the caller cannot name by
its number comes from the account that the product verified. So a task succeeds only if the product understood.

Invariant: what it does depends on the history alone, for a model keeps nothing between requests.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from talkspurt.agent import spoken
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart

QUESTIONS: Final = {
    "who": "What's the e-mail address on your account, your first and last name, or an order number?",
    "who again": "I'm sorry, that doesn't match. Once more: your e-mail address, your name, or an order number?",
    "other facts": "I'm sorry, that doesn't match. Could you check, and say it again?",
    "zip": "And your ZIP code?",
    "order": "What's the order number?",
    "order again": "I'm sorry, I can't find that order. What's the order number, digit by digit?",
    "order close": "Is that order number {close}?",
    "product": "Which product shall I look up?",
    "item number": "What's the item number?",
    "sum": "What shall I add up for you?",
    "reason": "Why would you like to cancel it?",
    "address": "What's the new address?",
    "items": "Which items would you like to return?",
    "item": "Which item shall become another one?",
    "wish": "What would you like instead?",
    "more": "Is there another item to change in that order?",
    "payment": "Which payment method shall I use?",
    "need": "What do you need a colleague for?",
    "else": "Is there anything else I can do for you?",
}
GOODBYE: Final = "Thank you for calling. Goodbye!"
REPEATED: Final = {"who again": "who", "order again": "order"}
"""Questions that ask for the same as another."""
KEYPAD: Final = {
    "who": "You can also type the order number on the keypad, and press hash.",
    "order": "You can also type it on the keypad, and press hash.",
    "zip": "You can also type it on the keypad, and press hash.",
}
"""What is offered with a question for digits that was answered twice and not understood."""
HEARD_IN_VAIN: Final = 2
LOOK_UPS: Final = {"get_product": "product", "get_item": "item number", "calculate": "sum"}
"""What look-ups are given, which is asked for again when they are refused."""
MOST_REFUSALS: Final = 4
"""Of one effect, after which the oracle gives it up."""
AT_ONCE: Final = 5
"""Most orders looked up in one round."""

ORDER_SLOTS: Final = {
    "cancel_order": ("order", "reason"),
    "change_order_address": ("order", "address"),
    "change_order_payment": ("order", "payment"),
    "change_order_items": ("order", "item", "payment"),
    "exchange_items": ("order", "item", "payment"),
    "process_return": ("order", "items", "payment"),
    "change_account_address": ("address",),
}
"""What each effect needs, in the order in which it is asked for."""
_WANTED: Final = {
    "payment": re.compile(r"payment method|gift card|refund goes|paid by"),
    "reason": re.compile(r"cancel an order that|is it one of those"),
    "address": re.compile(r"address|zip code"),
    "item": re.compile(r"\bitem|which|do you mean|there is no such|out of stock|in the order|available"),
}
"""Which answer a refusal is about, by the product's words; the first that fits."""
_LEFT: Final = re.compile(r"\b(?:leave|forget|drop) it\b|\bnever ?mind\b", re.IGNORECASE)
_FAREWELL: Final = re.compile(r"\bgood ?bye\b|\bbye\b|\bthat's all\b|\bnothing else\b", re.IGNORECASE)
_FRAGMENT: Final = re.compile(r"\d")
"""Of a number, of which the rest was not heard."""
_SENTENCE: Final = re.compile(r"[.!?]")
_NUMBER: Final = r"W?\d{6,9}"
"""What may be an order number: a digit may be missing, and two may have been added."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the oracle asks the caller for, or is about to have read back."""

    place: str
    """The same whenever the same thing is asked for again, and only then."""
    slot: str
    words: str


class Oracle:
    """Fits `talkspurt.ports.LanguageModel`. `tools` are the names of the calls to make, in order."""

    def __init__(self, tools: Sequence[str], *, observe: Callable[[Asked], None] | None = None) -> None:
        """`observe` is told of everything that the caller is to answer."""
        # Whoever calls has to be known, whether or not the task says so: nearly all else needs it.
        self._tools = tuple(tools) if "verify_caller" in tools else ("verify_caller", *tools)
        self._observe = observe or (lambda _asked: None)

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """The next question, or the next calls."""
        desk = Desk(self._tools)
        for entry in answers_only(request.history):
            desk.take(entry)
        calls = desk.calls()
        asked = desk.asked(calls)
        if asked is not None:
            self._observe(asked)
        if not calls and asked is not None:
            yield TextDelta(asked.words)
            calls = [("end_call", {})] if desk.over else []
        for number, (name, arguments) in enumerate(calls):
            yield ToolCallPart(f"oracle-{len(request.history)}-{number}", name, json.dumps(arguments))

    async def aclose(self) -> None:
        """Nothing to release."""


def answers_only(history: Sequence[Entry]) -> list[Entry]:
    """The history without turns that answer nothing, because the caller spoke on before any question was heard.

    A pause splits "No, nothing else" in two. What follows it belongs to it, or, if a tool has answered since,
    to what is done. Keys are an answer by themselves.
    """
    kept: list[Entry] = []
    heard = True
    for entry in history:
        match entry:
            case AgentSaid(text):
                heard = heard or bool(_SENTENCE.search(text))
            case CallerSaid(text, "voice") if not heard:
                if kept and isinstance(before := kept[-1], CallerSaid):
                    kept[-1] = CallerSaid(f"{before.text} {text}", before.source)
                continue
            case CallerSaid():
                heard = False
            case _:
                pass
        if heard or not isinstance(entry, AgentSaid):
            kept.append(entry)
    return kept


@dataclass(slots=True)
class Desk:
    """Where the call stands, rebuilt from its history."""

    tools: tuple[str, ...]
    at: int = 0
    over: bool = False
    facts: dict[str, str] = field(default_factory=dict)
    """What the caller said of themselves."""
    tried: dict[str, str] | None = None
    """Facts that did not match, and of which another follows."""
    mismatched: bool = False
    """The facts have to be given once more."""
    said: list[str] = field(default_factory=list)
    """Orders whose numbers the caller gave, as the product found them, the last one last."""
    seen: list[str] = field(default_factory=list)
    """Orders that were looked up."""
    listed: list[str] | None = None
    """The account's orders, once they are known."""
    browsing: bool = False
    """The caller knows no number: the account's orders are looked through."""
    heard: str = ""
    """Words in which the product shall find an order number."""
    close: str | None = None
    """An order number that may have been meant."""
    lost: bool = False
    """The last order number was not found."""
    slots: dict[str, Any] = field(default_factory=dict)
    """What was said for the current call."""
    waits: str = ""
    """"yes" while a read-back waits for its answer, "outcome" once there is one."""
    agreed: bool | None = None
    refusals: int = 0
    refused: str = ""
    """The product's words when it refused the current call."""
    turns: int = 0
    tries: Counter[str] = field(default_factory=Counter)
    """How often the caller has answered, by the place of the question."""

    # ── what happened ─────────────────────────────────────────────────────────────

    def take(self, entry: Entry) -> None:
        """Go on by one entry of the history."""
        match entry:
            case CallerSaid(text):
                self.turns += 1
                self._hear(text)
            case ToolAnswered(_, name, content):
                self._answered(name, json.loads(content))
            case AgentSaid() | _:
                pass

    def _hear(self, text: str) -> None:
        if self.waits == "yes":
            self.waits, self.agreed = "outcome", yes_or_no(text)
            return
        self._settle()
        slot = self.slot()
        place = self._place(slot)
        self._read_facts(text, slot)
        if self.turns > 1:
            # Calls begin with what they are about, which answers no question yet.
            self.tries[place] += 1
            self._fill(slot, text)

    def _read_facts(self, text: str, slot: str) -> None:
        if self._tool != "verify_caller" or slot == "order close":
            return
        email, zip_code = spoken.email_address(text), spoken.zip_code(text)
        name = spoken.person_name(text) if self.turns > 1 and slot != "zip" else None
        if email:
            self.facts = {"email": email}
        elif zip_code and slot in ("zip", "other facts"):
            # Five digits are a ZIP code only where one may be meant: elsewhere they are half an order number.
            self.facts["zip_code"] = zip_code
        elif slot != "zip" and spoken.identifiers(text, _NUMBER):
            self.heard = text
        elif name:
            self.facts = dict(zip(("first_name", "last_name"), name, strict=True))

    def _fill(self, slot: str, text: str) -> None:
        given_up = self.refused and _LEFT.search(text)
        self.refused = ""
        match slot:
            case _ if given_up:
                self._next()
            case "order" | "order again" | "order close":
                self._fill_order(slot, text)
            case "item":
                self.slots.setdefault("items", []).append(text)
            case "wish":
                self.slots.setdefault("wishes", []).append(text)
            case "more":
                if yes_or_no(text) is False:
                    self.slots["complete"] = True
                else:
                    self.slots.setdefault("items", []).append(text)
            case "else":
                self.over = bool(_FAREWELL.search(text))
            case _:
                self.slots[slot] = text

    def _fill_order(self, slot: str, text: str) -> None:
        if slot == "order close" and yes_or_no(text) is True:
            self._found(self.close)
        elif spoken.identifiers(text, _NUMBER):
            self.heard = text
        elif _FRAGMENT.search(text):
            self.lost = True
        elif self.said and self._tool in ORDER_SLOTS:
            self._found(self.said[-1])
        elif slot == "order":
            self.browsing = True
        self.close = None

    def _found(self, order_id: str | None) -> None:
        if order_id is None:
            self.lost = True
            return
        self.lost = False
        if order_id in self.said:
            self.said.remove(order_id)
        self.said.append(order_id)
        self.slots["order"] = order_id
        if self._tool == "verify_caller":
            self.facts["order_id"] = order_id

    def _answered(self, name: str, content: Mapping[str, Any]) -> None:
        error = content.get("error")
        if name == "find_order":
            self.heard = ""
            self.close = content.get("order_id") if content.get("match") == "close" else None
            self._found(content.get("order_id") if content.get("match") == "exact" else None)
            # What is only near is asked about, and one in the opening is asked for when it is needed.
            self.lost = self.lost and self.close is None and self.turns > 1
        elif name == "verify_caller":
            self._verified(matched=error is None)
        elif name == "get_account_info" and error is None:
            self.listed = [order["order_id"] for order in content["orders"]]
        elif name == "check_order_status" and error is None:
            self.seen.append(content["order_id"])
        if name != self._tool or name == "verify_caller":
            return
        if content.get("status") == "confirmation_required":
            self.waits = "yes"
        elif error is not None and (name in ORDER_SLOTS or name in LOOK_UPS):
            self._reconsider(str(error.get("message", "")))
        else:
            self._next()

    def _verified(self, *, matched: bool) -> None:
        if self._tool != "verify_caller":
            return
        another = self.tools[self.at + 1 : self.at + 2] == ("verify_caller",)
        if matched or another:
            # A task with several verifications is one of a caller who errs first, and knows what was wrong.
            self.tried = None if matched else dict(self.facts)
            self._next()
        else:
            self.facts, self.mismatched = {}, True

    def _reconsider(self, message: str) -> None:
        """The product refused: ask again for what its words are about, or give the call up."""
        self.waits = ""
        self.refusals += 1
        if self.refusals >= MOST_REFUSALS:
            self._next()
            return
        self.refused = message
        if self._tool in LOOK_UPS:
            self._forget(LOOK_UPS[self._tool])
            return
        wanted = next((slot for slot, words in _WANTED.items() if words.search(message.lower())), None)
        needed = ORDER_SLOTS[self._tool]
        if wanted == "item":
            self._forget("items", "wishes", "complete")
        elif wanted in needed:
            self._forget(wanted)
        else:
            self._forget(*self.slots)

    def _settle(self) -> None:
        """What a read-back comes to when nothing was executed after the caller's answer."""
        if self.waits == "outcome":
            self.waits = ""
            if self.agreed is False:
                self._forget(*self.slots)

    def _next(self) -> None:
        self.at += 1
        self.slots, self.refusals, self.refused, self.waits = {}, 0, "", ""

    def _forget(self, *slots: str) -> None:
        for slot in slots:
            self.slots.pop(slot, None)

    # ── what to do ────────────────────────────────────────────────────────────────

    @property
    def _tool(self) -> str:
        return self.tools[self.at] if self.at < len(self.tools) else ""

    def slot(self) -> str:
        """What has to be asked next; "" when nothing is missing for the next call."""
        self._skip_seen()
        if self.close is not None:
            return "order close"
        match self._tool:
            case "":
                return "else"
            case "verify_caller":
                return self._identity()
            case "check_order_status":
                return "" if self._to_see() or self.browsing else self._order_question()
            case "get_product":
                return "" if "product" in self.slots else "product"
            case "get_item":
                return "" if "item number" in self.slots else "item number"
            case "calculate":
                return "" if "sum" in self.slots else "sum"
            case "escalate_to_human":
                return "" if "need" in self.slots else "need"
            case tool if tool in ORDER_SLOTS:
                return next(filter(None, (self._missing(slot) for slot in ORDER_SLOTS[tool])), "")
            case _:
                return ""

    def _identity(self) -> str:
        if self.lost:
            return "order again"
        if self.tried is not None and self.facts == self.tried:
            return "other facts"
        if "email" in self.facts:
            return ""
        if "last_name" in self.facts or "order_id" in self.facts:
            return "" if "zip_code" in self.facts else "zip"
        return "who again" if self.mismatched else "who"

    def _missing(self, slot: str) -> str:
        """The question that is still open for one part of an effect; "" for none."""
        if slot == "order":
            return "" if "order" in self.slots else self._order_question()
        if slot == "item":
            items, wishes = self.slots.get("items", []), self.slots.get("wishes", [])
            if len(wishes) < len(items):
                return "wish"
            return "item" if not items else "" if self.slots.get("complete") else "more"
        return "" if slot in self.slots else slot

    def _order_question(self) -> str:
        return "order again" if self.lost else "order"

    def _to_see(self) -> list[str]:
        """The orders to look up next: the one that the caller named, or those of the account."""
        named = [order_id for order_id in self.said if order_id not in self.seen]
        if named:
            return named[-1:]
        following = self.tools[self.at :]
        wanted = next((n for n, tool in enumerate(following) if tool != "check_order_status"), len(following))
        unseen = [order_id for order_id in self.listed or () if order_id not in self.seen]
        return unseen[: min(wanted, AT_ONCE)] if self.browsing else []

    def _skip_seen(self) -> None:
        """Looking again at what was seen tells nothing new."""
        while self._tool == "check_order_status" and self.listed is not None and set(self.listed) <= set(self.seen):
            self._next()

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """The tools to call now; none when there is something to ask."""
        self._settle()
        if self.heard:
            return [("find_order", {"heard": self.heard})]
        if self.over or self.refused or self.slot():
            return []
        match self._tool:
            case "verify_caller":
                return [("verify_caller", dict(self.facts))]
            case "check_order_status":
                orders = self._to_see()
                if not orders:
                    return [("get_account_info", {})]
                return [("check_order_status", {"order_id": order_id}) for order_id in orders]
            case tool:
                return [(tool, self._arguments(tool))]

    def _arguments(self, tool: str) -> dict[str, Any]:
        """The caller's words by the names of the tool's parameters."""
        said = self.slots
        match tool:
            case "get_product":
                return {"product": said["product"]}
            case "get_item":
                return {"item_id": said["item number"]}
            case "calculate":
                return {"expression": said["sum"]}
            case "escalate_to_human":
                return {"reason": said["need"]}
            case "cancel_order":
                return {"order_id": said["order"], "reason": said["reason"]}
            case "change_order_address":
                return {"order_id": said["order"], "address": said["address"]}
            case "change_account_address":
                return {"address": said["address"]}
            case "change_order_payment":
                return {"order_id": said["order"], "payment_method": said["payment"]}
            case "process_return":
                return {"order_id": said["order"], "items": [said["items"]], "payment_method": said["payment"]}
            case "change_order_items" | "exchange_items":
                return {
                    "order_id": said["order"],
                    "items": said["items"],
                    "new_items": said["wishes"],
                    "payment_method": said["payment"],
                }
            case _:
                return {}

    def asked(self, calls: Sequence[tuple[str, Any]]) -> Asked | None:
        """What the caller is to answer next, if `calls` are made now: a question, or the read-back of an effect."""
        if calls:
            name = calls[0][0]
            return Asked(f"{self.at}/read-back", "read-back", "") if name in ORDER_SLOTS else None
        if self.over:
            return Asked("over", "over", GOODBYE)
        slot = self.slot()
        place = self._place(slot)
        words = [self.refused, QUESTIONS[slot].format(close=" ".join(self.close or ""))]
        if self.tries[place] >= HEARD_IN_VAIN:
            words.append(KEYPAD.get(place.split("/")[1], ""))
        return Asked(place, slot, " ".join(filter(None, words)))

    def _place(self, slot: str) -> str:
        base = REPEATED.get(slot, slot)
        if base == "order" and self._tool == "verify_caller":
            base = "who"
        number = len(self.slots.get("wishes", [])) if base in ("item", "wish", "more") else 0
        return f"{self.at}/{base}/{number}"
