"""The vendors of language models by their configured name: key, extra, address. It imports no SDK.

`<vendor>:<model>` chooses one. What is made of it with the vendor's SDK is in `connections.py`.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from talkspurt.errors import ConfigurationError

OFFLINE: Final = "offline"


@dataclass(frozen=True, slots=True)
class ModelVendor:
    """What has to be known of a vendor before its SDK is imported."""

    name: str
    extra: str
    """The extra of this package that installs its SDK."""
    keys: tuple[str, ...] = ()
    """Environment variables that may hold the key, the first one that is set wins; the first is the usual one."""
    needs_key: bool = True
    """False for servers of one's own, which often want none."""
    base_url: str | None = None
    """Where it is, when the SDK does not know; None for the SDK's own address."""
    base_url_variable: str | None = None
    """The vendor's own environment variable for its address."""
    needs_base_url: bool = False
    context_window: int | None = None
    """Tokens that its models surely take when nothing says more; None when only the model decides."""

    kind: Literal["text", "speech"] = "text"
    """Whether its models write, or hear and speak themselves (`talkspurt.speech_to_speech`)."""
    names_all_tools: bool = False
    """Whether tools that the history speaks of must be offered, even when none is."""

    def key(self, environment: Mapping[str, str]) -> str:
        """The key that is set, "" for none."""
        return next((key for name in self.keys if (key := environment.get(name, "").strip())), "")

    def address(self, base_url: str | None, environment: Mapping[str, str]) -> str | None:
        """Where to connect to: `base_url` as configured, else the vendor's variable, else its usual address."""
        named = environment.get(self.base_url_variable, "").strip() if self.base_url_variable else ""
        return base_url or named or self.base_url


_ALL: Final = (
    ModelVendor("anthropic", "anthropic", ("ANTHROPIC_API_KEY",)),
    ModelVendor("openai", "openai", ("OPENAI_API_KEY",)),
    ModelVendor("openai-responses", "openai", ("OPENAI_API_KEY",)),
    ModelVendor("openai-realtime", "openai", ("OPENAI_API_KEY",), kind="speech"),
    ModelVendor("gemini-live", "google", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), kind="speech"),
    ModelVendor("google", "google", ("GOOGLE_API_KEY", "GEMINI_API_KEY")),
    ModelVendor("groq", "groq", ("GROQ_API_KEY",)),
    ModelVendor("mistral", "mistral", ("MISTRAL_API_KEY",)),
    # The SDK knows more ways to credentials (a profile, a machine's role), so what is missing is found out there.
    ModelVendor("bedrock", "bedrock", ("AWS_BEARER_TOKEN_BEDROCK",), needs_key=False, names_all_tools=True),
    ModelVendor(
        "azure",
        "openai",
        ("AZURE_OPENAI_API_KEY",),
        base_url_variable="AZURE_OPENAI_ENDPOINT",
        needs_base_url=True,
    ),
    # An Ollama server cuts what is longer than its own window off without a word; this is its smallest default.
    ModelVendor(
        "ollama",
        "openai",
        ("OLLAMA_API_KEY",),
        needs_key=False,
        base_url="http://127.0.0.1:11434/v1",
        base_url_variable="OLLAMA_BASE_URL",
        context_window=4_096,
    ),
    ModelVendor(
        "vllm",
        "openai",
        ("VLLM_API_KEY",),
        needs_key=False,
        base_url="http://127.0.0.1:8000/v1",
        base_url_variable="VLLM_BASE_URL",
    ),
    # Its usual port, 8080, is also this server's own, so the address has to be said.
    ModelVendor("llamacpp", "openai", ("LLAMACPP_API_KEY",), needs_key=False, needs_base_url=True),
    ModelVendor("openai-compatible", "openai", ("OPENAI_COMPATIBLE_API_KEY",), needs_key=False, needs_base_url=True),
)
VENDORS: Final[Mapping[str, ModelVendor]] = {vendor.name: vendor for vendor in _ALL}
_ALSO_CALLED: Final = {
    "claude": "anthropic",
    "gpt": "openai",
    "chatgpt": "openai",
    "openai-chat": "openai",
    "realtime": "openai-realtime",
    "gpt-realtime": "openai-realtime",
    "gemini": "google",
    "aws": "bedrock",
    "amazon": "bedrock",
    "microsoft": "azure",
    "llama.cpp": "llamacpp",
    "llama-cpp": "llamacpp",
    "lmstudio": "openai-compatible",
    "openrouter": "openai-compatible",
}
"""What people write who mean one of the vendors, where the spelling alone would lead elsewhere."""


