"""Rows of a shop, made without a database."""

from talkspurt.retail.schema import Order, OrderItem, PaymentMethod, Product, Status, Variant


def product(name: str, *variants: tuple[dict[str, str], int, bool]) -> Product:
    """A product whose variants are numbered from 1000000001; each is options, cents, available."""
    return Product(
        id=name,
        name=name,
        variants=[
            Variant(id=f"{1_000_000_001 + place}", product_id=name, options=options, price_cents=cents, available=there)
            for place, (options, cents, there) in enumerate(variants)
        ],
    )


def item(position: int, name: str, cents: int = 10_00, **options: str) -> OrderItem:
    """One thing in an order."""
    return OrderItem(
        id=f"W1/{position}",
        order_id="W1",
        position=position,
        variant_id=f"v{position}",
        product_id=name,
        name=name,
        options=options,
        price_cents=cents,
    )


def order(number: str, status: Status, *names: str) -> Order:
    """An order of things of these names."""
    return Order(id=number, status=status, items=[item(place, name) for place, name in enumerate(names)])


def method(kind: str, identity: str = "", brand: str | None = None, last_four: str | None = None) -> PaymentMethod:
    """A way to pay; a gift card has 50 dollars."""
    return PaymentMethod(
        id=identity or f"{kind}_7654321",
        user_id="u",
        kind=kind,
        brand=brand,
        last_four=last_four,
        balance_cents=50_00 if kind == "gift_card" else None,
    )
