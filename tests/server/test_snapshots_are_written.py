"""Where a call stands and what it uses reaches the store, also when the process is about to end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs

from talkspurt.errors import StoreError
from talkspurt.server import recorder as waiting
from talkspurt.server.recorder import Recorder
from talkspurt.store import Store
from talkspurt.store.calls import Snapshot
from talkspurt.store.database import ConflictError, HeldError
from talkspurt.telemetry import metrics
from talkspurt.telemetry.usage import METER, Meter, MeteredRecognizer
from talkspurt.testing.providers import ScriptedRecognizer
from talkspurt.testing.virtual_time import run_virtual


class Turns:
    """A transcript of which so much is stored."""

    def __init__(self) -> None:
        self.appended = self.stored = 0

    async def reached(self, appended: int, timeout: float) -> bool:  # noqa: ASYNC109 - as the real one
        if self.stored < appended:
            await asyncio.sleep(timeout)
        return self.stored >= appended


class Calls:
    """A calls table that takes its time, and at times nothing."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.turns = Turns()
        self.down = False
        self.bugs: set[str] = set()
        self.poison: set[str] = set()
        """Calls that the database never takes anything of."""
        self.refused: set[str] = set()
        self.held: set[str] = set()
        """Calls whose rows somebody else holds."""
        self.together: list[tuple[float, list[str]]] = []
        """Of each write: when it began, and of which calls."""
        self.saved: list[tuple[str, str]] = []
        """Call and state, as stored."""

    async def save_snapshot(self, call_id: str, *, attachment: int, snapshot: str) -> bool:
        await self._write([call_id])
        await self._lock(call_id)
        if call_id not in self.refused:
            self.saved.append((call_id, snapshot))
        return call_id not in self.refused

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> frozenset[str]:
        await self._write([each.call_id for each in snapshots])
        free = [each for each in snapshots if each.call_id not in self.held]
        self.saved += [(each.call_id, each.text) for each in free if each.call_id not in self.refused]
        return frozenset(each.call_id for each in free)

    async def _write(self, calls: list[str]) -> None:
        self.together.append((asyncio.get_running_loop().time(), calls))
        await asyncio.sleep(self.seconds)
        if self.down or self.poison.intersection(calls):
            raise StoreError("down")
        if self.bugs.intersection(calls):
            raise TypeError("not foreseen")

    async def _lock(self, call_id: str) -> None:
        # 0.2 s, as the real one.
        for _ in range(20):
            if call_id not in self.held:
                return
            await asyncio.sleep(0.01)
        raise HeldError("held")

    @property
    def order(self) -> list[str]:
        return [call_id for call_id, _ in self.saved]


@asynccontextmanager
async def recording(calls: Calls) -> AsyncIterator[Recorder]:
    recorder = Recorder(cast(Store, SimpleNamespace(calls=calls, turns=calls.turns)))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(recorder.run())
        yield recorder
        assert not running.done()
        running.cancel()


def note(recorder: Recorder, call_id: str, state: str = "state") -> None:
    recorder.snapshot(call_id, 1, lambda: state)


def test_states_that_come_within_a_moment_are_written_together() -> None:
    async def scenario() -> None:
        calls = Calls(seconds=0.05)
        async with recording(calls) as recorder:
            note(recorder, "a", "older")
            await asyncio.sleep(0.06)
            note(recorder, "b")
            note(recorder, "a", "newer")
            await asyncio.sleep(0.06)
            # While those are written.
            note(recorder, "c")
            note(recorder, "b", "newest")
            await asyncio.sleep(0.06)
            note(recorder, "d")
            await asyncio.sleep(0.2)
        assert [written for _, written in calls.together] == [["a", "b"], ["c", "b", "d"]]
        assert [began for began, _ in calls.together] == pytest.approx([0.1, 0.22], abs=0.001)
        assert calls.saved == [("a", "newer"), ("b", "state"), ("c", "state"), ("b", "newest"), ("d", "state")]

    run_virtual(scenario())


