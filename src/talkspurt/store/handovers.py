"""Hand-overs of calls to people: where each stands, who waits for which telephone, and every step it took.

A hand-over is a row that facts move, one committed transition at a time: each is a conditional UPDATE, so
of two facts that contradict each other (the colleague presses 1, the caller presses 1) one wins, in whatever
process they arrive. No process has to live for a hand-over to go on. All its times are the database's (`store.clock`):
a worker whose clock is ahead would take callers for gone who wait.

    requested → waiting → ringing → briefing → accepted → connected → completed
        the other ends: failed (the caller is with the agent again), canceled (the caller has gone)

A cold hand-over goes from ringing to connected at once. Whoever was taken for gone and asks all the same waits on.
"""

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Row, Select, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from talkspurt.store.clock import DatabaseTime
from talkspurt.store.database import ConflictError, Database
from talkspurt.store.tables import handover_steps, handovers

State = Literal[
    "requested", "waiting", "ringing", "briefing", "accepted", "connected", "completed", "failed", "canceled"
]

OPEN: Final[tuple[State, ...]] = ("requested", "waiting", "ringing", "briefing", "accepted", "connected")
ATTEMPTING: Final[tuple[State, ...]] = ("ringing", "briefing", "accepted")
"""Somebody is being reached: what is under way can fail, and then another place is tried."""
HOLDING: Final[tuple[State, ...]] = ("ringing", "briefing", "accepted", "connected")
"""A line of the target is in use."""

VANISHED: Final = timedelta(minutes=3)
"""A caller who waits or is rung for asks how to go on when what they are played is over, with words several times a
minute; when neither they nor the telephone that is rung were heard of for this long, the carrier's word was lost."""
VANISHED_CAUSE: Final = "vanished"
LONGEST_TALK: Final = timedelta(hours=4)
"""The carrier's own limit for a call. A line that is held for longer is free."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One hand-over as it stood when it was read."""

    id: str
    call_id: str
    target: str
    tried: tuple[str, ...]
    """Targets where nobody took the call."""
    reason: str
    account: str | None
    level: int
    """The caller's verification level when it was asked for."""
    state: State
    cause: str | None
    """Why it ended before its time, or the last attempt did; of a briefing, that a person listens."""
    line: int | None
    attempt: int
    """Outgoing calls so far: news of an earlier one is stale."""
    leg: str | None
    """The carrier's id of the outgoing call under way."""
    requested_at: datetime
    queued_at: datetime
    changed_at: datetime
    seen_at: datetime
    """When the caller's line last asked how to go on."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transition of a hand-over."""

    state: State
    target: str
    detail: str
    at: datetime


