"""Telephone numbers as people say them, in E.164."""

import re
from typing import Final

import phonenumbers

from talkspurt.agent.spoken.characters import digits

_HUNDRED: Final = re.compile(r"\b(one|two|three|four|five|six|seven|eight|nine|[1-9])[\s-]hundred\b", re.IGNORECASE)
_PLUS: Final = re.compile(r"(?:\bplus\b|\+)\s*(?=\w)", re.IGNORECASE)
_LOCAL: Final = 7
_ABROAD: Final = ("011", "00")
"""What is dialled before a country's code, here and in most of the world."""


def phone_number(text: str, *, region: str = "US") -> str | None:
    """A telephone number: "+12125550123", or seven digits when no area was said; None when it cannot be one."""
    said = digits(_HUNDRED.sub(r"\1 zero zero", text))
    if _PLUS.search(text):
        return _possible(f"+{said}", None)
    for prefix in _ABROAD:
        if said.startswith(prefix) and (abroad := _possible(f"+{said.removeprefix(prefix)}", None)):
            return abroad
    return said if len(said) == _LOCAL else _possible(said, region)


def _possible(number: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
