"""Where a call stands reaches the store, also when the process is about to end."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from talkspurt.server.switchboard import _Recorder
from talkspurt.store import Store


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
