"""How well the caller is told from others in the room over a whole call, while both are only being learned.

`line_evidence.py` asks how well a voice that was learned for ten seconds is known again. Here the first to
speak may be a stranger, who is then answered and learned; the caller may say single words between the
remarks of several others. Each utterance goes over the telephone line and through the real voice activity
detector to a `LineEvidence`, which is asked and taught as a call does it (`core/conversation.py`): while
the agent speaks a voice is judged from 0.4 s on and at its end, while it listens at its end only, and the
third utterance in a row is answered whosoever it is.

Three sets of calls: "own" has the voices, sentences, rooms and noises of the frozen turn-taking scenarios.
"others" has other voices (recordings of people among them), sentences and rooms, and uneven loudness; the
weights were fitted to both. "held out" is like "others", with voices to which nothing was fitted. Rooms
and noises are SYNTHETIC. Exit status 1 without data, 2 above a goal in the own set.

    python -m benchmarks.side_talk [--data FOLDER] [--calls 40]
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from benchmarks.line_evidence import DEFAULT_DATA, FRAME, REPOSITORY, Acoustics, Samples, at_level, over_the_line
from benchmarks.turns.generate import GO_ON, ONE_WORD, PLAIN, SIDE_TALK
from benchmarks.turns.voices import Voices, background, far_field

from benchmarks import line_evidence
from talkspurt.errors import TalkspurtError
from talkspurt.media.evidence import LineEvidence
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech.voice_activity import SileroVoiceActivity
from talkspurt.speech.weights import WeightStore, default_root

SEED: Final = 20_261
SPEECH_DBFS: Final = -24.0
OWN_VOICES: Final = ("flite:slt", "flite:rms", "flite:awb", "flite:kal16")
OWN_CALLERS: Final = (*OWN_VOICES, "flite:slt", "flite:rms", "espeak:en-us", "espeak:en-us+f2")
OTHER_ESPEAK: Final = ("en-gb+m3", "en-us+f4", "en-gb-scotland+m7", "en-029+f5", "en-us+m1", "en-gb-x-rp+f1")
OTHER_RECORDINGS: Final = {"librivox": "librivox/*.wav", "aew": "arctic/*aew*.wav", "axb": "arctic/*axb*.wav"}
OTHER_DIGITS: Final = ("jackson", "nicolas")
HELD_OUT_ESPEAK: Final = ("en-us+m3", "en-gb+f2", "en-gb-scotland+f3", "en-029+m5", "en-us+m8", "en-gb-x-rp+f5")
HELD_OUT_RECORDINGS: Final = {"jfk": "jfk/*.wav", "vosk": "vosk/*.wav"}
PIECE_SECONDS: Final = 4
"""Longer recordings are cut into pieces of about this length."""
WORDS: Final = ("No.", "Stop.", "Yes.", "Wait.", "Okay.", "Hello.", "Eleven.", "Chicago.", "Saturday.", "Purple.")
GAP: Final = 1.0
"""Seconds between two utterances: a turn is learned before the next voice comes."""
LEARNED_AFTER: Final = 0.7
"""Seconds after its end at which a turn is taken, and learned."""
CHECKS: Final = (0.4, 0.6, 0.8, 1.0, 1.2)
"""Seconds of talkspurt after which a voice into the agent's speech is judged."""
MOST_IGNORED: Final = 2
LEAST_TOLD: Final = 0.8
MOST_CALLERS_TOLD: Final = 0.02


@dataclass(frozen=True)
class Said:
    """One utterance on the line: who, when, and how loud against the caller."""

    caller: bool
    speaking: bool
    """Whether the agent speaks."""
    number: int
    """The how-manieth of this kind of speaker, from 1."""
    level_db: float
    first: int
    last: int
    spurts: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class RoomCall:
    """A call's line and what was said on it."""

    kind: str
    pcm: bytes
    said: tuple[Said, ...]


@dataclass
class Set:
    """Clips by voice, and how they are put on a line."""

    words: dict[str, list[Samples]]
    sentences: dict[str, list[Samples]]
    callers: Sequence[str]
    uneven_db: float
    rooms: Acoustics | None
    noises: dict[str, Samples]
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))

    def far(self, clip: Samples) -> Samples:
        """From across the room."""
        if self.rooms is not None:
            return self.rooms.far(clip)
        return far_field((clip * 32_767).astype(np.int16), int(self.random.integers(1 << 30))) / 32_768


# ── making calls ──────────────────────────────────────────────────────────────────


def script(kind: str) -> list[tuple[bool, bool, str]]:
    """Of each utterance: whether it is the caller's, whether the agent speaks, and `word` or `sentence`."""
    remark, word, sentence = (False, False, "sentence"), (True, False, "word"), (True, False, "sentence")
    into = (False, True, "sentence")
    match kind:
        case "quiet":
            return [remark, word] * 6
        case "speaking":
            return [sentence, into, into, into, into] * 3
        case "mixed":
            return [sentence, into, word, remark, sentence, (True, True, "sentence"), remark, into] * 2
        case "words":
            return [word] * 10
        case _:
            return [sentence, sentence, word, (True, True, "sentence"), sentence, word, (True, True, "word"), sentence]


