"""The transcript: what was said and done in a call, in order.

`append` returns at once and never fails: a live call does not wait for its database. Turns wait
in a bounded spool and one task writes them in order, again and again while the database is away: a moment after the
first of them has come, so that those of several calls share a transaction, or as soon as somebody waits for them.
When the spool is full the newest turn is dropped and counted: what is kept then has no holes.
A turn has its identity from `append` on, so writing it again after a doubtful commit is harmless.
"""

import asyncio
import contextlib
import json
import uuid
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Insert, Row, bindparam, exists, func, insert, select

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import StoreError
from talkspurt.store.clock import Clock
from talkspurt.store.database import ConflictError, Database
from talkspurt.store.tables import turns
from talkspurt.telemetry import metrics

log = structlog.get_logger(__name__)

CAPACITY: Final = 10_000
"""Turns that may wait: a hundred calls through some ten minutes without a database."""
BATCH: Final = 200
GATHERED: Final = 0.1
"""Seconds that a turn or the state of a call waits for those of other calls, to share a transaction with them: its
beginning and its end are most of what it costs. A process that is killed takes so much with it."""
RETRY_DELAYS: Final = (0.1, 0.5, 2.0, 5.0)
"""Seconds before each further attempt; the last is repeated."""
CLOSE_TIMEOUT: Final = 5.0

