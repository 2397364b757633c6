"""Points at which a process may die or a commit may fail: around every step of the ledger, from outside.

The product knows nothing of this: the ledger is wrapped, and the tools of the benchmark say where they are.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

from benchmarks.effects.log import CallLog
from benchmarks.effects.model import subject_of

from talkspurt.errors import StoreError
from talkspurt.ports import EffectRecord
from talkspurt.testing.virtual_time import VirtualTimeLoop

SLOW: Final = 8.0
"""Seconds that a commit hangs: longer than the dispatcher waits."""

Reach = Callable[[str], None]


def nowhere(_point: str) -> None:
    """No point is special."""


async def calm() -> None:
    """Wait until no database is at work for this call: a process that sleeps from here on holds no lock."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        await loop.until_idle()


class StopAt:
    """Stops the process at a point: it says so to its parent, and then does nothing more, whatever it was doing."""

    def __init__(self, points: Sequence[str], parent: Connection, on_woken: Callable[[], None]) -> None:
        """`points` are stopped at in this order, each once; `on_woken` is called when the parent lets it go on."""
        self._left = list(points)
        self._parent = parent
        self._on_woken = on_woken

    def __call__(self, point: str) -> None:
        """Go on, unless this is the next of the points."""
        if self._left and point == self._left[0]:
            del self._left[0]
            self._parent.send(point)
            # Most are killed while they wait here.
            self._parent.recv()
            self._on_woken()


class WatchedLedger:
    """A ledger with fault points before and after each of its steps, and with a database that fails now and then.

    What a sweeper claims by it is noted in the call's log.
    """

    def __init__(self, ledger: Any, log: CallLog, reach: Reach, chance: Random, trouble: float) -> None:
        self._ledger = ledger
        self._log = log
        self._reach = reach
        self._chance = chance
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._ledger, name)
        if name == "ledger":
            return lambda *call: WatchedLedger(step(*call), self._log, self._reach, self._chance, self._trouble)
        if not inspect.iscoroutinefunction(step):
            return step

        @wraps(step)
        async def watched(*arguments: Any, **options: Any) -> Any:
            trouble = self._chance.choice(("lost", "unacknowledged", "slow")) if self._is_troubled() else ""
            await calm()
            self._reach(f"before {name}")
            if trouble == "lost":
                raise StoreError("told to fail")
            if trouble == "slow":
                await asyncio.sleep(SLOW)
            result = await step(*arguments, **options)
            if name == "claim":
                self._note(result)
            await calm()
            self._reach(f"after {name}")
            if trouble == "unacknowledged":
                raise StoreError("told to fail after the commit")
            return result

        return watched

    def _note(self, claimed: Sequence[EffectRecord]) -> None:
        for record in claimed:
            if record.state == "executing":
                subject = subject_of(record.arguments)
                self._log.add("claimed", tool=record.tool, subject=subject, key=record.key or "")

    def _is_troubled(self) -> bool:
        return self._trouble > 0 and self._chance.random() < self._trouble
