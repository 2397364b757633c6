"""Which product a caller means, by its name or number, or by what a name sounds like. Pure.

What is found by its sound is only ever told of: a product is looked up by it, and the answer says its name.
"""

import re
from collections.abc import Sequence

from talkspurt.agent import ToolError, spoken
from talkspurt.retail.phrases import alike, tokens
from talkspurt.retail.schema import Product
from talkspurt.retail.sounds import nearest
from talkspurt.retail.words import common_name, either


def choose_product(said: str, products: Sequence[Product]) -> Product:
    """The product meant. Raises `ToolError` for none, or several."""
    plain = said.strip().lower()
    numbers = {plain, *spoken.identifiers(said, r"\d{10}")}
    by_id = [product for product in products if product.id.lower() in numbers]
    if by_id:
        return by_id[0]
    by_item = [product for product in products if any(variant.id.lower() in numbers for variant in product.variants)]
    if by_item:
        return by_item[0]
    heard = _words(said)
    scored = [(_score(heard, _words(product.name)), product) for product in products]
    best = max((score for score, _ in scored), default=0.0)
    fitting = [product for score, product in scored if score == best] if best > 0 else _sounding_like(said, products)
    if not fitting:
        raise ToolError("We don't sell anything by that name. What is it that you're looking for?")
    if len(fitting) > 1:
        names = [f"the {common_name(product.name)}" for product in fitting[:3]]
        raise ToolError(f"Which product do you mean: {either(names)}?")
    return fitting[0]


def _sounding_like(said: str, products: Sequence[Product]) -> list[Product]:
    name = nearest(_words(said), {product.name for product in products})
    return [product for product in products if product.name == name]


def named_like(matching: str, product: Product) -> bool:
    """Whether the product's name has one of the words; every name has nothing."""
    wanted = _words(matching)
    return not wanted or any(alike(word, known) for word in wanted for known in _words(product.name))


def _score(heard: Sequence[str], name: Sequence[str]) -> float:
    """How much of the product's name was said; its last word, which says what it is, counts most."""
    joined = "".join(heard)
    if "".join(name) in joined:
        return 2.0 * len(name) + 2
    hits = [any(alike(word, known) for word in heard) for known in name]
    return sum(hits) + hits[-1] if any(hits) else 0.0


def _words(text: str) -> list[str]:
    return tokens(re.sub(r"(?<=[a-z])-(?=[a-z])", "", text.lower()))
