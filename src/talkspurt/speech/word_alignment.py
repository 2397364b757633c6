"""Finds the words of a text in its pronunciation.

A phonemiser does not keep words apart: it merges some ("of the" is one to it) and expands others ("$5" is two).
So each word is pronounced alone too, and those pronunciations are laid along that of the sentence at the least
cost (Needleman and Wunsch, 1970). Letters are IPA letters; spaces take part, since most of them do agree.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Final

_VOWELS: Final = frozenset("aeiouyæøœɐɑɒɔəɚɛɜɪɨʉʊʌᵻ")
_STRESS: Final = "ˈˌ"
_GAP: Final = 0.8
"""What a letter without a counterpart costs. A merged or split word costs half of it; stress changes vowels cheaply."""
_SPACE_GAP: Final = 0.4
_MAXIMUM_CELLS: Final = 60_000
"""Beyond this (30 ms) words are only laid out in proportion; no spoken sentence is that long."""

_BOTH, _OWN, _SPOKEN = 0, 1, 2


def align(words: Sequence[str], spoken: str) -> list[int]:
    """Return where in `spoken` each of `words` begins; both are IPA, a word may be "" for unknown or silent."""
    own, begins = _joined(words)
    heard = [(letter, at) for at, letter in enumerate(spoken) if letter == " " or _is_letter(letter)]
    reached = _reached(own, [letter for letter, _ in heard])
    # What only the sentence has goes to the word before it, but at the very beginning to the first word.
    starts = [0] if begins else []
    for begin in begins[1:]:
        index = reached[begin]
        while index < len(heard) and heard[index][0] == " ":
            index += 1
        at = heard[index][1] if index < len(heard) else len(spoken)
        while at and spoken[at - 1] in _STRESS:
            at -= 1
        starts.append(at)
    return list(accumulate(starts, max))


def _joined(words: Sequence[str]) -> tuple[list[str], list[int]]:
    own: list[str] = []
    begins: list[int] = []
    for word in words:
        if begins:
            own.append(" ")
        begins.append(len(own))
        own += [letter for letter in word if letter == " " or _is_letter(letter)]
    return own, begins


def _reached(own: list[str], heard: list[str]) -> list[int]:
    """For each index of `own`, and its end: how many of `heard` lie before it."""
    shorter = min(len(own), len(heard))
    front = next((i for i in range(shorter) if own[i] != heard[i]), shorter)
    back = next((i for i in range(shorter - front) if own[-1 - i] != heard[-1 - i]), shorter - front)
    rows, columns = len(own) - front - back, len(heard) - front - back
    if rows * columns > _MAXIMUM_CELLS:
        middle = [round(i * columns / rows) for i in range(rows)]
    else:
        middle = _least_cost(own[front : front + rows], heard[front : front + columns])
    return [
        *range(front),
        *(front + reached for reached in middle),
        *range(front + columns, len(heard) + 1),
    ]


def _least_cost(own: list[str], heard: list[str]) -> list[int]:
    across = [0.0, *accumulate(_SPACE_GAP if letter == " " else _GAP for letter in heard)]
    steps = [bytearray([_SPOKEN]) * (len(heard) + 1)]
    for letter in own:
        down = _SPACE_GAP if letter == " " else _GAP
        row, step = [across[0] + down], bytearray([_OWN]) * (len(heard) + 1)
        for column, other in enumerate(heard, start=1):
            best = across[column - 1] + _difference(letter, other)
            if across[column] + down < best:
                best = across[column] + down
            else:
                step[column] = _BOTH
            right = row[-1] + (_SPACE_GAP if other == " " else _GAP)
            if right < best:
                best, step[column] = right, _SPOKEN
            row.append(best)
        across = row
        steps.append(step)
    reached = [0] * len(own)
    index, column = len(own), len(heard)
    while index:
        step_back = steps[index][column]
        if step_back != _OWN:
            column -= 1
        if step_back != _SPOKEN:
            index -= 1
            reached[index] = column
    return reached


@cache
def _difference(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if " " in (one, other):
        return 2.5
    if (one in _VOWELS) != (other in _VOWELS):
        return 1.5
    return 0.5 if one in _VOWELS else 1.0


@cache
def _is_letter(character: str) -> bool:
    # Length and stress marks are modifier letters (Lm).
    return unicodedata.category(character) in ("Ll", "Lo", "Lu")
