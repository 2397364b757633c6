"""One rung of a ladder: a provider, how many may stand on it, and whether it bears."""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

import structlog

from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.ladder.breaker import Breaker
from talkspurt.telemetry import metrics

Provider = TypeVar("Provider")

FIRST_OUTPUTS: Final = 100
"""Times to the first output from which a provider's own p90 is reckoned."""
FEWEST_OUTPUTS: Final = 20
"""With fewer nobody knows what is usual for it."""
SOONEST_HEDGE: Final = 0.25
"""Seconds: a second request sooner than this would be made for nothing more than jitter."""

_NOBODYS_FAULT: Final[frozenset[ProviderFault]] = frozenset({"no_session", "overloaded"})
"""One call's trouble, of which its recognizer has told; or too much to do, which less to do mends, and no pause."""
_OF_ONE_REQUEST: Final[frozenset[ProviderFault]] = frozenset({"rejected", "refused", "too_long"})
"""The provider is well and has judged what it was asked: an agent's voice or tool, a caller's words, a call's length.
Whoever asks for something else may have it."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds a rung may take for its first useful output, and between two; then the next rung is asked."""

    first: float
    between: float


@dataclass(slots=True)
class _Load:
    """How many stand on a rung, in all calls."""

    now: int = 0


@dataclass(eq=False, slots=True)
class Rung(Generic[Provider]):
    """A provider in its place. What it learns of its provider, all calls of the process know."""

    port: str
    """Label of the stage: "model", "synthesizer", "recognizer"."""
    name: str
    provider: Provider
    patience: Patience
    capacity: int | None = None
    """Requests, or calls for a recognizer, that it bears at once; None for any number."""
    local: bool = False
    """Whether it runs on a machine of one's own: asked a second time it would only be slower."""
    breaker: Breaker = field(default_factory=Breaker)
    _load: _Load = field(default_factory=_Load)
    _firsts: deque[float] = field(default_factory=lambda: deque(maxlen=FIRST_OUTPUTS))

    def of_call(self, provider: Provider) -> "Rung[Provider]":
        """The same rung with the provider of one call or one agent: what is learnt of one, all know."""
        return replace(self, provider=provider)

    @property
    def in_use(self) -> int:
        """How many stand on it."""
        return self._load.now

    @property
    def full(self) -> bool:
        """Whether it bears no more: one who comes now goes on to the next rung."""
        return self.capacity is not None and self.in_use >= self.capacity

    @property
    def usual_first(self) -> float | None:
        """Its own p90 of the time to the first useful output, in seconds; None while too little is known."""
        if len(self._firsts) < FEWEST_OUTPUTS:
            return None
        return max(SOONEST_HEDGE, sorted(self._firsts)[len(self._firsts) * 9 // 10])

    def enter(self) -> bool:
        """Step on it, if it is not full and its breaker lets through. Who did so must `leave`."""
        if self.full:
            metrics.RUNGS_SKIPPED.labels(self.port, self.name, "full").inc()
            return False
        if not self.breaker.enter(_now()):
            metrics.RUNGS_SKIPPED.labels(self.port, self.name, "open").inc()
            return False
        self._load.now += 1
        return True

    def enter_anyway(self) -> None:
        """Step on it whatever is known of it: the last hope. Who did so must `leave`."""
        self._load.now += 1

    def leave(self) -> None:
        """Step off."""
        self._load.now -= 1

    def took(self, first: float) -> None:
        """Its first useful output came after `first` seconds, or had not yet when another was quicker."""
        self._firsts.append(first)

    def succeeded(self) -> None:
        """It did all that was asked of it: to have begun is not enough."""
        if not self.breaker.closed:
            _log.info("provider_recovered", port=self.port, vendor=self.name)
        self.breaker.succeeded()
        metrics.BREAKERS_OPEN.labels(self.port, self.name).set(0)

    def failed(self, error: Exception, *, at_once: bool = False) -> None:
        """It did not, or not in time. `at_once`: it is left alone now, without more failures.

        An answer about one request alone counts, but says nothing of the provider to others who ask it.
        """
        fault = error.fault if isinstance(error, ProviderError) else "failed"
        if fault in _NOBODYS_FAULT:
            self.given_up()
            return
        metrics.RUNG_FAILURES.labels(self.port, self.name).inc()
        if fault in _OF_ONE_REQUEST and not at_once:
            _log.warning("request_refused", port=self.port, vendor=self.name, fault=fault, error=str(error))
            self.given_up()
            return
        # Until an operator acts, more failures would tell nothing new.
        hopeless = fault == "quota_exceeded" or (isinstance(error, ProviderError) and error.rejected)
        pause = error.retry_after if isinstance(error, ProviderError) else None
        was_closed = self.breaker.closed
        self.breaker.failed(_now(), pause=pause, at_once=at_once or hopeless)
        if was_closed and not self.breaker.closed:
            # Once, not with every call: this is the line that an operator has to see.
            _log.error("provider_left_alone", port=self.port, vendor=self.name, error=str(error))
            metrics.BREAKERS_OPEN.labels(self.port, self.name).set(1)

    def given_up(self) -> None:
        """Nobody waited for what it would have said."""
        self.breaker.given_up(_now())


def _now() -> float:
    return asyncio.get_running_loop().time()
