"""Makes a vendor's model with the vendor's own SDK, set up for a telephone call.

The same for all of them:
* the SDK repeats nothing (the caller of the port knows whether a second try still makes sense);
* its requests go over our own HTTP client (`vendor_http`), which keeps connections open and gives up a dead address
  before a slow model would be.

Bedrock's SDK is not asynchronous: each of its requests waits in a thread of anyio's pool, which has 40 for a process.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import httpx2
from pydantic import ValidationError
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.providers import Provider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from talkspurt.config import BEHIND, Config
from talkspurt.errors import ConfigurationError
from talkspurt.models.vendors import ModelVendor, read_address, read_key, split_name
from talkspurt.standby import Standby
from talkspurt.vendor_http import httpx2_client, httpx_client

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NO_KEY: Final = "none"
"""What an SDK that insists on a key sends to a server that wants none."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for the connection, the first output, between two pieces of it, and in all."""

    connect: float = 3.0
    first: float = 8.0
    between: float = 5.0
    whole: float = 60.0

    @classmethod
    def of(cls, config: Config) -> Self:
        """For `config.model`: as usual, and longer where the ladder waits longer, which then gives up first."""
        rules, usual = config.fallbacks, cls()
        first = rules.patience.get(config.model.name, rules.first_token)
        return cls(first=max(usual.first, first + BEHIND), between=max(usual.between, rules.stall + BEHIND))

    @property
    def read(self) -> float:
        """For anything to be read at all, of whoever tells pieces and signs of life not apart."""
        return max(self.first, self.between)


@dataclass(frozen=True, slots=True)
class Connection:
    """A model that can be asked, and how to take leave of it."""

    vendor: ModelVendor
    model: Model[Any]
    settings: ModelSettings
    """Its vendor's own settings, for every request."""
    close: Callable[[], Awaitable[None]]
    keep_connected: Callable[[], Awaitable[None]]
    """As in `ports.StaysConnected`."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What a connection is made from."""

    vendor: ModelVendor
    model: str
    key: str
    base_url: str | None
    patience: Patience
    environment: Mapping[str, str]


def connect(
    name: str,
    *,
    base_url: str | None,
    patience: Patience,
    environment: Mapping[str, str] | None = None,
) -> Connection:
    """Make the model that `name` means. Opens no connection yet.

    Raises `ConfigurationError` for an unknown vendor, a missing key, address or extra.
    """
    vendor, model = split_name(name)
    values = os.environ if environment is None else environment
    order = _Order(
        vendor,
        model,
        read_key(name, vendor, environment),
        read_address(name, vendor, base_url, values),
        patience,
        values,
    )
    try:
        connection = _MAKERS[vendor.name](order)
    except ImportError as error:
        missing = f"'{error.name}', which is" if isinstance(error, ModuleNotFoundError) else "packages that are"
        raise ConfigurationError(
            f"model.name = '{name}' needs {missing} not installed; run: pip install 'talkspurt[{vendor.extra}]'"
        ) from None
    _fit_tools_once(connection.model)
    return connection


def _fit_tools_once(model: Any) -> None:
    """Let the tools' schemas be rewritten for the vendor when they are new, and not for every request.

    That walks through all of them, and all requests of an agent have the same. With the retail agent's 22 tools it
    takes 0.8 ms of processor time, a seventh of all until the first token; what is left for a request takes 0.04 ms.
    """
    fit: Callable[[ModelRequestParameters], ModelRequestParameters] = model.customize_request_parameters
    known: tuple[list[ToolDefinition], list[ToolDefinition]] = ([], [])

    def fit_once(parameters: ModelRequestParameters) -> ModelRequestParameters:
        nonlocal known
        given, fitted = known
        tools = parameters.function_tools
        if len(tools) != len(given) or any(new is not old for new, old in zip(tools, given, strict=True)):
            fitted = fit(parameters).function_tools
            known = (list(tools), fitted)
        return replace(fit(replace(parameters, function_tools=[])), function_tools=fitted)

    model.customize_request_parameters = fit_once


def _http_client(patience: Patience) -> httpx2.AsyncClient:
    return httpx2_client(connect=patience.connect, first=patience.read)


