"""What came of a simulated call: each turn as it was measured, and why the call counts as failed."""

from dataclasses import dataclass
from typing import Self

from talkspurt.simulate.recording import CallRecording


@dataclass(frozen=True, slots=True)
class TurnReport:
    """One turn of the caller with the answer to it; turn 0 is the agent's greeting. Times in seconds of the call."""

    number: int
    said: str
    """What the caller said or did; "" for the greeting."""
    began: float
    """The caller's first audible sample."""
    ended: float
    """The caller's last audible sample."""
    answered: float | None
    """The first audible sample of the answer, as played."""
    latency: float | None
    """From `ended` to `answered`."""
    talked_over: bool
    """The agent was audible at the caller's last sample."""
    stopped_after: float | None
    """For an agent that was audible when the caller began: how long it went on."""
    heard: str | None = None
    """What the agent said in this turn, written down from the audio that was played; None when nobody listened."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """A whole call. `failures` says in words what went wrong; without any, the call succeeded."""

    recording: CallRecording
    turns: tuple[TurnReport, ...]
    failures: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the call went as it should."""
        return not self.failures

    @property
    def latencies(self) -> list[float]:
        """The latency of every answered turn, without the greeting."""
        return [turn.latency for turn in self.turns if turn.number and turn.latency is not None]

    @property
    def heard(self) -> str:
        """Everything the agent said, in one text."""
        return " ".join(turn.heard for turn in self.turns if turn.heard)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency over many turns, in seconds; nearest rank, so that every figure is one that was measured."""

    count: int
    p50: float
    p95: float
    worst: float

    @classmethod
    def of(cls, values: list[float]) -> Self | None:
        """The percentiles of `values`, or None when there are none."""
        if not values:
            return None
        ordered = sorted(values)

        def rank(share: float) -> float:
            return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]

        return cls(len(ordered), rank(0.5), rank(0.95), ordered[-1])
