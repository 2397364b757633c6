"""Whisper tiny.en on this machine, by CTranslate2: one final transcript per `finalize`, no partials.

Whisper is a weak witness of short telephone speech: silence becomes "you", "mm-hm" a sentence, and
a short answer in a long context is repeated until the context is full. So every utterance is
trimmed to its voice (Silero), decoded with timestamps (text said to come after the end of the audio
was never said), and believed only as far as voice, no-speech probability and speaking rate allow.

Invariants: nothing here blocks the event loop; each stream has at most one inference running, so
that calls take turns; a `finalize` whose inference has not begun is answered together with a newer
one of the same utterance; what waits is bounded; every `finalize` of a living utterance is answered.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from talkspurt.config import Config
from talkspurt.errors import ProviderError, WeightsError
from talkspurt.ports import LINE_RATE_HZ, Transcript
from talkspurt.speech.inference_pool import InferencePool
from talkspurt.speech.voice_activity import SileroVoiceActivity
from talkspurt.speech.weights import WeightStore

WEIGHTS: Final = "whisper-tiny.en"

LEAD_IN: Final = 2.0
"""Seconds kept while no utterance is open; `begin` may reach back that far."""
UTTERANCE: Final = 30.0
"""Seconds of one utterance, Whisper's own limit; of a longer one the oldest audio is dropped."""

ANSWER_TIMEOUT: Final = 15.0
"""Seconds until a `finalize` is answered with an error: past that the conversation has moved on."""
WAITING: Final = 64
"""Finals waiting in a process. At a tenth of a second each, those behind would come after the timeout on one core."""
STREAM_WAITING: Final = 8
"""Finals waiting in one call, which has one utterance at a time: more is a fault of the caller of this port."""


