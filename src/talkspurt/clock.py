"""One 20 ms clock for all calls of a process: it paces what is sent and decides what is voice.

A timer per call would cost more than the work it triggers. The schedule is absolute, so
ticks do not drift; ticks that the loop was too late for are not made up for.

The work of a tick takes 5 ms for a hundred calls. An answer on its way passes the loop a dozen times, and would wait
for all of it each time it meets a tick; so the work is done in steps, and others have their turn between them.
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
"""Seconds of a tick's work, after which others have their turn …"""
LEAST: Final = 8
"""… but not before so many steps: of a few calls' ticks the order does not depend on how fast the machine is."""

_log = structlog.get_logger(__name__)


class MediaClock:
    """Runs the shared voice activity detector and then every call's `tick(now)`, all of it before the next tick."""

    def __init__(self, detector: VoiceActivityDetector) -> None:
        self._detector = detector
        self._calls: set[Callable[[float], None]] = set()
        self._steps: Iterator[None] = iter(())
        """What is left to be done of the last tick."""
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
        self._steps = self._work(now)
        self._go_on()

    def _go_on(self) -> None:
        until = time.perf_counter() + AT_ONCE
        for taken, _ in enumerate(self._steps, start=1):
            if taken >= LEAST and time.perf_counter() >= until:
                self._going_on = asyncio.get_running_loop().call_soon(self._go_on)
                return

    def _stop(self) -> None:
        if self._going_on is not None:
            self._going_on.cancel()
            self._going_on = None

    def _work(self, now: float) -> Iterator[None]:
        try:
            yield from self._detector.steps()
        except Exception:
            _log.exception("voice_activity_failed")
        for tick in tuple(self._calls):
            if tick not in self._calls:
                continue
            try:
                tick(now)
            except Exception:
                # One call's fault must not silence the others.
                _log.exception("media_tick_failed")
            yield
