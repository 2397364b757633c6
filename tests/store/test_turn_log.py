"""Turns are kept in order, and a call never waits for them nor dies of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import StoreError
from talkspurt.store import Call, Store, TurnLog
from talkspurt.store import turns as log
from talkspurt.store.database import Database
from talkspurt.telemetry import metrics

from .conftest import HandClock


class FlakyDatabase(Database):
    """The real database, which can be switched off."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.down = False
        self.doubtful = False
        """The next commit succeeds, but nobody hears of it."""
        self.bugs = 0
        """How many of the next writes fail in a way that nobody foresaw."""
        self.refusals = 0
        self.refused = asyncio.Event()
        self.writes = 0

    @asynccontextmanager
    async def write(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        if self.down:
            self.refusals += 1
            self.refused.set()
            raise StoreError("down")
        if self.bugs:
            self.bugs -= 1
            raise RuntimeError("nobody foresaw this")
        self.writes += 1
        async with super().write(brief=brief) as connection:
            yield connection
        if self.doubtful:
            self.doubtful = False
            raise StoreError("the connection was lost")


@pytest.fixture
async def database(url: str, call: Call) -> AsyncIterator[FlakyDatabase]:
    database = FlakyDatabase(url)
    yield database
    await database.aclose()


@pytest.fixture
async def turns(database: FlakyDatabase, clock: HandClock) -> AsyncIterator[TurnLog]:
    turns = TurnLog(database, clock, capacity=5, retry_delays=(0.01,))
    turns.start()
    yield turns
    await turns.aclose()


def value(counter: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(counter, labels) or 0.0


async def test_every_kind_of_entry_comes_back_as_it_was(store: Store, call: Call, clock: HandClock) -> None:
    entries: list[Entry] = [
        AgentSaid("Hello, this is Sarah."),
        CallerSaid("W 2 3 7 – “where is it?”"),
        AgentSaid("half of an emoji: \ud83d"),
        ToolCalled("t1", "check_order_status", '{"order":"W237"}'),
        ToolAnswered("t1", "check_order_status", '{"status":"shipped"}'),
        AgentSaid("It is on", interrupted=True),
        CallerSaid("1", source="keypad"),
    ]
    for entry in entries:
        store.turns.append(call.id, entry)
        clock.advance(1)
    assert await store.turns.flush()
    stored = await store.turns.of_call(call.id)
    assert [turn.entry for turn in stored] == entries
    assert [turn.n for turn in stored] == [1, 2, 3, 4, 5, 6, 7]
    assert (stored[-1].at - stored[0].at).total_seconds() == 6


async def test_turns_wait_for_the_database_and_are_written_in_order(
    turns: TurnLog, database: FlakyDatabase, call: Call
) -> None:
    database.down = True
    for number in range(3):
        turns.append(call.id, CallerSaid(str(number)))
    await asyncio.wait_for(database.refused.wait(), 5)
    turns.append(call.id, CallerSaid("3"))
    assert await turns.of_call(call.id) == ()
    database.down = False
    assert await turns.flush()
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid(str(n)) for n in range(4)]


async def test_a_full_spool_drops_the_newest_and_counts_it(turns: TurnLog, database: FlakyDatabase, call: Call) -> None:
    database.down = True
    before = value("talkspurt_turns_dropped_total", reason="spool_full")
    for number in range(7):
        turns.append(call.id, CallerSaid(str(number)))
    assert value("talkspurt_turns_dropped_total", reason="spool_full") == before + 2
    database.down = False
    assert await turns.flush()
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid(str(n)) for n in range(5)]


async def test_a_turn_the_database_never_takes_does_not_hold_up_the_rest(turns: TurnLog, call: Call) -> None:
    before = value("talkspurt_turns_dropped_total", reason="refused")
    turns.append(call.id, CallerSaid("before"))
    turns.append("no-such-call", CallerSaid("lost"))
    turns.append(call.id, CallerSaid("after"))
    assert await turns.flush()
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid("before"), CallerSaid("after")]
    assert value("talkspurt_turns_dropped_total", reason="refused") == before + 1


async def test_an_error_that_nobody_foresaw_does_not_end_the_transcript(
    turns: TurnLog, database: FlakyDatabase, call: Call
) -> None:
    database.bugs = 1
    turns.append(call.id, CallerSaid("before"))
    assert await turns.flush()
    turns.append(call.id, CallerSaid("after"))
    assert await turns.flush()
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid("before"), CallerSaid("after")]


