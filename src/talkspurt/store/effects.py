"""The effect ledger on the database: one committed transition at a time (docs/effects.md draws them).

Every transition is one conditional UPDATE and one row in `effect_transitions`, in one transaction, under the fencing
number of the process that owns the call: a process that lost the call to another can write nothing more about it, but
what a lookup has found out (`resolve`), which is true whoever asks.

The unique index `uq_effects_once` keeps a call from executing the same tool with the same arguments a second time,
even if two proposals for it were made at once; one in doubt blocks a second attempt as well, until it is resolved.
What a later effect has set to something else is a new wish (`EffectRecord.sets_anew`), with another fingerprint.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from talkspurt.errors import SettledError, StaleOwnerError, StoreError
from talkspurt.ports import EffectLimit, EffectRecord, EffectState, Happening
from talkspurt.store.clock import DatabaseTime
from talkspurt.store.database import ConflictError, Database
from talkspurt.store.tables import calls, effect_transitions, effects, handovers

OPEN: Final = ("proposed", "read_back", "confirmed")
"""States of an effect that nothing has happened to."""
DONE: Final = ("done", "resolved_done")
BEGUN: Final = ("executing", "done", "in_doubt", "resolved_done")
"""States of an effect that happened, or may have."""
NOT_DONE: Final = ("failed", "refused", "expired", "resolved_not_done")
"""States of an effect that did not happen, though its caller may have confirmed it."""
LEASE: Final = timedelta(seconds=60)
"""How long a sweeper has an effect to itself."""
SETTLING: Final = timedelta(minutes=1)
"""How long after its last step an effect of a call that is over may still be on its way: its caller said yes, and has
hung up since."""
TELLING: Final = timedelta(seconds=10)
"""How long the agent may need to tell a caller that something was not done; who hangs up sooner may not know it."""
REMEMBERED: Final = timedelta(days=1)
"""How far back it is looked for callers who were not told: sweepers may have stood still."""
STALE: Final = timedelta(hours=2)
"""Age at which nobody can confirm a proposal any more, however its call ended."""

_RECORD = tuple(effects.c[name] for name in EffectRecord.__dataclass_fields__)


class SqlEffectLedger:
    """Implements `ports.EffectLedger` for the call that this process owns under `fence`."""

    def __init__(self, database: Database, time: DatabaseTime, call_id: str, fence: int) -> None:
        self._database = database
        self._time = time
        self._call_id = call_id
        self._fence = fence

    async def propose(
        self, record: EffectRecord, /, *, limits: Sequence[EffectLimit] = (), sets: Collection[str] | None = None
    ) -> EffectRecord:
        """Store a new proposal (or refusal); returns the earlier record if the call already did this, or may have."""
        async with self._database.write() as connection:
            await self._own(connection)
            now = await self._time.now(connection)
            begun = select(*_RECORD).where(
                effects.c.call_id == record.call_id,
                effects.c.tool == record.tool,
                or_(effects.c.state.in_(BEGUN), effects.c.proposal == record.proposal),
            )
            known = (await connection.execute(begun.order_by(effects.c.began_at, effects.c.turn))).all()
            earlier, since = _earlier([_record(row) for row in known], record, sets)
            if earlier is not None and record.state == "proposed":
                return earlier
            if await self._exceeded(connection, record.tool, record.subject, limits, now=now):
                record = replace(record, state="refused")
            values = {column.name: getattr(record, column.name) for column in _RECORD}
            await connection.execute(
                insert(effects).values(
                    **values, fingerprint=_fingerprint(record, since), proposed_at=now, changed_at=now
                )
            )
            await _note(connection, record.proposal, record.state, self._fence, now)
        return record

    async def read_back(self, proposal: str, /, *, heard_at: float) -> bool:
        """Proposed → read_back. False for any other state."""
        return await self._move(proposal, ("proposed",), "read_back", heard_at=heard_at) is not None

    async def confirm(self, proposal: str, /, *, turn: int, key: str) -> bool:
        """Read_back → confirmed. False for any other state."""
        return await self._move(proposal, ("read_back",), "confirmed", turn=turn, key=key) is not None

    async def begin(
        self, proposal: str, /, *, patience: float, limits: Sequence[EffectLimit] = ()
    ) -> EffectRecord | None:
        """Confirmed → executing, once; or refused, over one of the limits."""
        try:
            async with self._database.write() as connection:
                await self._own(connection)
                now = await self._time.now(connection)
                mine = select(effects.c.tool, effects.c.subject).where(effects.c.proposal == proposal)
                row = (await connection.execute(mine)).one_or_none()
                if row is not None and await self._exceeded(connection, row.tool, row.subject, limits, now=now):
                    return await self._moved(connection, proposal, ("confirmed",), "refused")
                deadline = now + timedelta(seconds=patience)
                return await self._moved(
                    connection, proposal, ("confirmed",), "executing", began_at=now, deadline=deadline
                )
        except ConflictError:
            return None

    async def finish(self, proposal: str, /, *, state: Literal["done", "failed", "in_doubt"], result: str) -> None:
        """Executing → its outcome. The same outcome again changes nothing; any other is a `SettledError`."""
        if await self._move(proposal, ("executing",), state, result=result) is not None:
            return
        found = await self.find(proposal)
        if found is None or (found.state, found.result) != (state, result):
            standing = "unknown" if found is None else found.state
            raise SettledError(f"effect {proposal} cannot become {state}: it is {standing}, not executing")

    async def hold(self, proposal: str, /, *, patience: float) -> None:
        """Executing or in doubt: nobody counts as gone for another `patience` seconds."""
        async with self._database.write() as connection:
            deadline = await self._time.now(connection) + timedelta(seconds=patience)
            held = update(effects).where(self._mine(proposal), effects.c.state.in_(("executing", "in_doubt")))
            await connection.execute(held.values(deadline=deadline))

    async def happened(self, proposal: str, /, *, result: str) -> Happening:
        """Executing, in doubt or resolved as not done → resolved_done, on the word of whoever carried it out."""
        mine = self._mine(proposal)
        try:
            async with self._database.write() as connection:
                standing = select(effects.c.state).where(mine).with_for_update()
                before = (await connection.execute(standing)).scalar_one_or_none()
                now, open_to_it = await self._time.now(connection), ("executing", "in_doubt", "resolved_not_done")
                moved = await _move(connection, mine, open_to_it, "resolved_done", fence=None, now=now, result=result)
        except ConflictError:
            return "twice"
        return "known" if moved is None else "overruled" if before == "resolved_not_done" else "recorded"

    async def refuse(self, proposal: str, /, *, result: str) -> None:
        """Anything that has not begun → refused."""
        await self._move(proposal, OPEN, "refused", result=result)

    async def withdraw(self, proposal: str, /) -> None:
        """Anything that has not begun → withdrawn."""
        await self._move(proposal, OPEN, "withdrawn")

    async def resolve(self, proposal: str, /, *, result: str | None) -> EffectRecord:
        """Executing or in doubt → resolved as done or not done; returns how it stands now."""
        await _resolve(self._database, self._time, proposal, result)
        found = await self.find(proposal)
        if found is None:
            raise StoreError(f"effect {proposal} is unknown")
        return found

    async def find(self, proposal: str, /) -> EffectRecord | None:
        """An effect of this call."""
        statement = select(*_RECORD).where(effects.c.proposal == proposal, effects.c.call_id == self._call_id)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _record(row)

    async def _move(
        self, proposal: str, before: Collection[str], after: EffectState, **values: Any
    ) -> EffectRecord | None:
        async with self._database.write() as connection:
            await self._own(connection)
            return await self._moved(connection, proposal, before, after, **values)

    async def _moved(
        self, connection: AsyncConnection, proposal: str, before: Collection[str], after: EffectState, **values: Any
    ) -> EffectRecord | None:
        now = await self._time.now(connection)
        return await _move(connection, self._mine(proposal), before, after, fence=self._fence, now=now, **values)

    def _mine(self, proposal: str) -> ColumnElement[bool]:
        return and_(effects.c.proposal == proposal, effects.c.call_id == self._call_id)

    async def _own(self, connection: AsyncConnection) -> None:
        """Make sure that the call is still this process's, and stays so until the transaction ends."""
        owner = select(calls.c.fence).where(calls.c.id == self._call_id).with_for_update(read=True)
        fence = (await connection.execute(owner)).scalar_one_or_none()
        if fence != self._fence:
            raise StaleOwnerError(f"call {self._call_id} belongs to owner {fence}, not {self._fence}")

    async def _exceeded(
        self, connection: AsyncConnection, tool: str, subject: str, limits: Sequence[EffectLimit], *, now: datetime
    ) -> bool:
        if not limits:
            return False
        if not self._database.is_sqlite:
            # Two calls of one account would each count without the other; SQLite has one writer at a time anyway.
            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
            await connection.execute(lock, {"name": f"{tool}|{subject}"})
        for limit in limits:
            count = select(func.count()).where(effects.c.tool == tool, effects.c.state.in_(BEGUN))
            if limit.seconds is None:
                count = count.where(effects.c.call_id == self._call_id)
            else:
                count = count.where(
                    effects.c.subject == subject, effects.c.began_at > now - timedelta(seconds=limit.seconds)
                )
            if (await connection.execute(count)).scalar_one() >= limit.count:
                return True
        return False


