"""How well a line's evidence tells the caller from echo, from others in the room, and from coughs.

Everything runs over a telephone line (300 to 3400 Hz, µ-law) through the real voice activity detector,
in frames of 20 ms, with the agent's audio paced ahead; what is measured are talkspurts as a call has
them, 0.13, 0.3 and 0.8 s after they began. Voices: flite, espeak-ng, and the recordings of the shared
data; the agent is the local Piper voice. Rooms, echo paths, noises, coughs and breaths are SYNTHETIC,
from a fixed seed. The Piper voice says each line a little differently every time, so figures
move by about a percent from run to run. Side talk is any other voice, near (dry) or far (reverberant, dull).

Nothing is skipped: without data, voices or weights it exits with 1, above a goal with 2.

    python benchmarks/line_evidence.py [--data FOLDER]
"""

import argparse
import asyncio
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from talkspurt.errors import TalkspurtError
from talkspurt.media import g711
from talkspurt.media.evidence import Evidence, LineEvidence
from talkspurt.media.talkspurts import TalkspurtStarted, TalkspurtStirred, TalkspurtTracker
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.simulate.voices import read_wav
from talkspurt.speech import piper_voice as piper
from talkspurt.speech.voice_activity import WINDOW, SileroVoiceActivity
from talkspurt.speech.weights import WeightStore, default_root

Samples = NDArray[np.float64]

REPOSITORY: Final = Path(__file__).resolve().parent.parent
DEFAULT_DATA: Final = os.environ.get("TALKSPURT_SHARED_DATA") or str(REPOSITORY / "../shared/data")
SEED: Final = 20_240
AFTER: Final = (0.13, 0.3, 0.8)
"""Seconds of talkspurt that are measured."""
FRAME: Final = 320
"""Bytes of 20 ms."""
AGENT_DBFS: Final = -18.0
CALLER_DBFS: Final = -20.0
UTTERANCE_DB: Final = 2.0
"""Standard deviation of loudness from one utterance to the next: people are less even than synthesizers."""
ECHO_DB: Final = (-20, -25, -30, -40)
SIDE_DB: Final = (0, -3, -6, -9, -12)

FLITE: Final = ("slt", "rms", "awb", "kal16")
ESPEAK: Final = ("en-us", "en-us+f2", "en-gb+m3", "en-us+f4", "en-gb-scotland+m7", "en-029+f5")
WORDS: Final = ("no", "stop", "yes", "wait", "okay", "hello")
LINES: Final = (
    "Hello, I would like to return the blue jacket that I bought last week.",
    "My name is Sarah Miller and my zip code is nine four one one seven.",
    "It came with a broken zip, and the colour is not what I expected.",
    "Could you tell me where my order is, please? It should have arrived on Monday.",
    "I do not think that is right, let me check the number again.",
    "Yes, that is the one, the second item on the list.",
    "Wait, I meant the other address, the one in Chicago.",
    "No, stop, I already told you that I paid with a gift card.",
    "Actually, how long will it take until I get my money back?",
    "What about the shoes, can I exchange them for a larger size?",
    "Sorry, can you say that again?",
    "Okay, but I need it before Friday because we are going away.",
    "And now we turn to the weather, with heavy rain expected in the north.",
    "Have you seen the keys anywhere? I thought they were on the kitchen table.",
    "Dinner is ready in five minutes, somebody please feed the dog.",
    "The home team takes the lead after a wonderful goal in the second half.",
    "Mom, he took my toy again and he will not give it back.",
    "Turn that down a little, I cannot hear what they are saying.",
)
LEARNED_LINES: Final = 3
"""Utterances (about 10 s) from which the caller's voice is learned; the rest judge."""
AGENT: Final = (
    "Thank you for calling. Your order with the blue jacket was delivered on Tuesday, and you have thirty days.",
    "I can send the refund to your original payment method, or give you a gift card, whichever you prefer.",
    "Let me read that back to you. You would like to exchange the running shoes for the same shoes in size ten.",
    "I found three orders on your account. The most recent one has two items, a desk lamp and a bookshelf.",
    "Please tell me the e-mail address, or your name and zip code, so that I can find your account.",
    "The return label will be sent within the next hour. You can drop the package at any post office near you.",
)


