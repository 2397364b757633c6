"""What came of effects that this call has begun and does not know the end of: the tool is asked, never called again.

Whoever carries an effect out is the only one who knows at once (`execution`). Everybody else asks the tool's `lookup`,
and before the effect's deadline only good news is certain. What stays in doubt the sweeper looks up later; `outcome`
waits for what it finds out.
"""

import asyncio
from dataclasses import replace
from typing import Any, Final

import structlog
from pydantic import BaseModel

from talkspurt.agent import Caller, Tool
from talkspurt.effects.authority import Authority
from talkspurt.effects.calling import answer, bounded, patience
from talkspurt.effects.content import UnusableResultError, error_content, result_content
from talkspurt.effects.known import KnownEffects
from talkspurt.effects.proposal import DONE, result_of
from talkspurt.effects.refusals import (
    CHECKING,
    IN_DOUBT,
    NOT_DONE,
    NOT_DONE_AFTER_ALL,
    NOT_OPEN,
    NOT_YOURS,
    TOO_OFTEN,
    UNDER_WAY,
    NotDoneError,
    where,
)
from talkspurt.effects.wording import canonical_arguments
from talkspurt.ports import EffectLedger, EffectRecord

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the ledger for what came of an effect in doubt."""
LOOKED_UP_WITHIN: Final = 30.0
"""Seconds from when an effect may be looked up until its caller is told that this takes longer than their call."""

_log = structlog.get_logger(__name__)


class Outcomes:
    """Those of one call's effects."""

    def __init__(self, caller: Caller, authority: Authority, ledger: EffectLedger, under_way: set[str]) -> None:
        self._caller = caller
        self._authority = authority
        self._ledger = ledger
        self.known = KnownEffects(under_way)
        self._checked: set[str] = set()
        """Proposals in doubt that the sweeper will look up."""

    async def recover(self, proposal: str) -> str:
        """What came of an effect that is not open here: it has ended, or another process died while it was at it."""
        try:
            record = await bounded(self._ledger.find(proposal))
        except Exception as error:
            _log.error("effect_not_recovered", **where(error))
            return error_content("in_doubt", IN_DOUBT)
        if record is None:
            return error_content("refused", NOT_OPEN)
        tool = self._authority.tool(record.tool)
        if record.state in ("executing", "in_doubt") and tool is not None:
            if self.known.is_under_way(proposal):
                # By another session of this call, which nobody listens to any more.
                self._checked.add(proposal)
            try:
                arguments = tool.arguments.model_validate_json(record.arguments)
            except ValueError:
                return error_content("in_doubt", IN_DOUBT)
            return await self._of_begun(record, tool, arguments)
        if record.state in DONE:
            return self.for_caller(record, result_of(record))
        if record.state in ("executing", "in_doubt"):
            return error_content("in_doubt", IN_DOUBT)
        return error_content("refused", NOT_DONE)

    async def of_earlier(self, record: EffectRecord, tool: Tool, arguments: BaseModel) -> str:
        """What to answer to a wish that the ledger has a record of already. Raises `NotDoneError`."""
        if record.state in DONE:
            return self.for_caller(record, result_of(record))
        if record.arguments != canonical_arguments(tool, arguments):
            # Another effect on the same thing, whose outcome is open, and with it how that thing stands.
            return self.doubt(record, tool)
        if record.state == "refused":
            raise NotDoneError("refused", TOO_OFTEN)
        return await self._of_begun(record, tool, arguments)

    def no_doubt(self, proposal: str) -> None:
        """What came of it is told by whoever carried it out: `outcome` would tell it again."""
        self._checked.discard(proposal)

    def is_checked(self, proposal: str) -> bool:
        """Whether it is in doubt, and `outcome` is worth waiting for."""
        return proposal in self._checked

    async def outcome(self, proposal: str) -> str:
        """Wait for what the sweeper finds out about an effect in doubt, as long as a caller would; the content."""
        looks = 1
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                record = await bounded(self._ledger.find(proposal))
            except Exception as error:
                _log.error("effect_not_looked_at", **where(error))
                record = None
            tool = None if record is None else self._authority.tool(record.tool)
            if record is not None and not self.known.is_open(record):
                break
            waited_for = LOOKED_UP_WITHIN + (0.0 if tool is None else patience(tool))
            if looks * LOOK_EVERY >= waited_for:
                break
            looks += 1
        self._checked.discard(proposal)
        if record is None or self.known.is_open(record):
            return error_content("in_doubt", IN_DOUBT)
        done = record.state in DONE
        return self.for_caller(record, result_of(record) if done else error_content("failed", NOT_DONE_AFTER_ALL))

    def for_caller(self, record: EffectRecord, content: str) -> str:
        """What came of an effect; without any of it when somebody else has the phone by now."""
        serves = self._authority.serves(self._authority.tool(record.tool), record.account)
        return content if serves else error_content("refused", NOT_YOURS)

    def doubt(self, record: EffectRecord, tool: Tool) -> str:
        """What is said of an effect whose outcome is open: who finds it out, and that it is not repeated."""
        if tool.lookup is None:
            return error_content("in_doubt", IN_DOUBT)
        self._checked.add(record.proposal)
        return error_content("in_doubt", CHECKING)

    async def look_up(self, tool: Tool, arguments: BaseModel, key: str) -> str | None:
        """Ask the tool what came of an effect; its result as content, None when it does not say that it was done."""
        if tool.lookup is None or not key:
            return None
        try:
            result = await answer(tool, tool.look_up(arguments, replace(self._caller), key))
        except Exception as error:
            _log.error("lookup_failed", tool=tool.name, **where(error))
            return None
        return None if result is None else told(tool, result)

    async def _of_begun(self, record: EffectRecord, tool: Tool, arguments: BaseModel) -> str:
        """Begun, without an outcome: whoever began it may be gone. Before its deadline only good news is certain."""
        if self.known.is_under_way(record.proposal):
            # A lookup that settles the key would keep it from being done.
            return error_content("in_doubt", UNDER_WAY)
        found = await self.look_up(tool, arguments, record.key or "")
        if found is None:
            # Asking the caller again would promise what cannot be kept.
            return self.doubt(record, tool)
        try:
            await bounded(self._ledger.resolve(record.proposal, result=found))
        except Exception as error:
            _log.error("effect_not_resolved", tool=tool.name, **where(error))
        return self.for_caller(record, found)


def told(tool: Tool, result: Any) -> str:
    """The result of what happened, as content: one that cannot be told must not look like a failure."""
    try:
        return result_content(result)
    except UnusableResultError as error:
        _log.error("tool_result_unusable", tool=tool.name, reason=str(error))
        return result_content({"status": "done"})
