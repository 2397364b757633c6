"""An effect ledger that forgets everything with the process: for tests of agents and of the runtime.

It keeps the same transitions as the stored one, and can be told to refuse the next write.
"""

import asyncio
from dataclasses import replace
from typing import Literal

from talkspurt.errors import StoreError
from talkspurt.ports import EffectRecord


class MemoryEffectLedger:
    """`EffectLedger` in a dictionary. `unreachable` makes every transition raise `StoreError`."""

    def __init__(self) -> None:
        self.records: dict[str, EffectRecord] = {}
        self.unreachable = False

    async def propose(self, record: EffectRecord, /) -> EffectRecord:
        """Store a proposal, or return the record of the same effect that this call did before, or may have done."""
        await self._reach()
        for earlier in self.records.values():
            same = (earlier.call_id, earlier.tool, earlier.arguments) == (record.call_id, record.tool, record.arguments)
            if same and earlier.state in ("executing", "done", "in_doubt"):
                return earlier
        self.records[record.proposal] = record
        return record

    async def begin(self, proposal: str, /) -> EffectRecord | None:
        """Move proposed to executing, once."""
        await self._reach()
        record = self.records.get(proposal)
        if record is None or record.state != "proposed":
            return None
        self.records[proposal] = replace(record, state="executing")
        return self.records[proposal]

    async def finish(self, proposal: str, /, *, state: Literal["done", "failed", "in_doubt"], result: str) -> None:
        """Move executing to its outcome."""
        await self._reach()
        record = self.records.get(proposal)
        if record is None or record.state != "executing":
            raise StoreError(f"effect {proposal} is not executing")
        self.records[proposal] = replace(record, state=state, result=result)

    async def withdraw(self, proposal: str, /) -> None:
        """Move proposed to withdrawn; leave any other state alone."""
        await self._reach()
        record = self.records.get(proposal)
        if record is not None and record.state == "proposed":
            self.records[proposal] = replace(record, state="withdrawn")

    async def _reach(self) -> None:
        # A real store lets other work of the call go on meanwhile.
        await asyncio.sleep(0)
        if self.unreachable:
            raise StoreError("the effect ledger cannot be reached")
