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
from talkspurt.retail.schema import Address, Order, PaymentMethod, Product, User


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with their orders, oldest first."""

    user: User
    orders: Sequence[Order]

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

    `to_change` holds the customer's row until the transaction ends, so that of two calls that act for one customer
    the second sees what the first has done. (SQLite has one writer at a time anyway.)
    """
    if to_change:
        await session.execute(select(User.id).where(User.id == account).with_for_update())
    user = await session.get(User, account)
    if user is None:
        raise ToolError("I can't find your account.")
    orders = await session.scalars(select(Order).where(Order.user_id == account).order_by(Order.sequence))
    return Customer(user, orders.all())


async def load_products(session: AsyncSession, product_ids: Iterable[str]) -> dict[str, Product]:
    """The products of these ids, with their variants."""
    found = await session.scalars(select(Product).where(Product.id.in_(set(product_ids))))
    return {product.id: product for product in found}


def place_of(address: Address) -> Place:
    """A stored address as a value."""
    return Place(address.line1, address.line2, address.city, address.state, address.zip_code, address.country)
