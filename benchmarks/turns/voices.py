"""The sounds of the benchmark's callers: utterances with exact pauses, and noises.

An utterance is a list of parts: words, and pauses between them. With `one_utterance` all words are
synthesized together, so that the voice before a pause says that it goes on, and the pause is put
where the next part's first phone begins: flite tells when each phone ends, and the phones of the
words before the pause are counted by speaking these alone. Else each part is a sentence of its own.

Clips are int16, mono, 8 kHz, band-limited as a telephone's, with their speech at `SPEECH_DBFS`.
Noises are computed, not recorded, and carry the label `synthetic`.
"""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.turns.artefacts import Pause, PausePlace, Span
from numpy.typing import NDArray

from talkspurt.simulate.loudness import AUDIBLE_RMS, audible_edges, trim
from talkspurt.simulate.voices import read_wav

RATE_HZ: Final = 8_000
SPEECH_DBFS: Final = -24.0
FADE: Final = 32
"""Samples faded at a cut: 4 ms, so that it does not click."""
MARGIN: Final = 400
"""Samples kept around what is audible: a plosive begins below what counts."""
CACHE_VERSION: Final = 5
PROGRAM_SECONDS: Final = 30.0

Samples = NDArray[np.float64]
Clip = NDArray[np.int16]
Part = dict[str, Any]
"""`{"pause": seconds, "place": PausePlace}`, or `{"text": …}`, perhaps with `spelled` (what a synthesizer must be given
to say it) or with `files` (recordings instead of a synthesizer)."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A clip, and what is where in it, in seconds."""

    clip: Clip
    voiced: tuple[Span, ...]
    pauses: tuple[Pause, ...]


class Voices:
    """Speaks utterances, and remembers them on disk in `cache`. `recordings` is a folder of recorded speech or None."""

    def __init__(self, cache: Path, recordings: Path | None) -> None:
        self._cache = cache
        self._recordings = recordings
        cache.mkdir(parents=True, exist_ok=True)

    @property
    def has_recordings(self) -> bool:
        """Whether recorded speech is there."""
        return self._recordings is not None

    def utter(self, voice: str, parts: Sequence[Part], *, one_utterance: bool) -> Utterance:
        """Speak `parts`. Raises `RuntimeError` when the voice's program fails."""
        key = hashlib.sha256(json.dumps([CACHE_VERSION, voice, list(parts), one_utterance]).encode()).hexdigest()[:24]
        path = self._cache / f"{key}.npz"
        if path.exists():
            with np.load(path) as stored:
                spans = json.loads(str(stored["spans"]))
                return Utterance(
                    stored["clip"],
                    tuple(Span(**span) for span in spans["voiced"]),
                    tuple(Pause(**pause) for pause in spans["pauses"]),
                )
        made = self._make(voice, parts, one_utterance)
        spans_text = json.dumps(
            {"voiced": [asdict(s) for s in made.voiced], "pauses": [asdict(p) for p in made.pauses]}
        )
        unfinished = path.with_suffix(".part.npz")
        np.savez_compressed(unfinished, clip=made.clip, spans=np.array(spans_text))
        unfinished.replace(path)
        return made

    def _make(self, voice: str, parts: Sequence[Part], one_utterance: bool) -> Utterance:
        spoken = [part for part in parts if "pause" not in part]
        pauses = [part for part in parts if "pause" in part]
        texts = [str(part.get("spelled", part["text"])) for part in spoken]
        if "files" in spoken[0]:
            pieces = [self._recorded(part["files"]) for part in spoken]
        elif one_utterance and len(texts) > 1:
            pieces = _spoken_as_one(voice, texts)
        else:
            pieces = [_speak(voice, text) for text in texts]
        return _assemble([band_limited(piece) for piece in pieces], pauses, one_utterance)

    def _recorded(self, names: Sequence[str]) -> Samples:
        """Recordings in a row, each as loud as the others, with a short breath between two."""
        assert self._recordings is not None, "the runner leaves out recordings that it does not have"
        row: list[Samples] = []
        for name in names:
            piece = trim(read_wav(self._recordings / name)).astype(np.float64) / 32_768
            row += [piece / speech_rms(piece) * 10 ** (SPEECH_DBFS / 20), np.zeros(MARGIN)]
        return np.concatenate(row[:-1])


