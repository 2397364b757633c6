"""Which items of an order a caller means: "the headphones", "item 2", "both", "everything but the watch".

Pure: spoken phrases and the order's items in, the chosen items out, or a refusal that asks a
question. It never guesses: a phrase that fits two different items is asked about, unless it is in the plural, and what
only sounds like an item is proposed, since every use is read back.
"""

import re
from collections.abc import Sequence
from typing import Final

from talkspurt.agent import ToolError, spoken
from talkspurt.retail.options import named_options, spoken_options, values_of
from talkspurt.retail.phrases import alike, misheard, tokens
from talkspurt.retail.schema import OrderItem
from talkspurt.retail.sounds import nearest
from talkspurt.retail.variants import CHEAPEST, DEAREST
from talkspurt.retail.words import either, item_name, listed

_ALL: Final = re.compile(r"^(?:all|everything|both|(?:the )?(?:whole|entire|complete|full) (?:order|thing|lot))\b")
_EXCEPT: Final = re.compile(r"\b(?:except(?: for)?|but(?: not)?|apart from|besides|without)\b")
_AND: Final = re.compile(r"\s*(?:[,;&]|\band\b|\bplus\b)\s*")
_ARTICLE: Final = re.compile(r"(?:the|my|a|an|this|that)\b")
_SEVERAL: Final = re.compile(r"\b(?:those|these)\b")
_AGAIN: Final = re.compile(r"^i (?:said|say|set|mean|meant)\b[ ,]*(?:that\b)?\s*")
"""Begins what is said once more ("set" is how "said" is heard)."""
_EMPTY: Final = frozenset(
    tokens(
        "a an the my that this those these them it pair of please just only return exchange change cancel "
        "item items product products thing things from in order with is some too also well as thanks thank you "
        "nothing anything something i said want to would like mean meant"
    )
)
"""Words that tell no item from another."""
_ANSWERS: Final = frozenset(("yes", "no", "none"))
"""Values of options that are never meant by the word alone: a caller who says "no" chooses nothing."""
_JOINT: Final = re.compile(
    r"\s+(?:in|an|end|then)\s+(?=(?:the|a|an|my|that|those|both)\s)(?!\w+\s+(?:\w+\s+)?(?:order|purchase)\b)"
)
"""What a recognizer makes of the "and" between two things, if both sides name one: "the camera in the backpack"."""
_A_NUMBER: Final = 4
"""Digits from which a phrase is a number, and sounds like no item."""
_PLACES: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_PLACE: Final = re.compile(rf"\b(?:the )?({'|'.join(_PLACES)})\b")
_NUMBERED: Final = re.compile(r"^(?:the )?(?:item|number|position|line)(?: number)? ([a-z]+|\d)$")
_COUNTED: Final = re.compile(r"^(?:all |the |my |both )*(two|three|four|five|\d)\b(?!\s*[-%])\s+(.+)$")


def choose_items(spoken_items: Sequence[str], items: Sequence[OrderItem]) -> list[OrderItem]:
    """The items meant, in the order's order. Raises `ToolError` when a phrase fits none, or several."""
    chosen = {item.id for group in choose_each(spoken_items, items) for item in group}
    return [item for item in items if item.id in chosen]


def choose_each(spoken_items: Sequence[str], items: Sequence[OrderItem]) -> list[list[OrderItem]]:
    """The items meant by each phrase by itself. Raises `ToolError` when a phrase fits none, or several."""
    phrases = [_AGAIN.sub("", phrase.strip().lower()) for phrase in spoken_items]
    phrases = [phrase for phrase in phrases if phrase]
    if not phrases:
        raise ToolError(f"Which item do you mean? {_contents(items)}")
    taken: set[str] = set()
    groups = []
    for phrase in phrases:
        meant = _meant(phrase, items, taken)
        if not meant:
            raise ToolError(f"That leaves no item. {_contents(items)}")
        taken |= meant
        groups.append([item for item in items if item.id in meant])
    return groups


