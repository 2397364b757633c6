"""One typed, frozen configuration, read once at the edge.

Sources, strongest first: environment (`TALKSPURT_SERVER__PORT=8081`), a TOML file
(`talkspurt.toml`, or the file `TALKSPURT_CONFIG` names), the defaults below. A few
settings also go by the name their vendor documents (`TWILIO_AUTH_TOKEN`).
An unknown key is an error that names the nearest known one.
"""

import difflib
import os
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from talkspurt.config_mcp import McpConfig
from talkspurt.config_secrets import without_logins
from talkspurt.config_speech import ChoiceConfig, LivekitOptions, SpeechConfig
from talkspurt.errors import ConfigurationError

__all__ = ["ChoiceConfig", "Config", "LivekitOptions", "McpConfig", "SpeechConfig", "load_config"]

ENVIRONMENT_PREFIX = "TALKSPURT_"
NOT_SETTINGS = frozenset({"TALKSPURT_CONFIG", "TALKSPURT_RETAIL_DATABASE", "TALKSPURT_SHARED_DATA"})
"""Variables with our prefix that are no key of the configuration: the bundled agent and the tests read them."""
VENDOR_NAMES = {
    "TWILIO_ACCOUNT_SID": ("twilio", "account_sid"),
    "TWILIO_AUTH_TOKEN": ("twilio", "auth_token"),
    "TWILIO_AUTH_TOKEN_SECONDARY": ("twilio", "auth_token_secondary"),
}
"""Variables that carry their vendor's own name."""
CALLS_PER_WORKER = 75
"""What one core holds with networked providers at 0.2 s of added latency: in one of two runs (docs/capacity.md)."""

SMALLEST_WINDOW: Final = 1_000
"""Tokens of a model's window."""
BEHIND: Final = 1.0
"""Seconds that others wait for a provider beyond the ladder's patience with it (`fallbacks`): that one is to tell."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _cores() -> int:
    """How many cores this process may use; not more workers than there can be."""
    if sys.platform == "win32":
        return 1  # workers reach each other over Unix sockets
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 64)


class ServerConfig(_Section):
    """Where the server listens and what the world calls it."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    public_url: str | None = None
    """Origin that the carrier dials, e.g. `https://voice.example.com`; signatures are checked against it."""
    development: bool = False
    """Accept unsigned webhooks and sockets. Only for a server that nobody else can reach."""
    workers: int = Field(default_factory=_cores, ge=1, le=64)
    """Processes that take calls on the one port; default: one for each core that this process may use. With 1 there is
    no supervisor: whoever started the server starts it again."""
    max_calls: int = Field(default_factory=lambda given: CALLS_PER_WORKER * given["workers"], ge=1)
    """Calls at once on this machine; one more is told that all lines are busy, or waits. Default: 75 a worker."""
    lag_limit: float = Field(0.06, gt=0)
    """Seconds by which a worker's 20 ms clock may tick late (p99 over 5 s) until it takes no more calls. Open again
    below half of it."""
    lateness_limit: float = Field(0.02, gt=0)
    """Seconds by which audio may go to the carrier later than its lead allows (p99 over 5 s), likewise."""
    stall_limit: float = Field(2.0, gt=0)
    """Seconds for which a worker may do nothing at all until it is ended, so that its calls go on in another."""
    when_full: Literal["refuse", "wait"] = "refuse"
    """Whether a caller for whom there is no room is told so and hung up on, or waits."""
    longest_wait: float = Field(60.0, gt=0)
    """Seconds of such waiting until he is told that all lines are busy after all."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses of our own reverse proxies: their `X-Forwarded-For` is believed when requests are counted."""
    shutdown_grace: float = Field(30.0, ge=0)
    """Seconds that running calls may take to finish after SIGTERM."""

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        value = value.rstrip("/")
        scheme, _, rest = value.partition("://")
        if scheme not in ("https", "http") or not rest or "/" in rest or "?" in rest:
            raise ValueError("must be an origin such as https://voice.example.com, with no path")
        return value

    @model_validator(mode="after")
    def _public_means_tls(self) -> Self:
        if self.public_url is not None and self.public_url.startswith("http://") and not self.development:
            raise ValueError(
                "public_url must begin with https://: Twilio opens its media socket over TLS only "
                "(http:// is for development = true)"
            )
        return self


