"""Connects calls with agents: holds what all calls of the process share, and the calls that are live.

Opened once per process. `answer` is what the media socket calls for every attachment of a
call; a second attachment of a live call goes to the session that is already there, and a
call that another process had begun is taken up from its snapshot.
"""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from talkspurt.agent import Agent, Caller, HandoverDesk
from talkspurt.agent.locales import Locale, find_locale
from talkspurt.agent.prompt import caller_facts
from talkspurt.clock import MediaClock
from talkspurt.config import Config
from talkspurt.core.endpointing import Endpointing
from talkspurt.core.events import HandoverReturned
from talkspurt.core.language import Language
from talkspurt.core.settings import Menu, Settings
from talkspurt.effects.dispatcher import ToolDispatcher
from talkspurt.effects.rates import RunCounter
from talkspurt.errors import ConfigurationError, ProviderError, StoreError
from talkspurt.ladder import LadderSpeechToSpeech, Remembers, longest_reply, longest_segment
from talkspurt.ladder.choices import Choices
from talkspurt.ports import Call, LanguageModel, Recognizer, Stages, Synthesizer, Transport, keep_connected
from talkspurt.server.handover.desk import Desk
from talkspurt.server.handover.last_resort import TROUBLE, finds_person
from talkspurt.server.handover.returning import how_it_went
from talkspurt.server.handover.targets import Targets, carrier_kinds
from talkspurt.server.recorder import Recorder
from talkspurt.server.staff import Staff, sweeping
from talkspurt.session import Services, Session
from talkspurt.speech.inference.supervision import inference_for
from talkspurt.speech.turn_detection import create_turn_detector
from talkspurt.speech.voice_activity import SileroVoiceActivity
from talkspurt.speech.weights import WeightStore
from talkspurt.store.clock import utc_now
from talkspurt.store.store import Store
from talkspurt.telemetry.usage import METER, Meter