# ── sound ─────────────────────────────────────────────────────────────────────────


def telephone_band(sound: Samples) -> Samples:
    """What the telephone lets through."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / LINE_RATE_HZ)
    passed = 1 / (1 + np.exp(-(hz - 280) / 25)) / (1 + np.exp((hz - 3_450) / 40))
    band: Samples = np.fft.irfft(spectrum * passed, len(sound))
    return band


def rms(sound: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt((sound**2).mean()))


def active_rms(sound: Samples) -> float:
    """Root mean square of the loud frames."""
    squares = (sound[: len(sound) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1)
    return float(np.sqrt(squares[squares > squares.max() / 300].mean()))


def at_level(sound: Samples, dbfs: float) -> Samples:
    """The sound with this active level."""
    return sound * (10 ** (dbfs / 20) / active_rms(sound))


def pcm16(sound: Samples) -> bytes:
    """As PCM16."""
    return (np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()


def over_the_line(sound: Samples) -> bytes:
    """As PCM16 that was µ-law on its way."""
    return g711.decode_mulaw(g711.encode_mulaw(pcm16(sound)))


class Acoustics:
    """Synthetic rooms, echo paths and noises, from one seed."""

    def __init__(self, voices: dict[str, list[Samples]]) -> None:
        self.random = np.random.default_rng(SEED)
        self._voices = voices

    def tail(self, seconds: float) -> Samples:
        """A room's reverberation of unit energy."""
        at = np.arange(int(seconds * LINE_RATE_HZ))
        tail: Samples = self.random.normal(size=len(at)) * np.exp(-6.9 * at / len(at))
        return tail / (rms(tail) * math.sqrt(len(tail)))

    def far(self, sound: Samples) -> Samples:
        """As from the other end of the room: as much reverberation as direct sound, give or take, and dull."""
        response = self.tail(self.random.uniform(0.25, 0.5)) * 10 ** (self.random.uniform(-3, 3) / 20)
        response[0] += 1
        sound = np.convolve(sound, response)
        hz = np.fft.rfftfreq(len(sound), 1 / LINE_RATE_HZ)
        return np.fft.irfft(np.fft.rfft(sound) / np.sqrt(1 + (hz / self.random.uniform(1_500, 3_000)) ** 4), len(sound))

    def echo(self, agent: Samples, gain_db: float, delay: int) -> Samples:
        """The agent's voice as it comes back: a few ms of response, a room tail 6 dB below, weakened, delayed."""
        length = int(self.random.integers(8, 40))
        response = self.tail(0.1)
        response *= 0.5
        direct = self.random.normal(size=length) * np.exp(-3 * np.arange(length) / length)
        direct[0] = 1
        response[:length] = direct / np.sqrt((direct**2).sum())
        echo = np.concatenate((np.zeros(delay), np.convolve(telephone_band(agent), response)))[: len(agent)]
        return echo * (active_rms(agent) * 10 ** (gain_db / 20) / active_rms(echo))

    def noise(self, kind: str, length: int) -> Samples:
        """Noise of unit power in the telephone's band."""
        if kind == "babble":
            noise = np.zeros(length)
            names = list(self._voices)
            for _ in range(6):
                voice = np.concatenate(self._voices[names[self.random.integers(len(names))]])
                noise += np.resize(np.roll(voice / active_rms(voice), int(self.random.integers(len(voice)))), length)
        elif kind == "music":
            noise = np.zeros(length)
            for begin in range(0, length, 2_000):
                at = np.arange(min(2_000, length - begin)) / LINE_RATE_HZ
                root = 220 * 2 ** (self.random.integers(0, 24) / 12)
                for overtone in (1, 1.25, 1.5, 2, 3):
                    noise[begin : begin + 2_000] += np.sin(2 * np.pi * root * overtone * at) * np.exp(-5 * at)
        else:
            hz = np.fft.rfftfreq(length, 1 / LINE_RATE_HZ)
            noise = np.fft.irfft(np.fft.rfft(self.random.normal(size=length)) / (hz + 50), length)
            noise *= 1 + 0.5 * np.sin(2 * np.pi * 0.3 * np.arange(length) / LINE_RATE_HZ)
        noise = telephone_band(noise)
        return noise / rms(noise)

    def cough(self) -> Samples:
        """One to three bursts of shaped noise; two in five end voiced."""
        pieces: list[Samples] = []
        for _ in range(int(self.random.integers(1, 4))):
            length = int(LINE_RATE_HZ * self.random.uniform(0.15, 0.35))
            at = np.arange(length) / LINE_RATE_HZ
            hz = np.fft.rfftfreq(length, 1 / LINE_RATE_HZ)
            shape = np.zeros(len(hz))
            for low, high, width, weight in ((400, 900, 150, 1), (1_200, 1_900, 250, 0.6), (2_300, 3_200, 300, 0.4)):
                shape += weight / (1 + ((hz - self.random.uniform(low, high)) / width) ** 2)
            burst = np.fft.irfft(np.fft.rfft(self.random.normal(size=length)) * shape, length)
            burst *= np.minimum(1, at / 0.005) * np.exp(-at / self.random.uniform(0.04, 0.12))
            burst /= np.abs(burst).max()
            if self.random.random() < 0.4:
                end = at[: int(LINE_RATE_HZ * 0.1)]
                pitch = self.random.uniform(110, 300)
                tone = sum(np.sin(2 * np.pi * pitch * n * end) / n for n in range(1, 9))
                burst[-len(end) :] += 0.15 * tone * np.hanning(len(end))
            pieces += [burst, np.zeros(int(self.random.integers(400, 2_000)))]
        return np.concatenate(pieces)

    def breath(self) -> Samples:
        """A swell of noise."""
        length = int(LINE_RATE_HZ * self.random.uniform(0.4, 0.9))
        hz = np.fft.rfftfreq(length, 1 / LINE_RATE_HZ)
        shape = 1 / (1 + ((hz - self.random.uniform(600, 1_800)) / 600) ** 2)
        swell: Samples = np.fft.irfft(np.fft.rfft(self.random.normal(size=length)) * shape, length)
        return swell * np.hanning(length)