def test_what_cannot_wait_is_written_first_and_by_itself_and_the_others_behind_it() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            note(recorder, "a")
            note(recorder, "executes", "before")
            note(recorder, "b")
            recorder.snapshot("executes", 1, lambda: "executing", at_once=True)
            note(recorder, "executes", "and more was said")
            await asyncio.sleep(0.01)
            assert [written for _, written in calls.together] == [["executes"], ["a", "b"]]
            note(recorder, "next")
            recorder.snapshot("changed", 1, lambda: "nobody is verified", urgent=True)
            await asyncio.sleep(0.01)
            assert [written for _, written in calls.together[2:]] == [["changed"], ["next"]]
            note(recorder, "executes")
            note(recorder, "a")
            await asyncio.sleep(0.2)
            assert calls.together[-1][1] == ["executes", "a"], "it is a call like any other again"

    run_virtual(scenario())


def test_what_cannot_wait_is_next_also_while_an_older_state_of_its_call_is_being_written() -> None:
    async def scenario() -> None:
        calls = Calls(seconds=0.05)
        async with recording(calls) as recorder:
            note(recorder, "executes")
            note(recorder, "a")
            await asyncio.sleep(0.12)
            note(recorder, "b")
            note(recorder, "a")
            recorder.snapshot("executes", 1, lambda: "executing", at_once=True)
            await asyncio.sleep(0.2)
            assert [written for _, written in calls.together] == [["executes", "a"], ["executes"], ["b", "a"]]

    run_virtual(scenario())


def test_no_transaction_stores_more_than_can_be_encoded_in_one_go() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            for number in range(waiting.MOST_TOGETHER + 2):
                note(recorder, str(number))
            await asyncio.sleep(0.2)
        assert [len(written) for _, written in calls.together] == [waiting.MOST_TOGETHER, 2]

    run_virtual(scenario())


def test_states_are_written_behind_the_turns_of_all_of_them() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            note(recorder, "a")
            calls.turns.appended = 1
            note(recorder, "b")
            await asyncio.sleep(1.0)
            assert calls.saved == []
            calls.turns.stored = 1
            await asyncio.sleep(5.0)
            assert sorted(calls.order) == ["a", "b"]

    run_virtual(scenario())


def test_a_state_that_is_refused_is_done_with_and_those_beside_it_are_stored() -> None:
    async def scenario() -> None:
        calls = Calls()
        calls.refused.add("superseded")
        async with recording(calls) as recorder:
            for call in ("a", "superseded", "b"):
                note(recorder, call)
            await asyncio.sleep(100)
            assert [written for _, written in calls.together] == [["a", "superseded", "b"]]
            assert calls.order == ["a", "b"]

    run_virtual(scenario())


def test_a_state_that_the_database_never_takes_keeps_no_other_from_it() -> None:
    async def scenario() -> None:
        calls = Calls()
        calls.poison.add("poison")
        async with recording(calls) as recorder:
            for call in ("a", "poison", "b"):
                note(recorder, call)
            await asyncio.sleep(1.0)
            assert sorted(calls.order) == ["a", "b"]
            note(recorder, "poison")
            note(recorder, "c")
            note(recorder, "d")
            await asyncio.sleep(10.0)
            assert sorted(calls.order) == ["a", "b", "c", "d"]
            assert calls.together[-1][1] == ["poison"], "it is still tried"
            calls.poison.clear()
            await asyncio.sleep(10.0)
            assert calls.order[-1] == "poison"

    run_virtual(scenario())


def test_a_call_whose_row_somebody_else_holds_is_written_behind_the_others() -> None:
    async def scenario() -> None:
        calls = Calls()
        calls.held.add("held")
        async with recording(calls) as recorder:
            for call in ("a", "held", "b"):
                note(recorder, call)
            await asyncio.sleep(0.15)
            assert calls.order == ["a", "b"]
            note(recorder, "c")
            await asyncio.sleep(0.2)
            assert calls.order == ["a", "b", "c"], "0.2 s later at most, and not behind a pause as in an outage"
            await asyncio.sleep(3.0)
            calls.held.clear()
            await asyncio.sleep(0.2)
            assert calls.order == ["a", "b", "c", "held"]
            written = len(calls.together)
            await asyncio.sleep(10.0)
            assert len(calls.together) == written

    run_virtual(scenario())


