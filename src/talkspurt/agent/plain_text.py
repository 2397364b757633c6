"""Text as one plain line: nothing in it that steers a prompt, a synthesizer or an operator's page. Pure."""

import unicodedata
from typing import Final

MESSAGE_CHARACTERS: Final = 400
"""Longest message or read-back: about half a minute of speech."""

_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories without a glyph: controls, bidirectional marks, surrogates, private use."""


def clean(text: str) -> str:
    """`text` without control characters; line breaks and tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    spaced = (" " if character in "\n\r\t\v\f" else character for character in text)
    return "".join(character for character in spaced if unicodedata.category(character) not in _STEERING)


def message(text: str) -> str:
    """`text` as one short clean line."""
    line = " ".join(clean(text[: 4 * MESSAGE_CHARACTERS]).split())
    return line if len(line) <= MESSAGE_CHARACTERS else line[: MESSAGE_CHARACTERS - 1] + "…"
