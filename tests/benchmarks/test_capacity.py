"""The arithmetic of the capacity benchmark: what a caller does when, what counts as what, and what holds."""

import argparse
import asyncio
import io
import random
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.capacity import __main__ as capacity
from benchmarks.capacity.caller import FRAME, Caller, Playout
from benchmarks.capacity.clips import as_speech
from benchmarks.capacity.figures import Record, compared, fitted_line, judge, middle_of, most_calls, percentile, typical
from benchmarks.capacity.page import BEGIN, END, write_page
from benchmarks.capacity.systems import OWN, PEERS, VARIANTS, Own
from benchmarks.capacity.trial import Block, block_of
from rich.console import Console

from talkspurt.errors import TransportError

CLIP = 50
"""Frames: one second."""


RECORD = Record("s", 10, 0.4, 0.2, 5.0, 20.0, 100.0, 150.0, 0, 3.0, 1.0, 0, 20.0, turns=200)
"""Of calls that were held."""


class Telephone:
    """A caller with one clip, whose ticks are counted in seconds; answers as the test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.caller = Caller([CLIP], random.Random(1), 1.0)
        self.caller._interrupts_next = False

    def until(self, moment: float) -> list[bool]:
        """Tick up to a moment; whether each tick sent voice."""
        sent = []
        while self.now < moment - 1e-9:
            sent.append(self.caller.tick(self.now) is not None)
            self.now = round(self.now + FRAME, 6)
        return sent

    def answer(self, seconds: float) -> None:
        self.caller.audio(seconds, self.now)


def test_a_caller_speaks_at_its_time_for_as_long_as_its_clip() -> None:
    telephone = Telephone()
    assert telephone.until(1.0).count(True) == 0
    assert telephone.until(3.0).count(True) == CLIP
    (turn,) = telephone.caller.turns
    assert (turn.began, turn.ended) == pytest.approx((1.0, 1.98))


def test_the_latency_is_counted_from_the_last_frame_sent() -> None:
    telephone = Telephone()
    telephone.until(2.7)
    telephone.answer(0.4)
    window = judge(telephone.caller.turns, (0.61, 0.61), 0.0, 100.0)
    assert window.overheads == pytest.approx((2.7 - 1.98 - 0.61,))
    assert (window.turns, window.missed, window.underruns) == (1, 0, 0)


def test_an_answer_that_runs_dry_and_goes_on_has_a_hole() -> None:
    telephone = Telephone()
    telephone.until(2.6)
    telephone.answer(0.4)
    telephone.until(2.9)
    telephone.answer(0.2)  # 0.1 s ahead: none
    telephone.until(3.3)
    telephone.answer(0.2)  # 0.1 s late
    assert judge(telephone.caller.turns, (0.6, 0.6), 0.0, 100.0).underruns == 1


def test_every_second_answer_is_interrupted_and_its_clear_timed() -> None:
    telephone = Telephone()
    telephone.until(2.6)
    telephone.answer(3.0)
    telephone.until(3.6)
    _, barge = telephone.caller.turns
    assert barge.interrupts
    assert barge.began == pytest.approx(2.6 + 0.9, abs=1.01 * FRAME)
    telephone.caller.playout.mark("last")
    assert telephone.caller.clear(telephone.now) == ["last"]
    assert barge.cleared == telephone.now
    assert telephone.caller.playout.until <= telephone.now
    telephone.until(5.2)
    telephone.answer(3.0)
    telephone.until(12.0)
    assert [turn.interrupts for turn in telephone.caller.turns] == [False, True, False]
    window = judge(telephone.caller.turns[:2], (0.6, 0.6), 0.0, 100.0)
    assert window.barge_ins == pytest.approx((3.6 - barge.began,))


def test_a_clear_that_nobody_caused_is_a_false_stop() -> None:
    telephone = Telephone()
    telephone.until(2.6)
    telephone.answer(1.0)
    telephone.until(2.8)
    telephone.caller.clear(telephone.now)
    assert judge(telephone.caller.turns, (0.6, 0.6), 0.0, 100.0).false_stops == 1


def test_no_answer_is_a_missed_turn_and_so_is_one_that_cuts_the_caller_short() -> None:
    unanswered = Telephone()
    unanswered.until(8.0)
    early = Telephone()
    early.until(1.5)
    early.answer(0.4)
    early.until(3.0)
    for telephone in (unanswered, early):
        window = judge(telephone.caller.turns[:1], (0.6, 0.6), 0.0, 100.0)
        assert (window.turns, window.missed, window.overheads) == (1, 1, ())


def test_only_turns_that_could_be_answered_within_the_window_count() -> None:
    telephone = Telephone()
    telephone.until(2.5)
    assert judge(telephone.caller.turns, (0.6, 0.6), 2.0, 100.0).turns == 0  # spoken before
    assert judge(telephone.caller.turns, (0.6, 0.6), 1.0, 6.9).turns == 0  # patience ends behind it
    assert judge(telephone.caller.turns, (0.6, 0.6), 1.0, 7.0).turns == 1


def test_marks_come_back_when_what_lies_before_them_was_played() -> None:
    playout = Playout()
    playout.receive(0.4, 10.0)
    playout.mark("a")
    assert playout.played(10.39) == []
    assert playout.played(10.4) == ["a"]
    assert playout.played(10.5) == []


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.95, 4.0), (0.01, 1.0)])
def test_percentiles_are_values_that_occurred(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == expected
    assert percentile([], share) is None


def test_a_system_holds_as_many_calls_as_were_served_well_without_a_break() -> None:
    def record(n: int, *, p95: float = 20.0, underruns: int = 0, missed: int = 0) -> Record:
        return Record("s", n, 0.4, 0.2, 5.0, p95, 100.0, 150.0, underruns, 3.0, 1.0, missed, 20.0, turns=200)

    fine = [record(50), record(100)]
    assert most_calls(fine, "s") == 100
    assert most_calls([*fine, record(75, underruns=1)], "s") == 50
    assert most_calls([*fine, record(75, p95=200.0)], "s") == 50
    assert most_calls([*fine, record(75, missed=11)], "s") == 50
    assert most_calls([*fine, record(75, missed=10)], "s") == 100
    assert most_calls(fine, "other") == 0


def test_a_record_says_whether_it_is_the_wheels_and_an_old_one_was_not() -> None:
    old = Record("s", 50, 0.4, 0.2, 5.0, 20.0, 100.0, 150.0, 0, 3.0, 1.0, 0, 20.0)
    assert old.label == "s"
    assert replace(old, compiled=True).label == "s (wheel)"


def test_a_run_whose_client_or_fakes_were_late_says_so(tmp_path: Path) -> None:
    page = tmp_path / "capacity.md"
    page.write_text(f"{BEGIN}{END}")

    def record(n: int, client: float, vendors: float | None) -> Record:
        return Record(
            "s", n, 0.4, 0.2, 5.0, 20.0, 100.0, 150.0, 0, 3.0, 1.0, 0, 20.0, client_lag_p99_ms=client,
            vendors_cpu_percent=vendors and 30.0, vendors_lag_p99_ms=vendors,
        )  # fmt: skip

    write_page(
        [record(1, 10.0, 10.0), record(2, 10.0, None), record(3, 10.1, 1.0), record(4, 1.0, 10.1)], ["s"], (), page
    )
    rows = [line for line in page.read_text().splitlines() if line.startswith("| s |")]
    assert ["late" in row for row in rows] == [False, False, True, True]
    assert rows[0].endswith("| 20 | 30 | 10 / 10 |")
    assert rows[1].endswith("| 20 | – | 10 / – |")


@pytest.mark.parametrize(
    ("held", "holds", "p95"),
    [((True,), True, 1.0), ((False, True, True), True, 3.0), ((False, True, False), False, 1.0),
     ((False, False, False), False, 2.0)],
)  # fmt: skip
def test_a_number_of_calls_that_was_not_held_is_if_two_more_windows_hold_it(
    held: tuple[bool, ...], holds: bool, p95: float
) -> None:
    windows = [replace(RECORD, overhead_p95_ms=float(n), underruns=int(not one)) for n, one in enumerate(held, start=1)]
    assert middle_of(windows).holds is holds
    assert middle_of(windows).overhead_p95_ms == p95


def test_a_system_is_measured_again_where_it_did_not_hold_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def measured_with(_system: object, calls: int, *_more: object) -> Record:
        asked.append(calls)
        stalled = (calls, asked.count(calls)) in {(20, 1), (30, 1), (30, 3)}
        return replace(RECORD, n=calls, underruns=int(stalled))

    monkeypatch.setattr(capacity, "measured_with", measured_with)
    options = argparse.Namespace(quick=False)
    records = asyncio.run(capacity.measured(OWN[0], (10, 20, 30, 40), options, None, Console(file=io.StringIO())))
    assert asked == [10, 20, 20, 20, 30, 30, 30]
    assert [record.holds for record in records] == [True, True, False]
    assert [record.windows for record in records] == [1, 3, 3]
    asked.clear()
    options.quick = True
    records = asyncio.run(capacity.measured(OWN[0], (20,), options, None, Console(file=io.StringIO())))
    assert asked == [20], "a quick run has no time for more"


def test_what_was_measured_stays_when_a_further_window_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = iter([replace(RECORD, n=10), replace(RECORD, n=20, underruns=1)])

    async def measured_with(*_all: object) -> Record:
        try:
            return next(windows)
        except StopIteration:
            raise TransportError("the server did not start") from None

    monkeypatch.setattr(capacity, "measured_with", measured_with)
    said = io.StringIO()
    options = argparse.Namespace(quick=False)
    records = asyncio.run(capacity.measured(OWN[0], (10, 20, 30), options, None, Console(file=said)))
    assert [(record.n, record.holds) for record in records] == [(10, True), (20, False)]
    assert "not measured again" in said.getvalue()


def test_a_quick_run_says_that_it_measures_no_variant() -> None:
    said = io.StringIO()
    options = argparse.Namespace(quick=True, systems=f"{OWN[0].name},{VARIANTS[0].name}")
    assert asyncio.run(capacity.run(options, Console(file=said))) == 2
    assert VARIANTS[0].name in said.getvalue()


async def test_a_variant_is_measured_in_turn_with_what_it_is_held_against(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    async def measured_with(system: Own, calls: int, *_more: object) -> Record:
        asked.append((system.name, calls))
        if len(asked) == 4:
            raise TransportError("the server did not start")
        return replace(RECORD, system=system.name, n=calls)

    monkeypatch.setattr(capacity, "measured_with", measured_with)
    options = argparse.Namespace(rounds=3, calls="")
    variants = [replace(VARIANTS[0], name="a", calls=(100,)), replace(VARIANTS[0], name="b", calls=(100,))]
    said = io.StringIO()
    records, comparisons = await capacity.in_rounds(variants, options, Console(file=said))
    alone = OWN[0].name
    assert [name for name, _ in asked] == [alone, "a", "b", alone, alone, "a", "b"]
    assert [(each.system, each.rounds) for each in comparisons] == [("a", 2), ("b", 2)], (
        "the round that failed is left out"
    )
    assert [record.system for record in records] == ["a", "b"]
    assert "a round with 100 calls ended early" in said.getvalue()


def test_what_was_not_measured_now_is_kept_but_not_beside_other_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(capacity, "REPORT", tmp_path / "capacity.json")
    ours, peers = OWN[0].name, PEERS[0].name
    variant = replace(RECORD, system=VARIANTS[0].name)
    first = [replace(RECORD, system=ours), variant, replace(RECORD, system=peers)]
    comparison = compared([(first[0], variant)])
    capacity.write(first, [comparison], compiled=False)
    every, comparisons = capacity.write([replace(RECORD, system=ours, n=20)], [], compiled=False)
    assert [(record.system, record.n) for record in every] == [
        (ours, 20),
        (variant.system, RECORD.n),
        (peers, RECORD.n),
    ]
    assert comparisons == [comparison]
    every, comparisons = capacity.write([replace(RECORD, system=ours, compiled=True)], [], compiled=True)
    assert [record.system for record in every] == [ours, peers]
    assert comparisons == []


def test_the_fitted_line_goes_through_points_that_lie_on_one() -> None:
    assert fitted_line([(50, 3.5), (100, 6.0), (200, 11.0)]) == pytest.approx((1.0, 0.05))


def test_speech_has_no_silent_byte_and_ends_where_it_can_be_heard() -> None:
    import numpy as np

    tone = (8_000 * np.sin(np.arange(8_000) / 5)).astype(np.int16)
    speech = as_speech(np.concatenate([np.zeros(3_000, np.int16), tone, np.zeros(3_000, np.int16)]))
    assert len(speech) == 8_000
    assert b"\xff" not in speech


def test_the_page_has_the_figures_of_the_last_run_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "capacity.md"
    page.write_text(f"before\n{BEGIN}\nof the run before\n{END}\nafter\n")
    records = [
        Record("talkspurt_networked", n, 10 / n + 0.5, 0.2, 5.0, 20.0, 100.0, 150.0, 0, 3.0, 1.0, 0, 20.0, turns=9)
        for n in (50, 100)
    ]
    beside = replace(records[1], system="beside", cpu_percent_per_call=0.66, overhead_p95_ms=21.0, cut_off=10)
    write_page(records, ["talkspurt_networked"], [compared([(records[1], beside)])], page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "of the run before" not in text
    assert "| talkspurt_networked | 100 | 0.60 |" in text
    assert "CPU of the core in % = 10.0 + 0.500 × calls" in text
    assert "| beside | 100 | 1 | 1.1 | 1.05 of 20 | 1 | 10 |" in text
    # 140 would take 80 % of a core, but only 100 were measured.
    assert "100 calls a core, so 10.0 cores" in text


def test_a_variant_is_compared_by_the_median_of_its_rounds_and_nothing_that_must_not_happen_is_lost() -> None:
    alone = [
        Record("alone", 100, cpu, 0.2, 5.0, p95, 100.0, None, 0, 3.0, 1.0, 0, 20.0, turns=9)
        for cpu, p95 in ((0.4, 10.0), (0.5, 20.0), (0.4, 12.0))
    ]
    beside = [
        replace(record, system="beside", cpu_percent_per_call=0.48, overhead_p95_ms=15.0, underruns=n, cut_off=n)
        for n, record in enumerate(alone)
    ]
    comparison = compared(list(zip(alone, beside, strict=True)))
    assert (comparison.system, comparison.n, comparison.rounds) == ("beside", 100, 3)
    assert comparison.cpu == pytest.approx(1.2)
    assert (comparison.overhead_p95, comparison.alone_p95_ms, comparison.barge_in_p95) == (1.25, 12.0, None)
    record = typical(beside)
    assert (record.underruns, record.cut_off, record.turns) == (3, 3, 27)
    assert (record.overhead_p95_ms, record.cpu_percent_per_call) == (15.0, 0.48)


def test_a_start_blocks_as_long_as_the_longest_turn_within_it_and_is_held_against_a_time_without_one() -> None:
    turns = [(9.9, 0.5, 0.5), (10.0, 0.002, 0.001), (10.05, 0.007, 0.0005), (10.5, 0.006, 0.004), (11.0, 0.001, 0.001)]
    assert block_of(turns, [(9.98, 10.1)]) == Block(7.0, 0.5, 6.0)
    # Starts that take long leave no time without one.
    assert block_of(turns, [(9.98, 10.7)]) == Block(7.0, 0.5, 1.0)
    assert block_of(turns, [(9.98, 11.7)]) == Block(7.0, 0.5, None)
    assert block_of(turns, []) is None
    assert block_of([], [(9.98, 10.1)]) is None


def test_a_page_without_a_place_for_figures_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "capacity.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place for the figures"):
        write_page([], [], (), page)
    assert page.read_text() == "nothing"
