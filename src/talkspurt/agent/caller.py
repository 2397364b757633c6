"""Who is calling, as tools see it: the one thing about the call that a tool may trust."""

from dataclasses import dataclass, field


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
    handover_target: str | None = field(default=None)
    """The name of the place the call goes to when it ends ("billing"), never a number."""

    def verify(self, account: str, *, level: int = 1) -> None:
        """Raise the verification level for `account`; another account than before starts again from nothing."""
        if self.account is not None and self.account != account:
            self.level = 0
        self.account = account
        self.level = max(self.level, level)

    def hand_over(self, target: str) -> None:
        """Ask for the call to go to `target` once the agent has finished its sentence."""
        self.handover_target = target
