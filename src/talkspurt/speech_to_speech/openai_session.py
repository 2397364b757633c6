"""One call's session at OpenAI's Realtime API: a WebSocket on which the caller is heard and the model speaks.

The conversation stays ours. The vendor's turn detection is off, so nothing happens there that was not asked for:
`finalize` commits audio and has it transcribed, `reply` brings the vendor's conversation in step with our history
(`mirror.py`) and then asks for one response. Only utterances are sent, not the silence, echo and noise between them.

Invariants:
* the port's synchronous methods only touch memory; what the vendor is told waits in one bounded outbox, in order;
* one response at a time: a new request ends the one before, and waits until the vendor says that it is over;
* text is passed on as it comes, tool calls only once the vendor has said that the reply is whole: until then there
  are signs of them;
* every `finalize` is answered, within `ANSWER_S`, unless its utterance has ended;
* a session that the vendor cannot follow any more is lost as a whole. Who asks for another begins with our history.

Source: developers.openai.com, "Realtime conversations", "Realtime transcription", and the SDK's types.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import pybase64
import structlog
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime.conversation_item_param import ConversationItemParam
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam
from openai.types.realtime.realtime_session_create_request_param import RealtimeSessionCreateRequestParam

from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.models.messages import GO_ON, object_text, tool_name
from talkspurt.ports import (
    LINE_RATE_HZ,
    ReplyPart,
    ReplyRequest,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    Transcript,
    Usage,
)
from talkspurt.speech_to_speech.call import Message, Spoken, too_long
from talkspurt.speech_to_speech.mirror import (
    AgentAudio,
    CallerAudio,
    Change,
    Create,
    Delete,
    Item,
    Told,
    ToolResult,
    ToolUse,
    Truncate,
    reconcile,
)
from talkspurt.speech_to_speech.utterances import Utterances
from talkspurt.telemetry.metrics import ANOMALIES
from talkspurt.telemetry.usage import METER, estimated

VENDOR: Final = "openai-realtime"
TRANSCRIBER: Final = "gpt-transcribe"
"""Who writes down what the caller says; the model itself hears the audio."""

ANSWER_S: Final = 3.0
"""Patience for a transcript."""
OVER_S: Final = 1.5
"""Patience for the end of a response that was cancelled."""
CLOSE_S: Final = 1.0
LEAD_S: Final = 2.0
"""Audio kept while there is no utterance: the next one begins in the past."""
BATCH_S: Final = 0.1
"""Audio per message."""
SHORTEST_S: Final = 0.1
"""The vendor takes no less audio than this for a commit."""
OUTBOX: Final = 400
"""Messages that may wait for the vendor: half a minute of audio."""
SOUND: Final = 8
"""Tokens of sound, and of its transcript, for one of text: some 20 a second for 2.5 words."""
TOKENS_PER_S: Final = 20
"""Of the model's sound ("Managing costs": one for 50 ms)."""
MOST_TOKENS: Final = 4_096
"""More the vendor does not take as a limit."""
SLOWEST: Final = 0.25
FASTEST: Final = 1.5
"""Paces that the vendor's voices can do."""

