"""When each word of a text begins, from the times of characters as vendors send them.

Vendors leave out or change what is not spoken as it is written; a word is found by its letters, in order. Pure.
"""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

TAG: Final = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
"""What directs a voice and is not spoken."""
_LEFT_OUT: Final = 64
"""Characters of the text that a vendor may leave out in one place, such as a tag."""
_UNFOUND: Final = 1
"""Words at the end that were spoken and may not be found: a vendor may send another form of a letter."""
_REWRITTEN: Final = 3
"""The same, of a vendor that may name words as it speaks them."""


class WordTimes:
    """Makes words of characters with times, over lines that end anywhere."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = text.split()
        starts = (not c.isspace() and (at == 0 or text[at - 1].isspace()) for at, c in enumerate(text))
        self._begun = list(accumulate(starts, initial=0))[1:]
        """For each character of the text: how many words have begun there."""
        self._length = len(text.rstrip())
        # A tag is blanked, and not taken out: words keep their places.
        self._spoken = TAG.sub(lambda tag: re.sub(r"\S", " ", tag[0]), text)
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

    def broke_off(self, *, verbatim: bool) -> bool:
        """Whether times came, but ended before the text did: an early end may look like an orderly one.

        A whole speech must never count as broken, so symbols and tags at the end are not missed, which a vendor may
        leave without times. With `verbatim` it names every other character as it is written; without, a number may be
        named by the words that it is spoken as, and only words of letters are missed, or half of the text.
        """
        if not self._at:
            return False
        spared, counts = (_UNFOUND, _is_spoken) if verbatim else (_REWRITTEN, _is_letters)
        missed = sum(counts(word) for word in self._unnamed)
        return missed > spared or self._at < self._length / 2

    @property
    def _unnamed(self) -> list[str]:
        """The words that no time has come for, without what is in tags."""
        begins = (at for at, count in enumerate(self._begun) if count > self._named)
        return self._spoken[next(begins, self._length) :].split()

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


def _is_spoken(word: str) -> bool:
    return any(map(str.isalnum, word))


def _is_letters(word: str) -> bool:
    return "".join(filter(str.isalnum, word)).isalpha()
