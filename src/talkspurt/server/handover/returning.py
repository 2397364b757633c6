"""How a hand-over went, for the agent that has its caller again."""

import json
from typing import Final

from talkspurt.core.events import HandoverReturned
from talkspurt.server.handover import words
from talkspurt.store import Handover
from talkspurt.store.handovers import OPEN

_NOT_OVER: Final = (*OPEN, "completed")
"""States whose caller is not the agent's: still to be put through, or gone with a person."""


def how_it_went(latest: Handover | None) -> HandoverReturned | None:
    """What a conversation is told that is taken up behind the call's `latest` hand-over; None when that is not over.

    One that was canceled came to nothing like any other: its caller is here, so they have not gone.
    """
    if latest is None or latest.state in _NOT_OVER:
        return None
    cause = (latest.cause if latest.state == "failed" else None) or "failed"
    answer = words.returned(latest.target, cause)
    return HandoverReturned(
        phrase="back" if cause in words.WISHES else "back_unanswered",
        content=json.dumps({**answer.facts(), "status": cause}, separators=(",", ":")),
    )
