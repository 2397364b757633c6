"""A hand-over desk in memory, for agents' tests: it answers as the real one does, and remembers what it was asked."""

from dataclasses import dataclass, field
from typing import Final

from talkspurt.agent import Caller, ToolError
from talkspurt.agent.handover import HandoverAnswer, HandoverStatus

CALLED_BACK: Final = " I've asked a colleague to call you back."


@dataclass
class MemoryDesk:
    """`targets` are the places that calls may go to; `opens` closes them all until then, in words."""

    targets: tuple[str, ...] = ()
    opens: str | None = None
    handed_over: list[tuple[str, str]] = field(default_factory=list)
    """Target and reason of each call that was put through."""
    callbacks: dict[str, tuple[str, str | None, str]] = field(default_factory=dict)
    """By call: the number, the verified account, the reason."""

    async def hand_over(
        self, caller: Caller, *, target: str | None, reason: str, last_resort: bool = False
    ) -> HandoverAnswer:
        if self.targets and target is not None and target not in self.targets:
            raise ToolError(f"The call cannot go there. Places it can go to: {', '.join(self.targets)}.")
        if not self.targets or self.opens is not None:
            noted = self._note(caller, reason)
            status: HandoverStatus = "closed" if self.targets else "unavailable"
            message = f"Nobody is free right now.{CALLED_BACK if noted else ''}"
            return HandoverAnswer(status, message, opens=self.opens, callback=noted)
        chosen = target or self.targets[0]
        self.handed_over.append((chosen, reason))
        return HandoverAnswer("connecting", f"I'm trying to put you through to {chosen} now.", target=chosen)

    async def call_back(self, caller: Caller, *, target: str | None, reason: str) -> HandoverAnswer:
        noted = self._note(caller, reason)
        message = f"All right.{CALLED_BACK}" if noted else "I can't see your number."
        return HandoverAnswer("unavailable", message, target=target if target in self.targets else None, callback=noted)

    def _note(self, caller: Caller, reason: str) -> bool:
        if caller.number:
            account = caller.account if caller.level else None
            self.callbacks.setdefault(caller.call_id, (caller.number, account, reason))
        return bool(caller.number)
