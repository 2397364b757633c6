"""Whisper tiny.en on this machine: one final transcript per `finalize`, no partials.

How utterances are kept and questions answered is in `utterances.py`.
"""

import time
from functools import partial
from typing import Final

from talkspurt.config import Config
from talkspurt.errors import ProviderError
from talkspurt.recognizers.utterances import UtteranceStream
from talkspurt.speech.inference import Ask, Inference, Purpose, open_inference
from talkspurt.speech.whisper_model import UTTERANCE

PATIENCE: Final = 3.0
"""Seconds until a `finalize` is answered with an error: soon after, the conversation has moved on."""


class WhisperRecognizer:
    """The Recognizer port on local Whisper, for all calls of a process."""

    def __init__(self, inference: Inference, *, patience: float = PATIENCE) -> None:
        self._inference = inference
        self._patience = patience
        self._streams: set[UtteranceStream] = set()

    @classmethod
    def from_config(cls, config: Config) -> "WhisperRecognizer":
        """The recognizer that the configuration describes."""
        return cls(open_inference(config), patience=config.inference.patience)

    async def warm_up(self) -> None:
        """Load the models and transcribe once. Raises `WeightsError` that says what to do."""
        await self._inference.warm_up("transcript")

    async def open(self, *, locale: str, call_id: str) -> UtteranceStream:
        """Start a stream for one call. Raises `ProviderError` for a language that the model does not know."""
        if not locale.lower().startswith("en"):
            raise ProviderError(
                "recognizer", "whisper", f"tiny.en hears English, not '{locale}'; choose another speech.recognizer"
            )
        hear = partial(self._transcribe, purpose=Purpose(call_id))
        stream = UtteranceStream(hear, longest=UTTERANCE, on_close=self._streams.discard)
        self._streams.add(stream)
        return stream

    async def aclose(self) -> None:
        """Close all streams and let go of the model. Idempotent."""
        for stream in list(self._streams):
            await stream.aclose()
        await self._inference.aclose()

    async def _transcribe(self, pcm: bytes, purpose: Purpose) -> str:
        now = time.monotonic()
        return await self._inference.transcribe(pcm, Ask(purpose, due=now, expires=now + self._patience))
