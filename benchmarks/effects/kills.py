"""Calls whose process is killed with `kill -9`, or stopped and woken again, at every step of an effect.

A worker process holds the call until it reaches the scenario's point, where it waits; there the parent kills it. A
second worker takes the call over, its caller asks for the same again, and the referee judges what both have done.
A stopped worker is woken when the second one has finished: whatever it still believes, it may change nothing.
"""

import asyncio
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final, Literal

from benchmarks.effects import clock
from benchmarks.effects.faults import Reach, StopAt, nowhere
from benchmarks.effects.log import CallLog
from benchmarks.effects.outside import RemoteOutside
from benchmarks.effects.plan import (
    MOVED_SKEWED,
    RETAIL,
    Answer,
    CallPlan,
    Customer,
    Troubles,
    Wish,
    draw,
    draw_skews,
    retail_arguments,
)
from benchmarks.effects.postgres import Cluster
from benchmarks.effects.referee import Verdict, judge
from benchmarks.effects.sqlite_in_loop import compiled_once
from benchmarks.effects.trial import copy_files, gather, shop_tables
from benchmarks.effects.world import Place, World

Backend = Literal["sqlite", "postgresql"]
Mode = Literal["kill", "stop", "anywhere"]
Time = Literal["virtual", "database"]
"""What decides who is gone: the virtual time of the only worker, or the real one of a database that two use at once."""

STEPS: Final = ("propose", "read_back", "confirm", "begin", "finish")
"""The steps of an effect that is agreed to; one that is not comes to `withdraw`."""
TOOLS: Final = {
    "send_parcel": ("before tool", "sent", "after tool", "before withdraw", "after withdraw"),
    "book_pickup": ("before tool", "uncommitted", "after tool"),
    "mail_letter": ("before tool", "sent", "after tool"),
    "offer_refund": ("before tool", "after tool"),
    "cancel_order": ("before tool", "after tool"),
}
"""Where each tool can be stopped, besides before and after every step of the ledger."""
UNPROTECTED: Final = {("mail_letter", "after begin"), ("mail_letter", "before tool")}
"""Where a worker that sleeps and wakes does what others have given up meanwhile: no ledger keeps it from asking a
system that knows no keys. Such a worker is killed instead."""
PATIENCE: Final = 90.0
"""Real seconds that a worker may take for a call of about two virtual minutes."""
LATER: Final = 3.0
"""Virtual seconds until the caller is connected to the next worker."""
TYPICAL: Final = 120
"""Events that a call logs; kills that come anywhere come within so many."""
LOG_FILE: Final = "call.jsonl"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One call and how its process ends."""

    number: int
    backend: Backend
    mode: Mode
    point: str
    """Empty when the kill comes anywhere."""
    plan: CallPlan
    name: str = field(init=False)

    def __post_init__(self) -> None:
        at = f"{self.plan.wishes[0].tool}-{self.point.replace(' ', '-') or 'anywhere'}"
        object.__setattr__(self, "name", f"{self.mode}-{self.backend}-{self.number:04d}-{at}")


@dataclass(frozen=True, slots=True)
class Systems:
    """What the calls of a run share."""

    template: Path
    """Folder with the SQLite files that calls begin with."""
    cluster: Cluster
    """Has the same as databases `template_store` and `template_shop`."""
    outside_port: int

    def create_databases(self, names: tuple[str, str]) -> tuple[str, str]:
        """A store and a shop of these names on the cluster; their URLs."""
        for name, template in zip(names, ("template_store", "template_shop"), strict=True):
            self.cluster.create(name, template)
        return self.cluster.url(names[0]), self.cluster.url(names[1])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario went."""

    verdict: Verdict
    kills: int
    woken: int
    """Workers that were stopped, and went on after another had taken the call over."""


class NotReachedError(Exception):
    """The worker finished its call without coming to the scenario's point, or did not finish at all."""


# ── which ─────────────────────────────────────────────────────────────────────────