class EffectRecords:
    """All effects of all calls: ledgers for those who execute, and the view of those who clean up."""

    def __init__(self, database: Database, time: DatabaseTime) -> None:
        self._database = database
        self._time = time

    def ledger(self, call_id: str, fence: int) -> SqlEffectLedger:
        """The ledger of a call, for the process that owns it under that number (see `CallRecords.take`)."""
        return SqlEffectLedger(self._database, self._time, call_id, fence)

    async def of_call(self, call_id: str) -> tuple[EffectRecord, ...]:
        """All effects of a call, oldest first."""
        return await self._all(effects.c.call_id == call_id)

    async def in_doubt(self) -> tuple[EffectRecord, ...]:
        """What a person has to look at, oldest first."""
        return await self._all(effects.c.state == "in_doubt")

    async def not_done(self) -> tuple[EffectRecord, ...]:
        """What was confirmed and not done, and a person was told of (`untold`) and has not seen to; oldest first."""
        return await self._all(and_(_confirmed_not_done(), effects.c.told_at >= effects.c.changed_at))

    async def untold(self) -> tuple[EffectRecord, ...]:
        """What was confirmed and not done, and whose caller has gone without having been told: each only once.

        That a person is told of it is noted as done now.
        """
        new = or_(effects.c.told_at.is_(None), effects.c.told_at < effects.c.changed_at)
        # On hold or with a person they were told by nobody either. Of whoever came back the hand-over has failed.
        kept = and_(handovers.c.call_id == effects.c.call_id, handovers.c.state.in_(("completed", "canceled")))
        left = select(func.max(handovers.c.requested_at)).where(kept).scalar_subquery()
        columns = (effects.c.proposal, effects.c.changed_at, calls.c.ended_at, left.label("left_at"))
        joined = select(*columns).join(calls, calls.c.id == effects.c.call_id)
        async with self._database.read() as connection:
            now = await self._time.now(connection)
            # A call that nobody ended, because all processes were down, is over when it is as old as no call gets.
            over = or_(calls.c.state == "ended", effects.c.changed_at < now - STALE)
            lately = effects.c.changed_at > now - REMEMBERED
            rows = await connection.execute(joined.where(_confirmed_not_done(), new, over, lately))
            found = [row.proposal for row in rows if _unknown_to_caller(row)]
        if not found:
            return ()
        async with self._database.write() as connection:
            # Of several sweepers one gets each.
            mine = update(effects).where(effects.c.proposal.in_(found), _confirmed_not_done(), new)
            told = mine.values(told_at=await self._time.now(connection)).returning(*_RECORD)
            return tuple(_record(row) for row in await connection.execute(told))

    async def settle(self, proposal: str, /, *, done: bool) -> bool:
        """A person has seen to an effect in doubt, whose outcome they know, or to one of `not_done`.

        False when it is neither.
        """
        resolved = await self.resolve(proposal, result='{"status":"done"}' if done else None)
        async with self._database.write() as connection:
            this = effects.c.proposal == proposal
            if not resolved:
                this = and_(this, _confirmed_not_done(), effects.c.told_at.is_not(None))
            now = await self._time.now(connection)
            return bool((await connection.execute(update(effects).where(this).values(settled_at=now))).rowcount == 1)

    async def transitions(self, proposal: str) -> tuple[EffectState, ...]:
        """The states an effect has been in, in order."""
        states = select(effect_transitions.c.state).where(effect_transitions.c.proposal == proposal)
        async with self._database.read() as connection:
            entered = set((await connection.execute(states)).scalars())
        return tuple(state for state in get_args(EffectState) if state in entered)

    async def claim(self, tools: Collection[str], /, *, most: int = 50) -> tuple[EffectRecord, ...]:
        """Take effects that nobody executes any more, or that are in doubt, to oneself for `LEASE`: at most `most`,
        first those that were never claimed, then those whose last claim is the longest ago.

        `tools` are those that can be looked up. What is in doubt and cannot be is claimed until a person was told.
        """
        async with self._database.write() as connection:
            now = await self._time.now(connection)
            return await _claim(connection, tools, most, now)

    async def resolve(self, proposal: str, /, *, result: str | None) -> bool:
        """Executing or in doubt → resolved_done with its result, or resolved_not_done; False when it is neither."""
        return await _resolve(self._database, self._time, proposal, result)

    async def doubt(self, proposal: str, /, *, result: str) -> bool:
        """Executing → in_doubt; True when a person has not been told of it yet, which is noted as done now."""
        async with self._database.write() as connection:
            this, now = effects.c.proposal == proposal, await self._time.now(connection)
            await _move(connection, this, ("executing",), "in_doubt", fence=None, now=now, result=result)
            told = update(effects).where(this, effects.c.state == "in_doubt", effects.c.told_at.is_(None))
            return bool((await connection.execute(told.values(told_at=now))).rowcount == 1)

    async def expire(self) -> int:
        """Open → expired, for calls that are over and proposals that are too old; returns how many."""
        async with self._database.write() as connection:
            now = await self._time.now(connection)
            return await expire(connection, _to_expire(now - SETTLING, now - STALE), now)

    async def any_waits(self, tools: Collection[str], /) -> bool:
        """Whether `expire`, or `claim` of `tools`, would find anything: a look, where they keep others from writing."""
        async with self._database.read() as connection:
            now = await self._time.now(connection)
            values = {"tools": sorted(tools), "now": now, "settled": now - SETTLING, "stale": now - STALE}
            return bool((await connection.execute(_ANY_WAITS, values)).scalar_one())

    async def _all(self, which: ColumnElement[bool]) -> tuple[EffectRecord, ...]:
        statement = select(*_RECORD).where(which).order_by(effects.c.proposed_at, effects.c.proposal)
        async with self._database.read() as connection:
            return tuple(_record(row) for row in await connection.execute(statement))


