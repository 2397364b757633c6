"""The call that `make call` makes: a customer of the made-up shop asks where an order is.

The order and its ZIP code are read from the shop's database, never written down here, so that
the caller always asks about an order that exists and knows its own address.
"""

import string
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from talkspurt.errors import ConfigurationError
from talkspurt.retail.schema import Address, Order, Status, User
from talkspurt.retail.shop import Shop
from talkspurt.simulate.lines import Line, Say

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


async def order_enquiry(database: Path) -> Sequence[Line]:
    """Seed the shop in the file `database` if it is new, and word the call about its first order under way."""
    shop = Shop(f"sqlite+aiosqlite:///{database}")
    async with shop.opened(), shop.reading() as session:
        query = (
            select(Order.id, Address.zip_code)
            .join(User, Order.user_id == User.id)
            .join(Address, User.address_id == Address.id)
            .where(Order.status == Status.SHIPPED)
            .order_by(Order.sequence)
        )
        found = (await session.execute(query)).first()
    if found is None:
        raise ConfigurationError("the shop has no order on its way to ask about")
    order_id, zip_code = found
    return (
        Say(f"Hi, I'd like to know where my order is. The number is {spell(order_id)}."),
        Say(f"My zip code is {spell(zip_code)}."),
        Say("No thanks, that's all. Goodbye."),
    )


def spell(identifier: str) -> str:
    """Word an id as people read it out: each character, long numbers in two halves with a breath between."""
    number = identifier.lstrip(string.ascii_letters)
    letters = identifier[: len(identifier) - len(number)]
    half = (len(number) + 1) // 2 if len(number) > 5 else len(number)
    words = (
        " ".join(letters),
        *(" ".join(DIGITS[int(digit)] for digit in part) for part in (number[:half], number[half:])),
    )
    return ", ".join(word for word in words if word)
