"""The number of whoever calls, out of what a carrier tells of it: asked once, at the door, whatever the carrier.

Everything behind it takes a number that is there for one that can be called back and that is one caller's: a call-back
is promised to it, attempts and rates are counted by it. So what is no number is told as withheld, never handed on.

Source: Twilio's changelog of 16 November 2022 and 17 May 2023: withheld is "anonymous", or a word such as RESTRICTED;
before, the word translated into digits (+266696687).
"""

from typing import Final

import phonenumbers

_WORDS: Final = ("anonymous", "blocked", "restricted", "unavailable", "unknown")
_KEYED_IN: Final = frozenset(f"+{phonenumbers.convert_alpha_characters_in_number(word)}" for word in _WORDS)
"""What says that a number is withheld in digits: some of them could be numbers by their length."""


def caller_number(told: str) -> str:
    """The number in E.164, or "" when it is withheld: for words, SIP addresses, and what nobody could dial.

    Possible is enough, since numbering plans grow faster than the tables of valid numbers.
    """
    if not told.startswith("+") or told in _KEYED_IN:
        return ""
    try:
        number = phonenumbers.parse(told, None)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
