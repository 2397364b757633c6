r"""The cases of spoken form: what is written and how it is said, what is said and what is meant.

One case a line: kind, input, expected, between tabs; `\n`, `\t`, `\xNN` and `\uNNNN` stand for characters, `-` for
"nothing is understood". They were written before the code they test; the `held_out` files, about a third, were run
only when it was finished.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from talkspurt.agent import spoken
from talkspurt.agent.spoken_form.english import english_form
from talkspurt.core.sentences import flush, take_speakable

TODAY: Final = date(2026, 11, 25)
"""A Wednesday, the day on which all cases are said."""
FILES: Final = ("to_speech", "sentences", "to_value")
_FOLDER: Final = Path(__file__).parent
_ESCAPE: Final = re.compile(r"\\(?:([nt])|x([0-9a-f]{2})|u([0-9a-f]{4}))")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to get right."""

    direction: str
    """"to_speech", "sentences" or "to_value"."""
    kind: str
    given: str
    expected: str

    def result(self) -> str:
        """What becomes of it."""
        return _READERS[self.direction](self.kind, self.given)

    def passes(self) -> bool:
        """Whether that is what was expected; capitals, hyphens and width of spaces do not count, marks do."""
        return _comparable(self.result()) == _comparable(self.expected)


def cases(direction: str, *, held_out: bool) -> tuple[Case, ...]:
    """The cases of one direction, in the order of their file."""
    path = _FOLDER / f"{direction}{'.held_out' if held_out else ''}.tsv"
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return tuple(Case(direction, kind, _unescaped(given), _unescaped(expected)) for kind, given, expected in rows)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(
        lambda match: {"n": "\n", "t": "\t"}[match[1]] if match[1] else chr(int(match[2] or match[3], 16)), text
    )


def _comparable(text: str) -> str:
    return " ".join(text.casefold().replace("-", " ").split()) if text != "-" else text


def _to_speech(_kind: str, text: str) -> str:
    return english_form(text).text


def _sentences(_kind: str, text: str) -> str:
    """The segments of `text` when it comes letter by letter."""
    found: list[str] = []
    rest = ""
    for letter in text:
        pieces, rest = take_speakable(rest + letter, first=False)
        found += pieces
    return " | ".join((*found, *flush(rest)))


def _to_value(kind: str, text: str) -> str:
    value = _VALUES[kind](text)
    return "-" if value is None else value


def _only(found: Sequence[str]) -> str | None:
    return found[0] if len(found) == 1 else None


def _money(text: str) -> str | None:
    amount = spoken.money(text)
    return None if amount is None else f"{amount.value:.2f} {amount.currency}"


def _day(text: str) -> str | None:
    day = spoken.day(text, today=TODAY)
    return None if day is None else day.isoformat()


def _time(text: str) -> str | None:
    time = spoken.time_of_day(text)
    return None if time is None else f"{time:%H:%M}"


def _quantity(text: str) -> str | None:
    value = spoken.quantity(text)
    return None if value is None else f"{value.normalize():f}"


_VALUES: Final[dict[str, Callable[[str], str | None]]] = {
    "number": _quantity,
    "order_id": lambda text: _only(spoken.identifiers(text, r"W\d{7}")),
    "item_id": lambda text: _only(spoken.identifiers(text, r"\d{10}")),
    "reference": spoken.alphanumerics,
    "email": spoken.email_address,
    "phone": spoken.phone_number,
    "money": _money,
    "date": _day,
    "time": _time,
    "zip": spoken.zip_code,
}
_READERS: Final[dict[str, Callable[[str, str], str]]] = {
    "to_speech": _to_speech,
    "sentences": _sentences,
    "to_value": _to_value,
}
