"""A made-up shop: the same 30 customers and 80 orders every time, in every status.

No randomness: everything follows from lists and arithmetic, so that examples in the documentation
and simulated calls can name orders. Only expected days depend on `today`.

Worth knowing by heart: Maya Collins, ZIP 60614, maya.collins@example.com, pays by a Visa ending 4821
and has a gift card with 150 dollars. W2378156 was delivered (wireless headphones, a desk lamp), W5540917 is
on its way, W9013362 was cancelled and waits for its refund, W7704128 is pending (a yoga mat, a backpack).
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from talkspurt.retail import facts
from talkspurt.retail.schema import (
    Address,
    Order,
    OrderItem,
    Parcel,
    Payment,
    PaymentKind,
    PaymentMethod,
    Product,
    Return,
    ReturnItem,
    Row,
    Status,
    User,
    Variant,
    add_rows,
)

PRODUCTS: Final[tuple[tuple[str, tuple[tuple[dict[str, str], int], ...]], ...]] = (
    ("Wireless Headphones", (({"color": "black"}, 89_99), ({"color": "white"}, 94_50))),
    ("Desk Lamp", (({"color": "white"}, 34_25), ({"color": "brass"}, 49_00))),
    ("Running Shoes", (({"size": "8", "color": "blue"}, 119_95), ({"size": "10", "color": "red"}, 119_95))),
    ("Coffee Maker", (({"capacity": "4 cups"}, 64_90), ({"capacity": "10 cups"}, 129_00))),
    ("Yoga Mat", (({"color": "green"}, 27_80), ({"color": "purple"}, 29_80))),
    ("Backpack", (({"color": "grey", "size": "small"}, 58_40), ({"color": "navy", "size": "large"}, 79_60))),
    ("Electric Kettle", (({"material": "glass"}, 45_15), ({"material": "steel"}, 52_30))),
    ("Office Chair", (({"material": "mesh"}, 214_00), ({"material": "leather"}, 389_99))),
    ("Bluetooth Speaker", (({"color": "orange"}, 72_75), ({"color": "black"}, 68_10))),
    ("Garden Hose", (({"length": "50 feet"}, 31_05), ({"length": "100 feet"}, 48_85))),
    ("Winter Jacket", (({"size": "medium", "color": "olive"}, 159_00), ({"size": "large", "color": "black"}, 165_50))),
    ("Tablet", (({"storage": "64 gigabytes"}, 329_00), ({"storage": "256 gigabytes"}, 549_00))),
)

CUSTOMERS: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    ("Maya", "Collins", "18 Linden Street", "Chicago", "IL", "60614"),
    ("Daniel", "Ortega", "402 Harbor Road", "San Diego", "CA", "92103"),
    ("Grace", "Kim", "77 Maple Avenue", "Seattle", "WA", "98115"),
    ("Peter", "Novak", "9 Chestnut Court", "Cleveland", "OH", "44107"),
    ("Amara", "Johnson", "230 Peach Lane", "Atlanta", "GA", "30316"),
    ("Lucas", "Weber", "51 Mill Road", "Milwaukee", "WI", "53207"),
    ("Hannah", "Murphy", "640 Bay Street", "Boston", "MA", "02127"),
    ("Omar", "Haddad", "15 Cedar Drive", "Detroit", "MI", "48201"),
    ("Sofia", "Rossi", "88 Vine Street", "Philadelphia", "PA", "19147"),
    ("James", "Carter", "1207 Ridge Road", "Nashville", "TN", "37206"),
    ("Elena", "Petrova", "33 Ocean Parkway", "Brooklyn", "NY", "11218"),
    ("Noah", "Fisher", "5 Meadow Lane", "Denver", "CO", "80210"),
    ("Priya", "Shah", "412 Garden Way", "Austin", "TX", "78704"),
    ("Thomas", "Lee", "60 Hill Street", "Portland", "OR", "97214"),
    ("Chloe", "Martin", "19 River Road", "New Orleans", "LA", "70118"),
    ("Victor", "Santos", "750 Palm Avenue", "Miami", "FL", "33133"),
    ("Ruth", "Abrams", "26 Willow Street", "Baltimore", "MD", "21211"),
    ("Kevin", "Doyle", "314 Station Road", "Saint Louis", "MO", "63110"),
    ("Nadia", "Rahman", "8 Orchard Street", "Jersey City", "NJ", "07302"),
    ("Samuel", "Green", "91 Prairie Avenue", "Omaha", "NE", "68104"),
    ("Isabel", "Flores", "527 Canyon Drive", "Tucson", "AZ", "85716"),
    ("Martin", "Berg", "44 Lake Street", "Minneapolis", "MN", "55408"),
    ("Leah", "Stone", "203 Summit Avenue", "Salt Lake City", "UT", "84103"),
    ("Andre", "Williams", "16 Union Street", "Memphis", "TN", "38104"),
    ("Julia", "Sanders", "380 College Road", "Raleigh", "NC", "27607"),
    ("Hugo", "Lindgren", "72 Birch Lane", "Duluth", "MN", "55805"),
    ("Tara", "Singh", "149 Mission Street", "San Francisco", "CA", "94110"),
    ("Ben", "Wallace", "6 Church Street", "Burlington", "VT", "05401"),
    ("Olivia", "Nguyen", "811 Magnolia Drive", "Houston", "TX", "77008"),
    ("Walter", "Hayes", "250 Franklin Street", "Richmond", "VA", "23220"),
)

ORDERS: Final = 80
_CYCLE: Final = (
    Status.DELIVERED,
    Status.PENDING,
    Status.DELIVERED,
    Status.SHIPPED,
    Status.CANCELLED,
    Status.PROCESSED,
    Status.DELIVERED,
    Status.RETURN_REQUESTED,
    Status.SHIPPED,
    Status.LOST,
    Status.PENDING,
)
_SHOWN: Final[tuple[tuple[str, int, Status, tuple[int, ...]], ...]] = (
    ("W2378156", 0, Status.DELIVERED, (0, 1)),
    ("W5540917", 0, Status.SHIPPED, (2,)),
    ("W9013362", 0, Status.CANCELLED, (6,)),
    ("W7704128", 0, Status.PENDING, (4, 5)),
)
"""Orders that documentation and simulated calls name: id, customer, status, products."""
_TRAVEL_DAYS: Final = {Status.PENDING: 4, Status.PROCESSED: 3, Status.SHIPPED: 1}


async def seed_shop(session: AsyncSession, *, today: date) -> None:
    """Add the whole made-up shop to an empty database."""
    rows = _products()
    for number in range(len(CUSTOMERS)):
        rows += _customer(number)
    for sequence in range(ORDERS):
        rows += _order(sequence, today)
    await add_rows(session, rows)


def _products() -> list[Row]:
    rows: list[Row] = []
    for number, (name, variants) in enumerate(PRODUCTS):
        rows.append(Product(id=_product_id(number), name=name))
        rows += [
            Variant(
                id=_variant_id(number, index),
                product_id=_product_id(number),
                options=options,
                available=(number + index) % 7 != 6,
                price_cents=cents,
            )
            for index, (options, cents) in enumerate(variants)
        ]
    return rows


def _customer(number: int) -> list[Row]:
    first, last, street, city, state, zip_code = CUSTOMERS[number]
    account = _account(number)
    key = facts.name_key(first, last)
    assert key is not None
    address = Address(
        id=f"home/{account}", line1=street, line2="", city=city, state=state, zip_code=zip_code, country="USA"
    )
    user = User(
        id=account,
        first_name=first,
        last_name=last,
        name_key=key,
        email=f"{first}.{last}@example.com".lower(),
        address_id=address.id,
    )
    methods = [_method(number)]
    if methods[0].kind == "credit_card":
        methods.append(
            PaymentMethod(
                id=f"gift/{account}",
                user_id=account,
                kind="gift_card",
                brand=None,
                last_four=None,
                balance_cents=15_000 - 250 * number,
            )
        )
    return [address, user, *methods]


def _method(number: int) -> PaymentMethod:
    kind, brand = (("credit_card", "visa"), ("credit_card", "mastercard"), ("paypal", None), ("gift_card", None))[
        number % 4
    ]
    return PaymentMethod(
        id=f"method/{_account(number)}",
        user_id=_account(number),
        kind=kind,
        brand=brand,
        last_four=f"{(4821 + 617 * number) % 10_000:04}" if kind == "credit_card" else None,
        balance_cents=1_000 + 250 * number if kind == "gift_card" else None,
    )


def _order(sequence: int, today: date) -> list[Row]:
    order_id, customer, status, products = _outline(sequence)
    account = _account(customer)
    method_id = f"method/{account}"
    travel = _TRAVEL_DAYS.get(status)
    midnight = datetime.combine(today, time(), UTC)
    variant = sequence // 11 % 2
    items = [
        OrderItem(
            id=f"{order_id}/{position}",
            order_id=order_id,
            position=position,
            variant_id=_variant_id(product, variant),
            product_id=_product_id(product),
            name=PRODUCTS[product][0],
            options=PRODUCTS[product][1][variant][0],
            price_cents=PRODUCTS[product][1][variant][1],
        )
        for position, product in enumerate(products)
    ]
    paid = sum(item.price_cents for item in items)
    rows: list[Row] = [
        Order(
            id=order_id,
            sequence=sequence,
            user_id=account,
            address_id=f"home/{account}",
            status=status,
            expected_on=None if travel is None else today + timedelta(days=travel + sequence % 3),
            cancel_reason="no longer needed" if status is Status.CANCELLED else None,
            note="Please leave it with the neighbours at number 20." if status is Status.SHIPPED else None,
        ),
        *items,
        _payment(
            order_id,
            0,
            PaymentKind.PAYMENT,
            method_id=method_id,
            amount_cents=paid,
            made_at=midnight - timedelta(days=9),
        ),
    ]
    if status not in (Status.PENDING, Status.PROCESSED, Status.CANCELLED):
        rows.append(
            Parcel(
                id=f"{order_id}/0",
                order_id=order_id,
                tracking=f"{8_430_000_000 + 7_919_113 * sequence}",
                variant_ids=[item.variant_id for item in items],
            )
        )
    if status is Status.RETURN_REQUESTED:
        # The first item is on its way back, and in every other case has arrived.
        received = midnight - timedelta(days=1) if sequence % 2 else None
        rows.append(
            Return(
                order_id=order_id,
                method_id=method_id,
                requested_at=midnight - timedelta(days=6),
                received_at=received,
                refunded_at=None,
            )
        )
        rows.append(ReturnItem(order_item_id=items[0].id, order_id=order_id))
    if status is Status.CANCELLED and sequence % 2:
        issued = midnight - timedelta(days=2)
        rows.append(_payment(order_id, 1, PaymentKind.REFUND, method_id=method_id, amount_cents=paid, made_at=issued))
    return rows


def _payment(
    order_id: str, position: int, kind: PaymentKind, *, method_id: str, amount_cents: int, made_at: datetime
) -> Payment:
    return Payment(
        id=f"{order_id}/{position}",
        order_id=order_id,
        position=position,
        kind=kind,
        method_id=method_id,
        amount_cents=amount_cents,
        made_at=made_at,
    )


def _outline(sequence: int) -> tuple[str, int, Status, tuple[int, ...]]:
    if sequence < len(_SHOWN):
        return _SHOWN[sequence]
    products = tuple((5 * sequence + 7 * k) % len(PRODUCTS) for k in range(1 + sequence % 3))
    # The step spreads ids so far apart that two wrong digits never make another customer's order.
    order_id = f"W{(4_185_149 + 6_089_679 * sequence) % 10_000_000:07}"
    return order_id, sequence % len(CUSTOMERS), _CYCLE[sequence % len(_CYCLE)], products


def _account(number: int) -> str:
    first, last, *_ = CUSTOMERS[number]
    return f"{first}_{last}".lower()


def _product_id(number: int) -> str:
    return f"P{1001 + number}"


def _variant_id(product: int, index: int) -> str:
    return f"{_product_id(product)}-{index + 1}"
