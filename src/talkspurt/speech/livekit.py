"""What a `livekit-plugins-*` package needs to work without a LiveKit room, and what its failures are called.

It is no adapter: those are `recognizers/livekit.py` and `synthesizers/livekit.py`. It finds a plugin's class by name,
refuses options that the class does not know, and gives it what it would find in LiveKit's worker: an HTTP session, in
the context variable that LiveKit reads.

Invariants:
* keys come from the environment, where the plugin looks for its own: the configuration refuses options that hold one;
* no error carries the vendor's words, and the plugins' logs go nowhere: both can quote what was said on the line.

Source: livekit-agents 1.8 (`agents/utils/http_context.py`, `agents/_exceptions.py`), the plugins' constructors.
"""

import asyncio
import contextvars
import difflib
import inspect
import json
import logging
import os
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final, Literal, TypeVar

import aiohttp
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from livekit.agents.utils import http_context

from talkspurt.config_secrets import SECRET_NAME
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.speech.failures import SpeechVendor
from talkspurt.speech.livekit_plugins import KNOWN, PREFIX, installed

_GIVEN_BY_US: Final = frozenset({"self", "http_session", "client"})
_VARIABLE: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_Result = TypeVar("_Result")

CONNECTED: Final[contextvars.ContextVar[Callable[[], None] | None]] = contextvars.ContextVar("connected", default=None)
"""Called when a request that was made in this context was accepted: a plugin does not tell that it is connected."""

# Their records quote transcripts, and vendors' messages that may.
logging.getLogger("livekit").addHandler(logging.NullHandler())
logging.getLogger("livekit").propagate = False


@dataclass(frozen=True, slots=True)
class Plugin:
    """A class of a plugin with its options, checked."""

    setting: str
    """The configuration key to blame: `speech.recognizer`."""
    name: str
    """As the configuration has it: `livekit:cartesia:sonic-3`."""
    factory: Callable[..., Any]
    options: Mapping[str, Any]

    def accepts(self, option: str) -> bool:
        """Whether the class knows `option`."""
        return option in _parameters(self.factory)

    def make(self, **options: Any) -> Any:
        """An instance, with `options` over the configured ones. Raises `ConfigurationError`."""
        try:
            return self.factory(**{**self.options, **options})
        except Exception as error:  # of no closed set: the vendors' own SDKs raise here, too
            raise ConfigurationError(f"{self.setting} = '{self.name}' {_complaint(error)}") from None

    @property
    def settings(self) -> str:
        """What its sound depends on besides voice and language, as text."""
        return json.dumps([self.name, dict(self.options)], sort_keys=True, default=str)


def find_plugin(
    setting: str,
    name: str,
    kind: Literal["STT", "TTS"],
    configured: Mapping[str, Mapping[str, Any]],
    addresses: Mapping[str, str] | None = None,
) -> Plugin:
    """The plugin that `name` means, `livekit:<plugin>` or `livekit:<plugin>:<model>`.

    `configured` are the options by plugin (`speech.livekit.<plugin>.stt`), `addresses` the endpoints by
    `livekit:<plugin>` (`speech.base_url`). An instance is made and thrown away, so that a missing key is known now.
    Raises `ConfigurationError`.
    """
    _, _, rest = name.partition(":")
    plugin, _, model = rest.partition(":")
    factory = _load(setting, name, plugin, kind)
    options = dict(configured.get(plugin, {}))
    _check(f"speech.livekit.{plugin}.{kind.lower()}", factory, options)
    if model:
        if "model" not in _parameters(factory):
            raise ConfigurationError(f"{setting} = '{name}': this plugin has no models to choose from")
        options["model"] = model
    address = (addresses or {}).get(f"{PREFIX}:{plugin}")
    if address is not None:
        if "base_url" not in _parameters(factory):
            raise ConfigurationError(f"speech.base_url: the plugin '{plugin}' cannot be given an endpoint there")
        options.setdefault("base_url", address)
    found = Plugin(setting, name, factory, options)
    found.make()
    return found


