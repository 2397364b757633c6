"""Warming all rungs of a ladder, keeping the first connected, closing all."""

import asyncio
from collections.abc import Sequence
from typing import Any

from talkspurt import ports
from talkspurt.errors import ProviderError
from talkspurt.ladder.rung import Rung


async def warm_up(rungs: Sequence[Rung[Any]]) -> None:
    """Warm all at once. One that fails is left alone, of which its rung tells; raises its error when none is left."""
    outcomes = await asyncio.gather(*(rung.provider.warm_up() for rung in rungs), return_exceptions=True)
    failures = []
    for rung, outcome in zip(rungs, outcomes, strict=True):
        if isinstance(outcome, ProviderError):
            rung.failed(outcome, at_once=True)
            failures.append(outcome)
        elif isinstance(outcome, BaseException):
            # Missing weights, a wrong setting: an operator's mistake, which no other rung should hide.
            raise outcome
    if len(failures) == len(rungs):
        raise failures[0]


async def keep_connected(rungs: Sequence[Rung[Any]]) -> None:
    """Have a connection open of the first that is not left alone, if it has any. Raises nothing."""
    first = next((rung for rung in rungs if rung.breaker.closed), rungs[0]).provider
    await ports.keep_connected(first)


async def close_all(rungs: Sequence[Rung[Any]]) -> None:
    """Close all, whatever one of them does. Raises what the first one raised."""
    outcomes = await asyncio.gather(*(rung.provider.aclose() for rung in rungs), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
