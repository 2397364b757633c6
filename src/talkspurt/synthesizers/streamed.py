"""What streamed speech owes the port, whichever vendor sends it: deadlines on what can be heard, whole samples.

Bytes that trickle are no speech: a deadline is met by a frame of it, not by a sample.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from talkspurt.config import BEHIND, Config
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech.failures import SpeechVendor
from talkspurt.synthesizers.word_times import TAG
from talkspurt.watchdog import Watchdog

FRAME_S: Final = 0.02
"""The least speech that is given out, but at the end: less than a frame of the line cannot be played."""
_FASTEST: Final = 22.0
"""Letters and digits a second that no vendor's voice speaks at a pace of 1.

They speak 13 to 15 and spell or count more slowly; 18 for the hastiest is an estimate, measured nowhere. So what ends
in order after some 60 % of its text, or before, is known to be cut.
"""
_SPARED_S: Final = 0.2
"""Seconds by which a speech may be shorter: a word such as "straight" has many letters for its length."""

Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for the connection, the first audio, and between two pieces of it."""

    connect: float = 3.0
    first: float = 3.0
    between: float = 3.0

    @classmethod
    def of(cls, config: Config) -> Self:
        """For `config.speech.synthesizer`: as usual, and longer for the first audio where the ladder waits longer,
        which then gives up first. Between two pieces it need not be: a conversation waits no longer for them.
        """
        rules, usual = config.fallbacks, cls()
        first = rules.patience.get(config.speech.synthesizer, rules.first_audio)
        return cls(first=max(usual.first, first + BEHIND))


class Deadline:
    """The moment by which a vendor must have said something more. `met` moves it on; signs of life do not.

    To be closed.
    """

    def __init__(self, patience: Patience) -> None:
        self._between = patience.between
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + patience.first
        self._watchdog = Watchdog()

    def met(self) -> None:
        """Something that can be heard has come."""
        self._at = self._loop.time() + self._between

    async def next(self, pieces: AsyncIterator[Piece]) -> Piece | None:
        """The next piece, None at the end. Raises `TimeoutError` when the moment comes first."""
        with self._watchdog.until(self._at):
            return await anext(pieces, None)

    def close(self) -> None:
        """Leave no timer behind. Idempotent."""
        self._watchdog.close()


class WholeSamples:
    """Cuts a byte stream of PCM16 at sample boundaries; half a sample waits for its other half."""

    def __init__(self) -> None:
        self._half = b""

    def feed(self, audio: bytes) -> bytes:
        """The whole samples of what has come and was not given out."""
        audio = self._half + audio
        whole = len(audio) & ~1
        self._half = audio[whole:]
        return audio[:whole]


async def frames(pieces: AsyncGenerator[bytes], rate_hz: int, patience: Patience) -> AsyncGenerator[bytes]:
    """`pieces` of PCM16 at `rate_hz` in whole samples, a frame or more at a time. Closes them.

    Raises `TimeoutError` when no whole frame comes in time.
    """
    least = 2 * round(FRAME_S * rate_hz)
    samples, waiting = WholeSamples(), b""
    with closing(Deadline(patience)) as deadline:
        async with aclosing(pieces):
            while (piece := await deadline.next(pieces)) is not None:
                waiting += samples.feed(piece)
                if len(waiting) >= least:
                    deadline.met()
                    yield waiting
                    waiting = b""
    if waiting:
        yield waiting


def check_whole(vendor: SpeechVendor, text: str, pcm_bytes: int, *, pace: float) -> None:
    """Raise when `pcm_bytes` of the line's PCM16 cannot be all of `text`: an early end may look like an orderly one."""
    if not pcm_bytes:
        raise vendor.error("sent no audio", "empty")
    if is_cut(text, pcm_bytes, pace=pace):
        raise vendor.broke_off()


def is_cut(text: str, pcm_bytes: int, *, pace: float) -> bool:
    """Whether nobody can have said all of `text` in so much of the line's PCM16.

    A pace below 1 counts as 1: not every model follows it.
    """
    letters = sum(map(str.isalnum, TAG.sub(" ", text)))
    return pcm_bytes / 2 / LINE_RATE_HZ + _SPARED_S < letters / (_FASTEST * max(1.0, pace))
