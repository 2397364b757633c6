"""A SQLite connection that takes one trip to its thread for each statement.

SQLAlchemy makes a cursor, executes, fetches and closes. aiosqlite does each of the four in the connection's thread and
then waits until the event loop has a moment: a transaction of one statement is nine trips. While one runs, all others
that write wait; when the loop is so full of calls that a trip takes 30 ms, few of them get through in a second. Here a
statement comes back with all its rows, `BEGIN`, which does nothing by itself, goes with the first statement, and
nothing is rolled back where nothing has begun: three trips to write with one statement, two to read. `BEGIN IMMEDIATE`
has a trip of its own, since what follows it may look at the clock and rely on holding the lock.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Self

import aiosqlite

_CHUNK: Final = 64
"""aiosqlite wants to know how many rows to iterate over at a time; nobody iterates."""
_DOES_NOTHING: Final = "BEGIN"


class _Answer(NamedTuple):
    rows: list[Any]
    description: Any
    rowcount: int
    lastrowid: int | None
    in_transaction: bool


_NOTHING: Final = _Answer([], None, -1, None, in_transaction=False)


class Connection(aiosqlite.Connection):
    """What SQLAlchemy's aiosqlite dialect asks of a connection, in fewer trips. Rows are not streamed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Those of `sqlite3.connect`. The connection is made when this is awaited."""
        super().__init__(lambda: sqlite3.connect(*arguments, **options), _CHUNK)
        # A process must be able to end while one is open.
        self._thread.daemon = True
        self._begins = False
        """Whether a `BEGIN` goes with the next statement."""
        self._idle = False
        """Whether no transaction is open, for certain."""

    def cursor(self) -> "Cursor":  # type: ignore[override]  # nothing has to be awaited
        """A new one, without a trip."""
        return Cursor(self)

    async def ask(self, sql: str, parameters: Any, *, many: bool) -> _Answer:
        """Have one statement carried out, with all its rows. Raises what sqlite3 raises."""
        if sql == _DOES_NOTHING:
            self._begins = True
            return _NOTHING
        begins, self._begins = self._begins, False
        answer: _Answer = await self._execute(_carry_out, self._conn, begins, sql, parameters, many)
        self._idle = not answer.in_transaction
        return answer

    async def commit(self) -> None:
        """Commit, if anything has begun."""
        self._begins = False
        if not self._idle:
            await super().commit()
            self._idle = True

    async def rollback(self) -> None:
        """Roll back, if anything has begun."""
        self._begins = False
        if not self._idle:
            await super().rollback()
            self._idle = True

    async def _execute(self, fn: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        # Until this is back, and for good if it fails or nobody waits for it, it is not known if a transaction is open.
        self._idle = False
        return await super()._execute(fn, *arguments, **options)  # type: ignore[no-untyped-call]


class Cursor:
    """One statement's answer, and then the next one's."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answer = _NOTHING

    async def __aenter__(self) -> Self:
        return self

    @property
    def description(self) -> Any:
        """The columns, or None when the statement gives no rows."""
        return self._answer.description

    @property
    def rowcount(self) -> int:
        """How many rows were changed; -1 when that is not known."""
        return self._answer.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The id of the row that was inserted last."""
        return self._answer.lastrowid

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        """One statement."""
        self._answer = await self._connection.ask(sql, parameters, many=False)

    async def executemany(self, sql: str, parameters: Any) -> None:
        """One statement with each of `parameters`."""
        self._answer = await self._connection.ask(sql, parameters, many=True)

    async def fetchall(self) -> Sequence[Any]:
        """All rows, which are here already; they are handed over."""
        rows = self._answer.rows
        self._answer = self._answer._replace(rows=[])
        return rows

    async def close(self) -> None:
        """Nothing is open."""


def _carry_out(connection: sqlite3.Connection, begins: bool, sql: str, parameters: Any, many: bool) -> _Answer:
    # Not a second time where a statement that found the file locked is carried out again (benchmarks/effects does so).
    if begins and not connection.in_transaction:
        connection.execute(_DOES_NOTHING)
    cursor = connection.executemany(sql, parameters) if many else connection.execute(sql, parameters)
    try:
        # First: until they are fetched it is not known how many rows a statement with RETURNING changes.
        rows = cursor.fetchall() if cursor.description else []
        return _Answer(rows, cursor.description, cursor.rowcount, cursor.lastrowid, connection.in_transaction)
    finally:
        cursor.close()
