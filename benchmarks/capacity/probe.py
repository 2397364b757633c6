"""A probe of the event loop that it runs on, for any server of the benchmark: nothing but the standard library in it.

`BENCH_PROBE` names a file for what it finds, a line of JSON each second: `[from, [lag, …]]`, both in seconds of the
monotonic clock. With `BENCH_PROBE_SPIN=1` the loop is kept turning without a rest, and instead of lags the longest
turn of each 10 ms is written, `[at, seconds, CPU seconds]`: how long the loop was blocked, exactly, at the price of a
core. What took longer than its CPU waited: for a disk, or for a machine that did something else.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

PERIOD: Final = 0.01


@asynccontextmanager
async def probe() -> AsyncIterator[None]:
    """Watch the loop while the server runs."""
    path = os.environ.get("BENCH_PROBE")
    if path is None:
        yield
        return
    watching = asyncio.create_task((_spin if os.environ.get("BENCH_PROBE_SPIN") == "1" else _watch)(Path(path)))
    try:
        yield
    finally:
        watching.cancel()


async def _watch(path: Path) -> None:
    lags: list[float] = []
    begun = due = time.monotonic()
    while True:
        due += PERIOD
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        lags.append(now - due)
        # As whoever waits for the next 10 ms sees it: a loop that stood still is late once, not over and over.
        due = max(due, now - PERIOD)
        if now - begun >= 1:
            _write(path, begun, lags)
            lags.clear()
            begun = now


async def _spin(path: Path) -> None:
    loop = asyncio.get_running_loop()
    longest: list[tuple[float, float, float]] = []
    begun = window = last = time.monotonic()
    used = time.thread_time()
    worst = (0.0, 0.0, 0.0)

    def turn(again: Callable[[], None]) -> None:
        nonlocal begun, window, last, used, worst
        now, cpu = time.monotonic(), time.thread_time()
        worst = max(worst, (now - last, cpu - used, now))
        if now - window >= PERIOD:
            seconds, of_cpu, at = worst
            longest.append((at, seconds, of_cpu))
            worst, window = (0.0, 0.0, 0.0), now
            if now - begun >= 1:
                _write(path, begun, longest)
                longest.clear()
                begun = window = now = time.monotonic()
                cpu = time.thread_time()
        last, used = now, cpu
        loop.call_soon(again)

    def again() -> None:
        turn(again)

    again()
    await asyncio.Event().wait()


def _write(path: Path, begun: float, values: Sequence[float | tuple[float, float, float]]) -> None:
    with path.open("a") as file:
        file.write(json.dumps([begun, values]) + "\n")
