"""Patterns and marks that several kinds of English rules share."""

import re
from typing import Final

from talkspurt.agent.spoken_form.english_words import UNITS

Match = re.Match[str]

NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
"""A number with or without thousands' commas and decimals."""
TO: Final = r"\s?[-–—]\s?"
"""Between two ends of a range."""
MINUS: Final = r"(?<![\w).,-])[-−]"
UNIT: Final = "(?:" + "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True)) + ")"
FEW: Final = (
    r"(?=\s(?:gift card|voucher|credit|bill|fee|coupon|discount|deposit|note|bulb|adapter|charger|battery|pack)s?\b)"
)
"""Before these an amount is in the singular: "a fifty dollar voucher"."""


def full_stop(match: Match, abbreviation: str) -> str:
    """The full stop behind an abbreviation that is the sentence's too."""
    if not abbreviation.endswith("."):
        return ""
    return "." if re.match(r"[\"'”’)*_]*(?:\s*$|\s+[A-Z])", match.string[match.end() :]) else ""
