"""Attempts to be verified, counted per call, per caller number and per account, so that nobody can guess.

An attempt counts as failed from the moment it begins: a process that is killed in the middle of one, or many that try
at once, gain none. A day is the database's, whatever the clocks of the workers say. Implements
`ports.VerificationAttempts`.
"""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from talkspurt.ports import AttemptOutcome
from talkspurt.store.clock import DatabaseTime
from talkspurt.store.database import Database
from talkspurt.store.tables import verification_attempts as attempts

DAY: Final = timedelta(hours=24)
_FAILED: Final = attempts.c.outcome.in_(("open", "failed"))


class SqlVerificationAttempts:
    """The verification_attempts table. All methods raise `StoreError`."""

    def __init__(self, database: Database, time: DatabaseTime) -> None:
        self._database = database
        self._time = time

    async def take(self, *, call_id: str, number: str, per_call: int, per_number: int) -> str | None:
        """Begin an attempt; None when the call, or the number today, has none left."""
        attempt = uuid.uuid4().hex
        async with self._database.write() as connection:
            if not self._database.is_sqlite:
                # Otherwise two calls from one number, at once, would both count the last one as theirs.
                lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))")
                await connection.execute(lock, {"name": number or call_id})
            if await self._left(connection, call_id, number, per_call, per_number) <= 0:
                return None
            now = await self._time.now(connection)
            await connection.execute(
                insert(attempts).values(id=attempt, call_id=call_id, number=number, outcome="open", at=now)
            )
        return attempt

    async def reserve(self, attempt: str, account: str, /, *, per_account: int) -> bool:
        """Count an attempt that has begun at an account, too; False when the account had none left today."""
        async with self._database.write() as connection:
            if not self._database.is_sqlite:
                # Otherwise two calls at one account, at once, would both count the last one as theirs.
                lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 2))")
                await connection.execute(lock, {"name": account})
            counted = _failed_for(account, await self._time.now(connection)).where(attempts.c.id != attempt)
            if int((await connection.execute(counted)).scalar_one()) >= per_account:
                return False
            await connection.execute(update(attempts).where(attempts.c.id == attempt).values(account=account))
        return True

    async def close(self, attempt: str, /, *, outcome: AttemptOutcome, accounts: Collection[str] = ()) -> None:
        """Say how an attempt ended and which accounts it may have been about."""
        this = attempts.c.id == attempt
        named = sorted(set(accounts))
        async with self._database.write() as connection:
            if outcome == "void":
                await connection.execute(delete(attempts).where(this))
                return
            await connection.execute(
                update(attempts).where(this).values(outcome=outcome, account=next(iter(named), None))
            )
            # Of no call and no number: for those it was one attempt.
            same = {"call_id": "", "number": "", "outcome": outcome, "at": await self._time.now(connection)}
            for other in named[1:]:
                await connection.execute(insert(attempts).values(id=uuid.uuid4().hex, account=other, **same))

    async def failed_for(self, account: str, /) -> int:
        """Failed attempts at an account within the last 24 hours."""
        async with self._database.read() as connection:
            failed = _failed_for(account, await self._time.now(connection))
            return int((await connection.execute(failed)).scalar_one())

    async def left(self, *, call_id: str, number: str, per_call: int, per_number: int) -> int:
        """How many more attempts `take` would allow."""
        async with self._database.read() as connection:
            return await self._left(connection, call_id, number, per_call, per_number)

    async def _left(
        self, connection: AsyncConnection, call_id: str, number: str, per_call: int, per_number: int
    ) -> int:
        in_call = select(func.count()).where(attempts.c.call_id == call_id, _FAILED)
        left = per_call - int((await connection.execute(in_call)).scalar_one())
        if number:
            since = await self._time.now(connection) - DAY
            today = select(func.count()).where(attempts.c.number == number, _FAILED, attempts.c.at > since)
            left = min(left, per_number - int((await connection.execute(today)).scalar_one()))
        return left


def _failed_for(account: str, now: datetime) -> Select[int]:
    return select(func.count()).where(attempts.c.account == account, _FAILED, attempts.c.at > now - DAY)
