"""Errands: done again until they are done, not for ever, and not when their process ends."""

import asyncio

import pytest

from talkspurt.errors import StoreError
from talkspurt.server import errands
from talkspurt.server.errands import Errands


class Refused:
    """An errand that is refused some times."""

    def __init__(self, refusals: int, error: type[Exception] = StoreError) -> None:
        self.refusals = refusals
        self.error = error
        self.tries = 0
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        self.tries += 1
        if self.tries <= self.refusals:
            raise self.error("not now")
        self.done.set()


async def idle(running: Errands) -> None:
    async with asyncio.timeout(5):
        while running.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_an_errand_that_is_refused_is_done_later() -> None:
    async with Errands((0.0, 0.0, 0.0)) as running:
        refused = Refused(2)
        running.again("news", refused)
        await asyncio.wait_for(refused.done.wait(), 5)
        await idle(running)
    assert refused.tries == 3


@pytest.mark.parametrize(("error", "tries"), [(StoreError, 3), (RuntimeError, 1)])
async def test_an_errand_is_not_done_again_for_ever(error: type[Exception], tries: int) -> None:
    """Nor a second time when it is a bug."""
    async with Errands((0.0, 0.0, 0.0)) as running:
        refused = Refused(9, error)
        running.again("news", refused)
        await idle(running)
    assert refused.tries == tries


async def test_errands_wait_for_no_more_than_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "MOST", 1)
    async with Errands((60.0,)) as running:
        for _ in range(3):
            running.again("news", Refused(0))
        assert running.waiting == 1


async def test_a_process_that_ends_waits_for_no_errand() -> None:
    refused = Refused(0)
    async with asyncio.timeout(5), Errands((60.0,)) as running:
        running.again("news", refused)
    assert refused.tries == 0
