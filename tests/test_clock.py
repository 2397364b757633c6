"""The media clock says how late it ticks, which a worker's load is judged by, and lets others have their turn."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from talkspurt.clock import AT_ONCE, LEAST, TICK, MediaClock
from talkspurt.telemetry import lateness
from talkspurt.testing.providers import LevelVoiceActivity


async def test_it_ticks_on_behind_a_call_that_fails_and_stops_when_cancelled() -> None:
    clock, ticks = MediaClock(LevelVoiceActivity()), []

    def tick(now: float) -> None:
        ticks.append(now)
        raise asyncio.CancelledError

    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    clock.join(tick)
    running = asyncio.create_task(clock.run())
    await asyncio.sleep(5 * TICK)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    told = len(ticks)
    assert told >= 3
    await asyncio.sleep(3 * TICK)
    assert len(ticks) == told


async def test_a_loop_that_stood_still_is_one_late_tick() -> None:
    clock = asyncio.create_task(MediaClock(LevelVoiceActivity()).run())
    await asyncio.sleep(2 * TICK)
    lateness.TICKS.take()
    time.sleep(0.25)  # noqa: ASYNC251 - what another call's bug would do
    await asyncio.sleep(0.0)
    await asyncio.sleep(TICK / 2)
    late = lateness.TICKS.take()
    clock.cancel()
    with suppress(asyncio.CancelledError):
        await clock
    assert max(late) > 0.2
    assert sum(value > 0.2 for value in late) == 1


class Busy(LevelVoiceActivity):
    """Decides for so many calls, and takes its time for each."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls
        self.taken = 0

    def steps(self) -> Iterator[None]:
        for _ in range(self.calls):
            time.sleep(AT_ONCE / 2)
            self.taken += 1
            yield


@pytest.mark.parametrize(("calls", "others_wait"), [(LEAST, LEAST), (5 * LEAST, LEAST + 1)])
async def test_others_have_their_turn_within_the_tick_of_many_calls(calls: int, others_wait: int) -> None:
    detector, ticked = Busy(calls), asyncio.Event()
    clock = MediaClock(detector)
    clock.join(lambda _now: ticked.set())
    seen: list[int] = []
    running = asyncio.create_task(clock.run())
    while not ticked.is_set():
        seen.append(detector.taken)
        await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert max(after - before for before, after in zip(seen, [*seen[1:], detector.taken], strict=True)) <= others_wait
    assert detector.taken == calls, "before the call's own tick"


async def test_a_tick_that_is_not_over_is_finished_before_the_next() -> None:
    done: list[str] = []

    class Slow(LevelVoiceActivity):
        def steps(self) -> Iterator[None]:
            for step in range(LEAST + 2):
                time.sleep(2 * TICK / LEAST)
                done.append(f"step {step}")
                yield

    clock = MediaClock(Slow())
    clock.join(lambda _now: done.append("tick"))
    running = asyncio.create_task(clock.run())
    await asyncio.sleep(8 * TICK)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    whole = [*(f"step {step}" for step in range(LEAST + 2)), "tick"]
    ticks = [done[begin : begin + len(whole)] for begin in range(0, len(done), len(whole))]
    assert len(ticks) > 1
    assert all(tick == whole for tick in ticks[:-1])
