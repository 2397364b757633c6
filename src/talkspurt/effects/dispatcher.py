"""The only way to a tool: checks who asks, with what, how often, for how long, and then runs it.

One dispatcher serves one call. A model's tool call is a wish: it names a tool and sends text. Authority comes from the
`Caller`, which tools that checked facts have raised, and from the caller's own yes; nothing that the model writes can
add to it. What is checked where:

* `authority`: level, scope, policy, rate, and what untrusted text leaves;
* `verification`: who may be raised to which level, and how often it may be tried;
* `proposals`: the ledger's way of an effect, from its words (`wording`) to its deed (`execution`);
* `outcomes`: what came of an effect that nobody here knows the end of.

A tool with a secret is checked by `run`, which asks for the secret, and called by `run_with_secret`. The digits exist
here only while the function runs: they are no argument that is stored, and what the tool says is searched for them
before anyone sees it.

A tool that finishes later is checked by `run`, which says that it has started, and called by `finish`, whose answer
belongs to a later turn. What tools say while they run goes to where `report_to` was told.

No method raises for anything that a model, a caller, a tool or the store does. Every await on a tool is bounded by the
tool's timeout, every await on the store by `calling.LEDGER_TIMEOUT`.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from pydantic import BaseModel

from talkspurt.agent import Agent, Caller, Progress, Tool
from talkspurt.agent.plain_text import message
from talkspurt.agent.tools import END_CALL, NEW_CALLER, SPEAK_SLOWER
from talkspurt.core.events import CallerChanged, EffectProposed, SecretRequested, ToolReturned, ToolStarted
from talkspurt.core.history import Entry
from talkspurt.core.secret_entry import NOT_ENTERED
from talkspurt.effects.authority import Authority, Clock, utc_now
from talkspurt.effects.calling import call, checked_arguments, told
from talkspurt.effects.content import error_content, result_content
from talkspurt.effects.outcomes import Outcomes
from talkspurt.effects.proposals import Proposals
from talkspurt.effects.rates import RunCounter
from talkspurt.effects.refusals import CALLER_CHANGED, EXHAUSTED, NotDoneError
from talkspurt.effects.secrets import masked
from talkspurt.effects.verification import ProcessAttempts, Verification
from talkspurt.ports import EffectLedger, ToolSpec, VerificationAttempts

_NOTHING: Final = {"type": "object", "properties": {}, "additionalProperties": False}
END_CALL_SPEC: Final = ToolSpec(
    name=END_CALL,
    description="Hang up once the caller has heard your goodbye. Call it only when the caller is done.",
    parameters=_NOTHING,
)
SPEAK_SLOWER_SPEC: Final = ToolSpec(
    name=SPEAK_SLOWER,
    description="Speak more slowly from now on. Call it when the caller asks for that, then say your last words again.",
    parameters=_NOTHING,
)
NEW_CALLER_SPEC: Final = ToolSpec(
    name=NEW_CALLER,
    description="Call it as soon as somebody else takes the phone, before anything else: they are not verified.",
    parameters=_NOTHING,
    lasting=True,
)


def tool_specs(agent: Agent) -> tuple[ToolSpec, ...]:
    """The agent's tools and the built-in ones, as a model is told of them: the same for all calls, in one order."""
    own = (
        ToolSpec(tool.name, tool.description, tool.parameters, lasting=tool.effect or tool.verifies > 0)
        for tool in agent.tools
    )
    return (*own, NEW_CALLER_SPEC, END_CALL_SPEC, SPEAK_SLOWER_SPEC)


ANOTHER_VOICE: Final = {"status": "nobody is verified now"}
VERIFY_ANEW: Final = (
    "The runtime heard another voice than before. What needs a verified caller is refused until this one is verified: "
    "then say that it sounds as if somebody else had the phone, so you have to check who they are."
)
STARTED: Final = {"status": "started", "note": "The result comes by itself later. Do not ask for it again."}

Answer = ToolReturned | ToolStarted | CallerChanged | EffectProposed | SecretRequested
_log = structlog.get_logger(__name__)


