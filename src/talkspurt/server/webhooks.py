"""Twilio's webhooks: a call comes in, its stream has ended, its status changed.

Each request is counted by address, read within bounds, and checked for its signature, in this
order. All three are idempotent: the carrier, and proxies on the way, repeat requests.

A caller never gets an HTTP error or a traceback once the request is known to be Twilio's: what
goes wrong becomes a sentence in TwiML, and a line in our log.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Request, Response
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import ClientDisconnect

from talkspurt.config import Config
from talkspurt.errors import StoreError
from talkspurt.server import twiml
from talkspurt.server.addresses import client_address
from talkspurt.server.limits import RateLimits
from talkspurt.server.origin import MEDIA, RESUME, STATUS, VOICE, Origin
from talkspurt.server.reception import Reception
from talkspurt.server.signatures import HEADER, Signatures
from talkspurt.store import Call, Store
from talkspurt.telemetry import metrics

MAX_BODY_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 200
READ_TIMEOUT: Final = 5.0
ANSWER_TIMEOUT: Final = 10.0
"""Twilio gives up after 15 s."""

MOST_ATTACHMENTS: Final = 20
"""Media attachments of one call: a loop of reconnecting must end."""
MOST_FAILURES: Final = 2
"""Sessions of one call that may break until the caller is told that there is a problem."""

FINAL_STATUSES: Final = {
    "completed": "caller_hung_up",
    "busy": "carrier_busy",
    "failed": "carrier_failed",
    "no-answer": "carrier_no_answer",
    "canceled": "carrier_canceled",
}
"""Twilio's final call statuses, and the end reason of a call that had none of its own."""

Fields = ImmutableMultiDict[str, str]
Action = Callable[[Fields], Awaitable[Response]]

log = structlog.get_logger(__name__)


class _RefusedError(Exception):
    """The request is not to be answered: `status` says why, without detail."""

    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(outcome)
        self.status = status
        self.outcome = outcome


