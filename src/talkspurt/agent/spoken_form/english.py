"""American English as it is said: abbreviations and signs, and the order in which all rules are tried.

Each rule is a pattern and what it stands for. The first that fits is taken, so what is more particular comes first
(`english_addresses`, `_amounts`, `_moments`, `_ids`, `_numbers`). Words are in `english_words`.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from talkspurt.agent.spoken_form import (
    english_addresses,
    english_amounts,
    english_ids,
    english_moments,
    english_numbers,
)
from talkspurt.agent.spoken_form.aligned import AlignedText
from talkspurt.agent.spoken_form.english_patterns import Match, full_stop
from talkspurt.agent.spoken_form.english_words import (
    ABBREVIATIONS,
    COUNTRIES,
    EVER,
    MONTH_OF,
    ROMAN,
    STATES,
    STREETS,
    WEEKDAY_OF,
    cardinal,
    vocabulary,
)
from talkspurt.agent.spoken_form.scanning import Language, Rules, spoken_form
from talkspurt.core.spoken_form import SpokenForm

RULES: Final = Rules()
_rule = RULES.add


_TITLES: Final = frozenset({"Mr", "Mrs", "Ms", "Prof"})
_KEYWORDS: Final = (
    "War|Chapter|Part|Type|Phase|Volume|Section|Level|Class|Series|Mark|Stage|Tier|Act|Title|Article|Step|Appendix|"
    "Model|Gen|Generation"
)


@_rule("letter", rf"({_KEYWORDS})\s+({'|'.join(sorted(ROMAN, key=len, reverse=True))})\b")
def _roman(match: Match) -> str:
    return f"{match[1]} {cardinal(ROMAN[match[2]])}"


@_rule("letter", r"No\.\s?(?=\d)|№\s?")
def _number_abbreviation(_match: Match) -> str:
    return "number "


@_rule("letter", r"(Dr|St)\b(\.?)")
def _doctor_or_drive(match: Match) -> str | None:
    before = match.string[: match.start()]
    title, street = {"Dr": ("Doctor", "Drive"), "St": ("Saint", "Street")}[match[1]]
    named = re.match(r"\s+[A-Z][a-z]", match.string[match.end() :])
    numbered = re.search(r"\d[A-Za-z]{0,2}\s+(?:[A-Z]\w*\.?\s+){0,3}$", before)
    if named and not numbered:
        return title
    if numbered or re.search(r"(?:[A-Z][a-z]+|\dth|\dst|\dnd|\drd)\s$", before):
        return street + full_stop(match, match.group())
    return None


@_rule("letter", rf"({'|'.join(sorted(STREETS))})\b(\.?)")
def _street(match: Match) -> str | None:
    if not match[2] and not re.search(r"(?:[A-Z][a-z]+|\d(?:st|nd|rd|th))\s$", match.string[: match.start()]):
        return None
    return ABBREVIATIONS[match[1]] + full_stop(match, match.group())


@_rule("letter", rf"({'|'.join(sorted(ABBREVIATIONS, key=len, reverse=True))})\.(?!\w)")
def _abbreviation(match: Match) -> str | None:
    if match[1] in ("max", "est", "Fl") and not re.match(r"\s?\d", match.string[match.end() :]):
        return None
    return ABBREVIATIONS[match[1]] + ("" if match[1] in _TITLES else full_stop(match, match.group()))


@_rule("letter", r"[Mm]in\.\s?(?=\d)")
def _minimum(_match: Match) -> str:
    return "minimum "


@_rule("letter", rf"(?<!/)({'|'.join(sorted(EVER, key=len, reverse=True))})\b(?!\.)")
def _short(match: Match) -> str:
    return EVER[match[1]]


@_rule("letter", r"[Ee]\.\s?[Gg]\.")
def _example(_match: Match) -> str:
    return "for example"


@_rule("letter", r"[Ii]\.\s?[Ee]\.")
def _that_is(_match: Match) -> str:
    return "that is"


@_rule("letter", r"N/A\b")
def _not_available(_match: Match) -> str:
    return "not available"


@_rule("letter", r"w/(o\b)?\s?")
def _with(match: Match) -> str:
    return "without " if match[1] else "with "


@_rule("letter", r"P\.\s?O\.(?=\s+Box)")
def _post_office(_match: Match) -> str:
    return "PO"


@_rule("letter", r"((?:[A-Z]\.){2,5})")
def _initials(match: Match) -> str:
    return match.group().replace(".", "") + full_stop(match, match.group())


@_rule("letter", r"([A-Z]{2,5})-(?=[A-Z]\b)")
def _letters_and_letter(match: Match) -> str:
    return f"{match[1]} "


@_rule("letter", r"([^\W\d_]{1,30})(?=\d)")
def _word_and_number(match: Match) -> str:
    return f"{match[1]} "


_SAID_SIGNS: Final = {"&": " and ", "=": " equals ", "@": " at ", "×": " times ", "÷": " divided by ", "%": " percent "}
_BETWEEN_NUMBERS: Final = {"+": " plus ", "*": " times "}
_SILENT_SIGNS: Final = frozenset("<>^|\\_[]{}*`~#/•·→←↑↓†‡§¶¦+°")


@_rule("mark", r"([^\w\s]|_)")
def _sign(match: Match) -> str | None:
    sign = match[1]
    before, after = match.string[: match.start()], match.string[match.end() :]
    if sign in _SAID_SIGNS:
        return _SAID_SIGNS[sign]
    if sign in _BETWEEN_NUMBERS and before.rstrip()[-1:].isdigit() and after.lstrip()[:1].isdigit():
        return _BETWEEN_NUMBERS[sign]
    if sign == "+" and before[-1:].isdigit():
        return " plus"
    if sign == "/" and before[-1:].isdigit() and re.match(r"[a-z]{2}", after):
        return " per "
    if sign == "~" and after[:1].isdigit():
        return "about "
    if sign in "-−" and not before[-1:].strip() and after[:1].isalpha():
        return ""
    return " " if sign in _SILENT_SIGNS else None


_MASK: Final = re.compile(r"(?:\bending (?:in|with)\s+)?(?:(?:[*•·]{4}|\b[xX]{4})[\s-]*){1,4}(?=\d{4}\b)")
_TRIGGERS: Final = frozenset(
    {
        *MONTH_OF,
        *WEEKDAY_OF,
        *ABBREVIATIONS,
        *STREETS,
        *EVER,
        *STATES,
        *COUNTRIES,
        *_KEYWORDS.split("|"),
    }
) | frozenset(
    vocabulary(
        "in since until year during before after early late copyright call dial text code pin digits number "
        "case ticket invoice reference ref confirmation ending ends ext extension last account version no dr "
        "st min e i n w v http https www mailto p"
    )
)


def _is_plain(word: str) -> bool:
    letters = word.replace("'", "").replace("’", "")
    return letters.isalpha() and not word.isupper() and word not in _TRIGGERS and word.lower() not in _TRIGGERS


def _prepare(text: AlignedText) -> None:
    text.put(_MASK, lambda _: "ending in ")


_KINDS: Final = (english_addresses, english_amounts, english_moments, english_ids, english_numbers)
ENGLISH_RULES: Final = Language(
    rules=(*(rule for kind in _KINDS for rule in kind.RULES.rules), *RULES.rules),
    prepare=_prepare,
    too_long="a very long code",
    plain=_is_plain,
)


english_form: Final[Callable[[str], SpokenForm]] = partial(spoken_form, language=ENGLISH_RULES)
"""What is said of a text in American English."""
