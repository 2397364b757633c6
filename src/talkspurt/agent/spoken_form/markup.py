"""Takes out of a text what was written for the eye: Markdown, HTML, emoji, control characters.

Nothing here knows a language. It works on segments as they are cut from a stream, in which a mark may have lost its
other half, so it is no parser of documents: what cannot be a mark of anything is left alone.
"""

import html
import re
import unicodedata
from typing import Final

from talkspurt.agent.spoken_form.aligned import AlignedText

_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_BREAK: Final = re.compile(r"[\t\r\v\f]")
_ADDRESS_IN_BRACKETS: Final = re.compile(r"<(?P<keep>[^\s<>]{1,200}@[^\s<>]{1,200}|https?://[^\s<>]{1,500})>")
_TAG: Final = re.compile(r"<[/!|]?[a-zA-Z][^<>]{0,200}>")
_ENTITY: Final = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[0-9a-fA-F]{1,5});")
_SHORTCODE: Final = re.compile(r"(?<!\S):[a-z][a-z0-9_+-]{1,40}:(?!\S)")
_EMOTICON: Final = re.compile(r"(?<!\S)[:;]['’]?-?[()DPp/|](?!\w)")
_FENCE: Final = re.compile(r"^[ ]*```[\w+-]*[ ]*$|```", re.MULTILINE)
_CODE: Final = re.compile(r"`(?P<keep>[^`\n]*)`")
_LINK: Final = re.compile(r"!?\[(?P<keep>[^\[\]\n]*)\]\([^()\s]*(?:\s\"[^\"\n]*\")?\)")
_TABLE_RULE: Final = re.compile(
    r"^[ ]*\|?(?:[ ]*:?-{2,}:?[ ]*\|)+[ ]*(?::?-{2,}:?)?[ ]*$|^[ ]*\|:?-+:?\|?$", re.MULTILINE
)
_ROW_BEGIN: Final = re.compile(r"^[ ]*\|[ ]*(?=.*\|)", re.MULTILINE)
_ROW_END: Final = re.compile(r"[ ]*\|[ ]*$", re.MULTILINE)
_CELL: Final = re.compile(r"(?<=\S)[ ]*\|[ ]+(?=\S)")
_RULE: Final = re.compile(r"^[ ]*(?:(?:-[ ]?){3,}|(?:\*[ ]?){3,}|(?:_[ ]?){3,})$", re.MULTILINE)
_LINE_MARK: Final = re.compile(r"^[ ]*(?:#{1,6}[ ]+|(?:>[ ]?)+|[-*+•‣▪][ ]+(?:\[[ xX]\][ ]+)?)", re.MULTILINE)
_LIST_NUMBER: Final = re.compile(r"(?P<before>^[ ]*[*_]{0,2}\d{1,2})[.)](?P<after>[*_]{0,2}[ ]+)(?=\S)", re.MULTILINE)
_ESCAPED: Final = re.compile(r"\\(?P<mark>[\\*_`~#\[\]()>+\-.!|{}])")
_EMPHASIS: Final = re.compile(r"(?<![\w*])(\*{1,3})(?=\S)(?P<keep>[^*\n]+?)(?<=\S)\1(?![\w*])")
_UNDERLINES: Final = re.compile(r"(?<!\w)(_{1,3})(?=\S)(?P<keep>[^\n]+?)(?<=\S)\1(?!\w)")
_STRUCK: Final = re.compile(r"~~(?P<keep>[^~\n]+)~~")
_LEFT_OVER: Final = re.compile(
    r"\*{2,}|(?<!\w)_{2,}|_{2,}(?!\w)|~~+|(?<=\S)\*(?!\w)|(?<!\w)\*(?=[^\W\d])|(?<=[^\W\d])\*"
)

_KEPT_SYMBOLS: Final = frozenset("°")
_VARIATION: Final = range(0xFE00, 0xFE10)
_KEYCAP: Final = "\u20e3"
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_DROPPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "So"})


def strip_markup(text: AlignedText) -> None:
    """Leave of `text` what was meant to be read out; tables become rows of cells with commas between them."""
    text.drop(_ESCAPE_SEQUENCE)
    text.put(_BREAK, lambda _: " ")
    text.only(_is_plain)
    text.keep(_ADDRESS_IN_BRACKETS)
    text.drop(_TAG)
    text.put(_ENTITY, lambda match: _one_character(html.unescape(match.group())))
    text.drop(_SHORTCODE)
    text.drop(_EMOTICON)
    text.drop(_FENCE)
    text.keep(_CODE)
    text.keep(_LINK)
    text.drop(_TABLE_RULE)
    if _ROW_BEGIN.search(text.text):
        text.drop(_ROW_BEGIN)
        text.put(_ROW_END, lambda _: ".")
        text.put(_CELL, lambda _: ", ")
    text.drop(_RULE)
    text.drop(_LINE_MARK)
    text.put(_LIST_NUMBER, lambda match: f"{match['before']},{match['after']}")
    text.put(_ESCAPED, lambda match: "" if match["mark"] in "*_`~#" else match["mark"])
    text.keep(_EMPHASIS)
    text.keep(_EMPHASIS)
    text.keep(_UNDERLINES)
    text.keep(_STRUCK)
    text.drop(_LEFT_OVER)


def _one_character(unescaped: str) -> str:
    character = " " if unescaped == "\xa0" else unescaped
    return character if len(character) == 1 and _is_plain(character) else " "


def _is_plain(character: str) -> bool:
    if character.isascii():
        return character == "\n" or " " <= character < "\x7f"
    if character in _KEPT_SYMBOLS:
        return True
    number = ord(character)
    if number in _VARIATION or number in _SKIN_TONES or character == _KEYCAP:
        return False
    return unicodedata.category(character) not in _DROPPED_CATEGORIES