def _assemble(pieces: Sequence[Samples], pauses: Sequence[Part], one_utterance: bool) -> Utterance:
    pieces = _normalised(pieces)
    track: list[Samples] = []
    voiced: list[Span] = []
    gaps: list[Pause] = []
    length = 0
    for number, piece in enumerate(pieces):
        first, last = audible_edges(to_clip(piece))
        if not last:
            raise RuntimeError("a part of an utterance cannot be heard")
        # Inner edges are cut where the voice is, so that the pause is as long as it says.
        start = max(0, first - MARGIN) if number == 0 else first
        end = min(len(piece), last + MARGIN) if number == len(pieces) - 1 else last
        voiced.append(Span((length + first - start) / RATE_HZ, (length + last - start) / RATE_HZ))
        track.append(_faded(piece[start:end]))
        length += end - start
        if number < len(pauses):
            silent = round(float(pauses[number]["pause"]) * RATE_HZ)
            place: PausePlace = pauses[number]["place"]
            gaps.append(Pause(length / RATE_HZ, (length + silent) / RATE_HZ, place, one_utterance))
            track.append(np.zeros(silent))
            length += silent
    return Utterance(to_clip(np.concatenate(track)), tuple(voiced), tuple(gaps))


def _normalised(pieces: Sequence[Samples]) -> list[Samples]:
    """All pieces by one factor, so that the speech in them has `SPEECH_DBFS`."""
    level = speech_rms(np.concatenate(list(pieces)))
    return [piece * (10 ** (SPEECH_DBFS / 20) / level) for piece in pieces]


def _faded(piece: Samples) -> Samples:
    piece = piece.copy()
    ramp = np.linspace(0, 1, FADE)
    piece[:FADE] *= ramp
    piece[-FADE:] *= ramp[::-1]
    return piece


def speech_rms(samples: Samples) -> float:
    """Root mean square of the louder half of the 20 ms frames: pauses do not count."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    levels = np.sort(np.sqrt(np.mean(frames**2, axis=1)))
    return float(np.sqrt(np.mean(levels[len(levels) // 2 :] ** 2))) or 1e-6


def to_clip(samples: Samples) -> Clip:
    """Floating point to int16."""
    clip: Clip = (np.clip(samples, -1, 1) * 32_767).astype(np.int16)
    return clip


@lru_cache(maxsize=1)
def _band_pass() -> Samples:
    """A telephone's 300 to 3400 Hz: a windowed sinc, without delay where it is used."""
    taps = np.arange(-64, 65)
    high, low = 3_400 / RATE_HZ, 300 / RATE_HZ
    response = 2 * high * np.sinc(2 * high * taps) - 2 * low * np.sinc(2 * low * taps)
    kernel: Samples = response * np.hamming(len(taps))
    return kernel


def band_limited(samples: Samples) -> Samples:
    """What a telephone leaves of a sound, as long as before."""
    filtered: Samples = np.convolve(samples, _band_pass())[64 : 64 + len(samples)]
    return filtered


# ── synthesizers ──────────────────────────────────────────────────────────────────


def _speak(voice: str, text: str) -> Samples:
    samples, _ = _run_voice(voice, text)
    return samples


