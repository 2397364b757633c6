"""All cloud providers down at a hundred calls: who is still served, and what becomes of the others.

    python -m benchmarks.faults.outage [--calls 100] [--how killed|frozen]

A server and its local models on all cores, its vendors (two language models, a recognizer, a synthesizer) in a process
on one of them, and callers who speak every few seconds. In the middle of it the vendors' process is killed, so that
connections break and new ones are refused, or frozen, so that everything hangs. Local models bear a few calls; there is
a menu of keys, and there are people. `benchmarks.faults` runs both and writes them to `build/bench/faults.json`.

A call is **lost** when its line ends without that somebody else takes it or the carrier says a word, or when its caller
waits in vain to the end. Silence is what a caller hears, from when the vendors went down, between the end of what they
said or keyed in, or of the agent's last sound, and the agent's next sound.
"""

import argparse
import asyncio
import json
import math
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import httpx
import pybase64
from benchmarks.capacity.clips import FRAME as FRAME_BYTES
from benchmarks.capacity.clips import voices
from benchmarks.capacity.figures import percentile
from benchmarks.capacity.load import FOLDER as CLIPS
from benchmarks.capacity.load import Line
from benchmarks.capacity.networked import KEY, LINE_SECONDS, READY_SECONDS, Clerk
from benchmarks.capacity.systems import REPOSITORY, started, talkspurt
from benchmarks.faults.outage_caller import Patient
from defusedxml.ElementTree import fromstring
from picows import WSTransport, ws_connect

from talkspurt.agent import Agent, MenuKey
from talkspurt.config import ScriptedConfig
from talkspurt.errors import TransportError
from talkspurt.testing.fakes import FakeAnthropic, FakeDeepgram, FakeElevenLabs, ModelReply, Speech

WORK: Final = REPOSITORY / "build" / "bench" / "outage"
CONFIGURATION: Final = """
agents = {{ann = "benchmarks.faults.outage:create_agent"}}
numbers = [{{number = "*", agent = "ann"}}]

[speech]
base_url = {{deepgram = "{recognizer}", elevenlabs = "{synthesizer}"}}

[model]
name = "openai:gpt-5-mini"
base_url = {{openai = "{model}", anthropic = "{other_model}"}}

[fallbacks]
recognizers = ["whisper"]
synthesizers = ["piper"]
models = ["anthropic:claude-haiku-4-5", "scripted"]
capacity = {{whisper = 3, piper = 3, scripted = 3}}

[handover.targets]
service = "+12025550190"
"""
STARTS_PER_SECOND: Final = 8.0
BEFORE: Final = 10.0
"""Seconds in which all calls are served by the cloud."""
AFTER: Final = 45.0
"""Seconds that are watched from the outage on: longer than it takes to give a call up."""
SLOTS: Final = 10
FRAME: Final = 0.02
LONGEST_SILENCE: Final = 3.0


Clips = Sequence[Sequence[Sequence[bytes]]]
"""By voice and clip: frames in base64."""


class How(StrEnum):
    """What becomes of the vendors."""

    KILLED = "killed"
    FROZEN = "frozen"

    @property
    def signal(self) -> signal.Signals:
        """What does it."""
        return signal.SIGKILL if self is How.KILLED else signal.SIGSTOP


class Fate(StrEnum):
    """What became of a call."""

    SERVED = "served"
    """The agent still answers."""
    PERSON = "person"
    """The carrier puts the caller through."""
    TOLD = "told"
    """The carrier says that somebody calls back, or to call again."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of all calls; times in milliseconds."""

    fault: str
    calls: int
    cores: int
    """That server, local models, callers and vendors shared."""
    lost: int
    served: int
    person: int
    told: int
    keys_pressed: int
    longest_silence_ms: int
    silence_p95_ms: int

    @property
    def complaints(self) -> list[str]:
        """The goals that were missed, in words."""
        goals = {
            f"{self.lost} calls lost": self.lost > 0,
            f"longer silence than {LONGEST_SILENCE:g} s": self.longest_silence_ms > 1000 * LONGEST_SILENCE,
        }
        return [f"{self.fault}: {goal}" for goal, missed in goals.items() if missed]


def create_agent() -> Agent:
    """What the configuration's `agents` names."""
    return Agent(
        name="Ann",
        prompt="You answer a shop's telephone. Be brief.",
        greeting="Thank you for calling. How can I help you?",
        menu=[MenuKey("1", "our opening hours", "What are your opening hours?")],
    )


# ── the vendors ───────────────────────────────────────────────────────────────────


