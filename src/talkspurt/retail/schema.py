"""The shop's tables. Money is whole cents; nothing here knows of calls or callers.

Invariants kept by the database itself: an order has at most one return and at most one exchange
(their primary key is the order), its payments are numbered without doubles, and an e-mail address
belongs to one customer. A row in `addresses` is never changed, only replaced by another: orders and
customers may share one.
"""

import enum
from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import JSON, DateTime, Enum, ForeignKey, UniqueConstraint
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from talkspurt.agent.once import applied_effects


class Status(enum.StrEnum):
    """Where an order stands, in words that can be spoken."""

    PENDING = "pending"
    ITEMS_CHANGED = "pending, with its items changed"
    """Pending still, but it can be neither changed nor cancelled any more."""
    PROCESSED = "processed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURN_REQUESTED = "return requested"
    EXCHANGE_REQUESTED = "exchange requested"
    LOST = "lost in transit"


class PaymentKind(enum.StrEnum):
    """Which way money went."""

    PAYMENT = "payment"
    REFUND = "refund"


class Row(DeclarativeBase):
    """What all tables share."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        dict[str, str]: JSON,
        list[str]: JSON,
        datetime: DateTime(timezone=True),
        Status: Enum(
            Status, native_enum=False, length=32, values_callable=lambda kinds: [kind.value for kind in kinds]
        ),
        PaymentKind: Enum(
            PaymentKind, native_enum=False, length=8, values_callable=lambda kinds: [kind.value for kind in kinds]
        ),
    }


class Product(Row):
    """A kind of thing the shop sells."""

    __tablename__ = "products"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]

    variants: Mapped[list["Variant"]] = relationship(
        lazy="selectin", order_by="Variant.price_cents, Variant.id", back_populates="product"
    )


class Variant(Row):
    """A product in one colour, size and so on: what is actually bought."""

    __tablename__ = "variants"
    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"), index=True)
    options: Mapped[dict[str, str]]
    available: Mapped[bool]
    price_cents: Mapped[int]

    product: Mapped[Product] = relationship(lazy="joined", back_populates="variants", innerjoin=True)


class Address(Row):
    """A postal address; customers and orders each point to theirs. Never changed: another takes its place."""

    __tablename__ = "addresses"
    id: Mapped[str] = mapped_column(primary_key=True)
    line1: Mapped[str]
    line2: Mapped[str]
    city: Mapped[str]
    state: Mapped[str]
    zip_code: Mapped[str] = mapped_column(index=True)
    country: Mapped[str]


class User(Row):
    """A customer."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)
    first_name: Mapped[str]
    last_name: Mapped[str]
    name_key: Mapped[str] = mapped_column(index=True)
    """Both names as `facts.name_key` compares them."""
    email: Mapped[str] = mapped_column(unique=True)
    """In lower case."""
    address_id: Mapped[str] = mapped_column(ForeignKey("addresses.id"))

    address: Mapped[Address] = relationship(lazy="joined", innerjoin=True)
    methods: Mapped[list["PaymentMethod"]] = relationship(lazy="selectin", order_by="PaymentMethod.id")


class PaymentMethod(Row):
    """How a customer pays: `credit_card`, `paypal` or `gift_card`."""

    __tablename__ = "payment_methods"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    kind: Mapped[str]
    brand: Mapped[str | None]
    last_four: Mapped[str | None]
    balance_cents: Mapped[int | None]
    """What is left on a gift card."""


class Order(Row):
    """An order: W and seven digits."""

    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    """Higher is later."""
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    address_id: Mapped[str] = mapped_column(ForeignKey("addresses.id"))
    status: Mapped[Status]
    expected_on: Mapped[date | None]
    """The day it should arrive, where that is known."""
    cancel_reason: Mapped[str | None]
    note: Mapped[str | None]
    """What somebody wrote on the order: the customer, a neighbour, the carrier. Never to be believed."""

    address: Mapped[Address] = relationship(lazy="joined", innerjoin=True)
    items: Mapped[list["OrderItem"]] = relationship(lazy="selectin", order_by="OrderItem.position")
    parcels: Mapped[list["Parcel"]] = relationship(lazy="selectin", order_by="Parcel.id")
    payments: Mapped[list["Payment"]] = relationship(lazy="selectin", order_by="Payment.position")
    returned: Mapped["Return | None"] = relationship(lazy="selectin")
    exchanged: Mapped["Exchange | None"] = relationship(lazy="selectin")


