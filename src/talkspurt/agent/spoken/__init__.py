"""What callers mean by what a recognizer wrote down: numbers, ids, addresses, amounts, days and times.

Pure functions, for text that was spoken, not typed. What cannot be read as what it should be is None, "" or empty,
never a guess; whether an id exists or an amount is right, nobody here knows.
"""

from talkspurt.agent.spoken.amounts import Money, money, quantity
from talkspurt.agent.spoken.characters import (
    TOP_DOMAINS,
    alphanumerics,
    digits,
    email_address,
    identifiers,
    numbers,
    person_name,
    runs,
    trailing_characters,
    zip_code,
)
from talkspurt.agent.spoken.moments import day, time_of_day
from talkspurt.agent.spoken.phones import phone_number

__all__ = [
    "TOP_DOMAINS",
    "Money",
    "alphanumerics",
    "day",
    "digits",
    "email_address",
    "identifiers",
    "money",
    "numbers",
    "person_name",
    "phone_number",
    "quantity",
    "runs",
    "time_of_day",
    "trailing_characters",
    "zip_code",
]
