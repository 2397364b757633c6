"""A Piper voice: text in, speech at 8 kHz out while the rest is still being made. Blocking; for inference threads.

streaming-vits runs the voice in two graphs: a front end over the whole text (so that its melody is
whole), then a decoder in chunks. Chunks grow, since each pays for its margins: the first is small
so that speech begins soon, later ones large so that they are cheap.

The front end also says how long each phoneme lasts, from which the times of the words follow.

It is not a text normaliser: "#W237" must come as the words it should be spoken as.

Invariants: no text reaches a command line (`phonemes.py`); one step makes one chunk and no more; speech begins and
ends at zero, so that joins do not click.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np
import soxr
import structlog
from numpy.typing import NDArray

from talkspurt.errors import WeightsError
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech.phonemes import Phonemizer
from talkspurt.speech.voice_split import DURATIONS, voice_file
from talkspurt.speech.weights import PREPARED, WeightStore

VOICES: Final = {"joe": "piper-joe"}
"""Voices by the name that agents use, and their weights."""
DEFAULT_VOICE: Final = "joe"

CHUNK_FRAMES: Final = (36, 54, 96, 192)
"""Decoder frames (11.6 ms) per chunk, the last for all that follow. The first is 0.35 s of speech for
0.05 s of work and the next takes 0.09 s, so that speech that has begun does not run dry on a busy
machine; 192 frames take 0.25 s, the longest that speech nobody wants any more can still keep a thread busy."""

SAFETY: Final = 2.0
"""Speech begins once it lasts this many times as long as the next chunk will take at the pace measured so far."""

MARGIN_FRAMES: Final = 24
"""Frames decoded on either side of a chunk and thrown away. The library's 48 and 40 are exact; 24 differ
from a whole decode by -81 dB, far below µ-law's -38 dB, and save a third of the work. (16 give -36 dB.)"""

PIECE_CHARACTERS: Final = 300
"""Longer text is spoken sentence by sentence: the front end's cost grows with the square of the length."""

GAIN: Final = 1.4
"""Lifts the voice's active level from -21 to -18 dBFS, the loudness of a present voice on the telephone."""
CEILING: Final = 0.97
"""Largest magnitude, just below full scale; with the gain above, only rare peaks reach it."""
ONSET: Final = 0.01
"""Magnitude below which the 50 ms of breath that the voice begins with are skipped."""
FADE: Final = 40
"""Samples (5 ms) of fade at both ends: enough that no step is heard, too short to swallow a consonant."""

SLOWEST: Final = 0.5
FASTEST: Final = 2.0
"""Beyond these paces the voice is no longer understood."""

_log = structlog.get_logger(__name__)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Voice:
    """A loaded voice: streaming-vits' engine, and the way from text to its input."""

    engine: Any
    phonemizer: Phonemizer
    steady: bool = False
    """Without the noise that makes each rendering of a text a little different."""

    @property
    def tells_durations(self) -> bool:
        """Whether its front end says how long each phoneme lasts."""
        return DURATIONS in (output.name for output in self.engine.fe.get_outputs())

    def front_end(self, ids: list[int], *, pace: float = 1.0) -> "Latent":
        """Run the front end; `pace` as in the Synthesizer port, within `SLOWEST` and `FASTEST`."""
        noise = 0.0 if self.steady else None
        scales = self.engine.scales(noise=noise, noise_w=noise)
        # Noise of the voice, length, noise of the durations. Length is the inverse of pace.
        scales[1] /= min(max(pace, SLOWEST), FASTEST)
        offered = {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": scales,
            "sid": np.zeros(1, dtype=np.int64),
        }
        front_end, seam = self.engine.fe, self.engine.meta.seam
        wanted = {name: offered[name] for name in self.engine.meta.frontend_inputs}
        # Not by the library's own method, which takes any third output for a speaker.
        names = [output.name for output in front_end.get_outputs()]
        found = dict(zip(names, front_end.run(names, wanted), strict=True))
        frames = found[DURATIONS].reshape(-1).astype(int).tolist() if DURATIONS in found else None
        return Latent(found[seam.z_p], found[seam.mask], found.get(seam.g), frames)


@dataclass(frozen=True, slots=True)
class Latent:
    """What the front end makes of a text and the decoder makes sound of, frame by frame."""

    values: NDArray[np.float32]
    mask: NDArray[np.float32]
    speaker: NDArray[np.float32] | None
    frames: list[int] | None
    """How many frames each phoneme lasts; None when the front end does not say."""


