"""The table of faults, and the goals that it is held to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.faults import outage
from benchmarks.faults.call import Outcome
from benchmarks.normalisation.__main__ import GOAL as NORMALISED

LONGEST_SILENCE: Final = 3.0
LONGEST_SWITCH: Final = 1.0
FILLER_BY: Final = 1.5
"""Seconds, all of issue 6. Where a longer silence is found, no filler bridged it in time."""


def rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One row a stage and fault: of its calls the worst."""
    kinds: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        kinds.setdefault((outcome.case.stage, outcome.case.fault), []).append(outcome)
    return [
        {
            "stage": stage,
            "fault": fault,
            "calls": len(calls),
            "lost": sum(call.lost for call in calls),
            "longest_silence_ms": round(1000 * max(call.longest_silence for call in calls)),
            "switch_ms": _milliseconds(max((seconds for call in calls for seconds in call.switches), default=None)),
            "must_switch": calls[0].case.must_switch,
            "effects_repeated": sum(max(0, call.sent - 1) for call in calls),
            "effects_wanted": sum(call.case.effects for call in calls),
            "effects_done": sum(min(1, call.sent) for call in calls),
            "half_told": sum(not call.told for call in calls),
            "untouched": sum(not call.touched for call in calls),
            "said": max(calls, key=lambda call: call.longest_silence).said,
        }
        for (stage, fault), calls in kinds.items()
    ]


def missed(faults: Sequence[dict[str, Any]]) -> list[str]:
    """The goals that were not reached, in words."""
    goals = {
        "calls lost": [row for row in faults if row["lost"]],
        "effects repeated": [row for row in faults if row["effects_repeated"]],
        "effects not done": [row for row in faults if row["effects_done"] < row["effects_wanted"]],
        "half an answer told": [row for row in faults if row["half_told"]],
        "faults that befell nothing": [row for row in faults if row["untouched"]],
        f"longer silence than {LONGEST_SILENCE:g} s": [
            row for row in faults if row["longest_silence_ms"] > 1000 * LONGEST_SILENCE
        ],
        f"nothing heard by {FILLER_BY:g} s": [row for row in faults if row["longest_silence_ms"] > 1000 * FILLER_BY],
        f"slower switch than {LONGEST_SWITCH:g} s": [
            row for row in faults if (row["switch_ms"] or 0) > 1000 * LONGEST_SWITCH
        ],
        "no switch was seen": [row for row in faults if row["must_switch"] and row["switch_ms"] is None],
    }
    return [
        f"{goal}: {', '.join(row['stage'] + ' ' + row['fault'] for row in bad)}" for goal, bad in goals.items() if bad
    ]


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)


def write(
    outcomes: Sequence[Outcome],
    outages: Sequence[outage.Outcome],
    normalisation: float,
    path: Path,
    *,
    failed: str = "",
) -> int:
    """Print the table and write it to `path`; returns 1 when a goal was missed, or something has `failed`."""
    faults = rows(outcomes)
    print(f"{'stage':<12} {'fault':<22} calls lost  silence   switch  sent/again")
    for row in faults:
        switch = "-" if row["switch_ms"] is None else row["switch_ms"]
        print(
            f"{row['stage']:<12} {row['fault']:<22} {row['calls']:>5} {row['lost']:>4} {row['longest_silence_ms']:>5}"
            f" ms {switch:>5} ms  {row['effects_done']}/{row['effects_repeated']}"
        )
    for row in faults:
        print(f"\n{row['stage']}, {row['fault']}; what the caller heard who waited longest:")
        print(*(f"  {said}" for said in row["said"]), sep="\n")
    complaints = missed(faults) if faults or outages else ["no call was placed"]
    complaints += [complaint for each in outages for complaint in each.complaints]
    complaints += [failed] if failed else []
    if normalisation < NORMALISED:
        complaints.append(f"normalisation: {normalisation:.2%} is less than {NORMALISED:.0%}")
    for complaint in complaints:
        print(f"NOT REACHED  {complaint}")
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {"faults": faults, "outages": outage.written(outages), "normalisation_accuracy": normalisation}
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")
    return 1 if complaints else 0
