"""Lets calls in and writes down how they went: between the media sockets, the store and the switchboard.

* `admit` gives a call a place, before its caller is told to connect;
* `attach` takes a socket that says `start`: redeems its token, and hands the caller to the switchboard;
* when a call has ended, its end is committed *before* its socket is closed, because the carrier asks
  `/twilio/resume` how to go on the moment we close.

A session that breaks does not end the call: it stays live in the store, the carrier comes back by
`<Redirect>`, and the call is taken up from its snapshot, here or in another process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Final, Protocol, Self
from weakref import WeakSet

import structlog
from picows import WSCloseCode

from talkspurt.errors import StoreError
from talkspurt.ports import Call, Transport
from talkspurt.server.errands import Errand
from talkspurt.server.fleet import Fleet, Refusal
from talkspurt.server.load_table import State
from talkspurt.server.media_socket import START_DEADLINE, MediaSocket
from talkspurt.store import Attachment, Store
from talkspurt.store import Call as StoredCall
from talkspurt.telemetry import metrics
from talkspurt.transports.twilio import TwilioTransport
from talkspurt.wire.twilio import StartBody

FAREWELL: Final = 5.0
"""Seconds for the agents' goodbyes when the time to shut down is over."""
OVERTIME: Final = 300.0
"""Seconds beyond the longest call after which a session that does not end is cut off."""
COMES_BACK: Final = frozenset({"handover", "line_lost"})
"""Ends of a session after which the caller's line is to find the call as it was when they could not be written down."""

log = structlog.get_logger(__name__)


class Outcome(Protocol):
    """How a call went."""

    @property
    def reason(self) -> str:
        """Why it ended: "agent_goodbye", "caller_hung_up", "handover", …; "internal_error" when the session broke."""


class Switchboard(Protocol):
    """Who speaks with the callers."""

    def ring(self, agent: str, locale: str, /) -> None:
        """A call for `agent` is about to come."""

    async def answer(
        self,
        call: Call,
        transport: Transport,
        attachment: int,
        snapshot: str | None,
        conclude: Callable[[Outcome], Awaitable[None]],
        /,
    ) -> None:
        """Hold the call over this attachment until the call has ended; then await `conclude`, once.

        What the call leaves to be done without its line may go on behind that, until this returns.
        """

    def hang_up(self, call_id: str, /) -> None:
        """The carrier says that the call is over."""

    def request_end(self, reason: str, /) -> None:
        """Ask all live calls to end politely."""


class Handovers(Protocol):
    """Who takes calls to people."""

    async def begin(self, call_id: str, /, *, attachment: int) -> bool:
        """The agent has let the caller go; False when nobody was to have them."""

    async def call_ended(self, call_id: str, /) -> None:
        """A session or the carrier says so: if the call is over, nobody is rung for it any longer."""


