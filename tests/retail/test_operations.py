"""What every operation of the retail agent changes in the rows, and what it refuses to."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from retail.shop_line import Line, dump, method_of, order_of
from talkspurt.agent import Effect, ReadBack
from talkspurt.errors import StoreError
from talkspurt.retail.schema import Order, Payment, PaymentKind, PaymentMethod, Return, Status, User, Variant
from talkspurt.retail.shop import Shop

DELIVERED, SHIPPED, CANCELLED, PENDING = "W2378156", "W5540917", "W9013362", "W7704128"
VISA, GIFT = "method/maya_collins", "gift/maya_collins"


@pytest.fixture
def line(shop: Shop) -> Line:
    return Line(shop).verified()


def booked(order: Order) -> list[tuple[str, str, int]]:
    return [(str(payment.kind), payment.method_id, payment.amount_cents) for payment in order.payments]


# ── cancelling ────────────────────────────────────────────────────────────────────


async def test_a_cancelled_order_is_paid_back_to_the_method_that_paid(line: Line, shop: Shop) -> None:
    assert await line.confirmed("cancel_order", order_id=PENDING, reason="we don't need it any more") == {
        "status": "cancelled",
        "order_id": PENDING,
        "reason": "no longer needed",
        "refund": "$86.20",
        "method": "Visa ending 4 8 2 1",
        "when": "within 5 to 7 business days",
    }
    order = await order_of(shop, PENDING)
    assert (order.status, order.cancel_reason) == (Status.CANCELLED, "no longer needed")
    assert booked(order) == [("payment", VISA, 86_20), ("refund", VISA, 86_20)]
    status = await line.run("check_order_status", order_id=PENDING)
    assert (status["status"], status["cancel_reason"]) == ("cancelled", "no longer needed")


async def test_a_gift_card_that_paid_is_topped_up_again(line: Line, shop: Shop) -> None:
    await line.confirmed("change_order_payment", order_id=PENDING, payment_method="gift card")
    assert (await method_of(shop, GIFT)).balance_cents == 150_00 - 86_20
    done = await line.confirmed("cancel_order", order_id=PENDING, reason="ordered by mistake")
    assert done["when"] == "right away"
    assert (await method_of(shop, GIFT)).balance_cents == 150_00
    assert booked(await order_of(shop, PENDING))[-1] == ("refund", GIFT, 86_20)


# ── items ─────────────────────────────────────────────────────────────────────────


async def test_a_changed_item_is_another_variant_at_its_price(line: Line, shop: Shop) -> None:
    done = await line.confirmed(
        "change_order_items",
        order_id=PENDING,
        items=["item 1"],
        new_items=["the same but purple"],
        payment_method="visa",
    )
    assert (done["difference"], done["way"], done["items"][0]["new"]) == ("$2.00", "to pay", "purple")
    order = await order_of(shop, PENDING)
    mat = order.items[0]
    assert (order.status, mat.variant_id, mat.options, mat.price_cents) == (
        Status.ITEMS_CHANGED,
        "P1005-2",
        {"color": "purple"},
        29_80,
    )
    assert booked(order)[1:] == [("payment", VISA, 2_00)]
    refusal = await line.refusal("change_order_address", order_id=PENDING, address="9 Elm Avenue, Houston, TX 77034")
    assert "changed already" in refusal


async def test_a_cheaper_item_is_paid_back(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(update(Variant).where(Variant.id == "P1005-2").values(price_cents=20_00))
    await line.confirmed(
        "change_order_items", order_id=PENDING, items=["mat"], new_items=["purple"], payment_method="gift card"
    )
    assert booked(await order_of(shop, PENDING))[1:] == [("refund", GIFT, 7_80)]
    assert (await method_of(shop, GIFT)).balance_cents == 157_80


async def test_a_difference_needs_a_method_that_can_pay_it(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(update(PaymentMethod).where(PaymentMethod.id == GIFT).values(balance_cents=1_99))
    wish: dict[str, Any] = {"order_id": PENDING, "items": ["mat"], "new_items": ["purple"]}
    assert "Which payment method" in await line.refusal("change_order_items", **wish)
    refusal = await line.refusal("change_order_items", **wish, payment_method="gift card")
    assert refusal == (
        "The gift card has 1 dollar and 99 cents left, which doesn't cover 2 dollars. "
        "Would you like another payment method?"
    )


@pytest.mark.parametrize(
    ("items", "new_items", "sentence"),
    [
        (["mat", "backpack"], ["purple", "navy", "red"], "for each item"),
        (["mat", "the yoga mat"], ["purple", "purple"], "one item twice"),
        (["mat"], [""], "for each item"),
        (["backpack"], ["navy, large"], "out of stock"),
        (["mat"], ["P1012-1"], "Which yoga mat would you like?"),
    ],
)
async def test_what_cannot_be_changed_is_told(
    line: Line, items: list[str], new_items: list[str], sentence: str
) -> None:
    refusal = await line.refusal(
        "change_order_items", order_id=PENDING, items=items, new_items=new_items, payment_method="visa"
    )
    assert sentence in refusal


async def test_an_item_that_sells_out_before_the_yes_is_not_changed(line: Line, shop: Shop) -> None:
    proposed = await line.propose(
        "change_order_items", order_id=PENDING, items=["mat"], new_items=["purple"], payment_method="visa"
    )
    async with shop.writing() as session:
        await session.execute(update(Variant).where(Variant.id == "P1005-2").values(available=False))
    before = await dump(shop)
    assert "error" in await line.execute(proposed)
    assert await dump(shop) == before


async def test_a_price_that_changes_before_the_yes_is_not_charged(line: Line, shop: Shop) -> None:
    proposed = await line.propose(
        "change_order_items", order_id=PENDING, items=["mat"], new_items=["purple"], payment_method="visa"
    )
    async with shop.writing() as session:
        await session.execute(update(Variant).where(Variant.id == "P1005-2").values(price_cents=99_00))
    before = await dump(shop)
    assert "error" in await line.execute(proposed)
    assert await dump(shop) == before


# ── exchanges and returns ─────────────────────────────────────────────────────────


async def test_an_exchange_is_noted_and_moves_no_money_yet(line: Line, shop: Shop) -> None:
    await line.confirmed(
        "exchange_items", order_id=DELIVERED, items=["the lamp"], new_items=["brass"], payment_method="ending 4821"
    )
    order = await order_of(shop, DELIVERED)
    assert order.status is Status.EXCHANGE_REQUESTED
    assert order.exchanged is not None
    assert (order.exchanged.method_id, order.exchanged.difference_cents) == (VISA, 14_75)
    assert [(entry.order_item_id, entry.new_variant_id) for entry in order.exchanged.items] == [
        (f"{DELIVERED}/1", "P1002-2")
    ]
    assert len(order.payments) == 1
    assert order.items[1].variant_id == "P1002-1"
    for tool, arguments in (
        ("exchange_items", {"items": ["headphones"], "new_items": ["white"], "payment_method": "visa"}),
        ("process_return", {"items": ["headphones"]}),
    ):
        assert "already requested" in await line.refusal(tool, order_id=DELIVERED, **arguments)


async def test_a_return_can_be_paid_back_to_a_gift_card(line: Line, shop: Shop) -> None:
    await line.confirmed("process_return", order_id=DELIVERED, items=["lamp"], payment_method="my gift card")
    order = await order_of(shop, DELIVERED)
    assert order.returned is not None
    assert order.returned.method_id == GIFT
    other = Line(shop).verified()
    assert "already requested" in await other.refusal(
        "exchange_items", order_id=DELIVERED, items=["lamp"], new_items=["brass"], payment_method="visa"
    )


async def test_a_refund_goes_to_no_other_card_of_the_callers(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        session.add(PaymentMethod(id="paypal/maya", user_id="maya_collins", kind="paypal"))
    for method in ("my PayPal", "paypal/maya", "the other one that is no gift card, PayPal"):
        refusal = await line.refusal("process_return", order_id=DELIVERED, items=["lamp"], payment_method=method)
        assert refusal == ("A refund goes to the Visa card that paid for the order, or to a gift card of yours.")


# ── payment and addresses ─────────────────────────────────────────────────────────


async def test_another_method_pays_and_the_old_one_is_paid_back(line: Line, shop: Shop) -> None:
    done = await line.confirmed("change_order_payment", order_id=PENDING, payment_method="the other one")
    assert (done["method"], done["refunded_to"]) == ("gift card", "Visa ending 4 8 2 1")
    order = await order_of(shop, PENDING)
    assert order.status is Status.PENDING
    assert booked(order) == [("payment", VISA, 86_20), ("payment", GIFT, 86_20), ("refund", VISA, 86_20)]
    assert [payment.kind for payment in order.payments].count(PaymentKind.REFUND) == 1


async def test_a_gift_card_with_too_little_does_not_pay(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(update(PaymentMethod).where(PaymentMethod.id == GIFT).values(balance_cents=86_19))
    refusal = await line.refusal("change_order_payment", order_id=PENDING, payment_method="gift card")
    assert "doesn't cover" in refusal
    already = await line.refusal("change_order_payment", order_id=PENDING, payment_method="Visa")
    assert "already" in already


async def test_what_two_methods_have_paid_is_not_paid_by_a_third(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        session.add(PaymentMethod(id="paypal/maya", user_id="maya_collins", kind="paypal"))
        session.add(
            Payment(
                id=f"{PENDING}/1",
                order_id=PENDING,
                position=1,
                kind=PaymentKind.PAYMENT,
                method_id=GIFT,
                amount_cents=5_00,
                made_at=datetime.now(UTC),
            )
        )
    before = await dump(shop)
    refusal = await line.refusal("change_order_payment", order_id=PENDING, payment_method="PayPal")
    assert "wasn't paid by one method alone" in refusal
    assert await dump(shop) == before


async def test_an_orders_address_changes_and_nobody_elses(line: Line, shop: Shop) -> None:
    await line.confirmed(
        "change_order_address", order_id=PENDING, address="445 Maple Drive, Suite 394, Fort Worth, Texas, 76165"
    )
    moved = (await order_of(shop, PENDING)).address
    assert (moved.line1, moved.line2, moved.city, moved.state, moved.zip_code, moved.country) == (
        "445 Maple Drive",
        "Suite 394",
        "Fort Worth",
        "TX",
        "76165",
        "USA",
    )
    assert (await order_of(shop, DELIVERED)).address.zip_code == "60614"
    async with shop.reading() as session:
        assert (await session.get_one(User, "maya_collins")).address.zip_code == "60614"
    await line.confirmed("change_account_address", address=f"the same as order {PENDING}")
    async with shop.reading() as session:
        assert (await session.get_one(User, "maya_collins")).address.zip_code == "76165"
    assert await line.refusal("change_order_address", order_id=PENDING, address="my home address") == (
        "That is the address already."
    )


async def test_a_new_zip_code_is_what_verifies_from_then_on(line: Line, shop: Shop) -> None:
    await line.confirmed("change_account_address", address="9 Elm Avenue, Houston, Texas, 77034")
    assert "error" in await Line(shop).run("verify_caller", order_id=PENDING, zip_code="60614")
    assert (await Line(shop).run("verify_caller", order_id=PENDING, zip_code="77034"))["verified"]


# ── products ──────────────────────────────────────────────────────────────────────


async def test_products_are_open_to_everybody(shop: Shop) -> None:
    stranger = Line(shop)
    listed = await stranger.run("list_products")
    assert listed["count"] == 12
    assert (await stranger.run("list_products", matching="chairs"))["products"] == [
        {"name": "office chair", "product_id": "P1008"}
    ]
    backpack = await stranger.run("get_product", product="backpacks")
    assert (backpack["available"], backpack["from"], backpack["cheapest"]) == (1, "$58.40", "grey, small size")
    assert [entry["available"] for entry in backpack["variants"]] == [True, False]
    none = await stranger.run("get_product", product="backpack", options="navy")
    assert (none["available"], none["cheapest"]) == (0, None)
    assert (await stranger.run("get_item", item_id="P1002-2"))["price"] == "$49.00"
    assert "product number of the desk lamp" in await stranger.refusal("get_item", item_id="P1002")
    assert "can't find an item" in await stranger.refusal("get_item", item_id="1234567890")
    assert "We don't sell" in await stranger.refusal("get_product", product="television")
    assert "We have, for example" in await stranger.refusal("list_products", matching="television")


async def test_sums_and_rules_are_told_to_everybody(shop: Shop) -> None:
    stranger = Line(shop)
    assert await stranger.run("calculate", expression="86.20 - 58.40") == {"result": "27.80"}
    assert "30 days" in (await stranger.run("look_up_policy", question="what's your return policy"))["answer"]
    assert "I don't have anything on that" in await stranger.refusal("look_up_policy", question="who won the game")


# ── two calls at once ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tool", "arguments", "table"),
    [
        ("cancel_order", {"order_id": PENDING, "reason": "no longer needed"}, "payments"),
        ("process_return", {"order_id": DELIVERED, "items": ["lamp"]}, "returns"),
        ("offer_refund", {"order_id": CANCELLED}, "payments"),
        ("change_order_payment", {"order_id": PENDING, "payment_method": "gift card"}, "payments"),
    ],
)
async def test_of_two_calls_that_ask_for_the_same_one_gets_it(
    shop: Shop, tool: str, arguments: dict[str, Any], table: str
) -> None:
    lines = [Line(shop).verified() for _ in range(3)]
    proposals = [await line.propose(tool, **arguments) for line in lines]
    answers = await asyncio.gather(*(line.execute(each) for line, each in zip(lines, proposals, strict=True)))
    assert sorted("error" in answer for answer in answers) == [False, True, True]
    rows = await dump(shop)
    assert len(rows["applied_effects"]) == 1
    assert rows[table]


async def test_two_orders_do_not_spend_one_gift_card_twice(shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(update(PaymentMethod).where(PaymentMethod.id == GIFT).values(balance_cents=90_00))
        await session.execute(update(Order).where(Order.id == SHIPPED).values(status=Status.PENDING))
        await session.execute(text("UPDATE payments SET amount_cents = 8000 WHERE order_id = :id"), {"id": SHIPPED})
    lines = [Line(shop).verified() for _ in range(2)]
    proposals = [
        await line.propose("change_order_payment", order_id=order, payment_method="gift card")
        for line, order in zip(lines, (PENDING, SHIPPED), strict=True)
    ]
    answers = await asyncio.gather(*(line.execute(each) for line, each in zip(lines, proposals, strict=True)))
    assert sorted("error" in answer for answer in answers) == [False, True]
    balance = (await method_of(shop, GIFT)).balance_cents
    assert balance is not None
    assert balance >= 0


async def dearer(shop: Shop, order_id: str, cents: int) -> str:
    """Another variant of the order's last item, for so much more."""
    async with shop.writing() as session:
        item = (await session.get_one(Order, order_id)).items[-1]
        others = select(Variant).where(Variant.product_id == item.product_id, Variant.id != item.variant_id)
        variant = (await session.scalars(others.limit(1))).one()
        variant.available, variant.price_cents = True, item.price_cents + cents
    return variant.id


