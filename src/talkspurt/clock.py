"""One 20 ms clock for all calls of a process: it paces what is sent and decides what is voice.

A timer per call would cost more than the work it triggers. The schedule is absolute, so
ticks do not drift; ticks that the loop was too late for are not made up for.

What is due is sent first, for all calls in one go. What is voice is decided behind it in steps, and others have their
turn between them: for a hundred calls it takes some 4 ms, and an answer on its way, which passes the loop a dozen
times, would wait for all of that whenever it meets a tick.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from talkspurt.ports import VoiceActivityDetector
from talkspurt.telemetry import lateness

TICK: Final = 0.02
AT_ONCE: Final = 0.0005
"""Seconds of a tick's steps after which others have their turn; then twice as many, and so on: on a full loop others
take long, and a tick that waited for them often would find a voice too late."""
FEW: Final = 8
"""Calls whose tick is done at once: so little does not matter, and its order does not depend on the machine's speed."""

_log = structlog.get_logger(__name__)


class MediaClock:
    """Runs every call's `tick(now)` and then the shared voice activity detector, all of it before the next tick."""

    def __init__(self, detector: VoiceActivityDetector) -> None:
        self._detector = detector
        self._calls: set[Callable[[float], None]] = set()
        self._steps: Iterator[None] = iter(())
        """What the detector has left to decide of the last tick."""
        self._going_on: asyncio.Handle | None = None

    def join(self, tick: Callable[[float], None]) -> None:
        """Call `tick(now)` from the next tick on; `now` is the event loop's time."""
        self._calls.add(tick)

    def leave(self, tick: Callable[[float], None]) -> None:
        """Stop calling it. Idempotent."""
        self._calls.discard(tick)

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        # A timer, where a task that sleeps would cost two turns of the loop for each tick.
        def tick(due: float) -> None:
            nonlocal timer
            try:
                now = loop.time()
                lateness.TICKS.note(max(0.0, now - due))
                if self._calls:
                    self._tick(now)
            finally:
                # Whatever a call raises: without its clock no call of this process would say anything any more.
                due = max(due + TICK, loop.time() - TICK)
                timer = loop.call_at(due, tick, due)

        timer = loop.call_at(loop.time(), tick, loop.time())
        try:
            await loop.create_future()
        finally:
            timer.cancel()
            self._stop()

    def _tick(self, now: float) -> None:
        self._stop()
        for _ in self._steps:
            # The loop is so busy that the last tick is not over yet.
            pass
        for tick in tuple(self._calls):
            try:
                tick(now)
            except Exception:
                # One call's fault must not silence the others.
                _log.exception("media_tick_failed")
        self._steps = self._decide()
        self._go_on(AT_ONCE)

    def _go_on(self, at_once: float) -> None:
        until = time.perf_counter() + at_once
        for _ in self._steps:
            if len(self._calls) > FEW and time.perf_counter() >= until:
                self._going_on = asyncio.get_running_loop().call_soon(self._go_on, 2 * at_once)
                return

    def _decide(self) -> Iterator[None]:
        try:
            yield from self._detector.steps()
        except Exception:
            _log.exception("voice_activity_failed")

    def _stop(self) -> None:
        if self._going_on is not None:
            self._going_on.cancel()
            self._going_on = None
