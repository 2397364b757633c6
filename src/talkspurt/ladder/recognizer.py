"""A recognizer made of several: one that dies hands the last seconds of audio to its successor.

A call begins to listen before anyone is connected: audio is kept until somebody hears it. Each utterance that
is open is kept from its beginning, so whoever takes over hears it whole, and is asked again what had not been answered.
A stream that was heard by and breaks is opened once more when nobody else is left; when every rung has failed the call,
what was asked is answered at once, and they are tried again behind it.
When a better rung may have recovered, a call tries it between two utterances. Of a rung that hears nothing where much
was said, or is slow, the next one is asked as well (`opinion`); one that hears words then takes the call over, unless
`Opinions` say otherwise.

Invariants: the port's synchronous methods touch memory only; every `finalize` is answered once, unless its
utterance has ended; at most `KEPT` seconds of audio are kept, of which the oldest are dropped. They are kept as
mu-law, the telephone's own code: half the memory, and nothing is lost of what came over such a line.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, Literal

import structlog

from talkspurt.errors import ProviderError
from talkspurt.ladder.goodbyes import Goodbyes
from talkspurt.ladder.opinion import SecondEar
from talkspurt.ladder.rung import Rung
from talkspurt.ladder.streams import note_switch, provider_error, unheard
from talkspurt.ladder.warming import close_all, warm_up
from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.ports import LINE_RATE_HZ, Recognizer, RecognizerStream, Transcript
from talkspurt.telemetry import metrics

KEPT: Final = 15.0
"""Seconds of an open utterance: callers rarely speak longer without a pause, and 120 kB a call are no burden."""
LEAD: Final = 2.0
"""Seconds kept when no utterance is open: the next one may begin in the past."""
PAUSE: Final = 1.0
"""Seconds until rungs are tried again when none bears."""
SHUNNED: Final = 10.0
"""Seconds in which a call does not go back to a rung that failed it, whatever the other calls find."""
LAST_WORD: Final = 2.7
"""Seconds of patience where nobody else is left to ask: a little less than the conversation waits for words."""
SLOW: Final = 0.6
"""Share of a rung's patience after which somebody else is asked as well: most answer within a third of it."""

_KEPT: Final = round(KEPT * LINE_RATE_HZ)
_LEAD: Final = round(LEAD * LINE_RATE_HZ)

Opinions = Literal["followed", "taken", "unasked"]
"""What becomes of second opinions on the first rung: who has heard words takes the call over; its words are taken, and
the call stays where it is; or nobody is asked. Those on the others are followed."""

_ANSWERS: Final = 256
_NOBODY: Final = "no recognizer can be reached"

_log = structlog.get_logger(__name__)


class LadderRecognizer:
    """A `Recognizer`."""

    def __init__(
        self, rungs: Sequence[Rung[Recognizer]], *, hedged: bool = True, opinions: Opinions = "followed"
    ) -> None:
        self.rungs = tuple(rungs)
        """Who hears, the best first."""
        self._hedged = hedged
        self._opinions: Opinions = opinions

    async def warm_up(self) -> None:
        """Warm all rungs at once; fails only when not one of them can be used."""
        await warm_up(self.rungs)

    async def open(self, *, locale: str, call_id: str) -> "LadderStream":
        """Start a stream for one call. It never fails and never waits: a rung is found while the greeting is spoken."""
        return LadderStream(self.rungs, locale=locale, call_id=call_id, hedged=self._hedged, opinions=self._opinions)

    async def aclose(self) -> None:
        """Close all rungs. Idempotent."""
        await close_all(self.rungs)


