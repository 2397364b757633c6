"""A caller who meets an outage: speaks, waits for the answer, and takes to the keys when nobody seems to hear.

Pure, as `benchmarks.capacity.caller`, whose `Line` plays it: time is an argument.
"""

import random
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from benchmarks.capacity.caller import Playout, Turn

PAUSES: Final = (2.5, 6.0)
"""Seconds before a caller speaks again, drawn evenly. Whatever the agent says within them follows a silence of its."""
PATIENCE: Final = 8.0
"""Seconds without a sound after which a caller says it again."""
GIVES_UP: Final = 15.0
"""Seconds without a sound after which a caller has been lost."""
TRIES: Final = 3
"""Things said since the outage, after which they press a key: by then keys have been offered to whom nobody hears."""
KEY: Final = "1"


class Phase(Enum):
    """What a caller does."""

    PAUSING = auto()
    SPEAKING = auto()
    AWAITING = auto()


class Patient:
    """Call `tick` every 20 ms, the rest as it happens. It fits the load client's `Line`."""

    def __init__(self, lengths: Sequence[int], rng: random.Random, now: float) -> None:
        """`lengths` are the clips' frames."""
        self._lengths = lengths
        self._rng = rng
        self._phase = Phase.PAUSING
        self._at = now + rng.uniform(*PAUSES)
        self._clip = 0
        self._position = 0
        self._key = ""
        self._said = 0
        """Things said, or keys pressed, since the outage."""
        self._down: float | None = None
        self._quiet_since = now
        """When the last sound of either was over."""
        self.playout = Playout()
        self.turns: list[Turn] = []
        """None: what counts here is silence."""
        self.longest_silence = 0.0
        self.keys_pressed = 0

    def suffer(self, now: float) -> None:
        """The vendors are down from now on."""
        self._down = now

    def gave_up(self, now: float) -> bool:
        """Whether the agent has owed a sound for so long that nobody would wait any more."""
        return self._phase is Phase.AWAITING and now - self._silent_since > GIVES_UP

    @property
    def _silent_since(self) -> float:
        return max(self._quiet_since, self.playout.until)

    def tick(self, now: float) -> tuple[int, int] | None:
        """The clip and frame to send now; None for silence."""
        match self._phase:
            case Phase.PAUSING if now >= self._at and now >= self.playout.until + PAUSES[0] / 2:
                return self._act(now)
            case Phase.SPEAKING:
                return self._go_on(now)
            case Phase.AWAITING if now >= self._silent_since + PATIENCE:
                self._note(now)
                return self._act(now)
        return None

    def audio(self, seconds: float, now: float) -> None:
        """Sound of the agent came."""
        if self._phase is not Phase.SPEAKING:
            self._note(now)
        self.playout.receive(seconds, now)
        if self._phase is Phase.AWAITING:
            self._phase = Phase.PAUSING
        if self._phase is Phase.PAUSING:
            self._at = self.playout.until + self._rng.uniform(*PAUSES)

    def clear(self, now: float) -> list[str]:
        """The agent wants nothing more to be played; returns the marks to send back at once."""
        return self.playout.clear(now)

    def take_key(self) -> str:
        """The key that was pressed, once."""
        key, self._key = self._key, ""
        return key

    def _act(self, now: float) -> tuple[int, int] | None:
        if self._down is not None:
            self._said += 1
            if self._said % (TRIES + 1) == 0:
                self._key = KEY
                self.keys_pressed += 1
                self._phase, self._quiet_since = Phase.AWAITING, now
                return None
        self._phase = Phase.SPEAKING
        self._clip = (self._clip + 1) % len(self._lengths)
        self._position = 0
        return self._go_on(now)

    def _go_on(self, now: float) -> tuple[int, int]:
        frame = self._position
        self._position += 1
        self._quiet_since = now
        if self._position == self._lengths[self._clip]:
            self._phase = Phase.AWAITING
        return self._clip, frame

    def _note(self, now: float) -> None:
        """A silence is over that the agent has broken, or should have."""
        if self._down is not None:
            begun = max(self._silent_since, self._down)
            self.longest_silence = max(self.longest_silence, now - begun)