def _unknown_to_caller(row: Any) -> bool:
    """Whether the outcome came when the agent could not tell it any more: the caller had gone, or was on their way."""
    gone = [moment for moment in (row.ended_at, row.left_at) if moment is not None]
    return not gone or bool(row.changed_at > min(gone) - TELLING)


_Moment = datetime | BindParameter[datetime]


def _confirmed_not_done() -> ColumnElement[bool]:
    return and_(effects.c.state.in_(NOT_DONE), effects.c.key.is_not(None), effects.c.settled_at.is_(None))


def _still_open() -> ColumnElement[bool]:
    return effects.c.state.in_(OPEN)


def _to_expire(settled: _Moment, stale: _Moment) -> ColumnElement[bool]:
    """Of open effects."""
    # Looked up per open effect, of which there are few; all calls that ever ended are many.
    over = exists().where(calls.c.id == effects.c.call_id, calls.c.state == "ended")
    return or_(and_(over, effects.c.changed_at < settled), effects.c.proposed_at < stale)


def _to_be_claimed(tools: Collection[str] | BindParameter[Any], now: _Moment) -> ColumnElement[bool]:
    over = or_(effects.c.deadline.is_(None), effects.c.deadline < now)
    gone = effects.c.state == "executing"
    doubtful = and_(effects.c.state == "in_doubt", or_(effects.c.told_at.is_(None), effects.c.tool.in_(tools)))
    free = or_(effects.c.claimed_until.is_(None), effects.c.claimed_until < now)
    return and_(or_(gone, doubtful), over, free)