KINDS: Final = ("quiet", "speaking", "mixed", "words", "alone")


def make_call(clips: Set, kind: str, number: int, bench: line_evidence.Bench) -> RoomCall:
    """A call of this kind, all of it drawn from the set's seed."""
    draw = clips.random
    caller = clips.callers[number % len(clips.callers)]
    others = [voice for voice in clips.sentences if voice != caller]
    line_db = draw.uniform(-8, 4)
    parts: list[Samples] = [np.zeros(LINE_RATE_HZ)]
    placed: list[tuple[bool, bool, int, float, int, int]] = []
    counts = {True: 0, False: 0}
    for own, speaking, what in script(kind):
        voice = caller if own else str(draw.choice(others))
        pool = clips.words[voice] if what == "word" and voice in clips.words else clips.sentences[voice]
        clip = pool[int(draw.integers(len(pool)))]
        level_db = 0.0 if own else draw.uniform(-12, 0)
        if not own and draw.random() < 0.5:
            clip = clips.far(clip)
        clip = clip[: 6 * LINE_RATE_HZ] * 10 ** ((line_db + level_db + draw.normal() * clips.uneven_db) / 20)
        counts[own] += 1
        begin = sum(map(len, parts))
        placed.append((own, speaking, counts[own], level_db, begin, begin + len(clip)))
        parts += [clip, np.zeros(round(GAP * LINE_RATE_HZ))]
    sound = np.concatenate(parts)
    snr_db, noise = 50.0, clips.noises["street"]
    if draw.random() < 0.55:
        snr_db, noise = float(draw.choice((25, 20, 20, 15, 10))), clips.noises[str(draw.choice(list(clips.noises)))]
    gain = 10 ** ((SPEECH_DBFS + line_db - snr_db) / 20)
    sound = sound + np.resize(np.roll(noise, int(draw.integers(len(noise)))), len(sound)) * gain
    pcm = over_the_line(sound)
    spurts = bench.talkspurts(pcm)
    said = [
        Said(
            own,
            speaking,
            count,
            level_db,
            first,
            last,
            tuple((a, b) for a, b in spurts if a < last + 1_600 and b > first),
        )
        for own, speaking, count, level_db, first, last in placed
    ]
    return RoomCall(kind, pcm, tuple(one for one in said if one.spurts))


def own_set(folder: Path) -> Set:
    """The clips of the frozen scenarios' kind."""
    voices = Voices(folder, None)

    def clips(voice: str, texts: Sequence[str]) -> list[Samples]:
        return [voices.utter(voice, [{"text": text}], one_utterance=True).clip / 32_768.0 for text in texts]

    return Set(
        {voice: clips(voice, ONE_WORD) for voice in set(OWN_CALLERS)},
        {voice: clips(voice, SIDE_TALK) for voice in OWN_VOICES}
        | {voice: clips(voice, PLAIN[:12] + GO_ON) for voice in OWN_CALLERS if voice.startswith("espeak")},
        OWN_CALLERS,
        0.0,
        None,
        {kind: background(kind, voices) for kind in ("street", "babble", "music")},
    )


