"""Places the benchmark's calls: one real server in a process of its own, at most five calls at once, in real time.

Resumable: a call whose artefacts carry the same stamp (its scenario, the code, the configuration) is
not placed again; `fresh` places all. Bounded: after `seconds` no new call begins. A call that fails is
written down and the others go on.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import time
import wave
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.turns import agents
from benchmarks.turns.artefacts import (
    CallArtefact,
    LineEvent,
    OrderedReply,
    Run,
    StoredEntry,
    load,
    save,
    save_run,
)
from benchmarks.turns.brain import GREETINGS, ORDERS_VARIABLE
from benchmarks.turns.caller import BenchCaller, Sounds
from benchmarks.turns.channel import RoomAndLine, Settings
from benchmarks.turns.scenarios import DIGITS, Scenario, hash_of, load_scenarios
from benchmarks.turns.voices import Part, Samples, Utterance, Voices, background, far_field, noise_burst
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import talkspurt
from talkspurt.simulate.child_server import child_server
from talkspurt.simulate.twilio import TwilioDouble

REPOSITORY: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = REPOSITORY / "build" / "bench" / "turns"
CLIPS: Final = REPOSITORY / "build" / "bench" / "clips"
FULL_SECONDS: Final = 56.5 * 60.0
QUICK_SECONDS: Final = 200.0
"""Of placing calls: what remains of the five minutes is for loading, speaking and measuring."""
MOST_CALL_SECONDS: Final = 240.0
STORED_SECONDS: Final = 5.0
"""How long to wait for the server to have written the call's end."""
START_OFFSET: Final = 0.7
"""Between the starts of the first calls: people do not dial in the same second."""
STEP_SECONDS: Final = {
    "answer": 7.0, "interrupt": 7.0, "distract": 4.0, "remark": 8.0, "listen": 18.0, "stay_silent": 14.0,
}  # fmt: skip
"""About how long each step takes; only the order of the calls depends on it."""
PLACING: Final = ("agents.py", "artefacts.py", "brain.py", "caller.py", "channel.py", "run.py", "voices.py")
"""The files of this package that decide how a call goes; its scenario is stamped apart."""
BACKGROUNDS: Final = ("babble", "street", "music")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario with its sounds."""

    scenario: Scenario
    sounds: tuple[Sounds, ...]
    stamp: str


class Orders:
    """What the agents wanted to say, read from the file that the server's model appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._orders: list[dict[str, Any]] = []
        path.write_text("", encoding="utf-8")

    def of(self, agent: str, since: float) -> list[dict[str, Any]]:
        """An agent's orders from a moment (wall clock) on."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self._orders += [json.loads(line) for line in whole.splitlines()]
        return [order for order in self._orders if order["agent"] == agent and order["at"] >= since]


def place_calls(
    *,
    quick: bool,
    fresh: bool = False,
    only: Collection[str] = (),
    seconds: float | None = None,
    console: Console | None = None,
) -> Run:
    """Place all calls that are still to be placed, or those of some kinds; returns, and writes, which artefacts belong
    to the run.

    Raises `TransportError` when the server does not start, `RuntimeError` when the scenarios were changed.
    """
    console = console or Console(stderr=True)
    scenarios = load_scenarios(quick=quick)
    if fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    revision = _revision()
    recordings = recordings_folder()
    left_out: list[str] = []
    if recordings is None:
        left_out.append("no recordings of people: set TALKSPURT_SHARED_DATA; synthesized speech took their place")
        console.print(f"[bold red]{left_out[0]}[/]")
    voices = Voices(CLIPS, recordings)
    stamps = {scenario["id"]: f"{hash_of(scenario)} {revision}" for scenario in scenarios}
    wanted = [scenario for scenario in scenarios if not only or scenario["id"].rpartition("-")[0] in only]
    due = [scenario for scenario in wanted if not _is_placed(scenario, stamps)]
    failed: list[str] = []
    if due:
        with _progress(console) as progress:
            prepared = _prepare(due, voices, stamps, progress)
            backgrounds = {kind: background(kind, voices) for kind in BACKGROUNDS}
            limit = seconds or (QUICK_SECONDS if quick else FULL_SECONDS)
            failed = asyncio.run(_place_all(prepared, backgrounds, limit, progress))
    placed = tuple(scenario["id"] for scenario in scenarios if _is_placed(scenario, stamps))
    named = {failure.partition(":")[0] for failure in failed}
    missing = tuple(s["id"] for s in scenarios if s["id"] not in placed and s["id"] not in named)
    run = Run(quick, revision, placed, tuple(failed), missing, tuple(left_out))
    save_run(run, FOLDER)
    console.print(f"calls: {len(placed)} placed, {len(failed)} failed, {len(missing)} missing; artefacts in {FOLDER}")
    for failure in failed:
        console.print(f"[red]{failure}[/]")
    return run


# ── before ────────────────────────────────────────────────────────────────────────


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip


def recordings_folder() -> Path | None:
    folder = Path(os.environ.get("TALKSPURT_SHARED_DATA") or REPOSITORY / "../shared/data").resolve() / "speech"
    return folder if folder.is_dir() else None


def _revision() -> str:
    """A digest of all that decides how a call goes: the package, this half of the benchmark, the configuration.

    Contents and not the commit: a change to the documents or to the measuring half must not cost an hour.
    """
    digest = hashlib.sha256()
    source = Path(talkspurt.__file__).parent
    for path in [*sorted(source.rglob("*.py")), *(Path(__file__).with_name(name) for name in PLACING)]:
        digest.update(path.name.encode() + path.read_bytes())
    for name, value in sorted(os.environ.items()):
        if name.startswith("TALKSPURT_"):
            digest.update(f"{name}={value}\n".encode())
    return digest.hexdigest()[:16]


def _is_placed(scenario: Scenario, stamps: Mapping[str, str]) -> bool:
    try:
        artefact = load(FOLDER / scenario["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return artefact.counts and artefact.stamp == stamps[scenario["id"]]


def _prepare(due: Sequence[Scenario], voices: Voices, stamps: Mapping[str, str], progress: Progress) -> list[Prepared]:
    """Make all sounds before the first call, so that speaking does not compete with what is measured."""
    task = progress.add_task("speaking", total=len(due))

    def prepare(scenario: Scenario) -> Prepared:
        sounds = tuple(sounds_of(step, scenario["voice"], voices) for step in scenario["steps"])
        progress.advance(task)
        return Prepared(scenario, sounds, stamps[scenario["id"]])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(prepare, due))


def sounds_of(step: Mapping[str, Any], voice: str, voices: Voices) -> Sounds:
    if "sound" in step:
        return Sounds(noise=noise_burst(step["sound"], step["seed"]), source=f"synthetic:{step['sound']}")
    if "parts" not in step:
        return Sounds()
    parts, voice = _spoken_parts(step, voices), step.get("voice", voice)
    utterance = voices.utter(voice, parts, one_utterance=step["one_utterance"])
    files = next((part["files"] for part in parts if "files" in part), None)
    if step.get("far_field"):
        utterance = Utterance(far_field(utterance.clip, step["seed"]), utterance.voiced, utterance.pauses)
    return Sounds(utterance, source=f"recording:{files[0]}" if files else voice)


def _spoken_parts(step: Mapping[str, Any], voices: Voices) -> list[Part]:
    """The step's parts with recordings where they are wanted and there, with synthesized speech where not."""
    parts: list[Part] = [dict(part) for part in step["parts"]]
    if "files" in parts[0] and not voices.has_recordings:
        return [{"text": step["instead"]}]
    if "recorded_digits" in step and voices.has_recordings:
        for part in parts:
            if "text" in part:
                words = [word.strip(",.").lower() for word in part["text"].split()]
                digits = [DIGITS.index(word) for word in words if word in DIGITS]
                part["files"] = [
                    f"digits/{digit}_{step['recorded_digits']}_{step['recorded_take']}.wav" for digit in digits
                ]
    return parts


