"""Claude, GPT and servers that speak their protocols, through pydantic-ai's direct model API.

One string chooses: `anthropic:<model>` or `openai:<model>` (Chat Completions, which local
servers speak as well; `model.base_url` names them). The key comes from the vendor's usual variable.

Invariants:
* text is passed on as it comes, tool calls only once the vendor has said that the reply is
  whole: the first half of a reply must never start an effect;
* useful output has a deadline of its own. Keep-alive pings do not extend it;
* the vendor's SDK repeats nothing: whether a second try still makes sense is known only to the
  caller of the port, so failures come at once and say whether they are `retryable`;
* no error carries the vendor's words: they can quote the key or the person on the line.
"""

import asyncio
import difflib
import os
import re
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelTimeoutError,
)
from pydantic_ai.messages import InstructionPart, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from talkspurt.config import Config
from talkspurt.core.history import CallerSaid, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.models.messages import to_messages
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart, Usage

_RETRYABLE_STATUSES: Final = frozenset({408, 409, 425, 429})
_ERROR_CODE: Final = re.compile(r"[a-z][a-z0-9_]{2,39}")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for the connection, the first output, and between two pieces of it."""

    connect: float = 3.0
    first: float = 8.0
    between: float = 5.0


class PydanticAIModel:
    """A `LanguageModel` at a vendor. Made once per process: its connections are reused by all calls."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        max_tokens: int = 300,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`name` is `<vendor>:<model>`; the key is looked up in `environment` (default: the process's).

        Raises `ConfigurationError` for an unknown vendor, a missing key or a missing extra.
        """
        self._patience = patience or Patience()
        self._settings = ModelSettings(max_tokens=max_tokens, cache=True)
        self._vendor, model = _split(name)
        vendor = _VENDORS[self._vendor]
        key = (os.environ if environment is None else environment).get(vendor.key_variable, "").strip()
        if not key:
            raise ConfigurationError(
                f"model.name = '{name}' needs a key: set the environment variable {vendor.key_variable}"
                " (a server of your own that wants none takes any value)"
            )
        try:
            self._model, self._client = vendor.connect(model, key, base_url, self._patience)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"model.name = '{name}' needs '{error.name}', which is not installed;"
                f" run: pip install 'talkspurt[{self._vendor}]'"
            ) from None
        except ImportError:
            raise ConfigurationError(
                f"model.name = '{name}' needs packages that are not installed;"
                f" run: pip install 'talkspurt[{self._vendor}]'"
            ) from None

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The model that `config.model` names."""
        return cls(config.model.name, base_url=config.model.base_url, max_tokens=config.model.max_tokens)

    async def warm_up(self) -> None:
        """Ask for one short reply: it proves key, model and endpoint, and leaves a connection open."""
        request = ReplyRequest(instructions="Answer with one word.", history=(CallerSaid("Hello?"),), tools=())
        async with aclosing(self.reply(request)) as reply:
            async for _ in reply:
                pass

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart]:
        """Stream one reply: text as it comes, then complete tool calls, then usage.

        A tool call's arguments are passed on as the model wrote them, malformed or not: who
        runs the tool can tell the model what is wrong with them. Raises `ProviderError`.
        """
        messages = to_messages(request.history)
        parameters = ModelRequestParameters(
            function_tools=[
                ToolDefinition(
                    name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters)
                )
                for tool in request.tools
            ],
            instruction_parts=[InstructionPart(content=request.instructions)] if request.instructions.strip() else [],
        )
        with self._vendor_errors():
            loop = asyncio.get_running_loop()
            deadline = loop.time() + self._patience.first
            opening = model_request_stream(
                self._model, messages, model_settings=self._settings, model_request_parameters=parameters
            )
            async with AsyncExitStack() as stack:
                async with asyncio.timeout_at(deadline):
                    stream = await stack.enter_async_context(opening)
                events = aiter(stream)
                while True:
                    async with asyncio.timeout_at(deadline):
                        event = await anext(events, None)
                    if event is None:
                        break
                    deadline = loop.time() + self._patience.between
                    text = _text_of(event)
                    if text:
                        yield TextDelta(text)
                for part in self._rest(stream, {e.tool_call for e in request.history if isinstance(e, _TOOL_ENTRIES)}):
                    yield part

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._client.close()

    def _rest(self, stream: StreamedResponse, taken: Collection[str]) -> Iterator[ReplyPart]:
        """What is known at a reply's end: its tool calls, each with an id not yet `taken`, and its usage."""
        reply = stream.get()
        if "finish_reason" not in (reply.provider_details or {}):
            raise ProviderError("model", self._vendor, "the reply broke off", retryable=True)
        if reply.finish_reason == "content_filter" and not reply.parts:
            raise ProviderError("model", self._vendor, "refused to reply")
        ids = set(taken)
        for call in reply.tool_calls:
            id_ = call.tool_call_id
            if not id_ or id_ in ids:
                # Some servers count from zero in every reply.
                id_ = f"call_{uuid.uuid4().hex}"
            ids.add(id_)
            arguments = call.args if isinstance(call.args, str) else call.args_as_json_str()
            yield ToolCallPart(id_, call.tool_name, arguments or "{}")
        usage = reply.usage
        yield Usage(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)

    @contextmanager
    def _vendor_errors(self) -> Iterator[None]:
        try:
            yield
        except ProviderError:
            raise
        except (TimeoutError, ModelTimeoutError):
            raise ProviderError("model", self._vendor, "no output in time", retryable=True) from None
        except ModelHTTPError as error:
            status, code = error.status_code, _error_code(error)
            exhausted = isinstance(error, ModelQuotaExceededError)
            retryable = (status in _RETRYABLE_STATUSES or status >= 500) and not exhausted
            raise ProviderError("model", self._vendor, f"HTTP {status}{code}", retryable=retryable) from None
        except ModelConnectionError:
            raise ProviderError("model", self._vendor, "the connection failed", retryable=True) from None
        except ModelAPIError as error:
            raise ProviderError("model", self._vendor, f"failed{_error_code(error)}", retryable=True) from None
        except Exception as error:  # what an SDK makes of garbage is not of a closed set
            raise ProviderError(
                "model", self._vendor, f"answered with something unreadable ({type(error).__name__})", retryable=True
            ) from None


