"""Is the process alive, may it have calls, and how is it doing: `/livez`, `/readyz`, `/metrics`.

Liveness says nothing of the database: restarting a process does not mend a database, and would
end the calls that go on from memory.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from talkspurt.errors import StoreError
from talkspurt.server.fleet import Fleet
from talkspurt.server.limits import RateLimits
from talkspurt.server.load_table import Load, State
from talkspurt.store import Store

PING_TIMEOUT: Final = 2.0


Metrics = Callable[[], Awaitable[bytes]]
"""Makes the exposition."""


@dataclass(frozen=True)
class Readiness:
    """Why this machine should not be given calls."""

    store: Store
    fleet: Fleet
    unconfigured: bool = False
    """Every call would be refused, because what its signature is checked with is not set."""

    async def reasons(self) -> list[str]:
        """Empty when calls may come. Workers that are full are no reason: the calls that they have must find back."""
        states = {load.state for load in self._alive()}
        reasons = ["unconfigured"] if self.unconfigured else []
        if State.DRAINING in states and State.READY not in states:
            reasons.append("draining")
        elif not self.fleet.started or State.READY not in states:
            reasons.append("warming")
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self.store.ping()
        except (StoreError, TimeoutError):
            reasons.append("database")
        return reasons

    def workers(self) -> list[dict[str, Any]]:
        """How each worker is doing."""
        now = time.monotonic()
        loads = self.fleet.loads()
        return [
            {
                "worker": number,
                "state": load.state.name.lower() if load.fresh(now) else "silent" if load.state else "absent",
                "calls": load.calls,
                "coming": sum(other.places_given_at(number) for other in loads if other.state),
                "full": load.full,
                "loop_lag_ms": round(1000 * load.lag, 1),
                "playout_lateness_ms": round(1000 * load.lateness, 1),
            }
            for number, load in enumerate(loads)
        ]

    def _alive(self) -> list[Load]:
        now = time.monotonic()
        return [load for load in self.fleet.loads() if load.fresh(now)]


def health_routes(readiness: Readiness, limits: RateLimits, metrics: Metrics) -> APIRouter:
    """The three routes. What is asked from outside is limited as webhooks are."""

    async def within_limits(request: Request) -> None:
        if not _is_internal(request) and request.client and not limits.admit_request(request.client.host):
            raise HTTPException(429, headers={"Connection": "close"})

    router = APIRouter(dependencies=[Depends(within_limits)])

    @router.get("/livez")
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @router.get("/readyz")
    async def readyz(request: Request) -> JSONResponse:
        reasons = await readiness.reasons()
        body: dict[str, Any] = {"ready": not reasons, "reasons": reasons}
        if _is_internal(request):
            body["workers"] = readiness.workers()
        return JSONResponse(body, status_code=503 if reasons else 200)

    @router.get("/metrics")
    async def exposition(request: Request) -> Response:
        if not _is_internal(request):
            return PlainTextResponse("not found\n", status_code=404)
        return Response(await metrics(), media_type=CONTENT_TYPE_LATEST)

    return router


def _is_internal(request: Request) -> bool:
    """Figures are on the public port, so only for who comes from a private network, and not through a proxy."""
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers or request.client is None:
        return False
    try:
        return not ipaddress.ip_address(request.client.host).is_global
    except ValueError:
        return False
