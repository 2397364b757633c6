"""How often: requests per address, before anything is believed, and calls per caller's number.

Counted in this process's memory, in windows that begin with the first count and end by the monotonic clock. The
workers of one machine tell each other what they count, so that the limits are the machine's; several machines count
apart, which bounds the whole by their number. Why not a library: docs/adr/0017.

The carrier asks for thousands of calls from a few addresses, so what it has signed does not count. That is known only
when a request has been read and checked, so it counts until then; and an address from which the carrier has spoken
lately is heard although strangers there have used up its share.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from talkspurt.config import LimitsConfig
from talkspurt.errors import ConfigurationError
from talkspurt.server.addresses import network_of

MOST_COUNTED: Final = 4096
"""Addresses, or numbers, that are counted at once; the oldest are forgotten. Who has more is no one stranger."""

CARRIERS_FOR: Final = 600.0
"""Seconds for which an address is the carrier's after it has signed something."""

Kind = Literal["request", "caller", "carrier"]
"""What the workers tell each other: an address and a caller's number were counted, an address is the carrier's."""
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
        self._requests: Final = _Windows(_rate("limits.requests_per_address", config.requests_per_address), now)
        self._calls: Final = _Windows(_rate("limits.calls_per_caller", config.calls_per_caller), now)
        self._carriers: Final = _Carriers(now)
        self._tell = tell
        self._shut_out = shut_out

    def admit_request(self, address: str) -> bool:
        """Count a request that nobody signs; False when this address has had its share."""
        visit = self.visit(address, signed=False)
        if visit is not None:
            visit.is_strangers()
        return visit is not None

    def visit(self, address: str, *, signed: bool) -> "Visit | None":
        """Let a request in, to see whose it is; None when this address has had its share.

        `signed` says whether there is any signature. The visit must be told what came of it.
        """
        network = network_of(address)
        if signed and network in self._carriers:
            return Visit(self, network, counted=False)
        if self._requests.count(network):
            return Visit(self, network, counted=True)
        if network not in self._carriers:
            self._shut_out(address)
        return None

    def admit_call(self, caller: str) -> bool:
        """Count a call; False when this number has had its share. "" is a withheld one."""
        if not caller:
            return True
        admitted = self._calls.count(caller)
        if admitted:
            # What is refused is not told: a flood costs the other workers no more than its share.
            self._tell("caller", caller)
        return admitted

    def count(self, kind: Kind, who: str) -> None:
        """Take in what another worker tells."""
        match kind:
            case "request":
                self._requests.count(who)
            case "caller":
                self._calls.count(who)
            case "carrier":
                self._carriers.add(who)

    def settle(self, network: str, *, counted: bool, carriers: bool) -> None:
        """A visit is over, which was `counted` or not."""
        if not carriers:
            if counted or self._requests.count(network):
                self._tell("request", network)
            return
        if counted:
            self._requests.give_back(network)
        if self._carriers.add(network):
            self._tell("carrier", network)


class Visit:
    """A request that was let in, until it is known whose it is."""

    def __init__(self, limits: RateLimits, network: str, *, counted: bool) -> None:
        self._limits = limits
        self._network = network
        self._counted = counted

    def is_carriers(self) -> None:
        """Its signature is right: it does not count."""
        self._limits.settle(self._network, counted=self._counted, carriers=True)

    def is_strangers(self) -> None:
        """It has no signature, a wrong one, or was not read to its end."""
        self._limits.settle(self._network, counted=self._counted, carriers=False)


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

    def give_back(self, who: str) -> None:
        """One of those counted is not to count."""
        window = self._windows.get(who)
        if window is not None and window.counted:
            window.counted -= 1

    def _begin(self, who: str, now: float) -> _Window:
        self._windows.pop(who, None)
        window = self._windows[who] = _Window(now + self._rate.seconds)
        if len(self._windows) > MOST_COUNTED:
            del self._windows[next(iter(self._windows))]
        return window


class _Carriers:
    """The addresses from which the carrier has spoken lately. Only who signs gets here, so they are few."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def __contains__(self, network: str) -> bool:
        return self._until.get(network, 0.0) > self._now()

    def add(self, network: str) -> bool:
        """Know an address from now on; whether that is worth telling, as it was not known for long any more."""
        now = self._now()
        if self._until.get(network, 0.0) > now + CARRIERS_FOR / 2:
            return False
        self._until.pop(network, None)
        self._until[network] = now + CARRIERS_FOR
        if len(self._until) > MOST_COUNTED:
            del self._until[next(iter(self._until))]
        return True


_NOTATION: Final = re.compile(r"(\d+)\s*(?:/|\sper\s)\s*(\d+)?\s*(second|minute|hour|day)s?", re.IGNORECASE)
_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}


def _rate(key: str, notation: str) -> _Rate:
    parts = _NOTATION.fullmatch(notation.strip())
    most, units = (int(parts[1]), int(parts[2] or 1)) if parts else (0, 0)
    if parts is None or most < 1 or units < 1:
        raise ConfigurationError(f"{key}: '{notation}' is not a rate such as 600/minute or 20/5 minutes")
    return _Rate(most, units * _SECONDS[parts[3].lower()])