class ToolDispatcher:
    """Runs the tools of one agent for one caller."""

    def __init__(
        self,
        agent: Agent,
        caller: Caller,
        ledger: EffectLedger,
        *,
        attempts: VerificationAttempts | None = None,
        counter: RunCounter | None = None,
        under_way: set[str] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """`ledger` is the call's own; without `attempts` and `counter` nothing is counted beyond this dispatcher.

        `under_way` are the effects that the dispatchers of a process are at; without it each knows of its own.
        """
        self._agent = agent
        self._caller = caller
        self._authority = Authority(agent, caller, counter or RunCounter(), clock)
        self._verification = Verification(caller, agent.policies, attempts or ProcessAttempts())
        self._outcomes = Outcomes(caller, self._authority, ledger, set() if under_way is None else under_way)
        self._proposals = Proposals(caller, self._authority, ledger, self._outcomes)
        self._wanting: dict[str, tuple[Tool, BaseModel]] = {}
        """Checked tool calls that wait for the caller's secret."""
        self._started: dict[str, tuple[Tool, BaseModel, str | None]] = {}
        """Checked tool calls that finish later, with the account they were started for."""
        self._tell: Callable[[str, str], None] = _tell_nobody

    def report_to(self, tell: Callable[[str, str], None]) -> None:
        """Call `tell` with a tool call and a line for the caller whenever a tool says how far it is."""
        self._tell = tell

    def specs(self) -> tuple[ToolSpec, ...]:
        """The agent's tools and the built-in ones, as a model is told of them."""
        return tool_specs(self._agent)

    def filler(self, name: str) -> str:
        """What to say when the tool is slow; "" for the locale's own phrase."""
        tool = self._agent.tool(name)
        return tool.filler if tool else ""

    def follow(self, history: Sequence[Entry]) -> None:
        """What the model is shown before it asks for tools: after text of strangers it may act on less."""
        self._authority.follow(history)

    async def run(self, tool_call: str, name: str, arguments: str) -> Answer:
        """Run the tool a model asked for, propose its effect, ask for the secret that it needs, or begin it.

        `arguments` is JSON text as the model sent it.
        """
        if name == END_CALL:
            return ToolReturned(tool_call, result_content({"status": "ending"}))
        if name == NEW_CALLER:
            self._verification.change_caller()
            return CallerChanged(tool_call, result_content({"status": "nobody is verified now"}))
        tool = self._agent.tool(name)
        try:
            if tool is None:
                raise self._authority.unknown_tool()
            return await self._run(tool_call, tool, arguments)
        except NotDoneError as reason:
            if tool is None or tool.effect:
                await self._proposals.note_refusal(name, arguments, reason.content)
            return ToolReturned(tool_call, reason.content, wrong=reason.kind in ("unknown_tool", "invalid_arguments"))

    def another_voice(self, tool_call: str) -> CallerChanged | ToolReturned:
        """Somebody else insists on being answered, by their voice: whoever was verified is not them.

        Where nobody was, nothing was told that they may not hear, and a model goes on with all that was said.
        """
        known = self._caller.account is not None
        self._verification.change_caller()
        if not known:
            return ToolReturned(tool_call, result_content(ANOTHER_VOICE))
        _log.warning("caller_unverified_by_voice")
        return CallerChanged(tool_call, result_content({**ANOTHER_VOICE, "note": VERIFY_ANEW}))

    async def run_with_secret(self, tool_call: str, secret: str | None) -> ToolReturned:
        """Run the tool that waits for a secret with what the caller keyed in; None when there is nothing. Once."""
        tool, arguments = self._wanting.pop(tool_call, (None, None))
        if tool is None or arguments is None or not secret:
            return ToolReturned(tool_call, NOT_ENTERED)
        try:
            self._authority.admit(tool)
            content = await self._result(tool_call, tool, self._authority.scope(tool, arguments), secret)
        except NotDoneError as reason:
            content = reason.content
        safe = masked(content, secret)
        if safe != content:
            _log.error("secret_in_tool_result", tool=tool.name)
        return _returned(tool_call, tool, safe)

    def forget_secret(self, tool_call: str) -> None:
        """Nobody will key in what this tool call waits for."""
        self._wanting.pop(tool_call, None)

    async def finish(self, tool_call: str) -> ToolReturned:
        """Run a tool that `run` said has started, and wait for its result. Once."""
        tool, arguments, account = self._started.pop(tool_call)
        try:
            content = await self._told(tool_call, tool, arguments)
        except NotDoneError as reason:
            content = reason.content
        return _returned(tool_call, tool, self._meant_for(account, tool, content))

    def _meant_for(self, account: str | None, tool: Tool, content: str) -> str:
        """An answer that was looked up for `account`; not for whoever has the phone by now, if it is somebody else."""
        return content if self._authority.serves(tool, account) else error_content("refused", CALLER_CHANGED)

    async def heard(self, proposal: str, at: float) -> None:
        """The caller has heard the read-back of a proposal, `at` seconds into the call."""
        await self._proposals.heard(proposal, at)

    async def execute(self, tool_call: str, proposal: str, turn: int) -> ToolReturned | ToolStarted:
        """Carry out a proposal that the caller heard and confirmed by that turn. At most one call ever does.

        Once begun, an effect is carried through: cancelling this waits for the outcome, which
        comes within the tool's timeout, so that a hang-up leaves nothing half done. `ToolStarted` when it is in doubt
        what came of it: then `outcome` has the rest.
        """
        progress = self._progress(tool_call)
        return self._effect_told(tool_call, proposal, await self._proposals.execute(proposal, turn, progress))

    async def recover(self, tool_call: str, proposal: str) -> ToolReturned | ToolStarted:
        """Find out what came of an effect that another process was executing when it lost the call; as `execute`."""
        return self._effect_told(tool_call, proposal, await self._outcomes.recover(proposal))

    async def outcome(self, tool_call: str, proposal: str) -> ToolReturned:
        """Wait until it is known what came of an effect that was in doubt, for a minute or so."""
        return ToolReturned(tool_call, await self._outcomes.outcome(proposal))

    def _effect_told(self, tool_call: str, proposal: str, content: str) -> ToolReturned | ToolStarted:
        in_doubt = self._outcomes.is_checked(proposal)
        return ToolStarted(tool_call, content) if in_doubt else ToolReturned(tool_call, content)

    async def withdraw(self, proposal: str) -> None:
        """Make sure that a proposal is never executed."""
        await self._proposals.withdraw(proposal)

    async def _run(self, tool_call: str, tool: Tool, text: str) -> Answer:
        self._authority.admit(tool)
        arguments = self._authority.scope(tool, checked_arguments(tool, text))
        if tool.effect:
            proposed = await self._proposals.propose(tool_call, tool, arguments)
            return proposed if isinstance(proposed, EffectProposed) else ToolReturned(tool_call, proposed)
        if tool.secret is not None:
            if tool.verifies and await self._verification.exhausted():
                raise NotDoneError("attempts_exhausted", EXHAUSTED)
            self._wanting[tool_call] = (tool, arguments)
            return SecretRequested(tool_call, message(tool.secret.prompt), tool.secret.rules)
        if tool.finishes_later:
            self._authority.count(tool)
            self._started[tool_call] = (tool, arguments, self._caller.account)
            return ToolStarted(tool_call, result_content(STARTED))
        return _returned(tool_call, tool, await self._result(tool_call, tool, arguments))

    async def _result(self, tool_call: str, tool: Tool, arguments: BaseModel, secret: str | None = None) -> str:
        self._authority.count(tool)
        account = self._caller.account
        try:
            content = await self._told(tool_call, tool, arguments, secret)
        except NotDoneError:
            # Why not tells of an account, too; what verifies refuses everybody in the same words.
            if not (tool.verifies or self._authority.serves(tool, account)):
                raise NotDoneError("refused", CALLER_CHANGED) from None
            raise
        return content if tool.verifies else self._meant_for(account, tool, content)

    async def _told(self, tool_call: str, tool: Tool, arguments: BaseModel, secret: str | None = None) -> str:
        progress = self._progress(tool_call, secret)

        async def function(caller: Caller) -> Any:
            return await call(tool, tool.function, tool.keywords(arguments, caller, secret=secret, progress=progress))

        return told(tool, await self._verification.run(tool, function))

    def _progress(self, tool_call: str, secret: str | None = None) -> Progress:
        """What a tool tells how far it is with: one clean line at a time, without its secret, and to nobody else."""
        account = self._caller.account

        def tell(words: str) -> None:
            if account not in (None, self._caller.account):
                return
            line = message(words)
            if secret is not None:
                line = json.loads(masked(result_content(line), secret))["result"]
            if line:
                self._tell(tool_call, line)

        return Progress(tell)


def _tell_nobody(_tool_call: str, _words: str) -> None:
    """Nobody follows this dispatcher's tools."""


def _returned(tool_call: str, tool: Tool, content: str) -> ToolReturned:
    return ToolReturned(tool_call, content, tool.expects, tool.interruptible)
