"""The media clock says how late it ticks, which a worker's load is judged by, and lets others have their turn."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count, pairwise
from types import SimpleNamespace

import pytest

from talkspurt.clock import FEW, TICK, MediaClock
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
    """Decides in so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.number = steps
        self.taken: list[int] = []

    def steps(self) -> Iterator[None]:
        for step in range(self.number):
            self.taken.append(step)
            yield


async def steps_between_turns_of_others(detector: Busy, calls: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps of its first tick are taken at once."""
    # However slow the machine is, there is no second one.
    monkeypatch.setattr("talkspurt.clock.TICK", 60.0)
    clock = MediaClock(detector)
    for _ in range(calls):
        clock.join(partial(lambda _call, _now: None, object()))
    seen = [0]
    running = asyncio.create_task(clock.run())
    while len(detector.taken) < detector.number:
        await asyncio.sleep(0)
        seen.append(len(detector.taken))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return [after - before for before, after in pairwise(seen) if after > before]


async def test_others_have_their_turn_within_the_tick_of_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkspurt.clock.AT_ONCE", 0.0)
    assert await steps_between_turns_of_others(Busy(40), FEW + 1, monkeypatch) == [1] * 40


async def test_each_turn_of_others_comes_after_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count()
    monkeypatch.setattr("talkspurt.clock.time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    monkeypatch.setattr("talkspurt.clock.AT_ONCE", 2.0)
    assert await steps_between_turns_of_others(Busy(30), FEW + 1, monkeypatch) == [2, 4, 8, 16]


async def test_a_few_calls_are_ticked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkspurt.clock.AT_ONCE", 0.0)
    assert await steps_between_turns_of_others(Busy(40), FEW, monkeypatch) == [40]


async def test_a_tick_that_is_not_over_is_finished_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talkspurt.clock.AT_ONCE", 0.0)
    detector, sent = Busy(50), list[int]()
    clock = MediaClock(detector)
    for _ in range(FEW):
        clock.join(partial(lambda _call, _now: None, object()))
    clock.join(lambda _now: sent.append(len(detector.taken)))
    running = asyncio.create_task(clock.run())
    while len(sent) < 4:
        # Whoever else is on the loop leaves it no time for more than a few steps.
        time.sleep(TICK / 5)  # noqa: ASYNC251
        await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert sent == [0, 50, 100, 150]
    assert detector.taken[:100] == [*range(50), *range(50)]
