"""The parent of a server with several processes: it starts them, starts again those that die, and ends them all.

It holds no calls and reads no audio. What it does:

* binds the public port, which all workers accept from: while one is dead or hangs, the others go on accepting, and
  nobody's connection is lost in a queue of its own;
* brings the database up to date, once, before anybody uses it;
* starts the inference processes (`speech/inference`), the workers, and one process for background jobs (`jobs`), and
  tells each its `Orders`;
* starts again whatever ends, at once, then after longer and longer pauses;
* ends a worker whose heart has stopped: its own watchdog (`pulse`) cannot when the whole process is stopped;
* at SIGTERM lets all workers finish their calls, and ends with 0.
"""

import asyncio
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.server.exposition import show_metrics
from talkspurt.server.http import HTTP_GRACE
from talkspurt.server.load_table import ABSENT, LoadTable, State
from talkspurt.server.orders import TO_BE_MENDED, Orders, complaint_file
from talkspurt.server.origin import Origin
from talkspurt.server.reception import FAREWELL
from talkspurt.server.serve import announce, bind, public_origin, stop_on_signal
from talkspurt.server.worker import TABLE
from talkspurt.speech.inference.supervision import inference_for
from talkspurt.store import Store
from talkspurt.telemetry import metrics

WATCH: Final = 0.1
"""Seconds between two looks at the load table."""
STILL: Final = 0.5
"""Seconds beyond `server.stall_limit` that a worker's own watchdog has to end it, and say where it hung."""
STEADY: Final = 60.0
"""Seconds after which a process that ends is not taken for one that cannot start."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two starts of a process that ends again and again: 0, 1, 2, 4, … up to this."""
WINDING_UP: Final = 10.0
"""Seconds beyond all that may legitimately take time until a process that does not end is killed."""

