"""The agent under test: the retail tools, and tools of a parcel service whose every effect is counted.

Of the latter each stands for a kind of effect: on an outside system with idempotency keys, on a database of one's own,
on an outside system without keys, with an amount that a policy limits, and such as nobody may have.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import wraps
from typing import Annotated, Any, Final, TypeVar

from benchmarks.effects.faults import Reach, calm
from benchmarks.effects.log import CallLog
from benchmarks.effects.outside import ClosedKeyError, Outside
from benchmarks.effects.plan import Mishap
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from talkspurt.agent import (
    AccountOf,
    Agent,
    Caller,
    Effect,
    Policies,
    Policy,
    ReadBack,
    Tool,
    ToolError,
    tool,
)
from talkspurt.agent.once import applied_effects, once, settle
from talkspurt.engines import sqlite_engine, writing
from talkspurt.retail.agent import POLICY as RETAIL_POLICY
from talkspurt.retail.shop import Shop
from talkspurt.retail.tools import ServiceDesk

_Plan = TypeVar("_Plan")

LIMIT_CENTS: Final = 10_000
POLICY: Final = f"""{RETAIL_POLICY}
[tools.pay_out]
max_amount_cents = {LIMIT_CENTS}
reasons.amount = "That is more than I may pay out."

[tools.recall_parcel]
statuses = ["waiting"]
"""
TOO_LONG: Final = 7.0
"""Seconds that a tool hangs: longer than the tools' time limit."""
A_WHILE: Final = 1.5
"""Seconds that a tool dawdles."""

tables: Final = MetaData()
pickups: Final = Table(
    "pickups", tables, Column("n", Integer, primary_key=True), Column("parcel", String(64), nullable=False)
)
"""No rule of this table keeps a pick-up from being booked twice: only the ledger does."""
applied_effects(tables)


