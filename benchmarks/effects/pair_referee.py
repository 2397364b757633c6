"""Judges two calls that shared a customer: each of them as if it were alone, and what they did to one order or card.

Which call has done something is told by the shop's own note of it, `applied_effects`, made in the transaction of the
change under the key of the effect; the ledger says whose key that is. What nobody has noted is held against both calls.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from benchmarks.effects.log import Entry
from benchmarks.effects.model import subject_of
from benchmarks.effects.pairs import Race
from benchmarks.effects.referee import Tables, Truth, Verdict, changed_orders, judge_own, money_twice, paid_elsewhere

Marks = Callable[[Truth, str], bool]


def judge_race(race: Race, shared: Truth, logs: Sequence[Sequence[Entry]], *, one_clock: bool) -> Verdict:
    """The verdict on both calls. `shared` is all that they left behind, its log aside; each `log` is one call's.

    With `one_clock` the times of both logs are the same, and what one worker's sweeper has taken from the other counts.
    """
    verdict = Verdict()
    for place, plan in enumerate(race.calls):
        other = race.calls[1 - place]
        log = [*logs[place], *(_claims(logs[1 - place]) if one_clock else ())]
        own = _own(replace(shared, log=log), plan.name, other.name, logs[1 - place])
        for name, found in asdict(judge_own(plan, own)).items():
            setattr(verdict, name, getattr(verdict, name) + found)
    verdict.twice += money_twice(shared)
    verdict.unconfirmed += paid_elsewhere(shared, [entry for log in logs for entry in log])
    _judge_shared(shared, verdict)
    return verdict


# ── what is whose ─────────────────────────────────────────────────────────────────


def _own(shared: Truth, call: str, other: str, others_log: Sequence[Entry]) -> Truth:
    """All that is not the other call's."""
    ours, theirs = ({row.key for row in shared.ledger if row.call == name and row.key} for name in (call, other))
    named = {subject_of(json.dumps(entry["arguments"])) for entry in others_log if entry["kind"] == "ran"}
    applied = _applied(shared.shop_after)
    foreign = {order for key, (_, order) in applied.items() if key in theirs}
    foreign -= {order for key, (_, order) in applied.items() if key in ours}
    return replace(
        shared,
        deeds=[deed for deed in shared.deeds if not (deed.key in theirs if deed.key else deed.subject in named)],
        pickups=[parcel for parcel in shared.pickups if parcel not in named],
        ledger=[row for row in shared.ledger if row.call != other],
        shop_after=_without(shared, foreign),
    )


def _without(shared: Truth, orders: Collection[str]) -> Tables:
    """The shop as it would be if nothing had been done to these orders."""
    tables: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    for table, rows in shared.shop_after.items():
        before = shared.shop_before.get(table, {})
        kept = {key: row for key, row in rows.items() if _order_of(table, row) not in orders}
        tables[table] = kept | {key: row for key, row in before.items() if _order_of(table, row) in orders}
    return tables


def _order_of(table: str, row: Mapping[str, Any]) -> str | None:
    order = row["id"] if table == "orders" else row.get("order_id")
    return None if order is None else str(order)


def _applied(shop: Tables) -> dict[str, tuple[str, str]]:
    """Tool and order of everything that the shop has noted as done, by key."""
    noted = {key: row for key, row in shop.get("applied_effects", {}).items() if row["result"] is not None}
    told = {key: (row["tool"], json.loads(row["result"]).get("order_id")) for key, row in noted.items()}
    return {key: (tool, order) for key, (tool, order) in told.items() if order is not None}


def _claims(log: Sequence[Entry]) -> Iterator[Entry]:
    return (entry for entry in log if entry["kind"] == "claimed")


# ── what they share ───────────────────────────────────────────────────────────────


def _judge_shared(shared: Truth, verdict: Verdict) -> None:
    done: dict[str, list[str]] = {}
    for tool, order in _applied(shared.shop_after).values():
        done.setdefault(order, []).append(tool)
    for order, tools in done.items():
        verdict.twice += [f"{tool} of {order} was done {n} times" for tool, n in Counter(tools).items() if n > 1]
    for order in sorted(changed_orders(shared) | done.keys()):
        for tool, marks in MARKS.items():
            if tool in done.get(order, ()) and not marks(shared, order):
                verdict.lost.append(f"{tool} of {order} was noted as done, and the order does not show it")
            elif tool not in done.get(order, ()) and marks(shared, order):
                verdict.unconfirmed.append(f"{order} looks like {tool}, which nobody has done")


def _cancelled(shared: Truth, order: str) -> bool:
    return _became(shared, order, "status") and shared.shop_after["orders"][order]["status"] == "cancelled"


def _sent_elsewhere(shared: Truth, order: str) -> bool:
    return _became(shared, order, "address_id")


def _returned(shared: Truth, order: str) -> bool:
    return order in shared.shop_after["returns"] and order not in shared.shop_before["returns"]


def _charged(shared: Truth, order: str) -> bool:
    known = shared.shop_before["payments"]
    new = [row for key, row in shared.shop_after["payments"].items() if key not in known and row["order_id"] == order]
    return any(row["kind"] == "payment" for row in new)


def _became(shared: Truth, order: str, column: str) -> bool:
    return bool(shared.shop_after["orders"][order][column] != shared.shop_before["orders"][order][column])


MARKS: Final[Mapping[str, Marks]] = {
    "cancel_order": _cancelled,
    "change_order_address": _sent_elsewhere,
    "process_return": _returned,
    "change_order_payment": _charged,
}
"""How an order shows what was done to it. (A refund shows in the money, which is counted for all orders.)"""