class WhisperRecognizer:
    """The Recognizer port on local Whisper, for all calls of a process."""

    def __init__(
        self,
        store: WeightStore,
        *,
        threads: int = 1,
        workers: int = 2,
        transcriber: "Transcriber | None" = None,
    ) -> None:
        """`threads` serve one inference, `workers` inferences run at once; a `transcriber` is not loaded again."""
        self._store = store
        self._threads = threads
        self._workers = workers
        self._pool = InferencePool.shared(workers)
        self._loading = asyncio.Lock()
        self._transcriber = transcriber
        self._streams: set[WhisperStream] = set()
        self._waiting = 0

    @classmethod
    def from_config(cls, config: Config) -> "WhisperRecognizer":
        """The recognizer that the configuration describes."""
        threads = config.speech.threads
        return cls(WeightStore.from_config(config), threads=threads, workers=max(1, (os.cpu_count() or 1) // threads))

    async def warm_up(self) -> None:
        """Load the models and transcribe once. Raises `WeightsError` that says what to do."""
        transcriber = await self._load()
        await self._pool.run(transcriber.warm_up, due=time.monotonic())

    async def open(self, *, locale: str, call_id: str) -> "WhisperStream":
        """Start a stream for one call. Raises `ProviderError` for a language that the model does not know."""
        if not locale.lower().startswith("en"):
            raise ProviderError(
                "recognizer", "whisper", f"tiny.en hears English, not '{locale}'; choose another speech.recognizer"
            )
        await self._load()
        stream = WhisperStream(self)
        self._streams.add(stream)
        return stream

    async def aclose(self) -> None:
        """Close all streams and end the threads. Idempotent."""
        for stream in list(self._streams):
            await stream.aclose()
        await self._pool.aclose()
        self._transcriber = None

    async def _load(self) -> "Transcriber":
        async with self._loading:
            if self._transcriber is None:
                self._transcriber = await asyncio.to_thread(
                    Transcriber, self._store, threads=self._threads, workers=self._workers
                )
            return self._transcriber

    # ── for its streams ───────────────────────────────────────────────────────────

    async def transcribe(self, request: "FinalRequest") -> str:
        """The words of the request's audio as it is when its turn comes."""
        transcriber = self._transcriber
        if transcriber is None:
            raise RuntimeError("the recognizer is closed")
        self._waiting += 1
        try:
            return await self._pool.run(lambda: transcriber.transcribe(request.take()), due=request.asked_at)
        finally:
            self._waiting -= 1

    @property
    def overloaded(self) -> bool:
        """Whether another final would wait too long."""
        return self._waiting >= WAITING

    def forget(self, stream: "WhisperStream") -> None:
        """The stream is closed."""
        self._streams.discard(stream)


class FinalRequest:
    """One or several `finalize` calls of an utterance that one inference answers.

    The event loop renews it, a pool thread takes it: whichever comes first wins, under the lock.
    """

    def __init__(self, utterance: int, revision: int, pcm: bytes) -> None:
        self.utterance = utterance
        self.revisions = [revision]
        self.asked_at = time.monotonic()
        self._pcm = pcm
        self._taken = False
        self._lock = threading.Lock()

    def renew(self, revision: int, pcm: bytes) -> bool:
        """Answer `revision` as well, with this newer audio; False when the inference has begun."""
        with self._lock:
            if self._taken:
                return False
            self._pcm = pcm
            self.revisions.append(revision)
            return True

    def take(self) -> bytes:
        """The audio to transcribe; from now on it cannot be renewed."""
        with self._lock:
            self._taken = True
            return self._pcm


class WhisperStream:
    """One call's audio and finals. Belongs to one event loop."""

    def __init__(self, recognizer: WhisperRecognizer) -> None:
        self._recognizer = recognizer
        self._audio = bytearray()
        self._dropped = 0
        """Samples of the call that are no longer in `_audio`."""
        self._starts: dict[int, int] = {}
        """First sample of every open utterance."""
        self._waiting: list[FinalRequest] = []
        self._worker: asyncio.Task[None] | None = None
        self._answers: asyncio.Queue[Transcript | None] = asyncio.Queue()
        self._closed = False

    def feed(self, pcm: bytes, /) -> None:
        """Add the caller's next audio."""
        if self._closed:
            return
        self._audio += pcm
        keep_from = self._total - int(LEAD_IN * LINE_RATE_HZ)
        if self._starts:
            keep_from = max(min(keep_from, *self._starts.values()), self._total - int(UTTERANCE * LINE_RATE_HZ))
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
        start = max(start, self._dropped, self._total - int(UTTERANCE * LINE_RATE_HZ))
        pcm = bytes(self._audio[2 * (start - self._dropped) :])
        if any(request.utterance == utterance and request.renew(revision, pcm) for request in self._waiting):
            return
        if len(self._waiting) >= STREAM_WAITING or self._recognizer.overloaded:
            self._answer(utterance, [revision], error="too many finals are waiting")
            return
        self._waiting.append(FinalRequest(utterance, revision, pcm))
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="whisper-finals")

    def end(self, utterance: int, /) -> None:
        """Forget the utterance; finals of it that have not been started are dropped."""
        self._starts.pop(utterance, None)
        self._waiting = [request for request in self._waiting if request.utterance != utterance]

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
        self._recognizer.forget(self)
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._starts.clear()
        self._waiting.clear()
        self._audio.clear()
        self._answers.put_nowait(None)

    @property
    def _total(self) -> int:
        return self._dropped + len(self._audio) // 2

    async def _work(self) -> None:
        """Answer what waits, one after the other, then end."""
        try:
            while self._waiting:
                request = self._waiting[0]
                text, error = "", None
                try:
                    async with asyncio.timeout(ANSWER_TIMEOUT):
                        text = await self._recognizer.transcribe(request)
                except TimeoutError:
                    error = f"no transcript within {ANSWER_TIMEOUT:.0f} s"
                except Exception as failure:
                    error = str(failure) or type(failure).__name__
                request.take()  # after a timeout it may still be renewable, but it is answered now
                # `end` may have dropped it, or the caller may have ended and begun another meanwhile.
                if request in self._waiting:
                    self._waiting.remove(request)
                    self._answer(request.utterance, request.revisions, text=text, error=error)
        finally:
            self._worker = None

    def _answer(self, utterance: int, revisions: list[int], *, text: str = "", error: str | None = None) -> None:
        for revision in revisions:
            self._answers.put_nowait(Transcript(utterance, revision, text, error=error))


# ── inference: blocking, on pool threads ──────────────────────────────────────────

WHISPER_RATE_HZ: Final = 16_000
CONTEXT: Final = 10.0
"""Seconds that a short utterance is padded to. Whisper was trained on 30, which costs four times as
much; under 10 it goes astray (word error rate 50 % at 6 s without timestamps)."""

SHORT: Final = 2.0
SHORT_CONTEXT: Final = 6.0
"""Seconds that an answer of up to `SHORT` seconds is padded to: a third faster than 10, and a little worse.
83 for 84 % of 70 spoken answers to yes/no questions; over 18 recordings of all lengths a word error rate of
7.0 for 5.9 %. 4 s lose a tenth."""

VOICE_THRESHOLD: Final = 0.35
"""Probability from which a window counts as voice here: lower than for starting a talkspurt, since
the conversation already believes that something was said."""
MINIMUM_VOICED: Final = 0.096
"""Seconds of voice without which there are no words: the same three windows that start a talkspurt."""
TRIM_MARGIN: Final = 0.3
"""Seconds kept around the voice: weak first and last consonants lie outside Silero's windows."""

VOICE_RANGE_DB: Final = 30.0
"""Below the loudest window of an utterance is no more of it: the range of a speaker's phonemes is 20 dB and less."""
NO_SPEECH: Final = 0.85
"""No-speech probability above which nothing is believed: silence and noise reach 0.95 and more, the
worst of a hundred isolated digits 0.68."""
UNLIKELY_NO_SPEECH: Final = 0.6
UNLIKELY_SCORE: Final = -1.0
"""Whisper's own rule for the middle ground: probably no speech, and the words are improbable too."""
WORDS_PER_SECOND: Final = 6.0
WORDS_SPARE: Final = 2.0
"""The fastest speakers reach five words a second; a hum of 0.4 s that becomes eight words is none of them."""
TOKENS_PER_SECOND: Final = 8
TOKENS_SPARE: Final = 16
"""Ends a decoding that goes round in circles early; speech has three to four tokens a second."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the model says: the words, its no-speech probability, the mean log probability of the words."""

    text: str
    no_speech: float
    score: float


class Transcriber:
    """The models. `transcribe` may be called from several threads."""

    def __init__(self, store: WeightStore, *, threads: int, workers: int) -> None:
        """Load everything: about a second. Raises `WeightsError`."""
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        folder: Path = store.path(WEIGHTS)
        try:
            # int8: a third of float32's time and no worse on telephone speech.
            self._model: Any = ctranslate2.models.Whisper(
                str(folder), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=workers
            )
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise WeightsError(f"cannot load {WEIGHTS}: {error}; run: talkspurt models pull {WEIGHTS}") from error
        self._storage: Any = ctranslate2.StorageView
        self._features: Any = FeatureExtractor()
        self._start = self._token("<|startoftranscript|>")
        self._end = self._token("<|endoftext|>")
        self._first_timestamp = self._token("<|notimestamps|>") + 1
        self._voice = SileroVoiceActivity(store.path("silero-vad", "silero_vad.onnx"))
        self._voice_lock = threading.Lock()

    def warm_up(self) -> None:
        """Run every model once."""
        self.transcribe(bytes(LINE_RATE_HZ))
        self._decode(np.zeros(LINE_RATE_HZ, dtype=np.float32))

    def transcribe(self, pcm: bytes) -> str:
        """The words in PCM16 at the line's rate; "" when there are none worth believing."""
        voiced, begin, end = self._find_voice(pcm)
        if voiced < MINIMUM_VOICED:
            return ""
        margin = int(TRIM_MARGIN * LINE_RATE_HZ)
        samples = np.frombuffer(pcm, dtype="<i2")[max(0, begin - margin) : end + margin]
        decoded = self._decode(np.divide(samples, 32768, dtype=np.float32))
        return decoded.text if credible(decoded, voiced) else ""

    def _token(self, name: str) -> int:
        token: int | None = self._tokenizer.token_to_id(name)
        if token is None:
            raise WeightsError(f"the tokenizer of {WEIGHTS} has no {name}; run: talkspurt models verify")
        return token

    def _find_voice(self, pcm: bytes) -> tuple[float, int, int]:
        """Seconds of voice, and its first and last sample. What is far below its loudest moment is none of it."""
        window = self._voice.window
        line = np.frombuffer(pcm, dtype="<i2")
        ends: list[int] = []
        levels: list[float] = []

        def judge(probability: float, samples: int) -> None:
            if probability >= VOICE_THRESHOLD:
                ends.append(samples)
                levels.append(_dbfs(line[samples - window : samples].astype(np.float32) / np.float32(32768)))

        with self._voice_lock:
            stream = self._voice.open(judge)
            for start in range(0, len(pcm), 2 * LINE_RATE_HZ):
                stream.feed(pcm[start : start + 2 * LINE_RATE_HZ])
                self._voice.tick()
            stream.close()
        faintest = max(levels, default=0.0) - VOICE_RANGE_DB
        ends = [end for end, level in zip(ends, levels, strict=True) if level >= faintest]
        if not ends:
            return 0.0, 0, 0
        return len(ends) * window / LINE_RATE_HZ, ends[0] - window, ends[-1]

    def _decode(self, line: NDArray[np.float32]) -> Decoded:
        samples = soxr.resample(line, LINE_RATE_HZ, WHISPER_RATE_HZ)
        seconds = len(samples) / WHISPER_RATE_HZ
        context = SHORT_CONTEXT if seconds <= SHORT else CONTEXT
        padded = np.zeros(int(min(max(context, seconds + 0.5), UTTERANCE) * WHISPER_RATE_HZ), dtype=np.float32)
        samples = samples[: len(padded)]
        padded[: len(samples)] = samples
        frames = len(padded) // self._features.hop_length
        features = np.ascontiguousarray(self._features(padded, padding=0)[None, :, :frames], dtype=np.float32)
        result = self._model.generate(
            self._storage.from_array(features),
            [[self._start]],
            beam_size=1,
            max_length=int(TOKENS_SPARE + TOKENS_PER_SECOND * seconds),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        words: list[int] = []
        for token in result.sequences_ids[0]:
            if token >= self._first_timestamp:
                # A timestamp counts 20 ms. What follows the end of the audio was made up.
                if words and 0.02 * (token - self._first_timestamp) > seconds - 0.1:
                    break
            elif token < self._end:
                words.append(token)
        return Decoded(self._tokenizer.decode(words).strip(), result.no_speech_prob, result.scores[0])


def _dbfs(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12)) if len(samples) else -120.0


def credible(decoded: Decoded, voiced: float) -> bool:
    """Whether the words can have been said in `voiced` seconds of voice."""
    if decoded.no_speech > NO_SPEECH:
        return False
    if decoded.no_speech > UNLIKELY_NO_SPEECH and decoded.score < UNLIKELY_SCORE:
        return False
    if not any(character.isalnum() for character in decoded.text):
        return False
    return len(decoded.text.split()) <= WORDS_SPARE + WORDS_PER_SECOND * voiced
