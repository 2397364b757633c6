"""What our own code adds on the way from the caller's turn to the first sample of the answer (`make bench-latency`).

    python -m benchmarks.own_latency [--turns 300]

Real sessions in this process, warm, with the retail agent's prompt and tools, ladders, phrase cache and the shipped
adapters of OpenAI and ElevenLabs; the vendors' fakes in a process of their own. Both read the machine's monotonic
clock. Turns are taken by a keypad entry, so that no silence has to be waited for. Measured is

* `turn_to_model`: the turn is decided → its request has arrived whole at the language model;
* `clause_to_synthesizer`: the first speakable sentence of the reply is here → its request has arrived whole;
* `audio_to_line`: the synthesizer begins to send its first audio → the first sample is sent to the carrier;
* `greeting_to_line`: the line is open → first sample of the cached greeting;
* `phrase_to_line`: a stock phrase is called for (a key that means nothing) → its first sample, as of a filler.

All contain the SDKs and a loopback socket. Beside them stands what `benchmarks.model_latency` finds for a model alone.
It writes `build/bench/latency.json`. Exit status 1 when a goal is missed.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import uvloop
from starlette.requests import Request
from starlette.types import ASGIApp

from benchmarks import model_latency
from talkspurt.agent import Caller
from talkspurt.agent.locales import find_locale
from talkspurt.clock import MediaClock
from talkspurt.core.sentences import take_speakable
from talkspurt.core.settings import Settings
from talkspurt.effects.dispatcher import ToolDispatcher
from talkspurt.ladder import LadderModel, LadderSynthesizer, Patience, Rung
from talkspurt.models.pydantic_ai import PydanticAIModel
from talkspurt.ports import Call, LanguageModel, LineListener, ReplyPart, ReplyRequest, TextDelta
from talkspurt.retail import create_agent
from talkspurt.session import Services, Session
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.synthesizers.elevenlabs import ElevenLabsSynthesizer
from talkspurt.telemetry.usage import MeteredModel
from talkspurt.testing.fakes import FakeElevenLabs, FakeOpenAI, ModelReply, Speech
from talkspurt.testing.fakes.loopback import ScriptedStream
from talkspurt.testing.ledger import MemoryEffectLedger
from talkspurt.testing.providers import LevelVoiceActivity, ScriptedRecognizer

OUTPUT: Final = Path("build/bench/latency.json")
GOALS_MS: Final = {
    "turn_to_model": 10.0,
    "clause_to_synthesizer": 10.0,
    "audio_to_line": 10.0,
    "greeting_to_line": 20.0,
    "phrase_to_line": 20.0,
}
TURNS_IN_A_CALL: Final = 10
WARM: Final = 2
"""Calls before those that count."""
KEY: Final = "test-key"
PATIENCE: Final = 5.0
SILENCE: Final = bytes(320)
_MARK: Final = "Parcel "
"""What the sentence begins with whose way is measured."""


# ── the vendors ───────────────────────────────────────────────────────────────────


def serve(pipe: Connection) -> None:
    """The vendors' process: says where they are, then, when told to stop, what arrived and left when."""
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    thought: list[float] = []
    asked: list[float] = []
    spoken: list[float] = []

    class Model(FakeOpenAI):
        async def _answer(self, request: Request) -> Any:
            await request.body()
            thought.append(time.monotonic())
            number = len(thought)
            self.script(ModelReply(text=(_MARK, f"number {number} ", "left today. ", "Good", "bye now.")))
            return await super()._answer(request)

    class Synthesizer(FakeElevenLabs):
        async def _answer(self, request: Request) -> ASGIApp:
            body = json.loads(await request.body())
            counts = body["text"].startswith(_MARK)
            if counts:
                asked.append(time.monotonic())
            answer = await super()._answer(request)
            if counts and isinstance(answer, ScriptedStream):
                return replace(answer, pieces=noting(answer.pieces, spoken))
            return answer

    async with Model(key=KEY) as model, Synthesizer(key=KEY, otherwise=Speech()) as synthesizer:
        # Past the relay, which is a hop that no vendor has.
        pipe.send((model.past_the_line(model.base_url), synthesizer.past_the_line(synthesizer.base_url)))
        await asyncio.to_thread(pipe.recv)
        pipe.send((thought, asked, spoken))


async def noting(pieces: AsyncGenerator[bytes], moments: list[float]) -> AsyncGenerator[bytes]:
    """The same pieces; when the first one leaves is noted."""
    first = True
    async with aclosing(pieces):
        async for piece in pieces:
            if first:
                moments.append(time.monotonic())
                first = False
            yield piece


