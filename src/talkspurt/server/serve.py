"""Runs one process of the server: from the first check of the configuration to the last call's end.

The port is bound first and `/livez` answers at once; `/readyz` and calls wait until models and
clients are warm. SIGTERM or SIGINT: no new calls, running calls finish for up to
`server.shutdown_grace` seconds, then the process ends with 0. A second signal ends the process on the spot.

The process is the only one, or one of several workers on one port (`Membership`, `supervisor`).
"""

import asyncio
import ipaddress
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from talkspurt.config import Config
from talkspurt.core import conversation
from talkspurt.errors import ConfigurationError
from talkspurt.server.app import create_app
from talkspurt.server.descriptors import take_descriptors, warn_of_too_few
from talkspurt.server.door import Door
from talkspurt.server.errands import Errands
from talkspurt.server.exposition import collect_metrics, show_metrics
from talkspurt.server.fleet import Fleet
from talkspurt.server.guard import Guard
from talkspurt.server.handover.exchange import create_exchange
from talkspurt.server.handover.flow import HandoverFlow
from talkspurt.server.handover.targets import Targets, carrier_kinds
from talkspurt.server.handover.webhooks import HandoverWebhooks
from talkspurt.server.health import Readiness
from talkspurt.server.http import ONE_REQUEST, HttpServer, http_server
from talkspurt.server.limits import RateLimits
from talkspurt.server.load_table import LoadTable
from talkspurt.server.media_socket import START_DEADLINE
from talkspurt.server.neighbours import Kind, Neighbours
from talkspurt.server.origin import STATUS, VOICE, Origin, worker_of
from talkspurt.server.pulse import beating
from talkspurt.server.reception import Reception, Switchboard
from talkspurt.server.signatures import Signatures
from talkspurt.server.upgrade import Gate, UpgradeProtocol, adopt
from talkspurt.server.waiting import WaitingRoom
from talkspurt.server.webhooks import TwilioWebhooks
from talkspurt.store import Store
from talkspurt.store.clock import utc_now
from talkspurt.telemetry import metrics

