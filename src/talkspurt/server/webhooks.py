"""Twilio's webhooks: a call comes in, its stream has ended, its status changed.

All three are idempotent: the carrier, and proxies on the way, repeat requests. Who asks is known: see `guard`.
"""

from typing import Final

import structlog
from fastapi import APIRouter, Response

from talkspurt.agent.locales import Locale, find_locale
from talkspurt.config import Config
from talkspurt.server import twiml
from talkspurt.server.caller_number import caller_number
from talkspurt.server.fleet import Refusal
from talkspurt.server.guard import Fields, Guard, xml
from talkspurt.server.handover import documents
from talkspurt.server.handover.flow import DIAL_DONE, HandoverFlow
from talkspurt.server.handover.last_resort import CALL_AGAIN, CALLED_BACK, TROUBLE
from talkspurt.server.handover.next import Back, Join, Over, Put, Wait
from talkspurt.server.limits import RateLimits
from talkspurt.server.origin import RESUME, STATUS, VOICE, Origin, media_path, resume_path
from talkspurt.server.reception import Reception
from talkspurt.server.waiting import WaitingRoom
from talkspurt.store import Call, Store
from talkspurt.telemetry import metrics

MOST_ATTACHMENTS: Final = 20
"""Media attachments of one call: a loop of reconnecting must end."""
MOST_FAILURES: Final = 2
"""Sessions of one call that may break until the caller is told that there is a problem."""

WAIT_TURN: Final = 5
"""Seconds of silence until a waiting caller's line asks again whether there is room."""
TURNS_IN_SILENCE: Final = 3
"""Such silences until he hears again that he is waiting."""

FINAL_STATUSES: Final = {
    "completed": "caller_hung_up",
    "busy": "carrier_busy",
    "failed": "carrier_failed",
    "no-answer": "carrier_no_answer",
    "canceled": "carrier_canceled",
}
"""Twilio's final call statuses, and the end reason of a call that had none of its own."""

log = structlog.get_logger(__name__)


