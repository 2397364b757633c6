"""`make bench-turns`, second half: the figures of all calls of a run, with their doubt, beside their goals.

    python -m benchmarks.turns.report [--folder build/bench/turns] [--by LABEL …] [--quick]

Reads what `run` left, measures what has not been measured yet (`measure`), prints the table, writes
`build/bench/turns.json`. Exit status: 0 when all is there and every goal is reached, 1 when a figure has too
little data (a full run needs `ENOUGH` turns for each) or calls are missing, 2 when a goal is missed.
Definitions: `docs/turn-taking.md`.
"""

import argparse
import json
import math
import os
import sys
import wave
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from benchmarks.intervals import wilson
from benchmarks.turns.align import Templates
from benchmarks.turns.artefacts import Run, load_run
from benchmarks.turns.measure import Measured, Turn, measure_folder
from rich.console import Console
from rich.progress import track
from rich.table import Table

REPOSITORY: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = REPOSITORY / "build" / "bench" / "turns"
ENOUGH: Final = 300
"""Turns that each row of the table needs in a full run. More are placed, for some turn out not to be measurable, such
as an interruption of a reply that ends just then, or the latency of a turn that was cut into."""
RESAMPLES: Final = 1_000
WORTH_A_LINE: Final = 5
"""A group of a breakdown with fewer turns says nothing."""
BUSY: Final = 0.1
"""Seconds of lateness of the double from which its timing is in doubt."""
LABELS: Final = (
    "voice", "noise", "snr_db", "echo_db", "loss", "pause", "place", "kind", "level_db", "far_field", "synthetic",
    "further",
)  # fmt: skip

