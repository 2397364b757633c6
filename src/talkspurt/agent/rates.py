"""How often a tool may run: "3/call, 20/hour"."""

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

Period = Literal["call", "hour", "day"]

SECONDS: Final = {"hour": 3600, "day": 86400}
_RATE: Final = re.compile(r"\s*(\d{1,6})\s*/\s*(call|hour|day)\s*")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` runs within one call, or within an hour or a day for one account (or caller number)."""

    count: int
    per: Period


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Read "3/call, 20/hour"; "" is no limit. Raises `ValueError` with what is wrong."""
    rates = []
    for part in text.split(",") if text.strip() else ():
        found = _RATE.fullmatch(part)
        if found is None or int(found[1]) == 0:
            raise ValueError(f"rate '{part.strip()}' is not a number per call, hour or day, such as 3/call or 20/hour")
        rates.append(Rate(int(found[1]), cast("Period", found[2])))
    return tuple(rates)
