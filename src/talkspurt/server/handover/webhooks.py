"""Twilio's webhooks about the colleague's telephone: picked up, a key pressed, over, a machine, both in the room.

Each URL carries the hand-over and the attempt, and is signed as a whole. All are idempotent.
"""

import asyncio
from typing import Final

import structlog
from fastapi import APIRouter, Response

from talkspurt.errors import StoreError
from talkspurt.server import twiml
from talkspurt.server.guard import Fields, Guard, xml
from talkspurt.server.handover import documents, words
from talkspurt.server.handover.briefing import Briefing
from talkspurt.server.handover.documents import Who, attempt_of, turns_of
from talkspurt.server.handover.flow import BRIEF_KEY, HandoverFlow
from talkspurt.server.origin import CONFERENCE, LEG, LEG_KEY, LEG_MACHINE, LEG_STATUS, ROOM, Origin

ALONE_TIMEOUT: Final = 8.0
"""Seconds to look at a room: less than the guard has, whose answer would be to hang up."""

_log = structlog.get_logger(__name__)
_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class HandoverWebhooks:
    """`routes` mounts them."""

    def __init__(self, flow: HandoverFlow, *, origin: Origin, guard: Guard) -> None:
        self._flow = flow
        self._origin = origin
        self._guard = guard

    def routes(self) -> APIRouter:
        """The routes, each with its guard."""
        router = APIRouter()
        endpoints = {
            # A colleague whose key found no database waits for it as the caller does, and the key counts then.
            LEG: self._guard.guarded(LEG, self.answered, outage="hold"),
            LEG_KEY: self._guard.guarded(LEG_KEY, self.key, outage="hold"),
            LEG_STATUS: self._guard.guarded(LEG_STATUS, self.status, outage="keep"),
            LEG_MACHINE: self._guard.guarded(LEG_MACHINE, self.machine),
        }
        for path, endpoint in endpoints.items():
            router.add_api_route(path, endpoint, methods=["POST"])
        # It is asked what to play, and Twilio does not say which fields that question has: all requests have this one.
        wait = self._guard.guarded(ROOM, self.alone, identified_by="AccountSid")
        router.add_api_route(ROOM, wait, methods=["POST"])
        # News of a room as a whole is about no call.
        room = self._guard.guarded(CONFERENCE, self.conference, identified_by="ConferenceSid", outage="keep")
        router.add_api_route(CONFERENCE, room, methods=["POST"])
        return router

    async def answered(self, fields: Fields) -> Response:
        """Somebody, or something, has picked up."""
        handover, attempt = fields.get("handover", ""), attempt_of(fields)
        announcement = await self._flow.answered(handover, attempt, fields["CallSid"])
        return self._told(announcement, documents.ANNOUNCED, handover, attempt)

    async def key(self, fields: Fields) -> Response:
        """They pressed a key, or let the time for it pass."""
        handover, attempt, key = fields.get("handover", ""), attempt_of(fields), fields.get("Digits", "")
        if key == BRIEF_KEY:
            return self._told(await self._flow.briefed(handover, attempt), documents.BRIEFED, handover, attempt)
        if await self._flow.key_pressed(handover, attempt, key):
            return xml(documents.accepted(handover, attempt, self._origin))
        return xml(twiml.say_and_hang_up(words.DECLINED))

    def _told(self, briefing: Briefing | None, keys: str, handover: str, attempt: int) -> Response:
        if briefing is None:
            return xml(twiml.say_and_hang_up(words.NOT_WAITING))
        return xml(documents.briefing(briefing.text, keys, handover, attempt, self._origin))

    async def status(self, fields: Fields) -> Response:
        """The telephone was answered (of a cold hand-over), or the outgoing call is over."""
        handover, attempt, status = fields.get("handover", ""), attempt_of(fields), fields.get("CallStatus", "")
        if status == "in-progress":
            await self._flow.connected(handover, attempt)
        elif status in _OVER:
            await self._flow.leg_ended(handover, attempt, status)
        return Response(status_code=204)

    async def machine(self, fields: Fields) -> Response:
        """The carrier has made up its mind who answered."""
        if fields.get("AnsweredBy", "").startswith(("machine", "fax")):
            await self._flow.machine_answered(fields.get("handover", ""), attempt_of(fields))
        return Response(status_code=204)

    async def alone(self, fields: Fields) -> Response:
        """One of them is in the room, the other not (yet): what to play, and whether to wait for longer."""
        handover, attempt, turns = fields.get("handover", ""), attempt_of(fields), turns_of(fields)
        who: Who = "caller" if fields.get("who") == "caller" else "colleague"
        try:
            async with asyncio.timeout(ALONE_TIMEOUT):
                await self._flow.alone(handover, attempt, who, turns, line=fields.get("CallSid"))
        except (StoreError, TimeoutError) as error:
            # They ask again, for as long as they are there. Nothing that ends a call may be answered here.
            _log.error("room_not_looked_at", handover=handover, error=str(error))
        return xml(documents.alone(handover, attempt, who, turns, self._origin))

    async def conference(self, fields: Fields) -> Response:
        """Both are in the room."""
        if fields.get("StatusCallbackEvent") == "conference-start":
            await self._flow.connected(fields.get("handover", ""), attempt_of(fields))
        return Response(status_code=204)
