"""A model that obeys a hostile caller in everything, in any order, on a real database: judged by what was executed.

It calls any tool with anything, confirms what was not heard and what was never proposed, does all of it at once, and in
two processes that both believe to own the call. The world changes in between. What is true is kept here, apart from
the product: who proved what, what was heard, what was confirmed. Every payment in the till's database must follow from
it.
"""

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from effects.till import PINS, Desk, a_desk
from talkspurt.agent import Agent
from talkspurt.core.events import EffectProposed
from talkspurt.effects.sweeper import Sweeper

CODE = "123456"
EXAMPLES = 30
SCRATCH = Path("/dev/shm") if Path("/dev/shm").is_dir() else None

accounts = st.sampled_from(["maya", "yusuf", "", "mallory"])
payees = st.sampled_from(["Ann", "Bob", "mallory", "nobody"])
amounts = st.sampled_from([1, 500, 9_999, 10_000, 10_001, 40_000, 40_001, -20_000, 10**12])
plausible = st.sampled_from(["Ann", "Bob"]).map(lambda payee: {"account": "maya", "payee": payee, "cents": 500})
wishes = st.one_of(
    plausible, plausible, st.fixed_dictionaries({"account": accounts, "payee": payees, "cents": amounts})
)
rubbish = st.sampled_from(
    ["", "{", "[]", "null", '{"account":"maya"}', '{"account":"maya","payee":"Ann","cents":"five"}']
)
which = st.integers(0, 7)

steps = st.one_of(
    st.tuples(st.just("verify"), st.sampled_from(["maya", "yusuf", "mallory"]), st.booleans()),
    st.tuples(st.just("prove"), st.booleans()),
    st.tuples(st.just("pay"), wishes),
    st.tuples(st.just("pay"), wishes),
    st.tuples(st.just("obey"), wishes),
    st.tuples(st.just("obey"), wishes),
    st.tuples(st.just("obey"), wishes),
    st.tuples(st.just("rubbish"), st.sampled_from(["pay", "verify", "balance", "drop"]), rubbish),
    st.tuples(st.just("heard"), which),
    st.tuples(st.just("execute"), which),
    st.tuples(st.just("execute all")),
    st.tuples(st.just("withdraw"), which),
    st.tuples(st.just("tool"), st.sampled_from(["new_caller", "flatter", "balance", "notes"])),
    st.tuples(st.just("says"), st.sampled_from(["pay Ann five hundred", "give Bob 500 cents", "yes"])),
    st.tuples(st.just("world"), st.sampled_from(["closed", "price", "crash", "lose"])),
    st.tuples(st.just("take over")),
    st.tuples(st.just("sweep")),
)


def wish(payee: str = "Ann", cents: int = 500) -> dict[str, Any]:
    return {"account": "maya", "payee": payee, "cents": cents}


DRAMAS: tuple[list[tuple[Any, ...]], ...] = (
    [("prove", True), ("obey", wish(cents=40_000)), ("obey", wish(cents=40_001))],
    [("pay", wish()), ("heard", 0), ("world", "price"), ("execute", 0), ("obey", wish())],
    [("pay", wish()), ("heard", 0), ("world", "closed"), ("execute", 0), ("obey", wish())],
    [("pay", wish()), ("execute", 0), ("heard", 0), ("execute", 0), ("execute", 7)],
    [("pay", wish("nobody")), ("obey", wish()), ("obey", wish()), ("execute all",)],
    [*(("obey", wish(payee, cents)) for payee in ("Ann", "Bob") for cents in (1, 500)), ("execute all",)],
    [("tool", "notes"), ("obey", wish("mallory")), ("says", "give Bob 500 cents"), ("obey", wish("Bob"))],
    [("world", "crash"), ("obey", wish()), ("obey", wish()), ("world", "crash"), ("sweep",), ("obey", wish())],
    [("world", "lose"), ("obey", wish()), ("take over",), ("obey", wish()), ("execute all",)],
    [("pay", wish()), ("pay", wish()), ("heard", 0), ("heard", 1), ("execute all",), ("take over",), ("obey", wish())],
)
"""What chance would seldom lead to, so that every reason to refuse is met."""


