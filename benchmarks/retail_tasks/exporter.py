"""The shop's database back in tau2's shape, so that it can be compared with what a task expects.

Reads the tables and nothing of the rules. Parcels stay out: no tool changes them.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.retail.schema import (
    Address,
    Exchange,
    ExchangeItem,
    Order,
    OrderItem,
    Payment,
    PaymentMethod,
    Product,
    Return,
    ReturnItem,
    Row,
    Status,
    User,
    Variant,
)
from talkspurt.retail.shop import Shop

Record = dict[str, Any]

STATUSES: Final = {Status.ITEMS_CHANGED: "pending (item modified)"}
"""What tau2 calls a status that has another name here."""


async def export_shop(shop: Shop) -> Record:
    """Products, users and orders of an opened shop, in the shape of tau2's `db.json`, with exact amounts."""
    async with shop.reading() as session:
        addresses = {row.id: _address(row) for row in await _rows(session, Address)}
        return {
            "products": await _products(session),
            "users": await _users(session, addresses),
            "orders": await _orders(session, addresses),
        }


async def _products(session: AsyncSession) -> Record:
    products: Record = {
        row.id: {"name": row.name, "product_id": row.id, "variants": {}} for row in await _rows(session, Product)
    }
    for row in await _rows(session, Variant):
        products[row.product_id]["variants"][row.id] = {
            "item_id": row.id,
            "options": row.options,
            "available": row.available,
            "price": _amount(row.price_cents),
        }
    return products


async def _users(session: AsyncSession, addresses: Record) -> Record:
    users: Record = {
        row.id: {
            "user_id": row.id,
            "name": {"first_name": row.first_name, "last_name": row.last_name},
            "address": addresses[row.address_id],
            "email": row.email,
            "payment_methods": {},
            "orders": [],
        }
        for row in await _rows(session, User)
    }
    for row in await _rows(session, PaymentMethod):
        method = {"source": row.kind, "id": row.id}
        if row.kind == "credit_card":
            method |= {"brand": row.brand, "last_four": row.last_four}
        if row.kind == "gift_card":
            method |= {"balance": _amount(row.balance_cents)}
        users[row.user_id]["payment_methods"][row.id] = method
    for row in sorted(await _rows(session, Order), key=lambda row: row.sequence):
        users[row.user_id]["orders"].append(f"#{row.id}")
    return users


async def _orders(session: AsyncSession, addresses: Record) -> Record:
    items, history = await _items(session), await _history(session)
    orders: Record = {}
    for row in await _rows(session, Order):
        orders[row.id] = {
            "order_id": f"#{row.id}",
            "user_id": row.user_id,
            "address": addresses[row.address_id],
            "items": items[row.id],
            "status": STATUSES.get(row.status, str(row.status)),
            "payment_history": history[row.id],
        }
        if row.cancel_reason is not None:
            orders[row.id]["cancel_reason"] = row.cancel_reason
    variants = {row.id: row.variant_id for row in await _rows(session, OrderItem)}
    returned, old, new = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in await _rows(session, ReturnItem):
        returned[row.order_id].append(variants[row.order_item_id])
    for row in await _rows(session, ExchangeItem):
        old[row.order_id].append(variants[row.order_item_id])
        new[row.order_id].append(row.new_variant_id)
    for row in await _rows(session, Return):
        orders[row.order_id] |= {
            "return_items": sorted(returned[row.order_id]),
            "return_payment_method_id": row.method_id,
        }
    for row in await _rows(session, Exchange):
        orders[row.order_id] |= {
            "exchange_items": sorted(old[row.order_id]),
            "exchange_new_items": sorted(new[row.order_id]),
            "exchange_payment_method_id": row.method_id,
            "exchange_price_difference": _amount(row.difference_cents),
        }
    return {f"#{order_id}": order for order_id, order in orders.items()}


async def _items(session: AsyncSession) -> defaultdict[str, list[Record]]:
    items: defaultdict[str, list[Record]] = defaultdict(list)
    for row in sorted(await _rows(session, OrderItem), key=lambda row: row.position):
        items[row.order_id].append(
            {
                "name": row.name,
                "product_id": row.product_id,
                "item_id": row.variant_id,
                "price": _amount(row.price_cents),
                "options": row.options,
            }
        )
    return items


async def _history(session: AsyncSession) -> defaultdict[str, list[Record]]:
    history: defaultdict[str, list[Record]] = defaultdict(list)
    for row in sorted(await _rows(session, Payment), key=lambda row: row.position):
        history[row.order_id].append(
            {
                "transaction_type": str(row.kind),
                "amount": _amount(row.amount_cents),
                "payment_method_id": row.method_id,
            }
        )
    return history


async def _rows(session: AsyncSession, table: type[Row]) -> Sequence[Any]:
    """All rows, as plain columns: mapped objects would load what belongs to them, and take seconds."""
    return (await session.execute(select(table.__table__))).all()


def _address(row: Any) -> Record:
    return {
        "address1": row.line1,
        "address2": row.line2,
        "city": row.city,
        "state": row.state,
        "country": row.country,
        "zip": row.zip_code,
    }


def _amount(cents: int | None) -> Decimal:
    return Decimal(cents or 0) / 100
