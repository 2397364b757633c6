"""A carrier double: does on one machine what Twilio does with a call, on the real wire format.

It posts the signed webhook, obeys the TwiML, opens the signed media socket, sends the caller
as 20 ms frames in real time, plays what the agent sends at the speed of sound, returns marks
when their audio has been heard, follows `<Redirect>` when the socket ends, and posts the
status callback. It places the call and keeps the time; *what* the caller says is up to
whoever holds it (see `caller`).

Invariants
* One absolute schedule per call: tick `n` is due at `answer + n * 20 ms`. A late tick is made
  up for, never skipped, and the sockets are read in between, so that a busy machine shows as
  `recording.worst_lateness` and not as a gap of the agent.
* A call always ends: by the caller, the agent, a failure or `max_seconds`; never by an exception.
  What went wrong is in `recording.end` and `recording.errors`.

With an `ExchangeDouble`, its `<Dial>` rings that one's colleagues and REST can change the call; without one a
`<Dial>` to a number is over at once, as `dial_outcome` says. How it asks the server is in `requests`.

Source: Twilio's "TwiML for Programmable Voice" and "Media Streams"; what is not documented is marked so where
it is decided.
"""

import asyncio
import email.utils
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urljoin

import numpy as np
from numpy.typing import NDArray

from talkspurt.errors import CallError, ProtocolError, TransportError
from talkspurt.media import g711
from talkspurt.simulate.channel import Carried, Channel
from talkspurt.simulate.exchange import ExchangeDouble
from talkspurt.simulate.loudness import is_audible
from talkspurt.simulate.media_stream import MediaStream
from talkspurt.simulate.playout import FRAME_BYTES, PlayoutBuffer, Tick
from talkspurt.simulate.recording import CallEnd, CallRecording, EventKind
from talkspurt.simulate.requests import WEBHOOK_SECONDS, CarrierRequests, voice_form
from talkspurt.simulate.twiml import (
    ConnectStream,
    Dial,
    Gather,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Verb,
    parse_twiml,
)
from talkspurt.simulate.voices import speak

FRAME_SECONDS: Final = 0.02
MOST_DOCUMENTS: Final = 30
"""TwiML documents in one call: a server that redirects for ever must not keep a test busy for ever."""
FRAME_PCM_BYTES: Final = 2 * FRAME_BYTES
SILENT_FRAME: Final = g711.MULAW_SILENCE * FRAME_BYTES

DialOutcome = Literal["completed", "busy", "no-answer", "failed"]
Request = tuple[str, dict[str, str], str]
"""URL, fields and method of the request for the next document."""
Speaker = Callable[[str], Awaitable[NDArray[np.int16]]]


class CallEndedError(CallError):
    """The call ended while somebody waited for something on it."""


