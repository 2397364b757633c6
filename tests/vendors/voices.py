"""Every cloud synthesizer with the fake that speaks its wire format, for tests that run on all of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from talkspurt.ports import SpeechChunk
from talkspurt.synthesizers.elevenlabs import ElevenLabsSynthesizer
from talkspurt.synthesizers.google import GoogleSynthesizer
from talkspurt.synthesizers.openai import OpenAISynthesizer
from talkspurt.synthesizers.streamed import Patience
from talkspurt.testing.fakes import FakeElevenLabs, FakeOpenAISpeech, Speech
from talkspurt.testing.fakes.google_cloud import FakeGoogleSynthesis

KEY: Final = "canary-0123456789abcdef"
TEXT: Final = "Your order is on its way, Anna."


@dataclass(frozen=True)
class Voice:
    """How to reach a fake through its vendor's SDK."""

    vendor: str
    fake: type[Any]
    synthesizer: type[Any]
    variable: str
    address: str = ""
    """Its entry in `speech.base_url`, where that is not its name."""

    def open(self, *, otherwise: Speech | None = None) -> Any:
        return self.fake(key=KEY, otherwise=otherwise)

    def environment(self, fake: Any, key: str = KEY) -> dict[str, str]:
        return {self.variable: fake.credentials(key) if hasattr(fake, "credentials") else key}

    def connect(self, fake: Any, *, key: str = KEY, patience: Patience | None = None) -> Any:
        return self.synthesizer(base_url=fake.base_url, environment=self.environment(fake, key), patience=patience)


VOICES: Final[Mapping[str, Voice]] = {
    voice.vendor: voice
    for voice in (
        Voice("elevenlabs", FakeElevenLabs, ElevenLabsSynthesizer, "ELEVENLABS_API_KEY"),
        Voice("openai", FakeOpenAISpeech, OpenAISynthesizer, "OPENAI_API_KEY"),
        Voice(
            "google",
            FakeGoogleSynthesis,
            GoogleSynthesizer,
            "GOOGLE_APPLICATION_CREDENTIALS",
            address="google-texttospeech",
        ),
    )
}


async def speak(synthesizer: Any, text: str = TEXT, *, voice: str = "", pace: float = 1.0) -> list[SpeechChunk]:
    """All chunks of a text; fails after ten seconds."""
    async with asyncio.timeout(10):
        return [chunk async for chunk in synthesizer.synthesize(text, voice=voice, locale="en-US", pace=pace)]
