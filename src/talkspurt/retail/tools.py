"""What the retail agent can do, as a model is told of it.

Each tool reads or changes the shop's database for the verified caller; none takes an account from
its arguments. The shapes of the results are relied on by `talkspurt.retail.dialogue`.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Annotated, Any, Final

from pydantic import Field
from rapidfuzz.distance import OSA

from talkspurt.agent import Caller, Tool, ToolError, spoken, tool
from talkspurt.retail import facts, words
from talkspurt.retail.claims import plan_refund, plan_return
from talkspurt.retail.schema import Order, Status
from talkspurt.retail.shop import NOT_YOURS, Shop, local_day

OrderId = Annotated[str, Field(max_length=100, description="The order number: W and seven digits, e.g. W2378156")]
Fact = Annotated[str, Field(max_length=200)]

MISMATCH: Final = "That doesn't match what we have on file."
"""The same whatever was wrong: which fact it was would help only somebody who guesses."""
MAX_EDITS: Final = 2
"""Wrong, missing or doubled digits up to which a number heard may stand for an order id."""
HEARD_LENGTHS: Final = range(7 - MAX_EDITS, 7 + MAX_EDITS + 1)
REASON_CHARACTERS: Final = 500


class ServiceDesk:
    """The retail agent's tools over one shop."""

    def __init__(self, shop: Shop, *, today: Callable[[], date] = local_day) -> None:
        self._shop = shop
        self._today = today

    def tools(self) -> tuple[Tool, ...]:
        """All of them, in the order a model is told of them."""
        return (
            self.find_order,
            self.verify_caller,
            self.check_order_status,
            self.get_account_info,
            self.process_return,
            self.offer_refund,
            self.escalate_to_human,
        )

    # ── who is calling, and about what ────────────────────────────────────────────

    @tool
    async def find_order(self, caller: Caller, heard: Annotated[str, Field(max_length=500)]) -> dict[str, str | None]:
        """Match an order number as it was heard against numbers that exist.

        Use it before any other tool when the caller says an order number. A "close" match is only a
        guess: read it back and ask whether it is right.

        heard: the caller's own words, e.g. "W two three seven eight one five six"
        """
        # A verified caller can only mean an order of their own.
        account = caller.account if caller.level >= 1 else None
        match, order_id = match_order(heard, await self._shop.order_ids(account))
        return {"match": match, "order_id": order_id}

    @tool(verifies=1)
    async def verify_caller(
        self,
        caller: Caller,
        *,
        order_id: Fact = "",
        zip_code: Fact = "",
        first_name: Fact = "",
        last_name: Fact = "",
        email: Fact = "",
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
        known_zip = _fact(zip_code, facts.zip_code, "I need the five digits of the ZIP code.")
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
            raise ToolError(MISMATCH)
        caller.verify(user.id)
        return {"verified": True, "first_name": user.first_name}

    # ── looking up ────────────────────────────────────────────────────────────────

    @tool(level=1, filler="Let me pull that up.")
    async def check_order_status(self, caller: Caller, order_id: OrderId) -> dict[str, Any]:
        """Look up one of the caller's orders: status, items, total, tracking and expected day."""
        order = await self._shop.order(*_own(caller, order_id))
        return {
            "order_id": order.id,
            "status": str(order.status),
            "items": [
                {"name": words.item_name(item), "price": words.written_amount(item.price_cents)} for item in order.items
            ],
            "total": words.written_amount(sum(item.price_cents for item in order.items)),
            "tracking": [parcel.tracking for parcel in order.parcels],
            "eta": self._eta(order),
        }

    @tool(level=1, filler="Let me open your account.")
    async def get_account_info(self, caller: Caller) -> dict[str, Any]:
        """Look up the caller's account: name, e-mail, address and orders, oldest first."""
        user, orders = await self._shop.user(_account(caller))
        address = user.address
        street = f"{address.line1}, {address.line2}" if address.line2 else address.line1
        return {
            "name": f"{user.first_name} {user.last_name}",
            "email": user.email,
            "address": f"{street}, {address.city}, {address.state} {address.zip_code}",
            "orders": [{"order_id": order.id, "status": str(order.status)} for order in orders],
        }

    # ── doing ─────────────────────────────────────────────────────────────────────

    async def _word_return(self, caller: Caller, order_id: str, items: list[str]) -> str:
        plan = plan_return(await self._shop.order(*_own(caller, order_id)), items)
        return words.return_question(plan.order.id, plan.items, plan.order.items, plan.cents, plan.method)

    @tool(level=1, effect=True, read_back=_word_return, filler="One moment, I'm setting that up.")
    async def process_return(
        self,
        caller: Caller,
        order_id: OrderId,
        items: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=20)],
    ) -> dict[str, Any]:
        """Request the return of items of a delivered order. An order can be returned only once, so
        collect all items first.

        items: names of the items as the caller says them, e.g. ["headphones"], or ["everything"]
        """
        plan = await self._shop.request_return(*_own(caller, order_id), items)
        return {
            "status": "return requested",
            "order_id": plan.order.id,
            "items": [words.item_name(item) for item in plan.items],
            "refund": words.written_amount(plan.cents),
        }

    async def _word_refund(self, caller: Caller, order_id: str) -> str:
        plan = plan_refund(await self._shop.order(*_own(caller, order_id)))
        return words.refund_question(plan.order.id, plan.cents, plan.method)

    @tool(level=1, effect=True, read_back=_word_refund, filler="One moment, I'm arranging the refund.")
    async def offer_refund(self, caller: Caller, order_id: OrderId) -> dict[str, Any]:
        """Refund an order that was cancelled, lost, or returned and received, to the original payment method."""
        plan = await self._shop.issue_refund(*_own(caller, order_id))
        return {
            "status": "refund issued",
            "order_id": plan.order.id,
            "amount": words.written_amount(plan.cents),
            "method": words.full_method(plan.method),
            "when": words.refund_time(plan.method),
        }

    @tool
    async def escalate_to_human(self, caller: Caller, reason: str) -> dict[str, Any]:
        """Get a person for the caller: hands the call over if somebody can take it, or else notes a call-back.

        reason: what the caller needs, in one sentence
        """
        if caller.handover_targets:
            named = (target for target in caller.handover_targets if target.lower() in reason.lower())
            caller.hand_over(next(named, caller.handover_targets[0]))
            return {"handed_over": True, "callback": False, "message": "I'm putting you through to a colleague now."}
        if not caller.number:
            return {
                "handed_over": False,
                "callback": False,
                "message": "Nobody is free right now, and I can't see your number to call you back. "
                "Please call again with your number shown.",
            }
        await self._shop.record_callback(
            call_id=caller.call_id,
            number=caller.number,
            account=caller.account if caller.level >= 1 else None,
            reason=reason[:REASON_CHARACTERS],
        )
        return {
            "handed_over": False,
            "callback": True,
            "message": "Nobody is free right now, so I've asked a colleague to call you back on this number.",
        }

    def _eta(self, order: Order) -> str | None:
        """The expected day in words; None when there is none, it has passed, or the order no longer travels."""
        travels = order.status in (Status.PENDING, Status.PROCESSED, Status.SHIPPED)
        if not travels or order.expected_on is None or order.expected_on < self._today():
            return None
        return words.day(order.expected_on, self._today())


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
    nearest = _nearest(said, known)
    return ("close", known[nearest]) if nearest is not None else ("none", None)


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


def _account(caller: Caller) -> str:
    assert caller.account is not None, "the dispatcher lets only verified callers in"
    return caller.account


def _own(caller: Caller, order_id: str) -> tuple[str, str]:
    """The verified account and the order id in its usual form."""
    read = facts.order_id(order_id)
    if read is None:
        raise ToolError(NOT_YOURS)
    return _account(caller), read
