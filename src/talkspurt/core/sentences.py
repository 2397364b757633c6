"""Cuts a growing text into segments that can be spoken, without waiting for the next sentence.

A sentence ends at `.`, `!` or `?` (and closing quotes) followed by white space. A full
stop inside a number ("$89.99") or after a short title or a single letter ("Dr. Lee",
"J. Smith") does not end one. The last sentence ends when the text does: `flush`.
"""

import re

_END = re.compile(r"[.!?…]+[\"'”’)]*(?=\s)")
_TITLE = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|Inc|Ltd|vs|approx|e\.g|i\.e)\.$")


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


def flush(text: str) -> tuple[str, ...]:
    """Return what is left as one last sentence, if there is anything to say in it."""
    text = text.strip()
    return (text,) if any(character.isalnum() for character in text) else ()
