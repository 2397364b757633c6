"""Which of a customer's own payment methods a caller means: "my PayPal", "the card ending 1234", "the original one".

Pure: only methods of the verified customer come in, so no words can lead to anybody else's. A number that fits none
of them is refused, however well the rest fits. Words that make no sense, as a weak recognizer hears them, may propose
a method by its sound ("discard" for the gift card), or the only one there is: every use of it is read back by name.
"""

import re
from collections.abc import Sequence
from typing import Final

from talkspurt.agent import ToolError, spoken
from talkspurt.retail.phrases import tokens
from talkspurt.retail.schema import PaymentMethod
from talkspurt.retail.sounds import nearest
from talkspurt.retail.words import full_method, listed

GIFT_CARD: Final = "gift_card"
_GIFT: Final = re.compile(r"\bgift(?:\s|-|_)?cards?\b|\bgift\b|\bvouchers?\b|\bstore credit\b|\bgc\b")
_PAYPAL: Final = re.compile(r"\bpay\s?pal\b")
_CARD: Final = re.compile(r"\b(?:credit|debit|bank)?\s?cards?\b|\bcredit\b|\bdebit\b")
_BRANDS: Final = {
    "visa": re.compile(r"\bvisa\b"),
    "mastercard": re.compile(r"\bmaster\s?card\b"),
    "amex": re.compile(r"\bamex\b|\bamerican express\b"),
    "discover": re.compile(r"\bdiscover\b"),
}
_ORIGINAL: Final = re.compile(
    r"\boriginal\w*\b|\bsame\b|\bpaid\b|\bused (?:to pay|for|before)\b|\bback to (?:where|how)\b|\bit came from\b"
)
_INDIFFERENT: Final = re.compile(r"\b(?:any|whatever|whichever|don't mind|not care|don't care|you choose|default)\b")
"""Leaves the choice open."""
_ELSEWHERE: Final = re.compile(
    r"\b(?:bit ?coins?|crypto\w*|cash|che(?:ck|que)s?|bank|wire|transfer|iban|invoice|money order|venmo|zelle|klarna"
    r"|(?:apple|google|amazon|samsung) ?pay|(?:my|your|his|her|their) (?:wife|husband|mother|father|boss)\b.*"
    r"|somebody|someone|else's)\b"
)
"""A way to pay that is on nobody's account here."""
_DENIED: Final = re.compile(r"(?:no|none|nothing|neither|never|not|stop|cancel|leave|forget)\b")
_PRONOUN: Final = re.compile(r"\b(?:the|that|this|my|other|which) one\b")
"""No digit, though it sounds like one."""
_ENDING: Final = re.compile(r"\b(?:ending|ends|ended|last (?:four|3|three|4)?\s?digits)\b(?: (?:in|with|on|are))?(.*)")
_CARD_DIGITS: Final = 12
"""Fewest digits that are a whole card's number, wherever they are said."""
_OTHER: Final = re.compile(r"\bother\b|\bdifferent\b|\belse\b")


def choose_method(
    said: str,
    methods: Sequence[PaymentMethod],
    original: PaymentMethod | None = None,
    *,
    usable: Sequence[PaymentMethod] | None = None,
) -> PaymentMethod:
    """The method meant. `original` is the one that paid the order; `usable` are those that could serve, all by default.

    Raises `ToolError` for none, or several.
    """
    text = " ".join(said.lower().replace("’", "'").split())
    for method in (*methods, original):
        if method is not None and text == method.id.lower():
            return method
    if not methods:
        raise ToolError("There is no payment method on your account. A colleague has to look at it.")
    told = _fitting(text, methods, original)
    fitting = _guessed(text, methods, original, methods if usable is None else usable) if told is None else told
    if not fitting:
        raise ToolError(f"I don't see that payment method on your account. There is {_named(methods)}.")
    if len(fitting) == len(methods) > 1:
        raise ToolError(f"Which payment method would you like: {_either(methods)}?")
    if len(fitting) > 1:
        raise ToolError(f"Which one do you mean: {_either(fitting)}?")
    return fitting[0]


def _guessed(
    text: str, methods: Sequence[PaymentMethod], original: PaymentMethod | None, usable: Sequence[PaymentMethod]
) -> Sequence[PaymentMethod]:
    """What may be meant by words that tell no method from another; none when they name one that is nobody's here."""
    if not text or _INDIFFERENT.search(text):
        return methods
    if _ELSEWHERE.search(text) or _DENIED.match(text):
        return ()
    if len(usable) == 1:
        return usable
    sounds = nearest(tokens(text), {name for method in methods for name in _names(method)})
    return (sounds and _fitting(sounds, methods, original)) or ()


def _names(method: PaymentMethod) -> tuple[str, ...]:
    """What a method is called."""
    if method.kind == "credit_card":
        return ("credit card", (method.brand or "").lower())
    return (method.kind.replace("_", " "),)


def _fitting(text: str, methods: Sequence[PaymentMethod], original: PaymentMethod | None) -> list[PaymentMethod] | None:
    """The methods that everything said is true of; None when nothing was said that tells methods apart."""
    kept = list(methods)
    told = False
    kind = _kind(text)
    if kind is not None:
        told = True
        kept = [method for method in kept if method.kind == kind]
    brands = [brand for brand, pattern in _BRANDS.items() if pattern.search(text)]
    if brands:
        told = True
        kept = [method for method in kept if (method.brand or "").lower() in brands]
    number = _number(text)
    if number:
        told = True
        kept = [method for method in kept if _has_number(method, number)]
    if _OTHER.search(text) and original is not None:
        told = True
        kept = [method for method in kept if method.id != original.id]
    elif _ORIGINAL.search(text) and (original is None or not told or len(kept) > 1):
        told = True
        kept = [method for method in kept if original is not None and method.id == original.id]
    return kept if told else None


def _kind(text: str) -> str | None:
    """The kind that was named; a gift card is no credit card."""
    if _PAYPAL.search(text):
        return "paypal"
    if _GIFT.search(text):
        return GIFT_CARD
    if _CARD.search(text) or any(pattern.search(text) for pattern in _BRANDS.values()):
        return "credit_card"
    return None


def _number(text: str) -> str:
    """The digits by which a method was named; "" without any. Of a long sentence only what "ending" leads to."""
    plain = _PRONOUN.sub(" ", text)
    if ending := _ENDING.search(plain):
        return spoken.digits(ending.group(1))
    number = spoken.digits(plain)
    short = len(plain.split()) <= 8 and not spoken.identifiers(plain, r"W\d{7}")
    return number if (len(number) >= 2 and short) or len(number) >= _CARD_DIGITS else ""


def _has_number(method: PaymentMethod, number: str) -> bool:
    ending = method.last_four or ""
    return number in (ending, method.id.rpartition("_")[2]) or (len(number) < 4 and ending.endswith(number))


def _named(methods: Sequence[PaymentMethod]) -> str:
    return listed([f"your {full_method(method)}" for method in methods])


def _either(methods: Sequence[PaymentMethod]) -> str:
    return " or ".join(f"your {full_method(method)}" for method in methods)
