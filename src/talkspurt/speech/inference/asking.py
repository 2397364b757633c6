"""What is asked of local models, for whom and by when: the seam between the speech ports and those who run models.

All times are seconds of `time.monotonic()`. On Linux that is CLOCK_MONOTONIC, which all processes of a machine share,
so that a time means the same on both sides of a socket.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.ports import SpeechChunk
from talkspurt.telemetry.metrics import INFERENCE_QUEUED, INFERENCE_REFUSED, INFERENCE_RUN

Kind = Literal["transcript", "speech", "judgement"]

_PROVIDERS: Final[dict[Kind, tuple[Literal["recognizer", "synthesizer", "turn_detector"], str]]] = {
    "transcript": ("recognizer", "whisper"),
    "speech": ("synthesizer", "piper"),
    "judgement": ("turn_detector", "smart-turn"),
}

Reason = Literal["backlog", "displaced", "expired", "closed", "lost", "unavailable"]

_REFUSALS: Final[dict[Reason, str]] = {
    "backlog": "overloaded: too much is waiting",
    "displaced": "overloaded: others who have less waiting came first",
    "expired": "overloaded: its turn did not come in time",
    "closed": "was closed",
    "lost": "its process died or did not answer",
    "unavailable": "no inference process answers",
}
"""Why a piece is not done, which is also a metric's label, and what the caller is told."""
_TOO_MUCH: Final = frozenset[Reason]({"backlog", "displaced", "expired"})


class Purpose:
    """On whose behalf something is made, and whether it is known to be wanted."""

    __slots__ = ("_ahead", "_listeners", "call")

    def __init__(self, call: str = "", *, ahead: bool = False) -> None:
        """`ahead`: made in case it will be wanted, so everything that is wanted comes first."""
        self.call = call
        self._ahead = ahead
        self._listeners: list[Callable[[], None]] = []

    @property
    def ahead(self) -> bool:
        """Whether nobody is known to want it yet."""
        return self._ahead

    def is_wanted(self) -> None:
        """From now on somebody waits for it."""
        self._ahead = False
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def when_wanted(self, listener: Callable[[], None]) -> None:
        """Call `listener` once, when what was made ahead is wanted."""
        if self._ahead:
            self._listeners.append(listener)


_PURPOSE: ContextVar[Purpose] = ContextVar("talkspurt_purpose")


def current_purpose() -> Purpose:
    """The purpose of the task that asks; outside a call, one that belongs to no call."""
    return _PURPOSE.get(None) or Purpose()


def context_for(purpose: Purpose) -> Context:
    """The context of a task that serves `purpose`."""
    context = copy_context()
    context.run(_PURPOSE.set, purpose)
    return context


@contextmanager
def made_ahead() -> Iterator[None]:
    """What is asked for inside is made for the current call in case it will be wanted."""
    token = _PURPOSE.set(Purpose(current_purpose().call, ahead=True))
    try:
        yield
    finally:
        _PURPOSE.reset(token)


@dataclass(frozen=True, slots=True)
class Ask:
    """How urgent a request is."""

    purpose: Purpose
    due: float
    """When the caller notices that it is not there."""
    expires: float
    """When it is of no use any more: what has not come by then is refused."""
    took: Callable[[float, float], None] | None = None
    """Told of every piece's seconds in the queue and at work; by default the metrics are."""


class Inference(Protocol):
    """Runs local models. Whatever goes wrong is a `ProviderError`, or a `WeightsError` or `ConfigurationError`."""

    async def warm_up(self, kind: Kind, /) -> None:
        """Load the models of a kind and run them once. Raises `WeightsError` or `ConfigurationError`."""

    async def transcribe(self, pcm: bytes, ask: Ask, /) -> str:
        """The words in PCM16 at the line's rate, "" for none."""

    async def judge(self, pcm: bytes, ask: Ask, /) -> float:
        """The probability that the voice in PCM16 at the line's rate has finished."""

    def synthesize(self, text: str, ask: Ask, /, *, voice: str, pace: float) -> AsyncGenerator[SpeechChunk, None]:
        """Speak. Closing the generator ends it after the chunk under way; a slow reader is waited for."""

    async def aclose(self) -> None:
        """Refuse what is in hand and let go of everything. Idempotent."""


class RefusedError(ProviderError):
    """A piece was not done, which says nothing against asking again."""

    def __init__(self, kind: Kind, reason: Reason) -> None:
        fault: ProviderFault = "overloaded" if reason in _TOO_MUCH else "failed"
        super().__init__(*_PROVIDERS[kind], _REFUSALS[reason], retryable=True, fault=fault)
        self.reason: Reason = reason


def refusal(kind: Kind, reason: Reason) -> RefusedError:
    """Count a refused piece and make its error."""
    INFERENCE_REFUSED.labels(kind, reason).inc()
    return RefusedError(kind, reason)


def failure(kind: Kind, message: str, *, retryable: bool = True) -> ProviderError:
    """The error of a piece that went wrong."""
    return ProviderError(*_PROVIDERS[kind], message, retryable=retryable)


def measure(kind: Kind, ask: Ask, queued: float, ran: float) -> None:
    """Tell whoever wants to know how long one piece waited and took."""
    if ask.took is not None:
        ask.took(queued, ran)
    else:
        INFERENCE_QUEUED.labels(kind).observe(queued)
        INFERENCE_RUN.labels(kind).observe(ran)