_KINDS: Final[dict[str, type[Entry]]] = {
    "caller_said": CallerSaid,
    "agent_said": AgentSaid,
    "tool_called": ToolCalled,
    "tool_answered": ToolAnswered,
}
_NAMES: Final = {entry: name for name, entry in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Turn:
    """One stored entry; `n` counts from 1 within the call."""

    call_id: str
    n: int
    entry: Entry
    at: datetime


@dataclass(frozen=True, slots=True)
class _Waiting:
    id: str
    call_id: str
    kind: str
    content: str
    at: datetime


class TurnLog:
    """The turns table, behind a spool."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        capacity: int = CAPACITY,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._capacity = capacity
        self._retry_delays = retry_delays
        self.appended = 0
        """How many turns were ever appended; `reached` tells when they are stored."""
        self._spool: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        """Set when what waits is to be written."""
        self._gathering: asyncio.TimerHandle | None = None
        self._written = asyncio.Condition()
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write. Called once, on the event loop."""
        assert self._writer is None
        self._writer = asyncio.create_task(self._write_forever(), name="turn-log")
        if self._spool:
            self._arrived.set()

    def append(self, call_id: str, entry: Entry) -> None:
        """Record an entry of a call as of now. Never blocks, never raises."""
        if len(self._spool) >= self._capacity:
            metrics.TURNS_DROPPED.labels("spool_full").inc()
            return
        # ASCII, because a model's text may hold half a surrogate pair, which no database takes as it is.
        content = json.dumps(asdict(entry), separators=(",", ":"))
        self._spool.append(_Waiting(uuid.uuid4().hex, call_id, _NAMES[type(entry)], content, self._clock()))
        self.appended += 1
        if self._gathering is None and self._writer is not None:
            self._gathering = self._writer.get_loop().call_later(GATHERED, self._gathered)
        metrics.TURNS_WAITING.set(len(self._spool))

    async def flush(self, timeout: float = CLOSE_TIMEOUT) -> bool:  # noqa: ASYNC109 - the bound is the point
        """Wait until everything appended so far is stored; False when that took too long."""
        return await self.reached(self.appended, timeout)

    async def reached(self, appended: int, timeout: float) -> bool:  # noqa: ASYNC109 - the bound is the point
        """Wait until the first `appended` turns are stored, or refused for good; False when that took too long."""
        if self.appended - len(self._spool) >= appended:
            return True
        self._arrived.set()
        try:
            async with asyncio.timeout(timeout), self._written:
                await self._written.wait_for(lambda: self.appended - len(self._spool) >= appended)
        except TimeoutError:
            return False
        return True

    async def of_call(self, call_id: str) -> tuple[Turn, ...]:
        """A call's stored turns in order. Raises `StoreError`."""
        statement = select(turns).where(turns.c.call_id == call_id).order_by(turns.c.n)
        async with self._database.read() as connection:
            return tuple(_turn(row) for row in await connection.execute(statement))

    async def aclose(self) -> None:
        """Write what waits, as far as the database takes it, and stop. Idempotent."""
        if self._writer is None:
            return
        while self._spool and await self.flush():
            # What came meanwhile still gathers.
            pass
        if self._spool:
            log.error("turns_lost_at_shutdown", turns=len(self._spool))
            metrics.TURNS_DROPPED.labels("shutdown").inc(len(self._spool))
        writer, self._writer = self._writer, None
        if self._gathering is not None:
            self._gathering.cancel()
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer

    def _gathered(self) -> None:
        self._gathering = None
        self._arrived.set()

    async def _write_forever(self) -> None:
        failures = unforeseen = 0
        while True:
            await self._arrived.wait()
            # What comes from here on has a timer of its own.
            self._arrived.clear()
            batch = tuple(self._spool)[:BATCH]
            if not batch:
                # Somebody could not wait, and the timer came behind that.
                continue
            try:
                # What is not the database's fault, and does not pass, is one turn's: the rest must not wait behind it.
                await (self._write(batch) if unforeseen <= len(self._retry_delays) else self._write_singly(batch))
            except Exception as error:
                # Whatever it is: nobody awaits this task, and with it the transcript of all calls would end unseen.
                unforeseen = 0 if isinstance(error, StoreError) else unforeseen + 1
                metrics.STORE_FAILURES.labels("turns").inc()
                if failures == 0 or unforeseen == 1:
                    log.error("turns_not_stored", waiting=len(self._spool), error=str(error), exc_info=unforeseen > 0)
                await asyncio.sleep(self._retry_delays[min(failures, len(self._retry_delays) - 1)])
                failures += 1
                self._arrived.set()
                continue
            failures = unforeseen = 0
            for _ in batch:
                self._spool.popleft()
            metrics.TURNS_WAITING.set(len(self._spool))
            if len(batch) == BATCH:
                self._arrived.set()
            async with self._written:
                self._written.notify_all()

    async def _write(self, batch: tuple[_Waiting, ...]) -> None:
        try:
            await self._append(batch)
        except ConflictError:
            await self._write_singly(batch)

    async def _append(self, batch: tuple[_Waiting, ...]) -> None:
        values = [{f"turn_{name}": value for name, value in asdict(turn).items()} for turn in batch]
        async with self._database.write() as connection:
            await connection.execute(_APPEND, values)

    async def _write_singly(self, batch: tuple[_Waiting, ...]) -> None:
        """One turn the database will never take, such as one of a call that was erased, must not hold up the rest."""
        for turn in batch:
            try:
                await self._append((turn,))
            except ConflictError as error:
                metrics.TURNS_DROPPED.labels("refused").inc()
                log.error("turn_refused", call_id=turn.call_id, error=str(error))
            except StoreError:
                raise
            except Exception:
                metrics.TURNS_DROPPED.labels("refused").inc()
                log.exception("turn_refused", call_id=turn.call_id)


def _appending() -> Insert:
    """Puts a turn behind those of its call, once: a turn that is stored already is left as it is."""
    given = [bindparam(f"turn_{name}", type_=turns.c[name].type) for name in ("id", "call_id", "kind", "content", "at")]
    id_, call_id, *content = given
    of_call = turns.alias()
    last = select(func.coalesce(func.max(of_call.c.n), 0) + 1).where(of_call.c.call_id == call_id).scalar_subquery()
    stored = turns.alias()
    new = select(id_, call_id, last, *content).where(~exists().where(stored.c.id == id_))
    return insert(turns).from_select(["id", "call_id", "n", "kind", "content", "at"], new)


_APPEND: Final = _appending()
"""One statement for all turns of a batch, each of which sees those before it: the driver's thread is asked once."""


def _turn(row: Row[*tuple[Any, ...]]) -> Turn:
    return Turn(row.call_id, row.n, _KINDS[row.kind](**json.loads(row.content)), row.at)
