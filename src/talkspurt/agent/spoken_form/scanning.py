"""Rewrites a text by rules in one pass from left to right, and tells which written words each said word is for.

Rules are tried where a token begins, in order; what one has rewritten no other sees again, so rules cannot chase each
other. Where none applies, one token is taken over as it stands. The work grows in proportion to the text.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from talkspurt.agent.spoken_form.aligned import AlignedText
from talkspurt.agent.spoken_form.markup import strip_markup
from talkspurt.core.spoken_form import SpokenForm, owned

LONGEST: Final = 2_000
"""Characters of a text that are said: six minutes. Segments are shorter (`core/sentences.py`)."""
LONGEST_TOKEN: Final = 60
"""Characters without a space, beyond which nobody could follow."""

_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|\s+|.", re.DOTALL)
_STANDS_ALONE: Final = re.compile(r"[.,;:!?…\"”’)'*]*(?:\s|$)")
_MARKS_ONLY: Final = re.compile(r"[.,;:!?…]+")
_HAS_SOUND: Final = re.compile(r"\w")


_Say = Callable[[re.Match[str]], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """Says what `pattern` stands for; `say` may decline with None. `begins`: "digit", "letter" or "mark"."""

    begins: str
    pattern: re.Pattern[str]
    say: _Say


class Rules:
    """Rules in the order in which they are tried."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def add(self, begins: str, pattern: str, flags: int = 0) -> Callable[[_Say], _Say]:
        """Make a rule of a function; `begins` may name several kinds of tokens."""

        def add(say: _Say) -> _Say:
            self.rules += [Rule(kind, re.compile(pattern, flags), say) for kind in begins.split()]
            return say

        return add


@dataclass(frozen=True, slots=True)
class Language:
    """What a language needs to be said."""

    rules: Sequence[Rule]
    prepare: Callable[[AlignedText], None]
    """Rewrites before marks are taken out, such as a card's masked digits."""
    too_long: str
    """Said instead of a token that nobody could follow."""
    plain: Callable[[str], bool]
    """Whether a word can be passed by without trying any rule."""


def spoken_form(text: str, language: Language) -> SpokenForm:
    """What is said of `text`. Never raises; of a very long text only the beginning is said."""
    written = text if len(text) <= LONGEST else text[: text.rfind(" ", 1, LONGEST) + 1 or LONGEST]
    aligned = AlignedText(written)
    language.prepare(aligned)
    strip_markup(aligned)
    owners = _owners(written)
    words: list[str] = []
    owner_of: list[int] = []
    for word, owner in _words(_pieces(aligned, language, owners), written.split()):
        if words and _MARKS_ONLY.fullmatch(word):
            # A mark whose word is gone: "Sure 🙂."
            if words[-1][-1].isalnum():
                words[-1] += word
                owner_of[-1] = owner
            continue
        words.append(word)
        owner_of.append(owner)
    if not any(_HAS_SOUND.search(word) for word in words):
        words, owner_of = [], []
    return SpokenForm(written, tuple(words), owned(words, owner_of, len(written.split())))


def _owners(written: str) -> list[int]:
    """For each character: the index of the written word that it is in, or that comes next (at the end: the last)."""
    owners = []
    word = -1
    inside = False
    for character in written:
        if character.isspace():
            inside = False
        elif not inside:
            inside = True
            word += 1
        owners.append(word if inside else word + 1)
    return [min(owner, max(word, 0)) for owner in owners]


def _pieces(aligned: AlignedText, language: Language, owners: Sequence[int]) -> list[tuple[str, int, int]]:
    """Said pieces, each with the first and last written word that it stands for."""
    text, origins = aligned.text, aligned.origins
    pieces = []
    at = 0
    while at < len(text):
        said, end = _next(text, at, language)
        pieces.append((said, owners[origins[at]], owners[origins[end - 1]]))
        at = end
    return pieces


def _next(text: str, at: int, language: Language) -> tuple[str, int]:
    token = _TOKEN.match(text, at)
    assert token is not None
    word = token.group()
    if word.isspace():
        return " ", token.end()
    if len(word) <= LONGEST_TOKEN and language.plain(word) and _STANDS_ALONE.match(text, token.end()):
        return word, token.end()
    begins = "digit" if word[0].isdigit() else "letter" if word[0].isalpha() else "mark"
    for rule in language.rules:
        match = rule.pattern.match(text, at) if rule.begins == begins else None
        said = rule.say(match) if match and match.end() > at else None
        if match and said is not None:
            return said, match.end()
    return (word if len(word) <= LONGEST_TOKEN else language.too_long), token.end()


def _words(pieces: Sequence[tuple[str, int, int]], written: Sequence[str]) -> list[tuple[str, int]]:
    """The said words in order, each with the written word after which it has been said."""
    words: list[tuple[str, int]] = []
    open_word = ""
    owner = latest = 0
    for said, first, last in pieces:
        parts = re.findall(r"\s+|\S+", said)
        laid = iter(_laid_over([part for part in parts if not part.isspace()], written[first : last + 1]))
        for part in parts:
            if part.isspace():
                if open_word:
                    words.append((open_word, owner))
                    open_word = ""
                continue
            owner = latest = max(latest, first + next(laid))
            open_word += part
    if open_word:
        words.append((open_word, owner))
    return words


def _laid_over(said: Sequence[str], written: Sequence[str]) -> list[int]:
    """For each said word of a piece, which of the written words it is for: what is said as it is written for itself,

    and what lies between ("713" of "ends in 713", "four five six" of "555 123 4567") a number digit by digit.
    """
    if len(written) <= 1:
        return [0] * len(said)
    most = min(len(said), len(written) - 1)
    before = next((at for at in range(most) if not _is_same(said[at], written[at])), most)
    most -= before
    after = next((at for at in range(most) if not _is_same(said[-1 - at], written[-1 - at])), most)
    between = len(said) - before - after
    ends = list(accumulate(_share(word) for word in written[before : len(written) - after]))
    middle = [before + bisect_left(ends, ends[-1] * (at + 1) / between) for at in range(between)]
    return [*range(before), *middle, *range(len(written) - after, len(written))]


def _share(written: str) -> int:
    digits = re.sub(r"\W", "", written)
    return len(digits) if digits.isdigit() else 1


def _is_same(said: str, written: str) -> bool:
    return re.sub(r"\W", "", said).casefold() == re.sub(r"\W", "", written).casefold()
