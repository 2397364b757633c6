"""What an agent itself says of its questions, and the `Language` that knows it.

An author knows better than any grammar that a "membership code" is two letters and six digits. What is stated is
asked first, in this order: `Agent.expects`, the wordings of the dialogue's slots, the locale's reading of
the question; that reading is then made more precise by what the dialogue knows (the pattern of an order number).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, get_args

from talkspurt.agent.dialogue import Dialogue, Slot, SlotKind, Wordings
from talkspurt.agent.questions import last_question
from talkspurt.agent.spoken import identifiers, trailing_characters
from talkspurt.core.language import Completeness, Expectation, Kind, Language
from talkspurt.errors import ConfigurationError

_KIND_OF_SLOT: Final[Mapping[SlotKind, Kind]] = {
    "identifier": "identifier",
    "zip": "zip",
    "email": "email",
    "person": "name",
    "choice": "anything",
    "free": "anything",
}
_BLANK: Final = re.compile(r"\{[^{}]*\}")

Statement = tuple[re.Pattern[str], Expectation]
"""Questions in which the pattern is found expect this."""


def mistake_in(expectation: Expectation) -> str:
    """What is wrong with a stated expectation and what to do about it; "" when nothing is."""
    if not isinstance(expectation, Expectation):
        return f'expects must be an Expectation, e.g. Expectation("zip"), not {expectation!r}'
    if expectation.kind not in get_args(Kind):
        return f"expects the unknown kind '{expectation.kind}': use one of {', '.join(get_args(Kind))}"
    if expectation.pattern and expectation.kind != "identifier":
        return f"expects a pattern of kind '{expectation.kind}': only an identifier has one, so drop it"
    if expectation.kind == "identifier" and not expectation.pattern:
        return r"expects an identifier without a pattern: give one in capitals and digits, e.g. r'W\d{7}'"
    try:
        re.compile(expectation.pattern)
    except re.error as error:
        return f"expects the pattern '{expectation.pattern}', which is no regular expression: {error}"
    return ""


def compiled(owner: str, expects: Mapping[str, Expectation]) -> tuple[Statement, ...]:
    """An author's statements, ready to be asked. Raises `ConfigurationError` that says what to mend."""
    statements = []
    for words, expectation in expects.items():
        if not isinstance(words, str) or not words.strip():
            raise ConfigurationError(f"{owner}: expects needs words of the question as its key, not {words!r}")
        try:
            pattern = re.compile(words, re.IGNORECASE)
        except re.error as error:
            raise ConfigurationError(
                f"{owner}: expects '{words}', which is no regular expression ({error}); "
                "put a backslash before characters that are meant as they are"
            ) from None
        if mistake := mistake_in(expectation):
            raise ConfigurationError(f"{owner}: '{words}' {mistake}")
        statements.append((pattern, expectation))
    return tuple(statements)


class AgentLanguage:
    """A locale's `Language` for the questions of one agent. Shared by its calls; holds no state of any."""

    def __init__(self, language: Language, stated: Sequence[Statement], dialogue: Dialogue | None = None) -> None:
        slots = dialogue.slots if dialogue else ()
        self._language = language
        self._stated = (*stated, *(statement for slot in slots for statement in _wordings(slot)))
        self._named = tuple(_noun(slot) for slot in slots if slot.kind == "identifier")
        patterns = {slot.pattern for slot in slots if slot.kind == "identifier"}
        patterns |= {expectation.pattern for _, expectation in stated if expectation.kind == "identifier"}
        self._patterns = frozenset(patterns)
        self._only = Expectation("identifier", patterns.pop()) if len(patterns) == 1 else None
        """The one kind of id this agent knows: what "the number" means here."""

    def expectation(self, said: str, /) -> Expectation:
        """What the agent's words ask for: as stated, else as the locale reads them."""
        question = last_question(said)
        for pattern, expectation in self._stated:
            # A question that holds the id itself reads it back: "Is your order number W2378156?"
            if pattern.search(question) and not _tells(question, expectation):
                return expectation
        read = self._language.expectation(said)
        if read.kind not in ("anything", "identifier") or read.pattern:
            return read
        for pattern, expectation in self._named:
            if pattern.search(question) and not _tells(question, expectation):
                return expectation
        return self._only if read.kind == "identifier" and self._only else read

    def yes_or_no(self, text: str, /) -> bool | None:
        """As the locale reads it."""
        return self._language.yes_or_no(text)

    def breaks_off(self, text: str, /) -> bool:
        """As the locale reads it."""
        return self._language.breaks_off(text)

    def completeness(self, text: str, expectation: Expectation, /) -> Completeness:
        """As the locale reads it; but half an id of this agent's own is unfinished whatever was asked."""
        read = self._language.completeness(text, expectation)
        if expectation.kind in ("anything", "yes_no") and any(_begins(text, pattern) for pattern in self._patterns):
            return Completeness.UNFINISHED
        return read

    def digresses(self, text: str, expectation: Expectation, /) -> bool:
        """As the locale reads it."""
        return self._language.digresses(text, expectation)

    def is_backchannel(self, text: str, /) -> bool:
        """As the locale reads it."""
        return self._language.is_backchannel(text)

    def is_hum(self, text: str, /) -> bool:
        """As the locale reads it."""
        return self._language.is_hum(text)

    def is_demand(self, text: str, /) -> bool:
        """As the locale reads it."""
        return self._language.is_demand(text)

    def asks_only(self, text: str, /) -> bool:
        """As the locale reads it."""
        return self._language.asks_only(text)

    def asks_secret(self, said: str, /) -> bool | None:
        """As the locale reads it."""
        return self._language.asks_secret(said)


def _tells(question: str, expectation: Expectation) -> bool:
    return expectation.kind == "identifier" and bool(identifiers(question, expectation.pattern))


def _begins(text: str, pattern: str) -> bool:
    """Whether `text` ends in the beginning of an id: only of one that begins with letters can that be told."""
    letters = re.match(r"[A-Z]+", pattern)
    if letters is None or identifiers(text, pattern):
        return False
    return re.fullmatch(rf"{letters.group()}\d+", trailing_characters(text)) is not None


def _wordings(slot: Slot) -> Iterator[Statement]:
    """The slot's own questions, word for word but for their blanks."""
    kind = _KIND_OF_SLOT[slot.kind]
    expectation = Expectation(kind, slot.pattern) if kind == "identifier" else Expectation(kind)
    for wording in (*_each(slot.ask), *_each(slot.retry), *_each(slot.keypad)):
        fixed = [re.escape(part) for part in _BLANK.split(last_question(wording))]
        # A wording that is all blanks would be every question.
        if any(re.search(r"\w", part) for part in fixed):
            yield re.compile(rf"^\W*{'.+'.join(fixed)}\W*$", re.IGNORECASE), expectation


def _noun(slot: Slot) -> Statement:
    return re.compile(rf"\b{re.escape(slot.spoken())}\b", re.IGNORECASE), Expectation("identifier", slot.pattern)


def _each(wordings: Wordings) -> tuple[str, ...]:
    return (wordings,) if isinstance(wordings, str) else wordings
