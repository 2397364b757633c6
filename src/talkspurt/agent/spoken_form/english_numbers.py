"""Numbers, measures, fractions, versions and house numbers, as they are said."""

import re
from typing import Final

from talkspurt.agent.spoken_form.english_patterns import FEW, MINUS, NUMBER, TO, UNIT, Match, full_stop
from talkspurt.agent.spoken_form.english_words import (
    FRACTIONS,
    UNITS,
    cardinal,
    decimal,
    grouped,
    in_pairs,
    on_day,
    ordinal,
)
from talkspurt.agent.spoken_form.scanning import Rules

_ROUND: Final = re.compile(r"[1-9]\d{1,2}000")
"""Thousands, which hardly any id or ZIP code looks like."""

RULES: Final = Rules()
_rule = RULES.add

_STREET: Final = r"(?:St|Dr|Ave|Blvd|Rd|Ln|Ct|Pl|Hwy|Pkwy|Sq|Ter|Way|Street|Avenue|Road|Drive|Lane|Boulevard|Court)"


@_rule("digit", r"(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
def _ordinal(match: Match) -> str:
    return ordinal(int(match[1]))


@_rule("digit mark", rf"({MINUS})?({NUMBER})(?:{TO}({NUMBER}))?\s?%")
def _percent(match: Match) -> str:
    until = f" to {decimal(match[3])}" if match[3] else ""
    return f"{'minus ' if match[1] else ''}{decimal(match[2])}{until} percent"


@_rule("digit", r"(\d)['′]\s?(\d{1,2})(?:[\"″”]|'')")
def _height(match: Match) -> str:
    return f"{cardinal(int(match[1]))} foot {cardinal(int(match[2]))}"


@_rule("digit mark", rf"({MINUS})?({NUMBER})(?:{TO}({NUMBER}))?(\s?)({UNIT})(?![\w°])({FEW})?")
def _measure(match: Match) -> str | None:
    unit = match[5]
    before = match.string[: match.start()]
    if unit == '"' and before.count('"') % 2:
        return None
    if unit in ("°", "m", "g", "h", "V", "L", "l") and match[4] and unit != "°" and len(match[2]) > 4:
        return None
    one, many = UNITS[unit]
    single = (match[2] == "1" and not match[3]) or match[6] is not None
    until = f" to {decimal(match[3])}" if match[3] else ""
    said = f"{'minus ' if match[1] else ''}{decimal(match[2])}{until} {one if single else many}"
    return said + full_stop(match, unit)


@_rule("digit", r"(?:(\d+)\s)?(\d{1,2})/(\d{1,2})(?![\d/])")
def _fraction_or_day(match: Match) -> str | None:
    above, below = int(match[2]), int(match[3])
    before = re.search(r"\b(?:on|by|until|before|since|after|dated|due)\s$", match.string[: match.start()])
    if above < below and below in FRACTIONS and not before:
        part = FRACTIONS[below]
        if match[1]:
            return f"{cardinal(int(match[1]))} and {'a' if above == 1 else cardinal(above)} {_many(part, above)}"
        return f"{cardinal(above)} {_many(part, above)}"
    return None if match[1] else on_day(above, below)


def _many(part: str, count: int) -> str:
    return part if count == 1 else {"half": "halves"}.get(part, f"{part}s")


@_rule("mark digit", r"(\d+\s?)?([½¼¾⅓⅔⅛])")
def _fraction_sign(match: Match) -> str:
    part = {"½": "half", "¼": "quarter", "¾": "three quarters", "⅓": "third", "⅔": "two thirds", "⅛": "eighth"}[
        match[2]
    ]
    if match[1]:
        return f"{cardinal(int(match[1]))} and {part if ' ' in part else f'a {part}'}"
    return part if " " in part else f"one {part}"


@_rule("letter", r"(?:([Vv]ersion)\s+|[vV]\.?\s?)(\d{1,4}(?:\.\d{1,4})+)\b|[vV](\d{1,3})\b")
def _version(match: Match) -> str:
    parts = (match[2] or match[3]).split(".")
    return f"{match[1] or 'version'} " + " point ".join(cardinal(int(part)) for part in parts)


@_rule("digit", r"\d{1,4}(?:\.\d{1,4}){2,4}(?!\d|\.\d)")
def _dotted(match: Match) -> str:
    return " point ".join(cardinal(int(part)) for part in match.group().split("."))


@_rule("digit", rf"(\d{{1,5}})(?=\s+(?:[NSEW]\.?\s+)?(?:[A-Z][a-z]+\s+|\d+(?:st|nd|rd|th)\s+){{1,3}}{_STREET}\b)")
def _house(match: Match) -> str:
    return in_pairs(int(match[1]))


@_rule("digit", rf"({NUMBER})(?:{TO})({NUMBER})(?![\d/-])")
def _range(match: Match) -> str | None:
    return f"{decimal(match[1])} to {decimal(match[2])}" if max(map(len, match.groups())) <= 6 else None


@_rule("digit", r"(\d+)\s?[x×]\s?(?=\d)")
def _by(match: Match) -> str:
    return f"{cardinal(int(match[1]))} {'times' if '×' in match.group() else 'by'} "


@_rule("digit", r"(\d+)(?:-(?=[A-Za-z])|(?=[A-Za-z]))")
def _joined(match: Match) -> str:
    return f"{decimal(match[1]) if len(match[1]) < 5 else grouped(match[1])} "


@_rule("digit mark", rf"({MINUS})?({NUMBER})")
def _number(match: Match) -> str | None:
    if not match[1] and match[2][0] == "." and re.search(r"\w$", match.string[: match.start()]):
        return None
    minus = "minus " if match[1] else ""
    plain = match[2]
    if plain.isdigit() and not _ROUND.fullmatch(plain) and (len(plain) >= 5 or (len(plain) > 1 and plain[0] == "0")):
        return minus + grouped(plain)
    return minus + decimal(plain)
