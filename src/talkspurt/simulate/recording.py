"""Everything that happened on one simulated call: both voices, sample-aligned, and a log.

Time is seconds since the call was answered, on the line's own clock: sample `n` of either
track was on the line at `n / 8000`. The agent's track is what the caller **heard**, that is
what left the playout buffer, never what was sent.
"""

import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talkspurt.media import g711

EventKind = Literal[
    "request",  # a webhook was posted
    "stream_started",
    "stream_ended",
    "mark_played",
    "mark_dropped",  # echoed because of a clear
    "clear",
    "gap",
    "pause",
    "digit",
    "said",  # the carrier's own <Say>
    "played",  # its <Play>
    "dialled",
    "joined",  # a conference
    "left",
    "redirected",  # over REST
    "audio_dropped",  # the stream ended before it was played
    "error",
    "ended",
]


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One thing that happened at `at`."""

    at: float
    kind: EventKind
    detail: str = ""
    seconds: float = 0.0
    """How long a gap, a pause or dropped audio was."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """Who ended the call, and why. `failed` when the carrier gave up on it."""

    by: Literal["caller", "agent", "carrier"]
    reason: str
    failed: bool = False


@dataclass(slots=True)
class CallRecording:
    """A call as its carrier saw it; filled while the call goes on."""

    call_sid: str
    caller_mulaw: bytearray = field(default_factory=bytearray)
    agent_mulaw: bytearray = field(default_factory=bytearray)
    events: list[CallEvent] = field(default_factory=list)
    end: CallEnd | None = None
    worst_lateness: float = 0.0
    """Seconds by which the latest 20 ms tick came late: above 0.1 this machine was too busy to be a carrier."""

    @property
    def seconds(self) -> float:
        """How long the call has lasted."""
        return len(self.agent_mulaw) / 8_000

    @property
    def caller(self) -> NDArray[np.int16]:
        """What the caller sent: int16, mono, 8 kHz."""
        return _samples(self.caller_mulaw)

    @property
    def agent(self) -> NDArray[np.int16]:
        """What the caller heard: int16, mono, 8 kHz, aligned with `caller`."""
        return _samples(self.agent_mulaw)

    def agent_from(self, seconds: float) -> NDArray[np.int16]:
        """What the caller heard from `seconds` on."""
        return _samples(self.agent_mulaw[round(seconds * 8_000) :])

    def of(self, kind: EventKind) -> list[CallEvent]:
        """The events of one kind, in order."""
        return [event for event in self.events if event.kind == kind]

    @property
    def gaps(self) -> list[CallEvent]:
        """Audible holes in the agent's speech (defined in `playout`)."""
        return self.of("gap")

    @property
    def errors(self) -> list[str]:
        """What the carrier's debugger would show."""
        return [event.detail for event in self.of("error")]

    def log(self, at: float, kind: EventKind, detail: str = "", seconds: float = 0.0) -> None:
        """Append one event."""
        self.events.append(CallEvent(at, kind, detail, seconds))

    def write_wav(self, path: Path) -> None:
        """Write a stereo WAV file: left the caller, right the agent."""
        path.parent.mkdir(parents=True, exist_ok=True)
        caller, agent = self.caller, self.agent
        length = min(len(caller), len(agent))
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(8_000)
            file.writeframes(np.column_stack((caller[:length], agent[:length])).astype("<i2").tobytes())


def _samples(mulaw: bytearray) -> NDArray[np.int16]:
    return np.frombuffer(g711.decode_mulaw(bytes(mulaw)), dtype="<i2").astype(np.int16)
