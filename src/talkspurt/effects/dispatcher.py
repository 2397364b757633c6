"""The only way to a tool: checks who asks, with what, how often, for how long, and then runs it.

One dispatcher serves one call. A model's tool call is a wish: it names a tool and sends text.
Authority comes from the `Caller`, which tools that checked facts have raised, and from the
caller's own yes; nothing that the model writes can add to it.

A tool with an effect goes a longer way: `run` words it and writes a proposal into the ledger,
`execute` (after the caller heard the words and agreed) moves the proposal to executing in one
committed step and only then calls the function. An effect that ended in doubt is never tried
again in this call; one that was done is answered with its first result.

A tool with a secret is checked by `run`, which asks for the secret, and called by `run_with_secret`.
The digits exist here only while the function runs: they are no argument that is stored, and what
the tool says is searched for them before anyone sees it.

No method raises for anything that a model, a caller, a tool or the store does. Every await on
a tool is bounded by the tool's timeout, every await on the ledger by `LEDGER_TIMEOUT`.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar
from uuid import uuid4

import structlog
from pydantic import BaseModel, ValidationError

from talkspurt.agent import Agent, Caller, Effect, ReadBack, Tool, ToolError
from talkspurt.agent.tools import END_CALL, SPEAK_SLOWER
from talkspurt.core.events import EffectProposed, SecretRequested, ToolReturned
from talkspurt.core.secret_entry import NOT_ENTERED
from talkspurt.effects.content import (
    ErrorKind,
    UnusableResultError,
    canonical,
    effect_key,
    error_content,
    message,
    result_content,
)
from talkspurt.effects.secrets import masked
from talkspurt.ports import EffectLedger, EffectRecord, ToolSpec

ARGUMENT_BYTES: Final = 16 * 1024
"""Longest arguments that are looked at."""
LEDGER_TIMEOUT: Final = 5.0
"""Seconds until a transition of the ledger counts as not committed."""

END_CALL_SPEC: Final = ToolSpec(
    name=END_CALL,
    description="Hang up once the caller has heard your goodbye. Call it only when the caller is done.",
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
)

SPEAK_SLOWER_SPEC: Final = ToolSpec(
    name=SPEAK_SLOWER,
    description="Speak more slowly from now on. Call it when the caller asks for that, then say your last words again.",
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
)

UNVERIFIED: Final = "The caller has to be verified first."
EXHAUSTED: Final = "I couldn't verify that, and there are no more tries on this call."
TOO_SLOW: Final = "That took too long."
FAILED: Final = "Something went wrong on our side."
IN_DOUBT: Final = "I can't be sure that this went through, so I won't try it again. A colleague has to check."
NOT_OPEN: Final = "There is nothing to confirm any more. Nothing was changed just now."
CALLER_CHANGED: Final = "The verified account has changed since. Nothing was changed."

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class _NotDoneError(Exception):
    """Why a tool call ends without a result, as the model is told."""

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.content = error_content(kind, text)


@dataclass(frozen=True, slots=True)
class _Proposal:
    """An effect that waits for a yes, and for whom it was worded."""

    tool: Tool
    arguments: BaseModel
    record: EffectRecord
    account: str | None


def _returned(tool_call: str, tool: Tool, content: str) -> ToolReturned:
    return ToolReturned(tool_call, content, tool.expects, tool.interruptible)


class ToolDispatcher:
    """Runs the tools of one agent for one caller."""

    def __init__(self, agent: Agent, caller: Caller, ledger: EffectLedger) -> None:
        self._agent = agent
        self._caller = caller
        self._ledger = ledger
        self._attempts_left = agent.policies.verification_attempts
        self._proposals: dict[str, _Proposal] = {}
        self._wanting: dict[str, tuple[Tool, BaseModel]] = {}
        """Checked tool calls that wait for the caller's secret."""
        self._outcomes: dict[tuple[str, str], str] = {}
        """Content by (tool, canonical arguments) of effects that were done or are in doubt."""
        self._executing: set[asyncio.Task[ToolReturned]] = set()
        # One effect of a call at a time: the second of two alike then finds the first one's outcome.
        self._turn = asyncio.Lock()

    def specs(self) -> tuple[ToolSpec, ...]:
        """The agent's tools and the built-in ones, as a model is told of them."""
        own = (ToolSpec(tool.name, tool.description, tool.parameters) for tool in self._agent.tools)
        return (*own, END_CALL_SPEC, SPEAK_SLOWER_SPEC)

    def filler(self, name: str) -> str:
        """What to say when the tool is slow; "" for the locale's own phrase."""
        tool = self._agent.tool(name)
        return tool.filler if tool else ""

    async def run(self, tool_call: str, name: str, arguments: str) -> ToolReturned | EffectProposed | SecretRequested:
        """Run the tool a model asked for, propose its effect, or ask for the secret that it needs.

        `arguments` is JSON text as the model sent it.
        """
        try:
            if name == END_CALL:
                return ToolReturned(tool_call, result_content({"status": "ending"}))
            tool = self._permitted(name)
            checked = _checked_arguments(tool, arguments)
            if tool.effect:
                return await self._propose(tool_call, tool, checked)
            if tool.secret is not None:
                if tool.verifies and self._attempts_left <= 0:
                    raise _NotDoneError("attempts_exhausted", EXHAUSTED)
                self._wanting[tool_call] = (tool, checked)
                return SecretRequested(tool_call, message(tool.secret.prompt), tool.secret.rules)
            return _returned(tool_call, tool, await self._result(tool, checked))
        except _NotDoneError as reason:
            return ToolReturned(tool_call, reason.content)

    async def run_with_secret(self, tool_call: str, secret: str | None) -> ToolReturned:
        """Run the tool that waits for a secret with what the caller keyed in; None when there is nothing. Once."""
        tool, arguments = self._wanting.pop(tool_call, (None, None))
        if tool is None or arguments is None or not secret:
            return ToolReturned(tool_call, NOT_ENTERED)
        try:
            self._permitted(tool.name)
            content = await self._result(tool, arguments, secret)
        except _NotDoneError as reason:
            content = reason.content
        safe = masked(content, secret)
        if safe != content:
            _log.error("secret_in_tool_result", tool=tool.name)
        return _returned(tool_call, tool, safe)

    def forget_secret(self, tool_call: str) -> None:
        """Nobody will key in what this tool call waits for."""
        self._wanting.pop(tool_call, None)

    async def execute(self, tool_call: str, proposal: str, turn: int = 0) -> ToolReturned:
        """Carry out a proposal that the caller heard and confirmed. At most one call ever does.

        Once begun, an effect is carried through: cancelling this waits for the outcome, which
        comes within the tool's timeout, so that a hang-up leaves nothing half done.
        """
        task = asyncio.create_task(self._execute(tool_call, proposal, turn))
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

    async def withdraw(self, proposal: str) -> None:
        """Make sure that a proposal is never executed."""
        if self._proposals.pop(proposal, None) is None:
            return
        try:
            await _bounded(self._ledger.withdraw(proposal))
        except Exception as error:
            # Forgotten here is enough: no later execute can find it.
            _log.warning("effect_not_withdrawn", proposal=proposal, **_where(error))

    # ── tools without an effect ───────────────────────────────────────────────────

    def _permitted(self, name: str) -> Tool:
        tool = self._agent.tool(name)
        if tool is None:
            known = ", ".join(spec.name for spec in self.specs())
            raise _NotDoneError("unknown_tool", f"There is no such tool. There are: {known}.")
        if self._caller.level < tool.level:
            raise _NotDoneError("verification_required", UNVERIFIED)
        return tool

    async def _result(self, tool: Tool, arguments: BaseModel, secret: str | None = None) -> str:
        if not tool.verifies:
            return self._content(tool, await self._call(tool, tool.function, arguments, secret))
        # The attempt is taken before anything is awaited: parallel calls cannot share the last one.
        if self._attempts_left <= 0:
            raise _NotDoneError("attempts_exhausted", EXHAUSTED)
        self._attempts_left -= 1
        try:
            result = await self._call(tool, tool.function, arguments, secret)
        except _NotDoneError as reason:
            refusal = reason.__cause__
            if not (isinstance(refusal, ToolError) and refusal.attempted):
                self._attempts_left += 1
            elif self._attempts_left <= 0:
                raise _NotDoneError("attempts_exhausted", EXHAUSTED) from None
            raise
        self._attempts_left += 1
        return self._content(tool, result)

    def _content(self, tool: Tool, result: Any) -> str:
        try:
            return result_content(result)
        except UnusableResultError as error:
            _log.error("tool_result_unusable", tool=tool.name, reason=str(error))
            raise _NotDoneError("failed", FAILED) from None

    async def _call(
        self,
        tool: Tool,
        function: Callable[..., Awaitable[Any]],
        arguments: BaseModel,
        secret: str | None = None,
        effect: Effect | None = None,
    ) -> Any:
        """Await the tool's function or read-back within its time; every way to fail becomes `_NotDoneError`."""
        timer = asyncio.timeout(tool.timeout)
        try:
            async with timer:
                result = await function(**tool.keywords(arguments, self._caller, secret=secret, effect=effect))
        except ToolError as refusal:
            raise _NotDoneError("refused", str(refusal)) from refusal
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The tool let the cancellation of something of its own escape.
            _log.error("tool_failed", tool=tool.name, error="CancelledError")
            raise _NotDoneError("failed", FAILED) from None
        except Exception as error:
            if isinstance(error, TimeoutError) and timer.expired():
                raise _NotDoneError("timeout", TOO_SLOW) from None
            _log.error("tool_failed", tool=tool.name, **_where(error))
            raise _NotDoneError("failed", FAILED) from None
        if timer.expired():
            # The tool swallowed its cancellation and answered late.
            raise _NotDoneError("timeout", TOO_SLOW)
        return result

    # ── effects ───────────────────────────────────────────────────────────────────

    async def _propose(self, tool_call: str, tool: Tool, arguments: BaseModel) -> ToolReturned | EffectProposed:
        try:
            text = canonical(arguments.model_dump(mode="json", by_alias=True))
        except Exception as error:
            # A type of the tool's own that cannot be written back as JSON.
            _log.error("tool_arguments_failed", tool=tool.name, **_where(error))
            raise _NotDoneError("failed", FAILED) from None
        earlier = self._outcomes.get((tool.name, text))
        if earlier is not None:
            return ToolReturned(tool_call, earlier)
        assert tool.read_back is not None, "checked by @tool"
        account = self._caller.account
        read_back = await self._call(tool, tool.read_back, arguments)
        words = read_back.words if isinstance(read_back, ReadBack) else read_back
        if not isinstance(words, str) or not message(words):
            _log.error("read_back_unusable", tool=tool.name)
            raise _NotDoneError("failed", FAILED)
        words = message(words)
        record = EffectRecord(uuid4().hex, self._caller.call_id, tool.name, text, "proposed")
        try:
            stored = await _bounded(self._ledger.propose(record))
        except Exception as error:
            _log.error("effect_not_proposed", tool=tool.name, **_where(error))
            raise _NotDoneError("failed", FAILED) from None
        if stored.state == "done":
            return ToolReturned(tool_call, stored.result or result_content({"status": "done"}))
        if stored.state != "proposed":
            # A worker that is gone had begun it. Asking the caller again would promise what cannot be kept.
            raise _NotDoneError("refused", IN_DOUBT)
        self._proposals[stored.proposal] = _Proposal(tool, arguments, stored, account)
        content = result_content({"status": "confirmation_required", "read_back": words})
        return EffectProposed(tool_call, stored.proposal, words, content)

    async def _execute(self, tool_call: str, proposal: str, turn: int) -> ToolReturned:
        async with self._turn:
            return ToolReturned(tool_call, await self._begin(proposal, turn))

    async def _begin(self, proposal: str, turn: int) -> str:
        """Begin the proposal, carry it out and record what came of it; returns the content."""
        pending = self._proposals.get(proposal)
        if pending is None:
            return error_content("refused", NOT_OPEN)
        key = (pending.tool.name, pending.record.arguments)
        earlier = self._outcomes.get(key)
        if earlier is not None:
            # The same effect was proposed twice and the other proposal went first.
            await self.withdraw(proposal)
            return earlier
        try:
            begun = await _bounded(self._ledger.begin(proposal))
        except Exception as error:
            _log.error("effect_not_begun", tool=pending.tool.name, **_where(error))
            return error_content("failed", FAILED)
        if begun is None:
            return error_content("refused", NOT_OPEN)
        self._proposals.pop(proposal, None)
        # Until the outcome is known, the same thing asked for again must find it in doubt.
        self._outcomes[key] = error_content("refused", IN_DOUBT)
        try:
            state, content = await self._carry_out(pending, turn)
        except asyncio.CancelledError:
            await self._finish(pending, "in_doubt", self._outcomes[key])
            raise
        if state == "done":
            self._outcomes[key] = content
        elif state == "failed":
            del self._outcomes[key]
        await self._finish(pending, state, content)
        return content

    async def _carry_out(self, pending: _Proposal, turn: int) -> tuple[Literal["done", "failed", "in_doubt"], str]:
        tool = pending.tool
        if self._caller.account != pending.account or self._caller.level < tool.level:
            return "failed", error_content("refused", CALLER_CHANGED)
        try:
            key = effect_key(self._caller.call_id, tool.name, pending.record.arguments, turn)
            effect = Effect(key, tool.name, self._caller.call_id, turn)
            result = await self._call(tool, tool.function, pending.arguments, effect=effect)
        except _NotDoneError as reason:
            return ("failed" if reason.kind == "refused" else "in_doubt"), reason.content
        try:
            return "done", result_content(result)
        except UnusableResultError as error:
            # It happened; that its result cannot be told must not look like a failure.
            _log.error("tool_result_unusable", tool=tool.name, reason=str(error))
            return "done", result_content({"status": "done"})

    async def _finish(self, pending: _Proposal, state: Literal["done", "failed", "in_doubt"], content: str) -> None:
        try:
            await _bounded(self._ledger.finish(pending.record.proposal, state=state, result=content))
        except Exception as error:
            # The row stays in state executing, which nothing ever executes again.
            _log.error("effect_not_recorded", tool=pending.tool.name, state=state, **_where(error))


