"""How far the sound of a voice tells a finished turn from a pause within one, on telephone audio.

Three kinds of examples, each ending with the same line noise as a pause would:

* `whole`: a complete turn. How many score at least the threshold is what the detector is good for.
* `phrase`: cut at the quietest place within a phrase.
* `clause`: cut at the pause after a complete clause, with the rest of the turn to come. These matter:
  they are the pauses that callers make, and the words so far could be a turn.

Synthetic turns are `first clause, | the rest` in one utterance, so that the voice knows at the pause that
it goes on; the pause is the longest silence around where the clause should end. `apart` is the same first
clause spoken as a sentence by itself. It is a complete turn, of the same words and length as `clause`; and it
is what one would take for a pause by synthesizing the parts separately, which misleads.
Human examples are the recordings of the shared data. Those of the audiobook whose sentence goes on in
print are `clause`; so is the pause within Kennedy's, whose other pauses are `phrase`.

Synthetic voices are far from what the model was trained on: with them long turns score low and short pieces
high, wherever they end, so `whole` against `clause` measures length. `apart` against `clause` does not. The
human examples are the ones to believe, and they are too few to set a threshold by.

Nothing is skipped in silence: without the recordings, flite or espeak-ng it says so and exits with 1.

    python benchmarks/turn_detection.py [--data FOLDER] [--turns N] [--threads N]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from talkspurt.config import load_config
from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech import piper_voice as piper
from talkspurt.speech.smart_turn import MODEL, MODEL_RATE_HZ, WEIGHTS, Judge
from talkspurt.speech.weights import WeightStore

RATE_HZ = MODEL_RATE_HZ
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
FALSE_POSITIVES = 0.10
"""Of the pauses after a complete clause, how many may pass for an end."""
REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_DATA = os.environ.get("TALKSPURT_SHARED_DATA") or str(REPOSITORY / "../shared/data")
REPORT = REPOSITORY / "build/bench/turn_detection.json"

Samples = NDArray[np.float32]
"""Mono in -1..1 at `RATE_HZ`."""

TURNS = tuple(
    line.strip()
    for line in """
    I ordered a blue shirt last week, | and it still hasn't arrived.
    I'd like to return the headphones, | because they don't fit my ears.
    My order number is four five seven one, | and the name is Miller.
    I want to change my address, | but I don't have the order number with me.
    The package came yesterday, | but the box was completely empty.
    I'd like to cancel my order, | unless it has already been shipped.
    I was charged twice for the lamp, | so I want one of the payments back.
    I called about this on Monday, | and nobody has called me back.
    The shoes are too small, | so I'd like to exchange them for a size nine.
    I'm looking for a birthday present, | and it should not cost more than fifty dollars.
    I can't find the confirmation, | but I'm sure that I paid by credit card.
    My daughter bought the tablet for me, | and the screen has a crack in it.
    I'd like to speak to somebody about a refund, | because your website gave me an error.
    The delivery was planned for Tuesday, | but I won't be home before six.
    I need two of the green ones, | and one of the large black ones.
    You sent me the wrong colour, | and I need the right one by Friday.
    I'm moving to Boston next month, | so please send it to my new address.
    The coffee machine is leaking, | and it makes a terrible noise.
    I have a voucher for ten dollars, | but the website doesn't accept it.
    I would like to book a table for tonight, | and there will be four of us.
    My flight was cancelled, | so I need another one before noon.
    I'd like to know where my order is, | because it was supposed to be here by now.
    The invoice shows the wrong amount, | and my accountant needs a new one.
    I left my jacket in the store, | and I think it was near the fitting rooms.
    We've been waiting for three weeks, | and the driver says he never got the parcel.
    I got an email about a delay, | but it doesn't say how long it will take.
    I'd like to upgrade my plan, | if that doesn't change my phone number.
    The battery only lasts an hour, | although it's practically new.
    I want to keep the red one, | and send back the other two.
    I forgot my password, | and the reset link doesn't work.
    I'm calling for my mother, | because she doesn't hear very well.
    The second item is missing, | but the first one is fine.
    I've already sent it back, | and the tracking says that you received it.
    I'd like to make an appointment, | preferably on a Thursday morning.
    My card was declined, | although there is enough money in the account.
    I'd like a quote for the repair, | before I decide what to do with it.
    The website says it's in stock, | but the store told me it's sold out.
    I need the parts by Wednesday, | or we'll have to close the workshop.
    I'd like to add a warranty, | if it isn't too late for that.
    The assembly instructions are missing, | so I can't put the table together.
    I gave you the wrong postcode, | it should end with a seven.
    I'd prefer the money back, | rather than another gift card.
    I received someone else's parcel, | and I'd like you to collect it.
    Your driver left it in the rain, | so everything inside is wet.
    I've tried to restart the router, | and the light is still blinking red.
    I'd like to pay the bill now, | but I only have a debit card.
    The discount wasn't applied, | even though I entered the code.
    I'm a member since last year, | and I've never had a problem before.
    I need an earlier delivery, | because we're leaving on Saturday.
    The sleeves are too long, | otherwise it would be perfect.
    I'd like to order the same again, | but in a different size.
    We got the bed on Friday, | and one of the legs is broken.
    I think there's a mistake, | because I never ordered this.
    I can come in tomorrow, | if you're open before nine.
    The phone doesn't charge anymore, | I've tried three different cables.
    I'd like to talk to a person, | because this is rather complicated.
    I paid for express shipping, | and it took eight days.
    I want to close my account, | and I want my data to be deleted.
    It's for my office, | so please put the company's name on it.
    The kettle arrived this morning, | and the lid doesn't close.
