"""Asks a language model a few times, as a call would, and tells how it answered. Behind `talkspurt providers check`."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from statistics import median

from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.errors import ProviderError
from talkspurt.ports import LanguageModel, ReplyRequest, TextDelta, ToolCallDelta, ToolCallPart, ToolSpec, Usage

ANSWER = 30.0
"""Seconds for a whole answer: who takes longer serves no caller."""
QUESTION = "Hello? Can you tell me what you can do for me?"


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """How a model answered. Times are in seconds, from the question to the first word or tool call."""

    name: str
    problem: str = ""
    """Why it did not answer, "" when it did."""
    first: float | None = None
    """Of the first request, which opened the connection."""
    usual: float | None = None
    """The median of the others."""
    worst: float | None = None
    usage: Usage = field(default_factory=Usage)
    """Of the last request: by then a prompt cache should be of use."""


async def check_model(
    name: str, model: LanguageModel, *, instructions: str, tools: Sequence[ToolSpec], requests: int
) -> ModelCheck:
    """Ask `model` the same question `requests` times with an agent's instructions and tools. Raises nothing."""
    request = ReplyRequest(instructions, (AgentSaid("Hello, how can I help?"), CallerSaid(QUESTION)), tuple(tools))
    times: list[float] = []
    usage = Usage()
    try:
        for _ in range(requests):
            first, usage = await _ask(model, request)
            times.append(first)
    except ProviderError as error:
        return ModelCheck(name, str(error))
    except TimeoutError:
        return ModelCheck(name, f"it took the question and had not answered it within {ANSWER:.0f} s")
    return ModelCheck(name, "", times[0], median(times[1:] or times), max(times[1:] or times), usage)


async def _ask(model: LanguageModel, request: ReplyRequest) -> tuple[float, Usage]:
    began, first, usage = time.perf_counter(), None, Usage()
    async with asyncio.timeout(ANSWER), aclosing(model.reply(request)) as reply:
        async for part in reply:
            if isinstance(part, Usage):
                usage = part
            elif isinstance(part, TextDelta | ToolCallDelta | ToolCallPart) and first is None:
                first = time.perf_counter() - began
    return first if first is not None else time.perf_counter() - began, usage
