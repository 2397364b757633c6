"""What a fake vendor is told to do: the words it answers with, how fast, and how it fails.

One script serves both chat vendors, so that a test can be run against either.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """How an answer goes wrong after it was accepted. A refusal is a `status` of its own."""

    HANG = "hang"
    """Accepts the request and never answers."""
    STALL = "stall"
    """Sends the first piece and then nothing more, with the connection open."""
    BREAK = "break"
    """Drops the connection after the first piece, in the middle of the response."""
    CUT_SHORT = "cut short"
    """Ends the response in an orderly way after the first piece, without the protocol's own end."""
    GARBAGE = "garbage"
    """Sends something after the first piece that is not of the protocol."""
    REPORT = "report"
    """Reports an error inside the stream after the first piece."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call in a scripted reply. `id` "" stands for a fresh one; `arguments` is sent in fragments."""

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One scripted reply of a chat model: `text` piece by piece, then `tool_uses`."""

    text: tuple[str, ...] = ()
    tool_uses: tuple[ToolUse, ...] = ()
    status: int = 200
    fault: Fault | None = None
    delay: float = 0.0
    """Seconds before the first piece."""
    gap: float = 0.0
    """Seconds between two pieces."""
    usage: tuple[int, int, int] = field(default=(11, 7, 3))
    """Tokens: input (cached ones included), output, cached."""


def fragments(arguments: str, length: int = 7) -> list[str]:
    """`arguments` in pieces as vendors stream them: cut anywhere, at least one."""
    return [arguments[start : start + length] for start in range(0, len(arguments), length)] or [""]


@dataclass(frozen=True, slots=True)
class Speech:
    """How one synthesis goes; the sound itself follows from the text."""

    status: int = 200
    fault: Fault | None = None
    delay: float = 0.0
    """Seconds before the first piece."""
    gap: float = 0.0
    """Seconds between two pieces."""
    alignment: bool = True
    """Whether the times of the characters are sent."""
