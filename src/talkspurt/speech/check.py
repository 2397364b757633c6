"""Lets a recognizer hear a sentence and a synthesizer speak, as calls do, and tells how it went.

Behind `talkspurt providers check`. The sentence that is heard is a recording of the bundled voice (Piper's joe, CC0),
fed at the pace of a line. Nothing here raises for what a provider does: a fault is a sentence in the result.
"""

import asyncio
import re
import time
import wave
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from importlib.resources import files
from statistics import median
from typing import Final

from rapidfuzz.distance import Levenshtein

from talkspurt.errors import TalkspurtError
from talkspurt.ports import LINE_RATE_HZ, Recognizer, RecognizerStream, Synthesizer, Transcript

SENTENCE: Final = "Can you tell me where my order is please"
"""What the recording says."""
LOCALE: Final = "en-US"
ASKED_AFTER: Final = 0.2
"""Seconds of silence after which a call asks for the words."""
ANSWER: Final = 5.0
"""Seconds until an answer is given up."""
UNDERSTOOD: Final = 0.5
"""The part of the words that has to be right."""

_FRAME: Final = bytes(LINE_RATE_HZ // 50 * 2)


@dataclass(frozen=True, slots=True)
class SpeechCheck:
    """How a provider of speech did. Times are in seconds.

    Of a recognizer they run from the end of the speech to the final transcript, of a synthesizer from the text to the
    first audio.
    """

    name: str
    problem: str = ""
    """What is wrong, as a sentence; "" when nothing is."""
    first: float | None = None
    """With a new connection."""
    usual: float | None = None
    """The median with an open one."""
    worst: float | None = None
    note: str = ""
    """How many words were right, or whether words have times."""


async def check_recognizer(name: str, recognizer: Recognizer, *, requests: int) -> SpeechCheck:
    """Let `recognizer` hear the sentence `requests` times on one stream."""
    speech = recording()
    times: list[float] = []
    right, said = 0, _words(SENTENCE)
    try:
        stream = await asyncio.wait_for(recognizer.open(locale=LOCALE, call_id="check"), ANSWER)
        try:
            async with aclosing(_answers(stream)) as answers:
                for utterance in range(1, requests + 1):
                    took, heard = await _hear(stream, answers, utterance, speech)
                    if heard.error is not None:
                        return SpeechCheck(name, f"{name} recognizer: {heard.error}")
                    times.append(took)
                    wrong = Levenshtein.distance(said, _words(heard.text))
                    right = len(said) - min(len(said), wrong)
                    if right < UNDERSTOOD * len(said):
                        what = f"it heard '{heard.text}'" if heard.text else "it heard no words"
                        return SpeechCheck(name, f"{what}; the recording says '{SENTENCE}'")
        finally:
            await stream.aclose()
    except TimeoutError:
        return SpeechCheck(name, f"{name} recognizer: no final transcript within {ANSWER:.0f} s")
    except TalkspurtError as error:
        return SpeechCheck(name, str(error))
    return _timed(name, times, f"{right} of {len(said)} words right")


async def check_synthesizer(name: str, synthesizer: Synthesizer, *, voice: str, requests: int) -> SpeechCheck:
    """Let `synthesizer` speak `requests` sentences, each another, so that no cache has it."""
    times: list[float] = []
    aligned = False
    try:
        for number in range(1, requests + 1):
            text = f"Your order number {number} has been sent and will arrive on Tuesday."
            began, first = time.perf_counter(), None
            async with aclosing(synthesizer.synthesize(text, voice=voice, locale=LOCALE)) as speech:
                async for chunk in speech:
                    aligned = aligned or bool(chunk.words)
                    if chunk.pcm and first is None:
                        first = time.perf_counter() - began
            if first is None:
                return SpeechCheck(name, "it sent no audio")
            times.append(first)
    except TalkspurtError as error:
        return SpeechCheck(name, str(error))
    return _timed(name, times, "with word times" if aligned else "without word times")


def recording() -> bytes:
    """The sentence as PCM16 at the line's rate, without silence around it."""
    with (files("talkspurt.speech") / "sentence.wav").open("rb") as file, wave.open(file) as recorded:
        return bytes(recorded.readframes(recorded.getnframes()))


async def _hear(
    stream: RecognizerStream, answers: AsyncGenerator[Transcript, None], utterance: int, speech: bytes
) -> tuple[float, Transcript]:
    """Say `speech` at the pace of a line; seconds from its end to the words, and the words."""
    stream.begin(utterance, 0.0)
    await _feed(stream, speech)
    ended = time.perf_counter()
    await _feed(stream, _FRAME * round(ASKED_AFTER * 50))
    stream.finalize(utterance, 1)
    line = asyncio.get_running_loop().create_task(_feed(stream, _FRAME * round(ANSWER * 50)))
    try:
        async with asyncio.timeout(ANSWER):
            async for transcript in answers:
                if transcript.final and transcript.utterance == utterance:
                    return time.perf_counter() - ended, transcript
    finally:
        line.cancel()
        stream.end(utterance)
    return 0.0, Transcript(utterance, 1, "", error="the stream ended")


async def _answers(stream: RecognizerStream) -> AsyncGenerator[Transcript, None]:
    async for transcript in stream.transcripts():
        yield transcript


async def _feed(stream: RecognizerStream, pcm: bytes) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for start in range(0, len(pcm), len(_FRAME)):
        stream.feed(pcm[start : start + len(_FRAME)])
        due += 0.02
        await asyncio.sleep(due - loop.time())


def _timed(name: str, times: list[float], note: str) -> SpeechCheck:
    open_ones = times[1:] or times
    return SpeechCheck(name, "", times[0], median(open_ones), max(open_ones), note)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
