"""Closing a database engine without leaving behind what is still in use."""

import asyncio
from contextlib import suppress
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

PATIENCE: Final = 2.0
"""Seconds that whoever still uses a connection has to give it back."""
_LOOK: Final = 0.01


async def close_engine(engine: AsyncEngine) -> None:
    """Close all connections, once those in use are given back or after `PATIENCE` seconds.

    A pool only closes what lies in it: a connection that a cancelled task gives back a moment later would stay open
    for as long as the process lives, with its thread and its locks.
    """
    pool = engine.pool
    if isinstance(pool, QueuePool):
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while pool.checkedout() > 0:  # noqa: ASYNC110 - pools have nothing to wait for
                    await asyncio.sleep(_LOOK)
    await engine.dispose()