async def serve() -> None:
    """Run the four until told to end. Prints a line of JSON with their addresses once all listen."""
    timing = ScriptedConfig()
    heard = [timing.heard.format(number=turn) for turn in range(1, 1_000)]
    async with (
        Clerk(timing) as model,
        FakeAnthropic(key=KEY, otherwise=ModelReply(text=("It is on its way. ", "Anything else?"))) as other,
        FakeDeepgram(heard, key=KEY, final_after=timing.final_after) as recognizer,
        FakeElevenLabs(key=KEY, otherwise=Speech(delay=timing.first_byte, gap=LINE_SECONDS / timing.speed)) as speech,
    ):
        addresses = {
            "model": model.base_url,
            "other_model": other.base_url,
            "recognizer": recognizer.base_url,
            "synthesizer": speech.base_url,
        }
        print(json.dumps(addresses), flush=True)
        await asyncio.Event().wait()


# ── the callers ───────────────────────────────────────────────────────────────────


@dataclass
class Connection(Line):
    """One call's socket, whose caller can press keys as well."""

    resume_url: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    fate: Fate = Fate.SERVED

    @property
    def patient(self) -> Patient:
        """The caller."""
        assert isinstance(self.caller, Patient)
        return self.caller

    def tick(self, now: float) -> None:
        """Send 20 ms, and the key that is pressed now."""
        super().tick(now)
        key = self.patient.take_key()
        if key:
            self._sequence += 1
            self._send(
                {
                    "event": "dtmf",
                    "sequenceNumber": str(self._sequence),
                    "streamSid": self.stream_sid,
                    "dtmf": {"track": "inbound_track", "digit": key},
                }
            )

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note it."""
        super().on_ws_disconnected(transport)
        self.ended.set()

    async def follow(self, http: httpx.AsyncClient) -> None:
        """Do what a carrier does when a stream ends: ask at once how the call goes on."""
        await self.ended.wait()
        self.fate = Fate.LOST
        answer = fromstring((await http.post(self.resume_url, data=self.fields)).text)
        if answer.find(".//Dial") is not None:
            self.fate = Fate.PERSON
        elif answer.find(".//Say") is not None:
            self.fate = Fate.TOLD


class Callers:
    """All of them, on one event loop."""

    def __init__(self, webhook: str, clips: Clips) -> None:
        self._webhook = webhook
        self._clips = clips
        self.connections: list[Connection] = []
        self._followers: list[asyncio.Task[None]] = []

    def fates(self, now: float) -> list[Fate]:
        """What has become of the calls. Raises what a follower has raised."""
        for follower in self._followers:
            if follower.done():
                follower.result()
        mute = (each.fate is Fate.SERVED and each.patient.gave_up(now) for each in self.connections)
        return [Fate.LOST if lost else each.fate for each, lost in zip(self.connections, mute, strict=True)]

    def hang_up(self) -> None:
        """Everybody hangs up."""
        for follower in self._followers:
            follower.cancel()
        for connection in self.connections:
            connection.hang_up()

    async def call(self, number: int, http: httpx.AsyncClient) -> None:
        """Place a call. Raises `TransportError` when the server does not take it."""
        fields = {
            "CallSid": f"CA{uuid.uuid4().hex}",
            "From": f"+1202555{number:04}",
            "To": "+12025550100",
            "CallStatus": "ringing",
        }
        answer = fromstring((await http.post(f"{self._webhook}/twilio/voice", data=fields)).text)
        stream, redirect = answer.find(".//Stream"), answer.find(".//Redirect")
        if stream is None or redirect is None:
            raise TransportError("the server does not connect a call")
        frames = self._clips[number % len(self._clips)]
        patient = Patient([len(clip) for clip in frames], random.Random(number), time.monotonic())
        parameters = {each.get("name", ""): each.get("value", "") for each in stream.iter("Parameter")}
        connection = Connection(patient, frames, parameters, fields["CallSid"])
        connection.resume_url, connection.fields = str(redirect.text), fields | {"CallStatus": "in-progress"}
        await ws_connect(lambda: connection, str(stream.get("url")))
        self.connections.append(connection)
        self._followers.append(asyncio.create_task(connection.follow(http)))

    async def pace(self) -> None:
        """Send everybody's frames, until cancelled."""
        due = time.monotonic()
        while True:
            for slot in range(SLOTS):
                now = time.monotonic()
                for connection in self.connections[slot::SLOTS]:
                    connection.tick(now)
                due += FRAME / SLOTS
                await asyncio.sleep(max(0.0, due - time.monotonic()))


