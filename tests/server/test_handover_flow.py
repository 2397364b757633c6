"""The flow of a hand-over with a hand-moved clock and a carrier that only takes orders: what is lost, late, refused."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from talkspurt.agent import Caller
from talkspurt.config import HandoverConfig
from talkspurt.errors import ConfigurationError, StoreError, TransportError
from talkspurt.ports import Exchange, HandoverKind, Leg, NoExchange
from talkspurt.server.errands import Errand
from talkspurt.server.handover.desk import Desk
from talkspurt.server.handover.flow import LONGEST_BRIEFING, MOST_ALONE, RING_SLACK, HandoverFlow
from talkspurt.server.handover.next import Back, Join, Next, Over, Wait
from talkspurt.server.handover.targets import Targets
from talkspurt.store import Call, Handover, Store
from talkspurt.store.handovers import VANISHED

WARM = {
    "billing": {"number": "+12025550123", "kind": "warm", "ring": 20, "hours": ["mon-fri 09:00-17:00"]},
}
BOTH: frozenset[HandoverKind] = frozenset({"cold", "warm"})


@dataclass
class Orders:
    """An exchange that writes down what it was told."""

    kinds: frozenset[HandoverKind] = BOTH
    taken: list[str] = field(default_factory=list)
    fails: bool = False
    while_ringing: Any = None
    """Awaited while the carrier is asked to ring."""
    errands: list[Errand] = field(default_factory=list)
    """What is to be done later."""

    def again(self, _what: str, errand: Errand) -> None:
        self.errands.append(errand)

    async def ring(self, leg: Leg, /) -> str:
        self.taken.append(f"ring {leg.number} as {leg.shown}")
        if self.while_ringing is not None:
            await self.while_ringing()
        if self.fails:
            raise TransportError("down")
        return f"leg-{leg.attempt}"

    async def hang_up(self, carrier_id: str, /) -> None:
        self.taken.append(f"hang up {carrier_id}")
        if self.fails:
            raise TransportError("down")

    async def recall(self, carrier_id: str, /) -> None:
        self.taken.append(f"recall {carrier_id}")
        if self.fails:
            raise TransportError("down")

    async def aclose(self) -> None:
        return


@dataclass
class Desktop:
    """A flow with everything below it."""

    flow: HandoverFlow
    store: Store
    orders: Orders
    clock: "Clock"
    call: Call

    async def asks(self, key: str = "", **dialled: Any) -> Next:
        return await self.flow.caller_asks(self.call, key=key, **dialled)

    async def handover(self) -> Handover:
        handover = await self.store.handovers.latest_of(self.call.id)
        assert handover is not None
        return handover


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)  # a Wednesday at three

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def flow_at(store: Store, now: Callable[[], datetime], orders: Orders, targets: dict[str, Any]) -> HandoverFlow:
    known = Targets.from_config(HandoverConfig.model_validate({"targets": targets}), kinds=BOTH)
    return HandoverFlow(store, known, orders, max_wait=600, detect_machine=True, now=now, again=orders.again)


async def desktop(
    store: Store, clock: Clock, orders: Orders, targets: dict[str, Any], caller: str = "+12025550101"
) -> Desktop:
    flow = flow_at(store, clock, orders, targets)
    call = await store.calls.admit(
        carrier_call_id="CA1", caller=caller, dialled="+12025550100", agent="retail", locale="en-US"
    )
    await store.handovers.request(call.id, target=next(iter(targets)), reason="A bill")
    assert await flow.begin(call.id, attachment=0)
    handed = await store.calls.find(call.id)
    assert handed is not None
    return Desktop(flow, store, orders, clock, handed)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}", clock=clock)
    yield store
    await store.aclose()


@pytest.fixture
async def warm(store: Store, clock: Clock) -> Desktop:
    return await desktop(store, clock, Orders(), WARM)


async def test_a_telephone_that_nothing_is_heard_of_is_given_up(warm: Desktop) -> None:
    assert isinstance(await warm.asks(), Wait)
    assert warm.orders.taken == ["ring +12025550123 as +12025550100"]
    warm.clock.advance(20 + RING_SLACK - 1)
    assert isinstance(await warm.asks(), Wait)
    warm.clock.advance(2)
    assert isinstance(await warm.asks(), Wait)
    assert isinstance(await warm.asks(), Back)
    assert warm.orders.taken[1:] == ["hang up leg-1"]
    assert (await warm.handover()).cause == "no_answer"


async def test_a_colleague_who_could_not_be_heard_for_lack_of_a_database_is_not_given_up(warm: Desktop) -> None:
    """Both lines were held meanwhile, and the caller's is the first to find it back."""
    await warm.asks()
    handover = await warm.handover()
    warm.clock.advance(8)
    assert isinstance(await warm.asks(), Wait)
    warm.clock.advance(45)
    assert isinstance(await warm.asks(), Wait)
    assert await warm.flow.answered(handover.id, 1, "leg-1") is not None
    assert await warm.flow.key_pressed(handover.id, 1, "1")
    assert isinstance(await warm.asks(), Join)
    assert "hang up leg-1" not in warm.orders.taken


