"""`make bench-capacity`: give each system more and more calls, print the table, write `capacity.json`, charts and page.

    python -m benchmarks.capacity [--systems talkspurt_scripted,livekit] [--calls 50,100] [--seconds 20] [--rounds 3]
        [--quick] [--wheel]

Every measurement has a server of its own on one core and the load client on another, so nothing else should run.
A system is not given more calls once it could not hold a number of them, in three windows. The exit status is 1 when
something could not be measured (a peer without its environment), and the records of what could be are written all the
same.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from benchmarks.capacity.charts import draw
from benchmarks.capacity.clips import voices
from benchmarks.capacity.figures import Comparison, Record, compared, middle_of, most_calls, typical
from benchmarks.capacity.load import FOLDER
from benchmarks.capacity.networked import cloud
from benchmarks.capacity.page import shown, write_page
from benchmarks.capacity.systems import (
    OWN,
    PEERS,
    REPOSITORY,
    VARIANTS,
    Own,
    Peer,
    Running,
    System,
    answering,
    talkspurt,
)
from benchmarks.capacity.trial import CLIENT_CORE, SERVER_CORE, Block, measure, start_block
from benchmarks.compiled import is_current
from rich.console import Console
from rich.table import Table

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError, TransportError

REPORT: Final = REPOSITORY / "build" / "bench" / "capacity.json"
DOCS: Final = REPOSITORY / "docs"
SECONDS: Final = 20.0
QUICK_SECONDS: Final = 10.0
ROUNDS: Final = 3
"""In each of them every variant is measured, and what it is held against: single windows' p95 scatter by their half."""
AGAIN: Final = 2
"""Windows more for a number of calls that the first did not hold: both must hold it then. The machine is shared, and a
window in which it was taken away tells nothing of the server. A number that the first holds is not looked at again."""
SYSTEMS: Final[tuple[System, ...]] = (*OWN, *VARIANTS, *PEERS)


@asynccontextmanager
async def running(
    system: System, folder: Path, probe: Path, *, spin: bool = False, as_wheel: bool = False
) -> AsyncIterator[Running]:
    """Start a system; of ours the compiled wheel, if asked to."""
    async with AsyncExitStack() as stack:
        if isinstance(system, Peer):
            started = answering(system, folder, SERVER_CORE, probe=probe, spin=spin)
        else:
            assert isinstance(system, Own)
            vendors, more = None, {"TALKSPURT_SERVER__WORKERS": str(system.workers)}
            if system.offender:
                # The others call once each, and are not touched by it.
                more["TALKSPURT_LIMITS__CALLS_PER_CALLER"] = Config.model_validate({}).limits.calls_per_caller
            if system.networked:
                vendors, addresses = await stack.enter_async_context(cloud(CLIENT_CORE, folder))
                more |= addresses
            started = talkspurt(
                folder, SERVER_CORE, probe=probe, spin=spin, more=more, vendors=vendors, as_wheel=as_wheel
            )
        yield await stack.enter_async_context(started)


async def longest_block(system: System, *, as_wheel: bool) -> Block | None:
    """How long the start of a call blocks the loop of a system."""
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as name:
        probe = Path(name) / "probe"
        starting = running(system, Path(name), probe, spin=True, as_wheel=as_wheel)
        return await start_block(starting, probe)


async def measured(
    system: System, calls: Sequence[int], options: argparse.Namespace, block: Block | None, console: Console
) -> list[Record]:
    """The records of a system, up to the first number of calls that it could not hold."""
    records: list[Record] = []
    for number in calls:
        windows = [await measured_with(system, number, options, console)]
        try:
            while not windows[0].holds and not options.quick and len(windows) <= AGAIN:
                windows.append(await measured_with(system, number, options, console))
            record = replace(middle_of(windows), windows=len(windows))
        except TransportError as error:
            console.print(f"{system.name} was not measured again: {error}", style="red", markup=False)
            record = windows[0]
        if block is not None:
            record = replace(
                record,
                call_start_block_ms=block.by_start,
                call_start_cpu_ms=block.cpu,
                block_without_start_ms=block.without,
            )
        records.append(record)
        if not record.holds:
            break
    return records


