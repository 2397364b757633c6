"""One 20 ms clock for all calls of a process: it paces what is sent and decides what is voice.

A timer per call would cost more than the work it triggers. The schedule is absolute, so
ticks do not drift; ticks that the loop was too late for are not made up for.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from talkspurt.ports import VoiceActivityDetector
from talkspurt.telemetry import lateness

TICK: Final = 0.02

_log = structlog.get_logger(__name__)


class MediaClock:
    """Runs the shared voice activity detector and then every call's `tick(now)`."""

    def __init__(self, detector: VoiceActivityDetector) -> None:
        self._detector = detector
        self._calls: set[Callable[[float], None]] = set()

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

    def _tick(self, now: float) -> None:
        try:
            self._detector.tick()
        except Exception:
            _log.exception("voice_activity_failed")
        for tick in tuple(self._calls):
            try:
                tick(now)
            except Exception:
                # One call's fault must not silence the others.
                _log.exception("media_tick_failed")
