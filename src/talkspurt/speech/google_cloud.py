"""Google Cloud, as its recognition and its synthesis reach it: a gRPC channel for all calls, a token for each request.

Credentials are a file that `GOOGLE_APPLICATION_CREDENTIALS` names, of any kind that Google's library reads: a service
account's key, a workload identity. The machine's own account (metadata server) is not looked for. The token is fetched
off the event loop and sent as metadata of each request, so that an endpoint without TLS on this machine works like
the vendor's. The project is `GOOGLE_CLOUD_PROJECT`, else the file's.

Invariants: the SDK and gRPC repeat nothing; no error carries the vendor's words; a channel whose connection is dead
is left for a new one (`renew`), because TCP may take a quarter of an hour to notice.

Source: google-auth "User guide", gRPC core "Keepalive", "Connection backoff", google.rpc.Code.
"""

import asyncio
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

import google.auth
import grpc.aio
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import Credentials, TokenState
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.rpc.error_details_pb2 import RetryInfo

from talkspurt.errors import ConfigurationError, ProviderError, ProviderFault
from talkspurt.speech.failures import SpeechVendor

CREDENTIALS: Final = "GOOGLE_APPLICATION_CREDENTIALS"
PROJECT: Final = "GOOGLE_CLOUD_PROJECT"

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_CHANNEL: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 3_000),  # what one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),  # else a renewed channel would get the dead connection again
)
_TOKEN_S: Final = 5.0
"""What the token server may take for an answer."""
_FAREWELL_S: Final = 10.0
"""What requests on a channel that was left may still take."""
_FAULTS: Final[Mapping[grpc.StatusCode, ProviderFault]] = {
    grpc.StatusCode.UNAUTHENTICATED: "key_rejected",
    grpc.StatusCode.PERMISSION_DENIED: "key_rejected",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "rate_limited",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.INTERNAL: "unavailable",
    grpc.StatusCode.UNKNOWN: "unavailable",
    grpc.StatusCode.ABORTED: "unavailable",
    grpc.StatusCode.DATA_LOSS: "unavailable",
    grpc.StatusCode.CANCELLED: "unavailable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
}
"""What a gRPC status means; any other is a request that was refused."""

Client = TypeVar("Client")


class GoogleCloud(Generic[Client]):
    """A client of one of Google's services, on a channel that can be renewed."""

    def __init__(
        self,
        vendor: SpeechVendor,
        make_client: Callable[[grpc.aio.Channel], Client],
        *,
        base_url: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`base_url`: `https://host[:port]`, or `http://` for one without TLS on this machine.

        Raises `ConfigurationError` when there are no credentials.
        """
        self._vendor = vendor
        self._make_client = make_client
        self._url = urlsplit(base_url)
        values = os.environ if environment is None else environment
        self._credentials, project = _load(vendor, vendor.key(environment))
        self.project = values.get(PROJECT, "").strip() or project
        self._refreshing: asyncio.Task[None] | None = None
        self._channel: grpc.aio.Channel | None = None
        self._client: Client | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        """The name of the service's host."""
        return self._url.hostname or ""

    async def ready(self) -> tuple[Client, list[tuple[str, str]]]:
        """The client on a connected channel, and what proves to the vendor who asks.

        Raises `ProviderError` when nobody can be reached, and `GoogleAuthError`.
        """
        if self._channel is None or self._client is None:
            self._channel = self._open_channel()
            self._client = self._make_client(self._channel)
        client = self._client
        await self._connected(self._channel)
        return client, await self._metadata()

    async def _connected(self, channel: grpc.aio.Channel) -> None:
        """Wait for the end of one attempt to connect: gRPC itself would go on trying."""
        state, tried = channel.get_state(try_to_connect=True), False
        while state is not grpc.ChannelConnectivity.READY:
            failed = state is grpc.ChannelConnectivity.TRANSIENT_FAILURE
            if (failed and tried) or state is grpc.ChannelConnectivity.SHUTDOWN:
                raise self._vendor.unreachable()
            tried = tried or not failed
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)

    async def _metadata(self) -> list[tuple[str, str]]:
        state = self._credentials.token_state
        if state is not TokenState.FRESH:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh(), name="google token")
                self._refreshing.add_done_callback(_note)
            if state is TokenState.INVALID:
                # Whoever gives up waiting leaves it to the others.
                await asyncio.shield(self._refreshing)
        headers: dict[str, str] = {}
        self._credentials.apply(headers)  # type: ignore[no-untyped-call]
        return list(headers.items())

    def renew(self) -> None:
        """Leave the channel: its connection is dead. Requests on it may come to their end."""
        channel, self._channel, self._client = self._channel, None, None
        if channel is not None:
            farewell = asyncio.create_task(channel.close(_FAREWELL_S), name="google channel")
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)

    async def aclose(self) -> None:
        """Close all channels. Idempotent."""
        channel, self._channel, self._client = self._channel, None, None
        if channel is not None:
            await channel.close()
        for task in (*self._farewells, self._refreshing):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    def judge(self, error: Exception) -> ProviderError | None:
        """What an exception of the SDK means."""
        if isinstance(error, GoogleAuthError):
            # The vendor's token server: it is down or out of reach, or it does not know the account.
            if error.retryable or isinstance(error, TransportError):
                return self._vendor.unreachable()
            return self._vendor.refused_as("key_rejected", "no token")
        status = _status(error)
        if status is None:
            return None
        fault = _FAULTS.get(status, "rejected")
        if fault == "timeout":
            return self._vendor.too_late()
        return self._vendor.refused_as(fault, f"gRPC {status.name}", retry_after=_seconds_to_wait(error))

    async def _refresh(self) -> None:
        await asyncio.to_thread(self._credentials.refresh, partial(Request(), timeout=_TOKEN_S))

    def _open_channel(self) -> grpc.aio.Channel:
        target = self._url.netloc if self._url.port else f"{self._url.netloc}:443"
        if self._url.scheme == "http":
            return grpc.aio.insecure_channel(target, options=_CHANNEL)
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=_CHANNEL)


def _load(vendor: SpeechVendor, path: str) -> tuple[Credentials, str]:
    """The credentials in the file, and its project, "" when it names none."""
    try:
        with warnings.catch_warnings():
            # Its warning is of files that strangers have handed in; this one is the operator's.
            warnings.simplefilter("ignore", DeprecationWarning)
            load = google.auth.load_credentials_from_file
            credentials, project = load(path, scopes=[_SCOPE])  # type: ignore[no-untyped-call]
    except (GoogleAuthError, OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"speech.{vendor.port} = '{vendor.name}': {vendor.variable} does not name a file with credentials "
            f"({type(error).__name__})"
        ) from None
    return credentials, project or ""


def _note(refreshing: asyncio.Task[None]) -> None:
    """Look at the outcome: nobody may be waiting for it."""
    if not refreshing.cancelled():
        refreshing.exception()


def _seconds_to_wait(error: Exception) -> float | None:
    details = error.details if isinstance(error, GoogleAPICallError) else ()
    return next(
        (each.retry_delay.ToTimedelta().total_seconds() for each in details if isinstance(each, RetryInfo)), None
    )


def _status(error: Exception) -> grpc.StatusCode | None:
    if isinstance(error, GoogleAPICallError):
        status = error.grpc_status_code
    elif isinstance(error, grpc.aio.AioRpcError):
        status = error.code()
    else:
        return None
    return status if isinstance(status, grpc.StatusCode) else grpc.StatusCode.UNKNOWN
