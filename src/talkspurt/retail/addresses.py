"""A postal address from what a caller said, or one of those that the shop knows of them.

Pure. "Four forty five maple drive suite three ninety four fort worth texas seven six one six five" is read without
a comma; "my New York address" or "the one on order W2378156" is looked for among the caller's own. United States only.
What is missing is asked for, never made up.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from talkspurt.agent import ToolError, spoken
from talkspurt.retail import facts
from talkspurt.retail.phrases import misheard
from talkspurt.retail.words import either, spelled

STATES: Final = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas",
    "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan",
    "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
    "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina",
    "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island",
    "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont",
    "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
_BY_NAME: Final = {name.lower(): code for code, name in STATES.items()} | {code.lower(): code for code in STATES}
_NICKNAMES: Final = {
    "nyc": "new york",
    "la": "los angeles",
    "l.a.": "los angeles",
    "dc": "washington",
    "d.c.": "washington",
    "sf": "san francisco",
    "philly": "philadelphia",
    "vegas": "las vegas",
}
_COUNTRY: Final = re.compile(
    r"[\s,]*\b(?:usa|u\.s\.a\.?|u\.s\.|united states(?: of america)?|america)\s*$", re.IGNORECASE
)
_SUFFIXES: Final = frozenset(
    [
        "street",
        "st",
        "avenue",
        "ave",
        "drive",
        "dr",
        "road",
        "rd",
        "lane",
        "ln",
        "boulevard",
        "blvd",
        "court",
        "ct",
        "place",
        "pl",
        "way",
        "parkway",
        "pkwy",
        "highway",
        "hwy",
        "terrace",
        "circle",
        "trail",
        "square",
        "broadway",
        "plaza",
        "route",
        "crescent",
        "alley",
        "loop",
        "row",
    ]
)
_UNIT: Final = re.compile(
    r"[\s,]*(?:\b(suite|ste|apartment|apt|unit|floor|room)\b\.?\s*(?:number\s*|no\.?\s*|#\s*)?|#\s*)"
    r"(\d+\s?[a-z]?\b|[a-z]\s?\d*\b)",
    re.IGNORECASE,
)
_BEFORE_NUMBERS: Final = frozenset(
    ("suite", "ste", "apartment", "apt", "unit", "floor", "room", "number", "it's", "its", "is", "to", "at", "address")
)
"""Words that a house or unit number follows, so that "nine" is a 9 there, and not in "Nine Oaks"."""
_UNIT_NAMES: Final = {"ste": "Suite", "apt": "Apartment"}
_HOME: Final = re.compile(
    r"\b(?:home|default|profile|account|on file|original|billing|usual|current) (?:address|one|place)\b"
    r"|\bmy (?:home|default|address|profile|account)\b|\bon file\b|\bdefault\b"
)
_LEAD_IN: Final = re.compile(
    r"^.*?\b(?:address (?:is|to)|it's|it is|to|at|is|change (?:it )?to|ship (?:it )?to)\s+(?=\d|[a-z]+ [a-z]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """An address in parts, as it is stored."""

    line1: str
    line2: str
    city: str
    state: str
    zip_code: str
    country: str = "USA"

    def spoken(self) -> str:
        """The address as it is read out: the state by its name, the ZIP code digit by digit."""
        street = f"{self.line1}, {self.line2}" if self.line2 else self.line1
        return f"{street}, {self.city}, {STATES.get(self.state, self.state)}, {spelled(self.zip_code)}"

    def written(self) -> str:
        """The address part by part, which `choose_address` reads again to the letter."""
        return "; ".join((self.line1, self.line2, self.city, self.state, self.zip_code, self.country))


@dataclass(frozen=True, slots=True)
class Known:
    """An address that the shop has: of the account (`order_id` is None) or of one of its orders."""

    order_id: str | None
    place: Place


def choose_address(said: str, known: Sequence[Known], *, of_order: str | None = None) -> Place:
    """The address meant: a new one that was told, or one of `known`; `of_order` is the order that is to be changed.

    What was chosen once is found by `Place.written`. Raises `ToolError` when something is missing, or when it could be
    several.
    """
    written = next((entry.place for entry in known if entry.place.written() == said), None) or _parted(said)
    if written is not None:
        return written
    try:
        return read_address(said)
    except ToolError as missing:
        referred = _referred(said, [entry for entry in known if entry.order_id is None or entry.order_id != of_order])
        if referred is None:
            raise missing from None
        return referred


def _parted(said: str) -> Place | None:
    """The address of `Place.written`, if it is one that could have been told."""
    parts = [part.strip() for part in said.split(";")]
    if len(parts) != len(Place.__slots__):
        return None
    place = Place(*parts)
    whole = _numbered(place.line1) and place.city and re.fullmatch(r"\d{5}", place.zip_code)
    return place if whole and place.state in STATES and place.country == "USA" else None


def read_address(said: str) -> Place:
    """An address told in full. Raises `ToolError` that asks for what is missing."""
    text = " ".join(said.replace("’", "'").replace("\n", ", ").replace(";", ",").split())
    text = _digits_written(text)
    text = _COUNTRY.sub("", text.rstrip(" .!"))
    text, zip_code = _take_zip(text)
    text, state = _take_state(text)
    text = _from_number(text)
    street, unit, city = _split(text)
    city = re.sub(r"^in\s+", "", city, flags=re.IGNORECASE)
    if state and not city and STATES[state] == "New York":
        city = "New York"
    missing = [
        name
        for name, value in (("street and number", street), ("city", city), ("state", state), ("ZIP code", zip_code))
        if not value
    ]
    if not street and not zip_code:
        raise ToolError("Which address do you mean? I need the street and number, city, state and ZIP code.")
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ToolError(
            f"For a new address I need the street and number, city, state and ZIP code. "
            f"The {' and the '.join(missing)} {verb} missing."
        )
    return Place(_named(street), unit, _named(city), state, zip_code)


# ── one that is known ─────────────────────────────────────────────────────────────


def _referred(said: str, known: Sequence[Known]) -> Place | None:
    """The one address of `known` that the words point to; None when they point to none."""
    order_id = facts.order_id(said)
    if order_id is not None:
        found = [entry.place for entry in known if entry.order_id == order_id]
        if not found:
            raise ToolError("I can't find another order of yours with that number.")
        return found[0]
    text = said.lower()
    named = list(dict.fromkeys(entry.place for entry in known if _names(text, entry.place)))
    if not named and _HOME.search(text):
        named = [entry.place for entry in known if entry.order_id is None]
    if not named and re.search(r"\b(?:other|another|different) (?:order|one|address)", text):
        named = list(dict.fromkeys(entry.place for entry in known if entry.order_id is not None))
    if len(named) > 1:
        raise ToolError(f"Which address do you mean: {either([_short(place) for place in named])}?")
    return named[0] if named else None


def _names(text: str, place: Place) -> bool:
    """Whether the words name the address's city, state or street."""
    words = re.findall(r"[a-z.]+", text)
    wanted = " ".join(_NICKNAMES.get(word, word) for word in words)
    parts = (place.city.lower(), re.sub(r"^\d+\s*", "", place.line1.lower()))
    if any(re.search(rf"\b{re.escape(part)}\b", wanted) for part in parts if part):
        return True
    if any(misheard(word, place.city.lower()) for word in words):
        return True
    return bool(re.search(rf"\b{STATES.get(place.state, place.state).lower()}\b", text))