def _meant(phrase: str, items: Sequence[OrderItem], taken: set[str]) -> set[str]:
    identity = _by_number(phrase, items, taken)
    if identity is not None:
        return {identity}
    parts = [part for listed in _AND.split(phrase) for part in _joined(listed, items) if _words(part)]
    if (
        len(parts) > 1
        and not _EXCEPT.search(phrase)
        and any(_ALL.match(part) or _COUNTED.match(part) for part in parts)
    ):
        return _each_of(parts, items, taken)
    if every := _ALL.match(phrase):
        return _all_but(phrase[every.end() :], every.group(), items)
    if counted := _COUNTED.match(phrase):
        fitting = _best(counted.group(2), items)
        if [str(len(fitting))] == list(spoken.numbers(counted.group(1))):
            return {item.id for item in fitting}
    meant: set[str] = set()
    if len(parts) > 1 and _is_one(phrase, parts, items):
        parts = [phrase]
    for part in parts:
        fitting = _best(part, items) or _sounding_like(part, items)
        _require_explained(part, fitting, items)
        meant |= {item.id for item in fitting} if _in_plural(part, fitting) else {_one(fitting, items, taken | meant)}
    if not meant:
        raise ToolError(f"I don't see that in the order. {_contents(items)}")
    return meant


def _joined(phrase: str, items: Sequence[OrderItem]) -> list[str]:
    """The parts of a phrase in which an "and" was misheard; the phrase alone when it names things of one kind."""
    before, *rest = _JOINT.split(phrase, maxsplit=1)
    sides = [_best(side, items) or _sounding_like(side, items) for side in (before, *rest)]
    kinds = [{item.product_id for item in side} for side in sides]
    if rest and all(kinds) and not kinds[0] & kinds[1]:
        return [before, *_joined(rest[0], items)]
    return [phrase]


def _require_explained(phrase: str, fitting: Sequence[OrderItem], items: Sequence[OrderItem]) -> None:
    """Raises `ToolError` when the name of another item was said too, which must not be dropped unheard."""
    explained = {word for item in fitting for word in _words(item.name)}
    left = [word for word in _words(phrase) if not any(alike(word, known) for known in explained)]
    others = [item for item in items if not set(_words(item.name)) & explained]
    named = [item for item in others if all(any(alike(word, known) for word in left) for known in _words(item.name))]
    if fitting and named:
        names = dict.fromkeys(item_name(item) for item in (*fitting, *named))
        raise ToolError(f"Which one do you mean: {either([f'the {name}' for name in names])}? Or all of them?")


def _in_plural(phrase: str, fitting: Sequence[OrderItem]) -> bool:
    """Whether all of several things of one kind were named at once: "those skateboards". Every one is read back."""
    if len({item.product_id for item in fitting}) != 1 or len(fitting) < 2:
        return False
    noun = fitting[0].name.lower().split()[-1]
    said = (word.removesuffix("s") for word in re.findall(r"[a-z]+s\b", phrase.replace("-", "")))
    several = bool(_SEVERAL.search(phrase)) or any(misheard(word, _words(noun)[-1]) for word in said)
    return several and not noun.endswith("s")


def _each_of(parts: Sequence[str], items: Sequence[OrderItem], taken: set[str]) -> set[str]:
    """What parts of an enumeration mean, of which some stand for several items: "both skateboards and the watch"."""
    meant: set[str] = set()
    for part in parts:
        every = _ALL.match(part)
        rest = part[every.end() :].strip() if every else ""
        # "Both the lamp and the watch" is one lamp; "both lamp and the watch" has lost the "s" of two.
        both = every is not None and every.group() == "both" and not _ARTICLE.match(rest)
        two = both and len(_best(rest, items)) == 2
        counts = every is None or not rest or two or rest.rstrip(" .!?").endswith("s")
        meant |= _meant(part if counts else rest, items, taken | meant)
    return meant


def _by_number(phrase: str, items: Sequence[OrderItem], taken: set[str]) -> str | None:
    """The item whose id, variant or place in the order was given."""
    numbers = set(spoken.identifiers(phrase, r"\d{10}"))
    by_id = [
        item.id for item in items if phrase in (item.id.lower(), item.variant_id.lower()) or item.variant_id in numbers
    ]
    if by_id:
        return next((identity for identity in by_id if identity not in taken), by_id[0])
    if numbered := _NUMBERED.match(phrase):
        place = spoken.numbers(numbered.group(1))
        if len(place) == 1 and 1 <= int(place[0]) <= len(items):
            return items[int(place[0]) - 1].id
    return None


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
    cheapest, dearest, place = CHEAPEST.search(phrase), DEAREST.search(phrase), _PLACE.search(phrase)
    plain = _PLACE.sub(" ", DEAREST.sub(" ", CHEAPEST.sub(" ", phrase)))
    words = _words(plain)
    if not words and (cheapest or dearest or place):
        fitting = list(items)
    else:
        scored = [(score, item) for item in items if (score := _score(plain, words, item, items))]
        best = max((score for score, _ in scored), default=0)
        fitting = [item for score, item in scored if score == best]
    if fitting and (cheapest or dearest):
        price = (min if cheapest else max)(item.price_cents for item in fitting)
        fitting = [item for item in fitting if item.price_cents == price]
    if place and len(fitting) > 1:
        at = _PLACES[place.group(1)]
        fitting = [fitting[at - 1 if at > 0 else at]] if at <= len(fitting) else fitting
    return fitting


