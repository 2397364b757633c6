"""A server of one's own for the length of a simulated call: another process, a free port, temporary databases.

A process and not a task, because the caller must not share its event loop with what it measures.
"""

import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from talkspurt.errors import TransportError

READY_SECONDS: Final = 180.0
"""Loading all local models takes seconds; on a busy machine with a cold disk it may be a minute."""
STOP_SECONDS: Final = 15.0
LOWEST_PORT: Final = 20_000
HIGHEST_PORT: Final = 32_000
"""Linux' ephemeral ports begin at 32768."""
LOG_LINES: Final = 15
"""How much of the log an error shows."""


@asynccontextmanager
async def child_server(
    folder: Path, log: Path, *, environment: Mapping[str, str] | None = None, workers: int = 1
) -> AsyncIterator[str]:
    """Run `talkspurt serve` in development mode with its databases in `folder`; yields its address once it is ready.

    `environment` overrides variables for the server. Raises `TransportError`, with the end of its
    log, when it does not become ready.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {
        **os.environ,
        "TALKSPURT_STORE__URL": f"sqlite+aiosqlite:///{folder / 'calls.db'}",
        "TALKSPURT_RETAIL_DATABASE": f"sqlite+aiosqlite:///{folder / 'retail.db'}",
        # It shares its machine with its callers, and is to answer them however late.
        "TALKSPURT_SERVER__LAG_LIMIT": "60",
        "TALKSPURT_SERVER__LATENESS_LIMIT": "60",
        **(environment or {}),
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "talkspurt", "serve", "--host", "127.0.0.1", "--port", str(port), "--development",
            # One process: it is started for a call or a few, and what is measured or killed is the server itself.
            "--workers", str(workers),
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=asyncio.subprocess.STDOUT, env=variables,
            # An interrupt from the keyboard is for the caller, who then hangs up and stops the server.
            start_new_session=True,
        )  # fmt: skip
        try:
            await _await_ready(url, process, log)
            yield url
        finally:
            await _stop(process)


async def _await_ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            while process.returncode is None:
                try:
                    if (await client.get(f"{url}/readyz")).is_success:
                        return
                except httpx.TransportError:
                    pass  # not listening yet
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TransportError(f"the server was not ready within {READY_SECONDS:.0f} s{_end_of(log)}") from None
    raise TransportError(f"the server ended with status {process.returncode} before it was ready{_end_of(log)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return f"; the end of {log}:\n  " + "\n  ".join(lines) if lines else f"; {log} is empty"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on.

    Below those that the kernel gives to connections and to whoever binds port 0, so that nobody happens to get it
    before it is bound.
    """
    while True:
        port = random.randrange(LOWEST_PORT, HIGHEST_PORT)  # noqa: S311  # nosec B311
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