def _short(place: Place) -> str:
    return f"{place.line1} in {place.city}"


# ── one that is told ──────────────────────────────────────────────────────────────


def _digits_written(text: str) -> str:
    """House, unit and ZIP numbers in digits: "four forty five … suite three ninety four … seven six one six five"."""
    words = re.findall(r"[^\s,]+|,", text)
    written: list[str] = []
    at = 0
    while at < len(words):
        end = at
        while end < len(words) and _is_number_word(words[end]):
            end += 1
        number = "".join(spoken.numbers(" ".join(words[at:end]))) if end > at else ""
        before = written[-1].lower().strip(".#,") if written else ""
        places = not written or end == len(words) or before in _BEFORE_NUMBERS
        if number and (places or len(number) >= 3):
            written.append(number)
            at = end
        else:
            written.append(words[at])
            at += 1
    return " ".join(written).replace(" ,", ",")


def _is_number_word(word: str) -> bool:
    plain = word.lower().strip(".")
    if plain in ("hundred", "thousand", "oh", "o") or plain.isdigit():
        return True
    # "Forty-five" is one, "Forty-Second" is not.
    return all(part.isalpha() and spoken.numbers(part) for part in plain.split("-"))


def _take_zip(text: str) -> tuple[str, str]:
    """The text up to its ZIP code, and the code; "" without one. A number that begins the text is the house's."""
    matches = [match for match in re.finditer(r"\b(\d{5})(?:-?\d{4})?\b", text) if match.start() > 0]
    if not matches:
        return text, ""
    last = matches[-1]
    rest = re.sub(
        r"\bzip(?: ?code)?(?: is)?\b", " ", f"{text[: last.start()]} {text[last.end() :]}", flags=re.IGNORECASE
    )
    return rest.strip(" ,.-"), last.group(1)


