"""Utterances for vendors that hear pieces: audio goes in up to a point, and the words of all of it come out.

Such a vendor knows no times of words and cannot say what was heard up to a moment while it goes on listening. So an
utterance is cut into *stretches*: the first from its lead-in to the first `finalize`, each further one to the next.
What is asked for falls into a pause of the speaker, so no word is cut, and the words of an utterance are those of its
stretches, one after the other. Between utterances nothing is sent and nothing is paid.

What is the vendor's is an `Ear`: it opens, fills, commits and drops stretches, and tells each `Stretch` what it heard.

Invariants:
* the port's synchronous methods only touch memory;
* every `finalize` is answered once, within `Patience.answer`, unless its utterance has ended;
* an utterance of which a stretch failed is answered with that error: words are missing from it for good;
* a stretch is not longer than `LONGEST_S`: a longer one goes on in the next, though a word may be cut.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from talkspurt.errors import ProviderError
from talkspurt.ports import Recognizer, Transcript
from talkspurt.recognizers.answers import Answers, Patience
from talkspurt.recognizers.outbox import BYTES_PER_S
from talkspurt.speech.failures import SpeechVendor

LONGEST_S: Final = 240.0
"""Google ends a stream after five minutes."""
LEAD_S: Final = 2.0
"""Seconds kept when nobody has begun: the next utterance may begin in the past."""
_LEAST_BYTES: Final = BYTES_PER_S // 10
"""Audio worth a stretch; OpenAI refuses to transcribe less."""
_QUESTIONS: Final = 32


class Ear(Protocol):
    """A vendor's side of a stream. None of its methods blocks or raises."""

    def begin(self, stretch: "Stretch", /) -> None:
        """A stretch begins; its audio follows."""

    def feed(self, stretch: "Stretch", pcm: bytes, /) -> None:
        """The next audio of it."""

    def commit(self, stretch: "Stretch", /) -> None:
        """That was all of it: its words are wanted."""

    def drop(self, stretch: "Stretch", /) -> None:
        """Nobody wants its words any more."""

    def give_up(self, stretch: "Stretch", /) -> None:
        """Its words have not come in time, and nothing else has: whatever carried it is dead."""

    async def aclose(self) -> None:
        """Take leave of the vendor, for a bounded time. Idempotent."""


class Stretch:
    """A piece of an utterance, and what is known of its words. The ear guesses, and then calls `finish` or `fail`."""

    def __init__(self, owner: "StretchedStream", utterance: int) -> None:
        self.utterance = utterance
        self.audio_bytes = 0
        self.text = ""
        """Its words; a guess until it is over."""
        self.over = False
        self.failure: ProviderError | None = None
        self._owner = owner
        self._guess = ""

    def guess(self, text: str) -> None:
        """Its words so far, as far as one can say."""
        if not self.over:
            self._guess, self.text = text, _tidy(text)
            self._owner.guessed(self)

    def guess_more(self, text: str) -> None:
        """What follows the last guess, letter by letter."""
        self.guess(self._guess + text)

    def finish(self, text: str) -> None:
        """Its words, for good."""
        if not self.over:
            self.text, self.over = _tidy(text), True
            self._owner.settle()

    def fail(self, failure: ProviderError) -> None:
        """They will not be known."""
        if not self.over:
            self.failure, self.over = failure, True
            self._owner.settle()


@dataclass(eq=False, slots=True)
class _Question:
    """A `finalize` that waits for the stretches before it."""

    utterance: int
    revision: int
    stretches: tuple[Stretch, ...]
    asked: float
    timer: asyncio.TimerHandle | None = field(default=None)

    @property
    def failure(self) -> ProviderError | None:
        return next((stretch.failure for stretch in self.stretches if stretch.failure is not None), None)


