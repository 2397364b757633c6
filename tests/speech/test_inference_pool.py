"""The inference threads: urgent work first, cancelled work never, no thread left behind."""

import asyncio
import threading

import pytest

from talkspurt.speech.inference_pool import InferencePool


class Gate:
    """Occupies the pool's thread until opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.open.wait(10)


@pytest.fixture
async def gated() -> tuple[InferencePool, Gate, "asyncio.Task[None]"]:
    pool, gate = InferencePool(1, "test"), Gate()
    task = asyncio.create_task(pool.run(gate, due=0.0))
    await asyncio.to_thread(gate.entered.wait, 10)
    return pool, gate, task


Gated = tuple[InferencePool, Gate, "asyncio.Task[None]"]


async def test_the_most_urgent_piece_runs_first_and_equals_in_order(gated: Gated) -> None:
    pool, gate, _ = gated
    ran: list[str] = []
    tasks = [
        asyncio.create_task(pool.run(lambda name=name: ran.append(name), due=due))  # type: ignore[misc]
        for name, due in (("late", 9.0), ("soon", 1.0), ("first", 0.5), ("soon too", 1.0))
    ]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert ran == ["first", "soon", "soon too", "late"]
    await pool.aclose()


async def test_a_piece_cancelled_while_it_waits_never_runs(gated: Gated) -> None:
    pool, gate, _ = gated
    ran: list[int] = []
    waiting = asyncio.create_task(pool.run(lambda: ran.append(1), due=1.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open.set()
    await pool.run(lambda: None, due=2.0)
    assert ran == []
    await pool.aclose()


async def test_results_and_errors_come_back() -> None:
    pool = InferencePool(2, "test")
    assert await pool.run(lambda: 7, due=0.0) == 7
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0, due=0.0)
    assert await pool.run(lambda: 8, due=0.0) == 8
    await pool.aclose()


async def test_closing_cancels_what_waits_and_ends_the_threads(gated: Gated) -> None:
    pool, gate, running = gated
    waiting = asyncio.create_task(pool.run(lambda: None, due=1.0))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.aclose())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open.set()
    await closing
    await running
    await pool.aclose()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("test-")]
    with pytest.raises(RuntimeError, match="closed"):
        await pool.run(lambda: None, due=0.0)


async def test_pools_that_share_threads_stand_in_one_queue() -> None:
    heard, made, gate = InferencePool.shared(1), InferencePool.shared(1), Gate()
    running = asyncio.create_task(made.run(gate, due=0.0))
    await asyncio.to_thread(gate.entered.wait, 10)
    ran: list[str] = []
    ahead = asyncio.create_task(made.run(lambda: ran.append("ahead"), due=9.0))
    await asyncio.sleep(0)
    urgent = asyncio.create_task(heard.run(lambda: ran.append("urgent"), due=1.0))
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(running, ahead, urgent)
    assert ran == ["urgent", "ahead"]
    await heard.aclose()
    await made.aclose()


async def test_closing_one_of_them_however_often_cancels_its_own_and_leaves_the_other() -> None:
    closed, left, gate = InferencePool.shared(1), InferencePool.shared(1), Gate()
    running = asyncio.create_task(left.run(gate, due=0.0))
    await asyncio.to_thread(gate.entered.wait, 10)
    own, others = (asyncio.create_task(pool.run(lambda: 7, due=1.0)) for pool in (closed, left))
    await asyncio.sleep(0)
    for _ in range(3):
        await closed.aclose()
    with pytest.raises(asyncio.CancelledError):
        await own
    with pytest.raises(RuntimeError, match="closed"):
        await closed.run(lambda: 7, due=0.0)
    gate.open.set()
    assert await others == 7
    await running
    assert await left.run(lambda: 8, due=0.0) == 8
    await left.aclose()


async def test_the_last_of_them_ends_the_threads_and_the_next_has_new_ones() -> None:
    def alive() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("inference-")}

    before = alive()
    one, two = InferencePool.shared(3), InferencePool.shared(3)
    assert len(alive() - before) == 3
    await one.aclose()
    assert len(alive() - before) == 3
    await two.aclose()
    assert not alive() - before
    again = InferencePool.shared(3)
    assert await again.run(lambda: 7, due=0.0) == 7
    await again.aclose()
