"""What happens in a call, drawn from its seed alone: who calls, what they want, how they answer, what goes wrong.

The same seed is the same call in every run. A subject (a parcel, an order) is named by one wish only, so that what
happened to it can be traced to that wish.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, get_args

Answer = Literal[
    "yes",  # hears the read-back to its end, and agrees
    "no",
    "unclear",  # "well maybe", and agrees when asked again
    "early",  # says yes into the middle of the read-back, and agrees when it was read again
    "cut_in",  # interrupts with something else, and agrees later
    "late",  # is silent until the agent asks whether they are still there, and then says yes
    "keypad",  # presses 1, which is no yes
    "vanish",  # hangs up while it is read back
    "yes_and_gone",  # agrees and hangs up at once
    "together",  # waits until another caller has heard theirs, and agrees at the same time
]
FREQUENCIES: Final[Mapping[Answer, int]] = {
    "yes": 9, "no": 2, "unclear": 1, "early": 2, "cut_in": 1, "late": 1, "keypad": 1, "vanish": 1, "yes_and_gone": 2,
}  # fmt: skip

Mishap = Literal[
    "",
    "hangs_before",  # longer than its time, and has done nothing
    "hangs_after",  # longer than its time, after it was done
    "stubborn",  # swallows its cancellation and does it late
    "breaks_before",
    "breaks_after",
    "refuses",
    "megabytes",  # is done and returns more than anyone can use
    "changes",  # what was read back is not true any more when it is to be done
    "dawdles",  # takes a while before it begins, within its time
]
MISHAPS: Final = tuple(mishap for mishap in get_args(Mishap) if mishap not in ("", "dawdles"))
MISHAP_SHARE: Final = 0.36
SKEWED: Final = 0.2
"""Share of the calls whose workers' clocks differ."""
MOVED_SKEWED: Final = 0.6
"""The same of calls that another worker takes over."""
WRONG: Final = (15.0, 30.0)
"""Seconds by which such clocks are wrong: more than any effect may take. That of a server beside them is wrong by the
least of it more, and mostly ahead: by such a clock every effect would be one that is long over."""

Skews = tuple[float, float, float]
"""Seconds by which the clocks of a call's first worker, of its other workers, and of a server that has no part in the
call are ahead of the database's."""

Ban = Literal["", "unverified", "of_others", "over_limit", "level", "status", "account"]
"""Why a wish must not come true, whoever confirms it."""

CLEAR_YES: Final = ("yes", "yes please", "sure", "go ahead", "yeah", "that's right", "correct")
CLEAR_NO: Final = ("no", "no thanks", "don't do it", "stop", "never mind")
UNCLEAR: Final = ("well maybe", "I guess so", "hm let me think", "what was that again", "yes but wait")


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing that the caller asks for."""

    tool: str
    arguments: Mapping[str, Any]
    subject: str
    """What it is done to, in the letters and digits by which a read-back names it."""
    answer: Answer = "yes"
    ban: Ban = ""
    mishap: Mishap = ""
    again: bool = False
    """Asks for the same once more when it is done."""


@dataclass(frozen=True, slots=True)
class Troubles:
    """Shares of what goes wrong around the call."""

    synthesizer: float = 0.0
    marks: float = 0.0
    recognizer: float = 0.0
    model: float = 0.0
    """Of replies in which the model does more than it was asked, or breaks."""
    ledger: float = 0.0
    """Of transitions whose commit fails, is not acknowledged, or hangs."""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One call."""

    seed: int
    account: str
    email: str
    verifies: bool
    wishes: tuple[Wish, ...]
    troubles: Troubles = field(default_factory=Troubles)
    losses: tuple[float, ...] = ()
    """Seconds after which the line breaks; it comes back a moment later."""
    moves: tuple[float, ...] = ()
    """Seconds after which another process takes the call over while the first one still believes that it has it."""
    skews: Skews | None = None
    reaction: float = 0.0
    """Seconds that a caller who agrees together with another one takes for it."""

    @property
    def name(self) -> str:
        """What the call is called in files and results."""
        return f"call-{self.seed:06d}"

    def skew(self, worker: int) -> float:
        """Seconds by which the clock of the call's `worker` (0 for the first) is ahead of the database's."""
        return 0.0 if self.skews is None else self.skews[min(worker, 1)]

    @property
    def neighbours_skew(self) -> float:
        """The same of a server that has no part in the call."""
        return 0.0 if self.skews is None else self.skews[2]


