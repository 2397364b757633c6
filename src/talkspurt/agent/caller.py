"""Who is calling, as tools see it: the one thing about the call that a tool may trust.

Invariant: only a tool that checked facts raises the level, through `verify`; nothing that a
model says does. The caller number is never proof of identity.
"""

from dataclasses import dataclass

from talkspurt.agent.refusal import ToolError


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
    handover_target: str | None = None
    """The name of the place the call goes to when it ends ("billing"), never a number."""
    handover_targets: tuple[str, ...] = ()
    """Names of the places this call may be handed over to; empty when nobody can take it."""

    def verify(self, account: str, *, level: int = 1) -> None:
        """Raise the verification level for `account`; another account than before starts again from nothing."""
        if self.account is not None and self.account != account:
            self.level = 0
        self.account = account
        self.level = max(self.level, level)

    def unverify(self) -> None:
        """Forget who it was: somebody else is speaking, or may be. What was proposed before is not carried out."""
        self.level = 0
        self.account = None

    def hand_over(self, target: str) -> None:
        """Ask for the call to go to `target` once the agent has finished its sentence.

        Raises `ToolError` when `target` is not among `handover_targets`.
        """
        if target not in self.handover_targets:
            known = ", ".join(self.handover_targets) or "none"
            raise ToolError(f"The call cannot go there. Places it can go to: {known}.")
        self.handover_target = target
