"""What is done is what was heard, whatever happens between words and deed; and words mean what they mean then."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Update, select, text, update
from sqlalchemy.exc import DBAPIError

from retail.shop_line import Line, dump, method_of, order_of
from talkspurt.core.events import EffectProposed
from talkspurt.ports import EffectRecord
from talkspurt.retail.addresses import STATES, Place, choose_address
from talkspurt.retail.customers import load_customer, load_products
from talkspurt.retail.schema import Exchange, ExchangeItem, Order, OrderItem, Payment, PaymentMethod, Status, Variant
from talkspurt.retail.shop import Shop

MAYA = "maya_collins"
PENDING, DELIVERED, SHIPPED, CANCELLED = "W7704128", "W2378156", "W5540917", "W9013362"
GIFT = f"gift/{MAYA}"

Step = Callable[[], Awaitable[Any]]


def after_begin(line: Line, happens: Step) -> None:
    """Let something happen when an effect of the line has been judged a last time and begun."""
    ledger = line.dispatcher._proposals._ledger
    begin = ledger.begin

    async def begun(*arguments: Any, **options: Any) -> EffectRecord | None:
        record = await begin(*arguments, **options)
        await happens()
        return record

    ledger.begin = begun  # type: ignore[method-assign]


async def until_it_waits(shop: Shop, shop_url: str, task: asyncio.Task[Any]) -> None:
    """Until PostgreSQL has the task wait for a row, or it is over; a file has its writers wait before they look."""
    locked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not shop_url.startswith("sqlite") and not task.done():
        async with shop.reading() as session:
            if await session.scalar(locked):
                return
        await asyncio.sleep(0.01)


async def another_variant(shop: Shop, order_id: str) -> tuple[str, str]:
    """The name of an order's first item, and the number of what it could become."""
    item = (await order_of(shop, order_id)).items[0]
    others = select(Variant.id).where(Variant.product_id == item.product_id, Variant.id != item.variant_id)
    async with shop.reading() as session:
        return item.name, (await session.scalars(others.where(Variant.available).order_by(Variant.id))).first() or ""


async def change(shop: Shop, statement: Update) -> None:
    async with shop.writing() as session:
        await session.execute(statement)