async def test_a_worker_whose_clock_is_ahead_gives_up_no_telephone_early(warm: Desktop) -> None:
    assert isinstance(await warm.asks(), Wait)
    later = warm.clock.now + timedelta(minutes=30)
    ahead = replace(warm, flow=flow_at(warm.store, lambda: later, warm.orders, WARM))
    assert isinstance(await ahead.asks(), Wait)
    assert warm.orders.taken == ["ring +12025550123 as +12025550100"]


async def test_a_worker_whose_clock_is_ahead_takes_nobody_out_of_the_queue(store: Store, clock: Clock) -> None:
    waiting = await desktop(store, clock, Orders(), WARM)
    later = clock.now + timedelta(minutes=30)
    ahead = replace(waiting, flow=flow_at(store, lambda: later, waiting.orders, WARM))
    assert isinstance(await ahead.asks(), Wait)
    assert (await waiting.handover()).state == "ringing"


async def hangs_up(desk: Desktop) -> None:
    await desk.store.calls.end(desk.call.id, "caller_hung_up")
    await desk.flow.call_ended(desk.call.id)


async def another(desk: Desktop, sid: str = "CA2") -> Call:
    """One more caller who waits for billing."""
    call = await desk.store.calls.admit(carrier_call_id=sid, caller="", dialled="", agent="retail", locale="en-US")
    await desk.store.handovers.request(call.id, target="billing", reason="")
    assert await desk.flow.begin(call.id, attachment=0)
    handed = await desk.store.calls.find(call.id)
    assert handed is not None
    return handed


async def test_a_caller_who_was_taken_for_gone_waits_on_where_they_were(warm: Desktop) -> None:
    """Hold music that lasts so long that their line did not ask meanwhile: they are rung for, the next one asks."""
    await warm.asks()
    other = await another(warm)
    warm.clock.advance(VANISHED.total_seconds() + 1)
    assert isinstance(await warm.flow.caller_asks(other), Wait)
    assert (await warm.handover()).state == "canceled"
    following = await warm.asks()
    assert isinstance(following, Wait)
    assert "number 1 in the queue" in following.text
    assert "hang up leg-1" in warm.orders.taken, "the telephone that rang for them"
    assert [step.detail for step in await warm.store.handovers.steps((await warm.handover()).id)][-2:] == [
        "vanished",
        "found_again",
    ]
    ringing = await warm.store.handovers.open_of(other.id)
    assert ringing is not None
    await warm.flow.leg_ended(ringing.id, 1, "busy")
    await warm.asks()
    assert (await warm.handover()).state == "ringing"


async def test_a_caller_who_was_taken_for_gone_may_press_a_key(warm: Desktop) -> None:
    await warm.asks()
    other = await another(warm)
    warm.clock.advance(VANISHED.total_seconds() + 1)
    await warm.flow.caller_asks(other)
    assert isinstance(await warm.asks(key="2"), Back)
    assert (await warm.handover()).cause == "came_back"


