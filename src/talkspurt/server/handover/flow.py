"""Takes a call through its hand-over: each fact (the caller's line asks how to go on, a telephone is busy, a
colleague presses 1, somebody hangs up) moves the stored hand-over one step and says what follows.

There is no task that waits and no state in memory, but for orders that the carrier refused and is given again. The
clock is the caller's own line, which the carrier has ask how to go on several times a minute while it holds; so
whatever process answers can go on where another died. A telephone is rung only after the row says so, and news of
the ringing carries the number of its attempt: what the carrier repeats changes nothing, and what is late is
ignored.

It knows no carrier: orders go to an `Exchange`, and what the caller's line does next is returned as a `Next`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal

import structlog

from talkspurt.errors import StoreError, TransportError
from talkspurt.ports import Exchange, Leg
from talkspurt.server.errands import Errand
from talkspurt.server.handover import words
from talkspurt.server.handover.briefing import Briefing, announce, brief
from talkspurt.server.handover.callback import note_callback
from talkspurt.server.handover.next import Back, Join, Next, Over, Put, Wait
from talkspurt.server.handover.targets import Target, Targets
from talkspurt.store import Call, Handover, Store
from talkspurt.store.handovers import ATTEMPTING, OPEN, VANISHED_CAUSE, State
from talkspurt.telemetry import metrics

RING_SLACK: Final = 15
"""Seconds beyond its ringing time after which a telephone that nothing was heard of counts as unanswered."""
LONGEST_BRIEFING: Final = 180
"""Seconds that a colleague may take to press a key, or the next one: the longest briefing, twice what the keys are, and
the time for one. Whoever presses none is known sooner, unless the carrier's word of it is lost."""
MOST_ALONE: Final = 3
"""Questions what to play, five seconds apart, after which whoever is alone in the room is not left to wait on: a
caller is taken back, and for a colleague the caller is fetched once more, for as long again at most."""
LISTENS: Final = "listens"
"""Marks a briefing of somebody who has pressed a key, which no machine does."""
MOST_STEPS: Final = 8
"""Steps that one question of the caller's line may set off: as many targets as one may hope to find."""

CALL_BACK_KEY: Final = "1"
RETURN_KEYS: Final = frozenset({"2", "*"})
ACCEPT_KEY: Final = "1"
BRIEF_KEY: Final = "2"

DIAL_CAUSES: Final = {"busy": "busy", "no-answer": "no_answer", "canceled": "no_answer", "failed": "failed"}
"""What a carrier says of a call that nobody answered, and our cause."""
DIAL_DONE: Final = frozenset({"completed", "answered"})

_log = structlog.get_logger(__name__)


