"""Writes the figures of a full run into `docs/capacity.md`, between its markers: table, fitted curve, extrapolation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.capacity.figures import Comparison, Record, fitted_line, most_calls

BEGIN: Final = "<!-- figures of the last run, written by make bench-capacity -->"
END: Final = "<!-- end of the figures -->"
USABLE_PERCENT: Final = 80.0
"""Of a core that a deployment plans with."""
CORES: Final = 8
CALLS: Final = 1_000
TURNS_PER_SECOND: Final = 1 / 7
"""Of a call of the benchmark, whose people hardly ever pause."""
TURN_DETECTION_SECONDS: Final = 0.045
"""Of a core for one judgement by Smart Turn (`speech/turn_detection.py`)."""
LOCAL_SPEECH_SECONDS: Final = 0.13 + 2.8 * 0.15
"""Of a core for a turn: a transcript of 3 s by Whisper tiny.en, and an answer of 2.8 s by Piper."""


def write_page(
    records: Sequence[Record], systems: Sequence[str], comparisons: Sequence[Comparison], page: Path
) -> None:
    """Replace what is between the markers. Raises `ValueError` when they are not there."""
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{page} has no place for the figures: {BEGIN} … {END}")
    parts = [table(records), held(records, systems), against(comparisons), curves(records), extrapolation(records)]
    page.write_text("\n\n".join([before + BEGIN, *filter(None, parts), END]) + after, encoding="utf-8")


def table(records: Sequence[Record]) -> str:
    """All records."""
    rows = [
        "| system | calls | CPU % / call | MB / call | overhead p50 / p95 ms | barge-in p50 / p95 ms | underruns "
        "| loop lag p99 ms | start blocks ms (CPU; none starts) | missed turns | client CPU % | fakes CPU % "
        "| client / fakes lag p99 ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {r.label} | {r.n} | {r.cpu_percent_per_call:.2f} | {r.rss_mb_per_call:.2f} "
        f"| {shown(r.overhead_p50_ms)} / {shown(r.overhead_p95_ms)} "
        f"| {shown(r.barge_in_p50_ms)} / {shown(r.barge_in_p95_ms)} | {r.underruns} | {shown(r.loop_lag_p99_ms)} "
        f"| {r.start_block} | {r.missed_turns} of {r.turns} | {r.client_cpu_percent:.0f} "
        f"| {shown(r.vendors_cpu_percent)} | {shown(r.client_lag_p99_ms)} / {shown(r.vendors_lag_p99_ms)}"
        f"{'' if r.on_time else ' (late: overhead theirs, too)'} |"
        for r in records
    ]
    return "\n".join(rows)


def held(records: Sequence[Record], systems: Sequence[str]) -> str:
    """How many calls one core holds."""
    tried = [name for name in systems if any(record.system == name for record in records)]
    return "Calls that one core holds: " + ", ".join(f"{name} **{most_calls(records, name)}**" for name in tried) + "."


def against(comparisons: Sequence[Comparison]) -> str:
    """What two workers on the one core cost, and what a caller who misbehaves costs the others."""
    rows = [
        f"| {each.system} | {each.n} | {each.rounds} | {shown(each.cpu)} "
        f"| {shown(each.overhead_p95)} of {shown(each.alone_p95_ms)} "
        f"| {shown(each.barge_in_p95)} | {shown(each.cut_off)} |"
        for each in comparisons
    ]
    head = [
        "As many times as talkspurt_scripted with as many calls, measured in turn with it: medians of the rounds, "
        "and how often the offender was cut off in all of them (here and above; the CPU includes what it costs):",
        "",
        "| system | calls | rounds | CPU | overhead p95, of ms | barge-in p95 | offender cut off |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) if rows else ""


def curve(records: Sequence[Record], system: str) -> tuple[float, float] | None:
    """CPU of a core in percent: without calls, and for each one more; of the numbers of calls that were held."""
    points = [(float(r.n), r.cpu_percent_per_call * r.n) for r in records if r.system == system and r.holds]
    return fitted_line(points) if len({n for n, _ in points}) > 1 else None


def curves(records: Sequence[Record]) -> str:
    """The fitted lines of the own systems."""
    lines = [
        f"* {name}: CPU of the core in % = {line[0]:.1f} + {line[1]:.3f} × calls"
        for name in ("talkspurt_scripted", "talkspurt_networked")
        if (line := curve(records, name)) is not None
    ]
    return "\n".join(["Least squares over the numbers of calls that were held:", "", *lines]) if lines else ""


def extrapolation(records: Sequence[Record]) -> str:
    """What `CALLS` calls need, with cloud speech and with local speech."""
    line = curve(records, "talkspurt_networked")
    if line is None:
        return ""
    by_cpu = (USABLE_PERCENT - line[0]) / line[1]
    per_core = min(by_cpu, float(most_calls(records, "talkspurt_networked")))
    media = CALLS / per_core
    turns = CALLS * TURNS_PER_SECOND
    detection, speech = turns * TURN_DETECTION_SECONDS, turns * LOCAL_SPEECH_SECONDS
    return "\n".join(
        [
            f"**Extrapolated** to {CALLS:,} calls at once, all of them as talkative as the benchmark's:",
            "",
            f"* cloud speech, every provider behind its SDK: {per_core:.0f} calls a core, so {media:.1f} cores, and "
            f"{detection:.1f} more if turns are judged by sound; an {CORES}-core server holds about "
            f"{CORES * per_core:.0f} calls without that;",
            f"* local speech: the same for frames, and {speech:.0f} cores for the models: not one server.",
        ]
    )


def shown(value: float | None) -> str:
    """A figure with two decimals at most, or that there is none."""
    return "–" if value is None else f"{round(value, 2):g}"
