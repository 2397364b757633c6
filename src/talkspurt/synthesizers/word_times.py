"""When each word of a text begins, from the times of characters as vendors send them.

Vendors leave out or change what is not spoken as it is written; a word is found by its letters, in order. Pure.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Final

_LEFT_OUT: Final = 64
"""Characters of the text that a vendor may leave out in one place, such as a tag."""


class WordTimes:
    """Makes words of characters with times, over lines that end anywhere."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = text.split()
        starts = (not c.isspace() and (at == 0 or text[at - 1].isspace()) for at, c in enumerate(text))
        self._begun = list(accumulate(starts, initial=0))[1:]
        """For each character of the text: how many words have begun there."""
        self._length = len(text.rstrip())
        self._at = 0
        """How much of the text has passed."""
        self._named = 0
        self.latest = 0.0
        """When the last word that has a time begins."""

    def feed(self, characters: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
        """The words that begin in `characters`, each with its start. Times are kept from running backwards."""
        words: list[tuple[str, float]] = []
        for character, start in characters:
            at = self._find(character)
            if at is None:
                continue
            self._at = at + 1
            self.latest = max(self.latest, start)
            words += [(word, self.latest) for word in self._words[self._named : self._begun[at]]]
            self._named = max(self._named, self._begun[at])
        return tuple(words)

    def finish(self, seconds: float) -> tuple[tuple[str, float], ...]:
        """The words that never got a time, if any did, spread over what follows in a speech of `seconds`."""
        rest = self._words[self._named :] if self._named else []
        self._named += len(rest)
        step = max(0.0, seconds - self.latest) / (len(rest) + 1)
        return tuple((word, self.latest + step * number) for number, word in enumerate(rest, start=1))

    @property
    def broke_off(self) -> bool:
        """Whether times came, but ended in the first half of the text.

        An SDK may skip what it cannot read, and an orderly end may come early. Half, because a vendor may leave
        symbols and tags without times, and a whole speech must never count as broken.
        """
        return 0 < self._at < self._length / 2

    def _find(self, character: str) -> int | None:
        """Where in the text `character` is, which may have left something out; None when it is nothing of the text."""
        if character.isspace():
            # The next word's first letter says where that begins.
            return None
        for at in range(self._at, min(self._at + _LEFT_OUT, len(self._text))):
            # Within the word that is being spoken, or at the beginning of one: no leap into the middle of another.
            spoken_now = self._begun[at] <= self._named
            begins_word = at == 0 or self._text[at - 1].isspace()
            if self._text[at] == character and (spoken_now or begins_word):
                return at
        return None