class TwilioConfig(_Section):
    """The Twilio account. Without an auth token every webhook is refused (unless in development)."""

    account_sid: str | None = None
    auth_token: SecretStr | None = None
    auth_token_secondary: SecretStr | None = None
    """The other token while tokens are being rotated."""
    api_url: str = "https://api.twilio.com"
    """Where Twilio's REST interface is; another one for tests, or behind a proxy of your own."""


class LimitsConfig(_Section):
    """Rates such as `600/minute`, `20/5 minutes`, `10 per hour`. The first is counted before authentication."""

    requests_per_address: str = "600/minute"
    calls_per_caller: str = "10/minute"


class StoreConfig(_Section):
    """Where calls, turns and effects are kept."""

    url: str = "sqlite+aiosqlite:///talkspurt.db"


class InferenceConfig(_Section):
    """How local models are run: Whisper, Piper and Smart Turn."""

    processes: int = Field(1, ge=0)
    """Processes that all workers of a machine share. 0: threads of each worker, which delay the frames of its calls."""
    threads: int | None = Field(None, ge=1)
    """Pieces of inference done at once, in all processes; default: one for each core that they may use."""
    patience: float = Field(3.0, gt=0)
    """Seconds after which words or speech that have not come are given up."""
    sockets: tuple[Path, ...] = ()
    """Where the processes listen. Whoever starts them sets this; without it a worker does everything itself."""

    @property
    def pieces_at_once(self) -> int:
        """`threads`, or what the cores allow."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or cores


class ModelConfig(_Section):
    """Who thinks: `offline`, or `<vendor>:<model>` (docs/providers.md); `scripted` for trials (see `[scripted]`).

    `model = "<vendor>:<model>"` is short for its name alone.
    """

    name: str = "offline"
    base_url: str | dict[str, str] | None = None
    """Where the vendor's interface is, for a server of your own or a region; default: the vendor's own address. With
    fallbacks by vendor: `{vllm = "http://10.0.0.5:8000/v1"}`; a text alone is that of the vendor in `name`."""
    voice: str = ""
    """Of a model that speaks itself, by its vendor's name; "" for the vendor's default."""
    max_tokens: int = Field(300, ge=1)
    """The longest reply; some 200 words, which take more than a minute to say."""
    context_window: int | dict[str, int] | None = None
    """Tokens that the model takes, for a server that was given another window than is known of the model. With
    fallbacks and choices by name: `{"ollama:qwen3" = 16384}`; a number alone is that of the model in `name`."""
    known_answers: int = Field(0, ge=0, le=10_000)
    """Answers to common questions that are kept, and told again without asking the model; 0 for none."""

    @field_validator("base_url")
    @classmethod
    def _of_the_vendor(cls, value: str | dict[str, str] | None, info: ValidationInfo) -> dict[str, str]:
        if isinstance(value, str):
            value = {info.data.get("name", "").partition(":")[0].strip(): value}
        return without_logins(value or {})

    @field_validator("context_window")
    @classmethod
    def _of_the_model(cls, value: int | dict[str, int] | None, info: ValidationInfo) -> dict[str, int]:
        windows = {info.data.get("name", ""): value} if isinstance(value, int) else value or {}
        for tokens in windows.values():
            if tokens < SMALLEST_WINDOW:
                raise ValueError(f"{tokens} tokens are too few for a conversation: at least {SMALLEST_WINDOW}")
        return windows

    @property
    def window(self) -> int | None:
        """The tokens that the model in `name` takes; None for what is known of it."""
        return self.context_window.get(self.name) if isinstance(self.context_window, dict) else None

    def address(self, vendor: str) -> str | None:
        """Where that vendor's interface is; None for its own address."""
        return self.base_url.get(vendor) if isinstance(self.base_url, dict) else None


