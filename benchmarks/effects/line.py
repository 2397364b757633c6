"""A telephone line on virtual time on which it is known, to the word, what was heard.

The synthesizer's double writes the number of each word into its samples, so the line knows from the bytes that it
plays which words the caller hears: no mark, ledger or history of the product is asked.
"""

import asyncio
import math
import struct
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from talkspurt.agent.spoken_form.english import english_form
from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, LineListener, SpeechChunk

FRAME: Final = 320
"""Bytes of 20 ms."""
SILENCE: Final = b"\x00" * FRAME
QUIETEST: Final = 2_000
"""The sample value of word 0; each word has two values, the second for its last samples."""
MOST_WORDS: Final = (32_767 - QUIETEST) // 2
LETTERS_PER_SECOND: Final = 24.0
CHUNK_BYTES: Final = 2 * LINE_RATE_HZ * 2 // 5
"""Audio of 0.4 s: as much as the synthesizer makes at once."""


def _vowel() -> bytes:
    """Two periods of a vowel at 100 Hz with one resonance: nothing like the samples of the synthesizer's double."""
    period = [math.exp(-n / 30) * math.sin(2 * math.pi * 500 * n / 8000) for n in range(80)]
    return struct.pack("<160h", *(round(12_000 * sample) for sample in period * 2))


VOICE: Final = _vowel()


@dataclass(frozen=True, slots=True)
class Word:
    """One word that the agent's voice was told to say."""

    text: str
    sentence: int
    """The request to the synthesizer that it belongs to."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word of the agent that was played to its last sample."""

    at: float
    word: Word


def spoken(text: str) -> str:
    """How the agent's voice is told to say `text`."""
    return english_form(text).text


class WordSynthesizer:
    """Implements `Synthesizer`: a tone per word that says which word it is."""

    def __init__(self, chance: Random, *, trouble: float = 0.0) -> None:
        """`trouble` is the share of sentences that come late or break."""
        self.words: list[Word] = []
        self._chance = chance
        self._trouble = trouble
        self._sentences = 0

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the tones of `text`, faster than they are played."""
        troubled = self._chance.random() < self._trouble
        await asyncio.sleep(self._chance.choice((1.0, 3.0, 9.0)) if troubled else 0.08)
        if troubled and self._chance.random() < 0.5:
            raise ProviderError("synthesizer", "words", "told to fail")
        pcm, starts = self._speak(text, LETTERS_PER_SECOND * pace)
        for begin in range(0, len(pcm), CHUNK_BYTES):
            yield SpeechChunk(pcm[begin : begin + CHUNK_BYTES], starts if begin == 0 else ())
            await asyncio.sleep(0.02)

    async def aclose(self) -> None:
        """Nothing to do."""

    def _speak(self, text: str, letters_per_second: float) -> tuple[bytes, tuple[tuple[str, float], ...]]:
        self._sentences += 1
        pcm, starts = b"", []
        for word in text.split():
            starts.append((word, len(pcm) / 2 / LINE_RATE_HZ))
            pcm += self._tone(Word(word, self._sentences), letters_per_second)
        return pcm, tuple(starts)

    def _tone(self, word: Word, letters_per_second: float) -> bytes:
        body = QUIETEST + 2 * len(self.words)
        assert len(self.words) < MOST_WORDS, "a call of more words than samples can tell apart"
        self.words.append(word)
        pairs = round((len(word.text) + 1) / letters_per_second * LINE_RATE_HZ / 2)
        return struct.pack("<2h", body, -body) * (pairs - 1) + struct.pack("<2h", body + 1, -body - 1)


class VirtualLine:
    """Implements `Transport`: what a carrier does with audio, marks and clears, frame by frame on virtual time."""

    def __init__(
        self,
        chance: Random,
        words: list[Word],
        on_heard: Callable[[Heard], None],
        *,
        trouble: float = 0.0,
    ) -> None:
        """`words` are the synthesizer's; `trouble` is the share of marks that are late, doubled or lost."""
        self.listener: LineListener | None = None
        self.closed = False
        self._chance = chance
        self._words = words
        self._on_heard = on_heard
        self._trouble = trouble
        self._queue: deque[bytes | str] = deque()
        self._returned: list[str] = []
        self._voiced_until = 0.0
        self.audible_at = -1.0
        """When the agent was last heard."""

    # ── the port ──────────────────────────────────────────────────────────────────

    def listen(self, listener: LineListener, /) -> None:
        """Deliver to `listener` from now on; a line that was lost before says so at once."""
        self.listener = listener
        if self.closed:
            listener.line_closed(hung_up=False)

    def send_audio(self, pcm: bytes, /) -> None:
        """Queue audio at the carrier."""
        self._queue.append(pcm)

    def send_mark(self, name: str, /) -> None:
        """Queue a mark behind it."""
        self._queue.append(name)

    def clear(self) -> None:
        """Forget what was not played; a carrier returns its marks at once."""
        marks = [item for item in self._queue if isinstance(item, str)]
        self._queue.clear()
        for mark in marks:
            self._return(mark)

    def close(self) -> None:
        """The agent's side hangs up."""
        self.closed = True

    # ── the caller's end ──────────────────────────────────────────────────────────

    def speak(self, seconds: float) -> None:
        """The caller's voice is on the line from now on for so long."""
        self._voiced_until = asyncio.get_running_loop().time() + seconds

    def press(self, digit: str) -> None:
        """The caller presses a key."""
        if self.listener is not None:
            self.listener.digit_received(digit)

    def lose(self, *, hung_up: bool) -> None:
        """The attachment is over: what is on the way is never heard."""
        if not self.closed:
            self.closed = True
            self._queue.clear()
            if self.listener is not None:
                self.listener.line_closed(hung_up=hung_up)

    def repeat_marks(self) -> None:
        """The carrier sends its last marks once more."""
        for mark in self._returned[-5:]:
            self._deliver(mark)

    async def run(self) -> None:
        """A frame each way every 20 ms until the line is closed."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        # A timer and no task that sleeps: frames are half of what happens in a call, and that costs twice as much.
        def frame(due: float) -> None:
            if over.done():
                return
            if self.closed:
                over.set_result(None)
                return
            now = loop.time()
            try:
                if self.listener is not None:
                    self.listener.audio_received(VOICE if now < self._voiced_until else SILENCE)
                self._play(now)
            except Exception as error:
                over.set_exception(error)
                return
            loop.call_at(due + 0.02, frame, due + 0.02)

        frame(loop.time())
        await over

    def _play(self, now: float) -> None:
        left, queue = FRAME, self._queue
        while queue and not self.closed and (left or isinstance(queue[0], str)):
            head = queue.popleft()
            if isinstance(head, str):
                self._return(head)
                continue
            played, rest = head[:left], head[left:]
            if rest:
                queue.appendleft(rest)
            left -= len(played)
            self.audible_at = now
            for sample in set(memoryview(played).cast("h")):
                if sample > 0 and (sample - QUIETEST) % 2:
                    self._on_heard(Heard(now, self._words[(sample - QUIETEST) // 2]))

    def _return(self, mark: str) -> None:
        chance = self._chance
        if self._trouble and chance.random() < self._trouble:
            match chance.randrange(4):
                case 0:
                    return
                case 1:
                    self._deliver(mark)
                case 2:
                    self._deliver(f"{mark}9")
                case _:
                    asyncio.get_running_loop().call_later(chance.choice((0.2, 1.0, 4.0)), self._deliver, mark)
                    return
        self._deliver(mark)

    def _deliver(self, mark: str) -> None:
        self._returned.append(mark)
        if self.listener is not None and not self.closed:
            self.listener.mark_received(mark)
