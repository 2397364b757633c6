"""What a call's conversation costs the loop, and what it costs to store it: CPU time, of one tree or of two in turn.

    python -m benchmarks.upkeep [--beside FOLDER] [--times 5] [--seconds 20]

The call is that of `make bench-capacity`, in virtual time: the caller talks for two seconds, the words come 0.3 s
later, the reply is twenty tokens and two sentences, and every second answer is interrupted 0.9 s into it. Measured are

* `fact`: microseconds of a fact, with what the session asks of the conversation behind each (its deadline);
* `state`: microseconds of a state that is to be stored: taking it, and writing it as JSON;
* `stored`: microseconds for each entry or state that a hundred calls, in real time, give the recorder and a SQLite
  file, of the whole process, the driver's thread and the idle loop among it.

`--beside` names another tree of this repository, whose `src` is measured in turn with this one; then the ratio of the
medians is printed. Only ratios of one session tell anything, and only those that repeat themselves.
"""

import argparse
import asyncio
import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop

from talkspurt.agent.locales import ENGLISH
from talkspurt.core.commands import CancelReply, Command, Record, RequestReply, Speak, StopPlayback, Transcribe
from talkspurt.core.conversation import Conversation
from talkspurt.core.events import (
    Event,
    LineOpened,
    PlaybackReached,
    ReplyCompleted,
    ReplyTextReceived,
    SegmentFinished,
    SegmentStarted,
    SpeechContinued,
    SpeechStarted,
    SpeechStirred,
    SpeechStopped,
    Transcribed,
    Voice,
)
from talkspurt.core.history import Entry
from talkspurt.core.settings import Settings
from talkspurt.core.snapshot import Writer
from talkspurt.core.states import Listening, Speaking
from talkspurt.server.recorder import Recorder
from talkspurt.store import Store

SETTINGS: Final = Settings(greeting="Thank you for calling. How can I help you?", language=ENGLISH.language)
REPLY: Final = "Your order left our warehouse on Monday morning. It should be with you by Thursday evening, I am told."
TOKENS: Final = tuple(f"{word} " for word in REPLY.split())
CALLERS: Final = Voice(is_echo=False, is_caller=True, is_voice=True)
LENGTH: Final = 300.0
"""Seconds of the call."""
CALLS: Final = 100
FIGURES: Final = ("fact", "state", "stored")


@dataclass
class Played:
    """A call: what reached its conversation and when, deadlines as None, and what was to be stored of it."""

    events: list[tuple[float, Event | None]] = field(default_factory=list)
    stored: list[tuple[float, tuple[Entry, ...], dict[str, Any]]] = field(default_factory=list)


class Line:
    """The caller, the carrier and the providers of one conversation."""

    def __init__(self) -> None:
        self.conversation = Conversation(SETTINGS)
        self.played = Played()
        self._coming: list[tuple[float, int, Event]] = []
        self._numbers = count()
        self._dead: set[int] = set()
        self._made = 0.0
        """When the synthesizer is done with what was ordered."""
        self._sent = 0.0
        """Seconds of this epoch's audio that are on the line."""
        self._plays_until = 0.0
        self._talkspurts = self._answers = 0
        self._talks_until = 0.0

    def play(self) -> Played:
        """Hold the call."""
        self._give(0.0, LineOpened(1))
        while (coming := self._next())[0] < LENGTH:
            at, event = coming
            before = self.conversation.floor
            commands = self.conversation.receive(event, at)
            self.played.events.append((at, event))
            entries = tuple(command.entry for command in commands if isinstance(command, Record))
            if entries:
                self.played.stored.append((at, entries, self.conversation.state()))
            for command in commands:
                self._obey(command, at)
            after = self.conversation.floor
            if type(after) is not type(before) and at >= self._talks_until:
                if isinstance(after, Listening):
                    self._talk(at + 1.0)
                elif isinstance(after, Speaking):
                    self._answers += 1
                    if self._answers % 2 == 0:
                        self._talk(at + 0.9)
        return self.played

    def _next(self) -> tuple[float, Event | None]:
        """What comes next, and when: an event that is no news of what was stopped, or a deadline."""
        while True:
            deadline = self.conversation.deadline
            assert deadline is not None, "the call has ended"
            if not self._coming or deadline < self._coming[0][0]:
                return deadline, None
            at, _, event = heapq.heappop(self._coming)
            if isinstance(event, SegmentStarted | SegmentFinished | PlaybackReached):
                stale = event.epoch != self.conversation.epoch
            else:
                stale = isinstance(event, ReplyTextReceived | ReplyCompleted) and event.reply in self._dead
            if not stale:
                return at, event

    def _give(self, at: float, event: Event) -> None:
        heapq.heappush(self._coming, (at, next(self._numbers), event))

    def _talk(self, at: float) -> None:
        self._talkspurts += 1
        self._talks_until = at + 2.1
        self._give(at + 0.03, SpeechStirred(at))
        self._give(at + 0.1, SpeechStarted(self._talkspurts, at, CALLERS))
        for tenth in range(2, 6):
            self._give(at + tenth / 10, SpeechContinued(self._talkspurts, at + tenth / 10, tenth / 10, CALLERS))
        self._give(at + 2.1, SpeechStopped(self._talkspurts, at + 2.0, 1.9, CALLERS))

    def _obey(self, command: Command, at: float) -> None:
        match command:
            case Transcribe(utterance, revision):
                words = f"Where is my order number {revision} that I made last week?"
                self._give(at + 0.2, Transcribed(utterance, revision, words))
            case RequestReply(reply):
                for number, token in enumerate(TOKENS):
                    self._give(at + 0.15 + number / 100, ReplyTextReceived(reply, token))
                self._give(at + 0.36, ReplyCompleted(reply))
            case CancelReply(reply):
                self._dead.add(reply)
            case StopPlayback():
                self._made = self._plays_until = at
                self._sent = 0.0
            case Speak(segment, epoch, text):
                written, seconds = str(text), 1.4
                begins = max(at, self._made) + 0.08
                self._made = begins + seconds / 4
                self._give(begins, SegmentStarted(segment, epoch, self._sent, written))
                self._give(self._made, SegmentFinished(segment, epoch, self._sent + seconds))
                plays = max(begins, self._plays_until)
                for mark in range(1, 10):
                    heard = min(seconds, mark * 0.16)
                    self._give(plays + heard + 0.05, PlaybackReached(epoch, self._sent + heard))
                self._sent += seconds
                self._plays_until = plays + seconds
            case _:
                return


