"""What the calls came to: figures and reasons in `build/bench/retail_tasks.json`, and a table to read.

Calls by voice take a quarter of an hour and are not held each time: a run without them keeps the figures of the last.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.retail_tasks.tasks import REPOSITORY
from benchmarks.retail_tasks.text import Outcome

PATH: Final = REPOSITORY / "build" / "bench" / "retail_tasks.json"
GOAL_TEXT: Final = 72
GOAL_VOICE: Final = 0.8
FEWEST_VOICE: Final = 20
"""Calls that must be placed by voice for their share to count."""
_BY_VOICE: Final = ("tasks_voice", "calls_voice", "voice_measured_on")


def write_report(text: Sequence[Outcome], voice: Sequence[Outcome] | None = None, path: Path = PATH) -> int:
    """Write the report and print it; returns 1 when a goal is missed. `voice` is None when no such call was wanted."""
    by_voice, failures = _kept(path) if voice is None else _by_voice(voice)
    report: dict[str, Any] = {
        "tasks": len(text),
        "tasks_text": _succeeded(text),
        **by_voice,
        "failures": [*_failures("text", text), *failures],
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
    elif report["tasks_voice"] is not None:
        print(f"by voice: {report['tasks_voice']} of {report['calls_voice']} on {report['voice_measured_on']}, kept")
    for failure in report["failures"]:
        print(f"  {failure['how']} {failure['task']}: {'; '.join(failure['reasons'])}")
    print(f"written to {path}")
    return 1 if missed else 0


def _by_voice(voice: Sequence[Outcome]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures of calls by voice, and which of them failed."""
    values = (_succeeded(voice), len(voice), datetime.now(UTC).date().isoformat())
    return dict(zip(_BY_VOICE, values, strict=True)), _failures("voice", voice)


def _kept(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same of the last run that had any; None where there was none."""
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return dict.fromkeys(_BY_VOICE), []
    failures = [failure for failure in last.get("failures", ()) if failure["how"] == "voice"]
    return {key: last.get(key) for key in _BY_VOICE}, failures


def _succeeded(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.succeeded for outcome in outcomes)


def _failures(how: str, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {"how": how, "task": outcome.task, "reasons": list(outcome.failures), "refusals": list(outcome.refusals)}
        for outcome in outcomes
        if not outcome.succeeded
    ]
