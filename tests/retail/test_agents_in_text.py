"""The bundled agent and the examples hold real conversations, offline, on their real tools."""

import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from retail.shop_line import order_of
from talkspurt.agent import Agent
from talkspurt.agent.loading import load_agent
from talkspurt.config import Config
from talkspurt.models.offline import OfflineModel
from talkspurt.retail import create_agent
from talkspurt.retail.dialogue import DIALOGUE
from talkspurt.retail.schema import Status
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
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/retail.db"


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
    assert "Corner Goods" in agent.prompt
    assert "Larkspur" not in agent.prompt
    async with answered(agent, sarah) as call:
        await call.say("Where is order W2378156?")
        assert "delivered" in await call.say("60614")
    assert (tmp_path / "store.db").exists()
