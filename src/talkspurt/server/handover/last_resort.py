"""The last rung: an agent that can go on no longer gives the caller to a person, and if there is none, says so.

Its model, ears or voice have failed it, so what is left is the carrier's: the caller is put through, or hears from the
carrier's voice that somebody calls back.
"""

import asyncio
from typing import Final

import structlog

from talkspurt.agent import Caller, HandoverDesk
from talkspurt.errors import TalkspurtError

TROUBLE: Final = frozenset({"no_reply", "no_speech", "not_understood"})
"""Reasons for which the agent gives a call up, though the caller still wants something."""
PATIENCE: Final = 3.0
"""Seconds to find out who is there: the caller waits in silence meanwhile."""
CALLED_BACK: Final = "I've asked a colleague to call you back on this number. Goodbye."
CALL_AGAIN: Final = "Please call again later. Goodbye."

_log = structlog.get_logger(__name__)


async def finds_person(desk: HandoverDesk, caller: Caller, reason: str) -> bool:
    """Have the call handed over, or a call-back noted; True when the caller leaves the agent. Never raises.

    A call-back is noted also where there is nobody to put callers through to: `talkspurt callbacks` lists it.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            why = f"The agent could not go on ({reason})."
            answer = await desk.hand_over(caller, target=None, reason=why, last_resort=True)
    except (TalkspurtError, TimeoutError) as error:
        _log.warning("no_last_resort", call_id=caller.call_id, error=str(error))
        return False
    return answer.handed_over
