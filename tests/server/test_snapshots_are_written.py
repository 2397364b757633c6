"""Where a call stands and what it uses reaches the store, also when the process is about to end."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from talkspurt.errors import StoreError
from talkspurt.server import switchboard
from talkspurt.server.switchboard import _Recorder
from talkspurt.store import Store
from talkspurt.telemetry.usage import METER, Meter, MeteredRecognizer
from talkspurt.testing.providers import ScriptedRecognizer
from talkspurt.testing.virtual_time import run_virtual


class SlowCalls:
    """A calls table that takes its time."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.saved: list[str] = []

    async def save_snapshot(self, call_id: str, *, attachment: int, snapshot: str) -> bool:
        self.begun.set()
        await self.go_on.wait()
        self.saved.append(call_id)
        return True


async def test_the_last_flush_waits_for_the_snapshot_that_is_being_written() -> None:
    calls = SlowCalls()
    recorder = _Recorder(cast(Store, SimpleNamespace(calls=calls)))
    running = asyncio.create_task(recorder.run())
    snapshot: dict[str, Any] = {"attachment": 1}
    recorder.snapshot("call", snapshot)
    await calls.begun.wait()
    flushing = asyncio.create_task(recorder.flush())
    await asyncio.sleep(0)
    assert not flushing.done()
    calls.go_on.set()
    await flushing
    running.cancel()
    assert calls.saved == ["call"]


class FailingUsage:
    """A usage table that refuses every second time."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float]] = []
        self.asked = 0

    async def add(self, call_id: str, used: dict[tuple[str, str, str], float]) -> None:
        self.asked += 1
        if self.asked % 2 == 0:
            raise StoreError("not now")
        self.rows += [(unit, amount) for (_, _, unit), amount in used.items()]


def test_what_a_call_uses_is_written_every_minute_and_at_its_end_and_nothing_twice() -> None:
    usage = FailingUsage()

    async def scenario() -> None:
        recorder = _Recorder(cast(Store, SimpleNamespace(usage=usage)))
        running = asyncio.create_task(recorder.run())
        meter = Meter()
        METER.set(meter)
        with recorder.metering("call", meter) as line_ends:
            stream = await MeteredRecognizer(ScriptedRecognizer(["x"]), "deepgram").open(locale="en-US", call_id="call")
            meter.add("synthesis", "elevenlabs", "characters", 100)
            await asyncio.sleep(61)
            assert sorted(usage.rows) == [
                ("characters", 100),
                ("line_seconds", pytest.approx(60)),
                ("seconds", pytest.approx(60)),
                ("seconds", pytest.approx(60)),
            ]
            meter.add("synthesis", "elevenlabs", "characters", 7)
            await asyncio.sleep(60)
            assert len(usage.rows) == 4, "the store would not have it"
            await asyncio.sleep(9)
            await stream.aclose()
            line_ends()
            await asyncio.sleep(5)
        await asyncio.sleep(1000)
        running.cancel()

    run_virtual(scenario())
    assert switchboard.USAGE_EVERY == 60
    assert usage.asked == 3
    sums = {unit: sum(amount for each, amount in usage.rows if each == unit) for unit, _ in usage.rows}
    assert sums == {"characters": 107, "line_seconds": pytest.approx(130), "seconds": pytest.approx(260)}
