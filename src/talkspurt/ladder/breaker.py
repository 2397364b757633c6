"""A breaker: after some failures in a row its provider is left alone for a while, then asked once to see.

Pure: `now` is any monotonic clock in seconds. One breaker serves all calls of a process, so that what one
call has learnt at the cost of its caller's patience spares all the others.

    Closed ──(failures in a row, or a rejected key)──▶ Open ──(pause over, one asks)──▶ Probing
       ▲                                                ▲                                 │
       └──────────────(the probe succeeds)──────────────┼─────────────────────────────────┤
                                                        └──(it fails, or is given up)─────┘

After each failed probe the pause is twice as long. Source of the pattern: M. Nygard, "Release It!", 2007.
"""

from dataclasses import dataclass
from typing import Final

FAILURES: Final = 3
"""In a row. One failed request in a hundred is everyday life with these vendors, three in a row are not."""
PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 60.0
PROBE_PATIENCE: Final = 15.0
"""Seconds after which a probe that nobody has reported on counts as given up."""


@dataclass(frozen=True, slots=True)
class Closed:
    """All may ask."""

    failures: int = 0
    """In a row."""


@dataclass(frozen=True, slots=True)
class Open:
    """Nobody asks until then."""

    until: float
    pause: float


@dataclass(frozen=True, slots=True)
class Probing:
    """One has been let through, and whether the provider is well again hangs on it."""

    until: float
    pause: float


class Breaker:
    """Between the calls of a process and one provider."""

    def __init__(self, *, failures: int = FAILURES, pause: float = PAUSE, longest_pause: float = LONGEST_PAUSE) -> None:
        """`pause` and `longest_pause` are in seconds."""
        self._failures = failures
        self._pause = pause
        self._longest = longest_pause
        self.state: Closed | Open | Probing = Closed()

    @property
    def closed(self) -> bool:
        """Whether the provider counts as well."""
        return isinstance(self.state, Closed)

    @property
    def doubted(self) -> bool:
        """Whether its last answer was a failure."""
        return self.state != Closed()

    def opens_at(self, now: float) -> float:
        """The moment from which somebody may ask: `now` or earlier when somebody may at once."""
        return now if isinstance(self.state, Closed) else self.state.until

    def enter(self, now: float) -> bool:
        """Ask to ask. Who was let through reports `succeeded`, `failed` or `given_up` once."""
        match self.state:
            case Closed():
                return True
            case Open(until, pause) | Probing(until, pause) if now >= until:
                self.state = Probing(now + PROBE_PATIENCE, pause)
                return True
        return False

    def succeeded(self) -> None:
        """The provider gave something useful."""
        self.state = Closed()

    def failed(self, now: float, *, pause: float | None = None, at_once: bool = False) -> None:
        """It did not. `at_once`: more failures would tell nothing new.

        `pause` is what it asked for (Retry-After): it is left alone so long, at once. Zero asks for nothing.
        """
        match self.state:
            case Closed(failures) if failures + 1 < self._failures and not at_once and not pause:
                self.state = Closed(failures + 1)
            case Closed():
                self.state = self._open(now, self._longest if at_once else pause or self._pause)
            case Probing(pause=last):
                self.state = self._open(now, pause or 2 * last)
            case Open():
                # Of the requests that were under way when it opened: nothing new.
                pass

    def given_up(self, now: float) -> None:
        """Nobody waited for the answer; if it was a probe, the next one may ask."""
        if isinstance(self.state, Probing):
            self.state = Open(now, self.state.pause)

    def _open(self, now: float, pause: float) -> Open:
        pause = min(pause, self._longest)
        return Open(now + pause, pause)
