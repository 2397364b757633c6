"""One call's recognition by a plugin of LiveKit that streams, behind our port.

The plugin's own turn detection decides nothing: a `finalize` flushes its stream, and its finals and interims are put
together by `Hearing`. LiveKit's interface has no answer to a flush: a plugin sends a final transcript when there is
one, and nothing when there are no words, or when its vendor had ended the turn before it was asked. So a question is
answered by what comes first (`_due`): a final with word times that reach the last sound; a short while after another
final, or a longer one after the last news, when nothing more comes; the deadline.

Not every plugin's vendor makes its words final when asked, so interim words fill what no final covered, but only where
they are known to be all: their own times reach the last sound. A vendor that hangs after "yes" looks the same as one
that has no more to say, and what it has not told may be "no, wait": of words that may go on, the answer is an error.

Invariants:
* the port's synchronous methods only touch memory. A plugin that does not take the audio within `_UNTAKEN` is dropped;
* every `finalize` is answered once, within `Patience.answer`, unless its utterance has ended;
* when the plugin's stream is lost, what is open is answered with an error, because words are missing from it for good;
  utterances begun later are heard on the next stream;
* no answer has words of an utterance of which more was said than the plugin is known to have heard;
* a plugin that stays silent while sound goes in is believed once, and is then taken for dead.

Source: livekit-agents 1.8, `stt/stt.py`; the plugins' handling of `_FlushSentinel`.
"""

import asyncio
import audioop
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import soxr
from livekit import rtc
from livekit.agents import stt

from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, Transcript
from talkspurt.recognizers.hearing import Hearing, Word
from talkspurt.speech.livekit import provider_error

_BYTES_PER_S: Final = 2 * LINE_RATE_HZ
_BATCH_BYTES: Final = int(0.06 * _BYTES_PER_S)
"""Audio per frame pushed: three of ours cost a third of the plugin's work and at most 40 ms."""
_UNTAKEN: Final = 420
"""Frames that may wait in a plugin, 25 s: a ladder replays up to 17 s at once, and a connection may take three."""
_LOUD: Final = 200
"""Root mean square of a frame above which it is sound: about -44 dBFS."""
_COVERED_S: Final = 0.3
"""Words that end this much before the last sound cover it: vendors' word times and our frames are no finer."""
_SETTLE_S: Final = 0.2
"""After a final of which nobody knows how far it reaches, the next one comes within this time."""
_QUIET_S: Final = 0.7
"""After the last news, with a flush on its way: longer than any answer to one takes that was seen (0.1 to 0.4 s)."""
_UNHEARD_S: Final = 0.5
"""Sound of an utterance that a living vendor has something to say about."""
_GUESSED_S: Final = 1.0
"""The first interim comes about so long after its first word; only for plugins without times."""
_LONGEST_PAUSE_S: Final = 5.0
_ANSWERS: Final = 256
_QUESTIONS: Final = 32


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for a connection, for the answer to a `finalize`, for an orderly end."""

    connect: float = 3.0
    answer: float = 3.0
    close: float = 1.0


@dataclass(eq=False, slots=True)
class _Question:
    """A `finalize` that waits for its answer."""

    utterance: int
    revision: int
    asked: float
    """The loop's clock at the moment of asking."""
    sounded: float
    """Seconds of audio up to the last sound before it."""
    unheard: float
    """Seconds of sound before it that went in after the plugin had last said anything."""
    timer: asyncio.TimerHandle | None = field(default=None)


@dataclass(slots=True)
class _Sound:
    """What went in of the utterance begun last, and whether the plugin said anything."""

    seconds: float = 0.0
    since_news: float = 0.0
    """Of these, what came after the plugin had last said anything."""
    answered: bool = False
    counted: bool = False


