"""One call with one fault: vendors' fakes behind relays, a real server with fallbacks, a caller with four lines."""

import asyncio
import json
import re
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.faults.brain import LINES, ThinkingAnthropic, ThinkingOpenAI, answer_spoken, tells_hours
from benchmarks.faults.cases import DEAF, NOBODY_HEARS, NONSENSE, Case, Stage
from benchmarks.faults.catalogue import POST
from benchmarks.faults.relay import BELOW_HTTP, Relay, Trouble
from benchmarks.faults.silence import longest_silence

from talkspurt.simulate.caller import CallerActed, Clip, News, Patience, converse
from talkspurt.simulate.child_server import child_server
from talkspurt.simulate.lines import Line, PressKeys, Say
from talkspurt.simulate.report import CallReport
from talkspurt.testing.fakes import FakeDeepgram, FakeElevenLabs, FakeOpenAIRealtime, ModelReply, ToolUse

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
CONFIGURATION: Final = """
log_level = "info"
agents = {{ann = "benchmarks.faults.catalogue:create"}}
numbers = [{{number = "*", agent = "ann"}}]

[speech]
recognizer = "deepgram"
synthesizer = "elevenlabs"
base_url = {{deepgram = "ws://{recognizer}", elevenlabs = "http://{synthesizer}"}}

[model]
name = "{models[0]}"
base_url = {{openai-realtime = "http://{spoken}/v1", openai = "http://{model}/v1", anthropic = "{other_model}"}}

[fallbacks]
recognizers = [{recognizers}]
synthesizers = [{synthesizers}]
models = {models[1]}
"""
WRITTEN: Final = ("openai:gpt-5-mini", '["anthropic:claude-haiku-4-5"]')
SPOKEN: Final = ("openai-realtime:gpt-realtime", '["openai:gpt-5-mini", "anthropic:claude-haiku-4-5"]')
"""The model and its fallbacks: one that is given words, and one that hears and speaks itself."""
FAULTY_TURN: Final = 2
PATIENCE: Final = Patience(quiet=1.2, answer=20.0)
"""More than a caller has: how long they are kept waiting is measured, not judged here. And whoever was told to wait a
moment does not say yes 0.7 s behind it, to what was not read out yet; their own pause counts as silence, too."""
_SAID: Final = {
    "malformed tool JSON": ModelReply(tool_uses=(ToolUse("send_catalogue", '{"order":'),)),
    "unknown tool": ModelReply(tool_uses=(ToolUse("send_everything"),)),
    "empty reply": ModelReply(),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    case: Case
    lost: bool
    longest_silence: float
    """Seconds."""
    switches: tuple[float, ...]
    """Seconds from each failure, or the end of the patience, to the first useful output of who took over."""
    sent: int
    """Catalogues that went out; one was asked for."""
    said: tuple[str, ...]
    """The agent's turns."""
    failures: tuple[str, ...]
    touched: bool = True
    """Whether the fault befell anything."""

    @property
    def told(self) -> bool:
        """Whether the caller was told all that they asked for, where somebody hears them and a model talks sense."""
        return self.case.fault in (NOBODY_HEARS, *NONSENSE) or tells_hours(" ".join(self.said))


class Vendors:
    """The fakes of all stages, each behind a relay."""

    def __init__(self) -> None:
        self.deepgram = FakeDeepgram(LINES)
        self.elevenlabs = FakeElevenLabs()
        self.openai = ThinkingOpenAI()
        self.anthropic = ThinkingAnthropic()
        self.realtime = FakeOpenAIRealtime(LINES, answer=answer_spoken)
        self.relays: dict[Stage, Relay] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Vendors"]:
        """Start them."""
        async with AsyncExitStack() as stack:
            for fake in (self.deepgram, self.elevenlabs, self.openai, self.anthropic, self.realtime):
                await stack.enter_async_context(fake)
            targets: dict[Stage, str] = {
                "recognizer": self.deepgram.base_url,
                "model": self.openai.base_url,
                "synthesizer": self.elevenlabs.base_url,
                "speech to speech": self.realtime.base_url,
            }
            for stage, url in targets.items():
                address = re.sub(r"^\w+://|/v1$", "", url)
                self.relays[stage] = await stack.enter_async_context(Relay(address))
            yield self

    def expect(self, lines: Sequence[str]) -> None:
        """Let the recognizer hear these from now on, whatever a replay has made its sockets hear before."""
        self.deepgram.phrases = tuple(lines)
        for socket in self.deepgram.sockets:
            socket.expect(lines)

    def configuration(self, stages: Sequence[Stage]) -> str:
        """TOML for a server that uses them, with local speech or a model of text below those of `stages`."""
        return CONFIGURATION.format(
            recognizer=self.relays["recognizer"].address,
            model=self.relays["model"].address,
            synthesizer=self.relays["synthesizer"].address,
            spoken=self.relays["speech to speech"].address,
            models=SPOKEN if "speech to speech" in stages else WRITTEN,
            other_model=self.anthropic.base_url,
            recognizers='"whisper"' if "recognizer" in stages else "",
            synthesizers='"piper"' if "synthesizer" in stages else "",
        )

    def befell(self, case: Case) -> bool:
        """Whether the fault of `case` has touched a connection, or could not but do so."""
        unseen = (*(trouble.value for trouble in BELOW_HTTP), *DEAF, *_SAID)
        return case.fault in unseen or self.relays[case.stage].touched > 0

    async def suffer(self, case: Case) -> None:
        """Let the fault of `case` happen from now on."""
        if case.fault in _SAID:
            if case.stage == "model":
                self.openai.failing = _SAID[case.fault]
            else:
                self.realtime.otherwise, self.realtime.answer = _SAID[case.fault], None
        elif case.fault in DEAF:
            self.expect(())
        else:
            await self.relays[case.stage].suffer(Trouble(case.fault))


async def place(case: Case, clips: Sequence[Clip | None], folder: Path) -> Outcome:
    """Place the call. Its recording, journal and log stay in `folder`."""
    post = folder / "post.txt"
    await asyncio.to_thread(_prepare, post)
    async with Vendors().open() as vendors:
        (folder / "talkspurt.toml").write_text(
            vendors.configuration([] if case.fault == NOBODY_HEARS else [case.stage]), encoding="utf-8"
        )
        environment = {
            "TALKSPURT_CONFIG": str(folder / "talkspurt.toml"),
            "TALKSPURT_JOURNALS": str(folder),
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}",
            POST: str(post),
            **{f"{name}_API_KEY": "test-key" for name in ("DEEPGRAM", "ELEVENLABS", "OPENAI", "ANTHROPIC")},
        }
        async with child_server(folder, folder / "server.log", environment=environment) as url:
            if case.moment == "before":
                await vendors.suffer(case)
            report = await _converse(url, case, clips, vendors)
    report.recording.write_wav(folder / "call.wav")
    log = (folder / "server.log").read_text(encoding="utf-8", errors="replace")
    return Outcome(
        case,
        lost=report.recording.end is None
        or report.recording.end.by != "caller"
        or any(turn.answered is None for turn in report.turns),
        longest_silence=longest_silence(report.recording.caller, report.recording.agent),
        switches=tuple(_switches(log)),
        sent=len(post.read_text(encoding="utf-8").splitlines()),
        said=tuple(_said(folder / "calls.db")),
        failures=report.failures,
        touched=vendors.befell(case),
    )


