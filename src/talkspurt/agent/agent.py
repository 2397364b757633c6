"""An agent: what it is told, what it can do, how it sounds.

An `Agent` is a frozen value, shared by all calls it answers; it is checked when it is made, so
that a mistake stops the server's start and never a call.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import get_args

from talkspurt.agent.dialogue import Dialogue
from talkspurt.agent.expectations import AgentLanguage, compiled
from talkspurt.agent.policy import Policy
from talkspurt.agent.prompt import Prompt
from talkspurt.agent.tools import Tool
from talkspurt.core.events import Interruptible
from talkspurt.core.language import Expectation, Language
from talkspurt.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Voice:
    """Which voice speaks: the synthesizer vendor's own name, "" for its default."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class MenuKey:
    """A key that a caller who cannot be heard may press: `MenuKey("1", "your order", "Where is my order?")`."""

    key: str
    """One of 0 to 9."""
    offer: str
    """What it is for, as it follows "For ...": "your order", "a person"."""
    words: str
    """What the caller is then taken to have said."""


@dataclass(frozen=True, slots=True)
class Policies:
    """Limits that the runtime keeps, whatever the model says."""

    max_call_minutes: float = 30.0
    verification_attempts: int = 3
    """Failed attempts in one call after which nobody is verified any more."""
    attempts_per_account: int = 5
    """Failed attempts at one account within a day, by whomever, after which it is not verified any more."""
    attempts_per_number: int = 10
    """Failed attempts from one caller's number within a day after which nobody is verified any more there."""
    attempts_withheld: int = 50
    """Failed attempts within a day of all callers who withhold their number, together, after which none of them is
    verified any more: whoever guesses cannot be told from the others."""
    accounts_per_call: int | None = None
    """Accounts that may be verified in one call, one after the other; None for any number."""
    max_tool_rounds: int = 6
    """Tool rounds within one turn before the agent must speak."""
    interruptible: Interruptible = "voice"
    """What may stop the agent's replies: the caller's "voice" (or keys), only the "keypad", or "never" anything."""

    def __post_init__(self) -> None:
        for name in (
            "max_call_minutes",
            "verification_attempts",
            "attempts_per_account",
            "attempts_per_number",
            "attempts_withheld",
            "accounts_per_call",
            "max_tool_rounds",
        ):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ConfigurationError(f"policies: {name} must be greater than 0, not {limit}")
        if self.interruptible not in get_args(Interruptible):
            raise ConfigurationError(
                f"policies: interruptible must be one of {', '.join(get_args(Interruptible))}, "
                f"not '{self.interruptible}'"
            )


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, shared by all calls it answers; it holds no state of a call.

    Raises `ConfigurationError` when a part is missing or two tools have the same name.
    """

    name: str
    prompt: str | Prompt
    """What a language model is told of its part; a text alone is the persona of a `Prompt` with the voice rules."""
    greeting: str
    tools: Sequence[Tool] = ()
    voice: Voice = field(default_factory=Voice)
    policies: Policies = field(default_factory=Policies)
    dialogue: Dialogue | None = None
    """How to hold the conversation when no language model is configured (see `talkspurt.models.offline`)."""
    announcement: str = ""
    """What the law wants callers to hear, said before the greeting; nothing stops it, and keys pressed then wait."""
    expects: Mapping[str, Expectation] = field(default_factory=dict)
    """What the caller is expected to answer when the agent's last question has these words in it (a regular expression;
    the first that fits): `{"membership code": Expectation("identifier", r"[A-Z]{2}\\d{6}")}`. An answer is waited for
    until it is whole. Questions about e-mail, ZIP code, phone number, name, yes or no need no statement."""
    menu: Sequence[MenuKey] = ()
    """Offered when a caller's words were not heard three times in a row, whoever is to blame; without it the agent ends
    the call then, or hands it over."""
    policy: Policy = field(default_factory=Policy)
    """Rules that the dispatcher keeps for the tools: levels, amounts, states, hours, rates. `Policy.load(path)`."""
    lifespan: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    """Entered once when the server starts, left when it stops: open databases and clients here."""
    instructions: str = field(init=False, repr=False)
    """The prompt as the one text that a model is given: the same, byte for byte, for all calls."""

    def __post_init__(self) -> None:
        prompt = Prompt(self.prompt) if isinstance(self.prompt, str) else self.prompt
        for part, text in (("name", self.name), ("prompt", prompt.persona), ("greeting", self.greeting)):
            if not text.strip():
                raise ConfigurationError(f"agent '{self.name}': {part} is empty")
        object.__setattr__(self, "instructions", prompt.text())
        object.__setattr__(self, "tools", tuple(self.tools))
        compiled(f"agent '{self.name}'", self.expects)
        self._check_menu()
        seen: set[str] = set()
        for entry in self.tools:
            if not isinstance(entry, Tool):
                called = getattr(entry, "__name__", repr(entry))
                raise ConfigurationError(f"agent '{self.name}': {called} is not a tool: put @tool above it")
            if entry.unbound:
                raise ConfigurationError(
                    f"agent '{self.name}': tool '{entry.name}' is a method without its object: "
                    f"pass it from the object, e.g. shop.{entry.name}"
                )
            if entry.name in seen:
                raise ConfigurationError(f"agent '{self.name}': two tools are called '{entry.name}'")
            seen.add(entry.name)
        for name in self.policy.rules.keys() - self.policy.mcp_tools - seen:
            near = get_close_matches(name, sorted(seen), n=1, cutoff=0.0)
            raise ConfigurationError(
                f"agent '{self.name}': its policy has rules for '{name}', which is none of its tools (those of MCP "
                "servers stand under mcp_tools)" + (f"; did you mean '{near[0]}'?" if near else "")
            )

    def _check_menu(self) -> None:
        object.__setattr__(self, "menu", tuple(self.menu))
        keys = [entry.key for entry in self.menu]
        for entry in self.menu:
            if len(entry.key) != 1 or entry.key not in "0123456789" or keys.count(entry.key) > 1:
                raise ConfigurationError(
                    f"agent '{self.name}': menu key '{entry.key}' must be one digit that no other entry has"
                )
            if not entry.offer.strip() or not entry.words.strip():
                raise ConfigurationError(
                    f"agent '{self.name}': menu key '{entry.key}' needs what it is for and what it stands for"
                )

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def language(self, language: Language) -> Language:
        """The locale's `language`, with what this agent states of its own questions. Make it once per agent."""
        return AgentLanguage(language, compiled(f"agent '{self.name}'", self.expects), self.dialogue)
