"""Climbs down the rungs until one streams something useful, and goes on with that one.

`stream_from` asks the highest rung that bears. The next one is asked, beside it, when

* it fails: at once, after one more try at the same rung if that can help (nothing has been heard yet);
* its time for the first useful output is over: it counts as failed, but if it answers after all it may still win.
  What shows that useful output is on its way (a tool call that is being written) gives it time for more of it.

Those that were left alone come last, the local ones first: when nobody else is left there is nothing to lose.

A rung that is slower than it usually is (its own p90) is asked a second time beside the first: a *hedge*, which changes
neither voice nor model. It is the rung's second try, its time is over with that of the first, and unless it wins it is
held against nobody. A local model is never hedged, nor tried again when it has too much to do: it would be more.

Whoever first gives something useful is streamed from; all others are cancelled. What comes then is
the winner's alone: if it breaks off or stalls, the stream ends with its `ProviderError`, and the caller of
this, who knows what has been heard, decides how to go on. Parts that last (speech) may not fall behind either: a drip
in which no pause is too long is still no speech.

Each request runs in one task from its beginning to its end, because what some SDKs open in one task they can
close in no other; its parts come through a bounded queue.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from contextvars import copy_context
from enum import Enum, auto
from typing import Any, Final, Generic, TypeVar

import structlog

from talkspurt.errors import ProviderError
from talkspurt.ladder.rung import Provider, Rung
from talkspurt.ports import Transcript
from talkspurt.synthesizers.cache import ALONE
from talkspurt.telemetry import metrics
from talkspurt.watchdog import Watchdog

Part = TypeVar("Part")

QUEUE: Final = 256
"""Parts that a provider may be ahead of us; then it waits."""
COMING: Final = 3.0
"""Seconds at least for more of what is on its way: some vendors begin a tool call, and send the rest as a whole."""
LAST_WORD: Final = 10.0
"""Seconds that the last rung gets beyond its patience: there is nobody else to ask."""

_log = structlog.get_logger(__name__)


class _Ended:
    """Stands in the queue for the end of a stream."""


class Worth(Enum):
    """What a part of a stream is worth to whoever waits for it."""

    NOTHING = auto()
    COMING = auto()
    """Useful output is on its way."""
    USEFUL = auto()


class Attempt(Generic[Provider, Part]):
    """One request to one rung. It stands on the rung until its task has ended."""

    def __init__(
        self,
        rung: Rung[Provider],
        start: Callable[[Rung[Provider]], AsyncGenerator[Part, None]],
        worth: Callable[[Part], Worth],
        news: asyncio.Event,
        *,
        beside: "Attempt[Provider, Part] | None" = None,
        late: float | None = None,
    ) -> None:
        """`news` is set when it has become useful or has failed. The rung was entered for it.

        It is a hedge if there is a slow one `beside` which it is made. `late` is when the next rung is asked; by
        default the patience of this one decides.
        """
        loop = asyncio.get_running_loop()
        self.rung = rung
        self.began = loop.time()
        self.late = self.began + rung.patience.first if late is None else late
        usual = rung.usual_first
        self.unusual = math.inf if usual is None or beside is not None else self.began + usual
        self.useful = False
        self.sign: Part | None = None
        """The newest sign of useful output of which nobody has been told: there may be one for each token."""
        self._first: float | None = None
        """Seconds until the first sign of useful output."""
        self._between = rung.patience.between
        """Seconds that the next part may take."""
        self._behind = 0.0
        """Seconds by which what has come is less than what could have been played; below 0 when it is more."""
        self._taken = self.began
        """When the last part was."""
        self._is_hedge = beside is not None
        self.error: ProviderError | None = None
        self._start = start
        self._worth = worth
        self._news = news
        self.reported = False
        self._parts: asyncio.Queue[Part | ProviderError | _Ended] = asyncio.Queue(QUEUE)
        self._watchdog = Watchdog()
        context = copy_context()
        if self._is_hedge:
            context.run(ALONE.set, True)
        self._task = loop.create_task(self._pump(), name=f"{rung.port} {rung.name}", context=context)
        # Not in the task itself: one that is cancelled before it began runs none of its own code.
        self._task.add_done_callback(self._leave)

    def _leave(self, task: asyncio.Task[None]) -> None:
        if self.useful and self.error is None:
            # Ended as it should, or somebody lost interest: in the middle of useful output that is no failure. Who
            # was late for it and then the first all the same is well.
            self.rung.succeeded()
        elif not self.reported and not self._is_hedge:
            self.rung.given_up()
        self.rung.leave()

    async def _pump(self) -> None:
        try:
            async with aclosing(self._start(self.rung)) as stream:
                async for part in stream:
                    if not self.useful and self._look_at(part) is Worth.COMING:
                        self.sign = part
                        self._news.set()
                        continue
                    await self._parts.put(part)
            if not self.useful:
                raise ProviderError(_port(self.rung), self.rung.name, "said nothing", retryable=True)
            await self._parts.put(_Ended())
        except Exception as error:  # whatever a provider raises is its failure, and no more than that
            self.error = provider_error(self.rung, error)
            self.report(self.error)
            self._news.set()
            await self._parts.put(self.error)

    def _look_at(self, part: Part) -> Worth:
        worth, now = self._worth(part), asyncio.get_running_loop().time()
        if worth is Worth.NOTHING:
            return worth
        if self._first is None:
            self._first = now - self.began
            self.rung.took(self._first)
        if worth is Worth.USEFUL:
            self.useful = True
            self._news.set()
        else:
            self.unusual, self.late = math.inf, max(self.late, now + self._until_next(part))
        return worth

    def _until_next(self, part: Part) -> float:
        between = self.rung.patience.between
        return max(between, COMING) if self._worth(part) is Worth.COMING else between

    def report(self, error: ProviderError) -> None:
        """Let the rung's breaker know of a failure, once an attempt, be it at the beginning or in the middle."""
        if not self.reported:
            self.reported = True
            if self.useful or not self._is_hedge:
                # Of a request and its hedge that both come to nothing the first one's failure is told: it was one turn.
                self.rung.failed(error)

    def lose(self) -> None:
        """Another was quicker. Nobody waits until this one has let go."""
        if self._first is None and self.error is None:
            self.rung.took(asyncio.get_running_loop().time() - self.began)
        self._task.cancel()
        _LOSERS.add(self._task)
        self._task.add_done_callback(_LOSERS.discard)

    async def next_part(self, lasts: Callable[[Part], float] | None = None) -> Part | None:
        """The next part; None at the end. Raises `ProviderError` when it failed or nothing comes in time.

        `lasts`: how many seconds a part plays. Then the waits together may not be longer than what has come by more
        than one of them may be.
        """
        now = asyncio.get_running_loop().time
        began, patience = now(), self._between
        if lasts is not None:
            # Until it was asked for, what there was of it was played; that it was not asked for is not its own delay.
            self._behind = max(self._behind, min(0.0, self._behind + began - self._taken))
            patience -= max(0.0, self._behind)
        try:
            with self._watchdog.until(began + patience):
                part = await self._parts.get()
        except TimeoutError:
            self.error = ProviderError(_port(self.rung), self.rung.name, "stalled in the middle", retryable=True)
            self.report(self.error)
            raise self.error from None
        if isinstance(part, _Ended):
            return None
        if isinstance(part, ProviderError):
            raise part
        self._between = self._until_next(part)
        if lasts is not None:
            self._taken = now()
            self._behind += self._taken - began - lasts(part)
        return part

    async def end(self) -> None:
        """Cancel what still runs. Idempotent."""
        self._watchdog.close()
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=1.0)