class TwilioDouble:
    """One call to a server that believes it is talking to Twilio. An async context manager: entering dials.

    Use `speak`, `press` and `hang_up` to be the caller; `until` and `next_tick` to wait in the
    line's own time; `ended` and `recording` for what came of it.
    """

    def __init__(
        self,
        url: str,
        *,
        auth_token: str | None = None,
        public_url: str | None = None,
        from_number: str = "+14155550100",
        to_number: str = "+18005550199",
        voice_path: str = "/twilio/voice",
        status_path: str = "/twilio/status",
        account_sid: str = "AC" + "0" * 32,
        dial_outcome: DialOutcome = "completed",
        exchange: ExchangeDouble | None = None,
        carrier_voice: Speaker = speak,
        channel: Channel | None = None,
        max_seconds: float = 600.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`url` is the server's origin; `auth_token` signs everything (None: nothing is signed).

        `channel` carries the caller's voice to the carrier; None is a perfect line.
        """
        self._requests = CarrierRequests(url, public_url=public_url, auth_token=auth_token, ssl_context=ssl_context)
        self._voice_path = voice_path
        self._status_path = status_path
        self._from = from_number
        self._to = to_number
        self._account_sid = account_sid
        self._dial_outcome = dial_outcome
        self._exchange = exchange
        self._carrier_voice = carrier_voice
        self._channel = channel
        self._max_seconds = max_seconds
        self._ssl_context = ssl_context
        self.recording = CallRecording(call_sid=f"CA{uuid.uuid4().hex}")
        self._outgoing = bytearray()
        """What the caller is about to say, PCM16: it becomes mu-law behind the channel."""
        self._playout = PlayoutBuffer()
        """What the carrier itself says; a stream brings its own."""
        self._stream: MediaStream | None = None
        self._ticks = 0
        self._answered_at: float | None = None
        self._last_audible_tick: int | None = None
        self._tick = asyncio.Event()
        self._answered = asyncio.Event()
        self._ended = asyncio.Event()
        self._hang_up = asyncio.Event()
        self._redirected: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        """Where REST wants the call to go on: URL and method."""
        self._completed = asyncio.Event()
        self._keys: asyncio.Queue[str] | None = None
        """Keys for the `<Gather>` under way."""
        self._call: asyncio.Task[None] | None = None
        self._documents = 0
        self.listener: Callable[[bytes], None] | None = None
        """Given every 20 ms of mu-law that the caller hears."""

    # ── the caller's side ─────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        if self._exchange is not None:
            self._exchange.register(self.recording.call_sid, self)
        self._call = asyncio.create_task(self._run(), name=f"call {self.recording.call_sid}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up if nobody has, and wait until the carrier has finished. Idempotent."""
        self.hang_up()
        if self._call is not None:
            try:
                async with asyncio.timeout(2 * WEBHOOK_SECONDS):
                    await asyncio.shield(self._call)
            except TimeoutError:
                self._call.cancel()
                with suppress(asyncio.CancelledError):
                    await self._call

    @property
    def now(self) -> float:
        """Seconds since the call was answered."""
        return self._ticks * FRAME_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._ended.is_set()

    @property
    def unsent(self) -> float:
        """Seconds of the caller's audio that are still to be sent."""
        return len(self._outgoing) / 16_000

    @property
    def playing(self) -> bool:
        """Whether the carrier holds audio of the agent that has not been heard to its end."""
        return not (self._stream.playout if self._stream else self._playout).idle

    @property
    def last_heard(self) -> float | None:
        """When the caller last heard something, or None."""
        return None if self._last_audible_tick is None else (self._last_audible_tick + 1) * FRAME_SECONDS

    def speak(self, samples: NDArray[np.int16]) -> tuple[float, float]:
        """Say a clip (8 kHz) after what is already being said; returns when it begins and ends on the line."""
        begins = self.now + self.unsent
        self._outgoing += samples.astype("<i2").tobytes()
        return begins, begins + len(samples) / 8_000

    def press(self, digits: str) -> None:
        """Press keys on the keypad."""
        for digit in digits:
            self._log("digit", digit)
            if self._stream is not None:
                self._stream.press(digit)
            if self._keys is not None:
                self._keys.put_nowait(digit)

    def redirect(self, url: str, method: str) -> None:
        """REST replaces the call's TwiML."""
        self._log("redirected", url)
        self._redirected.put_nowait((url, method))

    def complete(self) -> None:
        """REST ends the call."""
        self._completed.set()

    def hang_up(self) -> None:
        """Put the phone down. Idempotent."""
        self._hang_up.set()

    async def until(self, moment: float) -> None:
        """Wait until the line's clock shows `moment`. Raises `CallEndedError` when the call ends before."""
        while self.now < moment:
            await self.next_tick()

    async def next_tick(self) -> None:
        """Wait for the next 20 ms. Raises `CallEndedError` when the call is over."""
        await self._tick.wait()
        if self.is_over:
            end = self.recording.end
            raise CallEndedError(f"the call is over: {end.reason if end else 'unknown'}")

    async def answered(self) -> bool:
        """Wait until the call is answered (True) or has ended without (False)."""
        await self._answered.wait()
        return self._answered_at is not None

    async def ended(self) -> CallEnd:
        """Wait for the end of the call; bounded by `max_seconds` and the webhooks' own limits."""
        await self._ended.wait()
        assert self.recording.end is not None
        return self.recording.end

    # ── the life of the call ──────────────────────────────────────────────────────

    async def _run(self) -> None:
        end = CallEnd("carrier", "the simulated call was cancelled", failed=True)
        try:
            end = await self._first_end()
        finally:
            self.recording.end = end
            self._log("ended", f"{end.by}: {end.reason}")
            self._ended.set()
            self._answered.set()
            self._tick.set()
            await self._report_status()
            await self._requests.aclose()

    async def _first_end(self) -> CallEnd:
        """Whatever ends the call first: its TwiML, the caller, or the clock's time limit."""
        twiml = asyncio.create_task(self._obey_server())
        caller = asyncio.create_task(self._hang_up.wait())
        rest = asyncio.create_task(self._completed.wait())
        clock = asyncio.create_task(self._keep_time())
        tasks = (twiml, caller, rest, clock)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if twiml.done():
                return twiml.result()
            if caller.done():
                return CallEnd("caller", "hung up")
            if rest.done():
                return CallEnd("agent", "completed over REST")
            return clock.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _answer(self) -> None:
        if self._answered_at is None:
            self._answered_at = asyncio.get_running_loop().time()
            self._answered.set()

    async def _keep_time(self) -> CallEnd:
        await self._answered.wait()
        loop = asyncio.get_running_loop()
        start = self._answered_at or loop.time()
        while self.now < self._max_seconds:
            due = start + self._ticks * FRAME_SECONDS
            # Even a late tick lets the sockets be read first: audio that has arrived is not late.
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.recording.worst_lateness = max(self.recording.worst_lateness, loop.time() - due)
            self._play_tick()
        return CallEnd("carrier", f"the call reached its limit of {self._max_seconds:g} s", failed=True)

    def _play_tick(self) -> None:
        pcm = bytes(self._outgoing[:FRAME_PCM_BYTES]).ljust(FRAME_PCM_BYTES, b"\0")
        del self._outgoing[:FRAME_PCM_BYTES]
        tick = self._stream.play() if self._stream is not None else self._playout.tick()
        spoken = g711.encode_mulaw(pcm)
        carried = Carried(spoken) if self._channel is None else self._channel.carry(pcm, g711.decode_mulaw(tick.frame))
        if self._stream is not None:
            self._stream.send(carried.frame, spoke=is_audible(spoken), lost=carried.lost, late=carried.late)
        self._note(tick)
        self.recording.caller_mulaw += SILENT_FRAME if carried.lost else carried.frame
        self.recording.agent_mulaw += tick.frame
        if is_audible(tick.frame):
            self._last_audible_tick = self._ticks
        if self.listener is not None:
            self.listener(tick.frame)
        self._ticks += 1
        self._tick.set()
        self._tick = asyncio.Event()

    def _note(self, tick: Tick) -> None:
        if tick.gap:
            self.recording.log(self.now - tick.gap, "gap", seconds=tick.gap)
        if tick.pause:
            self.recording.log(self.now - tick.pause, "pause", seconds=tick.pause)

    # ── TwiML ─────────────────────────────────────────────────────────────────────

    async def _obey_server(self) -> CallEnd:
        try:
            url = self._requests.public_origin + self._voice_path
            form: dict[str, str] = {"CallStatus": "ringing"}
            method = "POST"
            while True:
                outcome = await self._unless_redirected(self._obey_document(url, form, method))
                if isinstance(outcome, CallEnd):
                    return outcome
                url, form, method = outcome
        except (ProtocolError, TransportError) as error:
            self._log("error", str(error))
            return CallEnd("carrier", str(error), failed=True)

    async def _obey_document(self, url: str, form: dict[str, str], method: str) -> CallEnd | Request:
        return await self._obey(parse_twiml(await self._fetch(url, form, method)), url)

    async def _unless_redirected(self, obeying: Coroutine[Any, Any, CallEnd | Request]) -> CallEnd | Request:
        """What the document leads to, or what REST puts in its place while it runs."""
        document = asyncio.ensure_future(obeying)
        redirected = asyncio.ensure_future(self._redirected.get())
        try:
            await asyncio.wait({document, redirected}, return_when=asyncio.FIRST_COMPLETED)
            if redirected.done():
                url, method = redirected.result()
                return url, {}, method
            return document.result()
        finally:
            redirected.cancel()
            document.cancel()
            await asyncio.gather(document, redirected, return_exceptions=True)

    async def _obey(self, verbs: tuple[Verb, ...], url: str) -> CallEnd | Request:
        """Run a document; returns the end of the call, or the request for the document that replaces it."""
        for verb in verbs:
            if not isinstance(verb, Redirect | Reject):
                self._answer()
            match verb:
                case ConnectStream():
                    await self._connect(verb)
                    if verb.action is not None:
                        return urljoin(url, verb.action), {}, verb.method
                case Redirect():
                    return urljoin(url, verb.url), {}, verb.method
                case Say(text):
                    await self._say(text)
                case Pause(seconds):
                    await self._let_pass(seconds)
                case Play():
                    self._log("played", verb.url)
                case Gather():
                    key = await self._gather(verb)
                    if key:
                        return urljoin(url, verb.action or url), {"Digits": key}, "POST"
                case Dial():
                    outcome = {"DialCallStatus": await self._dial(verb), "DialCallSid": f"CA{uuid.uuid4().hex}"}
                    if verb.action is not None:
                        return urljoin(url, verb.action), outcome, verb.method
                case Hangup():
                    return CallEnd("agent", "hung up")
                case Reject(reason):
                    return CallEnd("agent", f"rejected the call: {reason}", failed=True)
        return CallEnd("agent", "hung up")

    async def _connect(self, verb: ConnectStream) -> None:
        stream = MediaStream(
            account_sid=self._account_sid,
            call_sid=self.recording.call_sid,
            parameters=dict(verb.parameters),
            log=self._log,
        )
        headers = {"User-Agent": "Twilio.TmeWs/1.0", **self._requests.signature(verb.url, {})}
        try:
            await stream.open(self._requests.dialled(verb.url), headers=headers, ssl_context=self._ssl_context)
        except TransportError as error:
            # Not documented what follows; field reports say that the next verb runs, as after any stream.
            self._log("error", str(error))
            return
        try:
            self._log("stream_started", stream.stream_sid)
            self._stream = stream
            await stream.closed.wait()
        finally:
            self._stream = None
            if unheard := stream.playout.queued:
                self.recording.log(self.now, "audio_dropped", seconds=unheard)
            self._log("stream_ended", stream.stream_sid)
            await stream.stop()

    async def _gather(self, verb: Gather) -> str:
        """The key that the caller presses while the prompts are played or a little later; "" for none."""
        keys: asyncio.Queue[str] = asyncio.Queue()
        self._keys = keys
        prompting = asyncio.ensure_future(self._prompt(verb))
        pressed = asyncio.ensure_future(keys.get())
        try:
            await asyncio.wait({prompting, pressed}, return_when=asyncio.FIRST_COMPLETED)
            return pressed.result() if pressed.done() else ""
        finally:
            self._keys = None
            self._playout = PlayoutBuffer()
            for task in (prompting, pressed):
                task.cancel()
            await asyncio.gather(prompting, pressed, return_exceptions=True)

    async def _prompt(self, verb: Gather) -> None:
        for prompt in verb.prompts:
            match prompt:
                case Say(text):
                    await self._say(text)
                case Pause(seconds):
                    await self._let_pass(seconds)
                case Play():
                    self._log("played", prompt.url)
        await self._let_pass(verb.timeout)

    async def _dial(self, verb: Dial) -> str:
        """Ring somebody, or meet them in a room; returns the DialCallStatus."""
        exchange = self._exchange
        if verb.room is not None:
            if exchange is None:
                raise ProtocolError("twiml", "12200 there are no conferences without an exchange")
            self._log("joined", verb.room.name)
            await exchange.meet(verb.room, self.recording.call_sid)
            self._log("left", verb.room.name)
            return "completed"
        self._log("dialled", verb.number)
        if exchange is None:
            return self._dial_outcome
        return await exchange.put_through(verb, self._form({"CallStatus": "in-progress"}))

    async def _say(self, text: str) -> None:
        self._log("said", text)
        self._playout = PlayoutBuffer()
        self._playout.enqueue(g711.encode_mulaw((await self._carrier_voice(text)).astype("<i2").tobytes()))
        while not self._playout.idle:
            await self._tick.wait()

    async def _let_pass(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            await self._tick.wait()

    # ── requests ──────────────────────────────────────────────────────────────────

    async def _fetch(self, url: str, fields: dict[str, str], method: str) -> str:
        self._documents += 1
        if self._documents > MOST_DOCUMENTS:
            raise ProtocolError("twiml", f"the server sent more than {MOST_DOCUMENTS} TwiML documents in one call")
        form = self._form({"CallStatus": "in-progress"} | fields)
        return await self._requests.document(url, form, method, self._note_request)

    async def _report_status(self) -> None:
        end = self.recording.end
        assert end is not None
        unanswered = "canceled" if end.by == "caller" else "failed"
        form = self._form(
            {
                "CallStatus": unanswered if self._answered_at is None else "completed",
                "CallDuration": str(round(self.now)),
                "Duration": str(-(-round(self.now) // 60)),
                "Timestamp": email.utils.formatdate(time.time()),
                "CallbackSource": "call-progress-events",
                "SequenceNumber": "0",
            }
        )
        await self._report(self._requests.public_origin + self._status_path, form)

    async def _report(self, url: str, form: dict[str, str]) -> None:
        problem = await self._requests.report(url, form, self._note_request)
        if problem is not None:
            self._log("error", problem)

    def _form(self, fields: dict[str, str]) -> dict[str, str]:
        return voice_form(
            self.recording.call_sid,
            account_sid=self._account_sid,
            caller=self._from,
            called=self._to,
            direction="inbound",
            **fields,
        )

    def _note_request(self, request: str) -> None:
        self._log("request", request)

    def _log(self, kind: EventKind, detail: str) -> None:
        self.recording.log(self._clock(), kind, detail)

    def _clock(self) -> float:
        if self._answered_at is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._answered_at
