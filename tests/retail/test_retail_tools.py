"""The retail tools on a real SQLite file: what they answer, refuse and change."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from retail.shop_line import Line, order_of
from talkspurt.agent import Caller
from talkspurt.core.events import EffectProposed, ToolReturned
from talkspurt.effects import ToolDispatcher
from talkspurt.errors import ConfigurationError, StoreError
from talkspurt.retail import create_agent
from talkspurt.retail.facts import name_key
from talkspurt.retail.schema import Order, PaymentKind, PaymentMethod, Return, ReturnItem, Status, User
from talkspurt.retail.shop import Shop
from talkspurt.retail.tools.identity import KEYPAD
from talkspurt.testing.handover import MemoryDesk
from talkspurt.testing.ledger import MemoryEffectLedger

DELIVERED, SHIPPED, CANCELLED = "W2378156", "W5540917", "W9013362"
SOMEBODY_ELSES = "W9054877"
NO_ORDER = {"match": "none", "order_id": None, "keypad": KEYPAD}


@pytest.fixture
async def shop(shop_file: Path) -> AsyncIterator[Shop]:
    async with Shop(f"sqlite+aiosqlite:///{shop_file}").opened() as opened:
        yield opened


@pytest.fixture
def line(shop: Shop) -> Line:
    return Line(shop)


async def orders(shop: Shop, status: Status) -> list[Order]:
    async with shop.reading() as session:
        return list((await session.scalars(select(Order).where(Order.status == status).order_by(Order.sequence))).all())


# ── finding and verifying ─────────────────────────────────────────────────────────


async def test_an_order_number_is_found_as_it_was_heard(line: Line) -> None:
    assert await line.run("find_order", heard="W two three seven eight one five six") == {
        "match": "exact",
        "order_id": DELIVERED,
    }
    assert await line.run("find_order", heard="three seven eight one five six") == {
        "match": "close",
        "order_id": DELIVERED,
    }
    assert await line.run("find_order", heard="no idea") == NO_ORDER


async def test_a_verified_caller_finds_only_their_own_orders(line: Line) -> None:
    line.verified("grace_kim")
    assert await line.run("find_order", heard=DELIVERED) == NO_ORDER


@pytest.mark.parametrize(
    "given_facts",
    [
        {"order_id": "w 2378156", "zip_code": "6 0 6 1 4"},
        {"order_id": DELIVERED, "zip_code": "six oh six one four"},
        {"first_name": "maya", "last_name": "COLLINS", "zip_code": "60614"},
        {"email": "Maya.Collins@Example.com"},
        {"email": "maya dot collins at example dot com", "zip_code": "60614"},
    ],
)
async def test_facts_that_match_verify_the_caller(line: Line, given_facts: dict[str, str]) -> None:
    assert await line.run("verify_caller", **given_facts) == {"verified": True, "first_name": "Maya"}
    assert (line.caller.account, line.caller.level) == ("maya_collins", 1)


@pytest.mark.parametrize(
    "given_facts",
    [
        {"order_id": DELIVERED, "zip_code": "60615"},
        {"order_id": "W2378157", "zip_code": "60614"},
        {"order_id": SOMEBODY_ELSES, "zip_code": "60614"},
        {"first_name": "Maya", "last_name": "Colins", "zip_code": "60614"},
        {"first_name": "Grace", "last_name": "Kim", "zip_code": "60614"},
        {"email": "maya.colins@example.com"},
        {"email": "maya.collins@example.com", "zip_code": "98115"},
        {"email": "maya.collins@example.com", "order_id": "W4444444"},
        {"order_id": DELIVERED, "zip_code": "60614", "first_name": "Grace", "last_name": "Kim"},
    ],
)
async def test_one_wrong_fact_is_refused_without_saying_which(line: Line, given_facts: dict[str, str]) -> None:
    assert await line.refusal("verify_caller", **given_facts) == "That doesn't match what we have on file."
    assert (line.caller.account, line.caller.level) == (None, 0)


@pytest.mark.parametrize(
    "given_facts",
    [
        {},
        {"order_id": DELIVERED},
        {"zip_code": "60614"},
        {"first_name": "Maya", "zip_code": "60614"},
        {"first_name": "Maya", "last_name": "Collins"},
        {"order_id": DELIVERED, "zip_code": "606"},
        {"order_id": "W23", "zip_code": "60614"},
        {"email": "maya"},
    ],
)
async def test_missing_facts_are_asked_for_and_cost_no_attempt(line: Line, given_facts: dict[str, str]) -> None:
    for _ in range(4):
        assert (await line.refusal("verify_caller", **given_facts)).startswith("I need")
    assert line.caller.level == 0


@pytest.mark.parametrize("facts", [("order_id",), ("zip_code",), ("name",), ("order_id", "name")])
async def test_one_fact_alone_proves_nobody_nor_do_two_that_many_know(shop: Shop, facts: tuple[str, ...]) -> None:
    mayas = {"order_id": DELIVERED, "zip_code": "60614", "name": name_key("Maya", "Collins"), "email": None}
    assert await shop.identify(**{**mayas, "order_id": None}) is not None
    assert await shop.identify(**{fact: known if fact in facts else None for fact, known in mayas.items()}) is None


async def test_two_customers_of_one_name_and_zip_are_not_told_apart_by_it(line: Line, shop: Shop) -> None:
    async with shop.writing() as session:
        grace = await session.get_one(User, "grace_kim")
        maya = await session.get_one(User, "maya_collins")
        session.add(
            User(
                id="other",
                first_name="Maya",
                last_name="Collins",
                name_key=maya.name_key,
                email="other@example.com",
                address_id=maya.address_id,
            )
        )
        assert grace.name_key != maya.name_key
    await line.refusal("verify_caller", first_name="Maya", last_name="Collins", zip_code="60614")
    assert line.caller.level == 0


@pytest.mark.parametrize(
    ("wrong", "counted"),
    [
        ({"first_name": "Maya", "last_name": "Collins", "zip_code": "10001"}, {"maya_collins": 1}),
        ({"order_id": DELIVERED, "zip_code": "10001"}, {"maya_collins": 1}),
        (
            {"order_id": DELIVERED, "first_name": "Grace", "last_name": "Kim", "zip_code": "60614"},
            {"maya_collins": 1, "grace_kim": 1},
        ),
        ({"first_name": "No", "last_name": "Body", "zip_code": "60614"}, {}),
        ({"email": "nobody@example.com"}, {}),
    ],
)
async def test_a_failed_try_counts_at_every_account_that_a_fact_points_at(
    line: Line, wrong: dict[str, str], counted: dict[str, int]
) -> None:
    assert await line.refusal("verify_caller", **wrong) == "That doesn't match what we have on file."
    attempts = line.dispatcher._verification._attempts
    everybody = ("maya_collins", "grace_kim")
    assert {who: n for who in everybody if (n := await attempts.failed_for(who))} == counted


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zip_code=st.from_regex(r"[0-9]{5}", fullmatch=True) | st.text(max_size=12))
async def test_no_wrong_zip_ever_verifies(shop: Shop, zip_code: str) -> None:
    line = Line(shop)
    content = await line.run("verify_caller", order_id=DELIVERED, zip_code=zip_code)
    assert ("verified" in content) == (line.caller.level == 1) == (zip_code.strip() == "60614")


# ── looking up ────────────────────────────────────────────────────────────────────


async def test_the_status_of_an_order_is_what_the_database_says(shop: Shop) -> None:
    line = Line(shop).verified()
    assert await line.run("check_order_status", order_id="#w2378156") == {
        "order_id": DELIVERED,
        "status": "delivered",
        "items": [
            {
                "name": "wireless headphones",
                "price": "$89.99",
                "options": "black",
                "item_id": "P1001-1",
                "product_id": "P1001",
            },
            {"name": "desk lamp", "price": "$34.25", "options": "white", "item_id": "P1002-1", "product_id": "P1002"},
        ],
        "total": "$124.24",
        "address": "18 Linden Street, Chicago, Illinois, 6 0 6 1 4",
        "paid_with": ["Visa ending 4 8 2 1"],
        "payments": ["payment of $124.24 by Visa ending 4 8 2 1"],
        "tracking": ["8430000000"],
        "eta": None,
        "has_note": False,
    }


async def test_a_note_on_an_order_is_read_when_there_is_one(shop: Shop) -> None:
    line = Line(shop).verified()
    assert (await line.run("read_order_note", order_id=SHIPPED))["note"].startswith("Please leave it")
    assert "no note" in await line.refusal("read_order_note", order_id=DELIVERED)


async def test_the_expected_day_is_told_until_it_has_passed(shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(update(Order).where(Order.id == SHIPPED).values(expected_on=date(2026, 3, 4)))
    for today, eta in ((2, "on Wednesday, March 4"), (3, "tomorrow"), (4, "today"), (5, None)):
        line = Line(shop, today=date(2026, 3, today)).verified()
        assert (await line.run("check_order_status", order_id=SHIPPED))["eta"] == eta
    async with shop.writing() as session:
        await session.execute(update(Order).where(Order.id == SHIPPED).values(status=Status.LOST))
    line = Line(shop, today=date(2026, 3, 2)).verified()
    assert (await line.run("check_order_status", order_id=SHIPPED))["eta"] is None


async def test_the_account_lists_its_orders_oldest_first(line: Line) -> None:
    content = await line.verified().run("get_account_info")
    assert content["name"] == "Maya Collins"
    assert content["email"] == "maya.collins@example.com"
    assert content["address"] == "18 Linden Street, Chicago, Illinois, 6 0 6 1 4"
    assert content["payment_methods"] == [
        {"name": "gift card", "payment_method_id": "gift/maya_collins", "balance": "$150.00"},
        {"name": "Visa ending 4 8 2 1", "payment_method_id": "method/maya_collins"},
    ]
    assert content["orders"][:2] == [
        {"order_id": DELIVERED, "status": "delivered", "items": ["wireless headphones", "desk lamp"]},
        {"order_id": SHIPPED, "status": "shipped", "items": ["running shoes"]},
    ]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("check_order_status", {"order_id": DELIVERED}),
        ("process_return", {"order_id": DELIVERED, "items": ["all"]}),
        ("offer_refund", {"order_id": CANCELLED}),
        ("get_account_info", {}),
    ],
)
async def test_nothing_of_an_account_is_open_to_an_unverified_caller(
    line: Line, name: str, arguments: dict[str, Any]
) -> None:
    content = await line.run(name, **arguments)
    assert content["error"]["kind"] == "verification_required"


@pytest.mark.parametrize("order_id", [DELIVERED, CANCELLED, "W7777777", "nonsense", ""])
async def test_orders_of_others_look_like_orders_that_do_not_exist(line: Line, order_id: str) -> None:
    line.verified("grace_kim")
    refusals = {
        await line.refusal("check_order_status", order_id=order_id),
        await line.refusal("process_return", order_id=order_id, items=["all"]),
        await line.refusal("offer_refund", order_id=order_id),
    }
    assert refusals == {"I can't find that order on your account."}


async def test_an_account_that_is_gone_is_a_refusal(line: Line) -> None:
    assert await line.verified("nobody").refusal("get_account_info") == "I can't find your account."


# ── returns ───────────────────────────────────────────────────────────────────────


async def test_a_return_is_read_back_and_then_changes_the_rows(line: Line, shop: Shop) -> None:
    proposed = await line.verified().propose("process_return", order_id=DELIVERED, items=["headphones"])
    assert proposed.read_back == (
        "I'll return the wireless headphones from order W 2 3 7 8 1 5 6 "
        "and refund 89 dollars and 99 cents to your Visa card. Shall I go ahead?"
    )
    assert (await order_of(shop, DELIVERED)).status is Status.DELIVERED
    assert await line.execute(proposed) == {
        "status": "return requested",
        "order_id": DELIVERED,
        "items": ["wireless headphones"],
        "refund": "$89.99",
        "method": "Visa ending 4 8 2 1",
    }
    order = await order_of(shop, DELIVERED)
    assert order.status is Status.RETURN_REQUESTED
    assert order.returned is not None
    assert [entry.item.name for entry in order.returned.items] == ["Wireless Headphones"]
    assert (await line.run("check_order_status", order_id=DELIVERED))["status"] == "return requested"


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSED, Status.SHIPPED, Status.CANCELLED, Status.LOST])
async def test_only_delivered_orders_can_be_returned(shop: Shop, status: Status) -> None:
    order = (await orders(shop, status))[0]
    line = Line(shop).verified(order.user_id)
    assert str(status) in await line.refusal("process_return", order_id=order.id, items=["all"])


async def test_an_order_is_returned_once_even_from_two_calls_at_once(shop: Shop) -> None:
    lines = [Line(shop).verified() for _ in range(4)]
    proposals = [await line.propose("process_return", order_id=DELIVERED, items=["lamp"]) for line in lines]
    answers = await asyncio.gather(*(line.execute(proposed) for line, proposed in zip(lines, proposals, strict=True)))
    assert sorted(answer.get("status", answer.get("error", {}).get("kind")) for answer in answers) == [
        "refused",
        "refused",
        "refused",
        "return requested",
    ]
    async with shop.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Return).where(Return.order_id == DELIVERED)) == 1
        count = select(func.count()).select_from(ReturnItem).where(ReturnItem.order_id == DELIVERED)
        assert await session.scalar(count) == 1


async def test_another_process_on_the_same_file_cannot_return_the_order_again(shop: Shop, tmp_path: Path) -> None:
    async with Shop(f"sqlite+aiosqlite:///{tmp_path}/shop.db").opened() as other:
        here, there = Line(shop).verified(), Line(other).verified()
        first = await here.propose("process_return", order_id=DELIVERED, items=["lamp"])
        second = await there.propose("process_return", order_id=DELIVERED, items=["headphones"])
        answers = await asyncio.gather(here.execute(first), there.execute(second))
    assert sorted("error" in answer for answer in answers) == [False, True]


async def test_a_return_that_fails_halfway_changes_nothing(line: Line, shop: Shop) -> None:
    proposed = await line.verified().propose("process_return", order_id=DELIVERED, items=["lamp"])
    async with shop.writing() as session:
        await session.execute(text("DROP TABLE return_items"))
    content = await line.execute(proposed)
    assert content["error"]["kind"] == "in_doubt"
    async with shop.reading() as session:
        assert await session.scalar(select(Order.status).where(Order.id == DELIVERED)) == Status.DELIVERED
        assert await session.scalar(select(func.count()).select_from(Return).where(Return.order_id == DELIVERED)) == 0


# ── refunds ───────────────────────────────────────────────────────────────────────


async def refunded(shop: Shop, order_id: str) -> int | None:
    order = await order_of(shop, order_id)
    return next((payment.amount_cents for payment in order.payments if payment.kind is PaymentKind.REFUND), None)


async def test_a_cancelled_order_is_refunded_once(line: Line, shop: Shop) -> None:
    proposed = await line.verified().propose("offer_refund", order_id=CANCELLED)
    assert proposed.read_back == (
        "I'll refund 45 dollars and 15 cents for order W 9 0 1 3 3 6 2 to your Visa ending 4 8 2 1. Shall I go ahead?"
    )
    assert await refunded(shop, CANCELLED) is None
    assert await line.execute(proposed) == {
        "status": "refund issued",
        "order_id": CANCELLED,
        "amount": "$45.15",
        "method": "Visa ending 4 8 2 1",
        "when": "within 5 to 7 business days",
    }
    assert await refunded(shop, CANCELLED) == 45_15
    again = Line(shop).verified()
    assert "already been refunded" in await again.refusal("offer_refund", order_id=CANCELLED)


async def test_two_calls_at_once_refund_once(shop: Shop) -> None:
    lines = [Line(shop).verified() for _ in range(4)]
    proposals = [await line.propose("offer_refund", order_id=CANCELLED) for line in lines]
    answers = await asyncio.gather(*(line.execute(proposed) for line, proposed in zip(lines, proposals, strict=True)))
    assert sorted("error" in answer for answer in answers) == [False, True, True, True]


async def test_a_refund_to_a_gift_card_adds_to_its_balance(shop: Shop) -> None:
    async with shop.writing() as session:
        await session.execute(
            update(PaymentMethod)
            .where(PaymentMethod.user_id == "maya_collins")
            .values(kind="gift_card", balance_cents=10_00, brand=None, last_four=None)
        )
    content = await Line(shop).verified().confirmed("offer_refund", order_id=CANCELLED)
    assert (content["method"], content["when"]) == ("gift card", "right away")
    async with shop.reading() as session:
        balance = select(PaymentMethod.balance_cents).where(PaymentMethod.user_id == "maya_collins")
        assert await session.scalar(balance) == 55_15


async def test_a_return_is_refunded_once_it_has_arrived(shop: Shop) -> None:
    line = Line(shop).verified()
    await line.confirmed("process_return", order_id=DELIVERED, items=["lamp"])
    assert "hasn't reached us" in await line.refusal("offer_refund", order_id=DELIVERED)
    async with shop.writing() as session:
        await session.execute(
            update(Return).where(Return.order_id == DELIVERED).values(received_at=datetime.now(UTC) - timedelta(days=1))
        )
    content = await line.confirmed("offer_refund", order_id=DELIVERED)
    assert content["amount"] == "$34.25"


async def test_a_return_is_refunded_where_it_was_agreed(shop: Shop) -> None:
    line = Line(shop).verified()
    await line.confirmed("process_return", order_id=DELIVERED, items=["lamp"], payment_method="gift card")
    async with shop.writing() as session:
        await session.execute(update(Return).where(Return.order_id == DELIVERED).values(received_at=datetime.now(UTC)))
    assert (await line.confirmed("offer_refund", order_id=DELIVERED))["method"] == "gift card"
    (*_, booked) = (await order_of(shop, DELIVERED)).payments
    assert (booked.kind, booked.method.kind) == (PaymentKind.REFUND, "gift_card")


async def test_a_lost_order_is_refunded_and_large_amounts_need_a_person(shop: Shop) -> None:
    order = (await orders(shop, Status.LOST))[0]
    async with shop.writing() as session:
        await session.execute(
            text("UPDATE payments SET amount_cents = 50000 WHERE order_id = :order"), {"order": order.id}
        )
    line = Line(shop).verified(order.user_id)
    assert "500 dollars" in (await line.propose("offer_refund", order_id=order.id)).read_back
    async with shop.writing() as session:
        await session.execute(
            text("UPDATE payments SET amount_cents = 50001 WHERE order_id = :order"), {"order": order.id}
        )
    assert "person" in await line.refusal("offer_refund", order_id=order.id)
    async with shop.writing() as session:
        await session.execute(text("DELETE FROM payments WHERE order_id = :order"), {"order": order.id})
    assert "how that order was paid" in await line.refusal("offer_refund", order_id=order.id)


@pytest.mark.parametrize("order_id", [DELIVERED, SHIPPED])
async def test_what_is_not_due_is_not_refunded(line: Line, shop: Shop, order_id: str) -> None:
    await line.verified().refusal("offer_refund", order_id=order_id)
    assert await refunded(shop, order_id) is None


# ── a person ──────────────────────────────────────────────────────────────────────


async def test_a_call_is_handed_over_when_somebody_can_take_it(line: Line) -> None:
    desk = line.caller.desk = MemoryDesk(targets=("support", "billing"))
    content = await line.run("escalate_to_human", reason="A question about Billing")
    assert (content["handed_over"], content["callback"]) == (True, False)
    await line.run("escalate_to_human", reason="Just because")
    await line.run("escalate_to_human", reason="A parcel", target="billing")
    assert [target for target, _ in desk.handed_over] == ["billing", "support", "billing"]
    assert line.caller.leaving


async def test_nobody_is_said_to_come_when_nobody_is_there(line: Line) -> None:
    desk = line.caller.desk = MemoryDesk(targets=("support",), opens="tomorrow at 9 AM")
    content = await line.run("escalate_to_human", reason="broken lamp")
    assert (content["handed_over"], content["callback"], content["opens"]) == (False, True, "tomorrow at 9 AM")
    assert "escalat" not in json.dumps(content)
    assert not line.caller.leaving
    await line.verified().run("escalate_to_human", reason="again", callback=True)
    assert desk.callbacks == {line.caller.call_id: ("+15551230000", None, "broken lamp")}


async def test_a_place_that_there_is_not_is_refused(line: Line) -> None:
    line.caller.desk = MemoryDesk(targets=("support",))
    content = await line.run("escalate_to_human", reason="help", target="the moon")
    assert "support" in content["error"]["message"]
    assert not line.caller.leaving


# ── bad input and the agent itself ────────────────────────────────────────────────


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["find_order", "verify_caller", "check_order_status", "process_return", "offer_refund"]),
    arguments=st.fixed_dictionaries(
        {},
        optional={
            "heard": st.text(),
            "order_id": st.text() | st.integers() | st.just(DELIVERED),
            "zip_code": st.text() | st.none(),
            "email": st.text(),
            "items": st.lists(st.text(max_size=10) | st.integers(), max_size=3) | st.text(),
        },
    ),
)
async def test_no_arguments_crash_a_tool(shop: Shop, name: str, arguments: dict[str, Any]) -> None:
    line = Line(shop).verified()
    event = await line.dispatcher.run("t1", name, json.dumps(arguments))
    assert isinstance(event, EffectProposed | ToolReturned)
    error = json.loads(event.content).get("error", {})
    assert error.get("kind") in (None, "refused", "invalid_arguments"), error


async def test_the_bundled_agent_opens_seeds_and_reopens_its_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKSPURT_RETAIL_DATABASE", f"sqlite+aiosqlite:///{tmp_path}/retail.db")
    agent = create_agent()
    assert "AI assistant" in agent.greeting
    for status in ("delivered", "return requested"):
        async with agent.lifespan():
            caller = Caller(call_id=f"call-{status}", number="")
            caller.verify("maya_collins")
            dispatcher = ToolDispatcher(agent, caller, MemoryEffectLedger())
            event = await dispatcher.run("t1", "check_order_status", json.dumps({"order_id": DELIVERED}))
            assert isinstance(event, ToolReturned)
            assert json.loads(event.content)["status"] == status
            if status == "delivered":
                proposed = await dispatcher.run(
                    "t2", "process_return", json.dumps({"order_id": DELIVERED, "items": ["lamp"]})
                )
                assert isinstance(proposed, EffectProposed)
                await dispatcher.heard(proposed.proposal, 1.0)
                await dispatcher.execute("t2", proposed.proposal, 2)


def test_every_tool_the_dialogue_names_exists(tmp_path: Path) -> None:
    agent = create_agent(f"sqlite+aiosqlite:///{tmp_path}/retail.db")
    assert agent.dialogue is not None
    assert agent.dialogue.tools() <= {tool.name for tool in agent.tools}


async def test_a_database_that_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    agent = create_agent(f"sqlite+aiosqlite:///{tmp_path}/missing/retail.db")
    with pytest.raises(StoreError, match="TALKSPURT_RETAIL_DATABASE"):
        async with agent.lifespan():
            pytest.fail("opened")
    # After a failed connect the driver does not wait for its thread, which then finds the test's loop closed.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5)


@pytest.mark.parametrize("url", ["retail.db", "sqlite:///retail.db", "mysql+nothing://x/y", "oracle://"])
def test_a_url_that_names_no_database_says_what_to_write(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite\+aiosqlite:///retail\.db"):
        create_agent(url)


async def test_effects_survive_a_loss_of_power(shop: Shop) -> None:
    async with shop.writing() as session:
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await session.scalar(text("PRAGMA synchronous")) == 2