HANDOVER_PATIENCE: Final = 2.0
"""Seconds that a caller whom somebody else takes waits at most until it is stored how far the conversation was."""
GC_THRESHOLDS: Final = (10_000, 20, 50)
"""Objects and collections until the next garbage collection, Python's own being 700, 10 and 10: hardly anything here is
garbage in cycles, and to look for it stops all calls."""
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 900.0
"""Seconds until stock phrases that no voice would speak are tried again, twice as many each time."""
WARM_UP_TIMEOUT: Final = 120.0
"""Loading all local models takes some 3 s on an idle core; a machine that needs longer than this is broken."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call went: why it ended. After a hand-over it may come back."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Desk:
    """An agent in one language, with who hears, thinks and speaks for it."""

    agent: Agent
    recognizer: Recognizer
    model: LanguageModel | None
    """None: a model that speaks itself thinks, and no other below it."""
    synthesizer: Synthesizer
    languages: Mapping[str, Language]
    """By the tag of the locale: what callers say, read in the light of what this agent asks."""
    speech_to_speech: LadderSpeechToSpeech | None = None

    @property
    def stages(self) -> Stages:
        """Who hears, thinks and speaks in a new call."""
        if self.speech_to_speech is not None:
            return self.speech_to_speech.for_call(self.model)
        assert self.model is not None
        return Stages(self.recognizer, self.model)


@dataclass(frozen=True, slots=True)
class _Live:
    """A call that is held here."""

    session: Session
    outcome: asyncio.Future[Outcome]
    """The same for all its attachments; cancelled when the session broke."""


class Switchboard:
    """All live calls of this process."""

    def __init__(
        self,
        config: Config,
        store: Store,
        services: Services,
        *,
        desks: Mapping[tuple[str, str], _Desk],
        staff: Staff,
        recorder: Recorder,
        handover_desk: HandoverDesk,
    ) -> None:
        self._staff = staff
        self._config = config
        self._store = store
        self._services = services
        self._desks = desks
        self._recorder = recorder
        self._handover_desk = handover_desk
        self._live: dict[str, _Live] = {}
        self.connecting: set[asyncio.Task[None]] = set()
        """What opens connections for calls that ring."""
        self._runs = RunCounter()
        self._effects_under_way: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, store: Store, staff: Staff) -> AsyncGenerator["Switchboard", None]:
        """Load and warm everything a call needs; it is ready for calls inside the context.

        Raises `ConfigurationError`, `WeightsError` or `ProviderError`.
        """
        for entry in config.numbers:
            find_locale(entry.locale)
        async with AsyncExitStack() as stack:
            choices = Choices(config)
            stack.push_async_callback(choices.aclose)
            turn_detector = create_turn_detector(config)
            if turn_detector is not None:
                stack.push_async_callback(turn_detector.aclose)
            desks = {}
            for name, locale in _spoken(config, staff):
                agent = staff.agent(name)
                languages = {
                    tag: agent.language(find_locale(tag).language) for tag in {n.locale for n in config.numbers}
                }
                desks[name, locale] = _Desk(
                    agent,
                    choices.recognizer(name, locale),
                    choices.model(name, locale, staff.equipped(name)),
                    choices.synthesizer(name, locale),
                    languages,
                    choices.speech_to_speech(name, locale),
                )
            try:
                async with asyncio.timeout(WARM_UP_TIMEOUT):
                    detector = await asyncio.to_thread(SileroVoiceActivity.load, WeightStore.from_config(config))
                    await choices.warm_up()
                    if turn_detector is not None:
                        await turn_detector.warm_up()
                    for (_, locale), desk in desks.items():
                        await _learn_greeting(desk, locale)
                    await _rehearse(store)
            except TimeoutError:
                raise ConfigurationError(
                    f"models and vendors were not warm within {WARM_UP_TIMEOUT:.0f} s: this machine is too busy, or a "
                    "vendor does not answer; talkspurt config check shows which are configured"
                ) from None
            clock = MediaClock(detector)
            recorder = Recorder(store)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(clock.run()), group.create_task(recorder.run())]
                first = next(iter(desks.values()))
                services = Services(
                    first.recognizer,
                    first.synthesizer,
                    detector,
                    clock,
                    recorder,
                    turn_detector,
                    journals=config.journals,
                )
                handover_desk = Desk(Targets.from_config(config.handover, kinds=carrier_kinds(config)), store, utc_now)
                switchboard = cls(
                    config, store, services, desks=desks, staff=staff, recorder=recorder, handover_desk=handover_desk
                )
                tasks.append(group.create_task(_learn_stock_phrases(desks, staff.equipped)))
                # Models, modules and settings live as long as the process: a garbage collection that looks through
                # them stops all calls for a tenth of a second.
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLDS)
                try:
                    yield switchboard
                finally:
                    await recorder.flush()
                    for task in (*tasks, *switchboard.connecting):
                        task.cancel()

    @property
    def live(self) -> int:
        """How many calls are live in this process."""
        return len(self._live)

    def ring(self, agent: str, locale: str) -> None:
        """A call is about to come: have connections open to whom its first turn will ask. Returns at once."""
        desk = self._desk(agent, locale)
        for provider in (desk.model, desk.synthesizer):
            task = asyncio.create_task(keep_connected(provider), name="connecting")
            self.connecting.add(task)
            task.add_done_callback(self.connecting.discard)

    async def answer(
        self,
        call: Call,
        transport: Transport,
        attachment: int,
        snapshot: str | None,
        conclude: Callable[[Outcome], Awaitable[None]],
    ) -> None:
        """Hold the call over this attachment until the call has ended; then `conclude` lets go of its line.

        An effect that still runs is seen through behind that: it needs no line, and the caller is waiting.
        """
        live = self._live.get(call.id)
        if live is not None and not live.session.ended.is_set():
            live.session.attach(transport, attachment)
            await conclude(await asyncio.shield(live.outcome))
            return
        fence = await self._store.calls.take(call.id, attachment=attachment)
        if fence is None:
            # A later attachment has the call, or it has ended, while this one was on its way.
            await conclude(Outcome("superseded"))
            return
        returned = how_it_went(await self._store.handovers.latest_of(call.id)) if snapshot is not None else None
        # Another worker may have heard it ring.
        self.ring(call.agent, call.locale)
        live = _Live(self._begin(call, snapshot, returned, fence), asyncio.get_running_loop().create_future())
        self._live[call.id] = live
        meter = Meter()
        # What runs for the call inherits this: providers find the meter without knowing of calls.
        METER.set(meter)
        try:
            with (
                structlog.contextvars.bound_contextvars(call_id=call.id),
                self._recorder.metering(call.id, meter) as line_ends,
            ):
                async with asyncio.TaskGroup() as group:
                    group.create_task(live.session.run(transport, attachment))
                    await live.session.ended.wait()
                    line_ends()
                    live.outcome.set_result(await self._outcome(live.session, group))
                    await conclude(live.outcome.result())
        finally:
            live.outcome.cancel()
            # A later attachment may have begun another, while this one saw an effect through.
            if self._live.get(call.id) is live:
                del self._live[call.id]

    async def _outcome(self, session: Session, group: asyncio.TaskGroup) -> Outcome:
        reason = session.reason
        if reason in TROUBLE and await finds_person(self._handover_desk, session.caller, reason):
            reason = "handover"
        if reason in ("handover", "internal_error"):
            # Whoever takes the call up, here or elsewhere, must find how far the conversation was. But the caller hears
            # nothing meanwhile: a write that takes long is gone on with while they are put through.
            writing = group.create_task(self._recorder.write(session.call.id, HANDOVER_PATIENCE))
            await asyncio.wait((writing,), timeout=HANDOVER_PATIENCE)
            if not writing.done() or not writing.result():
                _log.error("left_before_snapshot", reason=reason, waited=HANDOVER_PATIENCE)
        return Outcome(reason)

    def hang_up(self, call_id: str) -> None:
        """The carrier's webhook says that the call is over."""
        live = self._live.get(call_id)
        if live is not None:
            live.session.hung_up()

    def request_end(self, reason: str) -> None:
        """Ask all live calls to end politely."""
        for live in tuple(self._live.values()):
            live.session.request_end(reason)

    def _begin(self, call: Call, snapshot: str | None, returned: HandoverReturned | None, fence: int) -> Session:
        desk = self._desk(call.agent, call.locale)
        agent = self._staff.equipped(call.agent)
        locale = find_locale(call.locale)
        rules, chosen, usual = self._config.conversation, self._config.chosen(call.agent, call.locale), Settings()
        settings = Settings(
            greeting=desk.agent.greeting,
            announcement=desk.agent.announcement,
            # A call of before a change of configuration may speak what no number speaks any more.
            language=desk.languages.get(call.locale) or desk.agent.language(locale.language),
            endpointing=Endpointing(silence=rules.endpoint_silence),
            interruptible=desk.agent.policies.interruptible,
            cancellable=frozenset(tool.name for tool in agent.tools if tool.cancellable),
            tool_times={tool.name: tool.longest for tool in agent.tools},
            speculative=rules.speculative,
            silence_prompt=rules.silence_prompt,
            silence_offer=(rules.silence_prompt + rules.silence_hangup) / 2,
            silence_hangup=rules.silence_hangup,
            # What the ladder waits for must not be given up sooner here.
            reply_timeout=max(usual.reply_timeout, longest_reply(chosen)),
            segment_timeout=max(usual.segment_timeout, longest_segment(chosen)),
            max_call=min(rules.max_call, desk.agent.policies.max_call_minutes * 60),
            max_tool_rounds=desk.agent.policies.max_tool_rounds,
            menu=_menu(desk.agent),
        )
        caller = Caller(
            call_id=call.id,
            number=call.caller,
            locale=call.locale,
            desk=self._handover_desk,
        )
        stages = desk.stages
        begin = partial(
            Session,
            call,
            agent=agent,
            model=stages.model,
            own_voice=stages.own_voice,
            locale=locale,
            settings=settings,
            caller=caller,
            dispatcher=ToolDispatcher(
                agent,
                caller,
                self._store.effects.ledger(call.id, fence),
                attempts=self._store.attempts,
                counter=self._runs,
                under_way=self._effects_under_way,
            ),
            services=replace(self._services, recognizer=stages.recognizer, synthesizer=desk.synthesizer),
            minimum_voiced=rules.barge_in_voiced,
            caller_facts=caller_facts(
                began=utc_now().astimezone(agent.policy.timezone), locale=call.locale, number_known=bool(call.caller)
            ),
        )
        try:
            return begin(snapshot=_read_snapshot(snapshot), returned=returned)
        except ValueError as error:
            # Written by another version of this program. The caller begins anew, which is better than a dead line.
            _log.warning("snapshot_not_readable", call_id=call.id, error=str(error))
            return begin(snapshot=None)

    def _desk(self, agent: str, locale: str) -> _Desk:
        desk = self._desks.get((agent, locale))
        # A call of before a change of configuration may speak what no number speaks any more.
        return desk or next(desk for (name, _), desk in self._desks.items() if name == agent)