async def test_what_a_gift_card_has_promised_it_does_not_pay_again(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(update(PaymentMethod).where(PaymentMethod.id == GIFT).values(balance_cents=20_00))
        await session.execute(update(Order).where(Order.id == SHIPPED).values(status=Status.DELIVERED))
        await session.execute(update(Payment).where(Payment.order_id == PENDING).values(amount_cents=15_00))
    wishes = [(order, await dearer(shop, order, 15_00)) for order in (DELIVERED, SHIPPED)]
    lines = [Line(shop).verified() for _ in wishes]
    proposals = [
        await line.propose(
            "exchange_items",
            order_id=order,
            items=[(await order_of(shop, order)).items[-1].name],
            new_items=[variant],
            payment_method="gift card",
        )
        for line, (order, variant) in zip(lines, wishes, strict=True)
    ]
    answers = await asyncio.gather(*(line.execute(each) for line, each in zip(lines, proposals, strict=True)))
    assert sorted("error" in answer for answer in answers) == [False, True]
    refusal = await line.refusal("change_order_payment", order_id=PENDING, payment_method="gift card")
    assert refusal.startswith("The gift card has 5 dollars left beside what your exchanges will cost")


async def test_of_two_refunds_it_is_said_when_each_comes(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        order, gift = await session.get_one(Order, CANCELLED), await session.get_one(PaymentMethod, GIFT)
        order.payments.append(
            Payment(id="p", position=1, kind=PaymentKind.PAYMENT, method=gift, amount_cents=20_00, made_at=None)
        )
    done = await line.confirmed("offer_refund", order_id=CANCELLED)
    assert done["when"] == ("within 5 to 7 business days on your Visa ending 4 8 2 1 and right away on your gift card")


# ── never more than was paid ──────────────────────────────────────────────────────


async def test_a_lost_order_is_refunded_without_what_went_back_to_another_method(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        order, gift = await session.get_one(Order, PENDING), await session.get_one(PaymentMethod, GIFT)
        order.status = Status.LOST
        # As after changed items, whose difference goes where the customer wants.
        order.payments.append(
            Payment(id="p", position=1, kind=PaymentKind.REFUND, method=gift, amount_cents=20_00, made_at=None)
        )
    assert (await line.confirmed("offer_refund", order_id=PENDING))["amount"] == "$66.20"
    assert booked(await order_of(shop, PENDING))[1:] == [("refund", GIFT, 20_00), ("refund", VISA, 66_20)]
    assert "already been refunded" in await Line(shop).verified().refusal("offer_refund", order_id=PENDING)


async def test_returned_items_are_refunded_as_far_as_they_were_paid(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(update(Payment).where(Payment.order_id == DELIVERED).values(amount_cents=10_00))
    proposed = await line.propose("process_return", order_id=DELIVERED, items=["lamp"])
    assert "refund 10 dollars to" in proposed.read_back
    await line.execute(proposed)
    async with shop.writing() as session:
        await session.execute(update(Return).where(Return.order_id == DELIVERED).values(received_at=datetime.now(UTC)))
    assert (await line.confirmed("offer_refund", order_id=DELIVERED))["amount"] == "$10.00"


# ── once ──────────────────────────────────────────────────────────────────────────


async def test_the_same_key_gives_the_first_result_and_changes_nothing(line: Line, shop: Shop) -> None:
    tool = line.agent.tool("cancel_order")
    assert tool is not None
    assert tool.read_back is not None
    arguments = {"order_id": PENDING, "reason": "no longer needed"}
    agreed = await tool.read_back(caller=line.caller, **arguments)
    assert isinstance(agreed, ReadBack)
    effect = Effect(key="k" * 64, tool="cancel_order", call_id="c", turn=2, read_back=agreed)
    first = await tool.function(caller=line.caller, effect=effect, **arguments)
    after = await dump(shop)
    assert await tool.function(caller=line.caller, effect=effect, **arguments) == first
    assert await dump(shop) == after
    assert tool.lookup is not None
    assert await tool.lookup(effect.key) == first


@pytest.mark.parametrize(
    "name",
    [
        "cancel_order",
        "change_order_items",
        "change_order_address",
        "change_order_payment",
        "change_account_address",
        "process_return",
        "exchange_items",
        "offer_refund",
    ],
)
async def test_every_effect_can_be_looked_up_and_has_its_rules(line: Line, name: str) -> None:
    tool = line.agent.tool(name)
    assert tool is not None
    assert tool.effect
    assert tool.level == 1
    assert tool.lookup is not None
    assert await tool.lookup("0" * 64) is None
    assert line.agent.policy.rates(name)


async def test_a_database_of_an_earlier_version_says_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/old.db"
    async with Shop(url).opened() as shop, shop.writing() as session:
        await (await session.connection()).exec_driver_sql("ALTER TABLE orders DROP COLUMN cancel_reason")
    with pytest.raises(StoreError, match="its table orders lacks cancel_reason; name a new one in TALKSPURT_RETAIL"):
        async with Shop(url).opened():
            pytest.fail("opened")
