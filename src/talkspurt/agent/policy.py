"""What is allowed, as data: a table of rules per tool that the dispatcher keeps, whatever the model says.

    timezone = "America/New_York"

    [tools.cancel_order]
    statuses = ["pending"]
    facts = {reason = ["no longer needed", "ordered by mistake"]}
    reasons.status = "Only an order that has not been processed can be cancelled."

    [[tools.offer_refund]]            # several rules: one that allows is enough
    level = 1
    max_amount_cents = 10_000
    [[tools.offer_refund]]
    level = 2
    max_amount_cents = 100_000

    [mcp_tools.reserve_item]          # a tool that an MCP server brings along, by the name that the model knows
    max_amount_cents = 5_000

A rule judges the facts of a `ReadBack`, not a model's arguments, and what it needs and is not told it refuses.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from talkspurt.agent.effects import ReadBack
from talkspurt.agent.rates import Rate, parse_rates
from talkspurt.errors import ConfigurationError

Ground = Literal["level", "hours", "amount", "status", "facts"]
"""What a rule refuses for, in the order in which it is judged."""

REASONS: Final[Mapping[Ground, str]] = {
    "level": "The caller has to be verified further before this can be done.",
    "hours": "This can't be done at this time of day.",
    "amount": "The amount is more than I'm allowed to handle.",
    "status": "This can't be done in the state it is in.",
    "facts": "Our rules don't allow this.",
}
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOCK: Final = re.compile(r"[0-9]{2}:[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of the day on some weekdays; `until` midnight is written 24:00."""

    days: frozenset[int]
    since: int
    until: int
    """Minutes after midnight."""

    def contain(self, moment: datetime) -> bool:
        """Whether a local time lies in them."""
        return moment.weekday() in self.days and self.since <= moment.hour * 60 + moment.minute < self.until


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a policy does not allow something."""

    ground: Ground
    reason: str
    """A sentence that the agent can say."""


def _listed(rules: Any) -> Any:
    # No rule at all would allow everything, and whoever wrote the tool's name down wanted to limit it.
    if rules == []:
        raise ValueError("states no rule, and so no limit: write one, or leave the tool out")
    return (rules,) if isinstance(rules, dict) else rules


def amount_allowed(cents: int | None, most: int | None) -> bool:
    """Whether an amount, whichever way it moves, is within a limit: any is within None, and none that is not stated."""
    return most is None or (cents is not None and abs(cents) <= most)


def _at_most(value: str | int | None, most: int) -> bool:
    return isinstance(value, int) and value <= most


def _rates(text: Any) -> tuple[Rate, ...]:
    if not isinstance(text, str) or not text.strip():
        raise ValueError('must be a text such as "3/call, 20/hour"')
    return parse_rates(text)


def _hours(text: Any) -> tuple[Hours, ...]:
    try:
        return tuple(_span(part.split()) for part in text.split(","))
    except (ValueError, AttributeError):
        raise ValueError(f'{text!r} must be like "08:00-20:00" or "Mon-Fri 08:00-20:00, Sat 10:00-14:00"') from None


def _span(words: list[str]) -> Hours:
    *days, clock = words
    since, until = (_minutes(part) for part in clock.split("-"))
    if since >= until or len(days) > 1:
        raise ValueError(words)
    first, _, last = days[0].partition("-") if days else ("Mon", "", "Sun")
    named = range(DAYS.index(first), DAYS.index(last or first) + 1)
    if not named:
        raise ValueError(words)
    return Hours(frozenset(named), since, until)


def _minutes(text: str) -> int:
    if text == "24:00":
        return 24 * 60
    # A zone would be dropped in silence: the policy's own is the one that counts.
    if not _CLOCK.fullmatch(text):
        raise ValueError(text)
    moment = time.fromisoformat(text)
    return moment.hour * 60 + moment.minute


class Rule(BaseModel):
    """One rule of one tool. What is not stated is not limited."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    level: int = Field(0, ge=0, le=2)
    """Verification level that the caller needs, if the tool itself does not ask for a higher one."""
    max_amount_cents: int | None = Field(None, ge=0)
    statuses: tuple[str, ...] | None = None
    """Values of `ReadBack.status` that are allowed."""
    facts: dict[str, tuple[str | int, ...]] = Field(default_factory=dict)
    """Values of `ReadBack.facts` that are allowed, by name."""
    max_facts: dict[str, int] = Field(default_factory=dict)
    """Highest numbers of `ReadBack.facts` that are allowed, by name."""
    hours: Annotated[tuple[Hours, ...], BeforeValidator(_hours)] = ()
    """When it is allowed: "08:00-20:00" or "Mon-Fri 08:00-20:00, Sat 10:00-14:00"."""
    rate: Annotated[tuple[Rate, ...], BeforeValidator(_rates)] = ()
    """As in `@tool(rate=…)`; both are kept."""
    reasons: dict[Ground, str] = Field(default_factory=dict)
    """Sentences that the agent can say when it refuses, by what it refuses for."""

    def refusal(self, *, level: int, read_back: ReadBack | None, now: datetime) -> Refusal | None:
        """Why it refuses; None when it allows. Without a read-back only level and hours are judged."""
        ground = self._ground(level, read_back, now)
        return None if ground is None else Refusal(ground, self.reasons.get(ground, REASONS[ground]))

    def _ground(self, level: int, read_back: ReadBack | None, now: datetime) -> Ground | None:
        if level < self.level:
            return "level"
        if self.hours and not any(span.contain(now) for span in self.hours):
            return "hours"
        if read_back is None:
            return None
        if not amount_allowed(read_back.amount_cents, self.max_amount_cents):
            return "amount"
        if self.statuses is not None and read_back.status not in self.statuses:
            return "status"
        return None if self._facts_allowed(read_back.facts) else "facts"

    def _facts_allowed(self, facts: Mapping[str, str | int]) -> bool:
        named = all(name in facts and facts[name] in allowed for name, allowed in self.facts.items())
        return named and all(_at_most(facts.get(name), most) for name, most in self.max_facts.items())


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules by tool. Made by `load` or `parse`; a tool without rules is limited only by its own declarations."""

    rules: Mapping[str, Sequence[Rule]] = field(default_factory=dict)
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    mcp_tools: frozenset[str] = frozenset()
    """Those of `rules` that are for tools of MCP servers, which the agent itself does not have."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file. Raises `ConfigurationError` with one line per mistake."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the policy {path}: {error}") from None
        return cls.parse(text, name=path.name)

    @classmethod
    def parse(cls, text: str, *, name: str = "policy") -> Self:
        """Read TOML text. Raises `ConfigurationError` with one line per mistake."""
        try:
            table = _Table.validate_python(tomllib.loads(text))
            timezone = ZoneInfo(table.timezone)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{name} is not valid TOML: {error}") from None
        except ValidationError as error:
            lines = (f"{name}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigurationError("\n".join(lines)) from None
        except (KeyError, ValueError, OSError):
            raise ConfigurationError(
                f"{name}: timezone '{table.timezone}' is not known; write e.g. America/New_York"
            ) from None
        if twice := table.tools.keys() & table.mcp_tools.keys():
            raise ConfigurationError(f"{name}: {', '.join(sorted(twice))}: in tools or in mcp_tools, not in both")
        return cls({**table.tools, **table.mcp_tools}, timezone, frozenset(table.mcp_tools))

    def rates(self, tool: str) -> tuple[Rate, ...]:
        """All rates that are stated for a tool."""
        return tuple(rate for rule in self.rules.get(tool, ()) for rate in rule.rate)

    def limits_amount(self, tool: str) -> bool:
        """Whether a rule of a tool judges the amount that its read-back has to state then."""
        return any(rule.max_amount_cents is not None for rule in self.rules.get(tool, ()))

    def refusal(self, tool: str, *, level: int, now: datetime, read_back: ReadBack | None = None) -> Refusal | None:
        """Why `tool` is not allowed; None when one of its rules allows it, or it has none.

        `now` is a moment with its zone. Without a read-back only level and hours are judged. Of several refusals the
        one of the highest level that the caller has reached is told.
        """
        local = now.astimezone(self.timezone)
        refusals = []
        for rule in sorted(self.rules.get(tool, ()), key=lambda rule: rule.level):
            refusal = rule.refusal(level=level, read_back=read_back, now=local)
            if refusal is None:
                return None
            refusals.append(refusal)
        reached = [refusal for refusal in refusals if refusal.ground != "level"]
        return reached[-1] if reached else refusals[0] if refusals else None


_Rules = dict[str, Annotated[tuple[Rule, ...], BeforeValidator(_listed)]]


class _PolicyTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str = "UTC"
    tools: _Rules = Field(default_factory=dict)
    mcp_tools: _Rules = Field(default_factory=dict)


_Table: Final = TypeAdapter(_PolicyTable)
