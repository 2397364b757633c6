"""What lies between a caller's mouth and the carrier: a room, a telephone, a network.

A port of the carrier double. It is asked once per 20 ms, with what the caller says and what the
caller hears at that moment, so that it can add noise, return an echo, or lose a frame.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Carried:
    """20 ms of the caller as they leave the channel: 160 bytes of mu-law."""

    frame: bytes
    lost: bool = False
    """The frame never arrives, and its chunk number is missing."""
    late: int = 0
    """Ticks by which it arrives late; those behind it wait, and arrive together with it."""


class Channel(Protocol):
    """Carries the caller's voice to the carrier."""

    def carry(self, caller: bytes, agent: bytes, /) -> Carried:
        """Take 20 ms of the caller and of what the caller hears (PCM16, 8 kHz, 320 bytes each)."""
