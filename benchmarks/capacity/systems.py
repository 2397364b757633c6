"""Starts what is measured, each in a process of its own on one core, and says how to reach it.

Ideal latencies are the policies': from the true end of speech to the first sound, were every machine infinitely fast.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.compiled import FOLDER as COMPILED

from talkspurt.errors import ConfigurationError, TransportError
from talkspurt.simulate.child_server import READY_SECONDS, free_port

REPOSITORY: Final = Path(__file__).resolve().parents[2]
ENVIRONMENTS: Final = REPOSITORY / "build" / "peers"
STOP_SECONDS: Final = 10.0
PROVIDERS: Final = 0.3 + 0.15 + 0.08 + 0.08
"""Final transcript, first token, the first sentence's other tokens, first byte: the least that any policy takes."""


@dataclass(frozen=True, slots=True)
class System:
    """Something that answers calls."""

    name: str
    ideal: float
    """Seconds from the true end of speech to the first sound at best."""
    calls: tuple[int, ...]
    """Numbers of calls to try."""
    quick: tuple[int, ...]

    @property
    def ideals(self) -> tuple[float, float]:
        """The ideal of turns into the silence, and of turns that interrupt."""
        return self.ideal, self.ideal


@dataclass(frozen=True, slots=True)
class Own(System):
    """Talkspurt. It does not ask its model ahead while what it was interrupted in may have to go on."""

    networked: bool = False
    workers: int = 1
    offender: str = ""
    """What one more caller does meanwhile who misbehaves, see `benchmarks.capacity.abuse`; "" for nobody."""

    @property
    def ideals(self) -> tuple[float, float]:
        """An interruption is over 0.48 s after its last window with voice, which ends some 0.1 s behind the voice."""
        return self.ideal, 0.48 + 0.1 + self.ideal - 0.3


@dataclass(frozen=True, slots=True)
class Peer(System):
    """A bot of `benchmarks/peers`."""

    bot: str
    strategy: str
    """For the end of a caller's turn."""


OWN: Final = (
    # Its sentences end with a space, so the first is known to be whole with its eighth token, 0.07 s after the first.
    Own("talkspurt_scripted", PROVIDERS - 0.01, (50, 100, 150, 200, 250, 300), (100,)),
    Own("talkspurt_networked", PROVIDERS - 0.01, (25, 50, 75, 100, 125), (50,), networked=True),
)
VARIANTS: Final = (
    Own("talkspurt_two_workers", PROVIDERS - 0.01, (100, 200), (), workers=2),
    *(
        Own(f"talkspurt_beside_{kind}", PROVIDERS - 0.01, (100,), (), offender=kind)
        for kind in ("flood", "huge", "deaf", "churn")
    ),
)
"""With scripted providers, and each to be held against `OWN[0]` with as many calls, in rounds."""
PEERS: Final = (
    Peer("pipecat_default", PROVIDERS, (5, 6, 7, 8, 10), (6,), "pipecat", "default"),
    # 0.2 s of silence that Silero must see and 0.6 s that the strategy adds, instead of the wait for the transcript.
    Peer("pipecat_timeout", PROVIDERS - 0.3 + 0.2 + 0.6, (5, 6, 7, 8, 10), (6,), "pipecat", "timeout"),
    # It asks the model before the turn has ended, 0.5 s after speech: by then the first sentence is almost there.
    Peer("livekit", PROVIDERS, (10, 20, 25, 30, 35, 40), (20,), "livekit", "timeout"),
)


@dataclass(frozen=True, slots=True)
class Vendors:
    """The process of the fake vendors, and where the probe in it writes."""

    pid: int
    probe: Path


@dataclass(frozen=True, slots=True)
class Running:
    """A system that takes calls."""

    pid: int
    webhook: str | None = None
    socket: str | None = None
    vendors: Vendors | None = None

    @property
    def address(self) -> list[str]:
        """Options of the load client."""
        where = ["--webhook", self.webhook] if self.webhook else ["--socket", self.socket or ""]
        beside = ["--vendors", str(self.vendors.pid)] if self.vendors else []
        return [*where, "--pid", str(self.pid), *beside]