def split_text(text: str) -> list[str]:
    """Cut `text` into pieces to be spoken one after the other: whole if short, else by sentences, at worst by words."""
    if len(text) <= PIECE_CHARACTERS:
        return [text]
    pieces: list[str] = []
    for sentence in _SENTENCE.split(text):
        rest = sentence
        while len(rest) > PIECE_CHARACTERS:
            cut = rest.rfind(" ", 1, PIECE_CHARACTERS)
            cut = cut if cut > 0 else PIECE_CHARACTERS
            pieces.append(rest[:cut])
            rest = rest[cut:]
        pieces.append(rest)
    return pieces


def load_voice(store: WeightStore, weights: str, threads: int) -> Voice:
    """Load a voice from the store; about a second, so off the event loop. Raises what `warm_up` raises."""
    folder = store.path(weights)
    model = voice_file(folder)
    settings = json.loads(model.with_suffix(".onnx.json").read_text(encoding="utf-8"))
    # First, because a missing espeak-ng is the operator's to mend and the library would say it less well.
    phonemizer = Phonemizer(
        {phoneme: ids[0] for phoneme, ids in settings["phoneme_id_map"].items()}, settings["espeak"]["voice"]
    )
    from streaming_vits import Profile, StreamingTTS

    try:
        profile = Profile(left=MARGIN_FRAMES, right=MARGIN_FRAMES, threads=threads)
        engine = StreamingTTS(model, cache=folder / PREPARED, profile=profile, verbose=False)
    except Exception as error:
        raise WeightsError(
            f"cannot load the voice {model.name}: {error}; run: talkspurt models pull {weights}"
        ) from error
    voice = Voice(engine, phonemizer)
    if not voice.tells_durations:
        _log.warning("voice_without_word_times", voice=model.name, remedy=f"talkspurt models pull {weights}")
    return voice


def speak(voice: Voice, text: str, *, pace: float = 1.0) -> Iterator[bytes]:
    """The sound of `render` alone."""
    return (chunk.pcm for chunk in render(voice, text, pace=pace))


def render(
    voice: Voice, text: str, *, pace: float = 1.0, chunk_frames: Sequence[int] = CHUNK_FRAMES
) -> Iterator[SpeechChunk]:
    """Speech at the line's rate, chunk by chunk; runs on pool threads, one step at a time.

    The words come in one step, without sound, behind the first sound. `chunk_frames`: decoder frames of each chunk, the
    last for all that follow.
    """
    engine = voice.engine
    spoken = voice.phonemizer.pronounce(text)
    if not spoken.ids:
        yield SpeechChunk(b"", tuple((word, 0.0) for word in text.split()) if voice.tells_durations else ())
        return
    latent = voice.front_end(spoken.ids, pace=pace)
    # A step of its own: its time says nothing of how fast chunks will come.
    yield SpeechChunk(b"")
    line = _LineAudio(engine.sample_rate)
    begin, index, frames = 0, 0, latent.values.shape[2]
    timed = latent.frames is None
    while begin < frames:
        end = min(begin + chunk_frames[min(index, len(chunk_frames) - 1)], frames)
        samples = engine.decode_chunk(latent.values, latent.mask, latent.speaker, begin, end)
        yield SpeechChunk(line.add(samples, last=end == frames))
        begin, index = end, index + 1
        if latent.frames is not None and not timed and (line.begun or end == frames):
            # Only now is it known how much breath was cut off, and the caller did not wait for this.
            timed = True
            ends = [0, *accumulate(latent.frames)]
            seconds = [ends[at] * engine.hop / engine.sample_rate for at in voice.phonemizer.word_starts(spoken)]
            skipped = line.skipped / LINE_RATE_HZ
            yield SpeechChunk(b"", tuple(zip(text.split(), (max(0.0, at - skipped) for at in seconds), strict=True)))


