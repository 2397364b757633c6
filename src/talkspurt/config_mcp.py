"""The `[mcp]` section: servers whose tools agents may use, and what the runtime must know of each tool.

    [mcp.servers.warehouse]
    agents = ["retail"]
    url = "https://warehouse.example.com/mcp"
    headers = { Authorization = "Bearer ${WAREHOUSE_TOKEN}" }

    [mcp.servers.warehouse.tools.reserve_item]
    effect = true
    level = 1
    read_back = "I'll put {quantity} of the {item} aside for you. Shall I go ahead?"

The defaults are the cautious ones: a tool that is not declared here is not offered, what a server answers is a
stranger's text, and an error of a tool with an effect leaves open whether something happened.
"""

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from talkspurt.config_secrets import SECRET_NAME
from talkspurt.core.events import Interruptible
from talkspurt.core.language import Kind

VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A blank in `env` or `headers` that the process's environment fills."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

ServerName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class McpExpectation(_Section):
    """What the caller is expected to say once the answer has been spoken, as `Expectation`."""

    kind: Kind = "anything"
    pattern: str = ""


class McpLookup(_Section):
    """A tool of the same server that tells whether the effect with a key happened. It is never offered to a model."""

    tool: str = Field(min_length=1)
    key_argument: str = "idempotency_key"
    """The argument that takes the key."""
    arguments: tuple[str, ...] = ()
    """Arguments of the effect that it needs too."""
    happened: str = "happened"
    """The field of its structured answer that says so, true or false; anything else leaves it open."""


_OF_EFFECTS: Final = (
    "read_back",
    "unspoken",
    "amount_argument",
    "max_amount_cents",
    "key_argument",
    "lookup",
    "settles_within",
    "sets",
)


class McpToolConfig(_Section):
    """What `@tool` declares, for one tool of a server."""

    offered_as: str = ""
    """Its name for the model; default: the server's own, with `_` for what a name may not hold."""
    description: str = ""
    """What the model is told it does; default: the server's words, cleaned and cut short."""
    effect: bool = False
    level: int = Field(0, ge=0, le=2)
    read_back: str = ""
    """Words the effect from its arguments: `{order_id:spell}`; what stands in [brackets] is left out without its
    blanks' values."""
    unspoken: tuple[str, ...] = ()
    """Arguments of an effect that the caller need not hear. Any other that the read-back does not name is refused."""
    account_argument: str = ""
    """The argument that takes the verified account; the model neither sees nor fills it."""
    amount_argument: str = ""
    """The argument with the sum in cents that `max_amount_cents` and policies judge."""
    max_amount_cents: int | None = Field(None, ge=0)
    """As in `@tool`: the highest sum, whatever a policy allows."""
    key_argument: str = ""
    """The argument that takes the idempotency key, hidden from the model; default: it goes into `_meta`."""
    lookup: McpLookup | None = None
    settles_within: float = Field(0.0, ge=0, le=86_400)
    """As in `@tool`: seconds beyond `timeout` after which "it did not happen" is believed of the lookup."""
    sets: tuple[str, ...] | None = None
    """As in `@tool`: arguments that name what the effect sets to the others."""
    errors: Literal["in_doubt", "not_done"] = "in_doubt"
    """What an error that the tool reports says of its effect: "not_done" only if the server promises that."""
    rate: str = ""
    timeout: float = Field(5.0, gt=0, le=600)
    filler: str = ""
    progress: str = ""
    """Said when the server reports progress; what it says of it itself is not repeated to callers."""
    finishes_later: bool = False
    """The conversation goes on while it works, for up to `timeout`, and its answer comes in a later turn."""
    untrusted: bool = True
    """Its answers hold text of strangers; false only for a server that you wrote and data that you wrote."""
    expects: McpExpectation | None = None
    interruptible: Interruptible | None = None
    cancellable: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.effect and not self.read_back.strip():
            raise ValueError("an effect needs read_back: the caller must hear what will be done")
        if self.effect and self.cancellable:
            raise ValueError("a confirmed effect is carried through; drop cancellable")
        if self.finishes_later and (self.effect or self.cancellable):
            raise ValueError(
                "finishes_later is for tools without an effect, and no turn waits for one: drop cancellable"
            )
        if self.account_argument and not self.level:
            raise ValueError("account_argument needs level = 1 or 2: nobody is verified at level 0")
        if self.settles_within and self.lookup is None:
            raise ValueError("settles_within says when to believe a lookup: add one or drop it")
        if not self.effect:
            for key in _OF_EFFECTS:
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key} is for effects: add effect = true or drop it")
        if self.max_amount_cents is not None and not self.amount_argument:
            raise ValueError("max_amount_cents needs amount_argument, which names the cents: without, all is refused")
        return self


class McpServerConfig(_Section):
    """One server: a `command` that speaks over its standard input and output, or the `url` of a streamable HTTP one."""

    agents: tuple[str, ...] = Field(min_length=1)
    """Names in [agents] that are offered its tools."""
    command: str = ""
    """"python" is the interpreter that runs Talkspurt."""
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for the command beside PATH, HOME, LANG and the like; `${NAME}` takes one of our own environment."""
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with each request; `${NAME}` takes a variable of our environment."""
    allow: Literal["declared", "reads"] = "declared"
    """Which tools are offered: the declared ones, or also those that the server itself marks as read-only."""
    level: int = Field(0, ge=0, le=2)
    """The level that undeclared tools need."""
    timeout: float = Field(5.0, gt=0, le=600)
    """Seconds that undeclared tools may take."""
    connect_timeout: float = Field(10.0, gt=0, le=120)
    calls_at_once: int = Field(8, ge=1)
    """Tool calls of a process under way at once, over all telephone calls; one more is refused after a second."""
    longest_message_bytes: int = Field(256 * 1024, ge=4096)
    """A longer answer ends the connection: nothing that long can be said, and reading it would hold up all calls."""
    tools: dict[str, McpToolConfig] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if not url:
            return url
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("must be an address such as https://tools.example.com/mcp")
        if parts.username or parts.password:
            raise ValueError("must not hold a password: put it into headers, from an environment variable")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("must begin with https:// unless the server is on this machine")
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either command or url")
        if self.command and self.headers:
            raise ValueError("headers are for a url; a command gets env")
        if self.url and (self.env or self.arguments):
            raise ValueError("env and arguments are for a command; a url gets headers")
        for key, values in (("env", self.env), ("headers", self.headers)):
            for name, value in values.items():
                if SECRET_NAME.search(name) and not VARIABLE.search(value):
                    raise ValueError(f'{key}.{name} looks like a secret: write "${{NAME}}" and set that variable')
        return self


class McpConfig(_Section):
    """MCP servers by the name that logs and metrics give them."""

    servers: dict[ServerName, McpServerConfig] = Field(default_factory=dict)