def split_name(name: str) -> tuple[ModelVendor, str]:
    """The vendor and the model that a configured name means.

    Raises `ConfigurationError` that names the nearest known vendor and the extra to install.
    """
    written, _, model = name.partition(":")
    vendor = VENDORS.get(written.strip())
    if vendor is None:
        raise ConfigurationError(_unknown(name, written.strip(), model.strip()))
    if not model.strip():
        raise ConfigurationError(f"model.name: '{name}' names no model; write {vendor.name}:<model>")
    return vendor, model.strip()


def _unknown(name: str, written: str, model: str) -> str:
    lowered = written.lower()
    meant = lowered if lowered in VENDORS or lowered == OFFLINE else _ALSO_CALLED.get(lowered)
    if meant is None and not model:
        # The model alone, as in `claude-sonnet-5`.
        meant = next((vendor for word, vendor in _ALSO_CALLED.items() if lowered.startswith(f"{word}-")), None)
        model = written if meant else model
    near = meant or difflib.get_close_matches(lowered, [*VENDORS, OFFLINE], n=1, cutoff=0.0)[0]
    known = ", ".join([OFFLINE, *(f"{vendor}:<model>" for vendor in VENDORS)])
    if near == OFFLINE:
        return f"model.name: unknown '{name}'; did you mean '{OFFLINE}'? (known: {known})"
    return (
        f"model.name: unknown '{name}'; did you mean '{near}:{model or '<model>'}'?"
        f" It needs: pip install 'talkspurt[{VENDORS[near].extra}]' (known: {known})"
    )


def speaks_itself(name: str) -> bool:
    """Whether a configured name means a model that hears and speaks itself."""
    vendor = VENDORS.get(name.partition(":")[0].strip())
    return vendor is not None and vendor.kind == "speech"


def read_key(name: str, vendor: ModelVendor, environment: Mapping[str, str] | None) -> str:
    """The vendor's key from `environment` (default: the process's), "" when it wants none.

    Raises `ConfigurationError` that names the variable when the vendor wants one.
    """
    key = vendor.key(os.environ if environment is None else environment)
    if not key and vendor.needs_key:
        variables = " or ".join(vendor.keys)
        raise ConfigurationError(
            f"model.name = '{name}' needs a key: set the environment variable {variables}"
            " (a server of your own that wants none takes any value)"
        )
    return key


def read_address(name: str, vendor: ModelVendor, base_url: str | None, environment: Mapping[str, str]) -> str | None:
    """Where the vendor is, None for its SDK's own address. Raises `ConfigurationError` when it must be said."""
    address = vendor.address(base_url, environment)
    if address is None and vendor.needs_base_url:
        also = f" or the environment variable {vendor.base_url_variable}" if vendor.base_url_variable else ""
        raise ConfigurationError(f"model.name = '{name}' needs an address: set model.base_url{also}")
    return address


def perhaps_no_such_model(vendor: str, model: str, known: Iterable[str]) -> str:
    """What to do about a request that was refused as a whole; `known` are models of the vendor."""
    near = next(iter(difflib.get_close_matches(model, [*known], n=1)), model)
    also = f"; did you mean '{vendor}:{near}'?" if near != model else ""
    return f": there may be no model '{model}' there{also} (or model.base_url is wrong)"


def nearest_model(vendor: str, model: str, known: Iterable[str]) -> str | None:
    """The model of that vendor whose name is nearest to an unknown one; `known` are names with their vendor."""
    prefix = f"{vendor.removesuffix('-responses')}:"
    names = [name.removeprefix(prefix) for name in known if name.startswith(prefix)]
    return next(iter(difflib.get_close_matches(model, names, n=1, cutoff=0.4)), None)
