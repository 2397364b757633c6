"""What the benchmark's numbers mean: from turns and clocks to one record for each system and number of calls."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from benchmarks.capacity.caller import PATIENCE, Turn

ENOUGH_P95_MS: Final = 200.0
"""A core holds so many calls as long as their overhead's p95 stays below this, nothing underruns, no call fails."""
ENOUGH_LAG_MS: Final = 10.0
"""Those that measure may be so late (p99); beyond that the overhead is not the server's alone."""
MISSED_SHARE: Final = 0.05
"""And no more turns are missed: a policy errs sometimes, but figures of what is left would flatter."""


@dataclass(frozen=True, slots=True)
class Record:
    """One system with n calls at once. None is "not measured": other frameworks' loops have no probe in them."""

    system: str
    n: int
    cpu_percent_per_call: float
    rss_mb_per_call: float
    overhead_p50_ms: float | None
    overhead_p95_ms: float | None
    barge_in_p50_ms: float | None
    barge_in_p95_ms: float | None
    underruns: int
    loop_lag_p99_ms: float | None
    call_start_block_ms: float | None
    missed_turns: int
    client_cpu_percent: float
    turns: int = 0
    false_stops: int = 0
    client_lag_p99_ms: float | None = None
    refused: int = 0
    vendors_cpu_percent: float | None = None
    vendors_lag_p99_ms: float | None = None
    cut_off: int | None = None
    """How often the caller who misbehaved beside these was cut off; None where there was none."""
    call_start_cpu_ms: float | None = None
    """Of the longest block by a start, the CPU."""
    block_without_start_ms: float | None = None
    """For how long the loop stood still at most while no call was started."""
    windows: int = 1
    """How many were measured, of which it is the middle one."""
    compiled: bool = False
    """Whether it was the wheel that `make wheel` compiles, and not the sources as they are."""

    @property
    def label(self) -> str:
        """The system, and whether it was compiled."""
        return f"{self.system} (wheel)" if self.compiled else self.system

    @property
    def start_block(self) -> str:
        """How long a start blocks the loop; of that as CPU; and how long the loop stands still when none starts."""
        if self.call_start_block_ms is None:
            return "–"
        if self.call_start_cpu_ms is None:
            return f"{self.call_start_block_ms}"
        without = "–" if self.block_without_start_ms is None else self.block_without_start_ms
        return f"{self.call_start_block_ms} ({self.call_start_cpu_ms}; {without})"

    @property
    def on_time(self) -> bool:
        """Whether client and fake vendors were: the lateness of those that measure is not the server's."""
        return max(self.client_lag_p99_ms or 0.0, self.vendors_lag_p99_ms or 0.0) <= ENOUGH_LAG_MS

    @property
    def holds(self) -> bool:
        """Whether these calls were served as they should be."""
        return (
            self.overhead_p95_ms is not None
            and self.overhead_p95_ms < ENOUGH_P95_MS
            and not self.underruns
            and self.missed_turns <= MISSED_SHARE * self.turns
            and not self.refused
        )

    def as_json(self) -> dict[str, Any]:
        """For `capacity.json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Window:
    """The figures of the turns that were said in a window of time."""

    overheads: tuple[float, ...]
    barge_ins: tuple[float, ...]
    underruns: int
    missed: int
    false_stops: int
    turns: int


def judge(turns: Iterable[Turn], ideals: tuple[float, float], begin: float, end: float) -> Window:
    """Judge the turns whose speech ended from `begin` on, and early enough before `end` to have been answered.

    `ideals` are the policy's latencies in seconds with infinitely fast machines, of turns into the silence and of
    those that interrupt.
    A turn is missed when nothing answered it, the answer cut it short, or it did not stop what it interrupted.
    """
    overheads, barge_ins = [], []
    underruns = missed = false_stops = count = 0
    for turn in turns:
        if turn.ended is None or not begin <= turn.ended <= end - PATIENCE:
            continue
        count += 1
        underruns += turn.underruns
        false_stops += turn.false_stops
        if turn.answered is None or turn.early or (turn.interrupts and turn.cleared is None):
            missed += 1
        if turn.answered is not None and not turn.early:
            overheads.append(turn.answered - turn.ended - ideals[turn.interrupts])
        if turn.interrupts and turn.cleared is not None:
            barge_ins.append(turn.cleared - turn.began)
    return Window(tuple(overheads), tuple(barge_ins), underruns, missed, false_stops, count)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all are not above; None for none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def in_ms(seconds: float | None) -> float | None:
    """Milliseconds with one decimal."""
    return None if seconds is None else round(seconds * 1000, 1)


def most_calls(records: Iterable[Record], system: str) -> int:
    """The most calls that were held, of a system: up to the first number that was not."""
    most = 0
    for record in sorted((record for record in records if record.system == system), key=lambda record: record.n):
        if not record.holds:
            break
        most = record.n
    return most


def middle_of(windows: Sequence[Record]) -> Record:
    """Of a system's windows with as many calls the middle one, from the best to the worst."""

    def badness(record: Record) -> tuple[bool, float]:
        return not record.holds, math.inf if record.overhead_p95_ms is None else record.overhead_p95_ms

    return sorted(windows, key=badness)[len(windows) // 2]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variant over what it is held against, with as many calls: how many times as much, the median of the rounds."""

    system: str
    n: int
    cpu: float
    overhead_p95: float | None
    barge_in_p95: float | None
    cut_off: int | None
    rounds: int = 1
    alone_p95_ms: float | None = None
    """The overhead's p95 of what it is held against, the median of the rounds."""


def compared(rounds: Sequence[tuple[Record, Record]]) -> Comparison:
    """A variant with what it is held against, which comes first in each round. Its records are of one system."""
    variant = typical([record for _, record in rounds])

    def times(figure: str) -> float | None:
        pairs = [(getattr(alone, figure), getattr(record, figure)) for alone, record in rounds]
        return median([of / alone if alone and of is not None else None for alone, of in pairs])

    cpu = times("cpu_percent_per_call")
    assert cpu is not None
    return Comparison(
        variant.system,
        variant.n,
        cpu,
        times("overhead_p95_ms"),
        times("barge_in_p95_ms"),
        variant.cut_off,
        len(rounds),
        median([alone.overhead_p95_ms for alone, _ in rounds]),
    )


def typical(records: Sequence[Record]) -> Record:
    """The medians of the figures of one system in several rounds; what must not happen even once is added up."""
    middle: dict[str, Any] = {
        field.name: median([getattr(record, field.name) for record in records])
        for field in fields(Record)
        if field.name.endswith(("_ms", "_per_call", "_percent"))
    }
    sums: dict[str, Any] = {
        name: sum(getattr(record, name) for record in records)
        for name in ("underruns", "missed_turns", "turns", "false_stops", "refused")
    }
    cut_off = None if records[0].cut_off is None else sum(record.cut_off or 0 for record in records)
    return replace(records[0], **middle, **sums, cut_off=cut_off)


def median(values: Sequence[float | None]) -> float | None:
    """The median of those that were measured; None for none."""
    measured = [value for value in values if value is not None]
    return round(statistics.median(measured), 4) if measured else None


def fitted_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares: the value at 0, and what each more adds. Needs two different places."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y - slope * mean_x, slope