_LOSERS: Final[set[asyncio.Task[None]]] = set()
"""What is being cancelled: the loop itself holds tasks only weakly."""


class Climb(Generic[Provider, Part]):
    """One way down a ladder. Each rung is asked once, and once more where a second try can help."""

    def __init__(
        self,
        rungs: Sequence[Rung[Provider]],
        start: Callable[[Rung[Provider]], AsyncGenerator[Part, None]],
        worth: Callable[[Part], Worth],
        *,
        hedged: bool,
    ) -> None:
        self._rungs = tuple(rungs)
        self._left = list(rungs)
        self._passed: list[Rung[Provider]] = []
        """Those that were full or left alone."""
        self._start = start
        self._worth = worth
        self._hedged = hedged
        self._news = asyncio.Event()
        self._running: list[Attempt[Provider, Part]] = []
        self._twice: set[Rung[Provider]] = set()
        self._trouble: float | None = None
        """When the first of them failed, or its time was over."""
        self._error = ProviderError(_port(self._rungs[0]), "every provider", "is busy", retryable=True)

    async def race(self) -> AsyncGenerator[Attempt[Provider, Part], None]:
        """Each attempt that gives a new sign of useful output, and last the winner, who first gave some.

        The others are over then. Raises `ProviderError` if none wins.
        """
        self._step_down("first")
        while self._running:
            await self._wait()
            for attempt in tuple(self._running):
                if attempt.useful:
                    self._running.remove(attempt)
                    for loser in self._running:
                        loser.lose()
                    note_switch(attempt.rung, self._trouble)
                    yield attempt
                    return
                if attempt.error is not None:
                    self._failed(attempt, attempt.error)
                elif attempt.sign is not None:
                    yield attempt
            await self._look_at_the_clock()
        raise self._error

    async def end(self) -> None:
        """Cancel what still runs. Idempotent."""
        running, self._running = self._running, []
        await asyncio.gather(*(attempt.end() for attempt in running))

    # ── within ────────────────────────────────────────────────────────────────────

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout_at(self._due):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    @property
    def _due(self) -> float:
        """When the clock has to be looked at, whether or not there is news."""
        newest = self._running[-1]
        due = [attempt.late for attempt in self._running if not attempt.reported]
        if self._may_hedge:
            due.append(newest.unusual)
        return min([*due, newest.late + LAST_WORD])

    @property
    def _may_hedge(self) -> bool:
        return self._hedged and len(self._running) == 1 and not self._running[0].rung.local

    async def _look_at_the_clock(self) -> None:
        if not self._running:
            return
        now = asyncio.get_running_loop().time()
        newest = self._running[-1]
        late = [attempt for attempt in self._running if now >= attempt.late and not attempt.reported]
        for attempt in late:
            self._error = ProviderError(_port(attempt.rung), attempt.rung.name, "no output in time", retryable=True)
            attempt.report(self._error)
            self._trouble = self._trouble or now
        if late and all(attempt.reported for attempt in self._running) and self._step_down("late"):
            return
        if now >= newest.late + LAST_WORD:
            await self.end()
        elif self._may_hedge and now >= newest.unusual:
            self._hedge(newest)

    def _failed(self, attempt: "Attempt[Provider, Part]", error: ProviderError) -> None:
        self._running.remove(attempt)
        self._error = error
        self._trouble = self._trouble or asyncio.get_running_loop().time()
        rung = attempt.rung
        if any(not other.reported for other in self._running):
            # Somebody is still at it, and in time.
            return
        helps = error.retryable and not error.retry_after and error.fault != "overloaded"
        if helps and rung not in self._twice and not self._running:
            self._twice.add(rung)
            if rung.enter():
                self._ask(rung, late=attempt.late)
                return
        self._step_down("failed")

    def _hedge(self, slow: Attempt[Provider, Part]) -> None:
        slow.unusual = math.inf
        if slow.rung.enter():
            metrics.RUNG_SWITCHES.labels(slow.rung.port, slow.rung.name, "hedged").inc()
            self._twice.add(slow.rung)
            self._ask(slow.rung, beside=slow, late=slow.late)

    def _step_down(self, reason: str) -> bool:
        """Ask the next rung that bears, or else the least bad one; False when there is none that has room."""
        rung = self._next()
        if rung is None:
            return False
        if reason != "first":
            metrics.RUNG_SWITCHES.labels(rung.port, rung.name, reason).inc()
        self._ask(rung)
        return True

    def _next(self) -> Rung[Provider] | None:
        while self._left:
            rung = self._left.pop(0)
            if rung.enter():
                return rung
            self._passed.append(rung)
        now = asyncio.get_running_loop().time()
        self._passed.sort(key=lambda rung: (not rung.local, rung.breaker.opens_at(now)))
        for rung in self._passed:
            if not rung.full:
                self._passed.remove(rung)
                rung.enter_anyway()
                return rung
        return None

    def _ask(
        self,
        rung: Rung[Provider],
        *,
        beside: Attempt[Provider, Part] | None = None,
        late: float | None = None,
    ) -> None:
        """A second request to a rung, try or hedge, is `late` when the first is: the next rung is not put off."""
        self._running.append(Attempt(rung, self._start, self._worth, self._news, beside=beside, late=late))


