"""The rules by which American English is said: amounts, days, times, ids, numbers of all kinds, abbreviations.

Each rule is a pattern and what it stands for, in the order in which they are tried (`scanning.py`): what is more
particular comes first. Words and numbers are in `english_words.py`.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

import phonenumbers

from talkspurt.agent.spoken_form.aligned import AlignedText
from talkspurt.agent.spoken_form.english_words import (
    ABBREVIATIONS,
    AMOUNTS,
    COUNTRIES,
    CURRENCIES,
    CURRENCY_CODES,
    DOMAINS,
    EVER,
    FRACTIONS,
    MONTH_OF,
    MONTHS,
    ROMAN,
    STATES,
    STREETS,
    UNITS,
    WEEKDAY_OF,
    WORD_DOMAINS,
    cardinal,
    decimal,
    digits,
    grouped,
    in_pairs,
    ordinal,
    vocabulary,
    year,
)
from talkspurt.agent.spoken_form.scanning import Language, Rule, spoken_form
from talkspurt.core.spoken_form import SpokenForm

_Match = re.Match[str]

_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_TO: Final = r"\s?[-–—]\s?"
_MINUS: Final = r"(?<![\w).,-])[-−]"
_MONTH: Final = "(?:" + "|".join(sorted(map(re.escape, MONTH_OF), key=len, reverse=True)) + ")"
_WEEKDAY: Final = "(?:" + "|".join(sorted(WEEKDAY_OF, key=len, reverse=True)) + ")"
_HALF: Final = r"(?:[aApP]\.[mM]\.|[aApP][mM]\b)"
_CLOCK: Final = rf"(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d)?(?:\s?{_HALF})?"
_TIME: Final = rf"(?:{_CLOCK}|(?:1[0-2]|0?[1-9])\s?{_HALF})"
_UNIT: Final = "(?:" + "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True)) + ")"
_STREET: Final = r"(?:St|Dr|Ave|Blvd|Rd|Ln|Ct|Pl|Hwy|Pkwy|Sq|Ter|Way|Street|Avenue|Road|Drive|Lane|Boulevard|Court)"
_AMOUNT: Final = "(?:" + "|".join(sorted(AMOUNTS, key=len, reverse=True)) + r")\b"
_FEW: Final = (
    r"(?=\s(?:gift card|voucher|credit|bill|fee|coupon|discount|deposit|note|bulb|adapter|charger|battery|pack)s?\b)"
)
"""Before these an amount is in the singular: "a fifty dollar voucher"."""
_SYMBOLS: Final = "".join(CURRENCIES)

_RULES: list[Rule] = []


def _rule(begins: str, pattern: str, flags: int = 0) -> Callable[[Callable[[_Match], str | None]], None]:
    def add(say: Callable[[_Match], str | None]) -> None:
        _RULES.extend(Rule(one, re.compile(pattern, flags), say) for one in begins.split())

    return add


def _stop(match: _Match, abbreviation: str) -> str:
    """The full stop behind an abbreviation that is the sentence's too."""
    if not abbreviation.endswith("."):
        return ""
    return "." if re.match(r"[\"'”’)*_]*(?:\s*$|\s+[A-Z])", match.string[match.end() :]) else ""


# ── addresses ─────────────────────────────────────────────────────────────────────


def _spelled(text: str) -> str:
    return " ".join(text)


def _address_word(part: str) -> str:
    """A run of letters in an address: spelled when nobody could pronounce it."""
    if len(part) > 1 and not re.search(r"[aeiouy]", part, re.IGNORECASE):
        return _spelled(part)
    return part


def _address(text: str, signs: dict[str, str]) -> str:
    said = []
    for part in re.findall(r"[^\W\d_]+|\d+|[^\w\s]|_", text):
        if part.isdigit():
            said.append(digits(part))
        elif part.isalpha():
            said.append(_address_word(part))
        elif part in signs:
            said.append(signs[part])
    return " ".join(said)


_SIGNS: Final = {".": "dot", "_": "underscore", "-": "dash", "+": "plus", "@": "at", "/": "slash"}