def _over(
    http: httpx.AsyncClient | httpx2.AsyncClient,
    order: _Order,
    model: Model[Any],
    settings: ModelSettings | None = None,
) -> Connection:
    """A connection whose requests all go over `http`."""
    assert model.base_url is not None
    keep_connected = Standby(http, model.base_url).keep_connected
    return Connection(order.vendor, model, settings or ModelSettings(), http.aclose, keep_connected)


# ── vendors that are asked in their own language ──────────────────────────────────


def _anthropic(order: _Order) -> Connection:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
    from pydantic_ai.providers.anthropic import AnthropicProvider

    http = _http_client(order.patience)
    client = AsyncAnthropic(api_key=order.key, base_url=order.base_url, max_retries=0, http_client=http)
    provider = AnthropicProvider(anthropic_client=client)
    # Otherwise a tool call's arguments are held back until they are whole: seconds without a sign of life.
    settings = AnthropicModelSettings(anthropic_eager_input_streaming=True)
    return _over(http, order, AnthropicModel(order.model, provider=provider), settings)


def _google(order: _Order) -> Connection:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    http = _http_client(order.patience)
    provider = GoogleProvider(api_key=order.key, base_url=order.base_url, http_client=http)
    return _over(http, order, GoogleModel(order.model, provider=provider))


def _groq(order: _Order) -> Connection:
    from groq import AsyncGroq
    from pydantic_ai.models.groq import GroqModel
    from pydantic_ai.providers.groq import GroqProvider

    http = httpx_client(connect=order.patience.connect, first=order.patience.read)
    client = AsyncGroq(api_key=order.key, base_url=order.base_url, max_retries=0, http_client=http)
    _send_as_it_is(client.chat.completions, "messages")
    provider = GroqProvider(groq_client=client)
    return _over(http, order, GroqModel(order.model, provider=provider))


def _mistral(order: _Order) -> Connection:
    from pydantic_ai.models.mistral import MistralModel
    from pydantic_ai.providers.mistral import MistralProvider

    http = _http_client(order.patience)
    provider = MistralProvider(api_key=order.key, base_url=order.base_url, http_client=http)
    return _over(http, order, MistralModel(order.model, provider=provider))


def _bedrock(order: _Order) -> Connection:
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    from talkspurt.models.bedrock import bedrock_client, close_bedrock, keep_bedrock_connected

    client = bedrock_client(
        key=order.key,
        base_url=order.base_url,
        environment=order.environment,
        connect_timeout=order.patience.connect,
        read_timeout=order.patience.read,
    )
    provider = BedrockProvider(bedrock_client=client)
    return Connection(
        order.vendor,
        BedrockConverseModel(order.model, provider=provider),
        ModelSettings(),
        lambda: close_bedrock(client),
        lambda: keep_bedrock_connected(client),
    )


# ── vendors and servers that speak OpenAI's ───────────────────────────────────────


def _openai_client(order: _Order, http: httpx2.AsyncClient) -> "AsyncOpenAI":
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=order.key or NO_KEY, base_url=order.base_url, max_retries=0, http_client=http)
    _send_as_it_is(client.chat.completions, "messages")
    _send_as_it_is(client.responses, "input")
    _read_as_it_is(client)
    return client


def _send_as_it_is(interface: Any, conversation: str) -> None:
    """Let the SDK send conversation and tools without walking through them.

    It looks at every value of a request for keys to rename and files to encode, of which these have none. With the
    retail agent's tools and ten turns of a call that takes longer than everything else up to the request together
    (`python -m benchmarks.model_latency`). What is an extra of the body is sent as it is.
    """
    create = interface.create

    async def create_as_it_is(*, extra_body: Any = None, **arguments: Any) -> Any:
        body = {key: arguments[key] for key in (conversation, "tools") if arguments.get(key)}
        arguments = {key: [] if key == conversation else value for key, value in arguments.items() if key != "tools"}
        return await create(extra_body={**body, **(extra_body or {})}, **arguments)

    interface.create = create_as_it_is