_BYTES_PER_S: Final = 2 * LINE_RATE_HZ
_ANSWERS: Final = 256
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{2,60}")
_FAULTS: Final[Mapping[str, tuple[ProviderFault, bool]]] = {
    "rate_limit_exceeded": ("rate_limited", True),
    "insufficient_quota": ("quota_exceeded", False),
    "invalid_api_key": ("key_rejected", False),
    "model_not_found": ("unknown_model", False),
    "context_length_exceeded": ("too_long", False),
    "server_error": ("unavailable", True),
}
_OF_THE_AGENT: Final = ("session.instructions", "session.tools")
_UNTAKEN: Final = (
    "the agent's instructions or tools are not taken; look at the tools' names, descriptions and parameters"
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ways:
    """How a model is used in all calls."""

    name: str
    """As configured, for the meter."""
    voice: str = ""
    """One of the vendor's; "" for its default."""
    max_tokens: int = 300
    """Of text."""


@dataclass(eq=False, slots=True)
class _Response:
    """A reply under way. Its parts end with None or an error."""

    request: ReplyRequest
    parts: asyncio.Queue[ReplyPart | ProviderError | None] = field(default_factory=asyncio.Queue)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    id: str | None = None
    messages: dict[str, Message] = field(default_factory=dict)
    calls: list[ToolCallPart] = field(default_factory=list)
    abandoned: bool = False

    @property
    def number(self) -> int:
        """The reply's number in its call."""
        return self.request.reply

    @property
    def said(self) -> bool:
        """Whether there are words in it."""
        return any(message.speech.text for message in self.messages.values())


class OpenAISession:
    """A `VendorSession`."""

    def __init__(self, connection: AsyncRealtimeConnection, spoken: Spoken, ways: Ways, locale: str) -> None:
        self._connection = connection
        self._spoken = spoken
        self._ways = ways
        self._meter = METER.get()
        self._outbox: deque[str] = deque()
        self._to_send = asyncio.Event()
        self._sent = 0
        """Messages sent so far, by which they are named."""
        self._answers: deque[Transcript] = deque(maxlen=_ANSWERS)
        self._to_tell = asyncio.Event()
        self._utterances = Utterances(self._tell)
        self._lead = bytearray()
        self._pending = bytearray()
        """Audio of the utterance that has not been sent."""
        self._uncommitted = 0
        """Bytes of the utterance that were sent since the last commit."""
        self._items: list[Item] = []
        self._made = 0
        self._standing: dict[str, Any] = {}
        """What the vendor was told of instructions, tools and pace."""
        self._response: _Response | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost: ProviderError | None = None
        self._closed = False
        self.unreadable = 0
        """Messages that were not of the protocol."""
        self._handlers: Mapping[str, Callable[[Any], None]] = {
            "session.updated": self._session_updated,
            "error": self._failed,
            "input_audio_buffer.committed": self._committed,
            "conversation.item.input_audio_transcription.delta": self._partly_transcribed,
            "conversation.item.input_audio_transcription.completed": self._transcribed,
            "conversation.item.input_audio_transcription.failed": self._not_transcribed,
            "response.created": self._response_created,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.output_audio_transcript.delta": self._text_came,
            "response.output_text.delta": self._text_came,
            "response.output_audio.delta": self._sound_came,
            "response.function_call_arguments.delta": self._call_came,
            "response.done": self._response_done,
        }
        self._send({"type": "session.update", "session": self._beginning(locale)})
        loop = asyncio.get_running_loop()
        self._tasks = (
            loop.create_task(self._run(self._write()), name="openai realtime writer"),
            loop.create_task(self._run(self._read()), name="openai realtime reader"),
        )

    async def begun(self) -> None:
        """Wait until the vendor has accepted the session. Raises `ProviderError`."""
        await asyncio.shield(self._ready)

    # ── hearing ───────────────────────────────────────────────────────────────────

    def feed(self, pcm: bytes, /) -> None:
        """Keep the caller's next audio; of an utterance, send it."""
        self._lead += pcm
        if len(self._lead) > 2 * LEAD_S * _BYTES_PER_S:
            del self._lead[: -round(LEAD_S * _BYTES_PER_S)]
        if self._utterances.current is not None:
            self._pending += pcm
            if len(self._pending) >= BATCH_S * _BYTES_PER_S:
                self._send_audio()

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""
        before = min(len(self._lead), 2 * round(lead_in * LINE_RATE_HZ))
        if self._utterances.current is None and before:
            self._pending = self._lead[-before:]
        self._utterances.begin(utterance)

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Have the words of `utterance` up to now written down."""
        if self._lost is not None:
            self._tell(Transcript(utterance, revision, "", error="the session is lost"))
            return
        if utterance == self._utterances.current:
            self._send_audio()
            if self._uncommitted >= SHORTEST_S * _BYTES_PER_S:
                self._utterances.commit(utterance)
                self._count_heard(self._uncommitted / _BYTES_PER_S)
                self._uncommitted = 0
                self._send({"type": "input_audio_buffer.commit", "event_id": self._name("commit")})
        self._utterances.ask(utterance, revision)
        asyncio.get_running_loop().call_later(
            ANSWER_S, self._utterances.give_up, utterance, revision, "no transcript in time"
        )

    def end(self, utterance: int, /) -> None:
        """Forget `utterance`; what was not committed of it is thrown away."""
        self._utterances.end(utterance)
        if self._utterances.current is None:
            self._pending.clear()
            if self._uncommitted:
                self._uncommitted = 0
                self._send({"type": "input_audio_buffer.clear"})

    async def transcripts(self) -> AsyncGenerator[Transcript, None]:
        """Everything heard, until `aclose`. Raises `ProviderError` when the session is lost."""
        while True:
            while self._answers:
                yield self._answers.popleft()
            if self._closed:
                return
            if self._lost is not None:
                raise self._lost
            self._to_tell.clear()
            await self._to_tell.wait()

    async def aclose(self) -> None:
        """Say goodbye to the vendor, for a bounded time. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._lose(ProviderError("model", VENDOR, "the session has ended"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()
        _abort(self._connection)

    # ── thinking and speaking ─────────────────────────────────────────────────────

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply; its sound goes to the call's `Spoken`. Raises `ProviderError`."""
        await self._make_room()
        response = self._response = _Response(request)
        self._configure(request)
        self._bring_in_step(request)
        wanted: dict[str, Any] = {"metadata": {"reply": str(request.reply)}}
        if request.continues:
            # In this response they stand for the session's.
            wanted["instructions"] = f"{self._standing['instructions']}\n\n{GO_ON}"
        event = {"type": "response.create", "event_id": self._name("response"), "response": wanted}
        self._send(cast(RealtimeClientEventParam, event))
        try:
            while True:
                part = await response.parts.get()
                if isinstance(part, ProviderError):
                    raise part
                if part is None:
                    return
                yield part
        finally:
            self._abandon(response)

    async def _make_room(self) -> None:
        """Nobody waits for the response before: see to it that it is over."""
        before = self._response
        if before is not None:
            self._abandon(before)
            try:
                async with asyncio.timeout(OVER_S):
                    await before.over.wait()
            except TimeoutError:
                self._lose(ProviderError("model", VENDOR, "a cancelled reply does not end", fault="timeout"))
        if self._lost is not None:
            raise self._lost

    def _abandon(self, response: _Response) -> None:
        if not response.over.is_set() and not response.abandoned:
            response.abandoned = True
            self._send({"type": "response.cancel", "event_id": self._name("cancel")})

    def _configure(self, request: ReplyRequest) -> None:
        """Tell the vendor instructions, tools and pace, if they are not what it knows."""
        standing: dict[str, Any] = {
            "instructions": "\n\n".join(text for text in (request.instructions, request.caller_facts) if text.strip()),
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                }
                for tool in request.tools
            ],
            "audio": {"output": {"speed": min(FASTEST, max(SLOWEST, request.pace))}},
        }
        news = {name: value for name, value in standing.items() if self._standing.get(name) != value}
        if news:
            self._standing = standing
            session = cast(RealtimeSessionCreateRequestParam, {"type": "realtime", **news})
            # Without a new pace it speaks as before; without the others it would be nobody's agent.
            name = self._name("pace" if news.keys() == {"audio"} else "update")
            self._send({"type": "session.update", "event_id": name, "session": session})

    def _bring_in_step(self, request: ReplyRequest) -> None:
        changes, self._items = reconcile(self._items, request.history, self._new_id, spared=self._utterances.spared)
        for change in changes:
            self._send(self._event(change))

    def _event(self, change: Change) -> RealtimeClientEventParam:
        match change:
            case Delete(id_):
                return {"type": "conversation.item.delete", "event_id": self._name("delete"), "item_id": id_}
            case Truncate(id_, seconds):
                return {
                    "type": "conversation.item.truncate",
                    "event_id": self._name("truncate", id_),
                    "item_id": id_,
                    "content_index": 0,
                    "audio_end_ms": int(seconds * 1_000),
                }
            case Create(item, after):
                return {
                    "type": "conversation.item.create",
                    "event_id": self._name("create"),
                    "previous_item_id": after or "root",
                    "item": _item(item),
                }

    # ── what the vendor says ──────────────────────────────────────────────────────

    def _session_updated(self, _event: Any) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _failed(self, event: Any) -> None:
        """The vendor refuses something; which it was, the name that we gave it says."""
        error = event.error
        code = _code(error.code) or _code(error.type) or "error"
        kind, _, about = str(error.event_id or "").partition(".")
        if not self._ready.done():
            self._lose(_error(code))
        elif kind == "commit":
            self._utterances.fail_commit(code)
        elif kind == "response" and self._response is not None:
            self._end(self._response, _error(code))
            self._response.over.set()
        elif kind == "update" or (not kind and str(error.param).startswith(_OF_THE_AGENT)):
            # The reply that has been asked for would know neither rules nor tools. Some are told without our name.
            self._lose(_error(code) if code in _FAULTS else _error(f"{code}: {_UNTAKEN}", "rejected"))
        elif kind == "create":
            # What it does not know now, it will never know.
            self._lose(_error(code))
        elif kind == "truncate":
            # By the vendor's own count there is less of it. It goes, and what was heard of it is told in words.
            item = about.partition(".")[2]
            self._items = [each for each in self._items if each.id != item]
            self._send(self._event(Delete(item)))
        if kind not in ("cancel", "commit"):
            ANOMALIES.labels("vendor_refused").inc()
            _log.warning("vendor_refused", vendor=VENDOR, what=kind or "nothing of ours", code=code)

    def _committed(self, event: Any) -> None:
        utterance = self._utterances.name(str(event.item_id))
        if utterance is not None:
            self._items.append(CallerAudio(str(event.item_id), utterance))

    def _partly_transcribed(self, event: Any) -> None:
        self._utterances.hear_part(str(event.item_id), str(event.delta or ""))

    def _transcribed(self, event: Any) -> None:
        self._note_transcript(str(event.item_id), str(event.transcript))
        self._utterances.hear(str(event.item_id), str(event.transcript))

    def _not_transcribed(self, event: Any) -> None:
        self._utterances.fail(str(event.item_id), _code(event.error.code) or "not transcribed")

    def _note_transcript(self, id_: str, text: str) -> None:
        self._items = [
            replace(item, text=text.strip()) if isinstance(item, CallerAudio) and item.id == id_ else item
            for item in self._items
        ]

    def _response_created(self, event: Any) -> None:
        if self._response is not None and self._response.id is None:
            self._response.id = str(event.response.id)

    def _of(self, event: Any) -> _Response | None:
        response = self._response
        return response if response is not None and response.id == event.response_id else None

    def _item_added(self, event: Any) -> None:
        response = self._of(event)
        if response is None or event.item.type != "message":
            return
        message = self._spoken.begin(response.number)
        if response.messages:
            # Another message is another paragraph, so that no sentence reaches from one into the next.
            response.parts.put_nowait(TextDelta("\n\n"))
        response.messages[str(event.item.id)] = message
        self._items.append(AgentAudio(str(event.item.id), message.speech))

    def _text_came(self, event: Any) -> None:
        response = self._of(event)
        message = response.messages.get(event.item_id) if response is not None else None
        if response is None or message is None or message.speech.whole or not event.delta:
            return
        text = str(event.delta)
        message.add_text(text)
        response.parts.put_nowait(TextDelta(text))
        self._bound(response)

    def _sound_came(self, event: Any) -> None:
        response = self._of(event)
        message = response.messages.get(event.item_id) if response is not None else None
        if response is None or message is None or message.speech.whole:
            return
        message.add_sound(decode_mulaw(pybase64.b64decode(event.delta, validate=True)))
        self._bound(response)

    def _call_came(self, event: Any) -> None:
        response = self._of(event)
        if response is not None:
            response.parts.put_nowait(ToolCallDelta(len(str(event.delta))))

    def _bound(self, response: _Response) -> None:
        if too_long(response.messages.values(), self._ways.max_tokens):
            # It was told to stop long before.
            self._abandon(response)
            self._end(response, None if response.said else _error("the reply was empty", "empty", retryable=True))

    def _item_done(self, event: Any) -> None:
        response, item = self._of(event), event.item
        if response is None:
            return
        if item.type == "message":
            message = response.messages.get(str(item.id))
            if message is not None:
                self._end_message(str(item.id), message, broken=item.status != "completed")
        elif item.type == "function_call":
            call = ToolCallPart(str(item.call_id), str(item.name), str(item.arguments or "{}"))
            response.calls.append(call)
            self._items.append(ToolUse(str(item.id), call.tool_call, call.name, call.arguments))

    def _end_message(self, id_: str, message: Message, *, broken: bool) -> None:
        message.end(broken=broken)
        if not message.speech.length:
            # It was written and not spoken: the synthesizer speaks it.
            written = Told(id_, "agent", message.speech.text)
            self._items = [written if item.id == id_ else item for item in self._items]

    def _response_done(self, event: Any) -> None:
        response = self._response
        if response is None or response.id not in (None, event.response.id):
            return
        status, details = event.response.status, event.response.status_details
        for id_, message in response.messages.items():
            self._end_message(id_, message, broken=status not in ("completed", "incomplete"))
        usage = self._used(event.response.usage, for_nobody=response.abandoned)
        said = bool(response.said or response.calls)
        if status == "failed":
            error = getattr(details, "error", None)
            self._end(response, _error(_code(getattr(error, "code", None)) or "failed"))
        elif status == "cancelled":
            self._end(response, _error("cancelled", "broken_off", retryable=True))
        elif status == "incomplete" and getattr(details, "reason", None) == "content_filter" and not said:
            self._end(response, _error("content_filter", "refused"))
        elif not said:
            self._end(response, _error("the reply was empty", "empty", retryable=True))
        elif status == "incomplete" and response.calls:
            # The last of them may be the half of one.
            self._end(response, _error("used up its tokens while it asked for a tool; raise model.max_tokens", "empty"))
        else:
            for call in response.calls:
                response.parts.put_nowait(call)
            response.parts.put_nowait(usage)
            self._end(response)
        # Also of one that was cancelled too late: it is completed then, and the next may begin.
        response.over.set()

    def _end(self, response: _Response, error: ProviderError | None = None) -> None:
        """Nothing more of the reply is given. The first end counts; it is over when the vendor says so."""
        for message in response.messages.values():
            message.end(broken=True)
        response.parts.put_nowait(error)

    def _used(self, usage: Any, *, for_nobody: bool) -> Usage:
        """Count what a response took; vendors count it also when nobody waited for it."""
        ins, outs = getattr(usage, "input_token_details", None), getattr(usage, "output_token_details", None)
        cached = getattr(ins, "cached_tokens_details", None)
        used = Usage(
            input_tokens=_count(usage, "input_tokens"),
            output_tokens=_count(usage, "output_tokens"),
            cached_tokens=_count(ins, "cached_tokens"),
            audio_input_tokens=_count(ins, "audio_tokens"),
            audio_output_tokens=_count(outs, "audio_tokens"),
            audio_cached_tokens=_count(cached, "audio_tokens"),
            model=self._ways.name,
        )
        if self._meter is not None:
            self._meter.thought(used)
            if for_nobody:
                self._meter.discarded(used)
        return used

    def _estimate(self, response: _Response) -> None:
        """Count a reply of which the vendor will not tell any more what it took, as far as it has come."""
        letters = sum(len(message.speech.text) for message in response.messages.values())
        sound = sum(message.speech.length for message in response.messages.values()) / _BYTES_PER_S
        if self._meter is None or not (letters or sound):
            return
        words = estimated(self._ways.name, response.request, letters, self._meter)
        spoken = round(TOKENS_PER_S * sound)
        used = replace(words, output_tokens=words.output_tokens + spoken, audio_output_tokens=spoken)
        self._meter.thought(used)
        self._meter.discarded(used)

    # ── the connection ────────────────────────────────────────────────────────────

    async def _run(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            # Whatever ends the connection ends it in the same way for us.
            self._lose(
                ProviderError(
                    "model",
                    VENDOR,
                    f"the connection was lost ({type(error).__name__})",
                    retryable=True,
                    fault="unreachable",
                )
            )

    async def _write(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._outbox:
                await self._connection.send_raw(self._outbox.popleft())

    async def _read(self) -> None:
        while True:
            data = await self._connection.recv_bytes()
            try:
                event = self._connection.parse_event(data)
                handle = self._handlers.get(event.type)
                # Of a session that is lost nothing is heard or said any more, whatever still comes.
                if handle is not None and self._lost is None:
                    handle(event)
            except (ValueError, TypeError, AttributeError, KeyError):
                # The SDK checks no types.
                self.unreadable += 1
                ANOMALIES.labels("vendor_unreadable").inc()

    def _lose(self, error: ProviderError) -> None:
        """Nothing more will come of this session."""
        if self._lost is not None:
            return
        self._lost = error
        if not self._ready.done():
            self._ready.set_exception(error)
            # Who waits for it sees it; without anybody it is no fault either.
            self._ready.exception()
        if self._response is not None and not self._response.over.is_set():
            self._estimate(self._response)
            self._end(self._response, error)
            self._response.over.set()
        self._utterances.fail_all("the session is lost")
        self._to_tell.set()

    def _send(self, event: RealtimeClientEventParam) -> None:
        if self._lost is not None:
            return
        self._outbox.append(json.dumps(event))
        self._to_send.set()
        if len(self._outbox) > OUTBOX:
            self._lose(ProviderError("model", VENDOR, "takes nothing any more", retryable=True, fault="timeout"))

    def _send_audio(self) -> None:
        if self._pending:
            # Always whole samples: the line brings whole frames.
            audio = pybase64.b64encode(encode_mulaw(bytes(self._pending))).decode("ascii")
            self._uncommitted += len(self._pending)
            self._pending.clear()
            self._send({"type": "input_audio_buffer.append", "audio": audio})

    def _name(self, kind: str, about: str = "") -> str:
        """A name for a message, by which the vendor says what it refuses."""
        self._sent += 1
        return f"{kind}.{self._sent}.{about}" if about else f"{kind}.{self._sent}"

    def _new_id(self) -> str:
        self._made += 1
        return f"ours_{self._made}"

    def _tell(self, transcript: Transcript) -> None:
        if self._answers and not (transcript.final or self._answers[-1].final):
            self._answers.pop()
        self._answers.append(transcript)
        self._to_tell.set()

    def _count_heard(self, seconds: float) -> None:
        if self._meter is not None:
            self._meter.add("recognition", f"openai:{TRANSCRIBER}", "seconds", seconds)

    def _beginning(self, locale: str) -> RealtimeSessionCreateRequestParam:
        output: dict[str, Any] = {"format": {"type": "audio/pcmu"}}
        if self._ways.voice:
            output["voice"] = self._ways.voice
        return cast(
            RealtimeSessionCreateRequestParam,
            {
                "type": "realtime",
                "output_modalities": ["audio"],
                "max_output_tokens": min(MOST_TOKENS, SOUND * self._ways.max_tokens),
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcmu"},
                        "transcription": {"model": TRANSCRIBER, "language": locale.partition("-")[0]},
                        "turn_detection": None,
                    },
                    "output": output,
                },
            },
        )


def _item(item: Told | ToolUse | ToolResult) -> ConversationItemParam:
    match item:
        case Told(id_, "caller", text):
            return {
                "type": "message",
                "id": id_,
                "role": "user",
                "content": [{"type": "input_text", "text": text}],
            }
        case Told(id_, _, text):
            return {
                "type": "message",
                "id": id_,
                "role": "assistant",
                "content": [{"type": "output_text", "text": text}],
            }
        case ToolUse(id_, tool_call, name, arguments):
            return {
                "type": "function_call",
                "id": id_,
                "call_id": tool_call,
                "name": tool_name(name),
                "arguments": object_text(arguments),
            }
        case ToolResult(id_, tool_call, content):
            return {"type": "function_call_output", "id": id_, "call_id": tool_call, "output": content}


def _error(code: str, fault: ProviderFault | None = None, *, retryable: bool = False) -> ProviderError:
    """What a vendor's code means. Its sentences are not passed on: they may quote the caller, or the key."""
    known, again = _FAULTS.get(code, ("failed", False))
    return ProviderError(
        "model", VENDOR, code, retryable=retryable or again, rejected=known == "key_rejected", fault=fault or known
    )


def _code(code: Any) -> str:
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _count(usage: Any, name: str) -> int:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) else 0


def _abort(connection: AsyncRealtimeConnection) -> None:
    """Drop the connection at once. The SDK offers only the closing handshake, which waits long for a dead peer."""
    transport = getattr(getattr(connection, "_connection", None), "transport", None)
    if transport is not None:
        transport.abort()