class HandoverRecords:
    """The handovers and handover_steps tables. All methods raise `StoreError`."""

    def __init__(self, database: Database, time: DatabaseTime) -> None:
        self._database = database
        self._time = time

    async def request(
        self, call_id: str, *, target: str, reason: str, account: str | None = None, level: int = 0
    ) -> Handover:
        """Note that a call is to go to `target`; returns the open hand-over of a caller who has left the agent already.

        One that they have not left for is for what they want now, by who they are now: an earlier request may have
        been given up in the middle, and nobody knows.
        """
        wish = {"target": target, "reason": reason, "account": account, "level": level}
        known = await self.open_of(call_id)
        if known is not None:
            return await self._renew(known, wish) or known
        row = insert(handovers).values(
            id=uuid.uuid4().hex, call_id=call_id, tried="", state="requested", attempt=0, **wish
        )
        try:
            async with self._database.write() as connection:
                now = await self._time.now(connection)
                row = row.values(requested_at=now, queued_at=now, changed_at=now, seen_at=now)
                made = _handover((await connection.execute(row.returning(*handovers.c))).one())
                await _note(connection, made, "")
                return made
        except ConflictError:
            known = await self.open_of(call_id)
            if known is None:
                raise
            return known

    async def _renew(self, known: Handover, wish: dict[str, Any]) -> Handover | None:
        """Ask for it anew; None when it is not just requested any more. The place in a queue that was told is kept."""
        async with self._database.write() as connection:
            now = await self._time.now(connection)
            return await _move(
                connection,
                (handovers.c.id == known.id, handovers.c.state == "requested"),
                "requested",
                detail="asked_again",
                requested_at=now,
                queued_at=known.queued_at if known.target == wish["target"] else now,
                changed_at=now,
                seen_at=now,
                **wish,
            )

    async def find(self, handover_id: str) -> Handover | None:
        """The hand-over with that id."""
        return await self._one(select(handovers).where(handovers.c.id == handover_id))

    async def open_of(self, call_id: str) -> Handover | None:
        """The hand-over that a call is in."""
        return await self._one(select(handovers).where(handovers.c.call_id == call_id, handovers.c.state.in_(OPEN)))

    async def latest_of(self, call_id: str) -> Handover | None:
        """The last hand-over of a call, over or not."""
        statement = select(handovers).where(handovers.c.call_id == call_id)
        return await self._one(statement.order_by(handovers.c.requested_at.desc(), handovers.c.changed_at.desc()))

    async def failures_of(self, call_id: str, *, besides: Collection[str]) -> int:
        """How many hand-overs of a call came to nothing, for any cause `besides` these."""
        statement = select(func.count()).where(
            handovers.c.call_id == call_id, handovers.c.state == "failed", handovers.c.cause.not_in(besides)
        )
        async with self._database.read() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def steps(self, handover_id: str) -> tuple[Step, ...]:
        """Every transition, in order."""
        statement = select(handover_steps).where(handover_steps.c.handover_id == handover_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.order_by(handover_steps.c.id))).all()
        return tuple(Step(row.state, row.target, row.detail, row.at) for row in rows)

    # ── the queue of a target ─────────────────────────────────────────────────────

    async def load(self, target: str) -> tuple[int, int]:
        """How many callers are at a target, and how many wait for it."""
        counted = select(
            func.count().filter(handovers.c.state.in_(HOLDING)),
            func.count().filter(handovers.c.state.in_(("requested", "waiting"))),
        ).where(handovers.c.target == target)
        async with self._database.read() as connection:
            gone = _gone(await self._time.now(connection))
            at, waiting = (await connection.execute(counted.where(~gone))).one()
        return int(at), int(waiting)

    async def ahead(self, handover: Handover) -> int:
        """How many callers wait for the same target and have done so for longer."""
        statement = select(func.count()).where(
            handovers.c.target == handover.target,
            handovers.c.state.in_(("requested", "waiting")),
            _before(handover),
        )
        async with self._database.read() as connection:
            gone = _gone(await self._time.now(connection))
            return int((await connection.execute(statement.where(~gone))).scalar_one())

    async def claim(self, handover: Handover, lines: int) -> Handover | None:
        """Waiting → ringing, when the target has a line free and nobody has waited for longer; else None.

        Committed before anybody is called, so a request that the carrier repeats does not ring twice.
        """
        try:
            async with self._database.write() as connection:
                now = await self._time.now(connection)
                await _release_gone(connection, handover.target, now)
                first = select(func.count()).where(
                    handovers.c.target == handover.target, handovers.c.state == "waiting", _before(handover)
                )
                if (await connection.execute(first)).scalar_one():
                    return None
                taken = set(
                    (
                        await connection.scalars(
                            select(handovers.c.line).where(
                                handovers.c.target == handover.target, handovers.c.line.is_not(None)
                            )
                        )
                    ).all()
                )
                free = next((line for line in range(lines) if line not in taken), None)
                if free is None:
                    return None
                return await _move(
                    connection,
                    (handovers.c.id == handover.id, handovers.c.state == "waiting"),
                    "ringing",
                    detail="",
                    line=free,
                    attempt=handovers.c.attempt + 1,
                    leg=None,
                    changed_at=now,
                )
        except ConflictError:
            # Another process took the same line at the same moment.
            return None

    # ── transitions ───────────────────────────────────────────────────────────────

    async def move(
        self,
        handover: Handover,
        to: State,
        *,
        leaving: tuple[State, ...],
        detail: str = "",
        attempt: int | None = None,
        tried: Collection[str] | None = None,
        **values: Any,
    ) -> Handover | None:
        """One transition: None when the hand-over is in none of the states `leaving` (any more), or at another attempt.

        What leaves a target gives its line to the next caller.
        """
        conditions = [handovers.c.id == handover.id, handovers.c.state.in_(leaving)]
        if attempt is not None:
            conditions.append(handovers.c.attempt == attempt)
        if tried is not None:
            values["tried"] = json.dumps(list(tried))
        if to not in HOLDING:
            values |= {"line": None, "leg": None}
        async with self._database.write() as connection:
            now = await self._time.now(connection)
            return await _move(connection, conditions, to, detail=detail, changed_at=now, **values)

    async def seen(self, handover: Handover) -> datetime:
        """The caller is still on the line; returns the time of it, to which the others of a hand-over compare."""
        async with self._database.write() as connection:
            now = await self._time.now(connection)
            await connection.execute(update(handovers).where(handovers.c.id == handover.id).values(seen_at=now))
        return now

    async def note_leg(self, handover: Handover, leg: str) -> bool:
        """Remember the carrier's id of this attempt's outgoing call; False when nobody waits for it any more."""
        statement = (
            update(handovers)
            .where(
                handovers.c.id == handover.id,
                handovers.c.attempt == handover.attempt,
                handovers.c.state.in_(HOLDING),
            )
            .values(leg=leg)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def _one(self, statement: Select[Any]) -> Handover | None:
        async with self._database.read() as connection:
            row = (await connection.execute(statement.limit(1))).one_or_none()
        return None if row is None else _handover(row)


async def _move(
    connection: AsyncConnection,
    conditions: Collection[ColumnElement[bool]],
    to: State,
    *,
    detail: str,
    changed_at: datetime,
    **values: Any,
) -> Handover | None:
    moved = update(handovers).where(*conditions).values(state=to, changed_at=changed_at, **values)
    row = (await connection.execute(moved.returning(*handovers.c))).one_or_none()
    if row is None:
        return None
    handover = _handover(row)
    await _note(connection, handover, detail)
    return handover


async def _note(connection: AsyncConnection, handover: Handover, detail: str) -> None:
    await connection.execute(
        insert(handover_steps).values(
            handover_id=handover.id,
            state=handover.state,
            target=handover.target,
            detail=detail[:64],
            at=handover.changed_at,
        )
    )


def _gone(now: datetime) -> ColumnElement[bool]:
    state, unheard = handovers.c.state, now - VANISHED
    return or_(
        and_(
            state.in_(("requested", "waiting", "ringing", "briefing")),
            handovers.c.seen_at < unheard,
            handovers.c.changed_at < unheard,
        ),
        and_(state.in_(("accepted", "connected")), handovers.c.changed_at < now - LONGEST_TALK),
    )


async def _release_gone(connection: AsyncConnection, target: str, now: datetime) -> None:
    gone = select(handovers.c.id).where(handovers.c.target == target, handovers.c.state.in_(OPEN), _gone(now))
    for handover_id in (await connection.scalars(gone)).all():
        await _move(
            connection,
            (handovers.c.id == handover_id,),
            "canceled",
            detail=VANISHED_CAUSE,
            changed_at=now,
            cause=VANISHED_CAUSE,
            line=None,
        )


def _before(handover: Handover) -> ColumnElement[bool]:
    queued = handovers.c.queued_at
    earlier = or_(queued < handover.queued_at, and_(queued == handover.queued_at, handovers.c.id < handover.id))
    return and_(handovers.c.id != handover.id, earlier)


def _handover(row: Row[*tuple[Any, ...]]) -> Handover:
    values = dict(row._mapping)
    values["tried"] = _names(values["tried"])
    return Handover(**values)


def _names(tried: str) -> tuple[str, ...]:
    """The names in a column `tried`. Earlier versions wrote them separated by spaces, which names may have.

    While a new version replaces an earlier one both write, and to the same row. Whatever stands there, it is read: a
    name that is not understood costs one more ringing, but an error would end all calls that wait for the same place.
    """
    try:
        names = json.loads(tried)
    except ValueError:
        names = None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return tuple(tried.split())
