"""A call in text: the real offline model and the real dispatcher, with the core's part played here.

Shows the model the history, runs its tools, reads effects back and carries them out after a yes.
"""

import itertools

from talkspurt.agent import Agent, Caller
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.core.events import EffectProposed, SecretRequested
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.effects import ToolDispatcher
from talkspurt.models.offline import OfflineModel
from talkspurt.ports import ReplyRequest, TextDelta, ToolCallPart
from talkspurt.testing.ledger import MemoryEffectLedger


class TextCall:
    """One call; `say` is a turn of the caller and returns what the agent says."""

    def __init__(self, agent: Agent, model: OfflineModel) -> None:
        self.caller = Caller(call_id="call-1", number="+15551230000")
        self.ended = False
        self._agent = agent
        self._model = model
        self._dispatcher = ToolDispatcher(agent, self.caller, MemoryEffectLedger())
        self._history: list[Entry] = [AgentSaid(agent.greeting)]
        self._proposed: tuple[ToolCallPart, EffectProposed] | None = None
        self._ids = itertools.count()

    async def say(self, text: str) -> str:
        self._history.append(CallerSaid(text))
        proposed, self._proposed = self._proposed, None
        if proposed is not None:
            await self._settle(*proposed, agreed=yes_or_no(text) is True)
        spoken: list[str] = []
        for _ in range(6):
            call = await self._reply(spoken)
            if call is None or await self._run(call, spoken):
                return " ".join(spoken)
        raise AssertionError("more than six tool rounds in one turn")

    async def _reply(self, spoken: list[str]) -> ToolCallPart | None:
        request = ReplyRequest(self._agent.prompt, tuple(self._history), self._dispatcher.specs())
        text, call = "", None
        async for part in self._model.reply(request):
            match part:
                case TextDelta(piece):
                    text += piece
                case ToolCallPart():
                    call = part
        if text:
            self._history.append(AgentSaid(text))
            spoken.append(text)
        return call

    async def _run(self, call: ToolCallPart, spoken: list[str]) -> bool:
        """Run a tool; True when the turn is over."""
        event = await self._dispatcher.run(call.tool_call, call.name, call.arguments)
        assert not isinstance(event, SecretRequested), "no tool of these agents asks for keys in text"
        self._answer(call, event.content)
        if isinstance(event, EffectProposed):
            self._history.append(AgentSaid(event.read_back))
            spoken.append(event.read_back)
            self._proposed = call, event
            return True
        self.ended = call.name == "end_call"
        return self.ended

    async def _settle(self, call: ToolCallPart, event: EffectProposed, *, agreed: bool) -> None:
        if not agreed:
            await self._dispatcher.withdraw(event.proposal)
            return
        confirmed = ToolCallPart(f"confirmed-{next(self._ids)}", call.name, call.arguments)
        done = await self._dispatcher.execute(confirmed.tool_call, event.proposal)
        self._answer(confirmed, done.content)

    def _answer(self, call: ToolCallPart, content: str) -> None:
        self._history.append(ToolCalled(call.tool_call, call.name, call.arguments))
        self._history.append(ToolAnswered(call.tool_call, call.name, content))
