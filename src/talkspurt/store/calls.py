"""Calls: who called whom, how the call stands, and where it can be taken up again.

A call is live from the signed webhook on, whether or not a media socket is attached; it can be
handed over and taken back; ended is final. Writes of a session name its attachment and are
refused once a later attachment owns the call.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Row, Select, bindparam, delete, func, insert, select, update

from talkspurt.store.clock import Clock, DatabaseTime
from talkspurt.store.database import ConflictError, Database
from talkspurt.store.effects import expire
from talkspurt.store.tables import calls, effects, stream_tokens

State = Literal["live", "handover", "ended"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it stood when it was read."""

    id: str
    carrier_call_id: str
    caller: str
    dialled: str
    agent: str
    locale: str
    state: State
    end_reason: str | None
    handover_target: str | None
    attachment: int
    """The media attachment that owns the call; 0 before the first."""
    fence: int
    """How many sessions have taken the call up: the number of its owner, without which it has no effects."""
    failures: int
    """Sessions of this call that broke."""
    snapshot: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the conversation of a call stands, as an attachment of it says."""

    call_id: str
    attachment: int
    text: str


class CallRecords:
    """The calls table. All methods raise `StoreError`."""

    def __init__(self, database: Database, clock: Clock, time: DatabaseTime) -> None:
        self._database = database
        self._clock = clock
        self._time = time

    async def admit(self, *, carrier_call_id: str, caller: str, dialled: str, agent: str, locale: str) -> Call:
        """Record a new call, or return the one that this carrier id already has: webhooks are retried."""
        known = await self.by_carrier_id(carrier_call_id)
        if known is not None:
            return known
        row = insert(calls).values(
            id=uuid.uuid4().hex,
            carrier_call_id=carrier_call_id,
            caller=caller,
            dialled=dialled,
            agent=agent,
            locale=locale,
            state="live",
            attachment=0,
            failures=0,
            created_at=self._clock(),
        )
        try:
            async with self._database.write() as connection:
                return _call((await connection.execute(row.returning(*calls.c))).one())
        except ConflictError:
            # Another process had the same webhook at the same moment.
            known = await self.by_carrier_id(carrier_call_id)
            if known is None:
                raise
            return known

    async def find(self, call_id: str) -> Call | None:
        """The call with our id."""
        return await self._one(select(calls).where(calls.c.id == call_id))

    async def by_carrier_id(self, carrier_call_id: str) -> Call | None:
        """The call with the carrier's id."""
        return await self._one(select(calls).where(calls.c.carrier_call_id == carrier_call_id))

    async def take(self, call_id: str, *, attachment: int) -> int | None:
        """Become the call's owner, for a new session on the attachment that it has now.

        Returns the fencing number of its effects; an earlier owner can write nothing about them any more, and what
        waited for a yes there has expired. None when a later attachment has the call, or it has ended.
        """
        statement = (
            update(calls)
            .where(calls.c.id == call_id, calls.c.attachment == attachment, calls.c.state == "live")
            .values(fence=calls.c.fence + 1)
            .returning(calls.c.fence)
        )
        async with self._database.write() as connection:
            fence: int | None = (await connection.execute(statement)).scalar_one_or_none()
            if fence is not None:
                await expire(connection, effects.c.call_id == call_id, await self._time.now(connection))
        return fence

    async def save_snapshot(self, call_id: str, *, attachment: int, snapshot: str) -> bool:
        """Keep where the conversation stands; False when a later attachment owns the call or it has ended.

        Raises `HeldError` when somebody else holds the call's row for longer than others should wait behind this.
        """
        async with self._database.write(brief=True) as connection:
            saved = await connection.execute(_SAVE, {"of": call_id, "by": attachment, "text": snapshot})
            return bool(saved.rowcount == 1)

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> frozenset[str]:
        """Keep those of several calls, one of each, in one transaction; returns the calls that this is done with.

        Of them one that a later attachment owns, or that has ended, keeps what it has, as with `save_snapshot`.

        A call that is not there, or whose row somebody else holds, is left out: whoever was
        stopped in the middle of a transaction about one call must not make the others wait, nor their effects for
        their rows.
        """
        async with self._database.write(brief=True) as connection:
            ids = [snapshot.call_id for snapshot in snapshots]
            free = frozenset((await connection.execute(_FREE, {"ids": ids})).scalars())
            values = [
                {"of": each.call_id, "by": each.attachment, "text": each.text}
                for each in snapshots
                if each.call_id in free
            ]
            if values:
                await connection.execute(_SAVE, values)
        return free

    async def hand_over(self, call_id: str, *, attachment: int, target: str) -> bool:
        """Live → handover, by the attachment that owns the call; `target` is a name, never a number."""
        return await self._change(
            update(calls)
            .where(calls.c.id == call_id, calls.c.attachment == attachment, calls.c.state == "live")
            .values(state="handover", handover_target=target)
        )

    async def take_back(self, call_id: str) -> bool:
        """Handover → live: the person could not be reached, the caller is ours again."""
        return await self._change(
            update(calls).where(calls.c.id == call_id, calls.c.state == "handover").values(state="live")
        )

    async def record_failure(self, call_id: str) -> int:
        """Count a session that broke; returns how many of this call have."""
        statement = (
            update(calls).where(calls.c.id == call_id).values(failures=calls.c.failures + 1).returning(calls.c.failures)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).scalar_one_or_none() or 0

    async def end(self, call_id: str, reason: str, *, attachment: int | None = None) -> bool:
        """End the call, once; False when it had ended, or when `attachment` is given and no longer owns it."""
        statement = update(calls).where(calls.c.id == call_id, calls.c.state != "ended")
        if attachment is not None:
            statement = statement.where(calls.c.attachment == attachment)
        async with self._database.write() as connection:
            # By the time of its effects, so that one can tell which of them came after it.
            ended = statement.values(state="ended", end_reason=reason[:64], ended_at=await self._time.now(connection))
            if (await connection.execute(ended)).rowcount != 1:
                return False
            await connection.execute(delete(stream_tokens).where(stream_tokens.c.call_id == call_id))
            return True

    async def count(self, state: State) -> int:
        """How many calls are in `state`."""
        async with self._database.read() as connection:
            statement = select(func.count()).select_from(calls).where(calls.c.state == state)
            return int((await connection.execute(statement)).scalar_one())

    async def _one(self, statement: Select[Any]) -> Call | None:
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _call(row)

    async def _change(self, statement: Any) -> bool:
        async with self._database.write() as connection:
            return bool((await connection.execute(statement)).rowcount == 1)


def _call(row: Row[*tuple[Any, ...]]) -> Call:
    return Call(**row._mapping)


_FREE: Final = (
    select(calls.c.id)
    .where(calls.c.id.in_(bindparam("ids", expanding=True)))
    .with_for_update(key_share=True, skip_locked=True)
)
_SAVE: Final = (
    update(calls)
    .where(calls.c.id == bindparam("of"), calls.c.attachment == bindparam("by"), calls.c.state != "ended")
    .values(snapshot=bindparam("text"))
)
"""Of several calls by one call of the driver, each on its own condition."""
