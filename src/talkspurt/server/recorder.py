"""What becomes of a call's states and of what it uses: both wait here for the database.

A live call does not wait with them, but for the moment in which it is handed over and, with its tools, for the one in
which somebody else takes its phone. One write goes on at a time, of the states of several calls together if they have
come within a moment. What the database did not take is tried again, so that an outage costs no call the place that it
had come to, nor the count of what it has used.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import structlog

from talkspurt.core.history import Entry
from talkspurt.errors import StoreError
from talkspurt.store.calls import Snapshot
from talkspurt.store.database import ConflictError, HeldError
from talkspurt.store.store import Store
from talkspurt.store.turns import CLOSE_TIMEOUT, GATHERED, RETRY_DELAYS
from talkspurt.telemetry import metrics
from talkspurt.telemetry.usage import Meter

MOST_SNAPSHOTS: Final = 500
"""Calls whose state may wait for the database, those that have ended among them; then the one that waits longest is
forgotten: if it is live, its next turn notes it again."""
MOST_TOGETHER: Final = 20
"""States that one transaction stores; they are encoded without a pause for the other calls, 0.1 ms each."""
FLUSH_TIMEOUT: Final = CLOSE_TIMEOUT
"""Seconds that what waits may take at the end: as the transcript."""
MOST_USAGE: Final = 1000
"""Calls whose usage may wait for the database; then the oldest is forgotten."""
TURNS_PATIENCE: Final = 1.0
"""Seconds that a state waits for its turns before another try."""
USAGE_EVERY: Final = 60.0
"""Seconds after which what a call has used is written: so much a process that is killed takes with it."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _State:
    """Where a call stands, as it waits to be stored."""

    attachment: int
    """Whose it is."""
    turns: int
    """How many turns of all calls have to be stored before it."""
    write: Callable[[], str]
    """What writes it down."""
    urgent: bool
    """Whether it waits for no turns: a caller who is taken for somebody else does more harm than turns out of order."""
    at_once: bool
    """Whether it is written next and by itself: it cannot wait for others, or was not stored with them the last time,
    and they are not to fail with it."""


