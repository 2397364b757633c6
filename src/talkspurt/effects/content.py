"""What goes back to a model: JSON objects, capped, with nothing in them that is not text.

Text that comes out of a tool is data from strangers (a product name, a note on an order). It
may end up in a prompt, on a synthesizer's input and on an operator's page, so characters that
steer any of these are taken out here (`agent.plain_text`), once.
"""

import hashlib
import json
from typing import Any, Final, Literal

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
        plain = _cleaned(to_jsonable_python(result, inf_nan_mode="null"))
        content = _encoded(plain if isinstance(plain, dict) else {"result": plain})
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


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(str(key)): _cleaned(entry) for key, entry in value.items()}
        case list():
            return [_cleaned(entry) for entry in value]
        case _:
            return value
