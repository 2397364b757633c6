"""Who is calling, as tools see it: the one thing about the call that a tool may trust.

Invariant: only a tool that checked facts raises the level, through `verify`; nothing that a
model says does. The caller number is never proof of identity.
"""

from dataclasses import dataclass, field
from typing import Any

from talkspurt.agent.handover import HandoverAnswer, HandoverDesk, NoDesk


@dataclass(slots=True)
class Caller:
    """The person on the line. Tools receive it from the session, never from the model.

    `level` is the verification level: 0 the caller number only, 1 two facts that match
    exactly, 2 a one-time code or PIN. `account` is set with level 1 or higher.
    """

    call_id: str
    number: str
    """The caller's number in E.164, or "" when withheld. Never proof of identity."""
    locale: str = "en-US"
    level: int = 0
    account: str | None = None
    desk: HandoverDesk = field(default_factory=NoDesk, repr=False)
    """Who puts callers through to people."""
    leaving: bool = False
    """The call is to go to a person once the agent has finished its sentence: for the session, not for tools."""
    served: tuple[str, ...] = ()
    """Every account that was verified in this call so far, whoever had the phone then."""

    @property
    def handover_targets(self) -> tuple[str, ...]:
        """Names of the places this call may be handed over to; empty when there are none."""
        return self.desk.targets

    def verify(self, account: str, *, level: int = 1) -> None:
        """Raise the verification level for `account`; another account than before starts again from nothing."""
        if self.account is not None and self.account != account:
            self.level = 0
        self.account = account
        self.level = max(self.level, level)
        self.served = self.served if account in self.served else (*self.served, account)

    def unverify(self) -> None:
        """Forget who it was: somebody else is speaking, or may be. What was proposed before is not carried out."""
        self.level = 0
        self.account = None

    def standing(self) -> dict[str, Any]:
        """What was established about them, as JSON values: it outlives the process, and a hand-over in vain."""
        return {"account": self.account, "level": self.level, "served": list(self.served)}

    def restore(self, standing: Any) -> None:
        """Take up what `standing` said; anything else leaves them unverified."""
        match standing:
            case {"served": [*served]} if all(isinstance(account, str) for account in served):
                self.served = tuple(served)
        match standing:
            case {"account": str(account), "level": int(level)} if 1 <= level <= 2:
                self.verify(account, level=level)

    async def hand_over(self, reason: str, *, target: str | None = None) -> HandoverAnswer:
        """Get a person for the caller; what comes of it is in the answer, which is true as it stands.

        `target` is a name ("billing"), never a number; None is the first there is. `reason`, what the caller needs
        in one sentence, is told to the person. Raises `ToolError` when there are targets, but none of that name.
        """
        answer = await self.desk.hand_over(self, target=target, reason=reason)
        self.leaving = self.leaving or answer.handed_over
        return answer

    async def call_back(self, reason: str, *, target: str | None = None) -> HandoverAnswer:
        """Note that somebody is to call the caller back: once a call, however often it is asked for."""
        return await self.desk.call_back(self, target=target, reason=reason)
