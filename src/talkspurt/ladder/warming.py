"""Warming all rungs of a ladder, keeping the first connected, closing all.

A vendor's outage at the start of a server stops it no more than one in a call does; an operator's mistake does.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Final

from talkspurt import ports
from talkspurt.errors import ProviderError
from talkspurt.ladder.rung import Rung
from talkspurt.ladder.streams import provider_error

WARMING: Final = 10.0
"""Seconds for a vendor in the cloud to be warmed, or its patience if that is longer. Models of our own are loaded, and
need what they need."""


async def warm_up(rungs: Sequence[Rung[Any]]) -> None:
    """Warm all at once. Whoever fails is left alone, of which its rung tells.

    Raises what no other rung should hide, such as missing weights; and a `ProviderError` when no rung is left that
    asking again could help, such as when all keys are rejected.
    """
    outcomes = await asyncio.gather(*map(warm, rungs), return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, ProviderError)]
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ProviderError):
            raise outcome
    if len(failures) == len(rungs) and not any(failure.retryable for failure in failures):
        raise failures[0]


async def warm(rung: Rung[Any]) -> ProviderError | None:
    """Warm one; returns why it could not be, and then leaves it alone. Raises what is no provider's failure."""
    try:
        async with asyncio.timeout(None if rung.local else max(WARMING, rung.patience.first)):
            await rung.provider.warm_up()
    except (ProviderError, TimeoutError) as raised:
        error = provider_error(rung, raised)
        rung.failed(error, at_once=True)
        return error
    return None


async def keep_connected(rungs: Sequence[Rung[Any]]) -> None:
    """Have a connection open of the first that is not left alone, if it has any. Raises nothing."""
    first = next((rung for rung in rungs if rung.breaker.closed), rungs[0]).provider
    await ports.keep_connected(first)


async def close_all(rungs: Sequence[Rung[Any]]) -> None:
    """Close all, whatever one of them does. Raises what the first one raised."""
    await all_of(rung.provider.aclose() for rung in rungs)


async def all_of(works: Iterable[Awaitable[None]]) -> None:
    """Do all at once, to their ends, whatever one of them does. Raises what the first one raised."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
