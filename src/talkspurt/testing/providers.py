"""Recognizer, language model, synthesizer, voice activity and turn detector with scripted answers and fixed timing.

They fit the ports exactly and need no model, key or network, so that an agent's tools and
prompts can be tried in milliseconds and a benchmark knows what its providers cost.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence

from talkspurt.core.history import CallerSaid, Entry
from talkspurt.errors import ProviderError
from talkspurt.ports import (
    LINE_RATE_HZ,
    ReplyPart,
    ReplyRequest,
    SpeechChunk,
    TextDelta,
    Transcript,
)

WINDOW = 256
"""Samples per voice activity decision, as Silero's at 8 kHz."""
_SILENT = bytes(2 * WINDOW)
LOUD = 500
"""Sample values beyond this count as voice."""


class LevelVoiceActivity:
    """Voice is what has samples beyond `loud`. For tests whose caller is a tone and whose silence is silent."""

    window = WINDOW

    def __init__(self, loud: int = LOUD) -> None:
        self.loud = loud
        self._streams: list[_LevelStream] = []

    def open(self, on_window: Callable[[float, int], None], /) -> "_LevelStream":
        stream = _LevelStream(self, on_window)
        self._streams.append(stream)
        return stream

    def steps(self) -> Iterator[None]:
        for stream in tuple(self._streams):
            if stream in self._streams:
                stream.decide()
                yield

    def forget(self, stream: "_LevelStream") -> None:
        if stream in self._streams:
            self._streams.remove(stream)


class _LevelStream:
    def __init__(self, detector: LevelVoiceActivity, on_window: Callable[[float, int], None]) -> None:
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
            self._on_window(1.0 if self._is_loud(window) else 0.0, self._samples)

    def _is_loud(self, window: bytes) -> bool:
        if window == _SILENT:  # most are, and the rest takes 17 µs
            return False
        samples = memoryview(window).cast("h")
        return max(samples) > self._detector.loud or min(samples) < -self._detector.loud

    def close(self) -> None:
        self._detector.forget(self)


class ScriptedTurnDetector:
    """Gives the same score, or what a function makes of the audio, `delay` seconds after it was asked.

    The function may raise, as a detector that is overloaded does.
    """

    def __init__(self, score: float | Callable[[bytes], float] = 1.0, *, delay: float = 0.05) -> None:
        self._score = score
        self._delay = delay
        self.asked: list[int] = []
        """Samples of every request, in order; also of those whose caller did not wait."""

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def finished(self, pcm: bytes, /) -> float:
        self.asked.append(len(pcm) // 2)
        await asyncio.sleep(self._delay)
        return self._score(pcm) if callable(self._score) else self._score

    async def aclose(self) -> None:
        """Nothing to do."""


class ScriptedRecognizer:
    """Answers the n-th utterance of a call with the n-th line, `delay` seconds after it was asked."""

    def __init__(self, lines: Sequence[str], *, delay: float = 0.2) -> None:
        self._lines = tuple(lines)
        self._delay = delay

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def open(self, *, locale: str, call_id: str) -> "_ScriptedStream":
        return _ScriptedStream(self._lines, self._delay)

    async def aclose(self) -> None:
        """Nothing to do."""


class _ScriptedStream:
    def __init__(self, lines: tuple[str, ...], delay: float) -> None:
        self._lines = lines
        self._delay = delay
        self._first: int | None = None
        self._answers: asyncio.Queue[Transcript | None] = asyncio.Queue(maxsize=1000)
        self.heard = 0
        """Samples received."""

    def feed(self, pcm: bytes, /) -> None:
        self.heard += len(pcm) // 2

    def begin(self, utterance: int, lead_in: float, /) -> None:
        if self._first is None:
            self._first = utterance

    def finalize(self, utterance: int, revision: int, /) -> None:
        index = utterance - (self._first or utterance)
        text = self._lines[index] if index < len(self._lines) else ""
        transcript = Transcript(utterance, revision, text)
        asyncio.get_running_loop().call_later(self._delay, self._answers.put_nowait, transcript)

    def end(self, utterance: int, /) -> None:
        """Nothing is kept."""

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while (transcript := await self._answers.get()) is not None:
            yield transcript

    async def aclose(self) -> None:
        self._answers.put_nowait(None)


Script = Callable[[ReplyRequest], Iterable[ReplyPart | Exception]]
"""From a request to the parts of its reply; an exception in their place is raised."""


class ScriptedModel:
    """Replies as a function says: `first` seconds to the first part, `between` seconds from part to part."""

    def __init__(self, script: Script, *, first: float = 0.15, between: float = 0.01) -> None:
        self._script = script
        self._first = first
        self._between = between
        self.requests: list[ReplyRequest] = []

    @classmethod
    def saying(cls, *replies: str, first: float = 0.15, between: float = 0.01) -> "ScriptedModel":
        """A model that says these replies one after the other, word by word, and then the last one again.

        Who asks again after the same history, whatever the caller's last words, gets the same reply:
        the guess at a turn that went on was dropped unheard.
        """
        turns: dict[tuple[Entry, ...], int] = {}

        def script(request: ReplyRequest) -> Iterable[ReplyPart]:
            before = request.history
            if before and isinstance(before[-1], CallerSaid):
                before = before[:-1]
            text = replies[min(turns.setdefault(before, len(turns)), len(replies) - 1)]
            return [TextDelta(f"{word} ") for word in text.split()]

        return cls(script, first=first, between=between)

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        self.requests.append(request)
        await asyncio.sleep(self._first)
        for part in self._script(request):
            if isinstance(part, Exception):
                raise part
            yield part
            await asyncio.sleep(self._between)

    async def aclose(self) -> None:
        """Nothing to do."""


class ToneSynthesizer:
    """Speaks a tone as long as the text: `first` seconds to the first audio, then `speed` times real time.

    Every letter and space lasts equally long, and the words' times say so.
    """

    def __init__(self, *, first: float = 0.08, speed: float = 20.0, letters_per_second: float = 14.0) -> None:
        self._first = first
        self._speed = speed
        self._letters_per_second = letters_per_second
        self.spoken: list[str] = []
        self.failing = False
        """Make every further synthesis fail."""

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.spoken.append(text)
        await asyncio.sleep(self._first)
        if self.failing:
            raise ProviderError("synthesizer", "tone", "told to fail")
        if not text.strip():
            return
        letters_per_second = self._letters_per_second * pace
        words = tuple((word[0], word.start() / letters_per_second) for word in re.finditer(r"\S+", text))
        left = round(len(text) / letters_per_second * LINE_RATE_HZ)
        while left > 0:
            samples = min(left, LINE_RATE_HZ // 5)
            yield SpeechChunk(b"\x00\x14\x00\xec" * (samples // 2) + b"\x00\x14" * (samples % 2), words)
            words = ()
            left -= samples
            await asyncio.sleep(samples / LINE_RATE_HZ / self._speed)

    async def aclose(self) -> None:
        """Nothing to do."""
