"""The effect ledger on the database: one committed transition at a time.

    proposed ──begin──► executing ──finish──► done | failed | in_doubt
        └──withdraw──► withdrawn

Every arrow is one conditional UPDATE. The unique index `uq_effects_once` keeps a call from
executing the same tool with the same arguments a second time, even if two proposals for it were
made at once; an effect in doubt blocks a second attempt as well, until a person has looked.
"""

import hashlib
from typing import Any, Literal

from sqlalchemy import Row, Update, insert, select, update

from talkspurt.errors import StoreError
from talkspurt.ports import EffectRecord
from talkspurt.store.clock import Clock
from talkspurt.store.database import ConflictError, Database
from talkspurt.store.tables import effects

_RECORD = (
    effects.c.proposal,
    effects.c.call_id,
    effects.c.tool,
    effects.c.arguments,
    effects.c.state,
    effects.c.result,
)


class SqlEffectLedger:
    """Implements `ports.EffectLedger`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def propose(self, record: EffectRecord, /) -> EffectRecord:
        """Store a new proposal; returns the earlier record if this call already did the same thing, or may have."""
        now = self._clock()
        fingerprint = _fingerprint(record)
        async with self._database.write() as connection:
            begun = select(*_RECORD).where(
                effects.c.call_id == record.call_id,
                effects.c.fingerprint == fingerprint,
                effects.c.state.in_(("executing", "done", "in_doubt")),
            )
            earlier = (await connection.execute(begun)).first()
            if earlier is None:
                same = select(*_RECORD).where(effects.c.proposal == record.proposal)
                earlier = (await connection.execute(same)).first()
            if earlier is not None:
                return _record(earlier)
            await connection.execute(
                insert(effects).values(
                    proposal=record.proposal,
                    call_id=record.call_id,
                    tool=record.tool,
                    arguments=record.arguments,
                    fingerprint=fingerprint,
                    state="proposed",
                    proposed_at=now,
                    changed_at=now,
                )
            )
        return EffectRecord(record.proposal, record.call_id, record.tool, record.arguments, "proposed")

    async def begin(self, proposal: str, /) -> EffectRecord | None:
        """Proposed → executing, once: None when it is not proposed, or another proposal did the same."""
        statement = self._transition(proposal, "proposed").values(state="executing").returning(*_RECORD)
        try:
            async with self._database.write() as connection:
                begun = (await connection.execute(statement)).one_or_none()
        except ConflictError:
            return None
        return None if begun is None else _record(begun)

    async def finish(self, proposal: str, /, *, state: Literal["done", "failed", "in_doubt"], result: str) -> None:
        """Executing → its outcome. The same outcome again changes nothing; any other is a `StoreError`."""
        statement = self._transition(proposal, "executing").values(state=state, result=result)
        async with self._database.write() as connection:
            if (await connection.execute(statement)).rowcount == 1:
                return
            found = (await connection.execute(select(*_RECORD).where(effects.c.proposal == proposal))).one_or_none()
        if found is None or (found.state, found.result) != (state, result):
            standing = "unknown" if found is None else found.state
            raise StoreError(f"effect {proposal} cannot become {state}: it is {standing}, not executing")

    async def withdraw(self, proposal: str, /) -> None:
        """Proposed → withdrawn; any other state is left alone."""
        async with self._database.write() as connection:
            await connection.execute(self._transition(proposal, "proposed").values(state="withdrawn"))

    async def doubt_unfinished(self, call_id: str) -> int:
        """Executing → in_doubt, for a call whose session is gone: whether it happened, nobody here can know."""
        statement = (
            update(effects)
            .where(effects.c.call_id == call_id, effects.c.state == "executing")
            .values(state="in_doubt", changed_at=self._clock())
        )
        async with self._database.write() as connection:
            return int((await connection.execute(statement)).rowcount)

    async def of_call(self, call_id: str) -> tuple[EffectRecord, ...]:
        """All effects of a call, oldest first."""
        statement = (
            select(*_RECORD).where(effects.c.call_id == call_id).order_by(effects.c.proposed_at, effects.c.proposal)
        )
        async with self._database.read() as connection:
            return tuple(_record(row) for row in await connection.execute(statement))

    def _transition(self, proposal: str, before: str) -> Update:
        return (
            update(effects)
            .where(effects.c.proposal == proposal, effects.c.state == before)
            .values(changed_at=self._clock())
        )


def _fingerprint(record: EffectRecord) -> str:
    return hashlib.sha256(f"{record.tool}\0{record.arguments}".encode()).hexdigest()


def _record(row: Row[*tuple[Any, ...]]) -> EffectRecord:
    return EffectRecord(**row._mapping)
