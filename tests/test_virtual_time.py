"""The loop that tests and benchmarks of calls run on: when its clock stands still, and that it starves nobody."""

import asyncio
import socket
import threading
import time

from talkspurt.testing.virtual_time import VirtualTimeLoop, run_virtual


def _loop() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


def test_no_time_passes_until_threads_are_done() -> None:
    async def main() -> tuple[list[str], float]:
        loop, order = _loop(), []
        may_end = threading.Event()

        async def work() -> None:
            await loop.run_in_executor(None, may_end.wait)
            order.append("done")

        async def wait(name: str) -> None:
            await loop.until_idle()
            order.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            await asyncio.sleep(0)
            impatient = group.create_task(wait("impatient"))
            group.create_task(wait("patient"))
            threading.Timer(0.05, may_end.set).start()
            await asyncio.sleep(0)
            impatient.cancel()
        return order, loop.time()

    assert run_virtual(main()) == (["done", "patient"], 0.0)


def test_nobody_waits_for_a_loop_that_is_idle() -> None:
    async def main() -> float:
        await _loop().until_idle()
        return _loop().time()

    assert run_virtual(main()) == 0.0


def test_timers_of_one_moment_fire_in_the_order_in_which_they_were_set() -> None:
    async def main() -> list[int]:
        loop = _loop()
        fired: list[int] = []
        for number in range(20):
            loop.call_at(1.0, fired.append, number)
        await asyncio.sleep(2.0)
        return fired

    assert run_virtual(main()) == list(range(20))


def test_a_socket_is_heard_while_timers_fire() -> None:
    async def main() -> tuple[bytes, float]:
        loop = _loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.send(b"ready")
            received = asyncio.create_task(loop.sock_recv(ours, 10))
            while not received.done():  # noqa: ASYNC110 - a loop that always has a timer is the point
                await asyncio.sleep(0.02)
            return await received, loop.time()

    data, seconds = run_virtual(main())
    assert data == b"ready"
    assert seconds < 0.1


def test_what_a_thread_asks_for_is_done_though_the_loop_never_rests() -> None:
    async def main() -> bool:
        loop, asked = _loop(), asyncio.Event()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(asked.set,))
        thread.start()
        deadline = time.monotonic() + 5.0
        while not asked.is_set() and time.monotonic() < deadline:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        thread.join()
        return asked.is_set()

    assert run_virtual(main())
