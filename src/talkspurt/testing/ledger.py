"""An effect ledger that forgets everything with the process: for tests of agents and of the runtime.

It keeps the same transitions as the stored one, without owners and limits of rate, and can be told to refuse the next
write.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Literal

from talkspurt.errors import SettledError, StoreError
from talkspurt.ports import EffectLimit, EffectRecord, EffectState, Happening

_OPEN = ("proposed", "read_back", "confirmed")
_DONE = ("done", "resolved_done")
_BEGUN = ("executing", "done", "in_doubt", "resolved_done")


class MemoryEffectLedger:
    """`EffectLedger` in a dictionary. `unreachable` makes every transition raise `StoreError`."""

    def __init__(self) -> None:
        self.records: dict[str, EffectRecord] = {}
        self._since: dict[str, str] = {}
        """By proposal, the effect since which it is a new wish."""
        self.unreachable = False

    async def propose(
        self, record: EffectRecord, /, *, limits: Sequence[EffectLimit] = (), sets: Collection[str] | None = None
    ) -> EffectRecord:
        await self._reach()
        earlier, since = None, ""
        for one in self.records.values():
            if one.state in _BEGUN and _same(one, record):
                earlier = one
            elif one.state in _BEGUN and earlier is not None and one.sets_anew(record, sets):
                earlier, since = (None, one.proposal) if one.state in _DONE else (one, since)
        if earlier is not None and record.state == "proposed":
            return earlier
        self.records[record.proposal] = record
        self._since[record.proposal] = since
        return record

    async def read_back(self, proposal: str, /, *, heard_at: float) -> bool:
        return await self._move(proposal, ("proposed",), "read_back") is not None

    async def confirm(self, proposal: str, /, *, turn: int, key: str) -> bool:
        return await self._move(proposal, ("read_back",), "confirmed", turn=turn, key=key) is not None

    async def begin(
        self, proposal: str, /, *, patience: float, limits: Sequence[EffectLimit] = ()
    ) -> EffectRecord | None:
        await self._reach()
        record = self.records.get(proposal)
        if record is None or self._begun_already(record):
            return None
        return await self._move(proposal, ("confirmed",), "executing")

    async def finish(self, proposal: str, /, *, state: Literal["done", "failed", "in_doubt"], result: str) -> None:
        if await self._move(proposal, ("executing",), state, result=result) is None:
            raise SettledError(f"effect {proposal} is not executing")

    async def hold(self, proposal: str, /, *, patience: float) -> None:
        await self._reach()

    async def happened(self, proposal: str, /, *, result: str) -> Happening:
        await self._reach()
        record = self.records.get(proposal)
        if record is None or record.state not in ("executing", "in_doubt", "resolved_not_done"):
            return "known"
        if record.state == "resolved_not_done" and self._begun_already(record):
            return "twice"
        await self._move(proposal, (record.state,), "resolved_done", result=result)
        return "overruled" if record.state == "resolved_not_done" else "recorded"

    async def refuse(self, proposal: str, /, *, result: str) -> None:
        await self._move(proposal, _OPEN, "refused", result=result)

    async def withdraw(self, proposal: str, /) -> None:
        await self._move(proposal, _OPEN, "withdrawn")

    async def resolve(self, proposal: str, /, *, result: str | None) -> EffectRecord:
        if result is None:
            await self._move(proposal, ("executing", "in_doubt"), "resolved_not_done")
        else:
            await self._move(proposal, ("executing", "in_doubt"), "resolved_done", result=result)
        return self.records[proposal]

    async def find(self, proposal: str, /) -> EffectRecord | None:
        await self._reach()
        return self.records.get(proposal)

    def _begun_already(self, record: EffectRecord) -> bool:
        since = self._since[record.proposal]
        return any(
            one.state in _BEGUN and _same(one, record) and self._since[one.proposal] == since
            for one in self.records.values()
        )

    async def _move(
        self, proposal: str, before: Collection[str], after: EffectState, **values: Any
    ) -> EffectRecord | None:
        await self._reach()
        record = self.records.get(proposal)
        if record is None or record.state not in before:
            return None
        self.records[proposal] = replace(record, state=after, **values)
        return self.records[proposal]

    async def _reach(self) -> None:
        # A real store lets other work of the call go on meanwhile.
        await asyncio.sleep(0)
        if self.unreachable:
            raise StoreError("the effect ledger cannot be reached")


def _same(one: EffectRecord, other: EffectRecord) -> bool:
    return (one.call_id, one.tool, one.account, one.arguments) == (
        other.call_id,
        other.tool,
        other.account,
        other.arguments,
    )
