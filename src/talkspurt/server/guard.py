"""The door of every webhook: counted by address, read within bounds, checked for its signature, in this order.
What is rightly signed is not counted after all: the carrier's addresses are few, and all calls come from them.

A caller never gets an HTTP error or a traceback once the request is known to be Twilio's: what goes wrong
becomes a sentence in TwiML, and a line in our log. Who is in the middle of a call does not lose it because the database
is away for a moment: their line is held and asks again, for about a minute.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

import structlog
from fastapi import Request, Response
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import ClientDisconnect

from talkspurt.config import Config
from talkspurt.errors import StoreError
from talkspurt.server import twiml
from talkspurt.server.addresses import client_address
from talkspurt.server.errands import Errand
from talkspurt.server.limits import RateLimits
from talkspurt.server.origin import Origin
from talkspurt.server.signatures import HEADER, Signatures
from talkspurt.telemetry import metrics

MAX_BODY_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 200
READ_TIMEOUT: Final = 5.0
ANSWER_TIMEOUT: Final = 10.0
"""Twilio gives up after 15 s."""

Fields = ImmutableMultiDict[str, str]
"""What the carrier posted, and before it what the webhook's own URL says: both are signed."""
Action = Callable[[Fields], Awaitable[Response]]
Outage = Literal["give_up", "hold", "keep"]
"""What becomes of a request that finds no database: the call is ended with a sentence, its line is held, or it is news
that the carrier does not repeat, which is kept here and acted upon later."""

LONGEST_OUTAGE: Final = 60
"""Seconds that a line is held for the database."""
HOLD_SECONDS: Final = 5
"""Seconds of silence until a line that is held asks again."""
CARRIED: Final = ("handover", "attempt", "worker", "DialCallStatus", "Digits")
"""What a line that asks again has to say a second time, because the carrier tells it once: without the first three
nobody knew what it is about, and without the others a place where nobody answers were rung again, and a key lost."""
HELD: Final = "held"
"""In the address at which a line asks again: seconds that it has been held for."""

log = structlog.get_logger(__name__)


class _RefusedError(Exception):
    """The request is not to be answered: `status` says why, without detail."""

    def __init__(self, status: int, outcome: str) -> None:
        super().__init__(outcome)
        self.status = status
        self.outcome = outcome


class Guard:
    """Lets a webhook's requests through to what answers them."""

    def __init__(
        self,
        config: Config,
        *,
        origin: Origin,
        signatures: Signatures,
        limits: RateLimits,
        again: Callable[[str, Errand], None],
    ) -> None:
        """`again` acts later upon news that found no database."""
        self._config = config
        self._origin = origin
        self._signatures = signatures
        self._limits = limits
        self._again = again

    def guarded(
        self,
        path: str,
        action: Action,
        *,
        identified_by: str = "CallSid",
        outage: Outage = "give_up",
        is_over: Callable[[Fields], bool] = lambda _fields: False,
    ) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint for `path`: `action` sees only what Twilio has signed, and surely the field `identified_by`.

        `outage` "hold" and "keep" are for what may be done once more from its beginning. Of a line whose request says
        that nothing is left for it (`is_over`) the news is kept, and the line not held.
        """

        async def endpoint(request: Request) -> Response:
            try:
                fields = await self._authentic_fields(request, path, identified_by)
            except _RefusedError as refused:
                metrics.WEBHOOKS.labels(path, refused.outcome).inc()
                # Whoever it is may not go on with this connection: each request costs more than it does to connect.
                return Response(status_code=refused.status, headers={"Connection": "close"})
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    response = await action(fields)
            except (StoreError, TimeoutError) as error:
                log.error("webhook_failed", path=path, error=str(error) or "no answer in time")
                metrics.STORE_FAILURES.labels("webhook").inc()
                spent = asyncio.get_running_loop().time() - began
                outcome = "store"
                if outage == "keep":
                    # Whatever we answered, the carrier tells it once.
                    self._again(path, partial(action, fields))
                    response = Response(status_code=204)
                elif outage == "hold" and is_over(fields):
                    self._again(path, partial(action, fields))
                    response = xml(twiml.hang_up())
                else:
                    response = xml(self._without_store(path, fields, outage, spent))
            except Exception:
                log.exception("webhook_failed", path=path)
                outcome, response = "error", xml(twiml.say_and_hang_up(twiml.TECHNICAL_PROBLEM))
            else:
                outcome = "ok"
            metrics.WEBHOOKS.labels(path, outcome).inc()
            return response

        return endpoint

    def _without_store(self, path: str, fields: Fields, outage: Outage, spent: float) -> str:
        """The answer to a request that did not get at the database, for which it has waited `spent` seconds."""
        held = _seconds_held(fields)
        if outage == "give_up" or held >= LONGEST_OUTAGE:
            return twiml.say_and_hang_up(twiml.TECHNICAL_PROBLEM)
        carried = {name: fields[name][:64] for name in CARRIED if fields.get(name)}
        # Counted in seconds, because a database that refuses costs none and one that hangs costs many.
        query = urlencode({**carried, HELD: held + HOLD_SECONDS + round(spent)})
        return twiml.wait(
            text=twiml.ONE_MOMENT if held == 0 else "",
            language="en-US",
            seconds=HOLD_SECONDS,
            then_url=self._origin.url(f"{path}?{query}"),
        )

    async def _authentic_fields(self, request: Request, path: str, identified_by: str) -> Fields:
        """The POST fields, once Twilio is known to have sent them. Raises `_RefusedError`."""
        peer = request.client.host if request.client else ""
        forwarded_for = request.headers.getlist("x-forwarded-for")
        address = client_address(peer, forwarded_for, self._config.server.trusted_proxies)
        visit = self._limits.visit(address, signed=HEADER in request.headers)
        if visit is None:
            raise _RefusedError(429, "rate")
        try:
            fields = await self._signed_fields(request, path)
        except BaseException:
            visit.is_strangers()
            raise
        visit.is_carriers()
        if not 0 < len(fields.get(identified_by, "")) <= 64:
            raise _RefusedError(400, "call_sid")
        return ImmutableMultiDict([*request.query_params.multi_items(), *fields.multi_items()])

    async def _signed_fields(self, request: Request, path: str) -> Fields:
        fields = _parse(await _body(request))
        url = self._origin.url(path)
        if request.url.query:
            url += f"?{request.url.query}"
        if not self._signatures.accept(url, fields, request.headers.get(HEADER)):
            log.warning("webhook_unsigned", path=path, url=self._origin.url(path))
            raise _RefusedError(403, "signature")
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


def _seconds_held(fields: Fields) -> int:
    """How long a line has been held for already: our own URL says so, and it is signed."""
    held = fields.get(HELD, "")
    return int(held) if held.isascii() and held.isdigit() and len(held) < 6 else 0


def xml(document: str) -> Response:
    """TwiML as an answer."""
    return Response(document, media_type=twiml.CONTENT_TYPE)