def _spoken(config: Config, staff: Staff) -> tuple[tuple[str, str], ...]:
    """All agents with their languages; of one without a number, that of the first number."""
    idle = [name for name in staff.names if name not in {agent for agent, _ in config.spoken}]
    return (*config.spoken, *((name, config.numbers[0].locale) for name in idle))


@asynccontextmanager
async def single_process(config: Config, store: Store) -> AsyncGenerator[Switchboard, None]:
    """A switchboard with the background jobs beside it, for a server with one worker. Raises as `open` does."""
    async with (
        inference_for(config) as equipped,
        Staff.open(equipped) as staff,
        Switchboard.open(equipped, store, staff) as switchboard,
        sweeping(staff, store),
    ):
        yield switchboard


@asynccontextmanager
async def one_of_several(config: Config, store: Store, turns: Path) -> AsyncGenerator[Switchboard, None]:
    """A switchboard alone, for one of several workers (`turns`: see `Staff.open`). Raises as `open` does."""
    async with Staff.open(config, turns) as staff, Switchboard.open(config, store, staff) as switchboard:
        yield switchboard


def _menu(agent: Agent) -> Menu | None:
    if not agent.menu:
        return None
    offer = " ".join(f"For {entry.offer}, press {entry.key}." for entry in agent.menu)
    return Menu(offer, tuple((entry.key, entry.words) for entry in agent.menu))


