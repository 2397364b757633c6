"""The bundled agent and the examples hold real conversations, offline, on their real tools."""

import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from retail.shop_line import method_of, order_of
from talkspurt.agent import Agent
from talkspurt.agent.loading import load_agent
from talkspurt.config import Config
from talkspurt.models.offline import OfflineModel
from talkspurt.retail import create_agent
from talkspurt.retail.dialogue import DIALOGUE
from talkspurt.retail.schema import Status, User
from talkspurt.retail.shop import Shop
from talkspurt.speech.weights import WeightStore
from talkspurt.testing.text_call import TextCall

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
async def sarah(weight_store: WeightStore) -> AsyncIterator[OfflineModel]:
    """The bundled agent's brain, loaded once."""
    model = OfflineModel(DIALOGUE, weight_store)
    yield model
    await model.aclose()


@asynccontextmanager
async def answered(agent: Agent, model: OfflineModel) -> AsyncIterator[TextCall]:
    async with agent.lifespan():
        yield TextCall(agent, model)


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The agent that the example's configuration names, loaded as the server would."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    config = Config.model_validate(tomllib.loads((EXAMPLES / f"{name}.toml").read_text()))
    number = config.number("+15550001111")
    assert number is not None
    sys.modules.pop(name, None)
    return load_agent(number.agent, config.agents[number.agent])


@pytest.fixture
def url(shop_file: Path) -> str:
    return f"sqlite+aiosqlite:///{shop_file}"


