"""A call succeeds when the shop is as expected to the cent and everything was looked up; whatever is amiss is named."""

import copy
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

# Benchmarks are run from the repository and are not installed.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.retail_tasks.judge import differences, missing_calls
from benchmarks.retail_tasks.reference import Reference
from benchmarks.retail_tasks.tasks import Action, Task

from talkspurt.core.history import Entry, ToolAnswered, ToolCalled

HOME = {"address1": "1 Elm St", "address2": "", "city": "Denver", "state": "CO", "country": "USA", "zip": "80280"}
DATABASE: dict[str, Any] = {
    "products": {"9": {"name": "Lamp", "product_id": "9", "variants": {}}},
    "users": {
        "ann": {
            "user_id": "ann",
            "name": {"first_name": "Ann", "last_name": "Lee"},
            "address": dict(HOME),
            "email": "ann@example.com",
            "payment_methods": {"gift": {"source": "gift_card", "id": "gift", "balance": Decimal(2)}},
            "orders": ["#W2378156"],
        },
        "bea": {
            "user_id": "bea",
            "name": {"first_name": "Bea", "last_name": "Lee"},
            "address": dict(HOME),
            "email": "bea@example.com",
            "payment_methods": {},
            "orders": [],
        },
    },
    "orders": {
        "#W2378156": {
            "order_id": "#W2378156",
            "user_id": "ann",
            "address": dict(HOME),
            "items": [{"item_id": "1", "price": Decimal("10.50")}],
            "status": "pending",
            "fulfillments": [{"tracking_id": ["7"]}],
            "payment_history": [],
        }
    },
}


def exported() -> dict[str, Any]:
    shop = copy.deepcopy(DATABASE)
    del shop["orders"]["#W2378156"]["fulfillments"]
    return shop


def test_an_untouched_shop_does_not_differ() -> None:
    assert differences(Reference(DATABASE), exported()) == []


def test_a_street_may_be_written_out() -> None:
    shop = exported()
    shop["users"]["ann"]["address"] = HOME | {"address1": "1 Elm Street"}
    assert differences(Reference(DATABASE), shop) == []


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("users", "ann", "address", "address1"), "2 Elm St", "user ann: address.address1"),
        (("users", "ann", "payment_methods", "gift", "balance"), Decimal("2.01"), "gift.balance"),
        (("users", "ann", "email"), "bea@example.com", "user ann: email"),
        (("orders", "#W2378156", "status"), "cancelled", "order #W2378156: status"),
        (("orders", "#W2378156", "items", 0, "price"), Decimal("10.51"), "items[0].price"),
        (("orders", "#W2378156", "items"), [], "items is []"),
        (("orders", "#W2378156", "cancel_reason"), "no longer needed", "cancel_reason"),
        (("orders", "#W2378157"), {}, "order #W2378157 is too much"),
        (("products", "9", "name"), "Hat", "product 9: name"),
    ],
)
def test_whatever_differs_is_named(path: tuple[Any, ...], value: Any, named: str) -> None:
    shop = exported()
    *way, last = path
    at: Any = shop
    for step in way:
        at = at[step]
    at[last] = value
    (found,) = differences(Reference(DATABASE), shop)
    assert named in found


def test_what_is_missing_is_named() -> None:
    shop = exported()
    del shop["users"]["bea"]
    assert differences(Reference(DATABASE), shop) == ["user bea is missing"]


# ── look-ups ──────────────────────────────────────────────────────────────────────

REFUSED = {"error": {"kind": "refused", "message": "No."}}


def called(name: str, content: dict[str, Any], **arguments: str) -> list[Entry]:
    return [ToolCalled(name, name, json.dumps(arguments)), ToolAnswered(name, name, json.dumps(content))]


VERIFIED = called("verify_caller", {"verified": True}, email="ann@example.com")


def task(name: str, arguments: dict[str, Any], *, possible: bool = True, result: Any = None) -> Task:
    shop = Reference(DATABASE)
    return Task("1", (Action(name, arguments, possible=possible, result=result),), shop, shop)


@pytest.mark.parametrize(
    ("expected", "made", "missing"),
    [
        (task("find_user_id_by_email", {"email": "ann@example.com"}, result="ann"), VERIFIED, False),
        (task("find_user_id_by_email", {"email": "bea@example.com"}, result="bea"), VERIFIED, True),
        (
            task("find_user_id_by_email", {"email": "ann@example.com"}, result="ann"),
            called("verify_caller", {"verified": True}, order_id="W2378156", zip_code="80280"),
            False,
        ),
        (
            task("find_user_id_by_email", {"email": "ann@example.com"}, result="ann"),
            called("verify_caller", {"verified": True}, first_name="Bea", last_name="Lee", zip_code="80280"),
            True,
        ),
        (
            task("find_user_id_by_email", {"email": "ann@example.com"}, result="ann"),
            called("verify_caller", REFUSED, email="ann@example.com"),
            True,
        ),
        (task("find_user_id_by_email", {"email": "x@example.com"}, possible=False), VERIFIED, True),
        (
            task("find_user_id_by_email", {"email": "x@example.com"}, possible=False),
            called("verify_caller", REFUSED, email="x@example.com"),
            False,
        ),
        (
            task("get_user_details", {"user_id": "ann"}),
            [*VERIFIED, *called("get_account_info", {"orders": []})],
            False,
        ),
        (task("get_user_details", {"user_id": "ann"}), called("get_account_info", {"orders": []}), True),
        (task("get_user_details", {"user_id": "ann"}), VERIFIED, True),
        (
            task("get_order_details", {"order_id": "#W2378156"}),
            called("check_order_status", {"order_id": "W2378156"}),
            False,
        ),
        (
            task("get_order_details", {"order_id": "#W2378156"}),
            called("check_order_status", {"order_id": "W2378157"}),
            True,
        ),
        (task("get_order_details", {"order_id": "#W2378156"}), called("check_order_status", REFUSED), True),
        (task("get_order_details", {"order_id": "#2378150"}, possible=False), [], False),
        (task("get_product_details", {"product_id": "9"}), called("get_product", {"product_id": "9"}), False),
        (task("get_product_details", {"product_id": "9"}), called("get_product", {"product_id": "8"}), True),
        (task("get_item_details", {"item_id": "1"}), called("get_item", {"item_id": "1"}), False),
        (task("get_item_details", {"item_id": "1"}), called("get_item", {"item_id": "2"}), True),
        (
            task("calculate", {"expression": "1 - 3.5"}, result=Decimal("-2.50")),
            called("calculate", {"result": "2.50"}),
            False,
        ),
        (
            task("calculate", {"expression": "1 - 3.5"}, result=Decimal("-2.50")),
            called("calculate", {"result": "2.51"}),
            True,
        ),
        (task("transfer_to_human_agents", {"summary": "Help."}), [], True),
        (
            task("transfer_to_human_agents", {"summary": "Help."}),
            called("escalate_to_human", {"callback": True}),
            False,
        ),
    ],
)
def test_a_look_up_counts_with_the_right_arguments_only(expected: Task, made: list[Entry], missing: bool) -> None:
    assert bool(missing_calls(expected, made)) is missing
