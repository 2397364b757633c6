"""`@tool`: a typed async function that a model may call, with what the runtime must know of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any


class ToolError(Exception):
    """Raised by a tool to refuse: the message is a short fact the agent can say, never an internal detail."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function with its declarations. Made by `@tool`, called only by the dispatcher."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments, without the injected `Caller`."""
    function: Callable[..., Awaitable[Any]]
    level: int = 0
    """Verification level the caller needs before it runs."""
    verifies: int = 0
    """The level this tool may raise the caller to; its refusals count as failed attempts."""
    effect: bool = False
    """Changes something outside the conversation: needs a read-back that was heard and a yes."""
    read_back: Callable[..., Awaitable[str]] | None = None
    """Words the proposal from the arguments; may raise `ToolError` to refuse before anything is proposed."""
    timeout: float = 5.0
    """Seconds until the result is given up."""
    filler: str = ""
    """Said when the tool takes longer than a second; "" for the locale's own."""


def tool(*args: Any, **kwargs: Any) -> Any:
    """To be written."""
    raise NotImplementedError
