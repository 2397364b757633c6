"""Attempts outlive their process, and are forgiven after a day."""

import asyncio
from datetime import timedelta

from store.conftest import HandClock
from talkspurt.store import Store
from talkspurt.store.clock import DatabaseTime
from talkspurt.store.database import Database


async def test_attempts_outlive_the_process_and_are_forgiven_after_a_day(
    url: str, store: Store, clock: HandClock
) -> None:
    limits = {"number": "+12025550101", "per_call": 9, "per_number": 2}
    for call in ("c1", "c2"):
        attempt = await store.attempts.take(call_id=call, **limits)  # type: ignore[arg-type]
        assert attempt is not None
        await store.attempts.close(attempt, outcome="failed", accounts=("maya",))
    other = await Store.open(url, clock=clock)
    try:
        assert await other.attempts.take(call_id="c3", **limits) is None  # type: ignore[arg-type]
        assert await other.attempts.failed_for("maya") == 2
        clock.advance(24 * 3600 + 1)
        assert await other.attempts.failed_for("maya") == 0
        assert await other.attempts.take(call_id="c3", **limits) is not None  # type: ignore[arg-type]
    finally:
        await other.aclose()


async def test_a_worker_whose_clock_is_ahead_forgives_nothing_early(url: str, store: Store, clock: HandClock) -> None:
    database = Database(url)
    ahead = Store(
        database, lambda: clock.now + timedelta(days=2), database_time=DatabaseTime(database, lambda: clock.now)
    )
    try:
        attempt = await store.attempts.take(call_id="c1", number="+12025550101", per_call=9, per_number=1)
        assert attempt is not None
        await store.attempts.close(attempt, outcome="failed", accounts=("maya", "yusuf"))
        assert await ahead.attempts.failed_for("maya") == 1
        assert await ahead.attempts.left(call_id="c2", number="+12025550101", per_call=9, per_number=1) == 0
        clock.advance(24 * 3600 + 1)
        assert await store.attempts.failed_for("yusuf") == 0
    finally:
        await database.aclose()


async def test_an_attempt_that_nobody_closed_counts_as_failed(store: Store) -> None:
    for _ in range(2):
        assert await store.attempts.take(call_id="c1", number="", per_call=2, per_number=9) is not None
    assert await store.attempts.take(call_id="c1", number="", per_call=2, per_number=9) is None


async def test_two_workers_count_the_last_try_from_a_number_once(url: str, store: Store, clock: HandClock) -> None:
    other = await Store.open(url, clock=clock)
    try:
        for wave in range(5):
            stores = [store, other]
            limits = {"number": f"+1202555010{wave}", "per_call": 9, "per_number": 2}
            taken = await asyncio.gather(
                *(stores[n % 2].attempts.take(call_id=f"{wave}-{n}", **limits) for n in range(8))  # type: ignore[arg-type]
            )
            assert sum(attempt is not None for attempt in taken) == 2
    finally:
        await other.aclose()


async def test_two_workers_count_the_last_try_at_an_account_once(url: str, store: Store, clock: HandClock) -> None:
    other = await Store.open(url, clock=clock)
    try:
        for wave in range(5):
            account = f"maya{wave}"
            taken = [
                await store.attempts.take(call_id=f"{wave}-{n}", number="", per_call=1, per_number=1) for n in range(8)
            ]
            stores = [store, other]
            reserved = await asyncio.gather(
                *(stores[n % 2].attempts.reserve(str(one), account, per_account=2) for n, one in enumerate(taken))
            )
            assert sum(reserved) == 2
    finally:
        await other.aclose()