# ── during ────────────────────────────────────────────────────────────────────────


async def _place_all(
    prepared: Sequence[Prepared], backgrounds: dict[str, Samples], limit: float, progress: Progress
) -> list[str]:
    server_folder = FOLDER / "server"
    shutil.rmtree(server_folder, ignore_errors=True)
    server_folder.mkdir(parents=True)
    configuration = server_folder / "talkspurt.toml"
    configuration.write_text(agents.configuration(), encoding="utf-8")
    orders = Orders(server_folder / "orders.jsonl")
    environment = {
        "TALKSPURT_CONFIG": str(configuration),
        "TALKSPURT_JOURNALS": str(server_folder / "journals"),
        ORDERS_VARIABLE: str(server_folder / "orders.jsonl"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])),
    }
    # The longest first, so that the last minute is not one call's.
    queue = sorted(prepared, key=lambda one: sum(STEP_SECONDS[step["do"]] for step in one.scenario["steps"]))
    failed: list[str] = []
    starting = progress.add_task("starting the server", total=None)
    async with child_server(server_folder, server_folder / "server.log", environment=environment) as url:
        progress.remove_task(starting)
        task = progress.add_task("calls", total=len(prepared))
        deadline = time.monotonic() + limit
        async with asyncio.TaskGroup() as group:
            for line in range(agents.LINES):
                desk = _Desk(url, line, orders, server_folder, backgrounds)
                group.create_task(_work(desk, queue, deadline, failed, lambda: progress.advance(task)))
    return failed


