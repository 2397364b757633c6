"""A process that was stopped in the middle of a transaction (SIGSTOP, a frozen machine) keeps nobody from its calls."""

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from talkspurt.store import Call
from talkspurt.store.database import Database
from talkspurt.store.tables import calls


async def test_a_lock_ends_when_its_transaction_has_been_idle_for_too_long(url: str, call: Call) -> None:
    if url.startswith("sqlite"):
        pytest.skip("on SQLite the lock is its file's, and ends with the process only")
    change = update(calls).where(calls.c.id == call.id).values(failures=1)
    sleeper, other = Database(url, timeout=1.0), Database(url, timeout=10.0)
    try:
        # Around `write`, whose own time limit a process that sleeps does not keep.
        with pytest.raises(DBAPIError):  # noqa: PT012 - what is between is the point
            async with sleeper._writer.begin() as connection:
                await connection.execute(change)
                async with other.write() as also:
                    assert (await also.execute(change)).rowcount == 1
                await connection.execute(change)
    finally:
        await sleeper.aclose()
        await other.aclose()
