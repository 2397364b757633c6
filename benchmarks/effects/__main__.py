"""`python -m benchmarks.effects`: hold the calls and report. `QUICK=1` holds a few hundred, `FRESH=1` starts anew."""

import os
import signal
import sys

from benchmarks.effects.ledger_time import measure
from benchmarks.effects.report import report
from benchmarks.effects.run import hold_calls
from rich.console import Console

from talkspurt.errors import TalkspurtError


def main() -> int:
    """Returns 0 when every goal is met, 1 when calls are missing or nothing could be held, 2 when a goal is missed."""
    console = Console()
    # Told to end, it takes PostgreSQL and the outside system with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        times = measure()
        run = hold_calls(quick=os.environ.get("QUICK") == "1", fresh=os.environ.get("FRESH") == "1")
    except (TalkspurtError, OSError) as error:
        console.print(f"no calls were held: {error}", style="red", markup=False)
        return 1
    return report(run, times, console)


if __name__ == "__main__":
    sys.exit(main())
