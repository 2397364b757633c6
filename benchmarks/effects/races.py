"""Holds races: two calls at one shop on virtual time, or in two processes at once on PostgreSQL.

On virtual time one call moves at a time, so the same seed is the same race; what has changed between a yes and the
deed is what is tried. In two processes both stand at the same step, and are let go at once: there it is rows that are
fought for. Half of those let the first one hold its rows, with nothing committed, while the second comes.
"""

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.effects import clock
from benchmarks.effects.faults import nowhere
from benchmarks.effects.kills import LOG_FILE, Assignment, Systems, WorkerProcess, finish
from benchmarks.effects.log import CallLog, Entry
from benchmarks.effects.outside import DeedBook, RemoteOutside
from benchmarks.effects.pair_referee import judge_race
from benchmarks.effects.pairs import Race
from benchmarks.effects.plan import CallPlan, Troubles
from benchmarks.effects.referee import Truth, Verdict
from benchmarks.effects.trial import SHOP_FILE, copy_files, gather, shop_tables, tables_of
from benchmarks.effects.world import Place, World

FOLDERS: Final = ("first", "second")
PATIENCE: Final = 5.0
"""Virtual seconds that a caller waits for the other one before they agree alone."""
MEETING: Final = "before begin"
"""Where both processes wait for each other: agreed to, and nothing has begun that could grow stale."""
STEPS: Final = ((), ("before tool",), ("uncommitted",), ("uncommitted",))
"""How much further the first one comes before both are let go; the second never comes further than to its tool."""
HELD: Final = 0.3
"""Real seconds that the first one holds its rows, unless the second does not mind them."""
GAPS: Final = (0.0, 0.0, 0.002, 0.01)
"""Real seconds between both where they only start together."""


@dataclass(frozen=True, slots=True)
class ProcessRace:
    """A race that is held by two processes."""

    race: Race

    @property
    def name(self) -> str:
        """What it is called in files and results."""
        return f"process-{self.race.name}"


class Meeting:
    """Where callers wait for each other."""

    def __init__(self, callers: int) -> None:
        self._barrier = asyncio.Barrier(callers)

    async def arrive(self) -> None:
        """Wait until all are there, or patience ends."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._barrier.wait()
        except (TimeoutError, asyncio.BrokenBarrierError):
            # Whoever comes later waits for nobody.
            await self._barrier.abort()


def run_virtual_race(race: Race, template: Path, folder: Path) -> Verdict:
    """Hold both calls on fresh copies of the template's files, and judge them. Leaves all of it in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store_url, shop_url = copy_files(template, folder)
    before, book = tables_of(template / SHOP_FILE), DeedBook()

    async def hold() -> tuple[Truth, list[Sequence[Entry]]]:
        place, meeting = Place(store_url, shop_url, book), Meeting(len(race.calls))
        logs = [CallLog(clock.now, folder / f"{name}.jsonl") for name in FOLDERS]
        first, second = (
            World(plan, place, log, meet=meeting.arrive) for plan, log in zip(race.calls, logs, strict=True)
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(first.converse())
            await asyncio.sleep(race.later)
            group.create_task(second.converse())
        await first.settle()
        for log in logs:
            log.close()
        truth = await gather(logs[0], book.deeds(), store_url, shop_url, before)
        return truth, [log.entries for log in logs]

    truth, logs = clock.run_call(hold, alone=Random(f"{race.name} sqlite"))
    return judge_race(race, truth, logs, one_clock=True)


# ── in two processes ──────────────────────────────────────────────────────────────


def run_race_of_processes(race: Race, systems: Systems, folder: Path) -> Verdict:
    """Hold both calls at once, each in a process, on one PostgreSQL; judge what they have left.

    Raises `NotReachedError` when a call did not come so far as to be in the other's way.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    databases = (f"store_r{race.seed}", f"shop_r{race.seed}")
    urls = systems.create_databases(databases)
    shop_before = asyncio.run(shop_tables(urls[1]))
    chance = Random(f"{race.seed} processes")
    step, gap = chance.choice(STEPS), chance.choice(GAPS)
    ways = ((MEETING, *step), (MEETING, *(step and ("before tool",))))
    first, second = (
        Assignment(
            _calm(plan), *urls, systems.outside_port, folder.name, folder / name, points, life=0, time="database"
        )
        for plan, name, points in zip(race.calls, FOLDERS, ways, strict=True)
    )
    _hold_both(first, second, gap)
    finish(replace(first, points=(), life=1, settles=True))
    logs = [CallLog(lambda: 0.0, folder / name / LOG_FILE) for name in FOLDERS]
    for log in logs:
        log.close()
    deeds = RemoteOutside(systems.outside_port, folder.name, nowhere).deeds()
    truth = asyncio.run(gather(logs[0], deeds, *urls, shop_before))
    verdict = judge_race(race, truth, [log.entries for log in logs], one_clock=False)
    if verdict.is_clean:
        for name in databases:
            systems.cluster.drop(name)
    return verdict


def _calm(plan: CallPlan) -> CallPlan:
    """The call with nothing in the way of its first effect, and without waiting: the processes meet elsewhere."""
    wanted, *others = plan.wishes
    return replace(plan, wishes=(replace(wanted, answer="yes", mishap=""), *others), troubles=Troubles())


def _hold_both(first: Assignment, second: Assignment, gap: float) -> None:
    one, other = WorkerProcess(first), WorkerProcess(second)
    try:
        for process in (one, other):
            process.expect(MEETING)
        # Both at once: what has begun has ten real seconds until a sweeper asks for it.
        further = [(process, way.points[1]) for process, way in ((one, first), (other, second)) if way.points[1:]]
        for process, _ in further:
            process.go_on()
        for process, point in further:
            process.expect(point)
        if first.points[-1] == "uncommitted":
            other.go_on()
            other.says_something(HELD)
            one.go_on()
        else:
            one.go_on()
            time.sleep(gap)
            other.go_on()
        for process in (one, other):
            process.expect("ended")
    finally:
        for process in (one, other):
            process.close()
