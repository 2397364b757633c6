"""Real calls of the effects benchmark: clean as the product is, and caught by the referee when a guard is taken out."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.effects import trial
from benchmarks.effects.plan import CallPlan, Skews, Wish, customers, draw
from benchmarks.effects.referee import Verdict

from talkspurt.agent import Caller, Effect, Tool
from talkspurt.core.consent import PendingEffect
from talkspurt.effects.authority import Authority
from talkspurt.effects.proposals import Proposals
from talkspurt.store import Store
from talkspurt.store.clock import Clock
from talkspurt.store.database import Database
from talkspurt.store.effects import SqlEffectLedger

PARCEL = "K000001Q1"
SENDING = Wish("send_parcel", {"parcel": PARCEL}, PARCEL)
PAYING = Wish("pay_out", {"parcel": PARCEL, "cents": 700}, PARCEL)

Holds = Callable[..., Verdict]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    trial.make_template_files(folder)
    return folder


@pytest.fixture
def hold(template: Path, tmp_path: Path) -> Holds:
    def hold(*wishes: Wish, verifies: bool = True, skews: Skews | None = None) -> Verdict:
        plan = CallPlan(1, "maya_collins", "maya.collins@example.com", verifies, wishes, skews=skews)
        return trial.run_virtual_call(plan, template, tmp_path / "call")

    return hold


def test_the_same_seed_is_the_same_call(template: Path) -> None:
    shop = customers(template / trial.SHOP_FILE)
    assert [draw(seed, shop) for seed in range(50)] == [draw(seed, shop) for seed in range(50)]


@pytest.mark.timeout(60)
def test_a_call_whose_timer_was_rounded_down_comes_to_its_end(template: Path, tmp_path: Path) -> None:
    """It fired a trifle early, for ever: the benchmark had one of its two processes hang in this call."""
    plan = draw(1286, customers(template / trial.SHOP_FILE))
    assert trial.run_virtual_call(plan, template, tmp_path / "call").is_clean


@pytest.mark.parametrize("skews", [(0.0, 0.0, 30.0), (-30.0, 0.0, 0.0)])
def test_a_store_that_decides_who_is_gone_by_its_workers_clock_is_caught(
    hold: Holds, monkeypatch: pytest.MonkeyPatch, skews: Skews
) -> None:
    wish = replace(SENDING, mishap="hangs_after")
    assert hold(wish, skews=skews) == Verdict(effects=1)
    really = Store.__init__

    def by_its_own(store: Store, database: Database, clock: Clock, **_options: object) -> None:
        really(store, database, clock)

    monkeypatch.setattr(Store, "__init__", by_its_own)
    assert any("taken for gone" in what for what in hold(wish, skews=skews).lost)


@pytest.mark.parametrize(
    ("answer", "effects"),
    [("yes", 1), ("no", 0), ("unclear", 1), ("early", 1), ("late", 1), ("vanish", 0), ("keypad", 1)],
)
def test_what_the_caller_answers_decides(hold: Holds, answer: Any, effects: int) -> None:
    assert hold(replace(SENDING, answer=answer)) == Verdict(effects=effects)


@pytest.mark.parametrize("tool", ["send_parcel", "book_pickup", "mail_letter"])
def test_what_is_asked_for_again_is_done_once(hold: Holds, tool: str) -> None:
    assert hold(replace(SENDING, tool=tool, again=True)) == Verdict(effects=1)


@pytest.mark.parametrize("answer", ["no", "unclear", "early", "cut_in"])
def test_a_core_that_skips_the_confirmation_is_caught(
    hold: Holds, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    def agreed(self: PendingEffect, *_heard: object) -> str:
        return "agreed"

    async def confirmed(self: Proposals, pending: Any, turn: int) -> Effect:
        pending.heard_at = 0.0
        return await really(self, pending, turn)

    really = Proposals._confirmed
    monkeypatch.setattr(PendingEffect, "answer", agreed)
    monkeypatch.setattr(Proposals, "_confirmed", confirmed)
    assert hold(replace(SENDING, answer=answer)).unconfirmed


def test_a_dispatcher_that_does_not_look_again_is_caught(hold: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = replace(PAYING, mishap="changes")
    assert hold(wish) == Verdict(effects=0)

    async def unchanged(self: Proposals, pending: object) -> Caller:
        return self._caller

    monkeypatch.setattr(Proposals, "_unchanged", unchanged)
    assert hold(wish).unconfirmed


def test_a_ledger_that_forgets_is_caught(hold: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    async def finish(self: SqlEffectLedger, proposal: str, /, *, state: str, result: str) -> None:
        await self.resolve(proposal, result=None)

    monkeypatch.setattr(SqlEffectLedger, "finish", finish)
    assert hold(SENDING).lost


def test_a_sweeper_that_repeats_is_caught(hold: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = replace(SENDING, mishap="hangs_after")
    assert hold(wish) == Verdict(effects=1)

    async def repeat(self: Tool, arguments: Any, caller: Any, key: str) -> Any:
        again = Effect(f"{key[:-1]}x", self.name, caller.call_id, 1)
        return await self.function(**self.keywords(arguments, caller, effect=again))

    monkeypatch.setattr(Tool, "look_up", repeat)
    assert hold(wish).twice


@pytest.mark.parametrize(
    ("guard", "wish"),
    [
        ("admit", Wish("close_account", {"parcel": PARCEL}, PARCEL, ban="level")),
        ("judge", Wish("pay_out", {"parcel": PARCEL, "cents": 50_000}, PARCEL, ban="over_limit")),
        ("judge", Wish("recall_parcel", {"parcel": PARCEL}, PARCEL, ban="status")),
        ("scope", Wish("move_parcel", {"parcel": PARCEL, "account": "daniel_ortega"}, PARCEL, ban="account")),
    ],
)
def test_a_dispatcher_without_authority_is_caught(
    hold: Holds, monkeypatch: pytest.MonkeyPatch, guard: str, wish: Wish
) -> None:
    assert hold(wish) == Verdict(effects=0)
    monkeypatch.setattr(Authority, guard, lambda self, tool, *rest: rest[0] if rest else None)
    if guard == "admit":
        # Asked for again when it has been worded, and right before it is done.
        monkeypatch.setattr(Authority, "serves", lambda *_: True)
    assert hold(wish).forbidden_executed


def test_nothing_is_done_for_a_caller_who_is_not_verified(hold: Holds) -> None:
    assert hold(replace(SENDING, ban="unverified"), verifies=False) == Verdict(effects=0)


def test_results_are_plain_json(hold: Holds) -> None:
    assert json.loads(json.dumps(asdict(hold(SENDING))))["effects"] == 1
