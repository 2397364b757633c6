"""What the turn-taking report sums up, what it calls doubt, and when a run does not count."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.intervals import wilson
from benchmarks.turns import report as reporting
from benchmarks.turns.artefacts import Run, save_run
from benchmarks.turns.measure import Measured, Said, Turn
from benchmarks.turns.report import (
    BESIDE,
    FIGURES,
    HISTORY,
    Figure,
    as_json,
    bootstrap,
    evaluate,
    evaluate_history,
    print_report,
    quantile,
    report,
    summarise,
)
from rich.console import Console

KEYS = """
response_p50_ms response_p95_ms yesno_response_p50_ms cut_in_rate cut_in_rate_entity yield_p50_ms yield_p95_ms
false_stop_recovered_rate resume_p95_ms side_talk_ignored_rate echo_interruptions heard_history_exact_rate turns
""".split()  # noqa: SIM905 - as the issue writes them


def turn(row: str = "ordinary", expects: str = "answer", *, pause: float = 0.0, **found: Any) -> Turn:
    labels = {"snr_db": found.pop("snr", "clean"), "level_db": found.pop("level", None), "synthetic": False}
    return Turn("call/0", row, expects, "flite:slt", labels, pause, **found)


def call(*turns: Turn, said: tuple[Said, ...] = (), **more: Any) -> Measured:
    return replace(Measured("a", turns, said, 0.0, 0.0, 0), **more)


def figure(key: str) -> Figure:
    return next(one for one in (*FIGURES, *BESIDE) if one.key == key)


def value(key: str, *turns: Turn) -> float | None:
    return evaluate(figure(key), turns).value


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "RESAMPLES", 100)


# ── arithmetic ────────────────────────────────────────────────────────────────────


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([3, 1, 2, 4], 0.5) == 2
    assert quantile(range(1, 101), 0.95) == 95
    assert quantile([1.0, 2.0, math.inf], 0.95) == math.inf


def test_the_bootstrap_encloses_the_quantile_and_is_the_same_every_time() -> None:
    values = [float(number % 97) for number in range(300)]
    low, high = bootstrap(values, 0.5)
    assert low < quantile(values, 0.5) < high
    assert bootstrap(values, 0.5) == (low, high)


# ── figures ───────────────────────────────────────────────────────────────────────


def test_response_counts_ordinary_turns_only_and_those_without_an_answer_as_endless() -> None:
    turns = [turn(latency=0.5), turn(latency=0.7), turn(latency=math.inf), turn("yesno", latency=9.0), turn()]
    assert value("response_p50_ms", *turns) == 700
    assert value("response_p95_ms", *turns) == math.inf


def test_cut_ins_count_turns_with_pauses_up_to_a_second() -> None:
    turns = [turn(cut_in=True, pause=1.0), turn(cut_in=False, pause=0.4), turn(cut_in=False), turn(cut_in=None),
             turn(cut_in=True, pause=1.2), turn("entity", cut_in=True)]  # fmt: skip
    assert value("cut_in_rate", *turns) == pytest.approx(1 / 3)
    assert value("cut_in_rate_paused", *turns) == pytest.approx(1 / 2)
    assert value("cut_in_rate_long_pause", *turns) == 1
    assert value("cut_in_rate_entity", *turns) == 1


def test_recovered_are_sounds_that_did_not_stop_the_agent_or_were_followed_by_the_right_word() -> None:
    def sound(row: str = "noise", **found: Any) -> Turn:
        return turn(row, "go_on", **found)

    turns = [
        sound(stops=0, gone=False),
        sound("backchannel", stops=1, gone=False, right_word=True, resumed_after=0.4),
        sound(stops=1, gone=False, right_word=False, resumed_after=0.8),
        sound(stops=1, gone=True, right_word=False),
        sound("side_talk", stops=1, gone=True),
    ]
    assert value("false_stop_recovered_rate", *turns) == 0.5
    assert value("resume_p95_ms", *turns) == 800
    assert value("resumed_in_600_ms_rate", *turns) == pytest.approx(1 / 3)
    assert value("stopped_rate", *turns) == 0.75
    assert value("gone_rate", *turns) == 0.25


def test_yielding_counts_real_interruptions_only() -> None:
    turns = [turn("interruption", "stop", yielded_after=0.2), turn("interruption", "stop"),
             turn("both_start", "stop", yielded_after=3.0)]  # fmt: skip
    assert value("yield_p50_ms", *turns) == 200
    assert evaluate(figure("yield_p95_ms"), turns).n == 1


def test_side_talk_counts_whether_the_agent_spoke_or_listened() -> None:
    turns = [turn("side_talk", "go_on", ignored=True), turn("side_talk", "stay_silent", ignored=False)]
    assert value("side_talk_ignored_rate", *turns) == 0.5


def test_stops_by_an_echo_are_counted_and_louder_echoes_are_counted_apart() -> None:
    turns = [turn("echo", "go_on", level=-25, stops=2), turn("echo", "go_on", level=-40, stops=1),
             turn("echo", "go_on", level=-20, stops=5), turn("noise", "go_on", stops=7)]  # fmt: skip
    assert value("echo_interruptions", *turns) == 3
    assert value("echo_interruptions_loud", *turns) == 5


def test_history_is_right_to_within_one_word() -> None:
    said = tuple(Said("", "", errors, 0.0) for errors in (0, 0, 1, 2))
    assert evaluate_history([call(said=said)]).value == 0.75
    assert evaluate_history([call(said=said)], most=0).value == 0.5


# ── what is written ───────────────────────────────────────────────────────────────


def complete() -> list[Measured]:
    """Three hundred of everything, and all goals reached."""
    turns = [
        turn(latency=0.5, cut_in=False),
        turn("yesno", latency=0.3),
        turn("entity", latency=0.8, cut_in=False),
        turn("interruption", "stop", yielded_after=0.1),
        turn("backchannel", "go_on", stops=1, gone=False, right_word=True, resumed_after=0.2),
        turn("side_talk", "go_on", ignored=True),
        turn("echo", "go_on", level=-25, stops=0),
    ]
    return [call(*turns, said=(Said("one", "one", 0, 1.0),)) for _ in range(300)]


def test_the_file_has_exactly_the_keys_of_the_issue_and_details() -> None:
    calls = complete()
    written = as_json(summarise(calls, None, full=True), calls)
    assert list(written) == [*KEYS, "details"]
    assert written["turns"] == 2_100
    assert written["response_p50_ms"] == 500
    assert written["details"]["figures"]["cut_in_rate"]["n"] == 300
    assert written["details"]["figures"]["cut_in_rate"]["high"] == pytest.approx(0.0127, abs=1e-3)
    json.dumps(written, allow_nan=False)


def test_a_complete_run_that_reaches_its_goals_has_no_problems() -> None:
    made = summarise(complete(), None, full=True)
    assert made.problems == ()
    assert made.missed == ()


@pytest.mark.parametrize("one", [*(one.key for one in FIGURES if one.enough), HISTORY.key])
def test_a_full_run_without_data_of_a_row_does_not_count(one: str) -> None:
    if one == HISTORY.key:
        calls = [replace(measured, said=()) for measured in complete()]
    else:
        choose = figure(one).choose
        calls = [replace(m, turns=tuple(t for t in m.turns if not choose(t))) for m in complete()]
    assert any(problem.startswith(one) for problem in summarise(calls, None, full=True).problems)
    assert summarise(calls, None, full=False).problems == ()


@pytest.mark.parametrize(
    ("key", "worse"),
    [
        ("response_p95_ms", turn(latency=1.3)),
        ("cut_in_rate", turn(cut_in=True)),
        ("yield_p50_ms", turn("interruption", "stop", yielded_after=0.3)),
        ("false_stop_recovered_rate", turn("noise", "go_on", stops=1, gone=True)),
        ("side_talk_ignored_rate", turn("side_talk", "go_on", ignored=False)),
        ("echo_interruptions", turn("echo", "go_on", level=-25, stops=1)),
    ],
)
def test_a_goal_that_is_not_reached_is_named(key: str, worse: Turn) -> None:
    assert key in summarise([*complete(), call(*[worse] * 350)], None, full=True).missed


def test_a_quantile_that_was_never_reached_is_a_problem_and_null() -> None:
    calls = [*complete(), call(*[turn(latency=math.inf)] * 30)]
    made = summarise(calls, None, full=True)
    assert any(problem.startswith("response_p95_ms") for problem in made.problems)
    assert as_json(made, calls)["response_p95_ms"] is None
    json.dumps(as_json(made, calls), allow_nan=False)


def test_breakdowns_divide_turns_by_label() -> None:
    turns = [turn(latency=0.4, snr=20)] * 10 + [turn(latency=0.9, snr=10)] * 10
    groups = summarise([call(*turns)], None, full=False).breakdowns["response_p50_ms"]["snr_db"]
    assert {name: result.value for name, result in groups.items()} == {"20": 400, "10": 900}


def test_doubts_are_said() -> None:
    doubtful = call(worst_lateness=0.3, unknown_seconds=2.0, not_measured=4, hung_up=True)
    run = Run(True, "", ("a",), (), (), ("no recordings",))
    made = summarise([doubtful], run, full=False)
    assert len(made.doubts) == 5
    assert as_json(made, [doubtful])["details"]["beside"]["hung_up_rate"]["value"] == 1
    console = Console(record=True, width=160, file=None, quiet=False)
    with console.capture() as printed:
        print_report(made, console, ["snr_db"])
    assert "no recordings" in printed.get()
    assert "no data" in printed.get()


# ── exit status ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("quick", "failed", "calls", "status"),
    [
        (False, (), complete(), 0),
        (False, ("b: why",), complete(), 1),
        (False, (), complete()[:100], 1),
        (True, (), complete()[:100], 0),
        (True, (), [*complete(), call(*[turn(latency=2.0)] * 400)], 2),
    ],
)
def test_the_exit_status_says_whether_the_run_counts_and_its_goals_are_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool, failed: tuple[str, ...], calls: list[Measured],
    status: int,
) -> None:  # fmt: skip
    folder = tmp_path / "turns"
    folder.mkdir()
    save_run(Run(quick, "", ("a",), failed, (), ()), folder)
    monkeypatch.setattr(reporting, "measure_all", lambda *_: (calls, []))
    assert report(folder) == status
    assert json.loads((tmp_path / "turns.json").read_text())["turns"] == sum(len(one.turns) for one in calls)


def test_a_call_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "turns"
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "call.json").write_text("{}")
    assert report(folder, quick=True) == 1
    problems = json.loads((tmp_path / "turns.json").read_text())["details"]["problems"]
    assert "broken" in problems[0]


def test_without_calls_there_is_nothing_to_report(tmp_path: Path) -> None:
    assert report(tmp_path, quick=True) == 1
