"""What everything that counts attempts does: nobody gets one more than the limit, and a day later they may again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from talkspurt.effects.verification import ProcessAttempts
from talkspurt.ports import VerificationAttempts
from talkspurt.store import Store

NUMBER = "+12025550101"


@pytest.fixture(params=["process", "sqlite"])
async def attempts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VerificationAttempts]:
    if request.param == "process":
        yield ProcessAttempts()
        return
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}")
    yield store.attempts
    await store.aclose()


async def take(attempts: VerificationAttempts, call_id: str = "c1", number: str = NUMBER) -> str | None:
    return await attempts.take(call_id=call_id, number=number, per_call=3, per_number=5)


async def left(attempts: VerificationAttempts, call_id: str = "c1", number: str = NUMBER) -> int:
    return await attempts.left(call_id=call_id, number=number, per_call=3, per_number=5)


async def fail(attempts: VerificationAttempts, call_id: str = "c1", account: str | None = None) -> None:
    attempt = await take(attempts, call_id)
    assert attempt is not None
    await attempts.close(attempt, outcome="failed", accounts=() if account is None else (account,))


async def test_a_call_has_so_many(attempts: VerificationAttempts) -> None:
    for used in range(3):
        assert await left(attempts) == 3 - used
        await fail(attempts)
    assert await left(attempts) == 0
    assert await take(attempts) is None


async def test_a_number_has_so_many_over_all_its_calls(attempts: VerificationAttempts) -> None:
    for call in ("c1", "c1", "c2", "c2", "c3"):
        await fail(attempts, call)
    assert await take(attempts, "c4") is None
    assert await take(attempts, "c4", number="+12025550199") is not None
    assert await take(attempts, "c4", number="") is not None, "a withheld number is nobody's"


async def test_one_under_way_counts_so_that_many_at_once_gain_nothing(attempts: VerificationAttempts) -> None:
    taken = await asyncio.gather(*(take(attempts) for _ in range(10)))
    assert sum(attempt is not None for attempt in taken) == 3


@pytest.mark.parametrize("outcome", ["passed", "void"])
async def test_one_that_succeeded_or_was_none_costs_nothing(attempts: VerificationAttempts, outcome: str) -> None:
    for _ in range(5):
        attempt = await take(attempts)
        assert attempt is not None
        await attempts.close(attempt, outcome="passed" if outcome == "passed" else "void", accounts=("maya",))
    assert await left(attempts) == 3
    assert await attempts.failed_for("maya") == 0


async def test_an_account_is_counted_over_all_calls_and_numbers(attempts: VerificationAttempts) -> None:
    await fail(attempts, "c1", "maya")
    await fail(attempts, "c2", "maya")
    await fail(attempts, "c2", "yusuf")
    assert (await attempts.failed_for("maya"), await attempts.failed_for("yusuf")) == (2, 1)


async def test_one_at_several_accounts_counts_for_each_and_once_for_call_and_number(
    attempts: VerificationAttempts,
) -> None:
    attempt = await take(attempts)
    assert attempt is not None
    await attempts.close(attempt, outcome="failed", accounts=("maya", "maja", "maya"))
    assert [await attempts.failed_for(account) for account in ("maya", "maja", "mia")] == [1, 1, 0]
    assert await left(attempts) == 2


async def test_of_many_at_one_account_at_once_no_more_get_through_than_may(attempts: VerificationAttempts) -> None:
    taken = [await take(attempts, f"c{n}", f"+1202555{n:04}") for n in range(12)]
    reserved = await asyncio.gather(*(attempts.reserve(str(one), "maya", per_account=4) for one in taken))
    assert sum(reserved) == 4
    assert await attempts.failed_for("maya") == 4, "each counts as failed until it is closed"
    await attempts.close(str(taken[reserved.index(True)]), outcome="passed", accounts=("maya",))
    assert await attempts.reserve(str(taken[reserved.index(False)]), "maya", per_account=4)
    again = str(taken[reserved.index(False)])
    assert await attempts.reserve(again, "maya", per_account=4), "one's own counts once"
