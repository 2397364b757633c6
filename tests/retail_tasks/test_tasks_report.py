"""What is written of the tasks: a run in text alone keeps what an earlier one found by voice."""

import json
from pathlib import Path

# Benchmarks are run from the repository and are not installed.
from benchmarks.retail_tasks.report import write_report
from benchmarks.retail_tasks.text import Outcome


def outcomes(good: int, bad: int = 0) -> list[Outcome]:
    return [Outcome(str(n), () if n < good else ("another order",), (), ()) for n in range(good + bad)]


def test_a_run_in_text_keeps_what_was_found_by_voice(tmp_path: Path) -> None:
    path = tmp_path / "retail_tasks.json"
    assert write_report(outcomes(72, 2), outcomes(22, 1), path) == 0
    by_voice = json.loads(path.read_text(encoding="utf-8"))
    assert write_report(outcomes(73, 1), path=path) == 0
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert (kept["tasks_text"], kept["tasks_voice"], kept["calls_voice"]) == (73, 22, 23)
    assert kept["voice_measured_on"] == by_voice["voice_measured_on"] is not None
    assert [(each["how"], each["task"]) for each in kept["failures"]] == [("text", "73"), ("voice", "22")]


def test_without_an_earlier_run_nothing_is_known_by_voice(tmp_path: Path) -> None:
    path = tmp_path / "retail_tasks.json"
    path.write_text("broken", encoding="utf-8")
    assert write_report(outcomes(71, 3), path=path) == 1
    report = json.loads(path.read_text(encoding="utf-8"))
    assert (report["tasks_text"], report["tasks_voice"], report["voice_measured_on"]) == (71, None, None)


def test_too_few_calls_by_voice_meet_no_goal(tmp_path: Path) -> None:
    assert write_report(outcomes(74), outcomes(19), tmp_path / "retail_tasks.json") == 1
