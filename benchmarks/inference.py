"""Local speech in threads of the worker or in an inference process: what calls wait, and how late the clock ticks.

    python -m benchmarks.inference [--seconds N] [--calls 5 10 20] [--report FILE]

Calls take turns: an utterance is transcribed, judged, and answered with two sentences, once in `TURN` seconds, each
call at its own time; "ceaseless" ones ask again at once. Meanwhile the worker, which is this process, keeps a clock of
20 ms as it does for the frames of its calls: a tick that is late delays the frames of all of them.

queued: from asking to being begun. hop: of a request to an idle process, what is left of its time without the work.
late: sound that came after the line had played all before it, per sentence.

It needs the local models and no data, and a quiet machine. Exit status 2: the hop takes 2 ms or more at its p95.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop

from talkspurt.config import Config, InferenceConfig
from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech.inference import Ask, Inference, Purpose, open_inference
from talkspurt.speech.inference.supervision import inference_for

REPORT: Final = Path(__file__).resolve().parent.parent / "build/bench/inference.json"
TURN: Final = 8.0
"""Seconds of one turn of caller and agent."""
TICK: Final = 0.02
PATIENCE: Final = 3.0
SLACK: Final = 0.25
"""As `PiperSynthesizer`'s."""
HOPS: Final = 200

SAID: Final = (
    "I would like to know where my order is.",
    "The number is four one seven two.",
    "Yes, please send it back to the shop.",
    "Can I still change the address of my last order?",
)
ANSWERS: Final = (
    "Your order has left the warehouse.",
    "It will be with you on Tuesday before noon.",
    "I have changed the address for you.",
    "Is there anything else that I can do?",
)


@dataclass
class Figures:
    """What one run measured, in seconds."""

    queued: dict[str, list[float]] = field(default_factory=lambda: {"transcript": [], "judgement": [], "speech": []})
    transcript: list[float] = field(default_factory=list)
    first_audio: list[float] = field(default_factory=list)
    sentences: int = 0
    late: int = 0
    refused: int = 0
    lag: list[float] = field(default_factory=list)


class Calls:
    """Calls that take turns with an inference."""

    def __init__(self, inference: Inference, utterances: list[bytes], figures: Figures) -> None:
        self._inference = inference
        self._utterances = utterances
        self._figures = figures

    async def hold(self, number: int, end: float, turn: float) -> None:
        """Take turns until `end`."""
        chance = random.Random(number)
        await asyncio.sleep(chance.random() * turn)
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                await self._turn(str(number), chance)
            except ProviderError:
                self._figures.refused += 1
            await asyncio.sleep(max(0.0, began + turn - time.monotonic()))

    async def _turn(self, call: str, chance: random.Random) -> None:
        pcm = chance.choice(self._utterances)
        began = time.monotonic()
        await self._inference.transcribe(pcm, self._ask("transcript", call))
        self._figures.transcript.append(time.monotonic() - began)
        await self._inference.judge(pcm, self._ask("judgement", call))
        for text in chance.sample(ANSWERS, 2):
            await self._speak(call, text)

    async def _speak(self, call: str, text: str) -> None:
        self._figures.sentences += 1
        ask = self._ask("speech", call, SLACK)
        began = time.monotonic()
        dry = 0.0
        async with aclosing(self._inference.synthesize(text, ask, voice="joe", pace=1.0)) as speech:
            async for chunk in speech:
                now = time.monotonic()
                if not dry:
                    self._figures.first_audio.append(now - began)
                    dry = now
                elif now > dry:
                    self._figures.late += 1
                    dry = now
                dry += len(chunk.pcm) / 2 / LINE_RATE_HZ

    def _ask(self, kind: str, call: str, slack: float = 0.0) -> Ask:
        now = time.monotonic()
        waited = self._figures.queued[kind]
        return Ask(Purpose(call), now + slack, now + PATIENCE, lambda queued, _ran: waited.append(queued))


async def tick(lag: list[float]) -> None:
    """Keep the clock, and note by how much each tick is late."""
    due = time.monotonic() + TICK
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        lag.append(time.monotonic() - due)
        due += TICK


async def run(inference: Inference, utterances: list[bytes], calls: int, seconds: float, turn: float) -> Figures:
    """Hold `calls` calls for a while."""
    figures = Figures()
    ticking = asyncio.create_task(tick(figures.lag))
    end = time.monotonic() + seconds
    held = Calls(inference, utterances, figures)
    await asyncio.gather(*(held.hold(number, end, turn) for number in range(calls)))
    ticking.cancel()
    return figures