async def measured_with(system: System, calls: int, options: argparse.Namespace, console: Console) -> Record:
    """The record of a system with so many calls."""
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as name:
        folder, probe = Path(name), Path(name) / "probe"
        record = await measure(
            system.name,
            running(system, folder, probe, as_wheel=options.wheel),
            calls=calls,
            seconds=options.seconds,
            ideals=system.ideals,
            probe=probe,
            offender=system.offender if isinstance(system, Own) else "",
        )
    record = replace(record, compiled=options.wheel and isinstance(system, Own))
    console.print(row_of(record), highlight=False)
    return record


async def in_rounds(
    variants: Sequence[Own], options: argparse.Namespace, console: Console
) -> tuple[list[Record], list[Comparison]]:
    """Each variant's typical records, and how it compares with `OWN[0]`, measured in turn with it in every round."""
    pairs: dict[tuple[str, int], list[tuple[Record, Record]]] = {}
    numbers = sorted({number for variant in variants for number in variant.calls})
    for _ in range(options.rounds):
        for number in [int(n) for n in options.calls.split(",")] if options.calls else numbers:
            try:
                alone = await measured_with(OWN[0], number, options, console)
                for variant in variants:
                    if options.calls or number in variant.calls:
                        record = await measured_with(variant, number, options, console)
                        pairs.setdefault((variant.name, number), []).append((alone, record))
            except (ConfigurationError, TransportError) as error:
                console.print(f"a round with {number} calls ended early: {error}", style="red", markup=False)
    every = [pairs[key] for key in sorted(pairs)]
    return [typical([record for _, record in rounds]) for rounds in every], [compared(rounds) for rounds in every]


def row_of(record: Record) -> str:
    """One line as it comes."""
    return (
        f"{record.label} with {record.n} calls: {record.cpu_percent_per_call:.2f} % CPU a call, "
        f"overhead p95 {record.overhead_p95_ms} ms, underruns {record.underruns}, missed {record.missed_turns}"
        + (f"; the middle of {record.windows} windows" if record.windows > 1 else "")
        + ("" if record.on_time else "; client or fakes were late themselves, and the overhead is theirs, too")
    )


def comparison_of(each: Comparison) -> str:
    """One line."""
    times = (("CPU", each.cpu), ("overhead p95", each.overhead_p95), ("barge-in p95", each.barge_in_p95))
    said = ", ".join(f"{what} {shown(value)} times" for what, value in times)
    cut_off = "" if each.cut_off is None else f"; cut off {each.cut_off} times"
    return f"{each.system} against {OWN[0].name}, {each.n} calls, {each.rounds} rounds: {said}{cut_off}"


def table_of(records: Sequence[Record]) -> Table:
    """All records."""
    table = Table(
        "system", "calls", "CPU % / call", "MB / call", "overhead p50 / p95 ms", "barge-in p50 / p95 ms", "underruns",
        "loop lag p99 ms", "start blocks ms (CPU; none starts)", "missed", "client / fakes CPU %",
        "client / fakes lag p99 ms", title="capacity of one core",
    )  # fmt: skip
    for record in records:
        table.add_row(
            record.label, str(record.n), f"{record.cpu_percent_per_call:.2f}", f"{record.rss_mb_per_call:.2f}",
            f"{record.overhead_p50_ms} / {record.overhead_p95_ms}",
            f"{record.barge_in_p50_ms} / {record.barge_in_p95_ms}", str(record.underruns),
            f"{record.loop_lag_p99_ms}", record.start_block,
            f"{record.missed_turns} of {record.turns}",
            f"{record.client_cpu_percent:.0f} / {record.vendors_cpu_percent}",
            f"{record.client_lag_p99_ms} / {record.vendors_lag_p99_ms}",
        )  # fmt: skip
    return table