def other_set(data: Path, espeak: Sequence[str], recordings: Mapping[str, str], digits: Sequence[str]) -> Set:
    """Other voices and sentences than the scenarios'."""
    words, sentences = {}, {}
    for name in espeak:
        words[name] = [line_evidence.synthesize("espeak-ng", word, name) for word in WORDS]
        sentences[name] = [line_evidence.synthesize("espeak-ng", line, name) for line in line_evidence.LINES]
    for name, pattern in recordings.items():
        sentences[name] = [
            piece
            for clip in line_evidence.recorded(data, pattern)
            for piece in np.array_split(clip, 1 + len(clip) // (PIECE_SECONDS * LINE_RATE_HZ))
        ]
    for name in digits:
        words[name] = line_evidence.recorded(data, f"digits/*_{name}_*.wav")
        pause = np.zeros(800)
        sentences[name] = [
            np.concatenate(
                [part for k in range(4) for part in (words[name][(4 * n + 7 * k) % len(words[name])], pause)]
            )
            for n in range(len(words[name]) // 4)
        ]
    for group in (words, sentences):
        for name, clips in group.items():
            group[name] = [at_level(clip, SPEECH_DBFS) for clip in clips]
    rooms = Acoustics(sentences)
    noises = {kind: rooms.noise(kind, 20 * LINE_RATE_HZ) for kind in ("street", "babble", "music")}
    return Set(words, sentences, list(sentences), line_evidence.UTTERANCE_DB, rooms, noises)


# ── playing them ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Judged:
    """What became of an utterance."""

    kind: str
    said: Said
    told: bool
    """Taken for somebody else's, and left alone."""


def play(call: RoomCall) -> list[Judged]:
    """Judge and learn the call's utterances as a conversation does."""
    evidence = LineEvidence()
    heard = ignored = 0
    results = []

    def hear(until: int) -> None:
        nonlocal heard
        while heard < min(2 * until, len(call.pcm)):
            evidence.hear(call.pcm[heard : heard + FRAME])
            heard += FRAME

    for said in call.said:
        ends: list[bool] = []
        early = False
        for first, last in said.spurts:
            for seconds in CHECKS:
                moment = first + round(seconds * LINE_RATE_HZ)
                if said.speaking and moment < last:
                    hear(moment)
                    early |= all(ends) and evidence.measure(first, moment).is_caller is False
            hear(last)
            ends.append(evidence.measure(first, last).is_caller is False)
            if ends[-1]:
                evidence.overhear(first, last)
        told = early or (all(ends) and (said.speaking or ignored < MOST_IGNORED))
        ignored = 0 if not told else ignored + (not said.speaking)
        results.append(Judged(call.kind, said, told))
        hear(said.spurts[-1][1] + round(LEARNED_AFTER * LINE_RATE_HZ))
        if not told:
            evidence.learn(said.spurts, insisted=all(ends))
    return results


# ── figures ───────────────────────────────────────────────────────────────────────


def share(judged: Sequence[Judged]) -> str:
    """How many of them were told to be somebody else's."""
    return f"{100 * np.mean([one.told for one in judged]):5.1f} % of {len(judged):4}" if judged else "      -      "


def report(name: str, judged: Sequence[Judged]) -> dict[str, float]:
    """Print the tables of a set; the two figures that count."""
    print(f"\n{name}")
    side = [one for one in judged if not one.said.caller]
    for when, speaking in (("listening", False), ("speaking", True)):
        rows = [one for one in side if one.said.speaking is speaking]
        print(f"  strangers told, agent {when:9} {share(rows)}")
        for number in (1, 2, 3, 4, 5, 6):
            print(f"    remark {number}{'+' if number == 6 else ' '}   "
                  f"{share([o for o in rows if o.said.number == number or o.said.number > number == 6])}")  # fmt: skip
        for low, high in ((-3, 0), (-6, -3), (-9, -6), (-12, -9)):
            print(f"    {low:3} to {high:2} dB  {share([o for o in rows if low <= o.said.level_db < high])}")
    own = [one for one in judged if one.said.caller]
    for kind in KINDS:
        for number in (2, 3):
            rows = [o for o in own if o.kind == kind and (o.said.number == number or o.said.number > number == 3)]
            print(f"  callers wrongly told, {kind:8} turn {number}{'+' if number == 3 else ' '} {share(rows)}")
    print(f"  all strangers {share(side)}, all callers {share(own)}")
    for kind in KINDS:
        print(f"    {kind:8} strangers {share([o for o in side if o.kind == kind])},"
              f" callers {share([o for o in own if o.kind == kind])}")  # fmt: skip
    return {
        "strangers_told": float(np.mean([o.told for o in side])),
        "callers_told": float(np.mean([o.told for o in own])),
    }


async def make_calls(data: Path, calls: int) -> dict[str, list[RoomCall]]:
    """The calls of both sets, `calls` of each kind."""
    detector = SileroVoiceActivity.load(WeightStore(default_root()))
    bench = line_evidence.Bench({}, [], np.zeros(0), Acoustics({}), detector)
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as folder:
        sets = {"own": own_set(Path(folder)),
                "others": other_set(data, OTHER_ESPEAK, OTHER_RECORDINGS, OTHER_DIGITS),
                "held out": other_set(data, HELD_OUT_ESPEAK, HELD_OUT_RECORDINGS, ())}  # fmt: skip
    return {
        name: [make_call(clips, kind, number, bench) for kind in KINDS for number in range(calls)]
        for name, clips in sets.items()
    }


async def main() -> int:
    """Run, print, write `build/bench/side_talk.json`; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(DEFAULT_DATA))
    arguments.add_argument("--calls", type=int, default=40, help="calls of each kind")
    options = arguments.parse_args()
    try:
        calls = await make_calls(options.data, options.calls)
    except (OSError, RuntimeError, subprocess.CalledProcessError, TalkspurtError) as error:
        print(f"data is missing: {error}; install flite and espeak-ng, run: talkspurt models pull, or name the "
              "folder of the recordings with --data", file=sys.stderr)  # fmt: skip
        return 1
    figures = {name: report(name, [one for call in made for one in play(call)]) for name, made in calls.items()}
    own = figures["own"]
    reached = own["strangers_told"] >= LEAST_TOLD and own["callers_told"] <= MOST_CALLERS_TOLD
    print("\ngoals of the own set reached:", reached)
    target = REPOSITORY / "build/bench/side_talk.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"reached": reached, "figures": figures}, indent=1), encoding="utf-8")
    return 0 if reached else 2


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
