"""OpenAI's live transcription, through its official SDK: one WebSocket a call, a transcription session.

Turn detection is off: we do our own. A stretch of an utterance (`stretches`) is what lies in the vendor's input
buffer between a `clear` and a `commit`. The guesses at it come as deltas while it is filled, its words after the
commit, in the order in which they are ready; both carry the id of an item, which `input_audio_buffer.committed` gives
to the stretch. The line's audio is sent as the mu-law that it came as. The key is `OPENAI_API_KEY`; `speech.base_url`
has an entry `openai` for a region or an endpoint of one's own.

The SDK neither connects again nor asks twice: a lost socket fails what is open and is replaced here; sessions,
which the vendor ends after an hour, are replaced in the same way.

Source: developers.openai.com, "Realtime transcription", "Realtime client events", "Realtime server events".
"""

import base64
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from openai import APIConnectionError, APIStatusError, AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeTranscriptionSessionCreateRequestParam
from websockets.exceptions import InvalidStatus, WebSocketException

from talkspurt.config import Config
from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.media.g711 import encode_mulaw
from talkspurt.recognizers.answers import Patience
from talkspurt.recognizers.outbox import Outbox
from talkspurt.recognizers.socket import LastingSocket
from talkspurt.recognizers.stretches import Stretch, StretchedStream, prove
from talkspurt.speech.failures import SpeechVendor, seconds_to_wait
from talkspurt.vendors import chosen_model

VENDOR: Final = SpeechVendor("recognizer", "openai", "OPENAI_API_KEY")
MODEL: Final = "gpt-live-transcribe"
"""The vendor's streaming model; it has no turn detection to be turned off, but accepts to be told so."""

_FORGOTTEN_ITEMS: Final = 64
_SETTING: Final = "talkspurt-session"
"""The id of our `session.update`, by which its refusal is known."""
_REFUSALS: Final[Mapping[str, ProviderFault]] = {
    "invalid_api_key": "key_rejected",
    "insufficient_quota": "quota_exceeded",
    "rate_limit_exceeded": "rate_limited",
    "server_error": "unavailable",
}
"""By the code of an error; `server_error` is a type, and may come without a code."""
_TOO_LITTLE: Final = "input_audio_buffer_commit_empty"


