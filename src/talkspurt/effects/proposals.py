"""The way of an effect: worded, proposed, heard, confirmed, judged again, begun.

Before each step its transition is committed in the ledger (docs/effects.md). Nothing here can skip one: without the row
that the step before has left, the next one is refused by the database. An effect that ended in doubt is not tried
again; one that was done is answered with its first result.

One effect of a call runs at a time, and once begun it is carried through (`execution`): cancelling waits for the
outcome, which comes within the tool's timeout. What came of one that is not open here, or in doubt, is told by
`outcomes`.
"""

import asyncio
from dataclasses import replace
from typing import Final
from uuid import uuid4

import structlog
from pydantic import BaseModel

from talkspurt.agent import Caller, Effect, Progress, ReadBack, Tool
from talkspurt.core.events import EffectProposed
from talkspurt.effects.authority import Authority
from talkspurt.effects.calling import bounded, patience
from talkspurt.effects.content import effect_key, result_content
from talkspurt.effects.execution import Execution
from talkspurt.effects.outcomes import Outcomes
from talkspurt.effects.proposal import Proposal, result_of
from talkspurt.effects.refusals import (
    CALLER_CHANGED,
    FAILED,
    IN_DOUBT,
    NOT_HEARD,
    NOT_OPEN,
    TOO_OFTEN,
    NotDoneError,
    where,
)
from talkspurt.effects.wording import canonical_arguments, facts_of, found_to_mean, worded
from talkspurt.ports import EffectLedger, EffectRecord
from talkspurt.telemetry.metrics import EFFECTS

REFUSED_BYTES: Final = 2_000
"""Longest arguments that are kept of a wish that was refused."""

_log = structlog.get_logger(__name__)


