"""Where calls may go: names that the model uses, and the numbers behind them that it never sees.

Toll fraud is kept out here: only configured numbers are dialled, only in the allowed countries,
and none that costs extra. Checked when the server starts, not when a caller waits.
"""

from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

from talkspurt.config import HandoverConfig
from talkspurt.errors import ConfigurationError

_ORDINARY: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.VOIP,
        PhoneNumberType.UAN,
    }
)
"""Kinds of number that cost no more than a call. Premium-rate, shared-cost, pager and satellite are not among them."""


def handover_numbers(config: HandoverConfig) -> dict[str, str]:
    """Target names with their E.164 numbers. Raises `ConfigurationError` for a number that must not be dialled."""
    return {name: _checked(name, number, config.countries) for name, number in config.targets.items()}


def _checked(name: str, number: str, countries: tuple[str, ...]) -> str:
    key = f"handover.targets.{name}"
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        raise ConfigurationError(f"{key}: '{number}' is not an E.164 number such as +12025550100") from None
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(parsed) or e164 != number:
        raise ConfigurationError(f"{key}: '{number}' is not a valid E.164 number such as +12025550100")
    country = phonenumbers.region_code_for_number(parsed)
    if country not in countries:
        raise ConfigurationError(f"{key}: '{number}' is in {country}, which handover.countries does not allow")
    if phonenumbers.number_type(parsed) not in _ORDINARY:
        raise ConfigurationError(f"{key}: '{number}' is a kind of number that costs extra; it is never dialled")
    return e164
