"""ElevenLabs' streamed speech on loopback: `POST /v1/text-to-speech/{voice}/stream/with-timestamps`.

What it assumes about the vendor (elevenlabs.io/docs, "Stream speech with timing"):
* the answer is one JSON object a line: `audio_base64` and, not in every line, `alignment` and
  `normalized_alignment` with `characters`, `character_start_times_seconds` and
  `character_end_times_seconds`, counted from the beginning of the whole speech;
* tags such as `<break time="1s" />` have no times;
* `voice_settings.speed` is between 0.7 and 1.2;
* a line's audio may end in the middle of a sample, and its characters in the middle of a word;
* `output_format=pcm_8000` is signed 16-bit little-endian at 8 kHz; the key is the header
  `xi-api-key`; errors are `{"detail": {"status", "message"}}`.

The sound is made up so that a test can check it: every character lasts 50 ms, a tone for
letters, silence for spaces, divided by the speed. Other output formats are refused.
"""

import asyncio
import base64
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final, Self

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from talkspurt.testing.fakes.loopback import Loopback, RecordedRequest, ScriptedStream, paced
from talkspurt.testing.fakes.script import Fault, Speech

_RATE_HZ: Final = 8_000
SECONDS_PER_CHARACTER: Final = 0.05
_CHARACTERS_PER_LINE: Final = 9
_STATUSES: Final = {401: "invalid_api_key", 404: "voice_not_found", 429: "too_many_concurrent_requests"}


class FakeElevenLabs:
    """Text to speech with timestamps: `async with FakeElevenLabs() as fake`, then use `fake.base_url`.

    `script` says how the next syntheses go, first in, first out; without it they go like `otherwise`.
    """

    def __init__(self, *, key: str = "test-key", otherwise: Speech | None = None) -> None:
        self.key = key
        self.otherwise = otherwise or Speech()
        self.requests: list[RecordedRequest] = []
        self.received = asyncio.Event()
        """Set once a request has arrived."""
        self._script: deque[Speech] = deque()
        route = Route("/v1/text-to-speech/{voice}/stream/with-timestamps", self._answer, methods=["POST"])
        self._server = Loopback(Starlette(routes=[route]))

    def script(self, *speeches: Speech) -> None:
        """Queue `speeches` for the next requests."""
        self._script.extend(speeches)

    @property
    def base_url(self) -> str:
        """What the vendor's SDK takes as its base URL."""
        return f"http://{self._server.address}"

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._server.__aexit__(*exception)

    async def _answer(self, request: Request) -> ASGIApp:
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _refuse(400, "body is not JSON")
        record = RecordedRequest(
            request.url.path, dict(request.query_params), dict(request.headers), body, client=str(request.client)
        )
        self.requests.append(record)
        self.received.set()
        given = request.headers.get("xi-api-key", "")
        if given != self.key:
            return _refuse(401, f"Invalid API key: {given}")
        if request.query_params.get("output_format") != "pcm_8000":
            return _refuse(400, "output_format: this fake only speaks pcm_8000")
        if not isinstance(body.get("text"), str) or not body["text"].strip():
            return _refuse(400, "text: must not be empty")
        speed = (body.get("voice_settings") or {}).get("speed", 1.0)
        if not 0.7 <= speed <= 1.2:
            return _refuse(400, "voice_settings.speed: must be between 0.7 and 1.2")
        speech = self._script.popleft() if self._script else self.otherwise
        if speech.status != 200:
            return _refuse(speech.status, "as scripted")
        return ScriptedStream(
            record,
            self._server,
            _paced(_lines(body["text"], speech, speed), speech),
            "application/json",
            speech.fault,
            garbage=b'{"audio_base64": "AA\xff',
            report=json.dumps({"detail": {"status": "system_busy", "message": "as scripted"}}).encode() + b"\n",
        )


def spoken(text: str, speed: float = 1.0) -> bytes:
    """The sound of `text`: PCM16 at 8 kHz."""
    times = np.arange(_samples(speed)) / _RATE_HZ
    tone = (8_000 * np.sin(2 * np.pi * 300 * times)).astype("<i2").tobytes()
    silence = bytes(len(tone))
    return b"".join(silence if character.isspace() else tone for character in text)


def _samples(speed: float) -> int:
    return round(_RATE_HZ * SECONDS_PER_CHARACTER / speed)


def _lines(text: str, speech: Speech, speed: float) -> Iterator[bytes]:
    sound = spoken(text, speed)
    samples = _samples(speed)
    tags = {at for tag in re.finditer(r"<[^<>]*>", text) for at in range(*tag.span())}
    sent = 0
    for start in range(0, len(text), _CHARACTERS_PER_LINE):
        characters = text[start : start + _CHARACTERS_PER_LINE]
        timed = [at for at in range(start, start + len(characters)) if at not in tags]
        last = start + _CHARACTERS_PER_LINE >= len(text)
        # One byte less than a whole number of samples, but for the last line.
        until = len(sound) if last else (start + len(characters)) * samples * 2 - 1
        alignment: dict[str, Any] | None = None
        if speech.alignment:
            alignment = {
                "characters": [text[at] for at in timed],
                "character_start_times_seconds": [at * samples / _RATE_HZ for at in timed],
                "character_end_times_seconds": [(at + 1) * samples / _RATE_HZ for at in timed],
            }
        line = {
            "audio_base64": base64.b64encode(sound[sent:until]).decode(),
            "alignment": alignment,
            "normalized_alignment": alignment,
        }
        sent = until
        yield json.dumps(line).encode() + b"\n"


async def _paced(pieces: Iterator[bytes], speech: Speech) -> AsyncGenerator[bytes]:
    async for piece in paced(pieces, speech.delay, speech.gap):
        yield piece


def _refuse(status: int, message: str) -> JSONResponse:
    detail = {"status": _STATUSES.get(status, "error"), "message": message}
    return JSONResponse({"detail": detail}, status_code=status)


__all__ = ["SECONDS_PER_CHARACTER", "FakeElevenLabs", "Fault", "Speech", "spoken"]
