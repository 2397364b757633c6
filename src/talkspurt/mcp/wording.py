"""The read-back of an effect on an MCP server: a template from the configuration, filled from the call's arguments.

    "I'll put {quantity} of the {item} aside[, to be picked up on {date}]. Shall I go ahead?"

Blanks are those of a dialogue's templates (`{order_id:spell}`, `{total:money}`, see `talkspurt.agent.dialogue`), and
`{amount:cents}` for a whole number of cents. What stands in [brackets] is left out when one of its blanks has no value.
What the caller does not hear must not be done: an argument is refused that no blank names, or only blanks of parts
that were left out. So is a value that cannot be said, or a text that is too long to be listened to.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from talkspurt.agent import ToolError
from talkspurt.agent.plain_text import MESSAGE_CHARACTERS, message
from talkspurt.models.offline.wording import enumeration, word

_BLANK: Final = re.compile(r"\{([A-Za-z_][\w.\-]*)(?::[a-z]+)?\}")
_CENTS: Final = re.compile(r"\{([A-Za-z_][\w.\-]*):cents\}")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_MOST_LISTED: Final = 4
"""Longer lists are summed up when they are spoken."""

UNSAYABLE: Final = "I can't do that, because I could not tell you exactly what would be done."
UNHEARD: Final = "I can't do that, because I could not tell you about {0}. Leave it out, or give all it needs."
TOO_LONG: Final = "That is too much to do in one go."


class ReadBackTemplate:
    """One effect's words, by its arguments."""

    def __init__(self, template: str, *, unspoken: Collection[str] = ()) -> None:
        self.names: Final = frozenset(_BLANK.findall(template))
        self._template = template
        self._in_cents = frozenset(_CENTS.findall(template))
        # Every second piece stood in brackets.
        self._blanks = [frozenset(_BLANK.findall(piece)) for piece in _PART.split(template)]
        self._pieces = _PART.split(_CENTS.sub(lambda blank: f"{{{_in_dollars(blank.group(1))}:money}}", template))
        self._unspoken = frozenset(unspoken) - self.names

    def mistake(self) -> str | None:
        """What is wrong with the template itself, if anything."""
        left = _BLANK.sub("", _PART.sub(r"\1", self._template))
        if any(sign in left for sign in "{}[]"):
            return "has a bracket that is not closed, or a blank that is no name such as {order_id}"
        if any(not _BLANK.search(part) for part in self._pieces[1::2]):
            return "has a part in [brackets] without a blank: it would never be left out"
        return None

    def word(self, arguments: Mapping[str, Any]) -> str:
        """What the caller hears of these arguments. Raises `ToolError` when it would not be all of them."""
        heard = {name: value for name, value in arguments.items() if value is not None and name not in self._unspoken}
        given = {name: _sayable(value) for name, value in heard.items()}
        sums = {name: given[name] for name in self._in_cents if isinstance(given.get(name), int)}
        given |= {_in_dollars(name): _dollars(cents) for name, cents in sums.items()}
        said = [word(piece, given) for piece in self._pieces]
        if any(piece and not words for piece, words in zip(self._pieces[::2], said[::2], strict=True)):
            raise ToolError(UNSAYABLE)
        told = {name for blanks, words in zip(self._blanks, said, strict=True) if words for name in blanks}
        if unheard := heard.keys() - told:
            raise ToolError(UNHEARD.format(enumeration([f"the {name.replace('_', ' ')}" for name in sorted(unheard)])))
        words = "".join(said)
        if len(words) > MESSAGE_CHARACTERS or message(words) != " ".join(words.split()):
            raise ToolError(TOO_LONG)
        return words


def _in_dollars(name: str) -> str:
    """A blank of its own for a sum that is given in cents."""
    return f"{name}-in-dollars"


def _dollars(cents: int) -> str:
    """The sum with its sign and every digit, which a float has not of a large one."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _sayable(value: Any) -> Any:
    """A value in a form that can be said, all of it; whatever has parts of its own cannot."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and not value.strip():
        return ""
    if isinstance(value, list):
        said = [_sayable(each) for each in value]
        if any(isinstance(each, list) or each == "" for each in said):
            raise ToolError(UNSAYABLE)
        if len(said) > _MOST_LISTED or len(set(said)) < len(said):
            # Said in one breath it would be "a, b, c and 2 more", and what is there twice would be heard once.
            raise ToolError(TOO_LONG)
        return said
    if isinstance(value, Mapping):
        raise ToolError(UNSAYABLE)
    return value
