"""A call in text: a real model and the real dispatcher, with the core's part played here.

Shows the model the history, runs its tools, reads effects back and carries them out after a yes, as
the core does on the line. There is no audio, no clock and no interruption: a whole call takes milliseconds.
"""

import itertools
from typing import Final

from talkspurt.agent import Agent, Caller
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.core.events import CallerChanged, EffectProposed, SecretRequested, ToolStarted
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.core.settings import Settings
from talkspurt.effects import ToolDispatcher
from talkspurt.ports import EffectLedger, LanguageModel, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.testing.handover import MemoryDesk
from talkspurt.testing.ledger import MemoryEffectLedger

ROUNDS: Final = Settings().max_tool_rounds
"""How often in one turn the model is asked again because of its tools, as on the line."""


class TextCall:
    """One call, from the moment after the greeting; `say` is a turn of the caller."""

    def __init__(
        self,
        agent: Agent,
        model: LanguageModel,
        *,
        ledger: EffectLedger | None = None,
        call_id: str = "call-1",
        number: str = "+15551230000",
    ) -> None:
        """`ledger` keeps the effects of this call; without one they are forgotten with it."""
        self.desk = MemoryDesk()
        """Nobody is there to take the call; call-backs are noted."""
        self.caller = Caller(call_id=call_id, number=number, desk=self.desk)
        self.ended = False
        """Whether the agent has hung up."""
        self._agent = agent
        self._model = model
        self._dispatcher = ToolDispatcher(agent, self.caller, ledger or MemoryEffectLedger())
        self._history: list[Entry] = [AgentSaid(agent.greeting)]
        self._proposed: tuple[ToolCallPart, EffectProposed] | None = None
        self._ids = itertools.count()

    @property
    def history(self) -> tuple[Entry, ...]:
        """The conversation so far, as the model sees it."""
        return tuple(self._history)

    async def say(self, text: str) -> str:
        """The caller says `text`; returns all that the agent says to it.

        Raises `AssertionError` when the model asks for more rounds of tools than a turn has.
        """
        self._history.append(CallerSaid(text))
        proposed, self._proposed = self._proposed, None
        if proposed is not None:
            await self._settle(*proposed, agreed=yes_or_no(text) is True)
        spoken: list[str] = []
        for _ in range(1 + ROUNDS):
            calls = await self._reply(spoken)
            ended = [await self._run(call, spoken) for call in calls]
            if not calls or any(ended):
                return " ".join(spoken)
        raise AssertionError(f"more than {ROUNDS} tool rounds in one turn")

    async def _reply(self, spoken: list[str]) -> list[ToolCallPart]:
        """Ask the model for a round, put its words down and return the tool calls it wants."""
        request = ReplyRequest(self._agent.instructions, tuple(self._history), self._dispatcher.specs())
        self._dispatcher.follow(request.history)
        text, calls = "", []
        async for part in self._model.reply(request):
            match part:
                case TextDelta(piece):
                    text += piece
                case ToolCallPart():
                    calls.append(part)
        if text:
            self._history.append(AgentSaid(text))
            spoken.append(text)
        return calls

    async def _run(self, call: ToolCallPart, spoken: list[str]) -> bool:
        """Run a tool; True when the turn is over."""
        event = await self._dispatcher.run(call.tool_call, call.name, call.arguments)
        if isinstance(event, ToolStarted):
            # Nothing takes time here: what finishes later has finished.
            event = await self._dispatcher.finish(call.tool_call)
        if isinstance(event, CallerChanged):
            self._history[:] = [entry for entry in self._history if isinstance(entry, CallerSaid)][-1:]
        assert not isinstance(event, SecretRequested), "no tool of these agents asks for keys in text"
        self._answer(call, event.content)
        if isinstance(event, EffectProposed):
            self._history.append(AgentSaid(event.read_back))
            spoken.append(event.read_back)
            await self._dispatcher.heard(event.proposal, 0.0)
            self._proposed = call, event
            return True
        self.ended = call.name == "end_call"
        return self.ended

    async def _settle(self, call: ToolCallPart, event: EffectProposed, *, agreed: bool) -> None:
        if not agreed:
            await self._dispatcher.withdraw(event.proposal)
            return
        confirmed = ToolCallPart(f"confirmed-{next(self._ids)}", call.name, call.arguments)
        turn = sum(isinstance(entry, CallerSaid) for entry in self._history)
        done = await self._dispatcher.execute(confirmed.tool_call, event.proposal, turn)
        self._answer(confirmed, done.content)

    def _answer(self, call: ToolCallPart, content: str) -> None:
        self._history.append(ToolCalled(call.tool_call, call.name, call.arguments))
        self._history.append(ToolAnswered(call.tool_call, call.name, content))
