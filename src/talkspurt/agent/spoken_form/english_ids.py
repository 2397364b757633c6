"""Telephone numbers, order and tracking numbers, codes and ZIP codes: digit by digit, in groups."""

import re
from typing import Final

import phonenumbers

from talkspurt.agent.spoken_form.english_patterns import NUMBER, UNIT, Match
from talkspurt.agent.spoken_form.english_words import STATES, cardinal, digits, grouped, spelled
from talkspurt.agent.spoken_form.scanning import Rules

RULES: Final = Rules()
_rule = RULES.add


def _area(code: str) -> str:
    return f"{digits(code[0])} hundred" if code in ("800", "900") else digits(code)


@_rule(
    "mark digit",
    r"(?P<country>\+?1)?[-.\s]?(?P<area>\(\d{3}\)\s?|\d{3}[-.\s])(?P<exchange>\d{3})[-.\s](?P<line>\d{4})(?![\d-])",
)
def _phone(match: Match) -> str:
    country = {"+1": "plus one, ", "1": "one, "}.get(match["country"] or "", "")
    area = "".join(filter(str.isdigit, match["area"]))
    return f"{country}{_area(area)}, {digits(match['exchange'])}, {digits(match['line'])}"


@_rule("mark", r"\+\d[\d\s().-]{5,18}\d(?!\d)")
def _foreign_phone(match: Match) -> str | None:
    try:
        number = phonenumbers.parse(match.group(), None)
    except phonenumbers.NumberParseException:
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return "plus " + ", ".join(grouped(part) for part in re.findall(r"\d+", written))


@_rule("digit", r"(\d{3})-(\d{4})(?![\d-])")
def _short_phone(match: Match) -> str:
    return f"{digits(match[1])}, {digits(match[2])}"


@_rule("letter", r"([Cc]all|[Dd]ial|[Tt]ext)\s+([2-9]11)\b(?![-.]\d)")
def _service_number(match: Match) -> str:
    return f"{match[1]} {digits(match[2])}"


def _id(text: str) -> str:
    """Runs of letters and of digits, with a pause between them."""
    runs = re.findall(r"[A-Za-z]+|\d+", text)
    return ", ".join(grouped(run) if run.isdigit() else spelled(run.upper()) for run in runs)


@_rule("letter", rf"({'|'.join(STATES)})\s+(\d{{5}})(?:-(\d{{4}}))?\b")
def _state_and_zip(match: Match) -> str:
    return f"{STATES[match[1]]} {digits(match[2])}" + (f", {digits(match[3])}" if match[3] else "")


@_rule("digit", r"(\d{5})-(\d{4})(?![\d-])")
def _zip(match: Match) -> str:
    return f"{digits(match[1])}, {digits(match[2])}"


@_rule("mark", r"#\s?(?=[A-Za-z]{1,4}-?\d{2})")
def _id_sign(_match: Match) -> str:
    return ""


@_rule(
    "letter digit",
    r"(?=[A-Z0-9-]*[A-Z])(?=(?:[A-Z-]*\d){3})[A-Z0-9]{1,34}(?:-[A-Z0-9]{1,34}){0,5}(?![\w-])|[A-Za-z]{1,2}\d{5,12}\b",
)
def _mixed_id(match: Match) -> str | None:
    if re.fullmatch(rf"{NUMBER}{UNIT}", match.group()):
        return None
    return _id(match.group())


@_rule("letter digit", r"(?:[A-Z0-9] ){4,30}[A-Z0-9](?!\w)|(?:[A-Z0-9]-){4,30}[A-Z0-9](?![\w-])")
def _spelled_id(match: Match) -> str | None:
    return _id(re.sub(r"[ -]", "", match.group())) if sum(map(str.isdigit, match.group())) >= 4 else None


@_rule(
    "letter",
    r"((?:[Cc]ode|PIN|[Pp]in|[Dd]igits|[Nn]umber|[Cc]ase|[Tt]icket|[Ii]nvoice|[Rr]eference|[Rr]ef|[Cc]onfirmation|"
    r"[Ee]nding|[Ee]nds|ext\.?|[Ee]xtension|[Ll]ast four|[Aa]ccount)"
    r"(?:\s(?:is|are|in|with|number|no\.|of|digits))*[:\s]\s?)#?(\d{2,4})(?![\d:%,]|[.-]\d|\w)",
)
def _labelled(match: Match) -> str | None:
    label = match[1].strip()
    if len(match[2]) < (2 if label.startswith(("ext", "Ext")) else 3):
        return None
    label = re.sub(r"^ext\.?$", "extension", label)
    return f"{label} {digits(match[2])}"


@_rule("mark", r"#(\d+)")
def _hash(match: Match) -> str:
    before = match.string[: match.start()].rstrip().lower()
    named = re.search(
        r"\b(?:order|number|no\.?|item|case|ticket|reference|ref|id|tracking|account|invoice|code)$", before
    )
    said = grouped(match[1]) if len(match[1]) > 2 else cardinal(int(match[1]))
    return said if named else f"number {said}"


@_rule("digit", r"(?:\d{4} ){1,7}\d{2,4}(?![\d:])")
def _groups_of_four(match: Match) -> str:
    return ", ".join(grouped(part) for part in match.group().split())
