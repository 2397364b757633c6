"""`python -m benchmarks.faults [PART OF A CASE'S NAME …]`; with `QUICK=1` a few cases."""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Sequence

from benchmarks.faults import outage
from benchmarks.faults.brain import LINES
from benchmarks.faults.call import REPOSITORY, Outcome, place
from benchmarks.faults.cases import Case, all_cases, quick_cases
from benchmarks.faults.report import write
from benchmarks.normalisation.__main__ import measure_all

from talkspurt.errors import TalkspurtError
from talkspurt.simulate.caller import Clip, render
from talkspurt.simulate.lines import Say

AT_ONCE = 3
"""Calls at once, each with a server of its own, on two cores."""
FOLDER = REPOSITORY / "build" / "bench" / "faults"
OUTAGE_CALLS = 100
QUICK_OUTAGE_CALLS = 20


async def run(cases: Sequence[Case]) -> list[Outcome]:
    """Place the calls of all cases; those that cannot even be placed are told of, and raise at the end."""
    clips: list[Clip | None] = await render([Say(line) for line in LINES], "slt")
    waiting, outcomes = list(enumerate(cases)), []

    async def work() -> None:
        while waiting:
            number, case = waiting.pop(0)
            outcome = await place(case, clips, FOLDER / f"{number:02} {case.name}".replace(" ", "_").replace(",", ""))
            outcomes.append(outcome)
            print(
                f"{len(outcomes):>3}/{len(cases)}  {case.name}: silence {outcome.longest_silence:.2f} s, "
                f"{'LOST' if outcome.lost else 'ok'}, sent {outcome.sent}",
                flush=True,
            )

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return outcomes


def main() -> int:
    """Returns 1 when a goal is missed, 2 when nothing could be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("only", nargs="*", help="only cases whose names have one of these parts")
    only = parser.parse_args().only
    quick = os.environ.get("QUICK") == "1"
    cases = quick_cases() if quick else all_cases()
    outages = [how for how in outage.How if not only or any(part in f"all cloud providers {how}" for part in only)]
    cases = [case for case in cases if not only or any(part in case.name for part in only)]
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        outcomes = asyncio.run(run(cases))
    except TalkspurtError as error:
        print(error, file=sys.stderr)
        return 2
    except ExceptionGroup as group:
        meant, unforeseen = group.split(TalkspurtError)
        if meant is None or unforeseen is not None:
            raise
        print("\n".join(str(error) for error in meant.exceptions), file=sys.stderr)
        return 2
    down, failed = [], ""
    try:
        down = outage.run(QUICK_OUTAGE_CALLS if quick else OUTAGE_CALLS, outages)
    except TalkspurtError as error:
        # What half an hour of calls has shown is kept all the same.
        failed = f"all cloud providers down: {error}"
    # A few cases by name are no run: they must not pass for one.
    name = "faults.named.json" if only else "faults.json"
    normalised: float = measure_all()[0]["normalisation_accuracy"]
    return write(outcomes, down, normalised, REPOSITORY / "build" / "bench" / name, failed=failed)


if __name__ == "__main__":
    sys.exit(main())
