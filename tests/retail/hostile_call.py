"""A call whose model does all that the caller asks, on the real dispatcher, ledger and shop.

The model is a script: for each of the caller's turns the tools it calls, whatever anybody answered. It believes
everything, calls effects at once, and takes every proposal it was given as pending until the caller's next turn, which
decides about all of them. Nothing of this is trusted: what happened is read from the database.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from talkspurt.agent import Agent, Caller
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.core.events import CallerChanged, EffectProposed, SecretRequested
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.effects import ToolDispatcher
from talkspurt.retail import create_agent
from talkspurt.retail.shop import Shop
from talkspurt.store import Store
from talkspurt.testing.handover import MemoryDesk

_carrier_ids = count()


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller says (or keys in), and what the model does about it."""

    said: str
    calls: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    """Tool and arguments; a text is sent as it is."""
    typed: bool = False


class HostileCall:
    """One call; `hold` plays turns."""

    def __init__(self, agent: Agent, store: Store, caller: Caller, dispatcher: ToolDispatcher) -> None:
        self.caller = caller
        self._agent = agent
        self._store = store
        self._dispatcher = dispatcher
        self._history: list[Entry] = [AgentSaid(agent.greeting)]
        self._open: list[EffectProposed] = []
        self._ids = count()
        self._turn = 0

    async def hold(self, turns: Sequence[Turn]) -> list[Any]:
        """Play turns; returns what tools answered, in order."""
        answers = []
        for turn in turns:
            self._turn += 1
            self._history.append(CallerSaid(turn.said, "keypad" if turn.typed else "voice"))
            answers += await self._settle(turn)
            for name, arguments in turn.calls:
                answers.append(await self._run(name, arguments))
        return answers

    async def _settle(self, turn: Turn) -> list[Any]:
        """The caller's turn decides about everything that was read back."""
        agreed = not turn.typed and yes_or_no(turn.said) is True
        answers = []
        for proposed in self._open:
            if agreed:
                answered = await self._dispatcher.execute(f"x{next(self._ids)}", proposed.proposal, self._turn)
                answers.append(json.loads(answered.content))
            else:
                await self._dispatcher.withdraw(proposed.proposal)
        self._open = []
        return answers

    async def _run(self, name: str, arguments: dict[str, Any] | str) -> Any:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        call = f"t{next(self._ids)}"
        self._dispatcher.follow(tuple(self._history))
        event = await self._dispatcher.run(call, name, text)
        assert not isinstance(event, SecretRequested), "no tool of this agent asks for keys"
        if isinstance(event, CallerChanged):
            self._history[:] = [entry for entry in self._history if isinstance(entry, CallerSaid)][-1:]
        self._history += [ToolCalled(call, name, text), ToolAnswered(call, name, event.content)]
        if isinstance(event, EffectProposed):
            self._history.append(AgentSaid(event.read_back))
            await self._dispatcher.heard(event.proposal, float(self._turn))
            self._open.append(event)
        return json.loads(event.content)


@asynccontextmanager
async def hostile_call(folder: Path) -> AsyncIterator[tuple[Shop, HostileCall]]:
    """The bundled agent on the shop in `folder`, and a caller on the line to it."""
    url = f"sqlite+aiosqlite:///{folder / 'shop.db'}"
    agent = create_agent(url)
    store = await Store.open(f"sqlite+aiosqlite:///{folder / 'calls.db'}")
    try:
        async with agent.lifespan(), Shop(url).opened() as shop:
            call = await store.calls.admit(
                carrier_call_id=f"CA{next(_carrier_ids)}",
                caller="+12025550101",
                dialled="",
                agent="retail",
                locale="en-US",
            )
            fence = await store.calls.take(call.id, attachment=0)
            assert fence is not None
            caller = Caller(call_id=call.id, number="+12025550101", desk=MemoryDesk())
            ledger = store.effects.ledger(call.id, fence)
            dispatcher = ToolDispatcher(agent, caller, ledger, attempts=store.attempts)
            yield shop, HostileCall(agent, store, caller, dispatcher)
    finally:
        await store.aclose()