VISA = update(PaymentMethod).where(PaymentMethod.user_id == MAYA, PaymentMethod.id != GIFT)
PAID = update(Payment).values(amount_cents=600_00)
TO_GIFT_CARD = {"order_id": PENDING, "payment_method": "gift card"}
BY_MISTAKE = {"order_id": "my pending order", "reason": "by mistake"}
CHANGES: dict[str, tuple[str, dict[str, Any], Update, str]] = {
    "what is paid back": (
        "cancel_order",
        BY_MISTAKE,
        PAID.where(Payment.order_id == PENDING),
        "The amount has changed",
    ),
    "what is to pay": (
        "change_order_payment",
        TO_GIFT_CARD,
        PAID.where(Payment.order_id == PENDING).values(amount_cents=99_00),
        "The amount has changed",
    ),
    "what has paid": ("change_order_payment", TO_GIFT_CARD, VISA.values(last_four="9999"), "What was read back has"),
    "the price of an item that comes back": (
        "process_return",
        {"order_id": DELIVERED, "items": ["lamp"]},
        update(OrderItem).where(OrderItem.order_id == DELIVERED).values(price_cents=1_00),
        "The amount has changed",
    ),
    "a refund, to more than is allowed": (
        "offer_refund",
        {"order_id": CANCELLED},
        PAID.where(Payment.order_id == CANCELLED),
        "The amount has changed",
    ),
    "the state of an order": (
        "cancel_order",
        {"order_id": PENDING, "reason": "by mistake"},
        update(Order).where(Order.id == PENDING).values(status=Status.SHIPPED),
        "shipped",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_changes_when_it_has_begun_is_not_done(shop: Shop, name: str) -> None:
    tool, arguments, statement, told = CHANGES[name]
    line = Line(shop).verified()
    proposed = await line.propose(tool, **arguments)
    after_begin(line, lambda: change(shop, statement))
    message = (await line.execute(proposed))["error"]["message"]
    assert told in message
    rows = await dump(shop)
    await change(shop, statement)
    assert await dump(shop) == rows, "nothing but that has changed"
    assert rows["applied_effects"] == []


@pytest.mark.parametrize(("tool", "order_id"), [("cancel_order", PENDING), ("offer_refund", CANCELLED)])
async def test_money_goes_back_to_no_other_card_that_is_called_the_same(shop: Shop, tool: str, order_id: str) -> None:
    async with shop.writing() as session:
        session.add(PaymentMethod(id="twin", user_id=MAYA, kind="credit_card", brand="visa", last_four="4821"))
    line = Line(shop).verified()
    reason = {"reason": "by mistake"} if tool == "cancel_order" else {}
    proposed = await line.propose(tool, order_id=order_id, **reason)
    twin = update(Payment).where(Payment.order_id == order_id).values(method_id="twin")
    after_begin(line, lambda: change(shop, twin))
    assert "What was read back has changed" in (await line.execute(proposed))["error"]["message"]


@pytest.mark.parametrize(("tool", "order_id"), [("change_order_items", PENDING), ("exchange_items", DELIVERED)])
@pytest.mark.parametrize(
    ("values", "told"),
    [({"price_cents": 999_99}, "The amount has changed since"), ({"available": False}, "out of stock")],
)
async def test_a_variant_that_changes_when_it_has_begun_is_not_taken(
    shop: Shop, tool: str, order_id: str, values: dict[str, Any], told: str
) -> None:
    item, new = await another_variant(shop, order_id)
    line = Line(shop).verified()
    proposed = await line.propose(tool, order_id=order_id, items=[item], new_items=[new], payment_method="my Visa")
    after_begin(line, lambda: change(shop, update(Variant).where(Variant.id == new).values(**values)))
    before = (await order_of(shop, order_id)).status
    assert told in (await line.execute(proposed))["error"]["message"]
    assert (await order_of(shop, order_id)).status == before


async def test_what_is_told_of_a_change_is_what_it_would_be_now_and_can_be_agreed_to(shop: Shop) -> None:
    line = Line(shop).verified()
    proposed = await line.propose("offer_refund", order_id=CANCELLED)
    after_begin(
        line, lambda: change(shop, update(Payment).where(Payment.order_id == CANCELLED).values(amount_cents=4000))
    )
    assert (await line.execute(proposed))["error"]["message"] == (
        "The amount has changed since, so nothing was done. Now it would be: Just to confirm: I'll refund 40 dollars "
        "for order W 9 0 1 3 3 6 2 to your Visa ending 4 8 2 1."
    )
    again = await line.propose("offer_refund", order_id=CANCELLED)
    assert "refund 40 dollars" in again.read_back
    assert (await line.execute(again))["amount"] == "$40.00"


async def test_an_order_goes_where_the_caller_heard_wherever_they_have_moved_since(shop: Shop) -> None:
    line, other = Line(shop).verified(), Line(shop).verified()
    await line.confirmed("change_order_address", order_id=PENDING, address="12 Elm Street, Austin, Texas 78704")
    proposed = await line.propose("change_order_address", order_id=PENDING, address="my home address")
    assert "18 Linden Street" in proposed.read_back

    async def move() -> None:
        moved = await other.confirmed("change_account_address", address="99 Stranger Road, Miami, Florida 33133")
        assert moved["status"] == "address changed"

    after_begin(line, move)
    assert "18 Linden Street" in (await line.execute(proposed))["address"]
    assert (await order_of(shop, PENDING)).address.line1 == "18 Linden Street"


@pytest.mark.parametrize("name", CHANGES)
async def test_who_waits_for_the_customers_row_does_not_act_on_what_became_of_it(
    shop: Shop, shop_url: str, name: str
) -> None:
    """Two processes on one database: the other holds the customer, and changes something before it lets go."""
    tool, arguments, statement, told = CHANGES[name]
    async with Shop(shop_url).opened() as elsewhere:
        line = Line(shop).verified()
        proposed = await line.propose(tool, **arguments)
        begun = asyncio.Event()

        async def note() -> None:
            begun.set()

        after_begin(line, note)
        async with elsewhere.writing() as session:
            await load_customer(session, MAYA, to_change=True)
            waiting = asyncio.create_task(line.execute(proposed))
            await begun.wait()
            await until_it_waits(elsewhere, shop_url, waiting)
            await session.execute(statement)
            assert not waiting.done()
        assert told in (await waiting)["error"]["message"]
    assert (await dump(shop))["applied_effects"] == []


async def test_a_process_that_stopped_in_a_transaction_holds_its_customer_for_seconds_only(
    shop: Shop, shop_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody else at all."""
    if shop_url.startswith("sqlite"):
        pytest.skip("a file has no sessions, and its lock goes with the process")
    monkeypatch.setattr("talkspurt.retail.shop.IDLE", 1.0)
    line, other = Line(shop).verified(), Line(shop).verified("daniel_ortega")
    proposed = await line.propose("change_account_address", address="60 Hill Street, Portland, OR 97214")
    others = await other.propose("change_account_address", address="60 Hill Street, Portland, OR 97214")
    answers = []
    # What was stopped finds its connection closed once it wakes.
    with suppress(DBAPIError):
        async with Shop(shop_url).opened() as stopped, stopped.writing() as session:
            await load_customer(session, MAYA, to_change=True)
            waiting = asyncio.create_task(line.execute(proposed))
            answers.append(await other.execute(others))
            assert not waiting.done()
            answers.append(await waiting)
    assert [answer.get("status") for answer in answers] == ["address changed"] * 2


async def test_of_two_calls_at_once_the_second_does_not_act_on_what_the_first_made_of_it(shop: Shop) -> None:
    """The gift card is in both read-backs; whoever comes second would have another one."""
    first, second = Line(shop).verified(), Line(shop).verified()
    proposals = (
        await first.propose("change_order_payment", order_id=PENDING, payment_method="gift card"),
        await second.propose("cancel_order", order_id=PENDING, reason="by mistake"),
    )
    assert "Visa" in proposals[1].read_back
    answers = await asyncio.gather(first.execute(proposals[0]), second.execute(proposals[1]))
    assert sorted("error" in answer for answer in answers) == [False, True]


# ── what others do who know nothing of calls ──────────────────────────────────────


async def executed_beside(shop_url: str, line: Line, proposed: EffectProposed, statement: Update) -> Any:
    """The answer to an effect that begins when another process has changed a row, and has not committed that yet.

    It holds the row that it changes and no other: a warehouse or a till has no reason to hold the customer's.
    """
    begun = asyncio.Event()

    async def note() -> None:
        begun.set()

    after_begin(line, note)
    async with Shop(shop_url).opened() as elsewhere:
        async with elsewhere.writing() as session:
            await session.execute(statement)
            waiting = asyncio.create_task(line.execute(proposed))
            await begun.wait()
            await until_it_waits(elsewhere, shop_url, waiting)
            assert not waiting.done()
        return await waiting


def less_on_the_gift_card(cents: int) -> Update:
    card = update(PaymentMethod).where(PaymentMethod.id == GIFT)
    return card.values(balance_cents=PaymentMethod.balance_cents - cents)


async def test_an_order_that_is_just_being_shipped_is_not_cancelled(shop: Shop, shop_url: str) -> None:
    line = Line(shop).verified()
    proposed = await line.propose("cancel_order", **BY_MISTAKE)
    shipped = update(Order).where(Order.id == PENDING).values(status=Status.SHIPPED)
    before = (await dump(shop))["payments"]
    assert "shipped" in (await executed_beside(shop_url, line, proposed, shipped))["error"]["message"]
    assert (await order_of(shop, PENDING)).status is Status.SHIPPED
    rows = await dump(shop)
    assert rows["payments"] == before
    assert rows["applied_effects"] == []


async def test_a_gift_card_that_just_pays_for_something_else_pays_no_more_than_it_has(
    shop: Shop, shop_url: str
) -> None:
    line = Line(shop).verified()
    proposed = await line.propose("change_order_payment", **TO_GIFT_CARD)
    answer = await executed_beside(shop_url, line, proposed, less_on_the_gift_card(100_00))
    assert "The gift card has 50 dollars left" in answer["error"]["message"]
    assert (await method_of(shop, GIFT)).balance_cents == 50_00


async def test_what_a_gift_card_just_pays_elsewhere_is_not_forgotten(shop: Shop, shop_url: str) -> None:
    line = Line(shop).verified()
    proposed = await line.propose("change_order_payment", **TO_GIFT_CARD)
    answer = await executed_beside(shop_url, line, proposed, less_on_the_gift_card(5_00))
    assert "error" not in answer
    assert (await method_of(shop, GIFT)).balance_cents == 150_00 - 5_00 - 86_20


@pytest.mark.parametrize(
    ("values", "told"),
    [({"price_cents": 999_99}, "The amount has changed since"), ({"available": False}, "out of stock")],
)
@pytest.mark.parametrize("exchanged", [False, True])
async def test_a_variant_that_is_just_being_changed_is_not_taken_as_it_was(
    shop: Shop, shop_url: str, values: dict[str, Any], told: str, exchanged: bool
) -> None:
    """Not even when an exchange of the customer's has had it loaded before."""
    item, new = await another_variant(shop, PENDING)
    if exchanged:
        other = (await order_of(shop, SHIPPED)).items[0]
        async with shop.writing() as session:
            swapped = ExchangeItem(order_item_id=other.id, new_variant_id=new)
            session.add(Exchange(order_id=SHIPPED, method_id=GIFT, difference_cents=0, items=[swapped]))
    line = Line(shop).verified()
    wish = {"order_id": PENDING, "items": [item], "new_items": [new], "payment_method": "my Visa"}
    proposed = await line.propose("change_order_items", **wish)
    changing = update(Variant).where(Variant.id == new).values(**values)
    assert told in (await executed_beside(shop_url, line, proposed, changing))["error"]["message"]
    assert (await order_of(shop, PENDING)).status is Status.PENDING


async def test_two_customers_may_have_the_same_product_changed_at_once(shop: Shop, shop_url: str) -> None:
    """Whoever waits for one of them would wait as long as a process that was stopped in the middle holds it."""
    product = (await order_of(shop, PENDING)).items[0].product_id
    async with Shop(shop_url).opened() as elsewhere, elsewhere.reading() as first, shop.reading() as second:
        await load_products(first, [product], to_change=True)
        assert product in await asyncio.wait_for(load_products(second, [product], to_change=True), 2.0)


# ── what words mean ───────────────────────────────────────────────────────────────


async def wish(line: Line, tool: str, **arguments: Any) -> Any:
    """Ask for something and agree to it; the read-back, if there was one, and the result."""
    answer = await line.dispatcher.run("t1", tool, json.dumps(arguments))
    if isinstance(answer, EffectProposed):
        return await line.execute(answer)
    return json.loads(answer.content)  # type: ignore[union-attr]


async def test_the_same_words_mean_the_next_order_when_the_first_is_done(shop: Shop) -> None:
    await change(shop, update(Order).where(Order.id == SHIPPED).values(status=Status.PENDING))
    line = Line(shop).verified()
    latest = {"order_id": "my latest pending order", "reason": "no longer needed"}
    cancelled = [(await wish(line, "cancel_order", **latest))["order_id"] for _ in range(2)]
    assert sorted(cancelled) == sorted((PENDING, SHIPPED))
    rows = await dump(shop)
    again = await wish(line, "cancel_order", **latest)
    assert again["order_id"] == cancelled[1], "there is no other: it is told what was done"
    for order_id in cancelled:
        repeated = await wish(line, "cancel_order", order_id=order_id, reason="no longer needed")
        assert (repeated["status"], repeated["order_id"]) == ("cancelled", order_id)
    assert await dump(shop) == rows


async def test_the_same_wish_in_other_words_is_done_once(shop: Shop) -> None:
    line = Line(shop).verified()
    proposals = [
        await line.propose("change_order_address", order_id=order_id, address=address)
        for order_id, address in (
            ("the pending one", "5 Elm St, Austin, Texas 78704"),
            (PENDING, "five Elm St, Austin, TX seven eight seven oh four"),
        )
    ]
    done = await line.execute(proposals[0])
    rows = await dump(shop)
    assert await line.execute(proposals[1]) == done
    assert await dump(shop) == rows


@pytest.mark.parametrize(
    ("tool", "arguments", "meant"),
    [
        (
            "cancel_order",
            {"reason": "I ordered it twice"},
            {"reason": "ordered by mistake"},
        ),
        (
            "change_order_payment",
            {"payment_method": "gift card"},
            {"payment_method": GIFT},
        ),
        (
            "change_order_address",
            {"address": "5 Elm St Apt 2, Austin, Texas 78704"},
            {"address": "5 Elm St; Apartment 2; Austin; TX; 78704; USA"},
        ),
    ],
)
async def test_the_ledger_has_in_ids_what_was_meant(
    shop: Shop, tool: str, arguments: dict[str, Any], meant: dict[str, Any]
) -> None:
    line = Line(shop).verified()
    proposed = await line.propose(tool, order_id="the pending one", **arguments)
    record = await line.dispatcher._proposals._ledger.find(proposed.proposal)
    assert record is not None
    assert json.loads(record.arguments) == {"order_id": PENDING, **meant}
    assert "error" not in await line.execute(proposed)


streets = st.sampled_from(["12 Elm Street", "5 Nine Oaks Road, Rear", "77 West 4th St", "9 O'Neill Court"])
places = st.builds(
    Place,
    streets,
    st.sampled_from(["", "Suite 394", "Apartment 2B"]),
    st.sampled_from(["Austin", "St. Louis", "New York"]),
    st.sampled_from(sorted(STATES)),
    st.from_regex(r"[0-9]{5}", fullmatch=True),
)


@given(places)
def test_an_address_is_read_again_to_the_letter(place: Place) -> None:
    assert choose_address(place.written(), []) == place
