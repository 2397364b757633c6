"""Keeps a connection to a vendor open for the request that is about to come.

Vendors close idle connections after a minute or a few. A process that was quiet for longer would have the first turn of
the next call pay for DNS, TCP and TLS; so one is opened while its telephone rings. What is sent is a `HEAD` of the
vendor's origin, without a key: whatever the vendor answers, a refusal too, the connection stays in the client's pool,
and it costs no tokens.

It opens one connection and asks no more often than it has to: not while another call is at it, and not when an answer
came a moment ago. It raises nothing: whether the vendor works the call's own request will tell.
"""

import asyncio
import math
from typing import Any, Final

import httpx
import httpx2
import structlog

FRESH_S: Final = 10.0
"""Seconds after an answer of the vendor in which its connection is taken for open."""
PATIENCE_S: Final = 3.0
"""Seconds for one attempt. The first may find a connection that has died without a word; then there is a second."""
ATTEMPTS: Final = 2

_log = structlog.get_logger(__name__)


class Standby:
    """The pool of an HTTP client, seen by whoever will need a connection to `address`."""

    def __init__(self, client: httpx.AsyncClient | httpx2.AsyncClient, address: str) -> None:
        """`address` is any URL of the vendor's; its path is left out, and a user and password in it."""
        self._client: Any = client
        self._origin = str(httpx.URL(address).copy_with(raw_path=b"/", userinfo=b""))
        self._answered = -math.inf
        self._asking = False
        hooks = self._client.event_hooks
        self._client.event_hooks = {**hooks, "response": [*hooks.get("response", ()), self._note_answer]}

    async def keep_connected(self) -> None:
        """Have a connection open. Returns when it is, or after a few seconds; raises nothing."""
        if self._asking or asyncio.get_running_loop().time() - self._answered < FRESH_S:
            return
        self._asking = True
        try:
            await self._ask()
        finally:
            self._asking = False

    async def _ask(self) -> None:
        failure = ""
        for _ in range(ATTEMPTS):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._client.head(self._origin, follow_redirects=False)
                return
            except Exception as error:  # the call's own request will tell, and whose fault it is
                failure = type(error).__name__
        _log.info("connection_not_opened", origin=self._origin, error=failure)

    async def _note_answer(self, _response: object) -> None:
        self._answered = asyncio.get_running_loop().time()