class TwilioWebhooks:
    """The three webhooks; `routes` mounts them."""

    def __init__(
        self,
        config: Config,
        store: Store,
        reception: Reception,
        *,
        origin: Origin,
        signatures: Signatures,
        limits: RateLimits,
        handover_numbers: dict[str, str],
    ) -> None:
        self._config = config
        self._store = store
        self._reception = reception
        self._origin = origin
        self._signatures = signatures
        self._limits = limits
        self._handover_numbers = handover_numbers

    def routes(self) -> APIRouter:
        """The routes, each with its guard."""
        router = APIRouter()
        for path, action in ((VOICE, self.voice), (RESUME, self.resume), (STATUS, self.status)):
            router.add_api_route(path, self._guarded(path, action), methods=["POST"])
        return router

    # ── the three ─────────────────────────────────────────────────────────────────

    async def voice(self, fields: Fields) -> Response:
        """A call comes in: give it a row, a place and a token."""
        sid, caller, dialled = (fields.get(name, "")[:64] for name in ("CallSid", "From", "To"))
        known = await self._store.calls.by_carrier_id(sid)
        if known is not None:
            return await self._go_on(known)
        number = self._config.number(dialled)
        if number is None:
            return _refused("unknown_number", twiml.say_and_hang_up(twiml.UNKNOWN_NUMBER), dialled=dialled)
        if not await self._limits.admit_call(caller):
            # The busy tone, because it is not billed: whoever calls like this would run up a bill by being spoken to.
            return _refused("caller_rate", twiml.reject())
        if not self._reception.admit(sid):
            # A sentence, which is billed for some seconds, because this caller has done nothing wrong and the
            # busy tone would not tell him that calling again helps.
            return _refused("no_place", twiml.say_and_hang_up(twiml.BUSY))
        try:
            call = await self._store.calls.admit(
                carrier_call_id=sid, caller=caller, dialled=dialled, agent=number.agent, locale=number.locale
            )
            response = await self._connect(call)
        except BaseException:
            self._reception.dismiss(sid)
            raise
        metrics.CALLS.labels(call.agent).inc()
        log.info("call_admitted", call_id=call.id, agent=call.agent, locale=call.locale)
        return response

    async def resume(self, fields: Fields) -> Response:
        """The stream or a `<Dial>` has ended: go on as the stored call says."""
        call = await self._store.calls.by_carrier_id(fields.get("CallSid", ""))
        if call is None:
            return _xml(twiml.hang_up())
        dialled = fields.get("DialCallStatus")
        if dialled is not None and call.state == "handover":
            log.info("handover_ended", call_id=call.id, status=metrics.label(dialled, {"answered", *FINAL_STATUSES}))
            if dialled in ("completed", "answered"):
                await self._reception.end_call(call.id, "handover")
            else:
                # Nobody answered. The caller is still there, and is ours again.
                await self._store.calls.take_back(call.id)
            call = await self._store.calls.find(call.id) or call
        return await self._go_on(call)

    async def status(self, fields: Fields) -> Response:
        """The call's status changed: a final one ends the call and a session that still runs."""
        sid, status = fields.get("CallSid", ""), fields.get("CallStatus", "")
        reason = FINAL_STATUSES.get(status)
        if reason is not None:
            self._reception.hang_up(sid)
            call = await self._store.calls.by_carrier_id(sid)
            if call is not None:
                await self._reception.end_call(call.id, "handover" if call.state == "handover" else reason)
        return Response(status_code=204)

    async def _go_on(self, call: Call) -> Response:
        if call.state == "ended":
            return _xml(twiml.hang_up())
        if call.state == "handover":
            number = self._handover_numbers.get(call.handover_target or "")
            if number is not None:
                return _xml(twiml.dial(number=number, resume_url=self._origin.url(RESUME)))
            log.error("handover_target_unknown", call_id=call.id, target=call.handover_target)
            await self._store.calls.take_back(call.id)
        if call.failures > MOST_FAILURES or call.attachment >= MOST_ATTACHMENTS:
            log.error("call_given_up", call_id=call.id, failures=call.failures, attachments=call.attachment)
            await self._reception.end_call(call.id, "failed")
            return _xml(twiml.say_and_hang_up(twiml.TECHNICAL_PROBLEM))
        if not self._reception.takes_sockets:
            # A call that outlived a restart. Its socket would be refused while we warm up, and a refused socket
            # brings the carrier back at once, until it gives the call up.
            return _xml(twiml.ask_again(resume_url=self._origin.url(RESUME)))
        return await self._connect(call)

    async def _connect(self, call: Call) -> Response:
        return _xml(
            twiml.connect(
                stream_url=self._origin.socket_url(MEDIA),
                token=await self._store.tokens.issue(call),
                resume_url=self._origin.url(RESUME),
            )
        )

    # ── the guard ─────────────────────────────────────────────────────────────────

    def _guarded(self, path: str, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                fields = await self._authentic_fields(request, path)
            except _RefusedError as refused:
                metrics.WEBHOOKS.labels(path, refused.outcome).inc()
                return Response(status_code=refused.status)
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    response = await action(fields)
            except StoreError as error:
                log.error("webhook_failed", path=path, error=str(error))
                metrics.STORE_FAILURES.labels("webhook").inc()
                outcome, response = "store", _xml(twiml.say_and_hang_up(twiml.TECHNICAL_PROBLEM))
            except Exception:
                log.exception("webhook_failed", path=path)
                outcome, response = "error", _xml(twiml.say_and_hang_up(twiml.TECHNICAL_PROBLEM))
            else:
                outcome = "ok"
            metrics.WEBHOOKS.labels(path, outcome).inc()
            return response

        return endpoint

    async def _authentic_fields(self, request: Request, path: str) -> Fields:
        """The POST fields, once Twilio is known to have sent them. Raises `_RefusedError`."""
        peer = request.client.host if request.client else ""
        forwarded_for = request.headers.getlist("x-forwarded-for")
        address = client_address(peer, forwarded_for, self._config.server.trusted_proxies)
        if not await self._limits.admit_request(address):
            raise _RefusedError(429, "rate")
        fields = _parse(await _body(request))
        url = self._origin.url(path)
        if request.url.query:
            url += f"?{request.url.query}"
        if not self._signatures.accept(url, fields, request.headers.get(HEADER)):
            log.warning("webhook_unsigned", path=path, url=self._origin.url(path))
            raise _RefusedError(403, "signature")
        if not 0 < len(fields.get("CallSid", "")) <= 64:
            raise _RefusedError(400, "call_sid")
        return fields


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _RefusedError(413, "oversized")
    except (TimeoutError, ClientDisconnect):
        raise _RefusedError(408, "slow") from None
    return bytes(body)


def _parse(body: bytes) -> Fields:
    """All fields, blank ones, repeated ones and spaces included: the signature covers them."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise _RefusedError(400, "form") from None
    return ImmutableMultiDict(pairs)


def _xml(document: str) -> Response:
    return Response(document, media_type=twiml.CONTENT_TYPE)


def _refused(reason: str, document: str, **details: str) -> Response:
    metrics.CALLS_REFUSED.labels(reason).inc()
    log.warning("call_refused", reason=reason, **details)
    return _xml(document)