def _spoken_as_one(voice: str, texts: Sequence[str]) -> list[Samples]:
    """All texts in one breath, cut apart where each begins."""
    program = voice.partition(":")[0]
    if program != "flite":
        raise RuntimeError(f"{voice} does not tell where its words begin: only flite speaks in one utterance")
    # A full stop inside would make flite begin a new utterance, and its voice fall.
    inner = [text.rstrip(".?!") + ("," if text[-1] in ".?!," else "") for text in texts[:-1]]
    whole, phones = _run_voice(voice, " ".join([*inner, texts[-1]]))
    pieces: list[Samples] = []
    begin = 0
    for count in range(1, len(texts)):
        _, before = _run_voice(voice, " ".join(inner[:count]).rstrip(","))
        spoken = min(sum(phone != "pau" for phone, _ in before), sum(phone != "pau" for phone, _ in phones) - 1)
        end, next_begin = _boundary(phones, spoken)
        cut = _quietest(whole, round(end * RATE_HZ)) if end == next_begin else round(end * RATE_HZ)
        pieces.append(whole[begin:cut])
        begin = cut if end == next_begin else round(next_begin * RATE_HZ)
    pieces.append(whole[begin:])
    return pieces


def _boundary(phones: Sequence[tuple[str, float]], spoken: int) -> tuple[float, float]:
    """When the `spoken`-th phone ends, and when the one after it begins."""
    seen, end, previous = 0, 0.0, 0.0
    for phone, until in phones:
        if phone != "pau":
            if seen == spoken:
                return end, previous
            seen, end = seen + 1, until
        previous = until
    return end, end


def _quietest(samples: Samples, around: int) -> int:
    """The quietest 5 ms within 30 ms of a boundary: a phone's end is not exact."""
    starts = range(max(0, around - 240), min(len(samples) - 40, around + 240), 20)
    return min(starts, key=lambda start: float(np.sum(samples[start : start + 40] ** 2)), default=around) + 20


_HUMS: Final = {"Hmm.": ("pau m m m pau", "[[mmmm]]"), "Mm hmm.": ("pau m m hh m m pau", "[[m-hm]]")}
"""Phones of flite and espeak: both read the letters otherwise, "em em aitch em", which nobody hums."""


