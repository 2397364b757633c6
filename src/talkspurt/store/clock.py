"""The time that records carry, and the one that decides who is gone."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from talkspurt.store.database import Database

Clock = Callable[[], datetime]
"""Says what time it is, in UTC with its zone; tests give one that they move themselves."""


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class DatabaseTime:
    """The time by which processes on several machines agree who is gone: that of their one database.

    A file of SQLite is shared by processes of one machine, whose clock it is then.
    """

    def __init__(self, database: Database, clock: Clock | None) -> None:
        """`clock` stands for the database's own."""
        self._clock: Final = utc_now if clock is None and database.is_sqlite else clock

    async def now(self, connection: AsyncConnection) -> datetime:
        """The present, in UTC."""
        if self._clock is not None:
            return self._clock()
        # now() would be the beginning of the transaction, before whatever lock it waited for.
        at: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        return at.astimezone(UTC)
