"""One call in this process: the server's own parts from the token to the tools, with doubles at the ports.

`World.hold` plays the carrier: it connects the caller, lets lines break and come back, has a second worker take the
call over, and waits until every worker has let go of it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final, cast

from benchmarks.effects import clock
from benchmarks.effects.caller import HungUpError, Meet, VirtualCaller, alone
from benchmarks.effects.desk import POLICY, ParcelDesk, StoppableShop, Watch, create_agent
from benchmarks.effects.ears import KnowingRecognizer, Said
from benchmarks.effects.faults import Reach, WatchedLedger, nowhere
from benchmarks.effects.line import Heard, VirtualLine, WordSynthesizer
from benchmarks.effects.log import CallLog
from benchmarks.effects.model import ObedientModel, subject_of
from benchmarks.effects.outside import Outside
from benchmarks.effects.plan import CallPlan
from sqlalchemy import text

from talkspurt.agent import Agent, Policy
from talkspurt.agent.locales import find_locale
from talkspurt.clock import MediaClock
from talkspurt.config import Config
from talkspurt.core.history import Entry
from talkspurt.effects.sweeper import Sweeper
from talkspurt.mcp import McpServers
from talkspurt.server.fleet import Fleet
from talkspurt.server.handover.desk import Desk as HandoverDesk
from talkspurt.server.handover.targets import Targets
from talkspurt.server.media_socket import MediaSocket
from talkspurt.server.reception import Reception
from talkspurt.server.recorder import Recorder
from talkspurt.server.staff import Staff
from talkspurt.server.switchboard import Switchboard, _Desk
from talkspurt.session import Services
from talkspurt.store import Store
from talkspurt.store.clock import Clock, DatabaseTime, utc_now
from talkspurt.store.database import Database
from talkspurt.testing.providers import LevelVoiceActivity
from talkspurt.testing.virtual_time import VirtualTimeLoop
from talkspurt.transports.twilio import TwilioTransport
from talkspurt.wire.twilio import MediaFormat, StartBody

LONGEST_CALL: Final = 240.0
"""Virtual seconds after which the caller hangs up, whatever they still want."""
LETTING_GO: Final = 90.0
"""Virtual seconds that workers may take to end a call whose caller has gone."""
SLEPT: Final = 300.0
"""Virtual seconds that a worker sleeps which is stopped and woken again."""
SETTLING: Final = 120.0
"""Virtual seconds after the call until the last round of the sweeper: more than any deadline and any claim."""
TOLD: Final = "SELECT proposal FROM effects WHERE told_at IS NOT NULL"
"""The effects of which a person was told."""
NOT_LOOKED_UP: Final = ("mail_letter",)
"""Tools whose effects only a person can find out about."""
REDIAL: Final = 0.8
"""Seconds that a carrier takes to come back when a media socket has broken."""
RULES: Final = Policy.parse(POLICY, name="bench")
LOCALE: Final = "en-US"
NUMBER: Final = "+15550100"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the systems of a call are."""

    store: str
    """URL of the database of calls, turns and effects."""
    shop: str
    """URL of the shop's database, in which the parcel desk has its table too."""
    outside: Outside
    time: Clock | None = clock.wall_clock
    """What stands for the database's clock; None for its own. The workers' clocks go by it, too, more or less."""


@dataclass
class Worker:
    """What one server process has: its store, and those who take calls."""

    store: Store
    reception: Reception


class _Snapshots(Recorder):
    """Keeps what a take-over needs. The transcript, which nobody here reads, would be half of all writing."""

    def entry(self, call_id: str, entry: Entry, /) -> None:
        """Not kept."""


class _NoHandovers:
    """Nobody takes calls here."""

    async def begin(self, call_id: str, /, *, attachment: int) -> bool:
        """Never."""
        return False

    async def call_ended(self, call_id: str, /) -> None:
        """Nobody was rung."""


@dataclass
class _Socket:
    """Stands for the media socket of a line."""

    line: VirtualLine
    refused: str = ""

    def finish(self) -> None:
        self.line.close()

    def refuse(self, reason: str, code: object = None) -> None:
        self.refused = reason
        self.line.close()


