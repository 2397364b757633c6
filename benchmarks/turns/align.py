"""Which words of known texts were heard, and when: forced alignment of what the carrier double played.

The witness is independent of the product: nothing here has seen its playback map, its marks or the audio it made.
Each text is spoken afresh, and that speech is only a template, because the agent's voice never says a text twice alike.
The templates' voice lacks the noise that makes it so: one bad rendering of "five hundred" had spoilt a hundred texts.

1. The words of the template are found by Whisper's cross-attention (CTranslate2), corrected by its known lateness and
   moved to the pause where there is one.
2. The played audio is laid over all templates at once by dynamic programming on log-mel frames (Viterbi: at each frame
   the template stays, goes on, or goes on twice as fast). Only at a silence may it cheaply leap: to the beginning of a
   text that had been ordered by then, or, dearer, to any place of one. That finds replies cut in the middle of a word,
   those that were resumed, where, and those that were never heard.

A word counts as heard when at least half of it was played. `align_validation` measures how good this is;
its figures are in `docs/turn-taking.md`.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr
from benchmarks.turns.artefacts import ORDER_DOUBT
from numpy.typing import NDArray

from talkspurt.agent.locales import find_locale
from talkspurt.config import load_config
from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.speech.piper_voice import DEFAULT_VOICE, VOICES, Voice, load_voice, render
from talkspurt.speech.weights import WeightStore
from talkspurt.speech.whisper_model import WEIGHTS as WHISPER_WEIGHTS
from talkspurt.speech.whisper_model import WHISPER_RATE_HZ

Samples = NDArray[np.int16]
Frames = NDArray[np.float32]

LOCALE: Final = "en-US"
RATE_HZ: Final = 8_000
HOP: Final = 80
"""Samples per frame: 10 ms, a fifth of the shortest words."""
HOP_SECONDS: Final = HOP / RATE_HZ

SILENT_RMS: Final = 32_768 * 10 ** (-52 / 20)
"""Below what counts as audible: a weak f or th belongs to its word."""
KEPT_SILENCE: Final = 4
"""Frames kept of every silence on both sides: how long a pause is says nothing of which words surround it."""
LEAP_SILENCE: Final = 6
"""Frames of silence from which the agent may be somewhere else: clearing the line and speaking again takes longer."""

LATENESS: Final = 0.08
"""Seconds by which Whisper's attention comes late: 0.05 to the median word's beginning, and more to those that matter
most here, the words that are cut in the middle. With it the count of heard words errs as often up as down."""
SNAP: Final = 0.18
"""Seconds within which a pause of the template is where the boundary between two words must be."""
SNAP_SILENCE: Final = 5
"""Frames of silence that divide words; a plosive's closure is shorter or no nearer than that."""
CONTEXT: Final = 30.0
"""Seconds Whisper was trained on; `SHORT_CONTEXT` is as good and four times faster for what fits in it."""
SHORT_CONTEXT: Final = 10.0

UNIT_DB: Final = 24.5
"""Decibels in one band that make a distance of 1."""
TEMPO: Final = 0.2
"""Cost of a frame that does not go on by one. Like frames lie about 0.5 apart, unlike ones 2."""
LEAP_TO_TEXT: Final = 8.0
LEAP_INTO_TEXT: Final = 20.0
"""Costs of leaping at a silence: what 50 and 130 ms of the wrong template cost, less than a word. A new reply is
commoner than a resumed one."""
LEAP_IN_SPEECH: Final = 40.0
"""On top where there is no silence."""

WINDOW: Final = 6.0
LONG_PAUSE: Final = 1.0
"""Seconds of speech after which, and of silence at which, the search is cut in two: its cost grows with the square."""
RECENT: Final = 15.0
"""Seconds after which a text that has not begun to be heard is no longer looked for, unless it is among the last."""

WHOLE: Final = (1_000_000,)
"""Decoder frames to a chunk: nobody waits for a template's first sound, and a chunk pays for its margins."""
MADE: Final = 3
"""Counts the ways in which templates were made: those of an earlier one are not found again."""

