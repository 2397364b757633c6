"""Threads that run inference for all calls, most urgent piece first.

Work comes in pieces (a chunk of speech, a transcript); each says when its result is due. A call
whose caller already hears three seconds of speech thus waits for a call that is still silent.

It is not a general executor: there is no cancelling of a piece that runs, so pieces must be short.

Invariants: a cancelled piece that has not begun never runs; the queue is bounded by its users, who
each have at most a few pieces waiting; closing a pool touches no piece of another that shares its
threads; threads end with the last pool that uses them, and none outlives the process.
"""

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

CLOSE_TIMEOUT: Final = 10.0
"""Seconds for running pieces to end on `aclose`; the longest take well under one."""


@dataclass(order=True, slots=True)
class _Piece:
    due: float
    order: int
    work: Callable[[], Any] | None = field(compare=False)
    outcome: Future[Any] = field(compare=False)


class InferencePool:
    """A user's place in one queue before a few daemon threads: by due time, first come first served among equals."""

    def __init__(self, workers: int, name: str, *, threads: "_Threads | None" = None) -> None:
        """Threads of its own, unless it is to share some."""
        self._threads = threads or _Threads(workers, name)
        self._threads.users += 1
        self._pieces: set[Future[Any]] = set()
        """What has not ended."""
        self._closed = False

    @classmethod
    def shared(cls, workers: int) -> "InferencePool":
        """A pool on the process's one set of so many threads, for all that infer: the last to be closed ends them.

        With threads each, speech that is made ahead of its time would take the cores from a transcript that a caller
        waits for; behind one queue the most urgent piece of all comes first.
        """
        threads = _SHARED.get(workers)
        if threads is None or not threads.users:
            threads = _SHARED[workers] = _Threads(workers, "inference")
        return cls(workers, "inference", threads=threads)

    async def run(self, work: Callable[[], Result], *, due: float) -> Result:
        """Run `work` on a thread and return what it returns or raises; `due` is in seconds of any one clock.

        Cancelling this before `work` has begun prevents it; later it only drops the result.
        """
        if self._closed:
            raise RuntimeError("the inference pool is closed")
        outcome = self._threads.put(work, due)
        self._pieces.add(outcome)
        outcome.add_done_callback(self._pieces.discard)
        result: Result = await asyncio.wrap_future(outcome)
        return result

    async def aclose(self) -> None:
        """Cancel what waits, let what runs end. Idempotent."""
        first, self._closed = not self._closed, True
        running = [piece for piece in list(self._pieces) if not piece.cancel()]
        if first:
            self._threads.users -= 1
            if not self._threads.users:
                self._threads.end()
        await asyncio.to_thread(wait, running, CLOSE_TIMEOUT)
        if not self._threads.users:
            await asyncio.to_thread(self._threads.join)


class _Threads:
    """The threads and their queue; they end when `users`, which its users count, is 0 again."""

    def __init__(self, workers: int, name: str) -> None:
        self.users = 0
        self._queue: queue.PriorityQueue[_Piece] = queue.PriorityQueue()
        self._order = itertools.count()
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def put(self, work: Callable[[], Any], due: float) -> Future[Any]:
        """Let `work` be done when its turn comes."""
        piece = _Piece(due, next(self._order), work, Future())
        self._queue.put(piece)
        return piece.outcome

    def end(self) -> None:
        """Let each thread end once nothing is left to do."""
        for _ in self._threads:
            self._queue.put(_Piece(float("inf"), next(self._order), None, Future()))

    def join(self) -> None:
        """Wait for that."""
        for thread in self._threads:
            thread.join(CLOSE_TIMEOUT)

    def _work(self) -> None:
        while True:
            piece = self._queue.get()
            if piece.work is None:
                return
            if not piece.outcome.set_running_or_notify_cancel():
                continue
            try:
                piece.outcome.set_result(piece.work())
            except BaseException as error:  # whatever it is belongs to the one who asked
                piece.outcome.set_exception(error)
            # Hold nothing while waiting: a piece keeps its call's audio alive.
            del piece


_SHARED: Final[dict[int, _Threads]] = {}
