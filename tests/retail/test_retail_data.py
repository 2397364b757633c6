"""The made-up shop and the imported one."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rapidfuzz.distance import OSA
from sqlalchemy import func, select, text, update

from retail.shop_line import Line, dump
from talkspurt.errors import ConfigurationError
from talkspurt.retail.importer import import_shop, read_shop
from talkspurt.retail.schema import Order, OrderItem, Payment, PaymentKind, Product, Status, User
from talkspurt.retail.shop import Shop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with Shop(f"sqlite+aiosqlite:///{tmp_path}/shop.db").opened() as opened:
        yield opened


async def test_the_made_up_shop_is_the_same_every_time(shop: Shop, tmp_path: Path) -> None:
    async with Shop(f"sqlite+aiosqlite:///{tmp_path}/other.db").opened() as other:
        assert await dump(other) == await dump(shop)


async def test_the_made_up_shop_has_orders_in_every_status(shop: Shop) -> None:
    tables = await dump(shop)
    assert len(tables["users"]) == 30
    assert len(tables["orders"]) == 80
    async with shop.reading() as session:
        counts = Counter((await session.scalars(select(Order.status))).all())
        # What only an agent brings about is not there to begin with.
        assert set(counts) == set(Status) - {Status.ITEMS_CHANGED, Status.EXCHANGE_REQUESTED}
        cancelled = await session.execute(
            select(Payment.order_id)
            .join(Order, Order.id == Payment.order_id)
            .where(Order.status == Status.CANCELLED, Payment.kind == PaymentKind.REFUND)
        )
        assert 0 < len(cancelled.all()) < counts[Status.CANCELLED]
        emails = (await session.scalars(select(User.email))).all()
        assert all(email.endswith("@example.com") for email in emails)


async def test_no_two_orders_are_within_a_misheard_digit_of_each_other(shop: Shop) -> None:
    ids = [order_id[1:] for order_id in await shop.order_ids()]
    assert all(len(order_id) == 7 and order_id.isdigit() for order_id in ids)
    nearest = min(OSA.distance(one, other) for place, one in enumerate(ids) for other in ids[:place])
    assert nearest >= 3


async def test_every_order_was_paid_in_full(shop: Shop) -> None:
    async with shop.reading() as session:
        prices = dict(
            (
                await session.execute(
                    select(OrderItem.order_id, func.sum(OrderItem.price_cents)).group_by(OrderItem.order_id)
                )
            )
            .tuples()
            .all()
        )
        payments = select(Payment.order_id, Payment.amount_cents).where(Payment.kind == PaymentKind.PAYMENT)
        paid = dict((await session.execute(payments)).tuples().all())
    assert prices == paid
    assert len(paid) == 80


async def test_opening_again_neither_seeds_nor_resets(shop: Shop, tmp_path: Path) -> None:
    async with shop.writing() as session:
        await session.execute(update(Order).where(Order.id == "W2378156").values(status=Status.LOST))
    before = await dump(shop)
    async with Shop(f"sqlite+aiosqlite:///{tmp_path}/shop.db").opened() as again:
        assert await dump(again) == before


async def test_the_shared_shop_is_imported_once_and_served(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "retail" / "db.json"
    source = json.loads(path.read_text())
    rows = await asyncio.to_thread(read_shop, path)
    async with Shop(f"sqlite+aiosqlite:///{tmp_path}/imported.db").opened(seeded=False) as shop:
        async with shop.writing() as session:
            assert await import_shop(session, rows) == len(rows)
        async with shop.reading() as session:
            for kind, expected in ((Product, 50), (User, 500), (Order, 1000), (OrderItem, 2978)):
                assert await session.scalar(select(func.count()).select_from(kind)) == expected
            paid = await session.scalar(
                select(func.sum(Payment.amount_cents)).where(Payment.kind == PaymentKind.PAYMENT)
            )
            assert await session.scalar(text("PRAGMA foreign_key_check")) is None
        assert paid == sum(
            round(100 * entry["amount"])
            for order in source["orders"].values()
            for entry in order["payment_history"]
            if entry["transaction_type"] == "payment"
        )
        line = Line(shop)
        assert await line.run("find_order", heard="two three seven eight one five six") == {
            "match": "exact",
            "order_id": "W2378156",
        }
        assert await line.run("verify_caller", order_id="W2378156", zip_code="19122") == {
            "verified": True,
            "first_name": "Yusuf",
        }
        status = await line.run("check_order_status", order_id="W2378156")
        assert (status["status"], status["total"], status["tracking"]) == ("delivered", "$1,819.92", ["843053632392"])
        account = await line.run("get_account_info")
        listed = [f"#{order['order_id']}" for order in account["orders"]]
        assert listed == source["users"]["yusuf_rossi_9620"]["orders"]
        await line.confirmed("process_return", order_id="W2378156", items=["keyboard", "headphones"])
        # Importing again brings back nothing of what was changed since.
        async with shop.writing() as session:
            assert await import_shop(session, await asyncio.to_thread(read_shop, path)) == 0
        assert (await line.run("check_order_status", order_id="W2378156"))["status"] == "return requested"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot read"),
        ("{", "is no tau2-bench retail database"),
        ('{"products": {}, "users": {}}', "orders: Field required"),
        (
            '{"users": {}, "orders": {}, "products": {"1": {"name": "Lamp", "product_id": "1", "variants": '
            '{"2": {"item_id": "2", "options": {}, "available": true, "price": 1.005}}}}}',
            "no amount in whole cents",
        ),
    ],
)
def test_a_file_that_is_no_shop_is_refused_with_its_reason(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / "db.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=sentence):
        read_shop(path)


def test_the_importer_says_what_went_wrong_without_a_traceback(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "talkspurt.retail.importer",
            str(tmp_path / "none.json"),
            f"sqlite+aiosqlite:///{tmp_path}/x.db",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("cannot read")
    assert "Traceback" not in run.stderr
