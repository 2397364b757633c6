"""What the fakes of recognition hear: not speech, but a script.

Every stretch of sound is the next of the phrases, a word for each 0.24 s of it and the rest of them once 0.2 s of
silence follow, or at the first silent moment at which somebody asks. After the last phrase, sound is nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

BYTES_PER_S: Final = 16_000
"""Of the line: PCM16 at 8 kHz."""
_WINDOW_S: Final = 0.02
_LOUD: Final = 300.0
"""Root mean square above which a window is sound."""
_WORD_WINDOWS: Final = 12
_PAUSE_WINDOWS: Final = 10


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word and the seconds of audio at which it was said."""

    text: str
    start: float
    end: float


class ScriptedEar:
    """Listens to one stream of PCM16. `phrases` is taken from its beginning, also by others."""

    def __init__(self, phrases: deque[str] | Sequence[str], *, bytes_per_s: int = BYTES_PER_S) -> None:
        self.phrases = phrases if isinstance(phrases, deque) else deque(phrases)
        self.words: list[HeardWord] = []
        self.sounded = 0.0
        """Seconds of audio up to the last sound."""
        self._audio = bytearray()
        self._bytes_per_s = bytes_per_s
        self._window_bytes = round(_WINDOW_S * bytes_per_s)
        self._examined = 0
        self._phrase: list[str] | None = None
        self._loud_windows = 0
        self._quiet_windows = 0

    def feed(self, pcm: bytes) -> bool:
        """Hear the next audio; says whether there was sound in it."""
        self._audio += pcm
        sounded = False
        while len(self._audio) >= self._window_bytes:
            samples = np.frombuffer(bytes(self._audio[: self._window_bytes]), dtype="<i2")
            del self._audio[: self._window_bytes]
            self._examined += self._window_bytes
            loud = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) > _LOUD
            self._advance(loud=loud)
            sounded = sounded or loud
        return sounded

    def settle(self) -> None:
        """Somebody asks: in a pause, the phrase has been said to its end."""
        if self._quiet_windows:
            self._end_phrase()

    def expect(self, phrases: Sequence[str]) -> None:
        """Hear these in what sounds from now on, instead of what was left."""
        self.phrases.clear()
        self.phrases.extend(phrases)
        self._phrase = None

    @property
    def now(self) -> float:
        """Seconds of audio received."""
        return (self._examined + len(self._audio)) / self._bytes_per_s

    @property
    def in_phrase(self) -> bool:
        """Whether a stretch of sound has not ended yet."""
        return self._phrase is not None

    @property
    def text(self) -> str:
        """All that was heard."""
        return " ".join(word.text for word in self.words)

    def _advance(self, *, loud: bool) -> None:
        now = self._examined / self._bytes_per_s
        if loud:
            if self._phrase is None:
                self._phrase = self.phrases.popleft().split() if self.phrases else []
                self._loud_windows = 0
            self._loud_windows += 1
            self._quiet_windows = 0
            self.sounded = now
            if self._phrase and self._loud_windows % _WORD_WINDOWS == 0:
                self.words.append(HeardWord(self._phrase.pop(0), now - _WORD_WINDOWS * _WINDOW_S, now))
        elif self._phrase is not None:
            self._quiet_windows += 1
            if self._quiet_windows == _PAUSE_WINDOWS:
                self._end_phrase()

    def _end_phrase(self) -> None:
        """All of it was said by the last sound."""
        end = self._examined / self._bytes_per_s - self._quiet_windows * _WINDOW_S
        self.words += [HeardWord(word, end - _WINDOW_S, end) for word in self._phrase or ()]
        self._phrase = None