class Proposals:
    """The effects of one call."""

    def __init__(self, caller: Caller, authority: Authority, ledger: EffectLedger, outcomes: Outcomes) -> None:
        self._caller = caller
        self._authority = authority
        self._ledger = ledger
        self._outcomes = outcomes
        self._known = outcomes.known
        self._execution = Execution(caller, ledger, outcomes)
        self._open: dict[str, Proposal] = {}
        self._executing: set[asyncio.Task[str]] = set()
        # One effect of a call at a time: the second of two alike then finds the first one's outcome.
        self._turn = asyncio.Lock()

    # ── proposing ─────────────────────────────────────────────────────────────────

    async def propose(self, tool_call: str, tool: Tool, arguments: BaseModel) -> EffectProposed | str:
        """Word an effect and store its proposal; the first result, as content, when the call did the same before."""
        account = self._caller.account if self._caller.level else None
        said = (tool.name, account, canonical_arguments(tool, arguments))
        known = self._known.answer(said)
        if known is not None:
            return known
        self._authority.trust(tool, arguments)
        try:
            read_back = await self._worded(tool, arguments, account)
        except NotDoneError as reason:
            # What has just been done is often refused a second time. That is no news to whoever asked for it.
            known = self._known.answer_to_words(said)
            if known is None or reason.kind != "refused" or not self._authority.serves(tool, account):
                raise
            return known
        arguments = self._authority.scope(tool, found_to_mean(tool, arguments, read_back))
        text = canonical_arguments(tool, arguments)
        meant = (tool.name, account, text)
        self._known.note_meaning(said, meant)
        known = self._known.answer(meant)
        if known is not None:
            return known
        self._authority.judge(tool, read_back)
        record = EffectRecord(
            proposal=uuid4().hex,
            call_id=self._caller.call_id,
            tool=tool.name,
            arguments=text,
            state="proposed",
            account=account,
            subject=self._authority.subject,
            words=read_back.words,
            facts=facts_of(read_back),
        )
        try:
            stored = await bounded(self._ledger.propose(record, limits=self._authority.limits(tool), sets=tool.sets))
        except Exception as error:
            _log.error("effect_not_proposed", tool=tool.name, **where(error))
            raise NotDoneError("failed", FAILED) from None
        if stored.state != "proposed":
            return await self._outcomes.of_earlier(stored, tool, arguments)
        self._open[stored.proposal] = Proposal(tool, arguments, stored, read_back)
        if not self._authority.serves(tool, account):
            await self.withdraw(stored.proposal)
            raise NotDoneError("refused", CALLER_CHANGED)
        content = result_content({"status": "confirmation_required", "read_back": read_back.words})
        return EffectProposed(tool_call, stored.proposal, read_back.words, content)

    async def note_refusal(self, tool: str, arguments: str, content: str) -> None:
        """Keep in the ledger that an effect was wished for and refused before it could be proposed."""
        kept = arguments.encode("utf-8", "replace")[:REFUSED_BYTES].decode("utf-8", "ignore").replace("\0", "")
        record = EffectRecord(
            proposal=uuid4().hex,
            call_id=self._caller.call_id,
            tool=tool[:128].encode("utf-8", "replace").decode().replace("\0", ""),
            arguments=kept,
            state="refused",
            result=content,
            account=self._caller.account if self._caller.level else None,
            subject=self._authority.subject,
        )
        try:
            await bounded(self._ledger.propose(record))
        except Exception as error:
            _log.error("refusal_not_recorded", tool=record.tool, **where(error))

    async def heard(self, proposal: str, at: float) -> None:
        """The caller has heard all of the read-back that has to be heard, `at` seconds into the call."""
        pending = self._open.get(proposal)
        if pending is None:
            return
        pending.heard_at = at if pending.heard_at is None else pending.heard_at
        try:
            await self._note_heard(pending)
        except Exception as error:
            # `execute` tries again, and does nothing without it.
            _log.error("read_back_not_recorded", tool=pending.tool.name, **where(error))

    async def withdraw(self, proposal: str) -> None:
        """Make sure that a proposal is never executed."""
        if self._open.pop(proposal, None) is None:
            return
        try:
            await bounded(self._ledger.withdraw(proposal))
        except Exception as error:
            # Forgotten here is enough: no later execute can find it.
            _log.warning("effect_not_withdrawn", proposal=proposal, **where(error))

    # ── executing ─────────────────────────────────────────────────────────────────

    async def execute(self, proposal: str, turn: int, progress: Progress) -> str:
        """Carry out what the caller heard and confirmed by that turn, at most once; returns the content."""
        if proposal in self._open:
            self._open[proposal].progress = progress
        task = asyncio.create_task(self._execute(proposal, turn))
        self._executing.add(task)
        task.add_done_callback(self._executing.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
            raise

    async def _execute(self, proposal: str, turn: int) -> str:
        async with self._turn:
            pending = self._open.get(proposal)
            if pending is None:
                return await self._outcomes.recover(proposal)
            earlier = self._known.done_as(pending.record)
            if earlier is not None:
                # The same effect was proposed twice and the other proposal went first.
                await self.withdraw(proposal)
                return self._outcomes.for_caller(earlier, result_of(earlier))
            try:
                effect = await self._confirmed(pending, turn)
                caller = await self._unchanged(pending)
                await self._begin(pending)
            except NotDoneError as reason:
                self._open.pop(proposal, None)
                EFFECTS.labels("refused").inc()
                await self._refuse(pending, reason.content)
                return reason.content
            self._open.pop(proposal, None)
            return await self._execution.carry_through(pending, effect, caller)

    async def _confirmed(self, pending: Proposal, turn: int) -> Effect:
        """Write down that it was heard and confirmed."""
        if pending.heard_at is None:
            raise NotDoneError("refused", NOT_HEARD)
        record = pending.record
        effect = Effect(
            key=effect_key(record.call_id, record.tool, record.arguments, turn),
            tool=record.tool,
            call_id=record.call_id,
            turn=turn,
            read_back=pending.read_back,
        )
        try:
            await self._note_heard(pending)
            confirmed = await bounded(self._ledger.confirm(record.proposal, turn=turn, key=effect.key))
        except Exception as error:
            _log.error("effect_not_confirmed", tool=record.tool, **where(error))
            raise NotDoneError("failed", FAILED) from None
        if not confirmed:
            raise NotDoneError("refused", NOT_OPEN)
        return effect

    async def _unchanged(self, pending: Proposal) -> Caller:
        """Judge everything again as it is now: who is calling, what would be done, and whether that is allowed.

        Returns the caller that was judged, for the tool: whoever has the phone a moment later did not say yes.
        """
        tool, account = pending.tool, pending.record.account
        self._same_caller(tool, account)
        read_back = await self._worded(tool, pending.arguments, account)
        self._authority.judge(tool, read_back)
        changed = pending.read_back.changed(read_back)
        if changed is not None:
            raise NotDoneError("refused", changed)
        return replace(self._caller)

    async def _worded(self, tool: Tool, arguments: BaseModel, account: str | None) -> ReadBack:
        """What would be done for `account`; neither that nor why not is for whoever has taken the phone meanwhile."""
        try:
            read_back = await worded(tool, arguments, self._caller)
        except NotDoneError:
            self._same_caller(tool, account)
            raise
        self._same_caller(tool, account)
        return read_back

    def _same_caller(self, tool: Tool, account: str | None) -> None:
        if not self._authority.serves(tool, account):
            raise NotDoneError("refused", CALLER_CHANGED)

    async def _begin(self, pending: Proposal) -> None:
        tool, proposal = pending.tool, pending.record.proposal
        try:
            begun = await bounded(
                self._ledger.begin(proposal, patience=patience(tool), limits=self._authority.limits(tool))
            )
        except Exception as error:
            _log.error("effect_not_begun", tool=tool.name, **where(error))
            raise NotDoneError("failed", FAILED) from None
        if begun is None:
            # It was confirmed a moment ago, so another proposal of the same effect has been begun before.
            raise NotDoneError("in_doubt", IN_DOUBT)
        if begun.state == "refused":
            raise NotDoneError("refused", TOO_OFTEN)

    # ── writing ───────────────────────────────────────────────────────────────────

    async def _note_heard(self, pending: Proposal) -> None:
        async with pending.writing:
            if not pending.noted and pending.heard_at is not None:
                await bounded(self._ledger.read_back(pending.record.proposal, heard_at=pending.heard_at))
                pending.noted = True

    async def _refuse(self, pending: Proposal, content: str) -> None:
        try:
            await bounded(self._ledger.refuse(pending.record.proposal, result=content))
        except Exception as error:
            _log.error("refusal_not_recorded", tool=pending.tool.name, **where(error))