async def measure(calls: int, how: How, folder: Path, clips: Clips) -> Outcome:
    """Place the calls, take the vendors away, and see. Raises `TransportError`.

    How many calls one core holds is `benchmarks.capacity`'s question; here the server is where the system puts it.
    """
    command = [sys.executable, "-m", "benchmarks.faults.outage", "--serve"]
    async with started(command, 0, folder / "vendors.log", dict(os.environ), piped=True) as vendors:
        assert vendors.stdout is not None
        line = await asyncio.wait_for(vendors.stdout.readline(), READY_SECONDS)
        if not line:
            raise TransportError(f"the fake vendors did not start: {(folder / 'vendors.log').read_text()[-2000:]}")
        configuration = folder / "outage.toml"
        configuration.write_text(CONFIGURATION.format(**json.loads(line)), encoding="utf-8")
        keys = {f"{name}_API_KEY": KEY for name in ("OPENAI", "ANTHROPIC", "DEEPGRAM", "ELEVENLABS")}
        chosen = {
            "TALKSPURT_CONFIG": str(configuration),
            "TALKSPURT_MODEL__NAME": "openai:gpt-5-mini",
            "TALKSPURT_SPEECH__RECOGNIZER": "deepgram",
            "TALKSPURT_SPEECH__SYNTHESIZER": "elevenlabs",
        }
        async with talkspurt(folder, None, more=keys | chosen) as server:
            assert server.webhook is not None
            try:
                return await _watch(Callers(server.webhook, clips), calls, how, vendors)
            finally:
                if how is How.FROZEN:
                    vendors.send_signal(signal.SIGCONT)


async def _watch(callers: Callers, calls: int, how: How, vendors: asyncio.subprocess.Process) -> Outcome:
    pacing = asyncio.create_task(callers.pace())
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=20.0) as http:
            for number in range(calls):
                await callers.call(number, http)
                await asyncio.sleep(1 / STARTS_PER_SECOND)
            await asyncio.sleep(BEFORE)
            cut_off = sum(connection.ended.is_set() for connection in callers.connections)
            if cut_off:
                raise TransportError(f"{cut_off} calls had ended before the outage")
            down = time.monotonic()
            for connection in callers.connections:
                connection.patient.suffer(down)
            vendors.send_signal(how.signal)
            await asyncio.sleep(AFTER)
            fates = callers.fates(time.monotonic())
    finally:
        pacing.cancel()
        with suppress(asyncio.CancelledError):
            await pacing
        callers.hang_up()
    silences = [connection.patient.longest_silence for connection in callers.connections]
    return Outcome(
        fault=f"all cloud providers {how}",
        calls=calls,
        cores=len(os.sched_getaffinity(0)),
        lost=fates.count(Fate.LOST),
        served=fates.count(Fate.SERVED),
        person=fates.count(Fate.PERSON),
        told=fates.count(Fate.TOLD),
        keys_pressed=sum(connection.patient.keys_pressed for connection in callers.connections),
        longest_silence_ms=round(1000 * max(silences, default=math.inf)),
        silence_p95_ms=round(1000 * (percentile(silences, 0.95) or 0.0)),
    )


def run(calls: int, kinds: Sequence[How]) -> list[Outcome]:
    """Measure each kind and print it. Raises `TransportError`."""
    outcomes = []
    clips = [
        [[pybase64.b64encode(clip[at : at + FRAME_BYTES]) for at in range(0, len(clip), FRAME_BYTES)] for clip in said]
        for said in voices(CLIPS)
    ]
    for how in kinds:
        (WORK / how).mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(measure(calls, how, WORK / how, clips))
        outcomes.append(outcome)
        print(
            f"{outcome.fault}, {outcome.calls} calls on {outcome.cores} cores: {outcome.lost} lost, "
            f"{outcome.served} served, {outcome.person} to a person, {outcome.told} told by the carrier; "
            f"longest silence {outcome.longest_silence_ms} ms, p95 of the calls {outcome.silence_p95_ms} ms",
            flush=True,
        )
    return outcomes


def written(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """For `faults.json`."""
    return [asdict(outcome) for outcome in outcomes]


def main() -> int:
    """Returns 1 when a goal is missed. Keeps what `faults.json` has of other faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--how", choices=list(How), type=How, action="append", help="default: both")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return 0
    outcomes = run(options.calls, options.how or list(How))
    path = REPOSITORY / "build" / "bench" / "faults.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"faults": []}
    path.write_text(json.dumps(before | {"outages": written(outcomes)}, indent=1) + "\n", encoding="utf-8")
    complaints = [complaint for outcome in outcomes for complaint in outcome.complaints]
    for complaint in complaints:
        print(f"NOT REACHED  {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
