"""The figures of a run beside their goals: the table, and `build/bench/effects.json`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.effects.ledger_time import Times
from benchmarks.effects.run import FOLDER, RESULTS, Result, Run
from benchmarks.retail_tasks.report import FEWEST_VOICE, GOAL_TEXT, GOAL_VOICE
from rich.console import Console
from rich.table import Table

FILE: Final = FOLDER.parent / "effects.json"
TASKS_FILE: Final = FOLDER.parent / "retail_tasks.json"
FAULTS: Final = ("twice", "unconfirmed", "lost", "in_doubt_unresolved", "forbidden_executed")
SHOWN: Final = 5
"""Sentences of each kind of fault that are printed; all of them are in the results file."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and what it should be."""

    key: str
    title: str
    value: float | None
    goal: float | None = None
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it is what it should be; a figure that is not there meets no goal."""
        if self.goal is None:
            return True
        if self.value is None:
            return False
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def report(run: Run, times: Times, console: Console) -> int:
    """Print the table and write the file; returns the exit status: 0, 1 when calls are missing, 2 when a goal is."""
    goals = figures(run, times)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(_as_json(run, goals, times), indent=1) + "\n", encoding="utf-8")
    table = Table("figure", "measured", "goal", "")
    for goal in goals:
        wanted = "" if goal.goal is None else f"{'≥' if goal.at_least else '≤'} {goal.goal:g}"
        measured = "–" if goal.value is None else f"{goal.value:g}"
        table.add_row(goal.title, measured, wanted, "" if goal.goal is None else "yes" if goal.is_met else "[red]no[/]")
    console.print(table)
    _print_faults(run.results, console)
    broken = [result for result in run.results if result.error]
    for result in broken[:SHOWN]:
        console.print(f"[red]{result.name} could not be held[/]: {result.error.strip().splitlines()[-1]}", markup=True)
    if run.missing:
        console.print(f"[red]{run.missing} calls were not held for want of time[/]: run it again, and it goes on")
    console.print(f"seeds {run.seeds[0]} to {run.seeds[1]}; figures in {FILE}")
    if not all(goal.is_met for goal in goals):
        return 2
    return 1 if run.missing or broken else 0


def figures(run: Run, times: Times) -> list[Goal]:
    """All figures. Those of the retail tasks are another benchmark's, taken over where it has been run."""
    held = [result for result in run.results if not result.error]
    faults = {name: sum(len(result.verdict[name]) for result in held) for name in FAULTS}
    tasks = _tasks()
    kills = sum(result.kills for result in held)
    kinds = Counter(result.kind for result in held)
    return [
        Goal("calls", "calls held", sum(result.calls for result in held), None if run.quick else 10_000, at_least=True),
        Goal("kills", "of these with a kill -9", kills, None if run.quick else 300, at_least=True),
        Goal("woken", "of these stopped and woken", sum(result.woken for result in held)),
        Goal("races", "races of two calls for one order or card", kinds["race"] + kinds["process race"]),
        Goal("races_of_processes", "of these by two processes on PostgreSQL", kinds["process race"]),
        Goal("skewed", "calls whose workers' clocks differ", sum(result.skewed for result in held)),
        Goal("effects", "effects", sum(result.verdict["effects"] for result in held)),
        Goal("twice", "effects done twice", faults["twice"], 0),
        Goal("unconfirmed", "effects unconfirmed", faults["unconfirmed"], 0),
        Goal("lost", "effects lost", faults["lost"], 0),
        Goal("in_doubt_unresolved", "in doubt, unresolved", faults["in_doubt_unresolved"], 0),
        Goal("forbidden_executed", "forbidden effects executed", faults["forbidden_executed"], 0),
        Goal("ledger_p95_ms", "the ledger adds to an effect, p95 ms", times.effect_p95_ms, 100),
        Goal("read_only_p95_ms", "it adds to a tool that only reads, p95 ms", times.read_only_p95_ms, 1),
        Goal(
            "tasks_text",
            "retail tasks in text (make bench-retail-tasks)",
            tasks.get("tasks_text"),
            None if run.quick else GOAL_TEXT,
            at_least=True,
        ),
        Goal("tasks_voice", "retail tasks by voice (VOICE=1)", tasks.get("tasks_voice")),
        Goal(
            "tasks_voice_percent",
            "of the calls by voice, %",
            _percent_by_voice(tasks),
            None if run.quick else 100 * GOAL_VOICE,
            at_least=True,
        ),
    ]


def _tasks() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(TASKS_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _percent_by_voice(tasks: Mapping[str, Any]) -> float | None:
    """The share of calls by voice that succeeded; None when too few were held for it to count."""
    held, succeeded = tasks.get("calls_voice"), tasks.get("tasks_voice")
    return None if held is None or succeeded is None or held < FEWEST_VOICE else round(100 * succeeded / held, 1)


def _as_json(run: Run, goals: Sequence[Goal], times: Times) -> dict[str, Any]:
    kinds = Counter(result.kind for result in run.results)
    return {goal.key: goal.value for goal in goals} | {
        "ledger_p50_ms": times.effect_p50_ms,
        "quick": run.quick,
        "missing": run.missing,
        "broken": sum(1 for result in run.results if result.error),
        "kinds": dict(kinds),
        "seeds": list(run.seeds),
        "revision": run.stamp,
    }


def _print_faults(results: Sequence[Result], console: Console) -> None:
    for name in FAULTS:
        sentences = [f"{result.name}: {what}" for result in results for what in result.verdict.get(name, ())]
        for sentence in sentences[:SHOWN]:
            console.print(f"{name}: {sentence}", style="red", markup=False)
        if len(sentences) > SHOWN:
            console.print(f"{name}: and {len(sentences) - SHOWN} more in {RESULTS.name}", style="red")