def _domain(text: str) -> str:
    *parts, top = text.split(".")
    said = [_address(part, _SIGNS) for part in parts]
    if len(parts) > 1 and len(top) == 2 and parts[-1].lower() in WORD_DOMAINS:
        said[-1] = parts[-1].lower()
    return " dot ".join((*said, top if top.lower() in WORD_DOMAINS else _spelled(top)))


@_rule("letter digit mark", r"(?:mailto:)?([A-Za-z0-9_][\w.%+-]{0,63})@((?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,12})\b")
def _email(match: _Match) -> str:
    return f"{_address(match[1], _SIGNS)} at {_domain(match[2])}"


@_rule(
    "letter digit",
    r"(?P<scheme>https?://(?:www\.)?|www\.)?(?P<host>(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,12})(?::\d+)?"
    r"(?P<path>/[^\s<>()\[\]\"'“”?#]*)?(?P<query>[?#][^\s<>()\[\]\"'“”]*)?",
    re.IGNORECASE,
)
def _url(match: _Match) -> str | None:
    if not match["scheme"] and match["host"].rpartition(".")[2].lower() not in DOMAINS:
        return None
    if not match["scheme"] and not match["host"].islower() and not match["path"]:
        # "Ok.It" is two sentences that lost their space.
        return None
    path, query = match["path"] or "", match["query"] or ""
    ending = re.search(r"[.,;:!?]+$", query or path)
    segments = [part for part in path.rstrip(".,;:!?").split("/") if part][:2]
    said = " slash ".join((_domain(match["host"]), *(_address(part, _SIGNS) for part in segments)))
    return said + (ending.group() if ending else "")


# ── amounts of money ──────────────────────────────────────────────────────────────


def _money(number: str, symbol: str, *, country: str = "", amount: str = "", singular: bool = False) -> str:
    one, many, small_one, small_many = CURRENCIES[symbol]
    country = f"{country} " if country else ""
    if amount:
        return f"{decimal(number)} {AMOUNTS[amount]} {country}{many}"
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(fraction) > 2 or (fraction and not small_one):
        return f"{decimal(number)} {country}{many}"
    units, cents = int(whole or "0"), int(fraction.ljust(2, "0") or "0")
    parts = []
    if units or not cents:
        parts.append(f"{cardinal(units)} {country}{one if units == 1 or singular else many}")
    if cents:
        parts.append(f"{cardinal(cents)} {small_one if cents == 1 else small_many}")
    return " and ".join(parts)


@_rule(
    "letter mark",
    rf"(?P<minus>{_MINUS}\s?)?(?P<country>{'|'.join(COUNTRIES)})?(?P<symbol>[{_SYMBOLS}])\s?"
    rf"(?P<minus_after>[-−])?(?P<from>{_NUMBER})(?:{_TO}[{_SYMBOLS}]?(?P<to>{_NUMBER}))?(?:\s?(?P<amount>{_AMOUNT}))?"
    rf"(?P<per>/(?:month|mo|week|wk|year|yr|day|hour|hr|each|person|item)\b)?(?P<few>{_FEW})?",
)
def _amount(match: _Match) -> str:
    per = {"mo": "month", "wk": "week", "yr": "year", "hr": "hour"}
    lower = f"{decimal(match['from'])} to " if match["to"] else ""
    said = _money(
        match["to"] or match["from"],
        match["symbol"],
        country=COUNTRIES.get(match["country"] or "", ""),
        amount=match["amount"] or "",
        singular=match["few"] is not None,
    )
    unit = (match["per"] or "").removeprefix("/")
    every = f" {'' if unit == 'each' else 'per '}{per.get(unit, unit)}" if unit else ""
    return ("minus " if match["minus"] or match["minus_after"] else "") + lower + said + every


@_rule("digit", rf"({_NUMBER})\s?(?:([{_SYMBOLS}])|({'|'.join(CURRENCY_CODES)})\b)(?!\s?\d)")
def _amount_before(match: _Match) -> str:
    country, symbol = CURRENCY_CODES[match[3]] if match[3] else ("", match[2])
    return _money(match[1], symbol, country=country)


