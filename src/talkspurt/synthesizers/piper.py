"""Piper voices on this machine: what the port asks, in the terms of local inference.

Invariants: nothing here blocks the event loop; a closed iterator starts no further chunk.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from talkspurt.config import Config
from talkspurt.errors import ProviderError
from talkspurt.ports import SpeechChunk
from talkspurt.speech.inference import Ask, Inference, current_purpose, open_inference
from talkspurt.speech.piper_voice import DEFAULT_VOICE, VOICES

START_SLACK: Final = 0.25
"""Seconds that speech not yet begun gives way to speech that a caller already hears: late is better than broken."""

PATIENCE: Final = 3.0
"""Seconds after which speech that has not begun is given up."""
UNHURRIED: Final = 60.0
"""The same for what no call asks for, such as the greeting that is spoken once when a server starts: nobody waits."""

MAXIMUM_CHARACTERS: Final = 5_000
"""About six minutes of speech; no reply is that long, so it is refused rather than spoken."""


class PiperSynthesizer:
    """The Synthesizer port on local Piper voices, for all calls of a process."""

    def __init__(self, inference: Inference, *, patience: float = PATIENCE) -> None:
        self._inference = inference
        self._patience = patience

    @classmethod
    def from_config(cls, config: Config) -> "PiperSynthesizer":
        """The synthesizer that the configuration describes."""
        patience = max(config.inference.patience, config.fallbacks.patience.get("piper", 0.0))
        return cls(open_inference(config), patience=patience)

    settings: Final = DEFAULT_VOICE
    """What its sound depends on besides the voice's name: which voice "" stands for."""

    async def warm_up(self) -> None:
        """Load the voice and speak once.

        Raises `WeightsError` or `ConfigurationError` that says what to install.
        """
        await self._inference.warm_up("speech")

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of `text`; nothing when there is nothing in it to say."""
        name = voice or DEFAULT_VOICE
        if len(text) > MAXIMUM_CHARACTERS:
            raise _failure(f"{len(text)} characters are more than {MAXIMUM_CHARACTERS}; send one sentence at a time")
        if not locale.lower().startswith("en"):
            raise _failure(f"its voices speak English, not '{locale}'; choose another speech.synthesizer")
        if name not in VOICES:
            raise _failure(f"there is no voice '{name}' (known: {', '.join(sorted(VOICES))})")
        now = time.monotonic()
        purpose = current_purpose()
        patience = self._patience if purpose.call else UNHURRIED
        ask = Ask(purpose, due=now + START_SLACK, expires=now + patience)
        async with aclosing(self._inference.synthesize(text, ask, voice=name, pace=pace)) as speech:
            async for chunk in speech:
                yield chunk

    async def aclose(self) -> None:
        """Let go of the voice. Idempotent."""
        await self._inference.aclose()


def _failure(message: str) -> ProviderError:
    return ProviderError("synthesizer", "piper", message)
