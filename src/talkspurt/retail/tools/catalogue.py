"""What the shop sells. Open to everybody."""

from collections.abc import Sequence
from typing import Any, Final

from talkspurt.agent import Tool, ToolError, spoken, tool
from talkspurt.retail import words
from talkspurt.retail.options import named_options, spoken_options, values_of
from talkspurt.retail.products import choose_product, named_like
from talkspurt.retail.schema import Variant
from talkspurt.retail.tools.common import Spoken, ToolGroup

LISTED: Final = 60
"""Most products that one answer holds; a model is shown no more than it can read while the caller waits."""
VARIANTS: Final = 40


class Catalogue(ToolGroup):
    """The tools that look products up."""

    def tools(self) -> tuple[Tool, ...]:
        """All of this group."""
        return (self.list_products, self.get_product, self.get_item)

    @tool(filler="Let me look that up.")
    async def list_products(self, matching: Spoken = "") -> dict[str, Any]:
        """List the kinds of products that the shop sells, by name.

        matching: a word that the name should have, or "" for all of them
        """
        found = [product for product in await self._shop.products() if named_like(matching, product)]
        if not found:
            raise ToolError(f"We don't sell anything like that. {await self._range()}")
        return {
            "count": len(found),
            "products": [{"name": words.common_name(each.name), "product_id": each.id} for each in found[:LISTED]],
        }

    @tool(filler="Let me see what we have.")
    async def get_product(self, product: Spoken, options: Spoken = "") -> dict[str, Any]:
        """Look up a product: its variants with options, price, availability and item number, cheapest first.

        product: its name or number, e.g. "t-shirt"
        options: what the variants should have, e.g. "purple, size S", or "" for all of them
        """
        found = choose_product(product, await self._shop.products())
        named = named_options(options, [variant.options for variant in found.variants]) if options.strip() else {}
        fitting = [
            variant
            for variant in found.variants
            if all(variant.options.get(option) in values for option, values in named.items())
        ]
        available = [variant for variant in fitting if variant.available]
        return {
            "name": words.common_name(found.name),
            "product_id": found.id,
            "available": len(available),
            "choices": _choices(available),
            "from": words.written_amount(available[0].price_cents) if available else None,
            "to": words.written_amount(available[-1].price_cents) if available else None,
            "cheapest": spoken_options(available[0].options) if available else None,
            "variants": [_described(variant) for variant in fitting[:VARIANTS]],
        }

    @tool(filler="Let me look at that item.")
    async def get_item(self, item_id: Spoken) -> dict[str, Any]:
        """Look up one variant by its item number: product, options, price and whether it is available.

        item_id: the ten digits of the item number
        """
        numbers = {item_id.strip(), *spoken.identifiers(item_id, r"\d{10}")}
        for number in numbers:
            variant = await self._shop.variant(number)
            if variant is not None:
                name = words.common_name(variant.product.name)
                return {"name": name, "product_id": variant.product_id, **_described(variant)}
        product = next((each for each in await self._shop.products() if each.id in numbers), None)
        if product is not None:
            raise ToolError(f"That is the product number of the {words.common_name(product.name)}, not of one item.")
        raise ToolError("I can't find an item with that number.")

    async def _range(self) -> str:
        names = [words.common_name(product.name) for product in (await self._shop.products())[:6]]
        return f"We have, for example: {words.listed(names)}."


def _choices(available: Sequence[Variant]) -> dict[str, str]:
    """What there is to choose from: option to its values in words."""
    return {
        option: words.either(values) for option, values in values_of([variant.options for variant in available]).items()
    }


def _described(variant: Variant) -> dict[str, Any]:
    return {
        "item_id": variant.id,
        "options": spoken_options(variant.options),
        "price": words.written_amount(variant.price_cents),
        "available": variant.available,
    }
