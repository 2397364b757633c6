"""How a tool gets a person for the caller, and what it may truthfully say about it.

The desk behind it belongs to the runtime: it knows who may be called, when somebody is there and who
waits, and it puts the caller through once the agent has finished its sentence. A tool hands on what the
desk answers; it never says that somebody is coming when nobody is.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from talkspurt.agent.caller import Caller

HandoverStatus = Literal["connecting", "queued", "closed", "unavailable"]


@dataclass(frozen=True, slots=True)
class HandoverAnswer:
    """What becomes of a caller who wants a person."""

    status: HandoverStatus
    """connecting: put through when the agent has finished speaking. queued: the same, behind others. closed: nobody is
    there now. unavailable: this line can reach nobody."""
    message: str
    """The same in words for the caller."""
    target: str | None = None
    position: int | None = None
    """Place in the queue, from 1."""
    opens: str | None = None
    """When somebody will be there, in words."""
    callback: bool = False
    """A call-back was noted."""

    @property
    def handed_over(self) -> bool:
        """Whether the caller leaves the agent."""
        return self.status in ("connecting", "queued")

    def facts(self) -> dict[str, Any]:
        """The same as a tool's result."""
        known = {"target": self.target, "position": self.position, "opens": self.opens}
        return {
            "status": self.status,
            "handed_over": self.handed_over,
            "callback": self.callback,
            **{name: value for name, value in known.items() if value is not None},
            "message": self.message,
        }


class HandoverDesk(Protocol):
    """What the runtime offers to tools; reached through `Caller`."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the places that calls may go to; empty when there are none."""

    async def hand_over(
        self, caller: "Caller", *, target: str | None, reason: str, last_resort: bool = False
    ) -> HandoverAnswer:
        """Have the call handed over, or say why not. Raises `ToolError` for a name that is not among the targets.

        `last_resort`: no agent is left to come back to, so whoever was handed over in vain is not again.
        """

    async def call_back(self, caller: "Caller", *, target: str | None, reason: str) -> HandoverAnswer:
        """Note that somebody is to call back, once a call."""


class NoDesk:
    """For calls that nobody can be reached from, such as a text conversation."""

    targets: tuple[str, ...] = ()

    async def hand_over(
        self, caller: "Caller", *, target: str | None, reason: str, last_resort: bool = False
    ) -> HandoverAnswer:
        """Say so."""
        return HandoverAnswer("unavailable", "I'm sorry, I can't reach anybody from here.")

    async def call_back(self, caller: "Caller", *, target: str | None, reason: str) -> HandoverAnswer:
        """Say so."""
        return HandoverAnswer("unavailable", "I'm sorry, I can't arrange a call-back from here.")