def server_environment(folder: Path, port: int, *, probe: Path | None, spin: bool = False) -> dict[str, str]:
    """The configuration of a Talkspurt server with scripted providers, as environment variables."""
    settings = {
        "TALKSPURT_STORE__URL": f"sqlite+aiosqlite:///{folder / 'calls.db'}",
        "TALKSPURT_SERVER__PORT": str(port),
        "TALKSPURT_SERVER__HOST": "127.0.0.1",
        "TALKSPURT_SERVER__DEVELOPMENT": "true",
        "TALKSPURT_SERVER__MAX_CALLS": "10000",
        "TALKSPURT_SERVER__WORKERS": "1",
        # Every call is let in: how a server does beyond its limits is what is measured.
        "TALKSPURT_SERVER__LAG_LIMIT": "60",
        "TALKSPURT_SERVER__LATENESS_LIMIT": "60",
        "TALKSPURT_SERVER__SHUTDOWN_GRACE": "0",
        "TALKSPURT_LIMITS__REQUESTS_PER_ADDRESS": "1000000/minute",
        "TALKSPURT_LIMITS__CALLS_PER_CALLER": "1000000/minute",
        "TALKSPURT_SPEECH__RECOGNIZER": "scripted",
        "TALKSPURT_SPEECH__SYNTHESIZER": "scripted",
        "TALKSPURT_SPEECH__TURN_DETECTOR": "none",
        "TALKSPURT_MODEL__NAME": "scripted",
        "TALKSPURT_LOG_LEVEL": "warning",
        "TALKSPURT_CONFIG": str(folder / "talkspurt.toml"),
    }
    (folder / "talkspurt.toml").write_text(
        '[agents]\nbench = "benchmarks.capacity.agent:create_agent"\n[[numbers]]\nnumber = "*"\nagent = "bench"\n'
    )
    return settings | probe_environment(probe, spin=spin)


def probe_environment(probe: Path | None, *, spin: bool = False) -> dict[str, str]:
    """Has a server's event loop watched, if at all; see `benchmarks.capacity.probe`."""
    return {} if probe is None else {"BENCH_PROBE": str(probe), "BENCH_PROBE_SPIN": "1" if spin else "0"}


@asynccontextmanager
async def talkspurt(
    folder: Path,
    core: int | None,
    *,
    probe: Path | None = None,
    spin: bool = False,
    more: Mapping[str, str] | None = None,
    vendors: Vendors | None = None,
    as_wheel: bool = False,
) -> AsyncIterator[Running]:
    """`talkspurt serve` with scripted providers, or with `vendors`, to whom `more` of its environment points it.

    It runs on one core, or, with None, on any; `as_wheel`: as `make wheel` compiled it. Raises `TransportError` with
    the end of its log.
    """
    port = free_port()
    variables = {**os.environ, **server_environment(folder, port, probe=probe, spin=spin), **(more or {})}
    if as_wheel:
        variables["PYTHONPATH"] = str(COMPILED)
    command = [sys.executable, "-m", "talkspurt", "serve"]
    async with started(command, core, folder / "server.log", variables) as process:
        await _listening(process, port, folder / "server.log")
        yield Running(process.pid, webhook=f"http://127.0.0.1:{port}", vendors=vendors)


@asynccontextmanager
async def answering(
    peer: Peer, folder: Path, core: int, *, probe: Path | None = None, spin: bool = False
) -> AsyncIterator[Running]:
    """Runs a peer's bot. Raises `ConfigurationError` when its environment is not there."""
    python = ENVIRONMENTS / peer.bot / "bin" / "python"
    if not python.exists():
        raise ConfigurationError(f"there is no environment for {peer.bot}: run benchmarks/peers/setup")
    port = free_port()
    command = [str(python), "-m", f"benchmarks.peers.{peer.bot}.bot"]
    command += ["--port", str(port), "--strategy", peer.strategy]
    variables = {**os.environ, **probe_environment(probe, spin=spin)}
    async with started(command, core, folder / "server.log", variables, piped=True) as process:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not (line := await process.stdout.readline()).startswith(b"{"):
                    if not line:
                        raise TransportError(f"{peer.bot} ended before it was ready{_end_of(folder / 'server.log')}")
        except TimeoutError:
            raise TransportError(f"{peer.bot} was not ready within {READY_SECONDS:.0f} s") from None
        yield Running(int(json.loads(line)["pid"]), socket=f"ws://127.0.0.1:{port}/media")


@asynccontextmanager
async def started(
    command: list[str], core: int | None, log: Path, variables: Mapping[str, str], *, piped: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program on one core, or, with None, on any, while the context is open."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *pinned, *command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE if piped else output, stderr=output,
            env=variables, cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        # It leads a session of its own, so this ends its children too and nobody else.
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    """Return once `/readyz` says 200."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while process.returncode is None:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    status = (await reader.readline()).split()
                    writer.close()
                    if status[1:2] == [b"200"]:
                        return
                except OSError:
                    pass  # not listening yet
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TransportError(f"the server was not ready within {READY_SECONDS:.0f} s{_end_of(log)}") from None
    raise TransportError(f"the server ended with status {process.returncode} before it was ready{_end_of(log)}")


def _end_of(log: Path) -> str:
    return "; the end of its log:\n  " + "\n  ".join(log.read_text(errors="replace").splitlines()[-15:])