@dataclass(eq=False, slots=True)
class _Question:
    """What was asked and not answered."""

    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    """The ends of the patience for it."""
    opinion: asyncio.Task[None] | None = None
    """Asks somebody else."""
    nothing_heard: bool = False
    """The rung has answered that there were no words, and somebody else is being asked."""

    def wait_no_more(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()

    def drop(self) -> None:
        self.wait_no_more()
        if self.opinion is not None:
            self.opinion.cancel()


class LadderStream:
    """One call's recognition, on whichever rung bears."""

    def __init__(
        self,
        rungs: Sequence[Rung[Recognizer]],
        *,
        locale: str,
        call_id: str,
        hedged: bool = True,
        opinions: Opinions = "followed",
    ) -> None:
        self._rungs = tuple(rungs)
        self._hedged = hedged
        self._opinions: Opinions = opinions
        self._second = SecondEar(rungs, locale=locale, call_id=call_id)
        self._locale = locale
        self._call_id = call_id
        self._context = copy_context()
        self._audio = bytearray()
        """The caller's last seconds, a byte a sample."""
        self._fed = 0
        """Samples of the caller so far."""
        self._open: dict[int, int] = {}
        """The open utterances: the sample with which each begins."""
        self._questions: dict[tuple[int, int], _Question] = {}
        """By utterance and revision."""
        self._answers: asyncio.Queue[Transcript | None] = asyncio.Queue(_ANSWERS)
        self._rung: Rung[Recognizer] | None = None
        self._stream: RecognizerStream | None = None
        self._over: asyncio.Future[ProviderError | None] | None = None
        """Settled when the current stream is to be left: with why it failed, or None for a better one."""
        self._nobody = False
        """Whether no rung bears."""
        self._shunned: dict[Rung[Recognizer], float] = {}
        """The rungs that have failed this call, and until when it does not go back."""
        self._trouble: float | None = None
        """When the rung before failed, until the next one has given an answer."""
        self._proven = False
        """Whether the current stream has answered a question: that it could be opened says little."""
        self._goodbyes = Goodbyes()
        self._life = asyncio.get_running_loop().create_task(self._live(), name="ladder stream")

    # ── the port ──────────────────────────────────────────────────────────────────

    def feed(self, pcm: bytes, /) -> None:
        """Keep the audio, and let whoever listens hear it."""
        self._audio += encode_mulaw(pcm[:-1] if len(pcm) % 2 else pcm)
        self._fed += len(pcm) // 2
        # With every frame, for it moves nothing: Python only notes where the bytes begin now.
        del self._audio[: -_KEPT if self._open else -_LEAD]
        if self._stream is not None:
            self._stream.feed(pcm)

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""
        self._open[utterance] = max(0, self._fed - round(lead_in * LINE_RATE_HZ))
        if self._stream is not None:
            self._stream.begin(utterance, lead_in)

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Ask for the words of `utterance` up to now."""
        self._questions[utterance, revision] = _Question()
        if utterance not in self._open:
            self._answer(Transcript(utterance, revision, "", error="the utterance is not open"))
        elif self._stream is not None:
            self._ask(self._stream, utterance, revision)
        elif self._nobody:
            self._answer(Transcript(utterance, revision, "", error=_NOBODY))

    def end(self, utterance: int, /) -> None:
        """Forget `utterance`; its questions need no answer any more."""
        self._open.pop(utterance, None)
        for question in [each for each in self._questions if each[0] == utterance]:
            self._settle(question)
        if self._stream is not None:
            self._stream.end(utterance)
            if not self._open and self._better_may_bear():
                self._leave(None)

    async def transcripts(self) -> AsyncGenerator[Transcript, None]:
        """Everything heard, until `aclose`."""
        while (transcript := await self._answers.get()) is not None:
            yield transcript

    async def aclose(self) -> None:
        """Close the stream. Idempotent."""
        self._life.cancel()
        await asyncio.wait({self._life})
        for question in list(self._questions):
            self._settle(question)
        await self._goodbyes.all_said()
        with suppress(asyncio.QueueFull):
            self._answers.put_nowait(None)

    # ── from rung to rung ─────────────────────────────────────────────────────────

    async def _live(self) -> None:
        while True:
            bearing = (rung for rung in self._rungs if not self._shuns(rung) and rung.enter())
            rung = next(bearing, None) or self._least_bad()
            if rung is None:
                # All are full.
                self._despair()
                await asyncio.sleep(PAUSE)
                continue
            try:
                error = await self._stand_on(rung)
            finally:
                rung.leave()
            if error is None:
                continue
            now = asyncio.get_running_loop().time()
            if self._questions:
                self._trouble = self._trouble or now
            self._shunned[rung] = now + SHUNNED
            rung.failed(error)
            metrics.RUNG_SWITCHES.labels(rung.port, rung.name, "failed").inc()
            broke = self._proven and error.fault != "timeout"
            if not broke and all(self._shuns(each) or each.full for each in self._rungs):
                self._despair()
                await asyncio.sleep(PAUSE)

    def _least_bad(self) -> Rung[Recognizer] | None:
        """Of those that have room, the one whose failure this call has seen least lately; a local one, of several."""
        now = asyncio.get_running_loop().time()
        bearing = [rung for rung in self._rungs if not rung.full]
        if not bearing:
            return None
        rung = min(bearing, key=lambda rung: (self._shunned.get(rung, 0.0), not rung.local, rung.breaker.opens_at(now)))
        rung.enter_anyway()
        return rung

    def _shuns(self, rung: Rung[Recognizer]) -> bool:
        return self._shunned.get(rung, 0.0) > asyncio.get_running_loop().time()

    async def _stand_on(self, rung: Rung[Recognizer]) -> ProviderError | None:
        """Hear through `rung` until it fails, which is returned, or until a better one may bear."""
        loop = asyncio.get_running_loop()
        self._proven = False
        try:
            stream = await self._goodbyes.open_in_time(rung, locale=self._locale, call_id=self._call_id)
        except asyncio.CancelledError:
            rung.given_up()
            raise
        except ProviderError as error:
            return error
        self._over = loop.create_future()
        self._rung, self._stream = rung, stream
        self._nobody = False
        self._replay(stream)
        reader = loop.create_task(self._forward(rung, stream), name="ladder transcripts")
        try:
            return await self._over
        finally:
            if not self._proven and (not self._over.done() or self._over.cancelled()):
                rung.given_up()
            self._rung = self._stream = self._over = None
            reader.cancel()
            self._goodbyes.let_go(stream)

    def _replay(self, stream: RecognizerStream) -> None:
        """Let a new stream hear what is open from its beginning, and ask it what has not been answered."""
        # Begun before it is fed: a stream need not keep what no utterance has claimed.
        oldest = self._fed - len(self._audio)
        given = self._fed if self._open else max(oldest, self._fed - _LEAD)
        for utterance, began in sorted(self._open.items(), key=lambda item: item[1]):
            begin = max(began, oldest)
            stream.feed(self._between(given, begin))
            stream.begin(utterance, 0.0)
            given = begin
        lead_in = self._between(given, self._fed)
        if lead_in:
            stream.feed(lead_in)
        for utterance, revision in list(self._questions):
            self._ask(stream, utterance, revision)

    def _between(self, begin: int, end: int) -> bytes:
        """The samples from `begin` to `end`, which are kept, as PCM16."""
        oldest = self._fed - len(self._audio)
        return decode_mulaw(bytes(self._audio[begin - oldest : end - oldest])) if begin < end else b""

    async def _forward(self, rung: Rung[Recognizer], stream: RecognizerStream) -> None:
        try:
            async for transcript in stream.transcripts():
                if not transcript.final:
                    self._tell(transcript)
                elif (transcript.utterance, transcript.revision) not in self._questions:
                    continue
                elif transcript.error is None:
                    self._heard(rung, transcript)
                else:
                    if transcript.fault == "overloaded" and self._is_last:
                        # To be asked the same again would not help it, and it will have time for other words.
                        self._answer(transcript)
                        continue
                    self._leave(unheard(rung, transcript))
                    return
            self._leave(ProviderError("recognizer", rung.name, "the stream ended", retryable=True))
        except Exception as error:  # whatever a provider raises is its failure
            self._leave(provider_error(rung, error))

    def _heard(self, rung: Rung[Recognizer], transcript: Transcript) -> None:
        key = (transcript.utterance, transcript.revision)
        if not transcript.text.strip() and self._doubt(rung, key, "doubted"):
            self._questions[key].nothing_heard = True
            self._questions[key].wait_no_more()
            return
        note_switch(rung, self._trouble)
        self._trouble = None
        self._proven = True
        self._shunned.pop(rung, None)
        rung.succeeded()
        if transcript.text.strip():
            self._second.words_were_heard()
        self._answer(transcript)

    def _leave(self, error: ProviderError | None) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(error)

    def _better_may_bear(self) -> bool:
        return any(map(self._may_bear, takewhile(lambda rung: rung is not self._rung, self._rungs)))

    def _may_bear(self, rung: Rung[Recognizer]) -> bool:
        """Whether the call could go there."""
        now = asyncio.get_running_loop().time()
        return not (rung is self._rung or rung.full or self._shuns(rung)) and rung.breaker.opens_at(now) <= now

    @property
    def _is_last(self) -> bool:
        """Whether there is nobody else to ask than whoever hears the call."""
        return not any(map(self._may_bear, self._rungs))

    def _despair(self) -> None:
        if not self._nobody:
            _log.warning("nobody_hears", call_id=self._call_id)
        self._nobody, self._trouble = True, None
        for utterance, revision in list(self._questions):
            self._answer(Transcript(utterance, revision, "", error=_NOBODY))

    # ── questions ─────────────────────────────────────────────────────────────────

    def _ask(self, stream: RecognizerStream, utterance: int, revision: int) -> None:
        rung, question = self._rung, self._questions[utterance, revision]
        assert rung is not None
        question.wait_no_more()
        late = ProviderError("recognizer", rung.name, "no transcript in time", retryable=True, fault="timeout")
        loop, patience = asyncio.get_running_loop(), rung.patience.between
        if self._is_last:
            patience = max(patience, LAST_WORD)
        question.timers.append(loop.call_later(patience, self._leave, late))
        if self._hedged:
            key = (utterance, revision)
            # In the call's own context, since whoever asks may be the clock of all calls: the meter is found by it.
            question.timers.append(
                loop.call_later(SLOW * patience, self._doubt, rung, key, "hedged", context=self._context)
            )
        stream.finalize(utterance, revision)

    def _doubt(self, rung: Rung[Recognizer], key: tuple[int, int], reason: str) -> bool:
        """Ask somebody else too, if that may help; returns whether somebody is being asked."""
        question, began = self._questions[key], self._open.get(key[0])
        if question.opinion is not None:
            return not question.opinion.done()
        if began is None or self._opinions_on(rung) == "unasked":
            return False
        audio = self._between(max(began, self._fed - len(self._audio)), self._fed)
        if not self._second.may_be_asked(rung, audio):
            return False
        question.opinion = self._goodbyes.start(self._ask_another(rung, key, audio, reason), "ladder second opinion")
        return True

    def _opinions_on(self, rung: Rung[Recognizer]) -> Opinions:
        return self._opinions if rung is self._rungs[0] else "followed"

    async def _ask_another(self, rung: Rung[Recognizer], key: tuple[int, int], audio: bytes, reason: str) -> None:
        words = await self._second.hear(rung, audio, reason=reason, goodbyes=self._goodbyes)
        question = self._questions.get(key)
        if question is None or not (words or question.nothing_heard):
            # Answered meanwhile; or the rung is only slow, and nobody knows better.
            return
        question.opinion = None
        self._answer(Transcript(*key, words))
        if self._rung is not rung or (words and self._opinions_on(rung) == "taken"):
            return
        if words:
            why = (
                "heard nothing where another one heard words"
                if question.nothing_heard
                else "is slower than another one"
            )
            self._leave(ProviderError("recognizer", rung.name, why, retryable=True))
        else:
            self._proven = True
            rung.succeeded()

    def _answer(self, transcript: Transcript) -> None:
        self._settle((transcript.utterance, transcript.revision))
        self._tell(transcript)

    def _settle(self, key: tuple[int, int]) -> None:
        question = self._questions.pop(key, None)
        if question is not None:
            question.drop()

    def _tell(self, transcript: Transcript) -> None:
        try:
            self._answers.put_nowait(transcript)
        except asyncio.QueueFull:
            # The session has stopped reading; its own deadlines notice what is missing.
            metrics.ANOMALIES.labels("transcript_dropped").inc()
