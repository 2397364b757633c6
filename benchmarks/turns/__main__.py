"""`python -m benchmarks.turns`: place the calls. `QUICK=1` places a few of each row, `FRESH=1` starts anew.

`ONLY="distraction entity"` places calls of these kinds only (a scenario's name without its number); all others that
this code has not placed are missing then, which the report says.
"""

import os
import sys

from benchmarks.turns.run import place_calls

from talkspurt.errors import TalkspurtError


def main() -> int:
    """Returns 1 when a call is missing, for a figure counts only from a run with nothing left out; 2 without a run."""
    try:
        run = place_calls(
            quick=os.environ.get("QUICK") == "1",
            fresh=os.environ.get("FRESH") == "1",
            only=os.environ.get("ONLY", "").split(),
        )
    except (TalkspurtError, RuntimeError) as error:
        print(f"no calls were placed: {error}", file=sys.stderr)
        return 2
    return 1 if run.failed or run.missing else 0


if __name__ == "__main__":
    sys.exit(main())