class OpenAIRecognizer:
    """A `Recognizer` at OpenAI."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
        model: str = MODEL,
    ) -> None:
        """The key is looked up in `environment` (default: the process's); raises `ConfigurationError` without it."""
        self._patience = patience or Patience()
        self._model = model
        self._vendor = VENDOR.of_model(model, MODEL)
        self._client = AsyncOpenAI(api_key=VENDOR.key(environment), base_url=base_url, max_retries=0)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The recognizer for `config.speech`."""
        model = chosen_model(config.speech.recognizer) or MODEL
        return cls(base_url=config.speech.base_url.get(VENDOR.name), model=model)

    async def warm_up(self) -> None:
        """Have a moment of silence transcribed: it proves key and endpoint. Sockets cannot be kept for later calls."""
        await prove(VENDOR, self)

    async def open(self, *, locale: str, call_id: str) -> StretchedStream:
        """Connect a stream for one call. Raises `ProviderError`."""
        stream = StretchedStream(VENDOR, self._patience)
        ear = stream.ear = OpenAIEar(self._vendor, self._client, _session(self._model, locale), stream, self._patience)
        try:
            await ear.connect()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        """Release everything. Idempotent."""
        await self._client.close()


@dataclass(frozen=True, slots=True)
class _Begin:
    """The buffer is emptied for a stretch."""

    stretch: Stretch | None


@dataclass(frozen=True, slots=True)
class _Commit:
    """The buffer is whole."""

    stretch: Stretch


class OpenAIEar:
    """One call's sockets, and whose words come over them."""

    def __init__(
        self,
        vendor: SpeechVendor,
        client: AsyncOpenAI,
        session: RealtimeTranscriptionSessionCreateRequestParam,
        stream: StretchedStream,
        patience: Patience,
    ) -> None:
        self._vendor = vendor
        self._client = client
        self._session = session
        self._stream = stream
        self._outbox: Outbox[_Begin | _Commit] = Outbox()
        self._socket = LastingSocket[AsyncRealtimeConnection](self, patience, "openai stream")
        self._filling: Stretch | None = None
        """The stretch that the vendor's buffer holds."""
        self._committed: deque[Stretch] = deque()
        """Stretches that were committed and have no item yet, in the order of their commits."""
        self._items: dict[str, Stretch] = {}
        self._forgotten: deque[str] = deque(maxlen=_FORGOTTEN_ITEMS)
        """Items whose words nobody waits for."""
        self._unnamed = ""
        """The item that the buffer will become, as far as guesses have told."""
        self.unreadable = 0
        """Messages that were not of the protocol."""

    @property
    def reconnections(self) -> int:
        """Sockets opened after the first."""
        return self._socket.reconnections

    @property
    def dropped_bytes(self) -> int:
        """Audio that the vendor did not take in time."""
        return self._outbox.dropped_bytes

    # ── what the stream orders ────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Open the first socket; later ones are opened as they are needed. Raises `ProviderError`."""
        with self._vendor.failures(partial(_judge, self._vendor)):
            await self._socket.connect()

    def begin(self, stretch: Stretch, /) -> None:
        """Empty the buffer for it."""
        self._outbox.mark(_Begin(stretch))

    def feed(self, stretch: Stretch, pcm: bytes, /) -> None:
        """Send it on."""
        self._outbox.put(pcm)

    def commit(self, stretch: Stretch, /) -> None:
        """Have the buffer transcribed."""
        self._outbox.mark(_Commit(stretch))

    def drop(self, stretch: Stretch, /) -> None:
        """Empty the buffer again, if it is still its own."""
        if stretch is self._filling:
            self._outbox.mark(_Begin(None))

    def give_up(self, stretch: Stretch, /) -> None:
        """Leave the socket: the vendor answers every commit."""
        self._socket.abort()

    async def aclose(self) -> None:
        """Close the socket. Idempotent."""
        await self._socket.aclose()

    # ── the connection ────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def open_socket(self) -> AsyncGenerator[AsyncRealtimeConnection]:
        """A session that is ready to be spoken to."""
        # Without `on_reconnecting` the SDK never connects again by itself.
        async with self._client.realtime.connect(extra_query={"intent": "transcription"}) as socket:
            try:
                await socket.send({"type": "session.update", "event_id": _SETTING, "session": self._session})
                await _await_session(self._vendor, socket)
                yield socket
            finally:
                self.abort_socket(socket)

    async def send(self, socket: AsyncRealtimeConnection, /) -> None:
        """Send what the stream orders."""
        while not self._socket.closing:
            await self._outbox.wait()
            while self._outbox:
                item = self._outbox.take()
                if isinstance(item, bytes):
                    audio = base64.b64encode(encode_mulaw(item)).decode()
                    await socket.input_audio_buffer.append(audio=audio)
                else:
                    await self._order(socket, item[0])
        await socket.close()

    async def _order(self, socket: AsyncRealtimeConnection, order: _Begin | _Commit) -> None:
        if isinstance(order, _Begin):
            if not self._committed:
                self._forget(self._unnamed)
            self._unnamed = ""
            self._filling = order.stretch
            await socket.input_audio_buffer.clear()
        elif not order.stretch.over:
            self._filling = None
            self._committed.append(order.stretch)
            await socket.input_audio_buffer.commit(event_id=_name(order.stretch))

    async def receive(self, socket: AsyncRealtimeConnection, /) -> None:
        """Take what the vendor says."""
        while True:
            try:
                event = await socket.recv()
            except ValueError:
                self.unreadable += 1
                continue
            self._socket.heard()
            self._stream.heard()
            try:
                self._take(event)
            except (AttributeError, TypeError):
                # The SDK checks no types.
                self.unreadable += 1

    def abort_socket(self, socket: AsyncRealtimeConnection, /) -> None:
        """Drop the connection at once. The SDK offers only the closing handshake, which waits long for a dead peer."""
        socket._connection.transport.abort()

    def lost_socket(self) -> None:
        """Nothing that was sent on the socket will be answered any more."""
        self._outbox.clear()
        self._filling = None
        self._committed.clear()
        self._items.clear()
        self._unnamed = ""
        for stretch in self._stream.unfinished:
            stretch.fail(VENDOR.error("the connection was lost", "unreachable"))

    def wake_sender(self) -> None:
        """Have the sender take its leave."""
        self._outbox.wake()

    # ── words ─────────────────────────────────────────────────────────────────────

    def _take(self, event: Any) -> None:
        match event.type:
            case "input_audio_buffer.committed":
                self._name_item(event.item_id)
            case "conversation.item.input_audio_transcription.delta":
                self._guess(event.item_id, event.delta or "")
            case "conversation.item.input_audio_transcription.completed":
                if stretch := self._items.pop(event.item_id, None):
                    stretch.finish(str(event.transcript))
            case "conversation.item.input_audio_transcription.failed":
                if stretch := self._items.pop(event.item_id, None):
                    stretch.fail(VENDOR.error("could not transcribe the audio", "failed"))
            case "error":
                self._take_error(event.error)

    def _name_item(self, item: str) -> None:
        """The oldest commit has become an item."""
        stretch = self._committed.popleft() if self._committed else None
        if stretch is None or stretch.over:
            self._forget(item)
        else:
            self._items[item] = stretch

    def _guess(self, item: str, delta: str) -> None:
        stretch = self._items.get(item)
        if stretch is None and item not in self._forgotten:
            # It is said before the commit, or before the commit has been answered.
            self._unnamed = item
            stretch = next(iter(self._committed), self._filling)
        if stretch is not None:
            stretch.guess_more(delta)

    def _take_error(self, error: Any) -> None:
        """An error of a commit is that stretch's; any other is followed by the end of the socket, or by nothing."""
        refused = next((each for each in self._committed if _name(each) == error.event_id), None)
        if refused is None:
            return
        self._committed.remove(refused)
        if error.code == _TOO_LITTLE:
            refused.finish("")
        else:
            refused.fail(VENDOR.refused_as(_fault(error), "refused the audio"))

    def _forget(self, item: str) -> None:
        if item:
            self._forgotten.append(item)


def _session(model: str, locale: str) -> RealtimeTranscriptionSessionCreateRequestParam:
    return {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": model, "languages": [locale.partition("-")[0].lower()]},
                "turn_detection": None,
            }
        },
    }


