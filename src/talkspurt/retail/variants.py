"""Which variant of a product a caller means: "the same but in red", "size L", "the cheapest one you have".

Pure: words and the product's variants in, one variant out, or a refusal that asks a question or says what there is.
Options that were not named stay as they are in the variant that the caller has, where that is possible.
"""

import re
from collections.abc import Sequence
from typing import Final

from talkspurt.agent import ToolError, spoken
from talkspurt.retail.options import kept_options, named_options, spoken_options, values_of
from talkspurt.retail.schema import Product, Variant
from talkspurt.retail.words import common_name, either, spoken_amount

CHEAPEST: Final = re.compile(
    r"\b(?:cheap(?:est|er)?|least expensive|less expensive|lowest[- ]price\w*|lower[- ]price\w*|most affordable)\b"
)
DEAREST: Final = re.compile(
    r"\b(?:most expensive|more expensive|priciest|pricier|dearest|dearer|highest[- ]price\w*|costliest|most costly)\b"
)
_SAME: Final = re.compile(r"\b(?:same|identical|like this one)\b")
_ID: Final = r"\d{10}"
_OFFERED: Final = 3
"""Most variants that are read out; more nobody can keep in mind."""


def choose_variant(said: str, product: Product, current: Variant | None = None) -> Variant:
    """The available variant meant; `current` is the one the caller has, which is never the answer.

    Raises `ToolError` when none is available, when none is meant, or when several are.
    """
    variants = product.variants
    by_id = _by_id(said, product)
    if by_id is not None:
        return _allowed(by_id, product, current)
    named = named_options(said, [variant.options for variant in variants])
    if current is not None:
        named = {**kept_options(said, current.options), **named}
    fitting = [variant for variant in variants if _fits(variant, named)]
    available = [variant for variant in fitting if variant.available]
    lowered = said.lower()
    cheapest, dearest = CHEAPEST.search(lowered), DEAREST.search(lowered)
    if not named and not (cheapest or dearest):
        raise ToolError(_what_then(product, current, same=bool(_SAME.search(lowered))))
    if not available:
        raise ToolError(_out_of_stock(fitting, product))
    if cheapest or dearest:
        price = (min if cheapest else max)(variant.price_cents for variant in available)
        available = [variant for variant in available if variant.price_cents == price]
    others = [variant for variant in available if current is None or variant.id != current.id]
    if not others:
        raise ToolError(f"The {common_name(product.name)} in the order is that one already.")
    if len(others) < len(available) and (cheapest or dearest):
        raise ToolError(f"The {common_name(product.name)} in the order has that price already.")
    return _closest(others, named, product, current)


def _by_id(said: str, product: Product) -> Variant | None:
    """The variant whose number was given. Raises `ToolError` for a number that is none of this product's."""
    plain = said.strip().lower()
    for variant in product.variants:
        if variant.id.lower() == plain:
            return variant
    numbers = spoken.identifiers(said, _ID)
    if not numbers:
        return None
    found = [variant for variant in product.variants if variant.id in numbers]
    if len(found) != 1:
        raise ToolError(f"That number is no {common_name(product.name)}. An item can only become another of its kind.")
    return found[0]


def _allowed(variant: Variant, product: Product, current: Variant | None) -> Variant:
    if current is not None and variant.id == current.id:
        raise ToolError(f"The {common_name(product.name)} in the order is that one already.")
    if not variant.available:
        raise ToolError(_out_of_stock([variant], product))
    return variant


def _fits(variant: Variant, named: dict[str, set[str]]) -> bool:
    return all(variant.options.get(option) in values for option, values in named.items())


def _closest(
    available: Sequence[Variant], named: dict[str, set[str]], product: Product, current: Variant | None
) -> Variant:
    """The one that leaves most as it is. Raises `ToolError` when that is not one."""
    if len(available) == 1:
        return available[0]
    kept = {variant.id: _kept(variant, named, current) for variant in available}
    most = max(kept.values())
    best = [variant for variant in available if kept[variant.id] == most]
    whole = current is not None and most == len([option for option in current.options if option not in named])
    if whole and len(best) == 1:
        return best[0]
    raise ToolError(f"Which {common_name(product.name)} do you mean: {_offer(best if whole else available)}?")


def _kept(variant: Variant, named: dict[str, set[str]], current: Variant | None) -> int:
    if current is None:
        return 0
    return sum(value == variant.options.get(option) for option, value in current.options.items() if option not in named)


def _what_then(product: Product, current: Variant | None, *, same: bool) -> str:
    name = common_name(product.name)
    if same and current is not None:
        return f"An item can only become another variant. Which other {name} would you like?"
    available = [variant.options for variant in product.variants if variant.available]
    if not available:
        return f"No {name} is available at the moment."
    choices = [f"{option}: {either(values)}" for option, values in values_of(available).items() if len(values) > 1]
    return f"Which {name} would you like? There is a choice of {'; '.join(choices)}."


def _out_of_stock(fitting: Sequence[Variant], product: Product) -> str:
    name = common_name(product.name)
    available = [variant for variant in product.variants if variant.available]
    why = f"That {name} is out of stock" if fitting else f"There is no such {name}"
    if not available:
        return f"{why}, and no other is available at the moment."
    return f"{why}. Available: {_offer(available)}."


def _offer(variants: Sequence[Variant]) -> str:
    """A few variants in the words that tell them apart, with their prices."""
    shown = list(variants)[:_OFFERED]
    values = values_of([variant.options for variant in variants])
    telling = [option for option, kinds in values.items() if len(kinds) > 1]
    offers = [
        f"{spoken_options(variant.options, telling or None)} for {spoken_amount(variant.price_cents)}"
        for variant in shown
    ]
    more = len(variants) - len(shown)
    return either([*offers, f"{more} more"] if more else offers)
