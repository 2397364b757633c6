"""The heartbeat of a worker: four times a second it says how it is doing; when it can no longer say so, it is ended.

What ends a worker that hangs is a thread of C (`faulthandler`) that needs neither the event loop nor the interpreter
lock: it writes down where every thread is, and exits. The supervisor, which reads the beats, ends one that is stopped
altogether.
"""

import asyncio
import faulthandler
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from talkspurt.config import ServerConfig
from talkspurt.server.fleet import Fleet
from talkspurt.server.load_table import State
from talkspurt.server.strain import Strain
from talkspurt.telemetry import lateness, metrics

BEAT: Final = 0.25
"""Seconds between two beats."""


@asynccontextmanager
async def beating(fleet: Fleet, config: ServerConfig) -> AsyncIterator[None]:
    """Beat until the block ends."""
    task = asyncio.create_task(_beat(fleet, config), name="pulse")
    try:
        yield
    finally:
        task.cancel()
        faulthandler.cancel_dump_traceback_later()


async def _beat(fleet: Fleet, config: ServerConfig) -> None:
    strain = Strain(lag_limit=config.lag_limit, lateness_limit=config.lateness_limit)
    while True:
        strain.note(lateness.TICKS.take(), lateness.PLAYOUTS.take())
        metrics.LOOP_LAG.set(strain.lag)
        metrics.PLAYOUT_LATENESS.set(strain.lateness)
        fleet.beat(strain)
        # Not while warming up, when models and libraries are loaded: nobody's call waits for that. And not in a server
        # that is a single process, where nobody would take its calls.
        if fleet.has_others and fleet.state is not State.WARMING:
            faulthandler.dump_traceback_later(config.stall_limit, exit=True)
        await asyncio.sleep(BEAT)
