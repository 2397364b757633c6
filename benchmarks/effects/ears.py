"""What the agent's ears are made of: voice activity and recognition of a caller whose words are known."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from talkspurt.ports import Transcript

WINDOW: Final = 256
"""Samples per voice activity decision, as Silero's at 8 kHz."""


@dataclass(frozen=True, slots=True)
class Said:
    """One stretch of the caller's speech."""

    at: float
    until: float
    text: str


class AnySound:
    """Implements `VoiceActivityDetector`: voice is what is not digital silence."""

    window = WINDOW

    def __init__(self) -> None:
        self.streams: list[_SoundStream] = []

    def open(self, on_window: Callable[[float, int], None], /) -> "_SoundStream":
        """Start a stream for one call."""
        stream = _SoundStream(self, on_window)
        self.streams.append(stream)
        return stream

    def tick(self) -> None:
        """Decide all complete windows."""
        for stream in tuple(self.streams):
            stream.decide()


class _SoundStream:
    def __init__(self, detector: AnySound, on_window: Callable[[float, int], None]) -> None:
        self._detector = detector
        self._on_window = on_window
        self._pending = b""
        self._samples = 0

    def feed(self, pcm: bytes, /) -> None:
        self._pending += pcm

    def decide(self) -> None:
        while len(self._pending) >= 2 * WINDOW:
            window, self._pending = self._pending[: 2 * WINDOW], self._pending[2 * WINDOW :]
            self._samples += WINDOW
            self._on_window(1.0 if window.strip(b"\x00") else 0.0, self._samples)

    def close(self) -> None:
        if self in self._detector.streams:
            self._detector.streams.remove(self)


class KnowingRecognizer:
    """Implements `Recognizer`: hears what `said` holds, mostly. It never turns a no into a yes."""

    def __init__(self, chance: Random, said: list[Said], *, trouble: float = 0.0) -> None:
        """`trouble` is the share of utterances that come late, empty, garbled or not at all."""
        self.chance = chance
        self.said = said
        self.trouble = trouble

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def open(self, *, locale: str, call_id: str) -> "_Stream":
        """Start a stream for one call."""
        return _Stream(self)

    async def aclose(self) -> None:
        """Nothing to do."""


class _Stream:
    def __init__(self, recognizer: KnowingRecognizer) -> None:
        self._recognizer = recognizer
        self._began = 0.0
        self._answers: asyncio.Queue[Transcript | None] = asyncio.Queue(maxsize=10_000)

    def feed(self, pcm: bytes, /) -> None:
        """The words are known without listening."""

    def begin(self, utterance: int, lead_in: float, /) -> None:
        self._began = asyncio.get_running_loop().time() - lead_in

    def finalize(self, utterance: int, revision: int, /) -> None:
        loop, chance = asyncio.get_running_loop(), self._recognizer.chance
        text: str = " ".join(filter(None, (self._words(said, loop.time()) for said in self._recognizer.said)))
        delay, error = chance.choice((0.08, 0.15, 0.3)), None
        if self._recognizer.trouble and chance.random() < self._recognizer.trouble:
            match chance.randrange(5):
                case 0:
                    return
                case 1:
                    delay = 2.5
                case 2:
                    text = ""
                case 3:
                    text = f"mumble {text}"
                case _:
                    text, error = "", "told to fail"
        transcript = Transcript(utterance, revision, text, error=error)
        loop.call_later(delay, self._answers.put_nowait, transcript)

    def end(self, utterance: int, /) -> None:
        """Nothing is kept."""

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while (transcript := await self._answers.get()) is not None:
            yield transcript

    async def aclose(self) -> None:
        self._answers.put_nowait(None)

    def _words(self, said: Said, now: float) -> str:
        """What of it belongs to the utterance and was spoken by now."""
        if said.until <= self._began or said.at >= now:
            return ""
        words = said.text.split()
        share = min(1.0, (now - said.at) / (said.until - said.at))
        return " ".join(words[: round(share * len(words))])