async def stream_from(
    rungs: Sequence[Rung[Provider]],
    start: Callable[[Rung[Provider]], AsyncGenerator[Part, None]],
    worth: Callable[[Part], Worth],
    *,
    hedged: bool = True,
    lasts: Callable[[Part], float] | None = None,
) -> AsyncGenerator[tuple[Rung[Provider], Part], None]:
    """The parts of the first rung that streams something useful, behind signs that it is coming; each with its rung.

    `lasts`: the seconds that a part plays, where parts do. Raises `ProviderError`: the last one when no rung gives
    anything, the winner's when it breaks off, stalls or falls behind.
    """
    climb = Climb(rungs, start, worth, hedged=hedged)
    try:
        async with aclosing(climb.race()) as attempts:
            async for attempt in attempts:
                sign, attempt.sign = attempt.sign, None
                if sign is not None and not attempt.useful:
                    yield attempt.rung, sign
    except BaseException:
        await climb.end()
        raise
    try:
        while (part := await attempt.next_part(lasts)) is not None:
            yield attempt.rung, part
    finally:
        await attempt.end()


def note_switch(rung: Rung[Any], trouble: float | None) -> None:
    """Measure how long a caller waited for `rung` beyond the failure of another, or of its own first try."""
    if trouble is not None:
        seconds = asyncio.get_running_loop().time() - trouble
        metrics.SWITCH_SECONDS.labels(rung.port).observe(seconds)
        _log.info("provider_switched", port=rung.port, vendor=rung.name, after_ms=round(seconds * 1000))


def _port(rung: Rung[Any]) -> Any:
    return rung.port


def unheard(rung: Rung[Any], transcript: Transcript) -> ProviderError:
    """Why there are no words in a transcript that tells an error."""
    if transcript.failure is not None:
        return transcript.failure
    error = transcript.error or "no words"
    return ProviderError("recognizer", rung.name, error, retryable=True, fault=transcript.fault)


def provider_error(rung: Rung[Any], error: Exception) -> ProviderError:
    """What a provider raised, whatever it was, as what it is to everybody else."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, TimeoutError):
        return ProviderError(_port(rung), rung.name, "no output in time", retryable=True, fault="timeout")
    _log.warning("provider_failed_unexpectedly", port=rung.port, vendor=rung.name, error=type(error).__name__)
    # Its words may quote the caller, or a key.
    return ProviderError(_port(rung), rung.name, f"failed ({type(error).__name__})", retryable=True)
