"""`python -m benchmarks.mutants`: try a sample of faults in the core, and say how many its tests noticed.

Writes `build/bench/mutants.json` after every trial and takes the run up again from there. A kill holds as long as the
module is the same; a survivor is tried again when a test has changed.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
from typing import Final

from benchmarks.mutants.results import Results, sample, summarise, survivors, table
from benchmarks.mutants.trial import ROOT, Mutant, Workspace, attempt, be_idle, begin

BUILD: Final = ROOT / "build"


def main() -> int:
    """Returns 1 when a mutant of the sample was not tried."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--number", type=int, default=60 if os.environ.get("QUICK") == "1" else 400)
    parser.add_argument("--seed", default="1", help="another seed draws another sample")
    parser.add_argument("--module", action="append", default=[], help="only this module; may be given again")
    parser.add_argument("--properties", action="store_true", help="run only the property tests of whole calls")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only print what is known")
    asked = parser.parse_args()
    name = "mutants-properties" if asked.properties else "mutants"
    results = Results(BUILD / f"bench/{name}.json", fresh=os.environ.get("FRESH") == "1")
    chosen = sample(asked.number, asked.seed, asked.module)
    waiting = [mutant for mutant in chosen if results.known(mutant) is None]
    if waiting and not asked.report:
        be_idle()
        try:
            _try_all(waiting, chosen, results, asked)
        except KeyboardInterrupt:
            print("broken off: the next run goes on from here", file=sys.stderr)
    summary = summarise(results, chosen)
    print(f"{table(summary)}\n\nsurvivors:\n{survivors(results, chosen)}")
    return 1 if summary["missing"] else 0


def _try_all(waiting: list[Mutant], chosen: list[Mutant], results: Results, asked: argparse.Namespace) -> None:
    folder = BUILD / "mutants"
    folder.mkdir(parents=True, exist_ok=True)
    mine = folder / str(os.getpid())
    context = multiprocessing.get_context("fork")
    try:
        seconds = Workspace(mine / "clean", properties=asked.properties).settle()
        print(f"the tests take {seconds:.0f} s; {len(waiting)} of {len(chosen)} mutants to try", file=sys.stderr)
        with context.Pool(asked.workers, lambda: begin(mine, seconds, properties=asked.properties)) as pool:
            for done, trial in enumerate(pool.imap_unordered(attempt, waiting), start=1):
                results.add(trial)
                results.write(summarise(results, chosen))
                shown = f"{trial.outcome:8} {trial.seconds:5.1f} s  {trial.mutant.key} {trial.test}"
                print(f"{done}/{len(waiting)} {shown}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(mine, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
