"""When somebody is there: opening hours as lines such as `mon-fri 09:00-17:00`, in a time zone.

Hours are wall-clock times of the zone, so a day of changing clocks opens at nine like any other.
A range whose end is not after its beginning runs past midnight.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_AHEAD: Final = 366
"""Days within which the next opening is looked for: past any list of holidays."""

_LINE: Final = re.compile(r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? (?P<opens>\d\d:\d\d)-(?P<closes>\d\d:\d\d)")
_MIDNIGHT: Final = "24:00"


def time_zone(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises `ValueError` that says what to do."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"'{name}' is not a known time zone such as America/New_York (or the system has no time zone data: "
            "install tzdata)"
        ) from None


@dataclass(frozen=True, slots=True)
class _Span:
    """On one day of the week (0 is Monday), from one time to another."""

    weekday: int
    opens: time
    closes: time

    def on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        last = day if self.closes > self.opens else day + timedelta(days=1)
        return datetime.combine(day, self.opens, zone), datetime.combine(last, self.closes, zone)


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Opening hours of one place. Without any line it never closes, but for the days in `closed`."""

    zone: ZoneInfo
    spans: tuple[_Span, ...] = ()
    closed: frozenset[date] = frozenset()

    @classmethod
    def parse(cls, lines: Iterable[str], zone: ZoneInfo, closed: Iterable[date] = ()) -> Self:
        """Read lines such as `mon-fri 09:00-17:00`, `sat 10:00-13:00`. Raises `ValueError` naming the line."""
        spans = tuple(span for line in lines for span in _parse(line))
        return cls(zone, spans, frozenset(closed))

    def is_open(self, moment: datetime) -> bool:
        """Whether somebody is there at `moment` (with a time zone)."""
        today = moment.astimezone(self.zone).date()
        if not self.spans:
            return today not in self.closed
        # Yesterday's hours may run past midnight.
        days = (today - timedelta(days=1), today)
        return any(opens <= moment < closes for day in days for opens, closes in self._on(day))

    def opens_next(self, moment: datetime) -> datetime | None:
        """The next time that it opens after `moment`, in the place's own zone; None when it never does."""
        today = moment.astimezone(self.zone).date()
        for ahead in range(LOOK_AHEAD):
            day = today + timedelta(days=ahead)
            starts = [opens for opens, _ in self._on(day) if opens > moment]
            if starts:
                return min(starts)
        return None

    def _on(self, day: date) -> list[tuple[datetime, datetime]]:
        if day in self.closed:
            return []
        if not self.spans:
            start = datetime.combine(day, time(), self.zone)
            return [(start, start + timedelta(days=1))]
        return [span.on(day, self.zone) for span in self.spans if span.weekday == day.weekday()]


def _parse(line: str) -> list[_Span]:
    match = _LINE.fullmatch(" ".join(line.lower().split()))
    problem = f"'{line}' is not like 'mon-fri 09:00-17:00' or 'sat 10:00-13:00'"
    if match is None or match["first"] not in DAYS or (match["last"] or "mon") not in DAYS:
        raise ValueError(problem)
    first, last = DAYS.index(match["first"]), DAYS.index(match["last"] or match["first"])
    days = [(first + offset) % 7 for offset in range((last - first) % 7 + 1)]
    closes = "00:00" if match["closes"] == _MIDNIGHT else match["closes"]
    try:
        return [_Span(day, time.fromisoformat(match["opens"]), time.fromisoformat(closes)) for day in days]
    except ValueError:
        raise ValueError(f"{problem}: a day has the times 00:00 to 24:00") from None
