"""OpenAI's Realtime API on loopback: the WebSocket `/v1/realtime`, with server-side conversation, audio and tools.

What it assumes about the vendor (developers.openai.com: "Realtime conversations", "Realtime API reference"; the types
of its SDK):
* the model is in the query, the key is `Authorization: Bearer <key>`; a refusal is an HTTP status. The first event is
  `session.created`, and `session.update` is answered by `session.updated`;
* audio is G.711 µ-law in both directions (`audio/pcmu`), and turn detection is off (`turn_detection: null`): only
  `input_audio_buffer.commit` makes a user's item of what was appended, `.clear` throws it away, and a commit of less
  than 100 ms is refused;
* a committed item is named by `input_audio_buffer.committed` and transcribed after that, by the deltas and the
  `completed` event of `conversation.item.input_audio_transcription`;
* items are created at the end, behind `previous_item_id`, or at the beginning (`root`); ids are the client's if it
  gives any, of at most 32 letters, and those of calls at most 64. Assistants' audio cannot be created.
  `conversation.item.truncate` takes an assistant's audio message, not further than its audio reaches, and deletes its
  transcript; a `conversation.item.delete` of what is not there is refused;
* a conversation has one active response; `response.create` while there is one is refused, `response.cancel` ends it
  with `response.done` of status `cancelled`, and is refused when there is none;
* a response is told by `response.created`, then for each item `response.output_item.added`, its deltas and
  `response.output_item.done`, at last `response.done` with its status and usage. Its transcript comes ahead of its
  audio;
* a tool's description has at most 1,024 characters; of an update that is refused nothing is done;
* a refusal is an `error` event with the `event_id` of what is refused; some of those of an update come without it, and
  their `param` says what was wrong (as users of the vendor report).

It neither hears nor thinks: what the commits hold is scripted (`heard`), and so are the replies. A voice is a tone with
a pause of a fifth of a second behind every sentence, so that tests can tell where sentences end.
"""

import asyncio
import audioop
import json
import re
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pybase64
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.testing.fakes.handshake import refuse
from talkspurt.testing.fakes.line import Line, LineState
from talkspurt.testing.fakes.script import Fault, ModelReply, Outage, ToolUse, fragments

SECONDS_PER_LETTER: Final = 0.075
PAUSE_S: Final = 0.2
_RATE_HZ: Final = 8_000
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LOUD: Final = 100
"""Root mean square below which a commit is silence, which has no words."""
_SHORTEST_BYTES: Final = 800
"""100 ms of µ-law."""
_LONGEST_DESCRIPTION: Final = 1_024

Answer = Callable[["Conversation"], ModelReply]


@dataclass(slots=True)
class HeldItem:
    """An item as the vendor holds it."""

    id: str
    kind: str
    """`user`, `assistant`, `function_call` or `function_call_output`."""
    text: str = ""
    """What it says: a transcript, a text, a call's arguments, an output."""
    audio_s: float | None = None
    """Seconds of its audio; None for text."""
    call_id: str = ""
    name: str = ""
    """Of a function."""
    truncated: bool = False


@dataclass(slots=True)
class Conversation:
    """What the vendor's model would know when it replies."""

    items: tuple[HeldItem, ...]
    session: Mapping[str, Any]

    @property
    def last(self) -> HeldItem | None:
        """The item that is replied to."""
        return self.items[-1] if self.items else None

    @property
    def words(self) -> list[tuple[str, str]]:
        """Who said what, in order, without tools."""
        return [(item.kind, item.text) for item in self.items if item.kind in ("user", "assistant")]