def test_a_row_that_is_held_keeps_no_usage_waiting() -> None:
    async def scenario() -> None:
        calls, used = Calls(), list[str]()

        async def add(call_id: str, _used: object) -> None:
            used.append(call_id)

        calls.held.add("held")
        store = SimpleNamespace(calls=calls, turns=calls.turns, usage=SimpleNamespace(add=add))
        recorder = Recorder(cast(Store, store))
        note(recorder, "held")
        with recorder.metering("over", Meter()):
            pass
        await recorder.flush(3.0)
        assert used == ["over"]

    run_virtual(scenario())


def test_that_somebody_else_has_the_phone_goes_before_those_that_were_not_stored_together() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            calls.down = True
            note(recorder, "a")
            note(recorder, "b")
            await asyncio.sleep(0.15)
            calls.down = False
            recorder.snapshot("changed", 1, lambda: "nobody is verified", urgent=True)
            await asyncio.sleep(8.0)
            assert calls.order[0] == "changed"
            assert len(calls.order) == 3

    run_virtual(scenario())


def test_that_somebody_else_has_the_phone_waits_for_no_turns_among_others_either() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            calls.down = True
            note(recorder, "a")
            calls.turns.appended = 1
            recorder.snapshot("changed", 1, lambda: "nobody is verified", urgent=True)
            await asyncio.sleep(0.05)
            calls.down = False
            await asyncio.sleep(0.3)
            assert calls.together[-1][1] == ["a", "changed"]
            assert calls.order == ["a", "changed"]

    run_virtual(scenario())


def test_a_row_that_is_held_for_a_moment_only_is_waited_for() -> None:
    async def scenario() -> None:
        calls = Calls()
        calls.held.add("held")
        async with recording(calls) as recorder:
            recorder.snapshot("held", 1, lambda: "executing", at_once=True)
            note(recorder, "a")
            await asyncio.sleep(0.05)
            calls.held.clear()
            await asyncio.sleep(0.02)
            assert calls.order == ["held", "a"]

    run_virtual(scenario())


def test_each_call_whose_state_was_not_stored_is_named_and_counted() -> None:
    async def scenario() -> None:
        calls = Calls()
        calls.down = True
        before = metrics.REGISTRY.get_sample_value("talkspurt_store_failures_total", {"purpose": "snapshot"}) or 0.0
        async with recording(calls) as recorder:
            with capture_logs() as logs:
                for call in ("a", "b"):
                    note(recorder, call)
                await asyncio.sleep(0.15)
            assert [log.get("call_ids") or log["call_id"] for log in logs] == [("a", "b"), "a"]
        after = metrics.REGISTRY.get_sample_value("talkspurt_store_failures_total", {"purpose": "snapshot"})
        assert after == before + 3

    run_virtual(scenario())


def test_after_an_outage_all_are_written_whether_noted_before_or_in_it() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            calls.down = True
            for number in range(50):
                note(recorder, str(number))
                await asyncio.sleep(0.1)
            calls.down = False
            await asyncio.sleep(5.2)
            assert sorted(calls.order, key=int) == [str(number) for number in range(50)]
            note(recorder, "0")
            note(recorder, "1")
            await asyncio.sleep(0.2)
            assert calls.together[-1][1] == ["0", "1"], "what is stored is not written by itself any more"

    run_virtual(scenario())


def test_the_last_flush_waits_for_no_others() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            for number in range(waiting.MOST_TOGETHER + 2):
                note(recorder, str(number))
            await recorder.flush()
            assert asyncio.get_running_loop().time() == pytest.approx(0.0, abs=0.001)
            assert len(calls.saved) == waiting.MOST_TOGETHER + 2

    run_virtual(scenario())


