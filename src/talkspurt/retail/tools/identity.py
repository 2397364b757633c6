"""Who is calling, and about which order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from rapidfuzz.distance import OSA

from talkspurt.agent import Caller, Tool, ToolError, spoken, tool
from talkspurt.retail import facts
from talkspurt.retail.tools.common import Spoken, ToolGroup, Words

MISMATCH: Final = "That doesn't match what we have on file."
"""The same whatever was wrong: which fact it was would help only somebody who guesses."""
FINDING: Final = "15/call"
"""How often numbers are matched: strangers may ask, and a close match tells them one that exists."""
MAX_EDITS: Final = 2
"""Wrong, missing or doubled digits up to which a number heard may stand for an order id."""
HEARD_LENGTHS: Final = range(7 - MAX_EDITS, 7 + MAX_EDITS + 1)
ENDING: Final = 6
"""Fewest digits that propose an order by how it ends: of "W two" recognizers make words, such as "bully you to"."""
KEYPAD: Final = "The caller may also type the seven digits on the keypad, and press hash."


class Identity(ToolGroup):
    """The tools that find out who is calling."""

    def tools(self) -> tuple[Tool, ...]:
        """All of this group."""
        return (self.find_order, self.verify_caller)

    @tool(rate=FINDING)
    async def find_order(self, caller: Caller, heard: Words) -> dict[str, str | None]:
        """Match an order number as it was heard against numbers that exist.

        Use it before any other tool when the caller says an order number. A "close" match is only a
        guess: read it back and ask whether it is right. Without a match, ask for it digit by digit, and from
        the second time on offer the keypad.

        heard: the caller's own words, e.g. "W two three seven eight one five six"
        """
        # A verified caller can only mean an order of their own.
        account = caller.account if caller.level >= 1 else None
        match, order_id = match_order(heard, await self._shop.order_ids(account))
        return {"match": match, "order_id": order_id, **({} if order_id else {"keypad": KEYPAD})}

    @tool(verifies=1)
    async def verify_caller(
        self,
        caller: Caller,
        *,
        order_id: Spoken = "",
        zip_code: Spoken = "",
        first_name: Spoken = "",
        last_name: Spoken = "",
        email: Spoken = "",
    ) -> dict[str, Any]:
        """Verify who is calling by facts that must match exactly: order number and ZIP code, or
        first name, last name and ZIP code, or the e-mail address on file.

        order_id: the order number, if the caller gave one
        zip_code: the ZIP code of the account, five digits
        first_name: the caller's first name
        last_name: the caller's last name
        email: the e-mail address of the account
        """
        known_order = _fact(order_id, facts.order_id, "I need the order number: a W and seven digits.")
        known_zip = _fact(
            zip_code, facts.zip_code, "I need the five digits of the ZIP code. They can be typed on the keypad, too."
        )
        known_email = _fact(email, facts.email, "I need the whole e-mail address.")
        known_name = facts.name_key(first_name, last_name)
        if (first_name.strip() or last_name.strip()) and known_name is None:
            raise ToolError("I need the first and the last name.", attempted=False)
        if not (known_email or (known_zip and (known_order or known_name))):
            raise ToolError(
                "I need the order number and the ZIP code, the full name and the ZIP code, or the e-mail address.",
                attempted=False,
            )
        user = await self._shop.identify(order_id=known_order, zip_code=known_zip, name=known_name, email=known_email)
        if user is None:
            tried = await self._shop.tried(order_id=known_order, name=known_name, email=known_email)
            raise ToolError(MISMATCH, accounts=tried)
        caller.verify(user.id)
        return {"verified": True, "first_name": user.first_name}


def match_order(heard: str, existing: Iterable[str]) -> tuple[str, str | None]:
    """What was heard, against ids that exist: ("exact" | "close", id) or ("none", None); never a choice of two."""
    said = [
        text.removeprefix("W")
        for text in spoken.identifiers(heard, rf"W?\d{{{HEARD_LENGTHS.start},{HEARD_LENGTHS[-1]}}}")
    ]
    if not said:
        said = [digits] if len(digits := spoken.digits(heard)) in HEARD_LENGTHS else []
    known = {order_id.removeprefix("W"): order_id for order_id in existing}
    exact = {known[digits] for digits in said if digits in known}
    if exact:
        return ("exact", exact.pop()) if len(exact) == 1 else ("none", None)
    nearest = _ending(said, known) or _nearest(said, known)
    return ("close", known[nearest]) if nearest is not None else ("none", None)


def _ending(said: Sequence[str], known: Iterable[str]) -> str | None:
    """The one of `known` that ends in what was `said`; None when none does, or two do."""
    endings = tuple(text for text in said if len(text) >= ENDING)
    found = [digits for digits in known if endings and digits.endswith(endings)]
    return found[0] if len(found) == 1 else None


def _nearest(said: Sequence[str], known: Iterable[str]) -> str | None:
    """The one of `known` with the fewest edits to any of `said`; None when none is near, or two are."""
    fewest, nearest = MAX_EDITS + 1, None
    for digits in known:
        edits = min((OSA.distance(text, digits, score_cutoff=MAX_EDITS) for text in said), default=fewest)
        if edits < fewest:
            fewest, nearest = edits, digits
        elif edits == fewest:
            nearest = None
    return nearest


def _fact(text: str, read: Callable[[str], str | None], needed: str) -> str | None:
    """A fact in its compared form, None when it was not given. Raises `ToolError` when it cannot be read."""
    if not text.strip():
        return None
    value = read(text)
    if value is None:
        raise ToolError(needed, attempted=False)
    return value