SOME_NUMBER: Final = "twelve"
"""Stands for every number in the templates that sentences share. A single word: of "481" the aligner found only the
end, so that the "for" before it was taken to last for 0.8 s instead of 0.3, and not to have been heard."""
_NUMBER: Final = re.compile(r"(?<![\w.,:$#-])(?:[2-9]\d|\d{3,4})(?![\w,:-]|\.\d)")
"""A number as a word of its own that is said alone as in a sentence: a "fifteen" is not, its stress moves."""
_HUNDREDS: Final = re.compile(r"(?<=hundred) ")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Text:
    """Something the agent may have said."""

    text: str
    ordered: tuple[float, ...] = (0.0,)
    """When, in call seconds and order: it cannot be heard before the first, and is hardly heard long after the last."""
    always: bool = False
    """It may be heard at any time: a phrase of the runtime's own."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text spoken afresh, with its words' places in samples."""

    text: str
    samples: Samples
    words: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """The part of a word that was played in one stretch: `share` of it, from `begin` to `end` in call seconds."""

    index: int
    share: float
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Audio that follows one text without a leap, pauses included."""

    text: int
    begin: float
    end: float
    words: tuple[HeardWord, ...]
    """Every word of which anything was played, in order."""
    enters: int
    """The word whose beginning lies nearest to where the stretch begins in its text: speech is taken up at words."""
    distance: float
    """Mean distance from the template: of the right text 0.65 at the median and 0.88 for 99 in 100 stretches, of
    another one at least 1.3."""
    entry: float
    exit: float
    """Where it begins and ends in the template, in seconds: finer than words."""
    continues: bool = False
    """It goes on where the stretch before it ended."""

    @property
    def heard(self) -> range:
        """Indices of the words of which at least half was played."""
        whole = [word.index for word in self.words if word.share >= 0.5]
        return range(whole[0], whole[-1] + 1) if whole else range(0)


def words_of(text: str) -> list[str]:
    """The words of `text` as they are counted: what stands between spaces and can be spoken."""
    return [word for word in text.split() if any(character.isalnum() for character in word)]


def _said_words(text: str) -> list[str]:
    """How each of `words_of(text)` is said: what stands around a number tells "seven one three" from a quantity."""
    form = find_locale(LOCALE).spoken_form(text)
    said = [" ".join(form.words[form.said_before(index) : end]) for index, end in enumerate(form.ends)]
    return [words for word, words in zip(text.split(), said, strict=True) if words_of(word)]


class Templates:
    """Speaks texts and finds their words; keeps what it made in a folder, because both take a while.

    Sentences that differ only in a number share a template, into which the number, spoken alone, is put: the same at a
    sentence's end as inside of it, for its falling pitch is nothing to a mel spectrum's bands.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Without `folder` templates live as long as this object."""
        self._folder = folder
        self._made: dict[str, Template] = {}
        self._tracks: dict[str, _Track] = {}

    def of(self, text: str) -> Template:
        """The template of `text`, one sentence after the other. Raises `WeightsError` without the models."""
        return _joined(text, [self._sentence(part) for part in _SENTENCE.split(text) if words_of(part)])

    def _sentence(self, text: str) -> Template:
        words, said = words_of(text), _said_words(text)
        numbers = [index for index, word in enumerate(words) if _NUMBER.search(word)]
        if len(words) <= 1 or not numbers:
            return self._kept(text)
        whole = self._kept(" ".join(_NUMBER.sub(SOME_NUMBER, word) for word in words))
        parts: list[Template] = []
        for index, (word, (begin, end)) in enumerate(zip(words, _tiles(whole), strict=True)):
            if index in numbers:
                parts.append(self._number(word, said[index].rstrip(".,?!")))
            else:
                parts.append(Template(word, whole.samples[begin:end], ((0, end - begin),)))
        return _joined(text, parts)

    def _number(self, word: str, said: str) -> Template:
        """One word, of the hundreds and the rest, so that a thousand quantities need a hundred templates."""
        whole = _joined(word, [self._kept(part, one_word=True) for part in _HUNDREDS.split(said)])
        return replace(whole, words=((whole.words[0][0], whole.words[-1][1]),))

    def track(self, template: Template) -> "_Track":
        """Its frames, kept for texts that are looked for again and again."""
        if template.text not in self._tracks:
            self._tracks[template.text] = _track(template.samples)
        return self._tracks[template.text]

    def _kept(self, text: str, *, one_word: bool = False) -> Template:
        """Spoken now, or found where it was kept; as `one_word` it has a place as a whole only."""
        key = f"{MADE} {one_word} {text}"
        if key in self._made:
            return self._made[key]
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz" if self._folder else None
        if path and path.exists():
            with np.load(path) as kept:
                template = Template(text, kept["samples"], tuple((int(b), int(e)) for b, e in kept["words"]))
        else:
            samples = synthesize(text)
            template = Template(text, samples, find_words(text, samples, one_word=one_word))
            if path:
                _keep(template, path)
        self._made[key] = template
        return template


def _joined(text: str, parts: Sequence[Template]) -> Template:
    samples = np.concatenate([part.samples for part in parts]) if parts else np.zeros(0, np.int16)
    offsets = np.cumsum([0, *(len(part.samples) for part in parts)])[:-1]
    words = tuple(
        (int(offset) + begin, int(offset) + end)
        for offset, part in zip(offsets, parts, strict=True)
        for begin, end in part.words
    )
    return Template(text, samples, words)


def _tiles(template: Template) -> list[tuple[int, int]]:
    """All samples of a template, divided among its words."""
    return list(pairwise([0, *(begin for begin, _ in template.words[1:]), len(template.samples)]))


def _keep(template: Template, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several processes may make the same one.
    unfinished = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(unfinished, samples=template.samples, words=np.array(template.words, dtype=np.int64).reshape(-1, 2))
    unfinished.replace(path)


def synthesize(text: str) -> Samples:
    """Speak `text` with the agent's voice, as a line of µ-law would carry it."""
    pcm = b"".join(chunk.pcm for chunk in render(_voice(), text, chunk_frames=WHOLE))
    return np.frombuffer(decode_mulaw(encode_mulaw(pcm)), dtype="<i2").astype(np.int16)


