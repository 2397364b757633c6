"""What the processes of a server run in tests: an echo that says which worker it is, and can be told to hang."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from server.conftest import EchoSession, EchoSwitchboard
from talkspurt.config import Config
from talkspurt.errors import WeightsError
from talkspurt.ports import Call, Transport
from talkspurt.server.orders import Orders
from talkspurt.server.serve import serve
from talkspurt.server.supervisor import Programs, supervise
from talkspurt.server.worker import membership
from talkspurt.store import Store
from talkspurt.telemetry import lateness

HANG, LAG = "9", "8"
"""Keys that make the worker hang, and its clock late."""


class TellingSession(EchoSession):
    def digit_received(self, digit: str, /) -> None:
        if digit == HANG:
            time.sleep(30)
        if digit == LAG:
            for _ in range(100):
                lateness.TICKS.note(1.0)
        super().digit_received(digit)


class TellingSwitchboard(EchoSwitchboard):
    """Says at the beginning of every attachment, as a mark, which worker has it."""

    session = TellingSession

    def __init__(self, index: int) -> None:
        super().__init__()
        self._index = index

    def greet(self, call: Call, transport: Transport) -> None:
        transport.send_mark(f"worker-{self._index}")


async def echo(orders: Orders, stop: asyncio.Event) -> None:
    """A worker."""

    @asynccontextmanager
    async def opened(_store: Store) -> AsyncIterator[EchoSwitchboard]:
        yield TellingSwitchboard(orders.index)

    await serve(orders.config, opened, stop=stop, membership=membership(orders))


async def job(orders: Orders, stop: asyncio.Event) -> None:
    """The jobs: leaves a line behind at every start."""
    with (Path(orders.config.store.url.removeprefix("sqlite+aiosqlite:///")).parent / "jobs").open("a") as file:
        file.write("started\n")
    await stop.wait()


async def without_weights(orders: Orders, stop: asyncio.Event) -> None:
    """A process that cannot start."""
    raise WeightsError("run: talkspurt models pull")


if __name__ == "__main__":
    given = Config.model_validate(json.loads(sys.argv[1]))
    asyncio.run(supervise(given, programs=Programs("server.worker_programs:echo", None)))