def _any_waits() -> Select[bool]:
    now, settled, stale = (bindparam(name, type_=effects.c.changed_at.type) for name in ("now", "settled", "stale"))
    tools = bindparam("tools", type_=effects.c.tool.type, expanding=True)
    to_expire = exists().where(_still_open(), _to_expire(settled, stale))
    return select(or_(to_expire, exists().where(_to_be_claimed(tools, now))))


_ANY_WAITS: Final = _any_waits()


async def _claim(
    connection: AsyncConnection, tools: Collection[str], most: int, now: datetime
) -> tuple[EffectRecord, ...]:
    # Whose turn was the longest ago: an outside system that answers nothing must not keep the others from theirs.
    turn = (effects.c.claimed_until.asc().nulls_first(), effects.c.changed_at)
    due = select(effects.c.proposal).where(_to_be_claimed(list(tools), now)).order_by(*turn).limit(most)
    # Not within the UPDATE: PostgreSQL may ask the inner query once a row, and each time it finds `most` others.
    locked = (await connection.execute(due.with_for_update(skip_locked=True))).scalars().all()
    if not locked:
        return ()
    claimed = update(effects).where(effects.c.proposal.in_(locked)).values(claimed_until=now + LEASE)
    statement = claimed.returning(*_RECORD)
    return tuple(_record(row) for row in await connection.execute(statement))


