"""The carrier's requests to a server: forms as Twilio fills them, signed as Twilio signs them.

A TLS-terminating proxy in front of the server is folded in: URLs are signed as of the public origin,
while the connections go to where the server really listens.

Source: Twilio's "TwiML for Programmable Voice" and "Security".
"""

import ipaddress
import ssl
import uuid
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx
from twilio.request_validator import RequestValidator

from talkspurt.errors import TransportError

WEBHOOK_SECONDS: Final = 15.0
"""Twilio's own limit for an answer."""


class CarrierRequests:
    """Sends requests to one server. `aclose` it."""

    def __init__(
        self,
        url: str,
        *,
        public_url: str | None = None,
        auth_token: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`url` is the server's origin; `auth_token` signs everything (None: nothing is signed)."""
        self.origin: Final = url.rstrip("/")
        self.public_origin: Final = (public_url or url).rstrip("/")
        self._validator = RequestValidator(auth_token) if auth_token else None
        self._client = httpx.AsyncClient(
            timeout=WEBHOOK_SECONDS,
            verify=ssl_context if ssl_context is not None else self.origin.startswith("https"),
            trust_env=not is_loopback(self.origin),
        )

    async def document(self, url: str, form: dict[str, str], method: str, note: Callable[[str], None]) -> str:
        """Ask for TwiML; `note` is told of the request. Raises `TransportError`."""
        response = await self.send(url, form, method, note)
        if response.status_code != httpx.codes.OK:
            raise TransportError(f"11200 {url} answered HTTP {response.status_code}: {response.text[:200].strip()}")
        return response.text

    async def report(self, url: str, form: dict[str, str], note: Callable[[str], None]) -> str | None:
        """Post a status callback; returns what is wrong with the answer, if anything."""
        try:
            response = await self.send(url, form, "POST", note)
        except TransportError as error:
            return str(error)
        return None if response.is_success else f"11200 {url} answered HTTP {response.status_code}"

    async def send(self, url: str, form: dict[str, str], method: str, note: Callable[[str], None]) -> httpx.Response:
        """Send a signed request. Raises `TransportError`."""
        note(f"{method} {url}")
        headers = {"User-Agent": "TwilioProxy/1.1", "Accept": "*/*", "I-Twilio-Idempotency-Token": str(uuid.uuid4())}
        if method == "GET":
            url = str(httpx.URL(url).copy_merge_params(form))
            headers |= self.signature(url, {})
            request = self._client.build_request("GET", self.dialled(url), headers=headers)
        else:
            headers |= self.signature(url, form)
            request = self._client.build_request("POST", self.dialled(url), data=form, headers=headers)
        try:
            return await self._client.send(request)
        except httpx.HTTPError as error:
            raise TransportError(f"11205 cannot reach {url}: {error or type(error).__name__}") from None

    def signature(self, url: str, form: dict[str, str]) -> dict[str, str]:
        """The signature's header."""
        if self._validator is None:
            return {}
        return {"X-Twilio-Signature": str(self._validator.compute_signature(url, form))}

    def dialled(self, url: str) -> str:
        """Where a public URL is really reached. Raises `TransportError` for plain `ws` to another machine."""
        public, origin = urlsplit(self.public_origin), urlsplit(self.origin)
        parts = urlsplit(url)
        if self.public_origin != self.origin and parts.netloc == public.netloc:
            scheme = origin.scheme if parts.scheme.startswith("http") else origin.scheme.replace("http", "ws")
            return parts._replace(scheme=scheme, netloc=origin.netloc).geturl()
        if parts.scheme == "ws" and not is_loopback(url):
            raise TransportError(f"31922 a media socket must be wss://, and so is only loopback excused: {url}")
        return url

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._client.aclose()


def voice_form(
    call_sid: str, *, account_sid: str, caller: str, called: str, direction: str, **fields: str
) -> dict[str, str]:
    """The fields of a voice request; what Twilio does not know it sends blank, and signs."""
    places = {
        f"{who}{what}": "" for who in ("From", "To", "Caller", "Called") for what in ("City", "State", "Zip", "Country")
    }
    return {
        "AccountSid": account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": call_sid,
        "Called": called,
        "Caller": caller,
        "Direction": direction,
        "From": caller,
        "To": called,
        **places,
        **fields,
    }


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
