"""One measurement: a system is started, calls are placed, the figures are a `Record`."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.capacity.figures import Record, in_ms, percentile
from benchmarks.capacity.load import SETTLE, STARTS_PER_SECOND
from benchmarks.capacity.systems import REPOSITORY, Running

from talkspurt.errors import TransportError

SERVER_CORE: Final = 0
CLIENT_CORE: Final = 1
STARTS: Final = 12
"""Calls placed one by one to see how long each start blocks the loop."""


async def place(running: Running, *options: str) -> dict[str, Any]:
    """Run the load client against it. Raises `TransportError` when it fails."""
    return await _beside_the_server("load", *running.address, *options)


async def offend(running: Running, kind: str, seconds: float) -> dict[str, Any]:
    """Let one more caller misbehave that long. It gives way to the others on the client's core."""
    assert running.webhook is not None
    return await _beside_the_server(
        "abuse", "--webhook", running.webhook, "--kind", kind, "--seconds", str(seconds), nice=19
    )


async def _beside_the_server(module: str, *options: str, nice: int = 0) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "nice", "-n", str(nice), "taskset", "-c", str(CLIENT_CORE),
        sys.executable, "-m", f"benchmarks.capacity.{module}", *options,
        stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode != 0:
        raise TransportError(f"benchmarks.capacity.{module} ended with status {process.returncode}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


async def measure(
    name: str,
    starting: AbstractAsyncContextManager[Running],
    *,
    calls: int,
    seconds: float,
    ideals: tuple[float, float],
    probe: Path | None = None,
    offender: str = "",
) -> Record:
    """Place so many calls at once and see, beside an `offender` if one is named."""
    try:
        async with starting as running, asyncio.TaskGroup() as group:
            load = place(
                running, "--calls", str(calls), "--seconds", str(seconds),
                "--ideal", str(ideals[0]), "--ideal-interrupting", str(ideals[1]),
            )  # fmt: skip
            placing = group.create_task(load)
            lasting = calls / STARTS_PER_SECOND + SETTLE + seconds
            offending = group.create_task(offend(running, offender, lasting)) if offender else None
    except* TransportError as failed:
        # Who calls has nothing to do with there being a group: the first one says what happened.
        raise TransportError(str(failed.exceptions[0])) from failed
    found = placing.result()
    begin, end = found.pop("window")
    del found["starts"]

    def late(written: Path | None) -> float | None:
        lags = [lag for at, lags in probed(written) if begin <= at <= end for lag in lags]
        return in_ms(percentile(lags, 0.99))

    return Record(
        system=name,
        loop_lag_p99_ms=late(probe),
        vendors_lag_p99_ms=late(running.vendors.probe if running.vendors else None),
        call_start_block_ms=None,
        cut_off=offending.result()["cut_off"] if offending else None,
        **found,
    )


@dataclass(frozen=True, slots=True)
class Block:
    """For how many milliseconds the loop stood still at most."""

    by_start: float
    """While calls were started, one after the other."""
    cpu: float
    """Of that the CPU; the rest is waiting, or another tenant of the machine."""
    without: float | None
    """As long half a second behind each start, while none was started: what the machine does by itself. None where
    starts take so long that there is no such time."""


async def start_block(starting: AbstractAsyncContextManager[Running], probe: Path) -> Block | None:
    """How long `STARTS` calls' starts block the loop; None where there is no probe in it."""
    async with starting as running:
        found = await place(running, "--calls", str(STARTS), "--seconds", "0.5", "--rate", "1", "--silent")
    spans = [(begin - 0.02, end + 0.1) for begin, end in found["starts"]]
    return block_of([turn for _, turns in probed(probe) for turn in turns], spans)


def block_of(turns: Sequence[Sequence[float]], starts: Sequence[tuple[float, float]]) -> Block | None:
    """What a probe's turns (when each ended, its seconds, its CPU seconds) say of starts from one time to another."""

    def within(later: float) -> list[Sequence[float]]:
        return [turn for turn in turns if any(first + later <= turn[0] <= last + later for first, last in starts)]

    by_start = within(0.0)
    if not by_start:
        return None
    others = [seconds for at, seconds, _ in within(0.5) if not any(first <= at <= last for first, last in starts)]
    _, seconds, cpu = max(by_start, key=lambda turn: turn[1])
    return Block(round(1000 * seconds, 1), round(1000 * cpu, 1), round(1000 * max(others), 1) if others else None)


def probed(path: Path | None) -> list[tuple[float, list[Any]]]:
    """What the probe in the server wrote."""
    if path is None or not path.exists():
        return []
    return [(begun, values) for begun, values in map(json.loads, path.read_text().splitlines())]
