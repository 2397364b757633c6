"""Which of a model's sound belongs to which of its words.

A model that speaks sends the words of a message and its sound side by side, and nothing says which belongs to which.
The conversation orders speech sentence by sentence and counts words as heard by where they lie, so the sound is cut
where sentences end: at the pause of the voice that is nearest to where the sentence should end, by its share of the
letters (of what is there, when all of it is there, and of what people speak in a second, before that). Nothing is lost
by a wrong cut, since what one sentence does not get is the next one's: only the words' places are off, by what lies
between the right pause and the chosen one.

Pure: no clock, no I/O. Positions are bytes of PCM16 at the line's rate, always whole samples; words are counted in
letters (see `letters.py`).
"""

import audioop
from bisect import bisect_right
from typing import Final

from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech_to_speech.letters import letters

BYTES_PER_S: Final = 2 * LINE_RATE_HZ
LETTERS_PER_SECOND: Final = 12.0
"""Of English as voices read it, without spaces: 160 words of four and a half letters a minute."""
DIGIT: Final = 4
"""Letters that a digit counts for: it is a word of its own ("seven")."""
TELLING: Final = 30
"""Letters from which a voice's rate can be told."""
EARLIEST: Final = 0.6
LATEST: Final = 1.6
"""Shares of the expected length within which a sentence may end."""
PAUSE_S: Final = 0.12
"""A quiet stretch as long as this is a pause; stops within words are shorter."""
QUIET_RMS: Final = 150
"""Root mean square of a frame below which there is no voice in it; vendors' voices have no noise under them."""

_FRAME: Final = BYTES_PER_S // 50
_PAUSE_FRAMES: Final = round(PAUSE_S * 50)