@dataclass
class World:
    """One call and everything around it."""

    plan: CallPlan
    place: Place
    log: CallLog
    reach: Reach = nowhere
    said: list[Said] = field(default_factory=list)
    line: VirtualLine | None = None
    audible_before: float = 0.0
    """When the agent was last heard on lines before this one."""
    life: int = 0
    """How many processes have held the call before this one."""
    calling: asyncio.Task[None] | None = None
    """The caller of this process."""
    asleep: bool = False
    """Whether another process took the call over meanwhile."""
    meet: Meet = alone
    """Has the caller wait for another one."""

    async def hold(self) -> None:
        """Hold the call to its end, and settle it; returns when every worker has let go of it."""
        async with self._agent(self.reach) as agent:
            await self._hold(agent)
            if not self.asleep:
                await self._settle(agent)

    async def converse(self) -> None:
        """Hold the call to its end, for one that shares its place with another, and settle nothing yet."""
        async with self._agent(self.reach) as agent:
            await self._hold(agent)

    async def settle(self) -> None:
        """Only what comes after a call, for one whose worker was asleep when the sweeper came by."""
        async with self._agent(nowhere) as agent:
            await self._settle(agent)

    @asynccontextmanager
    async def _agent(self, reach: Reach) -> AsyncIterator[Agent]:
        shop = StoppableShop(self.place.shop, reach)
        mishaps = {wish.subject: wish.mishap for wish in self.plan.wishes if wish.mishap}
        changing = frozenset(subject for subject, mishap in mishaps.items() if mishap == "changes")
        desk = ParcelDesk(self.place.shop, self.place.outside, changing=changing, reach=reach)
        async with shop.opened(seeded=False), desk.opened():
            yield create_agent(shop, desk, RULES, Watch(self.log, mishaps, reach))

    async def _hold(self, agent: Agent) -> None:
        synthesizer = WordSynthesizer(self._chance("synthesizer"), trouble=self.plan.troubles.synthesizer)
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(self._worker(agent, synthesizer, self.life))]
            if self.plan.skews is not None:
                await stack.enter_async_context(self._neighbour(agent))
            await workers[0].store.calls.admit(
                carrier_call_id=self.plan.name, caller=NUMBER, dialled="+15550199", agent="bench", locale=LOCALE
            )
            async with asyncio.TaskGroup() as group:
                caller = self.calling = group.create_task(self._call())
                carrier = group.create_task(self._carry(workers, synthesizer, caller))
                pending = [group.create_task(self._lose_line(at)) for at in self.plan.losses]
                pending += [
                    group.create_task(self._move(at, workers, stack, agent, synthesizer)) for at in self.plan.moves
                ]
                await asyncio.wait({caller})
                for task in pending:
                    task.cancel()
                carrier.cancel()
                if not self.asleep:
                    await self._hang_up(workers)
            self.log.add("ended")
            await self._let_go(workers)

    def cut_off(self) -> None:
        """The process slept while another took the call over: its clock has run on, and its caller has long gone."""
        self.asleep = True
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.advance(SLEPT)
        if self.line is not None:
            self.line.listener = None
            self.line.lose(hung_up=False)
        if self.calling is not None:
            self.calling.cancel()

    # ── the caller's end ──────────────────────────────────────────────────────────

    @property
    def is_up(self) -> bool:
        """Whether a line is up (`caller.Handset`)."""
        return self.line is not None and not self.line.closed and self.line.listener is not None

    @property
    def audible_at(self) -> float:
        """When the agent was last heard."""
        return max(self.audible_before, self.line.audible_at if self.line is not None else 0.0)

    def speak(self, seconds: float) -> None:
        """Have the caller's voice on the line that is up."""
        if self.line is not None:
            self.line.speak(seconds)

    def press(self, digit: str) -> None:
        """Press a key."""
        if self.line is not None:
            self.line.press(digit)

    async def _call(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_CALL):
                await VirtualCaller(self.plan, self.log, self, self.said, self._chance("caller"), meet=self.meet).hold()
        except (HungUpError, TimeoutError):
            pass

    # ── the carrier ───────────────────────────────────────────────────────────────

    async def _carry(self, workers: list[Worker], synthesizer: WordSynthesizer, caller: asyncio.Task[None]) -> None:
        """Keep a line up as long as the store says that the call is live."""
        while not caller.done():
            worker = workers[-1]
            call = await worker.store.calls.by_carrier_id(self.plan.name)
            assert call is not None, "the call was admitted"
            if call.state != "live":
                caller.cancel()
                return
            token = await worker.store.tokens.issue(call)
            line = VirtualLine(
                self._chance(f"line {call.attachment}"),
                synthesizer.words,
                self._heard,
                trouble=self.plan.troubles.marks,
            )
            start = StartBody(self.plan.name, "MZ1", MediaFormat("audio/x-mulaw", 8000, 1), "", {"token": token})
            socket = _Socket(line)
            self.audible_before, self.line = self.audible_at, line
            self.log.add("line", state="up", attachment=call.attachment + 1)
            # What a media socket calls when `start` has come.
            worker.reception._attach(start, cast(MediaSocket, socket), cast(TwilioTransport, line))
            await line.run()
            self.log.add("line", state="down", attachment=call.attachment + 1, refused=socket.refused)
            await asyncio.sleep(REDIAL)

    def _heard(self, heard: Heard) -> None:
        word = heard.word
        self.log.add("heard", text=word.text, sentence=word.sentence, life=self.life)

    async def _lose_line(self, at: float) -> None:
        await asyncio.sleep(at)
        if self.line is not None:
            self.line.repeat_marks()
            self.line.lose(hung_up=False)

    async def _move(
        self, at: float, workers: list[Worker], stack: AsyncExitStack, agent: Agent, synthesizer: WordSynthesizer
    ) -> None:
        """Have the next line go to another worker, while this one hears nothing of it."""
        await asyncio.sleep(at)
        number = self.life + len(workers)
        workers.append(await stack.enter_async_context(self._worker(agent, synthesizer, number)))
        if self.line is not None:
            self.line.listener = None
            self.line.lose(hung_up=False)

    async def _hang_up(self, workers: list[Worker]) -> None:
        """The carrier tells by the socket and by its webhook, and by the latter twice."""
        if self.line is not None:
            self.line.lose(hung_up=True)
        for _ in range(2):
            for worker in workers:
                worker.reception.hang_up(self.plan.name)
            await asyncio.sleep(0.1)
        store = workers[-1].store
        call = await store.calls.by_carrier_id(self.plan.name)
        if call is not None and all(worker.reception.live == 0 for worker in workers):
            await store.calls.end(call.id, "caller_hung_up")

    async def _let_go(self, workers: list[Worker]) -> None:
        end = clock.now() + LETTING_GO
        while any(worker.reception.live for worker in workers) and clock.now() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.5)

    # ── afterwards ────────────────────────────────────────────────────────────────

    async def _settle(self, agent: Agent) -> None:
        """What comes of unfinished effects when time has passed: the sweeper's round, and a colleague's look."""
        await asyncio.sleep(SETTLING)
        database = Database(self.place.store)
        try:
            effects = self._store(database, self.plan.neighbours_skew).effects
            await self._sweeper(effects, agent).sweep()
            async with database.read() as connection:
                told = set((await connection.execute(text(TOLD))).scalars())
            happened = {(deed.kind, deed.subject) for deed in self.place.outside.deeds()}
            for record in await effects.in_doubt():
                subject = subject_of(record.arguments)
                if record.proposal in told and record.tool in NOT_LOOKED_UP:
                    self.log.add("told", tool=record.tool, subject=subject)
                    done = (record.tool, subject) in happened
                    await effects.resolve(record.proposal, result='{"status":"done"}' if done else None)
        finally:
            await database.aclose()

    # ── a worker ──────────────────────────────────────────────────────────────────

    def _wall_clock(self, skew: float) -> Clock:
        """A clock of somebody's own, so many seconds ahead of the right one."""
        right, ahead = self.place.time or utc_now, timedelta(seconds=skew)
        return lambda: right() + ahead

    def _store(self, database: Database, skew: float) -> Store:
        # As `Store.open` does, without migrations: the databases are copies of one that is up to date.
        return Store(database, self._wall_clock(skew), database_time=DatabaseTime(database, self.place.time))

    def _sweeper(self, effects: Any, agent: Agent) -> Sweeper:
        async def agent_of(_call_id: str) -> Agent:
            return agent

        return Sweeper(effects, lambda: [agent], agent_of)

    @asynccontextmanager
    async def _neighbour(self, agent: Agent) -> AsyncIterator[None]:
        """Another server on the same database, which has no part in the call but sweeps."""
        database = Database(self.place.store)
        effects = WatchedLedger(
            self._store(database, self.plan.neighbours_skew).effects, self.log, nowhere, self._chance("sweeper"), 0.0
        )
        sweeping = asyncio.create_task(self._sweeper(effects, agent).run())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await database.aclose()

    @asynccontextmanager
    async def _worker(self, agent: Agent, synthesizer: WordSynthesizer, number: int) -> AsyncIterator[Worker]:
        skew = self.plan.skew(number)
        store = self._store(Database(self.place.store), skew)
        troubles = self.plan.troubles
        chance = self._chance("ledger")
        watched: Any = WatchedLedger(store.effects, self.log, self.reach, chance, troubles.ledger)
        store.effects = watched  # type: ignore[misc]
        detector = LevelVoiceActivity(loud=0)
        media = MediaClock(detector)
        recorder = _Snapshots(store)
        recognizer = KnowingRecognizer(self._chance("recognizer"), self.said, trouble=troubles.recognizer)
        services = Services(recognizer, synthesizer, detector, media, recorder)
        language = agent.language(find_locale(LOCALE).language)
        model = ObedientModel(self._chance("model"), mischief=troubles.model)
        desk = _Desk(agent, recognizer, model, synthesizer, {LOCALE: language})
        config = Config()
        staff = Staff({"bench": agent}, McpServers(config.mcp, {}))
        switchboard = Switchboard(
            config,
            store,
            services,
            desks={("bench", LOCALE): desk},
            staff=staff,
            recorder=recorder,
            handover_desk=HandoverDesk(Targets(()), store, self._wall_clock(skew)),
        )
        sweeper = staff.sweeper(store)
        helpers = [asyncio.create_task(helper.run()) for helper in (media, recorder, sweeper)]
        try:
            fleet = Fleet.alone(max_calls=10)
            # What the database does not take is lost, as with a worker that dies before it tries again.
            reception = Reception(
                store, _NoHandovers(), fleet=fleet, longest_call=LONGEST_CALL, again=lambda _what, _errand: None
            )
            async with reception:
                reception.open(switchboard)
                yield Worker(store, reception)
        finally:
            await recorder.flush()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await store.aclose()

    def _chance(self, name: str) -> Random:
        """A source of chance of its own for every part, so that one more draw here changes nothing there."""
        return Random(f"{self.plan.seed} {name} {clock.now():.3f}")