def _read_as_it_is(client: "AsyncOpenAI") -> None:
    """Let the pieces of a streamed reply be made by pydantic, and only what it refuses by the SDK, field by field.

    The SDK takes all pieces for what a compatible server may have got wrong; for a reply of twenty tokens that is a
    third of what it costs from question to end.
    """
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk

    class Piece(ChatCompletionChunk):
        @classmethod
        def build(cls, *, response: httpx2.Response, data: Any) -> Any:
            """What the SDK asks a type of ours to make of a piece; as it does itself, what is no object is left."""
            try:
                return ChatCompletionChunk.model_validate(data)
            except ValidationError:
                return ChatCompletionChunk.construct(**data) if isinstance(data, dict) else data

    create = client.chat.completions.create

    async def create_and_read(**arguments: Any) -> Any:
        reply: Any = await create(**arguments)
        if not isinstance(reply, AsyncStream):
            return reply
        return AsyncStream(cast_to=Piece, response=reply.response, client=client)

    client.chat.completions.create = create_and_read  # type: ignore[method-assign]


def _chat(order: _Order, provider: "Provider[AsyncOpenAI]", http: httpx2.AsyncClient) -> Connection:
    from pydantic_ai.models.openai import OpenAIChatModel

    return _over(http, order, OpenAIChatModel(order.model, provider=provider))


def _openai(order: _Order) -> Connection:
    from pydantic_ai.providers.openai import OpenAIProvider

    http = _http_client(order.patience)
    return _chat(order, OpenAIProvider(openai_client=_openai_client(order, http)), http)


def _openai_responses(order: _Order) -> Connection:
    from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
    from pydantic_ai.providers.openai import OpenAIProvider

    http = _http_client(order.patience)
    model = OpenAIResponsesModel(order.model, provider=OpenAIProvider(openai_client=_openai_client(order, http)))
    # Unlike Chat Completions, this interface keeps what it is sent for a month unless told not to.
    return _over(http, order, model, OpenAIResponsesModelSettings(openai_store=False))


def _azure(order: _Order) -> Connection:
    from pydantic_ai.providers.azure import AzureProvider

    http = _http_client(order.patience)
    address = (order.base_url or "").rstrip("/")
    version = order.environment.get("OPENAI_API_VERSION", "").strip()
    if not version and not address.endswith("/v1"):
        # Azure's own OpenAI-compatible interface needs no version.
        address = address.removesuffix("/openai") + "/openai/v1"
    provider = AzureProvider(
        azure_endpoint=address,
        api_key=order.key,
        api_version=version if version and not address.endswith("/v1") else None,
        http_client=http,
    )
    provider.client.max_retries = 0
    _send_as_it_is(provider.client.chat.completions, "messages")
    _read_as_it_is(provider.client)
    return _chat(order, provider, http)


def _ollama(order: _Order) -> Connection:
    from pydantic_ai.models.ollama import OllamaModel
    from pydantic_ai.providers.ollama import OllamaProvider

    http = _http_client(order.patience)
    provider = OllamaProvider(openai_client=_openai_client(order, http))
    return _over(http, order, OllamaModel(order.model, provider=provider))


def _vllm(order: _Order) -> Connection:
    from pydantic_ai.providers.vllm import VLLMProvider

    http = _http_client(order.patience)
    return _chat(order, VLLMProvider(openai_client=_openai_client(order, http)), http)


def _compatible(order: _Order) -> Connection:
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    http = _http_client(order.patience)
    provider = OpenAICompatibleProvider(name=order.vendor.name, openai_client=_openai_client(order, http))
    return _chat(order, provider, http)


_MAKERS: Final[Mapping[str, Callable[[_Order], Connection]]] = {
    "anthropic": _anthropic,
    "openai": _openai,
    "openai-responses": _openai_responses,
    "google": _google,
    "groq": _groq,
    "mistral": _mistral,
    "bedrock": _bedrock,
    "azure": _azure,
    "ollama": _ollama,
    "vllm": _vllm,
    "llamacpp": _compatible,
    "openai-compatible": _compatible,
}


__all__ = ["Connection", "Patience", "connect"]
