"""A text as it is said, and which of its written words each said word belongs to.

History and playback speak of written words ("#W2378156"); a synthesizer says others ("W, two three seven, …"), one or
many for each, or none. Pure data; who makes it knows the language (`agent/spoken_form/`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class SpokenForm:
    """What is said of a text."""

    written: str
    """The text that this is the spoken form of."""
    words: tuple[str, ...]
    """What is said, word by word, with its marks."""
    ends: tuple[int, ...]
    """For each whitespace-separated word of `written`: how many of `words` have been said when it is over. Rising."""

    @property
    def text(self) -> str:
        """What the synthesizer gets; "" when there is nothing to say."""
        return " ".join(self.words)

    def heard(self, words: int) -> int:
        """How many written words were heard when that many said ones were: none of which a part is missing."""
        return sum(end <= words for end in self.ends)

    def said_before(self, word: int) -> int:
        """How many words are said before the written word with that index."""
        return self.ends[word - 1] if word else 0

    def rest(self, word: int) -> "SpokenForm":
        """What is said from the written word with that index on."""
        begin = self.said_before(word)
        written = " ".join(self.written.split()[word:])
        return SpokenForm(written, self.words[begin:], tuple(end - begin for end in self.ends[word:]))


def as_written(text: str) -> SpokenForm:
    """The form of a text that is said word by word as it stands."""
    words = tuple(text.split())
    return SpokenForm(text, words, tuple(range(1, len(words) + 1)))


def is_sound(form: SpokenForm) -> bool:
    """Whether every written word has its place, in order, and every said one its owner."""
    ends = (0, *form.ends)
    complete = len(form.ends) == len(form.written.split()) and ends[-1] == len(form.words)
    return complete and all(before <= after for before, after in pairwise(ends))


def owned(words: Sequence[str], owners: Sequence[int], count: int) -> tuple[int, ...]:
    """`ends` for `count` written words, from the written word that each of `words` belongs to (rising)."""
    ends = [0] * count
    for owner in owners[: len(words)]:
        ends[owner] += 1
    total = 0
    for index, own in enumerate(ends):
        total += own
        ends[index] = total
    return tuple(ends)
