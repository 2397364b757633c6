"""How often: requests per address, before anything is believed, and calls per caller's number.

Counted in this process's memory, in windows that begin with the first count and end by the monotonic clock. The
workers of one machine tell each other what they count, so that the limits are the machine's; several machines count
apart, which bounds the whole by their number. Why not a library: docs/adr/0017.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import phonenumbers

from talkspurt.config import LimitsConfig
from talkspurt.errors import ConfigurationError
from talkspurt.server.addresses import network_of

MOST_COUNTED: Final = 4096
"""Addresses, or numbers, that are counted at once; the oldest are forgotten. Who has more is no one stranger."""

Kind = Literal["request", "caller"]
Tell = Callable[[Kind, str], None]


class RateLimits:
    """The configured limits. A withheld number has no limit of its own: many people share it."""

    def __init__(
        self,
        config: LimitsConfig,
        *,
        tell: Tell = lambda _kind, _who: None,
        shut_out: Callable[[str], None] = lambda _address: None,
        now: Callable[[], float] | None = None,
    ) -> None:
        """`tell` is told what is counted, `shut_out` which address asks for more than its share.

        `now` is a monotonic clock in seconds; default: the running loop's. Raises `ConfigurationError` for a rate that
        is none.
        """
        now = now or asyncio.get_running_loop().time
        self._windows: Final = {
            "request": _Windows(_rate("limits.requests_per_address", config.requests_per_address), now),
            "caller": _Windows(_rate("limits.calls_per_caller", config.calls_per_caller), now),
        }
        self._tell = tell
        self._shut_out = shut_out

    def admit_request(self, address: str) -> bool:
        """Count a request; False when this address has had its share."""
        if self._admit("request", network_of(address)):
            return True
        self._shut_out(address)
        return False

    def admit_call(self, caller: str) -> bool:
        """Count a call; False when this number has had its share."""
        try:
            number = phonenumbers.parse(caller, None)
        except phonenumbers.NumberParseException:
            return True
        if not phonenumbers.is_possible_number(number):
            return True
        return self._admit("caller", caller)

    def count(self, kind: Kind, who: str) -> None:
        """Count what another worker has let in."""
        self._windows[kind].count(who)

    def _admit(self, kind: Kind, who: str) -> bool:
        admitted = self._windows[kind].count(who)
        if admitted:
            # What is refused is not told: a flood costs the other workers no more than its share.
            self._tell(kind, who)
        return admitted


class _Rate(NamedTuple):
    most: int
    seconds: float


@dataclass(slots=True)
class _Window:
    until: float
    counted: int = 0


class _Windows:
    """One fixed window for each of those who are counted. Nothing here grows with the time or with the strangers."""

    def __init__(self, rate: _Rate, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._windows: dict[str, _Window] = {}
        """All last equally long, so the first to begin are the first to end."""

    def count(self, who: str) -> bool:
        """Count one more; False, and not counted, when there were as many as may be."""
        window = self._windows.get(who)
        now = self._now()
        if window is None or window.until <= now:
            window = self._begin(who, now)
        if window.counted >= self._rate.most:
            return False
        window.counted += 1
        return True

    def _begin(self, who: str, now: float) -> _Window:
        self._windows.pop(who, None)
        window = self._windows[who] = _Window(now + self._rate.seconds)
        if len(self._windows) > MOST_COUNTED:
            del self._windows[next(iter(self._windows))]
        return window


_NOTATION: Final = re.compile(r"(\d+)\s*(?:/|\sper\s)\s*(\d+)?\s*(second|minute|hour|day)s?", re.IGNORECASE)
_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}


def _rate(key: str, notation: str) -> _Rate:
    parts = _NOTATION.fullmatch(notation.strip())
    most, units = (int(parts[1]), int(parts[2] or 1)) if parts else (0, 0)
    if parts is None or most < 1 or units < 1:
        raise ConfigurationError(f"{key}: '{notation}' is not a rate such as 600/minute or 20/5 minutes")
    return _Rate(most, units * _SECONDS[parts[3].lower()])