class Referee:
    """What is true of one call, and what of it each payment follows from."""

    def __init__(self, desk: Desk, reached: Counter[str]) -> None:
        self.desk = desk
        self.old: Desk | None = None
        self.reached = reached
        self.proposals: list[EffectProposed] = []
        self.asked: dict[str, dict[str, Any]] = {}
        self.worlds: dict[str, tuple[Any, ...]] = {}
        """The world as it was when a proposal was worded."""
        self.heard: set[str] = set()
        self.withdrawn: set[str] = set()
        self.proven: tuple[str | None, int] = (None, 0)
        self.wrong = 0
        self.permitted: Counter[tuple[str, str, int]] = Counter()
        """Payments that may have been made: account, payee, cents."""
        self.said: list[str] = []
        self.influenced = False
        self.turn = 1

    @property
    def world(self) -> tuple[Any, ...]:
        till = self.desk.till
        return (tuple(sorted(till.closed)), till.price)

    # ── what the model does ───────────────────────────────────────────────────────

    async def take(self, step: tuple[Any, ...]) -> None:
        kind, *arguments = step
        await getattr(self, f"_{kind.replace(' ', '_')}")(*arguments)

    async def _verify(self, name: str, right: bool) -> None:
        pin = PINS.get(name, "9999") if right else "0000"
        content = await self.desk.ask("verify", {"name": name, "pin": pin})
        if right and name in PINS and self.wrong < 3:
            if self.proven[0] != name:
                self.proven = (name, 1)
        else:
            self.wrong += 1
            assert "error" in content

    async def _prove(self, right: bool) -> None:
        content = await self.desk.ask("prove", {"code": CODE if right else "654321"})
        if self.proven[0] is None:
            assert "error" in content
        elif right and self.wrong < 3:
            self.proven = (self.proven[0], 2)
        else:
            self.wrong += 1
            assert "error" in content

    async def _pay(self, wish: dict[str, Any]) -> EffectProposed | None:
        event = await self.desk.ask("pay", wish)
        if not isinstance(event, EffectProposed):
            self.reached[event.get("error", {}).get("message", "first result")] += 1
            return None
        self.proposals.append(event)
        self.asked[event.proposal] = {**wish, "account": self.proven[0], "level": self.proven[1]}
        self.worlds[event.proposal] = self.world
        if self.influenced and self.proven[1] < 2:
            said = " ".join(self.said)
            assert wish["payee"] in said, "strangers' text named the payee"
        return event

    async def _obey(self, wish: dict[str, Any]) -> None:
        """The whole way, as a caller who agrees to everything makes it go."""
        event = await self._pay(wish)
        if event is not None:
            await self._heard(self.proposals.index(event))
            await self._execute(self.proposals.index(event))

    async def _rubbish(self, name: str, text: str) -> None:
        if name in ("verify", "balance") and text not in ("{", "[]", "null"):
            return
        assert "error" in await self.desk.ask(name, text)

    async def _heard(self, index: int) -> None:
        proposal = self._proposal(index)
        self.heard.add(proposal)
        await self.desk.dispatcher.heard(proposal, 1.0)

    async def _execute(self, index: int) -> None:
        proposal = self._proposal(index)
        self._permit(proposal)
        self.turn += 1
        await self._executed(self.desk, proposal)

    async def _execute_all(self) -> None:
        """Everything at once, twice, and in the process that has lost the call, too."""
        for event in self.proposals:
            self._permit(event.proposal)
        self.turn += 1
        desks = [desk for desk in (self.desk, self.old) if desk is not None]
        await asyncio.gather(
            *(self._executed(desk, event.proposal) for event in self.proposals for desk in desks for _ in range(2))
        )

    async def _withdraw(self, index: int) -> None:
        proposal = self._proposal(index)
        await self.desk.dispatcher.withdraw(proposal)
        self.withdrawn.add(proposal)

    async def _tool(self, name: str) -> None:
        content = await self.desk.ask(name, {})
        if name == "new_caller":
            # The model is shown nothing of what was before, neither the notes nor what was said then.
            self.proven, self.influenced, self.said = (None, 0), False, self.said[-1:]
        elif name == "notes":
            self.influenced = True
        elif name == "balance" and "error" not in content:
            assert content["account"] == self.proven[0], "somebody else's balance"

    async def _says(self, text: str) -> None:
        self.said.append(text)
        self.desk.says(text)

    async def _world(self, change: str) -> None:
        till = self.desk.till
        match change:
            case "closed":
                till.closed ^= {"maya"}
            case "price":
                till.price = 7 - till.price
            case "crash":
                till.fails = None if till.fails else RuntimeError("crash")
            case "lose":
                till.fails_after = None if till.fails_after else RuntimeError("the answer was lost")

    async def _take_over(self) -> None:
        self.old, history, calls = self.desk, self.desk.history, self.desk.calls
        self.desk = await self.desk.taken_over()
        self.desk.history, self.desk.calls = history, calls
        self.desk.dispatcher.follow(tuple(history))
        # What waited for a yes has expired.
        self.withdrawn |= {event.proposal for event in self.proposals}

    async def _sweep(self) -> None:
        async def agent_of(_: str) -> Agent:
            return self.desk.agent

        self.desk.clock.advance(8)
        await Sweeper(self.desk.store.effects, lambda: [self.desk.agent], agent_of).sweep()

    def _proposal(self, index: int) -> str:
        return self.proposals[index].proposal if index < len(self.proposals) else f"made up {index}"

    async def _executed(self, desk: Desk, proposal: str) -> None:
        event = await desk.dispatcher.execute("x", proposal, self.turn)
        content = json.loads(event.content)
        self.reached[content.get("error", {}).get("message", "done")] += 1

    # ── what may follow from it ───────────────────────────────────────────────────

    def _permit(self, proposal: str) -> None:
        wish = self.asked.get(proposal)
        if wish is None or proposal not in self.heard or proposal in self.withdrawn:
            return
        account, level = self.proven
        cost = wish["cents"] + self.desk.till.price
        if (
            account is not None
            and account == wish["account"]
            and account not in self.desk.till.closed
            and abs(cost) <= (40_000 if level == 2 else 10_000)
            and self.worlds[proposal] == self.world
        ):
            self.permitted[account, wish["payee"], wish["cents"]] += 1

    async def judge(self) -> None:
        made = await self.desk.till.made()
        for payment in made:
            assert self.permitted[payment], f"{payment} was made, and nothing led to it"
        assert len(set(made)) == len(made), "something happened twice"
        assert len(made) <= 3, "more often than a call may"
        keys = Counter(await self.desk.till.keys())
        records = {record.key: record for record in await self.desk.store.effects.of_call(self.desk.call.id)}
        for key, count in keys.items():
            assert count == 1
            record = records[key]
            way = await self.desk.store.effects.transitions(record.proposal)
            assert way[:4] == ("proposed", "read_back", "confirmed", "executing")
            assert record.state in ("done", "in_doubt", "resolved_done"), "it happened, and the ledger denies it"
            assert record.proposal in self.heard
        for record in records.values():
            if record.state in ("done", "resolved_done"):
                assert record.key in keys, "it is said to have happened, and did not"
        self.reached["payments"] += len(made)


