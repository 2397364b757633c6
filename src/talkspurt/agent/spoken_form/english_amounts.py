"""Amounts of money, as they are said."""

from typing import Final

from talkspurt.agent.spoken_form.english_patterns import FEW, MINUS, NUMBER, TO, Match
from talkspurt.agent.spoken_form.english_words import AMOUNTS, COUNTRIES, CURRENCIES, CURRENCY_CODES, cardinal, decimal
from talkspurt.agent.spoken_form.scanning import Rules

RULES: Final = Rules()
_rule = RULES.add

_AMOUNT: Final = "(?:" + "|".join(sorted(AMOUNTS, key=len, reverse=True)) + r")\b"
_SYMBOLS: Final = "".join(CURRENCIES)


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
    rf"(?P<minus>{MINUS}\s?)?(?P<country>{'|'.join(COUNTRIES)})?(?P<symbol>[{_SYMBOLS}])\s?"
    rf"(?P<minus_after>[-−])?(?P<from>{NUMBER})(?:{TO}[{_SYMBOLS}]?(?P<to>{NUMBER}))?(?:\s?(?P<amount>{_AMOUNT}))?"
    rf"(?P<per>/(?:month|mo|week|wk|year|yr|day|hour|hr|each|person|item)\b)?(?P<few>{FEW})?",
)
def _amount(match: Match) -> str:
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


@_rule("digit", rf"({NUMBER})\s?(?:([{_SYMBOLS}])|({'|'.join(CURRENCY_CODES)})\b)(?!\s?\d)")
def _amount_before(match: Match) -> str:
    country, symbol = CURRENCY_CODES[match[3]] if match[3] else ("", match[2])
    return _money(match[1], symbol, country=country)


@_rule("digit", rf"({NUMBER})\s(dollars|euros|pounds)\b")
def _amount_in_words(match: Match) -> str | None:
    if "." not in match[1]:
        return None
    return _money(match[1], {"dollars": "$", "euros": "€", "pounds": "£"}[match[2]])


@_rule("digit", r"(\d+)\s?¢")
def _cents(match: Match) -> str:
    return f"{cardinal(int(match[1]))} cent{'' if match[1] == '1' else 's'}"