def _take_state(text: str) -> tuple[str, str]:
    """The text without the state that it ends with, and the state's two letters; "" without one."""
    plain = re.sub(r"\b([a-z])(?:\.\s?|\s)([a-z])\.?$", r"\1\2", text.strip(" ,."), flags=re.IGNORECASE)
    words = re.split(r"[\s,]+", plain)
    for count in (3, 2, 1):
        name = " ".join(words[-count:]).lower()
        code = _BY_NAME.get(name)
        if code is not None and len(words) >= count:
            pattern = r"[\s,]+".join(map(re.escape, words[-count:]))
            return re.sub(rf"[\s,]*{pattern}$", "", plain), code
    return text, ""


def _from_number(text: str) -> str:
    """The text from its house number on, without what leads up to it ("please send it to")."""
    number = re.search(r"\b\d+[a-z]?\b(?=[\s,]+[a-z\d])", text, re.IGNORECASE)
    return text[number.start() :] if number else _LEAD_IN.sub("", text)


def _split(text: str) -> tuple[str, str, str]:
    """Street with its number, unit ("Suite 394") and city; "" for what is not there."""
    unit = ""
    if found := _UNIT.search(text):
        kind = (found.group(1) or "Unit").lower()
        unit = f"{_UNIT_NAMES.get(kind, kind.capitalize())} {found.group(2).replace(' ', '').upper()}"
        street, rest = text[: found.start()].strip(" ,."), text[found.end() :].strip(" ,.")
        if rest:
            return _numbered(street), unit, rest
        text = street
    parts = [part.strip(" .") for part in text.split(",") if part.strip(" .")]
    if len(parts) > 1:
        return _numbered(", ".join(parts[:-1])), unit, parts[-1]
    words = text.strip(" ,.").split()
    for at, word in enumerate(words):
        if at >= 1 and word.lower().strip(".") in _SUFFIXES:
            # "5 Court Street Boston"; but "12 Main St St Louis".
            following = words[at + 1].lower().strip(".") if at + 1 < len(words) else ""
            end = at + 2 if following in _SUFFIXES - {"st"} else at + 1
            city = " ".join(words[end:])
            return _numbered(" ".join(words[:end])), unit, city
    street = _numbered(text.strip(" ,."))
    return street, unit, "" if street else text.strip(" ,.")


def _numbered(street: str) -> str:
    """The street if it has a number and a name; "" otherwise."""
    return street if re.search(r"\d", street) and re.search(r"[a-zA-Z]{2}", street) else ""


def _named(text: str) -> str:
    """Capitals as on an envelope, where the caller's words have none."""
    if text != text.lower():
        return text
    return re.sub(r"\b[a-z]", lambda letter: letter.group().upper(), text)
