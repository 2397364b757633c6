"""Days and times as people say them: "next Friday", "the third of May", "quarter past ten at night".

Whoever asks says what today is. A day without a year is the next one from today on, or the last one where the words
speak of the past ("it was on the ninth of November", "last Monday").
"""

import calendar
import re
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Final

from talkspurt.agent.spoken.number_words import below_hundred, number, ordinal, words

_MONTHS: Final = {name.lower(): at for at, name in enumerate(calendar.month_name) if name} | {
    **{name.lower(): at for at, name in enumerate(calendar.month_abbr) if name},
    "sept": 9,
}
_WEEKDAYS: Final = {name.lower(): at for at, name in enumerate(calendar.day_name)} | {
    **{name.lower(): at for at, name in enumerate(calendar.day_abbr)},
    "tues": 1,
    "thur": 3,
    "thurs": 3,
}
_PAST: Final = frozenset(
    ["was", "were", "ago", "last", "since", "bought", "ordered", "arrived", "came", "got", "received", "past"]
)
_POLITE: Final = frozenset(["please", "thanks", "thank", "you", "then", "maybe", "sir"])
_LENGTHS: Final = {"day": 1, "week": 7, "fortnight": 14}

_Said = Sequence[str]


def day(text: str, *, today: date) -> date | None:
    """The day that was said; None when none was, or none that there is (30 February)."""
    said = words(re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text.lower()))
    past = not _PAST.isdisjoint(said)
    try:
        for read in (_written, _relative, _in_month, _weekday, _bare_day):
            found = read(text, said, today, past)
            if found is not None:
                return found
    except (ValueError, OverflowError):
        return None
    return None


def _written(text: str, said: _Said, today: date, past: bool) -> date | None:
    if iso := re.search(r"\b(\d{4})[-/](\d{1,2})[-/](\d{1,2})\b", text):
        return date(int(iso[1]), int(iso[2]), int(iso[3]))
    if american := re.search(r"\b(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d{2}))?\b", text):
        month, of, given = int(american[1]), int(american[2]), american[3]
        if given:
            return date(int(given) + (2000 if len(given) == 2 else 0), month, of)
        return _nearest(month, of, today, past)
    return None


def _relative(_text: str, said: _Said, today: date, _past: bool) -> date | None:
    phrase = f" {' '.join(said)} "
    for words_of_it, days in (
        ("day after tomorrow", 2),
        ("day before yesterday", -2),
        ("tomorrow", 1),
        ("yesterday", -1),
        ("next week", 7),
        ("last week", -7),
    ):
        if f" {words_of_it} " in phrase:
            return today + timedelta(days)
    for at in range(len(said)):
        length = _length(said, at)
        if length is None:
            continue
        count, unit, after = length
        if said[after : after + 1] == ["ago"]:
            return _moved(today, -count, unit)
        if said[after : after + 1] in (["from"], ["after"]):
            base = _base(said, after + 1, today)
            return _moved(base, count, unit) if base else None
        if at > 0 and said[at - 1] == "in":
            return _moved(today, count, unit)
    return today if " today " in phrase or " tonight " in phrase else None


def _length(said: _Said, at: int) -> tuple[int, str, int] | None:
    """As in "three days", "a week": how many of what, and the index after it."""
    read = number(said, at) or ((Decimal(1), at + 1) if said[at] in ("a", "an") else None)
    if read is None or read[1] >= len(said) or read[0] != int(read[0]):
        return None
    unit = said[read[1]].removesuffix("s")
    return (int(read[0]), unit, read[1] + 1) if unit in (*_LENGTHS, "month", "year") else None


def _base(said: _Said, at: int, today: date) -> date | None:
    if said[at : at + 1] in (["today"], ["now"]):
        return today
    if said[at : at + 1] == ["tomorrow"]:
        return today + timedelta(1)
    return _weekday("", said[at:], today, past=False)


def _moved(base: date, count: int, unit: str) -> date:
    if unit in _LENGTHS:
        return base + timedelta(count * _LENGTHS[unit])
    months = base.year * 12 + base.month - 1 + count * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(base.day, calendar.monthrange(year, month + 1)[1]))


