"""Language models of every vendor, through pydantic-ai's direct model API. One string chooses (see `vendors.py`).

Invariants:
* text is passed on as it comes, tool calls only once the vendor has said that the reply is
  whole: the first half of a reply must never start an effect. Until then their letters are counted, as a sign of life;
* useful output, which is text or a tool call, has a deadline of its own. Neither keep-alive pings nor thinking
  aloud extend it, and the whole reply has one too, so that no drip of words goes on for ever;
* a reply is bounded: what a model says beyond several times its `max_tokens` is not read any more;
* what is sent is ordered by how often it changes: tools and instructions, facts of the call, history. It begins alike
  from turn to turn, byte for byte, which is what the vendors' prompt caches need;
* the vendor's SDK repeats nothing: whether a second try still makes sense is known only to the
  caller of the port, so failures come at once and say whether they are `retryable`.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import httpx2
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    InstructionPart,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPartDelta,
)
from pydantic_ai.messages import ToolCallPart as ModelToolCall
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from talkspurt.agent.agent import Agent
from talkspurt.config import Config
from talkspurt.core.history import CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.models.connections import Patience, connect
from talkspurt.models.failures import Failures
from talkspurt.models.messages import to_messages, tool_name
from talkspurt.models.vendors import split_name
from talkspurt.models.window import shortened, tokens_of_history, tokens_of_text, tokens_of_tools
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallDelta, ToolCallPart, ToolSpec, Usage
from talkspurt.vendor_http import opened_responses
from talkspurt.watchdog import Watchdog

THINKING_ROOM: Final = 1_024
"""Tokens beyond `max_tokens` for models that cannot be told not to think: they count both together."""
CHARACTERS_PER_TOKEN: Final = 8
"""More than any language has: a reply that is longer than this is not held to its `max_tokens` by its server."""
LONGEST_ARGUMENTS: Final = 8_192
"""Characters of all tool calls of a reply."""
BUILT_IN_TOOLS: Final = 250
"""Tokens at most of the tools that the runtime adds to an agent's (a test compares them)."""
CONVERSATION_ROOM: Final = 1_000
"""Tokens that have to be left for the conversation beside instructions and tools; some ten turns."""
LEARNT: Final = 0.8
"""What an estimate shrinks to when a vendor says that it was too much."""