async def test_an_order_is_looked_up(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        assert "ZIP" in await call.say("Hi, where is my order W five five four oh nine one seven?")
        said = await call.say("six oh six one four")
        assert "running shoes" in said
        assert "shipped" in said
        assert call.caller.account == "maya_collins"
        assert "oodbye" in await call.say("No, that's all. Bye!")
        assert call.ended


async def test_an_item_is_returned_after_a_yes(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        await call.say("I'd like to return something from order W2378156.")
        said = await call.say("It's 60614.")
        assert "wireless headphones" in said
        assert "desk lamp" in said
        assert "34 dollars and 25 cents to your Visa" in await call.say("The lamp.")
        async with Shop(url).opened() as shop:
            assert (await order_of(shop, "W2378156")).status is Status.DELIVERED
        said = await call.say("Yes please.")
        assert "desk lamp" in said
        async with Shop(url).opened() as shop:
            order = await order_of(shop, "W2378156")
        assert order.status is Status.RETURN_REQUESTED
        assert order.returned is not None
        assert [entry.item.name for entry in order.returned.items] == ["Desk Lamp"]


async def test_a_no_leaves_everything_as_it_was(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        await call.say("I want a refund for order W9013362.")
        assert "45 dollars and 15 cents" in await call.say("60614")
        await call.say("No, don't.")
        async with Shop(url).opened() as shop:
            assert len((await order_of(shop, "W9013362")).payments) == 1


async def test_the_account_and_a_person(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        await call.say("What information do you have about me?")
        said = await call.say("It's order W2378156.")
        said += await call.say("60614")
        assert "Maya Collins" in said
        assert "call you back" in await call.say("Let me talk to a real person.")


async def test_a_call_back_is_noted_without_ringing_anybody(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        call.desk.targets = ("support",)
        assert "call you back" in await call.say("Can someone call me back, please?")
        assert call.desk.handed_over == []
        assert list(call.desk.callbacks) == [call.caller.call_id]
        assert "put you through" in await call.say("Actually, let me talk to a real person.")
        assert [target for target, _ in call.desk.handed_over] == ["support"]


async def test_the_bakery_of_twenty_lines_tells_its_hours(
    weight_store: WeightStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = example("bakery", monkeypatch)
    assert agent.dialogue is not None
    model = OfflineModel(agent.dialogue, weight_store)
    async with answered(agent, model) as call:
        assert "Saturday" in await call.say("Hi, when are you open?")
        assert "nine to noon" in await call.say("On Sunday.")
        assert "eight to four" in await call.say("And can I come by on Saturday?")
    await model.aclose()


async def test_the_dentist_books_what_is_free(weight_store: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = example("dentist", monkeypatch)
    assert agent.dialogue is not None
    model = OfflineModel(agent.dialogue, weight_store)
    async with answered(agent, model) as call:
        assert "Which day" in await call.say("Hello, I need to see the dentist.")
        assert "nine thirty" in await call.say("Monday would be good.")
        assert await call.say("nine thirty") == "I'll book Monday at nine thirty for you. Shall I go ahead?"
        assert "booked for Monday" in await call.say("Yes.")
    async with answered(agent, model) as call:
        await call.say("Can I get an appointment?")
        said = await call.say("Monday.")
        assert "two o'clock" in said
        assert "nine thirty" not in said
    await model.aclose()


async def test_the_store_is_the_retail_agent_with_a_database_of_its_own(
    sarah: OfflineModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    agent = example("store", monkeypatch)
    assert "Corner Goods" in agent.instructions
    assert "Larkspur" not in agent.instructions
    async with answered(agent, sarah) as call:
        await call.say("Where is order W2378156?")
        assert "delivered" in await call.say("60614")
    assert (tmp_path / "store.db").exists()


# ── what a caller can have done without any key ───────────────────────────────────

PENDING, DELIVERED = "W7704128", "W2378156"


async def verified(call: TextCall, wish: str) -> str:
    """The caller says what they want, and is verified by the order's ZIP code."""
    await call.say(wish)
    return await call.say("six oh six one four")


async def test_an_order_is_cancelled_for_one_of_two_reasons(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        await call.say(f"Please cancel my order {PENDING}.")
        await call.say("Because I found it cheaper elsewhere.")
        assert "one of those?" in await call.say("60614")
        said = await call.say("Well, I just don't need it any more.")
        assert "cancel order W 7 7 0 4 1 2 8, no longer needed" in said
        said = await call.say("Yes, go ahead.")
        assert "cancelled" in said
        async with Shop(url).opened() as shop:
            order = await order_of(shop, PENDING)
        assert (order.status, order.cancel_reason) == (Status.CANCELLED, "no longer needed")


async def test_an_item_of_a_pending_order_becomes_another(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        wish = f"I'd like to change the yoga mat in my pending order {PENDING} to the purple one."
        assert "Which payment method" in await verified(call, wish)
        said = await call.say("My gift card, please.")
        assert "yoga mat to purple" in said
        assert "2 dollars" in said
        assert "changed" in await call.say("Yes.")
        async with Shop(url).opened() as shop:
            order = await order_of(shop, PENDING)
        assert order.status is Status.ITEMS_CHANGED
        assert [item.options for item in order.items if item.name == "Yoga Mat"] == [{"color": "purple"}]


async def test_an_item_that_is_out_of_stock_is_not_promised(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        said = await verified(call, f"Change the backpack in my pending order {PENDING} to the navy one in large.")
        assert "out of stock" in said
        async with Shop(url).opened() as shop:
            assert (await order_of(shop, PENDING)).status is Status.PENDING


async def test_an_order_is_sent_elsewhere(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        await call.say(f"I need to change the delivery address of order {PENDING}.")
        await call.say("445 Maple Drive, Suite 394, Fort Worth, Texas")
        said = await call.say("60614")
        assert "ZIP code is missing" in said
        said = await call.say("445 Maple Drive, Suite 394, Fort Worth, Texas, seven six one six five")
        assert "445 Maple Drive, Suite 394, Fort Worth, Texas, 7 6 1 6 5" in said
        assert "Fort Worth" in await call.say("Yes please.")
        async with Shop(url).opened() as shop:
            assert (await order_of(shop, PENDING)).address.zip_code == "76165"
            assert (await order_of(shop, DELIVERED)).address.zip_code == "60614"


async def test_an_order_is_paid_another_way(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        said = await verified(call, f"I want to pay for order {PENDING} with my gift card instead.")
        assert "to your gift card, and refund your Visa ending 4 8 2 1" in said
        await call.say("Yes.")
        async with Shop(url).opened() as shop:
            assert (await method_of(shop, "gift/maya_collins")).balance_cents == 150_00 - 86_20


async def test_an_item_that_was_delivered_is_exchanged(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        wish = f"I'd like to exchange the desk lamp from order {DELIVERED} for a brass one, on my Visa."
        said = await verified(call, wish)
        assert "exchange the desk lamp for another, brass" in said
        assert "14 dollars and 75 cents to your Visa ending 4 8 2 1" in said
        assert "exchange is requested" in await call.say("Yes, please.")
        async with Shop(url).opened() as shop:
            assert (await order_of(shop, DELIVERED)).status is Status.EXCHANGE_REQUESTED


async def test_an_account_gets_a_new_address(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        await call.say("I've moved, please update the address on my account.")
        await call.say("9 Elm Avenue, Houston, Texas, 77034")
        await call.say("maya dot collins at example dot com")
        await call.say("Yes.")
        async with Shop(url).opened() as shop, shop.reading() as session:
            assert (await session.get_one(User, "maya_collins")).address.city == "Houston"


async def test_questions_about_the_shop_and_its_products_need_no_account(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        assert "eight in the evening" in await call.say("What are your opening hours?")
        assert "30 days" in await call.say("And what's your return policy?")
        said = await call.say("How much is a yoga mat?")
        assert "27 dollars and 80 cents" in said
        assert call.caller.level == 0


async def test_a_shop_that_has_broken_down_is_told_in_words(url: str, sarah: OfflineModel) -> None:
    async with answered(create_agent(url), sarah) as call:
        async with Shop(url).opened() as shop, shop.writing() as session:
            await (await session.connection()).exec_driver_sql("ALTER TABLE payments RENAME TO elsewhere")
        said = await verified(call, f"Please cancel my order {PENDING}, I ordered it by mistake.")
        assert "trouble" in said
        assert "person" in said or "colleague" in said
