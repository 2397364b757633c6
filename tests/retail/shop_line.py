"""A caller on the line to a shop, for the retail tests."""

import json
from datetime import date
from typing import Any

from talkspurt.agent import Agent, Caller
from talkspurt.core.events import EffectProposed, ToolReturned
from talkspurt.effects import ToolDispatcher
from talkspurt.retail.shop import Shop, local_day
from talkspurt.retail.tools import ServiceDesk
from talkspurt.testing.ledger import MemoryEffectLedger


class Line:
    """A call to the shop: runs tools as the session would."""

    def __init__(self, shop: Shop, *, number: str = "+15551230000", today: date | None = None) -> None:
        self.shop = shop
        self.caller = Caller(call_id="call-1", number=number)
        desk = ServiceDesk(shop, today=lambda: today or local_day())
        self.agent = Agent(name="Sarah", prompt="Help.", greeting="Hello.", tools=desk.tools())
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
        return json.loads((await self.dispatcher.execute("t1", proposed.proposal)).content)

    async def confirmed(self, name: str, **arguments: Any) -> Any:
        return await self.execute(await self.propose(name, **arguments))
