"""How Twilio puts callers through: outgoing calls over its REST interface, by its own SDK.

Source: Twilio's page of the Call resource. An id that is over already (error 20404) is a success.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from talkspurt.errors import TransportError
from talkspurt.ports import HandoverKind, Leg

TIMEOUT: Final = 4.0
"""Seconds for one request: a webhook of the carrier's waits for it, and is given up after 15 s."""
OVER: Final = 20404
"""There is no such call, or no longer."""
NOT_IN_PROGRESS: Final = 21220
"""The call is not in a state that could be changed so: it is over."""


@dataclass(frozen=True, slots=True)
class LegUrls:
    """Where the carrier asks and reports about an outgoing call."""

    answer: str
    status: str
    machine: str


class TwilioExchange:
    """A `ports.Exchange`. Make it inside a running event loop."""

    kinds: frozenset[HandoverKind] = frozenset({"cold", "warm"})

    def __init__(
        self, account_sid: str, auth_token: str, *, api_url: str, urls: Callable[[Leg], LegUrls], resume_url: str
    ) -> None:
        """`api_url` is the origin of the REST interface; `resume_url` is asked how a recalled caller's call goes on."""
        self._http = AsyncTwilioHttpClient(timeout=TIMEOUT)
        self._client = Client(account_sid, auth_token, http_client=self._http)
        self._client.api.base_url = api_url
        self._urls = urls
        self._resume_url = resume_url

    async def ring(self, leg: Leg, /) -> str:
        """Call a person; returns the CallSid. Raises `TransportError`."""
        urls = self._urls(leg)
        machine = (
            {
                "machine_detection": "Enable",
                "async_amd": "true",
                "async_amd_status_callback": urls.machine,
                "async_amd_status_callback_method": "POST",
            }
            if leg.detect_machine
            else {}
        )
        made = await self._ask(
            self._client.calls.create_async(
                to=leg.number,
                from_=leg.shown,
                url=urls.answer,
                method="POST",
                status_callback=urls.status,
                status_callback_event=["completed"],
                status_callback_method="POST",
                timeout=leg.ring,
                **machine,
            )
        )
        return str(made.sid)

    async def hang_up(self, carrier_id: str, /) -> None:
        """End a call, ringing or not. Raises `TransportError`."""
        await self._change(carrier_id, status="completed")

    async def recall(self, carrier_id: str, /) -> None:
        """Have a call's TwiML replaced by what `resume_url` answers. Raises `TransportError`."""
        await self._change(carrier_id, url=self._resume_url, method="POST")

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.close()

    async def _change(self, carrier_id: str, **values: str) -> None:
        try:
            await self._ask(self._client.calls(carrier_id).update_async(**values))
        except _OverError:
            return

    async def _ask(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await request
        except TwilioRestException as error:
            if error.code in (OVER, NOT_IN_PROGRESS):
                raise _OverError("the call is over") from None
            # The SDK's text names the URL and the account, and colours itself on a terminal.
            raise TransportError(f"Twilio refused: {error.status} {error.code} {error.msg}") from None
        except TimeoutError:
            raise TransportError(f"Twilio did not answer within {TIMEOUT:g} s") from None
        except Exception as error:
            # Whatever the HTTP library below the SDK raises; its text may hold the URL with the account.
            raise TransportError(f"Twilio cannot be reached: {type(error).__name__}") from None


class _OverError(TransportError):
    """The call that was to be changed is over."""
