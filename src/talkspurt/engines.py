"""Closing a database engine without leaving behind what is still in use."""

import asyncio
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

PATIENCE = 2.0
"""Seconds that whoever still uses a connection has to give it back."""
_LOOK = 0.01


async def close_engine(engine: AsyncEngine, patience: float = PATIENCE) -> None:
    """Close all connections, once those in use are given back or after `patience` seconds.

    A pool only closes what lies in it: a connection that a cancelled task gives back a moment later would stay open
    for as long as the process lives, with its thread and its locks.
    """
    pool = engine.pool
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while isinstance(pool, QueuePool) and pool.checkedout() > 0:  # noqa: ASYNC110 - pools have nothing to wait for
                await asyncio.sleep(_LOOK)
    await engine.dispose()