def test_the_last_flush_waits_for_the_snapshot_that_is_being_written() -> None:
    async def scenario() -> None:
        calls = Calls(seconds=1.0)
        async with recording(calls) as recorder:
            note(recorder, "call")
            await asyncio.sleep(0.5)
            assert calls.order == []
            await recorder.flush()
            assert calls.order == ["call"]

    run_virtual(scenario())


def test_no_call_is_passed_over_while_more_arrives_than_can_be_written() -> None:
    async def scenario() -> None:
        calls = Calls(seconds=1.0)
        async with recording(calls) as recorder:
            for _ in range(60):
                for call in range(10):
                    note(recorder, f"call {call}")
                await asyncio.sleep(0.5)
        assert calls.order == [f"call {n % 10}" for n in range(len(calls.order))]
        assert len(calls.order) >= 29

    run_virtual(scenario())


def test_a_state_that_a_newer_one_has_replaced_is_neither_encoded_nor_written() -> None:
    async def scenario() -> None:
        calls, encoded = Calls(seconds=0.95), list[int]()

        def encode(number: int) -> str:
            encoded.append(number)
            return str(number)

        async with recording(calls) as recorder:
            for number in range(8):
                recorder.snapshot("call", 1, partial(encode, number))
                await asyncio.sleep(0.3)
            await recorder.flush()
        assert encoded == [0, 3, 6, 7]
        assert calls.saved == [("call", str(number)) for number in encoded]

    run_virtual(scenario())


def test_what_the_database_did_not_take_is_stored_once_it_is_back() -> None:
    async def scenario() -> None:
        calls = Calls()
        async with recording(calls) as recorder:
            calls.down = True
            note(recorder, "silent")
            note(recorder, "talking", "first")
            await asyncio.sleep(1.0)
            note(recorder, "talking", "second")
            await asyncio.sleep(30.0)
            assert calls.saved == []
            calls.down = False
            await asyncio.sleep(5.1)
            assert sorted(calls.saved) == [("silent", "state"), ("talking", "second")]

    run_virtual(scenario())


def test_states_that_wait_for_a_database_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_SNAPSHOTS", 3)

    async def scenario() -> None:
        calls = Calls()
        recorder = Recorder(cast(Store, SimpleNamespace(calls=calls, turns=calls.turns)))
        for number in range(5):
            note(recorder, str(number))
        note(recorder, "3", "newer")
        await recorder.flush()
        assert calls.saved == [("2", "state"), ("3", "newer"), ("4", "state")]

    run_virtual(scenario())


def test_the_state_of_a_call_that_is_handed_over_is_written_before_all_others() -> None:
    async def scenario() -> None:
        calls = Calls(seconds=1.0)
        async with recording(calls) as recorder:
            for number in range(50):
                note(recorder, str(number))
            await asyncio.sleep(0.5)
            note(recorder, "leaving")
            assert await recorder.write("leaving", 2.0)
            assert calls.order == [*map(str, range(waiting.MOST_TOGETHER)), "leaving"]
            assert await recorder.write("leaving", 2.0), "it is stored"
            calls.down, calls.seconds = True, 0.1
            note(recorder, "leaving", "again")
            assert not await recorder.write("leaving", 2.0)
            asyncio.get_running_loop().call_later(1.0, setattr, calls, "down", False)
            note(recorder, "leaving", "once more")
            assert await recorder.write("leaving", 2.0), "the database came back in time"
            await asyncio.sleep(100)
            assert ("leaving", "once more") in calls.saved
            assert len(calls.saved) == 52

    run_virtual(scenario())


def test_that_somebody_else_has_the_phone_is_stored_before_all_others_and_not_behind_turns() -> None:
    async def scenario() -> None:
        calls = Calls(seconds=0.1)
        calls.turns.appended = 1
        async with recording(calls) as recorder:
            for number in range(50):
                note(recorder, str(number))
            await asyncio.sleep(0.5)
            recorder.snapshot("changed", 1, lambda: "nobody is verified", urgent=True)
            note(recorder, "changed", "nobody is, and more was said")
            assert await recorder.write("changed", 2.0)
            assert calls.saved == [("changed", "nobody is, and more was said")]
            note(recorder, "changed", "a call like any other")
            assert not await recorder.write("changed", 2.0), "its turns are not stored yet"

    run_virtual(scenario())