async def _learn_stock_phrases(desks: Mapping[tuple[str, str], _Desk], equipped: Callable[[str], Agent]) -> None:
    """Have ready what the runtime itself says, so that callers hear it at once, and when no synthesizer answers.

    Agents are `equipped` with the tools of their servers, which have fillers, too.
    What cannot be learnt now, since a vendor is down, is tried again and again.
    """
    due = [
        partial(desk.synthesizer.learn, text, voice=desk.agent.voice.name, locale=tag)
        for (name, tag), desk in desks.items()
        if isinstance(desk.synthesizer, Remembers)
        for text in _stock_phrases(equipped(name), find_locale(tag))
    ]
    pause = FIRST_PAUSE
    while due := [learn for learn in due if not await _is_done(learn)]:
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _stock_phrases(agent: Agent, locale: Locale) -> Iterable[str]:
    """As they are spoken, each once."""
    fillers = (tool.filler for tool in agent.tools if tool.filler)
    menu = _menu(agent)
    offered = (locale.phrases["menu"].format(choices=menu.offer),) if menu is not None else ()
    lasting = (phrase for phrase in locale.phrases.values() if "{" not in phrase)
    texts = (*filter(None, (agent.greeting, agent.announcement)), *lasting, *offered, *fillers)
    return dict.fromkeys(locale.spoken_form(text).text for text in texts)


async def _is_done(learn: Callable[[], Awaitable[None]]) -> bool:
    """Learn a phrase; whether there is no use in another try."""
    try:
        await learn()
    except ProviderError as error:
        _log.warning("stock_phrase_not_learnt", error=str(error))
        return not error.retryable
    except Exception:
        # This runs beside the calls in one group: whatever a synthesizer raises must not end them.
        _log.exception("stock_phrase_not_learnt")
    return True


async def _learn_greeting(desk: _Desk, locale: str) -> None:
    """Have ready what every call begins with, before there is one."""
    if isinstance(desk.synthesizer, Remembers):
        said = find_locale(locale).spoken_form(desk.agent.greeting).text
        try:
            await desk.synthesizer.learn(said, voice=desk.agent.voice.name, locale=locale)
        except ProviderError as error:
            if not error.retryable:
                raise
            # A vendor's outage. Calls that come in it have whoever speaks then.
            _log.warning("greeting_not_learnt", error=str(error))


async def _rehearse(store: Store) -> None:
    try:
        await store.rehearse()
    except StoreError as error:
        # The first call will be a little slower.
        _log.warning("not_rehearsed", error=str(error))


def _read_snapshot(text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return None
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(f"the call's stored state cannot be read: {error}") from None
