"""What has been said and done in a call, as a language model is shown it.

Invariant: `AgentSaid` holds only words that the playback ledger knows to have been
heard; what was cut off by a barge-in never appears.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """One turn of the caller: recognised words, or digits typed on the keypad."""

    text: str
    source: Literal["voice", "keypad"] = "voice"


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """Words of the agent that the caller heard; `interrupted` when the rest was cut off."""

    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool call the model asked for. `arguments` is a JSON object as text."""

    tool_call: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """The answer to the `ToolCalled` with the same id. `content` is a JSON object as text."""

    tool_call: str
    name: str
    content: str


Entry = CallerSaid | AgentSaid | ToolCalled | ToolAnswered
