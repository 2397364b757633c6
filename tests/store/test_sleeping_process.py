"""A process that was stopped in the middle of a transaction (SIGSTOP, a frozen machine) keeps nobody from its calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from talkspurt.server.recorder import Recorder
from talkspurt.store import Call, Store
from talkspurt.store.database import Database
from talkspurt.store.tables import calls


@pytest.fixture(autouse=True)
def needs_postgresql(url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("on SQLite the lock is its file's, and ends with the process only")


async def test_a_lock_ends_when_its_transaction_has_been_idle_for_too_long(url: str, call: Call) -> None:
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


class Sleeper(Database):
    """Falls asleep before it commits, until it is woken."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asleep, self.awake = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def write(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        async with super().write(brief=brief) as connection:
            yield connection
            self.asleep.set()
            await self.awake.wait()


async def test_whoever_was_stopped_while_it_stored_states_lets_go_of_the_calls_and_stores_them_once_it_wakes(
    store: Store, url: str, call: Call
) -> None:
    other = await store.calls.admit(carrier_call_id="CA2", caller="", dialled="+1", agent="retail", locale="en-US")
    database = Sleeper(url)
    recorder = Recorder(Store(database))
    for owned in (call, other):
        recorder.snapshot(owned.id, 0, lambda: "state")
    storing = asyncio.create_task(recorder.flush())
    try:
        await database.asleep.wait()
        assert await store.calls.record_failure(call.id) == 1
        assert not storing.done()
        database.awake.set()
        await storing
        found = [await store.calls.find(owned.id) for owned in (call, other)]
        assert [owned.snapshot for owned in found if owned is not None] == ["state", "state"]
    finally:
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
        await database.aclose()
