"""Cuts a growing text into segments that can be spoken, without waiting for the next sentence.

A sentence ends at `.`, `!` or `?` (and what closes quotes, brackets or emphasis) followed by white space, and before
the next item of a list or the next paragraph. A full stop inside a number ("$89.99"), after a title or a single letter
("Dr. Lee", "J. Smith") or after the number of a list's item does not end one. Where only what follows tells ("5 p.m.
on Monday", "Wait… what?", "No. 5"), its first letter is waited for. The last sentence ends when the text does: `flush`.
"""

import math
import re


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_END = re.compile(
    r"(?P<mark>[.!?…]+)(?P<closing>[\"'”’)\]*_]*)(?=\s)"
    r"|\n(?=[^\S\n]*\n)|\n(?=[^\S\n]*(?:[-*+•>|]|\#{1,6}|\d{1,2}[.)])\s)"
)
_NEVER = re.compile(r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|Apt|Ste|vs|approx|[Ee]\.\s?g|[Ii]\.\s?e)$")
_UNLESS_A_NUMBER_FOLLOWS = re.compile(
    r"(?:^|[\s(])(?:No|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|[Mm]in|[Mm]ax|[Ee]xt|[Dd]ept)$"
)
_UNLESS_IT_GOES_ON = re.compile(
    r"(?:^|[\s(\d])(?:[ap]\.m|etc|Inc|Ltd|Corp|Co|Jr|Sr|Ave|Blvd|Rd|in|ft|lbs?|oz|hrs?|(?:[A-Z]\.)+[A-Z])$"
)
_LETTER = re.compile(r"(?:^|(?P<before>\S+)\s+|[\s(])[A-HJ-Z]$")
_LETTERED = frozenset(
    _words(
        "plan option type size class grade group section part row gate line step building apartment unit "
        "suite vitamin terminal zone level version choice"
    )
)
"""What single letters name: behind these, one can end a sentence."""
_ITEM = re.compile(r"\s*[*_]*\d{1,2}")

_CLAUSE = re.compile(r"[^\d\s][,;:—–](?=\s)")
SHORTEST_CLAUSE = 20
"""Letters that a first clause has at least, a second and a half of speech: "Well," alone would be followed by a gap."""
FEWEST_WORDS = 3
"""Of a sentence that is known again; "Yes." or "I see." may be said twice."""
_WORD = re.compile(r"\w+")
LONGEST = 240
"""Letters of a segment at most: the longer its text, the later its first audio (Piper: with its square)."""
_MAY_END = re.compile(r"[.!?…,;:—–\n\"'”’)\]*_#]")
"""What ends something that can be spoken, or closes it."""
_SPACE = re.compile(r"[^\S\n]+")
BEHIND_AN_END = 6
"""Letters behind such a mark that may decide whether it was an end: a space and "I", or the "10) " of a list."""
UNTOLD = 0.2
"""Seconds after which the next piece is told in any case: whoever waits for a text must see that it still comes."""


def take_sentences(text: str) -> tuple[tuple[str, ...], str]:
    """Return the finished sentences of `text` and what is left of it."""
    sentences: list[str] = []
    begin = 0
    for match in _END.finditer(text):
        ends = _ends(text[begin : match.start()], match, text[match.end() :].lstrip())
        if ends is None:
            break
        if ends:
            sentences.extend(flush(text[begin : match.end()]))
            begin = match.end()
    return tuple(sentences), text[begin:].lstrip() if begin else text


def _ends(sentence: str, match: re.Match[str], following: str) -> bool | None:
    """Whether `sentence` ends at `match`; None when it depends on what has not come yet."""
    mark = match["mark"]
    if mark is None:
        return True
    if mark.endswith(("..", "…")):
        if re.match(r"I?$", following):
            return None
        return not (following[0].islower() or re.match(r"I\b", following))
    if re.search(r"[\"'”’]", match["closing"]):
        return not following[0].islower() if following else None
    if mark != ".":
        return True
    if _ITEM.fullmatch(sentence) or _NEVER.search(sentence):
        return False
    if _UNLESS_A_NUMBER_FOLLOWS.search(sentence):
        return not following[0].isdigit() if following else None
    if _UNLESS_IT_GOES_ON.search(sentence):
        return not (following[0].islower() or following[0].isdigit()) if following else None
    letter = _LETTER.search(sentence)
    return letter is None or (letter["before"] or "").lower() in _LETTERED


def take_speakable(text: str, *, first: bool) -> tuple[tuple[str, ...], str]:
    """Return what of a growing text can be spoken by now, and what is left of it.

    Whole sentences, long ones in pieces; and when nothing has been said yet (`first`), its first clause: a
    model that streams a long sentence must not keep the caller waiting for its full stop.
    """
    sentences, rest = take_sentences(text)
    if sentences or not first:
        return tuple(piece for sentence in sentences for piece in split_long(sentence)), rest
    for clause in _CLAUSE.finditer(text):
        if clause.end() >= SHORTEST_CLAUSE:
            return (text[: clause.end()].strip(),), text[clause.end() :].lstrip()
    return (), text


def split_long(sentence: str) -> tuple[str, ...]:
    """Cut a sentence of more than `LONGEST` letters at its clauses, at worst between words."""
    pieces: list[str] = []
    while len(sentence) > LONGEST:
        ends = [clause.end() for clause in _CLAUSE.finditer(sentence, 0, LONGEST)]
        at = max((end for end in ends if end >= SHORTEST_CLAUSE), default=0) or sentence.rfind(" ", 1, LONGEST)
        if at <= 0:
            break
        pieces.append(sentence[:at].strip())
        sentence = sentence[at:].strip()
    return (*pieces, *flush(sentence))


def is_said(sentence: str, said: str) -> bool:
    """Whether `said` holds the words of `sentence`, which are so many that nobody says them again by chance."""
    words = _WORD.findall(sentence.casefold())
    return len(words) >= FEWEST_WORDS and f" {' '.join(words)} " in f" {' '.join(_WORD.findall(said.casefold()))} "


def flush(text: str) -> tuple[str, ...]:
    """Return what is left as one last sentence, if there is anything to say in it."""
    text = text.strip()
    return (text,) if any(character.isalnum() for character in text) else ()


class Pieces:
    """The pieces of a text that is coming in, told together as soon as more of it may be speakable.

    A model sends a piece for each token, and most can end nothing: no sentence and no clause ends without a mark. So
    what is kept changes nothing about what can be spoken of the text, or when.
    """

    def __init__(self) -> None:
        self._kept = ""
        self._before = ""
        """The end of what was told."""
        self._told_at = -math.inf

    def add(self, piece: str, now: float) -> str:
        """Take the next piece; returns what is to be told of the text now, "" to wait for more. The first is told."""
        self._kept += piece
        waits = now - self._told_at < UNTOLD and not _MAY_END.search(self._before + self._kept)
        return "" if waits else self.take(now)

    def take(self, now: float) -> str:
        """What is left to be told: the text is over, or something else comes behind it."""
        told, self._kept = self._kept, ""
        self._before = _SPACE.sub(" ", self._before + told)[-BEHIND_AN_END:]
        self._told_at = now
        return told
