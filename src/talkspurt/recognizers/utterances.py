"""Utterances kept whole for a recognizer that hears no streams: one final transcript per `finalize`, no partials.

Invariants: nothing here blocks the event loop; of an utterance only the newest `finalize` is worked on, and what it
hears answers the older ones too; what waits is bounded; every `finalize` of a living utterance is answered.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.ports import LINE_RATE_HZ, Transcript

LEAD_IN: Final = 2.0
"""Seconds kept while no utterance is open; `begin` may reach back that far."""
UTTERANCES: Final = 8
"""Utterances of one call that may be waited for. It has one at a time: more is a fault of the caller of this port."""
_ANY: Final[ProviderFault] = "failed"


@dataclass(slots=True)
class _Final:
    """The revisions of an utterance that one transcript will answer, and the task that waits for it."""

    revisions: list[int]
    task: asyncio.Task[None]


class UtteranceStream:
    """One call's audio and finals. Belongs to one event loop."""

    def __init__(
        self,
        transcribe: Callable[[bytes], Awaitable[str]],
        *,
        longest: float,
        on_close: Callable[["UtteranceStream"], None] | None = None,
    ) -> None:
        """`transcribe` gives the words in the last `longest` seconds of an utterance; what it raises is an error."""
        self._hear = transcribe
        self._longest = int(longest * LINE_RATE_HZ)
        self._on_close = on_close
        self._audio = bytearray()
        self._dropped = 0
        """Samples of the call that are no longer in `_audio`."""
        self._starts: dict[int, int] = {}
        """First sample of every open utterance."""
        self._finals: dict[int, _Final] = {}
        """What is waited for, by utterance."""
        self._answers: asyncio.Queue[Transcript | None] = asyncio.Queue()
        self._closed = False
        self._sent_bytes = 0

    def feed(self, pcm: bytes, /) -> None:
        """Add the caller's next audio."""
        if self._closed:
            return
        self._audio += pcm
        keep_from = self._total - int(LEAD_IN * LINE_RATE_HZ)
        if self._starts:
            keep_from = max(min(keep_from, *self._starts.values()), self._total - self._longest)
        # Cut seldom: each cut moves all that is kept.
        if keep_from - self._dropped > LINE_RATE_HZ:
            del self._audio[: 2 * (keep_from - self._dropped)]
            self._dropped = keep_from

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""
        self._starts[utterance] = max(self._dropped, self._total - int(max(lead_in, 0) * LINE_RATE_HZ))

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Ask for the words of the utterance up to now."""
        if self._closed:
            return
        start = self._starts.get(utterance)
        if start is None:
            self._answer(utterance, [revision], error=f"utterance {utterance} has not begun or is over")
            return
        start = max(start, self._dropped, self._total - self._longest)
        pcm = bytes(self._audio[2 * (start - self._dropped) :])
        earlier = self._finals.pop(utterance, None)
        revisions = [revision]
        if earlier is not None:
            # Nobody acts on the words before the last pause any more.
            earlier.task.cancel()
            revisions = [*earlier.revisions, revision]
        elif len(self._finals) >= UTTERANCES:
            self._answer(utterance, revisions, error="too many finals are waiting")
            return
        work = self._transcribe(utterance, revisions, pcm)
        task = asyncio.get_running_loop().create_task(work, name="utterance")
        self._finals[utterance] = _Final(revisions, task)

    def end(self, utterance: int, /) -> None:
        """Forget the utterance; a final of it that has not come is dropped."""
        self._starts.pop(utterance, None)
        final = self._finals.pop(utterance, None)
        if final is not None:
            final.task.cancel()

    async def transcripts(self) -> AsyncIterator[Transcript]:
        """Every answer, until `aclose`."""
        while (transcript := await self._answers.get()) is not None:
            yield transcript
        # Another reader, or a second look, ends as well.
        self._answers.put_nowait(None)

    async def aclose(self) -> None:
        """Close the stream. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._on_close is not None:
            self._on_close(self)
        tasks = [final.task for final in self._finals.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._starts.clear()
        self._finals.clear()
        self._audio.clear()
        self._answers.put_nowait(None)

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that were given to `transcribe`: an utterance that is asked about again is given again."""
        return self._sent_bytes / 2 / LINE_RATE_HZ

    @property
    def _total(self) -> int:
        return self._dropped + len(self._audio) // 2

    async def _transcribe(self, utterance: int, revisions: list[int], pcm: bytes) -> None:
        text, error, fault = "", None, _ANY
        self._sent_bytes += len(pcm)
        try:
            text = await self._hear(pcm)
        except Exception as failure:
            error = str(failure) or type(failure).__name__
            fault = failure.fault if isinstance(failure, ProviderError) else _ANY
        final = self._finals.get(utterance)
        if final is not None and final.revisions is revisions:
            del self._finals[utterance]
            self._answer(utterance, revisions, text=text, error=error, fault=fault)

    def _answer(
        self,
        utterance: int,
        revisions: list[int],
        *,
        text: str = "",
        error: str | None = None,
        fault: ProviderFault = _ANY,
    ) -> None:
        for revision in revisions:
            self._answers.put_nowait(Transcript(utterance, revision, text, error=error, fault=fault))
