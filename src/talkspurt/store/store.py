"""The store as the server opens it: one database and the records kept in it."""

import uuid
from typing import Final, Self

from sqlalchemy import text

from talkspurt.core.history import AgentSaid
from talkspurt.store.attempts import SqlVerificationAttempts
from talkspurt.store.callbacks import CallbackRecords
from talkspurt.store.calls import CallRecords, Snapshot
from talkspurt.store.clock import Clock, DatabaseTime, utc_now
from talkspurt.store.database import TIMEOUT, Database
from talkspurt.store.effects import EffectRecords
from talkspurt.store.handovers import HandoverRecords
from talkspurt.store.schema import migrate
from talkspurt.store.tokens import StreamTokens
from talkspurt.store.turns import TurnLog
from talkspurt.store.usage import UsageRecords


class Store:
    """All records of one database. Made by `open`, closed by `aclose`."""

    def __init__(
        self, database: Database, clock: Clock | None = None, *, database_time: DatabaseTime | None = None
    ) -> None:
        """`clock` stands for the time of this machine, and for that of the database too unless it has its own."""
        self._database = database
        time = database_time or DatabaseTime(database, clock)
        clock = clock or utc_now
        self.calls: Final = CallRecords(database, clock, time)
        self.tokens: Final = StreamTokens(database, clock, time)
        self.turns: Final = TurnLog(database, clock)
        self.handovers: Final = HandoverRecords(database, time)
        self.callbacks: Final = CallbackRecords(database, clock)
        self.effects: Final = EffectRecords(database, time)
        self.attempts: Final = SqlVerificationAttempts(database, time)
        self.usage: Final = UsageRecords(database)

    @classmethod
    async def open(cls, url: str, *, clock: Clock | None = None, statement_timeout: float = TIMEOUT) -> Self:
        """Connect, bring the schema up to date and begin to write turns.

        Raises `ConfigurationError` for a URL that cannot be right, `StoreError` when the database does not answer.
        """
        database = Database(url, timeout=statement_timeout)
        try:
            await migrate(database)
        except BaseException:
            await database.aclose()
            raise
        store = cls(database, clock)
        store.turns.start()
        return store

    async def ping(self) -> None:
        """Ask the database for a sign of life. Raises `StoreError`."""
        async with self._database.read() as connection:
            await connection.execute(text("SELECT 1 FROM calls LIMIT 1"))

    async def rehearse(self) -> None:
        """Take a call from its ring to its end once, and take it all back. Raises `StoreError`.

        A statement that is worded for the first time stands the loop still for milliseconds, and a call has a dozen:
        the first caller of a process would make all others wait.
        """
        async with self._database.rehearsal() as stage:
            store = Store(stage)
            name = f"rehearsal-{uuid.uuid4().hex}"
            call = await store.calls.admit(carrier_call_id=name, caller="", dialled="", agent="", locale="")
            await store.tokens.redeem(await store.tokens.issue(call), name)
            await store.calls.take(call.id, attachment=1)
            await store.handovers.latest_of(call.id)
            store.turns.start()
            store.turns.append(call.id, AgentSaid(""))
            await store.turns.aclose()
            await store.calls.save_snapshots([Snapshot(call.id, 1, "{}")])
            await store.usage.add(call.id, {("carrier", "", "seconds"): 1.0})
            await store.calls.end(call.id, "rehearsed", attachment=1)

    async def aclose(self) -> None:
        """Write what waits, as far as the database takes it, and close. Idempotent."""
        await self.turns.aclose()
        await self._database.aclose()