def _sounding_like(phrase: str, items: Sequence[OrderItem]) -> list[OrderItem]:
    """The items of the one product that a recognizer may have torn apart: "air pure fire", "key bard"; else none.

    Only ever proposed: every use of it is read back by the product's name before anything is done.
    """
    if len(spoken.digits(phrase)) >= _A_NUMBER:
        return []
    name = nearest(_words(phrase), {item.name for item in items})
    return [item for item in items if item.name == name]


def _score(phrase: str, words: Sequence[str], item: OrderItem, items: Sequence[OrderItem]) -> int:
    """How well an item fits; 0 unless its noun was said, or every word fits its name or options."""
    name = _words(item.name)
    if words and misheard("".join(words), "".join(name)):
        return 2 * max(len(words), len(name))
    in_name = [word for word in words if any(alike(word, known) for known in name)]
    spelled = [word for word in _words(" ".join([*item.options.values(), *item.options])) if word not in _ANSWERS]
    in_options = [word for word in words if word not in in_name and any(alike(word, known) for known in spelled)]
    noun_said = any(alike(word, name[-1]) for word in words) or "".join(name) in "".join(words)
    all_fit = len(in_name) + len(in_options) == len(words)
    if not (noun_said or all_fit):
        return 0
    return 2 * len(in_name) + len(in_options) + _options_score(phrase, item, items)


def _options_score(phrase: str, item: OrderItem, items: Sequence[OrderItem]) -> int:
    """How many of the options named are this item's, among the order's items of its product; below 0 for others'."""
    alike_items = [other.options for other in items if other.product_id == item.product_id]
    if len(alike_items) == 1:
        return 0
    try:
        named = named_options(phrase, alike_items)
    except ToolError:
        return 0
    return sum(3 if item.options.get(option) in values else -3 for option, values in named.items())


def _is_one(phrase: str, parts: Sequence[str], items: Sequence[OrderItem]) -> bool:
    """Whether a list names one item and how it looks ("the fifteen inch, silver laptop"), not several."""
    fitting = _best(phrase, items)
    if len(fitting) != 1 or sum(_noun_said(part, items) for part in parts) != 1:
        return False
    looks = _words(" ".join(fitting[0].options.values()))
    described = [word for part in parts if not _noun_said(part, items) for word in _words(part)]
    return all(any(alike(word, known) for known in looks) for word in described)


def _noun_said(phrase: str, items: Sequence[OrderItem]) -> bool:
    """Whether a phrase names a kind of item, not only how it looks."""
    return any(alike(word, _words(item.name)[-1]) for word in _words(phrase) for item in items)


def _one(fitting: Sequence[OrderItem], items: Sequence[OrderItem], taken: set[str]) -> str:
    if not fitting:
        raise ToolError(f"I don't see that in the order. {_contents(items)}")
    if len({item.variant_id for item in fitting}) > 1:
        raise ToolError(f"Which one do you mean: {_told_apart(fitting)}?")
    return next((item.id for item in fitting if item.id not in taken), fitting[0].id)


def _told_apart(fitting: Sequence[OrderItem]) -> str:
    """The choice in words, by the first option that differs: "the blue headphones or the black headphones"."""
    if len({item.name for item in fitting}) > 1:
        return either(list(dict.fromkeys(f"the {item_name(item)}" for item in fitting)))
    for option in fitting[0].options:
        values = [item.options.get(option, "") for item in fitting]
        if len(set(values)) == len(values) and not _ANSWERS & {value.lower() for value in values}:
            return either([f"the {value} {item_name(item)}" for value, item in zip(values, fitting, strict=True)])
    telling = [option for option, kinds in values_of([item.options for item in fitting]).items() if len(kinds) > 1]
    return either([f"the {item_name(item)} with {spoken_options(item.options, telling)}" for item in fitting])


def _contents(items: Sequence[OrderItem]) -> str:
    return f"The order has: {listed([item_name(item) for item in items])}."


def _words(text: str) -> list[str]:
    return [word for word in tokens(re.sub(r"(?<=[a-z])-(?=[a-z])", "", text.lower())) if word not in _EMPTY]