def _in_month(_text: str, said: _Said, today: date, past: bool) -> date | None:
    """As in "november twenty fifth", "the third of may 2027"."""
    for at, word in enumerate(said):
        if word not in _MONTHS:
            continue
        end = at - 1 if at and said[at - 1] == "of" else at
        before = (read for start in (end - 2, end - 1) if start >= 0 and (read := _day_number(said, start)))
        of = next((read for read in before if read[1] == end), None)
        after = at + 1
        if of is None:
            of = _day_number(said, at + 1 + (said[at + 1 : at + 2] == ["the"]))
            after = of[1] if of else at
        if of is not None:
            year = _year(said, after)
            return date(year, _MONTHS[word], of[0]) if year else _nearest(_MONTHS[word], of[0], today, past)
    return None


def _day_number(said: _Said, at: int) -> tuple[int, int] | None:
    read = ordinal(said, at) or below_hundred(said, at)
    if read is None and at < len(said) and said[at].isdigit():
        read = int(said[at]), at + 1
    return read if read and 1 <= read[0] <= 31 else None


def _year(said: _Said, at: int) -> int | None:
    """As in "twenty twenty six", "two thousand and five", "1999"."""
    if at < len(said) and re.fullmatch(r"(?:19|20)\d\d", said[at]):
        return int(said[at])
    century = below_hundred(said, at)
    if century is None:
        return None
    rest = below_hundred(said, century[1])
    if century[0] in (19, 20) and rest:
        if rest[0] == 0:
            last = below_hundred(said, rest[1])
            return century[0] * 100 + last[0] if last else None
        return century[0] * 100 + rest[0]
    read = number(said, at)
    return int(read[0]) if read and 1900 <= read[0] < 2100 else None


def _nearest(month: int, of: int, today: date, past: bool) -> date:
    """That day of the year nearest to today, on the side that is meant. Raises `ValueError` when there is none."""
    if not 1 <= of <= calendar.monthrange(2000, month)[1]:
        raise ValueError("no such day")
    for year in range(today.year, today.year - 9 if past else today.year + 9, -1 if past else 1):
        if of <= calendar.monthrange(year, month)[1]:
            found = date(year, month, of)
            if found <= today if past else found >= today:
                return found
    raise ValueError("no such day")


def _weekday(_text: str, said: _Said, today: date, past: bool) -> date | None:
    for at, word in enumerate(said):
        if word not in _WEEKDAYS:
            continue
        ahead = (_WEEKDAYS[word] - today.weekday()) % 7 or 7
        if at > 0 and said[at - 1] == "next":
            # Of the coming week, whatever day today is.
            return today + timedelta(7 - today.weekday() + _WEEKDAYS[word])
        if past:
            return today + timedelta(ahead - 7 if ahead < 7 else -7)
        return today + timedelta(ahead)
    return None


def _bare_day(_text: str, said: _Said, today: date, past: bool) -> date | None:
    """As in "the fifteenth", "twelve twenty five": only when nothing else is said."""
    plain = [word for word in said if word not in _POLITE and word not in ("on", "it's", "by")]
    if plain[:1] == ["the"] and (of := ordinal(plain, 1) or _numeral(plain, 1)) and of[1] == len(plain):
        month = today.replace(day=1)
        for _ in range(14):
            fits = of[0] <= calendar.monthrange(month.year, month.month)[1]
            found = month.replace(day=of[0]) if fits else None
            if found and (found <= today if past else found >= today):
                return found
            month = _moved(month, -1 if past else 1, "month")
        return None
    first = below_hundred(plain, 0)
    second = below_hundred(plain, first[1]) if first else None
    if first and second and second[1] == len(plain) and 1 <= first[0] <= 12:
        return _nearest(first[0], second[0], today, past)
    return None


def _numeral(said: _Said, at: int) -> tuple[int, int] | None:
    return (int(said[at]), at + 1) if at < len(said) and said[at].isdigit() and 1 <= int(said[at]) <= 31 else None


# ── times ─────────────────────────────────────────────────────────────────────────

