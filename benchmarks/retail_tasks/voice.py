"""Calls by voice: a carrier double and flite's voices, mu-law at 8 kHz, the real server with its recognizer and voice.

The server is a process of its own and is told the names of the tools alone. Calls take minutes each, in real time.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.retail_tasks import voice_agents
from benchmarks.retail_tasks.lines import KEYS, Script
from benchmarks.retail_tasks.tasks import REPOSITORY, Task
from benchmarks.retail_tasks.text import Outcome, judge, refusals, transcript
from benchmarks.retail_tasks.voice_caller import NO, YES, VoiceCaller

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.simulate.child_server import child_server
from talkspurt.simulate.twilio import TwilioDouble
from talkspurt.simulate.voices import VOICES, speak

FOLDER: Final = REPOSITORY / "build" / "bench" / "retail_tasks"
MOST_CALL_SECONDS: Final = 420.0
STORED_SECONDS: Final = 5.0
"""How long to wait for the server to have written the call's end."""
AT_ONCE: Final = 4
"""Calls at once; one takes a sixth of a core."""

_KINDS: Final[Mapping[str, type[Entry]]] = {
    "caller_said": CallerSaid,
    "agent_said": AgentSaid,
    "tool_called": ToolCalled,
    "tool_answered": ToolAnswered,
}


async def place_calls(tasks: Sequence[Task], scripts: Mapping[str, Script], template: Path) -> list[Outcome]:
    """Place the calls of all `tasks` that have a script for the line; recordings and transcripts stay in `FOLDER`.

    Raises `TransportError` when the server does not start, `ConfigurationError` without flite.
    """
    wanted = [task for task in tasks if scripts[task.id].by_voice]
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for task in wanted:
        shutil.copyfile(template, voice_agents.shop_of(FOLDER, task.id))
    tools = {task.id: task.tools for task in wanted}
    voice_agents.tools_in(FOLDER).write_text(json.dumps(tools), encoding="utf-8")
    voice_agents.asked_in(FOLDER).touch()
    (FOLDER / "talkspurt.toml").write_text(voice_agents.configuration(list(tools)), encoding="utf-8")
    environment = {
        "TALKSPURT_CONFIG": str(FOLDER / "talkspurt.toml"),
        voice_agents.FOLDER_VARIABLE: str(FOLDER),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])),
    }
    queue = list(enumerate(wanted))
    outcomes: dict[str, Outcome] = {}

    async def work(url: str) -> None:
        while queue:
            number, task = queue.pop(0)
            call = _Call(url, task, scripts[task.id], VOICES[number % len(VOICES)])
            outcomes[task.id] = outcome = await call.place()
            print(f"  task {task.id}: {'; '.join(outcome.failures) or 'as expected'}", flush=True)

    async with child_server(FOLDER, FOLDER / "server.log", environment=environment) as url:
        await asyncio.gather(*(work(url) for _ in range(AT_ONCE)))
    return [outcomes[task.id] for task in wanted]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of one caller."""

    url: str
    task: Task
    script: Script
    voice: str

    async def place(self) -> Outcome:
        """Place it, and judge what came of it."""
        ways = {way for turn in self.script.by_voice for way in turn.ways if not way.startswith(KEYS)}
        clips = {words: await speak(words, self.voice) for words in (*ways, YES, NO)}
        notes = _Notes(self.task.id)
        async with TwilioDouble(
            self.url,
            from_number=f"+1415555{int(self.task.id):04d}",
            to_number=voice_agents.number_of(self.task.id),
            max_seconds=MOST_CALL_SECONDS,
        ) as line:
            caller = VoiceCaller(line, self.script.by_voice, clips, notes.asked)
            await caller.hold()
        line.recording.write_wav(FOLDER / f"{self.task.id}.wav")
        history = await _history(FOLDER / "calls.db", line.recording.call_sid)
        (FOLDER / f"{self.task.id}.txt").write_text(transcript(history) + "\n", encoding="utf-8")
        shop = voice_agents.shop_of(FOLDER, self.task.id)
        failures = [*caller.failures, *await judge(self.task, history, shop)]
        return Outcome(self.task.id, tuple(failures), refusals(history), history)


class _Notes:
    """What the oracle of a task asked for, read from the file to which the server's process appends."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._read = 0
        self._asked: list[dict[str, Any]] = []

    def asked(self) -> list[dict[str, Any]]:
        """All of it, oldest first."""
        with voice_agents.asked_in(FOLDER).open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        notes = (json.loads(line) for line in whole.splitlines())
        self._asked += [note for note in notes if note["task"] == self._task]
        return self._asked


async def _history(database: Path, call_sid: str) -> tuple[Entry, ...]:
    """The transcript that the server stored, once it has written the end of the call."""
    ended = "SELECT 1 FROM calls WHERE carrier_call_id = ? AND state = 'ended'"
    deadline = time.monotonic() + STORED_SECONDS
    while not await asyncio.to_thread(_ask, database, ended, call_sid) and time.monotonic() < deadline:  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.1)
    # The turns go through a spool of their own, which is emptied within this.
    await asyncio.sleep(0.5)
    query = (
        "SELECT t.kind, t.content FROM turns t JOIN calls c ON c.id = t.call_id"
        " WHERE c.carrier_call_id = ? ORDER BY t.n"
    )
    rows = await asyncio.to_thread(_ask, database, query, call_sid)
    return tuple(_KINDS[kind](**json.loads(content)) for kind, content in rows)


def _ask(database: Path, query: str, call_sid: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5.0)) as connection:
        return connection.execute(query, (call_sid,)).fetchall()
