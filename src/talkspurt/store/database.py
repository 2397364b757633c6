"""One database engine: bounded reads and writes, and errors that say what is wrong.

Writes on SQLite wait for each other here, in a fair queue, rather than in SQLite's busy
handler, which polls with sleeps: fifty calls that write at once would wait ten times longer.
Between processes SQLite's own lock (`BEGIN IMMEDIATE`, busy timeout) still decides.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from copy import copy
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from talkspurt.engines import close_engine, sqlite_engine, writing
from talkspurt.errors import ConfigurationError, StoreError

TIMEOUT: Final = 5.0
"""Seconds that one statement may take, with waiting for a lock."""

_GRACE: Final = 1.0
"""Seconds more until a transaction is cancelled: the driver's own timeout should speak first, because a
cancelled SQLite statement must be waited for anyway, and says less about what was wrong."""

_BRIEF: Final = text(
    "SELECT set_config('lock_timeout', '200ms', true), set_config('idle_in_transaction_session_timeout', '1s', true)"
)
_LOCK_NOT_AVAILABLE: Final = "55P03"


class ConflictError(StoreError):
    """The write would break a uniqueness rule: somebody else was first."""


class HeldError(StoreError):
    """Somebody else holds what a brief transaction was to write."""


def database_url(url: str) -> URL:
    """Read `store.url`. Raises `ConfigurationError` when it names no database that this package supports."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("store.url is not a database URL such as sqlite+aiosqlite:///talkspurt.db") from None
    if parsed.drivername not in ("sqlite+aiosqlite", "postgresql+asyncpg"):
        raise ConfigurationError(
            f"store.url begins with '{parsed.drivername}'; use sqlite+aiosqlite or postgresql+asyncpg"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "store.url names a database in memory, which a call cannot outlive; name a file, "
            "such as sqlite+aiosqlite:///talkspurt.db"
        )
    return parsed


class Database:
    """An engine for SQLite (file) or PostgreSQL. Used through `read` and `write` only."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        """Raises `ConfigurationError` when `url` names no database that this package supports."""
        self.url: Final = database_url(url)
        _check_folder(self.url)
        self._timeout = timeout
        self._engine = _engine(self.url, timeout)
        self._writer = writing(self._engine)
        self._turn = asyncio.Lock() if self.is_sqlite else nullcontext()
        self._stage: AsyncConnection | None = None
        """The connection of a rehearsal, on which everything is done."""

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database. Raises `StoreError`."""
        if self._stage is not None:
            yield self._stage
            return
        async with self._errors(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end of the block, or not at all. Raises `StoreError`.

        On PostgreSQL a `brief` one waits 0.2 s for a lock, then raises `HeldError`, and ends within a second when its
        process is stopped in the middle: for what others must not wait behind. On SQLite the lock is its file's.
        """
        if self._stage is not None:
            yield self._stage
            return
        async with self._errors(), self._turn, self._writer.begin() as connection:
            if brief and not self.is_sqlite:
                await connection.execute(_BRIEF)
            yield connection

    @asynccontextmanager
    async def rehearsal(self) -> AsyncIterator["Database"]:
        """The same database in one transaction, which is taken back at the end of the block. Raises `StoreError`."""
        async with self._errors(), self._turn, self._writer.connect() as connection:
            stage = copy(self)
            stage._stage = connection
            try:
                yield stage
            finally:
                await connection.rollback()

    async def aclose(self) -> None:
        """Close all connections, behind those in use. Idempotent."""
        await close_engine(self._engine)

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout + _GRACE):
                yield
        except IntegrityError as error:
            raise ConflictError(f"the database refused the write: {_cause(error)}") from error
        except (SQLAlchemyError, OSError) as error:
            if getattr(getattr(error, "orig", None), "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise HeldError("somebody else holds what was to be written") from error
            raise StoreError(f"the database {self._name} cannot be used: {_cause(error)}") from error
        except TimeoutError as error:
            raise StoreError(f"the database {self._name} did not answer within {self._timeout + _GRACE:g} s") from error

    @property
    def _name(self) -> str:
        return self.url.render_as_string(hide_password=True)


def _check_folder(url: URL) -> None:
    # SQLite would only say that it cannot open the file; and aiosqlite leaves a thread behind that may complain later.
    if url.get_backend_name() != "sqlite" or url.database is None or url.database.startswith("file:"):
        return
    folder = Path(url.database).absolute().parent
    if not folder.is_dir():
        raise ConfigurationError(f"store.url: there is no folder {folder}; create it, or name another file")


def _engine(url: URL, timeout: float) -> AsyncEngine:
    # hide_parameters: what a caller said must not reach a log through an error message.
    options: dict[str, Any] = {"hide_parameters": True, "pool_timeout": timeout}
    if url.get_backend_name() == "sqlite":
        return sqlite_engine(url, timeout=timeout, **options)
    # A process that was stopped in the middle of a transaction must not keep others from its calls for ever.
    idle = {"idle_in_transaction_session_timeout": f"{int((timeout + _GRACE) * 1000)}"}
    connect = {"timeout": timeout, "command_timeout": timeout, "server_settings": idle}
    try:
        return create_async_engine(url, pool_pre_ping=True, connect_args=connect, **options)
    except (ImportError, NoSuchModuleError):
        raise ConfigurationError(
            f"store.url needs the driver of '{url.drivername}': pip install 'talkspurt[postgresql]'"
        ) from None


def _cause(error: SQLAlchemyError | OSError) -> str:
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {cause}"
