"""What tau2-bench's retail tools do to its database: the expected outcome of a task, by rules of its own.

Independent of `talkspurt.retail`: it works on tau2's `db.json` as it is, knows no caller, checks no authority, and
shares no code with the shop. Money is `Decimal`, so that sums are exact. Source of the rules: tau2-bench's
retail policy and the behaviour of its published tools.
"""

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

Record = dict[str, Any]

CANCEL_REASONS: Final = frozenset({"no longer needed", "ordered by mistake"})
CENT: Final = Decimal("0.01")


class RefusedError(Exception):
    """The tool would have answered with an error; nothing was changed."""


def load_database(path: Path) -> Record:
    """The database of `path`, with exact amounts."""
    database: Record = json.loads(path.read_bytes(), parse_float=Decimal)
    return database


class Reference:
    """A shop in tau2's shape. The database it was given is never changed: what is written is copied first."""

    def __init__(self, database: Mapping[str, Any]) -> None:
        self.products: dict[str, Record] = database["products"]
        self.users: dict[str, Record] = dict(database["users"])
        self.orders: dict[str, Record] = dict(database["orders"])
        self._variants = {
            item_id: variant for product in self.products.values() for item_id, variant in product["variants"].items()
        }
        self._tools: dict[str, Callable[..., Any]] = {
            "find_user_id_by_email": self._find_by_email,
            "find_user_id_by_name_zip": self._find_by_name_zip,
            "get_user_details": self._user,
            "get_order_details": self._order,
            "get_product_details": self._product,
            "get_item_details": self._item,
            "list_all_product_types": lambda: {p["name"]: p["product_id"] for p in self.products.values()},
            "calculate": calculate,
            "transfer_to_human_agents": lambda summary: "Transfer successful",
            "cancel_pending_order": self._cancel,
            "modify_pending_order_address": self._modify_order_address,
            "modify_pending_order_items": self._modify_items,
            "modify_pending_order_payment": self._modify_payment,
            "modify_user_address": self._modify_user_address,
            "return_delivered_order_items": self._return_items,
            "exchange_delivered_order_items": self._exchange_items,
        }

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Do what the tool `name` does. Raises `RefusedError`, and `KeyError` for a tool that there is not."""
        return self._tools[name](**arguments)

    # ── looking up ────────────────────────────────────────────────────────────────

    def _find_by_email(self, email: str) -> str:
        return self._find(lambda user: user["email"].lower() == email.lower())

    def _find_by_name_zip(self, first_name: str, last_name: str, zip: str) -> str:
        def fits(user: Record) -> bool:
            name = user["name"]
            said = (first_name.lower(), last_name.lower(), zip)
            return (name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"]) == said

        return self._find(fits)

    def _find(self, fits: Callable[[Record], bool]) -> str:
        for user_id, user in self.users.items():
            if fits(user):
                return user_id
        raise RefusedError("no such user")

    def _user(self, user_id: str) -> Record:
        return _get(self.users, user_id, "user")

    def _order(self, order_id: str) -> Record:
        return _get(self.orders, order_id, "order")

    def _product(self, product_id: str) -> Record:
        return _get(self.products, product_id, "product")

    def _item(self, item_id: str) -> Record:
        return _get(self._variants, item_id, "item")

    # ── doing ─────────────────────────────────────────────────────────────────────

    def _cancel(self, order_id: str, reason: str) -> None:
        order = self._writable_order(order_id, status="pending")
        if reason not in CANCEL_REASONS:
            raise RefusedError(f"'{reason}' is no reason to cancel")
        paid = list(order["payment_history"])
        for payment in paid:
            self._move(order, "refund", payment["payment_method_id"], payment["amount"])
        order |= {"status": "cancelled", "cancel_reason": reason}
        self.orders[order_id] = order

    def _modify_order_address(self, order_id: str, **address: str) -> None:
        order = copy.deepcopy(self._order(order_id))
        # An order whose items were changed is still on its way to be packed, so its address may change.
        if not order["status"].startswith("pending"):
            raise RefusedError(f"order {order_id} is {order['status']}")
        order["address"] = _address(**address)
        self.orders[order_id] = order

    def _modify_user_address(self, user_id: str, **address: str) -> None:
        self.users[user_id] = copy.deepcopy(self._user(user_id)) | {"address": _address(**address)}

    def _modify_items(
        self, order_id: str, item_ids: Sequence[str], new_item_ids: Sequence[str], payment_method_id: str
    ) -> None:
        order = self._writable_order(order_id, status="pending")
        difference = self._difference(order, item_ids, new_item_ids)
        self._check_covered(order, payment_method_id, difference)
        self._move(order, "payment" if difference > 0 else "refund", payment_method_id, abs(difference))
        for item_id, new_item_id in zip(item_ids, new_item_ids, strict=True):
            item = next(item for item in order["items"] if item["item_id"] == item_id)
            variant = self._variants[new_item_id]
            item |= {"item_id": new_item_id, "price": variant["price"], "options": variant["options"]}
        order["status"] = "pending (item modified)"
        self.orders[order_id] = order

    def _modify_payment(self, order_id: str, payment_method_id: str) -> None:
        order = copy.deepcopy(self._order(order_id))
        if not order["status"].startswith("pending"):
            raise RefusedError(f"order {order_id} is {order['status']}")
        history = order["payment_history"]
        if [payment["transaction_type"] for payment in history] != ["payment"]:
            raise RefusedError(f"order {order_id} was not paid in one payment")
        (paid,) = history
        if paid["payment_method_id"] == payment_method_id:
            raise RefusedError("that is how it was paid")
        self._check_covered(order, payment_method_id, paid["amount"])
        self._move(order, "payment", payment_method_id, paid["amount"])
        self._move(order, "refund", paid["payment_method_id"], paid["amount"])
        self.orders[order_id] = order

    def _return_items(self, order_id: str, item_ids: Sequence[str], payment_method_id: str) -> None:
        order = self._writable_order(order_id, status="delivered")
        method = self._method(order, payment_method_id)
        original = order["payment_history"][0]["payment_method_id"]
        if method["source"] != "gift_card" and payment_method_id != original:
            raise RefusedError("a refund goes to the original payment method, or to a gift card")
        _check_contained(order, item_ids)
        order |= {
            "status": "return requested",
            "return_items": sorted(item_ids),
            "return_payment_method_id": payment_method_id,
        }
        self.orders[order_id] = order

    def _exchange_items(
        self, order_id: str, item_ids: Sequence[str], new_item_ids: Sequence[str], payment_method_id: str
    ) -> None:
        order = self._writable_order(order_id, status="delivered")
        difference = self._difference(order, item_ids, new_item_ids)
        self._check_covered(order, payment_method_id, difference)
        # Nothing is paid and no item replaced until the old ones are back.
        order |= {
            "status": "exchange requested",
            "exchange_items": sorted(item_ids),
            "exchange_new_items": sorted(new_item_ids),
            "exchange_payment_method_id": payment_method_id,
            "exchange_price_difference": difference,
        }
        self.orders[order_id] = order

    # ── rules that several share ──────────────────────────────────────────────────

    def _writable_order(self, order_id: str, *, status: str) -> Record:
        order = copy.deepcopy(self._order(order_id))
        if order["status"] != status:
            raise RefusedError(f"order {order_id} is {order['status']}, not {status}")
        return order

    def _method(self, order: Record, payment_method_id: str) -> Record:
        return _get(self._user(order["user_id"])["payment_methods"], payment_method_id, "payment method")

    def _difference(self, order: Record, item_ids: Sequence[str], new_item_ids: Sequence[str]) -> Decimal:
        """What the new items cost more than the old ones."""
        _check_contained(order, item_ids)
        if len(item_ids) != len(new_item_ids):
            raise RefusedError("not one new item for each old one")
        difference = Decimal(0)
        for item_id, new_item_id in zip(item_ids, new_item_ids, strict=True):
            item = next(item for item in order["items"] if item["item_id"] == item_id)
            variant = _get(self._product(item["product_id"])["variants"], new_item_id, "variant of that product")
            if not variant["available"]:
                raise RefusedError(f"item {new_item_id} is not available")
            difference += Decimal(variant["price"]) - Decimal(item["price"])
        return difference.quantize(CENT)

    def _check_covered(self, order: Record, payment_method_id: str, amount: Decimal) -> None:
        method = self._method(order, payment_method_id)
        if method["source"] == "gift_card" and method["balance"] < amount:
            raise RefusedError("the gift card does not cover it")

    def _move(self, order: Record, kind: str, payment_method_id: str, amount: Decimal) -> None:
        """Write a payment or refund into the order's history; a gift card's balance moves at once."""
        order["payment_history"].append(
            {"transaction_type": kind, "amount": amount, "payment_method_id": payment_method_id}
        )
        if self._method(order, payment_method_id)["source"] != "gift_card":
            return
        user = copy.deepcopy(self._user(order["user_id"]))
        card = user["payment_methods"][payment_method_id]
        card["balance"] = Decimal(card["balance"]) + (amount if kind == "refund" else -amount)
        self.users[order["user_id"]] = user


def calculate(expression: str) -> Decimal:
    """The value of a sum like "12.5 + 3 - 0.4", in cents. Raises `RefusedError` for anything else than + and -."""
    parts = expression.replace("-", "+ -").split("+")
    try:
        return sum((Decimal(part.replace(" ", "")) for part in parts if part.strip()), Decimal(0)).quantize(CENT)
    except ArithmeticError:
        raise RefusedError(f"'{expression}' is no sum") from None


def _get(records: Mapping[str, Record], key: str, what: str) -> Record:
    if key not in records:
        raise RefusedError(f"no such {what}: {key}")
    return records[key]


def _address(*, address1: str, address2: str, city: str, state: str, country: str, zip: str) -> Record:
    return {"address1": address1, "address2": address2, "city": city, "state": state, "country": country, "zip": zip}


def _check_contained(order: Record, item_ids: Sequence[str]) -> None:
    missing = Counter(item_ids) - Counter(item["item_id"] for item in order["items"])
    if missing:
        raise RefusedError(f"order {order['order_id']} does not contain {', '.join(missing)}")
