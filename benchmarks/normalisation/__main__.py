"""Prints how much of what is written is said right, and of what is said is understood, by kind and direction.

`python -m benchmarks.normalisation` runs the cases that the rules were made with and those held out, reports both apart
and writes `build/bench/normalisation.json`. It exits with 2 when a goal is missed.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from benchmarks.normalisation.cases import FILES, Case, cases

GOAL: Final = 0.98
REPORT: Final = Path("build/bench/normalisation.json")


def measure(held_out: bool) -> tuple[dict[str, Any], list[Case]]:
    """Accuracy over all cases, per direction and per kind, and the cases that fail."""
    passed: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    failed: list[Case] = []
    for direction in FILES:
        for case in cases(direction, held_out=held_out):
            total[direction, case.kind] += 1
            if case.passes():
                passed[direction, case.kind] += 1
            else:
                failed.append(case)
    kinds = {
        direction: {
            kind: {"cases": count, "accuracy": round(passed[direction, kind] / count, 4)}
            for (of, kind), count in total.items()
            if of == direction
        }
        for direction in FILES
    }
    directions = {
        direction: round(
            sum(count for (of, _), count in passed.items() if of == direction)
            / sum(count for (of, _), count in total.items() if of == direction),
            4,
        )
        for direction in FILES
    }
    report = {
        "cases": total.total(),
        "normalisation_accuracy": round(passed.total() / total.total(), 4),
        "directions": directions,
        "kinds": kinds,
    }
    return report, failed


def _print(name: str, report: dict[str, Any], failed: list[Case]) -> None:
    print(f"\n{name}: {report['cases']} cases, {report['normalisation_accuracy']:.2%}")
    for direction, kinds in report["kinds"].items():
        print(f"  {direction}: {report['directions'][direction]:.2%}")
        for kind, figures in kinds.items():
            print(f"    {kind:14} {figures['cases']:4}  {figures['accuracy']:8.2%}")
    for case in failed:
        print(f"  {case.kind}: {case.given!r}\n    expected {case.expected!r}\n    got      {case.result()!r}")


def measure_all() -> tuple[dict[str, Any], list[Case], list[Case]]:
    """Both sets as one report, and the cases of each that fail."""
    tuned, tuned_failed = measure(held_out=False)
    held, held_failed = measure(held_out=True)
    total = tuned["cases"] + held["cases"]
    overall = round(1 - (len(tuned_failed) + len(held_failed)) / total, 4)
    report = {"normalisation_accuracy": overall, "cases": total, "tuned": tuned, "held_out": held, "goal": GOAL}
    return report, tuned_failed, held_failed


def main() -> int:
    """Run all cases; the exit status says whether the goal was reached on both sets."""
    report, tuned_failed, held_failed = measure_all()
    tuned, held = report["tuned"], report["held_out"]
    _print("cases the rules were made with", tuned, tuned_failed)
    _print("held out", held, held_failed)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    print(f"\n{report['cases']} cases in all, {report['normalisation_accuracy']:.2%}; goal {GOAL:.0%} on both")
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if min(tuned["normalisation_accuracy"], held["normalisation_accuracy"]) >= GOAL else 2


if __name__ == "__main__":
    sys.exit(main())