Unit = Literal["ms", "rate", "count"]
Choose = Callable[[Turn], bool]
Value = Callable[[Turn], float | bool | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: which turns, what of them, how it is summed up, and what it should be."""

    key: str
    title: str
    unit: Unit
    choose: Choose
    value: Value
    quantile: float | None = None
    """Of times; None is the share of turns for which the value is true, or their sum when the unit is a count."""
    goal: float | None = None
    at_least: bool = False
    """The goal is a lower bound."""
    enough: int = 0
    """Turns without which a full run does not count; 0 for a figure that goes beside."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: `low` and `high` bound 95 % confidence; None where there is nothing to say."""

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


def _row(*rows: str) -> Choose:
    return lambda turn: turn.row in rows


def _paused(turn: Turn) -> bool:
    return 0 < turn.longest_pause <= 1.0


def _answered(turn: Turn) -> float | None:
    return turn.latency


def _recovered(turn: Turn) -> bool | None:
    if turn.gone is None:
        return None
    return not turn.gone and turn.right_word is not False


def _resumed_in_time(turn: Turn) -> bool | None:
    if not turn.stops:
        return None
    return not turn.gone and turn.resumed_after is not None and turn.resumed_after <= 0.6


_ordinary = _row("ordinary")
_yesno = _row("yesno")
_entity = _row("entity")
_real = _row("interruption")
_sounds = _row("backchannel", "noise")


def _weak_echo(turn: Turn) -> bool:
    level = turn.labels.get("level_db")
    return turn.row == "echo" and level is not None and level <= -25


FIGURES: Final = (
    Figure("response_p50_ms", "response, ordinary turns, p50", "ms", _ordinary, _answered, 0.5, 700, enough=ENOUGH),
    Figure("response_p95_ms", "response, ordinary turns, p95", "ms", _ordinary, _answered, 0.95, 1200, enough=ENOUGH),
    Figure("yesno_response_p50_ms", "response after a yes/no question, p50", "ms", _yesno, _answered, 0.5, 450,
           enough=ENOUGH),
    Figure("cut_in_rate", "cut-ins, ordinary turns, pauses up to 1 s", "rate",
           lambda t: _ordinary(t) and t.longest_pause <= 1.0, lambda t: t.cut_in, goal=0.05, enough=ENOUGH),
    Figure("cut_in_rate_entity", "cut-ins while an id, e-mail or phone number is given", "rate",
           lambda t: _entity(t) and t.longest_pause <= 1.55, lambda t: t.cut_in, goal=0.01, enough=ENOUGH),
    Figure("yield_p50_ms", "yield to an interruption, p50", "ms", _real, lambda t: t.yielded_after, 0.5, 200,
           enough=ENOUGH),
    Figure("yield_p95_ms", "yield to an interruption, p95", "ms", _real, lambda t: t.yielded_after, 0.95, 350,
           enough=ENOUGH),
    Figure("false_stop_recovered_rate", "backchannels and noise that do not stop the agent for good", "rate", _sounds,
           _recovered, goal=0.97, at_least=True, enough=ENOUGH),
    Figure("resume_p95_ms", "back after such a stop, p95", "ms", _sounds, lambda t: t.resumed_after, 0.95, 600),
    Figure("side_talk_ignored_rate", "side talk ignored", "rate", _row("side_talk"), lambda t: t.ignored, goal=0.8,
           at_least=True, enough=ENOUGH),
    Figure("echo_interruptions", "stops by the agent's own echo at -25 dB and below", "count", _weak_echo,
           lambda t: t.stops, goal=0, enough=ENOUGH),
)  # fmt: skip
"""In the order of the table. The history's row follows them: it counts sentences, not turns."""

BESIDE: Final = (
    Figure("cut_in_rate_paused", "cut-ins, only turns with a pause, up to 1 s", "rate",
           lambda t: _ordinary(t) and _paused(t), lambda t: t.cut_in),
    Figure("cut_in_rate_long_pause", "cut-ins, pauses over 1 s", "rate",
           lambda t: _ordinary(t) and t.longest_pause > 1.0, lambda t: t.cut_in),
    Figure("response_plain_p50_ms", "response, turns without a pause, p50", "ms",
           lambda t: _ordinary(t) and not t.longest_pause, _answered, 0.5),
    Figure("first_sound_p50_ms", "first sound (fillers count), ordinary turns, p50", "ms", _ordinary,
           lambda t: t.audible_latency, 0.5),
    Figure("asked_p50_ms", "until the model was asked, ordinary turns, p50", "ms", _ordinary,
           lambda t: t.asked_after, 0.5),
    Figure("endpoint_p50_ms", "until the turn was taken to be over, ordinary turns, p50", "ms", _ordinary,
           lambda t: t.endpoint_after, 0.5),
    Figure("endpoint_p95_ms", "until the turn was taken to be over, ordinary turns, p95", "ms", _ordinary,
           lambda t: t.endpoint_after, 0.95),
    Figure("voice_p50_ms", "from then to the first sample of the answer, p50", "ms", _ordinary,
           lambda t: t.voice_after, 0.5),
    Figure("voice_p95_ms", "from then to the first sample of the answer, p95", "ms", _ordinary,
           lambda t: t.voice_after, 0.95),
    Figure("yesno_response_p95_ms", "response after a yes/no question, p95", "ms", _yesno, _answered, 0.95),
    Figure("one_word_response_p50_ms", "response to one word, p50", "ms", _row("one_word"), _answered, 0.5),
    Figure("entity_response_p50_ms", "response after an entity, p50", "ms", _entity, _answered, 0.5),
    Figure("entity_response_p95_ms", "response after an entity, p95", "ms", _entity, _answered, 0.95),
    Figure("unanswered_rate", "turns without an answer", "rate", _row("ordinary", "yesno", "entity", "one_word"),
           lambda t: None if t.latency is None else math.isinf(t.latency)),
    Figure("entity_right_rate", "entities right in the history", "rate", _entity, lambda t: t.entity_right),
    Figure("talked_on_rate", "interruptions talked through to the end", "rate", _real, lambda t: t.talked_on),
    Figure("both_start_yield_p95_ms", "yield when both begin at once, p95", "ms", _row("both_start"),
           lambda t: t.yielded_after, 0.95),
    Figure("stopped_rate", "backchannels and noise that stop the agent at all", "rate", _sounds,
           lambda t: None if t.stops is None else t.stops > 0),
    Figure("gone_rate", "backchannels and noise that stop it for good", "rate", _sounds, lambda t: t.gone),
    Figure("taken_as_turn_rate", "backchannels and noise taken for a turn", "rate", _sounds,
           lambda t: t.taken_as_turn),
    Figure("right_word_rate", "taken up at the right word, of those that stopped", "rate", _sounds,
           lambda t: t.right_word if t.stops else None),
    Figure("resume_p50_ms", "back after such a stop, p50", "ms", _sounds, lambda t: t.resumed_after, 0.5),
    Figure("resumed_in_600_ms_rate", "back within 600 ms, of those that stopped", "rate", _sounds, _resumed_in_time),
    Figure("silent_p95_ms", "silence of such a stop, p95", "ms", _sounds, lambda t: t.silent_for, 0.95),
    Figure("side_talk_speaking_ignored_rate", "side talk ignored while the agent speaks", "rate",
           lambda t: t.row == "side_talk" and t.expects == "go_on", lambda t: t.ignored),
    Figure("side_talk_listening_ignored_rate", "side talk ignored while it listens", "rate",
           lambda t: t.row == "side_talk" and t.expects == "stay_silent", lambda t: t.ignored),
    Figure("echo_interruptions_loud", "stops by an echo above -25 dB", "count",
           lambda t: t.row == "echo" and not _weak_echo(t), lambda t: t.stops),
    Figure("echo_turn_cut_in_rate", "cut-ins on a line with echo", "rate", _row("echo_turn"), lambda t: t.cut_in),
    Figure("echo_turn_response_p50_ms", "response on a line with echo, p50", "ms", _row("echo_turn"), _answered, 0.5),
    Figure("reminded_p50_ms", "reminder after the caller fell silent, p50", "ms", _row("silence"),
           lambda t: t.reminded_after, 0.5),
)  # fmt: skip
"""What explains the table."""


# ── arithmetic ────────────────────────────────────────────────────────────────────


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed: one that was measured, so that infinity stays what it is."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def bootstrap(values: Sequence[float], share: float) -> tuple[float, float]:
    """95 % confidence interval of a quantile, from resamples by a fixed seed."""
    chosen = np.random.default_rng(1).integers(len(values), size=(RESAMPLES, len(values)))
    at = max(0, math.ceil(share * len(values)) - 1)
    found = np.sort(np.partition(np.asarray(values, dtype=np.float64)[chosen], at, axis=1)[:, at])
    return float(found[round(0.025 * RESAMPLES)]), float(found[round(0.975 * RESAMPLES) - 1])


def evaluate(figure: Figure, turns: Iterable[Turn]) -> Result:
    """Sum up one figure."""
    values = [value for turn in turns if figure.choose(turn) and (value := figure.value(turn)) is not None]
    if not values:
        return Result(None, 0)
    if figure.unit == "count":
        return Result(float(sum(values)), len(values))
    if figure.quantile is None:
        hits = sum(bool(value) for value in values)
        return Result(hits / len(values), len(values), *wilson(hits, len(values)))
    # Places are multiples of 10 ms, and 1.2 s must not be a trifle more.
    times = [round(1_000 * float(value), 3) for value in values]
    return Result(quantile(times, figure.quantile), len(times), *bootstrap(times, figure.quantile))


def evaluate_history(calls: Iterable[Measured], *, most: int = 1) -> Result:
    """The share of the agent's sentences in the history that say what was heard, to within `most` words."""
    errors = [said.errors for call in calls for said in call.said]
    if not errors:
        return Result(None, 0)
    right = sum(error <= most for error in errors)
    return Result(right / len(errors), len(errors), *wilson(right, len(errors)))


def evaluate_hanging_up(calls: Sequence[Measured]) -> Result:
    """The share of calls that the agent ended, taking its caller for gone."""
    hung_up = sum(call.hung_up for call in calls)
    return Result(hung_up / len(calls), len(calls), *wilson(hung_up, len(calls))) if calls else Result(None, 0)


HISTORY: Final = Figure(
    "heard_history_exact_rate", "sentences of the history that were heard so, to one word", "rate", lambda _: False,
    lambda _: None, goal=1.0, at_least=True, enough=ENOUGH,
)  # fmt: skip


# ── report ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is printed and written."""

    figures: dict[str, Result]
    beside: dict[str, Result]
    breakdowns: dict[str, dict[str, dict[str, Result]]]
    """By figure, label and the label's value."""
    turns: int
    problems: tuple[str, ...]
    """Why the run does not count."""
    missed: tuple[str, ...]
    """Keys of goals that were not reached."""
    doubts: tuple[str, ...]


def summarise(calls: Sequence[Measured], run: Run | None, *, full: bool, unreadable: Sequence[str] = ()) -> Report:
    """Work out all figures of a run."""
    turns = [turn for call in calls for turn in call.turns]
    figures = {figure.key: evaluate(figure, turns) for figure in FIGURES}
    figures[HISTORY.key] = evaluate_history(calls)
    beside = {figure.key: evaluate(figure, turns) for figure in BESIDE}
    beside["heard_history_to_the_word_rate"] = evaluate_history(calls, most=0)
    beside["hung_up_rate"] = evaluate_hanging_up(calls)
    problems = list(unreadable)
    if run is not None and (run.failed or run.missing):
        problems.append(f"{len(run.failed)} calls failed and {len(run.missing)} were not placed")
    for figure in (*FIGURES, HISTORY):
        n = figures[figure.key].n
        if full and n < figure.enough:
            problems.append(f"{figure.key}: {n} turns, {figure.enough} are needed")
        if figures[figure.key].value == math.inf:
            problems.append(f"{figure.key}: so many turns were never answered that it has no value")
    missed = tuple(figure.key for figure in (*FIGURES, HISTORY) if _missed(figure, figures[figure.key]))
    return Report(
        figures,
        beside,
        {figure.key: _breakdown(figure, turns) for figure in FIGURES},
        len(turns),
        tuple(problems),
        missed,
        tuple(_doubts(calls, run)),
    )


def _missed(figure: Figure, result: Result) -> bool:
    if figure.goal is None or result.value is None:
        return False
    return result.value < figure.goal if figure.at_least else result.value > figure.goal


def _breakdown(figure: Figure, turns: Sequence[Turn]) -> dict[str, dict[str, Result]]:
    found: dict[str, dict[str, Result]] = {}
    for label in LABELS:
        groups: dict[str, list[Turn]] = defaultdict(list)
        for turn in turns:
            if figure.choose(turn):
                groups[str(turn.labels.get(label))].append(turn)
        results = {name: evaluate(figure, group) for name, group in sorted(groups.items())}
        results = {name: result for name, result in results.items() if result.n >= WORTH_A_LINE}
        if len(results) > 1:
            found[label] = results
    return found


def _doubts(calls: Sequence[Measured], run: Run | None) -> Iterable[str]:
    if run is not None:
        yield from run.left_out
    late = [call.call for call in calls if call.worst_lateness > BUSY]
    if late:
        yield f"the double was more than {BUSY} s late in {len(late)} calls: {', '.join(late[:5])}"
    hung_up = [call.call for call in calls if call.hung_up]
    if hung_up:
        yield f"the agent hung up in {len(hung_up)} calls before the caller had said everything: {', '.join(hung_up)}"
    unknown = sum(call.unknown_seconds for call in calls)
    if unknown > 0:
        yield f"{unknown:.1f} s of agent speech are none of the texts it was given"
    unmeasured = sum(call.not_measured for call in calls)
    if unmeasured:
        yield f"{unmeasured} events could not take place as the scenario wants them and are not counted"


def as_json(report: Report, calls: Sequence[Measured]) -> dict[str, Any]:
    """`turns.json`: the keys of the issue, and `details`."""
    written: dict[str, Any] = {key: _finite(result.value) for key, result in report.figures.items()}
    written["turns"] = report.turns
    written["details"] = {
        "figures": {key: _plain(result) for key, result in report.figures.items()},
        "beside": {key: _plain(result) for key, result in report.beside.items()},
        "breakdowns": {
            key: {label: {name: _plain(r) for name, r in groups.items()} for label, groups in labels.items()}
            for key, labels in report.breakdowns.items()
        },
        "turns_by_row": dict(Counter(turn.row for call in calls for turn in call.turns)),
        "calls": len(calls),
        "synthetic_turns": sum(bool(turn.labels.get("synthetic")) for call in calls for turn in call.turns),
        "problems": report.problems,
        "missed": report.missed,
        "doubts": report.doubts,
        "wrong_history": [
            {"call": call.call, **asdict(said)} for call in calls for said in call.said if said.errors > 1
        ][:50],
    }
    return written


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: a quantile that was never reached is null, and one of the run's problems."""
    return None if value is None or math.isinf(value) else round(value, 4)


def _plain(result: Result) -> dict[str, float | int | str | None]:
    return {
        name: "never" if isinstance(value, float) and math.isinf(value) else value
        for name, value in asdict(result).items()
    }


def print_report(report: Report, console: Console, by: Sequence[str] = ()) -> None:
    """Print the table, and the breakdowns by the labels in `by`."""
    table = Table("", "goal", "figure", "95 % interval", "n", title="Turn-taking")
    for figure in (*FIGURES, HISTORY):
        result = report.figures[figure.key]
        reached = "red" if figure.key in report.missed else "green"
        value = f"[{reached}]{_shown(result.value, figure.unit)}[/]" if result.n else "no data"
        table.add_row(figure.title, _goal(figure), value, _interval(result, figure.unit), str(result.n))
    table.add_section()
    for figure in BESIDE:
        result = report.beside[figure.key]
        if result.n:
            shown = _shown(result.value, figure.unit)
            table.add_row(figure.title, "", shown, _interval(result, figure.unit), str(result.n))
    for key, title in (
        ("heard_history_to_the_word_rate", "sentences of the history to the very word"),
        ("hung_up_rate", "calls in which the agent hung up on its caller"),
    ):
        result = report.beside[key]
        table.add_row(title, "", _shown(result.value, "rate"), _interval(result, "rate"), str(result.n))
    console.print(table)
    for figure in FIGURES:
        for label in by:
            groups = report.breakdowns[figure.key].get(label, {})
            for name, result in groups.items():
                console.print(
                    f"  {figure.title}, {label} {name}: {_shown(result.value, figure.unit)} "
                    f"({_interval(result, figure.unit)}), n {result.n}"
                )
    for doubt in report.doubts:
        console.print(f"[yellow]{doubt}[/]")
    for problem in report.problems:
        console.print(f"[bold red]{problem}[/]")


def _shown(value: float | None, unit: Unit) -> str:
    if value is None:
        return "-"
    if math.isinf(value):
        return "never"
    return {"ms": f"{value:.0f} ms", "rate": f"{value:.1%}", "count": f"{value:.0f}"}[unit]


def _goal(figure: Figure) -> str:
    return "" if figure.goal is None else ("≥ " if figure.at_least else "≤ ") + _shown(figure.goal, figure.unit)


def _interval(result: Result, unit: Unit) -> str:
    return "" if result.low is None else f"{_shown(result.low, unit)} to {_shown(result.high, unit)}"


# ── command line ──────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1)
def _templates(folder: Path) -> Templates:
    return Templates(folder)


def _measure_one(folder: Path) -> Measured | str:
    try:
        return measure_folder(folder, _templates(folder.parent.parent / "turn-templates"))
    except (OSError, ValueError, KeyError, TypeError, wave.Error) as error:
        return f"{folder.name} cannot be measured: {type(error).__name__}: {error}"


def measure_all(folders: Sequence[Path], console: Console) -> tuple[list[Measured], list[str]]:
    """Measure calls on all cores, with progress; what cannot be measured comes back as sentences."""
    calls: list[Measured] = []
    problems: list[str] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for one in track(pool.map(_measure_one, folders), "listening to what was heard", len(folders), console=console):
            if isinstance(one, Measured):
                calls.append(one)
            else:
                problems.append(one)
    return calls, problems


def report(folder: Path = FOLDER, *, quick: bool | None = None, by: Sequence[str] = ()) -> int:
    """Measure, print, write `turns.json` beside the folder; returns the exit status."""
    console = Console()
    try:
        run = load_run(folder)
    except FileNotFoundError:
        run = None
    names = run.calls if run is not None else sorted(path.parent.name for path in folder.glob("*/call.json"))
    if not names:
        console.print(f"[bold red]there are no calls in {folder}; run: make bench-turns[/]")
        return 1
    calls, problems = measure_all([folder / name for name in names], Console(stderr=True))
    full = not (run.quick if quick is None and run is not None else quick)
    made = summarise(calls, run, full=full, unreadable=problems)
    print_report(made, console, by)
    target = folder.parent / "turns.json"
    target.write_text(json.dumps(as_json(made, calls), indent=1), encoding="utf-8")
    console.print(f"written: {target}")
    return 1 if made.problems else 2 if made.missed else 0


def main() -> int:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, default=FOLDER)
    arguments.add_argument("--by", nargs="*", default=[], choices=LABELS, help="break every figure down")
    arguments.add_argument("--quick", action="store_true", default=None, help="do not ask for enough turns")
    chosen = arguments.parse_args()
    return report(chosen.folder, quick=chosen.quick, by=chosen.by)


if __name__ == "__main__":
    sys.exit(main())