class Recorder:
    """A `CallRecorder` on the store: turns go through its spool, of a call's snapshots only the latest is written.

    Calls are written in the order in which they began to wait, so that none is passed over while more arrives than can
    be written. It is begun `GATHERED` seconds after the first of them has come, or with one that cannot wait, which
    goes before them. What the database would not take goes on waiting.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, _State] = {}
        """By call, in the order of their turn."""
        self._usage: deque[tuple[str, Meter]] = deque()
        self._arrived = asyncio.Event()
        """Set when what waits is to be written."""
        self._gathering: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        """Held for one write at a time: of two of one call the newer must be the last."""

    def entry(self, call_id: str, entry: Entry, /) -> None:
        """Append it to the spool of the transcript."""
        self._store.turns.append(call_id, entry)

    def snapshot(
        self,
        call_id: str,
        attachment: int,
        write: Callable[[], str],
        /,
        *,
        urgent: bool = False,
        at_once: bool = False,
    ) -> None:
        """Note the state of a call, in the place of one that is not stored yet."""
        if call_id not in self._waiting and len(self._waiting) >= MOST_SNAPSHOTS:
            patient = (waiting for waiting, state in self._waiting.items() if not state.urgent)
            del self._waiting[next(patient, next(iter(self._waiting)))]
            metrics.STORE_FAILURES.labels("snapshot").inc()
        replaced = self._waiting.get(call_id)
        if replaced is not None:
            # What takes the place of a state says what was urgent in it, too.
            urgent, at_once = urgent or replaced.urgent, at_once or replaced.at_once
        at_once = at_once or urgent
        # A call that waits already keeps its place.
        self._waiting[call_id] = _State(attachment, self._store.turns.appended, write, urgent, at_once)
        self._gather(at_once=at_once)

    @contextmanager
    def metering(self, call_id: str, meter: Meter, /) -> Iterator[Callable[[], None]]:
        """Count the seconds on the line, and write what the call uses: now and then, and behind its end.

        Gives what to call when the line is over, if that is sooner.
        """
        loop = asyncio.get_running_loop()
        counted = loop.time()
        writing: asyncio.TimerHandle

        def count_line() -> None:
            nonlocal counted
            now = loop.time()
            meter.add("carrier", "twilio", "seconds", now - counted)
            counted = now

        def line_ends() -> None:
            if count_line in meter.running:
                count_line()
                meter.running.remove(count_line)

        def write() -> None:
            nonlocal writing
            self._note_usage(call_id, meter)
            writing = loop.call_later(USAGE_EVERY, write)

        writing = loop.call_later(USAGE_EVERY, write)
        meter.running.add(count_line)
        try:
            yield line_ends
        finally:
            writing.cancel()
            line_ends()
            # Nobody hangs up later for it.
            self._note_usage(call_id, meter)

    def _note_usage(self, call_id: str, meter: Meter) -> None:
        if len(self._usage) == MOST_USAGE:
            self._usage.popleft()
            metrics.STORE_FAILURES.labels("usage").inc()
        self._usage.append((call_id, meter))
        self._gather()

    def _gather(self, *, at_once: bool = False) -> None:
        """Write what waits once more may have come, or now."""
        if at_once:
            self._arrived.set()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHERED, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._arrived.set()

    async def run(self) -> None:
        """Write until cancelled; while the database takes nothing, now and then."""
        failures = 0
        while True:
            await self._arrived.wait()
            # What comes from here on gathers anew.
            self._arrived.clear()
            if await self._write_waiting(len(self._waiting) + len(self._usage)):
                failures = 0
                continue
            await asyncio.sleep(RETRY_DELAYS[min(failures, len(RETRY_DELAYS) - 1)])
            failures += 1
            self._arrived.set()

    async def flush(self, timeout: float = FLUSH_TIMEOUT) -> None:  # noqa: ASYNC109 - the bound is the point
        """Write what waits, behind what is being written: at the end `run` is cancelled right after this.

        What is not stored after `timeout` seconds is lost, and logged.
        """
        try:
            async with asyncio.timeout(timeout):
                while not await self._write_waiting():  # noqa: ASYNC110 - no event tells that a database is back
                    await asyncio.sleep(RETRY_DELAYS[1])
        except TimeoutError:
            _log.error("not_stored_at_shutdown", snapshots=len(self._waiting), usage=len(self._usage))

    async def _write_waiting(self, most: float = math.inf) -> bool:
        """Write until nothing waits, or so many are written; False as soon as the database does not take something."""
        while most > 0:
            # In each round, for what is not stored yet may be in another's hands.
            async with self._writing:
                calls = self._next()
                if len(calls) > 1:
                    # Of what was not stored each is next by itself, and tells whether the database takes anything.
                    most -= await self._write_together(calls)
                    continue
                error = await self._write_alone(calls[0]) if calls else None
                held = isinstance(error, HeldError)
                if self._usage and (held or not calls):
                    goes_on = await self._write_usage()
                elif calls:
                    goes_on = held or error is None
                else:
                    return True
            if not goes_on:
                return False
            most -= 1
        return True

    def _next(self) -> tuple[str, ...]:
        """The calls whose states are written next: several together, or one by itself; none while usage comes first."""
        at_once = [call_id for call_id, state in self._waiting.items() if state.at_once]
        if at_once:
            return (min(at_once, key=lambda call_id: not self._waiting[call_id].urgent),)
        # Of the two, what more waits of: neither is put off for ever by the other.
        return tuple(islice(self._waiting, MOST_TOGETHER)) if len(self._waiting) >= len(self._usage) else ()

    async def write(self, call_id: str, patience: float, /) -> bool:
        """Store the state of this call, before those that wait; False when the database has not taken it in time.

        In `patience` seconds it is tried again and again; a write that is under way then is awaited.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while True:
            async with self._writing:
                if call_id not in self._waiting or await self._write_alone(call_id) is None:
                    return True
            if loop.time() + RETRY_DELAYS[1] > end:
                return False
            await asyncio.sleep(RETRY_DELAYS[1])

    async def _write_together(self, calls: tuple[str, ...]) -> int:
        """Write the states of several calls in one transaction; returns of how many that is done with."""
        states = {call_id: self._waiting[call_id] for call_id in calls}
        done: frozenset[str] = frozenset()
        try:
            # All of them, since turns are stored in their order.
            turns = max((state.turns for state in states.values() if not state.urgent), default=0)
            if not await self._store.turns.reached(turns, TURNS_PATIENCE):
                raise StoreError("their turns are not stored yet")
            snapshots = [Snapshot(call_id, state.attachment, state.write()) for call_id, state in states.items()]
            done = await self._store.calls.save_snapshots(snapshots)
        except Exception as error:
            # Whose fault it was, if not the database's, each of them shows by itself.
            unforeseen = not isinstance(error, StoreError)
            _log.warning("snapshots_not_stored", call_ids=calls, error=str(error), exc_info=unforeseen)
            metrics.STORE_FAILURES.labels("snapshot").inc(len(calls))
        for call_id, state in states.items():
            # Somebody may have held the row of one for a moment only.
            self._settle(call_id, state, done=call_id in done, at_once=True)
        return len(done)

    async def _write_alone(self, call_id: str) -> StoreError | None:
        """Write the state of one call; returns why it waits on, None when it is done with."""
        state = self._waiting[call_id]
        failure: StoreError | None = None
        try:
            # Whoever takes the call up goes on behind the turns of this state: they have to be there first.
            if not (state.urgent or await self._store.turns.reached(state.turns, TURNS_PATIENCE)):
                raise StoreError("its turns are not stored yet")
            # Encoded only here, for a state may be replaced by a newer one before its turn. What `write` returns is of
            # the moment in which it was noted, and so is the attachment: once a later one owns the call, or it has
            # ended, the store refuses them.
            await self._store.calls.save_snapshot(call_id, attachment=state.attachment, snapshot=state.write())
        except StoreError as error:
            failure = error
            _log.warning("snapshot_not_stored", call_id=call_id, error=str(error))
            metrics.STORE_FAILURES.labels("snapshot").inc()
            # While the database takes others, nothing else would try it again.
            self._gather()
        except Exception:
            # This runs beside the calls in one group: what is wrong with one of them must not end them all.
            _log.exception("snapshot_not_stored", call_id=call_id)
            metrics.STORE_FAILURES.labels("snapshot").inc()
        self._settle(call_id, state, done=failure is None, at_once=False)
        return failure

    def _settle(self, call_id: str, state: _State, *, done: bool, at_once: bool) -> None:
        """Let go of a state that was written; what is not stored, or came meanwhile, waits on."""
        latest = self._waiting.pop(call_id, None)
        if latest is None or (latest is state and done):
            return
        # Behind the others, which wait longer.
        newer = latest is not state and latest.at_once
        self._waiting[call_id] = replace(latest, at_once=newer or (at_once and not done))

    async def _write_usage(self) -> bool:
        call_id, meter = self._usage.popleft()
        try:
            used = meter.unstored()
            await self._store.usage.add(call_id, used)
            meter.stored(used)
        except ConflictError:
            # Of a call that was erased, say: the database will never take it, and nothing is to wait behind it.
            _log.exception("usage_refused", call_id=call_id)
            metrics.STORE_FAILURES.labels("usage").inc()
        except StoreError as error:
            _log.warning("usage_not_stored", call_id=call_id, error=str(error))
            metrics.STORE_FAILURES.labels("usage").inc()
            # Nobody notes it again once its call is over.
            self._usage.append((call_id, meter))
            return False
        except Exception:
            _log.exception("usage_not_stored", call_id=call_id)
            metrics.STORE_FAILURES.labels("usage").inc()
        return True
