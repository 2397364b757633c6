"""How often: requests per address, before anything is believed, and calls per caller's number.

Counted in this process's memory. The workers of one machine tell each other what they count, so that the limits are
the machine's; several machines count apart, which bounds the whole by their number.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import limits
import phonenumbers
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from talkspurt.config import LimitsConfig
from talkspurt.errors import ConfigurationError

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
    ) -> None:
        """`tell` is told what is counted, `shut_out` which address asks for more than its share.

        Raises `ConfigurationError` for a rate not in the notation of `limits`.
        """
        self._limiter: Final = FixedWindowRateLimiter(MemoryStorage())
        self._rates: Final = {
            "request": _rate("limits.requests_per_address", config.requests_per_address),
            "caller": _rate("limits.calls_per_caller", config.calls_per_caller),
        }
        self._tell = tell
        self._shut_out = shut_out
        self._counting: set[asyncio.Task[bool]] = set()

    async def admit_request(self, address: str) -> bool:
        """Count a request; False when this address has had its share."""
        if await self._admit("request", address):
            return True
        self._shut_out(address)
        return False

    async def admit_call(self, caller: str) -> bool:
        """Count a call; False when this number has had its share."""
        try:
            number = phonenumbers.parse(caller, None)
        except phonenumbers.NumberParseException:
            return True
        if not phonenumbers.is_possible_number(number):
            return True
        return await self._admit("caller", caller)

    def count(self, kind: Kind, who: str) -> None:
        """Count what another worker has let in."""
        task = asyncio.get_running_loop().create_task(self._limiter.hit(self._rates[kind], kind, who))
        self._counting.add(task)
        task.add_done_callback(self._counting.discard)

    async def _admit(self, kind: Kind, who: str) -> bool:
        admitted = await self._limiter.hit(self._rates[kind], kind, who)
        if admitted:
            # What is refused is not told: a flood costs the other workers no more than its share.
            self._tell(kind, who)
        return admitted


def _rate(key: str, notation: str) -> limits.RateLimitItem:
    try:
        return limits.parse(notation)
    except ValueError:
        raise ConfigurationError(f"{key}: '{notation}' is not a rate such as 600/minute") from None
