"""Holds all calls of a run, several at once, and keeps each result as soon as it is there.

What `results.jsonl` has of the same code is not held again, so a run that was broken off goes on where it was.
The folder of a call that went wrong is kept: its databases, and what the caller heard.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.effects import trial
from benchmarks.effects.kills import Scenario, Systems, run_scenario, scenarios, silence_logs
from benchmarks.effects.plan import CallPlan, customers, draw
from benchmarks.effects.postgres import Cluster, postgresql
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import talkspurt

REPOSITORY: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = REPOSITORY / "build" / "bench" / "effects"
RESULTS: Final = FOLDER / "results.jsonl"

FULL_CALLS: Final = 10_000
FULL_ROUNDS: Final = 3
"""Rounds of all kills: more than three hundred die."""
QUICK_CALLS: Final = 400
QUICK_KILLS: Final = 50
"""Scenarios of a quick run, spread over all of a round."""
FULL_SECONDS: Final = 55 * 60.0
QUICK_SECONDS: Final = 4.5 * 60.0
"""Seconds after which no call is begun any more; the next run goes on."""
BATCH: Final = 10
"""Virtual calls that a process of the pool holds at a time."""
FIRST_SEED: Final = 1

Kind = Literal["virtual", "kill", "stop", "anywhere"]


@dataclass(frozen=True, slots=True)
class Result:
    """What is kept of a call."""

    name: str
    kind: Kind
    stamp: str
    kills: int = 0
    woken: int = 0
    verdict: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    """The traceback when the call could not be held; then nothing else counts."""


@dataclass(frozen=True, slots=True)
class Run:
    """All results, and what they lack."""

    quick: bool
    stamp: str
    results: tuple[Result, ...]
    missing: int
    """Calls that were not held for want of time."""
    seeds: tuple[int, int]
    """The first and the last seed of the virtual calls."""


def hold_calls(*, quick: bool, fresh: bool) -> Run:
    """Hold what has not been held yet. Raises `ConfigurationError` when PostgreSQL is not there."""
    console = Console()
    if fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + (QUICK_SECONDS if quick else FULL_SECONDS)
    template, stamp = FOLDER / "template", revision()
    shutil.rmtree(template, ignore_errors=True)
    trial.make_template_files(template)
    shop = customers(template / trial.SHOP_FILE)
    kills = list(scenarios(shop, 1 if quick else FULL_ROUNDS))
    if quick:
        kills = kills[:: max(1, len(kills) // QUICK_KILLS)]
    virtual = (QUICK_CALLS if quick else FULL_CALLS) - len(kills)
    seeds = range(FIRST_SEED, FIRST_SEED + virtual)
    held = {result.name: result for result in load_results(stamp)}
    plans = [plan for plan in (draw(seed, shop) for seed in seeds) if plan.name not in held]
    due = [scenario for scenario in kills if scenario.name not in held]
    with _progress(console) as progress, RESULTS.open("a", encoding="utf-8") as file:
        tasks = {
            "kill -9": progress.add_task("kill -9", total=len(kills), completed=len(kills) - len(due)),
            "virtual": progress.add_task("virtual calls", total=virtual, completed=virtual - len(plans)),
        }

        def keep(result: Result) -> None:
            held[result.name] = result
            file.write(json.dumps(asdict(result)) + "\n")
            file.flush()
            progress.advance(tasks["virtual" if result.kind == "virtual" else "kill -9"])

        if due:
            with _systems(template) as systems:
                _hold_killed(due, systems, stamp, deadline, keep)
        _hold_virtual(plans, template, stamp, deadline, keep)
    names = [scenario.name for scenario in kills] + [f"call-{seed:06d}" for seed in seeds]
    results = tuple(held[name] for name in names if name in held)
    return Run(quick, stamp, results, len(names) - len(results), (seeds[0], seeds[-1]))


def load_results(stamp: str) -> Iterator[Result]:
    """Results of the same code that earlier runs have kept; a call that could not be held is tried again."""
    if RESULTS.exists():
        for line in RESULTS.read_text(encoding="utf-8").splitlines():
            try:
                result = Result(**json.loads(line))
            except (ValueError, TypeError):
                continue  # the run was broken off while it wrote
            if result.stamp == stamp and not result.error:
                yield result


def revision() -> str:
    """A digest of all that decides how a call goes: the package and this benchmark."""
    digest = hashlib.sha256()
    for folder in (Path(talkspurt.__file__).parent, Path(__file__).parent):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# ── virtual calls ─────────────────────────────────────────────────────────────────


def _hold_virtual(
    plans: Sequence[CallPlan], template: Path, stamp: str, deadline: float, keep: Callable[[Result], object]
) -> None:
    waiting = iter(plans)
    with (
        ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver"), initializer=silence_logs) as pool,
        _ending_early(pool),
    ):
        running: set[Future[list[Result]]] = set()
        while True:
            while len(running) < 2 * (os.cpu_count() or 1) and time.monotonic() < deadline:
                batch = list(islice(waiting, BATCH))
                if not batch:
                    break
                running.add(pool.submit(_hold_batch, batch, template, stamp))
            if not running:
                return
            done = next(as_completed(running))
            running.discard(done)
            for result in done.result():
                keep(result)


def _hold_batch(plans: Sequence[CallPlan], template: Path, stamp: str) -> list[Result]:
    return [_hold_one(plan, template, stamp) for plan in plans]


def _hold_one(plan: CallPlan, template: Path, stamp: str) -> Result:
    folder = FOLDER / "calls" / plan.name
    try:
        verdict = trial.run_virtual_call(plan, template, folder)
    except Exception:
        return Result(plan.name, "virtual", stamp, error=traceback.format_exc())
    if verdict.is_clean:
        shutil.rmtree(folder)
    return Result(plan.name, "virtual", stamp, verdict=asdict(verdict))


# ── kills ─────────────────────────────────────────────────────────────────────────


def _hold_killed(
    due: Sequence[Scenario], systems: Systems, stamp: str, deadline: float, keep: Callable[[Result], object]
) -> None:
    def one(scenario: Scenario) -> Result | None:
        return _kill_one(scenario, systems, stamp) if time.monotonic() < deadline else None

    # The threads only wait for the workers, which are processes.
    with ThreadPoolExecutor(os.cpu_count()) as pool, _ending_early(pool):
        for future in as_completed(pool.submit(one, scenario) for scenario in due):
            result = future.result()
            if result is not None:
                keep(result)


def _kill_one(scenario: Scenario, systems: Systems, stamp: str) -> Result:
    folder = FOLDER / "calls" / scenario.name
    try:
        outcome = run_scenario(scenario, systems, folder)
    except Exception:
        return Result(scenario.name, scenario.mode, stamp, error=traceback.format_exc())
    if outcome.verdict.is_clean:
        shutil.rmtree(folder)
    return Result(scenario.name, scenario.mode, stamp, outcome.kills, outcome.woken, asdict(outcome.verdict))


@contextmanager
def _systems(template: Path) -> Iterator[Systems]:
    with postgresql() as cluster, _outside() as port:
        _make_databases(cluster)
        yield Systems(template, cluster, port)


def _make_databases(cluster: Cluster) -> None:
    for name in ("template_store", "template_shop"):
        cluster.create(name)
    asyncio.run(trial.make_template(cluster.url("template_store"), cluster.url("template_shop")))


@contextmanager
def _outside() -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.effects.outside"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.terminate()


@contextmanager
def _ending_early(pool: Executor) -> Iterator[None]:
    """Told to end, hold no more than the calls that are under way."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip
