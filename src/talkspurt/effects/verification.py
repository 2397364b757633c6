"""Raising a caller's level: by a tool that checked facts, as often as attempts allow, and never above what it declares.

A tool gets a stand-in of the `Caller`. What it did to it becomes true only here, after the attempt has been judged, so
that a tool that fails, is late, or was not declared to verify raises nobody.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import structlog

from talkspurt.agent import Caller, Policies, Tool, ToolError
from talkspurt.effects.calling import bounded
from talkspurt.effects.refusals import CALLER_CHANGED, EXHAUSTED, FAILED, LOCKED, NO_OTHER_ACCOUNT, NotDoneError, where
from talkspurt.ports import AttemptOutcome, VerificationAttempts

WITHHELD: Final = "withheld"
"""What attempts of callers without a number are counted under, all together."""

_log = structlog.get_logger(__name__)


class Verification:
    """The level of one caller."""

    def __init__(self, caller: Caller, policies: Policies, attempts: VerificationAttempts) -> None:
        self._caller = caller
        self._attempts = attempts
        self._policies = policies
        self._changes = 0
        """How often the caller has become somebody else."""

    @property
    def _limits(self) -> dict[str, Any]:
        return {
            "call_id": self._caller.call_id,
            "number": self._caller.number or WITHHELD,
            "per_call": self._policies.verification_attempts,
            "per_number": (
                self._policies.attempts_per_number if self._caller.number else self._policies.attempts_withheld
            ),
        }

    def change_caller(self) -> None:
        """Somebody else is speaking: nobody is verified any more."""
        self._changes += 1
        self._caller.unverify()

    async def exhausted(self) -> bool:
        """Whether nobody can be verified on this call any more."""
        try:
            return await bounded(self._attempts.left(**self._limits)) <= 0
        except Exception as error:
            _log.error("attempts_not_counted", **where(error))
            raise NotDoneError("failed", FAILED) from None

    async def run(self, tool: Tool, function: Callable[[Caller], Awaitable[Any]]) -> Any:
        """Run a tool with a stand-in of the caller, and let what it did to it become true as far as it may."""
        before, stand_in = replace(self._caller), replace(self._caller)
        if not tool.verifies:
            result = await function(stand_in)
            self._take_over(tool, before, stand_in)
            return result
        changes = self._changes
        # A second proof is of the account that was proven first: it is counted there before anything is checked.
        claimed = self._caller.account if tool.level else None
        attempt = await self._take()
        if claimed is not None:
            await self._reserve(attempt, claimed)
        try:
            result = await function(stand_in)
        except NotDoneError as reason:
            await self._refused(attempt, reason, claimed)
            raise
        self._take_over(tool, before, stand_in)
        await self._passed(tool, attempt, stand_in, changes)
        return result

    def _take_over(self, tool: Tool, before: Caller, stand_in: Caller) -> None:
        """What a tool did to its stand-in since `before`; who was verified meanwhile is none of its doing."""
        self._caller.leaving = self._caller.leaving or stand_in.leaving
        if before.account is not None and stand_in.account is None:
            self.change_caller()
        elif not tool.verifies and stand_in.level > before.level:
            _log.error("tool_verifies_undeclared", tool=tool.name)

    async def _take(self) -> str:
        try:
            attempt = await bounded(self._attempts.take(**self._limits))
        except Exception as error:
            _log.error("attempt_not_counted", **where(error))
            raise NotDoneError("failed", FAILED) from None
        if attempt is None:
            raise NotDoneError("attempts_exhausted", EXHAUSTED)
        return attempt

    async def _reserve(self, attempt: str, account: str) -> None:
        """Count the attempt at an account; refuse it when the account has been tried too often today, by whomever."""
        try:
            left = await bounded(
                self._attempts.reserve(attempt, account, per_account=self._policies.attempts_per_account)
            )
        except Exception as error:
            _log.error("attempts_not_counted", **where(error))
            raise NotDoneError("failed", FAILED) from None
        if not left:
            await self._close(attempt, "failed", account)
            raise NotDoneError("attempts_exhausted", LOCKED)

    async def _refused(self, attempt: str, reason: NotDoneError, claimed: str | None) -> None:
        refusal = reason.__cause__
        if not (isinstance(refusal, ToolError) and refusal.attempted):
            await self._close(attempt, "void")
            return
        accounts = (*refusal.accounts, *([] if claimed is None else [claimed]))
        await self._close(attempt, "failed", *accounts)
        if await self.exhausted():
            raise NotDoneError("attempts_exhausted", EXHAUSTED) from None
        if any([await self._locked(account) for account in accounts]):
            # In the words that right facts would get: they tell nothing.
            raise NotDoneError("attempts_exhausted", LOCKED) from None

    async def _passed(self, tool: Tool, attempt: str, stand_in: Caller, changes: int) -> None:
        account, level = stand_in.account, min(stand_in.level, tool.verifies)
        if account is None or (account, level) == (self._caller.account, self._caller.level) or level < 1:
            await self._close(attempt, "void")
            return
        # Only now is it known whose facts they were. Many at once are counted in the order in which they come back.
        await self._reserve(attempt, account)
        await self._close(attempt, "passed", account)
        if changes != self._changes:
            raise NotDoneError("refused", CALLER_CHANGED)
        served, most = self._caller.served, self._policies.accounts_per_call
        if account not in served and most is not None and len(served) >= most:
            # Judged behind everything that is awaited: of two at once, the second finds the first one served.
            raise NotDoneError("refused", NO_OTHER_ACCOUNT)
        self._caller.verify(account, level=level)

    async def _locked(self, account: str) -> bool:
        """Whether the account has been tried too often today, by whomever."""
        try:
            return await bounded(self._attempts.failed_for(account)) >= self._policies.attempts_per_account
        except Exception as error:
            _log.error("attempts_not_counted", **where(error))
            raise NotDoneError("failed", FAILED) from None

    async def _close(self, attempt: str, outcome: AttemptOutcome, *accounts: str) -> None:
        try:
            await bounded(self._attempts.close(attempt, outcome=outcome, accounts=accounts))
        except Exception as error:
            # It stays open, which counts as failed.
            _log.error("attempt_not_closed", outcome=outcome, **where(error))


@dataclass(slots=True)
class _Attempt:
    call_id: str
    number: str
    accounts: frozenset[str] = frozenset()
    """Whom it is counted for."""


class ProcessAttempts:
    """Implements `ports.VerificationAttempts` for as long as the process lives: for agents that run without a store."""

    def __init__(self) -> None:
        self._failed: dict[str, _Attempt] = {}

    async def take(self, *, call_id: str, number: str, per_call: int, per_number: int) -> str | None:
        """Begin an attempt; None when the call, or the number, has none left."""
        if await self.left(call_id=call_id, number=number, per_call=per_call, per_number=per_number) <= 0:
            return None
        attempt = uuid4().hex
        self._failed[attempt] = _Attempt(call_id, number)
        return attempt

    async def reserve(self, attempt: str, account: str, /, *, per_account: int) -> bool:
        """Count an attempt that has begun at an account, too."""
        others = [other for name, other in self._failed.items() if name != attempt]
        if sum(account in other.accounts for other in others) >= per_account:
            return False
        self._failed[attempt].accounts = frozenset((account,))
        return True

    async def close(self, attempt: str, /, *, outcome: AttemptOutcome, accounts: Collection[str] = ()) -> None:
        """Say how an attempt ended."""
        if outcome == "failed":
            self._failed[attempt].accounts = frozenset(accounts)
        else:
            self._failed.pop(attempt, None)

    async def failed_for(self, account: str, /) -> int:
        """Failed attempts at an account."""
        return sum(account in attempt.accounts for attempt in self._failed.values())

    async def left(self, *, call_id: str, number: str, per_call: int, per_number: int) -> int:
        """How many more attempts `take` would allow."""
        left = per_call - sum(attempt.call_id == call_id for attempt in self._failed.values())
        if number:
            left = min(left, per_number - sum(attempt.number == number for attempt in self._failed.values()))
        return left
