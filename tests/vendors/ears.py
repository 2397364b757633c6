"""Cloud recognizers with the fakes that speak their wire formats, and one who listens to a stream of theirs."""

import asyncio
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from talkspurt.ports import RecognizerStream, Transcript
from talkspurt.recognizers.answers import Patience
from talkspurt.recognizers.deepgram import DeepgramRecognizer
from talkspurt.recognizers.google import GoogleRecognizer
from talkspurt.recognizers.openai import OpenAIRecognizer
from talkspurt.testing.fakes import FakeDeepgram, FakeOpenAITranscription
from talkspurt.testing.fakes.google_cloud import FakeGoogleRecognition

KEY: Final = "canary-0123456789abcdef"
PHRASES: Final = ("where is my order", "thank you")


@dataclass(frozen=True)
class Ears:
    """How to reach a fake through its vendor's SDK."""

    vendor: str
    fake: type[Any]
    recognizer: type[Any]
    variable: str
    address: str = ""
    """Its entry in `speech.base_url`, where that is not its name."""

    def open(self) -> Any:
        return self.fake(PHRASES, key=KEY)

    def environment(self, fake: Any, key: str = KEY) -> dict[str, str]:
        return {self.variable: fake.credentials(key) if hasattr(fake, "credentials") else key}

    def connect(self, fake: Any, *, key: str = KEY, patience: Patience | None = None) -> Any:
        return self.recognizer(base_url=fake.base_url, environment=self.environment(fake, key), patience=patience)


EARS: Final[Mapping[str, Ears]] = {
    ears.vendor: ears
    for ears in (
        Ears("deepgram", FakeDeepgram, DeepgramRecognizer, "DEEPGRAM_API_KEY"),
        Ears("openai", FakeOpenAITranscription, OpenAIRecognizer, "OPENAI_API_KEY"),
        Ears(
            "google",
            FakeGoogleRecognition,
            GoogleRecognizer,
            "GOOGLE_APPLICATION_CREDENTIALS",
            address="google-speech",
        ),
    )
}


def voice(seconds: float) -> bytes:
    samples = [int(8000 * math.sin(2 * math.pi * 300 * n / 8000)) for n in range(round(seconds * 8000))]
    return struct.pack(f"<{len(samples)}h", *samples)


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * 8000))


def feed(stream: RecognizerStream, pcm: bytes) -> None:
    for start in range(0, len(pcm), 320):
        stream.feed(pcm[start : start + 320])


class Listener:
    """Collects what a stream tells, so that a test can wait for one thing."""

    def __init__(self, stream: RecognizerStream) -> None:
        self.stream = stream
        self.all: list[Transcript] = []
        self.told = asyncio.Event()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for transcript in self.stream.transcripts():
            self.all.append(transcript)
            self.told.set()

    async def answer(self, utterance: int, revision: int) -> Transcript:
        async with asyncio.timeout(15):
            while True:
                for transcript in self.all:
                    if transcript.final and (transcript.utterance, transcript.revision) == (utterance, revision):
                        return transcript
                self.told.clear()
                await self.told.wait()

    async def partial(self) -> Transcript:
        async with asyncio.timeout(15):
            while True:
                for transcript in self.all:
                    if not transcript.final:
                        return transcript
                self.told.clear()
                await self.told.wait()
