"""The inference threads: urgent work first, cancelled work never, no thread left behind."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from talkspurt.errors import ProviderError
from talkspurt.speech.inference import Ask, Purpose
from talkspurt.speech.inference.threads import InferenceThreads

OWNER = object()


def ask(call: str = "a", patience: float = 30.0, *, ahead: bool = False) -> Ask:
    now = time.monotonic()
    return Ask(Purpose(call, ahead=ahead), now, now + patience)


class Gate:
    """Occupies a thread until opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.open.wait(10)


@pytest.fixture
async def threads() -> AsyncIterator[InferenceThreads]:
    threads = InferenceThreads(1, per_call=2, in_all=4)
    yield threads
    threads.close()
    threads.join()


@pytest.fixture
async def gate(threads: InferenceThreads) -> AsyncIterator[Gate]:
    """The one thread is occupied."""
    gate = Gate()
    task = asyncio.create_task(threads.run("speech", ask("gate"), gate, owner=OWNER))
    await asyncio.to_thread(gate.entered.wait, 10)
    yield gate
    gate.open.set()
    await task


async def test_results_and_errors_come_back(threads: InferenceThreads) -> None:
    assert await threads.run("speech", ask(), lambda: 7, owner=OWNER) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run("speech", ask(), lambda: 1 / 0, owner=OWNER)
    assert await threads.run("speech", ask(), lambda: 8, owner=OWNER) == 8


async def test_the_asker_is_told_how_long_a_piece_waited_and_took(threads: InferenceThreads) -> None:
    told: list[tuple[float, float]] = []
    gate = Gate()
    first = asyncio.create_task(threads.run("speech", ask("gate"), gate, owner=OWNER))
    await asyncio.to_thread(gate.entered.wait, 10)
    now = time.monotonic()
    timed = Ask(Purpose("a"), now, now + 30, lambda queued, ran: told.append((queued, ran)))
    second = asyncio.create_task(threads.run("speech", timed, lambda: time.sleep(0.05), owner=OWNER))
    await asyncio.sleep(0.1)
    gate.open.set()
    await asyncio.gather(first, second)
    ((queued, ran),) = told
    assert 0.1 <= queued < 5
    assert 0.05 <= ran < 5


async def test_a_piece_cancelled_while_it_waits_never_runs(threads: InferenceThreads, gate: Gate) -> None:
    ran: list[int] = []
    waiting = asyncio.create_task(threads.run("speech", ask(), lambda: ran.append(1), owner=OWNER))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open.set()
    await threads.run("speech", ask(), lambda: None, owner=OWNER)
    assert ran == []


async def test_what_expires_is_refused_and_never_runs(threads: InferenceThreads, gate: Gate) -> None:
    ran: list[int] = []
    with pytest.raises(ProviderError, match="whisper recognizer: overloaded") as refusal:
        await threads.run("transcript", ask(patience=0.05), lambda: ran.append(1), owner=OWNER)
    assert refusal.value.retryable
    gate.open.set()
    await threads.run("speech", ask(), lambda: None, owner=OWNER)
    assert ran == []


async def test_a_timeout_of_the_work_itself_is_not_taken_for_ours(threads: InferenceThreads) -> None:
    def time_out() -> None:
        raise TimeoutError("espeak-ng")

    with pytest.raises(TimeoutError, match="espeak-ng"):
        await threads.run("speech", ask(), time_out, owner=OWNER)


@pytest.mark.usefixtures("gate")
async def test_what_is_too_much_is_refused_and_what_is_pushed_out_is_told(threads: InferenceThreads) -> None:
    def waiting(call: str, *, ahead: bool = False) -> asyncio.Task[None]:
        return asyncio.create_task(threads.run("speech", ask(call, ahead=ahead), lambda: None, owner=OWNER))

    ahead, *wanted = waiting("a", ahead=True), waiting("b"), waiting("b"), waiting("c")
    await asyncio.sleep(0)
    with pytest.raises(ProviderError, match="too much is waiting"):
        await threads.run("speech", ask("b"), lambda: None, owner=OWNER)
    wanted.append(waiting("d"))
    with pytest.raises(ProviderError, match="others who have less waiting came first"):
        await ahead
    assert not any(task.done() for task in wanted)
    for task in wanted:
        task.cancel()
    await asyncio.gather(*wanted, return_exceptions=True)


async def test_an_owner_who_closes_withdraws_their_own_pieces_only(threads: InferenceThreads, gate: Gate) -> None:
    other = object()
    own = asyncio.create_task(threads.run("speech", ask("a"), lambda: 7, owner=other))
    others = asyncio.create_task(threads.run("speech", ask("b"), lambda: 8, owner=OWNER))
    await asyncio.sleep(0)
    threads.withdraw(other)
    with pytest.raises(ProviderError, match="was closed"):
        await own
    gate.open.set()
    assert await others == 8


async def test_closing_ends_the_threads() -> None:
    def alive() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("inference-")}

    before = alive()
    threads = InferenceThreads(3)
    assert len(alive() - before) == 3
    threads.close()
    threads.join()
    assert not alive() - before
    with pytest.raises(ProviderError, match="was closed"):
        await threads.run("speech", ask(), lambda: None, owner=OWNER)
