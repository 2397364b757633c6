"""What a scripted caller does, one line after the other."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Say:
    """Speak `text` when the agent has finished its turn, and wait for the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class PlayWav:
    """Play a recording when the agent has finished its turn, and wait for the answer."""

    path: Path


@dataclass(frozen=True, slots=True)
class PressKeys:
    """Press keys (0-9, *, #) when the agent has finished its turn, and wait for the answer."""

    digits: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Speak `text` into the agent's turn, `after` seconds from its first audible sample, and wait for the answer."""

    text: str
    after: float = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay silent for `seconds`, whatever the agent says."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """Put the phone down at once."""


Line = Say | PlayWav | PressKeys | Interrupt | Wait | HangUp