async def _work(desk: "_Desk", queue: list[Prepared], deadline: float, failed: list[str], advance: Any) -> None:
    """One line: a call after the other, until none is left or the time is up."""
    await asyncio.sleep(desk.line * START_OFFSET)
    while queue and time.monotonic() < deadline:
        prepared = queue.pop()
        try:
            async with asyncio.timeout(MOST_CALL_SECONDS + 60):
                await desk.place(prepared)
        except Exception as error:
            failed.append(f"{prepared.scenario['id']}: {error or type(error).__name__}")
        advance()


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where calls are placed from: one of the lines."""

    url: str
    line: int
    orders: Orders
    server: Path
    """The server's folder: its database, and the journals of its calls."""
    backgrounds: dict[str, Samples]

    async def place(self, prepared: Prepared) -> None:
        """Place one call and write its artefacts."""
        scenario = prepared.scenario
        kind = scenario["agent"]
        room = RoomAndLine(Settings.of(scenario), self.backgrounds, scenario["seed"])
        agent, began = agents.name_of(kind, self.line), time.time()

        def ordered_so_far() -> list[tuple[float, str]]:
            answered_at = time.time() - double.now
            return [(order["at"] - answered_at, order["text"]) for order in self.orders.of(agent, began)]

        async with TwilioDouble(
            self.url,
            from_number=f"+1415{scenario['seed'] % 10_000_000:07d}",
            to_number=agents.number_of(kind, self.line),
            channel=room,
            max_seconds=MOST_CALL_SECONDS,
        ) as double:
            caller = BenchCaller(double, room, scenario, prepared.sounds, ordered_so_far)
            await caller.hold()
            answered_at = time.time() - double.now
        recording = double.recording
        assert recording.end is not None
        ordered = [
            OrderedReply(o["at"] - answered_at, o["text"], o["given"], tuple(o["heard_so_far"]))
            for o in self.orders.of(agent, began)
        ]
        artefact = CallArtefact(
            scenario=scenario,
            stamp=prepared.stamp,
            call_sid=recording.call_sid,
            seconds=recording.seconds,
            greeting=GREETINGS[kind],
            events=tuple(caller.events),
            ordered=tuple(ordered),
            history=await _history(self.server / "calls.db", recording.call_sid, answered_at),
            line=tuple(LineEvent(e.at, e.kind, e.detail, e.seconds) for e in recording.events),
            ended_by=recording.end.by,
            end_reason=recording.end.reason,
            worst_lateness=recording.worst_lateness,
            failures=(*caller.failures, *recording.errors),
            complete=caller.complete,
        )
        folder = FOLDER / scenario["id"]
        folder.mkdir(exist_ok=True)
        (folder / "call.json").unlink(missing_ok=True)
        recording.write_wav(folder / "call.wav")
        clean = np.frombuffer(bytes(room.clean), dtype="<i2")[: len(recording.agent)]
        with wave.open(str(folder / "clean.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8_000)
            file.writeframes(clean.tobytes())
        journal = self.server / "journals" / f"{recording.call_sid}.jsonl"
        if journal.exists():
            shutil.move(journal, folder / "journal.jsonl")
        save(artefact, folder)
        if not artefact.counts:
            raise RuntimeError("; ".join(artefact.failures))


# ── after ─────────────────────────────────────────────────────────────────────────


async def _history(database: Path, call_sid: str, answered_at: float) -> tuple[StoredEntry, ...]:
    """The transcript that the server stored, once it has written the end of the call."""
    deadline = time.monotonic() + STORED_SECONDS
    while not await asyncio.to_thread(_has_ended, database, call_sid) and time.monotonic() < deadline:  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.1)
    # The turns go through a spool of their own, which is emptied within this.
    await asyncio.sleep(0.3)
    query = (
        "SELECT t.n, t.kind, t.content, t.at FROM turns t JOIN calls c ON c.id = t.call_id"
        " WHERE c.carrier_call_id = ? ORDER BY t.n"
    )
    rows = await asyncio.to_thread(_ask, database, query, call_sid)
    return tuple(StoredEntry(n, kind, json.loads(content), _moment(at) - answered_at) for n, kind, content, at in rows)


def _has_ended(database: Path, call_sid: str) -> bool:
    return bool(_ask(database, "SELECT 1 FROM calls WHERE carrier_call_id = ? AND state = 'ended'", call_sid))


def _ask(database: Path, query: str, call_sid: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5.0)
    try:
        return connection.execute(query, (call_sid,)).fetchall()
    finally:
        connection.close()


def _moment(stored: str) -> float:
    """SQLite keeps no zones: it is UTC."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC).timestamp()
