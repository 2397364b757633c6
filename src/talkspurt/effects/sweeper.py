"""Finds out what came of effects that nobody finished: their process died, or their tool never said.

It asks the tool's `lookup` for the effect's key, and never calls the tool itself: what is repeated may happen twice. An
effect that cannot be looked up is in doubt, and a person is told once: by a log line, a metric, and the row, which
`talkspurt effects` lists. So they are of what a caller had said yes to and was not done, when that came out after they
had hung up. Several processes may sweep the same database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from talkspurt.agent import Agent, Caller, Tool
from talkspurt.effects.calling import answer, bounded
from talkspurt.effects.content import error_content
from talkspurt.effects.outcomes import told
from talkspurt.effects.refusals import IN_DOUBT, where
from talkspurt.ports import EffectRecord, UnfinishedEffects
from talkspurt.telemetry.metrics import EFFECTS_FOR_A_PERSON, EFFECTS_RESOLVED

EVERY: Final = 5.0
"""Seconds between two rounds, unless one has left something over."""
AT_ONCE: Final = 10
"""Effects that one round looks up, all at once: an outside system that hangs holds the others up for one time-out."""

_log = structlog.get_logger(__name__)


class Sweeper:
    """Looks after the effects of some agents' calls."""

    def __init__(
        self,
        effects: UnfinishedEffects,
        agents: Callable[[], Iterable[Agent]],
        agent_of: Callable[[str], Awaitable[Agent | None]],
    ) -> None:
        """`agents` says which there are, with the tools that they have now: those of tool servers come and go.

        `agent_of` finds the agent of a call by the call's id; it may raise `StoreError`.
        """
        self._effects = effects
        self._agents = agents
        self._agent_of = agent_of

    async def run(self) -> None:
        """Sweep at once and then every few seconds, until cancelled."""
        while True:
            if not await self.sweep():
                await asyncio.sleep(EVERY)

    async def sweep(self) -> bool:
        """One round; True when more may wait for the next one. Never raises."""
        records: tuple[EffectRecord, ...] = ()
        try:
            tools = self._can_be_looked_up()
            if await bounded(self._effects.any_waits(tools)):
                await bounded(self._effects.expire())
                records = await bounded(self._effects.claim(tools, most=AT_ONCE))
        except Exception as error:
            _log.error("effects_not_swept", **where(error))
            return False
        await asyncio.gather(*(self._try(record) for record in records))
        await self._tell_of_not_done()
        return len(records) == AT_ONCE

    async def _tell_of_not_done(self) -> None:
        """Tell a person of what callers believe to be done: they said yes, and had gone when it came to nothing."""
        try:
            records = await bounded(self._effects.untold())
        except Exception as error:
            _log.error("effects_not_told", **where(error))
            return
        for record in records:
            todo = "the caller said yes and does not know that it was not done; talkspurt effects lists it"
            _tell_a_person("effect_confirmed_not_done", record, state=record.state, todo=todo)

    def _can_be_looked_up(self) -> frozenset[str]:
        return frozenset(tool.name for agent in self._agents() for tool in agent.tools if tool.lookup is not None)

    async def _try(self, record: EffectRecord) -> None:
        try:
            await self._settle(record)
        except Exception as error:
            # The end of its claim brings it back.
            _log.error("effect_not_swept", proposal=record.proposal, **where(error))

    async def _settle(self, record: EffectRecord) -> None:
        agent = await self._agent_of(record.call_id)
        tool = agent.tool(record.tool) if agent is not None else None
        known, result = (False, None) if tool is None else await _looked_up(record, tool)
        if known:
            if await bounded(self._effects.resolve(record.proposal, result=result)):
                outcome = "not_done" if result is None else "done"
                EFFECTS_RESOLVED.labels(outcome).inc()
                _log.info("effect_resolved", proposal=record.proposal, tool=record.tool, outcome=outcome)
        elif await bounded(self._effects.doubt(record.proposal, result=error_content("in_doubt", IN_DOUBT))):
            todo = "find out whether it happened; talkspurt effects lists it"
            _tell_a_person("effect_in_doubt", record, key=record.key, todo=todo)


def _tell_a_person(event: str, record: EffectRecord, **particulars: str | None) -> None:
    EFFECTS_FOR_A_PERSON.inc()
    _log.error(event, proposal=record.proposal, tool=record.tool, call_id=record.call_id, **particulars)


async def _looked_up(record: EffectRecord, tool: Tool) -> tuple[bool, str | None]:
    """Whether it is known what came of it, and its result as content; None when it did not happen."""
    if tool.lookup is None or record.key is None:
        return False, None
    caller = Caller(call_id=record.call_id, number="", account=record.account)
    try:
        arguments = tool.arguments.model_validate_json(record.arguments)
        result = await answer(tool, tool.look_up(arguments, caller, record.key))
    except Exception as error:
        _log.error("lookup_failed", tool=tool.name, **where(error))
        return False, None
    return True, None if result is None else told(tool, result)
