"""The way of an effect: worded, proposed, heard, confirmed, judged again, begun, carried out, written down.

Before each step its transition is committed in the ledger (docs/effects.md). Nothing here can skip one: without the row
that the step before has left, the next one is refused by the database. An effect that ended in doubt is not tried
again; one that was done is answered with its first result.

`execute` is the only place that calls the function of a tool with an effect. One effect of a call runs at a time, and
once begun it is carried through: cancelling waits for the outcome, which comes within the tool's timeout. Of one that
is in doubt, `outcome` tells what the sweeper has found out.

Whoever carries it out is the only one who knows. While a tool still runs, though its time is over, nobody may find out
that nothing happened (`_hold`); and what it has done in the end stands above all that was looked up.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from uuid import uuid4

import structlog
from pydantic import BaseModel

from talkspurt.agent import Caller, Effect, Progress, ReadBack, Tool
from talkspurt.agent.plain_text import MESSAGE_CHARACTERS, clean, message
from talkspurt.core.events import EffectProposed
from talkspurt.effects.authority import Authority
from talkspurt.effects.calling import answer, bounded, call
from talkspurt.effects.content import (
    UnusableResultError,
    canonical,
    effect_key,
    error_content,
    result_content,
)
from talkspurt.effects.refusals import (
    CALLER_CHANGED,
    CHECKING,
    FAILED,
    IN_DOUBT,
    NOT_DONE,
    NOT_DONE_AFTER_ALL,
    NOT_HEARD,
    NOT_OPEN,
    NOT_YOURS,
    TOO_MUCH,
    TOO_OFTEN,
    NotDoneError,
    where,
)
from talkspurt.errors import SettledError, StaleOwnerError
from talkspurt.ports import EffectLedger, EffectRecord
from talkspurt.telemetry.metrics import EFFECTS, EFFECTS_FOR_A_PERSON

GRACE: Final = 5.0
"""Seconds beyond a tool's own time after which whoever executes it counts as gone."""
LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the ledger for what came of an effect in doubt."""
HOLD_EVERY: Final = 2.0
"""Seconds after which the ledger is told again that a tool is still at it; less than `GRACE`."""
LOOKED_UP_WITHIN: Final = 30.0
"""Seconds from when an effect may be looked up until its caller is told that this takes longer than their call."""
WRITING_PAUSES: Final = (0.0, 0.2, 1.0)
"""Seconds before each attempt to write down what came of an effect: it must not stay unknown for a hiccup."""
DONE: Final = ("done", "resolved_done")
REFUSED_BYTES: Final = 2_000
"""Longest arguments that are kept of a wish that was refused."""

_log = structlog.get_logger(__name__)
_holding: Final[set[asyncio.Task[None]]] = set()
"""What holds effects open: it outlives their calls."""

Outcome = Literal["done", "failed", "in_doubt"]
_Identity = tuple[str, str | None, str]
"""Tool, account and canonical arguments: what is done once in a call."""


@dataclass(slots=True)
class _Proposal:
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


class Proposals:
    """The effects of one call."""

    def __init__(self, caller: Caller, authority: Authority, ledger: EffectLedger) -> None:
        self._caller = caller
        self._authority = authority
        self._ledger = ledger
        self._open: dict[str, _Proposal] = {}
        self._done: dict[_Identity, EffectRecord] = {}
        """By tool, account and canonical arguments, effects that were done here, written down or not."""
        self._meant: dict[_Identity, _Identity] = {}
        """What the words of each wish were last found to mean."""
        self._executing: set[asyncio.Task[str]] = set()
        self._checked: set[str] = set()
        """Proposals in doubt that the sweeper will look up."""
        self._held: dict[str, EffectRecord] = {}
        """By proposal, effects whose tool still runs, though its time is over."""
        # One effect of a call at a time: the second of two alike then finds the first one's outcome.
        self._turn = asyncio.Lock()

    # ── proposing ─────────────────────────────────────────────────────────────────

    async def propose(self, tool_call: str, tool: Tool, arguments: BaseModel) -> EffectProposed | str:
        """Word an effect and store its proposal; the first result, as content, when the call did the same before."""
        account = self._caller.account if self._caller.level else None
        said = (tool.name, account, _canonical(tool, arguments))
        known = self._known(said)
        if known is not None:
            return known
        self._authority.trust(tool, arguments)
        try:
            read_back = await self._worded(tool, arguments)
        except NotDoneError as reason:
            # What has just been done is often refused a second time. That is no news to whoever asked for it.
            known = self._known(self._meant.get(said, said))
            if known is None or reason.kind != "refused":
                raise
            return known
        # What was worded may be of an account that is somebody else's by now.
        self._same_caller(tool, account)
        arguments = self._authority.scope(tool, _found_to_mean(tool, arguments, read_back))
        text = _canonical(tool, arguments)
        self._meant[said] = (tool.name, account, text)
        known = self._known(self._meant[said])
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
            facts=_facts(read_back),
        )
        try:
            stored = await bounded(self._ledger.propose(record, limits=self._authority.limits(tool), sets=tool.sets))
        except Exception as error:
            _log.error("effect_not_proposed", tool=tool.name, **where(error))
            raise NotDoneError("failed", FAILED) from None
        if stored.state != "proposed":
            return await self._standing(stored, tool, arguments)
        self._open[stored.proposal] = _Proposal(tool, arguments, stored, read_back)
        content = result_content({"status": "confirmation_required", "read_back": read_back.words})
        return EffectProposed(tool_call, stored.proposal, read_back.words, content)

    def _known(self, wish: _Identity) -> str | None:
        """What to say to a wish that was carried out in this call, or is just being; None for any other."""
        if wish in self._done:
            return _result_of(self._done[wish])
        held = any(_identity(record) == wish for record in self._held.values())
        return error_content("in_doubt", CHECKING) if held else None

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
            try:
                arguments = tool.arguments.model_validate_json(record.arguments)
            except ValueError:
                return error_content("in_doubt", IN_DOUBT)
            return await self._standing_content(record, tool, arguments)
        if record.state in DONE:
            return _result_of(record)
        if record.state in ("executing", "in_doubt"):
            return error_content("in_doubt", IN_DOUBT)
        return error_content("refused", NOT_DONE)

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
            if record is not None and not self._is_open(record):
                break
            patience = LOOKED_UP_WITHIN + (0.0 if tool is None else _patience(tool))
            if looks * LOOK_EVERY >= patience:
                break
            looks += 1
        self._checked.discard(proposal)
        if record is None or self._is_open(record):
            return error_content("in_doubt", IN_DOUBT)
        if record.account != self._caller.account and (tool is None or tool.level):
            return error_content("refused", NOT_YOURS)
        if record.state not in DONE:
            return error_content("failed", NOT_DONE_AFTER_ALL)
        return _result_of(record)

    def _is_open(self, record: EffectRecord) -> bool:
        """Whether it may yet turn out either way."""
        return record.state not in DONE if record.proposal in self._held else record.state in ("executing", "in_doubt")

    async def _execute(self, proposal: str, turn: int) -> str:
        async with self._turn:
            pending = self._open.get(proposal)
            if pending is None:
                return await self.recover(proposal)
            earlier = self._done.get(_identity(pending.record))
            if earlier is not None:
                # The same effect was proposed twice and the other proposal went first.
                await self.withdraw(proposal)
                return _result_of(earlier)
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
            return await self._carry_through(pending, effect, caller)

    async def _confirmed(self, pending: _Proposal, turn: int) -> Effect:
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

    async def _unchanged(self, pending: _Proposal) -> Caller:
        """Judge everything again as it is now: who is calling, what would be done, and whether that is allowed.

        Returns the caller that was judged, for the tool: whoever has the phone a moment later did not say yes.
        """
        tool, account = pending.tool, pending.record.account
        self._same_caller(tool, account)
        read_back = await self._worded(tool, pending.arguments)
        self._same_caller(tool, account)
        self._authority.judge(tool, read_back)
        changed = pending.read_back.changed(read_back)
        if changed is not None:
            raise NotDoneError("refused", changed)
        return replace(self._caller)

    def _same_caller(self, tool: Tool, account: str | None) -> None:
        if self._caller.level < tool.level or (self._caller.account != account and (tool.level or account)):
            raise NotDoneError("refused", CALLER_CHANGED)

    async def _begin(self, pending: _Proposal) -> None:
        tool, proposal = pending.tool, pending.record.proposal
        try:
            begun = await bounded(
                self._ledger.begin(proposal, patience=_patience(tool), limits=self._authority.limits(tool))
            )
        except Exception as error:
            _log.error("effect_not_begun", tool=tool.name, **where(error))
            raise NotDoneError("failed", FAILED) from None
        if begun is None:
            # It was confirmed a moment ago, so another proposal of the same effect has been begun before.
            raise NotDoneError("in_doubt", IN_DOUBT)
        if begun.state == "refused":
            raise NotDoneError("refused", TOO_OFTEN)

    async def _carry_through(self, pending: _Proposal, effect: Effect, caller: Caller) -> str:
        """Call the tool and write down what came of it."""
        # Whatever comes of it, from now on the ledger knows better how that thing stands.
        self._forget_set_by(pending.record, pending.tool)
        try:
            state, content = await self._carry_out(pending, effect, caller)
        except asyncio.CancelledError:
            await self._finish(pending, "in_doubt", error_content("in_doubt", IN_DOUBT))
            raise
        EFFECTS.labels(state).inc()
        if state == "done":
            self._done[_identity(pending.record)] = replace(pending.record, result=content)
        await self._finish(pending, state, content)
        return content

    async def _carry_out(self, pending: _Proposal, effect: Effect, caller: Caller) -> tuple[Outcome, str]:
        tool = pending.tool
        keywords = tool.keywords(pending.arguments, caller, effect=effect, progress=pending.progress)
        try:
            result = await self._worked(pending, asyncio.ensure_future(tool.function(**keywords)))
        except NotDoneError as reason:
            if reason.kind == "refused":
                return "failed", reason.content
            found = await self._look_up(tool, pending.arguments, effect.key)
            return ("in_doubt", self._doubt(pending.record, tool)) if found is None else ("done", found)
        self._caller.leaving = self._caller.leaving or caller.leaving
        return "done", told(tool, result)

    async def _worked(self, pending: _Proposal, work: asyncio.Future[Any]) -> Any:
        try:
            return await call(pending.tool, lambda: work, {})
        finally:
            if not work.done():
                self._hold(pending, work)

    def _hold(self, pending: _Proposal, work: asyncio.Future[Any]) -> None:
        """Keep an effect open for as long as its tool still runs."""
        self._held[pending.record.proposal] = pending.record
        holding = asyncio.create_task(self._held_open(pending, work))
        _holding.add(holding)
        holding.add_done_callback(_holding.discard)

    async def _held_open(self, pending: _Proposal, work: asyncio.Future[Any]) -> None:
        tool, proposal = pending.tool, pending.record.proposal
        while not work.done():
            try:
                await bounded(self._ledger.hold(proposal, patience=_patience(tool)))
            except Exception as error:
                _log.error("effect_not_held", tool=tool.name, **where(error))
            await asyncio.wait({work}, timeout=HOLD_EVERY)
        if not work.cancelled() and work.exception() is None:
            await self._finish(pending, "done", told(tool, work.result()))
        # Otherwise its lookup decides, once the last hold has run out.
        self._held.pop(proposal, None)

    def _doubt(self, record: EffectRecord, tool: Tool) -> str:
        """What is said of an effect whose outcome is open: who finds it out, and that it is not repeated."""
        if tool.lookup is None:
            return error_content("in_doubt", IN_DOUBT)
        self._checked.add(record.proposal)
        return error_content("in_doubt", CHECKING)

    def _forget_set_by(self, record: EffectRecord, tool: Tool) -> None:
        self._done = {name: done for name, done in self._done.items() if not record.sets_anew(done, tool.sets)}

    # ── what came of it ───────────────────────────────────────────────────────────

    async def _standing(self, record: EffectRecord, tool: Tool, arguments: BaseModel) -> str:
        """What to answer to a wish that the ledger has a record of already."""
        if record.state in DONE:
            return _result_of(record)
        if record.arguments != _canonical(tool, arguments):
            # Another effect on the same thing, whose outcome is open, and with it how that thing stands.
            return self._doubt(record, tool)
        if record.state == "refused":
            raise NotDoneError("refused", TOO_OFTEN)
        return await self._standing_content(record, tool, arguments)

    async def _standing_content(self, record: EffectRecord, tool: Tool, arguments: BaseModel) -> str:
        """Begun, without an outcome: whoever began it may be gone. Before its deadline only good news is certain."""
        found = await self._look_up(tool, arguments, record.key or "")
        if found is None:
            # Asking the caller again would promise what cannot be kept.
            return self._doubt(record, tool)
        try:
            await bounded(self._ledger.resolve(record.proposal, result=found))
        except Exception as error:
            _log.error("effect_not_resolved", tool=tool.name, **where(error))
        return found

    async def _look_up(self, tool: Tool, arguments: BaseModel, key: str) -> str | None:
        """Ask the tool what came of an effect; its result as content, None when it does not say that it was done."""
        if tool.lookup is None or not key:
            return None
        try:
            result = await answer(tool, tool.look_up(arguments, replace(self._caller), key))
        except Exception as error:
            _log.error("lookup_failed", tool=tool.name, **where(error))
            return None
        return None if result is None else told(tool, result)

    # ── writing ───────────────────────────────────────────────────────────────────

    async def _note_heard(self, pending: _Proposal) -> None:
        async with pending.writing:
            if not pending.noted and pending.heard_at is not None:
                await bounded(self._ledger.read_back(pending.record.proposal, heard_at=pending.heard_at))
                pending.noted = True

    async def _refuse(self, pending: _Proposal, content: str) -> None:
        try:
            await bounded(self._ledger.refuse(pending.record.proposal, result=content))
        except Exception as error:
            _log.error("refusal_not_recorded", tool=pending.tool.name, **where(error))

    async def _finish(self, pending: _Proposal, state: Outcome, content: str) -> None:
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

    async def _happened(self, pending: _Proposal, content: str) -> None:
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

    async def _worded(self, tool: Tool, arguments: BaseModel) -> ReadBack:
        assert tool.read_back is not None, "checked by @tool"
        said = await call(tool, tool.read_back, tool.keywords(arguments, replace(self._caller)))
        read_back = said if isinstance(said, ReadBack) else ReadBack(said) if isinstance(said, str) else ReadBack("")
        words = message(read_back.words) if _is_usable(read_back) else ""
        if not words:
            _log.error("read_back_unusable", tool=tool.name)
            raise NotDoneError("failed", FAILED)
        if _is_cut(read_back.words):
            # What is cut off would not be heard, and be done.
            _log.error("read_back_too_long", tool=tool.name, characters=len(read_back.words))
            raise NotDoneError("refused", TOO_MUCH)
        return replace(read_back, words=words)


def _identity(record: EffectRecord) -> _Identity:
    return record.tool, record.account, record.arguments


def _found_to_mean(tool: Tool, arguments: BaseModel, read_back: ReadBack) -> BaseModel:
    """The arguments, with what the read-back says that they mean in place of what was said."""
    if not read_back.arguments:
        return arguments
    try:
        said = arguments.model_dump(mode="json", by_alias=True)
        return tool.arguments.model_validate({**said, **read_back.arguments})
    except Exception as error:
        _log.error("read_back_arguments_unusable", tool=tool.name, **where(error))
        raise NotDoneError("failed", FAILED) from None


def _patience(tool: Tool) -> float:
    """Seconds after its beginning from which "not done" counts: nobody is at it any more, here or outside."""
    return tool.timeout + GRACE + tool.settles_within


def _result_of(record: EffectRecord) -> str:
    return record.result or result_content({"status": "done"})


def _canonical(tool: Tool, arguments: BaseModel) -> str:
    try:
        return canonical(arguments.model_dump(mode="json", by_alias=True))
    except Exception as error:
        # A type of the tool's own that cannot be written back as JSON.
        _log.error("tool_arguments_failed", tool=tool.name, **where(error))
        raise NotDoneError("failed", FAILED) from None


def _is_usable(read_back: ReadBack) -> bool:
    """Whether it is of the types that it declares: no limit would stop an amount that is no number."""
    facts = read_back.facts
    return (
        isinstance(read_back.words, str)
        and type(read_back.amount_cents) is int
        and isinstance(read_back.status, str)
        and isinstance(facts, Mapping)
        and all(isinstance(name, str) and isinstance(value, (str, int)) for name, value in facts.items())
    )


def _is_cut(words: str) -> bool:
    """Whether `message` would shorten them."""
    return len(words) > 4 * MESSAGE_CHARACTERS or len(" ".join(clean(words).split())) > MESSAGE_CHARACTERS


def _facts(read_back: ReadBack) -> str:
    return canonical(
        {"amount_cents": read_back.amount_cents, "facts": dict(read_back.facts), "status": read_back.status}
    )


def told(tool: Tool, result: Any) -> str:
    """The result of what happened, as content: one that cannot be told must not look like a failure."""
    try:
        return result_content(result)
    except UnusableResultError as error:
        _log.error("tool_result_unusable", tool=tool.name, reason=str(error))
        return result_content({"status": "done"})
