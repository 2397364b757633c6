"""One effect of a call: while it waits for a yes, and what makes it the same as another."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from talkspurt.agent import Progress, ReadBack, Tool
from talkspurt.effects.content import result_content
from talkspurt.ports import EffectRecord

DONE: Final = ("done", "resolved_done")

Identity = tuple[str, str | None, str]
"""Tool, account and canonical arguments: what is done once in a call."""


@dataclass(slots=True)
class Proposal:
    """An effect that waits for a yes: for whom it was worded, and how."""

    tool: Tool
    arguments: BaseModel
    record: EffectRecord
    read_back: ReadBack
    heard_at: float | None = None
    noted: bool = False
    """The ledger knows that it was heard."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    progress: Progress = field(default_factory=Progress)


def identity(record: EffectRecord) -> Identity:
    """What the record is the same as another by."""
    return record.tool, record.account, record.arguments


def result_of(record: EffectRecord) -> str:
    """The result of an effect that was done, as content."""
    return record.result or result_content({"status": "done"})