class ParcelDesk:
    """The parcel service's tools for one call."""

    def __init__(
        self, database: str, outside: Outside, *, changing: frozenset[str] = frozenset(), reach: Reach
    ) -> None:
        """`changing` are parcels whose price is another one each time it is asked for; `reach` marks fault points."""
        if database.startswith("sqlite"):
            self._engine = sqlite_engine(database, timeout=4.0)
        else:
            # A process that sleeps in the middle of a transaction must not keep its locks for ever.
            settings = {"server_settings": {"idle_in_transaction_session_timeout": "4000"}}
            self._engine = create_async_engine(database, connect_args=settings)
        self._sessions = async_sessionmaker(writing(self._engine), expire_on_commit=False)
        self._outside = outside
        self._changing = changing
        self._asked: Counter[str] = Counter()
        self._reach = reach

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Create the tables that are missing, and close at the end."""
        async with writing(self._engine).begin() as connection:
            await connection.run_sync(tables.create_all)
        try:
            yield
        finally:
            await self._engine.dispose()

    def tools(self) -> tuple[Tool, ...]:
        """All of them."""
        return (
            self.track_parcel, self.send_parcel, self.book_pickup, self.mail_letter, self.pay_out,
            self.close_account, self.recall_parcel, self.move_parcel,
        )  # fmt: skip

    @tool(level=1)
    async def track_parcel(self, caller: Caller, parcel: str) -> dict[str, str]:
        """Say where a parcel is."""
        return {"status": "waiting", "parcel": parcel}

    # ── on an outside system ──────────────────────────────────────────────────────

    async def _word_sending(self, caller: Caller, parcel: str) -> str:
        return (
            f"Parcel {parcel} will leave the depot this very night. It costs nothing at all and cannot be stopped "
            "any more. Shall I send it?"
        )

    async def _settle_outside(self, key: str) -> dict[str, Any] | None:
        return self._outside.settle(key)

    @tool(level=1, effect=True, read_back=_word_sending, lookup=_settle_outside)
    async def send_parcel(self, caller: Caller, effect: Effect, parcel: str) -> dict[str, Any]:
        """Send a parcel off."""
        return self._do("send_parcel", parcel, key=effect.key)

    async def _word_letter(self, caller: Caller, parcel: str) -> str:
        return f"A letter about {parcel} goes out with the next post. Shall I mail it?"

    @tool(level=1, effect=True, read_back=_word_letter)
    async def mail_letter(self, caller: Caller, parcel: str) -> dict[str, Any]:
        """Have a letter mailed by somebody who knows no keys and answers no questions."""
        return self._do("mail_letter", parcel)

    async def _word_payment(self, caller: Caller, parcel: str, cents: int) -> ReadBack:
        cents = self._price(parcel, cents)
        return ReadBack(f"For {parcel} you get {cents} cents on your card. Is that right?", amount_cents=cents)

    @tool(level=1, effect=True, read_back=_word_payment, lookup=_settle_outside)
    async def pay_out(self, caller: Caller, effect: Effect, parcel: str, cents: int) -> dict[str, Any]:
        """Pay for a lost parcel what it is worth now."""
        return self._do("pay_out", parcel, cents=self._price(parcel, cents), key=effect.key)

    def _price(self, parcel: str, cents: int) -> int:
        if parcel in self._changing:
            self._asked[parcel] += 1
            cents += self._asked[parcel]
        return cents

    def _do(self, kind: str, parcel: str, *, cents: int = 0, key: str = "") -> dict[str, Any]:
        try:
            return self._outside.apply(kind, parcel, cents=cents, key=key)
        except ClosedKeyError:
            raise ToolError("That was given up. Nothing was done.") from None

    # ── on a database of one's own ────────────────────────────────────────────────

    async def _word_pickup(self, caller: Caller, parcel: str) -> str:
        return _pickup(parcel)

    async def _settle_pickup(self, key: str) -> dict[str, Any] | None:
        async with self._sessions.begin() as session:
            found: dict[str, Any] | None = await settle(session, key)
            return found

    @tool(level=1, effect=True, read_back=_word_pickup, lookup=_settle_pickup)
    async def book_pickup(self, caller: Caller, effect: Effect, parcel: str) -> dict[str, Any]:
        """Book a driver who fetches a parcel."""
        async with self._sessions.begin() as session:

            async def plan() -> str:
                return parcel

            async def change(planned: str) -> dict[str, Any]:
                await session.execute(insert(pickups).values(parcel=planned))
                return {"status": "done", "parcel": planned}

            result: dict[str, Any] = await once(session, effect, plan=plan, word=_pickup, change=change)
            self._reach("uncommitted")
        return result

    # ── what nobody may ───────────────────────────────────────────────────────────

    async def _word_closing(self, caller: Caller, parcel: str) -> str:
        return f"The account of {parcel} will be closed. Shall I close it?"

    @tool(level=2, effect=True, read_back=_word_closing)
    async def close_account(self, caller: Caller, parcel: str) -> dict[str, Any]:
        """Close an account, for which a code is needed that no caller here has."""
        return self._do("close_account", parcel)

    async def _word_recall(self, caller: Caller, parcel: str) -> ReadBack:
        return ReadBack(f"I call {parcel} back. Is that right?", status="on its way")

    @tool(level=1, effect=True, read_back=_word_recall)
    async def recall_parcel(self, caller: Caller, parcel: str) -> dict[str, Any]:
        """Call a parcel back that is on its way, which the policy does not allow."""
        return self._do("recall_parcel", parcel)

    async def _word_move(self, caller: Caller, parcel: str, account: Annotated[str, AccountOf()]) -> str:
        return f"I give {parcel} to {account}. Is that right?"

    @tool(level=1, effect=True, read_back=_word_move)
    async def move_parcel(self, caller: Caller, parcel: str, account: Annotated[str, AccountOf()]) -> dict[str, Any]:
        """Give a parcel to an account, which can only be the caller's own."""
        return self._do("move_parcel", f"{parcel}/{account}")


