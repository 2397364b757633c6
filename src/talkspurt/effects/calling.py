"""Awaits what is not ours, a tool's functions and the store, within a time, and lets nothing of theirs escape."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from talkspurt.agent import Tool, ToolError
from talkspurt.effects.content import UnusableResultError, result_content
from talkspurt.effects.refusals import FAILED, TOO_SLOW, NotDoneError, where

ARGUMENT_BYTES: Final = 16 * 1024
"""Longest arguments that are looked at."""
LEDGER_TIMEOUT: Final = 5.0
"""Seconds until a transition of the ledger counts as not committed."""

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


async def call(tool: Tool, function: Callable[..., Awaitable[Any]], keywords: dict[str, Any]) -> Any:
    """Await one of the tool's functions within its time; every way to fail becomes `NotDoneError`."""
    timer = asyncio.timeout(tool.timeout)
    try:
        async with timer:
            result = await function(**keywords)
    except ToolError as refusal:
        raise NotDoneError("refused", str(refusal)) from refusal
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # The tool let the cancellation of something of its own escape.
        _log.error("tool_failed", tool=tool.name, error="CancelledError")
        raise NotDoneError("failed", FAILED) from None
    except Exception as error:
        if isinstance(error, TimeoutError) and timer.expired():
            raise NotDoneError("timeout", TOO_SLOW) from None
        _log.error("tool_failed", tool=tool.name, **where(error))
        raise NotDoneError("failed", FAILED) from None
    if timer.expired():
        # The tool swallowed its cancellation and answered late.
        raise NotDoneError("timeout", TOO_SLOW)
    return result


async def bounded(awaitable: Awaitable[_T]) -> _T:
    """Await the store, which must answer within `LEDGER_TIMEOUT`."""
    async with asyncio.timeout(LEDGER_TIMEOUT):
        return await awaitable


def told(tool: Tool, result: Any) -> str:
    """The result of a tool as a model is told it; one that cannot be told is a failure of the tool."""
    try:
        return result_content(result)
    except UnusableResultError as error:
        _log.error("tool_result_unusable", tool=tool.name, reason=str(error))
        raise NotDoneError("failed", FAILED) from None


def checked_arguments(tool: Tool, text: str) -> BaseModel:
    """A model's arguments as the tool declares them, or a `NotDoneError` by which the model can repair them."""
    # Some models send nothing at all for a tool without arguments.
    encoded = (text.strip() or "{}").encode("utf-8", "replace")
    if len(encoded) > ARGUMENT_BYTES:
        raise NotDoneError("invalid_arguments", f"The arguments are longer than {ARGUMENT_BYTES} bytes.")
    try:
        return tool.arguments.model_validate_json(encoded)
    except ValidationError as error:
        raise NotDoneError("invalid_arguments", _repairable(error)) from None
    except Exception as error:
        # A validator of the tool's own types failed in a way pydantic does not know.
        _log.error("tool_arguments_failed", tool=tool.name, **where(error))
        raise NotDoneError("invalid_arguments", "The arguments could not be read.") from None


def _repairable(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    sentences = []
    for detail in details[:3]:
        place = ".".join(str(part) for part in detail["loc"])[:60]
        sentences.append(f"{place}: {detail['msg']}" if place else detail["msg"])
    return "; ".join(sentences) + "."
