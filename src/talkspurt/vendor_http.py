"""The HTTP clients with which vendors' SDKs ask: httpx's for some, its successor's for others, both over aiohttp.

aiohttp's parser is compiled, and it hands a piece on without a layer of streams in between. A reply that comes token by
token costs an eighth less processor time than over httpx's transport (`python -m benchmarks.model_latency`, ADR 16).

* Connections are kept open for minutes: turns of a quiet process are further apart than the seconds for which HTTP
  clients usually keep one, and a new one costs two round trips before the question is even sent.
* Connecting has a deadline of its own, in which waiting for a free connection is included: a dead address is found out
  before a slow vendor would be.
* A failure has the class that httpx would give it. The bridge takes a refused connection for a slow one, and lets
  answers that are no HTTP through as errors of aiohttp's own.
* What came before a connection broke is given out before its failure is, as httpx does.
* The meter is told when a request has left (`telemetry.usage.Asking`): one that was given up before costs nothing.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any, ClassVar, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
import httpx2
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.httpx2 import AiohttpTransport as AiohttpTransport2

from talkspurt.telemetry.usage import ASKING

MAX_CONNECTIONS: Final = 200
"""Requests at once to one vendor; further ones wait for a connection as long as for connecting."""
KEEP_ALIVE_S: Final = 300.0
"""Seconds an idle connection stays open on our side. One that the vendor has closed sooner is not used, and a call that
rings has another opened (`standby`)."""

# The first class that fits: a class stands before those it is derived from.
_FAILURES: Final[tuple[tuple[type[aiohttp.ClientError], str], ...]] = (
    (aiohttp.ConnectionTimeoutError, "ConnectTimeout"),
    (aiohttp.ServerTimeoutError, "ReadTimeout"),
    (aiohttp.ClientProxyConnectionError, "ProxyError"),
    (aiohttp.ClientHttpProxyError, "ProxyError"),
    (aiohttp.ClientConnectorError, "ConnectError"),
    (aiohttp.ServerDisconnectedError, "RemoteProtocolError"),
    (aiohttp.ClientConnectionError, "ReadError"),
    (aiohttp.InvalidURL, "UnsupportedProtocol"),
    (aiohttp.ClientPayloadError, "ReadError"),
    (aiohttp.ClientError, "RemoteProtocolError"),
)

_OPENED: Final[ContextVar[list[Any] | None]] = ContextVar("opened", default=None)


def httpx_client(*, connect: float, first: float) -> httpx.AsyncClient:
    """A client for SDKs that have not moved to httpx's successor yet; see `httpx2_client`."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(first, connect=connect, pool=connect),
        transport=_Transport(httpx.create_ssl_context()),
        event_hooks={"response": [_note_opened]},
    )


def httpx2_client(*, connect: float, first: float) -> httpx2.AsyncClient:
    """A client that waits `connect` seconds for a connection and `first` for anything to be read.

    Proxies are taken from the environment (`HTTP_PROXY`, `HTTPS_PROXY`), and whom to ask without (`NO_PROXY`).
    """
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(first, connect=connect, pool=connect),
        transport=_Transport2(httpx2.create_ssl_context()),
        event_hooks={"response": [_note_opened]},
    )


@contextmanager
def opened_responses() -> Iterator[list[Any]]:
    """Collects the responses, httpx's or its successor's, that our clients open inside.

    For whoever has to see that they are closed, or reads them past an SDK. Google's SDK leaves a stream that nobody
    reads any more to Python's garbage collector: a caller who interrupts would have the model go on for minutes, on a
    connection that nobody else can use.
    """
    opened: list[Any] = []
    token = _OPENED.set(opened)
    try:
        yield opened
    finally:
        _OPENED.reset(token)


class _Transport(AiohttpTransport):
    def __init__(self, context: SSLContext) -> None:
        super().__init__(verify=context, client=_sessions(context))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        address = _proxy_for(request.url)
        self.proxy = None if address is None else httpx.Proxy(address)
        with _named_as_by(httpx):
            response = await super().handle_async_request(request)
        response.stream = _Stream(response.stream)
        return response


class _Transport2(AiohttpTransport2):
    def __init__(self, context: SSLContext) -> None:
        super().__init__(verify=context, client=_sessions(context))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        address = _proxy_for(request.url)
        self.proxy = None if address is None else httpx2.Proxy(address)
        with _named_as_by(httpx2):
            response = await super().handle_async_request(request)
        response.stream = _Stream2(response.stream)
        return response


class _Body:
    """The pieces of an answer as they come, and all that came before a failure."""

    library: ClassVar[Any]

    def __init__(self, bridged: Any) -> None:
        self._answer: aiohttp.ClientResponse = bridged._aiohttp_response

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        content = self._answer.content
        while True:
            with _named_as_by(self.library):
                # aiohttp's own readers raise a failure at once, and forget what waits before it.
                piece = content._read_nowait(-1) if content.exception() is not None else b""
                piece = piece or await content.readany()
            if not piece:
                return
            yield piece

    async def aclose(self) -> None:
        """Give the connection back, or close it if the answer is not over."""
        self._answer.release()


class _Stream(_Body, httpx.AsyncByteStream):
    library: ClassVar[Any] = httpx


class _Stream2(_Body, httpx2.AsyncByteStream):
    library: ClassVar[Any] = httpx2


def _proxy_for(url: httpx.URL | httpx2.URL) -> str | None:
    """The environment's proxy for `url`. aiohttp, told to look itself, also sends what a `.netrc` has for the host."""
    return None if proxy_bypass(url.host) else getproxies().get(url.scheme)


def _sessions(context: SSLContext) -> Callable[[], aiohttp.ClientSession]:
    """Makes the session of a transport, which needs a loop, when the first request is sent."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_note_begun)
    trace.on_request_headers_sent.append(_note_sent)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )

    return session


async def _note_opened(response: object) -> None:
    if (opened := _OPENED.get()) is not None:
        opened.append(response)


async def _note_begun(*_: object) -> None:
    if (asking := ASKING.get()) is not None:
        asking.sent = False


async def _note_sent(*_: object) -> None:
    if (asking := ASKING.get()) is not None:
        asking.sent = True


@contextmanager
def _named_as_by(library: Any) -> Iterator[None]:
    """Give what aiohttp raises inside the class that `library`, httpx or its successor, has for it."""
    try:
        yield
    except (aiohttp.ClientError, library.TransportError) as error:
        cause = error if isinstance(error, aiohttp.ClientError) else error.__cause__
        name = next((name for kind, name in _FAILURES if isinstance(cause, kind)), None)
        if name is None:
            raise
        raise getattr(library, name)(str(cause)) from cause
