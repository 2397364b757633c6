"""What a process and its children use, from /proc."""

import os
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its descendants, ended ones of which somebody took leave too.

    Linux counts it exactly but shows it in ticks of 10 ms, which a window of seconds does not notice.
    """
    return sum(_cpu_of(each) for each in descendants(pid))


def resident_mb(pid: int) -> float:
    """Memory that the process and its descendants hold now; what they share counts for each."""
    total = 0
    for each in descendants(pid):
        for line in (Path("/proc") / str(each) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


def descendants(pid: int) -> list[int]:
    """The process and all that it started, directly or not."""
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        for children in (Path("/proc") / str(each) / "task").glob("*/children"):
            waiting += [int(child) for child in children.read_text().split()]
    return found


def _cpu_of(pid: int) -> float:
    # The name may hold spaces and brackets; the fields are counted from behind it.
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_SECOND