class PydanticAIModel:
    """A `LanguageModel` at a vendor. Made once per process: its connections are reused by all calls."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        max_tokens: int = 300,
        context_window: int | None = None,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`name` is `<vendor>:<model>`; the key is looked up in `environment` (default: the process's).

        `context_window` is in tokens, None for what is known of the model. Raises `ConfigurationError` for an unknown
        vendor, a missing key, address or extra.
        """
        self.name = name
        self._patience = patience or Patience()
        self._connection = connect(name, base_url=base_url, patience=self._patience, environment=environment)
        vendor, profile = self._connection.vendor, self._connection.model.profile
        self._failures = Failures(vendor.name, self._connection.model.model_name)
        self._max_tokens = max_tokens
        self._window = context_window or vendor.context_window or profile.get("context_window")
        limit = max_tokens + (THINKING_ROOM if profile.get("thinking_always_enabled") else 0)
        common = ModelSettings(max_tokens=limit, cache=True, thinking=False)
        self._settings: ModelSettings = {**common, **self._connection.settings}
        self._standing = _Standing.of("", ())

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The model that `config.model` names."""
        model = config.model
        return cls(
            model.name,
            base_url=model.address(split_name(model.name)[0].name),
            max_tokens=model.max_tokens,
            context_window=model.window,
            patience=Patience.of(config),
        )

    def require_room(self, agent: Agent) -> None:
        """Raise `ConfigurationError` when the agent's instructions and tools alone leave no room for a conversation."""
        if self._window is None:
            return
        taken = tokens_of_text(agent.instructions) + tokens_of_tools(agent.tools) + BUILT_IN_TOOLS
        longest = self._settings["max_tokens"]
        if taken + longest + CONVERSATION_ROOM > self._window:
            raise ConfigurationError(
                f"agent '{agent.name}': its prompt and tools take about {taken} tokens, which with"
                f" {longest} for a reply and {CONVERSATION_ROOM} for the conversation is more than the"
                f" {self._window} of {self.name}: shorten them, choose another model, or set"
                f' model.context_window = {{"{self.name}" = …}} if the server was given a larger window'
                " than is known here"
            )

    async def warm_up(self) -> None:
        """Ask for one short reply: it proves key, model and endpoint, and leaves a connection open."""
        request = ReplyRequest(instructions="Answer with one word.", history=(CallerSaid("Hello?"),), tools=())
        async with aclosing(self.reply(request)) as reply:
            async for _ in reply:
                pass

    async def keep_connected(self) -> None:
        """Have a connection open before a call needs it. Raises nothing."""
        await self._connection.keep_connected()

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart]:
        """Stream one reply: text and signs of tool calls as they come, then complete tool calls, then usage.

        A tool call's arguments are passed on as the model wrote them, malformed or not: who
        runs the tool can tell the model what is wrong with them. Raises `ProviderError`.
        """
        try:
            async with aclosing(self._attempt(request)) as parts:
                async for part in parts:
                    yield part
            return
        except ProviderError as error:
            # Nothing was said yet. How much fits is known now, so the question is asked again, shorter.
            if error.fault != "too_long" or not self._learn(request):
                raise
        async with aclosing(self._attempt(request)) as parts:
            async for part in parts:
                yield part

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._connection.close()

    # ── one request ───────────────────────────────────────────────────────────────

    async def _attempt(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart]:
        history = self._fitting(request)
        opening = model_request_stream(
            self._connection.model,
            to_messages(history, continues=request.continues),
            model_settings=self._settings,
            model_request_parameters=self._parameters(request),
        )
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience.whole
        deadline = min(end, loop.time() + self._patience.first)
        room, arguments = self._max_tokens * CHARACTERS_PER_TOKEN, 0
        with self._failures.named():
            async with AsyncExitStack() as stack:
                watchdog = stack.enter_context(closing(Watchdog()))
                with opened_responses() as responses:
                    stack.push_async_callback(_close, responses)
                    with watchdog.until(deadline):
                        stream = await stack.enter_async_context(opening)
                events = aiter(stream)
                while True:
                    with watchdog.until(deadline):
                        event = await anext(events, None)
                    if event is None:
                        break
                    text, calling = _output_of(event)
                    if text or calling:
                        deadline = min(end, loop.time() + self._patience.between)
                    arguments += calling
                    if arguments > LONGEST_ARGUMENTS:
                        raise self._failures.error("asked for a tool with endless arguments", "unreadable")
                    if calling:
                        yield ToolCallDelta(calling)
                    if text:
                        yield TextDelta(text[:room])
                        room -= len(text)
                    if room <= 0:
                        yield replace(_usage(stream), cut_off=True)
                        return
                for part in self._rest(stream):
                    yield part

    def _parameters(self, request: ReplyRequest) -> ModelRequestParameters:
        parts = [
            InstructionPart(content=text, dynamic=dynamic)
            for text, dynamic in ((request.instructions, False), (request.caller_facts, True))
            if text.strip()
        ]
        definitions = self._of(request).definitions
        if not definitions and self._connection.vendor.names_all_tools:
            definitions = _mentioned(request.history)
        return ModelRequestParameters(function_tools=definitions, instruction_parts=parts)

    def _of(self, request: ReplyRequest) -> "_Standing":
        """What stands in the request; all calls of an agent have the same, so the last one is kept."""
        if not self._standing.is_of(request.instructions, request.tools):
            self._standing = _Standing.of(request.instructions, request.tools)
        return self._standing

    def _rest(self, stream: StreamedResponse) -> Iterator[ReplyPart]:
        """What is known at a reply's end: its tool calls and its usage.

        The calls get ids of our own: some servers count from zero in every reply, and the history that a model is shown
        may begin anew within a call, so that nobody here can tell which are taken.
        """
        reply = stream.get()
        if "finish_reason" not in (reply.provider_details or {}):
            raise self._failures.error("the reply broke off", "broken_off", retryable=True)
        if not any(isinstance(part, TextPart) and part.content for part in reply.parts) and not reply.tool_calls:
            raise self._nothing(reply.finish_reason)
        if reply.finish_reason == "length" and reply.tool_calls:
            # The last of them may be the half of one.
            raise self._too_short("while it asked for a tool")
        for call in reply.tool_calls:
            arguments = call.args if isinstance(call.args, str) else call.args_as_json_str()
            yield ToolCallPart(f"call_{uuid.uuid4().hex}", call.tool_name, arguments or "{}")
        yield replace(_usage(stream), cut_off=reply.finish_reason in _CUT_OFF)

    def _nothing(self, finish_reason: str | None) -> ProviderError:
        if finish_reason == "content_filter":
            return self._failures.error("refused to reply", "refused")
        if finish_reason == "length":
            return self._too_short("before it said anything")
        return self._failures.error("the reply was empty", "empty", retryable=True)

    def _too_short(self, when: str) -> ProviderError:
        tokens = self._settings["max_tokens"]
        return self._failures.error(f"used up its {tokens} tokens {when}; raise model.max_tokens", "empty")

    # ── the window ────────────────────────────────────────────────────────────────

    def _fitting(self, request: ReplyRequest) -> Sequence[Entry]:
        """The history, shortened to what the window has room for."""
        if self._window is None:
            return request.history
        room = self._window - self._settings["max_tokens"] - self._fixed(request)
        return shortened(request.history, lasting=self._of(request).lasting, room=max(0, room))

    def _fixed(self, request: ReplyRequest) -> int:
        """Tokens that every request of a call takes."""
        return self._of(request).tokens + tokens_of_text(request.caller_facts)

    def _learn(self, request: ReplyRequest) -> bool:
        """Take the window for smaller than what was sent just now; False when nothing more can be left out."""
        sent = self._fitting(request)
        taken = self._fixed(request) + self._settings["max_tokens"] + tokens_of_history(sent)
        known, self._window = self._window, int(taken * LEARNT)
        if tokens_of_history(self._fitting(request)) < tokens_of_history(sent):
            return True
        # One request that is too long by itself says nothing about those of other calls.
        self._window = known
        return False