async def expire(connection: AsyncConnection, which: ColumnElement[bool], now: datetime) -> int:
    """Within a transaction: open → expired, for the effects that `which` selects; returns how many."""
    rows = await connection.execute(select(effects.c.proposal).where(which, _still_open()))
    expired = [
        await _move(connection, effects.c.proposal == proposal, OPEN, "expired", fence=None, now=now)
        for proposal in rows.scalars().all()
    ]
    return len([record for record in expired if record is not None])


async def _resolve(database: Database, time: DatabaseTime, proposal: str, result: str | None) -> bool:
    state: EffectState = "resolved_not_done" if result is None else "resolved_done"
    values = {} if result is None else {"result": result}
    async with database.write() as connection:
        this, now = effects.c.proposal == proposal, await time.now(connection)
        moved = await _move(connection, this, ("executing", "in_doubt"), state, fence=None, now=now, **values)
    return moved is not None


async def _move(
    connection: AsyncConnection,
    which: ColumnElement[bool],
    before: Collection[str],
    after: EffectState,
    *,
    fence: int | None,
    now: datetime,
    **values: Any,
) -> EffectRecord | None:
    """One transition of one effect: the conditional UPDATE and its row. None when the condition does not hold."""
    statement = (
        update(effects)
        .where(which, effects.c.state.in_(before))
        .values(state=after, changed_at=now, **values)
        .returning(*_RECORD)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    await _note(connection, row.proposal, after, fence, now)
    return _record(row)


async def _note(
    connection: AsyncConnection, proposal: str, state: EffectState, fence: int | None, now: datetime
) -> None:
    await connection.execute(insert(effect_transitions).values(proposal=proposal, state=state, fence=fence, at=now))


def _earlier(
    begun: Iterable[EffectRecord], record: EffectRecord, sets: Collection[str] | None
) -> tuple[EffectRecord | None, str]:
    """Of a call's effects in their order, the one that answers the wish, and the one since which it is a new wish."""
    earlier, since = None, ""
    for one in begun:
        if one.proposal == record.proposal or (one.account, one.arguments) == (record.account, record.arguments):
            earlier = one
        elif earlier is not None and one.sets_anew(record, sets):
            earlier, since = (None, one.proposal) if one.state in DONE else (one, since)
    return earlier, since


def _fingerprint(record: EffectRecord, since: str) -> str:
    # "Cancel my order" is another wish once another account is verified in the same call.
    named = f"{record.tool}\0{record.account or ''}\0{record.arguments}" + (since and f"\0{since}")
    return hashlib.sha256(named.encode()).hexdigest()


def _record(row: Row[*tuple[Any, ...]]) -> EffectRecord:
    return EffectRecord(**row._mapping)