OpenSwitchboard = Callable[[Store], AbstractAsyncContextManager[Switchboard]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Membership:
    """What makes a process one of several workers: its number, and what it shares with them."""

    index: int
    listener: socket.socket
    """The public port, which all workers accept from."""
    folder: Path
    """The run folder, where the workers' sockets are."""
    table: LoadTable


async def serve(
    config: Config,
    open_switchboard: OpenSwitchboard,
    *,
    ready: Callable[[Origin, int], None] | None = None,
    stop: asyncio.Event | None = None,
    start_deadline: float = START_DEADLINE,
    membership: Membership | None = None,
) -> None:
    """Serve calls until a signal comes or `stop` is set; alone, or as one of several workers.

    `open_switchboard` warms up everything a call needs; inside its context calls are answered.
    `ready` is told the public origin and the bound port once calls are taken. Raises
    `ConfigurationError`, `StoreError`, and what `open_switchboard` raises.
    """
    stop = stop or asyncio.Event()
    limit = take_descriptors()
    if membership is None or membership.index == 0:
        # One of them says it for all.
        warn_of_too_few(limit, config.server)
    signatures = _signatures(config)
    targets = Targets.from_config(config.handover, kinds=carrier_kinds(config))
    async with AsyncExitStack() as stack:
        stack.enter_context(stop_on_signal(stop))
        listener = membership.listener if membership else stack.enter_context(bind(config))
        port: int = listener.getsockname()[1]
        origin = public_origin(config, port)
        neighbours, fleet = _join(config, membership)
        door = Door(config.server.trusted_proxies)
        tell = neighbours.tell if neighbours else lambda _kind, _who: None
        limits = RateLimits(config.limits, tell=tell, shut_out=door.shut_out)
        waiting = WaitingRoom(config.server.max_calls, tell=tell)
        store = await Store.open(config.store.url)
        stack.push_async_callback(store.aclose)
        exchange = create_exchange(config, origin)
        stack.push_async_callback(exchange.aclose)
        errands = await stack.enter_async_context(Errands())
        flow = HandoverFlow(
            store,
            targets,
            exchange,
            max_wait=config.handover.max_wait,
            detect_machine=config.handover.detect_voicemail,
            now=utc_now,
            again=errands.again,
        )
        reception = Reception(
            store,
            flow,
            fleet=fleet,
            longest_call=config.conversation.max_call,
            again=errands.again,
            start_deadline=start_deadline,
        )
        readiness = Readiness(store, fleet, unconfigured=bool(missing_settings(config)))
        guard = Guard(config, origin=origin, signatures=signatures, limits=limits, again=errands.again)
        webhooks = TwilioWebhooks(
            config, store, reception, origin=origin, guard=guard, limits=limits, waiting=waiting, flow=flow
        )
        handovers = HandoverWebhooks(flow, origin=origin, guard=guard)
        gate = Gate(
            origin=origin,
            signatures=signatures,
            limits=limits,
            trusted_proxies=config.server.trusted_proxies,
            new_socket=reception.new_socket,
        )
        server = http_server(
            create_app(webhooks, handovers, readiness, limits, _metrics(membership)),
            door,
            lambda: UpgradeProtocol(gate),
            _pass_on(fleet, neighbours, gate),
            headers=ONE_REQUEST if membership else (),
        )
        if membership is not None and neighbours is not None:
            await stack.enter_async_context(_among(neighbours, reception, gate, limits, waiting))
            showing = await show_metrics(membership.folder, f"worker-{membership.index}")
            stack.callback(showing.close)
        await stack.enter_async_context(beating(fleet, config.server))
        await stack.enter_async_context(reception)
        await _run(
            server,
            listener,
            reception=reception,
            switchboard=open_switchboard(store),
            stop=stop,
            grace=config.server.shutdown_grace,
            ready=lambda: announce(origin, port, ready),
        )


async def _run(
    server: HttpServer,
    listener: socket.socket,
    *,
    reception: Reception,
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
                ready()
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            log.info("draining", calls=reception.live, grace=grace)
            await reception.drain(grace)
            # From here on nobody is to be sent here, and the supervisor need not look for a heart that has stopped.
            reception.close()
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving
    log.info("stopped")


# ── one of several ────────────────────────────────────────────────────────────────


def _join(config: Config, membership: Membership | None) -> tuple[Neighbours | None, Fleet]:
    if membership is None:
        return None, Fleet.alone(max_calls=config.server.max_calls)
    table, index = membership.table, membership.index
    neighbours = Neighbours(membership.folder, index, table.workers)
    return neighbours, Fleet(table, index, max_calls=config.server.max_calls, post=neighbours)


@asynccontextmanager
async def _among(
    neighbours: Neighbours, reception: Reception, gate: Gate, limits: RateLimits, waiting: WaitingRoom
) -> AsyncIterator[None]:
    """Listen to the other workers: what they tell, and the sockets that they pass on."""
    adopting: set[asyncio.Task[None]] = set()

    def told(kind: Kind, text: str) -> None:
        match kind:
            case "arrived":
                reception.dismiss(text)
                waiting.leaves(text)
            case "hang_up":
                reception.hung_up(text)
                waiting.leaves(text)
            case "waits":
                waiting.note(text)
            case "request" | "caller" | "carrier":
                limits.count(kind, text)

    def given(connection: socket.socket, head: bytes) -> None:
        metrics.SOCKETS_PASSED.labels("taken").inc()
        task = asyncio.get_running_loop().create_task(adopt(connection, head, gate))
        adopting.add(task)
        task.add_done_callback(adopting.discard)

    neighbours.open(told, given)
    try:
        yield
    finally:
        neighbours.close()


def _pass_on(fleet: Fleet, neighbours: Neighbours | None, gate: Gate) -> Callable[[bytes, int, bytes], bool]:
    """Gives a connection whose socket belongs to another worker to that worker.

    Only the carrier's: whoever has not signed is refused, and counted, by the worker that the kernel gave them to, or
    strangers could send all their connections to one.
    """

    def pass_on(target: bytes, descriptor: int, head: bytes) -> bool:
        if neighbours is None:
            return False
        worker = fleet.destination(worker_of(target.decode("latin-1")))
        if worker == fleet.index or not gate.is_signed(target, head):
            return False
        passed = neighbours.pass_on(worker, descriptor, head)
        metrics.SOCKETS_PASSED.labels("given" if passed else "kept").inc()
        return passed

    return pass_on


def _metrics(membership: Membership | None) -> Callable[[], Awaitable[bytes]]:
    async def of_all() -> bytes:
        if membership is None:
            return metrics.exposition()
        return await collect_metrics(membership.folder, f"worker-{membership.index}")

    return of_all


# ── the address ───────────────────────────────────────────────────────────────────


def announce(origin: Origin, port: int, ready: Callable[[Origin, int], None] | None) -> None:
    """Calls are taken: tell the log, and `ready`."""
    compiled = conversation.__file__.endswith(".so")
    log.info("ready", voice_webhook=origin.url(VOICE), status_webhook=origin.url(STATUS), port=port, compiled=compiled)
    if ready is not None:
        ready(origin, port)


def public_origin(config: Config, port: int) -> Origin:
    """What the world calls a server with that bound port."""
    if config.server.public_url:
        return Origin(config.server.public_url)
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


def bind(config: Config) -> socket.socket:
    """Listen on the configured address. Raises `ConfigurationError` when that cannot be."""
    host, port = config.server.host, config.server.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port} ({error.strerror}): change server.host or server.port"
        ) from None


@contextmanager
def stop_on_signal(stop: asyncio.Event) -> Iterator[None]:
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
