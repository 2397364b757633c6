"""The benchmark's own idea of tau2's rules, on a shop small enough to check by hand."""

import copy
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

# Benchmarks are run from the repository and are not installed.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.retail_tasks.reference import Reference, RefusedError, calculate

HOME = {"address1": "1 Elm Street", "address2": "", "city": "Denver", "state": "CO", "country": "USA", "zip": "80280"}
WORK = HOME | {"address1": "2 Oak Street", "zip": "80281"}


def item(item_id: str, price: str, product: str = "lamps") -> dict[str, Any]:
    return {"name": product, "product_id": product, "item_id": item_id, "price": Decimal(price), "options": {}}


def order(status: str, *items: dict[str, Any], method: str = "card") -> dict[str, Any]:
    total = sum((each["price"] for each in items), Decimal(0))
    paid = {"transaction_type": "payment", "amount": total, "payment_method_id": method}
    return {
        "order_id": "#W1",
        "user_id": "ann",
        "address": HOME,
        "items": list(items),
        "status": status,
        "fulfillments": [],
        "payment_history": [paid],
    }


def variant(item_id: str, price: str, *, available: bool = True) -> dict[str, Any]:
    return {"item_id": item_id, "options": {"color": item_id}, "available": available, "price": Decimal(price)}


def database(**orders: dict[str, Any]) -> dict[str, Any]:
    lamps = [variant("red", "10"), variant("blue", "12.50"), variant("sold", "11", available=False)]
    return {
        "products": {
            "lamps": {"name": "Lamp", "product_id": "lamps", "variants": {each["item_id"]: each for each in lamps}},
            "hats": {"name": "Hat", "product_id": "hats", "variants": {"hat": variant("hat", "5")}},
        },
        "users": {
            "ann": {
                "user_id": "ann",
                "name": {"first_name": "Ann", "last_name": "Lee"},
                "address": HOME,
                "email": "ann@example.com",
                "payment_methods": {
                    "card": {"source": "credit_card", "id": "card"},
                    "paypal": {"source": "paypal", "id": "paypal"},
                    "gift": {"source": "gift_card", "id": "gift", "balance": Decimal(2)},
                },
                "orders": list(orders),
            }
        },
        "orders": orders,
    }


def shop(status: str = "pending", *, method: str = "card") -> Reference:
    return Reference(database(W1=order(status, item("red", "10"), item("hat", "5", "hats"), method=method)))


def balance(reference: Reference) -> Decimal:
    return Decimal(reference.users["ann"]["payment_methods"]["gift"]["balance"])


def history(reference: Reference) -> list[tuple[Any, ...]]:
    return [tuple(entry.values()) for entry in reference.orders["W1"]["payment_history"]]


def test_users_are_found_by_facts_that_all_fit() -> None:
    reference = shop()
    assert reference.call("find_user_id_by_email", {"email": "Ann@example.com"}) == "ann"
    facts = {"first_name": "ann", "last_name": "LEE", "zip": "80280"}
    assert reference.call("find_user_id_by_name_zip", facts) == "ann"
    for wrong in ({"zip": "80281"}, {"first_name": "Bea"}, {"last_name": "Li"}):
        with pytest.raises(RefusedError):
            reference.call("find_user_id_by_name_zip", facts | wrong)


def test_a_cancelled_order_is_paid_back_to_where_it_came_from() -> None:
    reference = shop(method="gift")
    reference.call("cancel_pending_order", {"order_id": "W1", "reason": "no longer needed"})
    assert reference.orders["W1"]["status"] == "cancelled"
    assert reference.orders["W1"]["cancel_reason"] == "no longer needed"
    assert history(reference) == [("payment", Decimal(15), "gift"), ("refund", Decimal(15), "gift")]
    assert balance(reference) == 17


def test_a_refund_to_a_card_moves_no_gift_card() -> None:
    reference = shop()
    reference.call("cancel_pending_order", {"order_id": "W1", "reason": "ordered by mistake"})
    assert balance(reference) == 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [("delivered", "no longer needed"), ("pending (item modified)", "no longer needed"), ("pending", "too dear")],
)
def test_what_cannot_be_cancelled_is_refused(status: str, reason: str) -> None:
    reference = shop(status)
    with pytest.raises(RefusedError):
        reference.call("cancel_pending_order", {"order_id": "W1", "reason": reason})
    assert reference.orders["W1"]["status"] == status


def modify(new: str = "blue", old: str = "red", method: str = "card") -> dict[str, Any]:
    return {"order_id": "W1", "item_ids": [old], "new_item_ids": [new], "payment_method_id": method}


def test_a_changed_item_takes_the_new_ones_price_and_options() -> None:
    reference = shop()
    reference.call("modify_pending_order_items", modify())
    changed = reference.orders["W1"]
    assert changed["status"] == "pending (item modified)"
    assert changed["items"][0] == {**item("blue", "12.50"), "options": {"color": "blue"}}
    assert changed["items"][1] == item("hat", "5", "hats")
    assert history(reference)[-1] == ("payment", Decimal("2.50"), "card")


