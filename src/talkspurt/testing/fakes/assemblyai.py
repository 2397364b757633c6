"""AssemblyAI's streaming speech-to-text on loopback: the WebSocket `/v3/ws`.

What it assumes about the vendor (assemblyai.com/docs, "Universal streaming": session begin, turn, force endpoint,
termination; and livekit-plugins-assemblyai 1.8):
* the key is the header `Authorization`, bare; a wrong one is refused with HTTP 401;
* the first message is `Begin`; binary messages are audio in the `encoding` and `sample_rate` of the query, 50 ms to
  1 s each; text messages are `{"type": "ForceEndpoint" | "UpdateConfiguration" | "Terminate"}`;
* a `Turn` message has all words of the turn so far, in milliseconds of the audio received, and `end_of_turn` once
  `min_turn_silence` ms of silence follow or `ForceEndpoint` comes; without a turn that is not answered at all;
* `Terminate` is answered by `Termination`, then the socket closes.

It does not recognise speech: what it hears is scripted (`ear.py`). A `Turn` comes with every new word.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from talkspurt.testing.fakes.ear import HeardWord, ScriptedEar
from talkspurt.testing.fakes.sockets import FakeSockets, VendorSocket


class FakeAssemblyAI(FakeSockets["FakeAssemblyAISocket"]):
    """Streaming recognition of a script."""

    path = "/v3/ws"

    def __init__(self, phrases: Sequence[str] = ("hello there",), *, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.phrases = tuple(phrases)
        """What the stretches of sound on each socket are, in order; after the last one they are nothing."""
        self.silent = False
        """True: nothing is sent any more, with the sockets open."""

    def refusal(self, headers: Mapping[str, str], query: Mapping[str, str]) -> int | None:
        if headers.get("Authorization") != self.key:
            return 401
        return None if query.get("encoding") == "pcm_s16le" and query.get("sample_rate", "").isdigit() else 400

    def open(self, query: dict[str, str]) -> "FakeAssemblyAISocket":
        return FakeAssemblyAISocket(self, query)


class FakeAssemblyAISocket(VendorSocket):
    """One session."""

    def __init__(self, fake: FakeAssemblyAI, query: dict[str, str]) -> None:
        super().__init__()
        self.fake = fake
        self.query = query
        self.controls: list[str] = []
        """Types of the text messages received, in order."""
        self._ear = ScriptedEar(fake.phrases, bytes_per_s=2 * int(query["sample_rate"]))
        self._silence = float(query.get("min_turn_silence", 400)) / 1000
        self._turn = 0
        self._told = 0
        """Words of the turns that have ended."""
        self._shown = 0

    @property
    def seconds(self) -> float:
        """Seconds of audio received."""
        return self._ear.now

    def opened(self) -> None:
        """Begin the session."""
        self._send({"type": "Begin", "id": str(uuid.uuid4()), "expires_at": 2_000_000_000})

    def take_audio(self, pcm: bytes) -> None:
        """Hear the audio."""
        self._ear.feed(pcm)
        if self._ear.now - self._ear.sounded >= self._silence and not self._ear.in_phrase:
            self._end_turn()
        elif len(self._ear.words) > self._shown:
            self._send_turn(end=False)

    def take_message(self, message: dict[str, Any]) -> None:
        """Obey a control message."""
        self.controls.append(message["type"])
        if message["type"] == "ForceEndpoint":
            self._ear.settle()
            self._end_turn()
        elif message["type"] == "Terminate":
            seconds = round(self._ear.now)
            self._send({"type": "Termination", "audio_duration_seconds": seconds, "session_duration_seconds": seconds})
            self.finish()

    def _end_turn(self) -> None:
        if len(self._ear.words) > self._told:
            self._send_turn(end=True)
            self._told = len(self._ear.words)
            self._turn += 1

    def _send_turn(self, *, end: bool) -> None:
        words = self._ear.words[self._told :]
        self._shown = len(self._ear.words)
        self._send(
            {
                "type": "Turn",
                "turn_order": self._turn,
                "turn_is_formatted": end,
                "end_of_turn": end,
                "transcript": " ".join(word.text for word in words) if end else "",
                "end_of_turn_confidence": 0.9 if end else 0.1,
                "words": [_spelled(word, final=end) for word in words],
                "language_code": "en",
            }
        )

    def _send(self, message: dict[str, Any]) -> None:
        if not self.fake.silent:
            self.send_json(message)


def _spelled(word: HeardWord, *, final: bool) -> dict[str, Any]:
    start, end = round(word.start * 1000), round(word.end * 1000)
    return {"text": word.text, "start": start, "end": end, "confidence": 0.99, "word_is_final": final}