class FallbacksConfig(_Section):
    """Who takes over, within the call, when the recognizer, synthesizer or model fails: in this order, the best first.

    With `speech.recognizer = "deepgram"` and `recognizers = ["whisper"]` here, callers are heard by Deepgram while it
    answers in time, and by the local model otherwise.
    """

    recognizers: tuple[str, ...] = ()
    synthesizers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    capacity: dict[str, int] = Field(default_factory=dict)
    """Calls (recognizers) or requests (the others) at once that a provider bears, by its name: `{whisper = 8}`. One
    more goes on to the next: what a cloud bore falls on no single machine's local models."""
    transcript: float = Field(1.5, gt=0, le=10)
    """Seconds that a recognizer may take for the words of an utterance that is over."""
    first_token: float = Field(1.5, gt=0, le=10)
    """Seconds that a model may take until its first word or tool call."""
    first_audio: float = Field(1.0, gt=0, le=10)
    """Seconds that a synthesizer may take until its first audio, and a recognizer until it listens (3 at most)."""
    stall: float = Field(1.5, gt=0, le=10)
    """Seconds of silence in the middle of a reply or of speech (there 3 at most) after which a provider counts as
    hung."""
    patience: dict[str, Annotated[float, Field(gt=0, le=30)]] = Field(default_factory=dict)
    """The same for one provider, by its name: `{"ollama:qwen3" = 6.0}`. Seconds that a recognizer may take for the
    words, a model until its first word, a synthesizer until its first audio."""
    voices: dict[str, str] = Field(default_factory=dict)
    """With which voice a synthesizer speaks when it takes over, by its name: `{piper = "joe"}`; its own otherwise."""
    hedged: bool = True
    """Ask a provider a second time, beside the first, as soon as it is slower than it is nine times in ten."""

    def below(self, port: Literal["recognizers", "synthesizers", "models"], names: tuple[str, ...]) -> Self:
        """These rules for a choice of `names`: their rest takes over, or, of one alone, who did before."""
        rest = names[1:] or tuple(name for name in getattr(self, port) if name != names[0])
        return self.model_copy(update={port: rest})

    @field_validator("capacity")
    @classmethod
    def _can_be_used(cls, value: dict[str, int]) -> dict[str, int]:
        for name, most in value.items():
            if most < 1:
                raise ValueError(f"{name} must bear at least 1; leave it out of the fallbacks to use it never")
        return value


class ScriptedConfig(_Section):
    """What the scripted providers of `talkspurt.testing` say, and when, in seconds: to measure what a server adds."""

    heard: str = "please tell me about my order number 5{number:04}"
    """Transcript of every utterance; `{number}` counts them, as Python's `str.format` writes it. A whole order number,
    because a caller who has said half of one is waited for."""
    final_after: float = Field(0.3, ge=0)
    """From the caller's last sound to the final transcript."""
    reply: tuple[str, ...] = ("Order {number} is with you. ", "The parcel for {number} left today.")
    """Sentences of every reply; `{number}` has five digits and is never the same twice in a row."""
    tokens: tuple[int, ...] = (8, 12)
    """Tokens that each sentence is cut into."""
    first_token: float = Field(0.15, ge=0)
    between_tokens: float = Field(0.01, ge=0)
    first_byte: float = Field(0.08, ge=0)
    """From a sentence to the first sound of its speech."""
    speed: float = Field(4.0, gt=0)
    """How many times faster than it is spoken speech is delivered."""
    letters_per_second: float = Field(20.0, gt=0)

    @model_validator(mode="after")
    def _tokens_for_all(self) -> Self:
        if len(self.tokens) != len(self.reply) or min(self.tokens, default=1) < 1:
            raise ValueError("scripted.tokens needs a number of at least 1 for each sentence of scripted.reply")
        return self