class TwilioWebhooks:
    """The three webhooks; `routes` mounts them."""

    def __init__(
        self,
        config: Config,
        store: Store,
        reception: Reception,
        *,
        origin: Origin,
        guard: Guard,
        limits: RateLimits,
        waiting: WaitingRoom,
        flow: HandoverFlow,
    ) -> None:
        self._config = config
        self._store = store
        self._reception = reception
        self._origin = origin
        self._guard = guard
        self._limits = limits
        self._waiting = waiting
        self._flow = flow

    def routes(self) -> APIRouter:
        """The routes, each with its guard."""
        router = APIRouter()
        endpoints = {
            VOICE: self._guard.guarded(VOICE, self.voice),
            # Whoever asks how to go on has a call already, and perhaps a colleague who waits for them.
            RESUME: self._guard.guarded(RESUME, self.resume, outage="hold", is_over=_has_talked),
            STATUS: self._guard.guarded(STATUS, self.status, outage="keep"),
        }
        for path, endpoint in endpoints.items():
            router.add_api_route(path, endpoint, methods=["POST"])
        return router

    # ── the three ─────────────────────────────────────────────────────────────────

    async def voice(self, fields: Fields) -> Response:
        """A call comes in: give it a row, a place and a token."""
        sid, told, dialled = (fields.get(name, "")[:64] for name in ("CallSid", "From", "To"))
        known = await self._store.calls.by_carrier_id(sid)
        if known is not None:
            return await self._go_on(known)
        number = self._config.number(dialled)
        if number is None:
            return _refused("unknown_number", twiml.say_and_hang_up(twiml.UNKNOWN_NUMBER), dialled=dialled)
        caller = caller_number(told)
        waits = _turns_waited(fields)
        if not waits and not self._limits.admit_call(caller):
            # The busy tone, because it is not billed: whoever calls like this would run up a bill by being spoken to.
            return _refused("caller_rate", twiml.reject())
        refusal = self._reception.admit(sid)
        if refusal is not None:
            return self._full(sid, refusal, find_locale(number.locale), waits)
        self._waiting.leaves(sid)
        try:
            call = await self._store.calls.admit(
                carrier_call_id=sid, caller=caller, dialled=dialled, agent=number.agent, locale=number.locale
            )
            self._reception.ring(call)
            response = await self._connect(call)
        except BaseException:
            self._reception.dismiss(sid)
            raise
        metrics.CALLS.labels(call.agent).inc()
        log.info("call_admitted", call_id=call.id, agent=call.agent, locale=call.locale)
        return response

    def _full(self, sid: str, refusal: Refusal, locale: Locale, waits: int) -> Response:
        """Nobody can take the call: let its caller wait, or refuse."""
        server = self._config.server
        patient = server.when_full == "wait" and waits * WAIT_TURN < server.longest_wait
        if patient and not self._reception.draining and self._waiting.takes(sid, waits_already=waits > 0):
            phrase = "still_waiting" if waits else "please_wait"
            return xml(
                twiml.wait(
                    text=locale.phrases[phrase] if waits % TURNS_IN_SILENCE == 0 else "",
                    language=locale.tag,
                    seconds=WAIT_TURN,
                    then_url=self._origin.url(f"{VOICE}?waits={waits + 1}"),
                )
            )
        self._waiting.leaves(sid)
        # A sentence, which is billed for some seconds, because this caller has done nothing wrong and the
        # busy tone would not tell him that calling again helps.
        return _refused(refusal, twiml.say_and_hang_up(locale.phrases["lines_busy"], language=locale.tag))

    async def resume(self, fields: Fields) -> Response:
        """The stream, a `<Dial>` or what a waiting caller is played has ended: go on as the stored call says."""
        call = await self._store.calls.by_carrier_id(fields.get("CallSid", ""))
        if call is None:
            return xml(twiml.hang_up())
        return await self._go_on(call, fields)

    async def status(self, fields: Fields) -> Response:
        """The call's status changed: a final one ends the call, a session that still runs, and what rings for it."""
        sid, status = fields.get("CallSid", ""), fields.get("CallStatus", "")
        reason = FINAL_STATUSES.get(status)
        if reason is not None:
            self._waiting.leaves(sid)
            self._reception.hang_up(sid)
            call = await self._store.calls.by_carrier_id(sid)
            if call is not None:
                talked = call.state == "handover" and await self._flow.talked(call.id)
                await self._reception.end_call(call.id, "handover" if talked else reason)
        return Response(status_code=204)

    async def _go_on(self, call: Call, fields: Fields | None = None) -> Response:
        if call.state == "ended":
            return xml(await self._farewell(call))
        if call.state == "handover":
            response = await self._hand_over(call, fields or Fields())
            if response is not None:
                return response
        if call.failures > MOST_FAILURES or call.attachment >= MOST_ATTACHMENTS:
            log.error("call_given_up", call_id=call.id, failures=call.failures, attachments=call.attachment)
            await self._reception.end_call(call.id, "failed")
            return xml(twiml.say_and_hang_up(twiml.TECHNICAL_PROBLEM))
        if not self._reception.takes_sockets:
            # A call that outlived a restart. Its socket would be refused while we warm up, and a refused socket
            # brings the carrier back at once, until it gives the call up.
            return xml(twiml.ask_again(resume_url=self._origin.url(RESUME)))
        return await self._connect(call, None if fields is None else _worker_before(fields))

    async def _farewell(self, call: Call) -> str:
        """The last of a call that is over: by the carrier's voice when the agent had to give it up."""
        if call.end_reason not in TROUBLE:
            return twiml.hang_up()
        noted = await self._store.callbacks.find(call.id) is not None
        return twiml.say_and_hang_up(CALLED_BACK if noted else CALL_AGAIN)

    async def _hand_over(self, call: Call, fields: Fields) -> Response | None:
        """How a call goes on that is being handed over; None when it is the agent's again."""
        following = await self._flow.caller_asks(
            call,
            key=fields.get("Digits", ""),
            dialled=fields.get("DialCallStatus", ""),
            attempt=documents.attempt_of(fields),
        )
        match following:
            case Put():
                return xml(documents.put(following, self._origin))
            case Wait():
                return xml(documents.wait(following, self._origin, self._config.handover.hold_music))
            case Join():
                return xml(documents.join(following, self._origin))
            case Over():
                await self._reception.end_call(call.id, "handover")
                return xml(twiml.hang_up())
            case Back():
                return None

    async def _connect(self, call: Call, before: int | None = None) -> Response:
        """Let the call connect to a worker; `before` is the one that it comes from."""
        worker = self._reception.worker_for(call.carrier_call_id, before)
        return xml(
            twiml.connect(
                stream_url=self._origin.socket_url(media_path(worker)),
                token=await self._store.tokens.issue(call),
                resume_url=self._origin.url(resume_path(worker)),
            )
        )


def _turns_waited(fields: Fields) -> int:
    """How often the caller has waited already: our own URL says so, and it is signed."""
    waits = fields.get("waits", "")
    return int(waits) if waits.isascii() and waits.isdigit() and len(waits) < 6 else 0


def _has_talked(fields: Fields) -> bool:
    """Whether a line asks how to go on because the talk with a person is over: then there is nothing to wait for."""
    return bool(fields.get("handover")) and fields.get("DialCallStatus") in DIAL_DONE


def _worker_before(fields: Fields) -> int | None:
    worker = fields.get("worker", "")
    return int(worker) if worker.isascii() and worker.isdigit() and len(worker) < 4 else None


def _refused(reason: str, document: str, **details: str) -> Response:
    metrics.CALLS_REFUSED.labels(reason).inc()
    log.warning("call_refused", reason=reason, **details)
    return xml(document)