def _prepare(post: Path) -> None:
    post.parent.mkdir(parents=True, exist_ok=True)
    post.touch()


async def _converse(url: str, case: Case, clips: Sequence[Clip | None], vendors: Vendors) -> CallReport:
    injected: set[asyncio.Task[None]] = set()

    def observe(news: News) -> None:
        if isinstance(news, CallerActed):
            # A socket that is opened from now on has heard nothing of the lines before.
            vendors.expect(LINES[news.number - 1 :] if case.fault not in DEAF else ())
            vendors.realtime.heard = deque(LINES[news.number - 1 :])
            if case.moment == "during" and news.number == FAULTY_TURN:
                injected.add(asyncio.create_task(vendors.suffer(case)))

    lines: list[Line] = [Say(line) for line in LINES]
    if case.fault == NOBODY_HEARS:
        # Nobody hears the caller: three times in a row, and they are offered keys.
        lines, clips = [*lines, PressKeys("1")], [*clips, None]
    report = await converse(url, lines, clips, observe=observe, patience=PATIENCE)
    await asyncio.gather(*injected)
    return report


def _switches(log: str) -> Iterator[float]:
    for line in log.splitlines():
        if '"provider_switched"' in line:
            yield float(json.loads(line)["after_ms"]) / 1000


def _said(database: Path) -> Iterator[str]:
    query = "SELECT content FROM turns WHERE kind = 'agent_said' ORDER BY n"
    with closing(sqlite3.connect(database)) as connection:
        for (content,) in connection.execute(query):
            yield json.loads(content)["text"]
