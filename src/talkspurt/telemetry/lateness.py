"""How late this process is: noted on the frame path for less than a tenth of a microsecond, judged elsewhere.

One per process, as the metrics are: the clock, the calls and who judges them have nothing else in common.
"""

from collections import deque
from typing import Final

KEPT: Final = 1024
"""Values kept when nobody takes them; the oldest are dropped."""


class Lateness:
    """Seconds by which something came too late, in the order in which it came."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=KEPT)
        self.note: Final = self._values.append
        """Note one; 0 for what was in time."""

    def take(self) -> list[float]:
        """What was noted since this was last asked."""
        values = list(self._values)
        self._values.clear()
        return values


TICKS: Final = Lateness()
"""Of the media clock, at every tick."""
PLAYOUTS: Final = Lateness()
"""Of audio that was there in time and went to the carrier after what it had before was played."""
