"""Threads that run inference, behind one queue. There is no stopping a piece that runs, so pieces must be short.

Invariants: a piece that is cancelled, refused or expired before it was begun never runs; threads end when they are
closed, and none outlives the process.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from talkspurt.speech.inference.asking import Ask, Kind, measure, refusal
from talkspurt.speech.inference.fair_queue import FairQueue, Piece

Result = TypeVar("Result")

CALL_BACKLOG: Final = 8
"""Pieces of one call that may wait. It has one utterance and one reply at a time: more is a fault of whoever asks."""
BACKLOG: Final = 128
"""Pieces that may wait in all. At a tenth of a second each on two cores, those behind come too late to be of use."""
CLOSE_TIMEOUT: Final = 10.0
"""Seconds for running pieces to end; the longest take well under one."""


@dataclass(slots=True, eq=False)
class _Work(Piece):
    work: Callable[[], Any] = field(kw_only=True)
    owner: object = field(kw_only=True)
    outcome: Future[Any] = field(default_factory=Future, kw_only=True)
    queued_at: float = field(default_factory=time.monotonic, kw_only=True)
    withdrawn: bool = field(default=False, kw_only=True)

    def refuse(self) -> None:
        """It will not be done."""
        if self.outcome.set_running_or_notify_cancel():
            self.outcome.set_exception(_RefusedError())


class _RefusedError(Exception):
    """Pushed out of the queue, or not let in."""


class InferenceThreads:
    """A number of daemon threads and what waits for them."""

    def __init__(self, count: int, *, per_call: int = CALL_BACKLOG, in_all: int = BACKLOG) -> None:
        self._queue = FairQueue(per_call=per_call, in_all=in_all)
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"inference-{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(
        self, kind: Kind, ask: Ask, work: Callable[[], Result], *, owner: object, begun: bool = False
    ) -> Result:
        """Run `work` on a thread and return what it returns or raises. Raises `RefusedError`.

        Cancelling this before `work` has begun prevents it; later it only drops the result.
        """
        piece = _Work(ask.purpose, ask.due, ask.expires, begun, work=work, owner=owner)
        with self._changed:
            if self._closed:
                raise refusal(kind, "closed")
            victim = self._queue.add(piece)
            self._changed.notify()
        if victim is piece:
            raise refusal(kind, "backlog")
        if isinstance(victim, _Work):
            victim.refuse()
        patience = asyncio.timeout(max(0.0, ask.expires - time.monotonic()))
        try:
            async with patience:
                result, queued, ran = await asyncio.wrap_future(piece.outcome)
        except _RefusedError:
            raise refusal(kind, "closed" if piece.withdrawn else "displaced") from None
        except TimeoutError:
            if patience.expired():
                raise refusal(kind, "expired") from None
            raise
        finally:
            self._forget(piece)
        measure(kind, ask, queued, ran)
        done: Result = result
        return done

    def withdraw(self, owner: object) -> None:
        """Refuse what waits of an owner, who has closed. What runs goes on."""
        with self._changed:
            pieces = [piece for piece in self._queue.waiting() if isinstance(piece, _Work) and piece.owner is owner]
            for piece in pieces:
                self._queue.remove(piece)
        for piece in pieces:
            piece.withdrawn = True
            piece.refuse()

    def close(self) -> None:
        """Let each thread end with what it does; nothing waits any more. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the threads to end. Blocking."""
        for thread in self._threads:
            thread.join(CLOSE_TIMEOUT)

    def _forget(self, piece: _Work) -> None:
        with self._changed:
            self._queue.remove(piece)

    def _run(self) -> None:
        while (piece := self._take()) is not None:
            began = time.monotonic()
            if piece.outcome.set_running_or_notify_cancel():
                self._do(piece, began)
            with self._changed:
                self._queue.ended(piece, time.monotonic() - began)
            # Hold nothing while waiting: a piece keeps its call's audio alive.
            del piece

    def _do(self, piece: _Work, began: float) -> None:
        try:
            result = piece.work()
        except BaseException as error:  # whatever it is belongs to the one who asked
            piece.outcome.set_exception(error)
        else:
            piece.outcome.set_result((result, began - piece.queued_at, time.monotonic() - began))

    def _take(self) -> _Work | None:
        with self._changed:
            while not self._closed:
                piece = self._queue.take(time.monotonic())
                if isinstance(piece, _Work):
                    return piece
                self._changed.wait()
            return None
