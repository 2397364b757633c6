"""OpenAI's transcription of whole recordings on loopback, `POST /v1/audio/transcriptions`, for tests of such plugins.

It assumes of the vendor what the SDK sends and reads: a form with a WAV `file`, `model` and `language`; `{"text": …}`.
A stretch of sound longer than three quarters of a second is the first phrase, a shorter one the second.
"""

import io
import wave
from typing import Self

import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from talkspurt.testing.fakes.loopback import Loopback

_WINDOW_S = 0.02


class FakeRecordings:
    """Transcribes recordings by the lengths of their sounds."""

    def __init__(self, long: str, short: str, *, key: str) -> None:
        self._phrases = {True: long, False: short}
        self._key = key
        self.forms: list[dict[str, str]] = []
        self._server = Loopback(Starlette(routes=[Route("/v1/audio/transcriptions", self._answer, methods=["POST"])]))

    @property
    def base_url(self) -> str:
        return f"http://{self._server.address}/v1"

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._server.__aexit__(*exception)

    async def _answer(self, request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {self._key}":
            return JSONResponse({"error": {"message": "as scripted", "type": "invalid_request_error"}}, 401)
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            recording = await file.read()
            self.forms.append({name: value for name, value in form.items() if isinstance(value, str)})
        words = (self._phrases[seconds > 0.75] for seconds in _sounds(recording))
        return JSONResponse({"text": " ".join(words)})


def _sounds(recording: bytes) -> list[float]:
    """Seconds of each stretch of sound, parted by a fifth of a second of silence."""
    with wave.open(io.BytesIO(recording)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
        window = round(file.getframerate() * _WINDOW_S)
    loud = np.sqrt(np.mean(samples[: len(samples) // window * window].reshape(-1, window) ** 2, axis=1)) > 300
    sounds: list[float] = []
    quiet = 10
    for is_loud in loud:
        if is_loud:
            if quiet >= 10:
                sounds.append(0.0)
            sounds[-1] += _WINDOW_S
        quiet = 0 if is_loud else quiet + 1
    return sounds
