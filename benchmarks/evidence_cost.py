"""What it costs a call to know whose voice it is, now against an earlier revision, and whether both say the same.

One process holds both: the revision's `talkspurt.media` is loaded beside today's. A call is made once, with the
policy of `Conversation.heeds_voice`: a voice into the silence, an answer, a voice into that, and so on; recordings,
over a telephone line, cut into talkspurts by their energy. What the call asks of its evidence is written down and
then asked of both, in turn, many times. Of each question the least CPU time counts, so that other work on the
machine hardly shows; quote the ratios, not the microseconds, which hold the time of looking at the clock.

With `--verdicts` the experiments of `line_evidence.py` and `side_talk.py` are run with both at once instead: how many
verdicts differ, and how far the figures lie apart.

    python -m benchmarks.evidence_cost REVISION [--rounds 15] [--verdicts] [--data FOLDER]

Exit status 1 without data or git, 2 when a verdict differs.
"""

import argparse
import asyncio
import importlib
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.line_evidence import (
    DEFAULT_DATA,
    FRAME,
    REPOSITORY,
    Acoustics,
    Bench,
    Samples,
    at_level,
    load_voices,
    load_words,
    over_the_line,
    pcm16,
    recorded,
    speak_agent,
)

from benchmarks import line_evidence, side_talk
from talkspurt.errors import TalkspurtError
from talkspurt.media import evidence as present
from talkspurt.media.frames import RATE_HZ
from talkspurt.media.level import mean_level
from talkspurt.media.talkspurts import TalkspurtStarted, TalkspurtStopped, TalkspurtTracker
from talkspurt.speech.voice_activity import WINDOW, SileroVoiceActivity
from talkspurt.speech.weights import WeightStore, default_root

TURNS: Final = 12
GAP: Final = RATE_HZ
"""Samples of silence before a voice into it."""
ANSWERED: Final = 4_800
"""Samples behind its end after which a turn is taken."""
INTERRUPTED: Final = 7_200
"""Samples of an answer before a voice comes into it."""
ANSWER: Final = 22_400
LEAD: Final = 2_560
"""Samples that the agent's audio is told ahead."""
LOUD_DBFS: Final = -40.0
MOMENT: Final = 3_200
DECIDED: Final = 2_400
"""Samples of a voice into an answer until it is known whose it is, and the agent is silent."""
SOON: Final = 768
"""Samples between two measurements before that."""
NOW_AND_THEN: Final = 7_680
"""And behind it."""

Step = tuple[str, tuple[Any, ...]]


def load_revision(revision: str, folder: Path) -> Any:
    """The `evidence` module of a revision, beside today's. Raises `CalledProcessError` when git knows none."""
    command = ["git", "-C", str(REPOSITORY), "archive", revision, "src/talkspurt/media"]
    with tarfile.open(fileobj=io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)) as archive:
        archive.extractall(folder, filter="data")
    package = folder / "talkspurt_before"
    (folder / "src/talkspurt").rename(package)
    for file in package.rglob("*.py"):
        file.write_text(file.read_text(encoding="utf-8").replace("talkspurt.media", "talkspurt_before.media"))
    sys.path.insert(0, str(folder))
    return importlib.import_module("talkspurt_before.media.evidence")


# ── a call ────────────────────────────────────────────────────────────────────────


