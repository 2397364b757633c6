"""An agent: what it is told, what it can do, how it sounds."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

from talkspurt.agent.dialogue import Dialogue
from talkspurt.agent.tools import Tool


@dataclass(frozen=True, slots=True)
class Voice:
    """Which voice speaks: the synthesizer vendor's own name, "" for its default."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Policies:
    """Limits that the runtime keeps, whatever the model says."""

    max_call_minutes: float = 30.0
    verification_attempts: int = 3
    max_tool_rounds: int = 6
    """Tool rounds within one turn before the agent must speak."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, shared by all calls it answers; it holds no state of a call."""

    name: str
    prompt: str
    greeting: str
    tools: Sequence[Tool] = ()
    voice: Voice = field(default_factory=Voice)
    policies: Policies = field(default_factory=Policies)
    dialogue: Dialogue | None = None
    """How to hold the conversation when no language model is configured (see `talkspurt.models.offline`)."""
    lifespan: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    """Entered once when the server starts, left when it stops: open databases and clients here."""

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)
