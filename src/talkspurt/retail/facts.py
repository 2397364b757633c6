"""Facts that callers state, in the one form in which they are compared.

Case, accents, punctuation and spaces do not count; every letter and digit does. What cannot be
read as the fact it should be is None, never a guess.
"""

import unicodedata
from typing import Final

from talkspurt.agent import spoken

ORDER_ID: Final = r"W?\d{7}"


def order_id(text: str) -> str | None:
    """W and seven digits, from "#w2378156", "2378156" or spoken; None when there is no id, or more than one."""
    found = {f"W{match.removeprefix('W')}" for match in spoken.identifiers(text, ORDER_ID)}
    return found.pop() if len(found) == 1 else None


def zip_code(text: str) -> str | None:
    """Five digits."""
    return spoken.zip_code(text)


def email(text: str) -> str | None:
    """An address in lower case."""
    return spoken.email_address(text)


def name_key(first_name: str, last_name: str) -> str | None:
    """Both names, reduced to letters: "Zoë", "O'Brien" → "zoe obrien"; None when one is missing."""
    first, last = _letters(first_name), _letters(last_name)
    return f"{first} {last}" if first and last else None


def _letters(name: str) -> str:
    parts = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in parts if character.isalnum())
