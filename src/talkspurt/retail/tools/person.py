"""Getting a person for the caller."""

from typing import Any

from talkspurt.agent import Caller, Tool, tool
from talkspurt.retail.tools.common import ToolGroup


class Person(ToolGroup):
    """The tool that hands the caller over, or notes that they want to be called back."""

    def tools(self) -> tuple[Tool, ...]:
        """All of this group."""
        return (self.escalate_to_human,)

    @tool
    async def escalate_to_human(
        self, caller: Caller, reason: str, target: str = "", callback: bool = False
    ) -> dict[str, Any]:
        """Get a person for the caller. The result says what happens; say that, and nothing beyond it.

        reason: what the caller needs, in one sentence
        target: the name of the place to reach, if the caller named one
        callback: true when the caller wants to be called back rather than put through
        """
        wanted = target or next((name for name in caller.handover_targets if name.lower() in reason.lower()), None)
        if callback:
            return (await caller.call_back(reason, target=wanted)).facts()
        return (await caller.hand_over(reason, target=wanted)).facts()