_TOOL_ENTRIES: Final = (ToolCalled, ToolAnswered)


class _Client(Protocol):
    async def close(self) -> None: ...


def _text_of(event: Any) -> str:
    match event:
        case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
    return ""


def _error_code(error: ModelAPIError) -> str:
    """The vendor's machine-readable code, when it looks like one."""
    code = error.provider_error_code or error.provider_error_type or ""
    return f" {code}" if _ERROR_CODE.fullmatch(code) else ""


# ── vendors ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Vendor:
    key_variable: str
    connect: Callable[[str, str, str | None, Patience], tuple[Model[Any], _Client]]


def _split(name: str) -> tuple[str, str]:
    vendor, _, model = name.partition(":")
    if vendor not in _VENDORS:
        near = difflib.get_close_matches(vendor, [*_VENDORS, "offline"], n=1, cutoff=0.0)[0]
        example = near if near == "offline" else f"{near}:<model>"
        known = ", ".join(["offline", *(f"{known}:<model>" for known in _VENDORS)])
        raise ConfigurationError(f"model.name: unknown '{name}'; did you mean '{example}'? (known: {known})")
    if not model.strip():
        raise ConfigurationError(f"model.name: '{name}' names no model; write {vendor}:<model>")
    return vendor, model.strip()


def _connect_anthropic(model: str, key: str, base_url: str | None, patience: Patience) -> tuple[Model[Any], _Client]:
    from anthropic import AsyncAnthropic, Timeout
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=key, base_url=base_url, max_retries=0, timeout=Timeout(patience.first, connect=patience.connect)
    )
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client)), client


def _connect_openai(model: str, key: str, base_url: str | None, patience: Patience) -> tuple[Model[Any], _Client]:
    from openai import AsyncOpenAI, Timeout
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(
        api_key=key, base_url=base_url, max_retries=0, timeout=Timeout(patience.first, connect=patience.connect)
    )
    return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)), client


_VENDORS: Final[Mapping[str, _Vendor]] = {
    "anthropic": _Vendor("ANTHROPIC_API_KEY", _connect_anthropic),
    "openai": _Vendor("OPENAI_API_KEY", _connect_openai),
}


__all__ = ["Patience", "PydanticAIModel"]
