"""Where calls may go: names that the model uses, and the numbers behind them that it never sees.

Toll fraud is kept out here: only configured numbers are dialled, only in the allowed countries,
and none that costs extra. Checked when the server starts, not when a caller waits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

from talkspurt.config import Config, HandoverConfig, TargetConfig
from talkspurt.errors import ConfigurationError
from talkspurt.ports import HandoverKind
from talkspurt.server.handover.hours import OpeningHours, time_zone

LONGEST_NAME: Final = 64
"""Characters of a target's name that the store keeps."""

_ORDINARY: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.VOIP,
        PhoneNumberType.UAN,
    }
)
"""Kinds of number that cost no more than a call. Premium-rate, shared-cost, pager and satellite are not among them."""


def carrier_kinds(config: Config) -> frozenset[HandoverKind]:
    """The hand-overs that our carrier can do: a warm one needs its REST interface."""
    with_rest = config.twilio.account_sid is not None and config.twilio.auth_token is not None
    return frozenset({"cold", "warm"}) if with_rest else frozenset({"cold"})


@dataclass(frozen=True, slots=True)
class Target:
    """A place that calls may go to."""

    name: str
    number: str
    """E.164."""
    kind: HandoverKind
    ring: int
    """Seconds that the telephone there rings."""
    lines: int
    """Callers at once; further ones wait."""
    hours: OpeningHours
    otherwise: str | None
    """The name of the place that is tried when nobody takes the call here."""

    @property
    def spoken(self) -> str:
        """Its name as it is said."""
        return self.name.replace("_", " ").replace("-", " ")


class Targets:
    """All places that calls may go to, in the order of the configuration."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._targets = {target.name: target for target in targets}

    @classmethod
    def from_config(cls, config: HandoverConfig, *, kinds: frozenset[HandoverKind]) -> "Targets":
        """Check every target. `kinds` are what the carrier can do.

        Raises `ConfigurationError` for a number that must not be dialled, a name that means nothing or two places, and
        settings that contradict each other.
        """
        _check_names(config.targets)
        targets = cls(_target(name, target, config) for name, target in config.targets.items())
        for target in targets:
            if target.kind not in kinds:
                raise ConfigurationError(
                    f"handover.targets.{target.name}.kind: the server can make no outgoing call for a {target.kind} "
                    'hand-over; set twilio.account_sid (TWILIO_ACCOUNT_SID) and the auth token, or kind = "cold"'
                )
            if target.otherwise is not None and target.otherwise not in targets.names:
                known = ", ".join(targets.names)
                raise ConfigurationError(
                    f"handover.targets.{target.name}.otherwise: there is no target '{target.otherwise}' "
                    f"(known: {known})"
                )
        return targets

    def __iter__(self) -> Iterator[Target]:
        return iter(self._targets.values())

    @property
    def names(self) -> tuple[str, ...]:
        """What a model may ask for."""
        return tuple(self._targets)

    def find(self, name: str) -> Target | None:
        """The target called `name`; how it is written does not matter."""
        wanted = _plain(name)
        return next((target for target in self._targets.values() if _plain(target.name) == wanted), None)

    def chain(self, name: str) -> tuple[Target, ...]:
        """The target and those that are tried after it, each once."""
        chain: list[Target] = []
        target = self._targets.get(name)
        while target is not None and target not in chain:
            chain.append(target)
            target = self._targets.get(target.otherwise or "")
        return tuple(chain)

    def next_open(self, name: str, tried: Iterable[str], moment: datetime) -> Target | None:
        """The first of the chain that has not been tried and where somebody is."""
        return next(
            (target for target in self.chain(name) if target.name not in tried and target.hours.is_open(moment)), None
        )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _check_names(names: Iterable[str]) -> None:
    """Refuse names that `Targets.find` could not tell apart, and those that cannot be said or stored."""
    known: dict[str, str] = {}
    for name in names:
        plain = _plain(name)
        if not plain or len(name) > LONGEST_NAME:
            raise ConfigurationError(
                f"handover.targets: '{name}' is no name of a place; "
                f"write at most {LONGEST_NAME} characters, with a letter or a digit among them"
            )
        if plain in known:
            raise ConfigurationError(
                f"handover.targets: '{known[plain]}' and '{name}' differ only in how they are written, and callers ask "
                "for both in the same words; rename one"
            )
        known[plain] = name


def _target(name: str, target: TargetConfig, config: HandoverConfig) -> Target:
    key = f"handover.targets.{name}"
    try:
        zone = time_zone(target.time_zone or config.time_zone)
        hours = OpeningHours.parse(target.hours, zone, target.closed)
    except ValueError as error:
        raise ConfigurationError(f"{key}: {error}") from None
    return Target(
        name=name,
        number=_checked(key, target.number, config.countries),
        kind=target.kind,
        ring=target.ring,
        lines=target.lines,
        hours=hours,
        otherwise=target.otherwise,
    )


def _checked(key: str, number: str, countries: tuple[str, ...]) -> str:
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        raise ConfigurationError(f"{key}: '{number}' is not an E.164 number such as +12025550100") from None
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(parsed) or e164 != number:
        raise ConfigurationError(f"{key}: '{number}' is not a valid E.164 number such as +12025550100")
    country = phonenumbers.region_code_for_number(parsed)
    if country not in countries:
        raise ConfigurationError(f"{key}: '{number}' is in {country}, which handover.countries does not allow")
    if phonenumbers.number_type(parsed) not in _ORDINARY:
        raise ConfigurationError(f"{key}: '{number}' is a kind of number that costs extra; it is never dialled")
    return e164