@_rule("digit", r"(\d+)\s?¢")
def _cents(match: _Match) -> str:
    return f"{cardinal(int(match[1]))} cent{'' if match[1] == '1' else 's'}"


# ── days ──────────────────────────────────────────────────────────────────────────


def _day(month: int, day: int, of: str = "") -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    said = f"{MONTHS[month - 1]} {ordinal(day)}"
    if not of:
        return said
    return f"{said}, {year(int(of) if len(of) == 4 else 2000 + int(of))}"


@_rule(
    "digit", r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[T ](\d\d:\d\d)(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\d-])"
)
def _iso_day(match: _Match) -> str | None:
    said = _day(int(match[3]), int(match[4]), match[1])
    return f"{said} at {_clock(match[5])}" if said and match[5] else said


@_rule("digit", r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\d/])")
def _american_day(match: _Match) -> str | None:
    return _day(int(match[1]), int(match[2]), match[3])


@_rule(
    "letter",
    rf"({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?:{_TO}(\d{{1,2}})(?:st|nd|rd|th)?)?(?:,?\s+((?:19|20)\d\d))?(?![\d:%]|\.\d|\s?[aApP]\.?[mM]\b)",
)
def _month_and_day(match: _Match) -> str | None:
    if int(match[2]) > 31 or not int(match[2]):
        return None
    until = f" to {ordinal(int(match[3]))}" if match[3] else ""
    of = f", {year(int(match[4]))}" if match[4] else ""
    return f"{MONTH_OF[match[1]]} {ordinal(int(match[2]))}{until}{of}"


@_rule("digit", rf"(\d{{1,2}})\s+({_MONTH})\b\.?(?:,?\s+((?:19|20)\d\d)\b)?")
def _day_and_month(match: _Match) -> str | None:
    if not 1 <= int(match[1]) <= 31:
        return None
    return f"{MONTH_OF[match[2]]} {ordinal(int(match[1]))}" + (f", {year(int(match[3]))}" if match[3] else "")


@_rule("letter", rf"({_MONTH})\.?,?\s+((?:19|20)\d\d)\b(?![-/])")
def _month_and_year(match: _Match) -> str:
    return f"{MONTH_OF[match[1]]} {year(int(match[2]))}"


@_rule("letter", rf"({_WEEKDAY})\.?\s?[-–]\s?({_WEEKDAY})\b\.?")
def _weekdays(match: _Match) -> str:
    return f"{WEEKDAY_OF[match[1]]} to {WEEKDAY_OF[match[2]]}"


@_rule("letter", rf"({_WEEKDAY})\.?(?=,?\s+(?:{_MONTH}\b|\d))")
def _weekday(match: _Match) -> str:
    return WEEKDAY_OF[match[1]]


@_rule(
    "letter",
    r"([Ii]n|[Ss]ince|[Uu]ntil|[Yy]ear|[Dd]uring|[Bb]efore|[Aa]fter|[Ee]arly|[Ll]ate|[Cc]opyright)\s+((?:19|20)\d\d)\b"
    r"(?!\s?(?:points|dollars|items|pieces|steps|units|copies|words|[%$€£]))(?![,.:/-]\d)",
)
def _in_year(match: _Match) -> str:
    return f"{match[1]} {year(int(match[2]))}"


@_rule("digit", r"((?:1[89]|20)\d)0s\b")
def _decade(match: _Match) -> str:
    return f"{year(int(match[1]) * 10)[:-1]}ies" if match[1][-1] != "0" else f"{year(int(match[1]) * 10)}s"


# ── times ─────────────────────────────────────────────────────────────────────────


