"""How soon a voice is noticed on the lines of the frozen scenarios, and what else is taken for one; without any calls.

    python -m benchmarks.turns.hearing

What the scenarios' callers say, and some of the noises that callers make, are put on the scenarios' lines one after
the other, with the line's noise, level and loss, but no echo; the agent is silent. Each line is judged by the voice
activity detector, as loud as a call gives it to it, and by what a call makes of that
(`LineEvidence.voice_probability`). It is told each utterance as it ends, to learn from; a call has to find it first.
The first utterance is for learning only, and one that begins while something is taken for a voice is not counted.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from benchmarks.turns.channel import FRAME, RoomAndLine, Settings
from benchmarks.turns.detector import GROUPS, group_of
from benchmarks.turns.run import BACKGROUNDS, CLIPS, recordings_folder, sounds_of
from benchmarks.turns.scenarios import Scenario, load_scenarios
from benchmarks.turns.voices import RATE_HZ, Clip, Samples, Voices, background, noise_burst
from rich.console import Console
from rich.progress import track
from rich.table import Table

from talkspurt.media import g711
from talkspurt.media.evidence import LineEvidence
from talkspurt.media.talkspurts import TalkspurtStarted, TalkspurtStopped, TalkspurtTracker
from talkspurt.simulate.loudness import audible_edges
from talkspurt.speech.voice_activity import WEIGHTS, WINDOW, SileroVoiceActivity
from talkspurt.speech.weights import WeightStore, default_root

ALONE: Final = "the detector alone"
IN_A_CALL: Final = "in a call"
LEAD: Final = 8 * RATE_HZ
"""Samples of the line before the first utterance: its noise is known by then."""
GAPS: Final = (2.5, 5.0)
"""Seconds between two utterances."""
NOISES: Final = 8
"""Noises on each line, drawn from those of all scenarios."""
NOISE_GAP: Final = 3 * RATE_HZ // 2
LEARNED_AFTER: Final = RATE_HZ // 2
"""Samples after an utterance at which it is learned."""
LATE: Final = 0.3
"""Seconds; what follows until the agent is silent takes 40 ms."""
MISSED: Final = 1.5
BEFORE: Final = 0.15
BEHIND: Final = 0.3
"""Seconds around a sound in which what is noticed is put down to it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what was put on it, in seconds, and when a talkspurt began and ended, by who judged."""

    group: str
    utterances: Sequence[tuple[float, float]]
    backchannels: Sequence[tuple[float, float]]
    noises: Sequence[tuple[float, float]]
    seconds: float
    talkspurts: Mapping[str, Sequence[tuple[float, float]]]
    """When it was noticed and when it was over."""

    def is_taken(self, moment: float) -> bool:
        """Whether somebody who judged took something for a voice just then."""
        return any(begin < moment < end for spans in self.talkspurts.values() for begin, end in spans)


def main() -> None:
    """Print the table."""
    recordings = recordings_folder()
    if recordings is None:
        sys.exit("there are no recordings of people, without which the figures are others: set TALKSPURT_SHARED_DATA")
    voices = Voices(CLIPS, recordings)
    backgrounds = {kind: background(kind, voices) for kind in BACKGROUNDS}
    detector = SileroVoiceActivity(WeightStore(default_root()).path(WEIGHTS, "silero_vad.onnx"))
    scenarios = load_scenarios(quick=False)
    noises = [step for scenario in scenarios for step in scenario["steps"] if "sound" in step]
    table = Table(
        "line", "judged by", "n", "noticed p50 / p95", f"over {LATE:g} s", "missed", "noise / min", "coughs etc.",
    )  # fmt: skip
    lines = []
    for scenario in track(scenarios, "lines"):
        if any(step["do"] in ("answer", "interrupt") for step in scenario["steps"]):
            script = Script.of(scenario, voices, noises)
            lines.append(hear(scenario, script, backgrounds, detector))
    for group in GROUPS:
        for judge in (ALONE, IN_A_CALL):
            table.add_row(group, judge, *figures([line for line in lines if line.group == group], judge))
    Console().print(table)


@dataclass(slots=True)
class Script:
    """What sounds when, in samples."""

    voice: Clip
    utterances: list[tuple[int, int]] = field(default_factory=list)
    backchannels: list[tuple[int, int]] = field(default_factory=list)
    noises: dict[int, tuple[Clip, float]] = field(default_factory=dict)
    """By the beginning of a frame: the sound, and its level in dB."""

    @classmethod
    def of(cls, scenario: Scenario, voices: Voices, noises: Sequence[Scenario]) -> "Script":
        """A scenario's utterances, and some noises behind them."""
        rng = np.random.default_rng(scenario["seed"])
        script, said, at = cls(np.zeros(0, dtype=np.int16)), [], LEAD
        for step in scenario["steps"]:
            utterance = sounds_of(step, scenario["voice"], voices).utterance
            if utterance is None or step["do"] not in ("answer", "interrupt", "distract") or step["row"] == "side_talk":
                continue
            first, last = (at + round(edge * RATE_HZ) for edge in (utterance.voiced[0].begin, utterance.voiced[-1].end))
            (script.backchannels if step["row"] == "backchannel" else script.utterances).append((first, last))
            said.append((at, utterance.clip))
            at += len(utterance.clip) + round(rng.uniform(*GAPS) * RATE_HZ)
        for chosen in rng.choice(len(noises), NOISES, replace=False):
            step, at = noises[chosen], -(-at // FRAME) * FRAME
            clip = noise_burst(step["sound"], step["seed"])
            script.noises[at] = clip, float(step.get("level_db", 0.0))
            at += len(clip) + NOISE_GAP
        script.voice = np.zeros(-(-at // FRAME) * FRAME, dtype=np.int16)
        for begin, clip in said:
            script.voice[begin : begin + len(clip)] = clip
        return script


def hear(scenario: Scenario, script: Script, backgrounds: dict[str, Samples], detector: SileroVoiceActivity) -> Line:
    """Put the script on the scenario's line, and judge it."""
    channel = {key: value for key, value in scenario["channel"].items() if not key.startswith("echo")}
    room = RoomAndLine(Settings(**channel), backgrounds, scenario["seed"])
    judges = {kind: _Judge() for kind in (ALONE, IN_A_CALL)}
    line, told = LineEvidence(), []
    stream = detector.open(lambda probability, samples: told.append((probability, samples)))
    unlearned = list(script.utterances)
    silence = bytes(2 * FRAME)
    for at in range(0, len(script.voice), FRAME):
        if at in script.noises:
            room.overlay(*script.noises[at])
        carried = room.carry(script.voice[at : at + FRAME].tobytes(), silence)
        frame = silence if carried.lost else g711.decode_mulaw(carried.frame)
        line.hear(frame)
        stream.feed(line.for_detection(frame))
        detector.tick()
        for probability, samples in told:
            judges[ALONE].receive(probability, samples)
            judges[IN_A_CALL].receive(line.voice_probability(probability, samples - WINDOW, samples), samples)
        told.clear()
        while unlearned and at > unlearned[0][1] + LEARNED_AFTER:
            line.learn([unlearned.pop(0)])
    stream.close()
    noises = [(at, *audible_edges(clip)) for at, (clip, _) in script.noises.items()]
    return Line(
        group=group_of(channel),
        utterances=[(first / RATE_HZ, last / RATE_HZ) for first, last in script.utterances],
        backchannels=[(first / RATE_HZ, last / RATE_HZ) for first, last in script.backchannels],
        noises=[((at + first) / RATE_HZ, (at + last) / RATE_HZ) for at, first, last in noises],
        seconds=len(script.voice) / RATE_HZ,
        talkspurts={kind: judge.talkspurts for kind, judge in judges.items()},
    )


class _Judge:
    """The talkspurts that come of one judge's probabilities."""

    def __init__(self) -> None:
        self._tracker = TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ)
        self.talkspurts: list[tuple[float, float]] = []

    def receive(self, probability: float, samples: int) -> None:
        match self._tracker.receive(probability, samples):
            case TalkspurtStarted():
                self.talkspurts.append((samples / RATE_HZ, float("inf")))
            case TalkspurtStopped(at=at):
                self.talkspurts[-1] = self.talkspurts[-1][0], at


def figures(lines: Sequence[Line], judge: str) -> tuple[str, ...]:
    """The columns of one row."""
    delays: list[float] = []
    taken = noises = 0
    wrong = quiet = 0.0
    for line in lines:
        talkspurts = line.talkspurts[judge]
        for first, _ in line.utterances[1:]:
            if not line.is_taken(first):
                noticed = (begin - first for begin, _ in talkspurts if first < begin < first + MISSED)
                delays.append(next(noticed, float("inf")))
        for first, last in line.noises:
            if not line.is_taken(first):
                noises += 1
                taken += any(first < begin < last + BEHIND for begin, _ in talkspurts)
        spans = [*line.utterances, *line.backchannels, *line.noises]
        quiet += line.seconds - LEAD / RATE_HZ - sum(BEFORE + last - first + BEHIND for first, last in spans)
        wrong += sum(
            begin > LEAD / RATE_HZ and not any(first - BEFORE < begin < last + BEHIND for first, last in spans)
            for begin, _ in talkspurts
        )
    ordered = np.sort(delays)
    p50, p95 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
    return (
        str(len(delays)), f"{p50:.2f} / {p95:.2f} s",
        f"{np.mean(ordered > LATE):.1%}", f"{np.mean(ordered > MISSED):.1%}",
        f"{60 * wrong / quiet:.1f}", f"{taken} of {noises}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
