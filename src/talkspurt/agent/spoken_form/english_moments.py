"""Days and times, as they are said."""

import re
from typing import Final

from talkspurt.agent.spoken_form.english_patterns import TO, Match, full_stop
from talkspurt.agent.spoken_form.english_words import MONTH_OF, WEEKDAY_OF, cardinal, on_day, ordinal, year
from talkspurt.agent.spoken_form.scanning import Rules

RULES: Final = Rules()
_rule = RULES.add

_MONTH: Final = "(?:" + "|".join(sorted(map(re.escape, MONTH_OF), key=len, reverse=True)) + ")"
_WEEKDAY: Final = "(?:" + "|".join(sorted(WEEKDAY_OF, key=len, reverse=True)) + ")"
_HALF: Final = r"(?:[aApP]\.[mM]\.|[aApP][mM]\b)"
_CLOCK: Final = rf"(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d)?(?:\s?{_HALF})?"
_TIME: Final = rf"(?:{_CLOCK}|(?:1[0-2]|0?[1-9])\s?{_HALF})"


@_rule(
    "digit", r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[T ](\d\d:\d\d)(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\d-])"
)
def _iso_day(match: Match) -> str | None:
    said = on_day(int(match[3]), int(match[4]), match[1])
    return f"{said} at {_clock(match[5])}" if said and match[5] else said


@_rule("digit", r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\d/])")
def _american_day(match: Match) -> str | None:
    return on_day(int(match[1]), int(match[2]), match[3])


@_rule(
    "letter",
    rf"({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?:{TO}(\d{{1,2}})(?:st|nd|rd|th)?)?(?:,?\s+((?:19|20)\d\d))?(?![\d:%]|\.\d|\s?[aApP]\.?[mM]\b)",
)
def _month_and_day(match: Match) -> str | None:
    if int(match[2]) > 31 or not int(match[2]):
        return None
    until = f" to {ordinal(int(match[3]))}" if match[3] else ""
    of = f", {year(int(match[4]))}" if match[4] else ""
    return f"{MONTH_OF[match[1]]} {ordinal(int(match[2]))}{until}{of}"


@_rule("digit", rf"(\d{{1,2}})\s+({_MONTH})\b\.?(?:,?\s+((?:19|20)\d\d)\b)?")
def _day_and_month(match: Match) -> str | None:
    if not 1 <= int(match[1]) <= 31:
        return None
    return f"{MONTH_OF[match[2]]} {ordinal(int(match[1]))}" + (f", {year(int(match[3]))}" if match[3] else "")


@_rule("letter", rf"({_MONTH})\.?,?\s+((?:19|20)\d\d)\b(?![-/])")
def _month_and_year(match: Match) -> str:
    return f"{MONTH_OF[match[1]]} {year(int(match[2]))}"


@_rule("letter", rf"({_WEEKDAY})\.?\s?[-–]\s?({_WEEKDAY})\b\.?")
def _weekdays(match: Match) -> str:
    return f"{WEEKDAY_OF[match[1]]} to {WEEKDAY_OF[match[2]]}"


@_rule("letter", rf"({_WEEKDAY})\.?(?=,?\s+(?:{_MONTH}\b|\d))")
def _weekday(match: Match) -> str:
    return WEEKDAY_OF[match[1]]


@_rule(
    "letter",
    r"([Ii]n|[Ss]ince|[Uu]ntil|[Yy]ear|[Dd]uring|[Bb]efore|[Aa]fter|[Ee]arly|[Ll]ate|[Cc]opyright)\s+((?:19|20)\d\d)\b"
    r"(?!\s?(?:points|dollars|items|pieces|steps|units|copies|words|[%$€£]))(?![,.:/-]\d)",
)
def _in_year(match: Match) -> str:
    return f"{match[1]} {year(int(match[2]))}"


@_rule("digit", r"((?:1[89]|20)\d)0s\b")
def _decade(match: Match) -> str:
    return f"{year(int(match[1]) * 10)[:-1]}ies" if match[1][-1] != "0" else f"{year(int(match[1]) * 10)}s"


def _clock(time: str, *, hour24: bool = False) -> str:
    parts = re.fullmatch(rf"(\d{{1,2}})(?::(\d\d))?(?::(\d\d))?\s?({_HALF})?", time)
    assert parts is not None
    hour, minute, second = int(parts[1]), int(parts[2] or "0"), int(parts[3] or "0")
    half = (parts[4] or "").replace(".", "").upper()
    if not half and (hour >= 13 or (hour == 0 and parts[2]) or (hour24 and parts[2])):
        half = "PM" if 12 <= hour < 24 else "AM"
    said = cardinal(12 if hour % 12 == 0 else hour % 12)
    if minute:
        said += f" {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif parts[2] and not half:
        said += " o'clock"
    said += f" {half}" if half else ""
    return said + (f" and {cardinal(second)} seconds" if second else "")


@_rule("digit", rf"({_TIME}|\d{{1,2}}(?::[0-5]\d)?){TO}({_TIME})(?!\d)")
def _times(match: Match) -> str:
    return f"{_clock(match[1])} to {_clock(match[2])}{full_stop(match, match[2])}"


@_rule("digit", rf"({_TIME})(?![\d:])")
def _time(match: Match) -> str:
    return _clock(match[1]) + full_stop(match, match[1])


@_rule("digit", r"24/7\b")
def _always(_match: Match) -> str:
    return "twenty-four seven"
