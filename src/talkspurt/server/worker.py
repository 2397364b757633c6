"""What a worker process runs: the server, as one of several on one port."""

import asyncio
import socket
from typing import Final

from talkspurt.server.load_table import LoadTable
from talkspurt.server.orders import Orders
from talkspurt.server.serve import Membership, serve
from talkspurt.server.switchboard import one_of_several

TABLE: Final = "load"
"""The load table's file in the run folder."""


async def work(orders: Orders, stop: asyncio.Event) -> None:
    """Answer calls until `stop` is set."""
    await serve(
        orders.config,
        lambda store: one_of_several(orders.config, store, orders.turns),
        stop=stop,
        membership=membership(orders),
    )


def membership(orders: Orders) -> Membership:
    """A worker's share of what the supervisor has made for all."""
    return Membership(
        index=orders.index,
        listener=socket.socket(fileno=orders.listener),
        folder=orders.folder,
        table=LoadTable.open(orders.folder / TABLE),
    )
