"""Keypad digits become one entry: ended by a key, by its length, or by a pause.

Two things are kept apart: `EntryRules`, what makes an entry whole, and `Digits`, what was typed. A secret entry
is judged by the same rules from its count of digits alone, because its digits are nowhere in the core.

The three waits are those of VoiceXML 2.0 (appendix D, "Timing Properties"): `timeout` before the first key,
`interdigittimeout` while more must come, `termtimeout` once it may be all.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from talkspurt.core.language import Expectation

MASKED: Final = "•"
"""A key that may be a secret's: which one it was, nobody but the keypad knows."""
DIGITS: Final = f"0123456789ABCD{MASKED}"
"""Keys that are part of an entry; `*` and `#` steer it."""


@dataclass(frozen=True, slots=True)
class EntryRules:
    """When a keypad entry is whole. Waits are in seconds."""

    shortest: int = 1
    """With fewer digits it is certain that more come."""
    longest: int = 32
    """With this many it is over at once; the same as `shortest` for an entry of one exact length."""
    terminator: str = "#"
    """Ends the entry; "" for none."""
    clear: str = "*"
    """Starts the entry again; "" for none."""
    prefix: str = ""
    """An entry that begins with this is longer by it: the trunk prefix of a telephone number."""
    first: float = 8.0
    """Wait for the first key; who needs longer, to fetch a card, is helped by being asked again."""
    unfinished: float = 5.0
    """Wait between keys while more must come: people read long numbers in groups."""
    finished: float = 2.3
    """Wait for another key once it may be all."""

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(f"an entry has 1 <= shortest <= longest digits, not {self.shortest} and {self.longest}")

    def meaning(self, key: str) -> Literal["digit", "clear", "end"] | None:
        """What a key does to an entry; None for one that means nothing here."""
        if key and key == self.terminator:
            return "end"
        if key and key == self.clear:
            return "clear"
        return "digit" if len(key) == 1 and key in DIGITS else None

    def patience(self, count: int) -> float:
        """How long to wait for the next key after `count` digits."""
        if count == 0:
            return self.first
        return self.unfinished if count < self.shortest else self.finished


ANY_ENTRY: Final = EntryRules()
"""What a caller types without being asked for anything in particular."""


@dataclass(frozen=True, slots=True)
class Digits:
    """What has been typed so far, and when the last key was pressed."""

    typed: str = ""
    at: float = 0.0
    complete: bool = False

    def press(self, digit: str, now: float, rules: EntryRules | int = ANY_ENTRY) -> "Digits":
        """Return the entry after one more key; what means nothing changes nothing. A number is the longest length."""
        if isinstance(rules, int):
            rules = EntryRules(longest=rules)
        match rules.meaning(digit):
            case "end":
                return replace(self, at=now, complete=True)
            case "clear":
                return Digits(at=now)
            case "digit" if not self.complete:
                typed = self.typed + digit
                extra = len(rules.prefix) if typed.startswith(rules.prefix) else 0
                return Digits(typed, now, complete=len(typed) >= rules.longest + extra)
            case _:
                return self

    def deadline(self, rules: EntryRules) -> float:
        """When the entry is over if no other key is pressed."""
        return self.at + rules.patience(len(self.typed))


def rules_for(expectation: Expectation, otherwise: EntryRules = ANY_ENTRY) -> EntryRules:
    """The rules of an entry that answers a question for `expectation`.

    A known length ends the entry at once and earns its gaps more patience. What has none, or cannot be typed,
    falls back to `otherwise`.
    """
    match expectation.kind:
        case "zip":
            return replace(otherwise, shortest=5, longest=5)
        case "phone":
            # A national number of the North American plan has ten digits and never begins with 1 (its trunk prefix).
            return replace(otherwise, shortest=10, longest=10, prefix="1")
        case "menu":
            return replace(otherwise, shortest=1, longest=1)
        case "identifier":
            count = digits_of(expectation.pattern)
            return replace(otherwise, shortest=count, longest=count) if count else otherwise
        case _:
            return otherwise


_DIGIT_TOKEN: Final = re.compile(r"(?:\\d|\[0-9\])(?:\{(\d+)\})?")
_BARE_GROUP: Final = re.compile(r"\((?:\?:)?[^()\[\]{}\\\d|]*\)\??")


def digits_of(pattern: str) -> int | None:
    """How many digits every match of a regular expression has; None when that is not plain to see.

    Its letters are left out: a caller who is asked for W1234567 types the seven digits.
    """
    rest = _BARE_GROUP.sub("", pattern)
    count = 0
    for token in _DIGIT_TOKEN.finditer(rest):
        count += int(token[1] or 1)
        if rest[token.end() : token.end() + 1] in ("?", "*", "+", "{"):
            return None
    remainder = _DIGIT_TOKEN.sub("", rest)
    if re.search(r"[\d|{*+.\[]|\)[?]|\\[dwWDsS]", remainder):
        return None
    return count or None
