"""How soon a voice is noticed on a noisy line, and how often noise is taken for one: by threshold, gain and gate.

    python -m benchmarks.turns.detector [build/bench/turns]

Runs the voice activity detector again over the caller's side of calls that `make bench-turns` has placed. A voice
counts as noticed once three windows reach the threshold, or two that are sure (`talkspurt.media.talkspurts`). Lines
with echo are left out of the false alarms, and coughs and other people out of both. With the gate, windows that hold
nothing but the line's noise are not given to the model (`talkspurt.speech.energy_gate`); how many it was given is in
the title. What a call makes of it is measured by `hearing`.
"""

import argparse
import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from talkspurt.media.level import amplified
from talkspurt.media.talkspurts import STOP_THRESHOLD
from talkspurt.speech.voice_activity import WEIGHTS, WINDOW, SileroVoiceActivity
from talkspurt.speech.weights import WeightStore, default_root

RATE_HZ: Final = 8_000
GAINS: Final = (1.0, 3.0)
THRESHOLDS: Final = (0.5, 0.4, 0.3)
MISSED: Final = 48
"""Windows (1.5 s) after which a voice counts as missed."""
GROUPS: Final = ("quiet", "noise at 20 dB or more", "noise below 20 dB")
OTHERS: Final = frozenset({"echo", "noise", "side_talk"})


@dataclass(frozen=True, slots=True)
class Line:
    """One call's caller side: what the detectors say of it at each gain, and what is really there, by windows."""

    group: str
    probabilities: Mapping[str, NDArray[np.float64]]
    """By gain and gate."""
    voice: NDArray[np.bool_]
    quiet: NDArray[np.bool_]
    onsets: tuple[int, ...]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/bench/turns"))
    folders = sorted(path.parent for path in parser.parse_args().folder.glob("*/call.json"))
    if not folders:
        parser.error("there are no calls: place some with make bench-turns QUICK=1")
    model = WeightStore(default_root()).path(WEIGHTS, "silero_vad.onnx")
    plain, gated = Counting(model, gated=False), Counting(model)
    lines = [read(folder, (plain, gated)) for folder in folders]
    table = Table(
        "line", "detector", "threshold", "voice found", "noticed p50 / p90", "missed", "windows of noise taken",
        title=f"the gate leaves {gated.judged / plain.judged:.0%} of the windows to the model",
    )  # fmt: skip
    for group in GROUPS:
        chosen = [line for line in lines if line.group == group]
        for kind in chosen[0].probabilities if chosen else ():
            for threshold in THRESHOLDS:
                table.add_row(group, kind, f"{threshold}", *figures(chosen, kind, threshold))
    Console().print(table)


class Counting(SileroVoiceActivity):
    """The detector, and how many windows its model has judged."""

    judged = 0

    def _infer(self, slots: NDArray[np.intp], batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.judged += len(slots)
        return super()._infer(slots, batch)


def read(folder: Path, detectors: tuple[SileroVoiceActivity, SileroVoiceActivity]) -> Line:
    """Judge one call's line at every gain, by a detector without a gate and one with it."""
    call = json.loads((folder / "call.json").read_text())
    with wave.open(str(folder / "call.wav")) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    pcm = np.ascontiguousarray(both[:, 0]).tobytes()
    windows = len(both) // WINDOW
    voice, quiet = np.zeros(windows, dtype=bool), np.ones(windows, dtype=bool)
    onsets: list[int] = []
    for event in call["events"]:
        spans = [event] if event["row"] in OTHERS else event["voiced"]
        for span in spans:
            first, last = (int(span[end] * RATE_HZ) // WINDOW for end in ("begin", "end"))
            quiet[max(0, first - 2) : last + 5] = False
            if event["row"] not in OTHERS:
                voice[first + 1 : last] = True
                onsets.append(first)
    channel = call["scenario"]["channel"]
    if channel.get("echo_db") is not None:
        quiet[:] = False
    probabilities = {
        f"times {gain:g}{', gated' if gate else ''}": judged(detector, amplified(pcm, gain))[:windows]
        for gain in GAINS
        for gate, detector in enumerate(detectors)
    }
    return Line(group_of(channel), probabilities, voice, quiet, tuple(onsets))


def group_of(channel: Mapping[str, Any]) -> str:
    """Which of `GROUPS` a scenario's line belongs to."""
    if not channel.get("noise"):
        return GROUPS[0]
    return GROUPS[1] if channel["snr_db"] >= 20 else GROUPS[2]


def judged(detector: SileroVoiceActivity, pcm: bytes) -> NDArray[np.float64]:
    """The probability of voice in each window of a line."""
    said: list[float] = []
    stream = detector.open(lambda probability, _samples: said.append(probability))
    for at in range(0, len(pcm), 2 * RATE_HZ):
        stream.feed(pcm[at : at + 2 * RATE_HZ])
        detector.tick()
    stream.close()
    return np.array(said)


def figures(lines: list[Line], kind: str, threshold: float) -> tuple[str, str, str, str]:
    """Share of voiced windows found, delay until a voice is noticed, share missed, share of quiet windows taken."""
    found, false, delays = [], [], []
    for line in lines:
        says = line.probabilities[kind]
        voice, quiet = line.voice[: len(says)], line.quiet[: len(says)]
        found += list(says[voice] >= threshold)
        false += list(says[quiet] >= threshold)
        delays += [noticed(says[onset : onset + MISSED], threshold) for onset in line.onsets]
    seconds = np.array(delays) * WINDOW / RATE_HZ
    p50, p90 = np.quantile(seconds, (0.5, 0.9))
    missed = np.mean(np.array(delays) > MISSED)
    wrong = f"{np.mean(false):.2%}" if false else "–"
    return f"{np.mean(found):.1%}", f"{p50:.2f} / {p90:.2f} s", f"{missed:.1%}", wrong


def noticed(says: NDArray[np.float64], threshold: float) -> int:
    """Windows until three reach the threshold and none between falls below the lower; beyond `MISSED` if never."""
    run = 0
    for number, probability in enumerate(says):
        run = run + 1 if probability >= threshold else 0 if probability < min(threshold, STOP_THRESHOLD) else run
        if run == 3:
            return number + 1
    return MISSED + 1


if __name__ == "__main__":
    main()