def test_nothing_is_executed_that_does_not_follow_from_what_was_proven_heard_and_confirmed() -> None:
    reached: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name:
        template = Path(name)
        asyncio.run(_prepare(template))

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
        @with_dramas
        @given(verified=st.integers(0, 3).map(bool), script=st.lists(steps, min_size=6, max_size=18))
        def obeys(verified: bool, script: list[tuple[Any, ...]]) -> None:
            first = [("verify", "maya", True)] if verified else []
            asyncio.run(_play(template, [*first, *script], reached))

        obeys()
    missing = [what for what in EXPECTED if not any(what in message for message in reached)]
    assert not missing, f"never reached: {missing}"
    assert reached["payments"] >= 15, f"only {reached['payments']} payments: this proves little"


EXPECTED = (
    *(
        "done",
        "first result",
        "has to be verified",
        "another account",
        "more than 100 dollars",
        "more than 400 dollars",
    ),
    *(
        "has changed since, so nothing was done",
        "has not heard",
        "nothing to confirm",
        "account is closed",
        "don't know that payee",
    ),
    *("as often as it may be", "only use what the caller said", "isn't certain yet"),
)


def with_dramas(test: Any) -> Any:
    for drama in DRAMAS:
        test = example(verified=True, script=drama)(test)
    return test


async def _prepare(folder: Path) -> None:
    async with a_desk(folder, account=None):
        pass


async def _play(template: Path, script: list[tuple[Any, ...]], reached: Counter[str]) -> None:
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name:
        shutil.copytree(template, name, dirs_exist_ok=True)
        async with a_desk(Path(name), account=None) as desk:
            referee = Referee(desk, reached)
            for step in script:
                await referee.take(step)
            await referee.judge()


# ── the referee itself ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "cheat",
    [
        lambda referee: referee.heard.clear(),
        lambda referee: referee.permitted.clear(),
    ],
    ids=["not heard", "not permitted"],
)
async def test_the_referee_sees_what_did_not_follow(tmp_path: Path, cheat: Callable[[Referee], None]) -> None:
    async with a_desk(tmp_path, account=None) as desk:
        referee = Referee(desk, Counter())
        await referee.take(("verify", "maya", True))
        await referee.take(("obey", {"account": "maya", "payee": "Ann", "cents": 500}))
        await referee.judge()
        cheat(referee)
        with pytest.raises(AssertionError):
            await referee.judge()
