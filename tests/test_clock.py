"""The media clock says how late it ticks: that is what a worker's load is judged by."""

import asyncio
import time
from contextlib import suppress

from talkspurt.clock import TICK, MediaClock
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
