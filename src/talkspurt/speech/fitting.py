"""How many words fit into so much speech, of a voice that does not tell when its words begin: surely, at any speed.

What is usual (15 letters a second of read English) would skip words of a slow voice, and of ids that are spelled.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

SLOWEST: Final = 8.0
"""Letters a second, weighed as by `_weight`: the slowest words of Piper joe have 13 (the "W," of an id, which unweighed
has 3 or less; looked at once, no other voice was), so a voice may take 1.6 times as long."""

_MARK: Final = 4
"""Letters that a mark counts for: a pause of up to 0.35 s."""
_SPELLED: Final = 6
"""Letters that a digit, a sign or a letter of an abbreviation counts for: it is a word of its own ("seven")."""
_MARKS: Final = (",", ".", ";", ":", "!", "?", "…", "—", "–")
_CLOSING: Final = "\"'”’)]"


def clauses_within(words: Sequence[str], seconds: float, *, pace: float) -> int:
    """How many of the first words make whole clauses that any voice has spoken in that time: never all of them.

    Whoever goes on behind them says some words twice, but as a clause: half a number that is said again is another one.
    """
    # One word less, because the last of them may just be ending.
    surely = sum(end <= seconds for end in latest_ends(words, pace=pace)) - 1
    whole = (count for count in range(1, surely + 1) if words[count - 1].rstrip(_CLOSING).endswith(_MARKS))
    return max(whole, default=0)


def latest_ends(words: Iterable[str], *, pace: float) -> list[float]:
    """When each of the words has been spoken at the latest, in seconds.

    A pace above 1 is not counted on: a vendor does what it can.
    """
    rate = SLOWEST * min(pace, 1.0)
    return [end / rate for end in accumulate(_weight(word) for word in words)]


def _weight(word: str) -> int:
    """Letters of ordinary text that take as long as the word and the space behind it."""
    is_spelled = word.upper() == word
    return 1 + sum(
        1 if letter.isalpha() and not is_spelled else _MARK if letter in _MARKS or letter in _CLOSING else _SPELLED
        for letter in word
    )