class FakeOpenAIRealtime:
    """A Realtime API of a script: `async with FakeOpenAIRealtime(heard=["hello"]) as fake`, then use
    `fake.base_url`.
    """

    def __init__(
        self,
        heard: Iterable[str] = (),
        replies: Iterable[ModelReply] = (),
        *,
        key: str = "test-key",
        answer: Answer | None = None,
        otherwise: ModelReply | None = None,
    ) -> None:
        """`heard` are the transcripts of the commits that sound, in order, over all sockets; then there are no words.

        A reply is the next of `replies`, else what `answer` makes of the conversation, else `otherwise`.
        """
        self.heard = deque(heard)
        self.replies = deque(replies)
        self.key = key
        self.answer = answer
        self.otherwise = otherwise or ModelReply(("Certainly. ", "Anything else?"))
        self.outage: Outage | None = None
        self.transcript_delay = 0.0
        """Seconds from a commit to its transcript."""
        self.crossing = False
        """Whether a response has always just been completed when its cancellation comes."""
        self.nameless = False
        """Whether it does not say which event it refuses."""
        self.wordless = False
        """Whether it speaks without a transcript."""
        self.speed = 8.0
        """How many times faster than it is spoken audio comes."""
        self.sockets: list[FakeRealtimeSocket] = []
        """Every socket that was accepted, closed ones too."""
        self.refused = 0
        self.refuse_with: int | None = None
        """The HTTP status that refuses every session."""
        self.connected = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._line = Line(lambda: self._address)

    @property
    def _address(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return f"http://{self._line.address}/v1"

    async def __aenter__(self) -> Self:
        self._server = await ws_create_server(self._accept, "127.0.0.1", 0)
        await self._line.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._line.__aexit__(*exception)
        if self._server is not None:
            self._server.close()
        self.drop()

    async def suffer(self, outage: Outage | None) -> None:
        """Let something be wrong with the vendor, or let it be well again (None). Open sockets suffer too."""
        self.outage = outage
        states = {
            Outage.REFUSED: LineState.REFUSED,
            Outage.HUNG_CONNECT: LineState.HUNG_CONNECT,
            Outage.HALF_OPEN: LineState.HALF_OPEN,
        }
        await self._line.become(states.get(outage, LineState.OPEN) if outage else LineState.OPEN)
        if outage is Outage.DROPPED:
            self.drop()

    def drop(self) -> None:
        """Break all sockets, without a closing handshake."""
        for socket in self.sockets:
            socket.drop()

    def reply_to(self, conversation: Conversation) -> ModelReply:
        """The next reply."""
        if self.replies:
            reply = self.replies.popleft()
        else:
            reply = self.answer(conversation) if self.answer is not None else self.otherwise
        faults = {
            Outage.HUNG: Fault.HANG,
            Outage.HUNG_MID_STREAM: Fault.STALL,
            Outage.TRUNCATED: Fault.CUT_SHORT,
            Outage.GARBAGE: Fault.GARBAGE,
            Outage.REPORT: Fault.REPORT,
        }
        return replace(reply, fault=faults[self.outage]) if self.outage in faults else reply

    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        url = urlsplit(request.path.decode())
        if url.path != "/v1/realtime":
            return None
        query = dict(parse_qsl(url.query))
        statuses = {Outage.RATE_LIMITED: 429, Outage.SERVER_ERROR: 500, Outage.EXPIRED_KEY: 401}
        status = statuses.get(self.outage) if self.outage is not None else self.refuse_with
        if str(request.headers.get("Authorization", "")) != f"Bearer {self.key}":
            status = 401
        elif not query.get("model"):
            status = 400
        if status is not None:
            self.refused += 1
            return refuse(status, b'{"error":{"code":"as scripted"}}')
        socket = FakeRealtimeSocket(self, query)
        self.sockets.append(socket)
        self.connected.set()
        return socket


@dataclass(eq=False)
class FakeRealtimeSocket(WSListener):
    """One session: its conversation, and what the client has sent."""

    fake: FakeOpenAIRealtime
    query: dict[str, str]
    received: list[dict[str, Any]] = field(default_factory=list)
    """Every event but appended audio, in order."""
    audio: bytearray = field(default_factory=bytearray)
    """All audio received: µ-law."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    """Every event that was sent, in order."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    """What was refused."""
    items: list[HeldItem] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    asked: list[Conversation] = field(default_factory=list)
    """The conversation as it was at each `response.create`."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._transport: WSTransport | None = None
        self._buffered = 0
        self._response: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()
        self._obey: dict[str, Callable[[dict[str, Any]], None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.truncate": self._truncate,
            "conversation.item.delete": self._delete,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    def kinds(self) -> list[str]:
        """The types of what was received, in order."""
        return [event["type"] for event in self.received]

    def drop(self) -> None:
        """Break the socket, without a closing handshake."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def send_text(self, text: str) -> None:
        """Send `text` as it is, whatever it is."""
        if self._transport is not None and not self.closed.is_set():
            self._transport.send(WSMsgType.TEXT, text.encode())

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet the client."""
        self._transport = transport
        self.session = {"type": "realtime", "model": self.query["model"]}
        self._send("session.created", session=self.session)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget what is under way."""
        self.closed.set()
        for task in (self._response, *self._others):
            if task is not None:
                task.cancel()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take an event."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.TEXT:
            event = json.loads(frame.get_payload_as_utf8_text())
            if event["type"] != "input_audio_buffer.append":
                self.received.append(event)
            obey = self._obey.get(event["type"])
            if obey is None:
                self._refuse(event, "unknown_event")
            else:
                obey(event)

    # ── what the client asks for ──────────────────────────────────────────────────

    def _update(self, event: dict[str, Any]) -> None:
        news = event["session"]
        audio = news.get("audio", {})
        unknown = {audio.get(way, {}).get("format", {}).get("type", "audio/pcmu") for way in ("input", "output")}
        if news.get("type") != "realtime":
            self._refuse(event, "missing_required_parameter")
        elif unknown != {"audio/pcmu"} or not all(_NAME.fullmatch(tool["name"]) for tool in news.get("tools", ())):
            self._refuse(event, "invalid_value")
        elif wordy := [place for place, tool in enumerate(news.get("tools", ())) if _wordy(tool)]:
            self._refuse(event, "string_above_max_length", f"session.tools[{wordy[0]}].description")
        else:
            self.session = _merged(self.session, news)
            self._send("session.updated", session=self.session)

    def _append(self, event: dict[str, Any]) -> None:
        audio = pybase64.b64decode(event["audio"], validate=True)
        self.audio += audio
        self._buffered += len(audio)

    def _clear(self, _event: dict[str, Any]) -> None:
        self._buffered = 0
        self._send("input_audio_buffer.cleared")

    def _commit(self, event: dict[str, Any]) -> None:
        if self._buffered < _SHORTEST_BYTES:
            self._refuse(event, "input_audio_buffer_commit_empty")
            return
        loud = audioop.rms(decode_mulaw(bytes(self.audio[-self._buffered :])), 2) > _LOUD
        words = self.fake.heard.popleft() if self.fake.heard and loud else ""
        item = HeldItem(_id("item"), "user", words, self._buffered / _RATE_HZ)
        self._buffered = 0
        self.items.append(item)
        self._send("input_audio_buffer.committed", item_id=item.id, previous_item_id=self._before(item))
        self._tell_item(item)
        self._start(self._transcribe(item, words))

    async def _transcribe(self, item: HeldItem, words: str) -> None:
        await asyncio.sleep(self.fake.transcript_delay)
        if self.fake.outage in (Outage.HUNG, Outage.HUNG_MID_STREAM):
            return
        event = "conversation.item.input_audio_transcription"
        half = len(words) // 2
        for piece in (words[:half], words[half:]):
            if piece:
                self._send(f"{event}.delta", item_id=item.id, content_index=0, delta=piece)
        usage = {"type": "duration", "seconds": item.audio_s}
        self._send(f"{event}.completed", item_id=item.id, content_index=0, transcript=words, usage=usage)

    def _create(self, event: dict[str, Any]) -> None:
        given = event["item"]
        id_, call_id = given.get("id") or _id("item"), given.get("call_id", "")
        contents = given.get("content", [])
        fault = None
        spoken = given.get("role") == "assistant" and any("audio" in content["type"] for content in contents)
        if len(id_) > 32 or len(call_id) > 64:
            fault = "string_above_max_length"
        elif any(item.id == id_ for item in self.items):
            fault = "item_already_exists"
        elif spoken or not _NAME.fullmatch(given.get("name", "_")):
            fault = "invalid_value"
        elif given["type"] == "function_call_output" and not any(
            item.kind == "function_call" and item.call_id == call_id for item in self.items
        ):
            fault = "invalid_tool_call_id"
        after = event.get("previous_item_id")
        places = {item.id: place for place, item in enumerate(self.items)}
        if after not in (None, "root") and after not in places:
            fault = "item_not_found"
        if fault is not None:
            self._refuse(event, fault)
            return
        kind = given["role"] if given["type"] == "message" else given["type"]
        text = "".join(content["text"] for content in contents) or given.get("arguments") or given.get("output") or ""
        place = len(self.items) if after is None else 0 if after == "root" else places[after] + 1
        item = HeldItem(id_, kind, text, call_id=call_id, name=given.get("name", ""))
        self.items.insert(place, item)
        self._tell_item(item)

    def _truncate(self, event: dict[str, Any]) -> None:
        item = next((item for item in self.items if item.id == event["item_id"]), None)
        seconds = event["audio_end_ms"] / 1_000
        if item is None or item.kind != "assistant" or item.audio_s is None:
            self._refuse(event, "item_truncate_invalid_item_id")
        elif seconds > item.audio_s + 1e-6:
            self._refuse(event, "invalid_value")
        else:
            # What it would still know: the words of so much sound.
            item.text = heard_of(item.text, seconds)
            item.audio_s, item.truncated = seconds, True
            self._send(
                "conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=event["audio_end_ms"]
            )

    def _delete(self, event: dict[str, Any]) -> None:
        item = next((item for item in self.items if item.id == event["item_id"]), None)
        if item is None:
            self._refuse(event, "item_delete_invalid_item_id")
        else:
            self.items.remove(item)
            self._send("conversation.item.deleted", item_id=item.id)

    def _respond(self, event: dict[str, Any]) -> None:
        if self._response is not None and not self._response.done():
            self._refuse(event, "conversation_already_has_active_response")
            return
        conversation = Conversation(tuple(replace(item) for item in self.items), self.session)
        self.asked.append(conversation)
        metadata = event.get("response", {}).get("metadata", {})
        self._response = asyncio.get_running_loop().create_task(
            self._reply(self.fake.reply_to(conversation), metadata), name="fake response"
        )

    def _cancel(self, event: dict[str, Any]) -> None:
        if self._response is None or self._response.done():
            self._refuse(event, "response_cancel_not_active")
        else:
            self._response.cancel()
            if self.fake.crossing:
                self._response.add_done_callback(lambda _: self._refuse(event, "response_cancel_not_active"))

    # ── a response ────────────────────────────────────────────────────────────────

    async def _reply(self, reply: ModelReply, metadata: Mapping[str, str]) -> None:
        made = _Made(_id("resp"), metadata)
        try:
            await asyncio.sleep(reply.delay)
            if reply.fault is Fault.HANG:
                await asyncio.Event().wait()
            self._send("response.created", response=made.told("in_progress"))
            if reply.status != 200:
                self._done(made, "failed", reply, code="rate_limit_exceeded" if reply.status == 429 else "server_error")
                return
            if reply.text:
                await self._speak(made, reply)
            for use in reply.tool_uses:
                await self._call(made, use, reply.gap)
        except asyncio.CancelledError:
            if not self.closed.is_set():
                self._done(made, "completed" if self.fake.crossing else "cancelled", reply)
        except _CutShort as cut:
            if cut.code is not None:
                self._done(made, "failed", reply, code=cut.code)
        else:
            self._done(made, "incomplete" if reply.cut_off else "completed", reply)

    async def _speak(self, made: "_Made", reply: ModelReply) -> None:
        item = HeldItem(_id("item"), "assistant", audio_s=0.0)
        self.items.append(item)
        made.items.append(item)
        head = {"response_id": made.id, "output_index": len(made.items) - 1}
        part = {**head, "item_id": item.id, "content_index": 0}
        self._send("response.output_item.added", **head, item=_told(item, "in_progress"))
        self._send("response.content_part.added", **part, part={"type": "audio", "transcript": ""})
        try:
            for number, piece in enumerate(reply.text):
                item.text += piece
                if not self.fake.wordless:
                    self._send("response.output_audio_transcript.delta", **part, delta=piece)
                async for sound in self._sounds(piece):
                    item.audio_s = (item.audio_s or 0.0) + len(sound) / _RATE_HZ
                    audio = pybase64.b64encode(sound).decode()
                    self._send("response.output_audio.delta", **part, delta=audio)
                if number == 0:
                    await self._go_wrong(reply.fault)
                await asyncio.sleep(reply.gap)
        except asyncio.CancelledError:
            self._send("response.output_item.done", **head, item=_told(item, "incomplete"))
            raise
        self._send("response.output_audio.done", **part)
        self._send("response.output_audio_transcript.done", **part, transcript=item.text)
        self._send("response.output_item.done", **head, item=_told(item, "completed"))

    async def _sounds(self, piece: str) -> AsyncIterator[bytes]:
        sound = voice(piece)
        for start in range(0, len(sound), _RATE_HZ // 5):
            yield sound[start : start + _RATE_HZ // 5]
            await asyncio.sleep(0.2 / self.fake.speed)

    async def _go_wrong(self, fault: Fault | None) -> None:
        match fault:
            case Fault.STALL:
                await asyncio.Event().wait()
            case Fault.BREAK:
                self.drop()
                raise _CutShort(None)
            case Fault.CUT_SHORT:
                raise _CutShort("server_error")
            case Fault.REPORT:
                self._send("error", error={"type": "server_error", "code": "server_error", "message": "as scripted"})
                raise _CutShort("server_error")
            case Fault.GARBAGE:
                for garbage in ("{", '{"type": "response.done"}', '{"type": 7, "delta": []}', "null", '"text"'):
                    self.send_text(garbage)
                self._send("response.output_audio.delta", response_id=None, item_id=7, delta="!")

    async def _call(self, made: "_Made", use: ToolUse, gap: float) -> None:
        item = HeldItem(_id("item"), "function_call", use.arguments, call_id=use.id or _id("call"), name=use.name)
        self.items.append(item)
        made.items.append(item)
        head = {"response_id": made.id, "output_index": len(made.items) - 1}
        told = _told(item, "in_progress")
        self._send("response.output_item.added", **head, item={**told, "arguments": ""})
        for piece in fragments(use.arguments):
            await asyncio.sleep(gap)
            self._send(
                "response.function_call_arguments.delta", **head, item_id=item.id, call_id=item.call_id, delta=piece
            )
        self._send(
            "response.function_call_arguments.done",
            **head,
            item_id=item.id,
            call_id=item.call_id,
            name=use.name,
            arguments=use.arguments,
        )
        self._send("response.output_item.done", **head, item={**told, "status": "completed"})

    def _done(self, made: "_Made", status: str, reply: ModelReply, code: str | None = None) -> None:
        details: dict[str, Any] = {"type": status}
        if status == "cancelled":
            details["reason"] = "client_cancelled"
        if status == "incomplete":
            details["reason"] = "max_output_tokens"
        if code is not None:
            details["error"] = {"type": "server_error", "code": code, "message": "as scripted"}
        given, got, cached = reply.usage
        sound = round(20 * sum(item.audio_s or 0.0 for item in made.items))
        usage = {
            "total_tokens": 2 * given + got + sound,
            "input_tokens": 2 * given,
            "output_tokens": got + sound,
            "input_token_details": {
                "text_tokens": given,
                "audio_tokens": given,
                "cached_tokens": cached,
                "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0},
            },
            "output_token_details": {"text_tokens": got, "audio_tokens": sound},
        }
        self._send("response.done", response={**made.told(status), "status_details": details, "usage": usage})

    # ── within ────────────────────────────────────────────────────────────────────

    def _before(self, item: HeldItem) -> str | None:
        place = self.items.index(item)
        return self.items[place - 1].id if place else None

    def _tell_item(self, item: HeldItem) -> None:
        for event in ("conversation.item.added", "conversation.item.done"):
            self._send(event, previous_item_id=self._before(item), item=_told(item, "completed"))

    def _refuse(self, event: dict[str, Any], code: str, param: str | None = None) -> None:
        error = {
            "type": "invalid_request_error",
            "code": code,
            "message": "as scripted",
            "param": param,
            "event_id": None if self.fake.nameless else event.get("event_id"),
        }
        self.errors.append({**error, "event": event})
        self._send("error", error=error)

    def _send(self, kind: str, **content: Any) -> None:
        if self.fake.outage is not Outage.HUNG or kind in ("session.created", "session.updated"):
            event = {"type": kind, "event_id": _id("event"), **content}
            self.sent.append(event)
            self.send_text(json.dumps(event))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="fake transcription")
        self._others.add(task)
        task.add_done_callback(self._others.discard)


@dataclass(slots=True)
class _Made:
    id: str
    metadata: Mapping[str, str]
    items: list[HeldItem] = field(default_factory=list)

    def told(self, status: str) -> dict[str, Any]:
        output = [_told(item, "completed" if status == "completed" else "incomplete") for item in self.items]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "output": output,
            "metadata": dict(self.metadata),
        }


class _CutShort(Exception):  # noqa: N818 - the end of a script, not an error
    """The response ends here, with an error of this code; None: nothing more is said."""

    def __init__(self, code: str | None) -> None:
        super().__init__(code)
        self.code = code


def voice(text: str) -> bytes:
    """The sound of `text` in µ-law: a tone for each letter, and a pause behind each sentence."""
    letters = sum(character.isalnum() for character in text)
    times = np.arange(round(_RATE_HZ * SECONDS_PER_LETTER * letters)) / _RATE_HZ
    tone = (8_000 * np.sin(2 * np.pi * 300 * times)).astype("<i2").tobytes()
    pause = bytes(2 * round(_RATE_HZ * PAUSE_S)) if text.rstrip().endswith((".", "!", "?")) else b""
    return encode_mulaw(tone + pause)


def heard_of(text: str, seconds: float) -> str:
    """The words of a message of which so much sound is left; a word of which a part is missing is none of them."""
    words, left = [], seconds
    for word in text.split():
        left -= SECONDS_PER_LETTER * sum(character.isalnum() for character in word)
        if left < -SECONDS_PER_LETTER:
            break
        words.append(word)
        if word.endswith((".", "!", "?")):
            left -= PAUSE_S
    return " ".join(words)


def _told(item: HeldItem, status: str) -> dict[str, Any]:
    told: dict[str, Any] = {"id": item.id, "object": "realtime.item", "status": status}
    if item.kind in ("user", "assistant"):
        way = ("input" if item.kind == "user" else "output") + ("_text" if item.audio_s is None else "_audio")
        said = {"text": item.text} if item.audio_s is None else {"transcript": item.text}
        return {**told, "type": "message", "role": item.kind, "content": [{"type": way, **said}]}
    if item.kind == "function_call":
        return {**told, "type": item.kind, "call_id": item.call_id, "name": item.name, "arguments": item.text}
    return {**told, "type": item.kind, "call_id": item.call_id, "output": item.text}


def _merged(old: dict[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(old)
    for name, value in news.items():
        known = both.get(name)
        both[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:20]}"


def _wordy(tool: Mapping[str, Any]) -> bool:
    return len(tool["description"]) > _LONGEST_DESCRIPTION


__all__ = ["Conversation", "FakeOpenAIRealtime", "FakeRealtimeSocket", "HeldItem", "heard_of", "voice"]
