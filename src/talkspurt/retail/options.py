"""Which options of a product a phrase names: "a red one", "double XL", "a thousand millilitres", "Google Home".

Pure. A product's options are a table (colour, size, material …), each variant one row of it. What is read are
values of that table; words that are no value of it are left alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from talkspurt.agent import ToolError
from talkspurt.retail.phrases import is_unit, misheard, places, tokens
from talkspurt.retail.words import either

Options = Mapping[str, str]

_SIZES: Final = {
    "XS": ("extra small", "x small"),
    "S": ("small",),
    "M": ("medium",),
    "L": ("large",),
    "XL": ("extra large", "x large", "x l"),
    "XXL": ("double extra large", "double x l", "double xl", "2 xl", "xx large", "extra extra large"),
}
_COUNTERPARTS: Final = re.compile(
    r"\b(?:instead of|rather than|other than|but not|in place of|not (?=(?:the|a|an)\b))[^,.;!?]*"
)
"""What the caller does not want: "Google Home instead of Apple HomeKit"."""
_INDIFFERENT: Final = re.compile(
    r"[^,.;!?]*\b(?:(?:don't|do not|doesn't|does not|won't) (?:really )?matter|makes no difference)\b[^,.;!?]*"
    r"|\b(?:(?:don't|do not|doesn't|not) (?:really )?(?:care|mind)\w*(?: (?:about|whether|if))?|no matter"
    r"|regardless of"
    r"|any)\b[^,.;!?]*"
)
"""What does not matter: "I don't care about waterproof", "waterproof or not doesn't matter", "any colour"."""
_DENIALS: Final = frozenset({"not", "non", "no", "without"})


_DEGREES: Final = frozenset(
    ("low", "medium", "high", "small", "large", "full", "half", "standard", "fixed", "adjustable", "light", "dark")
)
"""Values that mean nothing without the name of their option: "low brightness"."""


class _Form(NamedTuple):
    """One way to name a value."""

    text: str
    """Its words, joined without spaces."""
    option: str
    value: str
    weak: bool
    """Only part of the value, which counts when nothing better was said about these words."""


def named_options(text: str, variants: Sequence[Options]) -> dict[str, set[str]]:
    """Option to the values named; several when the caller leaves a choice ("silver or black").

    Raises `ToolError` when a value belongs to two options and the caller did not say which.
    """
    lowered = text.lower().replace("’", "'")
    said = tokens(_INDIFFERENT.sub(" ", _COUNTERPARTS.sub(" ", lowered)))
    forms = _forms(variants)
    used: set[int] = set()
    found: dict[str, set[str]] = {}
    unclear: list[list[_Form]] = []
    for form in sorted({form.text for form in forms}, key=lambda form: (_weak(form, forms), -len(form), form)):
        for where in places(form, said):
            if used & set(where):
                continue
            meant = [each for each in forms if each.text == form]
            if any(each.weak for each in meant) and _other_unit(said, where, meant):
                continue
            used |= set(where)
            owner = _owner(meant, said, where)
            if owner is None:
                unclear.append(meant)
            else:
                found.setdefault(owner.option, set()).add(owner.value)
    for meant in unclear:
        # "Medium, with high ventilation": the ventilation is told, so medium is the size.
        left = [form for form in meant if form.option not in found]
        if len(left) != 1:
            raise ToolError(f"Do you mean {either([f'{form.option} {form.value}' for form in meant])}?")
        found[left[0].option] = {left[0].value}
    return found


def kept_options(text: str, current: Options) -> dict[str, set[str]]:
    """Options that shall stay as they are: "the same size", "same capacity and type"."""
    names = [word for option in current for word in tokens(option)]
    kept: dict[str, set[str]] = {}
    for found in re.finditer(r"\bsame ((?:[a-z]+(?: and |, | )?){1,6})", text.lower()):
        said = tokens(found.group(1))
        for option, value in current.items():
            telling = [word for word in tokens(option) if names.count(word) == 1]
            if any(misheard(word, name) for word in said for name in telling):
                kept[option] = {value}
    return kept


def values_of(variants: Iterable[Options]) -> dict[str, list[str]]:
    """Option to its values, each once, in the order in which they come."""
    values: dict[str, list[str]] = {}
    for options in variants:
        for option, value in options.items():
            known = values.setdefault(option, [])
            if value not in known:
                known.append(value)
    return values


def spoken_option(option: str, value: str) -> str:
    """One option as it is said within a sentence: "red", "size L", "not waterproof", "low brightness", "black dial"."""
    plain = value.lower()
    if plain in ("yes", "no"):
        return option if plain == "yes" else f"not {option}" if option.endswith("proof") else f"no {option}"
    if plain == "none":
        return f"no {option}"
    if value.isdigit() and option.endswith("s"):
        return f"{value} {option}"
    if value.isdigit() or value in _SIZES:
        return f"{option} {value}"
    if plain in _DEGREES:
        return f"{value} {option}"
    *part, kind = option.split()
    return f"{value} {' '.join(part)}" if part and kind in ("color", "material") else value


def spoken_options(options: Options, only: Iterable[str] | None = None) -> str:
    """Options in a row, those of `only` or all: "red, size L, cotton"."""
    wanted = set(options if only is None else only)
    return ", ".join(spoken_option(option, value) for option, value in options.items() if option in wanted)


def _forms(variants: Sequence[Options]) -> list[_Form]:
    forms: list[_Form] = []
    values = values_of(variants)
    owners: dict[str, set[tuple[str, str]]] = {}
    for option, kinds in values.items():
        for value in kinds:
            for word in set(tokens(value)):
                owners.setdefault(word, set()).add((option, value))
    names = {word for option in values for word in tokens(option)}
    for option, kinds in values.items():
        for value in kinds:
            forms += [_Form(text, option, value, False) for text in _whole(option, value)]
            forms += [
                _Form(word, option, value, True)
                for word in tokens(value)
                if len(owners[word]) == 1 and word not in names and _tells(word)
            ]
    known = {(form.text, form.option, form.value) for form in forms if not form.weak}
    return [form for form in forms if not form.weak or (form.text, form.option, form.value) not in known]


def _whole(option: str, value: str) -> list[str]:
    """The ways to say a value in full."""
    name = "".join(tokens(option))
    names = [name, name.replace("resistance", "resistant")]
    plain = value.lower()
    if plain in ("yes", "no"):
        names += ["waterproof"] if name == "waterresistance" else []
        denials = sorted(_DENIALS) if plain == "no" else [""]
        return [f"{name}{plain}", *(f"{denial}{each}" for each in names for denial in denials)]
    if plain in ("none", "not resistant"):
        subjects = names if plain == "none" else [*names, "waterproof", "resistant"]
        return [f"{name}{plain}", *(f"{denial}{each}" for each in subjects for denial in sorted(_DENIALS))]
    sizes = ["".join(tokens(alias)) for alias in _SIZES.get(value, ())]
    whole = "".join(tokens(value))
    return [whole, *sizes, *(["1l"] if whole == "1000ml" else [])]


def _tells(word: str) -> bool:
    """Whether a word alone can stand for the value it is part of."""
    return word.replace(".", "").isdigit() or (len(word) >= 4 and not is_unit(word))


def _weak(text: str, forms: Sequence[_Form]) -> bool:
    return all(form.weak for form in forms if form.text == text)


def _other_unit(said: Sequence[str], where: range, meant: Sequence[_Form]) -> bool:
    """Whether a bare number is followed by a unit that the value does not have: "7 hours" is no "7-inch"."""
    following = said[where.stop] if where.stop < len(said) else ""
    if not said[where.start].replace(".", "").isdigit() or not is_unit(following):
        return False
    return all(following not in tokens(form.value) for form in meant)


def _owner(meant: Sequence[_Form], said: Sequence[str], where: range) -> _Form | None:
    """The option that a value belongs to, by the words around it when several have it; None when they do not tell."""
    if len({(form.option, form.value) for form in meant}) == 1:
        return meant[0]
    names = {form.option: set(tokens(form.option)) for form in meant}
    shared = set.intersection(*names.values())
    for place in (*range(where.stop, where.stop + 2), *range(where.start - 1, where.start - 3, -1)):
        if 0 <= place < len(said):
            fitting = [
                form for form in meant if any(misheard(said[place], word) for word in names[form.option] - shared)
            ]
            if len(fitting) == 1:
                return fitting[0]
    return None
