"""What is written down when something was agreed: amounts, methods and balances."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from retail.shop_line import Line, order_of
from talkspurt.retail.schema import PaymentKind, Status
from talkspurt.retail.shop import Shop

PENDING = "W7704128"


@pytest.fixture
async def shop(shop_file: Path) -> AsyncIterator[Shop]:
    async with Shop(f"sqlite+aiosqlite:///{shop_file}").opened() as opened:
        yield opened


async def test_the_difference_of_changed_items_is_paid(shop: Shop) -> None:
    line = Line(shop).verified()
    done = await line.confirmed(
        "change_order_items",
        order_id=PENDING,
        items=["the yoga mat"],
        new_items=["the purple one"],
        payment_method="gift card",
    )
    assert done["difference"] == "$2.00"
    order = await order_of(shop, PENDING)
    assert order.status is Status.ITEMS_CHANGED
    booked = order.payments[-1]
    assert (booked.kind, booked.amount_cents, booked.method.kind) == (PaymentKind.PAYMENT, 2_00, "gift_card")
    assert booked.method.balance_cents == 148_00
    assert order.items[0].price_cents == 29_80
