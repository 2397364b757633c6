"""How often: requests per address, before anything is believed, and calls per caller's number.

Counted in this process's memory. Several processes count apart, which bounds the whole by
their number; a shared counter (Redis) can take the storage's place without a change here.
"""

from typing import Final

import limits
import phonenumbers
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from talkspurt.config import LimitsConfig
from talkspurt.errors import ConfigurationError


class RateLimits:
    """The configured limits. A withheld number has no limit of its own: many people share it."""

    def __init__(self, config: LimitsConfig) -> None:
        """Raises `ConfigurationError` for a rate that is not in the notation of `limits`."""
        self._limiter: Final = FixedWindowRateLimiter(MemoryStorage())
        self._per_address = _rate("limits.requests_per_address", config.requests_per_address)
        self._per_caller = _rate("limits.calls_per_caller", config.calls_per_caller)

    async def admit_request(self, address: str) -> bool:
        """Count a request; False when this address has had its share."""
        return await self._limiter.hit(self._per_address, "address", address)

    async def admit_call(self, caller: str) -> bool:
        """Count a call; False when this number has had its share."""
        try:
            number = phonenumbers.parse(caller, None)
        except phonenumbers.NumberParseException:
            return True
        if not phonenumbers.is_possible_number(number):
            return True
        return await self._limiter.hit(self._per_caller, "caller", caller)


def _rate(key: str, notation: str) -> limits.RateLimitItem:
    try:
        return limits.parse(notation)
    except ValueError:
        raise ConfigurationError(f"{key}: '{notation}' is not a rate such as 600/minute") from None
