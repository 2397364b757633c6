"""Words in one spelling, so that what a caller said can be compared with what a catalogue says.

Pure. "One and a half litres", "1.5-liter" and "1.5L" become the same words; "T-shirt" and "tee shirts" stay close
enough for `alike`. Nothing here knows what the words are about.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rapidfuzz import fuzz

from talkspurt.agent import spoken

_SIMILAR: Final = 85.0
"""Likeness of two words, in percent, from which a recognizer's spelling counts as the same word."""
_LONGEST: Final = 5
"""Most words that together may spell one of the catalogue's."""

_SPELLINGS: Final = {
    "milliliter": "ml",
    "millilitre": "ml",
    "liter": "l",
    "litre": "l",
    "gigabyte": "gb",
    "gig": "gb",
    "terabyte": "tb",
    "feet": "ft",
    "foot": "ft",
    "pound": "lb",
    "millimeter": "mm",
    "megapixel": "mp",
    "milliamp": "mah",
    "percent": "%",
    "watt": "w",
    "gray": "grey",
    "colour": "color",
    "wifi": "wi-fi",
    "tee": "t",
}
_UNITS: Final = frozenset(
    [
        "ml",
        "l",
        "gb",
        "tb",
        "ft",
        "lb",
        "mm",
        "mp",
        "mah",
        "%",
        "w",
        "inch",
        "hour",
        "piece",
        "cup",
        "bar",
        "degree",
        "x",
    ]
)
_NUMBER_PARTS: Final = ("hundred", "thousand")
_PRONOUN: Final = re.compile(
    r"\bones?\b(?!\s+(?:point|and a half|hundred|thousand|liters?|litres?|cups?|tera\w*|tb|piece|inch|foot|ft)\b)"
)
"""The "one" of "the blue one": stands for nothing."""
_TOKEN: Final = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|%")


def tokens(text: str) -> list[str]:
    """The words of `text`, lower-case and singular; numbers in digits, apart from their units, units in short."""
    lowered = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text.lower().replace("’", "'"))
    lowered = re.sub(r"'s\b|n't\b", lambda ending: " not" if ending.group() == "n't" else "", lowered)
    lowered = re.sub(r"(?<=\d)\s*-\s*(?=\d)|(?<=\w)\s+to\s+(?=\d|twenty|thirty|fifty|seventy)", " ", lowered)
    words = list(_numbers(_TOKEN.findall(_PRONOUN.sub(" ", lowered))))
    return [_SPELLINGS.get(single, single) for single in map(_singular, words)]


def is_unit(token: str) -> bool:
    """Whether a token says what a number counts."""
    return token in _UNITS


def alike(word: str, known: str) -> bool:
    """Whether a recognizer may have meant `known`: the same, a longer or shorter form, or a likely misspelling."""
    if word == known:
        return True
    if min(len(word), len(known)) < 4 or word.isdigit() or known.isdigit():
        return False
    return word.startswith(known) or known.startswith(word) or misheard(word, known)


def misheard(word: str, known: str) -> bool:
    """Whether `word` is `known` in a likely misspelling; short words and numbers are never that."""
    if word == known:
        return True
    if min(len(word), len(known)) < 4 or abs(len(word) - len(known)) > 2:
        return False
    return not re.search(r"\d", word + known) and fuzz.ratio(word, known) >= _SIMILAR


def places(form: str, said: Sequence[str]) -> Iterator[range]:
    """Where words that together spell `form` (words joined without spaces) stand in `said`.

    A single word may be a likely misspelling.
    """
    for start in range(len(said)):
        word = said[start]
        if word == form or (word[0] == form[0] and not form.startswith(word) and misheard(word, form)):
            yield range(start, start + 1)
            continue
        joined = ""
        for end in range(start, min(start + _LONGEST, len(said))):
            joined += said[end]
            if joined == form:
                yield range(start, end + 1)
                break


def _numbers(words: Sequence[str]) -> Iterator[str]:
    """The words, with those that are numbers in digits: "seven fifty" → 7, 50; "one and a half" → 1.5."""
    at = 0
    while at < len(words):
        end = _number_end(words, at)
        if end == at:
            yield words[at]
            at += 1
            continue
        said = " ".join("one" if word in ("a", "an") else word for word in words[at:end])
        *before, last = spoken.numbers(said) if not re.search(r"\d\.\d", said) else said.split()
        yield from before
        fraction, at = _fraction(words, end)
        yield last + fraction


def _number_end(words: Sequence[str], start: int) -> int:
    """Where the number that begins at `start` ends; `start` when there is none."""
    at = start
    if words[at] in ("a", "an") and words[at + 1 : at + 2] and words[at + 1] in _NUMBER_PARTS:
        at += 1
    while at < len(words):
        joins = words[at] == "and" and at > start and words[at - 1] in _NUMBER_PARTS
        follows = joins and at + 1 < len(words) and bool(spoken.numbers(words[at + 1]))
        if not (spoken.numbers(words[at]) or (words[at] in _NUMBER_PARTS and at >= start) or follows):
            break
        at += 1
    return at if spoken.numbers(" ".join("one" if word in ("a", "an") else word for word in words[start:at])) else start


def _fraction(words: Sequence[str], at: int) -> tuple[str, int]:
    """What follows a number as its decimals: "point five", "and a half"."""
    rest = words[at : at + 3]
    if rest[:1] == ["point"] and len(rest) > 1 and (decimals := spoken.numbers(rest[1])):
        return f".{decimals[0]}", at + 2
    if rest == ["and", "a", "half"]:
        return ".5", at + 3
    return "", at


def _singular(word: str) -> str:
    if word in ("inches", "lenses", "watches"):
        return word[:-2]
    if word in ("lens", "canvas"):
        return word
    return word[:-1] if (len(word) > 3 or word == "lbs") and word.endswith("s") and not word.endswith("ss") else word