async def test_a_session_that_has_lost_its_call_ends_no_hand_over_of_it(warm: Desktop) -> None:
    """Its worker stood still, and another one took the call and let its caller go: the call is not over."""
    await warm.asks()
    await warm.flow.call_ended(warm.call.id)
    assert (await warm.handover()).state == "ringing"
    assert "hang up leg-1" not in warm.orders.taken


async def test_whatever_picks_up_hears_nothing_that_says_whose_call_it_is(warm: Desktop) -> None:
    await warm.asks()
    handover = await warm.handover()
    announced = await warm.flow.answered(handover.id, 1, "leg-1")
    briefed = await warm.flow.briefed(handover.id, 1)
    assert announced is not None
    assert briefed is not None
    for private in ("1 2 0 2 5 5 5 0 1 0 1", "A bill"):
        assert private in briefed.text
        assert private not in announced.text
    assert await warm.flow.briefed(handover.id, 2) is None, "of another attempt"
    await hangs_up(warm)
    assert await warm.flow.briefed(handover.id, 1) is None, "whoever wanted it has gone"


async def test_a_colleague_who_presses_nothing_for_too_long_is_given_up(warm: Desktop) -> None:
    await warm.asks()
    handover = await warm.handover()
    assert await warm.flow.answered(handover.id, 1, "leg-1") is not None
    warm.clock.advance(LONGEST_BRIEFING + 1)
    assert isinstance(await warm.asks(), Wait)
    assert isinstance(await warm.asks(), Back)
    assert "hang up leg-1" in warm.orders.taken


async def test_a_leg_whose_id_was_never_learnt_is_known_when_it_is_answered(warm: Desktop) -> None:
    """The process died between the carrier's answer and writing it down: the telephone rings all the same."""
    handover = await warm.handover()
    claimed = await warm.store.handovers.claim(handover, 1)
    assert claimed is not None
    assert isinstance(await warm.asks(), Wait), "and it is not rung a second time"
    assert warm.orders.taken == []
    assert await warm.flow.answered(claimed.id, 1, "leg-1") is not None
    assert (await warm.handover()).leg == "leg-1"
    assert await warm.flow.key_pressed(claimed.id, 1, "1")
    assert isinstance(await warm.asks(), Join)


async def test_a_caller_who_goes_while_the_carrier_is_asked_to_ring_is_not_rung_for(warm: Desktop) -> None:
    async def gone() -> None:
        await hangs_up(warm)

    warm.orders.while_ringing = gone
    await warm.asks()
    assert warm.orders.taken == ["ring +12025550123 as +12025550100", "hang up leg-1"]


async def test_whoever_presses_the_key_is_no_machine_whatever_they_sound_like(warm: Desktop) -> None:
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    await warm.flow.key_pressed(handover.id, 1, "1")
    await warm.flow.machine_answered(handover.id, 1)
    assert isinstance(await warm.asks(), Join)
    assert "hang up leg-1" not in warm.orders.taken


async def test_whoever_wants_to_be_briefed_is_no_machine_either(warm: Desktop) -> None:
    """The carrier's verdict comes late, about a person who answers with a long sentence."""
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    assert await warm.flow.briefed(handover.id, 1) is not None
    await warm.flow.machine_answered(handover.id, 1)
    assert "hang up leg-1" not in warm.orders.taken
    assert await warm.flow.key_pressed(handover.id, 1, "1")
    assert isinstance(await warm.asks(), Join)


