"""Starts the inference processes of a machine and keeps them alive.

Each has a Unix socket in a folder that only this user can enter. One that dies, or says nothing for a while though it
runs, is replaced at once; one that keeps dying, after longer and longer pauses. They end with the process that started
them, even if that is killed.

What they need is told to them on the command line; of the environment they get nothing that may hold a secret.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.speech.inference.asking import Kind
from talkspurt.speech.inference.link import Link
from talkspurt.speech.inference.process import Settings
from talkspurt.speech.weights import WeightStore
from talkspurt.telemetry.metrics import INFERENCE_RESTARTS

STARTING: Final = 60.0
"""Seconds for a process to answer for the first time, on a busy machine with a cold disk."""
STEADY: Final = 2.0
"""Seconds that a process has to live not to count as one that cannot start."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between two starts of a process that cannot start: 0.1, 0.2, … up to this."""
DYING: Final = 0.2
"""Seconds from the end of a process's connections to its own."""
ENDING: Final = 3.0
"""Seconds to end in an orderly way."""
LONGEST_PATH: Final = 100
"""Bytes of a socket's path; the system allows 107, and a new process adds its number for a moment."""

_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
_PASSED_ON_PREFIXES: Final = ("LC_", "LD_", "PYTHON", "XDG_", "CT2_", "OMP_", "ORT_", "MALLOC_")

_log = structlog.get_logger(__name__)


def local_kinds(config: Config) -> tuple[Kind, ...]:
    """The kinds of local models that a configuration uses, also as fallbacks."""
    kinds: list[Kind] = []
    chosen = [config.chosen(agent, locale) for agent, locale in config.spoken]
    if any("whisper" in (each.speech.recognizer, *each.fallbacks.recognizers) for each in chosen):
        kinds.append("transcript")
    if any("piper" in (each.speech.synthesizer, *each.fallbacks.synthesizers) for each in chosen):
        kinds.append("speech")
    if config.speech.turn_detector == "smart-turn":
        kinds.append("judgement")
    return tuple(kinds)


@asynccontextmanager
async def inference_processes(config: Config, run_dir: Path) -> AsyncGenerator[tuple[Path, ...], None]:
    """Run `inference.processes` processes below `run_dir`; yields their sockets, which may not listen yet.

    None are run, and none yielded, when nothing of the configuration is local. Give the sockets to the workers as
    `inference.sockets` of their configuration. Raises `ConfigurationError`.
    """
    kinds = local_kinds(config)
    count = config.inference.processes if kinds else 0
    folder = run_dir / "inference"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sockets = tuple(folder / f"{number}.sock" for number in range(count))
    for path in sockets:
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise ConfigurationError(
                f"the path of the socket {path} is too long for the system; choose a shorter folder"
            )
    keeping = [asyncio.create_task(_keep(_settings(config, kinds, path)), name=path.name) for path in sockets]
    try:
        yield sockets
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


@asynccontextmanager
async def inference_for(config: Config) -> AsyncGenerator[Config, None]:
    """Run what a configuration asks for, in a folder of its own; yields the configuration with its sockets.

    Raises `ConfigurationError`.
    """
    with tempfile.TemporaryDirectory(prefix="talkspurt-", ignore_cleanup_errors=True) as folder:
        async with inference_processes(config, Path(folder)) as sockets:
            inference = config.inference.model_copy(update={"sockets": sockets})
            yield config.model_copy(update={"inference": inference})


def _settings(config: Config, kinds: tuple[Kind, ...], socket: Path) -> Settings:
    return Settings(
        socket=str(socket),
        weights=str(WeightStore.from_config(config).root.absolute()),
        threads=config.speech.threads,
        at_once=max(1, config.inference.pieces_at_once // config.inference.processes),
        kinds=kinds,
        log_level=config.log_level,
    )


async def _keep(settings: Settings) -> None:
    """Have one process running until cancelled."""
    pause = 0.0
    while True:
        began = time.monotonic()
        reason = await _run(settings)
        lived = time.monotonic() - began
        pause = 0.0 if lived >= STEADY else min(2 * pause or 0.1, LONGEST_PAUSE)
        INFERENCE_RESTARTS.labels(reason).inc()
        _log.error("inference_process_restarted", reason=reason, lived=round(lived, 1), again_in=pause)
        await asyncio.sleep(pause)


async def _run(settings: Settings) -> str:
    """Run a process; returns how it came to its end: "ended", "hung", or "not_started"."""
    try:
        process = await _start(settings)
    except OSError as error:
        _log.error("inference_process_not_started", error=str(error))
        return "not_started"
    reason = None
    try:
        reason = await _watch(process, Path(settings.socket))
    finally:
        await _end(process, politely=reason is None)
    _log.warning("inference_process_ended", pid=process.pid, status=process.returncode)
    return reason


async def _start(settings: Settings) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "talkspurt.speech.inference.process", msgspec.json.encode(settings).decode(),
        stdin=asyncio.subprocess.PIPE,
        env=environment(os.environ, settings.threads),
        start_new_session=True,
    )  # fmt: skip
    _log.info("inference_process_started", pid=process.pid, socket=settings.socket)
    return process


def environment(given: Mapping[str, str], threads: int) -> dict[str, str]:
    """What an inference process gets of the environment, with the threads of native libraries pinned."""
    passed = {
        name: value for name, value in given.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    pinned = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return passed | pinned


async def _watch(process: asyncio.subprocess.Process, socket: Path) -> str:
    """Wait until the process has ended or hangs; returns which."""
    link = Link(socket)
    link.start()
    ended = asyncio.create_task(process.wait())
    try:
        if not await _happens(link.changed, ended, STARTING):
            return "ended" if ended.done() else "hung"
        link.changed.clear()
        await _happens(link.changed, ended, None)
        await asyncio.wait({ended}, timeout=DYING)
        return "ended" if ended.done() else "hung"
    finally:
        ended.cancel()
        await link.aclose()


async def _happens(event: asyncio.Event, ended: asyncio.Task[int], patience: float | None) -> bool:
    """Whether `event` is set before the process has ended or `patience` is over."""
    happening = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({ended, happening}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        return happening.done()
    finally:
        happening.cancel()


async def _end(process: asyncio.subprocess.Process, *, politely: bool) -> None:
    """Have a process ended."""
    if process.returncode is not None:
        return
    assert process.stdin is not None
    if politely:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                await process.wait()
                return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