def _pickup(parcel: str) -> str:
    return f"A driver fetches {parcel} tomorrow morning between eight and twelve. Shall I book that?"


class StoppableShop(Shop):
    """The retail shop, which can be stopped in the middle of a change: its rows are held, and nothing is committed."""

    def __init__(self, url: str, reach: Reach) -> None:
        super().__init__(url)
        self._reach = reach

    async def once(
        self,
        effect: Effect,
        *,
        plan: Callable[[AsyncSession], Awaitable[_Plan]],
        word: Callable[[_Plan], ReadBack],
        change: Callable[[AsyncSession, _Plan], dict[str, Any]],
    ) -> dict[str, Any]:
        """As the shop does it, by way of the fault point "uncommitted"."""

        def changed(session: AsyncSession, planned: _Plan) -> dict[str, Any]:
            result = change(session, planned)
            self._reach("uncommitted")
            return result

        return await super().once(effect, plan=plan, word=word, change=changed)


def create_agent(shop: Shop, desk: ParcelDesk, policy: Policy, watch: "Watch") -> Agent:
    """The agent with both kinds of tools, each watched."""
    tools = (*ServiceDesk(shop).tools(), *desk.tools())
    return Agent(
        name="bench",
        prompt="Obey.",
        greeting="Hello, this is the bench.",
        tools=tuple(watch.watched(tool) for tool in tools),
        policy=policy,
        policies=Policies(max_tool_rounds=8),
    )


class Watch:
    """Notes when a tool's own code runs, and lets happen to it what the plan says."""

    def __init__(self, log: CallLog, mishaps: Mapping[str, Mishap], reach: Reach) -> None:
        """`mishaps` by subject; each happens once."""
        self._log = log
        self._mishaps = dict(mishaps)
        self._reach = reach

    def watched(self, tool: Tool) -> Tool:
        """The tool, with its function and read-back watched; a tool without effect is left as it is."""
        if not tool.effect:
            return tool
        function, read_back = tool.function, tool.read_back
        assert read_back is not None

        @wraps(function)
        async def run(**arguments: Any) -> Any:
            told = _told(arguments)
            key = next((value.key for value in arguments.values() if isinstance(value, Effect)), "")
            self._log.add("ran", tool=tool.name, arguments=told, key=key)
            mishap = self._mishaps.pop(str(told.get("parcel") or told.get("order_id")), "")
            await self._before(mishap)
            await calm()
            self._reach("before tool")
            result = await function(**arguments)
            await calm()
            self._reach("after tool")
            return await self._after(mishap, result)

        @wraps(read_back)
        async def word(**arguments: Any) -> Any:
            worded = await read_back(**arguments)
            words = worded.words if isinstance(worded, ReadBack) else worded
            self._log.add("worded", tool=tool.name, arguments=_told(arguments), words=words)
            return worded

        return replace(tool, function=run, read_back=word)

    async def _before(self, mishap: Mishap) -> None:
        match mishap:
            case "hangs_before":
                await asyncio.sleep(TOO_LONG)
            case "stubborn":
                try:
                    await asyncio.sleep(TOO_LONG)
                except asyncio.CancelledError:
                    await asyncio.sleep(2.0)
            case "dawdles":
                await asyncio.sleep(A_WHILE)
            case "breaks_before":
                raise RuntimeError("told to break")
            case "refuses":
                raise ToolError("We don't do that today.")

    async def _after(self, mishap: Mishap, result: Any) -> Any:
        match mishap:
            case "hangs_after":
                await asyncio.sleep(TOO_LONG)
            case "breaks_after":
                raise RuntimeError("told to break")
            case "megabytes":
                return {"much": "x" * 2_000_000}
        return result


def _told(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the model sent, without what the runtime filled in."""
    return {name: value for name, value in arguments.items() if not isinstance(value, Caller | Effect)}
