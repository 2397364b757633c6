"""Runs the server: from the first check of the configuration to the last call's end.

The port is bound first and `/livez` answers at once; `/readyz` and calls wait until models and
clients are warm. SIGTERM or SIGINT: no new calls, running calls finish for up to
`server.shutdown_grace` seconds, then the process ends with 0. A second signal ends the process on the spot.
"""

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Final

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.server.app import create_app
from talkspurt.server.guard import Guard
from talkspurt.server.handover.exchange import create_exchange
from talkspurt.server.handover.flow import HandoverFlow
from talkspurt.server.handover.targets import Targets, carrier_kinds
from talkspurt.server.handover.webhooks import HandoverWebhooks
from talkspurt.server.health import Readiness
from talkspurt.server.limits import RateLimits
from talkspurt.server.media_socket import START_DEADLINE
from talkspurt.server.origin import STATUS, VOICE, Origin
from talkspurt.server.reception import Reception, Switchboard
from talkspurt.server.signatures import Signatures
from talkspurt.server.upgrade import Gate, upgrade_protocol
from talkspurt.server.webhooks import TwilioWebhooks
from talkspurt.store import Store
from talkspurt.store.clock import utc_now

REQUEST_DEADLINE: Final = 10.0
"""Seconds for a connection to say what it wants, at first and after each answer."""
HTTP_GRACE: Final = 5
"""Seconds for requests in flight once the calls are over."""

OpenSwitchboard = Callable[[Store], AbstractAsyncContextManager[Switchboard]]

log = structlog.get_logger(__name__)


async def serve(
    config: Config,
    open_switchboard: OpenSwitchboard,
    *,
    ready: Callable[[Origin, int], None] | None = None,
    stop: asyncio.Event | None = None,
    start_deadline: float = START_DEADLINE,
) -> None:
    """Serve calls until a signal comes or `stop` is set.

    `open_switchboard` warms up everything a call needs; inside its context calls are answered.
    `ready` is told the public origin and the bound port once calls are taken. Raises
    `ConfigurationError`, `StoreError`, and what `open_switchboard` raises.
    """
    stop = stop or asyncio.Event()
    signatures = _signatures(config)
    limits = RateLimits(config.limits)
    targets = Targets.from_config(config.handover, kinds=carrier_kinds(config))
    with _stop_on_signal(stop), _bind(config) as listener:
        port: int = listener.getsockname()[1]
        origin = Origin(config.server.public_url) if config.server.public_url else _local_origin(config, port)
        store = await Store.open(config.store.url)
        exchange = create_exchange(config, origin)
        try:
            flow = HandoverFlow(
                store,
                targets,
                exchange,
                max_wait=config.handover.max_wait,
                detect_machine=config.handover.detect_voicemail,
                now=utc_now,
            )
            reception = Reception(
                store,
                flow,
                max_calls=config.server.max_calls,
                longest_call=config.conversation.max_call,
                start_deadline=start_deadline,
            )
            readiness = Readiness(store, unconfigured=bool(missing_settings(config)))
            guard = Guard(config, origin=origin, signatures=signatures, limits=limits)
            webhooks = TwilioWebhooks(config, store, reception, origin=origin, guard=guard, limits=limits, flow=flow)
            handovers = HandoverWebhooks(flow, origin=origin, guard=guard)
            gate = Gate(
                origin=origin,
                signatures=signatures,
                limits=limits,
                trusted_proxies=config.server.trusted_proxies,
                new_socket=reception.new_socket,
            )
            server = _HttpServer(
                uvicorn.Config(
                    create_app(webhooks, handovers, readiness),
                    http=_ImpatientProtocol,
                    ws=upgrade_protocol(gate),  # type: ignore[arg-type]
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    timeout_graceful_shutdown=HTTP_GRACE,
                )
            )
            async with reception:
                await _run(
                    server,
                    listener,
                    reception=reception,
                    readiness=readiness,
                    switchboard=open_switchboard(store),
                    stop=stop,
                    grace=config.server.shutdown_grace,
                    ready=lambda: _announce(origin, port, ready),
                )
        finally:
            await exchange.aclose()
            await store.aclose()


async def _run(
    server: "_HttpServer",
    listener: socket.socket,
    *,
    reception: Reception,
    readiness: Readiness,
    switchboard: AbstractAsyncContextManager[Switchboard],
    stop: asyncio.Event,
    grace: float,
    ready: Callable[[], None],
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        async with switchboard as opened:
            if not stop.is_set():  # the signal may have come while we warmed up
                reception.open(opened)
                readiness.warming = False
                ready()
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            readiness.draining = True
            log.info("draining", calls=reception.live, grace=grace)
            await reception.drain(grace)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving
    log.info("stopped")


def _announce(origin: Origin, port: int, ready: Callable[[Origin, int], None] | None) -> None:
    log.info("ready", voice_webhook=origin.url(VOICE), status_webhook=origin.url(STATUS), port=port)
    if ready is not None:
        ready(origin, port)


def _local_origin(config: Config, port: int) -> Origin:
    host = config.server.host
    try:
        anywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        anywhere = not host
    return Origin.of_address("127.0.0.1" if anywhere else host, port)


def missing_settings(config: Config) -> tuple[str, ...]:
    """What has to be set before a carrier's call can be let in, as sentences; empty when nothing is missing."""
    if config.server.development:
        return ()
    missing = []
    if config.server.public_url is None:
        missing.append("server.public_url, the https:// address that Twilio reaches this server at (--public-url)")
    if config.twilio.auth_token is None:
        missing.append("twilio.auth_token, which signs Twilio's requests (TWILIO_AUTH_TOKEN)")
    return tuple(missing)


def _signatures(config: Config) -> Signatures:
    if config.server.development:
        log.warning(
            "development_mode",
            danger="unsigned webhooks and sockets are accepted: anyone who reaches this port can make calls",
        )
    missing = missing_settings(config)
    if missing:
        # Fail closed: no request is let in, whoever signed it, and /readyz says why.
        log.error("calls_refused_until_configured", missing=missing)
        return Signatures(())
    return Signatures.from_config(config)


def _bind(config: Config) -> socket.socket:
    host, port = config.server.host, config.server.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port} ({error.strerror}): change server.host or server.port"
        ) from None


class _HttpServer(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the server under its calls."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_stop_on_signal`."""
        yield


@contextmanager
def _stop_on_signal(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`; a second one does what it does by default."""
    loop = asyncio.get_running_loop()

    def received(number: int) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    handled: list[signal.Signals] = []
    for wanted in (signal.SIGTERM, signal.SIGINT):
        # Signals belong to the main thread; a server in another one is stopped by its event only.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(wanted, received, wanted)
            handled.append(wanted)
    try:
        yield
    finally:
        for wanted in handled:
            loop.remove_signal_handler(wanted)


class _ImpatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a deadline for each request to begin and be read, which it lacks.

    h11 rather than httptools: a call makes two to four requests, so parsing them is no cost, and
    uvicorn brings h11 with it.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        # uvicorn's own patience between requests ends with the first byte of the next one.
        self._deadline.cancel()
        if not self.transport.is_closing():
            self._expect_request()
        super().on_response_complete()

    def _expect_request(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_DEADLINE, self._give_up)

    def _give_up(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if waiting and self.transport.get_protocol() is self:
            self.transport.close()