class Caller:
    """A call's questions, as they arise; `present.LineEvidence` answers them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._line = present.LineEvidence()
        self._tracker = TalkspurtTracker(window=WINDOW, rate_hz=RATE_HZ)
        self._heard = self._judged = self._windows = 0
        self._since: int | None = None
        """First sample of the utterance under way."""
        self._share = 0.0
        self._spurts: list[tuple[int, int]] = []
        self._over_answer = False

    def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Ask and write it down."""
        self.steps.append((name, (*arguments, *named.values())))
        return getattr(self._line, name)(*arguments, **named)

    def turn(self, sound: Samples, agent: Samples, begin: int) -> None:
        """Hear the line of one turn, with the agent's audio from sample `begin` of it on; then it is learned."""
        pcm, said, at = over_the_line(sound), pcm16(agent), self._heard
        self._over_answer = begin < len(sound)
        sent = 0
        for start in range(0, len(pcm), FRAME):
            while sent < len(said) and begin + sent // 2 <= start // 2 + LEAD:
                self.ask("play", said[sent : sent + 2_560], at + begin + sent // 2)
                sent += 2_560
            self.ask("hear", pcm[start : start + FRAME])
            self._heard += len(pcm[start : start + FRAME]) // 2
            while self._judged + WINDOW <= self._heard:
                sent = self._judge(said, sent, at)
        self.ask("learn", tuple(self._spurts))
        self._spurts.clear()
        self._since = None

    def _judge(self, said: bytes, sent: int, at: int) -> int:
        self._judged += WINDOW
        first, last = self._judged - WINDOW, self._judged
        level = mean_level(self._line._heard.read(first, last))
        detected = self.ask("voice_probability", 0.9 if level > LOUD_DBFS else 0.01, first, last)
        fact = self._tracker.receive(detected, last)
        if isinstance(fact, TalkspurtStarted):
            self._measure(last)
            self._since = self._since or self._tracker.first
            self._windows = 0
            if sent:
                self.ask("stop", self._heard)
                sent = len(said)
        elif isinstance(fact, TalkspurtStopped):
            stopped = round(fact.at * RATE_HZ)
            self._measure(stopped)
            self._spurts.append((self._tracker.first, stopped))
        elif fact is None and self._tracker.active and self._over_answer:
            self._windows += WINDOW
            decided = last - (self._since or last) > DECIDED
            if self._windows >= (NOW_AND_THEN if decided else SOON):
                self._windows = 0
                self._measure(last, known=decided)
        return sent

    def _measure(self, last: int, *, known: bool = False) -> None:
        first = max(self._tracker.first, self._since or last - MOMENT)
        measured = self.ask("measure", first, last, echo=self._share if known else None)
        self._share = measured.echo


def make_call(data: Path) -> list[Step]:
    """All that a call of `TURNS` turns asks. Raises `FileNotFoundError` without recordings."""
    callers, agents = recorded(data, "arctic/*aew*.wav"), recorded(data, "arctic/*axb*.wav")
    acoustics, caller = Acoustics({}), Caller()
    agent = at_level(np.resize(np.concatenate(agents), TURNS * ANSWER), line_evidence.AGENT_DBFS)
    for number in range(TURNS):
        voice = at_level(callers[number % len(callers)][: 2 * RATE_HZ], line_evidence.CALLER_DBFS)
        into_answer = number % 2 == 1
        sound = np.concatenate((np.zeros(INTERRUPTED if into_answer else GAP), voice, np.zeros(ANSWERED)))
        noise = acoustics.noise("street", len(sound)) * 10 ** (-65 / 20)
        answer = agent[number * ANSWER : (number + 1) * ANSWER] if into_answer else np.zeros(0)
        caller.turn(sound + noise, answer, 0 if into_answer else len(sound))
    return caller.steps


# ── both ──────────────────────────────────────────────────────────────────────────


def ask(line: Any, step: Step) -> Any:
    """Ask one of both."""
    name, arguments = step
    if name == "measure":
        return line.measure(*arguments[:2], echo=arguments[2])
    return getattr(line, name)(*arguments)


def timed(module: Any, steps: Sequence[Step]) -> list[int]:
    """Nanoseconds of CPU that each step takes on a new line."""
    line = module.LineEvidence()
    times = []
    for step in steps:
        began = time.thread_time_ns()
        ask(line, step)
        times.append(time.thread_time_ns() - began)
    return times


def kinds(steps: Sequence[Step]) -> list[str]:
    """What each step is, with measurements told apart by whether the agent's echo is looked for."""
    line = present.LineEvidence()
    names = []
    for step in steps:
        answer = ask(line, step)
        if step[0] == "measure":
            beside = answer.agent_dbfs is not None and step[1][2] is None
            names.append("measure, the agent speaking" if beside else "measure")
        else:
            names.append(step[0])
    return names


def compare(before: Any, steps: Sequence[Step], rounds: int) -> None:
    """Print what the call costs with both, by question."""
    fastest: dict[str, NDArrayOfInts] = {}
    for _ in range(rounds):
        for name, module in (("before", before), ("now", present)):
            times = np.array(timed(module, steps))
            fastest[name] = np.minimum(fastest[name], times) if name in fastest else times
    names = np.array(kinds(steps))
    print(f"{'a turn of a call':30} {'asked':>6} {'before µs':>10} {'now µs':>8} {'ratio':>6}")
    for kind in (*dict.fromkeys(names.tolist()), ""):
        chosen = names == kind if kind else np.ones(len(names), dtype=np.bool_)
        old, new = (float(fastest[name][chosen].sum()) / 1e3 / TURNS for name in ("before", "now"))
        print(f"{kind or 'all':30} {chosen.sum() / TURNS:6.1f} {old:10.1f} {new:8.1f} {new / old:6.2f}")


NDArrayOfInts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class Difference:
    """What the answers of both have shown so far."""

    answers: "Counter[str]"
    verdicts: "Counter[str]"
    farthest: dict[str, float]


SEEN: Final = Difference(Counter(), Counter(), defaultdict(float))


class Both:
    """Stands for `LineEvidence` in the experiments, and notes where both differ."""

    before: Any = None

    def __init__(self, room: Any = None, *, kept: int = present.HEARD) -> None:
        old, new = room or (None, None)
        self._lines = (Both.before.LineEvidence(old, kept=kept), present.LineEvidence(new, kept=kept))

    @property
    def room(self) -> Any:
        """Of both."""
        return tuple(line.room for line in self._lines)

    def hear(self, pcm: bytes) -> None:
        """Both."""
        for line in self._lines:
            line.hear(pcm)

    def play(self, pcm: bytes, at: int) -> None:
        """Both."""
        for line in self._lines:
            line.play(pcm, at)

    def learn(self, turn: Sequence[tuple[int, int]], *, insisted: bool = False) -> None:
        """Both."""
        for line in self._lines:
            line.learn(turn, insisted=insisted)

    def overhear(self, first: int, last: int) -> None:
        """Both."""
        for line in self._lines:
            line.overhear(first, last)

    def measure(self, first: int, last: int) -> Any:
        """Today's answer."""
        for window in range(first, last - WINDOW, 8 * WINDOW):
            self._same("is_returning", *(line.is_returning(window, window + WINDOW) for line in self._lines))
        self._same("onset", *(line.onset(first, last) for line in self._lines))
        old, new = (line.measure(first, last) for line in self._lines)
        for verdict in ("is_echo", "is_caller", "is_voice"):
            self._same(verdict, getattr(old, verdict), getattr(new, verdict))
        for field in fields(new):
            values = getattr(old, field.name), getattr(new, field.name)
            self._same(f"{field.name} is known", *(value is None for value in values))
            if None not in values:
                SEEN.farthest[field.name] = max(SEEN.farthest[field.name], abs(float(values[0]) - float(values[1])))
        return new

    @staticmethod
    def _same(name: str, old: object, new: object) -> None:
        SEEN.answers[name] += 1
        SEEN.verdicts[name] += old != new


async def differences(before: Any, data: Path) -> bool:
    """Run the experiments with both; whether no verdict differed."""
    Both.before = before
    for module in (line_evidence, side_talk):
        module.LineEvidence = Both  # type: ignore[attr-defined]
    voices = load_voices(data)
    detector = SileroVoiceActivity.load(WeightStore(default_root()))
    bench = Bench(voices, load_words(data), speak_agent(), Acoustics(voices), detector)
    for experiment in (line_evidence.print_echo, line_evidence.print_voices, line_evidence.print_noises):
        experiment(bench)
    for calls in (await side_talk.make_calls(data, 10)).values():
        for call in calls:
            side_talk.play(call)
    print()
    for name, count in SEEN.answers.items():
        print(f"{name:24} {count:7} answers, {SEEN.verdicts[name]} differ")
    for name, distance in SEEN.farthest.items():
        print(f"{name:24} at most {distance:.2g} apart")
    return not SEEN.verdicts.total()


def main() -> int:
    """Run and print; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("revision")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--verdicts", action="store_true")
    arguments.add_argument("--data", type=Path, default=Path(DEFAULT_DATA))
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as folder:
        try:
            before = load_revision(options.revision, Path(folder))
            if options.verdicts:
                return 0 if asyncio.run(differences(before, options.data)) else 2
            compare(before, make_call(options.data), options.rounds)
        except (OSError, subprocess.CalledProcessError, TalkspurtError) as error:
            print(f"something is missing: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