async def run(options: argparse.Namespace, console: Console) -> int:
    """Measure what was asked for, and write it down."""
    chosen = options.systems.split(",") if options.systems else [system.name for system in SYSTEMS]
    unknown = set(chosen) - {system.name for system in SYSTEMS}
    if unknown:
        console.print(
            f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(s.name for s in SYSTEMS)}", style="red"
        )
        return 2
    if options.quick and options.systems and (left := {variant.name for variant in VARIANTS} & set(chosen)):
        console.print(f"a quick run does not measure {', '.join(sorted(left))}: leave out --quick", style="red")
        return 2
    records: list[Record] = []
    missing = 0
    for system in (*OWN, *PEERS):
        if system.name not in chosen:
            continue
        numbers = [int(n) for n in options.calls.split(",")] if options.calls else None
        calls = numbers or (system.quick if options.quick else system.calls)
        try:
            # For peers it takes as long as for us, and a quick run has three minutes.
            spared = options.quick and system is not OWN[0]
            block = None if spared else await longest_block(system, as_wheel=options.wheel)
            records += await measured(system, calls, options, block, console)
        except (ConfigurationError, TransportError) as error:
            console.print(f"{system.name} was not measured: {error}", style="red", markup=False)
            missing += 1
    comparisons: list[Comparison] = []
    variants = [] if options.quick else [variant for variant in VARIANTS if variant.name in chosen]
    if variants:
        write(records, (), compiled=options.wheel)
        of_variants, comparisons = await in_rounds(variants, options, console)
        records += of_variants
        missing += len({variant.name for variant in variants} - {record.system for record in of_variants})
    every, comparisons = write(records, comparisons, compiled=options.wheel)
    if options.wheel and not options.quick:
        beside = {variant.name for variant in VARIANTS}
        draw([record for record in every if record.system not in beside], DOCS)
        write_page(every, [system.name for system in (*OWN, *PEERS)], comparisons, DOCS / "capacity.md")
    console.print(table_of(records))
    tried = [system.name for system in (*OWN, *PEERS) if system.name in chosen]
    console.print("calls that one core holds: " + ", ".join(f"{n} {most_calls(records, n)}" for n in tried))
    for each in comparisons:
        console.print(comparison_of(each), highlight=False)
    return int(missing > 0)


def write(
    records: Sequence[Record], comparisons: Sequence[Comparison], *, compiled: bool
) -> tuple[list[Record], list[Comparison]]:
    """Write the report. Systems that were not measured now keep what was measured of them before; returns it all.

    But for what was measured of us in the other way, as sources or compiled: it could not be compared.
    """
    now = {record.system for record in records}
    peers = {peer.name for peer in PEERS}
    stored = json.loads(REPORT.read_text()) if REPORT.exists() else {"records": [], "compared": []}
    before = [Record(**old) for old in stored["records"] if old["system"] not in now]
    kept = [record for record in before if record.system in peers or record.compiled == compiled]
    every = sorted([*kept, *records], key=lambda record: ([s.name for s in SYSTEMS].index(record.system), record.n))
    held = {record.system for record in kept}
    every_compared = [Comparison(**old) for old in stored.get("compared", ()) if old["system"] in held] + list(
        comparisons
    )
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "records": [record.as_json() for record in every],
        "max_calls": {system.name: most_calls(every, system.name) for system in (*OWN, *PEERS)},
        "compared": [asdict(each) for each in every_compared],
    }
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    return every, every_compared


def main() -> int:
    """Parse, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", help=f"of {','.join(s.name for s in SYSTEMS)}; default: all")
    parser.add_argument("--calls", help="numbers of calls to try, rising, for every system; default: each system's own")
    parser.add_argument("--seconds", type=float, help="length of each measurement")
    parser.add_argument(
        "--quick", action="store_true", help="within three minutes: one number of calls for each, and short"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="how often variants are measured; default: %(default)s"
    )
    parser.add_argument("--wheel", action="store_true", help="of ours, measure what `make wheel` compiled")
    options = parser.parse_args()
    if options.wheel and not is_current():
        print("the compiled wheel is not there, or the sources have changed since: run make wheel", file=sys.stderr)
        return 2
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    try:
        voices(FOLDER)
        console = Console(width=None if sys.stdout.isatty() else 160)
        return asyncio.run(run(options, console))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