class ConversationConfig(_Section):
    """Timing of the conversation, in seconds."""

    endpoint_silence: float = Field(1.0, gt=0, le=5)
    """Silence after the caller's last voiced sample that ends a turn whose words may be all or not. A clear answer to
    what was asked ends it sooner, half an order number later (see docs/turn-taking.md)."""
    speculative: bool = True
    """Let the model begin its reply while the silence is still waited for; what was guessed wrongly is thrown away."""
    barge_in_voiced: float = Field(0.096, gt=0, le=2)
    """Voice needed before it counts as speech; a window less where the detector is sure."""
    silence_prompt: float = Field(10.0, gt=0)
    """Silence of both sides until the agent asks whether the caller is there."""
    silence_hangup: float = Field(30.0, gt=0)
    """Silence of the caller until the agent says goodbye and hangs up."""
    max_call: float = Field(1800.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.silence_hangup <= self.silence_prompt:
            raise ValueError("silence_hangup must be longer than silence_prompt")
        return self


class NumberConfig(_Section):
    """What answers one of our numbers. `number` "*" is the rest."""

    number: str
    agent: str = "retail"
    locale: str = "en-US"


class TargetConfig(_Section):
    """A place that calls may be handed over to. `billing = "+12025550123"` is short for its number alone."""

    number: str
    kind: Literal["cold", "warm"] = "cold"
    """cold: the caller hears the telephone ring there. warm: somebody there hears a briefing first and presses 1 to
    take the call, while the caller waits; that needs `twilio.account_sid`."""
    ring: int = Field(25, ge=5, le=90)
    """Seconds that the telephone rings."""
    lines: int = Field(1, ge=1)
    """Callers who may be there at once; further ones wait in a queue."""
    hours: tuple[str, ...] = ()
    """When somebody is there: `["mon-fri 09:00-17:00", "sat 10:00-13:00"]`; empty: always."""
    closed: tuple[date, ...] = ()
    """Days on which nobody is there, whatever `hours` says."""
    time_zone: str | None = None
    otherwise: str | None = None
    """The target that is tried when nobody takes the call here."""


class HandoverConfig(_Section):
    """Handing calls over to people. Targets are names that the model may use, for numbers that it never sees."""

    targets: dict[str, TargetConfig] = Field(default_factory=dict)
    countries: tuple[str, ...] = ("US", "CA")
    """ISO countries whose numbers may be dialled."""
    time_zone: str = "UTC"
    """Of the opening hours, for targets that name none of their own."""
    max_wait: float = Field(600.0, gt=0)
    """Seconds a caller waits in a queue until the agent takes them back."""
    hold_music: str | None = None
    """URL of a recording of 20 to 30 s that callers hear while they wait; without one there are words and silence. Only
between two plays are they told their position, and does the next of them get a line that has become free."""
    detect_voicemail: bool = True
    """Let the carrier tell an answering machine from a person. It never gets a caller either way: it presses no key."""

    @field_validator("targets", mode="before")
    @classmethod
    def _number_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"number": target} if isinstance(target, str) else target for name, target in value.items()}

    @field_validator("hold_music")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("must be a URL such as https://example.com/hold.mp3")
        return value


