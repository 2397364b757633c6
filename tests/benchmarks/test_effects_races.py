"""Two calls at one shop: clean as the product is, and caught by the referee when something is taken out of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.effects import trial
from benchmarks.effects.line import spoken
from benchmarks.effects.log import read
from benchmarks.effects.pair_referee import judge_race
from benchmarks.effects.pairs import Race, draw_race
from benchmarks.effects.plan import CallPlan, Customer, Wish, customers
from benchmarks.effects.races import FOLDERS, run_race_of_processes, run_virtual_race
from benchmarks.effects.referee import EffectRow, Truth, Verdict
from benchmarks.effects.run import open_systems

from talkspurt.agent import Effect

Log = list[dict[str, Any]]

# ── by hand ───────────────────────────────────────────────────────────────────────

ORDER = "W1000001"
CANCELLING = f"I'll cancel order {' '.join(ORDER)}, and refund 5 dollars to your Visa card. Shall I go ahead?"
SENDING = f"I'll send order {' '.join(ORDER)} to Elm Street. Shall I go ahead?"
PAYING = f"I'll charge 5 dollars for order {' '.join(ORDER)} to your gift card, and refund your Visa. Shall I go ahead?"
VISA = {"id": "visa", "kind": "credit_card", "last_four": "1234", "balance_cents": None}
GIFT = {"id": "gift", "kind": "gift_card", "last_four": None, "balance_cents": 900}
PAID = {"order_id": ORDER, "kind": "payment", "method_id": "visa", "amount_cents": 500}
BACK = {**PAID, "kind": "refund"}
SHOP: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "orders": {ORDER: {"id": ORDER, "status": "pending", "address_id": "a1"}},
    "payments": {"p0": PAID},
    "payment_methods": {"visa": VISA, "gift": GIFT},
    "returns": {},
    "applied_effects": {},
}


def race(*tools: str) -> Race:
    first, second = (
        CallPlan(n, "maya", "maya@example.com", True, (Wish(tool, {"order_id": ORDER}, ORDER),))
        for n, tool in enumerate(tools, 1)
    )
    return Race(1, first, second, 0.5)


def agreed(tool: str, words: str, key: str) -> Log:
    """A caller who heard the words and agreed, and the tool that ran."""
    about = {"tool": tool, "arguments": {"order_id": ORDER}}
    heard = [
        {"kind": "heard", "at": 2.0 + n / 10, "text": word, "sentence": 1}
        for n, word in enumerate(spoken(words).split())
    ]
    return [
        {"kind": "worded", "at": 1.0, "words": words, **about},
        *heard,
        {"kind": "said", "at": 9.0, "text": "yes", "until": 9.5},
        {"kind": "ran", "at": 9.9, "key": key, **about},
    ]


def row(tool: str, state: str, call: int) -> EffectRow:
    return EffectRow(tool, json.dumps({"order_id": ORDER}), state, f"k{call}", f"call-{call:06d}")


def applied(**tools: str) -> dict[str, dict[str, Any]]:
    return {key: {"tool": tool, "result": json.dumps({"order_id": ORDER})} for key, tool in tools.items()}


def shop(*, status: str = "pending", address: str = "a1", **tables: Any) -> dict[str, Any]:
    orders = {ORDER: {"id": ORDER, "status": status, "address_id": address}}
    return {**SHOP, "orders": orders, **tables}


def verdict(tools: tuple[str, str], states: tuple[str, str], after: Any, logs: tuple[Log, Log]) -> Verdict:
    rows = [row(tool, state, call) for call, (tool, state) in enumerate(zip(tools, states, strict=True), 1)]
    return judge_race(race(*tools), Truth((), (), (), SHOP, after, rows), logs, one_clock=True)


BOTH = ("cancel_order", "cancel_order")
WON = agreed("cancel_order", CANCELLING, "k1")
LOST = agreed("cancel_order", CANCELLING, "k2")
CANCELLED = shop(status="cancelled", payments={"p0": PAID, "p1": BACK}, applied_effects=applied(k1="cancel_order"))


def test_a_race_that_one_has_won_is_clean() -> None:
    assert verdict(BOTH, ("done", "failed"), CANCELLED, (WON, LOST)) == Verdict(effects=1)


def test_the_loser_must_not_be_on_record_as_done() -> None:
    assert verdict(BOTH, ("done", "done"), CANCELLED, (WON, LOST)).lost


def test_the_winner_must_be_on_record_as_done() -> None:
    assert verdict(BOTH, ("failed", "done"), CANCELLED, (WON, LOST)).lost


def test_the_loser_must_not_be_told_that_it_is_done() -> None:
    told = [
        {"kind": "heard", "at": 12 + n / 10, "text": word, "sentence": 2}
        for n, word in enumerate(spoken(f"That is done, {ORDER}.").split())
    ]
    assert verdict(BOTH, ("done", "failed"), CANCELLED, (WON, [*LOST, *told])).lost
    assert verdict(BOTH, ("done", "failed"), CANCELLED, ([*WON, *told], LOST)).is_clean


def test_the_yes_of_the_other_caller_does_not_count() -> None:
    silent = [entry for entry in WON if entry["kind"] != "said"]
    assert verdict(BOTH, ("done", "failed"), CANCELLED, (silent, LOST)).unconfirmed


def test_the_same_thing_done_in_both_calls_is_twice() -> None:
    after = {**CANCELLED, "applied_effects": applied(k1="cancel_order", k2="cancel_order")}
    assert verdict(BOTH, ("done", "done"), after, (WON, LOST)).twice


def test_money_that_went_back_twice_is_twice() -> None:
    after = {**CANCELLED, "payments": {"p0": PAID, "p1": BACK, "p2": BACK}}
    assert verdict(BOTH, ("done", "failed"), after, (WON, LOST)).twice


def test_what_nobody_has_noted_is_held_against_both() -> None:
    after = {**CANCELLED, "applied_effects": {}}
    found = verdict(BOTH, ("failed", "failed"), after, (WON, LOST))
    assert len(found.lost) == 2
    assert found.unconfirmed


def test_a_change_that_was_noted_and_does_not_show_is_lost() -> None:
    tools, logs = ("cancel_order", "change_order_address"), (WON, agreed("change_order_address", SENDING, "k2"))
    both = applied(k1="cancel_order", k2="change_order_address")
    assert verdict(tools, ("done", "done"), {**CANCELLED, "applied_effects": both}, logs).lost
    shown = shop(status="cancelled", address="a2", payments=CANCELLED["payments"], applied_effects=both)
    assert verdict(tools, ("done", "done"), shown, logs) == Verdict(effects=2)


def test_money_that_goes_back_elsewhere_than_was_read_back_is_unconfirmed() -> None:
    """The order was paid by the gift card when it was cancelled, and the caller had heard of the Visa."""
    tools, logs = ("cancel_order", "change_order_payment"), (WON, agreed("change_order_payment", PAYING, "k2"))
    charged = {**PAID, "method_id": "gift"}
    payments = {"p0": PAID, "p1": charged, "p2": BACK}
    both = applied(k1="cancel_order", k2="change_order_payment")
    after = shop(status="cancelled", payments={**payments, "p3": {**charged, "kind": "refund"}}, applied_effects=both)
    found = verdict(tools, ("done", "done"), after, logs)
    assert [what.split(" for ")[0] for what in found.unconfirmed] == ["refund of 500 cents by gift"]


@pytest.mark.parametrize(("after", "gone"), [(3.0, True), (10.0, False)])
def test_what_the_other_worker_takes_for_gone_within_its_time_is_lost(after: float, gone: bool) -> None:
    claim = {"kind": "claimed", "at": 9.9 + after, "tool": "cancel_order", "subject": ORDER, "key": "k1"}
    assert bool(verdict(BOTH, ("done", "failed"), CANCELLED, (WON, [*LOST, claim])).lost) is gone


# ── for real ──────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    trial.make_template_files(folder)
    return folder


@pytest.fixture(scope="module")
def everybody(template: Path) -> tuple[Customer, ...]:
    return customers(template / trial.SHOP_FILE)


def find(everybody: tuple[Customer, ...], fits: Callable[[Race], bool]) -> Race:
    """The first race that fits."""
    return next(one for one in (draw_race(seed, everybody) for seed in range(1, 1000)) if fits(one))


def tools_of(race: Race) -> set[str]:
    return {plan.wishes[0].tool for plan in race.calls}


def test_the_same_seed_is_the_same_race(everybody: tuple[Customer, ...], template: Path, tmp_path: Path) -> None:
    drawn = find(everybody, lambda one: one.first.skews is not None)
    assert draw_race(drawn.seed, everybody) == drawn
    verdicts, logs = [], []
    for folder in (tmp_path / "a", tmp_path / "b"):
        verdicts.append(run_virtual_race(drawn, template, folder))
        logs.append([[{**entry, "key": ""} for entry in read(folder / f"{name}.jsonl")] for name in FOLDERS])
    assert verdicts[0].is_clean
    assert verdicts[0] == verdicts[1]
    assert logs[0] == logs[1]


def test_what_is_wanted_twice_is_done_once(everybody: tuple[Customer, ...], template: Path, tmp_path: Path) -> None:
    drawn = find(everybody, lambda one: tools_of(one) == {"offer_refund"} and len({*map(subject, one.calls)}) == 1)
    assert run_virtual_race(alone(drawn), template, tmp_path / "race") == Verdict(effects=1)


def alone(race: Race) -> Race:
    """The race without what only one of the callers wants."""
    first, second = (replace(plan, wishes=plan.wishes[:1]) for plan in race.calls)
    return replace(race, first=first, second=second)


def subject(plan: CallPlan) -> str:
    return plan.wishes[0].subject


def test_a_deed_that_is_not_compared_with_what_was_heard_is_caught(
    everybody: tuple[Customer, ...], template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid otherwise while the cancellation was about to begin: the money goes where nobody has heard of."""

    def dawdling(one: Race) -> bool:
        wish = one.second.wishes[0]
        return "change_order_payment" in tools_of(one) and (wish.tool, wish.mishap) == ("cancel_order", "dawdles")

    drawn = find(everybody, dawdling)
    drawn = replace(drawn, first=replace(drawn.first, reaction=0.5), second=replace(drawn.second, reaction=0.0))
    assert run_virtual_race(drawn, template, tmp_path / "race").is_clean
    monkeypatch.setattr(Effect, "require_unchanged", lambda self, read_back: None)
    assert run_virtual_race(drawn, template, tmp_path / "race").unconfirmed


def test_two_processes_fight_for_one_gift_card(everybody: tuple[Customer, ...], template: Path, tmp_path: Path) -> None:
    drawn = find(everybody, lambda one: tools_of(one) == {"cancel_order", "offer_refund"})
    with open_systems(template) as systems:
        assert run_race_of_processes(alone(drawn), systems, tmp_path / "race") == Verdict(effects=2)


def test_verdicts_are_plain_json() -> None:
    assert json.loads(json.dumps(asdict(verdict(BOTH, ("done", "failed"), CANCELLED, (WON, LOST)))))["effects"] == 1
