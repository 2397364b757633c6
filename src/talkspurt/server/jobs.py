"""What the jobs process runs: everything that happens beside calls, exactly once per machine and on no media loop.

At present that is the sweeper, which finds out what came of effects that nobody finished.
"""

import asyncio
import signal

import structlog

from talkspurt.server.descriptors import take_descriptors
from talkspurt.server.exposition import show_metrics
from talkspurt.server.orders import Orders
from talkspurt.server.staff import Staff, sweeping
from talkspurt.store import Store

log = structlog.get_logger(__name__)


async def work(orders: Orders, stop: asyncio.Event) -> None:
    """Do the jobs until `stop` is set, or SIGTERM comes."""
    take_descriptors()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = await Store.open(orders.config.store.url)
    try:
        showing = await show_metrics(orders.folder, orders.name)
        async with Staff.open(orders.config, orders.turns) as staff, sweeping(staff, store):
            log.info("jobs_running")
            await stop.wait()
        showing.close()
    finally:
        await store.aclose()
