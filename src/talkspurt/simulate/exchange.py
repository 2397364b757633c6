"""The rest of the carrier: its REST interface, the telephones of colleagues, and the rooms they meet callers in.

`TwilioDouble` is a caller's line. Given an `ExchangeDouble`, its `<Dial>` rings these colleagues, its calls can be
changed over REST, and what REST calls out itself (`POST /Calls.json`) obeys TwiML here as a person would: listens,
presses a key or none, is an answering machine, hangs up. Everything is real HTTP on loopback, signed as Twilio's.

Colleagues have no voice: `<Say>` to them takes its time and is written down, and so is what they press.

Source: Twilio's pages of the Call resource, `<Dial>`, `<Conference>`, "Call progress events" and
"Answering machine detection".
"""

import asyncio
import uuid
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, Self
from urllib.parse import urljoin

from aiohttp import web

from talkspurt.errors import ProtocolError, TransportError
from talkspurt.simulate.requests import CarrierRequests, voice_form
from talkspurt.simulate.twiml import Dial, Gather, Hangup, Pause, Play, Redirect, Room, Say, Verb, parse_twiml

Outcome = Literal["answers", "busy", "no-answer", "failed"]
MOST_DOCUMENTS: Final = 20
FOR_EVER: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Colleague:
    """How a person's telephone, or what answers it, behaves. Times are in seconds."""

    outcome: Outcome = "answers"
    answers_after: float = 0.2
    keys: tuple[str, ...] = ("1",)
    """What they press at one prompt after the other; "" and all that follow: nothing."""
    hesitates: float = 0.3
    """How long a prompt waits for a key that does not come, at most: nothing else happens meanwhile."""
    answered_by: Literal["human", "machine_start", "fax", "unknown"] = "human"
    detected_after: float = 0.1
    """How long after answering the carrier knows who it is, if it was asked to find out."""
    hangs_up_after: float | None = None
    """How long after answering they hang up, whatever they hear; None: not by themselves."""
    talks: float | None = 0.5
    """How long they speak with the caller until they hang up; None: until the caller does."""