def fact_us(played: Played) -> float:
    """Of a fact."""
    began = time.process_time()
    rounds = 5
    for _ in range(rounds):
        conversation = Conversation(SETTINGS)
        for at, event in played.events:
            conversation.receive(event, at)
            assert conversation.deadline is not None
    return (time.process_time() - began) / rounds / len(played.events) * 1e6


def state_us(played: Played) -> float:
    """Of a state, all along the call."""
    conversation, writer, spent = Conversation(SETTINGS), Writer(), 0.0
    for at, event in played.events:
        if any(isinstance(command, Record) for command in conversation.receive(event, at)):
            began = time.process_time()
            writer.write(conversation.state(), {"caller": {"account": None, "level": 0, "served": []}})
            spent += time.process_time() - began
    return spent / len(played.stored) * 1e6


async def stored_us(played: Played, seconds: float) -> float:
    """Of what is given to a recorder, whose calls are all at another point of the call."""
    standing: dict[str, Any] = {"caller": {"account": None, "level": 0, "served": []}}
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(f"sqlite+aiosqlite:///{folder}/calls.db")
        recorder = Recorder(store)
        ids = [await _owned(store, number) for number in range(CALLS)]
        running = asyncio.create_task(recorder.run())
        writers = [Writer() for _ in ids]
        script = _script(played, seconds)
        for _, number, _, state in reversed(script):
            # What was said before is encoded already.
            writers[number].write(state, standing)
        loop = asyncio.get_running_loop()
        began, cpu = loop.time(), time.process_time()
        for at, number, entries, state in script:
            await asyncio.sleep(max(0.0, began + at - loop.time()))
            for entry in entries:
                recorder.entry(ids[number], entry)
            recorder.snapshot(ids[number], 1, partial(writers[number].write, state, standing))
        await asyncio.sleep(max(0.0, began + seconds - loop.time()))
        await recorder.flush()
        cpu = time.process_time() - cpu
        running.cancel()
        await store.aclose()
    given = sum(len(entries) + 1 for _, _, entries, _ in script)
    return cpu / given * 1e6


def _script(played: Played, seconds: float) -> list[tuple[float, int, tuple[Entry, ...], dict[str, Any]]]:
    """What each call gives within a stretch of its own: when, which call, entries, state."""
    script = [
        (at - begin, number, entries, state)
        for number in range(CALLS)
        for begin in [number * (LENGTH - seconds) / CALLS]
        for at, entries, state in played.stored
        if begin <= at < begin + seconds
    ]
    return sorted(script, key=lambda given: given[:2])


async def _owned(store: Store, number: int) -> str:
    """A call on its first attachment."""
    call = await store.calls.admit(
        carrier_call_id=f"CA{number}", caller="+12025550101", dialled="+12025550100", agent="bench", locale="en-US"
    )
    attachment = await store.tokens.redeem(await store.tokens.issue(call), call.carrier_call_id)
    assert attachment is not None
    return call.id


def measure(seconds: float) -> dict[str, float]:
    """All figures, of the package that this process has."""
    played = Line().play()
    talk = sum(isinstance(event, SpeechStopped) for _, event in played.events)
    assert talk > LENGTH / 10, f"the call fell silent: {talk} turns"
    fact_us(played)
    return {
        "fact": fact_us(played),
        "state": state_us(played),
        "stored": uvloop.run(stored_us(played, seconds)),
        "facts_per_second": len(played.events) / LENGTH,
        "stored_per_second": sum(len(entries) + 1 for _, entries, _ in played.stored) / LENGTH,
    }


def measured(tree: Path, seconds: float) -> dict[str, float]:
    """The figures of a tree, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.upkeep", "--once", "--seconds", str(seconds)]
    path = os.pathsep.join([str(tree / "src"), str(Path(__file__).parents[1])])
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.once:
        print(json.dumps(measure(chosen.seconds)))
        return 0
    trees = [Path(__file__).parents[1], *([chosen.beside] if chosen.beside else [])]
    figures: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
    for _ in range(chosen.times):
        for tree in trees:
            figures[tree].append(measured(tree, chosen.seconds))
            print(tree.name, " ".join(f"{name} {value:.1f}" for name, value in figures[tree][-1].items()), flush=True)
    for name in FIGURES:
        medians = [median(run[name] for run in figures[tree]) for tree in trees]
        ratio = f", {medians[0] / medians[1]:.2f} times the {medians[1]:.1f} of the other" if len(medians) > 1 else ""
        print(f"{name}: {medians[0]:.1f} µs{ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