def scenarios(shop: Sequence[Customer], rounds: int) -> Iterator[Scenario]:
    """Every point of every tool on both databases, `rounds` times with other customers, and kills anywhere."""
    number = 0
    points = [
        (tool, point)
        for tool, own in TOOLS.items()
        for point in (*(f"{when} {step}" for step in STEPS for when in ("before", "after")), *own)
    ]
    for turn in range(rounds):
        for backend in ("sqlite", "postgresql"):
            for tool, point in points:
                number += 1
                sleeps = (number + turn) % 4 == 0 and (tool, point) not in UNPROTECTED
                mode: Mode = "stop" if sleeps else "kill"
                answer: Answer = "no" if "withdraw" in point else "yes"
                yield Scenario(number, backend, mode, point, _plan(number, tool, answer, shop))
            for _ in range(len(points) // 4):
                number += 1
                yield Scenario(
                    number, backend, "anywhere", "", replace(draw(900_000 + number, shop), losses=(), moves=())
                )


def _plan(number: int, tool: str, answer: Answer, shop: Sequence[Customer]) -> CallPlan:
    """A call in which the tool is asked for and the answer is clear, so that every point is reached."""
    seed = 800_000 + number
    chance = Random(seed)
    fitting = [
        (one, order) for one in shop for order, status in one.orders if tool not in RETAIL or status in RETAIL[tool]
    ]
    customer, order = chance.choice(fitting)
    parcel = f"K{seed}Q1"
    wish = Wish(tool, {"parcel": parcel}, parcel, answer, again=True)
    if tool in RETAIL:
        wish = Wish(tool, retail_arguments(tool, order), order, answer, again=True)
    other = f"K{seed}Q2"
    wishes = (wish, Wish("send_parcel", {"parcel": other}, other))
    skews = draw_skews(seed, share=MOVED_SKEWED)
    return CallPlan(seed, customer.account, customer.email, True, wishes, Troubles(), skews=skews)


# ── the worker ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker process is told."""

    plan: CallPlan
    store_url: str
    shop_url: str
    outside_port: int
    book: str
    """Of the outside system."""
    folder: Path
    points: tuple[str, ...]
    """Where it stops, and waits."""
    life: int
    settles: bool = False
    """The call is over: only look after what it left."""
    time: Time = "virtual"


def work(assignment: Assignment, parent: Connection) -> None:
    """Hold the call, from where its log ends; the whole life of a worker process. The parent is told the end."""
    silence_logs()
    file = assignment.folder / LOG_FILE
    last = max((entry["at"] for entry in CallLog(lambda: 0.0, file).entries), default=-LATER)

    async def hold() -> None:
        log = CallLog(clock.now, file)
        reach: Reach = nowhere

        def woken() -> None:
            # With a database's time it was only to wait for another call; otherwise its own has been taken over.
            if assignment.time == "virtual":
                world.cut_off()

        if assignment.points:
            reach = StopAt(assignment.points, parent, woken)
        outside = RemoteOutside(assignment.outside_port, assignment.book, reach)
        time = clock.wall_clock if assignment.time == "virtual" else None
        place = Place(assignment.store_url, assignment.shop_url, outside, time)
        world = World(assignment.plan, place, log, reach, life=assignment.life)
        await (world.settle() if assignment.settles else world.hold())

    with compiled_once():
        clock.run_call(hold, begins_at=last + LATER)
    parent.send("ended")


def silence_logs() -> None:
    """Keep what goes wrong on purpose off the terminal."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


# ── the parent ────────────────────────────────────────────────────────────────────


def run_scenario(scenario: Scenario, systems: Systems, folder: Path) -> Outcome:
    """Have the call held, its process killed or stopped, and the call taken over; judge what is left.

    Raises `NotReachedError` when the scenario did not come to pass.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store_url, shop_url = _databases(scenario, systems, folder)
    shop_before = asyncio.run(shop_tables(shop_url))
    points = (scenario.point,) if scenario.point else ()
    assignment = Assignment(
        scenario.plan, store_url, shop_url, systems.outside_port, folder.name, folder, points, life=0
    )
    first = WorkerProcess(assignment)
    kills = woken = 0
    try:
        if scenario.mode == "anywhere":
            kills += first.kill_after(Random(scenario.number).randrange(TYPICAL), folder / LOG_FILE)
        else:
            first.expect(scenario.point)
            if scenario.mode == "kill":
                kills += first.kill()
            else:
                first.stop()
        finish(replace(assignment, points=(), life=1))
        if scenario.mode == "stop":
            first.wake()
            woken += 1
            finish(replace(assignment, points=(), life=2, settles=True))
    finally:
        first.close()
    outside = RemoteOutside(systems.outside_port, folder.name, nowhere)
    log = CallLog(lambda: 0.0, folder / LOG_FILE)
    log.close()
    truth = asyncio.run(gather(log, outside.deeds(), store_url, shop_url, shop_before))
    verdict = judge(scenario.plan, truth)
    if verdict.is_clean and scenario.backend == "postgresql":
        for name in _database_names(scenario):
            systems.cluster.drop(name)
    return Outcome(verdict, kills, woken)


def finish(assignment: Assignment) -> None:
    """Have the work done by a process that nothing happens to. Raises `NotReachedError`."""
    second = WorkerProcess(assignment)
    try:
        second.expect("ended")
    finally:
        second.close()


def _database_names(scenario: Scenario) -> tuple[str, str]:
    return f"store_{scenario.number}", f"shop_{scenario.number}"


def _databases(scenario: Scenario, systems: Systems, folder: Path) -> tuple[str, str]:
    if scenario.backend == "sqlite":
        return copy_files(systems.template, folder)
    return systems.create_databases(_database_names(scenario))


class WorkerProcess:
    """A worker process."""

    def __init__(self, assignment: Assignment) -> None:
        context = multiprocessing.get_context("forkserver")
        # A fork of a process that has all modules loaded begins at once, and shares nothing that matters.
        context.set_forkserver_preload(["benchmarks.effects.warm"])
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(assignment, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def expect(self, word: str) -> None:
        """Wait until it says this."""
        said = self._next(PATIENCE)
        if said != word:
            raise NotReachedError(f"the worker should come to '{word}' and came to '{said}'")

    def _next(self, patience: float) -> str:
        try:
            return str(self._pipe.recv()) if self._pipe.poll(patience) else f"nothing within {patience:g} s"
        except EOFError:
            self._process.join(5)
            return f"its end with exit code {self._process.exitcode}"

    def kill(self) -> int:
        """`kill -9`; returns 1."""
        pid = self._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._process.join()
        return 1

    def kill_after(self, events: int, file: Path) -> int:
        """`kill -9` once so many events are in the log, whatever it is at then; 0 when the call has ended by then."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self._pipe.poll(0.002):
            if file.exists() and file.read_bytes().count(b"\n") > events:
                return self.kill()
        self.expect("ended")
        return 0

    def stop(self) -> None:
        """SIGSTOP: from now on it knows nothing of the time that passes."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT, and let it do what it still wants to do."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGCONT)
        self.go_on()
        self.expect("ended")

    def go_on(self) -> None:
        """Have it go on from where it waits."""
        self._pipe.send("go on")

    def says_something(self, within: float) -> bool:
        """Whether it comes to its next point, or its end, within so many real seconds."""
        return self._pipe.poll(within)

    def close(self) -> None:
        """Leave nothing behind. It may just be ending by itself."""
        self._process.kill()
        self._process.join()
        self._pipe.close()
