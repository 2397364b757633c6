"""How much a model's window holds: tokens are estimated, and a long call's history is shortened to fit.

No vendor's tokenizer is asked: that would be a request, or a download, before every reply. The estimate errs high,
three bytes a token where English takes four, so what fits by it fits.

Shortening leaves out whole turns, the oldest first, and keeps what lasts: the calls and answers of tools that changed
something or verified somebody, and the turn under way. It is a function of the history alone and goes in steps of
a quarter of the room, so that the messages of several turns in a row still begin alike, for prompt caches.
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled

BYTES_PER_TOKEN: Final = 3
PER_ENTRY: Final = 8
"""Tokens around every message: its role, its ids, the words by which its kind is told."""
LEFT_OUT: Final = "(The beginning of this call is left out here.)"
"""Stands for what a model is not shown of a long call."""
_STEPS: Final = 4


class Described(Protocol):
    """A tool, as far as it takes room."""

    @property
    def name(self) -> str:
        """What the model calls it."""

    @property
    def description(self) -> str:
        """What the model is told of it."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """A JSON Schema object."""


def tokens_of_text(text: str) -> int:
    """An estimate that errs high."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def tokens_of_tools(tools: Iterable[Described]) -> int:
    """What telling a model of these tools takes."""
    return sum(
        PER_ENTRY + tokens_of_text(tool.name + tool.description + json.dumps(dict(tool.parameters))) for tool in tools
    )


def tokens_of_history(history: Iterable[Entry]) -> int:
    """What telling a model of these entries takes."""
    return sum(map(_tokens, history))


def shortened(history: Sequence[Entry], *, lasting: Collection[str], room: int) -> tuple[Entry, ...]:
    """The history, without its oldest turns where it takes more than `room` tokens.

    `lasting` are the names of the tools whose answers hold for the whole call. More than everything else is not left
    out: what lasts and the turn under way may still take more than `room`.
    """
    excess = tokens_of_history(history) - room
    if excess <= 0:
        return tuple(history)
    step = max(1, room // _STEPS)
    to_save = math.ceil(excess / step) * step
    kept: list[Entry] = []
    current = _turn_under_way(history)
    saved = 0
    for position, entry in enumerate(history):
        if position >= current or (saved >= to_save and isinstance(entry, CallerSaid)):
            return (CallerSaid(LEFT_OUT), *kept, *history[position:])
        if isinstance(entry, ToolCalled | ToolAnswered) and entry.name in lasting:
            kept.append(entry)
        else:
            saved += _tokens(entry)
    return (CallerSaid(LEFT_OUT), *kept)


def _turn_under_way(history: Sequence[Entry]) -> int:
    """Where the caller's last words begin; without any, where the last entry is."""
    for position in range(len(history) - 1, -1, -1):
        if isinstance(history[position], CallerSaid):
            return position
    return max(0, len(history) - 1)


def _tokens(entry: Entry) -> int:
    match entry:
        case CallerSaid(text) | AgentSaid(text):
            return PER_ENTRY + tokens_of_text(text)
        case ToolCalled(_, name, arguments):
            return PER_ENTRY + tokens_of_text(name + arguments)
        case ToolAnswered(_, name, content):
            return PER_ENTRY + tokens_of_text(name + content)