@lru_cache(maxsize=1)
def _voice() -> Voice:
    return replace(load_voice(WeightStore.from_config(load_config()), VOICES[DEFAULT_VOICE], 1), steady=True)


# ── words of a template ───────────────────────────────────────────────────────────


class WordFinder:
    """Whisper's cross-attention as a forced aligner."""

    def __init__(self) -> None:
        """Load the model. Raises `WeightsError`."""
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        folder = WeightStore.from_config(load_config()).path(WHISPER_WEIGHTS)
        self._model: Any = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=1)
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._features: Any = FeatureExtractor()
        self._storage: Any = ctranslate2.StorageView
        self._start: Any = self._tokenizer.token_to_id("<|startoftranscript|>")

    def begins(self, words: Sequence[str], samples: Samples) -> list[float]:
        """Second at which each word begins."""
        seconds = len(samples) / RATE_HZ
        context = SHORT_CONTEXT if seconds < SHORT_CONTEXT - 0.5 else CONTEXT
        padded = np.zeros(int(context * WHISPER_RATE_HZ), dtype=np.float32)
        wide = soxr.resample(samples.astype(np.float32) / 32_768, RATE_HZ, WHISPER_RATE_HZ)[: len(padded)]
        padded[: len(wide)] = wide
        frames = len(padded) // self._features.hop_length
        features = np.ascontiguousarray(self._features(padded, padding=0)[None, :, :frames], dtype=np.float32)
        tokens: list[int] = []
        firsts: list[int] = []
        for word in words:
            firsts.append(len(tokens))
            tokens += self._tokenizer.encode(f" {word}", add_special_tokens=False).ids
        result = self._model.align(
            self._storage.from_array(features), [self._start], [tokens], len(wide) // self._features.hop_length
        )[0]
        begins: dict[int, float] = {}
        for token, frame in result.alignments:
            begins.setdefault(token, 0.02 * frame - LATENESS)
        return [max(0.0, begins.get(first, 0.0)) for first in firsts]


@lru_cache(maxsize=1)
def _word_finder() -> WordFinder:
    return WordFinder()


def find_words(text: str, samples: Samples, *, one_word: bool = False) -> tuple[tuple[int, int], ...]:
    """First and last sample of each word of `text` in `samples`, which speak all of it; of all, if it is `one_word`."""
    words = words_of(text)
    if not words:
        return ()
    silent = silent_frames(samples)
    voiced = np.flatnonzero(~silent)
    first, last = (int(voiced[0]), int(voiced[-1]) + 1) if len(voiced) else (0, len(silent))
    if one_word:
        return ((first * HOP, max(last, first + 1) * HOP),)
    begins = [first, *(min(last, round(begin / HOP_SECONDS)) for begin in _word_finder().begins(words, samples)[1:])]
    pauses = [run for run in _runs(silent) if run[1] - run[0] >= SNAP_SILENCE and first < run[0] and run[1] < last]
    places: list[tuple[int, int]] = []
    begin = first
    for boundary in begins[1:]:
        near = [run for run in pauses if run[0] - SNAP / HOP_SECONDS <= boundary <= run[1] + SNAP / HOP_SECONDS]
        near = [run for run in near if run[0] > begin]
        end, following = max(near, key=lambda run: run[1] - run[0]) if near else (boundary, boundary)
        end = max(end, begin + 1)
        places.append((begin, end))
        begin = max(following, end)
        pauses = [run for run in pauses if run[0] >= begin]
    places.append((begin, max(last, begin + 1)))
    return tuple((begin * HOP, end * HOP) for begin, end in places)


