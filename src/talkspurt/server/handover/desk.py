"""Answers an agent's tools that want a person for the caller: truthfully, before anybody is called.

It decides from the configuration (who may be called, when somebody is there) and the store (who waits), and
notes what was promised: a hand-over that begins when the agent has finished its sentence, or a call-back.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from talkspurt.agent import Caller, ToolError
from talkspurt.agent.handover import HandoverAnswer
from talkspurt.server.handover import words
from talkspurt.server.handover.callback import note_callback
from talkspurt.server.handover.targets import Target, Targets
from talkspurt.store import Store

MOST_FAILURES: Final = 2
"""Hand-overs of one call that came to nothing, after which a call-back is noted instead of ringing again."""
REASON_CHARACTERS: Final = 500

_log = structlog.get_logger(__name__)


class Desk:
    """A `HandoverDesk` on the store."""

    def __init__(self, targets: Targets, store: Store, now: Callable[[], datetime]) -> None:
        self._targets = targets
        self._store = store
        self._now = now

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the places that calls may go to."""
        return self._targets.names

    async def hand_over(
        self, caller: Caller, *, target: str | None, reason: str, last_resort: bool = False
    ) -> HandoverAnswer:
        """Have the call handed over, or say why not. Raises `ToolError` for a name that is not among the targets."""
        if not self._targets.names:
            return await self._unreachable(caller, _naming(target, reason))
        wanted = self._find(target)
        if wanted is None:
            known = ", ".join(self._targets.names)
            raise ToolError(f"The call cannot go there. Places it can go to: {known}.")
        now = self._now()
        there = self._targets.next_open(wanted.name, (), now)
        if there is None:
            return await self._closed(caller, wanted, reason, now)
        # Who came back by a key wished for the agent; where that is gone, they would only be rung for again and again.
        besides, most = ((), 1) if last_resort else (words.WISHES, MOST_FAILURES)
        if await self._store.handovers.failures_of(caller.call_id, besides=besides) >= most:
            return await self.call_back(caller, target=wanted.name, reason=reason)
        handover = await self._store.handovers.request(
            caller.call_id,
            target=there.name,
            reason=reason[:REASON_CHARACTERS],
            account=caller.account if caller.level else None,
            level=caller.level,
        )
        # Another one, if the call has left the agent for it already.
        there = self._targets.find(handover.target) or there
        at, waiting = await self._store.handovers.load(there.name)
        _log.info("handover_requested", call_id=caller.call_id, target=there.name, at=at, waiting=waiting)
        ahead = await self._store.handovers.ahead(handover)
        if at < there.lines and not ahead:
            return HandoverAnswer("connecting", words.connecting(there.name), target=there.name)
        return HandoverAnswer("queued", words.queued(there.name, ahead + 1), target=there.name, position=ahead + 1)

    async def call_back(self, caller: Caller, *, target: str | None, reason: str) -> HandoverAnswer:
        """Note that somebody is to call back, once a call; a name that there is not goes into the reason."""
        wanted = self._find(target)
        if wanted is None:
            noted, message = await self._note_callback(caller, None, _naming(target, reason))
            return HandoverAnswer("unavailable", message, callback=noted)
        noted, message = await self._note_callback(caller, wanted.name, reason)
        return HandoverAnswer("unavailable", message, target=wanted.name, callback=noted)

    def _find(self, target: str | None) -> Target | None:
        """The target of that name, or else the first; None when there is none."""
        return self._targets.find(target) if target else next(iter(self._targets), None)

    async def _unreachable(self, caller: Caller, reason: str) -> HandoverAnswer:
        noted, message = await self._note_callback(caller, None, reason)
        return HandoverAnswer("unavailable", f"Nobody is free right now. {message}", callback=noted)

    async def _closed(self, caller: Caller, wanted: Target, reason: str, now: datetime) -> HandoverAnswer:
        # Not when another place on its way opens: it is this one that the caller is told of, and called back from.
        opening = wanted.hours.opens_next(now)
        opens = words.moment(opening, now) if opening is not None else None
        noted, message = await self._note_callback(caller, wanted.name, reason)
        return HandoverAnswer(
            "closed",
            f"{words.closed(wanted.name, opens)} {message}" if noted else words.closed(wanted.name, opens),
            target=wanted.name,
            opens=opens,
            callback=noted,
        )

    async def _note_callback(self, caller: Caller, target: str | None, reason: str) -> tuple[bool, str]:
        """Whether somebody will call back, and what to say of it."""
        account = caller.account if caller.level else None
        kept = await note_callback(
            self._store,
            caller.call_id,
            number=caller.number,
            target=target,
            account=account,
            reason=reason[:REASON_CHARACTERS],
        )
        if kept is None:
            return False, words.no_number()
        if (kept.target, kept.account) != (target, account):
            return True, words.callback_kept(kept.target)
        return True, words.callback_noted()


def _naming(target: str | None, reason: str) -> str:
    """What the caller needs, and where they wanted it."""
    return f"For {target}: {reason}" if target else reason
