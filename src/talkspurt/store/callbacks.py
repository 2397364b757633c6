"""Call-backs that callers asked for: one a call, kept until somebody says that it was made."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from talkspurt.store.clock import Clock
from talkspurt.store.database import ConflictError, Database
from talkspurt.store.tables import callbacks


@dataclass(frozen=True, slots=True)
class Callback:
    """Whom to call back, and about what."""

    call_id: str
    number: str
    target: str | None
    """The place that the caller wanted to speak to."""
    account: str | None
    """The account of a caller who was verified."""
    reason: str
    requested_at: datetime
    done_at: datetime | None


class CallbackRecords:
    """The callbacks table. All methods raise `StoreError`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def note(
        self, call_id: str, *, number: str, reason: str, target: str | None = None, account: str | None = None
    ) -> bool:
        """Note a call-back; False when the call has one already, which is left as it is."""
        row = insert(callbacks).values(
            call_id=call_id,
            number=number,
            target=target,
            account=account,
            reason=reason,
            requested_at=self._clock(),
        )
        try:
            async with self._database.write() as connection:
                await connection.execute(row)
        except ConflictError:
            if await self.find(call_id) is None:
                raise
            return False
        return True

    async def find(self, call_id: str) -> Callback | None:
        """The call-back of a call."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(callbacks).where(callbacks.c.call_id == call_id))).one_or_none()
        return None if row is None else _callback(row)

    async def outstanding(self) -> tuple[Callback, ...]:
        """Those that nobody has made yet, the oldest first."""
        statement = select(callbacks).where(callbacks.c.done_at.is_(None)).order_by(callbacks.c.requested_at)
        async with self._database.read() as connection:
            return tuple(_callback(row) for row in (await connection.execute(statement)).all())

    async def done(self, call_id: str) -> bool:
        """Somebody has called back; False when there is no such call-back outstanding."""
        statement = (
            update(callbacks)
            .where(callbacks.c.call_id == call_id, callbacks.c.done_at.is_(None))
            .values(done_at=self._clock())
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1


def _callback(row: Row[*tuple[Any, ...]]) -> Callback:
    return Callback(**row._mapping)
