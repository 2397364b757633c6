"""Who may do what: level, scope, policy, rate, and what is left to do after text of strangers.

Nothing here believes a model. Authority comes from the `Caller`, from the agent's declarations and policy, and, after
untrusted text, from the caller's own words.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog
from pydantic import BaseModel

from talkspurt.agent import Agent, Caller, ReadBack, Tool
from talkspurt.agent.policy import REASONS, amount_allowed
from talkspurt.agent.rates import SECONDS
from talkspurt.agent.tools import BUILT_IN
from talkspurt.core.history import CallerSaid, Entry, ToolAnswered
from talkspurt.effects.content import ErrorKind
from talkspurt.effects.rates import RunCounter
from talkspurt.effects.refusals import NOT_SAID, OTHER_ACCOUNT, TOO_OFTEN, UNVERIFIED, NotDoneError
from talkspurt.effects.words import unsaid
from talkspurt.ports import EffectLimit

Clock = Callable[[], datetime]

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Authority:
    """What one caller may do with one agent's tools. Every refusal is a `NotDoneError`."""

    def __init__(self, agent: Agent, caller: Caller, counter: RunCounter, clock: Clock) -> None:
        self._agent = agent
        self._caller = caller
        self._counter = counter
        self._clock = clock
        self._runs: dict[str, int] = {}
        """Runs in this call, by tool."""
        self._history: Sequence[Entry] = ()

    @property
    def subject(self) -> str:
        """Whom rates are counted for: the verified account, or else the caller's number, or else the call."""
        caller = self._caller
        return (caller.account if caller.level >= 1 else None) or caller.number or caller.call_id

    def tool(self, name: str) -> Tool | None:
        """The agent's tool of that name."""
        return self._agent.tool(name)

    def unknown_tool(self) -> NotDoneError:
        """Why a tool that the agent does not have is not run."""
        known = ", ".join((*(tool.name for tool in self._agent.tools), *BUILT_IN))
        return NotDoneError("unknown_tool", f"There is no such tool. There are: {known}.")

    def follow(self, history: Sequence[Entry]) -> None:
        """What the model that asks for the next tools has been shown."""
        self._history = history

    def admit(self, tool: Tool) -> None:
        """Refuse a caller who is not verified enough, and what the policy does not allow at this level and hour."""
        if self._caller.level < tool.level or (tool.level and self._caller.account is None):
            raise NotDoneError("verification_required", UNVERIFIED)
        self._keep_policy(tool, None)

    def scope(self, tool: Tool, arguments: BaseModel) -> BaseModel:
        """Refuse another account than the verified one; the arguments with the verified one put in."""
        if not tool.account_parameters:
            return arguments
        if self._caller.level < 1 or self._caller.account is None:
            raise NotDoneError("verification_required", UNVERIFIED)
        fields = type(arguments).model_fields
        marked = [name for name in fields if fields[name].alias in tool.account_parameters]
        if any(getattr(arguments, name) not in (None, "", self._caller.account) for name in marked):
            _log.warning("foreign_account_refused", tool=tool.name)
            raise NotDoneError("refused", OTHER_ACCOUNT)
        return arguments.model_copy(update=dict.fromkeys(marked, self._caller.account))

    def serves(self, tool: Tool | None, account: str | None) -> bool:
        """Whether what a tool did or found for `account` is for whoever has the phone by now; None: it is not known."""
        if tool is not None and self._caller.level < tool.level:
            return False
        return self._caller.account == account or not (tool is None or tool.level or account)

    def judge(self, tool: Tool, read_back: ReadBack) -> None:
        """Refuse an effect that the tool's own limit or the policy does not allow."""
        if not amount_allowed(read_back.amount_cents, tool.max_amount_cents):
            raise NotDoneError("refused", REASONS["amount"])
        self._keep_policy(tool, read_back)

    def trust(self, tool: Tool, arguments: BaseModel) -> None:
        """After untrusted text, refuse an effect on anything that the caller did not name themself (ADR 9)."""
        if not self._influenced:
            return
        said = [entry.text for entry in self._history if isinstance(entry, CallerSaid)]
        missing = unsaid(arguments, said, known=tool.account_parameters)
        if missing is not None:
            _log.warning("effect_after_untrusted_text_refused", tool=tool.name, argument=missing)
            raise NotDoneError("refused", NOT_SAID.format(missing))

    def count(self, tool: Tool) -> None:
        """Refuse a tool without an effect that has run too often, and count this run."""
        rates = (*tool.rates, *self._agent.policy.rates(tool.name))
        runs = self._runs.get(tool.name, 0)
        in_call = min((rate.count for rate in rates if rate.per == "call"), default=runs + 1)
        if runs >= in_call or not self._counter.take(tool.name, self.subject, rates, self._clock()):
            raise NotDoneError("refused", TOO_OFTEN)
        self._runs[tool.name] = runs + 1

    def limits(self, tool: Tool) -> tuple[EffectLimit, ...]:
        """How often an effect may be begun, for the ledger to keep."""
        rates = (*tool.rates, *self._agent.policy.rates(tool.name))
        return tuple(EffectLimit(rate.count, SECONDS.get(rate.per)) for rate in rates)

    @property
    def _influenced(self) -> bool:
        """Whether the model has been shown what a tool brought of strangers' text."""
        return any(isinstance(entry, ToolAnswered) and self._may_be_strangers(entry) for entry in self._history)

    def _may_be_strangers(self, answer: ToolAnswered) -> bool:
        # A process that had the call before may have had more tools: of those that are not here nobody can say.
        tool = self._agent.tool(answer.name)
        if tool is not None:
            return tool.untrusted
        return answer.name not in BUILT_IN and answer.content != self.unknown_tool().content

    def _keep_policy(self, tool: Tool, read_back: ReadBack | None) -> None:
        refusal = self._agent.policy.refusal(
            tool.name, level=self._caller.level, now=self._clock(), read_back=read_back
        )
        if refusal is not None:
            kind: ErrorKind = "verification_required" if refusal.ground == "level" else "refused"
            raise NotDoneError(kind, refusal.reason)
