"""What goes back to a model: JSON objects, capped, with nothing in them that is not text.

Text that comes out of a tool is data from strangers (a product name, a note on an order). It
may end up in a prompt, on a synthesizer's input and on an operator's page, so characters that
steer any of these are taken out here (`agent.plain_text`), once.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from talkspurt.agent.plain_text import clean, message

ErrorKind = Literal[
    "verification_required",
    "refused",
    "invalid_arguments",
    "unknown_tool",
    "timeout",
    "failed",
    "attempts_exhausted",
    "in_doubt",
]

RESULT_BYTES: Final = 8 * 1024
"""Longest result a model is shown; more would only delay its next word."""


class UnusableResultError(ValueError):
    """A tool returned what JSON cannot carry, or too much of it."""


def error_content(kind: ErrorKind, text: str) -> str:
    """What a model is told when a tool did not do what was asked."""
    return _encoded({"error": {"kind": kind, "message": message(text)}})


def result_content(result: Any) -> str:
    """A tool's result as the text of a JSON object; what is no object comes under "result".

    Raises `UnusableResultError`.
    """
    try:
        _measure(result, _Room())
        plain = _cleaned(to_jsonable_python(result, inf_nan_mode="null"), _Room())
        content = _encoded(plain if isinstance(plain, dict) else {"result": plain})
    except UnusableResultError:
        raise
    except Exception as error:  # serializers of the tool's own types run here
        raise UnusableResultError(f"not JSON: {type(error).__name__}") from None
    if len(content.encode()) > RESULT_BYTES:
        raise UnusableResultError(f"longer than {RESULT_BYTES} bytes")
    return content


def canonical(arguments: Any) -> str:
    """The one JSON text of `arguments`: sorted keys, no spaces."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def effect_key(call_id: str, tool: str, arguments: str, turn: int) -> str:
    """The idempotency key of an effect: the same for the same call, tool, canonical arguments and confirming turn."""
    return hashlib.sha256(canonical([call_id, tool, arguments, turn]).encode()).hexdigest()


def _encoded(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


class _Room:
    """What a result may still hold. Megabytes are found out before they are worked on, with the loop held meanwhile."""

    def __init__(self) -> None:
        self._values = RESULT_BYTES
        # More than fits in the end: cleaning takes characters away.
        self._characters = 4 * RESULT_BYTES

    def take(self, value: Any) -> None:
        """Make room for a value, not for what is in it. Raises `UnusableResultError`."""
        self._values -= 1
        self._characters -= len(value) if isinstance(value, (str, bytes, bytearray)) else 0
        if min(self._values, self._characters) < 0:
            raise UnusableResultError(f"longer than {RESULT_BYTES} bytes")


def _measure(value: Any, room: _Room) -> None:
    """Walk over a result as a tool returned it, no further than there is room."""
    room.take(value)
    match value:
        case Mapping():
            parts: Iterable[Any] = chain.from_iterable(value.items())
        case list() | tuple() | Set() | deque():
            parts = value
        case BaseModel():
            parts = vars(value).values()
        case Iterator():
            raise UnusableResultError("an iterator, of which nobody knows how long it is")
        case _ if is_dataclass(value) and not isinstance(value, type):
            parts = (getattr(value, field.name) for field in fields(value))
        case _:
            return
    for part in parts:
        _measure(part, room)


def _cleaned(value: Any, room: _Room) -> Any:
    room.take(value)
    match value:
        case str():
            return clean(value)
        case dict():
            return {_cleaned(str(key), room): _cleaned(entry, room) for key, entry in value.items()}
        case list():
            return [_cleaned(entry, room) for entry in value]
        case _:
            return value