async def hop(inference: Inference, utterance: bytes) -> list[float]:
    """What requests take beside their work, when nobody else asks."""
    hops = []
    for _ in range(HOPS):
        ran = 0.0

        def took(_queued: float, seconds: float) -> None:
            nonlocal ran
            ran = seconds

        began = time.monotonic()
        await inference.judge(utterance, Ask(Purpose("hop"), began, began + 60, took))
        hops.append(time.monotonic() - began - ran)
    return hops


@asynccontextmanager
async def opened(processes: int) -> AsyncIterator[Inference]:
    """An inference with all models, warm."""
    async with inference_for(Config(inference=InferenceConfig(processes=processes))) as config:
        inference = open_inference(config)
        for kind in ("transcript", "judgement", "speech"):
            await inference.warm_up(kind)
        try:
            yield inference
        finally:
            await inference.aclose()


async def spoken(inference: Inference) -> list[bytes]:
    """What callers say."""
    utterances = []
    for text in SAID:
        now = time.monotonic()
        ask = Ask(Purpose("caller"), now, now + 60)
        speech = inference.synthesize(text, ask, voice="joe", pace=1.0)
        utterances.append(b"".join([chunk.pcm async for chunk in speech]) + bytes(LINE_RATE_HZ // 5 * 2))
    return utterances


def milliseconds(values: list[float], share: float) -> float | None:
    """A percentile."""
    return round(1_000 * float(np.percentile(values, share)), 1) if values else None


def record(mode: str, name: str, calls: int, figures: Figures) -> dict[str, Any]:
    """One line of the report."""
    line: dict[str, Any] = {"mode": mode, "load": name, "calls": calls}
    for kind, waited in figures.queued.items():
        line[f"queued_{kind}_p50_ms"] = milliseconds(waited, 50)
        line[f"queued_{kind}_p95_ms"] = milliseconds(waited, 95)
    for name_of, values in (("transcript", figures.transcript), ("first_audio", figures.first_audio)):
        line[f"{name_of}_p50_ms"] = milliseconds(values, 50)
        line[f"{name_of}_p95_ms"] = milliseconds(values, 95)
    line |= {"sentences": figures.sentences, "late": figures.late, "refused": figures.refused}
    line |= {f"clock_lag_p{share}_ms": milliseconds(figures.lag, share) for share in (50, 95, 99, 100)}
    return line


def show(line: dict[str, Any]) -> None:
    """Print it as a row of a Markdown table."""
    waits = (f"{line[f'queued_{kind}_p50_ms']} / {line[f'queued_{kind}_p95_ms']}" for kind in Figures().queued)
    ends = (f"{line[f'{name}_p50_ms']} / {line[f'{name}_p95_ms']}" for name in ("transcript", "first_audio"))
    lags = (str(line[f"clock_lag_p{share}_ms"]) for share in (50, 95, 99, 100))
    counts = f"{line['late']} / {line['refused']}"
    cells = (line["mode"], f"{line['calls']} {line['load']}", *waits, *ends, counts, " / ".join(lags))
    print("| " + " | ".join(cells) + " |", flush=True)


async def main() -> int:
    """Measure, print, write the report; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=16.0, help="of each run")
    arguments.add_argument("--calls", type=int, nargs="+", default=[5, 10, 20])
    arguments.add_argument("--report", type=Path, default=REPORT)
    chosen = arguments.parse_args()
    report: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "turn_s": TURN, "runs": []}
    print("milliseconds, p50 / p95 | late and refused are counts | lag is p50 / p95 / p99 / max\n")
    columns = ("mode", "calls", "queued: transcript", "judgement", "speech", "transcript", "first audio")
    print("| " + " | ".join((*columns, "late / refused", "lag")) + " |\n" + "|---" * 9 + "|")
    for mode, processes in (("threads", 0), ("process", 1)):
        async with opened(processes) as inference:
            utterances = await spoken(inference)
            loads = [("in turn", calls, TURN) for calls in chosen.calls] + [("ceaseless", max(chosen.calls) // 2, 0.0)]
            for name, calls, turn in loads:
                line = record(mode, name, calls, await run(inference, utterances, calls, chosen.seconds, turn))
                report["runs"].append(line)
                show(line)
            hops = await hop(inference, utterances[0])
            report[f"hop_{mode}_p50_ms"] = milliseconds(hops, 50)
            report[f"hop_{mode}_p95_ms"] = milliseconds(hops, 95)
    print(f"\nhop with {len(utterances[0]) // 1_000} kB of audio:")
    for mode in ("threads", "process"):
        print(f"{mode} {report[f'hop_{mode}_p50_ms']} / {report[f'hop_{mode}_p95_ms']} ms")
    chosen.report.parent.mkdir(parents=True, exist_ok=True)
    chosen.report.write_text(json.dumps(report, indent=1))
    return 0 if report["hop_process_p95_ms"] < 2 else 2


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
