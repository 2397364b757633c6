"""Getting a person for the caller."""

from typing import Any, Final

from talkspurt.agent import Caller, Tool, tool
from talkspurt.retail.tools.common import ToolGroup

REASON_CHARACTERS: Final = 500


class Person(ToolGroup):
    """The tool that hands the caller over, or notes that they want to be called back."""

    def tools(self) -> tuple[Tool, ...]:
        """All of this group."""
        return (self.escalate_to_human,)

    @tool
    async def escalate_to_human(self, caller: Caller, reason: str) -> dict[str, Any]:
        """Get a person for the caller: hands the call over if somebody can take it, or else notes a call-back.

        reason: what the caller needs, in one sentence
        """
        if caller.handover_targets:
            named = (target for target in caller.handover_targets if target.lower() in reason.lower())
            caller.hand_over(next(named, caller.handover_targets[0]))
            return {"handed_over": True, "callback": False, "message": "I'm putting you through to a colleague now."}
        if not caller.number:
            return {
                "handed_over": False,
                "callback": False,
                "message": "Nobody is free right now, and I can't see your number to call you back. "
                "Please call again with your number shown.",
            }
        await self._shop.record_callback(
            call_id=caller.call_id,
            number=caller.number,
            account=caller.account if caller.level >= 1 else None,
            reason=reason[:REASON_CHARACTERS],
        )
        return {
            "handed_over": False,
            "callback": True,
            "message": "Nobody is free right now, so I've asked a colleague to call you back on this number.",
        }