# ── the calls ─────────────────────────────────────────────────────────────────────


class NotingModel:
    """A `LanguageModel` in front of another one, which notes when the first sentence of a reply can be spoken."""

    def __init__(self, model: LanguageModel, moments: list[float]) -> None:
        self._model = model
        self._moments = moments

    async def warm_up(self) -> None:
        """Warm the model behind."""
        await self._model.warm_up()

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream what the model behind does."""
        text, begun = "", False
        async with aclosing(self._model.reply(request)) as parts:
            async for part in parts:
                if isinstance(part, TextDelta) and not begun:
                    text += part.text
                    sentences, _ = take_speakable(text, first=True)
                    if sentences:
                        begun = True
                        self._moments.append(time.monotonic())
                yield part

    async def aclose(self) -> None:
        """Close the model behind."""
        await self._model.aclose()


class InstantLine:
    """A `Transport` that plays at once what it is sent, and knows when something came after nothing was expected."""

    def __init__(self) -> None:
        self.listener: LineListener | None = None
        self.sounded = asyncio.Event()
        self.sounded_at = 0.0

    def listen(self, listener: LineListener, /) -> None:
        """Deliver to `listener`."""
        self.listener = listener

    def send_audio(self, pcm: bytes, /) -> None:
        """Note the first piece."""
        if not self.sounded.is_set():
            self.sounded_at = time.monotonic()
            self.sounded.set()

    def send_mark(self, name: str, /) -> None:
        """It has been played."""
        asyncio.get_running_loop().call_soon(self._return, name)

    def clear(self) -> None:
        """Nothing is kept here."""

    def close(self) -> None:
        """Nothing to close."""

    async def await_sound(self) -> float:
        """When the next audio came. Raises `TimeoutError`."""
        async with asyncio.timeout(PATIENCE):
            await self.sounded.wait()
        return self.sounded_at

    async def run(self) -> None:
        """Bring the caller's silence, until cancelled."""
        due = time.monotonic()
        while True:
            if self.listener is not None:
                self.listener.audio_received(SILENCE)
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def press(self, keys: str) -> float:
        """Press keys; returns when the last one was."""
        assert self.listener is not None
        self.sounded.clear()
        for key in keys[:-1]:
            self.listener.digit_received(key)
        pressed = time.monotonic()
        self.listener.digit_received(keys[-1])
        return pressed

    def _return(self, name: str) -> None:
        if self.listener is not None:
            self.listener.mark_received(name)


class NoRecorder:
    """A `CallRecorder` that keeps nothing."""

    def entry(self, _call_id: str, _entry: Any, /) -> None:
        """Forget it."""

    def snapshot(
        self, _call_id: str, _attachment: int, _write: Any, /, *, urgent: bool = False, at_once: bool = False
    ) -> None:
        """Forget it."""

    async def write(self, _call_id: str, _patience: float, /) -> bool:
        """Have nothing to store."""
        return True


