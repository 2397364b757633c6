"""Cuts a growing text into segments that can be spoken, without waiting for the next sentence.

A sentence ends at `.`, `!` or `?` (and closing quotes) followed by white space. A full
stop inside a number ("$89.99") or after a short title or a single letter ("Dr. Lee",
"J. Smith") does not end one. The last sentence ends when the text does: `flush`.
"""

import re

_END = re.compile(r"[.!?…]+[\"'”’)]*(?=\s)")
_TITLE = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|Inc|Ltd|vs|approx|e\.g|i\.e)\.$")

_CLAUSE = re.compile(r"[^\d\s][,;:—–](?=\s)")
SHORTEST_CLAUSE = 20
"""Letters that a first clause has at least, a second and a half of speech: "Well," alone would be followed by a gap."""
LONGEST = 240
"""Letters of a segment at most: the longer its text, the later its first audio (Piper: with its square)."""


def take_sentences(text: str) -> tuple[tuple[str, ...], str]:
    """Return the finished sentences of `text` and what is left of it."""
    sentences: list[str] = []
    begin = 0
    for match in _END.finditer(text):
        sentence = text[begin : match.end()].strip()
        if _TITLE.search(sentence):
            continue
        sentences.extend(flush(sentence))
        begin = match.end()
    return tuple(sentences), text[begin:].lstrip() if begin else text


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


def flush(text: str) -> tuple[str, ...]:
    """Return what is left as one last sentence, if there is anything to say in it."""
    text = text.strip()
    return (text,) if any(character.isalnum() for character in text) else ()