class LivekitStream:
    """One call's recognition: a plugin's stream that is replaced when it is lost, and questions that wait."""

    def __init__(
        self,
        vendor: str,
        start: Callable[[Callable[[], None]], Any],
        patience: Patience,
        *,
        tells_connected: bool,
    ) -> None:
        """`start` makes a plugin's stream; what it is given is called when the vendor has accepted the connection.

        Without `tells_connected` it may not be: then a connection is taken for granted.
        """
        self._tells_connected = tells_connected
        self._vendor = vendor
        self._start = start
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._hearing = Hearing()
        self._plugin: Any = None
        self._resampler: soxr.ResampleStream | None = None
        self._rate_hz = LINE_RATE_HZ
        self._waiting = bytearray()
        self._fed_bytes = 0
        self._sent_bytes = 0
        self._zero = 0.0
        """The line's time at which the plugin's stream began."""
        self._sounded = 0.0
        self._sound = _Sound()
        self._unheard = 0
        self._covered = 0.0
        """Up to here the finals have words, as far as their times tell."""
        self._guessed = 0.0
        """Up to here there are words, final or not, as far as their times tell."""
        self._told = 0.0
        """Up to here finals have been spread that had no times."""
        self._guessing_since: float | None = None
        """The line's time of the first interim that no final has replaced."""
        self._final_at = 0.0
        self._news_at = 0.0
        self._connected_at: float | None = None
        self._questions: deque[_Question] = deque()
        self._answers: deque[Transcript] = deque(maxlen=_ANSWERS)
        self._partial = ""
        self._to_tell = asyncio.Event()
        self._closed = False
        self._broken = asyncio.Event()
        self.failure: ProviderError | None = None
        """Why the last stream of the plugin was lost, if one was."""
        self.reconnections = 0
        """Plugin streams opened after the first."""
        self._open_plugin()
        self._life = self._loop.create_task(self._live(), name="livekit stream")

    # ── the port ──────────────────────────────────────────────────────────────────

    def feed(self, pcm: bytes, /) -> None:
        """Hand on the caller's next audio."""
        if self._closed:
            return
        self._fed_bytes += len(pcm)
        if audioop.rms(pcm, 2) > _LOUD:
            self._sounded = self._now
            self._sound.seconds += len(pcm) / _BYTES_PER_S
            self._sound.since_news += len(pcm) / _BYTES_PER_S
        self._waiting += pcm
        if len(self._waiting) >= _BATCH_BYTES:
            self._push()

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""
        self._partial = ""
        self._sound = _Sound()
        self._hearing.begin(utterance, self._now - lead_in)

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Ask for the words of `utterance` up to now."""
        if self._closed:
            return
        question = _Question(utterance, revision, self._loop.time(), self._sounded, self._sound.since_news)
        if not self._hearing.is_open(utterance):
            self._answer(question, error="the utterance is not open")
        elif self._hearing.is_damaged(utterance) or self._plugin is None:
            self._answer(question, error=self._why)
        elif self._covers(question) and self._hearing.text(utterance):
            self._answer(question)
        else:
            if len(self._questions) >= _QUESTIONS:
                self._answer(self._questions.popleft(), error="too many questions at once")
            self._questions.append(question)
            self._flush()
            self._arm(question)

    def end(self, utterance: int, /) -> None:
        """Forget `utterance`; its questions need no answer any more."""
        self._hearing.end(utterance, self._now)
        for question in [each for each in self._questions if each.utterance == utterance]:
            self._questions.remove(question)
            _disarm(question)

    async def transcripts(self) -> AsyncGenerator[Transcript]:
        """Everything heard, until `aclose`."""
        while True:
            while self._answers:
                yield self._answers.popleft()
            if self._closed:
                return
            self._to_tell.clear()
            await self._to_tell.wait()

    async def aclose(self) -> None:
        """Close the plugin's stream, within a bounded time. Idempotent."""
        if not self._closed:
            self._closed = True
            self._fail_questions("the stream was closed")
            self._life.cancel()
        await asyncio.wait({self._life}, timeout=2 * self._patience.close)
        self._to_tell.set()

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that the plugin was given."""
        return self._sent_bytes / _BYTES_PER_S

    # ── the plugin's stream ───────────────────────────────────────────────────────

    async def _live(self) -> None:
        pause = 0.1
        while True:
            plugin = self._plugin
            error: Exception | None = None
            try:
                error = await self._listen(plugin)
            finally:
                self._lose(error)
                await self._close(plugin)
            if self._connected_at is not None:
                pause = 0.1
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            self.reconnections += 1
            self._open_plugin()

    def _open_plugin(self) -> None:
        self._broken.clear()
        self._waiting.clear()
        self._connected_at = None if self._tells_connected else self._loop.time()
        try:
            plugin = self._start(self._accepted)
        except Exception as error:  # the plugin's own complaint of a language, a model, an option
            self._lose(error)
            return
        self._zero = self._covered = self._guessed = self._told = self._now
        # A plugin resamples by itself, through a native runtime with threads of its own, which no call should need.
        self._rate_hz = getattr(plugin, "_needed_sr", None) or LINE_RATE_HZ
        self._resampler = None
        if self._rate_hz != LINE_RATE_HZ:
            # `vr` holds 30 ms back; without it, it is up to 120 ms, with the words that a flush should bring.
            self._resampler = soxr.ResampleStream(LINE_RATE_HZ, self._rate_hz, 1, dtype="int16", quality="MQ", vr=True)
        self._plugin = plugin

    async def _listen(self, plugin: Any) -> Exception | None:
        """Hear what the plugin says until it says no more; returns why."""
        if plugin is None:
            return self.failure
        reading = self._loop.create_task(self._read(plugin), name="livekit events")
        broken = self._loop.create_task(self._broken.wait())
        try:
            await asyncio.wait({reading, broken}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return self.failure
            error = reading.exception()
            return error if isinstance(error, Exception) else ConnectionError("the plugin's stream ended")
        finally:
            for task in (reading, broken):
                task.cancel()
            await asyncio.gather(reading, broken, return_exceptions=True)

    async def _read(self, plugin: Any) -> None:
        async for event in plugin:
            self._hear(event)

    async def _close(self, plugin: Any) -> None:
        if plugin is None:
            return
        # It is gone either way, and its failure has been told.
        with suppress(Exception):
            async with asyncio.timeout(self._patience.close):
                await plugin.aclose()

    def _lose(self, error: Exception | None) -> None:
        """Nothing that was asked of the plugin's stream will be answered any more."""
        self._plugin = None
        if error is not None:
            self.failure = provider_error("recognizer", self._vendor, error)
        self._hearing.damage()
        self._guessing_since = None
        self._fail_questions(self._why)

    @property
    def _why(self) -> str:
        return _reason(self.failure) if self.failure is not None else "the connection was lost"

    def _late(self, reason: str) -> ProviderError:
        return ProviderError("recognizer", self._vendor, reason, retryable=True, fault="timeout")

    def _abandon(self, failure: ProviderError) -> None:
        """The plugin's stream is of no use, though it lives."""
        self._lose(failure)
        self._broken.set()

    def _accepted(self) -> None:
        self._connected_at = self._loop.time()
        for question in self._questions:
            self._arm(question)

    # ── audio ─────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> float:
        return self._fed_bytes / _BYTES_PER_S

    def _push(self) -> None:
        pcm = bytes(self._waiting)
        self._waiting.clear()
        if self._plugin is None or not pcm:
            return
        given = len(pcm)
        if self._resampler is not None:
            pcm = self._resampler.resample_chunk(np.frombuffer(pcm, dtype="<i2")).tobytes()
        waiting = getattr(self._plugin, "_input_ch", None)
        if waiting is not None and waiting.qsize() > _UNTAKEN:
            self._abandon(self._late("takes no audio"))
        elif pcm:
            try:
                self._plugin.push_frame(rtc.AudioFrame(pcm, self._rate_hz, 1, len(pcm) // 2))
            except RuntimeError:
                # It has just ended; its reader will say why.
                return
            self._sent_bytes += given

    def _flush(self) -> None:
        self._push()
        if self._plugin is None:
            return
        try:
            self._plugin.flush()
        except RuntimeError:
            return
        if (force := getattr(self._plugin, "force_endpoint", None)) is not None:
            # AssemblyAI's word for it.
            force()

    # ── words ─────────────────────────────────────────────────────────────────────

    def _hear(self, event: stt.SpeechEvent) -> None:
        kind = event.type
        if kind is stt.SpeechEventType.RECOGNITION_USAGE:
            return
        self._news_at = self._loop.time()
        self._connected_at = self._connected_at or self._news_at
        self._unheard = 0
        self._sound.answered = True
        self._sound.since_news = 0.0
        if kind is stt.SpeechEventType.FINAL_TRANSCRIPT:
            words, timed = self._words(event)
            self._hearing.hear_final(words, self._now)
            if words and timed:
                self._covered = max(self._covered, words[-1].end)
                self._guessed = max(self._guessed, self._covered)
            self._told = self._now
            self._guessing_since = None
            self._final_at = self._news_at
        elif kind is stt.SpeechEventType.INTERIM_TRANSCRIPT:
            if self._guessing_since is None:
                self._guessing_since = self._now
            words, timed = self._words(event)
            self._hearing.hear_interim(words)
            if words and timed:
                self._guessed = max(self._guessed, words[-1].end)
        elif kind is stt.SpeechEventType.END_OF_SPEECH and self._guessing_since is None:
            self._final_at = self._news_at
        current = self._hearing.current
        if current is not None:
            self._tell_partial(current, self._hearing.text(current, guesses=True))
        for question in tuple(self._questions):
            if kind is stt.SpeechEventType.FINAL_TRANSCRIPT and self._covers(question):
                self._questions.remove(question)
                self._answer(question)
            else:
                self._arm(question)

    def _words(self, event: stt.SpeechEvent) -> tuple[list[Word], bool]:
        """The words of `event` on the line's clock, and whether their times are the vendor's.

        Otherwise they are spread over the time in which they were said, as far as one knows it.
        """
        data = event.alternatives[0] if event.alternatives else None
        words = data.text.split() if data is not None else []
        if data is None or not words:
            return [], False
        timed = [word for word in data.words or () if isinstance(word.start_time, int | float)]
        if len(timed) == len(words):
            times = [(_seconds(word.start_time), _seconds(word.end_time or word.start_time)) for word in timed]
            pairs = zip(words, times, strict=True)
            return [Word(text, self._zero + start, self._zero + end) for text, (start, end) in pairs], True
        start, end = self._zero + data.start_time, self._zero + data.end_time
        known = data.end_time > 0 and start <= end <= self._now + 1
        if not known:
            since = self._guessing_since if self._guessing_since is not None else self._now
            start = max(self._told, since - _GUESSED_S)
            end = self._sounded if self._sounded > start else self._now
        step = (end - start) / len(words)
        return [Word(text, start + step * at, start + step * (at + 1)) for at, text in enumerate(words)], known

    def _covers(self, question: _Question) -> bool:
        """Whether the finals have words up to the last sound before `question`."""
        heard = self._sound.seconds > 0 and self._guessing_since is None
        return heard and self._covered >= question.sounded - _COVERED_S

    def _due(self, question: _Question) -> float:
        """The loop's time at which `question` is answered with what is known by then."""
        deadline = question.asked + self._patience.answer
        if self._connected_at is None:
            return deadline
        if not self._is_heard(question):
            return deadline
        since = max(question.asked, self._news_at, self._connected_at)
        return min(deadline, since + (_SETTLE_S if self._is_settled(question) else _QUIET_S))

    def _is_settled(self, question: _Question) -> bool:
        """Whether a final came after `question`, and nothing after that."""
        return self._guessing_since is None and self._final_at >= question.asked

    def _is_heard(self, question: _Question) -> bool:
        """Whether the words that are known may be told as all there are.

        After finals only, noise is possible, of which no vendor says anything: it may not have been much. Of no words
        at all `_is_dead` judges.
        """
        if self._guessed >= question.sounded - _COVERED_S or self._is_settled(question):
            return True
        if self._guessing_since is not None:
            return False
        news = self._news_at >= question.asked
        return news or question.unheard < _UNHEARD_S or not self._hearing.text(question.utterance)

    def _arm(self, question: _Question) -> None:
        _disarm(question)
        question.timer = self._loop.call_at(self._due(question), self._ring, question)

    def _ring(self, question: _Question) -> None:
        if self._loop.time() < self._due(question):
            # It has been connected, or heard of, since.
            self._arm(question)
            return
        self._questions.remove(question)
        # Behind a final it may be noise, of which nobody says anything; of a guess more has to come.
        silent = self._news_at < question.asked and self._guessing_since is not None
        if self._connected_at is None:
            self._give_up(question, "no connection in time")
        elif self._is_dead(question) or (silent and not self._is_heard(question)):
            self._give_up(question, "no answer in time")
        elif self._is_heard(question):
            self._answer(question, guesses=True)
        else:
            # It lives, and the next utterance may do better.
            self._answer(question, failure=self._late("no answer in time"))

    def _give_up(self, question: _Question, reason: str) -> None:
        """Nothing will come any more, of this question or any other."""
        failure = self._late(reason)
        self._answer(question, failure=failure)
        self._abandon(failure)

    def _is_dead(self, question: _Question) -> bool:
        """Whether this is the second utterance with much sound of which the plugin has said nothing at all."""
        sound = self._sound
        if sound.answered or sound.seconds < _UNHEARD_S or question.utterance != self._hearing.current:
            return False
        if not sound.counted:
            sound.counted = True
            self._unheard += 1
        return self._unheard > 1

    def _answer(
        self,
        question: _Question,
        *,
        guesses: bool = False,
        error: str | None = None,
        failure: ProviderError | None = None,
    ) -> None:
        _disarm(question)
        if failure is not None:
            error = _reason(failure)
        if error is None and not self._hearing.is_open(question.utterance):
            return
        text = "" if error else self._hearing.text(question.utterance, guesses=guesses)
        self._answers.append(Transcript(question.utterance, question.revision, text, error=error, failure=failure))
        self._to_tell.set()

    def _fail_questions(self, error: str) -> None:
        while self._questions:
            self._answer(self._questions.popleft(), error=error)

    def _tell_partial(self, utterance: int, text: str) -> None:
        if not text or text == self._partial:
            return
        self._partial = text
        if self._answers and not self._answers[-1].final:
            self._answers.pop()
        self._answers.append(Transcript(utterance, 0, text, final=False))
        self._to_tell.set()


def _disarm(question: _Question) -> None:
    if question.timer is not None:
        question.timer.cancel()
        question.timer = None


def _reason(failure: ProviderError) -> str:
    """What went wrong, without vendor and port, which stand before it wherever it is told."""
    return str(failure).partition(": ")[2]


def _seconds(time: Any) -> float:
    return float(time)
