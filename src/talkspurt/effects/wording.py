"""What a wish would do: in words for the caller, in facts for the policy, in arguments for the ledger.

A tool words its effects itself; here that is called and checked. What could not be heard to its end, or is under no
limit because it is not of the type that it declares, is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import NoneType
from typing import Final

import structlog
from pydantic import BaseModel

from talkspurt.agent import Caller, ReadBack, Tool
from talkspurt.agent.plain_text import MESSAGE_CHARACTERS, clean, message
from talkspurt.effects.calling import call
from talkspurt.effects.content import canonical
from talkspurt.effects.refusals import FAILED, TOO_MUCH, NotDoneError, where

_log: Final = structlog.get_logger(__name__)


async def worded(tool: Tool, arguments: BaseModel, caller: Caller) -> ReadBack:
    """What the caller is asked for a yes to, as things stand. Raises `NotDoneError`, also when the tool refuses."""
    assert tool.read_back is not None, "checked by @tool"
    said = await call(tool, tool.read_back, tool.keywords(arguments, replace(caller)))
    read_back = said if isinstance(said, ReadBack) else ReadBack(said) if isinstance(said, str) else ReadBack("")
    words = message(read_back.words) if _is_usable(read_back) else ""
    if not words:
        _log.error("read_back_unusable", tool=tool.name)
        raise NotDoneError("failed", FAILED)
    if _is_cut(read_back.words):
        # What is cut off would not be heard, and be done.
        _log.error("read_back_too_long", tool=tool.name, characters=len(read_back.words))
        raise NotDoneError("refused", TOO_MUCH)
    return replace(read_back, words=words)


def found_to_mean(tool: Tool, arguments: BaseModel, read_back: ReadBack) -> BaseModel:
    """The arguments, with what the read-back says that they mean in place of what was said. Raises `NotDoneError`."""
    if not read_back.arguments:
        return arguments
    try:
        said = arguments.model_dump(mode="json", by_alias=True)
        return tool.arguments.model_validate({**said, **read_back.arguments})
    except Exception as error:
        _log.error("read_back_arguments_unusable", tool=tool.name, **where(error))
        raise NotDoneError("failed", FAILED) from None


def canonical_arguments(tool: Tool, arguments: BaseModel) -> str:
    """The one JSON text of the arguments, for ledger and key. Raises `NotDoneError`."""
    try:
        return canonical(arguments.model_dump(mode="json", by_alias=True))
    except Exception as error:
        # A type of the tool's own that cannot be written back as JSON.
        _log.error("tool_arguments_failed", tool=tool.name, **where(error))
        raise NotDoneError("failed", FAILED) from None


def facts_of(read_back: ReadBack) -> str:
    """What a policy judged, as JSON text for the ledger."""
    return canonical(
        {"amount_cents": read_back.amount_cents, "facts": dict(read_back.facts), "status": read_back.status}
    )


def _is_usable(read_back: ReadBack) -> bool:
    """Whether it is of the types that it declares: no limit would stop an amount that is no number."""
    facts = read_back.facts
    return (
        isinstance(read_back.words, str)
        and type(read_back.amount_cents) in (int, NoneType)
        and isinstance(read_back.status, str)
        and isinstance(facts, Mapping)
        and all(isinstance(name, str) and isinstance(value, (str, int)) for name, value in facts.items())
    )


def _is_cut(words: str) -> bool:
    """Whether `message` would shorten them."""
    return len(words) > 4 * MESSAGE_CHARACTERS or len(" ".join(clean(words).split())) > MESSAGE_CHARACTERS
