"""What calls used is kept by call and averaged over the latest that have ended."""

from talkspurt.store import Store
from talkspurt.telemetry.usage import Meter

from .conftest import HandClock


async def ended(store: Store, clock: HandClock, number: int, *seconds: float) -> None:
    call = await store.calls.admit(
        carrier_call_id=f"CA{number}", caller="+1", dialled="+2", agent="retail", locale="en-US"
    )
    for part in seconds:
        meter = Meter()
        meter.add("recognition", "deepgram", "seconds", part)
        await store.usage.add(call.id, meter.used)
    await store.calls.end(call.id, "agent_goodbye")
    clock.advance(60)


async def test_the_latest_calls_are_averaged_and_the_parts_of_a_resumed_call_added(
    store: Store, clock: HandClock
) -> None:
    await ended(store, clock, 1, 1000.0)
    await ended(store, clock, 2, 10.0, 20.0)
    await ended(store, clock, 3, 50.0)
    average = await store.usage.average(2)
    assert average.calls == 2
    assert average.used == {("recognition", "deepgram", "seconds"): 40.0}


async def test_calls_without_known_usage_do_not_count(store: Store, clock: HandClock) -> None:
    await ended(store, clock, 1, 40.0)
    await ended(store, clock, 2)
    assert (await store.usage.average(100)).calls == 1


async def test_without_calls_there_is_no_average(store: Store) -> None:
    average = await store.usage.average(100)
    assert (average.calls, average.used) == (0, {})
