"""Words on the line's clock, and the utterances they belong to: the bookkeeping of a streaming recognizer.

A streaming vendor knows nothing of utterances: it sends words with times, first as guesses
(interim), later for good (final). An utterance owns the words from its beginning until the next
utterance begins. All times are seconds of the caller's audio since the stream was opened.

It is pure: no clock, no I/O. Invariants: guesses are replaced as a whole; what was heard
before the oldest open utterance is forgotten when an utterance ends.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_KEPT_WORDS: Final = 4096
"""Final words kept at most: about half an hour of talk without a pause."""
_KEPT_BEFORE_S: Final = 10.0
"""Final words kept before now when no utterance is open: a beginning may reach back this far."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word and when it was said."""

    text: str
    start: float
    end: float

    @property
    def middle(self) -> float:
        """The moment that decides whose word it is."""
        return (self.start + self.end) / 2


@dataclass(slots=True)
class _Utterance:
    begin: float
    until: float = float("inf")
    damaged: bool = False


class Hearing:
    """What has been heard on one line so far."""

    def __init__(self) -> None:
        self.final_until = 0.0
        """Up to here nothing more will come."""
        self._final: deque[Word] = deque(maxlen=_KEPT_WORDS)
        self._interim: tuple[Word, ...] = ()
        self._open: dict[int, _Utterance] = {}

    @property
    def current(self) -> int | None:
        """The utterance begun last, if it is still open."""
        return next(reversed(self._open), None)

    def begin(self, utterance: int, at: float) -> None:
        """Words from `at` on belong to `utterance`, no longer to the one before."""
        for earlier in self._open.values():
            earlier.until = min(earlier.until, at)
        self._open[utterance] = _Utterance(at)

    def end(self, utterance: int, now: float) -> None:
        """Forget `utterance`, and the words that no open utterance can claim."""
        self._open.pop(utterance, None)
        oldest = min((each.begin for each in self._open.values()), default=now - _KEPT_BEFORE_S)
        while self._final and self._final[0].middle < oldest:
            self._final.popleft()

    def is_open(self, utterance: int) -> bool:
        """Whether `utterance` has begun and not ended."""
        return utterance in self._open

    def hear_final(self, words: Iterable[Word], until: float) -> None:
        """These words are certain, and up to `until` there are no others."""
        self._final.extend(words)
        self.final_until = max(self.final_until, until)
        self._interim = ()

    def hear_interim(self, words: Iterable[Word]) -> None:
        """These words are a guess of what followed the last final ones."""
        self._interim = tuple(words)

    def damage(self) -> None:
        """Audio of every open utterance is lost: what is known of them is no longer the whole."""
        self._interim = ()
        for utterance in self._open.values():
            utterance.damaged = True

    def is_damaged(self, utterance: int) -> bool:
        """Whether audio of `utterance` was lost."""
        return utterance in self._open and self._open[utterance].damaged

    def text(self, utterance: int, *, guesses: bool = False) -> str:
        """The words of `utterance`, with the interim ones if `guesses`; "" when it is not open."""
        limits = self._open.get(utterance)
        if limits is None:
            return ""
        words = [*self._final, *self._interim] if guesses else self._final
        return " ".join(word.text for word in words if limits.begin <= word.middle < limits.until)
