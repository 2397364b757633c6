"""The figures of the retail tasks in the report of bench-effects have goals, and meet none when they are not there."""

import json
from pathlib import Path
from typing import Any

import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.effects import report
from benchmarks.effects.ledger_time import Times
from benchmarks.effects.run import Run

GOOD = {"tasks_text": 72, "tasks_voice": 20, "calls_voice": 25}


@pytest.mark.parametrize(
    ("known", "quick", "missed"),
    [
        (GOOD, False, set()),
        (GOOD | {"tasks_text": 71}, False, {"tasks_text"}),
        (GOOD | {"tasks_voice": 19}, False, {"tasks_voice_percent"}),
        (GOOD | {"tasks_voice": 19, "calls_voice": 19}, False, {"tasks_voice_percent"}),
        (GOOD | {"tasks_voice": None, "calls_voice": None}, False, {"tasks_voice_percent"}),
        ({}, False, {"tasks_text", "tasks_voice_percent"}),
        ({}, True, set()),
    ],
)
def test_the_tasks_have_goals_that_figures_which_are_not_there_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], quick: bool, missed: set[str]
) -> None:
    file = tmp_path / "retail_tasks.json"
    if known:
        file.write_text(json.dumps(known), encoding="utf-8")
    monkeypatch.setattr(report, "TASKS_FILE", file)
    goals = report.figures(Run(quick, "", (), 0, (1, 2)), Times(1, 1, 1))
    assert {goal.key for goal in goals if goal.key.startswith("tasks") and not goal.is_met} == missed
