"""Threads that run inference for all calls, most urgent piece first.

Work comes in pieces (a chunk of speech, a transcript); each says when its result is due. A call
whose caller already hears three seconds of speech thus waits for a call that is still silent.

It is not a general executor: there is no cancelling of a piece that runs, so pieces must be short.

Invariants: a cancelled piece that has not begun never runs; the queue is bounded by its users, who
each have at most a few pieces waiting; threads end on `aclose`, and none outlives the process.
"""

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
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
    """A few daemon threads behind one queue ordered by due time, first come first served among equals."""

    def __init__(self, workers: int, name: str) -> None:
        self._queue: queue.PriorityQueue[_Piece] = queue.PriorityQueue()
        self._order = itertools.count()
        self._users = 1
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    @classmethod
    def shared(cls, workers: int) -> "InferencePool":
        """The process's one pool of that size, for all that infer: whoever needs it close it, the last one ends it.

        With a pool each, speech that is made ahead of its time would take the cores from a transcript that a caller
        waits for; behind one queue the most urgent piece of all comes first.
        """
        pool = _SHARED.get(workers)
        if pool is None or pool._closed:
            pool = _SHARED[workers] = cls(workers, "inference")
        else:
            pool._users += 1
        return pool

    async def run(self, work: Callable[[], Result], *, due: float) -> Result:
        """Run `work` on a thread and return what it returns or raises; `due` is in seconds of any one clock.

        Cancelling this before `work` has begun prevents it; later it only drops the result.
        """
        if self._closed:
            raise RuntimeError("the inference pool is closed")
        piece = _Piece(due, next(self._order), work, Future())
        self._queue.put(piece)
        result: Result = await asyncio.wrap_future(piece.outcome)
        return result

    async def aclose(self) -> None:
        """Cancel what waits, let what runs end. Idempotent."""
        self._users -= 1
        if self._users > 0:
            return
        if not self._closed:
            self._closed = True
            while True:
                try:
                    self._queue.get_nowait().outcome.cancel()
                except queue.Empty:
                    break
            for _ in self._threads:
                self._queue.put(_Piece(float("inf"), next(self._order), None, Future()))
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
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


_SHARED: Final[dict[int, InferencePool]] = {}