class OrderItem(Row):
    """One thing in an order, with the name and price it was bought at."""

    __tablename__ = "order_items"
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    position: Mapped[int]
    variant_id: Mapped[str] = mapped_column(ForeignKey("variants.id"))
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"))
    name: Mapped[str]
    options: Mapped[dict[str, str]]
    price_cents: Mapped[int]


class Parcel(Row):
    """A box on its way, by its tracking number."""

    __tablename__ = "parcels"
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    tracking: Mapped[str]
    variant_ids: Mapped[list[str]]
    """What is in it; variants, since a shop's warehouse knows no order lines."""


class Payment(Row):
    """Money that moved for an order, in or back, in the order in which it did."""

    __tablename__ = "payments"
    __table_args__ = (UniqueConstraint("order_id", "position"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    position: Mapped[int]
    kind: Mapped[PaymentKind]
    method_id: Mapped[str] = mapped_column(ForeignKey("payment_methods.id"))
    amount_cents: Mapped[int]
    """Never negative: `kind` says which way."""
    made_at: Mapped[datetime | None]
    """Unknown for what was imported."""

    method: Mapped[PaymentMethod] = relationship(lazy="joined", innerjoin=True)


class Return(Row):
    """Items of an order that the customer sends back; one per order."""

    __tablename__ = "returns"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    method_id: Mapped[str] = mapped_column(ForeignKey("payment_methods.id"))
    """Where the refund goes."""
    requested_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    refunded_at: Mapped[datetime | None]

    items: Mapped[list["ReturnItem"]] = relationship(lazy="selectin", order_by="ReturnItem.order_item_id")
    method: Mapped[PaymentMethod] = relationship(lazy="joined", innerjoin=True)


class ReturnItem(Row):
    """One item of a return."""

    __tablename__ = "return_items"
    order_item_id: Mapped[str] = mapped_column(ForeignKey("order_items.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("returns.order_id"), index=True)

    item: Mapped[OrderItem] = relationship(lazy="joined", innerjoin=True)


class Exchange(Row):
    """Items of a delivered order that the customer swaps for other variants; one per order."""

    __tablename__ = "exchanges"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    method_id: Mapped[str] = mapped_column(ForeignKey("payment_methods.id"))
    """What pays, or is paid back, the difference."""
    difference_cents: Mapped[int]
    """To pay when positive, to pay back when negative."""
    requested_at: Mapped[datetime | None]

    items: Mapped[list["ExchangeItem"]] = relationship(lazy="selectin", order_by="ExchangeItem.order_item_id")
    method: Mapped[PaymentMethod] = relationship(lazy="joined", innerjoin=True)


class ExchangeItem(Row):
    """One item of an exchange and what is sent for it."""

    __tablename__ = "exchange_items"
    order_item_id: Mapped[str] = mapped_column(ForeignKey("order_items.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("exchanges.order_id"), index=True)
    new_variant_id: Mapped[str] = mapped_column(ForeignKey("variants.id"))

    item: Mapped[OrderItem] = relationship(lazy="joined", innerjoin=True)
    new_variant: Mapped[Variant] = relationship(lazy="joined", innerjoin=True)


applied_effects(Row.metadata)
"""Keys of the effects that were carried out, in the transactions that did."""


async def add_rows(session: AsyncSession, rows: Iterable[Row]) -> None:
    """Add new rows, those that others point to before those that point to them."""
    by_table: dict[str, list[Row]] = {}
    for row in rows:
        by_table.setdefault(row.__tablename__, []).append(row)
    for table in Row.metadata.sorted_tables:
        session.add_all(by_table.get(table.name, ()))
        await session.flush()
