"""Whether a call did what its task expects: the shop afterwards, and what was looked up on the way."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from benchmarks.retail_tasks.reference import Reference
from benchmarks.retail_tasks.tasks import TOOLS, Action, Task

from talkspurt.core.history import Entry, ToolAnswered, ToolCalled
from talkspurt.retail import facts

_STREETS: Final = {"st": "street", "ave": "avenue", "dr": "drive", "rd": "road", "ln": "lane", "blvd": "boulevard"}
"""tau2's addresses abbreviate these where the person who wrote the task did; a voice never does."""
_AMOUNT: Final = re.compile(r"-?\$?-?[\d,]+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered."""

    tool: str
    content: Mapping[str, Any]

    @property
    def refusal(self) -> str | None:
        """Why nothing was done; None when it was."""
        error = self.content.get("error")
        return None if error is None else str(error.get("message", error))


def answers(history: Iterable[Entry]) -> list[Answer]:
    """What the tools of a call answered, in order."""
    return [Answer(entry.name, json.loads(entry.content)) for entry in history if isinstance(entry, ToolAnswered)]


def differences(expected: Reference, shop: Mapping[str, Any]) -> list[str]:
    """Where the shop is not as expected, in words; empty when it is."""
    found: list[str] = []
    for kind, records in (("user", expected.users), ("order", expected.orders), ("product", expected.products)):
        actual: Mapping[str, Any] = shop[f"{kind}s"]
        found += [f"{kind} {key} is too much" for key in actual.keys() - records.keys()]
        for key, record in records.items():
            if key not in actual:
                found.append(f"{kind} {key} is missing")
            else:
                found += [f"{kind} {key}: {difference}" for difference in _differing(_comparable(record), actual[key])]
    return found


def missing_calls(task: Task, history: Sequence[Entry]) -> list[str]:
    """The expected look-ups that were not made with the right arguments, in words.

    Effects are judged by the shop alone.
    """
    made, account = answers(history), _account(history, task.start)
    return [
        f"{action.name}({', '.join(map(str, action.arguments.values()))}) was not made"
        for action in task.actions
        if not _was_made(action, made, account)
    ]


def _was_made(action: Action, made: Sequence[Answer], account: str | None) -> bool:
    tool = TOOLS[action.name]
    mine = [answer for answer in made if answer.tool == tool]
    done = [answer.content for answer in mine if answer.refusal is None]
    match tool:
        case "verify_caller" if not action.possible:
            return any(answer.refusal is not None for answer in mine)
        case "verify_caller":
            return bool(done) and account == action.result
        case "get_account_info":
            return bool(done) and account == action.arguments["user_id"]
        case "check_order_status":
            wanted = facts.order_id(action.arguments["order_id"])
            return not action.possible or any(content["order_id"] == wanted for content in done)
        case "get_product":
            return not action.possible or _looked_up(action.arguments["product_id"], "product_id", done)
        case "get_item":
            return _looked_up(action.arguments["item_id"], "item_id", done)
        case "calculate":
            return any(abs(action.result) in _amounts(content) for content in done)
        case "list_products" | "escalate_to_human":
            return bool(done)
        case _:
            return True


def _looked_up(wanted: str, key: str, done: Iterable[Mapping[str, Any]]) -> bool:
    return any(content.get(key) == wanted for content in done)


def _amounts(content: Mapping[str, Any]) -> set[Decimal]:
    """All amounts in a result, without their signs: to pay and to get back are words."""
    amounts = set()
    for text in _AMOUNT.findall(json.dumps(content)):
        try:
            amounts.add(abs(Decimal(re.sub(r"[$,]", "", text))))
        except InvalidOperation:
            continue
    return amounts


def _account(history: Sequence[Entry], shop: Reference) -> str | None:
    """Whose account the product verified last, by the facts that it accepted and the shop as it was then."""
    accepted = {answer.tool_call for answer in history if isinstance(answer, ToolAnswered) and _is_verified(answer)}
    account = None
    for entry in history:
        if isinstance(entry, ToolCalled) and entry.tool_call in accepted:
            facts_given = json.loads(entry.arguments)
            if facts_given.get("order_id"):
                account = str(shop.orders[f"#{facts.order_id(facts_given['order_id'])}"]["user_id"])
            elif facts_given.get("email"):
                account = str(shop.call("find_user_id_by_email", {"email": facts_given["email"]}))
            else:
                name_zip = {
                    "first_name": facts_given["first_name"],
                    "last_name": facts_given["last_name"],
                    "zip": facts_given["zip_code"],
                }
                account = str(shop.call("find_user_id_by_name_zip", name_zip))
    return account


def _is_verified(answer: ToolAnswered) -> bool:
    return answer.name == "verify_caller" and "error" not in json.loads(answer.content)


# ── comparing ─────────────────────────────────────────────────────────────────────


def _comparable(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in record.items() if key != "fulfillments"}


def _differing(expected: Any, actual: Any, where: str = "") -> Iterator[str]:
    if expected == actual:
        return
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key in sorted(expected.keys() | actual.keys()):
            yield from _differing(expected.get(key), actual.get(key), f"{where}.{key}".strip("."))
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from _differing(one, other, f"{where}[{number}]")
    elif not where.endswith(("address1", "address2")) or _street(expected) != _street(actual):
        yield f"{where} is {actual!r}, not {expected!r}"


def _street(line: Any) -> str:
    words = str(line or "").lower().replace(".", "").split()
    return " ".join(_STREETS.get(word, word) for word in words)