_CLOCK: Final = re.compile(r"(?<![\d:])(\d{1,2}):(\d{2})(?!\d)")
_MORNING: Final = re.compile(r"(?<!i )\bam\b|(?<!\w)a m\b|\bin the morning\b|\bthis morning\b")
_LATER: Final = re.compile(
    r"\bpm\b|\bp m\b|\bin the afternoon\b|\bin the evening\b|\bat night\b|\btonight\b|\bthis (?:afternoon|evening)\b"
)
_PAST_HOUR: Final = frozenset({"past", "after"})
_TO_HOUR: Final = frozenset({"to", "till", "of", "before"})
_PARTS: Final = {"half": 30, "quarter": 15}


def time_of_day(text: str) -> time | None:
    """The time of day that was said, as it was said: "five thirty" is 05:30; None without one."""
    said = words(text)
    phrase = " ".join(said)
    if "noon" in said or "midday" in said:
        return time(12)
    if "midnight" in said:
        return time(0)
    if clock := _CLOCK.search(text):
        return _at(int(clock[1]), int(clock[2]), phrase)
    for read in (_around_hour, _hour_and_minute):
        found = read(said)
        if found is not None:
            return _at(*found, phrase)
    return None


def _at(hour: int, minute: int, phrase: str) -> time | None:
    if _LATER.search(phrase):
        at_night = hour == 12 and " at night" in phrase
        hour = 0 if at_night else hour + 12 if hour < 12 else hour
    elif _MORNING.search(phrase):
        hour = 0 if hour == 12 else hour
    return time(hour, minute) if 0 <= hour <= 23 and 0 <= minute <= 59 else None


def _hour(said: _Said, at: int) -> tuple[int, int] | None:
    read = below_hundred(said, at)
    if read is None and at < len(said) and said[at].isdigit():
        read = int(said[at]), at + 1
    return read


def _around_hour(said: _Said) -> tuple[int, int] | None:
    """As in "half past nine", "quarter to six", "twenty minutes past four", "half eight"."""
    for at, word in enumerate(said):
        hour = _hour(said, at + 1)
        if hour is None or at == 0:
            continue
        if word == "half" or (word in _PAST_HOUR | _TO_HOUR and said[at - 1] in _PARTS):
            minutes = _PARTS[said[at - 1]] if word != "half" else 30
        elif word in _PAST_HOUR | _TO_HOUR:
            end = at - 1 if said[at - 1] in ("minutes", "minute") else at
            read = next(
                (
                    found
                    for start in (end - 2, end - 1)
                    if start >= 0 and (found := _hour(said, start)) and found[1] == end
                ),
                None,
            )
            if read is None:
                continue
            minutes = read[0]
        else:
            continue
        if word in _TO_HOUR:
            return (hour[0] - 1) % 12 or 12, 60 - minutes
        return hour[0], minutes
    if said[:1] == ["half"] and (hour := _hour(said, 1)):
        return hour[0], 30
    return None


def _hour_and_minute(said: _Said) -> tuple[int, int] | None:
    """As in "seven forty five pm", "eight oh five", "nine o'clock", "fourteen hundred hours", "six"."""
    for at in range(len(said)):
        hour = _hour(said, at)
        if hour is None:
            continue
        after = hour[1]
        if said[after : after + 1] == ["hundred"] and said[after + 1 : after + 2] == ["hours"]:
            return hour[0], 0
        minute: tuple[int, int] | None = _hour(said, after)
        if minute and minute[0] == 0 and (unit := _hour(said, minute[1])) and 0 < unit[0] < 10:
            minute = unit
        elif minute and minute[0] < 10:
            minute = None
        end = minute[1] if minute else after
        if _ends_time(said, end) or (at == 0 and end == len(said)):
            return hour[0], minute[0] if minute else 0
    return None


def _ends_time(said: _Said, at: int) -> bool:
    rest = " ".join(said[at : at + 3])
    return (
        re.match(r"(?:am|pm|a m|p m|o'clock|in the (?:morning|afternoon|evening)|at night|tonight|this )", rest)
        is not None
    )
