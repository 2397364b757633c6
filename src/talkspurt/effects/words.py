"""Whether something that a model wants to act on came from the caller's own mouth.

After text of strangers has come into a conversation, whatever the model passes to a tool may be theirs. What the caller
said is compared in the forms in which speech carries it: as it stands, spelled, in digits, as an address, an amount
or a telephone number. A value was said when whole words say it, and a number when it was said as a whole: "Ally" is
not in "really", nor 50000 in "order W2350000".
"""

import re
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from talkspurt.agent import spoken

_PLURAL: Final = ("", "s", "es")
_WORD: Final = re.compile(r"[^\W_]+")


def unsaid(arguments: BaseModel, said: Sequence[str], *, known: Iterable[str] = ()) -> str | None:
    """The name of the first argument that the caller did not say, in words; None when all were said.

    What the tool itself offers (defaults, yes or no, a closed choice, names of fields) is nobody's text, nor is what is
    `known`. The keys of a mapping are a model's like its values.
    """
    values = arguments.model_dump(mode="json")
    offered = frozenset(_offered(type(arguments).model_json_schema(by_alias=False)))
    for name in sorted(arguments.model_fields_set):
        # An argument that only a tool's server knows has no field, and nothing tells what it offers.
        field = type(arguments).model_fields.get(name)
        alias = name if field is None else str(field.alias)
        if alias in known or (field is not None and _closed(field.annotation)):
            continue
        if not all(_was_said(value, said) for value in _leaves(values[name], offered)):
            return alias.replace("_", " ")
    return None


def _closed(annotation: Any) -> bool:
    if annotation in (bool, type(None)) or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return True
    origin = get_origin(annotation)
    if origin is Literal:
        return True
    if origin in (Union, UnionType, list, tuple, set, Annotated):
        parts = get_args(annotation)[:1] if origin is Annotated else get_args(annotation)
        return all(_closed(part) for part in parts if part is not Ellipsis)
    return False


def _offered(schema: Any) -> Iterable[str]:
    """What a tool's own schema names, however deep: fields, and the members of closed choices."""
    match schema:
        case dict():
            for word in ("properties", "enum"):
                if isinstance(names := schema.get(word), dict | list):
                    yield from map(str, names)
            if "const" in schema:
                yield str(schema["const"])
            for part in schema.values():
                yield from _offered(part)
        case list():
            for part in schema:
                yield from _offered(part)


def _leaves(value: Any, offered: Collection[str]) -> Iterable[Any]:
    match value:
        case dict():
            for key, entry in value.items():
                if key not in offered:
                    yield key
                yield from _leaves(entry, offered)
        case list():
            for entry in value:
                yield from _leaves(entry, offered)
        case _:
            yield value


def _was_said(value: Any, said: Sequence[str]) -> bool:
    if value is None or isinstance(value, bool):
        return True
    return any(_in_text(str(value), text) for text in said)


def _in_text(value: str, text: str) -> bool:
    wanted = _squashed(value)
    if not wanted:
        # Signs alone, which nobody says.
        return value.strip() in text
    if wanted in map(_squashed, (*_amounts_and_phones(text), *spoken.runs(text), *spoken.numbers(text))):
        return True
    if wanted.isdecimal():
        # Also without the letters that an id begins with.
        return any(re.search(rf"(?<!\d){wanted}(?!\d)", run) for run in spoken.runs(text))
    if _in_words(wanted, text) or wanted == _squashed(spoken.email_address(text) or ""):
        return True
    spelled = wanted.isascii() and any(character.isdigit() for character in wanted)
    return spelled and bool(spoken.identifiers(text, wanted.upper()))


def _in_words(wanted: str, text: str) -> bool:
    """Whether some words in a row, from the first letter to the last, are what is wanted, or more than one of it."""
    words = _words(text)
    for first in range(len(words)):
        said = ""
        for word in words[first:]:
            said += word
            if any(said == wanted + ending for ending in _PLURAL):
                return True
            if not wanted.startswith(said):
                break
    return False


def _words(text: str) -> list[str]:
    """Small letters and digits; letters that were spelled one after the other are one word."""
    words: list[str] = []
    spelling = False
    for word in _WORD.findall(text.lower()):
        letter = len(word) == 1 and word.isalpha()
        if letter and spelling:
            words[-1] += word
        else:
            words.append(word)
        spelling = letter
    return words


def _amounts_and_phones(text: str) -> Iterable[str]:
    """What was said as a whole value: "105.50" (which is also 10550 cents), "1200000", "+12125550123"."""
    amount, number = spoken.money(text), spoken.quantity(text)
    if amount is not None:
        yield from (f"{amount.value:.2f}", f"{amount.value:f}")
    if number is not None:
        yield f"{number:f}"
    yield spoken.phone_number(text) or ""


def _squashed(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