class Trial:
    """All calls, and the moments that were noted here."""

    def __init__(self, model_url: str, synthesizer_url: str) -> None:
        self.decided: list[float] = []
        self.speakable: list[float] = []
        self.sent: list[float] = []
        self.greeted: list[float] = []
        self.told: list[float] = []
        self.agent = create_agent("sqlite+aiosqlite:///:memory:")
        self.locale = find_locale("en-US")
        model = PydanticAIModel("openai:some-model", base_url=model_url, environment={"OPENAI_API_KEY": KEY})
        speech = ElevenLabsSynthesizer(base_url=synthesizer_url, environment={"ELEVENLABS_API_KEY": KEY})
        patience = Patience(PATIENCE, PATIENCE)
        rung = Rung[LanguageModel]("model", "openai:some-model", MeteredModel(model, "openai:some-model"), patience)
        self.model = NotingModel(LadderModel([rung], hedged=False), self.speakable)
        self.synthesizer = LadderSynthesizer(
            [Rung("synthesizer", "elevenlabs", PhraseCache(speech, "elevenlabs"), patience)], hedged=False
        )

    async def run(self, calls: int) -> None:
        """Place the calls, one after the other."""
        for text in (self.agent.greeting, self.locale.phrases["missed"]):
            said = self.locale.spoken_form(text).text
            await self.synthesizer.learn(said, voice=self.agent.voice.name, locale=self.locale.tag)
        detector = LevelVoiceActivity()
        clock = MediaClock(detector)
        services = Services(ScriptedRecognizer(()), self.synthesizer, detector, clock, NoRecorder())
        ticking = asyncio.create_task(clock.run())
        try:
            for number in range(calls):
                await self._call(number, services)
        finally:
            ticking.cancel()
            await self.model.aclose()
            await self.synthesizer.aclose()

    async def _call(self, number: int, services: Services) -> None:
        caller = Caller(call_id=f"c{number}", number="+15550100")
        session = Session(
            Call(caller.call_id, f"CA{number}", caller.number, "+15550199", self.agent.name, "en-US"),
            agent=self.agent,
            model=self.model,
            locale=self.locale,
            settings=Settings(greeting=self.agent.greeting, language=self.locale.language),
            caller=caller,
            dispatcher=ToolDispatcher(self.agent, caller, MemoryEffectLedger()),
            services=services,
            minimum_voiced=0.096,
            caller_facts="Today is Monday.",
        )
        line = InstantLine()
        begun = time.monotonic()
        life = asyncio.create_task(session.run(line, 1))
        talking = asyncio.create_task(line.run())
        try:
            self.greeted.append(await line.await_sound() - begun)
            pressed = line.press("#")
            self.told.append(await line.await_sound() - pressed)
            for _ in range(TURNS_IN_A_CALL):
                # Until the vendor has sent all of it: a stream that is broken off takes its connection with it.
                await asyncio.sleep(0.08)
                self.decided.append(line.press("7#"))
                self.sent.append(await line.await_sound())
        finally:
            talking.cancel()
            life.cancel()
            await asyncio.gather(life, talking, return_exceptions=True)


# ── figures ───────────────────────────────────────────────────────────────────────


def measure(turns: int) -> dict[str, list[float]]:
    """Milliseconds of every step."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        trial = Trial(*ours.recv())
        uvloop.run(trial.run(WARM + -(-turns // TURNS_IN_A_CALL)))
        ours.send("stop")
        thought, asked, spoken = ours.recv()
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()
    counts = {len(moments) for moments in (trial.decided, trial.speakable, trial.sent, thought, asked, spoken)}
    assert len(counts) == 1, "a request went missing, or was made twice"
    skipped = WARM * TURNS_IN_A_CALL
    return {
        "turn_to_model": between(trial.decided[skipped:], thought[skipped:]),
        "clause_to_synthesizer": between(trial.speakable[skipped:], asked[skipped:]),
        "audio_to_line": between(spoken[skipped:], trial.sent[skipped:]),
        "greeting_to_line": [1000 * seconds for seconds in trial.greeted[WARM:]],
        "phrase_to_line": [1000 * seconds for seconds in trial.told[WARM:]],
    }


def between(before: Sequence[float], after: Sequence[float]) -> list[float]:
    """Milliseconds from each moment to its successor."""
    return [1000 * (there - here) for here, there in zip(before, after, strict=True)]


def figures(step: str, samples: Sequence[float]) -> dict[str, Any]:
    """A row of the table."""
    ordered = sorted(samples)
    return {
        "step": step,
        "samples": len(ordered),
        "p50_ms": round(model_latency.quantile(ordered, 0.5), 2),
        "p95_ms": round(model_latency.quantile(ordered, 0.95), 2),
        "max_ms": round(ordered[-1], 2),
        "goal_ms": GOALS_MS[step],
    }


def main() -> int:
    """Measure, print and write; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=300)
    turns = parser.parse_args().turns
    rows = [figures(step, samples) for step, samples in measure(turns).items()]
    models = [model_latency.measure(vendor, turns) for vendor in model_latency.VENDORS]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({"steps": rows, "models": models}, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(
            f"{row['step']:22} p50 {row['p50_ms']:6.2f} ms   p95 {row['p95_ms']:6.2f} ms   max {row['max_ms']:7.2f} ms"
            f"   goal {row['goal_ms']:g} ms at p95, {row['samples']} samples"
        )
    for row in models:
        print(
            f"{row['vendor']:22} p50 {row['sent_p50_ms']:6.2f} ms   p95 {row['sent_p95_ms']:6.2f} ms   its request"
            f" alone; CPU of a reply {row['cpu_ms']:.1f} ms"
        )
    missed = [row["step"] for row in rows if row["p95_ms"] > row["goal_ms"]]
    missed += [row["vendor"] for row in models if row["sent_p95_ms"] > model_latency.GOAL_MS]
    for each in missed:
        print(f"NOT REACHED  {each}")
    print(f"written to {OUTPUT}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
