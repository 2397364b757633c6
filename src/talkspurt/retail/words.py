"""How the shop's facts are worded: amounts, ids and sentences that a synthesizer reads well.

Two audiences: tool results carry amounts as people write them ("$89.99"); sentences spoken as they
stand say them out ("89 dollars and 99 cents"), because synthesizers read "$89.99" as "dollar
eighty-nine point nine nine".
"""

import re
from collections.abc import Sequence
from datetime import date

from talkspurt.retail.schema import OrderItem, PaymentMethod

_BRANDS = {"visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "discover": "Discover"}


def written_amount(cents: int) -> str:
    """1234567 → "$12,345.67"."""
    return f"${cents // 100:,}.{cents % 100:02}"


def spoken_amount(cents: int) -> str:
    """8999 → "89 dollars and 99 cents"."""
    dollars, rest = divmod(cents, 100)
    parts = []
    if dollars or not rest:
        parts.append(f"{dollars} dollar{'' if dollars == 1 else 's'}")
    if rest:
        parts.append(f"{rest} cent{'' if rest == 1 else 's'}")
    return " and ".join(parts)


def spelled(text: str) -> str:
    """W2378156 → "W 2 3 7 8 1 5 6"."""
    return " ".join(text)


def listed(names: Sequence[str]) -> str:
    """Names in a row: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def either(names: Sequence[str]) -> str:
    """Names to choose from: "a, b or c"."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def short_method(method: PaymentMethod) -> str:
    """The kind of method: "Visa card", "PayPal account", "gift card"."""
    if method.kind == "credit_card":
        brand = method.brand or "credit"
        return f"{_BRANDS.get(brand.lower(), brand)} card"
    return {"paypal": "PayPal account", "gift_card": "gift card"}.get(method.kind, "payment method")


def full_method(method: PaymentMethod) -> str:
    """Like `short_method`, with a card's last four digits: "Visa ending 1 2 3 4"."""
    if method.kind == "credit_card" and method.last_four:
        return f"{short_method(method).removesuffix(' card')} ending {spelled(method.last_four)}"
    return short_method(method)


def refund_time(method: PaymentMethod) -> str:
    """How long the money takes."""
    return "right away" if method.kind == "gift_card" else "within 5 to 7 business days"


def refund_times(methods: Sequence[PaymentMethod]) -> str | None:
    """The same of several methods: "right away on your gift card and within 5 to 7 business days on your Visa card"."""
    times = {refund_time(method) for method in methods}
    if len(times) == 1:
        return times.pop()
    return listed([f"{refund_time(method)} on your {full_method(method)}" for method in methods]) or None


def day(expected: date, today: date) -> str:
    """A day as one says it: "today", "tomorrow" or "on Tuesday, March 3"."""
    match (expected - today).days:
        case 0:
            return "today"
        case 1:
            return "tomorrow"
        case _:
            return f"on {expected:%A, %B} {expected.day}"


def item_name(item: OrderItem) -> str:
    """The item's name as it stands within a sentence."""
    return common_name(item.name)


def common_name(name: str) -> str:
    """A product's name as it stands within a sentence: "wireless earbuds", "LED light bulb"."""
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in name.split())


def plural(name: str) -> str:
    """Several of a thing: "desk lamps", "smart watches", "headphones"."""
    if name.endswith("s"):
        return name
    if re.search(r"(?:ch|sh|x|z)$", name):
        return f"{name}es"
    return f"{name[:-1]}ies" if re.search(r"[^aeiou]y$", name) else f"{name}s"
