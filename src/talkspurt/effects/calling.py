"""Awaits what is not ours, a tool's functions and the store, within a time, and lets nothing of theirs escape.

A tool's function runs in a task of its own: one that swallows its cancellation keeps nobody waiting.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from talkspurt.agent import Tool, ToolError
from talkspurt.effects.content import UnusableResultError, result_content
from talkspurt.effects.refusals import FAILED, TOO_SLOW, NotDoneError, where
from talkspurt.telemetry.metrics import ANOMALIES

ARGUMENT_BYTES: Final = 16 * 1024
"""Longest arguments that are looked at."""
GRACE: Final = 5.0
"""Seconds beyond a tool's own time after which whoever executes it counts as gone."""
LEDGER_TIMEOUT: Final = 5.0
"""Seconds until a transition of the ledger counts as not committed."""
STOPPING: Final = 2.0
"""Seconds that a tool may take to end once it was cancelled; after them it is left to itself."""

_T = TypeVar("_T")
_left: Final[set[asyncio.Future[Any]]] = set()
"""Tools that were left to themselves: a task that nobody holds may vanish in the middle of its work."""
_log = structlog.get_logger(__name__)


async def call(tool: Tool, function: Callable[..., Awaitable[Any]], keywords: dict[str, Any]) -> Any:
    """Await one of the tool's functions within its time; every way to fail becomes `NotDoneError`."""
    try:
        return await answer(tool, function(**keywords))
    except ToolError as refusal:
        raise NotDoneError("refused", str(refusal)) from refusal
    except TooSlowError:
        raise NotDoneError("timeout", TOO_SLOW) from None
    except Exception as error:
        _log.error("tool_failed", tool=tool.name, **where(error))
        raise NotDoneError("failed", FAILED) from None


def patience(tool: Tool) -> float:
    """Seconds after its beginning from which "not done" counts: nobody is at it any more, here or outside."""
    return tool.timeout + GRACE + tool.settles_within


class TooSlowError(Exception):
    """A tool has not answered within its time."""


async def answer(tool: Tool, work: Awaitable[_T]) -> _T:
    """Await what a tool does within its time; what comes later does not count. Raises `TooSlowError`, or as it does."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=tool.timeout)
    except asyncio.CancelledError:
        await _stop(tool, task)
        raise
    if not task.done():
        await _stop(tool, task)
        raise TooSlowError
    if task.cancelled():
        # The tool let the cancellation of something of its own escape.
        raise RuntimeError("cancelled by itself")
    return task.result()


async def _stop(tool: Tool, task: asyncio.Future[Any]) -> None:
    """Cancel it, and give it a moment to end."""
    _left.add(task)
    task.add_done_callback(_forget)
    task.cancel()
    await asyncio.wait({task}, timeout=STOPPING)
    if not task.done():
        ANOMALIES.labels("tool_not_stopped").inc()
        _log.error("tool_not_stopped", tool=tool.name)


def _forget(task: asyncio.Future[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        # Looked at, so that nobody reports an error of which nobody was to hear any more.
        task.exception()


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