def _clock(time: str, *, hour24: bool = False) -> str:
    parts = re.fullmatch(rf"(\d{{1,2}})(?::(\d\d))?(?::(\d\d))?\s?({_HALF})?", time)
    assert parts is not None
    hour, minute, second = int(parts[1]), int(parts[2] or "0"), int(parts[3] or "0")
    half = (parts[4] or "").replace(".", "").upper()
    if not half and (hour >= 13 or (hour == 0 and parts[2]) or (hour24 and parts[2])):
        half = "PM" if 12 <= hour < 24 else "AM"
    said = cardinal(12 if hour % 12 == 0 else hour % 12)
    if minute:
        said += f" {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif parts[2] and not half:
        said += " o'clock"
    said += f" {half}" if half else ""
    return said + (f" and {cardinal(second)} seconds" if second else "")


@_rule("digit", rf"({_TIME}|\d{{1,2}}(?::[0-5]\d)?){_TO}({_TIME})(?!\d)")
def _times(match: _Match) -> str:
    return f"{_clock(match[1])} to {_clock(match[2])}{_stop(match, match[2])}"


@_rule("digit", rf"({_TIME})(?![\d:])")
def _time(match: _Match) -> str:
    return _clock(match[1]) + _stop(match, match[1])


@_rule("digit", r"24/7\b")
def _always(_match: _Match) -> str:
    return "twenty-four seven"


# ── telephone numbers ─────────────────────────────────────────────────────────────


def _area(code: str) -> str:
    return f"{digits(code[0])} hundred" if code in ("800", "900") else digits(code)


@_rule(
    "mark digit",
    r"(?P<country>\+?1)?[-.\s]?(?P<area>\(\d{3}\)\s?|\d{3}[-.\s])(?P<exchange>\d{3})[-.\s](?P<line>\d{4})(?![\d-])",
)
def _phone(match: _Match) -> str:
    country = {"+1": "plus one, ", "1": "one, "}.get(match["country"] or "", "")
    area = "".join(filter(str.isdigit, match["area"]))
    return f"{country}{_area(area)}, {digits(match['exchange'])}, {digits(match['line'])}"


@_rule("mark", r"\+\d[\d\s().-]{5,18}\d(?!\d)")
def _foreign_phone(match: _Match) -> str | None:
    try:
        number = phonenumbers.parse(match.group(), None)
    except phonenumbers.NumberParseException:
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return "plus " + ", ".join(grouped(part) for part in re.findall(r"\d+", written))


@_rule("digit", r"(\d{3})-(\d{4})(?![\d-])")
def _short_phone(match: _Match) -> str:
    return f"{digits(match[1])}, {digits(match[2])}"


@_rule("letter", r"([Cc]all|[Dd]ial|[Tt]ext)\s+([2-9]11)\b(?![-.]\d)")
def _service_number(match: _Match) -> str:
    return f"{match[1]} {digits(match[2])}"


# ── ids ───────────────────────────────────────────────────────────────────────────


def _id(text: str) -> str:
    """Runs of letters and of digits, with a pause between them."""
    runs = re.findall(r"[A-Za-z]+|\d+", text)
    return ", ".join(grouped(run) if run.isdigit() else _spelled(run.upper()) for run in runs)


@_rule("letter", rf"({'|'.join(STATES)})\s+(\d{{5}})(?:-(\d{{4}}))?\b")
def _state_and_zip(match: _Match) -> str:
    return f"{STATES[match[1]]} {digits(match[2])}" + (f", {digits(match[3])}" if match[3] else "")


@_rule("digit", r"(\d{5})-(\d{4})(?![\d-])")
def _zip(match: _Match) -> str:
    return f"{digits(match[1])}, {digits(match[2])}"


@_rule("mark", r"#\s?(?=[A-Za-z]{1,4}-?\d{2})")
def _id_sign(_match: _Match) -> str:
    return ""


@_rule(
    "letter digit",
    r"(?=[A-Z0-9-]*[A-Z])(?=(?:[A-Z-]*\d){3})[A-Z0-9]{1,34}(?:-[A-Z0-9]{1,34}){0,5}(?![\w-])|[A-Za-z]{1,2}\d{5,12}\b",
)
def _mixed_id(match: _Match) -> str | None:
    if re.fullmatch(rf"{_NUMBER}{_UNIT}", match.group()):
        return None
    return _id(match.group())