NOT_STARTED: Final = 256
"""Stands for the exit status of a process that there never was."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Programs:
    """What the processes run, as `module:function` (`orders.Program`)."""

    worker: str = "talkspurt.server.worker:work"
    jobs: str | None = "talkspurt.server.jobs:work"


async def supervise(
    config: Config,
    *,
    programs: Programs = Programs(),
    log_style: Literal["console", "json"] = "json",
    ready: Callable[[Origin, int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve with `config.server.workers` workers until a signal comes or `stop` is set.

    `ready` is told the public origin and the bound port once all workers are warm. Raises `ConfigurationError`,
    `StoreError`, and as a `ConfigurationError` what keeps a process from starting.
    """
    stop = stop or asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.enter_context(stop_on_signal(stop))
        listener = stack.enter_context(bind(config))
        port: int = listener.getsockname()[1]
        await (await Store.open(config.store.url)).aclose()
        # Not below a folder of the user's choice: the path of a Unix socket has room for 107 characters.
        folder = Path(tempfile.mkdtemp(prefix="talkspurt-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        showing = await show_metrics(folder, "supervisor")
        stack.callback(showing.close)
        # Started before the workers that share it, and ended after them.
        config = await stack.enter_async_context(inference_for(config))
        supervisor = _Supervisor(config, programs, listener, folder, log_style)
        await supervisor.run(stop, lambda: announce(public_origin(config, port), port, ready))
    log.info("stopped")


class _Supervisor:
    def __init__(
        self,
        config: Config,
        programs: Programs,
        listener: socket.socket,
        folder: Path,
        log_style: Literal["console", "json"],
    ) -> None:
        self._config = config
        self._programs = programs
        self._listener = listener
        self._folder = folder
        self._log_style: Literal["console", "json"] = log_style
        self._table = LoadTable.create(folder / TABLE, config.server.workers)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()
        """Nothing is started again."""

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Keep everything running until `stop` is set; then let everything end."""
        keeping = [asyncio.create_task(self._keep(orders), name=orders.name) for orders in self._all_orders()]
        watching = asyncio.create_task(self._watch(ready), name="watch")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({*keeping, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()
            await self._end_all(keeping)
            for task in (watching, stopping):
                task.cancel()
        # What ended one of them before anybody asked for an end is what the operator should see.
        for task in (*keeping, watching):
            with suppress(asyncio.CancelledError):
                await task

    def _all_orders(self) -> list[Orders]:
        def orders(name: str, program: str, index: int = 0, listener: int = -1) -> Orders:
            return Orders(name, program, self._config, self._folder, self._log_style, index, listener)

        workers = [
            orders(f"worker-{index}", self._programs.worker, index, self._listener.fileno())
            for index in range(self._config.server.workers)
        ]
        return workers if self._programs.jobs is None else [*workers, orders("jobs", self._programs.jobs)]

    # ── one process ───────────────────────────────────────────────────────────────

    async def _keep(self, orders: Orders) -> None:
        """Start it, and start it again when it ends, until nothing is started any more."""
        kind = orders.name.partition("-")[0]
        pause = 0.0
        while not self._stop.is_set():
            began = time.monotonic()
            code = await self._run(orders)
            if kind == "worker":
                # It writes no more, and its calls are no longer there.
                self._table.write(orders.index, ABSENT)
            if self._stop.is_set():
                return
            if code == TO_BE_MENDED and not self._table.started:
                raise ConfigurationError(_complaint(self._folder, orders.name))
            lived = time.monotonic() - began
            pause = 0.0 if lived >= STEADY else pause
            log.error("process_ended", name=orders.name, reason=_reason(code), lived=round(lived, 1), again_in=pause)
            metrics.PROCESSES_ENDED.labels(kind, _reason(code)).inc()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()
            pause = min(max(2 * pause, 1.0), LONGEST_PAUSE)

    async def _run(self, orders: Orders) -> int:
        """Start a process and wait for its end; returns its exit status."""
        try:
            process = await self._start(orders)
        except OSError as error:
            # No memory or descriptors are left, which passes; the other processes hold calls meanwhile.
            log.error("process_not_started", name=orders.name, error=str(error))
            return NOT_STARTED
        if self._stop.is_set():
            # It was under way when all the others were told.
            self._signal(orders.name, signal.SIGTERM)
        return await process.wait()

    async def _start(self, orders: Orders) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "talkspurt.server.orders",
            stdin=asyncio.subprocess.PIPE,
            pass_fds=() if orders.listener < 0 else (orders.listener,),
            # Ctrl-C is for the supervisor alone, which tells the others politely.
            start_new_session=True,
        )  # fmt: skip
        self._processes[orders.name] = process
        log.info("process_started", name=orders.name, pid=process.pid)
        assert process.stdin is not None
        with suppress(ConnectionError):  # it has ended already, which `_keep` sees
            process.stdin.write(orders.to_json())
            await process.stdin.drain()
        return process

    # ── all of them ───────────────────────────────────────────────────────────────

    async def _watch(self, ready: Callable[[], None]) -> None:
        """Say when all workers are warm, and end those that have stopped."""
        limit = self._config.server.stall_limit + STILL
        looked = trusted = time.monotonic()
        while True:
            if time.monotonic() - looked > STILL:
                # This process stood still itself, and so perhaps the whole machine: no heart can be judged by it.
                trusted = time.monotonic() + limit
            looked = time.monotonic()
            loads = self._table.read_all()
            if not self._table.started and all(load.state is State.READY for load in loads):
                self._table.note_started()
                ready()
            now = time.monotonic()
            for index, load in enumerate(loads):
                alive = load.state in (State.READY, State.DRAINING)
                if alive and now >= trusted and now - load.heartbeat > limit:
                    log.error("worker_silent", worker=index, seconds=round(now - load.heartbeat, 1), calls=load.calls)
                    self._table.write(index, ABSENT)
                    self._signal(f"worker-{index}", signal.SIGKILL)
            await asyncio.sleep(WATCH)

    async def _end_all(self, keeping: list[asyncio.Task[None]]) -> None:
        for name in self._processes:
            self._signal(name, signal.SIGTERM)
        patience = self._config.server.shutdown_grace + 2 * FAREWELL + HTTP_GRACE + WINDING_UP
        _, left = await asyncio.wait(keeping, timeout=patience)
        for task in left:
            log.error("process_killed", name=task.get_name(), reason="it did not end")
            self._signal(task.get_name(), signal.SIGKILL)
        if left:
            await asyncio.wait(left)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._processes[name]
        with suppress(ProcessLookupError):
            if process.returncode is None:
                process.send_signal(number)


def _complaint(folder: Path, name: str) -> str:
    try:
        return complaint_file(folder, name).read_text(encoding="utf-8")
    except OSError:
        return f"{name} cannot start, and did not say why: see what it wrote above"


def _reason(code: int) -> str:
    """A metric label: the name of the signal, or how it exited."""
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return "signal"
    if code == NOT_STARTED:
        return "not_started"
    return "to_be_mended" if code == TO_BE_MENDED else "exited" if code == 0 else "failed"