async def test_a_machine_at_the_next_place_is_one_though_the_first_was_briefed(store: Store, clock: Clock) -> None:
    targets = {
        "billing": {"number": "+12025550123", "kind": "warm", "otherwise": "night"},
        "night": {"number": "+12025550124", "kind": "warm"},
    }
    waiting = await desktop(store, clock, Orders(), targets)
    await waiting.asks()
    handover = await waiting.handover()
    await waiting.flow.answered(handover.id, 1, "leg-1")
    await waiting.flow.briefed(handover.id, 1)
    await waiting.flow.leg_ended(handover.id, 1, "completed")
    await waiting.asks()
    await waiting.flow.answered(handover.id, 2, "leg-2")
    await waiting.flow.machine_answered(handover.id, 2)
    assert (await waiting.handover()).cause == "voicemail"


async def test_places_whose_names_have_spaces_are_tried_once_each(store: Store, clock: Clock) -> None:
    targets = {
        "front desk": {"number": "+12025550123", "kind": "warm", "otherwise": "back office"},
        "back office": {"number": "+12025550124", "kind": "warm", "otherwise": "front desk"},
    }
    waiting = await desktop(store, clock, Orders(), targets)
    await waiting.asks()
    await waiting.flow.leg_ended((await waiting.handover()).id, 1, "busy")
    assert (await waiting.handover()).tried == ("front desk",)
    await waiting.asks()
    await waiting.flow.leg_ended((await waiting.handover()).id, 2, "busy")
    assert isinstance(await waiting.asks(), Back)
    assert [order for order in waiting.orders.taken if order.startswith("ring")] == [
        "ring +12025550123 as +12025550100",
        "ring +12025550124 as +12025550100",
    ]


async def test_a_colleague_who_listens_has_as_long_again_from_each_key(warm: Desktop) -> None:
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    for _ in range(3):
        warm.clock.advance(LONGEST_BRIEFING - 1)
        assert isinstance(await warm.asks(), Wait)
        assert await warm.flow.briefed(handover.id, 1) is not None
    warm.clock.advance(LONGEST_BRIEFING + 1)
    assert isinstance(await warm.asks(), Wait)
    assert isinstance(await warm.asks(), Back)
    assert "hang up leg-1" in warm.orders.taken


async def test_the_colleague_and_the_caller_press_at_the_same_moment(warm: Desktop) -> None:
    """Whoever is first wins, and the other is told the truth."""
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    assert await warm.flow.key_pressed(handover.id, 1, "1")
    assert isinstance(await warm.asks(key="1"), Join)
    assert await warm.store.callbacks.find(warm.call.id) is None


async def test_a_place_that_closes_while_one_waits_is_left(store: Store, clock: Clock) -> None:
    clock.now = clock.now.replace(hour=16, minute=58)
    first = await desktop(store, clock, Orders(), WARM)
    await first.asks()
    call = await store.calls.admit(carrier_call_id="CA2", caller="", dialled="", agent="retail", locale="en-US")
    await store.handovers.request(call.id, target="billing", reason="")
    await first.flow.begin(call.id, attachment=0)
    assert "number 1 in the queue" in str(await first.flow.caller_asks(call))
    clock.advance(120)
    latest = await store.calls.find(call.id)
    assert latest is not None
    assert isinstance(await first.flow.caller_asks(latest), Back)
    handover = await store.handovers.latest_of(call.id)
    assert handover is not None
    assert handover.cause == "closed"


async def test_a_carrier_that_obeys_nothing_does_not_hold_the_hand_over_up(warm: Desktop) -> None:
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    warm.orders.fails = True
    assert await warm.flow.key_pressed(handover.id, 1, "1"), "the caller comes by themselves a little later"
    await warm.flow.leg_ended(handover.id, 1, "completed")
    assert isinstance(await warm.asks(), Back)
    assert (await warm.handover()).cause == "hung_up"


async def accepted(desk: Desktop, *, recalled: bool = True) -> str:
    """A colleague presses 1, and the caller's line is told to ask, if the carrier obeys; returns the hand-over's id."""
    await desk.asks()
    handover = await desk.handover()
    await desk.flow.answered(handover.id, 1, "leg-1")
    desk.clock.advance(1)
    desk.orders.fails = not recalled
    assert await desk.flow.key_pressed(handover.id, 1, "1")
    desk.orders.fails = False
    return handover.id


