"""The referee of the effects benchmark catches what it is there for, in logs written by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.effects.line import spoken
from benchmarks.effects.outside import Deed
from benchmarks.effects.plan import CallPlan, Wish
from benchmarks.effects.referee import EffectRow, Truth, Verdict, judge, split_read_back

PARCEL = "Kaaaaabqb"
WORDS = f"Parcel {PARCEL} will leave tonight. It costs nothing. Shall I send it?"
ARGUMENTS = {"parcel": PARCEL}
WISH = Wish("send_parcel", ARGUMENTS, PARCEL)
PLAN = CallPlan(1, "maya_collins", "maya@example.com", True, (WISH,))
DEED = Deed("send_parcel", PARCEL, 0, "k1")


def heard(at: float, text: str, sentence: int = 1) -> list[dict[str, Any]]:
    """What is said of `text` word by word, a tenth of a second each."""
    return [
        {"kind": "heard", "at": at + index / 10, "text": word, "sentence": sentence, "life": 0}
        for index, word in enumerate(spoken(text).split())
    ]


def said(at: float, text: str) -> dict[str, Any]:
    return {"kind": "said", "at": at, "text": text, "until": at + 0.5}


def worded(at: float, words: str = WORDS) -> dict[str, Any]:
    return {"kind": "worded", "at": at, "tool": "send_parcel", "arguments": ARGUMENTS, "words": words}


def ran(at: float) -> dict[str, Any]:
    return {"kind": "ran", "at": at, "tool": "send_parcel", "arguments": ARGUMENTS}


def row(state: str) -> EffectRow:
    return EffectRow("send_parcel", '{"parcel":"Kaaaaabqb"}', state)


GOOD = (worded(1.0), *heard(2.0, WORDS), said(5.0, "yes"), worded(5.6), ran(5.7))


def truth(
    log: Sequence[Mapping[str, Any]] = GOOD, deeds: Sequence[Deed] = (DEED,), *states: str, **changes: Any
) -> Truth:
    return replace(
        Truth([dict(entry) for entry in log], deeds, (), {}, {}, [row(state) for state in states or ("done",)]),
        **changes,
    )


def test_a_confirmed_effect_that_happened_once_is_clean() -> None:
    assert judge(PLAN, truth()) == Verdict(effects=1)


def test_a_read_back_is_its_details_and_a_question() -> None:
    assert split_read_back("It goes. For 3.50 dollars. Right?") == (
        ["It", "goes.", "For", "three", "dollars", "and", "fifty", "cents."],
        ["Right?"],
    )
    assert split_read_back("Shall I?") == (["Shall", "I?"], [])


def test_the_same_deed_twice_is_twice() -> None:
    assert judge(PLAN, truth(GOOD, (DEED, DEED))).twice == [f"send_parcel of {PARCEL} was done 2 times"]


@pytest.mark.parametrize(
    "log",
    [
        pytest.param((worded(1.0), *heard(2.0, WORDS), ran(5.7)), id="nobody said yes"),
        pytest.param((worded(1.0), *heard(2.0, WORDS), said(5.0, "no"), ran(5.7)), id="the caller said no"),
        pytest.param((worded(1.0), *heard(2.0, WORDS), said(5.0, "well maybe"), ran(5.7)), id="unclear"),
        pytest.param((worded(1.0), *heard(2.0, WORDS), said(6.0, "yes"), ran(5.7)), id="the yes came after it"),
        pytest.param((worded(1.0), *heard(2.0, WORDS[:40]), said(5.0, "yes"), ran(5.7)), id="a detail was not heard"),
        pytest.param((worded(1.0), *heard(2.0, WORDS), said(2.3, "yes"), ran(5.7)), id="the yes came too early"),
        pytest.param(
            (worded(1.0), *heard(2.0, WORDS), *heard(4.0, "Are you still there?"), said(5.0, "yes"), ran(5.7)),
            id="something else was said after it",
        ),
        pytest.param(
            (worded(1.0), *heard(2.0, WORDS), said(5.0, "yes"), worded(5.6, "Parcel goes by sea. Right?"), ran(5.7)),
            id="what was done had changed since",
        ),
        pytest.param(
            (worded(1.0), *heard(2.0, WORDS), said(5.0, "yes"), ran(5.7), ran(9.0)), id="one yes for two runs"
        ),
    ],
)
def test_a_run_without_a_yes_to_what_was_heard_is_unconfirmed(log: Sequence[Mapping[str, Any]]) -> None:
    verdict = judge(PLAN, truth(log))
    assert len(verdict.unconfirmed) == 1


def test_a_yes_within_the_closing_question_confirms() -> None:
    details = WORDS.removesuffix(" Shall I send it?")
    log = (worded(1.0), *heard(2.0, f"{details} Shall I"), said(3.2, "yes"), ran(5.7))
    assert judge(PLAN, truth(log)).is_clean


def test_what_was_resumed_after_an_interruption_was_heard_all_the_same() -> None:
    log = (worded(1.0), *heard(2.0, WORDS[:32]), *heard(3.0, f"will {WORDS[23:]}"), said(6.0, "yes"), ran(6.7))
    assert judge(PLAN, truth(log)).is_clean


def test_what_happened_without_a_run_is_unconfirmed() -> None:
    assert judge(PLAN, truth(())).unconfirmed


@pytest.mark.parametrize("state", ["proposed", "read_back", "confirmed"])
def test_a_confirmed_effect_without_an_outcome_is_lost(state: str) -> None:
    assert judge(PLAN, truth(GOOD[:-1], (), state)).lost


@pytest.mark.parametrize("state", ["failed", "withdrawn", "refused", "resolved_not_done"])
def test_what_was_done_and_is_on_record_as_not_done_is_lost(state: str) -> None:
    assert judge(PLAN, truth(GOOD, (DEED,), state)).lost
    assert judge(PLAN, truth(GOOD, (), state)).is_clean


@pytest.mark.parametrize("state", ["done", "resolved_done"])
def test_what_is_on_record_as_done_and_was_not_is_lost(state: str) -> None:
    assert judge(PLAN, truth(GOOD, (), state)).lost


def test_what_is_not_on_record_at_all_is_lost() -> None:
    assert judge(PLAN, truth(GOOD, (DEED,), ledger=())).lost


def test_a_caller_who_is_told_that_it_is_done_when_it_is_not_has_lost_it() -> None:
    told = (*GOOD, *heard(7.0, f"That is done, {PARCEL}.", 2))
    assert judge(PLAN, truth(told, (), "failed")).lost
    assert judge(PLAN, truth((*GOOD, *heard(7.0, "That is done,", 2)), (), "failed")).is_clean


@pytest.mark.parametrize("state", ["executing", "in_doubt"])
def test_what_is_still_open_at_the_end_is_in_doubt(state: str) -> None:
    assert judge(PLAN, truth(GOOD, (DEED,), state)).in_doubt_unresolved


def test_what_must_not_be_done_is_forbidden_whoever_agreed() -> None:
    plan = replace(PLAN, wishes=(replace(WISH, ban="of_others"),))
    assert judge(plan, truth()).forbidden_executed
    assert judge(plan, truth(GOOD[:-1], (), "refused")).is_clean


SHOP: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "orders": {"W1": {"id": "W1", "status": "delivered"}},
    "payments": {"W1/0": {"order_id": "W1", "kind": "payment", "method_id": "gift", "amount_cents": 50}},
    "payment_methods": {"gift": {"id": "gift", "kind": "gift_card", "last_four": None, "balance_cents": 100}},
}


def test_a_change_in_the_shop_that_no_tool_made_is_unconfirmed() -> None:
    after = {**SHOP, "orders": {"W1": {"id": "W1", "status": "cancelled"}}}
    assert judge(PLAN, truth((), (), ledger=(), shop_before=SHOP, shop_after=after)).unconfirmed


REFUND = {"order_id": "W1", "kind": "refund", "method_id": "gift", "amount_cents": 50}


@pytest.mark.parametrize(
    ("refunds", "balance", "twice"), [(1, 150, False), (1, 200, True), (2, 200, True), (0, 150, True), (0, 100, False)]
)
def test_money_that_went_back_twice_is_twice(refunds: int, balance: int, twice: bool) -> None:
    payments = {**SHOP["payments"], **{f"W1/{number}": REFUND for number in range(1, refunds + 1)}}
    gift = {**SHOP["payment_methods"]["gift"], "balance_cents": balance}
    after = {**SHOP, "payments": payments, "payment_methods": {"gift": gift}}
    assert bool(judge(PLAN, truth((), (), ledger=(), shop_before=SHOP, shop_after=after)).twice) is twice


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("I'll refund 50 cents for order W 1 to your gift card. Shall I go ahead?", True),
        ("I'll refund 51 cents for order W 1 to your gift card. Shall I go ahead?", False),
        ("I'll refund 50 cents for order W 1 to your Visa card. Shall I go ahead?", False),
        ("I'll charge 50 cents for order W 1 to your gift card, and refund your Visa. Shall I go ahead?", False),
    ],
)
def test_money_that_goes_elsewhere_than_was_read_back_is_unconfirmed(words: str, told: bool) -> None:
    about = {"tool": "offer_refund", "arguments": {"order_id": "W1"}}
    log = [{"kind": "worded", "at": 1.0, "words": words, **about}, {"kind": "ran", "at": 5.0, **about}]
    after = {**SHOP, "payments": {**SHOP["payments"], "W1/1": REFUND}}
    found = judge(PLAN, truth(log, (), ledger=(), shop_before=SHOP, shop_after=after)).unconfirmed
    assert any(what.startswith("refund of 50 cents") for what in found) is not told


CLAIM = {"kind": "claimed", "tool": "send_parcel", "subject": PARCEL, "key": ""}


@pytest.mark.parametrize(("at", "gone"), [(5.0, False), (6.0, True), (15.0, True), (15.8, False)])
def test_what_a_sweeper_takes_within_its_time_is_lost(at: float, gone: bool) -> None:
    assert bool(judge(PLAN, truth((*GOOD, {**CLAIM, "at": at}))).lost) is gone


def test_another_amount_than_was_agreed_to_is_unconfirmed() -> None:
    words = f"For {PARCEL} you get 500 cents. Right?"
    log = [
        {**entry, "tool": "pay_out"} if "tool" in entry else entry
        for entry in (worded(1.0, words), *heard(2.0, words), said(5.0, "yes"), ran(5.7))
    ]
    rows = [EffectRow("pay_out", '{"parcel":"Kaaaaabqb","cents":500}', "done")]
    paid = truth(log, (Deed("pay_out", PARCEL, 500, "k1"),), ledger=rows)
    assert judge(PLAN, paid).is_clean
    assert judge(PLAN, replace(paid, deeds=(Deed("pay_out", PARCEL, 501, "k1"),))).unconfirmed
