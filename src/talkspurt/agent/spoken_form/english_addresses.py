"""E-mail addresses and addresses of pages, as they are said."""

import re
from typing import Final

from talkspurt.agent.spoken_form.english_patterns import Match
from talkspurt.agent.spoken_form.english_words import DOMAINS, WORD_DOMAINS, digits, spelled
from talkspurt.agent.spoken_form.scanning import Rules

RULES: Final = Rules()
_rule = RULES.add


def _address_word(part: str) -> str:
    """A run of letters in an address: spelled when nobody could pronounce it."""
    if len(part) > 1 and not re.search(r"[aeiouy]", part, re.IGNORECASE):
        return spelled(part)
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
    return " dot ".join((*said, top if top.lower() in WORD_DOMAINS else spelled(top)))


@_rule("letter digit mark", r"(?:mailto:)?([A-Za-z0-9_][\w.%+-]{0,63})@((?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,12})\b")
def _email(match: Match) -> str:
    return f"{_address(match[1], _SIGNS)} at {_domain(match[2])}"


@_rule(
    "letter digit",
    r"(?P<scheme>https?://(?:www\.)?|www\.)?(?P<host>(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,12})(?::\d+)?"
    r"(?P<path>/[^\s<>()\[\]\"'“”?#]*)?(?P<query>[?#][^\s<>()\[\]\"'“”]*)?",
    re.IGNORECASE,
)
def _url(match: Match) -> str | None:
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
