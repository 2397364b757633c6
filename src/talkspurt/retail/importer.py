"""Brings a shop from a tau2-bench retail `db.json` into the database, as often as one likes.

Run it with `python -m talkspurt.retail.importer path/to/db.json [database URL]`. What is there
already is left as it is, so that importing again never undoes what happened since.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ValidationError
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.errors import ConfigurationError, TalkspurtError
from talkspurt.retail import facts
from talkspurt.retail.schema import (
    Address,
    Exchange,
    ExchangeItem,
    Order,
    OrderItem,
    Parcel,
    Payment,
    PaymentKind,
    PaymentMethod,
    Product,
    Return,
    ReturnItem,
    Row,
    Status,
    User,
    Variant,
    add_rows,
)
from talkspurt.retail.shop import DATABASE_VARIABLE, DEFAULT_DATABASE, Shop

_STATUSES: Final = {"pending (item modified)": Status.ITEMS_CHANGED, "pending (items modified)": Status.ITEMS_CHANGED}
"""What tau2 calls a status that has another name here."""


class _Variant(BaseModel):
    item_id: str
    options: dict[str, str]
    available: bool
    price: Decimal


class _Product(BaseModel):
    name: str
    product_id: str
    variants: dict[str, _Variant]


class _Name(BaseModel):
    first_name: str
    last_name: str


class _Address(BaseModel):
    address1: str
    address2: str
    city: str
    country: str
    state: str
    zip: str


class _PaymentMethod(BaseModel):
    source: str
    id: str
    brand: str | None = None
    last_four: str | None = None
    balance: Decimal | None = None


class _User(BaseModel):
    user_id: str
    name: _Name
    address: _Address
    email: str
    payment_methods: dict[str, _PaymentMethod]
    orders: list[str]


class _Item(BaseModel):
    name: str
    product_id: str
    item_id: str
    price: Decimal
    options: dict[str, str]


class _Fulfillment(BaseModel):
    tracking_id: list[str]
    item_ids: list[str] = []


class _Transaction(BaseModel):
    transaction_type: PaymentKind
    amount: Decimal
    payment_method_id: str


class _Order(BaseModel):
    order_id: str
    user_id: str
    address: _Address
    items: list[_Item]
    status: Annotated[Status, BeforeValidator(lambda status: _STATUSES.get(status, status))]
    fulfillments: list[_Fulfillment]
    payment_history: list[_Transaction]
    cancel_reason: str | None = None
    return_items: list[str] | None = None
    return_payment_method_id: str | None = None
    exchange_items: list[str] | None = None
    exchange_new_items: list[str] | None = None
    exchange_payment_method_id: str | None = None
    exchange_price_difference: Decimal | None = None


class _Data(BaseModel):
    products: dict[str, _Product]
    users: dict[str, _User]
    orders: dict[str, _Order]


def read_shop(path: Path) -> list[Row]:
    """All rows of the file. Raises `ConfigurationError` when it cannot be read or is of another kind."""
    try:
        data = _Data.model_validate_json(path.read_bytes())
        return list(_rows(data))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(f"{path} is no tau2-bench retail database: {where}: {first['msg']}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


async def import_shop(session: AsyncSession, rows: Iterable[Row]) -> int:
    """Add the rows that are not there yet; returns how many were added."""
    known: dict[type[Row], set[Any]] = {}
    missing = []
    for row in rows:
        kind = type(row)
        (key,) = inspect(kind).primary_key
        if kind not in known:
            known[kind] = set((await session.scalars(select(key))).all())
        identity = getattr(row, key.name)
        if identity not in known[kind]:
            known[kind].add(identity)
            missing.append(row)
    await add_rows(session, missing)
    return len(missing)


def _rows(data: _Data) -> Iterator[Row]:
    for product in data.products.values():
        yield Product(id=product.product_id, name=product.name)
        for variant in product.variants.values():
            yield Variant(
                id=variant.item_id,
                product_id=product.product_id,
                options=variant.options,
                available=variant.available,
                price_cents=_cents(variant.price),
            )
    for user in data.users.values():
        yield from _user_rows(user)
    sequences = _sequences(data)
    for order in data.orders.values():
        yield from _order_rows(order, sequences[order.order_id])


def _user_rows(user: _User) -> Iterator[Row]:
    key = facts.name_key(user.name.first_name, user.name.last_name)
    if key is None:
        raise ValueError(f"user {user.user_id} has no name")
    yield _address(f"home/{user.user_id}", user.address)
    yield User(
        id=user.user_id,
        first_name=user.name.first_name,
        last_name=user.name.last_name,
        name_key=key,
        email=user.email.lower(),
        address_id=f"home/{user.user_id}",
    )
    for method in user.payment_methods.values():
        yield PaymentMethod(
            id=method.id,
            user_id=user.user_id,
            kind=method.source,
            brand=method.brand,
            last_four=method.last_four,
            balance_cents=None if method.balance is None else _cents(method.balance),
        )


def _order_rows(order: _Order, sequence: int) -> Iterator[Row]:
    order_id = facts.order_id(order.order_id)
    if order_id is None:
        raise ValueError(f"'{order.order_id}' is no order id: W and seven digits")
    yield _address(f"order/{order_id}", order.address)
    yield Order(
        id=order_id,
        sequence=sequence,
        user_id=order.user_id,
        address_id=f"order/{order_id}",
        status=order.status,
        expected_on=None,
        cancel_reason=order.cancel_reason,
        note=None,
    )
    items = [
        OrderItem(
            id=f"{order_id}/{position}",
            order_id=order_id,
            position=position,
            variant_id=item.item_id,
            product_id=item.product_id,
            name=item.name,
            options=item.options,
            price_cents=_cents(item.price),
        )
        for position, item in enumerate(order.items)
    ]
    yield from items
    parcels = [(number, parcel.item_ids) for parcel in order.fulfillments for number in parcel.tracking_id]
    for position, (number, contents) in enumerate(parcels):
        yield Parcel(id=f"{order_id}/{position}", order_id=order_id, tracking=number, variant_ids=contents)
    for position, transaction in enumerate(order.payment_history):
        yield Payment(
            id=f"{order_id}/{position}",
            order_id=order_id,
            position=position,
            kind=transaction.transaction_type,
            method_id=transaction.payment_method_id,
            amount_cents=_cents(transaction.amount),
            made_at=None,
        )
    yield from _return_rows(order, order_id, items)
    yield from _exchange_rows(order, order_id, items)


def _return_rows(order: _Order, order_id: str, items: Sequence[OrderItem]) -> Iterator[Row]:
    if order.return_items is None or order.return_payment_method_id is None:
        return
    method_id = order.return_payment_method_id
    yield Return(order_id=order_id, method_id=method_id, requested_at=None, received_at=None, refunded_at=None)
    for item in _named(order_id, order.return_items, items):
        yield ReturnItem(order_item_id=item.id, order_id=order_id)


def _exchange_rows(order: _Order, order_id: str, items: Sequence[OrderItem]) -> Iterator[Row]:
    if order.exchange_items is None or order.exchange_payment_method_id is None:
        return
    yield Exchange(
        order_id=order_id,
        method_id=order.exchange_payment_method_id,
        difference_cents=_cents(order.exchange_price_difference or Decimal(0)),
        requested_at=None,
    )
    new_items = order.exchange_new_items or []
    if len(new_items) != len(order.exchange_items):
        raise ValueError(f"order {order_id} exchanges {len(order.exchange_items)} items for {len(new_items)}")
    for item, new in zip(_named(order_id, order.exchange_items, items), new_items, strict=True):
        yield ExchangeItem(order_item_id=item.id, order_id=order_id, new_variant_id=new)


def _named(order_id: str, item_ids: Sequence[str], items: Sequence[OrderItem]) -> Iterator[OrderItem]:
    """The order's items of these variants, each at most once."""
    left = list(items)
    for item_id in item_ids:
        item = next((item for item in left if item.variant_id == item_id), None)
        if item is None:
            raise ValueError(f"order {order_id} has no item {item_id} that could go back")
        left.remove(item)
        yield item