class Config(_Section):
    """The whole configuration."""

    server: ServerConfig = ServerConfig()
    twilio: TwilioConfig = TwilioConfig()
    limits: LimitsConfig = LimitsConfig()
    store: StoreConfig = StoreConfig()
    speech: SpeechConfig = SpeechConfig()
    inference: InferenceConfig = InferenceConfig()
    model: ModelConfig = ModelConfig()
    fallbacks: FallbacksConfig = FallbacksConfig()
    choices: tuple[ChoiceConfig, ...] = ()
    scripted: ScriptedConfig = ScriptedConfig()
    conversation: ConversationConfig = ConversationConfig()
    handover: HandoverConfig = HandoverConfig()
    mcp: McpConfig = McpConfig()
    journals: Path | None = None
    """Folder for a journal of every call: when which fact came and what was decided, without anyone's words."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    agents: dict[str, str] = Field(default_factory=lambda: {"retail": "talkspurt.retail:create_agent"})
    """Name to `module:attribute`: an `Agent`, or a function without arguments that makes one."""
    numbers: tuple[NumberConfig, ...] = (NumberConfig(number="*"),)

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _numbers_have_agents(self) -> Self:
        for entry in self.numbers:
            if entry.agent not in self.agents:
                raise ValueError(f"number {entry.number} names agent '{entry.agent}', which is not in [agents]")
        for choice in self.choices:
            if choice.agent not in ("*", *self.agents):
                raise ValueError(f"choices names agent '{choice.agent}', which is not in [agents]")
        for name, server in self.mcp.servers.items():
            for agent in server.agents:
                if agent not in self.agents:
                    raise ValueError(f"mcp.servers.{name} names agent '{agent}', which is not in [agents]")
        return self

    @model_validator(mode="after")
    def _settings_speak_of_who_is_asked(self) -> Self:
        rules, voices, models = self.fallbacks, self.asked("synthesizer"), self.asked("model")
        others = self.asked("recognizer") | models
        windows = self.model.context_window if isinstance(self.model.context_window, dict) else {}
        for setting, names, asked in (
            ("fallbacks.voices", rules.voices, voices),
            ("fallbacks.patience", rules.patience, voices | others),
            ("fallbacks.capacity", rules.capacity, voices | others),
            ("model.context_window", windows, models),
        ):
            for name in names:
                if name not in asked:
                    near = difflib.get_close_matches(name, asked, n=1, cutoff=0.0)[0]
                    raise ValueError(
                        f"{setting} names '{name}', which nobody asks; did you mean '{near}'? "
                        f"(asked: {', '.join(sorted(asked))})"
                    )
        return self

    def asked(self, port: Literal["recognizer", "synthesizer", "model"]) -> set[str]:
        """The names of all of that port who may be asked, for whatever agent and in whatever language."""
        first = self.model.name if port == "model" else getattr(self.speech, port)
        chosen = (name for choice in self.choices for name in getattr(choice, port))
        return {first, *getattr(self.fallbacks, f"{port}s"), *chosen}

    def chosen(self, agent: str, locale: str) -> "Config":
        """The configuration for calls of `agent` in `locale`: with what `choices` say, the narrowest last."""
        speech, model, fallbacks = self.speech, self.model, self.fallbacks
        for choice in sorted(self.choices, key=lambda choice: choice.narrowness):
            if not choice.fits(agent, locale):
                continue
            voice = {} if choice.voice is None else {"voice": choice.voice}
            if choice.recognizer:
                speech = speech.model_copy(update={"recognizer": choice.recognizer[0]})
                fallbacks = fallbacks.below("recognizers", choice.recognizer)
            if choice.synthesizer:
                # A voice is one of its own synthesizer's.
                speech = speech.model_copy(update={"synthesizer": choice.synthesizer[0], "voice": "", **voice})
                fallbacks = fallbacks.below("synthesizers", choice.synthesizer)
            elif voice:
                speech = speech.model_copy(update=voice)
            if choice.model:
                # So is the voice of a model that speaks itself.
                same = choice.model[0].partition(":")[0] == model.name.partition(":")[0]
                kept = model.voice if same and choice.model_voice is None else choice.model_voice or ""
                model = model.model_copy(update={"name": choice.model[0], "voice": kept})
                fallbacks = fallbacks.below("models", choice.model)
        return self.model_copy(update={"speech": speech, "model": model, "fallbacks": fallbacks})

    @property
    def spoken(self) -> tuple[tuple[str, str], ...]:
        """Which agents answer, and in which locale, each pair once; the first is that of the first number."""
        return tuple(dict.fromkeys((entry.agent, entry.locale) for entry in self.numbers))

    def number(self, dialled: str) -> NumberConfig | None:
        """What answers `dialled` (E.164), or None when nothing does."""
        wildcard = None
        for entry in self.numbers:
            if entry.number == dialled:
                return entry
            if entry.number == "*":
                wildcard = entry
        return wildcard


def load_config(path: Path | None = None, environment: dict[str, str] | None = None) -> Config:
    """Read the configuration from `path` (default: as the module says) and the environment.

    Raises `ConfigurationError` with one line per mistake, each naming the key and what to do.
    """
    environment = dict(os.environ) if environment is None else environment
    named = path or (Path(environment["TALKSPURT_CONFIG"]) if environment.get("TALKSPURT_CONFIG") else None)
    local = Path("talkspurt.toml")
    values = _read_toml(named) if named else _read_toml(local) if local.exists() else {}
    for name, (section, key) in VENDOR_NAMES.items():
        if environment.get(name):
            _set(values, [section, key], environment[name], name)
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and name not in NOT_SETTINGS:
            _set(values, name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), value, name)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        # A default that follows from what is wrong is no mistake of its own.
        mistakes = [detail for detail in error.errors() if detail["type"] != "default_factory_not_called"]
        raise ConfigurationError("\n".join(_sentence(detail) for detail in mistakes)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None


def _set(values: dict[str, Any], keys: list[str], value: str, variable: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigurationError(f"{variable}: '{key}' is a single value, not a section")
    values[keys[-1]] = value


def _sentence(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] != "extra_forbidden":
        return f"{where or 'configuration'}: {detail['msg']}"
    known = _known_keys(Config, [str(part) for part in detail["loc"][:-1]])
    near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=0.0)
    return f"{where}: unknown key; did you mean '{near[0]}'?" if near else f"{where}: unknown key"


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Names of the settings at `path`; a section in a table or list of sections is known by what the table holds."""
    section: Any = model
    for part in path:
        field = section.model_fields.get(part) if _is_section(section) else None
        # Otherwise it is the name or number of an entry, whose section is found already.
        if field is not None:
            section = next((kind for kind in _kinds(field.annotation) if _is_section(kind)), section)
    return list(section.model_fields)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *get_args(annotation))


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