def test_a_cheaper_item_is_paid_back_and_fills_a_gift_card() -> None:
    reference = Reference(database(W1=order("pending", item("blue", "12.50"))))
    reference.call("modify_pending_order_items", modify("red", "blue", "gift"))
    assert history(reference)[-1] == ("refund", Decimal("2.50"), "gift")
    assert balance(reference) == Decimal("4.50")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"new_item_ids": ["sold"]}, id="out of stock"),
        pytest.param({"new_item_ids": ["hat"]}, id="other product"),
        pytest.param({"new_item_ids": ["nothing"]}, id="no such variant"),
        pytest.param({"item_ids": ["blue"]}, id="not in the order"),
        pytest.param({"payment_method_id": "gift"}, id="gift card too low"),
        pytest.param({"payment_method_id": "another"}, id="not theirs"),
        pytest.param({"new_item_ids": []}, id="uneven"),
        pytest.param({"item_ids": ["red", "red"], "new_item_ids": ["blue", "blue"]}, id="twice"),
        pytest.param({"order_id": "W2"}, id="no such order"),
    ],
)
def test_a_change_of_items_that_is_not_possible_changes_nothing(changed: dict[str, Any]) -> None:
    for name, status in (("modify_pending_order_items", "pending"), ("exchange_delivered_order_items", "delivered")):
        reference = shop(status)
        before = copy.deepcopy((reference.orders, reference.users))
        with pytest.raises(RefusedError):
            reference.call(name, modify() | changed)
        assert (reference.orders, reference.users) == before


def test_items_can_be_changed_once() -> None:
    reference = shop()
    reference.call("modify_pending_order_items", modify())
    with pytest.raises(RefusedError):
        reference.call("modify_pending_order_items", modify("red", "blue"))


def test_an_exchange_is_noted_and_nothing_paid_yet() -> None:
    reference = shop("delivered")
    reference.call("exchange_delivered_order_items", modify(method="paypal"))
    exchanged = reference.orders["W1"]
    assert exchanged["status"] == "exchange requested"
    assert exchanged["exchange_items"] == ["red"]
    assert exchanged["exchange_new_items"] == ["blue"]
    assert exchanged["exchange_payment_method_id"] == "paypal"
    assert exchanged["exchange_price_difference"] == Decimal("2.50")
    assert exchanged["items"][0] == item("red", "10")
    assert len(history(reference)) == 1


def test_a_return_is_refunded_to_the_original_method_or_a_gift_card() -> None:
    for method in ("card", "gift"):
        reference = shop("delivered")
        returned = {"order_id": "W1", "item_ids": ["red", "hat"], "payment_method_id": method}
        reference.call("return_delivered_order_items", returned)
        assert reference.orders["W1"]["status"] == "return requested"
        assert reference.orders["W1"]["return_items"] == ["hat", "red"]
        assert reference.orders["W1"]["return_payment_method_id"] == method
        assert balance(reference) == 2


@pytest.mark.parametrize(
    ("status", "items", "method"),
    [("pending", ["red"], "card"), ("delivered", ["blue"], "card"), ("delivered", ["red"], "paypal")],
)
def test_other_returns_are_refused(status: str, items: list[str], method: str) -> None:
    reference = shop(status)
    with pytest.raises(RefusedError):
        reference.call(
            "return_delivered_order_items", {"order_id": "W1", "item_ids": items, "payment_method_id": method}
        )
    assert reference.orders["W1"]["status"] == status


def test_another_payment_method_pays_and_the_first_is_paid_back() -> None:
    reference = Reference(database(W1=order("pending", item("red", "1"))))
    reference.call("modify_pending_order_payment", {"order_id": "W1", "payment_method_id": "gift"})
    assert history(reference)[1:] == [("payment", Decimal(1), "gift"), ("refund", Decimal(1), "card")]
    assert balance(reference) == 1
    assert reference.orders["W1"]["status"] == "pending"


@pytest.mark.parametrize(("status", "method"), [("pending", "card"), ("pending", "gift"), ("delivered", "paypal")])
def test_a_payment_method_that_is_no_other_or_too_low_is_refused(status: str, method: str) -> None:
    reference = shop(status)
    with pytest.raises(RefusedError):
        reference.call("modify_pending_order_payment", {"order_id": "W1", "payment_method_id": method})
    assert len(history(reference)) == 1


def test_addresses_of_pending_orders_and_users_can_be_changed() -> None:
    reference = shop("pending (item modified)")
    reference.call("modify_pending_order_address", {"order_id": "W1", **WORK})
    assert reference.orders["W1"]["address"] == WORK
    assert reference.users["ann"]["address"] == HOME
    reference.call("modify_user_address", {"user_id": "ann", **WORK})
    assert reference.users["ann"]["address"] == WORK
    with pytest.raises(RefusedError):
        shop("delivered").call("modify_pending_order_address", {"order_id": "W1", **WORK})


def test_the_database_that_it_was_given_stays_as_it_was() -> None:
    given = database(W1=order("pending", item("blue", "12.50")))
    before = copy.deepcopy(given)
    reference = Reference(given)
    reference.call("modify_pending_order_items", modify("red", "blue", "gift"))
    reference.call("modify_user_address", {"user_id": "ann", **WORK})
    assert given == before


def test_sums_are_exact() -> None:
    assert calculate("0.1 + 0.2 - 1.3") == Decimal("-1.00")
    with pytest.raises(RefusedError):
        calculate("2 * 3")