class HandoverFlow:
    """All hand-overs. Methods raise `StoreError`; a carrier that does not obey is logged, and noticed later."""

    def __init__(
        self,
        store: Store,
        targets: Targets,
        exchange: Exchange,
        *,
        max_wait: float,
        detect_machine: bool,
        now: Callable[[], datetime],
        again: Callable[[str, Errand], None],
    ) -> None:
        """`again` does later what the carrier refused to do now."""
        self._store = store
        self._records = store.handovers
        self._targets = targets
        self._exchange = exchange
        self._max_wait = timedelta(seconds=max_wait)
        self._detect_machine = detect_machine
        self._now = now
        self._again = again

    # ── the caller ────────────────────────────────────────────────────────────────

    async def begin(self, call_id: str, *, attachment: int) -> bool:
        """The agent has finished its sentence: the caller leaves it. False when they do not, or not any more."""
        handover = await self._records.open_of(call_id)
        if handover is None:
            _log.error("handover_unknown", call_id=call_id)
            return False
        if not await self._store.calls.hand_over(call_id, attachment=attachment, target=handover.target):
            return False
        await self._move(handover, "waiting", leaving=("requested",))
        return True

    async def caller_asks(self, call: Call, *, key: str = "", dialled: str = "", attempt: int = 0) -> Next:
        """The line of a caller who is being handed over asks how to go on.

        `key` is what they pressed, `dialled` how the ringing or talking went whose number is `attempt`.
        """
        for _ in range(MOST_STEPS):
            handover = await self._records.open_of(call.id)
            if handover is None:
                end = await self._after(call)
                if end is not None:
                    return end
                continue
            moment = await self._records.seen(handover)
            following = await self._step(call, handover, key, dialled if attempt == handover.attempt else "", moment)
            if following is not None:
                return following
            key = ""
        _log.error("handover_goes_round", call_id=call.id)
        return Wait(words.hold_keys(call.caller))

    async def _step(self, call: Call, handover: Handover, key: str, dialled: str, moment: datetime) -> Next | None:
        """One step, at a moment of the store's; None when it changed where things stand: then it is asked anew."""
        if dialled and handover.state in ("ringing", "accepted", "connected"):
            await self._dial_ended(handover, dialled)
            return None
        target = self._targets.find(handover.target)
        if target is None:
            # The configuration has changed meanwhile.
            await self._give_up(handover, "failed", leaving=OPEN)
            return None
        match handover.state:
            case "requested":
                await self._move(handover, "waiting", leaving=("requested",))
                return None
            case "waiting":
                if await self._wished(call, handover, key):
                    return None
                return await self._wait(call, handover, target, moment)
            case "ringing" | "briefing" if target.kind == "warm":
                if await self._wished(call, handover, key) or await self._overdue(handover, target):
                    return None
                return Wait(f"{words.hold(target.name, None)} {words.hold_keys(call.caller)}")
            case _ if target.kind == "warm":
                return Join(handover.id, handover.attempt)
            case _:
                return Put(handover.id, handover.attempt, target.number, target.ring)

    async def _dial_ended(self, handover: Handover, dialled: str) -> None:
        if dialled in DIAL_DONE:
            await self._move(handover, "completed", leaving=("ringing", "accepted", "connected"))
        else:
            await self._attempt_failed(handover, DIAL_CAUSES.get(dialled, "failed"), leaving=(*ATTEMPTING, "connected"))

    async def _wished(self, call: Call, handover: Handover, key: str) -> bool:
        """Whether the caller pressed a key by which they leave the queue."""
        waiting: tuple[State, ...] = ("waiting", "ringing", "briefing")
        if key == CALL_BACK_KEY:
            kept = await note_callback(
                self._store,
                call.id,
                number=call.caller,
                target=handover.target,
                account=handover.account,
                reason=handover.reason,
            )
            return kept is not None and await self._give_up(handover, "callback", leaving=waiting)
        if key in RETURN_KEYS:
            return await self._give_up(handover, "came_back", leaving=waiting)
        return False

    async def _wait(self, call: Call, handover: Handover, target: Target, moment: datetime) -> Next | None:
        if moment - handover.requested_at > self._max_wait:
            await self._give_up(handover, "waited_too_long", leaving=("waiting",))
            return None
        if not target.hours.is_open(self._now()):
            await self._attempt_failed(handover, "closed", leaving=("waiting",))
            return None
        ringing = await self._records.claim(handover, target.lines)
        if ringing is None:
            ahead = await self._records.ahead(handover)
            return Wait(f"{words.hold(target.name, ahead)} {words.hold_keys(call.caller)}")
        _log.info("handover_rings", call_id=call.id, target=target.name, attempt=ringing.attempt)
        if target.kind == "warm":
            return await self._ring(call, ringing, target)
        return None

    async def _ring(self, call: Call, handover: Handover, target: Target) -> Next | None:
        leg = Leg(handover.id, handover.attempt, target.number, call.dialled, target.ring, self._detect_machine)
        try:
            carrier_id = await self._exchange.ring(leg)
        except TransportError as error:
            _log.error("handover_not_rung", call_id=call.id, target=target.name, error=str(error))
            await self._attempt_failed(handover, "failed")
            return None
        if not await self._records.note_leg(handover, carrier_id):
            # The caller has gone, or come back, while the carrier was being asked.
            await self._hang_up(carrier_id)
            return None
        return Wait(words.hold_keys(call.caller))

    async def _overdue(self, handover: Handover, target: Target) -> bool:
        """Whether nothing was heard of the telephone for too long: its news was lost, or the process that rang it.

        By when the caller's line asked before, and not now: in the time between there may have been no database, and
        whoever rings or is briefed was not heard either. They are held, and come with their news a few seconds later.
        """
        limit = target.ring + RING_SLACK if handover.state == "ringing" else LONGEST_BRIEFING
        if handover.seen_at - handover.changed_at <= timedelta(seconds=limit):
            return False
        return await self._attempt_failed(handover, "no_answer") is not None

    async def _after(self, call: Call) -> Next | None:
        """What follows a hand-over that is over; None when it is not, because its caller was only taken for gone."""
        latest = await self._records.latest_of(call.id)
        if latest is not None and latest.state == "completed":
            return Over()
        if latest is not None and latest.state == "canceled" and latest.cause == VANISHED_CAUSE:
            if await self._move(latest, "waiting", leaving=("canceled",), detail="found_again", cause="found_again"):
                await self._hang_up(latest.leg)
            return None
        await self._store.calls.take_back(call.id)
        return Back()

    async def talked(self, call_id: str) -> bool:
        """Whether a call that ends now is, or was last, with a person."""
        latest = await self._records.latest_of(call_id)
        return latest is not None and latest.state in ("accepted", "connected", "completed")

    async def call_ended(self, call_id: str) -> None:
        """Nobody is rung any longer for a call that is over, wherever it was.

        Nothing happens while it is not: a session may end that has lost it to another, whose caller waits for a person.
        """
        call = await self._store.calls.find(call_id)
        handover = await self._records.open_of(call_id)
        if call is None or call.state != "ended" or handover is None:
            return
        if handover.state == "connected":
            await self._move(handover, "completed", leaving=("connected",))
        elif await self._move(
            handover,
            "canceled",
            leaving=("requested", "waiting", *ATTEMPTING),
            detail="caller_gone",
            cause="caller_gone",
        ):
            await self._hang_up(handover.leg)

    # ── the colleague ─────────────────────────────────────────────────────────────

    async def answered(self, handover_id: str, attempt: int, leg: str) -> Briefing | None:
        """A telephone was picked up: what to tell whatever did; None when the caller does not wait any more."""
        waiting = await self._picked_up(handover_id, attempt)
        if waiting is None:
            return None
        call, handover = waiting
        if handover.state == "ringing":
            moved = await self._move(handover, "briefing", leaving=("ringing",), leg=leg)
            if moved is None:
                return None
        return announce(handover, await self._store.effects.of_call(call.id))

    async def briefed(self, handover_id: str, attempt: int) -> Briefing | None:
        """Whoever picked up pressed the key for the whole of it; None when the caller does not wait any more."""
        waiting = await self._picked_up(handover_id, attempt)
        if waiting is None:
            return None
        call, handover = waiting
        if await self._move(handover, "briefing", leaving=("briefing",), detail=LISTENS, cause=LISTENS) is None:
            return None
        return brief(call, handover, await self._store.effects.of_call(call.id))

    async def _picked_up(self, handover_id: str, attempt: int) -> tuple[Call, Handover] | None:
        handover = await self._current(handover_id, attempt)
        if handover is None or handover.state not in ("ringing", "briefing"):
            return None
        call = await self._store.calls.find(handover.call_id)
        # A call may have ended without the word of it getting as far as the hand-over.
        return (call, handover) if call is not None and call.state == "handover" else None

    async def connected(self, handover_id: str, attempt: int) -> None:
        """The caller and the person hear each other."""
        handover = await self._current(handover_id, attempt)
        if handover is not None and await self._move(handover, "connected", leaving=("ringing", "accepted")):
            metrics.HANDOVERS.labels("connected").inc()

    async def alone(
        self, handover_id: str, attempt: int, who: Literal["caller", "colleague"], turns: int, *, line: str | None
    ) -> None:
        """One is in the room, the other not: the carrier asks what to play, and has asked `turns` times before.

        It is the only one to ask when the news that the other has gone is lost. `line` is the carrier's id of the call.
        """
        handover = await self._records.find(handover_id)
        if handover is None:
            return
        expected = handover.attempt == attempt and handover.state in ("accepted", "connected")
        # Not counted from the key on: who was fetched late has not waited yet, and the other may be there.
        overdue = handover.state == "accepted" and turns >= MOST_ALONE
        if who == "colleague":
            if not expected:
                await self._hang_up(line)
            elif overdue:
                await self._wait_for_caller(handover, turns)
            return
        if not expected:
            await self._recall(handover)
        elif overdue:
            await self._leg_failed(handover, "hung_up", leaving=("accepted",))

    async def _wait_for_caller(self, handover: Handover, turns: int) -> None:
        """The colleague is alone for too long: fetch a caller who has not asked since the key, and wait for an end.

        One who has asked may come in at this very moment, and would be torn from the room by being fetched or by the
        colleague's being hung up. So they have as long again, since they asked before the others are given up.
        """
        asked = _has_asked(handover)
        if turns >= (3 if asked else 2) * MOST_ALONE:
            await self._leg_failed(handover, "hung_up", leaving=("accepted",))
        elif not asked:
            await self._recall(handover)

    async def key_pressed(self, handover_id: str, attempt: int, key: str) -> bool:
        """The colleague pressed a key, or none in time (""): True when they take the call."""
        handover = await self._current(handover_id, attempt)
        if handover is None:
            return False
        if key != ACCEPT_KEY:
            await self._leg_failed(handover, "declined" if key else "no_response", leaving=("briefing",), hang_up=False)
            return False
        if handover.state != "accepted":
            accepted = await self._move(handover, "accepted", leaving=("briefing",))
            if accepted is None:
                return False
            await self._recall(accepted)
        return True

    async def machine_answered(self, handover_id: str, attempt: int) -> None:
        """An answering machine took the call. Whoever has pressed a key is none, whatever it sounds like."""
        handover = await self._current(handover_id, attempt)
        if handover is not None and not (handover.state == "briefing" and handover.cause == LISTENS):
            await self._leg_failed(handover, "voicemail", leaving=("ringing", "briefing"))

    async def leg_ended(self, handover_id: str, attempt: int, status: str) -> None:
        """The outgoing call is over: `status` is "completed" when it had been answered, or why it was not."""
        handover = await self._current(handover_id, attempt)
        if handover is None:
            return
        target = self._targets.find(handover.target)
        if target is not None and target.kind == "cold":
            # One that was not answered is for the caller's line to tell: it asks how to go on at the same moment.
            if status in DIAL_DONE:
                await self._move(handover, "completed", leaving=("ringing", "connected"))
            return
        if handover.state == "connected":
            # What becomes of the caller's line, it asks itself.
            await self._move(handover, "completed", leaving=("connected",))
            return
        if status in DIAL_DONE and handover.state == "accepted" and _has_asked(handover):
            # They have been sent to the room. Whether they met there is not known while the room's own news is late or
            # lost, and ringing for a talk that is over would be worse than waiting: their line tells, by `action` if
            # there was one, and as whoever is alone in the room if not.
            return
        cause = DIAL_CAUSES.get(status, "hung_up")
        await self._leg_failed(handover, cause, leaving=ATTEMPTING, hang_up=False)

    async def _leg_failed(
        self, handover: Handover, cause: str, *, leaving: tuple[State, ...], hang_up: bool = True
    ) -> None:
        failed = await self._attempt_failed(handover, cause, leaving=leaving, hang_up=hang_up)
        if failed is not None:
            await self._recall(failed)

    async def _current(self, handover_id: str, attempt: int) -> Handover | None:
        handover = await self._records.find(handover_id)
        if handover is None or handover.attempt != attempt:
            return None
        return handover

    # ── within ────────────────────────────────────────────────────────────────────

    async def _attempt_failed(
        self, handover: Handover, cause: str, *, leaving: tuple[State, ...] = ATTEMPTING, hang_up: bool = True
    ) -> Handover | None:
        """Nobody took the call here: on to the next place, or back to the agent. None when other news was faster."""
        tried = (*handover.tried, handover.target)
        following = self._targets.next_open(handover.target, tried, self._now())
        if following is None:
            return await self._end(handover, cause, leaving, hang_up=hang_up)
        moved = await self._move(
            handover,
            "waiting",
            leaving=leaving,
            detail=cause,
            cause=cause,
            target=following.name,
            tried=tried,
        )
        if moved is not None:
            metrics.HANDOVERS.labels(cause).inc()
            if hang_up:
                await self._hang_up(handover.leg)
        return moved

    async def _give_up(self, handover: Handover, cause: str, *, leaving: tuple[State, ...]) -> bool:
        return await self._end(handover, cause, leaving) is not None

    async def _end(
        self, handover: Handover, cause: str, leaving: tuple[State, ...], *, hang_up: bool = True
    ) -> Handover | None:
        """The hand-over comes to nothing: the caller is the agent's again as soon as their line asks."""
        failed = await self._move(handover, "failed", leaving=leaving, detail=cause, cause=cause)
        if failed is None:
            return None
        metrics.HANDOVERS.labels(cause).inc()
        if hang_up:
            await self._hang_up(handover.leg)
        return failed

    async def _move(
        self,
        handover: Handover,
        to: State,
        *,
        leaving: tuple[State, ...],
        detail: str = "",
        tried: tuple[str, ...] | None = None,
        **values: str,
    ) -> Handover | None:
        moved = await self._records.move(
            handover, to, leaving=leaving, detail=detail, attempt=handover.attempt, tried=tried, **values
        )
        if moved is not None:
            _log.info(
                "handover_moved",
                call_id=moved.call_id,
                state=to,
                target=moved.target,
                attempt=moved.attempt,
                cause=detail,
            )
        return moved

    async def _hang_up(self, leg: str | None) -> None:
        if leg is None:
            return
        try:
            await self._exchange.hang_up(leg)
        except TransportError as error:
            # It rings out by itself, and whoever answers hears that nobody waits.
            _log.error("leg_not_hung_up", error=str(error))

    async def _recall(self, handover: Handover) -> None:
        try:
            call = await self._store.calls.find(handover.call_id)
            if call is not None:
                await self._exchange.recall(call.carrier_call_id)
        except (StoreError, TransportError) as error:
            # Their line asks by itself when what it plays to them is over, which may be half a minute of music. An
            # error to whoever told us would not bring them: told again, it finds the row moved, and orders nothing.
            _log.error("caller_not_recalled", call_id=handover.call_id, error=str(error))
            self._again("recall", partial(self._recall_if_needed, handover))

    async def _recall_if_needed(self, handover: Handover) -> None:
        """Recall the caller unless they have asked since: they may be in the room by now, and would be torn from it."""
        call = await self._store.calls.find(handover.call_id)
        latest = await self._records.find(handover.id)
        if call is None or call.state != "handover" or latest is None:
            return
        if latest.changed_at == handover.changed_at and not _has_asked(latest):
            await self._exchange.recall(call.carrier_call_id)


def _has_asked(handover: Handover) -> bool:
    """Whether the caller's line has asked how to go on since the hand-over came to stand where it does."""
    return handover.seen_at > handover.changed_at