def _run_voice(voice: str, text: str) -> tuple[Samples, list[tuple[str, float]]]:
    """Speak; returns the samples and, of flite, each phone with the second at which it ends."""
    program, _, name = voice.partition(":")
    phones_of_flite, spelled = _HUMS.get(text, ("", text))
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as folder:
        # Files, because both programs take some text on the command line for something else.
        text_path, wav_path = Path(folder) / "text", Path(folder) / "speech.wav"
        text_path.write_text(spelled, encoding="utf-8")
        if program == "flite":
            said = ["-p", phones_of_flite] if phones_of_flite else ["-f", str(text_path)]
            command = ["flite", "-voice", name, "-psdur", *said, "-o", str(wav_path)]
        else:
            command = ["espeak-ng", "-v", name, "-s", "165", "-f", str(text_path), "-w", str(wav_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
        if done.returncode or not wav_path.exists():
            raise RuntimeError(f"{program} failed on {text!r}: {done.stderr.strip()}")
        samples = read_wav(wav_path).astype(np.float64) / 32_768
    phones = [
        (phone, float(until)) for phone, _, until in (item.partition(":") for item in done.stdout.split()) if until
    ]
    return samples, phones


# ── synthetic sounds ──────────────────────────────────────────────────────────────


def noise_burst(kind: str, seed: int) -> Clip:
    """A sound that is no speech, at about the level of speech: `SOUNDS` names them. Synthetic."""
    rng = np.random.default_rng(seed)
    return to_clip(band_limited(SOUNDS[kind](rng)))


def _envelope(length: int, attack: float, decay: float) -> Samples:
    seconds = np.arange(length) / RATE_HZ
    rise: Samples = np.minimum(1.0, seconds / attack) * np.exp(-np.maximum(0.0, seconds - attack) / decay)
    return rise


def _scaled(samples: Samples, dbfs: float) -> Samples:
    return samples / (speech_rms(samples) or 1.0) * 10 ** (dbfs / 20)


def _resonant(noise: Samples, hertz: float, width: float) -> Samples:
    """Noise through a two-pole resonance."""
    radius = np.exp(-np.pi * width / RATE_HZ)
    first, second = 2 * radius * np.cos(2 * np.pi * hertz / RATE_HZ), -(radius**2)
    out = np.zeros(len(noise))
    for n in range(len(noise)):
        out[n] = noise[n] + first * (out[n - 1] if n else 0.0) + second * (out[n - 2] if n > 1 else 0.0)
    return out


def _cough(rng: np.random.Generator) -> Samples:
    """Two bursts: a plosive opening, breath through an open throat, and a short voiced end."""
    bursts = []
    for _ in range(int(rng.integers(1, 4))):
        length = int(rng.uniform(0.16, 0.3) * RATE_HZ)
        breath = _resonant(rng.normal(size=length), rng.uniform(500, 900), 350)
        breath += _resonant(rng.normal(size=length), rng.uniform(1_300, 1_800), 500)
        bursts += [
            breath * _envelope(length, 0.008, rng.uniform(0.05, 0.1)),
            np.zeros(int(rng.uniform(0.06, 0.16) * RATE_HZ)),
        ]
    return _scaled(np.concatenate(bursts), rng.uniform(-24, -16))


def _sneeze(rng: np.random.Generator) -> Samples:
    """Breath drawn in, then an explosion of high noise."""
    inhaled = int(rng.uniform(0.15, 0.3) * RATE_HZ)
    blown = int(rng.uniform(0.25, 0.4) * RATE_HZ)
    intake = _resonant(rng.normal(size=inhaled), 900, 600) * np.linspace(0.02, 0.12, inhaled)
    burst = _resonant(rng.normal(size=blown), rng.uniform(2_000, 2_800), 1_200) * _envelope(blown, 0.01, 0.12)
    return _scaled(np.concatenate([intake, burst]), rng.uniform(-22, -15))


def _throat(rng: np.random.Generator) -> Samples:
    """A rough voice: irregular pulses at a low pitch through a closed throat."""
    length = int(rng.uniform(0.3, 0.6) * RATE_HZ)
    pulses = np.zeros(length)
    position = 0.0
    while position < length:
        pulses[int(position)] = rng.uniform(0.4, 1.0)
        position += RATE_HZ / (rng.uniform(70, 110) * rng.uniform(0.8, 1.25))
    sound = _resonant(pulses + 0.05 * rng.normal(size=length), rng.uniform(450, 650), 150) * _envelope(
        length, 0.04, 0.4
    )
    return _scaled(sound, rng.uniform(-27, -19))


def _door(rng: np.random.Generator) -> Samples:
    length = int(rng.uniform(0.2, 0.45) * RATE_HZ)
    sound = _resonant(rng.normal(size=length), rng.uniform(300, 500), 200) * _envelope(
        length, 0.003, rng.uniform(0.04, 0.1)
    )
    return _scaled(sound, rng.uniform(-22, -12))


def _click(rng: np.random.Generator) -> Samples:
    clicks = []
    for _ in range(int(rng.integers(1, 5))):
        length = int(0.02 * RATE_HZ)
        clicks += [
            rng.normal(size=length) * _envelope(length, 0.001, 0.004),
            np.zeros(int(rng.uniform(0.05, 0.2) * RATE_HZ)),
        ]
    return _scaled(np.concatenate(clicks), rng.uniform(-26, -16))


def _rustle(rng: np.random.Generator) -> Samples:
    length = int(rng.uniform(0.4, 1.0) * RATE_HZ)
    strokes = np.repeat(rng.uniform(0.1, 1.0, size=length // 320 + 1), 320)[:length]
    return _scaled(_resonant(rng.normal(size=length), 2_500, 2_000) * strokes, rng.uniform(-32, -24))


SOUNDS: Final = {
    "cough": _cough,
    "sneeze": _sneeze,
    "throat": _throat,
    "door": _door,
    "click": _click,
    "rustle": _rustle,
}


def far_field(clip: Clip, seed: int) -> Clip:
    """The clip from across a room: dull and reverberant, no longer than half a second more. Synthetic room."""
    rng = np.random.default_rng(seed)
    length = int(0.35 * RATE_HZ)
    room = rng.normal(size=length) * np.exp(-np.arange(length) / (0.09 * RATE_HZ)) * 0.25
    room[0] = 1.0
    taps = np.arange(-32, 33)
    cutoff = 1_800 / RATE_HZ
    dull = 2 * cutoff * np.sinc(2 * cutoff * taps) * np.hamming(len(taps))
    wet = np.convolve(np.convolve(clip.astype(np.float64) / 32_768, room), dull)[32:]
    return to_clip(wet / speech_rms(wet) * speech_rms(clip.astype(np.float64) / 32_768))


def background(kind: str, voices: Voices, seconds: float = 20.0) -> Samples:
    """A loop of noise with a root mean square of one: `babble` (flite's voices), `street` or `music` (synthetic)."""
    rng = np.random.default_rng(sum(map(ord, kind)))
    length = int(seconds * RATE_HZ)
    match kind:
        case "babble":
            loop = np.zeros(length)
            for talker in range(8):
                voice = f"flite:{('slt', 'rms', 'awb', 'kal16')[talker % 4]}"
                talk = np.concatenate(
                    [voices.utter(voice, [{"text": text}], one_utterance=False).clip for text in _talk(rng)]
                )
                loop += np.roll(np.resize(talk.astype(np.float64), length), int(rng.integers(length)))
        case "street":
            loop = np.cumsum(rng.normal(size=length))
            loop = band_limited(loop - np.linspace(loop[0], loop[-1], length))
            slow = np.interp(np.arange(length), np.linspace(0, length, 41), rng.uniform(0.3, 1.0, 41))
            loop = loop / np.std(loop) * slow + 0.3 * rng.normal(size=length) * slow
        case "music":
            loop = _music(rng, length)
        case _:
            raise ValueError(f"unknown background '{kind}'")
    loop = band_limited(loop)
    normal: Samples = loop / np.sqrt(np.mean(loop**2))
    return normal


def _music(rng: np.random.Generator, length: int) -> Samples:
    """Chords with a beat: two a second, five harmonics, a hiss on each beat."""
    loop = np.zeros(length)
    beat = RATE_HZ // 2
    roots = [220.0, 174.6, 261.6, 196.0]
    for number, begin in enumerate(range(0, length - beat, beat)):
        seconds = np.arange(beat) / RATE_HZ
        for interval in (1.0, 1.26, 1.5, 2.0):
            pitch = roots[number // 4 % 4] * interval
            for harmonic in range(1, 6):
                loop[begin : begin + beat] += (
                    np.sin(2 * np.pi * pitch * harmonic * seconds) / harmonic * np.exp(-seconds * 2)
                )
        hiss = 800
        loop[begin : begin + hiss] += rng.normal(size=hiss) * np.exp(-np.arange(hiss) / 200)
    return loop


def _talk(rng: np.random.Generator) -> list[str]:
    lines = [
        "So the meeting was moved to Thursday afternoon and nobody told us.",
        "We could drive down on Friday and come back on Sunday evening.",
        "She said the garden needs water at least twice a week in summer.",
        "I think the second half of the match was much better than the first.",
        "They opened a new bakery next to the station last month.",
        "He has been working on that house for almost three years now.",
    ]
    return [lines[index] for index in rng.permutation(len(lines))[:4]]


assert AUDIBLE_RMS / 32_768 < 10 ** ((SPEECH_DBFS - 15) / 20), "quiet vowels must stay audible"