class Speech:
    """A text being spoken, a step at a time: for one thread at once, but not always the same."""

    def __init__(self, voice: Voice, text: str, *, pace: float = 1.0) -> None:
        self.seconds = 0.0
        """Of sound made so far."""
        self.complete = False
        """Whether the last step was taken."""
        self._chunks = self._render(voice, text, pace)
        self._words = Words(text)
        self._head = _Head()
        self._asked = time.monotonic()

    def step(self) -> SpeechChunk:
        """Make the next piece of sound, a quarter of a second of work at most; what may be played now, perhaps nothing.

        Raises what `Phonemizer.pronounce` and the voice raise.
        """
        pcm = next(self._chunks, None)
        now = time.monotonic()
        # Waiting for a thread counts as well: what may be played depends on how fast chunks come, whatever the reason.
        spent, self._asked = now - self._asked, now
        if pcm is None:
            self.complete = True
            rest, late = self._head.flush(), self._words.take()
            return SpeechChunk(rest, late if rest or self.seconds else ())
        ready = self._head.add(pcm, spent) if pcm else b""
        return SpeechChunk(ready, self._words.take() if ready else ())

    def _render(self, voice: Voice, text: str, pace: float) -> Iterator[bytes]:
        for piece in split_text(text):
            began_at = self.seconds
            for chunk in render(voice, piece, pace=pace):
                self._words.add(chunk.words, began_at)
                self.seconds += len(chunk.pcm) / 2 / LINE_RATE_HZ
                yield chunk.pcm


class Words:
    """The words of a text with their times, put together from pieces that may cut a word in two."""

    def __init__(self, text: str) -> None:
        self._words = iter(text.split())
        self._missing = 0
        self._ready: list[tuple[str, float]] = []

    def add(self, words: tuple[tuple[str, float], ...], offset: float) -> None:
        """Take words of a piece that begins at `offset` seconds."""
        for part, start in words:
            if not self._missing:
                word = next(self._words)
                self._missing = len(word)
                self._ready.append((word, round(offset + start, 3)))
            self._missing -= len(part)

    def take(self) -> tuple[tuple[str, float], ...]:
        """What has not been taken yet."""
        ready, self._ready = tuple(self._ready), []
        return ready


class _Head:
    """The beginning of speech, held back until it lasts longer than the rest can keep it waiting.

    On an idle machine that is the first chunk; on a busy one speech begins later, but does not break off.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._seconds = 0.0
        self._chunks = 0
        self._flowing = False

    def add(self, pcm: bytes, spent: float) -> bytes:
        """Take a chunk that took `spent` seconds; returns what may be played now."""
        if self._flowing:
            return pcm
        self._held.append(pcm)
        self._seconds += len(pcm) / 2 / LINE_RATE_HZ
        self._chunks += 1
        self._flowing = self._seconds >= SAFETY * spent * _work(self._chunks) / _work(self._chunks - 1)
        return self.flush() if self._flowing else b""

    def flush(self) -> bytes:
        """Return what is held, whatever it is."""
        held, self._held = b"".join(self._held), []
        return held


def _work(chunk: int) -> int:
    """Frames that are decoded for the chunk with that index, margins included: what its time is proportional to."""
    margins = 1 if chunk == 0 else 2
    return CHUNK_FRAMES[min(chunk, len(CHUNK_FRAMES) - 1)] + margins * MARGIN_FRAMES


class _LineAudio:
    """One piece of speech on its way to the line: resampled, levelled, trimmed and faded."""

    def __init__(self, rate_hz: int) -> None:
        # Variable rate only for its filter: it holds back 27 ms where the others hold back 63 and more.
        self._resampler = soxr.ResampleStream(rate_hz, LINE_RATE_HZ, 1, dtype="float32", quality="HQ", vr=True)
        self._held: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self.begun = False
        self.skipped = 0
        """Samples at the line's rate that were cut off at the beginning."""

    def add(self, samples: NDArray[np.float32], *, last: bool) -> bytes:
        """Take the next samples; returns what is ready. The last 5 ms are held back until it is known to be the end."""
        line = self._resampler.resample_chunk(np.ascontiguousarray(samples, dtype=np.float32), last=last)
        line = np.concatenate((self._held, line))
        if not self.begun:
            line = self._begin(line)
        if last:
            fade = min(FADE, len(line))
            if fade:
                line[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            self._held = line[:0]
        else:
            keep = max(0, len(line) - FADE)
            line, self._held = line[:keep], line[keep:]
        pcm: NDArray[np.int16] = (np.clip(line * GAIN, -CEILING, CEILING) * 32767).astype("<i2")
        return pcm.tobytes()

    def _begin(self, line: NDArray[np.float32]) -> NDArray[np.float32]:
        loud = np.flatnonzero(np.abs(line) > ONSET)
        if not len(loud):
            self.skipped += max(0, len(line) - FADE)
            return line[-FADE:]
        self.begun = True
        breath = max(0, int(loud[0]) - FADE)
        self.skipped += breath
        line = line[breath:].copy()
        fade = min(FADE, len(line))
        line[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
        return line