@_rule("letter digit", r"(?=(?:\w )*?\d \w )(?:[A-Z0-9] ){4,30}[A-Z0-9](?!\w)")
def _spelled_id(match: _Match) -> str | None:
    return _id(match.group().replace(" ", "")) if sum(map(str.isdigit, match.group())) >= 4 else None


@_rule(
    "letter",
    r"((?:[Cc]ode|PIN|[Pp]in|[Dd]igits|[Nn]umber|[Cc]ase|[Tt]icket|[Ii]nvoice|[Rr]eference|[Rr]ef|[Cc]onfirmation|"
    r"[Ee]nding|[Ee]nds|ext\.?|[Ee]xtension|[Ll]ast four|[Aa]ccount)"
    r"(?:\s(?:is|are|in|with|number|no\.|of|digits))*[:\s]\s?)#?(\d{2,4})(?![\d:%,]|[.-]\d|\w)",
)
def _labelled(match: _Match) -> str | None:
    label = match[1].strip()
    if len(match[2]) < (2 if label.startswith(("ext", "Ext")) else 3):
        return None
    label = re.sub(r"^ext\.?$", "extension", label)
    return f"{label} {digits(match[2])}"


@_rule("mark", r"#(\d+)")
def _hash(match: _Match) -> str:
    before = match.string[: match.start()].rstrip().lower()
    named = re.search(
        r"\b(?:order|number|no\.?|item|case|ticket|reference|ref|id|tracking|account|invoice|code)$", before
    )
    said = grouped(match[1]) if len(match[1]) > 2 else cardinal(int(match[1]))
    return said if named else f"number {said}"


@_rule("digit", r"(?:\d{4} ){1,7}\d{2,4}(?![\d:])")
def _groups_of_four(match: _Match) -> str:
    return ", ".join(grouped(part) for part in match.group().split())


# ── numbers ───────────────────────────────────────────────────────────────────────


