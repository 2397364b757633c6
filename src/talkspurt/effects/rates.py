"""How often tools without an effect run: counted in this process, since nothing is changed when a count is lost.

Effects are counted in the ledger, in the transaction that begins them.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from talkspurt.agent.rates import SECONDS, Rate

SUBJECTS: Final = 10_000
"""Pairs of tool and account (or caller number) that are remembered; the one unused for longest is forgotten."""


class RunCounter:
    """Counts for all calls of a process."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, str], deque[datetime]] = OrderedDict()

    def take(self, tool: str, subject: str, rates: Iterable[Rate], now: datetime) -> bool:
        """Count a run, unless it is one too many for one of the rates per hour or day."""
        limits = [(rate.count, SECONDS[rate.per]) for rate in rates if rate.per != "call"]
        if not limits:
            return True
        runs = self._runs.setdefault((tool, subject), deque())
        self._runs.move_to_end((tool, subject))
        longest = max(seconds for _, seconds in limits)
        while runs and (now - runs[0]).total_seconds() >= longest:
            runs.popleft()
        if any(sum((now - run).total_seconds() < seconds for run in runs) >= count for count, seconds in limits):
            return False
        runs.append(now)
        if len(self._runs) > SUBJECTS:
            self._runs.popitem(last=False)
        return True