def silent_frames(samples: Samples) -> NDArray[np.bool_]:
    """For each whole frame of `samples`, whether nothing can be heard in it."""
    blocks = samples[: len(samples) // HOP * HOP].astype(np.float64).reshape(-1, HOP)
    silent: NDArray[np.bool_] = np.sqrt(np.mean(blocks**2, axis=1)) < SILENT_RMS
    return silent


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where `mask` is true, as half-open ranges."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


# ── laying played audio over the templates ────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Track:
    """Frames of a sound with its silences shortened: `at[i]` is the frame's place before that."""

    frames: Frames
    at: NDArray[np.int64]
    after_silence: NDArray[np.bool_]


def _track(samples: Samples) -> _Track:
    silent = silent_frames(samples)
    keep = np.ones(len(silent), dtype=bool)
    after = np.zeros(len(silent), dtype=bool)
    for begin, end in _runs(silent):
        if begin == 0 or end == len(silent):
            keep[begin:end] = False
        else:
            keep[begin + KEPT_SILENCE : end] = False
        if end - begin >= LEAP_SILENCE and end < len(silent):
            after[end] = True
    at = np.flatnonzero(keep)
    return _Track(_features(samples, len(silent))[at], at, after[at])


@lru_cache(maxsize=1)
def _mel() -> NDArray[np.float32]:
    """Triangles on the mel scale, (129, 24), for 256-point spectra at 8 kHz."""
    bands, points = 24, 256
    edges = 700 * (
        10 ** (np.linspace(2595 * np.log10(1 + 80 / 700), 2595 * np.log10(1 + 3800 / 700), bands + 2) / 2595) - 1
    )
    bins = np.arange(points // 2 + 1) * RATE_HZ / points
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - lower) / (centre - lower)
    falling = (upper - bins[:, None]) / (upper - centre)
    mel: NDArray[np.float32] = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return mel


def _features(samples: Samples, count: int) -> Frames:
    """Log-mel frames (count, 24), in units of `UNIT_DB`."""
    window = 256
    padded = np.concatenate((np.zeros((window - HOP) // 2), samples, np.zeros(window))).astype(np.float32)
    blocks = np.lib.stride_tricks.sliding_window_view(padded, window)[::HOP][:count]
    power = np.abs(np.fft.rfft(blocks * np.hanning(window), axis=1)) ** 2
    # The floor lies where µ-law's own noise does: below it there is nothing to compare.
    decibels = 10 * np.log10(power.astype(np.float32) @ _mel() + 1e6)
    frames: Frames = (decibels / UNIT_DB).astype(np.float32)
    return frames


def align(played: Samples, texts: Sequence[Text], templates: Templates) -> list[Stretch]:
    """Every stretch of `texts` in `played`, in the order in which they were heard."""
    heard = _track(played)
    texts = [replace(text, ordered=tuple(at - ORDER_DOUBT for at in text.ordered)) for text in texts]
    stretches: list[Stretch] = []
    last: list[int] = []
    """The texts heard last, which are the ones to be resumed."""
    reached: tuple[int, int] | None = None
    """The text, and its frame, that the window before ended with."""
    made = lru_cache(maxsize=None)(lambda index: templates.of(texts[index].text))
    for begin, end in _windows(heard):
        window = _Track(heard.frames[begin:end], heard.at[begin:end], heard.after_silence[begin:end])
        active = _active(texts, last, float(window.at[0]) * HOP_SECONDS, float(window.at[-1] + 1) * HOP_SECONDS)
        if not active:
            continue
        candidates = [_Candidate(i, texts[i], made(i), templates.track(made(i))) for i in active]
        found, reached = _align_window(window, candidates, reached)
        for stretch in found:
            if stretch.text in last:
                last.remove(stretch.text)
            last = [*last[-1:], stretch.text]
        if found and found[0].continues and stretches:
            stretches[-1] = _merged(stretches[-1], found.pop(0))
        stretches += found
    return stretches


def _windows(heard: _Track) -> list[tuple[int, int]]:
    """Divide a track at silences into pieces that are quick to search."""
    windows: list[tuple[int, int]] = []
    begin = 0
    for frame in range(1, len(heard.at)):
        long_pause = heard.at[frame] - heard.at[frame - 1] > LONG_PAUSE / HOP_SECONDS
        if long_pause or (heard.after_silence[frame] and frame - begin > WINDOW / HOP_SECONDS):
            windows.append((begin, frame))
            begin = frame
    if begin < len(heard.at):
        windows.append((begin, len(heard.at)))
    return windows


def _active(texts: Sequence[Text], last: Sequence[int], begin: float, end: float) -> list[int]:
    """The texts that may be heard between `begin` and `end`."""
    known = [
        index for index, text in enumerate(texts) if words_of(text.text) and (text.always or text.ordered[0] < end)
    ]
    latest = sorted(known, key=lambda index: max([at for at in texts[index].ordered if at < end], default=0.0))[-3:]
    return [
        index
        for index in known
        if texts[index].always
        or index in last
        or index in latest
        or any(begin - RECENT < at < end for at in texts[index].ordered)
    ]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A text that may be heard in a window."""

    index: int
    text: Text
    template: Template
    track: _Track


def _align_window(
    heard: _Track, texts: Sequence[_Candidate], reached: tuple[int, int] | None
) -> tuple[list[Stretch], tuple[int, int]]:
    """The stretches of one window, and which frame of which text it ends with."""
    starts = np.cumsum([0, *(len(text.track.at) for text in texts)])
    going_on = next((int(start) + reached[1] for start, text in zip(starts, texts, strict=False)
                     if reached and text.index == reached[0]), None)  # fmt: skip
    path, distances = _viterbi(heard, texts, starts, going_on)
    stretches: list[Stretch] = []
    owner_of_states = np.repeat(np.arange(len(texts)), np.diff(starts))
    owner = owner_of_states[path]
    leaps = np.flatnonzero((np.diff(owner) != 0) | (np.diff(path) < 0) | (np.diff(path) > 2)) + 1
    for begin, end in pairwise([0, *leaps.tolist(), len(path)]):
        which = texts[owner[begin]]
        places = which.track.at[path[begin:end] - starts[owner[begin]]]
        stretches.append(
            Stretch(
                text=which.index,
                begin=float(heard.at[begin]) * HOP_SECONDS,
                end=float(heard.at[end - 1] + 1) * HOP_SECONDS,
                words=_words(which.template, places, heard.at[begin:end]),
                enters=int(np.argmin([abs(word[0] - int(places[0]) * HOP) for word in which.template.words])),
                distance=float(distances[begin:end].mean()),
                entry=float(places[0]) * HOP_SECONDS,
                exit=float(places[-1] + 1) * HOP_SECONDS,
                continues=begin == 0 and _goes_on(going_on, int(path[0]), owner_of_states),
            )
        )
    return stretches, (texts[owner[-1]].index, int(path[-1] - starts[owner[-1]]))


def _goes_on(reached: int | None, frame: int, owner: NDArray[np.int64]) -> bool:
    return reached is not None and reached < frame <= reached + 2 and bool(owner[frame] == owner[reached])


def _merged(first: Stretch, second: Stretch) -> Stretch:
    """One stretch of two that follow each other without a leap."""
    words = {word.index: word for word in first.words}
    for word in second.words:
        before = words.get(word.index)
        words[word.index] = (
            replace(word, share=min(1.0, before.share + word.share), begin=before.begin) if before else word
        )
    lengths = first.end - first.begin, second.end - second.begin
    distance = (first.distance * lengths[0] + second.distance * lengths[1]) / sum(lengths)
    return replace(first, end=second.end, exit=second.exit, words=tuple(words.values()), distance=distance)


def _words(template: Template, places: NDArray[np.int64], at: NDArray[np.int64]) -> tuple[HeardWord, ...]:
    """The words that the template's frames `places`, heard at frames `at`, belong to."""
    first, last = int(places[0]) * HOP, (int(places[-1]) + 1) * HOP
    words = []
    for index, (begin, end) in enumerate(template.words):
        share = (min(end, last) - max(begin, first)) / (end - begin)
        if share <= 0:
            continue
        inside = np.flatnonzero((places * HOP >= begin) & (places * HOP < end))
        if not len(inside):  # a word so short that the path steps over it
            inside = np.searchsorted(places, begin // HOP, side="left").clip(max=len(places) - 1).reshape(1)
        words.append(
            HeardWord(index, share, float(at[inside[0]]) * HOP_SECONDS, float(at[inside[-1]] + 1) * HOP_SECONDS)
        )
    return tuple(words)


def _viterbi(
    heard: _Track, texts: Sequence[_Candidate], starts: NDArray[np.int64], going_on: int | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The cheapest path: for each heard frame its template frame, and the distances along it.

    `going_on` is the template frame that was reached before, if any.
    """
    templates = np.concatenate([text.track.frames for text in texts])
    not_before = np.array([0.0 if text.text.always else text.text.ordered[0] for text in texts]) / HOP_SECONDS
    begins, lengths = starts[:-1], np.diff(starts)
    seconds = begins[lengths > 1] + 1
    # Single precision throughout: one double among the operands would cost more than all the rest.
    tempo, into_text = np.float32(TEMPO), np.float32(LEAP_INTO_TEXT)
    dear = np.where(heard.after_silence, 0.0, LEAP_IN_SPEECH).astype(np.float32)
    to_text = np.full(len(templates), 2 * LEAP_INTO_TEXT, dtype=np.float32)
    to_text[begins] = LEAP_TO_TEXT
    closed = not_before > heard.at[0]
    """Of each text, whether it had not been ordered by then."""
    to_open_text = np.where(np.repeat(closed, lengths), np.float32(np.inf), to_text)
    costs = _distances(heard.frames, templates)
    """At each frame what the cheapest path to each state costs; its distances, until it is that frame's turn."""
    entry = to_open_text.copy()
    if going_on is not None:
        text = int(np.searchsorted(begins, going_on, side="right")) - 1
        begin, end = starts[text : text + 2]
        entry[begin:end] = entry[begin:end].clip(max=into_text)
        entry[going_on + 1 : min(going_on + 3, end)] = 0.0
    costs[0] += entry
    step = np.empty(len(templates), dtype=np.float32)
    for frame in range(1, len(heard.at)):
        if (not_before[closed] <= heard.at[frame]).any():
            closed = not_before > heard.at[frame]
            to_open_text = np.where(np.repeat(closed, lengths), np.float32(np.inf), to_text)
        before = costs[frame - 1]
        cheapest = np.minimum.reduceat(before, begins)
        best = before + tempo
        step[1:] = before[:-1]
        step[begins] = np.inf
        np.minimum(best, step, out=best)
        np.add(before[:-2], tempo, out=step[2:])
        step[begins] = step[seconds] = np.inf
        np.minimum(best, step, out=best)
        np.minimum(best, np.repeat(cheapest + (into_text + dear[frame]), lengths), out=best)
        np.add(to_open_text, cheapest.min() + dear[frame], out=step)
        np.minimum(best, step, out=best)
        costs[frame] += best
    path = _way_back(costs, to_text, dear, starts)
    return path, np.sqrt(((heard.frames - templates[path]) ** 2).sum(axis=1))


def _way_back(
    costs: NDArray[np.float32], to_text: NDArray[np.float32], dear: NDArray[np.float32], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """From the cheapest end: at each frame the way by which its state was reached is the one that costs least."""
    begins, tempo, into_text = starts[:-1], np.float32(TEMPO), np.float32(LEAP_INTO_TEXT)
    path = np.zeros(len(costs), dtype=np.int64)
    path[-1] = costs[-1].argmin()
    for frame in range(len(path) - 1, 0, -1):
        state, before = int(path[frame]), costs[frame - 1]
        text = int(np.searchsorted(begins, state, side="right")) - 1
        begin, end = starts[text : text + 2]
        within, anywhere = int(begin + before[begin:end].argmin()), int(before.argmin())
        ways = [(before[state] + tempo, state)]
        ways += [(before[state - 1], state - 1)] if state > begin else []
        ways += [(before[state - 2] + tempo, state - 2)] if state > begin + 1 else []
        ways.append((before[within] + into_text + dear[frame], within))
        ways.append((before[anywhere] + to_text[state] + dear[frame], anywhere))
        path[frame - 1] = min(ways, key=lambda way: way[0])[1]
    return path


def _distances(frames: Frames, templates: Frames) -> NDArray[np.float32]:
    """Of every frame from every frame of the templates: (len(frames), len(templates))."""
    distances: NDArray[np.float32] = frames @ (-2 * templates.T)
    distances += (templates**2).sum(axis=1)
    distances += (frames**2).sum(axis=1)[:, None]
    np.maximum(distances, 0, out=distances)
    np.sqrt(distances, out=distances)
    return distances