""".strip().splitlines()
)

CONTINUING = {
    # The sentences of "Sense and Sensibility" go on after these words.
    "librivox/sense_and_sensibility_01_austen_64kb-0880.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0890.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0920.wav",
    "librivox/sense_and_sensibility_01_austen_64kb-0930.wav",
}
WHOLE_SETS = ("librivox", "arctic", "cards", "vosk", "jfk")


@dataclass(frozen=True)
class Example:
    """A piece of speech that ends where a voice paused; `kind` is whole, phrase, clause or apart."""

    source: str
    voice: str
    kind: str
    text: str
    speech: Samples


# ── cutting ───────────────────────────────────────────────────────────────────────

STEP = RATE_HZ // 100
"""10 ms: the grid on which loudness is looked at."""
AUDIBLE = 10 ** (-42 / 20)
LEVEL = 10 ** (-20 / 20)
"""Level of the voice, root mean square of its audible part: a telephone's usual -20 dBFS."""


def loudness(samples: Samples) -> Samples:
    """Root mean square of every 10 ms."""
    blocks = samples[: len(samples) // STEP * STEP].reshape(-1, STEP)
    level: Samples = np.sqrt(np.square(blocks).mean(axis=1))
    return level


def levelled(samples: Samples) -> Samples:
    """At the level of a telephone voice, without silence at its ends."""
    for _ in range(2):  # what is audible depends on the level, a little
        level = loudness(samples)
        samples = samples * np.float32(LEVEL / np.sqrt(np.square(level[level > max(level) / 20]).mean()))
    heard = np.flatnonzero(loudness(samples) > AUDIBLE)
    return samples[heard[0] * STEP : (heard[-1] + 1) * STEP]


def pauses(samples: Samples, shortest: float) -> list[tuple[int, int]]:
    """Silences within, of at least `shortest` seconds, as sample positions."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loudness(samples) <= AUDIBLE, [0]]).astype(int)))
    runs = [(int(begin) * STEP, int(end) * STEP) for begin, end in edges.reshape(-1, 2)]
    return [(begin, end) for begin, end in runs if end - begin >= shortest * RATE_HZ and begin > 0]


def clause_end(samples: Samples, share: float) -> int | None:
    """Where the pause begins that parts the clauses, expected after `share` of the speech; None if there is none."""
    found = [
        (end - begin, begin)
        for begin, end in pauses(samples, 0.06)
        if abs((begin + end) / 2 / len(samples) - share) < 0.17
    ]
    return max(found)[1] if found else None


def quietest(samples: Samples, share: float) -> int:
    """The quietest place within 0.15 s of `share` of the speech."""
    level = loudness(samples)
    middle = int(share * len(level))
    begin = max(1, middle - 15)
    return (begin + int(np.argmin(level[begin : middle + 15]))) * STEP


# ── examples ──────────────────────────────────────────────────────────────────────


def read(path: Path) -> Samples:
    """A 16-bit mono WAV file."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768
        rate_hz = file.getframerate()
    resampled: Samples = soxr.resample(samples, rate_hz, RATE_HZ)
    return resampled


def program(*arguments: str) -> Callable[[str], Samples]:
    """A voice that a command line has: it is given `-f TEXTFILE` and the WAV file's name last."""

    def speak(text: str) -> Samples:
        with tempfile.TemporaryDirectory() as folder:
            written, spoken = Path(folder, "text"), Path(folder, "speech.wav")
            written.write_text(text)
            subprocess.run([*arguments, str(spoken), "-f", str(written)], check=True, timeout=60, capture_output=True)
            return read(spoken)

    return speak


def local_voice(store: WeightStore) -> Callable[[str], Samples]:
    """The agent's own voice, a neural one; it comes at the line's rate."""
    voice = piper.load_voice(store, "piper-joe", 1)

    def speak(text: str) -> Samples:
        samples = np.frombuffer(b"".join(piper.speak(voice, text)), dtype="<i2").astype(np.float32) / 32768
        resampled: Samples = soxr.resample(samples, LINE_RATE_HZ, RATE_HZ)
        return resampled

    return speak


def synthetic(voices: dict[tuple[str, str], Callable[[str], Samples]], turns: int) -> Iterator[Example]:
    """Every turn by every voice: whole, cut after its first clause, cut within it, and the clause apart."""
    for (source, name), speak in voices.items():
        missed = 0
        for number, turn in enumerate(TURNS[:turns]):
            first, _, rest = (part.strip() for part in turn.partition("|"))
            speech = levelled(speak(f"{first} {rest}"))
            yield Example(source, name, "whole", f"{first} {rest}", speech)
            yield Example(source, name, "apart", first, levelled(speak(first.rstrip(",") + ".")))
            end = clause_end(speech, len(first) / len(first + rest))
            if end is None:
                missed += 1
                continue
            yield Example(source, name, "clause", first, speech[:end])
            yield Example(source, name, "phrase", first, speech[: quietest(speech[:end], (0.45, 0.7)[number % 2])])
        if missed:
            print(f"{source} {name}: {missed} of {turns} turns have no pause between their clauses; left out there")


def human(data: Path) -> Iterator[Example]:
    """The recordings. Raises `FileNotFoundError` when a set is missing."""
    entries = json.loads((data / "speech/manifest.json").read_text(encoding="utf-8"))
    seen = set()
    for entry in entries:
        name = entry["file"].partition("/")[0]
        if name not in WHOLE_SETS:
            continue
        seen.add(name)
        speech = levelled(read(data / "speech" / entry["file"]))
        kind = "clause" if entry["file"] in CONTINUING else "whole"
        yield Example("human", name, kind, entry["text"], speech)
        cuts = [quietest(speech, share) for share in (0.3, 0.5, 0.7)]
        if name == "jfk":
            *within, after_clause = [begin for begin, _ in pauses(speech, 0.3)]
            yield Example("human", name, "clause", entry["text"], speech[:after_clause])
            cuts = within
        for cut in cuts:
            yield Example("human", name, "phrase", entry["text"], speech[:cut])
    if missing := set(WHOLE_SETS) - seen:
        raise FileNotFoundError(f"{data}/speech has no {', '.join(sorted(missing))}")


# ── the line ──────────────────────────────────────────────────────────────────────

LEAD_IN = 0.3
LINE_NOISE = 10 ** (-62 / 20)
"""A quiet line; digital silence is what no telephone has."""


@dataclass(frozen=True)
class Line:
    """What lies between a mouth and the model: the pause's length, noise, and whether it is a telephone."""

    name: str
    pause: float = 0.2
    snr_db: float | None = None
    telephone: bool = True


LINES = (
    Line("telephone, 0.2 s"),
    Line("telephone, 0.4 s", pause=0.4),
    Line("telephone, 0.2 s, noise 15 dB", snr_db=15.0),
    Line("16 kHz, 0.2 s", telephone=False),
)


def pink(samples: int, seed: int) -> Samples:
    """Noise with equal power in every octave, root mean square 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, samples)
    unit: Samples = (noise / np.sqrt(np.square(noise).mean())).astype(np.float32)
    return unit


def over(line: Line, speech: Samples, seed: int) -> bytes | Samples:
    """The example as the model gets it: PCM16 at the line's rate, or samples at its own."""
    speech = speech.copy()
    fade = min(len(speech), RATE_HZ // 200)
    speech[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    around = np.zeros(int(LEAD_IN * RATE_HZ)), speech, np.zeros(int(line.pause * RATE_HZ))
    audio = np.concatenate(around).astype(np.float32)
    noise = LINE_NOISE if line.snr_db is None else LEVEL * 10 ** (-line.snr_db / 20)
    audio += np.float32(noise) * pink(len(audio), seed)
    if not line.telephone:
        return audio[-8 * RATE_HZ :]
    narrow = soxr.resample(audio, RATE_HZ, LINE_RATE_HZ)
    spectrum = np.fft.rfft(narrow)
    hertz = np.fft.rfftfreq(len(narrow), 1 / LINE_RATE_HZ)
    spectrum[(hertz < 300) | (hertz > 3_400)] = 0
    narrow = np.fft.irfft(spectrum, len(narrow))
    return decode_mulaw(encode_mulaw((np.clip(narrow, -1, 1) * 32767).astype("<i2").tobytes()))


# ── figures ───────────────────────────────────────────────────────────────────────

KINDS = ("whole", "phrase", "clause", "apart")
Scores = dict[str, list[float]]
"""By kind."""


def share(scores: list[float], threshold: float) -> float:
    """How many score at least the threshold."""
    return sum(score >= threshold for score in scores) / len(scores)


def best_threshold(scores: Scores) -> tuple[float, float, float]:
    """The lowest threshold that keeps false positives after a clause in bounds; with its two rates."""
    for threshold in np.unique(np.round(scores["whole"] + scores["clause"], 4)):
        if share(scores["clause"], threshold) <= FALSE_POSITIVES:
            return float(threshold), share(scores["whole"], threshold), share(scores["clause"], threshold)
    return 1.0, 0.0, 0.0


def separation(ends: list[float], pauses: list[float]) -> float:
    """The probability that an end scores higher than a pause: 0.5 is chance, 1 is perfect (area under the ROC)."""
    difference = np.subtract.outer(ends, pauses)
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def print_figures(title: str, scores: Scores) -> dict[str, Any]:
    """One table; returns it for the report."""
    print(f"\n{title}  (" + ", ".join(f"{kind} {len(scores[kind])}" for kind in KINDS if scores[kind]) + ")")
    print("  at least " + " ".join(f"{threshold:>6}" for threshold in THRESHOLDS))
    rates = {}
    for kind in KINDS:
        if scores[kind]:
            rates[kind] = [round(share(scores[kind], threshold), 4) for threshold in THRESHOLDS]
            print(f"  {kind:8} " + " ".join(f"{rate:6.0%}" for rate in rates[kind]))
    threshold, right, wrong = best_threshold(scores)
    print(f"  best rule: score >= {threshold:.4f} finds {right:.0%} of the ends, wrong in {wrong:.0%} of the pauses")
    pairs = [("whole", "phrase"), ("whole", "clause"), ("apart", "clause")]
    apart = {f"{end}/{pause}": separation(scores[end], scores[pause]) for end, pause in pairs if scores[end]}
    print("  separation, 0.5 is chance: " + ", ".join(f"{pair} {value:.2f}" for pair, value in apart.items()))
    return {"rates": rates, "best": {"threshold": threshold, "whole": right, "clause": wrong}, "separation": apart}


def main() -> int:
    """Make the examples, judge them over every line, print and write the figures; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(DEFAULT_DATA))
    parser.add_argument("--threads", type=int, default=1, help="judgements at once; with more, wall times mean little")
    parser.add_argument("--turns", type=int, default=len(TURNS), help="use only the first so many synthetic turns")
    arguments = parser.parse_args()
    if missing := [name for name in ("flite", "espeak-ng") if shutil.which(name) is None]:
        print(f"missing: {', '.join(missing)}; run: sudo apt-get install -y {' '.join(missing)}", file=sys.stderr)
        return 1
    store = WeightStore.from_config(load_config())
    judge = Judge(store.path(WEIGHTS, MODEL))
    voices = {("piper", "joe"): local_voice(store)}
    voices |= {("flite", name): program("flite", "-voice", name, "-o") for name in ("slt", "rms", "awb", "kal16")}
    voices |= {("espeak", name): program("espeak-ng", "-v", name, "-w") for name in ("en-us", "en-gb")}
    try:
        examples = [*human(arguments.data), *synthetic(voices, arguments.turns)]
    except FileNotFoundError as error:
        print(f"the recordings are missing: {error}; name their folder with --data", file=sys.stderr)
        return 1
    print(f"{len(examples)} examples over {len(LINES)} lines", flush=True)

    def judged(line: Line, seed: int) -> tuple[float, float, float]:
        audio = over(line, examples[seed].speech, seed)
        wall, cpu = time.perf_counter(), time.thread_time()
        score = judge.finished(audio) if isinstance(audio, bytes) else judge.score(audio)
        return score, time.perf_counter() - wall, time.thread_time() - cpu

    scored: dict[tuple[str, str], Scores] = defaultdict(lambda: defaultdict(list))
    waits, busy, rows = [], [], []
    with ThreadPoolExecutor(arguments.threads) as pool:
        for line in LINES:
            results = pool.map(judged, [line] * len(examples), range(len(examples)))
            for example, (score, wall, cpu) in zip(examples, results, strict=True):
                waits.append(wall)
                busy.append(cpu)
                for source in {example.source, "human" if example.source == "human" else "all synthetic"}:
                    scored[line.name, source][example.kind].append(score)
                row = {"line": line.name, "source": example.source, "voice": example.voice, "kind": example.kind}
                rows.append(row | {"text": example.text, "score": round(score, 4)})
    tables = {
        f"{line}: {source}": print_figures(f"{line}: {source}", scores)
        for (line, source), scores in sorted(scored.items())
    }
    by_voice = Counter(f"{example.source} {example.voice}" for example in examples)
    cost = {
        "wall_ms_p50": float(np.median(waits) * 1e3),
        "wall_ms_p95": float(np.quantile(waits, 0.95) * 1e3),
        "cpu_ms_p50": float(np.median(busy) * 1e3),
    }
    print(
        f"\none judgement, {arguments.threads} at once: "
        + ", ".join(f"{name} {value:.1f}" for name, value in cost.items())
    )
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"tables": tables, "cost": cost, "examples": by_voice, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