# ── voices ────────────────────────────────────────────────────────────────────────


def synthesize(program: str, text: str, voice: str) -> Samples:
    """Speech by flite or espeak-ng. Raises `FileNotFoundError` or `CalledProcessError`."""
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as folder:
        source, target = Path(folder) / "text", Path(folder) / "speech.wav"
        source.write_text(text, encoding="utf-8")
        options = ("-voice", voice, "-o") if program == "flite" else ("-v", voice, "-w")
        subprocess.run([program, *options, str(target), "-f", str(source)], check=True, capture_output=True)
        return telephone_band(read_wav(target) / 32_768.0)


def recorded(data: Path, pattern: str) -> list[Samples]:
    """The recordings whose path matches. Raises `FileNotFoundError` when there are none."""
    files = sorted((data / "speech").glob(pattern))
    if not files:
        raise FileNotFoundError(f"no {pattern} in {data}/speech")
    return [telephone_band(read_wav(file) / 32_768.0) for file in files]


def load_voices(data: Path) -> dict[str, list[Samples]]:
    """Every voice with its utterances; long recordings are halved, digits strung together by five."""
    voices = {f"flite-{voice}": [synthesize("flite", line, voice) for line in LINES] for voice in FLITE}
    voices |= {f"espeak-{voice}": [synthesize("espeak-ng", line, voice) for line in LINES] for voice in ESPEAK}
    for name, pattern in (("librivox", "librivox/*.wav"), ("aew", "arctic/*aew*.wav"), ("axb", "arctic/*axb*.wav")):
        voices[f"recording-{name}"] = recorded(data, pattern)
    for name, pattern in (("jfk", "jfk/*.wav"), ("vosk", "vosk/*.wav")):
        voices[f"recording-{name}"] = list(np.array_split(recorded(data, pattern)[0], 2))
    for name in ("jackson", "nicolas"):
        digits = recorded(data, f"digits/*_{name}_*.wav")
        pause = np.zeros(800)
        voices[f"recording-{name}"] = [
            np.concatenate([part for k in range(5) for part in (digits[(5 * n + 7 * k) % len(digits)], pause)])
            for n in range(len(digits) // 5)
        ]
    return voices


def load_words(data: Path) -> list[Samples]:
    """One-word answers."""
    words = [synthesize("flite", word, voice) for word in WORDS for voice in FLITE]
    words += [synthesize("espeak-ng", word, voice) for word in WORDS for voice in ESPEAK]
    return words + recorded(data, "short/yes*.wav") + recorded(data, "short/no_*.wav") + recorded(data, "digits/*.wav")


def speak_agent() -> Samples:
    """The agent's speech, all lines one after the other. Raises `WeightsError` or `ConfigurationError`."""
    joe = piper.load_voice(WeightStore(default_root()), "piper-joe", 1)
    lines = [np.frombuffer(b"".join(piper.speak(joe, line)), dtype="<i2") / 32_768.0 for line in AGENT]
    return at_level(np.concatenate(lines), AGENT_DBFS)


# ── calls ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Bench:
    """What all experiments use."""

    voices: dict[str, list[Samples]]
    words: list[Samples]
    agent: Samples
    acoustics: Acoustics
    detector: SileroVoiceActivity

    def talkspurts(self, pcm: bytes) -> list[tuple[int, int]]:
        """First and one past the last sample of each talkspurt that the detector finds."""
        tracker = TalkspurtTracker(window=WINDOW, rate_hz=LINE_RATE_HZ)
        found: list[tuple[int, int]] = []

        def decided(probability: float, samples: int) -> None:
            fact = tracker.receive(probability, samples)
            if fact is None or isinstance(fact, TalkspurtStirred):
                return
            at = round(fact.at * LINE_RATE_HZ)
            if isinstance(fact, TalkspurtStarted):
                found.append((at, len(pcm) // 2))
            else:
                found[-1] = (found[-1][0], at)

        stream = self.detector.open(decided)
        for begin in range(0, len(pcm), 16_000):
            stream.feed(pcm[begin : begin + 16_000])
            self.detector.tick()
        stream.close()
        return found

    def utterances(self, voice: str, level_db: float, *, learned: bool, far: bool = False, most: int = 6) -> bytes:
        """One voice's line, at this level against a caller's: what is learned from, or at `most` so many to judge."""
        clips = self.voices[voice]
        split = min(LEARNED_LINES, (len(clips) + 1) // 2)
        parts = []
        for clip in clips[:split] if learned else clips[split:][-most:]:
            sound = np.concatenate((np.zeros(2_400), clip, np.zeros(3_200)))
            if far:
                sound = self.acoustics.far(sound)
            parts.append(at_level(sound, CALLER_DBFS + level_db + self.acoustics.random.normal() * UTTERANCE_DB))
        line = np.concatenate(parts)
        return over_the_line(line + self.acoustics.noise("street", len(line)) * 10 ** (-50 / 20))


COST: list[float] = []
HEAR_COST: list[float] = []


def measure_along(
    line: bytes, moments: list[tuple[int, int]], evidence: LineEvidence, agent: Samples | None = None
) -> Iterator[Evidence]:
    """Play a line to `evidence`, with the agent 0.4 s ahead, and measure each stretch when it has been heard."""
    played = pcm16(agent) if agent is not None else b""
    heard = said = 0
    for first, last in sorted(moments, key=lambda moment: moment[1]):
        while heard < min(2 * last, len(line)):
            if said <= heard + 6_400 and said < len(played):
                evidence.play(played[said : said + 2_560], said // 2)
                said += 2_560
            began = time.perf_counter()
            evidence.hear(line[heard : heard + FRAME])
            HEAR_COST.append(time.perf_counter() - began)
            heard += FRAME
        began = time.perf_counter()
        measured = evidence.measure(first, last)
        if 0.25 < (last - first) / LINE_RATE_HZ < 0.4:
            COST.append(time.perf_counter() - began)
        yield measured


def learn_voice(bench: Bench, voice: str) -> LineEvidence:
    """A line that has learned one caller's voice, each talkspurt as it ended."""
    evidence = LineEvidence()
    line = bench.utterances(voice, 0, learned=True)
    heard = 0
    for first, last in bench.talkspurts(line):
        while heard < min(2 * (last + 800), len(line)):
            evidence.hear(line[heard : heard + FRAME])
            heard += FRAME
        evidence.learn([(first, last)])
    return evidence


def known_line(learned: LineEvidence) -> LineEvidence:
    """A new line on which the caller's voice is known already."""
    return LineEvidence(copy.deepcopy(learned.room))


def openings(spurts: list[tuple[int, int]], seconds: float) -> list[tuple[int, int]]:
    """The first `seconds` of each talkspurt that lasts about that long."""
    samples = round(seconds * LINE_RATE_HZ)
    return [(first, first + samples) for first, last in spurts if last - first >= 0.7 * samples]


def echoes(bench: Bench, gain_db: float) -> dict[float, list[Evidence]]:
    """Talkspurts that are echo alone, by seconds; noise is 10 and 20 dB below the echo."""
    results: dict[float, list[Evidence]] = defaultdict(list)
    for kind, snr_db in (("street", 10), ("street", 20), ("babble", 10), ("babble", 20), ("music", 10), ("music", 20)):
        for _ in range(4):
            echo = bench.acoustics.echo(bench.agent, gain_db, int(bench.acoustics.random.uniform(160, 3_200)))
            noise = bench.acoustics.noise(kind, len(echo)) * active_rms(echo) * 10 ** (-snr_db / 20)
            line = over_the_line(echo + noise)
            spurts = bench.talkspurts(line)
            for seconds in AFTER:
                # A new line for each: what it remembers comes from no longer stretches than a call's own.
                results[seconds] += measure_along(line, openings(spurts, seconds), LineEvidence(), bench.agent)
    return results


def interruptions(bench: Bench, level_dbfs: float) -> dict[float, list[Evidence]]:
    """Talkspurts of callers over the agent's echo, by seconds."""
    results: dict[float, list[Evidence]] = defaultdict(list)
    for number, (_, clips) in enumerate(bench.voices.items()):
        caller = np.resize(
            np.concatenate([part for clip in clips for part in (clip, np.zeros(4_800))]), len(bench.agent)
        )
        caller = at_level(caller, level_dbfs)
        echo = bench.acoustics.echo(
            bench.agent, (*ECHO_DB, -60)[number % 5], int(bench.acoustics.random.uniform(160, 3_200))
        )
        kind = ("street", "babble", "music")[number % 3]
        noise = bench.acoustics.noise(kind, len(echo)) * 10 ** ((level_dbfs - 20) / 20)
        spurts = bench.talkspurts(over_the_line(caller + noise / 10))
        line = over_the_line(caller + echo + noise)
        for seconds in AFTER:
            results[seconds] += measure_along(line, openings(spurts, seconds), LineEvidence(), bench.agent)
    return results


# ── tables ────────────────────────────────────────────────────────────────────────


def share(values: list[Evidence], holds: Callable[[Evidence], bool]) -> float:
    """Of these, how many; an empty list is an error of the benchmark."""
    return sum(map(holds, values)) / len(values)


def verdicts(values: list[Evidence], verdict: Callable[[Evidence], bool | None]) -> str:
    """Yes, unsure and no in percent."""
    return " ".join(f"{share(values, lambda e, w=wanted: verdict(e) is w):6.1%}" for wanted in (True, None, False))  # type: ignore[misc]


def quantiles(values: list[float]) -> str:
    """The 2nd, 50th and 98th percentile."""
    return " ".join(f"{value:5.2f}" for value in np.quantile(values, (0.02, 0.5, 0.98)))


def print_echo(bench: Bench) -> bool:
    """Echo against interruption; whether the goals are met."""
    print("\nECHO: is_echo        after     n   yes    unsure  no     | echo 2 % 50 % 98 %")
    reached = True
    for gain_db in ECHO_DB:
        for seconds, values in echoes(bench, gain_db).items():
            print(f"echo at {gain_db} dB       {seconds:4.2f} s {len(values):5} {verdicts(values, lambda e: e.is_echo)}"
                  f" | {quantiles([e.echo for e in values])}")  # fmt: skip
            if gain_db == -25:
                reached &= not any(e.is_echo is False for e in values)
    for level_dbfs in (-18, -24, -30):
        for seconds, values in interruptions(bench, level_dbfs).items():
            print(f"caller at {level_dbfs} dBFS   {seconds:4.2f} s {len(values):5}"
                  f" {verdicts(values, lambda e: e.is_echo)} | {quantiles([e.echo for e in values])}")  # fmt: skip
            if level_dbfs > -30:
                reached &= share(values, lambda e: e.is_echo is True) <= 0.01
    return reached


def print_voices(bench: Bench) -> bool:
    """The caller against others in the room; whether the goals are met."""
    own: dict[float, list[Evidence]] = defaultdict(list)
    own_recorded: dict[float, list[Evidence]] = defaultdict(list)
    side: dict[tuple[float, int, bool], list[Evidence]] = defaultdict(list)
    lines = {
        (voice, level_db, far): (line, bench.talkspurts(line))
        for voice in bench.voices
        for level_db in SIDE_DB
        for far in (False, True)
        for line in [bench.utterances(voice, level_db, learned=False, far=far)]
    }
    for voice in bench.voices:
        learned = learn_voice(bench, voice)
        for _ in range(2):
            line = bench.utterances(voice, 0, learned=False, most=15)
            spurts = bench.talkspurts(line)
            for seconds in AFTER:
                values = list(measure_along(line, openings(spurts, seconds), known_line(learned)))
                own[seconds] += values
                if voice.startswith("recording"):
                    own_recorded[seconds] += values
        for (other, level_db, far), (other_line, other_spurts) in lines.items():
            if other == voice:
                continue
            for seconds in AFTER:
                moments = openings(other_spurts, seconds)[:2]
                values = list(measure_along(other_line, moments, known_line(learned)))
                side[seconds, level_db, far] += values
    print("\nVOICE: is_caller     after     n   yes    unsure  no     | likeness 2 % 50 % 98 %")
    reached = True
    for seconds in AFTER:
        for name, values in (("the caller", own[seconds]), ("  recordings", own_recorded[seconds])):
            print(f"{name:19} {seconds:4.2f} s {len(values):5} {verdicts(values, lambda e: e.is_caller)}"
                  f" | {quantiles([e.likeness or 0 for e in values])}")  # fmt: skip
        for far in (False, True):
            for level_db in SIDE_DB:
                values = side[seconds, level_db, far]
                name = f"{'far' if far else 'dry'} side talk {level_db:3} dB"
                print(f"{name} {seconds:4.2f} s {len(values):5} {verdicts(values, lambda e: e.is_caller)}"
                      f" | {quantiles([e.likeness or 0 for e in values])}")  # fmt: skip
        everybody = [e for key, values in side.items() if key[0] == seconds for e in values]
        print(f"all side talk       {seconds:4.2f} s {len(everybody):5} {verdicts(everybody, lambda e: e.is_caller)}")
        if seconds >= 0.3:
            reached &= share(own[seconds], lambda e: e.is_caller is False) <= 0.02
            reached &= share(everybody, lambda e: e.is_caller is False) >= 0.80
    return reached


def print_noises(bench: Bench) -> bool:
    """Words against synthetic coughs and breaths; whether no word was taken for one."""
    print("\nVOICING: is_voice    after     n   yes    unsure  no     | voicing 2 % 50 % 98 %")
    sounds = {
        "words": bench.words,
        "cough (synthetic)": [telephone_band(bench.acoustics.cough()) for _ in range(200)],
        "breath (synthetic)": [telephone_band(bench.acoustics.breath()) for _ in range(100)],
    }
    reached = True
    for name, clips in sounds.items():
        results: dict[float, list[Evidence]] = defaultdict(list)
        accepted = 0
        for clip in clips:
            line = np.concatenate((np.zeros(4_800), at_level(clip, CALLER_DBFS), np.zeros(4_800)))
            pcm = over_the_line(line + bench.acoustics.noise("street", len(line)) * 10 ** (-50 / 20))
            spurts = bench.talkspurts(pcm)[:1]
            accepted += len(spurts)
            # The detector takes hardly any of the noises for voice: they are judged as if it had.
            onset = 4_800 + int(np.flatnonzero(np.abs(clip) > np.abs(clip).max() / 5)[0])
            first, last = spurts[0] if spurts and name == "words" else (onset, onset + min(2_400, len(clip)))
            for seconds in AFTER:
                end = min(last, first + round(seconds * LINE_RATE_HZ))
                results[seconds] += measure_along(pcm, [(first, end)], LineEvidence())
        for seconds, values in results.items():
            print(f"{name:19} {seconds:4.2f} s {len(values):5} {verdicts(values, lambda e: e.is_voice)}"
                  f" | {quantiles([e.voicing for e in values])}")  # fmt: skip
            if name == "words":
                reached &= share(values, lambda e: e.is_voice is False) <= 0.01
        print(f"  the detector reports {accepted} of {len(clips)}")
    return reached


async def main() -> int:
    """Run, print, write `build/bench/line_evidence.json`; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(DEFAULT_DATA))
    data = arguments.parse_args().data
    try:
        voices, words, agent = load_voices(data), load_words(data), speak_agent()
        detector = SileroVoiceActivity.load(WeightStore(default_root()))
    except (OSError, subprocess.CalledProcessError, TalkspurtError) as error:
        print(f"data is missing: {error}; install flite and espeak-ng, run: talkspurt models pull, or name the "
              "folder of the recordings with --data", file=sys.stderr)  # fmt: skip
        return 1
    bench = Bench(voices, words, agent, Acoustics(voices), detector)
    seconds = sum(len(clip) for clips in voices.values() for clip in clips) / LINE_RATE_HZ
    print(f"{len(voices)} voices, {seconds:.0f} s of speech; agent {len(agent) / LINE_RATE_HZ:.0f} s; seed {SEED}")
    reached = {"echo": print_echo(bench), "voices": print_voices(bench), "voicing": print_noises(bench)}
    cost_ms = [1e3 * float(value) for value in np.quantile(COST, (0.5, 0.95))]
    hear_us = [1e6 * float(value) for value in np.quantile(HEAR_COST, (0.5, 0.95))]
    print(f"\nmeasuring 0.3 s: p50 {cost_ms[0]:.2f} ms, p95 {cost_ms[1]:.2f} ms; "
          f"hearing 20 ms: p50 {hear_us[0]:.1f} µs, p95 {hear_us[1]:.1f} µs")  # fmt: skip
    print("goals reached:", reached)
    report = REPOSITORY / "build/bench/line_evidence.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"reached": reached, "measure_ms": cost_ms, "hear_us": hear_us}, indent=1))
    return 0 if all(reached.values()) else 2


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