async def test_a_turn_that_can_never_be_written_holds_up_no_other(
    turns: TurnLog, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = turns._append

    async def never(batch: tuple[Any, ...]) -> None:
        if any("poison" in turn.content for turn in batch):
            raise RuntimeError("nobody foresaw this")
        await append(batch)

    monkeypatch.setattr(turns, "_append", never)
    before = value("talkspurt_turns_dropped_total", reason="refused")
    for text in ("before", "poison", "after"):
        turns.append(call.id, CallerSaid(text))
    assert await turns.flush()
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid("before"), CallerSaid("after")]
    assert value("talkspurt_turns_dropped_total", reason="refused") == before + 1


async def test_a_batch_whose_commit_is_in_doubt_is_written_again_and_stored_once(
    turns: TurnLog, database: FlakyDatabase, call: Call
) -> None:
    database.doubtful = True
    for number in range(3):
        turns.append(call.id, CallerSaid(str(number)))
    assert await turns.flush()
    assert not database.doubtful
    stored = await turns.of_call(call.id)
    assert [(turn.n, turn.entry) for turn in stored] == [(n + 1, CallerSaid(str(n))) for n in range(3)]


async def test_numbers_go_on_where_an_earlier_process_stopped(store: Store, turns: TurnLog, call: Call) -> None:
    store.turns.append(call.id, CallerSaid("first"))
    assert await store.turns.flush()
    turns.append(call.id, CallerSaid("second"))
    assert await turns.flush()
    assert [turn.n for turn in await store.turns.of_call(call.id)] == [1, 2]


async def test_flush_gives_up_and_says_so(turns: TurnLog, database: FlakyDatabase, call: Call) -> None:
    database.down = True
    turns.append(call.id, CallerSaid("waits"))
    assert not await turns.flush(timeout=0)
    database.down = False


async def written(turns: TurnLog, number: int) -> None:
    """Wait for so many turns, but let the log take its time."""
    async with asyncio.timeout(10), turns._written:
        await turns._written.wait_for(lambda: turns.appended - len(turns._spool) >= number)


async def test_turns_that_come_within_a_moment_are_written_by_one_transaction(
    turns: TurnLog, database: FlakyDatabase, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine they take their time, too.
    monkeypatch.setattr(log, "GATHERED", 0.5)
    for number in range(3):
        turns.append(call.id, CallerSaid(str(number)))
        for _ in range(5):
            await asyncio.sleep(0)
    await written(turns, 3)
    assert database.writes == 1
    turns.append(call.id, CallerSaid("3"))
    await written(turns, 4)
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid(str(n)) for n in range(4)]


async def test_what_somebody_waits_for_is_written_at_once(
    turns: TurnLog, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "GATHERED", 3600.0)
    for number in range(2):
        turns.append(call.id, CallerSaid(str(number)))
        assert await turns.reached(turns.appended, 5)
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid("0"), CallerSaid("1")]


async def test_what_was_written_at_once_is_not_looked_for_again(
    turns: TurnLog, database: FlakyDatabase, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "GATHERED", 0.01)
    turns.append(call.id, CallerSaid("0"))
    assert await turns.reached(1, 5)
    await asyncio.sleep(0.05)
    assert database.writes == 1


async def test_a_turn_that_comes_while_others_are_written_is_not_forgotten(
    turns: TurnLog, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "GATHERED", 0.0)
    append = turns._append

    async def slowly(batch: tuple[Any, ...]) -> None:
        if turns.appended == 1:
            turns.append(call.id, CallerSaid("meanwhile"))
            # Its time has come before the write is over.
            await asyncio.sleep(0.01)
        await append(batch)

    monkeypatch.setattr(turns, "_append", slowly)
    turns.append(call.id, CallerSaid("first"))
    await written(turns, 2)
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid("first"), CallerSaid("meanwhile")]


async def test_what_still_gathers_is_written_at_the_end(
    turns: TurnLog, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "GATHERED", 3600.0)
    append = turns._append

    async def slowly(batch: tuple[Any, ...]) -> None:
        if turns.appended == 1:
            turns.append(call.id, CallerSaid("meanwhile"))
        await append(batch)

    monkeypatch.setattr(turns, "_append", slowly)
    turns.append(call.id, CallerSaid("first"))
    await turns.aclose()
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid("first"), CallerSaid("meanwhile")]


async def test_more_turns_than_one_transaction_takes_are_all_written(
    turns: TurnLog, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "BATCH", 2)
    for number in range(5):
        turns.append(call.id, CallerSaid(str(number)))
    await written(turns, 5)
    assert [turn.entry for turn in await turns.of_call(call.id)] == [CallerSaid(str(n)) for n in range(5)]
