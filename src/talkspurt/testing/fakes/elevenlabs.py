"""ElevenLabs' streamed speech on loopback: `POST /v1/text-to-speech/{voice}/stream/with-timestamps`.

What it assumes about the vendor (elevenlabs.io/docs, "Stream speech with timing"):
* the answer is one JSON object a line: `audio_base64` and, not in every line, `alignment` and
  `normalized_alignment` with `characters`, `character_start_times_seconds` and
  `character_end_times_seconds`, counted from the beginning of the whole speech;
* tags such as `<break time="1s" />` have no times;
* `voice_settings.speed` is between 0.7 and 1.2;
* a line's audio may end in the middle of a sample, and its characters in the middle of a word;
* `output_format=pcm_8000` is signed 16-bit little-endian at 8 kHz; the key is the header
  `xi-api-key`; errors are `{"detail": {"status", "message"}}`, where
  `quota_exceeded` (credits used up) comes with HTTP status 401 as `invalid_api_key` does.

Other output formats are refused.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.http import require
from talkspurt.testing.fakes.loopback import RecordedRequest
from talkspurt.testing.fakes.script import Fault, Speech
from talkspurt.testing.fakes.speech import (
    LINE_RATE_HZ,
    SECONDS_PER_CHARACTER,
    FakeSpeech,
    samples_per_character,
    spoken,
)

_CHARACTERS_PER_LINE: Final = 9


class FakeElevenLabs(FakeSpeech):
    """Text to speech with timestamps."""

    path: ClassVar[str] = "/v1/text-to-speech/{voice}/stream/with-timestamps"
    media_type: ClassVar[str] = "application/json"
    garbage: ClassVar[bytes] = b'{"audio_base64": "AA\xff'
    statuses: ClassVar[Mapping[int, str]] = {
        401: "invalid_api_key",
        404: "voice_not_found",
        429: "too_many_concurrent_requests",
    }

    @property
    def base_url(self) -> str:
        """What the vendor's SDK takes as its base URL."""
        return self.origin

    def given_key(self, headers: Mapping[str, str]) -> str:
        """The header of its own."""
        return headers.get("xi-api-key", "")

    def check(self, request: RecordedRequest) -> None:
        """Refuse what the vendor refuses."""
        require(request.query.get("output_format") == "pcm_8000", "output_format: this fake only speaks pcm_8000")
        text = request.body.get("text")
        require(isinstance(text, str) and bool(text.strip()), "text: must not be empty")
        require(0.7 <= _speed(request.body) <= 1.2, "voice_settings.speed: must be between 0.7 and 1.2")

    def speak(self, body: Mapping[str, Any], speech: Speech) -> Iterator[bytes]:
        """The sound and the characters' times, a line for a few characters."""
        text, speed = body["text"], _speed(body)
        sound = spoken(text, speed)
        samples = samples_per_character(speed)
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
                    "character_start_times_seconds": [at * samples / LINE_RATE_HZ for at in timed],
                    "character_end_times_seconds": [(at + 1) * samples / LINE_RATE_HZ for at in timed],
                }
            line = {
                "audio_base64": base64.b64encode(sound[sent:until]).decode(),
                "alignment": alignment,
                "normalized_alignment": alignment,
            }
            sent = until
            yield json.dumps(line).encode() + b"\n"

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return {"detail": {"status": type_, "message": message}}

    def in_stream_error(self) -> bytes:
        """An error report in place of a line."""
        return json.dumps(self.error_body("system_busy", "as scripted", 200)).encode() + b"\n"


def _speed(body: Mapping[str, Any]) -> float:
    return float((body.get("voice_settings") or {}).get("speed", 1.0))


__all__ = ["SECONDS_PER_CHARACTER", "FakeElevenLabs", "Fault", "Speech", "spoken"]
