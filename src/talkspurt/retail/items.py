"""Which items of an order a caller means: "the headphones", "both", "everything but the watch".

Pure: spoken phrases and the order's items in, the chosen items out, or a refusal that asks a
question. It never guesses: a phrase that fits two different items is asked about.
"""

import re
from collections.abc import Sequence

from rapidfuzz import fuzz

from talkspurt.agent import ToolError
from talkspurt.retail.schema import OrderItem
from talkspurt.retail.words import item_name, listed

_ALL = re.compile(r"^(?:all|everything|both|(?:the )?(?:whole|entire|complete|full) (?:order|thing|lot))\b")
_EXCEPT = re.compile(r"\b(?:except(?: for)?|but(?: not)?|apart from|besides|without)\b")
_AND = re.compile(r"\s*(?:[,;&]|\band\b|\bplus\b)\s*")
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        "a an the my that this those these them it one ones two three four five pair of please just only return "
        "item items product products thing things from in order with is",
    )
)
"""Words that tell no item from another."""
_SIMILAR = 85.0
"""Likeness of two words, in percent, from which a recognizer's spelling counts as the same word."""


def choose_items(spoken: Sequence[str], items: Sequence[OrderItem]) -> list[OrderItem]:
    """The items meant by `spoken`, in the order's order. Raises `ToolError` when a phrase fits none, or several."""
    phrases = [phrase.strip().lower() for phrase in spoken if phrase.strip()]
    if not phrases:
        raise ToolError(f"Which item would you like to return? {_contents(items)}")
    chosen: set[str] = set()
    for phrase in phrases:
        chosen |= _meant(phrase, items, chosen)
    if not chosen:
        raise ToolError(f"That leaves nothing to return. {_contents(items)}")
    return [item for item in items if item.id in chosen]


def _meant(phrase: str, items: Sequence[OrderItem], taken: set[str]) -> set[str]:
    by_id = [item.id for item in items if phrase in (item.id.lower(), item.variant_id.lower())]
    if by_id:
        return {next((identity for identity in by_id if identity not in taken), by_id[0])}
    if every := _ALL.match(phrase):
        return _all_but(phrase[every.end() :], every.group(), items)
    meant: set[str] = set()
    for part in filter(_words, _AND.split(phrase)):
        meant.add(_one(_best(part, items), items, taken | meant))
    if not meant:
        raise ToolError(f"I don't see that in the order. {_contents(items)}")
    return meant


def _all_but(rest: str, said: str, items: Sequence[OrderItem]) -> set[str]:
    """What "all", "both" or "everything" stands for, given the words after it."""
    included, *excepted = _EXCEPT.split(rest, maxsplit=1)
    if _words(included):
        fitting = _best(included, items)
    elif said == "both" and len(items) != 2:
        raise ToolError(f"Which two do you mean? {_contents(items)}")
    else:
        fitting = list(items)
    if not fitting:
        raise ToolError(f"I don't see that in the order. {_contents(items)}")
    meant = {item.id for item in fitting}
    return meant - _meant(excepted[0].strip(), items, set()) if excepted else meant


def _best(phrase: str, items: Sequence[OrderItem]) -> list[OrderItem]:
    """The items that fit the phrase best; none when none fits."""
    words = _words(phrase)
    scored = [(score, item) for item in items if (score := _score(words, item))]
    best = max((score for score, _ in scored), default=0)
    return [item for score, item in scored if score == best]


def _score(words: Sequence[str], item: OrderItem) -> int:
    """How well an item fits; 0 unless its noun was said, or every word fits its name or options."""
    name = _words(item.name)
    options = _words(" ".join(str(value) for value in item.options.values()))
    if words and _alike("".join(words), "".join(name)):
        return 2 * max(len(words), len(name))
    in_name = [word for word in words if any(_alike(word, known) for known in name)]
    in_options = [word for word in words if word not in in_name and any(_alike(word, known) for known in options)]
    noun_said = any(_alike(word, name[-1]) for word in words)
    all_fit = len(in_name) + len(in_options) == len(words)
    return 2 * len(in_name) + len(in_options) if noun_said or all_fit else 0


def _one(fitting: Sequence[OrderItem], items: Sequence[OrderItem], taken: set[str]) -> str:
    if not fitting:
        raise ToolError(f"I don't see that in the order. {_contents(items)}")
    if len({item.variant_id for item in fitting}) > 1:
        raise ToolError(f"Which one do you mean: {_told_apart(fitting)}?")
    return next((item.id for item in fitting if item.id not in taken), fitting[0].id)


def _told_apart(fitting: Sequence[OrderItem]) -> str:
    """The choice in words, by the first option that differs: "the blue headphones or the black headphones"."""
    if len({item.name for item in fitting}) == 1:
        for option in fitting[0].options:
            values = [str(item.options.get(option, "")) for item in fitting]
            if len(set(values)) == len(values):
                return " or ".join(
                    f"the {value} {item_name(item)}" for value, item in zip(values, fitting, strict=True)
                )
    return " or ".join(dict.fromkeys(f"the {item_name(item)}" for item in fitting))


def _contents(items: Sequence[OrderItem]) -> str:
    return f"The order has: {listed([item_name(item) for item in items])}."


def _words(text: str) -> list[str]:
    words = re.findall(r"[a-z0-9]+", text.lower().replace("-", ""))
    return [_singular(word) for word in words if word not in _EMPTY]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _alike(word: str, known: str) -> bool:
    """Whether a recognizer may have meant `known`: the same, a longer or shorter form, or a likely misspelling."""
    if word == known:
        return True
    if min(len(word), len(known)) < 4:
        return False
    return word.startswith(known) or known.startswith(word) or fuzz.ratio(word, known) >= _SIMILAR