def test_the_last_flush_does_not_wait_for_a_database_that_stays_away() -> None:
    async def scenario() -> None:
        calls = Calls(seconds=0.7)
        calls.down = True
        async with recording(calls) as recorder:
            note(recorder, "a")
            note(recorder, "b")
            began = asyncio.get_running_loop().time()
            with capture_logs() as logs:
                await recorder.flush()
            assert asyncio.get_running_loop().time() - began == pytest.approx(waiting.FLUSH_TIMEOUT)
            assert [(log["event"], log["snapshots"]) for log in logs if log["log_level"] == "error"] == [
                ("not_stored_at_shutdown", 2)
            ]

    run_virtual(scenario())


def test_what_is_wrong_with_one_call_ends_no_other() -> None:
    def broken() -> str:
        raise TypeError("Object of type Decimal is not JSON serializable")

    async def scenario() -> None:
        calls = Calls()
        calls.bugs.add("refused")
        async with recording(calls) as recorder:
            recorder.snapshot("broken", 1, broken)
            note(recorder, "refused")
            note(recorder, "sound")
            await asyncio.sleep(1.0)
            assert calls.order == ["sound"]
            note(recorder, "sound")
            await asyncio.sleep(1.0)
            assert calls.order == ["sound", "sound"]

    run_virtual(scenario())


def test_usage_of_a_call_that_was_erased_holds_nothing_up() -> None:
    class Refusing:
        async def add(self, call_id: str, _used: object) -> None:
            if call_id == "erased":
                raise ConflictError("no such call")

    async def scenario() -> None:
        calls = Calls()
        store = SimpleNamespace(calls=calls, turns=calls.turns, usage=Refusing())
        recorder = Recorder(cast(Store, store))
        running = asyncio.create_task(recorder.run())
        for _ in range(3):
            with recorder.metering("erased", Meter()):
                pass
        note(recorder, "call")
        await asyncio.sleep(0.2)
        assert calls.order == ["call"]
        running.cancel()

    run_virtual(scenario())


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


def test_what_a_call_uses_is_written_every_minute_and_at_its_end_and_nothing_twice_or_never() -> None:
    usage = FailingUsage()

    async def scenario() -> None:
        recorder = Recorder(cast(Store, SimpleNamespace(usage=usage, turns=Turns())))
        running = asyncio.create_task(recorder.run())
        meter = Meter()
        METER.set(meter)
        with recorder.metering("call", meter) as line_ends:
            stream = await MeteredRecognizer(ScriptedRecognizer(["x"]), "deepgram").open(locale="en-US", call_id="call")
            meter.add("synthesis", "elevenlabs", "characters", 100)
            await asyncio.sleep(61)
            assert sorted(usage.rows) == [
                ("characters", 100),
                ("line_seconds", pytest.approx(60, abs=0.2)),
                ("seconds", pytest.approx(60, abs=0.2)),
                ("seconds", pytest.approx(60, abs=0.2)),
            ]
            meter.add("synthesis", "elevenlabs", "characters", 7)
            await asyncio.sleep(60)
            assert ("characters", 7) in usage.rows, "the store would not have it at first"
            await asyncio.sleep(9)
            await stream.aclose()
            line_ends()
            await asyncio.sleep(5)
        await asyncio.sleep(1000)
        running.cancel()

    run_virtual(scenario())
    assert waiting.USAGE_EVERY == 60
    assert usage.asked == 5
    sums = {unit: sum(amount for each, amount in usage.rows if each == unit) for unit, _ in usage.rows}
    assert sums == {"characters": 107, "line_seconds": pytest.approx(130), "seconds": pytest.approx(260)}