def _load(setting: str, name: str, plugin: str, kind: str) -> Callable[..., Any]:
    found = installed()
    if plugin not in found:
        known = sorted({*KNOWN, *found})
        near = difflib.get_close_matches(plugin, known, n=1, cutoff=0.0 if not plugin else 0.6)
        if plugin not in known and near:
            raise ConfigurationError(f"{setting}: there is no plugin '{plugin}'; did you mean '{PREFIX}:{near[0]}'?")
        raise ConfigurationError(
            f"{setting} = '{name}' needs a package that is not installed; "
            f"run: pip install 'talkspurt[livekit]' livekit-plugins-{plugin.replace('_', '-')}"
        )
    module = import_module(f"livekit.plugins.{plugin}")
    factory: Callable[..., Any] | None = getattr(module, kind, None)
    if factory is None:
        cannot = "recognises no speech" if kind == "STT" else "does not speak"
        raise ConfigurationError(f"{setting} = '{name}': livekit-plugins-{plugin} {cannot}; choose another")
    return factory


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(factory).parameters


def _check(section: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    parameters = _parameters(factory)
    open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [name for name in parameters if name not in _GIVEN_BY_US and not SECRET_NAME.search(name)]
    for option in options:
        if option not in known and not open_ended:
            near = difflib.get_close_matches(option, known, n=1, cutoff=0.0)
            also = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigurationError(f"{section}.{option}: the plugin has no such option{also}")


def _complaint(error: Exception) -> str:
    missing = [name for name in dict.fromkeys(_VARIABLE.findall(str(error))) if not os.environ.get(name)]
    if missing:
        variables = " or ".join(missing)
        return f"needs a key: set the environment variable {variables}"
    # Not a vendor's words: nobody has been asked yet.
    return f"cannot be made: {error}"


class Surroundings:
    """What plugins find around them in LiveKit's worker. Belongs to one event loop."""

    def __init__(self) -> None:
        self._context = contextvars.Context()
        self._entering = asyncio.Lock()
        self._opened: Any = None
        self._session: aiohttp.ClientSession | None = None

    async def enter(self) -> None:
        """Be ready for plugins. Idempotent."""
        async with self._entering:
            if self._opened is None:
                opened = http_context.open()
                session = await self._in_context(opened.__aenter__())
                session.trace_configs.append(_tell_connected())
                self._opened, self._session = opened, session

    def make(self, plugin: Plugin, **options: Any) -> Any:
        """An instance of `plugin` that uses our session. Raises `ConfigurationError`."""
        if plugin.accepts("http_session"):
            options["http_session"] = self._session
        return self.run(plugin.make, **options)

    def run(
        self,
        function: Callable[..., _Result],
        *arguments: Any,
        connected: Callable[[], None] | None = None,
        **named: Any,
    ) -> _Result:
        """Call `function` so that what it starts finds the session; `connected` is told when a request is accepted."""

        def call() -> _Result:
            CONNECTED.set(connected)
            return function(*arguments, **named)

        return self._context.copy().run(call)

    async def perform(
        self, function: Callable[..., Coroutine[Any, Any, _Result]], *arguments: Any, **named: Any
    ) -> _Result:
        """What `function` gives, which runs as a task that finds the session."""
        return await self._in_context(function(*arguments, **named))

    async def aclose(self) -> None:
        """Close the session. Idempotent."""
        async with self._entering:
            opened, self._opened, self._session = self._opened, None, None
            if opened is not None:
                await self._in_context(opened.__aexit__(None, None, None))

    async def _in_context(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        return await asyncio.get_running_loop().create_task(coroutine, context=self._context)


def _tell_connected() -> aiohttp.TraceConfig:
    async def accepted(_session: object, _context: object, _parameters: object) -> None:
        if (tell := CONNECTED.get()) is not None:
            tell()

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(accepted)
    trace.freeze()
    return trace


def provider_error(port: Literal["recognizer", "synthesizer"], name: str, error: Exception) -> ProviderError:
    """What a plugin raised, without the vendor's words."""
    vendor = SpeechVendor(port, name, "its key in the environment")
    return vendor.judged(error, partial(_judge, vendor))


def _judge(vendor: SpeechVendor, error: Exception) -> ProviderError | None:
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    if isinstance(error, APIStatusError | aiohttp.ClientResponseError) and status is not None and 400 <= status < 600:
        return vendor.refused(status)
    if isinstance(error, APITimeoutError):
        return vendor.too_late()
    if isinstance(error, APIConnectionError | aiohttp.ClientError | OSError):
        return vendor.unreachable()
    if isinstance(error, APIStatusError):
        # Its status is that of a WebSocket's end.
        return vendor.error("the connection was closed", "broken_off")
    return vendor.error("reported an error", "unavailable") if isinstance(error, APIError) else None