class StretchedStream:
    """One call's recognition. `ear` is set once, before anything is fed."""

    ear: Ear

    def __init__(self, vendor: SpeechVendor, patience: Patience) -> None:
        self._vendor = vendor
        self._patience = patience
        self._recent = bytearray()
        self._open: dict[int, list[Stretch]] = {}
        """The stretches of each utterance that is open."""
        self._current: Stretch | None = None
        """The stretch that is being filled."""
        self._speaking: int | None = None
        """The utterance that audio belongs to."""
        self._questions: list[_Question] = []
        self._answers = Answers()
        self._heard = 0.0
        self._closed = False
        self._sent_bytes = 0

    # ── the port ──────────────────────────────────────────────────────────────────

    def feed(self, pcm: bytes, /) -> None:
        """Give the caller's next audio to the stretch that it belongs to."""
        if self._closed:
            return
        self._recent += pcm
        if len(self._recent) > 2 * LEAD_S * BYTES_PER_S:
            del self._recent[: -int(LEAD_S * BYTES_PER_S)]
        if self._speaking is not None:
            self._fill(self._speaking, pcm)

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""
        if self._closed:
            return
        self._commit()
        self._answers.begin()
        self._open[utterance] = []
        self._speaking = utterance
        lead_bytes = min(2 * round(lead_in * BYTES_PER_S / 2), len(self._recent))
        if lead_bytes:
            self._fill(utterance, bytes(self._recent[-lead_bytes:]))

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Ask for the words of `utterance` up to now."""
        if self._closed:
            return
        stretches = self._open.get(utterance)
        if stretches is None:
            self._answers.tell(Transcript(utterance, revision, "", error="the utterance is not open"))
            return
        current = self._current
        if current is not None and current.utterance == utterance:
            # What has come since the last question may be too little to be asked about: then it is silence, too.
            if current.audio_bytes >= _LEAST_BYTES or len(stretches) == 1:
                self._commit()
            else:
                stretches = stretches[:-1]
        loop = asyncio.get_running_loop()
        question = _Question(utterance, revision, tuple(stretches), loop.time())
        if len(self._questions) >= _QUESTIONS:
            self._answer(self._questions.pop(0), error="too many questions at once")
        question.timer = loop.call_later(self._patience.answer, self._give_up, question)
        self._questions.append(question)
        self.settle()

    def end(self, utterance: int, /) -> None:
        """Forget `utterance`; its questions need no answer any more."""
        for question in [each for each in self._questions if each.utterance == utterance]:
            self._questions.remove(question)
            if question.timer is not None:
                question.timer.cancel()
        for stretch in self._open.pop(utterance, ()):
            if not stretch.over:
                stretch.over = True
                self.ear.drop(stretch)
        if self._speaking == utterance:
            self._speaking = self._current = None

    def transcripts(self) -> AsyncGenerator[Transcript]:
        """Everything heard, until `aclose`."""
        return self._answers.read()

    async def aclose(self) -> None:
        """Close the stream. Idempotent."""
        self._closed = True
        while self._questions:
            self._answer(self._questions.pop(), error="the stream was closed")
        for utterance in list(self._open):
            self.end(utterance)
        await self.ear.aclose()
        self._answers.close()

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that the vendor was sent: utterances, and none of what is between them."""
        return self._sent_bytes / BYTES_PER_S

    # ── what the ear says ─────────────────────────────────────────────────────────

    @property
    def unfinished(self) -> Iterator[Stretch]:
        """The stretches whose words are not known."""
        return (stretch for stretches in list(self._open.values()) for stretch in stretches if not stretch.over)

    def heard(self) -> None:
        """The vendor has said something, whatever it is."""
        self._heard = asyncio.get_running_loop().time()

    def guessed(self, stretch: Stretch) -> None:
        """There is news of a stretch's words."""
        if stretch.utterance == self._speaking:
            self._answers.guess(stretch.utterance, _words(self._open[stretch.utterance]))

    def settle(self) -> None:
        """Answer the questions of which everything is known."""
        for question in list(self._questions):
            if question.failure is not None:
                self._questions.remove(question)
                self._answer(question, failure=question.failure)
            elif all(stretch.over for stretch in question.stretches):
                self._questions.remove(question)
                self._answer(question)

    # ── stretches ─────────────────────────────────────────────────────────────────

    def _fill(self, utterance: int, pcm: bytes) -> None:
        stretch = self._current
        if stretch is None:
            stretches = self._open[utterance]
            if any(earlier.failure is not None for earlier in stretches):
                return
            stretch = self._current = Stretch(self, utterance)
            stretches.append(stretch)
            self.ear.begin(stretch)
        if not stretch.over:
            self._send(stretch, pcm)
        stretch.audio_bytes += len(pcm)
        if stretch.audio_bytes >= LONGEST_S * BYTES_PER_S:
            self._commit()

    def _commit(self) -> None:
        """The current stretch is whole: whatever follows belongs to another."""
        stretch, self._current = self._current, None
        if stretch is None or stretch.over:
            return
        if stretch.audio_bytes < _LEAST_BYTES:
            self._send(stretch, bytes(_LEAST_BYTES - stretch.audio_bytes))
        self.ear.commit(stretch)

    def _send(self, stretch: Stretch, pcm: bytes) -> None:
        self._sent_bytes += len(pcm)
        self.ear.feed(stretch, pcm)

    # ── questions ─────────────────────────────────────────────────────────────────

    def _give_up(self, question: _Question) -> None:
        """The deadline of `question`: its words have not come.

        Guesses are no words. These vendors answer every commit, and a guess that hangs may be the half of what was
        said; whoever may go by it has been told it as a partial.
        """
        self._questions.remove(question)
        failure = self._vendor.too_late()
        self._answer(question, failure=failure)
        for stretch in [stretch for stretch in question.stretches if not stretch.over]:
            stretch.fail(failure)
            if self._heard <= question.asked:
                self.ear.give_up(stretch)

    def _answer(self, question: _Question, *, error: str | None = None, failure: ProviderError | None = None) -> None:
        if question.timer is not None:
            question.timer.cancel()
        if failure is not None:
            error = _message(failure)
        text = "" if error else _words(question.stretches)
        self._answers.tell(Transcript(question.utterance, question.revision, text, error=error, failure=failure))


async def prove(vendor: SpeechVendor, recognizer: Recognizer) -> None:
    """Have a moment of silence transcribed: it proves key and endpoint. Raises `ProviderError`."""
    stream = await recognizer.open(locale="en-US", call_id="warm-up")
    try:
        stream.begin(0, 0.0)
        stream.feed(bytes(BYTES_PER_S // 2))
        stream.finalize(0, 1)
        async for transcript in stream.transcripts():
            if transcript.error is not None:
                raise transcript.failure or vendor.error(transcript.error, "failed")
            if transcript.final:
                return
    finally:
        await stream.aclose()


def _words(stretches: list[Stretch] | tuple[Stretch, ...]) -> str:
    return " ".join(stretch.text for stretch in stretches if stretch.text)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _message(failure: ProviderError) -> str:
    """What went wrong, without the name of the vendor, which whoever reads the answer knows."""
    return str(failure).removeprefix(f"{failure.vendor} {failure.port}: ")
