"""Carries out what was confirmed and begun, and writes down what came of it.

`carry_through` is the only place that calls the function of a tool with an effect. Whoever carries it out is the only
one who knows. While a tool still runs, though its time is over, nobody may find out that nothing happened (`_hold`),
until it has run for so long that it may never end. What it has done in the end stands above all that was looked up
(`_happened`).
"""

import asyncio
from dataclasses import replace
from typing import Any, Final, Literal

import structlog

from talkspurt.agent import Caller, Effect
from talkspurt.effects.calling import bounded, call, patience
from talkspurt.effects.content import error_content
from talkspurt.effects.outcomes import Outcomes, told
from talkspurt.effects.proposal import Proposal
from talkspurt.effects.refusals import IN_DOUBT, NotDoneError, where
from talkspurt.errors import SettledError, StaleOwnerError
from talkspurt.ports import EffectLedger
from talkspurt.telemetry.metrics import EFFECTS, EFFECTS_FOR_A_PERSON

HOLD_EVERY: Final = 2.0
"""Seconds after which the ledger is told again that a tool is still at it; less than `calling.GRACE`."""
HOLD_FOR: Final = 300.0
"""Seconds for which an effect is held open for its tool at most. What has not ended so long after it was cancelled will
hardly end at all, and while it is held nobody is asked or told what came of it."""
WRITING_PAUSES: Final = (0.0, 0.2, 1.0)
"""Seconds before each attempt to write down what came of an effect: it must not stay unknown for a hiccup."""

_log = structlog.get_logger(__name__)
_holding: Final[set[asyncio.Task[None]]] = set()
"""What holds effects open: it outlives their calls."""

Outcome = Literal["done", "failed", "in_doubt"]


class Execution:
    """Of the effects of one call."""

    def __init__(self, caller: Caller, ledger: EffectLedger, outcomes: Outcomes) -> None:
        self._caller = caller
        self._ledger = ledger
        self._outcomes = outcomes
        self._known = outcomes.known

    async def carry_through(self, pending: Proposal, effect: Effect, caller: Caller) -> str:
        """Call the tool for the `caller` who was judged, and write down what came of it; the content."""
        # Whatever comes of it, from now on the ledger knows better how that thing stands.
        self._known.forget_set_by(pending.record, pending.tool)
        with self._known.carrying_out(pending.record):
            try:
                state, content = await self._carry_out(pending, effect, caller)
            except asyncio.CancelledError:
                await self._finish(pending, "in_doubt", error_content("in_doubt", IN_DOUBT))
                raise
            EFFECTS.labels(state).inc()
            if state == "done":
                self._known.note_done(replace(pending.record, result=content))
            await self._finish(pending, state, content)
            if state != "in_doubt":
                self._outcomes.no_doubt(pending.record.proposal)
        return content if state == "in_doubt" else self._outcomes.for_caller(pending.record, content)

    async def _carry_out(self, pending: Proposal, effect: Effect, caller: Caller) -> tuple[Outcome, str]:
        tool = pending.tool
        keywords = tool.keywords(pending.arguments, caller, effect=effect, progress=pending.progress)
        try:
            result = await self._worked(pending, asyncio.ensure_future(tool.function(**keywords)))
        except NotDoneError as reason:
            if reason.kind == "refused":
                return "failed", reason.content
            found = await self._outcomes.look_up(tool, pending.arguments, effect.key)
            return ("in_doubt", self._outcomes.doubt(pending.record, tool)) if found is None else ("done", found)
        self._caller.leaving = self._caller.leaving or caller.leaving
        return "done", told(tool, result)

    async def _worked(self, pending: Proposal, work: asyncio.Future[Any]) -> Any:
        try:
            return await call(pending.tool, lambda: work, {})
        finally:
            if not work.done():
                self._hold(pending, work)

    # ── a tool that still runs ────────────────────────────────────────────────────

    def _hold(self, pending: Proposal, work: asyncio.Future[Any]) -> None:
        """Keep an effect open for as long as its tool still runs."""
        self._known.hold(pending.record)
        holding = asyncio.create_task(self._held_open(pending, work))
        _holding.add(holding)
        holding.add_done_callback(_holding.discard)

    async def _held_open(self, pending: Proposal, work: asyncio.Future[Any]) -> None:
        tool, proposal = pending.tool, pending.record.proposal
        loop = asyncio.get_running_loop()
        end = loop.time() + HOLD_FOR
        while not work.done() and loop.time() < end:
            try:
                await bounded(self._ledger.hold(proposal, patience=patience(tool)))
            except Exception as error:
                _log.error("effect_not_held", tool=tool.name, **where(error))
            await asyncio.wait({work}, timeout=HOLD_EVERY)
        if not work.done():
            _log.error("effect_held_no_longer", tool=tool.name, proposal=proposal)
            # The lookup or a person decides, here as everywhere; what it does after all still stands above that.
            self._known.release(pending.record)
            await asyncio.wait({work})
        if not work.cancelled() and work.exception() is None:
            await self._finish(pending, "done", told(tool, work.result()))
        # Otherwise its lookup decides, once the last hold has run out.
        self._known.release(pending.record)

    # ── writing ───────────────────────────────────────────────────────────────────

    async def _finish(self, pending: Proposal, state: Outcome, content: str) -> None:
        for pause in WRITING_PAUSES:
            await asyncio.sleep(pause)
            try:
                try:
                    await bounded(self._ledger.finish(pending.record.proposal, state=state, result=content))
                except (SettledError, StaleOwnerError) as error:
                    _log.warning("effect_outcome_comes_late", tool=pending.tool.name, state=state, why=error.code)
                    if state == "done":
                        await self._happened(pending, content)
            except Exception as error:
                # The row stays in state executing, until the sweeper has looked it up.
                _log.error("effect_not_recorded", tool=pending.tool.name, state=state, **where(error))
            else:
                return

    async def _happened(self, pending: Proposal, content: str) -> None:
        """It was done here, whatever others have found out, and whosever the call is by now."""
        news = await bounded(self._ledger.happened(pending.record.proposal, result=content))
        if news in ("overruled", "twice"):
            EFFECTS_FOR_A_PERSON.inc()
            _log.error(
                "effect_done_after_all",
                proposal=pending.record.proposal,
                tool=pending.tool.name,
                call_id=pending.record.call_id,
                todo="the caller may have been told that it was not done"
                + ("; the same has been begun again since: undo one of them" if news == "twice" else ""),
            )