def _checked_arguments(tool: Tool, text: str) -> BaseModel:
    # Some models send nothing at all for a tool without arguments.
    encoded = (text.strip() or "{}").encode("utf-8", "replace")
    if len(encoded) > ARGUMENT_BYTES:
        raise _NotDoneError("invalid_arguments", f"The arguments are longer than {ARGUMENT_BYTES} bytes.")
    try:
        return tool.arguments.model_validate_json(encoded)
    except ValidationError as error:
        raise _NotDoneError("invalid_arguments", _repairable(error)) from None
    except Exception as error:
        # A validator of the tool's own types failed in a way pydantic does not know.
        _log.error("tool_arguments_failed", tool=tool.name, **_where(error))
        raise _NotDoneError("invalid_arguments", "The arguments could not be read.") from None


def _repairable(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    sentences = []
    for detail in details[:3]:
        where = ".".join(str(part) for part in detail["loc"])[:60]
        sentences.append(f"{where}: {detail['msg']}" if where else detail["msg"])
    return "; ".join(sentences) + "."


async def _bounded(awaitable: Awaitable[_T]) -> _T:
    async with asyncio.timeout(LEDGER_TIMEOUT):
        return await awaitable


def _where(error: BaseException) -> dict[str, str]:
    """Class and place of an error for the log; its message may hold what a caller said."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""}
