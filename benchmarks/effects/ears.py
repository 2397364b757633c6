"""What the agent hears with: recognition of a caller whose words are known."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

from talkspurt.ports import Transcript


@dataclass(frozen=True, slots=True)
class Said:
    """One stretch of the caller's speech."""

    at: float
    until: float
    text: str


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
