"""One timer for all waits of a stream: it means what `asyncio.timeout_at` means, and leaves nothing behind."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

import pytest
import uvloop

from talkspurt.testing.virtual_time import run_virtual
from talkspurt.watchdog import Watchdog

Bound = Callable[[float], AbstractAsyncContextManager[object]]


def counting(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.TimerHandle]:
    """Every timer that the running loop is asked for from now on."""
    loop, asked = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    arm = loop.call_at

    def call_at(*args: object, **more: object) -> asyncio.TimerHandle:
        asked.append(arm(*args, **more))  # type: ignore[arg-type]
        return asked[-1]

    monkeypatch.setattr(loop, "call_at", call_at)
    return asked


def test_it_means_what_a_timeout_for_every_wait_means() -> None:
    async def stream(bound: Bound, rng: random.Random) -> list[tuple[str, float]]:
        loop, came = asyncio.get_running_loop(), list[tuple[str, float]]()
        for number in range(20):
            delay = rng.choice((0.0, 0.0, 0.1, 0.2, 0.5, 1.0, 3.0))
            patience = rng.choice((-0.1, 0.0, 0.15, 0.4, 0.7, 2.0))
            try:
                async with bound(loop.time() + patience):
                    if delay:
                        await asyncio.sleep(delay)
                    elif number % 5 == 0:
                        raise ConnectionError
                came.append(("piece", round(loop.time(), 2)))
            except (TimeoutError, ConnectionError) as error:
                came.append((type(error).__name__, round(loop.time(), 2)))
            # Whoever takes the piece takes time for it, too, beyond the deadline at times.
            await asyncio.sleep(rng.choice((0.0, 0.05, 0.6)))
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        return came

    async def watched(rng: random.Random) -> list[tuple[str, float]]:
        with closing(Watchdog()) as watchdog:

            @asynccontextmanager
            async def bound(at: float) -> AsyncIterator[None]:
                with watchdog.until(at):
                    yield

            return await stream(bound, rng)

    seen = set()
    for seed in range(100):
        expected = run_virtual(stream(asyncio.timeout_at, random.Random(seed)))
        assert run_virtual(watched(random.Random(seed))) == expected
        seen |= {what for what, _ in expected}
    assert seen == {"piece", "TimeoutError", "ConnectionError"}


def test_a_hundred_pieces_take_one_timer_that_is_armed_again_when_it_was_early(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[int]()

        async def give() -> None:
            for number in range(100):
                pieces.put_nowait(number)
                await asyncio.sleep(0.05)

        giving = asyncio.create_task(give())
        with closing(Watchdog()) as watchdog:
            with monkeypatch.context() as patch:
                asked = counting(patch)
                for _ in range(100):
                    with watchdog.until(loop.time() + 1.0):
                        await pieces.get()
            await giving
            # A hundred are the giver's own.
            assert len(asked) <= 100 + 6
            # The deadline is that of the last wait, however old the timer.
            began = loop.time()
            with pytest.raises(TimeoutError), watchdog.until(began + 1.0):
                await pieces.get()
            assert loop.time() - began == pytest.approx(1.0, abs=0.01)

    run_virtual(scenario())


async def test_nothing_is_cancelled_while_nobody_waits_and_no_timer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    asked = counting(monkeypatch)
    with closing(Watchdog()) as watchdog:
        with watchdog.until(loop.time() + 0.02):
            pass
        monkeypatch.undo()
        await asyncio.sleep(0.04)
        with watchdog.until(loop.time() + 60):
            await asyncio.sleep(0)
    assert len(asked) == 1
    assert watchdog._timer is None


async def test_a_cancellation_from_elsewhere_stays_one_even_at_the_deadline() -> None:
    loop, late = asyncio.get_running_loop(), list[bool]()

    async def wait(watchdog: Watchdog, at: float) -> None:
        try:
            with watchdog.until(at):
                await asyncio.Event().wait()
        except TimeoutError:
            late.append(True)

    for ahead in (60.0, 0.01):
        with closing(Watchdog()) as watchdog:
            at = loop.time() + ahead
            waiting = asyncio.create_task(wait(watchdog, at))
            await asyncio.sleep(0)
            if ahead < 1:
                loop.call_at(at, waiting.cancel)
            else:
                waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    assert not late


async def test_an_error_that_comes_out_of_the_cancellation_is_raised_and_leaves_no_trace() -> None:
    async def clumsy() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("while it was closed") from None

    task = asyncio.current_task()
    assert task is not None
    with closing(Watchdog()) as watchdog:
        with pytest.raises(ConnectionError), watchdog.until(asyncio.get_running_loop().time() + 0.01):
            await clumsy()
        assert not task.cancelling()
        with watchdog.until(asyncio.get_running_loop().time() + 0.01):
            await asyncio.sleep(0)


def test_on_the_loop_of_the_server_nobody_is_late_early() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with closing(Watchdog()) as watchdog:
            for seconds in (0.0004, 0.0111, 0.0307):
                with watchdog.until(loop.time() + 0.02):
                    await asyncio.sleep(0.005)
                at = loop.time() + seconds
                with pytest.raises(TimeoutError), watchdog.until(at):
                    await asyncio.Event().wait()
                assert -0.002 < loop.time() - at < 5.0

    uvloop.run(scenario())
