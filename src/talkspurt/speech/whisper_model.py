"""Whisper tiny.en by CTranslate2: the words in one utterance. Blocking; for inference threads.

Whisper is a weak witness of short telephone speech: silence becomes "you", "mm-hm" a sentence, and
a short answer in a long context is repeated until the context is full. So every utterance is
trimmed to its voice (Silero), decoded with timestamps (text said to come after the end of the audio
was never said), and believed only as far as voice, no-speech probability and speaking rate allow.
"""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from talkspurt.errors import WeightsError
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech.voice_activity import SileroVoiceActivity
from talkspurt.speech.weights import WeightStore

WEIGHTS: Final = "whisper-tiny.en"

UTTERANCE: Final = 30.0
"""Seconds of one utterance, Whisper's own limit."""

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
"""Seconds of voice without which there are no words: three windows, as most talkspurts begin with."""
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
REPEATED_PER_SECOND: Final = 5.0
"""Words a second above which words that come again were decoded twice and said once."""
PUNCTUATION: Final = ".,;:!?"
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
        decoded = replace(decoded, text=said_once(decoded.text, voiced))
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


def said_once(text: str, voiced: float) -> str:
    """`text` without its repetitions, if nobody can have said it all in `voiced` seconds of voice.

    Whisper likes to fill its context: behind "I'd like to book an appointment." it may write the same again, whole or
    begun. Callers who say a thing twice take the time for it.
    """
    words = text.split()
    if len(words) <= REPEATED_PER_SECOND * voiced:
        return text
    bare = [word.strip(PUNCTUATION).lower() for word in words]
    for once in range(2, len(words)):
        if bare[once:] == bare[:-once]:
            return " ".join(words[:once])
    return text


def credible(decoded: Decoded, voiced: float) -> bool:
    """Whether the words can have been said in `voiced` seconds of voice."""
    if decoded.no_speech > NO_SPEECH:
        return False
    if decoded.no_speech > UNLIKELY_NO_SPEECH and decoded.score < UNLIKELY_SCORE:
        return False
    if not any(character.isalnum() for character in decoded.text):
        return False
    return len(decoded.text.split()) <= WORDS_SPARE + WORDS_PER_SECOND * voiced
