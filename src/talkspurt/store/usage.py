"""What calls used of their providers, as it was measured; what it cost is reckoned when somebody asks."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from talkspurt.store.database import Database
from talkspurt.store.tables import calls, usage
from talkspurt.telemetry.usage import Leg, Unit

Used = Mapping[tuple[Leg, str, Unit], float]
"""Amounts by leg, provider and unit."""


@dataclass(frozen=True, slots=True)
class Average:
    """What a call used on average, of so many."""

    calls: int
    used: Used


class UsageRecords:
    """The usage table. All methods raise `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, call_id: str, used: Used) -> None:
        """Add what a process has used for a call."""
        rows = [
            {"call_id": call_id, "leg": leg, "vendor": vendor, "unit": unit, "amount": amount}
            for (leg, vendor, unit), amount in used.items()
        ]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(insert(usage), rows)

    async def average(self, latest: int) -> Average:
        """What the `latest` ended calls used on average: at most so many, fewer if there are no more."""
        chosen = (
            select(calls.c.id)
            .where(calls.c.state == "ended", select(usage.c.id).where(usage.c.call_id == calls.c.id).exists())
            .order_by(calls.c.ended_at.desc())
            .limit(latest)
            .subquery()
        )
        sums = (
            select(usage.c.leg, usage.c.vendor, usage.c.unit, func.sum(usage.c.amount))
            .where(usage.c.call_id.in_(select(chosen.c.id)))
            .group_by(usage.c.leg, usage.c.vendor, usage.c.unit)
        )
        async with self._database.read() as connection:
            count = (await connection.execute(select(func.count()).select_from(chosen))).scalar_one()
            rows = (await connection.execute(sums)).all()
        return Average(count, {(leg, vendor, unit): total / count for leg, vendor, unit, total in rows})