@dataclass(frozen=True, slots=True)
class Customer:
    """What the shop's data says of a customer, as far as a caller would know it."""

    account: str
    email: str
    orders: tuple[tuple[str, str], ...]
    """Id and status."""
    paid: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Of each order, what pays for it and with how many cents."""
    gift_cards: Mapping[str, int] = field(default_factory=dict)
    """Gift cards and the cents on them."""


PAID: Final = """SELECT order_id, method_id, sum(CASE kind WHEN 'payment' THEN amount_cents ELSE -amount_cents END)
FROM payments GROUP BY order_id, method_id HAVING count(*) = 1"""
"""What pays for the orders that nothing was paid back for yet."""


def customers(shop: Path) -> tuple[Customer, ...]:
    """All customers of a shop's SQLite file."""
    connection = sqlite3.connect(f"file:{shop}?mode=ro", uri=True)
    try:
        orders: dict[str, list[tuple[str, str]]] = {}
        for order, user, status in connection.execute("SELECT id, user_id, status FROM orders ORDER BY id"):
            orders.setdefault(user, []).append((order, status))
        rows = connection.execute("SELECT id, email FROM users ORDER BY id").fetchall()
        paid = {order: (method, cents) for order, method, cents in connection.execute(PAID)}
        gifts = connection.execute("SELECT user_id, id, balance_cents FROM payment_methods WHERE kind = 'gift_card'")
        gift_cards = [(user, card, cents) for user, card, cents in gifts]
    finally:
        connection.close()
    return tuple(
        Customer(
            account,
            email,
            own := tuple(orders.get(account, ())),
            {order: paid[order] for order, _ in own if order in paid},
            {card: cents for user, card, cents in gift_cards if user == account},
        )
        for account, email in rows
    )


OWN: Final = ("send_parcel", "book_pickup", "mail_letter", "pay_out")
"""The desk's tools that a verified caller may use: an outside system with keys, the own database, one without keys,
and one with an amount that a policy limits."""
RETAIL: Final[Mapping[str, Sequence[str]]] = {
    "process_return": ("delivered",),
    "offer_refund": ("cancelled", "lost in transit"),
    "cancel_order": ("pending",),
    "change_order_address": ("pending",),
}
"""Retail tools, and the statuses of orders that they are for."""


def draw(seed: int, shop: Sequence[Customer]) -> CallPlan:
    """The call of a seed."""
    chance = Random(seed)
    customer = chance.choice([one for one in shop if one.orders])
    verifies = chance.random() < 0.93
    subjects = _subjects(seed)
    wishes = [_wish(chance, customer, shop, subjects, verifies=verifies) for _ in range(chance.choice((1, 2, 2, 3)))]
    calm = chance.random() < 0.25
    plan = CallPlan(
        seed,
        customer.account,
        customer.email,
        verifies,
        _one_each(wishes),
        Troubles()
        if calm
        else Troubles(
            synthesizer=chance.choice((0.0, 0.0, 0.03)),
            marks=chance.choice((0.0, 0.02, 0.1)),
            recognizer=chance.choice((0.0, 0.0, 0.1)),
            model=chance.choice((0.0, 0.2, 0.5)),
            ledger=chance.choice((0.0, 0.0, 0.0, 0.08)),
        ),
        losses=tuple(sorted(chance.uniform(4, 40) for _ in range(chance.choice((0, 0, 0, 1, 2))))),
        moves=(chance.uniform(6, 40),) if chance.random() < 0.15 else (),
    )
    return replace(plan, skews=draw_skews(seed, share=MOVED_SKEWED if plan.moves else SKEWED))


