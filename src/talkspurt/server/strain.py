"""Is this worker late? By how late its media clock ticks and how late audio goes out, not by how busy its core is.

A core can be busy with other people's work, and a worker can be late on an idle one; callers feel lateness. Pure: it is
told what was measured (`telemetry.lateness`). The verdict has hysteresis: full above the limits, and open again below
half of them, so that calls are not let in by every second look.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

WINDOW: Final = 20
"""Beats that are looked back on: five seconds (`pulse`)."""
QUANTILE: Final = 0.99
"""One stall, of a call that begins or of the garbage collector, is one late tick in 250, and no reason to refuse
callers."""
RELIEF: Final = 0.5
"""Part of the limits below which a full worker is open again."""


class Strain:
    """What the last seconds were like."""

    def __init__(self, *, lag_limit: float, lateness_limit: float) -> None:
        """Seconds: how late the clock may tick, and audio go out, at p99."""
        self._lag_limit = lag_limit
        self._lateness_limit = lateness_limit
        self._ticks: deque[Sequence[float]] = deque(maxlen=WINDOW)
        self._playouts: deque[Sequence[float]] = deque(maxlen=WINDOW)
        self.lag = 0.0
        """p99 of the seconds by which the clock ticked late."""
        self.lateness = 0.0
        """p99 of the seconds by which audio went out too late."""
        self.full = False
        """Whether new calls should go elsewhere."""

    def note(self, ticks: Sequence[float], playouts: Sequence[float]) -> None:
        """Take what was measured since the last beat."""
        self._ticks.append(ticks)
        self._playouts.append(playouts)
        self.lag = _p99(self._ticks)
        self.lateness = _p99(self._playouts)
        part = RELIEF if self.full else 1.0
        self.full = self.lag > part * self._lag_limit or self.lateness > part * self._lateness_limit


def _p99(beats: deque[Sequence[float]]) -> float:
    values = sorted(value for beat in beats for value in beat)
    return values[min(len(values) - 1, int(QUANTILE * len(values)))] if values else 0.0