class Reception:
    """The calls of this process. An async context: inside it calls can be attached, once `open` was called."""

    def __init__(
        self,
        store: Store,
        handovers: Handovers,
        *,
        fleet: Fleet,
        longest_call: float,
        again: Callable[[str, Errand], None],
        start_deadline: float = START_DEADLINE,
    ) -> None:
        """`longest_call` is in seconds; `again` writes down later what the database did not take."""
        self._store = store
        self._handovers = handovers
        self._fleet = fleet
        self._patience = longest_call + OVERTIME
        self._again = again
        self._start_deadline = start_deadline
        self._switchboard: Switchboard | None = None
        self._group = asyncio.TaskGroup()
        self._opened: WeakSet[MediaSocket] = WeakSet()
        self._sockets: dict[str, MediaSocket] = {}
        """The socket of each attached call, by the carrier's id."""
        self._calls: dict[str, str] = {}
        """Our ids of the calls that are with the switchboard, by the carrier's id."""
        self._holding: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut off what is still held."""
        for task in self._holding:
            task.cancel()
        # Without the error of the block: the group would wrap it, and the operator is to see it as it is.
        await self._group.__aexit__(None, None, None)
        for socket in self._opened:
            # One that was refused may still be waiting for its carrier to have read why.
            socket.abort()

    def open(self, switchboard: Switchboard) -> None:
        """Take calls from now on."""
        self._switchboard = switchboard
        self._fleet.become(State.READY)

    @property
    def live(self) -> int:
        """Calls with the switchboard now."""
        return len(self._calls)

    # ── letting in ────────────────────────────────────────────────────────────────

    def admit(self, carrier_call_id: str) -> Refusal | None:
        """Give a new call a place, here or at another worker, and keep it for a while; or say why it gets none."""
        return None if carrier_call_id in self._calls else self._fleet.admit(carrier_call_id)

    def ring(self, call: StoredCall) -> None:
        """An admitted call is about to come: if here, what takes time may begin. Others learn from its socket."""
        here = self.worker_for(call.carrier_call_id, None) in (None, self._fleet.index)
        if self._switchboard is not None and here:
            self._switchboard.ring(call.agent, call.locale)

    def dismiss(self, carrier_call_id: str) -> None:
        """Give the place of a call that will not come to another."""
        self._fleet.dismiss(carrier_call_id)

    def worker_for(self, carrier_call_id: str, named: int | None) -> int | None:
        """The worker that a call is to connect to; None when there is only one. `named` is where it comes from."""
        return self._fleet.route(carrier_call_id, named) if self._fleet.has_others else None

    @property
    def draining(self) -> bool:
        """Whether no new calls are to come here any more."""
        return self._fleet.state is State.DRAINING

    @property
    def takes_sockets(self) -> bool:
        """Whether callers can be connected, here or at another worker: from `open` on."""
        # While draining, too: the call was admitted before, and a running call is to finish.
        return self._fleet.takes_sockets

    def new_socket(self) -> MediaSocket | None:
        """The listener of a new media socket; None before `open`."""
        if self._switchboard is None:
            return None
        socket = MediaSocket(self._attach, start_deadline=self._start_deadline)
        self._opened.add(socket)
        return socket

    def _attach(self, start: StartBody, socket: MediaSocket, transport: TwilioTransport) -> None:
        self._idle.clear()
        task = self._group.create_task(self._hold(start, socket, transport))
        self._holding.add(task)
        task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._holding.discard(task)
        if not self._holding:
            self._idle.set()

    async def _hold(self, start: StartBody, socket: MediaSocket, transport: TwilioTransport) -> None:
        try:
            attachment = await self._redeem(start, socket)
            if attachment is not None:
                with structlog.contextvars.bound_contextvars(call_id=attachment.call.id, attachment=attachment.number):
                    await self._serve(attachment, socket, transport)
        except Exception:
            # Nothing may escape into the group: it would end every other call.
            log.exception("attachment_failed")
        finally:
            socket.finish()

    async def _redeem(self, start: StartBody, socket: MediaSocket) -> Attachment | None:
        try:
            attachment = await self._store.tokens.redeem(start.custom_parameters.get("token", ""), start.call_sid)
        except StoreError as error:
            log.error("token_not_redeemed", error=str(error))
            metrics.STORE_FAILURES.labels("token").inc()
            socket.refuse("store", WSCloseCode.TRY_AGAIN_LATER)
            return None
        if attachment is None:
            socket.refuse("token")
        return attachment

    async def _serve(self, attachment: Attachment, socket: MediaSocket, transport: TwilioTransport) -> None:
        call = attachment.call
        sid = call.carrier_call_id
        self._fleet.arrived(sid)
        before = self._sockets.pop(sid, None)
        if before is not None:
            # The carrier has left it, or it would not have asked for another.
            before.finish()
        self._sockets[sid] = socket
        self._calls[sid] = call.id
        metrics.ATTACHMENTS.inc()
        self._count_calls()
        log.info("attached", agent=call.agent)
        try:
            await self._converse(attachment, socket, transport)
        finally:
            if self._sockets.get(sid) is socket:
                del self._sockets[sid]
                self._calls.pop(sid, None)
            self._count_calls()

    def _count_calls(self) -> None:
        metrics.ACTIVE_CALLS.set(len(self._calls))
        self._fleet.hold(len(self._calls))

    async def _converse(self, attachment: Attachment, socket: MediaSocket, transport: TwilioTransport) -> None:
        assert self._switchboard is not None
        stored = attachment.call
        call = Call(
            id=stored.id,
            carrier_id=stored.carrier_call_id,
            caller=stored.caller,
            dialled=stored.dialled,
            agent=stored.agent,
            locale=stored.locale,
        )
        try:
            async with asyncio.timeout(self._patience):
                conclude = partial(self._let_go_of, attachment, socket)
                await self._switchboard.answer(call, transport, attachment.number, stored.snapshot, conclude)
        except Exception:
            log.exception("session_failed")
            await self._record_failure(stored.id)

    async def _let_go_of(self, attachment: Attachment, socket: MediaSocket, outcome: Outcome) -> None:
        """The conversation is over: write down how, and give the line back to the carrier."""
        if outcome.reason == "internal_error":
            await self._record_failure(attachment.call.id)
        else:
            await self._conclude(attachment, outcome)
        socket.finish()

    # ── writing down ──────────────────────────────────────────────────────────────

    async def end_call(self, call_id: str, reason: str, *, attachment: int | None = None) -> bool:
        """Write down that a call is over; False when it was already, or belongs to a later attachment.

        `reason` is a metric label, so from our own closed set. Raises `StoreError`.
        """
        ended = await self._store.calls.end(call_id, reason, attachment=attachment)
        if ended:
            metrics.CALLS_ENDED.labels(reason).inc()
            log.info("call_ended", call_id=call_id, reason=reason)
        await self._handovers.call_ended(call_id)
        return ended

    async def _conclude(self, attachment: Attachment, outcome: Outcome) -> None:
        call, number = attachment.call, attachment.number
        try:
            if outcome.reason != "handover":
                await self.end_call(call.id, outcome.reason, attachment=number)
            elif not await self._handovers.begin(call.id, attachment=number):
                # The call stays live, and the caller comes back to the agent.
                log.error("handover_not_begun")
        except StoreError as error:
            log.error("outcome_not_stored", reason=outcome.reason, error=str(error))
            metrics.STORE_FAILURES.labels("outcome").inc()
            if outcome.reason not in COMES_BACK:
                # Whose goodbye has been said is not to be given to the agent again. A caller who is, because the
                # database was back sooner than this, is at a later attachment then, and keeps the call.
                self._again("outcome", partial(self.end_call, call.id, outcome.reason, attachment=number))

    async def _record_failure(self, call_id: str) -> None:
        try:
            await self._store.calls.record_failure(call_id)
        except StoreError as error:
            log.error("failure_not_stored", error=str(error))
            metrics.STORE_FAILURES.labels("outcome").inc()

    # ── ending ────────────────────────────────────────────────────────────────────

    def hang_up(self, carrier_call_id: str) -> None:
        """The carrier says that a call is over, at whichever worker it was."""
        self._fleet.over(carrier_call_id)
        self.hung_up(carrier_call_id)

    def hung_up(self, carrier_call_id: str) -> None:
        """A call is over, if it is here or on its way."""
        self._fleet.dismiss(carrier_call_id)
        call_id = self._calls.get(carrier_call_id)
        if call_id is not None and self._switchboard is not None:
            self._switchboard.hang_up(call_id)

    async def drain(self, grace: float) -> None:
        """Take no new calls; let the live ones finish for `grace` seconds, then ask them to end, then cut them off."""
        self._fleet.become(State.DRAINING)
        if await self._idle_within(grace):
            return
        log.warning("drain_asks_calls_to_end", calls=self.live)
        if self._switchboard is not None:
            self._switchboard.request_end("shutdown")
        if await self._idle_within(FAREWELL):
            return
        # Their calls stay live in the store: the carrier asks /twilio/resume, and another process takes them up.
        log.warning("drain_cuts_calls_off", calls=self.live)
        for task in tuple(self._holding):
            task.cancel()
        await self._idle_within(FAREWELL)

    def close(self) -> None:
        """Take no sockets any more, after `drain`."""
        self._switchboard = None
        self._fleet.become(State.ABSENT)

    async def _idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