def draw_skews(seed: int, *, share: float) -> Skews | None:
    """How wrong the clocks of a call's workers are, for so many of all calls; None when they are right."""
    chance = Random(f"{seed} clocks")
    if chance.random() >= share:
        return None
    wrong = chance.uniform(*WRONG)
    first, others = chance.choice(((0.0, wrong), (0.0, -wrong), (wrong, 0.0), (-wrong, 0.0), (wrong, -wrong)))
    return first, others, chance.choice((1, 1, -1)) * (wrong + WRONG[0])


def _subjects(seed: int) -> Iterator[str]:
    """Names of parcels that no other call has: letters only, so that they are said as one word."""
    letters = str.maketrans("0123456789", "abcdefghij")
    number = 0
    while True:
        number += 1
        yield f"K{seed % 1_000_000:06d}q{number}".translate(letters)


def _wish(
    chance: Random, customer: Customer, shop: Sequence[Customer], subjects: Iterator[str], *, verifies: bool
) -> Wish:
    (answer,) = chance.choices(list(FREQUENCIES), list(FREQUENCIES.values()))
    mishap: Mishap = chance.choice(MISHAPS) if chance.random() < MISHAP_SHARE else ""
    again = chance.random() < 0.3
    if chance.random() < 0.12:
        wish = _forbidden(chance, customer, shop, next(subjects))
    elif chance.random() < 0.35 and (wish_of_shop := _retail(chance, customer)) is not None:
        wish = wish_of_shop
    else:
        tool, subject = chance.choice(OWN), next(subjects)
        arguments = (
            {"parcel": subject, "cents": chance.randrange(100, 9_000)} if tool == "pay_out" else {"parcel": subject}
        )
        wish = Wish(tool, arguments, subject)
    if mishap == "changes" and wish.tool != "pay_out":
        mishap = ""
    if wish.ban or not verifies:
        # Whoever wants what they may not agrees to everything, and nothing stands in their way.
        return Wish(wish.tool, wish.arguments, wish.subject, "yes", wish.ban or "unverified", "", again)
    return Wish(wish.tool, wish.arguments, wish.subject, answer, "", mishap, again)


def _forbidden(chance: Random, customer: Customer, shop: Sequence[Customer], parcel: str) -> Wish:
    other = chance.choice([one for one in shop if one.orders and one.account != customer.account])
    match chance.randrange(5):
        case 0:
            order, status = chance.choice(other.orders)
            tool = next((tool for tool, fit in RETAIL.items() if status in fit), "process_return")
            return Wish(tool, retail_arguments(tool, order), order, ban="of_others")
        case 1:
            return Wish(
                "pay_out", {"parcel": parcel, "cents": chance.randrange(10_001, 90_000)}, parcel, ban="over_limit"
            )
        case 2:
            return Wish("close_account", {"parcel": parcel}, parcel, ban="level")
        case 3:
            return Wish("recall_parcel", {"parcel": parcel}, parcel, ban="status")
        case _:
            return Wish("move_parcel", {"parcel": parcel, "account": other.account}, parcel, ban="account")


def _retail(chance: Random, customer: Customer) -> Wish | None:
    fitting = [(tool, order) for tool, fit in RETAIL.items() for order, status in customer.orders if status in fit]
    if not fitting:
        return None
    tool, order = chance.choice(fitting)
    return Wish(tool, retail_arguments(tool, order), order)


def retail_arguments(tool: str, order: str) -> Mapping[str, Any]:
    """What the caller says to have a retail tool do something to an order."""
    more: Mapping[str, Mapping[str, Any]] = {
        "process_return": {"items": ["everything"]},
        "cancel_order": {"reason": "no longer needed"},
        "change_order_address": {"address": "12 Oak Street, Denver, Colorado 80210"},
    }
    return {"order_id": order, **more.get(tool, {})}


def _one_each(wishes: Sequence[Wish]) -> tuple[Wish, ...]:
    named: dict[str, Wish] = {}
    for wish in wishes:
        named.setdefault(wish.subject, wish)
    return tuple(named.values())
