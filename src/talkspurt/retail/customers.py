"""One customer's part of the shop, as it is within one transaction.

Everything a caller may look at or change is reached from here, so nothing of another customer can be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.agent import ToolError
from talkspurt.retail.addresses import Known, Place
from talkspurt.retail.orders import choose_order
from talkspurt.retail.schema import Address, Order, PaymentMethod, Product, User, Variant


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with their orders, oldest first."""

    user: User
    orders: Sequence[Order]
    held: bool = False
    """Whether nobody else changes any of it until the transaction ends."""

    @property
    def methods(self) -> Sequence[PaymentMethod]:
        """How the customer can pay."""
        return self.user.methods

    def order(self, said: str) -> Order:
        """The order meant. Raises `ToolError`."""
        return choose_order(said, self.orders)

    def addresses(self) -> list[Known]:
        """The addresses that the shop has of the customer: their own, and their orders'."""
        own = Known(None, place_of(self.user.address))
        return [own, *(Known(order.id, place_of(order.address)) for order in self.orders)]


async def load_customer(session: AsyncSession, account: str, *, to_change: bool = False) -> Customer:
    """The customer of `account`. Raises `ToolError` when the account is gone.

    `to_change` holds the customer, their orders and their payment methods until the transaction ends: of two that
    change them, be it a call or the warehouse, the second sees what the first has done. (SQLite has one writer at a
    time anyway.)
    """
    if to_change:
        await _hold(session, account)
    user = await session.get(User, account)
    if user is None:
        raise ToolError("I can't find your account.")
    orders = await session.scalars(select(Order).where(Order.user_id == account).order_by(Order.sequence))
    return Customer(user, orders.all(), held=to_change)


async def load_products(
    session: AsyncSession, product_ids: Iterable[str], *, to_change: bool = False
) -> dict[str, Product]:
    """The products of these ids, with their variants.

    `to_change` keeps price and stock of the variants as they are until the transaction ends. They are only read, so
    whoever takes the same ones for another customer need not wait.
    """
    ids = set(product_ids)
    wanted = select(Product).where(Product.id.in_(ids))
    if to_change:
        variants = select(Variant.id).where(Variant.product_id.in_(ids)).order_by(Variant.id)
        await session.execute(variants.with_for_update(read=True))
        # The customer's exchanges have loaded variants already, before they were held.
        wanted = wanted.execution_options(populate_existing=True)
    found = await session.scalars(wanted)
    return {product.id: product for product in found}


def place_of(address: Address) -> Place:
    """A stored address as a value."""
    return Place(address.line1, address.line2, address.city, address.state, address.zip_code, address.country)


async def _hold(session: AsyncSession, account: str) -> None:
    """Hold what is the customer's, always in this order, so that two who do never wait for each other.

    Only ids are asked for, and the rows are read after that: a query that waited for a row answers with what became of
    that row, but with its neighbours as they were before, so that an order which got another address would be missing.
    """
    held = (
        select(User.id).where(User.id == account),
        select(Order.id).where(Order.user_id == account).order_by(Order.id),
        select(PaymentMethod.id).where(PaymentMethod.user_id == account).order_by(PaymentMethod.id),
    )
    for rows in held:
        await session.execute(rows.with_for_update())