async def test_a_caller_is_not_fetched_again_once_they_have_asked(warm: Desktop) -> None:
    """Whoever has come by themselves is with the colleague, and would be torn from the room."""
    await accepted(warm, recalled=False)
    (errand,) = warm.orders.errands
    assert warm.orders.taken.count("recall CA1") == 1
    await errand()
    assert warm.orders.taken.count("recall CA1") == 2
    warm.clock.advance(1)
    assert isinstance(await warm.asks(), Join)
    await errand()
    assert warm.orders.taken.count("recall CA1") == 2


async def test_a_caller_is_fetched_once_though_the_database_is_gone_when_the_key_has_counted(
    warm: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    warm.clock.advance(1)

    async def away(_call_id: str) -> Call | None:
        raise StoreError("refused the connection")

    with monkeypatch.context() as outage:
        outage.setattr(warm.store.calls, "find", away)
        assert await warm.flow.key_pressed(handover.id, 1, "1")
    assert await warm.flow.key_pressed(handover.id, 1, "1"), "which the carrier repeats"
    for errand in warm.orders.errands:
        await errand()
    assert warm.orders.taken.count("recall CA1") == 1


async def test_a_caller_whom_the_carrier_does_not_fetch_out_of_an_empty_room_is_fetched_later(warm: Desktop) -> None:
    handover_id = await accepted(warm)
    warm.clock.advance(1)
    assert isinstance(await warm.asks(), Join)
    warm.clock.advance(15)
    warm.orders.fails = True
    await warm.flow.alone(handover_id, 1, "caller", MOST_ALONE, line="CA1")
    warm.orders.fails = False
    fetched = warm.orders.taken.count("recall CA1")
    (errand,) = warm.orders.errands
    await errand()
    assert warm.orders.taken.count("recall CA1") == fetched + 1


async def test_a_caller_who_is_alone_in_the_room_for_too_long_is_taken_back(warm: Desktop) -> None:
    handover_id = await accepted(warm)
    assert isinstance(await warm.asks(), Join)
    fetched = warm.orders.taken.count("recall CA1")
    for turns in range(MOST_ALONE):
        await warm.flow.alone(handover_id, 1, "caller", turns, line="CA1")
    assert (await warm.handover()).state == "accepted"
    assert warm.orders.taken.count("recall CA1") == fetched
    await warm.flow.alone(handover_id, 1, "caller", MOST_ALONE, line="CA1")
    assert warm.orders.taken[-2:] == ["hang up leg-1", "recall CA1"]
    assert isinstance(await warm.asks(), Back)
    assert (await warm.handover()).cause == "hung_up"


async def test_a_caller_whose_colleague_is_known_to_have_gone_leaves_the_room_at_once(warm: Desktop) -> None:
    """The news of it came at the very moment at which their line asked, and the order to their line was refused."""
    handover_id = await accepted(warm)
    assert isinstance(await warm.asks(), Join)
    warm.orders.fails = True
    await warm.flow.leg_ended(handover_id, 1, "completed")
    warm.orders.fails = False
    fetched = warm.orders.taken.count("recall CA1")
    await warm.flow.alone(handover_id, 1, "caller", 0, line="CA1")
    assert warm.orders.taken.count("recall CA1") == fetched + 1


async def test_a_colleague_who_waits_alone_has_the_caller_fetched_once_more(warm: Desktop) -> None:
    handover_id = await accepted(warm)
    fetched = warm.orders.taken.count("recall CA1")
    await warm.flow.alone(handover_id, 1, "colleague", MOST_ALONE - 1, line="leg-1")
    assert warm.orders.taken.count("recall CA1") == fetched
    await warm.flow.alone(handover_id, 1, "colleague", MOST_ALONE, line="leg-1")
    assert warm.orders.taken.count("recall CA1") == fetched + 1
    await hangs_up(warm)
    await warm.flow.alone(handover_id, 1, "colleague", 0, line="leg-1")
    assert warm.orders.taken[-1] == "hang up leg-1"


async def test_a_colleague_waits_for_nobody_for_ever(warm: Desktop) -> None:
    """Neither the order to the caller's line nor the end of their call was heard of."""
    handover_id = await accepted(warm)
    fetched = warm.orders.taken.count("recall CA1")
    for turns in range(2 * MOST_ALONE):
        await warm.flow.alone(handover_id, 1, "colleague", turns, line="leg-1")
    assert warm.orders.taken.count("recall CA1") == fetched + MOST_ALONE
    assert (await warm.handover()).state == "accepted"
    await warm.flow.alone(handover_id, 1, "colleague", 2 * MOST_ALONE, line="leg-1")
    assert warm.orders.taken[-2:] == ["hang up leg-1", "recall CA1"]
    assert isinstance(await warm.asks(), Back)
    assert (await warm.handover()).cause == "hung_up"


async def test_a_caller_who_has_asked_is_not_torn_from_a_room_that_has_just_formed(warm: Desktop) -> None:
    """They come late, by themselves, and the colleague's last questions are still on their way."""
    handover_id = await accepted(warm)
    warm.clock.advance(MOST_ALONE * 5 + 1)
    assert isinstance(await warm.asks(), Join)
    before = list(warm.orders.taken)
    for turns in (MOST_ALONE + 1, 2 * MOST_ALONE):
        await warm.flow.alone(handover_id, 1, "colleague", turns, line="leg-1")
    assert warm.orders.taken == before
    await warm.flow.alone(handover_id, 1, "colleague", 3 * MOST_ALONE, line="leg-1")
    assert warm.orders.taken[-2:] == ["hang up leg-1", "recall CA1"], "but they did not come"


async def test_whoever_is_alone_in_the_room_while_both_are_known_to_speak_is_left_there(warm: Desktop) -> None:
    """The question what to play was on its way when the other one came."""
    handover_id = await accepted(warm)
    await warm.flow.connected(handover_id, 1)
    before = list(warm.orders.taken)
    for who in ("caller", "colleague"):
        await warm.flow.alone(handover_id, 1, who, MOST_ALONE, line="CA1")
    assert warm.orders.taken == before


@pytest.fixture
async def two(store: Store, clock: Clock) -> Desktop:
    """Billing, and the night desk behind it."""
    targets = {
        "billing": {"number": "+12025550123", "kind": "warm", "otherwise": "night"},
        "night": {"number": "+12025550124", "kind": "warm"},
    }
    return await desktop(store, clock, Orders(), targets)


async def test_a_talk_that_is_over_is_not_rung_for_again_when_the_room_has_told_nothing(two: Desktop) -> None:
    """What it told found no database; the colleague's telephone is heard of sooner than the caller's line."""
    handover_id = await accepted(two)
    two.clock.advance(1)
    assert isinstance(await two.asks(), Join)
    before = list(two.orders.taken)
    two.clock.advance(120)
    await two.flow.leg_ended(handover_id, 1, "completed")
    assert isinstance(await two.asks(dialled="completed", attempt=1), Over)
    await two.flow.connected(handover_id, 1)
    assert two.orders.taken == before
    assert (await two.handover()).state == "completed"


async def test_a_caller_sent_to_a_room_that_the_colleague_has_left_is_alone_there_for_no_longer_than_others(
    two: Desktop,
) -> None:
    handover_id = await accepted(two)
    two.clock.advance(1)
    assert isinstance(await two.asks(), Join)
    await two.flow.leg_ended(handover_id, 1, "completed")
    await two.flow.alone(handover_id, 1, "caller", MOST_ALONE - 1, line="CA1")
    assert (await two.handover()).state == "accepted"
    await two.flow.alone(handover_id, 1, "caller", MOST_ALONE, line="CA1")
    assert two.orders.taken[-1] == "recall CA1"
    assert isinstance(await two.asks(), Wait)
    assert two.orders.taken[-1].startswith("ring +12025550124")


async def test_a_colleague_is_not_briefed_for_a_call_that_has_ended(warm: Desktop) -> None:
    """The hand-over could not be told, because the database was away at that moment."""
    await warm.asks()
    assert await warm.store.calls.end(warm.call.id, "caller_hung_up")
    assert await warm.flow.answered((await warm.handover()).id, 1, "leg-1") is None


async def test_a_talk_is_over_for_the_record_whoever_reports_it_first(warm: Desktop) -> None:
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    await warm.flow.key_pressed(handover.id, 1, "1")
    await warm.flow.connected(handover.id, 1)
    await warm.flow.leg_ended(handover.id, 1, "completed")
    assert await warm.flow.talked(warm.call.id)
    assert isinstance(await warm.asks(dialled="completed", attempt=1), Over)


@pytest.mark.parametrize(("dialled", "ends"), [("completed", Over), ("failed", Back), ("", Back)])
async def test_a_talk_with_a_place_that_is_gone_from_the_configuration_ends_like_any(
    warm: Desktop, dialled: str, ends: type[Next]
) -> None:
    await warm.asks()
    handover = await warm.handover()
    await warm.flow.answered(handover.id, 1, "leg-1")
    await warm.flow.key_pressed(handover.id, 1, "1")
    await warm.flow.connected(handover.id, 1)
    renamed = replace(warm, flow=flow_at(warm.store, warm.clock, warm.orders, {"invoices": WARM["billing"]}))
    assert isinstance(await renamed.asks(dialled=dialled, attempt=1), ends)


async def test_a_withheld_number_is_offered_no_call_back(store: Store, clock: Clock) -> None:
    withheld = await desktop(store, clock, Orders(), WARM, caller="")
    assert await withheld.asks() == Wait("Press 2 to come back to me.")
    assert isinstance(await withheld.asks(key="1"), Wait)
    assert await store.callbacks.outstanding() == ()


async def test_news_of_no_hand_over_changes_nothing(warm: Desktop) -> None:
    assert await warm.flow.answered("nonsense", 1, "leg-1") is None
    assert not await warm.flow.key_pressed("nonsense", 1, "1")
    for news in (warm.flow.leg_ended("nonsense", 1, "busy"), warm.flow.machine_answered("nonsense", 1)):
        await news
    await warm.flow.connected("nonsense", 1)
    assert (await warm.handover()).state == "waiting"
    assert warm.orders.taken == []


async def test_a_call_that_another_session_has_taken_up_is_not_let_go(store: Store, clock: Clock) -> None:
    call = await store.calls.admit(carrier_call_id="CA9", caller="", dialled="", agent="retail", locale="en-US")
    await store.handovers.request(call.id, target="billing", reason="")
    flow = flow_at(store, clock, Orders(), WARM)
    assert not await flow.begin(call.id, attachment=7)
    latest = await store.calls.find(call.id)
    assert latest is not None
    assert latest.state == "live"


# ── lines that can put nobody through ─────────────────────────────────────────────


async def test_a_line_without_an_exchange_offers_a_call_back_instead(store: Store) -> None:
    """Such as a browser's: it has no targets, so nobody is promised, and nothing can be rung."""
    exchange: Exchange = NoExchange()
    config = HandoverConfig.model_validate({"targets": {"billing": "+12025550123"}})
    with pytest.raises(ConfigurationError, match="cold hand-over"):
        Targets.from_config(config, kinds=exchange.kinds)
    call = await store.calls.admit(carrier_call_id="B1", caller="", dialled="", agent="retail", locale="en-US")
    desk = Desk(Targets(()), store, lambda: datetime.now(UTC))
    answer = await desk.hand_over(Caller(call.id, "+12025550101"), target=None, reason="A bill")
    assert (answer.status, answer.handed_over, answer.callback) == ("unavailable", False, True)
    with pytest.raises(TransportError, match="outgoing"):
        await exchange.ring(Leg("h", 1, "+12025550123", "", 20))
    await exchange.hang_up("x")
    await exchange.recall("x")
    await exchange.aclose()
