"""A caller on the line to a shop, and the shop's rows, for the retail tests."""

import itertools
import json
from datetime import date
from typing import Any

from sqlalchemy import select

from talkspurt.agent import Agent, Caller, Policy
from talkspurt.core.events import EffectProposed, ToolReturned
from talkspurt.effects import ToolDispatcher
from talkspurt.retail.agent import POLICY
from talkspurt.retail.schema import Order, PaymentMethod, Row
from talkspurt.retail.shop import Shop, shop_day
from talkspurt.retail.tools import ServiceDesk
from talkspurt.testing.ledger import MemoryEffectLedger

_calls = itertools.count()


class Line:
    """A call to the shop: runs tools as the session would."""

    def __init__(self, shop: Shop, *, number: str = "+15551230000", today: date | None = None) -> None:
        self.shop = shop
        self.caller = Caller(call_id=f"call-{next(_calls)}", number=number)
        desk = ServiceDesk(shop, today=lambda: today or shop_day())
        self.agent = Agent(
            name="Sarah", prompt="Help.", greeting="Hello.", tools=desk.tools(), policy=Policy.parse(POLICY)
        )
        self.dispatcher = ToolDispatcher(self.agent, self.caller, MemoryEffectLedger())

    def verified(self, account: str = "maya_collins") -> "Line":
        self.caller.verify(account)
        return self

    async def run(self, name: str, **arguments: Any) -> Any:
        event = await self.dispatcher.run("t1", name, json.dumps(arguments))
        assert isinstance(event, ToolReturned), event
        return json.loads(event.content)

    async def refusal(self, name: str, **arguments: Any) -> str:
        content = await self.run(name, **arguments)
        assert content["error"]["kind"] == "refused", content
        return str(content["error"]["message"])

    async def propose(self, name: str, **arguments: Any) -> EffectProposed:
        event = await self.dispatcher.run("t1", name, json.dumps(arguments))
        assert isinstance(event, EffectProposed), event
        return event

    async def execute(self, proposed: EffectProposed) -> Any:
        await self.dispatcher.heard(proposed.proposal, 1.0)
        return json.loads((await self.dispatcher.execute("t1", proposed.proposal, 2)).content)

    async def confirmed(self, name: str, **arguments: Any) -> Any:
        return await self.execute(await self.propose(name, **arguments))


async def order_of(shop: Shop, order_id: str) -> Order:
    """An order as it is in the database."""
    async with shop.reading() as session:
        return await session.get_one(Order, order_id)


async def method_of(shop: Shop, method_id: str) -> PaymentMethod:
    """A payment method as it is in the database."""
    async with shop.reading() as session:
        return await session.get_one(PaymentMethod, method_id)


async def dump(shop: Shop) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    async with shop.reading() as session:
        return {
            table.name: [
                tuple(row) for row in (await session.execute(select(table).order_by(*table.primary_key))).all()
            ]
            for table in Row.metadata.sorted_tables
        }
