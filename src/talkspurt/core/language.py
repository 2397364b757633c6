"""What the core asks of a language: a closed set of questions, answered per locale outside the core.

The core holds no words. It knows *kinds* of answers a question may expect, and asks the
`Language` whether what was heard so far is a whole one.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

Kind = Literal["anything", "yes_no", "identifier", "email", "zip", "phone", "amount", "name", "menu"]
"""What the agent's question asks for.

`identifier` letters and digits that match `Expectation.pattern`; `zip` a US ZIP code; `phone` a national number of
ten digits; `amount` a sum of money; `name` a person's name; `menu` one key of
those that were offered; `anything` free speech.
"""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the caller is expected to say next."""

    kind: Kind = "anything"
    pattern: str = ""
    """Regular expression of an `identifier`, in capital letters and digits."""
    binding: bool = False
    """What a yes sets going cannot be taken back."""


ANYTHING = Expectation()


class Completeness(Enum):
    """How whole the words heard so far are, as an answer to what was asked."""

    COMPLETE = "complete"
    """All that was asked for is there, and nothing asks for more."""
    OPEN = "open"
    """It may be all, or not: the words alone do not tell."""
    UNFINISHED = "unfinished"
    """More will come: "and", half an order number, a dangling "my"."""


class Language(Protocol):
    """A locale's reading of what was said. Pure, and never raises."""

    def yes_or_no(self, text: str, /) -> bool | None:
        """True a clear yes, False a clear no, None anything else."""

    def breaks_off(self, text: str, /) -> bool:
        """Whether a clear yes has the beginning of something behind it: "yes, just", "okay, and um"."""

    def expectation(self, said: str, /) -> Expectation:
        """What the agent's words `said` ask for, read from their last question."""

    def completeness(self, text: str, expectation: Expectation, /) -> Completeness:
        """How whole `text` is as an answer to `expectation`."""

    def digresses(self, text: str, expectation: Expectation, /) -> bool:
        """Whether `text` says something else than what was asked for ("Where do I find it?"): no answer is begun."""

    def is_backchannel(self, text: str, /) -> bool:
        """Whether `text` only says "I am listening" ("mm-hm", "okay", "right") and asks for nothing."""

    def is_hum(self, text: str, /) -> bool:
        """Whether `text` is no word ("mm-hm", "uh-huh"): into a sentence it means "go on", behind a question more."""

    def is_demand(self, text: str, /) -> bool:
        """Whether `text` takes the floor however short it is: "wait", "stop", "no", "hold on"."""

    def asks_only(self, text: str, /) -> bool:
        """Whether `text` is one of a closed list of questions for a yes ("Shall I go ahead?") that hold no details."""

    def asks_secret(self, said: str, /) -> bool | None:
        """Whether the agent's words `said` ask for what nobody but the caller may know: a PIN, a one-time code.

        False if they ask for something else, None if for nothing.
        """


class NoLanguage:
    """Understands nothing: without a locale nothing is ever confirmed, complete or ignored."""

    def yes_or_no(self, _text: str, /) -> bool | None:
        """Nothing is a clear answer."""
        return None

    def breaks_off(self, _text: str, /) -> bool:
        """Nobody can tell."""
        return True

    def expectation(self, _said: str, /) -> Expectation:
        """Every question is an open one."""
        return ANYTHING

    def completeness(self, _text: str, _expectation: Expectation, /) -> Completeness:
        """Nobody can tell."""
        return Completeness.OPEN

    def digresses(self, _text: str, _expectation: Expectation, /) -> bool:
        """Nobody can tell."""
        return False

    def is_backchannel(self, _text: str, /) -> bool:
        """All words count."""
        return False

    def is_hum(self, _text: str, /) -> bool:
        """All words count."""
        return False

    def is_demand(self, _text: str, /) -> bool:
        """No word is special."""
        return False

    def asks_only(self, _text: str, /) -> bool:
        """Every question may hold details."""
        return False

    def asks_secret(self, _said: str, /) -> bool | None:
        """Nobody can tell."""
        return False