class Speech:
    """One message that a model speaks: its words and its sound, each as far as it has come."""

    def __init__(self, rate: float = LETTERS_PER_SECOND) -> None:
        """`rate`: letters that the voice speaks in a second, as far as it is known."""
        self._rate = rate
        self.text = ""
        self.sound = bytearray()
        self.length = 0
        """Bytes of its sound, also when the sound itself has been forgotten."""
        self.whole = False
        """Nothing more will come."""
        self.broken = False
        """Less came than there should have been."""
        self._forgotten = False
        self._letters = ""
        self._weights = [0]
        """Of so many first letters."""
        self._ends: dict[int, int] = {0: 0}
        """Where the sound of so many first letters ends, as it has been decided."""
        self._asked = 0
        """Letters that have been asked for so far: sentences are ordered one after the other."""
        self._frames = 0
        self._quiet = 0
        """Quiet frames up to now."""
        self._pauses: list[int] = []
        """Where pauses begin."""

    @property
    def rate(self) -> float | None:
        """Letters that its voice spoke in a second; None when it did not say enough to tell."""
        told = self.whole and not self.broken and self._weights[-1] >= TELLING and self.length
        return self._weights[-1] / (self.length / BYTES_PER_S) if told else None

    @property
    def letters(self) -> str:
        """The letters of its words so far."""
        return self._letters

    def add_text(self, text: str) -> None:
        """The next piece of its words."""
        self.text += text
        # Each character folds by itself, so nothing that came before is read again.
        news = letters(text)
        self._letters += news
        for letter in news:
            self._weights.append(self._weights[-1] + (DIGIT if letter.isdigit() else 1))

    def add_sound(self, pcm: bytes) -> None:
        """The next piece of its sound: PCM16 at the line's rate."""
        self.sound += pcm
        self.length += len(pcm)
        while (self._frames + 1) * _FRAME <= len(self.sound):
            frame = self.sound[self._frames * _FRAME : (self._frames + 1) * _FRAME]
            self._frames += 1
            self._quiet = self._quiet + 1 if audioop.rms(frame, 2) < QUIET_RMS else 0
            if self._quiet == _PAUSE_FRAMES:
                self._pauses.append((self._frames - _PAUSE_FRAMES) * _FRAME)

    def complete(self, *, broken: bool = False) -> None:
        """Nothing more will come; `broken` when there should have been more. The first time counts."""
        if not self.whole:
            self.whole, self.broken = True, broken

    def forget(self) -> None:
        """Let go of the sound: nobody will ask for it again. Where its words lay stays known."""
        self.complete()
        self.sound = bytearray()
        self._forgotten = True

    def find(self, written: str) -> tuple[int, int] | None:
        """Which of its letters these words are: from, up to. None when they are none of its words."""
        sought = letters(written)
        if not sought or self._forgotten:
            return None
        first = self._letters.find(sought, self._asked)
        if first < 0:
            # What was cut off is asked for again.
            first = self._letters.rfind(sought)
        if first < 0:
            return None
        last = first + len(sought)
        self._asked = max(self._asked, last)
        return first, last

    def begin(self, first: int) -> int:
        """Where the sound of the words from letter `first` on begins."""
        return self._place(first)

    def end(self, first: int, last: int, *, now: bool = False) -> int | None:
        """Where the sound of the letters from `first` up to `last` ends; None while that cannot be told.

        `now`: decide it by what is there. Decided once, it stays.
        """
        known = self._ends.get(last)
        if known is not None:
            return known
        begin = self._place(first)
        if last >= len(self._letters):
            # The last words get all of the sound that is left, however long it takes.
            return self._decide(last, self.length) if self.whole else None
        expected = self._expected(first, last, begin)
        latest = begin + round(LATEST * (expected - begin))
        if not (self.whole or now or self.length >= latest):
            return None
        earliest = begin + round(EARLIEST * (expected - begin))
        pauses = [pause for pause in self._pauses if earliest <= pause <= latest]
        # Half of the pause belongs to what was said before it.
        half = _PAUSE_FRAMES // 2 * _FRAME
        best = min(pauses, key=lambda pause: abs(pause - expected)) + half if pauses else expected
        return self._decide(last, best)

    def sure(self, first: int, last: int) -> int:
        """Up to where the sound belongs to those letters in any case."""
        begin = self._place(first)
        if last >= len(self._letters):
            # More words may come, and then some of this is theirs.
            expected = begin + round((self._weights[-1] - self._weights[first]) / self._rate * BYTES_PER_S)
        else:
            expected = self._expected(first, last, begin)
        return min(self.length, _even(begin + EARLIEST * (expected - begin)))

    def seconds_until(self, count: int) -> float:
        """How far the sound of its first `count` letters reaches; never beyond what there is."""
        return self._place(min(count, len(self._letters))) / BYTES_PER_S

    def _decide(self, last: int, place: int) -> int:
        placed = [end for count, end in self._ends.items() if count <= last]
        self._ends[last] = end = min(self.length, max(_even(place), *placed))
        return end

    def _expected(self, first: int, last: int, begin: int) -> int:
        weight = self._weights[last] - self._weights[first]
        if self.whole and not self.broken:
            share = weight / max(1, self._weights[-1] - self._weights[first])
            return _even(begin + share * (self.length - begin))
        return _even(begin + weight / self._rate * BYTES_PER_S)

    def _place(self, count: int) -> int:
        """Where the letter with that number begins: between the ends that are known, by its share."""
        known = sorted(self._ends)
        before = known[bisect_right(known, count) - 1]
        if before == count:
            return self._ends[count]
        following = next((end for end in known if end > count), None)
        begin, weight = self._ends[before], self._weights[count] - self._weights[before]
        if following is None and (self.broken or not self.whole):
            return min(self.length, _even(begin + weight / self._rate * BYTES_PER_S))
        to, end = (len(self._letters), self.length) if following is None else (following, self._ends[following])
        return _even(begin + weight / max(1, self._weights[to] - self._weights[before]) * (end - begin))


def _even(place: float) -> int:
    """A place at a whole sample."""
    return int(place) // 2 * 2
