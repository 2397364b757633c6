"""What calls cost: measured usage times a price list with dates and sources.

Pure arithmetic. A price that is not known makes the cost of its line unknown (None), and the total a lower bound; it is
never taken for nothing.
"""

import math
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from talkspurt.errors import ConfigurationError
from talkspurt.telemetry.usage import Leg, Unit

Used = Mapping[tuple[Leg, str, Unit], float]
Part = Literal["recognition", "model", "synthesis", "hosting", "carrier"]
"""What a call's price is made of; hosting follows from its length."""


class _Price(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str
    """When it was looked up: "2026-11"."""
    source: str


class _Minutes(_Price):
    minute: float = Field(ge=0)


class _Hearing(_Minutes):
    hears: Literal["line", "utterances"] = "line"
    """What it is sent and bills: all of the line, or not the silence between utterances."""


class _Characters(_Price):
    thousand_characters: float = Field(ge=0)


class _Tokens(_Price):
    input: float = Field(ge=0)
    """Dollars for a million; so are the others."""
    cached: float = Field(ge=0)
    output: float = Field(ge=0)
    audio_input: float | None = Field(None, ge=0)
    """Of sound, for models that hear and speak themselves; so are the next two."""
    audio_cached: float | None = Field(None, ge=0)
    audio_output: float | None = Field(None, ge=0)


class _Server(_Price):
    hour: float = Field(ge=0)
    calls: int = Field(ge=1)


class Prices(BaseModel):
    """A price list, by part and provider. Dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recognition: dict[str, _Hearing] = {}
    synthesis: dict[str, _Characters] = {}
    model: dict[str, _Tokens] = {}
    carrier: dict[str, _Minutes] = {}
    hosting: dict[str, _Server] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a list; default: the one that comes with the package. Raises `ConfigurationError`."""
        name = "the bundled price list" if path is None else str(path)
        try:
            text = (path or files("talkspurt.telemetry") / "prices.toml").read_text(encoding="utf-8")
            return cls.model_validate(tomllib.loads(text))
        except OSError as error:
            raise ConfigurationError(f"cannot read {name}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{name} is not valid TOML: {error}") from None
        except ValidationError as error:
            where = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise ConfigurationError(f"{name}: {where}") from None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill of an average call."""

    part: Part
    vendor: str
    amount: str
    """In words, with its unit."""
    cost: float | None
    """Dollars a call; None when the price is not known."""
    source: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What an average call costs."""

    lines: tuple[Line, ...]
    minutes: float
    """Of an average call."""

    @property
    def known(self) -> float:
        """Dollars a call, as far as prices are known."""
        return math.fsum(line.cost for line in self.lines if line.cost is not None)

    @property
    def complete(self) -> bool:
        """Whether all prices are known; otherwise `known` is a lower bound."""
        return all(line.cost is not None for line in self.lines)


def reckon(used: Used, prices: Prices, *, instead: Mapping[Leg, str] | None = None) -> Bill:
    """The bill of a call that used so much.

    `instead` names another provider for a leg: what the same call would cost there.
    """
    measured: defaultdict[tuple[Leg, str], dict[Unit, float]] = defaultdict(dict)
    for (leg, vendor, unit), amount in used.items():
        measured[leg, vendor][unit] = amount
    sums: defaultdict[tuple[Leg, str], defaultdict[Unit, float]] = defaultdict(lambda: defaultdict(float))
    for (leg, vendor), units in measured.items():
        other = (instead or {}).get(leg, vendor)
        swapped = leg == "recognition" and other != vendor
        theirs = _sent_to_another(units, prices.recognition.get(other)) if swapped else units
        for unit, amount in theirs.items():
            sums[leg, other][unit] += amount
    minutes = sum(units.get("seconds", 0.0) for (leg, _), units in sums.items() if leg == "carrier") / 60
    lines = [_line(leg, vendor, units, prices) for (leg, vendor), units in sums.items()]
    if "model" in (instead or {}):
        lines = [_of_words_alone(line, measured, prices) for line in lines]
    lines += [
        Line("hosting", name, f"{minutes:.2f} min", server.hour / 60 / server.calls * minutes, _source(server))
        for name, server in prices.hosting.items()
    ]
    if not prices.hosting:
        lines.append(Line("hosting", "server", f"{minutes:.2f} min", None, _source(None)))
    order = get_args(Part)
    return Bill(tuple(sorted(lines, key=lambda line: (order.index(line.part), line.vendor))), minutes)


def _sent_to_another(units: Mapping[Unit, float], other: _Hearing | None) -> Mapping[Unit, float]:
    """What another recognizer would have been sent, at most: where only the line is known, all of it."""
    sent = units.get("seconds", 0.0)
    line = units.get("line_seconds", sent)
    return {"seconds": min(sent, line) if other is not None and other.hears == "utterances" else line}


def _line(leg: Leg, vendor: str, units: Mapping[Unit, float], prices: Prices) -> Line:
    match leg:
        case "recognition" | "carrier":
            minutes = units.get("seconds", 0.0) / 60
            timed = (prices.recognition if leg == "recognition" else prices.carrier).get(vendor)
            return Line(
                leg, vendor, f"{minutes:.2f} min", None if timed is None else timed.minute * minutes, _source(timed)
            )
        case "synthesis":
            spoken, kept = units.get("characters", 0.0), units.get("cached_characters", 0.0)
            letters = prices.synthesis.get(vendor)
            amount = f"{spoken:.0f} characters" + (f", {kept:.0f} more from the cache" if kept else "")
            cost = None if letters is None else letters.thousand_characters * spoken / 1000
            return Line(leg, vendor, amount, cost, _source(letters))
    tokens = prices.model.get(vendor)
    fresh, cached, output = (units.get(unit, 0.0) for unit in _TOKENS)
    amount = f"{fresh:.0f} tokens in, {cached:.0f} cached, {output:.0f} out"
    sound = [units.get(unit, 0.0) for unit in _SOUND]
    if any(sound):
        amount += "; of sound {:.0f} in, {:.0f} cached, {:.0f} out".format(*sound)
    if units.get("discarded"):
        amount += f"; {units['discarded']:.0f} of them for nobody"
    if units.get("spared"):
        amount += f"; {units['spared']:.0f} more spared by known answers"
    if tokens is None:
        return Line(leg, vendor, amount, None, _source(tokens))
    cost = (tokens.input * fresh + tokens.cached * cached + tokens.output * output) / 1e6
    for count, price in zip(sound, (tokens.audio_input, tokens.audio_cached, tokens.audio_output), strict=True):
        if count and price is None:
            return Line(leg, vendor, amount, None, "no price known for sound")
        cost += count * (price or 0.0) / 1e6
    return Line(leg, vendor, amount, cost, _source(tokens))


def _of_words_alone(line: Line, measured: Mapping[tuple[Leg, str], Mapping[Unit, float]], prices: Prices) -> Line:
    """`line`; without its price if that model is paid by its sound, and stands for one whose sound nobody counted."""
    tokens = prices.model.get(line.vendor) if line.part == "model" else None
    if tokens is None or tokens.audio_input is None:
        return line
    others = (units for (leg, vendor), units in measured.items() if leg == "model" and vendor != line.vendor)
    if all(any(units.get(unit) for unit in _SOUND) for units in others):
        return line
    return replace(line, cost=None, source="what it would hear and speak was not measured")


def _source(price: _Price | None) -> str:
    return "no price known" if price is None else f"{price.date}, {price.source}"


_TOKENS: Final[tuple[Unit, ...]] = ("input", "cached", "output")
_SOUND: Final[tuple[Unit, ...]] = ("audio_input", "audio_cached", "audio_output")
