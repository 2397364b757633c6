"""Cartesia's speech on loopback: the WebSocket `/tts/websocket`.

What it assumes about the vendor (docs.cartesia.ai, "WebSocket" of text to speech, contexts and word timestamps; and
livekit-plugins-cartesia 1.8):
* the key is the header `X-API-Key`; a wrong one is refused with HTTP 401; `cartesia_version` is in the query;
* a request has `context_id`, `transcript`, `continue`, `model_id`, `voice`, `output_format` (raw `pcm_s16le` at
  `sample_rate`), `language`, `add_timestamps` and `generation_config.speed` (0.6 to 2); requests of one context are one
  speech, which ends with the one that has `continue: false`;
* answers are `chunk` with base64 audio, `timestamps` with `word_timestamps` in seconds of the context's audio, `done`,
  and `error` with a `status_code`, each with the `context_id`. A socket carries one context after the other.

The sound is that of `elevenlabs.spoken`.
"""

import asyncio
import base64
import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from talkspurt.testing.fakes.elevenlabs import SECONDS_PER_CHARACTER, spoken
from talkspurt.testing.fakes.script import Fault, Speech
from talkspurt.testing.fakes.sockets import FakeSockets, VendorSocket

_RATE_HZ: Final = 8_000
_CHUNK_S: Final = 0.4


class FakeCartesia(FakeSockets["FakeCartesiaSocket"]):
    """Speech on WebSockets. `script` says how the next contexts go; without it they go like `otherwise`."""

    path = "/tts/websocket"

    def __init__(self, *, key: str = "test-key", otherwise: Speech | None = None) -> None:
        super().__init__(key=key)
        self.otherwise = otherwise or Speech()
        self.requests: list[dict[str, Any]] = []
        self._script: deque[Speech] = deque()

    @property
    def base_url(self) -> str:
        """What the vendor's clients take as its base URL."""
        return f"http://{self.address}"

    def script(self, *speeches: Speech) -> None:
        """Queue `speeches` for the next contexts."""
        self._script.extend(speeches)

    def next_speech(self) -> Speech:
        """How the next context goes."""
        return self._script.popleft() if self._script else self.otherwise

    def refusal(self, headers: Mapping[str, str], query: Mapping[str, str]) -> int | None:
        if headers.get("X-API-Key") != self.key:
            return 401
        return None if query.get("cartesia_version") else 400

    def open(self, query: dict[str, str]) -> "FakeCartesiaSocket":
        return FakeCartesiaSocket(self)


class FakeCartesiaSocket(VendorSocket):
    """One socket, with one context after the other."""

    def __init__(self, fake: FakeCartesia) -> None:
        super().__init__()
        self.fake = fake
        self._requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._context = ""
        self._speech = Speech()
        self._seconds = 0.0
        self._answering = asyncio.get_running_loop().create_task(self._answer_all(), name="fake cartesia")

    def on_ws_disconnected(self, transport: Any) -> None:
        """Stop speaking."""
        self._answering.cancel()
        super().on_ws_disconnected(transport)

    def take_message(self, message: dict[str, Any]) -> None:
        """Queue a request."""
        self.fake.requests.append(message)
        self._requests.put_nowait(message)

    async def _answer_all(self) -> None:
        while True:
            request = await self._requests.get()
            if request["context_id"] != self._context:
                self._context, self._seconds = request["context_id"], 0.0
                self._speech = self.fake.next_speech()
                await asyncio.sleep(self._speech.delay)
            if self._speech.status != 200:
                self._send("error", done=True, error="as scripted", status_code=self._speech.status)
            elif request["transcript"].strip():
                await self._speak(request)
            if not request["continue"] and self._speech.status == 200:
                self._send("done", done=True, status_code=200)

    async def _speak(self, request: dict[str, Any]) -> None:
        fault = self._speech.fault
        if fault in (Fault.HANG, Fault.DRIP):
            await asyncio.Event().wait()
        text = request["transcript"]
        speed = float(request.get("generation_config", {}).get("speed", 1.0))
        if request.get("add_timestamps") and self._speech.alignment:
            self._send("timestamps", word_timestamps=self._times(text, speed))
        for piece in _pieces(text, speed, request["output_format"]["sample_rate"]):
            self._send("chunk", data=base64.b64encode(piece).decode(), step_time=10.0)
            match fault:
                case Fault.STALL:
                    await asyncio.Event().wait()
                case Fault.BREAK:
                    self.drop()
                case Fault.CUT_SHORT:
                    self._send("done", done=True, status_code=200)
                    return
                case Fault.GARBAGE | Fault.WRONG_TYPE:
                    self.send_text('{"type": "chunk", "data": ')
                case Fault.REPORT:
                    self._send("error", done=True, error="as scripted", status_code=500)
                    return
            await asyncio.sleep(self._speech.gap)
        self._seconds += len(text) * SECONDS_PER_CHARACTER / speed

    def _times(self, text: str, speed: float) -> dict[str, list[Any]]:
        character = SECONDS_PER_CHARACTER / speed
        words = list(re.finditer(r"\S+", text))
        return {
            "words": [word[0] for word in words],
            "start": [round(self._seconds + word.start() * character, 4) for word in words],
            "end": [round(self._seconds + word.end() * character, 4) for word in words],
        }

    def _send(self, kind: str, *, done: bool = False, status_code: int = 206, **fields: Any) -> None:
        self.send_json({"type": kind, "context_id": self._context, "done": done, "status_code": status_code, **fields})


def _pieces(text: str, speed: float, rate_hz: int) -> Iterator[bytes]:
    # Each sample as often as the rate is higher: a tone stays one.
    sound = np.repeat(np.frombuffer(spoken(text, speed), dtype="<i2"), rate_hz // _RATE_HZ).tobytes()
    size = 2 * round(_CHUNK_S * rate_hz)
    for start in range(0, len(sound), size):
        yield sound[start : start + size]
