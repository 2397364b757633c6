import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from talkspurt.errors import ProviderError
from talkspurt.ports import RecognizerStream, Transcript
from talkspurt.simulate.voices import silence
from talkspurt.simulate.witness import Witness


class CountingStream:
    """Says how much it was fed; fails when told to."""

    def __init__(self, error: str | None) -> None:
        self.error = error
        self.fed = 0
        self.answers: asyncio.Queue[Transcript] = asyncio.Queue()
        self.closed = False

    def feed(self, pcm: bytes, /) -> None:
        self.fed += len(pcm) // 2

    def begin(self, utterance: int, lead_in: float, /) -> None:
        assert lead_in == 0.0

    def finalize(self, utterance: int, revision: int, /) -> None:
        self.answers.put_nowait(Transcript(utterance, 0, "part", final=False))
        self.answers.put_nowait(Transcript(utterance, revision, f" {self.fed / 8_000:.1f}s ", error=self.error))

    def end(self, utterance: int, /) -> None: ...

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while True:
            yield await self.answers.get()

    async def aclose(self) -> None:
        self.closed = True


class CountingRecognizer:
    def __init__(self, error: str | None = None) -> None:
        self.error = error
        self.streams: list[CountingStream] = []

    async def warm_up(self) -> None: ...

    async def open(self, *, locale: str, call_id: str) -> RecognizerStream:
        self.streams.append(CountingStream(self.error))
        return self.streams[-1]

    async def aclose(self) -> None: ...


TONE = (np.sin(np.arange(8_000) * 0.5) * 6_000).astype(np.int16)


async def test_each_phrase_is_recognized_by_itself() -> None:
    recognizer = CountingRecognizer()
    heard = await Witness(recognizer).transcribe(np.concatenate((TONE, silence(1.0), TONE[:4_000], silence(1.0))))
    assert heard == "1.1s 0.7s"
    assert all(stream.closed for stream in recognizer.streams)


async def test_silence_is_not_given_to_the_recognizer() -> None:
    recognizer = CountingRecognizer()
    assert await Witness(recognizer).transcribe(silence(2.0)) == ""
    assert recognizer.streams == []


async def test_a_recognizer_that_fails_is_an_error_and_its_stream_is_closed() -> None:
    recognizer = CountingRecognizer("out of memory")
    with pytest.raises(ProviderError, match="out of memory"):
        await Witness(recognizer).transcribe(TONE)
    assert recognizer.streams[0].closed
