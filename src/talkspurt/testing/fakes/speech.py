"""What the fakes of speech synthesis share: a sound that a test can check, and its outages over HTTP.

Every character lasts 50 ms, a tone for letters, silence for spaces, divided by the speed.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np

from talkspurt.testing.fakes.http import FakeHttp
from talkspurt.testing.fakes.script import Outage, Speech
from talkspurt.testing.fakes.vendor import TOOLS

LINE_RATE_HZ: Final = 8_000
SECONDS_PER_CHARACTER: Final = 0.05
PEAK: Final = 8_000


class FakeSpeech(FakeHttp[Speech]):
    """A speech vendor; with nothing scripted it speaks without a fault."""

    outages: ClassVar[frozenset[Outage]] = frozenset(Outage) - TOOLS

    def __init__(self, *, key: str = "test-key", otherwise: Speech | None = None) -> None:
        super().__init__(key=key, otherwise=otherwise or Speech())

    def suffering(self, answer: Speech, body: Any) -> Speech:
        if self.outage is Outage.EMPTY:
            return replace(answer, mute=True)
        return super().suffering(answer, body)

    def pieces(self, body: Any, answer: Speech) -> Iterator[bytes]:
        return iter(()) if answer.mute else self.speak(body, answer)

    @abstractmethod
    def speak(self, body: Mapping[str, Any], speech: Speech) -> Iterator[bytes]:
        """The sound on the wire."""


def samples_per_character(speed: float, rate_hz: int = LINE_RATE_HZ) -> int:
    """How many samples a character lasts."""
    return round(rate_hz * SECONDS_PER_CHARACTER / speed)


def spoken(text: str, speed: float = 1.0, rate_hz: int = LINE_RATE_HZ) -> bytes:
    """The sound of `text`: PCM16 at `rate_hz`."""
    times = np.arange(samples_per_character(speed, rate_hz)) / rate_hz
    tone = (PEAK * np.sin(2 * np.pi * 300 * times)).astype("<i2").tobytes()
    silence = bytes(len(tone))
    return b"".join(silence if character.isspace() else tone for character in text)
