"""A token attaches one socket to one call, once, within a minute."""

import asyncio
from datetime import timedelta

from sqlalchemy import text

from talkspurt.store import Call, Store
from talkspurt.store.clock import DatabaseTime
from talkspurt.store.database import Database

from .conftest import HandClock


async def test_a_token_is_redeemed_for_its_call_and_makes_the_attachment(
    store: Store, call: Call, clock: HandClock
) -> None:
    attachment = await store.tokens.redeem(await store.tokens.issue(call), "CA1")
    assert attachment is not None
    assert (attachment.call.id, attachment.number, attachment.call.attachment) == (call.id, 1, 1)
    assert attachment.call.answered_at == clock.now


async def test_a_token_works_once(store: Store, call: Call) -> None:
    token = await store.tokens.issue(call)
    assert await store.tokens.redeem(token, "CA1") is not None
    assert await store.tokens.redeem(token, "CA1") is None


async def test_a_token_is_bound_to_its_call_and_survives_the_attempt(store: Store, call: Call) -> None:
    token = await store.tokens.issue(call)
    assert await store.tokens.redeem(token, "CA2") is None
    assert await store.tokens.redeem(token, "CA1") is not None


async def test_an_unknown_token_is_refused(store: Store, call: Call) -> None:
    assert await store.tokens.redeem("guess", "CA1") is None
    assert await store.tokens.redeem("\ud800", "CA1") is None


async def test_a_token_expires_after_a_minute(store: Store, call: Call, clock: HandClock) -> None:
    early, late = await store.tokens.issue(call), await store.tokens.issue(call)
    clock.advance(59.9)
    assert await store.tokens.redeem(early, "CA1") is not None
    clock.advance(0.1)
    assert await store.tokens.redeem(late, "CA1") is None


async def test_a_minute_is_the_databases_whatever_the_clocks_of_the_workers_say(
    url: str, store: Store, call: Call, clock: HandClock
) -> None:
    """The webhook was answered by a worker whose clock is behind, and the socket has come to one that is ahead."""
    databases = [Database(url), Database(url)]
    clocks = [lambda: clock.now - timedelta(seconds=45), lambda: clock.now + timedelta(seconds=45)]
    behind, ahead = (
        Store(database, own, database_time=DatabaseTime(database, clock))
        for database, own in zip(databases, clocks, strict=True)
    )
    try:
        token, late = await behind.tokens.issue(call), await ahead.tokens.issue(call)
        clock.advance(59.9)
        assert await ahead.tokens.redeem(token, "CA1") is not None
        clock.advance(0.1)
        assert await behind.tokens.redeem(late, "CA1") is None
    finally:
        for database in databases:
            await database.aclose()


async def test_of_fifty_sockets_with_one_token_exactly_one_wins(store: Store, call: Call) -> None:
    token = await store.tokens.issue(call)
    results = await asyncio.gather(*(store.tokens.redeem(token, "CA1") for _ in range(50)))
    assert sum(result is not None for result in results) == 1


async def test_of_fifty_tokens_for_one_attachment_exactly_one_wins(store: Store, call: Call) -> None:
    """A webhook retried by a proxy issues several tokens; the call still gets one owner."""
    tokens = [await store.tokens.issue(call) for _ in range(50)]
    results = await asyncio.gather(*(store.tokens.redeem(token, "CA1") for token in tokens))
    assert sum(result is not None for result in results) == 1


async def test_two_stores_on_one_database_redeem_a_token_once(url: str, store: Store, call: Call) -> None:
    """The webhook and the sockets may reach different processes."""
    other = await Store.open(url)
    try:
        for number in range(1, 6):
            current = await store.calls.find(call.id)
            assert current is not None
            token = await store.tokens.issue(current)
            other_clock_free = [store.tokens.redeem(token, "CA1"), store.tokens.redeem(token, "CA1")]
            results = await asyncio.gather(*other_clock_free, *(other.tokens.redeem(token, "CA1") for _ in range(2)))
            won = [result for result in results if result is not None]
            assert [attachment.number for attachment in won] == [number]
    finally:
        await other.aclose()


async def test_the_database_holds_no_token(url: str, store: Store, call: Call) -> None:
    token = await store.tokens.issue(call)
    database = Database(url)
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT * FROM stream_tokens"))).all()
    await database.aclose()
    assert len(rows) == 1
    assert token not in repr(rows)
