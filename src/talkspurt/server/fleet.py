"""The workers of this machine, as one of them sees them: which one a caller is told to connect to.

Every worker decides alone, from the load table. Between two beats of the others' slots it knows one thing more: the
places that it has given out itself, which it writes into its own slot at once. A place is a caller on the way to a
worker; it is over when some worker has him, or after `PLACE_HELD`.

Two workers that give the last place away in the same moment exceed `max_calls` by one. A lock between them would let
one that hangs stop the others.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal, NamedTuple, Protocol, Self

from talkspurt.server.load_table import Load, LoadTable, State
from talkspurt.server.strain import Strain

PLACE_HELD: Final = 60.0
"""Seconds that an admitted call may take to connect its socket: as long as its token lives."""

FEW: Final = 5
"""Calls of one worker that are not what makes it late: with fewer it is somebody else who keeps the core busy, whom
refusing callers does not drive away."""

Refusal = Literal["no_place", "overload"]
"""Why a call gets no place: all are taken or none are given, or those who have one left are late already."""


class _Place(NamedTuple):
    worker: int
    until: float


class Post(Protocol):
    """How the other workers are told something."""

    def tell(self, kind: Literal["arrived", "hang_up"], text: str, /) -> None:
        """Tell all of them, as far as they can be told."""


class Fleet:
    """Number `index` of the workers in `table`."""

    def __init__(
        self,
        table: LoadTable,
        index: int,
        *,
        max_calls: int,
        post: Post | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_calls` is for all workers together; without a `post` nobody else is told anything."""
        self._table = table
        self.index: Final = index
        self._max_calls = max_calls
        self._post = post
        self._now = now
        self._places: dict[str, _Place] = {}
        """Carrier ids of the calls that were told to connect, as far as nobody has them yet."""
        self._load = Load(State.WARMING, now(), given=(0,) * table.workers)
        self._publish()

    @classmethod
    def alone(cls, *, max_calls: int) -> Self:
        """The one worker of a server that is a single process."""
        return cls(LoadTable.alone(), 0, max_calls=max_calls)

    @property
    def has_others(self) -> bool:
        """Whether there are other workers."""
        return self._table.workers > 1

    @property
    def state(self) -> State:
        """What this worker is about."""
        return self._load.state

    @property
    def started(self) -> bool:
        """Whether all workers have been warm once."""
        return self._table.started if self.has_others else self.state is not State.WARMING

    @property
    def takes_sockets(self) -> bool:
        """Whether any worker can be connected to."""
        now = self._now()
        return any(_keeps_calls(load, now) for load in self.loads())

    def loads(self) -> list[Load]:
        """What every worker says of itself, by its number."""
        loads = self._table.read_all()
        # Who asks is alive, whenever it last said so.
        loads[self.index] = replace(self._load, heartbeat=self._now())
        return loads

    # ── this worker ───────────────────────────────────────────────────────────────

    def become(self, state: State) -> None:
        """Say what this worker is about."""
        self._load = replace(self._load, state=state)
        self._publish()

    def hold(self, calls: int) -> None:
        """Say how many calls this worker has."""
        self._load = replace(self._load, calls=calls)
        self._publish()

    def beat(self, strain: Strain) -> None:
        """Say that this worker is alive, and how it is doing."""
        self._expire()
        full = strain.full and self._load.calls >= FEW
        self._load = replace(self._load, lag=strain.lag, lateness=strain.lateness, full=full)
        self._publish()

    # ── callers on their way ──────────────────────────────────────────────────────

    def admit(self, carrier_call_id: str) -> Refusal | None:
        """Give a new call a place at the worker that has the fewest, and keep it for a while."""
        self._expire()
        if carrier_call_id in self._places:
            return None
        now = self._now()
        loads = self.loads()
        ready = [worker for worker, load in enumerate(loads) if _takes_calls(load, now)]
        taken = sum(load.calls + sum(load.given) for load in loads if load.state is not State.ABSENT)
        if not ready or taken >= self._max_calls:
            return "no_place"
        roomy = [worker for worker in ready if not loads[worker].full]
        if not roomy:
            return "overload"
        self._give(carrier_call_id, self._least_loaded(roomy, loads))
        return None

    def dismiss(self, carrier_call_id: str) -> None:
        """Give the place of a call that will not come to another. Idempotent."""
        if self._places.pop(carrier_call_id, None) is not None:
            self._count_places()

    def route(self, carrier_call_id: str, named: int | None = None) -> int:
        """The worker that an admitted call, or one that comes back from worker `named`, is to connect to.

        A call that comes back is never refused: where nobody has room, it goes to whoever answers its webhook.
        """
        place = self._places.get(carrier_call_id)
        if place is not None:
            return place.worker
        now = self._now()
        loads = self.loads()
        if named is not None and named < len(loads) and _keeps_calls(loads[named], now):
            # The call's session may still be waiting for it there.
            return named
        ready = [worker for worker, load in enumerate(loads) if _takes_calls(load, now)]
        roomy = [worker for worker in ready if not loads[worker].full]
        worker = self._least_loaded(roomy or ready or [self.index], loads)
        # All calls of a worker that died come back at once: each one counts before the next is placed.
        self._give(carrier_call_id, worker)
        return worker

    def destination(self, named: int | None) -> int:
        """Where a socket goes that has reached this worker and names another, or none: where it can be taken."""
        loads = self.loads()
        now = self._now()
        if named is not None and named < len(loads) and _keeps_calls(loads[named], now):
            return named
        if _keeps_calls(loads[self.index], now):
            return self.index
        ready = [worker for worker, load in enumerate(loads) if _takes_calls(load, now)]
        return self._least_loaded(ready or [self.index], loads)

    def arrived(self, carrier_call_id: str) -> None:
        """A call has connected to this worker: whoever gave it its place need not keep it any longer."""
        self.dismiss(carrier_call_id)
        if self._post is not None:
            self._post.tell("arrived", carrier_call_id)

    def over(self, carrier_call_id: str) -> None:
        """The carrier says that a call is over: whoever has it, or keeps a place for it, should know."""
        if self._post is not None:
            self._post.tell("hang_up", carrier_call_id)

    # ── inside ────────────────────────────────────────────────────────────────────

    def _least_loaded(self, workers: list[int], loads: list[Load]) -> int:
        def burden(worker: int) -> tuple[int, bool]:
            coming = sum(load.places_given_at(worker) for load in loads if load.state is not State.ABSENT)
            # Among equals this worker itself: its socket need not be passed on.
            return loads[worker].calls + coming, worker != self.index

        return min(workers, key=burden)

    def _give(self, carrier_call_id: str, worker: int) -> None:
        self._places[carrier_call_id] = _Place(worker, self._now() + PLACE_HELD)
        self._count_places()

    def _expire(self) -> None:
        now = self._now()
        expired = [sid for sid, place in self._places.items() if place.until <= now]
        for sid in expired:
            del self._places[sid]
        if expired:
            self._count_places()

    def _count_places(self) -> None:
        given = [0] * self._table.workers
        for place in self._places.values():
            given[place.worker] += 1
        self._load = replace(self._load, given=tuple(given))
        self._publish()

    def _publish(self) -> None:
        self._load = replace(self._load, heartbeat=self._now())
        self._table.write(self.index, self._load)


def _takes_calls(load: Load, now: float) -> bool:
    return load.state is State.READY and load.fresh(now)


def _keeps_calls(load: Load, now: float) -> bool:
    return load.state in (State.READY, State.DRAINING) and load.fresh(now)