@_rule("digit", r"(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
def _ordinal(match: _Match) -> str:
    return ordinal(int(match[1]))


@_rule("digit mark", rf"({_MINUS})?({_NUMBER})(?:{_TO}({_NUMBER}))?\s?%")
def _percent(match: _Match) -> str:
    until = f" to {decimal(match[3])}" if match[3] else ""
    return f"{'minus ' if match[1] else ''}{decimal(match[2])}{until} percent"


@_rule("digit", r"(\d)['′]\s?(\d{1,2})(?:[\"″”]|'')")
def _height(match: _Match) -> str:
    return f"{cardinal(int(match[1]))} foot {cardinal(int(match[2]))}"


@_rule("digit mark", rf"({_MINUS})?({_NUMBER})(?:{_TO}({_NUMBER}))?(\s?)({_UNIT})(?![\w°])({_FEW})?")
def _measure(match: _Match) -> str | None:
    unit = match[5]
    before = match.string[: match.start()]
    if unit == '"' and before.count('"') % 2:
        return None
    if unit in ("°", "m", "g", "h", "V", "L", "l") and match[4] and unit != "°" and len(match[2]) > 4:
        return None
    one, many = UNITS[unit]
    single = (match[2] == "1" and not match[3]) or match[6] is not None
    until = f" to {decimal(match[3])}" if match[3] else ""
    said = f"{'minus ' if match[1] else ''}{decimal(match[2])}{until} {one if single else many}"
    return said + _stop(match, unit)


@_rule("digit", r"(?:(\d+)\s)?(\d{1,2})/(\d{1,2})(?![\d/])")
def _fraction_or_day(match: _Match) -> str | None:
    above, below = int(match[2]), int(match[3])
    before = re.search(r"\b(?:on|by|until|before|since|after|dated|due)\s$", match.string[: match.start()])
    if above < below and below in FRACTIONS and not before:
        part = FRACTIONS[below]
        if match[1]:
            return f"{cardinal(int(match[1]))} and {'a' if above == 1 else cardinal(above)} {_many(part, above)}"
        return f"{cardinal(above)} {_many(part, above)}"
    return None if match[1] else _day(above, below)


def _many(part: str, count: int) -> str:
    return part if count == 1 else {"half": "halves"}.get(part, f"{part}s")


@_rule("mark digit", r"(\d+\s?)?([½¼¾⅓⅔⅛])")
def _fraction_sign(match: _Match) -> str:
    part = {"½": "half", "¼": "quarter", "¾": "three quarters", "⅓": "third", "⅔": "two thirds", "⅛": "eighth"}[
        match[2]
    ]
    if match[1]:
        return f"{cardinal(int(match[1]))} and {part if ' ' in part else f'a {part}'}"
    return part if " " in part else f"one {part}"


@_rule("letter", r"(?:([Vv]ersion)\s+|[vV]\.?\s?)(\d{1,4}(?:\.\d{1,4})+)\b|[vV](\d{1,3})\b")
def _version(match: _Match) -> str:
    parts = (match[2] or match[3]).split(".")
    return f"{match[1] or 'version'} " + " point ".join(cardinal(int(part)) for part in parts)


@_rule("digit", r"\d{1,4}(?:\.\d{1,4}){2,4}(?!\d|\.\d)")
def _dotted(match: _Match) -> str:
    return " point ".join(cardinal(int(part)) for part in match.group().split("."))


@_rule("digit", rf"(\d{{1,5}})(?=\s+(?:[NSEW]\.?\s+)?(?:[A-Z][a-z]+\s+|\d+(?:st|nd|rd|th)\s+){{1,3}}{_STREET}\b)")
def _house(match: _Match) -> str:
    return in_pairs(int(match[1]))


@_rule("digit", rf"({_NUMBER})(?:{_TO})({_NUMBER})(?![\d/-])")
def _range(match: _Match) -> str | None:
    return f"{decimal(match[1])} to {decimal(match[2])}" if max(map(len, match.groups())) <= 6 else None


@_rule("digit", r"(\d+)\s?[x×]\s?(?=\d)")
def _by(match: _Match) -> str:
    return f"{cardinal(int(match[1]))} {'times' if '×' in match.group() else 'by'} "


@_rule("digit", r"(\d+)(?:-(?=[A-Za-z])|(?=[A-Za-z]))")
def _joined(match: _Match) -> str:
    return f"{decimal(match[1]) if len(match[1]) < 5 else grouped(match[1])} "


@_rule("digit mark", rf"({_MINUS})?({_NUMBER})")
def _number(match: _Match) -> str | None:
    if not match[1] and match[2][0] == "." and re.search(r"\w$", match.string[: match.start()]):
        return None
    minus = "minus " if match[1] else ""
    plain = match[2]
    if plain.isdigit() and (len(plain) >= 5 or (len(plain) > 1 and plain[0] == "0")):
        return minus + grouped(plain)
    return minus + decimal(plain)


# ── abbreviations and signs ───────────────────────────────────────────────────────

_TITLES: Final = frozenset({"Mr", "Mrs", "Ms", "Prof"})
_KEYWORDS: Final = (
    "War|Chapter|Part|Type|Phase|Volume|Section|Level|Class|Series|Mark|Stage|Tier|Act|Title|Article|Step|Appendix|"
    "Model|Gen|Generation"
)


@_rule("letter", rf"({_KEYWORDS})\s+({'|'.join(sorted(ROMAN, key=len, reverse=True))})\b")
def _roman(match: _Match) -> str:
    return f"{match[1]} {cardinal(ROMAN[match[2]])}"


@_rule("letter", r"No\.\s?(?=\d)|№\s?")
def _number_abbreviation(_match: _Match) -> str:
    return "number "


@_rule("letter", r"(Dr|St)\b(\.?)")
def _doctor_or_drive(match: _Match) -> str | None:
    before = match.string[: match.start()]
    title, street = {"Dr": ("Doctor", "Drive"), "St": ("Saint", "Street")}[match[1]]
    named = re.match(r"\s+[A-Z][a-z]", match.string[match.end() :])
    numbered = re.search(r"\d[A-Za-z]{0,2}\s+(?:[A-Z]\w*\.?\s+){0,3}$", before)
    if named and not numbered:
        return title
    if numbered or re.search(r"(?:[A-Z][a-z]+|\dth|\dst|\dnd|\drd)\s$", before):
        return street + _stop(match, match.group())
    return None


@_rule("letter", rf"({'|'.join(sorted(STREETS))})\b(\.?)")
def _street(match: _Match) -> str | None:
    if not match[2] and not re.search(r"(?:[A-Z][a-z]+|\d(?:st|nd|rd|th))\s$", match.string[: match.start()]):
        return None
    return ABBREVIATIONS[match[1]] + _stop(match, match.group())


@_rule("letter", rf"({'|'.join(sorted(ABBREVIATIONS, key=len, reverse=True))})\.(?!\w)")
def _abbreviation(match: _Match) -> str | None:
    if match[1] in ("max", "est", "Fl") and not re.match(r"\s?\d", match.string[match.end() :]):
        return None
    return ABBREVIATIONS[match[1]] + ("" if match[1] in _TITLES else _stop(match, match.group()))


@_rule("letter", r"[Mm]in\.\s?(?=\d)")
def _minimum(_match: _Match) -> str:
    return "minimum "


@_rule("letter", rf"(?<!/)({'|'.join(sorted(EVER, key=len, reverse=True))})\b(?!\.)")
def _short(match: _Match) -> str:
    return EVER[match[1]]


@_rule("letter", r"[Ee]\.\s?[Gg]\.")
def _example(_match: _Match) -> str:
    return "for example"


@_rule("letter", r"[Ii]\.\s?[Ee]\.")
def _that_is(_match: _Match) -> str:
    return "that is"


@_rule("letter", r"N/A\b")
def _not_available(_match: _Match) -> str:
    return "not available"


@_rule("letter", r"w/(o\b)?\s?")
def _with(match: _Match) -> str:
    return "without " if match[1] else "with "


@_rule("letter", r"P\.\s?O\.(?=\s+Box)")
def _post_office(_match: _Match) -> str:
    return "PO"


@_rule("letter", r"((?:[A-Z]\.){2,5})")
def _initials(match: _Match) -> str:
    return match.group().replace(".", "") + _stop(match, match.group())


@_rule("letter", r"([A-Z]{2,5})-(?=[A-Z]\b)")
def _letters_and_letter(match: _Match) -> str:
    return f"{match[1]} "


@_rule("letter", r"([^\W\d_]{1,30})(?=\d)")
def _word_and_number(match: _Match) -> str:
    return f"{match[1]} "


_SAID_SIGNS: Final = {"&": " and ", "=": " equals ", "@": " at ", "×": " times ", "÷": " divided by ", "%": " percent "}
_BETWEEN_NUMBERS: Final = {"+": " plus ", "*": " times "}
_SILENT_SIGNS: Final = frozenset("<>^|\\_[]{}*`~#/•·→←↑↓†‡§¶¦+°")


@_rule("mark", r"([^\w\s]|_)")
def _sign(match: _Match) -> str | None:
    sign = match[1]
    before, after = match.string[: match.start()], match.string[match.end() :]
    if sign in _SAID_SIGNS:
        return _SAID_SIGNS[sign]
    if sign in _BETWEEN_NUMBERS and before.rstrip()[-1:].isdigit() and after.lstrip()[:1].isdigit():
        return _BETWEEN_NUMBERS[sign]
    if sign == "+" and before[-1:].isdigit():
        return " plus"
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


ENGLISH_RULES: Final = Language(rules=tuple(_RULES), prepare=_prepare, too_long="a very long code", plain=_is_plain)


english_form: Final[Callable[[str], SpokenForm]] = partial(spoken_form, language=ENGLISH_RULES)
"""What is said of a text in American English."""