_TOOL_ENTRIES: Final = (ToolCalled, ToolAnswered)
_CUT_OFF: Final = frozenset({"length", "content_filter"})
"""Why a reply ended that is not whole."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is the same in all requests of an agent, worked out once."""

    instructions: str
    tools: tuple[ToolSpec, ...]
    definitions: list[ToolDefinition]
    lasting: frozenset[str]
    """Names of the tools whose answers hold for the whole call."""
    tokens: int

    @classmethod
    def of(cls, instructions: str, tools: tuple[ToolSpec, ...]) -> Self:
        definitions = [
            ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters))
            for tool in tools
        ]
        lasting = frozenset(tool.name for tool in tools if tool.lasting)
        return cls(instructions, tools, definitions, lasting, tokens_of_text(instructions) + tokens_of_tools(tools))

    def is_of(self, instructions: str, tools: tuple[ToolSpec, ...]) -> bool:
        return self.instructions == instructions and (self.tools is tools or self.tools == tools)


def _mentioned(history: Sequence[Entry]) -> list[ToolDefinition]:
    """Tools that the history speaks of, by their names alone."""
    names = {tool_name(entry.name): None for entry in history if isinstance(entry, _TOOL_ENTRIES)}
    nothing = {"type": "object", "properties": {}}
    return [
        ToolDefinition(name=name, description="Not available now.", parameters_json_schema=nothing) for name in names
    ]


def _output_of(event: Any) -> tuple[str, int]:
    """An event's text, and how many characters of tool calls it brings (a call that begins counts one)."""
    match event:
        case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text, 0
        case PartStartEvent(part=ModelToolCall(args=arguments)):
            return "", 1 + (len(arguments) if isinstance(arguments, str) else 0)
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=arguments)):
            return "", len(arguments) if isinstance(arguments, str) else 1
    return "", 0


async def _close(responses: Sequence[httpx2.Response]) -> None:
    for response in responses:
        await response.aclose()


def _usage(stream: StreamedResponse) -> Usage:
    usage = stream.usage
    return Usage(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)


__all__ = ["Patience", "PydanticAIModel"]
