"""How many words fit into so much speech, of a voice that does not tell when its words begin."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Final

LETTERS_PER_SECOND: Final = 15.0
"""Of read English, spaces among them (some 160 words a minute)."""


def words_within(words: Iterable[str], seconds: float, *, pace: float) -> int:
    """How many of the first words are usually spoken whole in that time, at `pace` (1: as fast as voices are)."""
    room = seconds * LETTERS_PER_SECOND * pace
    return sum(end - 1 <= room for end in accumulate(len(word) + 1 for word in words))
