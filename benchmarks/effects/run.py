"""Holds all calls of a run, several at once, and keeps each result as soon as it is there.

What `results.jsonl` has of the same code is not held again, so a run that was broken off goes on where it was.
The folder of a call that went wrong is kept: its databases, and what the caller heard.
"""

import asyncio
import gc
import hashlib
import json
import os
import shutil
import signal
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
from benchmarks.effects.kills import Outcome, Scenario, Systems, run_scenario, scenarios, silence_logs
from benchmarks.effects.pairs import Race, draw_race
from benchmarks.effects.plan import CallPlan, customers, draw
from benchmarks.effects.postgres import Cluster, postgresql
from benchmarks.effects.races import ProcessRace, run_race_of_processes, run_virtual_race
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import talkspurt
from talkspurt.server.switchboard import GC_THRESHOLDS

REPOSITORY: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = REPOSITORY / "build" / "bench" / "effects"
RESULTS: Final = FOLDER / "results.jsonl"

FULL_CALLS: Final = 10_000
FULL_ROUNDS: Final = 3
"""Rounds of all kills: more than three hundred die."""
FULL_RACES: Final = 300
FULL_PROCESS_RACES: Final = 60
"""Races of two processes on PostgreSQL."""
QUICK_CALLS: Final = 400
QUICK_KILLS: Final = 50
"""Scenarios of a quick run, spread over all of a round."""
QUICK_RACES: Final = 12
QUICK_PROCESS_RACES: Final = 6
FULL_SECONDS: Final = 58 * 60.0
QUICK_SECONDS: Final = 4.5 * 60.0
"""Seconds after which no call is begun any more; the next run goes on."""
BATCH: Final = 10
"""Virtual calls that a process of the pool holds at a time."""
FIRST_SEED: Final = 1
FIRST_PROCESS_RACE: Final = 500_001

Kind = Literal["virtual", "kill", "stop", "anywhere", "race", "process race"]
IN_PROCESSES: Final = ("kill", "stop", "anywhere", "process race")
Virtual = CallPlan | Race
Processes = Scenario | ProcessRace


@dataclass(frozen=True, slots=True)
class Result:
    """What is kept of a call, or of the two of a race."""

    name: str
    kind: Kind
    stamp: str
    kills: int = 0
    woken: int = 0
    calls: int = 1
    skewed: int = 0
    """Calls of these whose workers' clocks differed."""
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
    races, process_races = (
        [draw_race(seed, shop) for seed in range(first, first + number)]
        for first, number in (
            (FIRST_SEED, QUICK_RACES if quick else FULL_RACES),
            (FIRST_PROCESS_RACE, QUICK_PROCESS_RACES if quick else FULL_PROCESS_RACES),
        )
    )
    processes: list[Processes] = [*kills, *map(ProcessRace, process_races)]
    others = len(kills) + 2 * (len(races) + len(process_races))
    seeds = range(FIRST_SEED, FIRST_SEED + (QUICK_CALLS if quick else FULL_CALLS) - others)
    virtual: list[Virtual] = [*races, *(draw(seed, shop) for seed in seeds)]
    held = {result.name: result for result in load_results(stamp)}
    due = [one for one in virtual if one.name not in held]
    due_processes = [one for one in processes if one.name not in held]
    with _progress(console) as progress, RESULTS.open("a", encoding="utf-8") as file:
        tasks = {
            True: progress.add_task(
                "in processes", total=len(processes), completed=len(processes) - len(due_processes)
            ),
            False: progress.add_task("virtual calls", total=len(virtual), completed=len(virtual) - len(due)),
        }

        def keep(result: Result) -> None:
            held[result.name] = result
            file.write(json.dumps(asdict(result)) + "\n")
            file.flush()
            progress.advance(tasks[result.kind in IN_PROCESSES])

        if due_processes:
            with open_systems(template) as systems:
                _hold_in_processes(due_processes, systems, stamp, deadline, keep)
        _hold_virtual(due, template, stamp, deadline, keep)
    wanted = [*processes, *virtual]
    results = tuple(held[one.name] for one in wanted if one.name in held)
    missing = sum(len(_calls(one)) for one in wanted if one.name not in held)
    return Run(quick, stamp, results, missing, (seeds[0], seeds[-1]))


def _calls(one: Virtual | Processes) -> tuple[CallPlan, ...]:
    """The calls that are held in one go."""
    match one:
        case CallPlan():
            return (one,)
        case Scenario():
            return (one.plan,)
        case ProcessRace():
            return one.race.calls
        case Race():
            return one.calls


def _result(one: Virtual | Processes, kind: Kind, stamp: str, **found: Any) -> Result:
    calls = _calls(one)
    skewed = sum(1 for call in calls if call.skews is not None)
    return Result(one.name, kind, stamp, calls=len(calls), skewed=skewed, **found)


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
    plans: Sequence[Virtual], template: Path, stamp: str, deadline: float, keep: Callable[[Result], object]
) -> None:
    waiting = iter(plans)
    with (
        ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver"), initializer=_begin_process) as pool,
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


def _begin_process() -> None:
    """As a server does: what is there by now is not looked through for garbage, and the rest more seldom."""
    silence_logs()
    # Else every `asyncio.run` sets a handler of its own, and by a profile that is 1.5 % of a call.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _hold_batch(plans: Sequence[Virtual], template: Path, stamp: str) -> list[Result]:
    return [_hold_one(plan, template, stamp) for plan in plans]


def _hold_one(plan: Virtual, template: Path, stamp: str) -> Result:
    folder = FOLDER / "calls" / plan.name
    kind: Kind = "race" if isinstance(plan, Race) else "virtual"
    try:
        if isinstance(plan, Race):
            verdict = run_virtual_race(plan, template, folder)
        else:
            verdict = trial.run_virtual_call(plan, template, folder)
    except Exception:
        return _result(plan, kind, stamp, error=traceback.format_exc())
    if verdict.is_clean:
        shutil.rmtree(folder)
    return _result(plan, kind, stamp, verdict=asdict(verdict))


# ── kills, and races of processes ─────────────────────────────────────────────────────────────────────────


def _hold_in_processes(
    due: Sequence[Processes], systems: Systems, stamp: str, deadline: float, keep: Callable[[Result], object]
) -> None:
    def one(scenario: Processes) -> Result | None:
        return _in_processes(scenario, systems, stamp) if time.monotonic() < deadline else None

    # The threads only wait for the workers, which are processes, and those wait, too: for the disk, or a deadline.
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool, _ending_early(pool):
        for future in as_completed(pool.submit(one, scenario) for scenario in due):
            result = future.result()
            if result is not None:
                keep(result)


def _in_processes(scenario: Processes, systems: Systems, stamp: str) -> Result:
    folder = FOLDER / "calls" / scenario.name
    kind: Kind = "process race" if isinstance(scenario, ProcessRace) else scenario.mode
    try:
        if isinstance(scenario, ProcessRace):
            outcome = Outcome(run_race_of_processes(scenario.race, systems, folder), kills=0, woken=0)
        else:
            outcome = run_scenario(scenario, systems, folder)
    except Exception:
        return _result(scenario, kind, stamp, error=traceback.format_exc())
    if outcome.verdict.is_clean:
        shutil.rmtree(folder)
    found = asdict(outcome.verdict)
    return _result(scenario, kind, stamp, kills=outcome.kills, woken=outcome.woken, verdict=found)


@contextmanager
def open_systems(template: Path) -> Iterator[Systems]:
    """What calls of several processes share, for the time of the block. Raises `ConfigurationError`."""
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