async def _await_session(vendor: SpeechVendor, socket: AsyncRealtimeConnection) -> None:
    """Wait until the vendor has taken our settings. Raises `ProviderError` when it refuses them, or the key."""
    while True:
        event: Any = await socket.recv()
        kind = getattr(event, "type", None)
        if kind == "session.updated":
            return
        if kind == "error":
            raise vendor.refused_as(_fault(getattr(event, "error", None)), "the session was refused")


def _fault(error: Any) -> ProviderFault:
    """What an error of the vendor's means; the SDK checks none of its types."""
    known = (_REFUSALS.get(str(getattr(error, name, None))) for name in ("code", "type"))
    return next(filter(None, known), "rejected")


def _name(stretch: Stretch) -> str:
    """The id of the event that commits it."""
    return f"commit-{id(stretch):x}"


def _judge(vendor: SpeechVendor, error: Exception) -> ProviderError | None:
    """What an exception of the SDK, or of its WebSocket library, means."""
    if isinstance(error, InvalidStatus):
        if error.response.status_code < 400:
            # A web page, of a proxy on the way.
            return vendor.unreadable()
        return vendor.refused(error.response.status_code, retry_after=seconds_to_wait(error.response.headers))
    if isinstance(error, APIStatusError):
        return vendor.refused(error.status_code)
    if isinstance(error, WebSocketException | APIConnectionError | OSError | EOFError):
        return vendor.unreachable()
    return None