class Changeable(Protocol):
    """A call that REST can change."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""

    def redirect(self, url: str, method: str) -> None:
        """Replace its TwiML."""

    def complete(self) -> None:
        """End it."""


@dataclass
class _Room:
    """A conference: it ends for all when somebody leaves who ends it."""

    participants: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    sid: str = field(default_factory=lambda: f"CF{uuid.uuid4().hex}")
    started: asyncio.Event = field(default_factory=asyncio.Event)
    played: int = 0
    """Sentences and recordings that whoever was alone in it has heard."""


class ExchangeDouble:
    """An async context: inside it `api_url` answers REST requests, and colleagues can be rung."""

    def __init__(
        self,
        server_url: str = "",
        *,
        public_url: str | None = None,
        auth_token: str,
        account_sid: str = "AC" + "0" * 32,
        seconds_per_letter: float = 0.0,
    ) -> None:
        """`seconds_per_letter` is how long a `<Say>` to a colleague takes. `serve` may name the server later."""
        self._public_url = public_url
        self._auth_token = auth_token
        self._requests: CarrierRequests | None = None
        if server_url:
            self.serve(server_url)
        self.account_sid: Final = account_sid
        self._seconds_per_letter = seconds_per_letter
        self._colleagues: dict[str, list[Colleague]] = {}
        self._calls: dict[str, Changeable] = {}
        self._rooms: dict[str, _Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.log: list[str] = []
        """What happened to colleagues, in order: "+1… said …", "+1… pressed 1", "+1… completed"."""
        self.problems: list[str] = []
        """Answers of the server that a carrier would complain of."""
        self.broken = False
        """Let REST requests fail, as they do when the carrier has trouble."""
        self.lose_redirects = 0
        """So many of the next orders to callers' lines fail, and nothing else."""
        self.lose_reports = False
        """Let nobody be told that a colleague's call is over."""
        self.api_url = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        base = f"/2010-04-01/Accounts/{self.account_sid}"
        application.router.add_post(f"{base}/Calls.json", self._create)
        application.router.add_post(f"{base}/Calls/{{sid}}.json", self._update)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.api_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()
        if self._requests is not None:
            await self._requests.aclose()

    def serve(self, url: str) -> None:
        """The server that is asked what colleagues are to hear; before anybody is rung."""
        self._requests = CarrierRequests(url, public_url=self._public_url, auth_token=self._auth_token)

    @property
    def requests(self) -> CarrierRequests:
        """How the server is asked."""
        assert self._requests is not None, "the exchange does not know its server: call serve()"
        return self._requests

    # ── what a test arranges and looks at ─────────────────────────────────────────

    def hire(self, number: str, *colleagues: Colleague) -> None:
        """Who answers at `number`, call by call; the last one answers all further calls. Others do not exist."""
        self._colleagues[number] = list(colleagues)

    def of(self, number: str, what: str = "") -> list[str]:
        """What happened at `number`, as far as it begins with `what`."""
        return [entry.removeprefix(f"{number} ") for entry in self.log if entry.startswith(f"{number} {what}")]

    async def until(self, happened: Callable[[], bool], within: float = 20.0) -> None:
        """Wait for something. Raises `TimeoutError`."""
        async with asyncio.timeout(within):
            # What is waited for is a line of a log, or a row of a database: nothing that sets an event.
            while not happened():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    # ── what lines and telephones use ─────────────────────────────────────────────

    def register(self, sid: str, call: Changeable) -> None:
        """Let REST find a call."""
        self._calls[sid] = call

    def colleague(self, number: str) -> Colleague:
        """Who answers the next call to `number`."""
        waiting = self._colleagues.get(number, [Colleague(outcome="failed")])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def note(self, number: str, what: str) -> None:
        """Write down what happened at a telephone."""
        self.log.append(f"{number} {what}")

    async def report(self, url: str, form: dict[str, str]) -> None:
        """Post a status callback."""
        problem = await self.requests.report(url, form, lambda _: None)
        if problem is not None:
            self.problems.append(problem)

    def start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Run something beside a call."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def put_through(self, verb: Dial, form: dict[str, str]) -> str:
        """Let a colleague's telephone ring for a caller, who then speaks with them; returns the DialCallStatus."""
        colleague = self.colleague(verb.number)
        self.note(verb.number, "rings")
        status = "canceled"
        try:
            status = await answered(colleague, verb.timeout)
            if status == "completed":
                self.note(verb.number, "answers")
                await self._tell_of_number(verb, "answered", form)
                await asyncio.sleep(FOR_EVER if colleague.talks is None else colleague.talks)
        finally:
            self.note(verb.number, status)
            # Behind the caller's back: they may have hung up, and this goes on.
            self.start(self._tell_of_number(verb, "completed", form | {"CallStatus": status}))
        return status

    async def _tell_of_number(self, verb: Dial, event: str, form: dict[str, str]) -> None:
        if verb.status_callback is not None and event in verb.events:
            await self.report(verb.status_callback, form)

    async def meet(self, room: Room, sid: str, leave_after: float | None = None) -> None:
        """Be in a conference until it ends, or for `leave_after` seconds from its beginning on."""
        place = self._rooms.get(room.name)
        if place is None or place.over.is_set():
            place = self._rooms[room.name] = _Room()
        place.participants.append(sid)
        playing = self.start(self._entertain(room, place, sid)) if len(place.participants) == 1 else None
        try:
            if len(place.participants) == 2 and room.starts:
                place.started.set()
                await self._tell(room, place, "conference-start")
            over = asyncio.ensure_future(place.over.wait())
            try:
                if leave_after is not None:
                    begun = asyncio.ensure_future(place.started.wait())
                    await asyncio.wait({begun, over}, return_when=asyncio.FIRST_COMPLETED)
                    begun.cancel()
                    await asyncio.wait({over}, timeout=leave_after)
                else:
                    await over
            finally:
                over.cancel()
        finally:
            if playing is not None:
                playing.cancel()
            if room.ends:
                place.over.set()

    async def _entertain(self, room: Room, place: _Room, sid: str) -> None:
        """Play to whoever is alone in a room what its waitUrl says. Its fields are not documented."""
        url, form = room.wait_url, {"AccountSid": self.account_sid, "CallSid": sid, "ConferenceSid": place.sid}
        try:
            while url and not place.started.is_set():
                document = parse_twiml(await self.requests.document(url, form, "POST", lambda _: None))
                url = await self._play(document, place, url)
        except (ProtocolError, TransportError) as error:
            self.problems.append(str(error))

    async def _play(self, verbs: tuple[Verb, ...], place: _Room, url: str) -> str | None:
        for verb in verbs:
            match verb:
                case Say() | Play():
                    place.played += 1
                case Pause():
                    await asyncio.sleep(verb.seconds)
                case Redirect():
                    return urljoin(url, verb.url)
                case _:
                    raise ProtocolError("twiml", f"12200 a waitUrl may not answer with {type(verb).__name__}")
        return None

    async def _tell(self, room: Room, place: _Room, event: str) -> None:
        if room.status_callback is None:
            return
        form = {
            "AccountSid": self.account_sid,
            "ConferenceSid": place.sid,
            "FriendlyName": room.name,
            "StatusCallbackEvent": event,
            "SequenceNumber": "1",
        }
        await self.report(room.status_callback, form)

    # ── REST ──────────────────────────────────────────────────────────────────────

    def _refusal(self, request: web.Request) -> web.Response | None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        expected = f"{self.account_sid}:{self._auth_token}"
        if scheme != "Basic" or b64decode(encoded).decode() != expected:
            return _problem(401, 20003, "Authenticate")
        if self.broken:
            return _problem(503, 20503, "Service unavailable")
        return None

    async def _create(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        form = {name: str(value) for name, value in (await request.post()).items()}
        call = OutgoingCall(self, self.requests, form, self._seconds_per_letter)
        self.register(call.sid, call)
        call.begin()
        return web.json_response({"sid": call.sid, "status": "queued", "to": form["To"]}, status=201)

    async def _update(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        sid = request.match_info["sid"]
        call = self._calls.get(sid)
        if call is None:
            return _problem(404, 20404, "The requested resource was not found")
        if call.is_over:
            return _problem(400, 21220, "Call is not in-progress. Cannot redirect.")
        form = await request.post()
        if form.get("Status") == "completed":
            call.complete()
        elif "Url" in form and self.lose_redirects > 0:
            self.lose_redirects -= 1
            return _problem(503, 20503, "Service unavailable")
        elif "Url" in form:
            call.redirect(str(form["Url"]), str(form.get("Method", "POST")))
        else:
            return _problem(400, 20001, "Nothing to change")
        return web.json_response({"sid": sid, "status": "in-progress"})


def _problem(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message, "status": status}, status=status)


async def answered(colleague: Colleague, ring: float) -> str:
    """Wait until it is known how the ringing ends; "completed" when somebody, or something, answers."""
    silent = colleague.outcome == "no-answer" or colleague.answers_after > ring
    await asyncio.sleep(ring if silent else colleague.answers_after)
    if silent:
        return "no-answer"
    return "completed" if colleague.outcome == "answers" else colleague.outcome


class OutgoingCall:
    """A call that REST asked for: rings a colleague, who then obeys the TwiML they are given."""

    def __init__(
        self, exchange: ExchangeDouble, requests: CarrierRequests, order: dict[str, str], seconds_per_letter: float
    ) -> None:
        self.sid: Final = f"CA{uuid.uuid4().hex}"
        self._exchange = exchange
        self._requests = requests
        self._order = order
        self._seconds_per_letter = seconds_per_letter
        self._number = order["To"]
        self._person = exchange.colleague(self._number)
        self._keys = list(self._person.keys)
        self._answered = False
        self._over = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._over

    def begin(self) -> None:
        """Dial."""
        self._task = self._exchange.start(self._run())

    def redirect(self, url: str, method: str) -> None:
        """Not needed of colleagues' calls so far."""
        raise NotImplementedError("the double redirects callers only")

    def complete(self) -> None:
        """End it, ringing or not."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        status = "failed"
        try:
            status = await self._call()
        except asyncio.CancelledError:
            status = "completed" if self._answered else "canceled"
        except (ProtocolError, TransportError) as error:
            self._exchange.problems.append(str(error))
        finally:
            self._over = True
            self._exchange.note(self._number, status)
        if "StatusCallback" in self._order and not self._exchange.lose_reports:
            await self._exchange.report(self._order["StatusCallback"], self._form(status))

    async def _call(self) -> str:
        self._exchange.note(self._number, "rings")
        person = self._person
        status = await answered(person, float(self._order.get("Timeout", "60")))
        if status != "completed":
            return status
        self._answered = True
        self._exchange.note(self._number, "answers")
        if self._order.get("MachineDetection") and "AsyncAmdStatusCallback" in self._order:
            self._exchange.start(self._detect())
        with suppress(TimeoutError):
            async with asyncio.timeout(person.hangs_up_after):
                await self._obey_server()
        return "completed"

    async def _detect(self) -> None:
        await asyncio.sleep(self._person.detected_after)
        form = {"CallSid": self.sid, "AccountSid": self._exchange.account_sid, "AnsweredBy": self._person.answered_by}
        await self._exchange.report(self._order["AsyncAmdStatusCallback"], form)

    async def _obey_server(self) -> None:
        url, fields = self._order["Url"], dict[str, str]()
        for _ in range(MOST_DOCUMENTS):
            form = self._form("in-progress") | fields
            document = await self._requests.document(url, form, "POST", lambda _: None)
            following = await self._obey(parse_twiml(document), url)
            if following is None:
                return
            url, fields = following
        raise ProtocolError("twiml", f"the server sent a colleague more than {MOST_DOCUMENTS} TwiML documents")

    async def _obey(self, verbs: tuple[Verb, ...], url: str) -> tuple[str, dict[str, str]] | None:
        for verb in verbs:
            match verb:
                case Say() | Pause() | Play():
                    await self._listen(verb)
                case Gather():
                    key = await self._gather(verb)
                    if key:
                        return urljoin(url, verb.action or url), {"Digits": key}
                case Redirect():
                    return urljoin(url, verb.url), {}
                case Dial(room=Room() as room):
                    self._exchange.note(self._number, "joins")
                    await self._exchange.meet(room, self.sid, self._person.talks)
                    return None
                case Hangup():
                    return None
                case _:
                    raise ProtocolError("twiml", f"12200 this telephone does not understand {type(verb).__name__}")
        return None

    async def _listen(self, verb: Say | Pause | Play) -> None:
        if isinstance(verb, Say):
            self._exchange.note(self._number, f"hears {verb.text}")
            await asyncio.sleep(len(verb.text) * self._seconds_per_letter)

    async def _gather(self, verb: Gather) -> str:
        for prompt in verb.prompts:
            await self._listen(prompt)
        key = self._keys.pop(0) if self._keys else ""
        if not key:
            await asyncio.sleep(min(verb.timeout, self._person.hesitates))
            return ""
        self._exchange.note(self._number, f"presses {key}")
        return key

    def _form(self, status: str) -> dict[str, str]:
        return voice_form(
            self.sid,
            account_sid=self._exchange.account_sid,
            caller=self._order.get("From", ""),
            called=self._number,
            direction="outbound-api",
            CallStatus=status,
        )
