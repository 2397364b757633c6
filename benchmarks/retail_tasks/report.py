"""What the calls came to: figures and reasons in `build/bench/retail_tasks.json`, and a table to read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.retail_tasks.tasks import REPOSITORY
from benchmarks.retail_tasks.text import Outcome

PATH: Final = REPOSITORY / "build" / "bench" / "retail_tasks.json"
GOAL_TEXT: Final = 72
GOAL_VOICE: Final = 0.8
FEWEST_VOICE: Final = 20
"""Calls that must be placed by voice for their share to count."""


def write_report(text: Sequence[Outcome], voice: Sequence[Outcome] | None = None, path: Path = PATH) -> int:
    """Write the report and print it; returns 1 when a goal is missed. `voice` is None when no such call was wanted."""
    report: dict[str, Any] = {
        "tasks": len(text),
        "tasks_text": _succeeded(text),
        "tasks_voice": None if voice is None else _succeeded(voice),
        "calls_voice": None if voice is None else len(voice),
        "failures": [*_failures("text", text), *_failures("voice", voice or ())],
        "refusals": {outcome.task: list(outcome.refusals) for outcome in text if outcome.refusals},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"in text:  {report['tasks_text']} of {len(text)} tasks (goal: {GOAL_TEXT})")
    missed = report["tasks_text"] < GOAL_TEXT
    if voice is not None:
        goal = f"{GOAL_VOICE:.0%} of at least {FEWEST_VOICE}"
        print(f"by voice: {report['tasks_voice']} of {len(voice)} calls (goal: {goal})")
        missed |= len(voice) < FEWEST_VOICE or report["tasks_voice"] < GOAL_VOICE * len(voice)
    for failure in report["failures"]:
        print(f"  {failure['how']} {failure['task']}: {'; '.join(failure['reasons'])}")
    print(f"written to {path}")
    return 1 if missed else 0


def _succeeded(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.succeeded for outcome in outcomes)


def _failures(how: str, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {"how": how, "task": outcome.task, "reasons": list(outcome.failures), "refusals": list(outcome.refusals)}
        for outcome in outcomes
        if not outcome.succeeded
    ]
