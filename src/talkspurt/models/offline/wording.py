"""Filling the blanks of a dialogue's templates, and saying ids, sums and lists so that they can be heard.

The template language is described in `talkspurt.agent.dialogue`. Nothing here chooses at random: the
same conversation is always worded the same way, which a model without state between requests needs.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from talkspurt.agent.dialogue import Wordings

_BLANK: Final = re.compile(r"\{([A-Za-z_][\w.\-]*)(?::([a-z]+))?\}")
_SIGNS: Final[Mapping[str, str]] = {
    "@": "at", ".": "dot", "_": "underscore", "-": "dash", "+": "plus", "'": "apostrophe", "’": "apostrophe"
}  # fmt: skip
_SUM: Final = re.compile(r"(-?\$?|\$-)(\d[\d,]*(?:\.\d*)?|\.\d+)", re.ASCII)
_LISTED: Final = 3
"""Things named in one breath; more are counted."""


def word(wordings: Wordings, values: Mapping[str, Any], turn: int = 0) -> str:
    """The first wording that `values` can fill; "" when there is none.

    Others with the same blanks say the same in other words: they are taken in turn.
    """
    filled = [(text, blanks) for text, blanks in (_fill(each, values) for each in _each(wordings)) if text]
    if not filled:
        return ""
    same = [text for text, blanks in filled if blanks == filled[0][1]]
    return same[turn % len(same)]


def first_of(templates: Wordings, values: Mapping[str, Any]) -> Any:
    """The value of the first template that can be filled; None when none can."""
    return next((value for value in (evaluate(each, values) for each in _each(templates)) if value is not None), None)


def evaluate(template: str, values: Mapping[str, Any]) -> Any:
    """A template as a value: one that is nothing but a plain blank keeps its type; None when it cannot be filled."""
    alone = _BLANK.fullmatch(template)
    if alone and not alone.group(2):
        return look_up(values, alone.group(1))
    return _fill(template, values)[0] or None


def look_up(values: Any, path: str) -> Any:
    """The value at a dotted path; names reach into every element of a list, numbers pick one. None when absent."""
    for part in path.split("."):
        if isinstance(values, Mapping):
            values = values.get(part)
        elif isinstance(values, list | tuple):
            if re.fullmatch(r"-?\d+", part):
                values = values[int(part)] if -len(values) <= int(part) < len(values) else None
            else:
                values = [found for each in values if (found := look_up(each, part)) is not None]
        else:
            return None
    return values


def spell(text: str) -> str:
    """Letters and digits one by one, in groups that can be followed: "W2378156" → "W, 2 3 7, 8 1 5 6"."""
    groups: list[str] = []
    for run in re.findall(r"[A-Za-z]+|\d+", text):
        groups += [" ".join(group) for group in _groups(run.upper())]
    return ", ".join(groups)


def letters(text: str) -> str:
    """A name or an address as it is written: "ann.li@mail.com" → "A N N, dot, L I, at, M A I L, dot com"."""
    groups: list[str] = []
    for part in re.findall(r"\.[^\W\d_]{2,}$|[^\W\d_]+|\d+|[@._+'’\-]", text):
        if part in _SIGNS:
            groups.append(_SIGNS[part])
        elif part.startswith("."):
            groups.append(f"dot {part[1:]}")  # everyone can write "com"
        else:
            groups += [" ".join(group) for group in _groups(part.upper())]
    return ", ".join(groups)


def money(amount: str | float) -> str:
    """A sum in words that no synthesizer gets wrong: "$1,107.25" → "1107 dollars and 25 cents".

    A text that is anything else than one sum of dollars stays as it is.
    """
    found = _SUM.fullmatch(f"{amount:.2f}" if isinstance(amount, float) else str(amount).strip())
    if found is None:
        return str(amount)
    whole, rest = divmod(round(Fraction(found[2].replace(",", "")) * 100), 100)
    minus = "minus " if "-" in found[1] and (whole or rest) else ""
    dollars = f"{whole} dollar{'' if whole == 1 else 's'}"
    coins = f"{rest} cent{'' if rest == 1 else 's'}"
    if not rest:
        return minus + dollars
    return minus + (f"{dollars} and {coins}" if whole else coins)


def enumeration(things: Sequence[str], last: str = "and") -> str:
    """Things as one says them: "a", "a and b", "a, b and c", "a, b, c and 2 more"."""
    things = list(dict.fromkeys(things))
    if len(things) > _LISTED + 1:
        things = [*things[:_LISTED], f"{len(things) - _LISTED} more"]
    if len(things) <= 1:
        return "".join(things)
    return f"{', '.join(things[:-1])} {last} {things[-1]}"


def sentences(*parts: str) -> str:
    """Sentences joined; empty ones left out."""
    return " ".join(part.strip() for part in parts if part.strip())


def _each(wordings: Wordings) -> tuple[str, ...]:
    return (wordings,) if isinstance(wordings, str) else wordings


def _fill(template: str, values: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """The filled template and the blanks it had; ("", none) when one has no value."""
    blanks = set()
    filled = []
    end = 0
    for blank in _BLANK.finditer(template):
        said = _say(look_up(values, blank.group(1)), blank.group(2) or "plain", blank.group(1))
        if not said:
            return "", frozenset()
        filled += [template[end : blank.start()], said]
        end = blank.end()
        blanks.add(blank.group(1))
    return "".join([*filled, template[end:]]), frozenset(blanks)


def _say(value: Any, form: str, path: str) -> str:
    if value is None or value in ([], "") or isinstance(value, Mapping):
        return ""
    return _FORMS.get(form, _plain)(value, path)


def _plain(value: Any, _path: str) -> str:
    if isinstance(value, list | tuple):
        return enumeration([str(each) for each in value if not isinstance(each, Mapping | list)])
    return str(value)


def _count(value: Any, path: str) -> str:
    number = len(value) if isinstance(value, list | tuple) else int(value)
    noun = path.rpartition(".")[2].replace("_", " ")
    return f"{number} {noun.removesuffix('s') if number == 1 else noun}"


def _email(value: Any, _path: str) -> str:
    said = re.sub(r"\d+", lambda digits: f" {' '.join(digits.group())} ", str(value))
    for sign, name in (("@", " at "), (".", " dot "), ("_", " underscore "), ("-", " dash "), ("+", " plus ")):
        said = said.replace(sign, name)
    return " ".join(said.split())


def _groups(run: str) -> list[str]:
    """Groups of three or four, as telephone numbers are said; five and fewer stay together."""
    if len(run) <= 5:
        return [run]
    threes = next(count for count in range(len(run) // 3 + 1) if (len(run) - 3 * count) % 4 == 0)
    groups = [run[3 * index : 3 * index + 3] for index in range(threes)]
    rest = run[3 * threes :]
    return groups + [rest[index : index + 4] for index in range(0, len(rest), 4)]


_FORMS: Final[Mapping[str, Callable[[Any, str], str]]] = {
    "plain": _plain,
    "list": _plain,
    "ending": lambda value, _path: spell(str(value)[-4:]),
    "spell": lambda value, _path: spell(str(value)),
    "letters": lambda value, _path: letters(str(value)),
    "money": lambda value, _path: money(value),
    "count": _count,
    "email": _email,
}
