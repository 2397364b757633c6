"""OpenAI's speech synthesis on loopback: `POST /v1/audio/speech` with `response_format: pcm`.

What it assumes about the vendor (platform.openai.com, "Create speech", "Text to speech"):
* the answer is the sound itself in chunks: signed 16-bit little-endian at 24 kHz, mono, without a header, as
  `audio/pcm`. A chunk may end in the middle of a sample, and nothing tells a sound that was cut short from a whole one;
* `input` has 1 to 4,096 characters; `speed` is between 0.25 and 4;
* the key is a bearer token; errors are `{"error": {message, type, param, code}}`.

Not covered: other formats, `stream_format: sse`, custom voices. `instructions` change nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.http import require
from talkspurt.testing.fakes.loopback import RecordedRequest
from talkspurt.testing.fakes.openai import STATUSES, error_body, given_key
from talkspurt.testing.fakes.script import Outage, Speech
from talkspurt.testing.fakes.speech import FakeSpeech, spoken

RATE_HZ: Final = 24_000
_CHUNK_BYTES: Final = 21_599
"""Less than half a second, and an odd number."""


class FakeOpenAISpeech(FakeSpeech):
    """Text to speech without word times."""

    # Any bytes are sound, and nothing else can be said among them.
    outages: ClassVar[frozenset[Outage]] = FakeSpeech.outages - {Outage.GARBAGE, Outage.REPORT}
    path: ClassVar[str] = "/v1/audio/speech"
    media_type: ClassVar[str] = "audio/pcm"
    statuses: ClassVar[Mapping[int, str]] = STATUSES

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return f"{self.origin}/v1"

    def given_key(self, headers: Mapping[str, str]) -> str:
        """The bearer token."""
        return given_key(headers)

    def check(self, request: RecordedRequest) -> None:
        """Refuse what the vendor refuses."""
        body = request.body
        for name in ("model", "voice", "input"):
            require(isinstance(body.get(name), str) and bool(body[name]), f"{name}: required")
        require(len(body["input"]) <= 4_096, "input: string too long")
        require(body.get("response_format") == "pcm", "response_format: this fake only speaks pcm")
        require(0.25 <= body.get("speed", 1.0) <= 4.0, "speed: must be between 0.25 and 4")

    def speak(self, body: Mapping[str, Any], speech: Speech) -> Iterator[bytes]:
        """The sound."""
        sound = spoken(body["input"], body.get("speed", 1.0), RATE_HZ)
        for start in range(0, len(sound), _CHUNK_BYTES):
            yield sound[start : start + _CHUNK_BYTES]

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return error_body(type_, message, status)
