"""The shop's database: what can be looked up and what can be done, each in one transaction.

Not a word about calls or models: accounts and order numbers come in, rows go out. Rules on what a
customer may do are in `claims`; here they run inside the transaction that acts on them, so that
two calls that ask for the same thing at once get it once.

SQLite (default) and PostgreSQL. On SQLite a write takes the lock when it begins (`BEGIN IMMEDIATE`)
and survives a loss of power once committed (WAL, `synchronous=FULL`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import Connection, event, func, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from talkspurt.agent import ToolError
from talkspurt.errors import ConfigurationError, StoreError
from talkspurt.retail.claims import RefundPlan, ReturnPlan, plan_refund, plan_return
from talkspurt.retail.schema import (
    Address,
    Callback,
    Order,
    PaymentMethod,
    Refund,
    Return,
    ReturnItem,
    Row,
    Status,
    User,
)
from talkspurt.retail.seed import seed_shop

DATABASE_VARIABLE: Final = "TALKSPURT_RETAIL_DATABASE"
DEFAULT_DATABASE: Final = "sqlite+aiosqlite:///retail.db"
NOT_YOURS: Final = "I can't find that order on your account."
"""The same for orders that do not exist and for those of others."""


class Shop:
    """One shop's database. Open it with `async with shop.opened():` before anything else."""

    def __init__(self, url: str) -> None:
        """`url` names an SQLite file or a PostgreSQL database. Raises `ConfigurationError`."""
        try:
            parsed = make_url(url)
            self._engine = create_async_engine(parsed, hide_parameters=True)
        except (ArgumentError, ImportError, SQLAlchemyError) as error:
            raise ConfigurationError(
                f"{DATABASE_VARIABLE} is no database URL that can be used ({error}); "
                "write e.g. sqlite+aiosqlite:///retail.db"
            ) from None
        self._name = parsed.render_as_string(hide_password=True)
        if parsed.get_backend_name() == "sqlite":
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        self._read = async_sessionmaker(self._engine, expire_on_commit=False)
        self._write = async_sessionmaker(self._engine.execution_options(shop_writes=True), expire_on_commit=False)
        # Writers of this process queue here in order; SQLite's own busy waiting polls.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def opened(self, *, seeded: bool = True) -> AsyncIterator["Shop"]:
        """Create missing tables, fill an empty shop with the made-up one if `seeded`, and close at the end.

        Raises `StoreError` when the database cannot be reached.
        """
        try:
            async with self._engine.execution_options(shop_writes=True).begin() as connection:
                await connection.run_sync(Row.metadata.create_all)
            async with self.writing() as session:
                if seeded and await session.scalar(select(func.count()).select_from(User)) == 0:
                    await seed_shop(session, today=local_day())
        except (SQLAlchemyError, OSError) as error:
            await self._engine.dispose()
            cause = getattr(error, "orig", None) or error
            raise StoreError(
                f"the shop's database {self._name} cannot be opened: {cause}; "
                f"check that it is reachable and writable, or name another one in {DATABASE_VARIABLE}"
            ) from None
        try:
            yield self
        finally:
            await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one state of the shop."""
        async with self._read() as session, session.begin():
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed together at the end of the block, or not at all."""
        async with self._turn, self._write() as session, session.begin():
            yield session

    # ── looking up ────────────────────────────────────────────────────────────────

    async def order_ids(self, account: str | None = None) -> Sequence[str]:
        """Ids of all orders, or of those of one account."""
        query = select(Order.id)
        if account is not None:
            query = query.where(Order.user_id == account)
        async with self.reading() as session:
            return (await session.scalars(query)).all()

    async def order(self, account: str, order_id: str) -> Order:
        """An order of `account`. Raises `ToolError` for any other."""
        async with self.reading() as session:
            return await _own_order(session, account, order_id)

    async def user(self, account: str) -> tuple[User, Sequence[Order]]:
        """A customer and their orders, oldest first. Raises `ToolError` when the account is gone."""
        async with self.reading() as session:
            user = await session.get(User, account)
            if user is None:
                raise ToolError("I can't find your account.")
            orders = await session.scalars(select(Order).where(Order.user_id == account).order_by(Order.sequence))
            return user, orders.all()

    async def identify(
        self, *, order_id: str | None, zip_code: str | None, name: str | None, email: str | None
    ) -> User | None:
        """The one customer of whom all facts given are true, or None. `name` is a `facts.name_key`.

        Enough facts are an e-mail, an order id with a ZIP code, or a name with a ZIP code; with
        fewer the answer is None.
        """
        if email is None and (zip_code is None or (order_id is None and name is None)):
            return None
        query = select(User).join(Address, Address.id == User.address_id)
        if email is not None:
            query = query.where(User.email == email)
        if zip_code is not None:
            query = query.where(Address.zip_code == zip_code)
        if name is not None:
            query = query.where(User.name_key == name)
        if order_id is not None:
            query = query.where(select(Order.id).where(Order.id == order_id, Order.user_id == User.id).exists())
        async with self.reading() as session:
            found = (await session.scalars(query.limit(2))).all()
        return found[0] if len(found) == 1 else None

    # ── doing ─────────────────────────────────────────────────────────────────────

    async def request_return(self, account: str, order_id: str, spoken_items: Sequence[str]) -> ReturnPlan:
        """Request the return of items of a delivered order, once per order. Raises `ToolError`."""
        async with self.writing() as session:
            plan = plan_return(await _own_order(session, account, order_id), spoken_items)
            # The condition decides between two transactions that both saw the order as delivered.
            changed = await session.execute(
                update(Order)
                .where(Order.id == plan.order.id, Order.status == Status.DELIVERED)
                .values(status=Status.RETURN_REQUESTED)
                .returning(Order.id)
            )
            if changed.first() is None:
                raise ToolError("A return was already requested for that order.")
            session.add(Return(order_id=plan.order.id, requested_at=datetime.now(UTC), received_at=None))
            await session.flush()
            session.add_all(ReturnItem(order_item_id=item.id, order_id=plan.order.id) for item in plan.items)
        return plan

    async def issue_refund(self, account: str, order_id: str) -> RefundPlan:
        """Refund what is due for an order to the method that paid for it, once. Raises `ToolError`."""
        try:
            async with self.writing() as session:
                plan = plan_refund(await _own_order(session, account, order_id))
                session.add(
                    Refund(
                        order_id=plan.order.id,
                        method_id=plan.method.id,
                        amount_cents=plan.cents,
                        issued_at=datetime.now(UTC),
                    )
                )
                await session.flush()
                await session.execute(
                    update(PaymentMethod)
                    .where(PaymentMethod.id == plan.method.id, PaymentMethod.balance_cents.is_not(None))
                    .values(balance_cents=PaymentMethod.balance_cents + plan.cents)
                )
        except IntegrityError:
            raise ToolError("That order has already been refunded.") from None
        return plan

    async def record_callback(self, *, call_id: str, number: str, account: str | None, reason: str) -> None:
        """Note that somebody wants to be called back; again in the same call only updates the reason."""
        async with self.writing() as session:
            await session.merge(
                Callback(call_id=call_id, number=number, account=account, reason=reason, requested_at=datetime.now(UTC))
            )


def local_day() -> date:
    """Today, where the server stands."""
    return datetime.now().astimezone().date()


async def _own_order(session: AsyncSession, account: str, order_id: str) -> Order:
    order = await session.scalar(select(Order).where(Order.id == order_id, Order.user_id == account))
    if order is None:
        raise ToolError(NOT_YOURS)
    return order


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, later and without the lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=4000"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("shop_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
