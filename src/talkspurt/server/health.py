"""Is the process alive, may it have calls, and how is it doing: `/livez`, `/readyz`, `/metrics`.

Liveness says nothing of the database: restarting a process does not mend a database, and would
end the calls that go on from memory.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from talkspurt.errors import StoreError
from talkspurt.store import Store
from talkspurt.telemetry import metrics

PING_TIMEOUT: Final = 2.0


@dataclass
class Readiness:
    """Why this process should not be given calls."""

    store: Store
    warming: bool = True
    draining: bool = False
    unconfigured: bool = False
    """Every call would be refused, because what its signature is checked with is not set."""

    async def reasons(self) -> list[str]:
        """Empty when the process may be given calls."""
        reasons = [name for name in ("unconfigured", "warming", "draining") if getattr(self, name)]
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self.store.ping()
        except (StoreError, TimeoutError):
            reasons.append("database")
        return reasons


def health_routes(readiness: Readiness) -> APIRouter:
    """The three routes."""
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        reasons = await readiness.reasons()
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    @router.get("/metrics")
    async def exposition(request: Request) -> Response:
        if not _is_internal(request):
            return PlainTextResponse("not found\n", status_code=404)
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return router


def _is_internal(request: Request) -> bool:
    """Metrics are on the public port, so only for who comes from a private network, and not through a proxy."""
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers or request.client is None:
        return False
    try:
        return not ipaddress.ip_address(request.client.host).is_global
    except ValueError:
        return False