def _sequences(data: _Data) -> dict[str, int]:
    """A running number per order: the file has no dates, but lists each customer's orders oldest first."""
    listed = [order_id for user in data.users.values() for order_id in user.orders]
    return {order_id: number for number, order_id in enumerate(dict.fromkeys([*listed, *data.orders]))}


def _address(identity: str, address: _Address) -> Address:
    return Address(
        id=identity,
        line1=address.address1,
        line2=address.address2,
        city=address.city,
        state=address.state,
        zip_code=address.zip,
        country=address.country,
    )


def _cents(amount: Decimal) -> int:
    cents = amount * 100
    if cents != int(cents):
        raise ValueError(f"{amount} is no amount in whole cents")
    return int(cents)


async def _import(path: Path, url: str) -> int:
    rows = read_shop(path)
    async with Shop(url).opened(seeded=False) as shop, shop.writing() as session:
        return await import_shop(session, rows)


def main() -> int:
    """Import the file named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m talkspurt.retail.importer", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a tau2-bench retail db.json")
    parser.add_argument(
        "database",
        nargs="?",
        default=os.environ.get(DATABASE_VARIABLE, DEFAULT_DATABASE),
        help=f"database URL (default: ${DATABASE_VARIABLE}, or {DEFAULT_DATABASE})",
    )
    arguments = parser.parse_args()
    try:
        added = asyncio.run(_import(arguments.file, arguments.database))
    except TalkspurtError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{added} rows added to {arguments.database}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
