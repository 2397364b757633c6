"""The shop's database: opening it, and transactions on it.

Not a word about calls or models: accounts and order numbers come in, rows go out. What a customer may do is in
`claims` and `changes`, how it is done in `bookings`; both run inside one transaction, so that two calls that ask for
the same thing at once get it once.

SQLite (default) and PostgreSQL. On SQLite a write takes the lock when it begins (`BEGIN IMMEDIATE`)
and survives a loss of power once committed (WAL, `synchronous=FULL`). On PostgreSQL a process that was stopped in the
middle of a transaction holds what is its customer's for `IDLE` seconds at most; writes for others go on meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, false, func, inspect, or_, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from talkspurt.agent import Effect, ReadBack
from talkspurt.agent.once import once, settle
from talkspurt.engines import close_engine, sqlite_engine, writing
from talkspurt.errors import ConfigurationError, StoreError
from talkspurt.retail.schema import Address, Order, Product, Row, User, Variant
from talkspurt.retail.seed import seed_shop

DATABASE_VARIABLE: Final = "TALKSPURT_RETAIL_DATABASE"
DEFAULT_DATABASE: Final = "sqlite+aiosqlite:///retail.db"

TIMEOUT: Final = 5.0
"""Seconds that one statement may take, with waiting for a lock (on PostgreSQL)."""
_SQLITE_TIMEOUT: Final = 4.0
"""Seconds that SQLite waits for another process's lock."""
IDLE: Final = 6.0
"""Seconds after which PostgreSQL ends a transaction in which nothing happens: its process was stopped, or is gone."""

ZONE: Final = ZoneInfo("America/New_York")
"""Where the shop is, wherever the server stands."""

_Plan = TypeVar("_Plan")


class Shop:
    """One shop's database. Open it with `async with shop.opened():` before anything else."""

    def __init__(self, url: str) -> None:
        """`url` names an SQLite file or a PostgreSQL database. Raises `ConfigurationError`."""
        try:
            parsed = make_url(url)
            self._engine = _engine(parsed)
        except (ArgumentError, ImportError, SQLAlchemyError) as error:
            raise ConfigurationError(
                f"{DATABASE_VARIABLE} is no database URL that can be used ({error}); "
                "write e.g. sqlite+aiosqlite:///retail.db"
            ) from None
        self._name = parsed.render_as_string(hide_password=True)
        # SQLite has one writer at a time, and its own busy waiting polls: those of this process queue here in order.
        self._turn = asyncio.Lock() if parsed.get_backend_name() == "sqlite" else nullcontext()
        self._read = async_sessionmaker(self._engine, expire_on_commit=False)
        self._write = async_sessionmaker(writing(self._engine), expire_on_commit=False)

    @asynccontextmanager
    async def opened(self, *, seeded: bool = True) -> AsyncIterator["Shop"]:
        """Create missing tables, fill an empty shop with the made-up one if `seeded`, and close at the end.

        Raises `StoreError` when the database cannot be reached.
        """
        try:
            async with writing(self._engine).begin() as connection:
                await connection.run_sync(_create_tables)
            async with self.writing() as session:
                if seeded and await session.scalar(select(func.count()).select_from(User)) == 0:
                    await seed_shop(session, today=shop_day())
        except StoreError:
            await close_engine(self._engine)
            raise
        except (SQLAlchemyError, OSError) as error:
            await close_engine(self._engine)
            cause = getattr(error, "orig", None) or error
            raise StoreError(
                f"the shop's database {self._name} cannot be opened: {cause}; "
                f"check that it is reachable and writable, or name another one in {DATABASE_VARIABLE}"
            ) from None
        try:
            yield self
        finally:
            await close_engine(self._engine)

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

    async def products(self) -> Sequence[Product]:
        """Everything the shop sells, by name, with its variants."""
        async with self.reading() as session:
            return (await session.scalars(select(Product).order_by(Product.name))).all()

    async def variant(self, variant_id: str) -> Variant | None:
        """The variant of that number, with its product."""
        async with self.reading() as session:
            return await session.get(Variant, variant_id)

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

    async def tried(self, *, order_id: str | None, name: str | None, email: str | None) -> Sequence[str]:
        """The accounts that somebody may have tried to be: those that an e-mail, order number or name points at."""
        pointers = []
        if email is not None:
            pointers.append(User.email == email)
        if name is not None:
            pointers.append(User.name_key == name)
        if order_id is not None:
            pointers.append(User.id == select(Order.user_id).where(Order.id == order_id).scalar_subquery())
        async with self.reading() as session:
            return (await session.scalars(select(User.id).where(or_(false(), *pointers)))).all()

    # ── doing ─────────────────────────────────────────────────────────────────────

    async def once(
        self,
        effect: Effect,
        *,
        plan: Callable[[AsyncSession], Awaitable[_Plan]],
        word: Callable[[_Plan], ReadBack],
        change: Callable[[AsyncSession, _Plan], dict[str, Any]],
    ) -> dict[str, Any]:
        """Make a change and note it under the effect's key, in one commit; a second time returns the first result.

        Raises `ToolError` when what is planned now is not worded as the caller has heard it.
        """
        async with self.writing() as session:

            async def changed(planned: _Plan) -> dict[str, Any]:
                return change(session, planned)

            return await once(session, effect, plan=lambda: plan(session), word=word, change=changed)

    async def settle(self, key: str) -> dict[str, Any] | None:
        """What came of an effect; None when nothing did, and then nothing ever will."""
        async with self.writing() as session:
            return await settle(session, key)


def shop_day(at: datetime | None = None) -> date:
    """The day that it is in the shop, now or `at` a time: its policy's hours are told there, too."""
    return (at or datetime.now(UTC)).astimezone(ZONE).date()


def _engine(url: URL) -> AsyncEngine:
    options: dict[str, Any] = {"hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        return sqlite_engine(url, timeout=_SQLITE_TIMEOUT, **options)
    if url.drivername == "postgresql+asyncpg":
        idle = {"idle_in_transaction_session_timeout": f"{int(IDLE * 1000)}"}
        connect = {"timeout": TIMEOUT, "command_timeout": TIMEOUT, "server_settings": idle}
        options |= {"pool_timeout": TIMEOUT, "pool_pre_ping": True, "connect_args": connect}
    return create_async_engine(url, **options)


def _create_tables(connection: Connection) -> None:
    """Create what is missing. Raises `StoreError` for tables of an earlier version, which lack columns."""
    Row.metadata.create_all(connection)
    found = inspect(connection)
    for table in Row.metadata.sorted_tables:
        lacking = {column.name for column in table.columns} - {
            column["name"] for column in found.get_columns(table.name)
        }
        if lacking:
            raise StoreError(
                f"the shop's database is of an earlier version: its table {table.name} lacks "
                f"{', '.join(sorted(lacking))}; name a new one in {DATABASE_VARIABLE}, "
                "or delete it if it holds only the made-up shop"
            )
