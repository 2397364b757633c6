"""Recognizer, language model and synthesizer with a fixed timing, chosen by configuration: `speech.recognizer`,
`speech.synthesizer` and `model.name` = "scripted".

They are for trials and benchmarks of a whole server: whoever knows what its providers cost knows what the server adds.
The timing is `[scripted]` of the configuration, and the schedule of a reply is absolute, so late timers do not add up.
They recognise nothing and keep nothing but numbers, so a server may run on them for days. For tests that want to see
what was asked, there is `talkspurt.testing.providers`.

What callers are taken to have said ends where their audio becomes digital silence.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import count, pairwise
from typing import Final, Self

from talkspurt.config import Config, ScriptedConfig
from talkspurt.ports import LINE_RATE_HZ, ReplyPart, ReplyRequest, SpeechChunk, TextDelta, Transcript, Usage

CHUNK: Final = LINE_RATE_HZ // 5
"""Samples in one piece of a synthesizer's speech: 0.2 s."""
_CHUNK_PCM: Final = b"\x00\x14\x00\xec" * (CHUNK // 2)
_WAITING: Final = 100
"""Transcripts that nobody has collected; more are dropped."""


class TimedRecognizer:
    """Says what the configuration says, a fixed time after the caller's last sound: `scripted.final_after`."""

    def __init__(self, timing: ScriptedConfig) -> None:
        self._timing = timing

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make it."""
        return cls(config.scripted)

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def open(self, *, locale: str, call_id: str) -> "_TimedStream":
        return _TimedStream(self._timing)

    async def aclose(self) -> None:
        """Nothing to do."""


class _TimedStream:
    def __init__(self, timing: ScriptedConfig) -> None:
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._answers: asyncio.Queue[Transcript | None] = asyncio.Queue(_WAITING)
        self._sounded_at = 0.0
        self._first: int | None = None

    def feed(self, pcm: bytes, /) -> None:
        if pcm.count(0) != len(pcm):
            self._sounded_at = self._loop.time()

    def begin(self, utterance: int, lead_in: float, /) -> None:
        if self._first is None:
            self._first = utterance

    def finalize(self, utterance: int, revision: int, /) -> None:
        number = utterance - (utterance if self._first is None else self._first) + 1
        transcript = Transcript(utterance, revision, self._timing.heard.format(number=number))
        due = max(self._loop.time(), self._sounded_at + self._timing.final_after)
        self._loop.call_at(due, self._answer, transcript)

    def end(self, utterance: int, /) -> None:
        """Nothing is kept."""

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while (transcript := await self._answers.get()) is not None:
            yield transcript

    async def aclose(self) -> None:
        self._answer(None)

    def _answer(self, transcript: Transcript | None) -> None:
        if not self._answers.full():
            self._answers.put_nowait(transcript)


class TimedModel:
    """Replies with `scripted.reply`, a token every `between_tokens` seconds after `first_token`.

    Each sentence is cut into its share of tokens; `{number}` is another one in every reply, so that no phrase cache
    knows it.
    """

    def __init__(self, timing: ScriptedConfig) -> None:
        self._timing = timing
        self._numbers = count(10_000)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make it."""
        return cls(config.scripted)

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        timing, loop = self._timing, asyncio.get_running_loop()
        due = loop.time() + timing.first_token
        number = next(self._numbers) % 90_000 + 10_000
        for sentence, tokens in zip(timing.reply, timing.tokens, strict=True):
            for token in cut(sentence.format(number=number), tokens):
                await asyncio.sleep(due - loop.time())
                yield TextDelta(token)
                due += timing.between_tokens
        yield Usage(output_tokens=sum(timing.tokens))

    async def aclose(self) -> None:
        """Nothing to do."""


class TimedSynthesizer:
    """A tone as long as the text: `first_byte` seconds to the first audio, then `speed` times real time."""

    def __init__(self, timing: ScriptedConfig) -> None:
        self._timing = timing

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make it."""
        return cls(config.scripted)

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        timing, loop = self._timing, asyncio.get_running_loop()
        due = loop.time() + timing.first_byte
        letters_per_second = timing.letters_per_second * pace
        words = tuple((word[0], word.start() / letters_per_second) for word in re.finditer(r"\S+", text))
        left = round(len(text) / letters_per_second * LINE_RATE_HZ) if words else 0
        while left > 0:
            await asyncio.sleep(due - loop.time())
            samples = min(left, CHUNK)
            yield SpeechChunk(_CHUNK_PCM if samples == CHUNK else _CHUNK_PCM[: 2 * samples], words)
            words = ()
            left -= samples
            due += samples / LINE_RATE_HZ / timing.speed

    async def aclose(self) -> None:
        """Nothing to do."""


def cut(text: str, pieces: int) -> list[str]:
    """`text` in so many pieces that differ by at most a letter; fewer when it has fewer letters."""
    bounds = [round(len(text) * piece / pieces) for piece in range(pieces + 1)]
    return [text[start:end] for start, end in pairwise(bounds) if start < end]
