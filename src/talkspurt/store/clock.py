"""The time that records carry."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is, in UTC with its zone; tests give one that they move themselves."""


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)
